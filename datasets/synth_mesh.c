/*
 * synth_mesh.c — the shapes of a sample head: grids of points, and how they become pixels.
 *
 * A head is a loft: a stack of ellipses given by a table (height, half width, front and back
 * depth), smoothly interpolated, on which the features of a face are bumps along z. All tables
 * follow the usual rules of drawing: eyes at half the head's height, the nose's base half way
 * between brows and chin, five eye widths across.
 */
#include "datasets/synth.h"

struct row {
    float y, width, front, back;
};

static const struct row face_rows[] = {
    {-1.02F, 0.00F, 0.46F, 0.26F},    {-1.005F, 0.16F, 0.60F, 0.12F},
    {-0.96F, 0.265F, 0.69F, 0.00F},   {-0.86F, 0.385F, 0.735F, -0.16F},
    {-0.71F, 0.505F, 0.75F, -0.36F},  {-0.50F, 0.60F, 0.765F, -0.60F},
    {-0.25F, 0.665F, 0.785F, -0.80F}, {0.00F, 0.70F, 0.80F, -0.90F},
    {0.25F, 0.72F, 0.82F, -0.95F},    {0.48F, 0.70F, 0.79F, -0.94F},
    {0.68F, 0.63F, 0.70F, -0.85F},    {0.84F, 0.51F, 0.54F, -0.69F},
    {0.95F, 0.31F, 0.30F, -0.45F},    {0.99F, 0.14F, 0.08F, -0.24F},
    {1.00F, 0.00F, -0.06F, -0.08F},
};
static const struct row neck_rows[] = {
    {-2.0F, 0.62F, 0.22F, -0.60F}, {-1.48F, 0.49F, 0.20F, -0.55F}, {-1.2F, 0.435F, 0.22F, -0.53F},
    {-0.9F, 0.43F, 0.24F, -0.56F}, {-0.4F, 0.46F, 0.15F, -0.62F},
};
static const struct row torso_rows[] = {
    {-3.6F, 1.46F, 0.55F, -0.70F},  {-2.4F, 1.56F, 0.55F, -0.70F},  {-1.92F, 1.52F, 0.48F, -0.66F},
    {-1.68F, 1.34F, 0.40F, -0.64F}, {-1.52F, 1.02F, 0.33F, -0.62F}, {-1.40F, 0.74F, 0.28F, -0.60F},
    {-1.30F, 0.54F, 0.25F, -0.57F}, {-1.24F, 0.43F, 0.18F, -0.50F},
};
#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

