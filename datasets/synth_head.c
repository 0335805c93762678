/* synth_head.c — puts a sample person into a picture: pose, framing, all parts, background. */
#include "datasets/synth.h"

enum { DENSITY = 2 }; /* samples per pixel along each axis */

enum nn_status ds_studio_new(struct ds_studio *studio, struct nn_context *context, int size)
{
    *studio = (struct ds_studio){.context = context, .size = size};
    /* An original needs a little more around the face than its recapture shows. */
    int source = studio->source_size = size + (size + 3) / 4;
    size_t side = (size_t)source, pixels = side * side;
    studio->mesh.vertex = nn_alloc(context, DS_MESH_MAX, sizeof *studio->mesh.vertex);
    if (!studio->mesh.vertex) goto fail;
    studio->samples = nn_alloc(context, pixels * DENSITY * DENSITY, sizeof *studio->samples);
    if (!studio->samples) goto fail;
    studio->picture = nn_alloc(context, pixels * 3, sizeof *studio->picture);
    if (!studio->picture) goto fail;
    studio->source = nn_alloc(context, pixels * 3, sizeof *studio->source);
    if (!studio->source) goto fail;
    studio->work = nn_alloc(context, pixels * 3, sizeof *studio->work);
    if (!studio->work) goto fail;
    studio->bytes = nn_alloc(context, pixels * 3, 1);
    if (!studio->bytes) goto fail;
    return NN_OK;
fail:
    ds_studio_free(studio);
    return NN_ERROR_MEMORY;
}

void ds_studio_free(struct ds_studio *studio)
{
    struct nn_context *context = studio->context;
    if (!context) return;
    nn_free(context, studio->bytes);
    nn_free(context, studio->work);
    nn_free(context, studio->source);
    nn_free(context, studio->picture);
    nn_free(context, studio->samples);
    nn_free(context, studio->mesh.vertex);
    *studio = (struct ds_studio){0};
}

/* turn = roll * pitch * yaw: the head turns on the neck, nods, then leans. */
static void turn(struct ds_pose *pose, float yaw, float pitch, float roll)
{
    float cy = cosf(yaw), sy = sinf(yaw), cp = cosf(pitch), sp = sinf(pitch);
    float cr = cosf(roll), sr = sinf(roll);
    const float nod[3][3] = {{cy, 0, sy}, {sp * sy, cp, -sp * cy}, {-cp * sy, sp, cp * cy}};
    for (int j = 0; j < 3; j++) {
        pose->turn[0][j] = cr * nod[0][j] - sr * nod[1][j];
        pose->turn[1][j] = sr * nod[0][j] + cr * nod[1][j];
        pose->turn[2][j] = nod[2][j];
    }
}

/* The box of the face alone, from ear to ear and from hairline to chin, as detectors draw it. */
static void measure(struct ds_face *face, struct ds_mesh *mesh, const struct ds_person *who,
                    const struct ds_pose *pose)
{
    float x0 = 1e9F, x1 = -1e9F, y0 = 1e9F, y1 = -1e9F;
    for (int i = 0; i < mesh->rows * mesh->columns; i++) {
        struct ds_vec p = mesh->vertex[i].p;
        if (p.y > 0.62F || p.z < -0.1F) continue;
        struct ds_vec q = ds_pose_project(pose, p);
        x0 = ds_min(x0, q.x);
        x1 = ds_max(x1, q.x);
        y0 = ds_min(y0, q.y);
        y1 = ds_max(y1, q.y);
    }
    float gap = 0.29F * who->eye_gap * who->width;
    struct ds_vec left = ds_pose_project(pose, ds_vec(-gap, 0.01F, 0.70F));
    struct ds_vec right = ds_pose_project(pose, ds_vec(gap, 0.01F, 0.70F));
    *face = (struct ds_face){x0, y0, x1, y1, left.x, left.y, right.x, right.y};
}

static void put(struct ds_studio *studio, int side, const struct ds_pose *pose,
                const struct ds_pose *body, enum ds_part part)
{
    ds_mesh_place(&studio->mesh, pose, body);
    ds_mesh_raster(studio->samples, side * DENSITY, DENSITY, &studio->mesh, part);
}