static float cubic(float a, float b, float c, float d, float t)
{
    return b + 0.5F * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

/* Catmull-Rom through the rows; t in [0, count - 1]. */
static struct row row_at(const struct row *rows, int count, float t)
{
    int i = (int)ds_clamp(t, 0, (float)(count - 2));
    const struct row *b = rows + i, *c = b + 1;
    const struct row *a = i > 0 ? b - 1 : b, *d = i + 2 < count ? c + 1 : c;
    float u = t - (float)i;
    struct row r = {cubic(a->y, b->y, c->y, d->y, u),
                    cubic(a->width, b->width, c->width, d->width, u),
                    cubic(a->front, b->front, c->front, d->front, u),
                    cubic(a->back, b->back, c->back, d->back, u)};
    if (r.width < 0) r.width = 0;
    return r;
}

/* Angle of a column: columns are denser in front (0) where the face is. */
static float column_angle(int column, int columns)
{
    float turn = 6.2831853F, s = (float)column / (float)columns;
    return turn * s - 0.5F * sinf(turn * s);
}

static void loft(struct ds_mesh *mesh, const struct row *rows, int count, int mesh_rows,
                 int mesh_columns)
{
    float sine[DS_MESH_COLUMNS], cosine[DS_MESH_COLUMNS];
    mesh->rows = mesh_rows;
    mesh->columns = mesh_columns;
    mesh->ring = false;
    for (int j = 0; j < mesh_columns; j++) {
        sine[j] = sinf(column_angle(j, mesh_columns));
        cosine[j] = cosf(column_angle(j, mesh_columns));
    }
    for (int i = 0; i < mesh_rows; i++) {
        struct row r = row_at(rows, count, (float)(i * (count - 1)) / (float)(mesh_rows - 1));
        float middle = 0.5F * (r.front + r.back), half = 0.5F * (r.front - r.back);
        for (int j = 0; j < mesh_columns; j++) {
            struct ds_vertex *v = mesh->vertex + i * mesh_columns + j;
            v->p = ds_vec(r.width * sine[j], r.y, middle + half * cosine[j]);
            v->mask = 1;
        }
    }
}

/* ---- the face -------------------------------------------------------------------------------- */

/* How far the features lift the face at (x, y), x >= 0: it is symmetric. */
static float relief(const struct ds_person *who, float x, float y)
{
    float tip = -0.10F - 0.24F * who->nose_length, gap = 0.29F * who->eye_gap;
    float wings = 0.115F * who->nose_width, cheek = who->cheek;
    float z = 0;
    /* Bridge: rises in a line from between the eyes to the tip, then ends quickly. */
    float along = ds_clamp((0.06F - y) / (0.06F - tip), 0, 1.6F);
    if (along > 0 && x < 0.4F) {
        float end = ds_step(tip - 0.13F, tip - 0.01F, y);
        float wide = (0.075F + 0.045F * ds_clamp(along, 0, 1)) * who->nose_width;
        float rise = (0.05F + 0.17F * ds_clamp(along, 0, 1.05F)) * who->nose_height;
        z += rise * end * ds_step(0, 0.35F, along) * expf(-x * x / (wide * wide));
    }
    z += 0.045F * ds_bump(x, y, 0, tip - 0.02F, 0.075F * who->nose_width, 0.06F);
    z += 0.085F * ds_bump(x, y, wings, tip - 0.045F, 0.05F * who->nose_width, 0.05F);
    z += 0.035F * ds_bump(x, y, 0.24F, 0.20F, 0.20F, 0.07F);          /* brow ridge */
    z -= 0.075F * ds_bump(x, y, gap - 0.02F, 0.04F, 0.16F, 0.12F);    /* eye socket */
    z += 0.045F * ds_bump(x, y, gap, 0.0F, 0.11F, 0.075F);            /* eyeball */
    z += 0.045F * cheek * ds_bump(x, y, 0.40F, -0.24F, 0.17F, 0.16F); /* cheekbone */
    z -= 0.030F * ds_bump(x, y, 0.42F, -0.55F, 0.16F, 0.16F) * (2 - cheek);
    z += 0.050F * ds_bump(x, y, 0, -0.62F, 0.24F, 0.15F); /* mouth's barrel */
    z += 0.028F * who->lip_fullness * ds_bump(x, y, 0.05F, -0.585F, 0.13F, 0.035F);
    z += 0.032F * who->lip_fullness * ds_bump(x, y, 0, -0.685F, 0.14F, 0.04F);
    z -= 0.022F * ds_bump(x, y, 0, -0.635F, 0.20F, 0.018F);           /* line of the mouth */
    z -= 0.020F * ds_bump(x, y, 0, -0.50F, 0.03F, 0.05F);             /* philtrum */
    z -= 0.028F * ds_bump(x, y, 0, -0.78F, 0.16F, 0.045F);            /* above the chin */
    z += 0.055F * who->chin * ds_bump(x, y, 0, -0.90F, 0.17F, 0.09F); /* chin */
    return z;
}

void ds_mesh_face(struct ds_mesh *mesh, const struct ds_person *who)
{
    loft(mesh, face_rows, COUNT(face_rows), DS_MESH_ROWS, DS_MESH_COLUMNS);
    for (int i = 0; i < mesh->rows * mesh->columns; i++) {
        struct ds_vec *p = &mesh->vertex[i].p;
        float low = ds_step(-0.15F, -0.75F, p->y);
        if (p->z > 0.1F) {
            float front = ds_step(0.1F, 0.4F, p->z);
            p->z += front * relief(who, fabsf(p->x), p->y);
        }
        if (who->beard_kind == DS_BEARD_FULL && p->z > -0.1F)
            p->z += 0.05F * who->beard_density * ds_step(-0.72F, -0.9F, p->y);
        p->x *= who->width * ds_lerp(1, who->jaw, low);
    }
}

/* ---- hair, hats and scarves: the same head, swollen where the mask says so ------------------- */

float ds_hair_mask(const struct ds_person *who, struct ds_vec p)
{
    float x = p.x - who->hair_part;
    float line = who->hairline - who->hair_drop * x * x;
    if (who->hair_kind >= DS_HAIR_BOB && who->hair_kind <= DS_HAIR_LONG)
        line -= 0.10F * ds_step(0.12F, 0.5F, fabsf(x)); /* falls to both sides of the parting */
    float rough = 0.028F * ds_noise(p.x * 11, p.y * 11 + p.z * 5, who->seed);
    float ragged = rough + 0.012F * ds_noise(p.x * 37, p.y * 9, who->seed + 1);
    float above = p.y - line;
    float behind, end;
    switch (who->hair_kind) {
    case DS_HAIR_NONE:
        return -1;
    case DS_HAIR_BOB:
    case DS_HAIR_LONG:
        behind = 0.22F + 0.06F * sinf(p.y * 4 + who->hair_wave) - p.z;
        end = p.y + who->hair_length;
        break;
    case DS_HAIR_BUN:
        behind = 0.02F - p.z;
        end = p.y + 0.45F;
        if (end > 0.1F && p.y < 0.1F) behind -= 0.12F * ds_step(0.1F, -0.2F, p.y);
        break;
    default: /* short kinds: sideburns before the ears, free ears, a line at the nape */
        behind = 0.12F - p.z - 0.5F * ds_step(0.02F, -0.32F, p.y);
        end = p.y + 0.42F;
    }
    float mask = (above > behind ? above : behind) + ragged;
    return mask < end ? mask : end;
}

float ds_cover_mask(const struct ds_person *who, struct ds_vec p)
{
    if (who->cover_kind == DS_COVER_NONE) return -1;
    if (who->cover_kind == DS_COVER_SCARF) { /* an oval window around the face */
        float u = p.x / 0.60F, v = (p.y + 0.27F) / 0.80F;
        float oval = 0.6F * (sqrtf(u * u + v * v) - 1);
        float behind = 0.05F - p.z;
        return oval > behind ? oval : behind;
    }
    if (who->cover_kind == DS_COVER_TURBAN) {
        float peak = 0.62F - 0.9F * p.x * p.x; /* highest in the middle of the forehead */
        return p.y - ds_lerp(0.05F, peak, ds_step(-0.5F, 0.3F, p.z));
    }
    return p.y - 0.40F - 0.12F * ds_step(0, 0.8F, p.z) + 0.02F * p.x;
}

/* The shell's own table: the head above y = 0, below it what hangs down to `bottom`. */
static int shell_rows(struct row *rows, const struct ds_person *who, bool cover)
{
    float bottom = -0.55F, spread = 0.60F;
    if (!cover && (who->hair_kind == DS_HAIR_BOB || who->hair_kind == DS_HAIR_LONG)) {
        bottom = -who->hair_length - 0.05F;
        spread = who->hair_kind == DS_HAIR_LONG ? 0.74F : 0.70F;
    }
    if (cover && who->cover_kind == DS_COVER_SCARF) {
        bottom = -1.75F;
        spread = 0.80F;
    }
    float depth = cover ? 0.72F : 0.55F;
    rows[0] = (struct row){bottom, spread, depth * 0.9F, -0.80F};
    rows[1] = (struct row){bottom * 0.75F, spread, depth, -0.84F};
    rows[2] = (struct row){bottom * 0.4F, 0.5F * (spread + 0.70F), 0.75F, -0.87F};
    int count = 3;
    for (int i = 7; i < COUNT(face_rows); i++) rows[count++] = face_rows[i];
    return count;
}

static float swell(const struct ds_person *who, struct ds_vec p, bool cover)
{
    if (cover) {
        float fold = ds_noise(p.x * 3 + p.y * 4, p.y * 2 - p.z * 2, who->seed + 7);
        if (who->cover_kind == DS_COVER_TURBAN)
            return 0.13F + 0.10F * ds_step(0.4F, 0.9F, p.y) +
                   0.016F * sinf(26 * (p.y + 0.6F * p.x));
        if (who->cover_kind == DS_COVER_SCARF) return 0.085F + 0.02F * fold;
        return 0.075F + 0.05F * ds_step(0.55F, 1.0F, p.y) + 0.008F * fold;
    }
    float lumps = ds_noise(p.x * 6, p.y * 6 + p.z * 5, who->seed + 3);
    float top = ds_step(0.1F, 0.9F, p.y), thick = who->hair_volume;
    switch (who->hair_kind) {
    case DS_HAIR_BUZZ:
        return 0.022F;
    case DS_HAIR_CURLY:
        return thick * (0.75F + 0.25F * top) + 0.035F * lumps;
    case DS_HAIR_BUN:
        return 0.5F * thick + 0.006F * lumps;
    case DS_HAIR_BOB:
    case DS_HAIR_LONG:
        return thick * (0.75F + 0.2F * top) + 0.02F * lumps * who->hair_wave;
    default:
        return thick * (0.45F + 0.75F * top + 0.15F * p.x * who->hair_part) + 0.012F * lumps;
    }
}

void ds_mesh_hair(struct ds_mesh *mesh, const struct ds_person *who, bool cover)
{
    struct row rows[3 + COUNT(face_rows)];
    int count = shell_rows(rows, who, cover);
    loft(mesh, rows, count, 52, 72);
    for (int i = 0; i < mesh->rows * mesh->columns; i++) {
        struct ds_vertex *v = mesh->vertex + i;
        v->mask = cover ? ds_cover_mask(who, v->p) : ds_hair_mask(who, v->p);
        /* Dives under the skin where the mask ends, so that the edge has no step. */
        float lift = swell(who, v->p, cover) * ds_step(-0.02F, cover ? 0.08F : 0.14F, v->mask);
        struct ds_vec out = ds_unit(ds_vec(v->p.x, v->p.y > 0 ? v->p.y * 0.9F : 0, v->p.z + 0.05F));
        v->p.x *= who->width;
        v->p = ds_add(v->p, ds_scale(out, lift + (v->mask < 0 ? 0.3F * v->mask : 0)));
    }
}

static void ball(struct ds_mesh *mesh, struct ds_vec middle, struct ds_vec radius, int rows,
                 int columns)
{
    mesh->rows = rows;
    mesh->columns = columns;
    mesh->ring = false;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            float a = 3.1415927F * ((float)i / (float)(rows - 1) - 0.5F);
            float b = 6.2831853F * (float)j / (float)columns;
            struct ds_vec d = ds_vec(cosf(a) * sinf(b), sinf(a), cosf(a) * cosf(b));
            mesh->vertex[i * columns + j].p = ds_add(middle, ds_mul(d, radius));
            mesh->vertex[i * columns + j].mask = 1;
        }
}

void ds_mesh_bun(struct ds_mesh *mesh, const struct ds_person *who)
{
    float r = 0.22F + 0.5F * who->hair_volume;
    ball(mesh, ds_vec(0, 1.08F, -0.25F), ds_vec(r * 1.15F, r, r), 20, 28);
}

/* A flat ball, turned outwards by 0.55; `mask` falls from 1 at the rim to 0 in the concha. */
void ds_mesh_ear(struct ds_mesh *mesh, float side, const struct ds_person *who)
{
    ball(mesh, ds_vec(0, 0, 0), ds_vec(0.05F, 0.20F, 0.115F), 16, 20);
    float c = cosf(0.55F), s = sinf(0.55F);
    for (int i = 0; i < mesh->rows * mesh->columns; i++) {
        struct ds_vertex *v = mesh->vertex + i;
        float inside = ds_bump(v->p.z, v->p.y, 0.015F, 0.01F, 0.06F, 0.115F);
        v->mask = 1 - inside * ds_step(0, 0.03F, v->p.x);
        v->p.x -= 0.025F * inside;
        v->p.z *= 1 + 0.9F * v->p.y; /* narrow lobe */
        struct ds_vec p = ds_vec(c * v->p.x - s * v->p.z, v->p.y, s * v->p.x + c * v->p.z);
        p = ds_add(p, ds_vec(0.735F, -0.12F - 0.02F * p.x, -0.10F - 0.2F * p.y));
        v->p = ds_vec(side * who->width * p.x, p.y, p.z);
    }
}