static void draw_glasses(struct ds_studio *studio, int side, const struct ds_person *who,
                         const struct ds_pose *pose)
{
    struct ds_mesh *mesh = &studio->mesh;
    float middle = 0.30F * who->eye_gap + 0.01F, inner = middle - who->lens_width;
    float outer = middle + who->lens_width;
    for (int s = -1; s <= 1; s += 2) {
        float f = (float)s;
        ds_mesh_rim(mesh, who, f);
        put(studio, side, pose, NULL, DS_PART_FRAME);
        ds_mesh_rod(mesh, ds_vec(f * outer, 0.02F, 0.855F - 0.3F * outer * outer),
                    ds_vec(f * 0.77F * who->width, 0.0F, 0.0F), who->frame_radius);
        put(studio, side, pose, NULL, DS_PART_FRAME);
    }
    ds_mesh_rod(mesh, ds_vec(-inner, 0.0F, 0.86F), ds_vec(inner, 0.0F, 0.86F), who->frame_radius);
    put(studio, side, pose, NULL, DS_PART_FRAME);
    for (int s = -1; s <= 1; s += 2) {
        ds_mesh_lens(mesh, who, (float)s);
        put(studio, side, pose, NULL, DS_PART_LENS);
    }
}

/* All surfaces of the person; the face's mesh is already made. */
static void draw_parts(struct ds_studio *studio, int side, const struct ds_person *who,
                       const struct ds_pose *pose, const struct ds_pose *body)
{
    struct ds_mesh *mesh = &studio->mesh;
    put(studio, side, pose, NULL, DS_PART_FACE);
    ds_mesh_neck(mesh);
    put(studio, side, pose, body, DS_PART_NECK);
    ds_mesh_torso(mesh);
    put(studio, side, body, NULL, DS_PART_TORSO);
    for (int s = -1; s <= 1 && who->cover_kind != DS_COVER_SCARF; s += 2) {
        ds_mesh_ear(mesh, (float)s, who);
        put(studio, side, pose, NULL, DS_PART_EAR);
    }
    if (who->hair_kind != DS_HAIR_NONE) {
        ds_mesh_hair(mesh, who, false);
        put(studio, side, pose, body, DS_PART_HAIR);
    }
    if (who->hair_kind == DS_HAIR_BUN) {
        ds_mesh_bun(mesh, who);
        put(studio, side, pose, NULL, DS_PART_HAIR);
    }
    if (who->cover_kind != DS_COVER_NONE) {
        ds_mesh_hair(mesh, who, true);
        put(studio, side, pose, body, DS_PART_COVER);
    }
    if (who->glasses) draw_glasses(studio, side, who, pose);
}

static struct ds_vec background(const struct ds_scene *scene, float x, float y)
{
    struct ds_vec c = ds_mix(scene->wall_top, scene->wall_bottom, ds_clamp(y, 0, 1));
    for (int i = 0; i < scene->shapes; i++) {
        const struct ds_shape *s = &scene->shape[i];
        float dx = fabsf(x - s->x), dy = fabsf(y - s->y), cover;
        if (dx > s->half_width + s->soft || dy > s->half_height + s->soft) continue;
        if (s->round)
            cover =
                ds_step(s->half_width + s->soft, s->half_width - s->soft, sqrtf(dx * dx + dy * dy));
        else
            cover = ds_step(s->half_width + s->soft, s->half_width - s->soft, dx) *
                    ds_step(s->half_height + s->soft, s->half_height - s->soft, dy);
        c = ds_mix(c, s->color, cover * 0.85F);
    }
    if (scene->texture > 0) {
        /* Two octaves, the lattice turned so that its squares are not seen. */
        float u = scene->texture_scale * (x + 0.45F * y),
              v = scene->texture_scale * (y - 0.45F * x);
        float rough = 0.65F * ds_noise(u, v, scene->seed) +
                      0.45F * ds_noise(1.9F * u + v, 1.9F * v - u, scene->seed + 1);
        c = ds_scale(c, 1 + scene->texture * rough);
    }
    return c;
}