void ds_mesh_neck(struct ds_mesh *mesh)
{
    loft(mesh, neck_rows, COUNT(neck_rows), 24, 40);
}

void ds_mesh_torso(struct ds_mesh *mesh)
{
    loft(mesh, torso_rows, COUNT(torso_rows), 32, 48);
}

/* ---- glasses --------------------------------------------------------------------------------- */

/* Outline of a lens at angle `a`: |x|^n + |y|^n = 1 in lens units, on a curved sheet. */
static struct ds_vec lens_point(const struct ds_person *who, float side, float a, float part)
{
    float power = 2 / who->lens_power, c = cosf(a), s = sinf(a);
    float x = (c < 0 ? -1 : 1) * expf(power * logf(fabsf(c) + 1e-6F)) * who->lens_width * part;
    float y = (s < 0 ? -1 : 1) * expf(power * logf(fabsf(s) + 1e-6F)) * who->lens_height * part;
    x += 0.30F * who->eye_gap + 0.01F;
    return ds_vec(side * x, y - 0.03F, 0.855F - 0.30F * x * x);
}

void ds_mesh_rim(struct ds_mesh *mesh, const struct ds_person *who, float side)
{
    enum { N = 40, M = 6 };
    mesh->rows = N;
    mesh->columns = M;
    mesh->ring = true;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < M; j++) {
            float a = 6.2831853F * (float)i / N, b = 6.2831853F * (float)j / M;
            struct ds_vec p = lens_point(who, side, a, 1);
            float r = who->frame_radius, flat = r * cosf(b);
            p = ds_add(p, ds_vec(side * flat * cosf(a), flat * sinf(a), r * sinf(b)));
            mesh->vertex[i * M + j].p = p;
            mesh->vertex[i * M + j].mask = 1;
        }
}

void ds_mesh_lens(struct ds_mesh *mesh, const struct ds_person *who, float side)
{
    enum { N = 40 };
    mesh->rows = 2;
    mesh->columns = N;
    mesh->ring = false;
    for (int j = 0; j < N; j++)
        for (int i = 0; i < 2; i++) {
            struct ds_vertex *v = mesh->vertex + i * N + j;
            v->p = lens_point(who, side, 6.2831853F * (float)j / N, i ? 0.02F : 1);
            v->mask = 1;
        }
}

void ds_mesh_rod(struct ds_mesh *mesh, struct ds_vec from, struct ds_vec to, float radius)
{
    enum { M = 6 };
    struct ds_vec along = ds_unit(ds_sub(to, from));
    struct ds_vec u =
        ds_unit(ds_cross(along, fabsf(along.y) < 0.9F ? ds_vec(0, 1, 0) : ds_vec(1, 0, 0)));
    struct ds_vec w = ds_cross(along, u);
    mesh->rows = 2;
    mesh->columns = M;
    mesh->ring = false;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < M; j++) {
            float a = 6.2831853F * (float)j / M;
            struct ds_vec p = ds_add(ds_scale(u, radius * cosf(a)), ds_scale(w, radius * sinf(a)));
            mesh->vertex[i * M + j].p = ds_add(i ? to : from, p);
            mesh->vertex[i * M + j].mask = 1;
        }
}