/* Is one sample enough for this pixel? Not at edges, nor where the face has fine features. */
static bool smooth(const struct ds_sample *const s[DENSITY * DENSITY])
{
    if (!s[0]->part || s[0]->part == DS_PART_FRAME) return false;
    for (int k = 1; k < DENSITY * DENSITY; k++)
        if (s[k]->part != s[0]->part || fabsf(s[k]->depth - s[0]->depth) > 0.08F ||
            (s[k]->lens > 0) != (s[0]->lens > 0))
            return false;
    if (s[0]->part == DS_PART_TORSO) return s[0]->p.y < -2.1F;
    float x = fabsf(s[0]->p.x), y = s[0]->p.y;
    bool fine = x < 0.52F && y < 0.32F && (y > -0.14F || (x < 0.3F && y > -0.78F && y < -0.36F));
    return s[0]->part != DS_PART_FACE || !fine;
}

static void resolve(struct ds_studio *studio, float *rgb, int side, const struct ds_person *who,
                    const struct ds_scene *scene, const struct ds_pose *pose)
{
    const float share = 1.0F / (DENSITY * DENSITY);
    struct ds_vec around = ds_mix(scene->sky, scene->lamp[0].color, 0.4F);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            struct ds_vec sum = ds_vec(0, 0, 0);
            int empty = 0;
            const struct ds_sample *s[DENSITY * DENSITY];
            for (int k = 0; k < DENSITY * DENSITY; k++) {
                size_t row = (size_t)(y * DENSITY + k / DENSITY) * (size_t)(side * DENSITY);
                s[k] = studio->samples + row + x * DENSITY + k % DENSITY;
                empty += s[k]->part == DS_PART_NONE;
            }
            if (smooth(s)) {
                sum = ds_scale(ds_shade(who, scene, pose, s[0]), DENSITY * DENSITY);
            } else {
                for (int k = 0; k < DENSITY * DENSITY; k++)
                    if (s[k]->part) sum = ds_add(sum, ds_shade(who, scene, pose, s[k]));
            }
            if (empty) {
                float u = ((float)x + 0.5F) / (float)side, v = ((float)y + 0.5F) / (float)side;
                struct ds_vec c = ds_mul(background(scene, u, v), around);
                sum = ds_add(sum, ds_scale(c, (float)empty));
            }
            float *to = rgb + 3 * (y * side + x);
            to[0] = sum.x * share;
            to[1] = sum.y * share;
            to[2] = sum.z * share;
        }
}

void ds_face_draw(struct ds_face *face, int side, struct nn_rng *rng)
{
    float s = (float)side, height = s * nn_rng_uniform(rng, 0.60F, 0.80F);
    float x = s * nn_rng_uniform(rng, 0.46F, 0.54F), y = s * nn_rng_uniform(rng, 0.48F, 0.56F);
    *face = (struct ds_face){.x0 = x, .x1 = x, .y0 = y - 0.5F * height, .y1 = y + 0.5F * height};
}

void ds_head_draw(struct ds_studio *studio, float *rgb, int side, struct ds_face *face,
                  struct nn_rng *rng)
{
    struct ds_person who;
    struct ds_scene scene;
    struct ds_face raw;
    ds_person_draw(&who, rng);
    ds_scene_draw(&scene, rng);
    struct ds_pose pose = {.pivot = {0, -0.75F, -0.25F}, .distance = scene.distance, .scale = 1};
    struct ds_pose body = pose;
    turn(&pose, scene.yaw, scene.pitch, scene.roll);
    pose.nose = ds_pose_turn(&pose, ds_vec(0, -0.24F, 0.90F));
    turn(&body, 0.4F * scene.yaw, 0, 0.15F * scene.roll);
    ds_mesh_face(&studio->mesh, &who);
    measure(&raw, &studio->mesh, &who, &pose);
    /* Projection is linear in scale and offset: fit the measured box to the wanted one. */
    float scale = (face->y1 - face->y0) / (raw.y1 - raw.y0);
    pose.scale = body.scale = scale;
    pose.x = body.x = 0.5F * (face->x0 + face->x1) - scale * 0.5F * (raw.x0 + raw.x1);
    pose.y = body.y = face->y0 - scale * raw.y0;
    measure(face, &studio->mesh, &who, &pose);
    size_t count = (size_t)(side * DENSITY) * (size_t)(side * DENSITY);
    for (size_t i = 0; i < count; i++) {
        studio->samples[i].depth = -1e9F;
        studio->samples[i].part = DS_PART_NONE;
        studio->samples[i].lens = 0;
    }
    draw_parts(studio, side, &who, &pose, &body);
    resolve(studio, rgb, side, &who, &scene, &pose);
}
