/*
 * synth_shade.c — what light a point of a sample head sends to the camera.
 *
 * Skin is Lambert with a wrap that is wider in red than in blue: light that enters beside the
 * shadow's edge comes out reddened inside it (the cheap form of subsurface scattering; Green,
 * "Real- Time Approximations to Subsurface Scattering", GPU Gems, 2004). Hair follows Kajiya & Kay
 * 1989: its brightness depends on the angle to the strand, not to a surface. The features of the
 * face are painted by head coordinates, with edges as soft as a pixel of a small picture.
 */
#include "datasets/synth.h"

struct point {
    const struct ds_person *who;
    const struct ds_scene *scene;
    const struct ds_pose *pose;
    struct ds_vec p, n; /* place on the head, unit normal in view coordinates */
    struct ds_vec skin; /* albedo */
    float gloss;        /* strength of the highlight */
    float open;         /* ambient light that reaches the point */
};

static const struct ds_vec black = {0.012F, 0.010F, 0.009F};

/* ---- light ----------------------------------------------------------------------------------- */

static float lambert(float cosine, float wrap)
{
    float v = (cosine + wrap) / (1 + wrap);
    return v > 0 ? v : 0;
}

/* Shadow of a soft-edged ellipsoid on the ray from p (view coordinates) towards a lamp. */
static float cast(struct ds_vec p, struct ds_vec to, struct ds_vec middle, struct ds_vec radius)
{
    struct ds_vec scale = ds_vec(1 / radius.x, 1 / radius.y, 1 / radius.z);
    struct ds_vec o = ds_mul(ds_sub(middle, p), scale), d = ds_mul(to, scale);
    float along = ds_dot(o, d) / ds_dot(d, d);
    if (along <= 0) return 1;
    struct ds_vec miss = ds_sub(o, ds_scale(d, along));
    return ds_step(0.75F, 1.3F, sqrtf(ds_dot(miss, miss)));
}

static float shadow(const struct point *at, int part, struct ds_vec to)
{
    if (part == DS_PART_NECK || part == DS_PART_TORSO) {
        float s = cast(at->p, to, ds_vec(0, -0.05F, -0.1F), ds_vec(0.66F, 0.9F, 0.8F));
        return 0.12F + 0.88F * s;
    }
    if (part != DS_PART_FACE || at->p.z < 0.4F) return 1;
    struct ds_vec here = ds_pose_turn(at->pose, at->p);
    if (fabsf(at->p.x) < 0.12F && at->p.y > -0.42F) return 1; /* the nose itself */
    return 0.35F + 0.65F * cast(here, to, at->pose->nose, ds_vec(0.085F, 0.17F, 0.13F));
}

static struct ds_vec ambient(const struct point *at)
{
    float up = 0.5F + 0.5F * at->n.y;
    return ds_scale(ds_mix(at->scene->ground, at->scene->sky, up), at->open);
}

static struct ds_vec lit(const struct point *at, int part, struct ds_vec albedo, float wrap)
{
    struct ds_vec light = ambient(at), shine = ds_vec(0, 0, 0);
    for (int i = 0; i < 2; i++) {
        const struct ds_lamp *lamp = &at->scene->lamp[i];
        float cosine = ds_dot(at->n, lamp->to), dark = shadow(at, part, lamp->to);
        struct ds_vec in = ds_vec(lambert(cosine, wrap), lambert(cosine, 0.75F * wrap),
                                  lambert(cosine, 0.65F * wrap));
        light = ds_add(light, ds_scale(ds_mul(in, lamp->color), dark));
        float s = ds_dot(at->n, lamp->half);
        if (s > 0.5F && at->gloss > 0) {
            s *= s, s *= s, s *= s, s *= s; /* exponent 16 */
            shine = ds_add(shine, ds_scale(lamp->color, at->gloss * s * dark));
        }
    }
    float edge = 1 - ds_clamp(at->n.z, 0, 1);
    shine = ds_add(shine, ds_scale(at->scene->sky, 0.10F * edge * edge * edge * at->open));
    return ds_add(ds_mul(albedo, light), shine);
}

/* ---- the face's paint ------------------------------------------------------------------------ */

/* The eye's opening in units of its half width, x from the nose outwards. */
static float lid_upper(const struct ds_person *who, float x)
{
    float t = (x + 0.08F) * (x + 0.08F);
    return 0.50F * who->eye_open * (1 - t) + 0.05F * x;
}
static float lid_lower(float x)
{
    return -0.27F * (1 - x * x);
}

static struct ds_vec eyeball(const struct point *at, float x, float y, float side)
{
    const struct ds_person *who = at->who;
    float soft = 0.10F;
    float gx = x - side * who->gaze_x, gy = y - 0.07F - who->gaze_y;
    float r = sqrtf(gx * gx + gy * gy), iris = 0.43F;
    struct ds_vec white = ds_vec(0.33F, 0.31F, 0.29F);
    white = ds_mix(white, ds_vec(0.55F, 0.30F, 0.26F), 0.5F * ds_step(0.55F, 1.05F, fabsf(x)));
    float ring = ds_step(iris, iris - 0.18F, r);
    struct ds_vec tint = ds_scale(who->iris, 0.55F + 0.75F * ring - 0.8F * gy);
    struct ds_vec c = ds_mix(white, tint, ds_step(iris + soft, iris - 0.3F * soft, r));
    c = ds_mix(c, black, ds_step(0.19F + soft, 0.19F - 0.5F * soft, r));
    c = ds_scale(c,
                 1 - 0.55F * ds_step(-0.20F, 0.0F, y - lid_upper(who, x))); /* the lid's shadow */
    c = ds_mul(c,
               ds_add(ds_scale(at->scene->lamp[0].color,
                               0.15F + 0.4F * lambert(ds_dot(at->n, at->scene->lamp[0].to), 0.3F)),
                      ambient(at)));
    /* The lamp mirrored in the cornea. */
    struct ds_vec to = at->scene->lamp[0].to;
    float cx = gx - side * 0.16F * (to.x > 0 ? 1.0F : -1.0F), cy = gy - 0.14F;
    float d = sqrtf(cx * cx + cy * cy);
    return ds_mix(c, ds_vec(0.8F, 0.8F, 0.8F), 0.85F * ds_step(0.15F, 0.05F, d));
}

/* Shades the skin around an eye, and returns how much of the point is eyeball (0 .. 1). */
static float eye(struct point *at, float *ex, float *ey)
{
    const struct ds_person *who = at->who;
    float size = 0.152F * who->eye_size;
    float x = (fabsf(at->p.x) - 0.29F * who->eye_gap) / size, y = at->p.y / size;
    y -= who->eye_tilt * x;
    *ex = x;
    *ey = y;
    if (x < -1.9F || x > 1.9F || y < -1.9F || y > 1.9F) return 0;
    float inside = ds_step(1.12F, 0.95F, fabsf(x));
    float upper = lid_upper(who, x), lower = lid_lower(x), soft = 0.07F;
    float lash =
        inside * ds_step(0.16F, 0.03F, fabsf(y - upper - 0.03F)) * (0.6F + 0.4F * who->makeup);
    float under = inside * ds_step(0.10F, 0.02F, fabsf(y - lower)) * (0.15F + 0.4F * who->makeup);
    float crease = ds_step(0.12F, 0.0F, fabsf(y - upper - 0.30F)) * ds_step(1.25F, 0.7F, fabsf(x));
    float shade = ds_step(0.75F, 0.1F, fabsf(y - upper - 0.25F)) * ds_step(1.4F, 0.6F, fabsf(x));
    at->skin = ds_scale(at->skin, 1 - 0.30F * crease);
    at->skin = ds_mul(at->skin, ds_mix(ds_vec(1, 1, 1), ds_vec(0.62F, 0.50F, 0.55F),
                                       shade * (0.15F + 0.6F * who->makeup)));
    float tired = ds_bump(x, y, -0.15F, -0.75F, 0.9F, 0.35F) * (0.10F + 0.22F * who->age);
    at->skin = ds_mul(at->skin, ds_mix(ds_vec(1, 1, 1), ds_vec(0.62F, 0.55F, 0.62F), tired));
    float dark = lash > under ? lash : under;
    at->skin = ds_mix(at->skin, black, 0.92F * dark);
    float ball = ds_step(-soft, soft, upper - y) * ds_step(-soft, soft, y - lower) *
                 ds_step(1.0F, 0.93F, fabsf(x));
    return ball * (1 - 0.9F * dark);
}

static void paint_brow(struct point *at)
{
    const struct ds_person *who = at->who;
    float x = fabsf(at->p.x) / who->eye_gap, t = (x - 0.12F) / 0.36F;
    if (t < -0.2F || t > 1.2F) return;
    float arch = who->brow_arch * (0.16F * t * (1 - 0.82F * t)) - 0.02F;
    float y = at->p.y - who->brow_height - arch;
    float half = 0.034F * who->brow_thickness * (1 - 0.55F * t * t);
    float cover = ds_step(half + 0.018F, half - 0.012F, fabsf(y));
    cover *= ds_step(-0.06F, 0.10F, t) * ds_step(1.08F, 0.85F, t);
    float strands =
        0.8F + 0.2F * ds_noise(at->p.x * 40 + at->p.y * 20, at->p.y * 30, who->seed + 5);
    at->skin = ds_mix(at->skin, who->brow, 0.85F * cover * strands);
}

static void paint_mouth(struct point *at)
{
    const struct ds_person *who = at->who;
    float m = who->mouth_width * (1 + 0.12F * who->smile), t = at->p.x / m, tt = t * t;
    float line = -0.635F + 0.045F * who->smile * (tt - 0.4F);
    float y = at->p.y - line, gap = 0.042F * who->teeth * (1 - tt);
    if (tt > 1.5F || fabsf(y) > 0.2F) return;
    float full = who->lip_fullness, bow = 0.016F * ds_bump(t, 0, 0, 0, 0.16F, 1);
    float top = 0.058F * full * (1 - tt) * (1 + 0.25F * ds_bump(fabsf(t), 0, 0.28F, 0, 0.25F, 1));
    top += gap * 0.3F - bow;
    float bottom = -0.082F * full * (1 - tt * tt) - gap;
    float lips = ds_step(0.012F, -0.012F, y - top) * ds_step(-0.014F, 0.014F, y - bottom) *
                 ds_step(1.08F, 0.92F, fabsf(t));
    at->skin = ds_mix(at->skin, who->lips, 0.9F * lips);
    at->gloss += lips * (0.02F + 0.05F * who->makeup);
    float shade = lips * ds_step(-0.01F, 0.03F, y); /* the upper lip looks down */
    at->skin = ds_scale(at->skin, 1 - 0.22F * shade);
    float width = 0.011F * ds_step(1.12F, 0.8F, fabsf(t));
    float crack = ds_step(width + 0.010F, width - 0.004F, fabsf(y)) * ds_step(1.15F, 1, fabsf(t));
    if (who->teeth > 0) {
        float open = ds_step(0.010F, -0.010F, y - 0.2F * gap) * ds_step(-0.012F, 0.012F, y + gap) *
                     ds_step(0.95F, 0.80F, fabsf(t));
        float white = ds_step(-0.25F, 0.35F, (y + gap) / (gap + 1e-4F));
        struct ds_vec teeth = ds_scale(ds_vec(0.66F, 0.61F, 0.53F), 1 - 0.6F * tt);
        at->skin = ds_mix(at->skin, ds_mix(black, teeth, white), open);
        crack *= 1 - open;
    }
    struct ds_vec dark = ds_scale(who->lips, 0.16F);
    at->skin = ds_mix(at->skin, dark, 0.8F * crack);
}

static void paint_beard(struct point *at)
{
    const struct ds_person *who = at->who;
    if (who->beard_kind == DS_BEARD_NONE) return;
    float x = fabsf(at->p.x), y = at->p.y, grain = ds_noise(at->p.x * 30, y * 30, who->seed + 6);
    float edge = 0.03F * ds_noise(at->p.x * 9, y * 9, who->seed + 8);
    float upper = -0.60F + 0.55F * ds_step(0.22F, 0.68F, x) + edge; /* rises along the cheek */
    float jaw = ds_step(0.05F, -0.05F, y - upper);
    float lip = ds_step(0.035F, 0.0F, fabsf(y + 0.53F + 0.10F * x) - 0.025F) *
                ds_step(0.30F, 0.22F, x + edge);
    float chin = ds_step(0.03F, -0.03F, y + 0.74F + edge) * ds_step(0.26F, 0.18F, x);
    float beside = ds_step(0.05F, 0.01F, fabsf(x - 0.255F)) * ds_step(0.03F, -0.03F, y + 0.54F);
    float goatee = ds_max(ds_max(lip, chin), beside), cover = 0;
    switch (who->beard_kind) {
    case DS_BEARD_STUBBLE:
        cover = 0.38F * ds_max(jaw, lip);
        break;
    case DS_BEARD_MOUSTACHE:
        cover = 0.85F * lip;
        break;
    case DS_BEARD_GOATEE:
        cover = 0.8F * goatee;
        break;
    default:
        cover = 0.9F * ds_max(jaw, ds_max(lip, beside));
    }
    cover *= who->beard_density * (0.9F + 0.1F * grain);
    at->skin = ds_mix(at->skin, ds_scale(who->brow, 1.1F + 0.35F * grain), cover);
    at->gloss *= 1 - cover;
}

static void paint_skin(struct point *at)
{
    const struct ds_person *who = at->who;
    float x = fabsf(at->p.x), y = at->p.y, tip = -0.10F - 0.24F * who->nose_length;
    float red = 0.55F * ds_bump(x, y, 0.38F, -0.27F, 0.22F, 0.16F) +
                0.45F * ds_bump(x, y, 0, tip, 0.13F, 0.10F);
    at->skin =
        ds_mul(at->skin, ds_mix(ds_vec(1, 1, 1), ds_vec(1.06F, 0.80F, 0.80F), red * who->blush));
    float mottle = ds_noise(at->p.x * 7, y * 7, who->seed + 2);
    at->skin = ds_scale(at->skin, 1 + 0.035F * mottle);
    if (who->freckles > 0) {
        float spot = ds_step(0.45F, 0.75F, ds_noise(at->p.x * 34, y * 34, who->seed + 4));
        float where = ds_bump(x, y, 0.22F, -0.2F, 0.35F, 0.22F);
        at->skin = ds_scale(at->skin, 1 - 0.35F * spot * where * who->freckles);
    }
    /* Folds from the nose to the mouth's corners, and lines on the forehead, come with age. */
    float fold = ds_step(0.03F, 0.0F, fabsf(x - 0.15F - 0.33F * (-0.42F - y))) *
                 ds_step(-0.62F, -0.55F, y) * ds_step(-0.38F, -0.44F, y);
    at->skin = ds_scale(at->skin, 1 - fold * (0.06F + 0.16F * who->age + 0.08F * who->smile));
    float line =
        ds_step(0.6F, 1, sinf(46 * (y - 0.06F * x * x))) * ds_bump(x, y, 0, 0.42F, 0.4F, 0.14F);
    at->skin = ds_scale(at->skin, 1 - 0.13F * line * ds_step(0.5F, 1, who->age));
    float wing = 0.115F * who->nose_width;
    float nostril = ds_bump(x, y, 0.52F * wing, tip - 0.088F, 0.036F, 0.017F);
    float alar = ds_bump(x, y, wing + 0.035F, tip - 0.05F, 0.018F, 0.05F);
    at->skin = ds_scale(at->skin, 1 - 0.80F * ds_clamp(1.3F * nostril, 0, 1) - 0.18F * alar);
    /* Hollows see less of the room. */
    at->open *= 1 - 0.30F * ds_bump(x, y, 0.20F, 0.06F, 0.13F, 0.11F) -
                0.30F * ds_bump(x, y, 0, tip - 0.13F, 0.13F, 0.05F) -
                0.25F * ds_bump(x, y, 0, -0.775F, 0.13F, 0.04F);
    at->open *= 0.55F + 0.45F * ds_step(-1.02F, -0.80F, y + 0.25F * (at->p.z - 0.6F));
}

/* Hair and hats darken the skin beside them. */
static void under_edge(struct point *at)
{
    struct ds_vec p = ds_vec(at->p.x / at->who->width, at->p.y, at->p.z);
    float hair = ds_hair_mask(at->who, p), cover = ds_cover_mask(at->who, p);
    float near = hair > cover ? hair : cover;
    float dark = ds_step(-0.13F, 0.02F, near);
    at->open *= 1 - 0.45F * dark;
    at->skin = ds_scale(at->skin, 1 - 0.35F * dark * dark);
}

static struct ds_vec shade_face(struct point *at)
{
    float x, y;
    at->gloss = 0.07F;
    at->gloss += 0.05F * ds_bump(at->p.x, at->p.y, 0, -0.3F, 0.12F, 0.2F);
    paint_skin(at);
    paint_beard(at);
    paint_mouth(at);
    float ball = eye(at, &x, &y);
    paint_brow(at);
    under_edge(at);
    struct ds_vec skin = lit(at, DS_PART_FACE, at->skin, 0.35F);
    if (ball <= 0) return skin;
    return ds_mix(skin, eyeball(at, x, y, at->p.x > 0 ? 1.0F : -1.0F), ball);
}

/* ---- everything else ------------------------------------------------------------------------- */

static struct ds_vec shade_hair(struct point *at)
{
    const struct ds_person *who = at->who;
    bool curly = who->hair_kind == DS_HAIR_CURLY, buzz = who->hair_kind == DS_HAIR_BUZZ;
    float angle = at->p.x / (fabsf(at->p.z) + fabsf(at->p.x) + 0.2F);
    float strands = curly ? ds_noise(at->p.x * 16, at->p.y * 16 + at->p.z * 13, who->seed + 9)
                          : ds_noise(angle * 42 + who->hair_wave * sinf(at->p.y * 5) * 1.5F,
                                     at->p.y * 3 + at->p.z * 2, who->seed + 9);
    struct ds_vec albedo = ds_scale(who->hair, 1 + (curly ? 0.45F : 0.35F) * strands);
    if (buzz) albedo = ds_mix(who->skin, albedo, 0.78F);
    if (curly || buzz) return lit(at, DS_PART_HAIR, albedo, 0.3F);
    /* Strands run from the crown downwards along the surface. */
    struct ds_vec down = ds_pose_turn(at->pose, ds_vec(-0.4F * at->p.x, -1, 0.3F));
    struct ds_vec t = ds_unit(ds_sub(down, ds_scale(at->n, ds_dot(down, at->n))));
    struct ds_vec c = ds_mul(albedo, ambient(at));
    for (int i = 0; i < 2; i++) {
        const struct ds_lamp *lamp = &at->scene->lamp[i];
        float tl = ds_dot(t, lamp->to), th = ds_dot(t, lamp->half) + 0.12F * strands;
        float facing = lambert(ds_dot(at->n, lamp->to), 0.3F);
        float diffuse = sqrtf(ds_max(0, 1 - tl * tl)) * facing;
        float s = ds_max(0, 1 - th * th);
        s *= s, s *= s, s *= s, s *= s;
        struct ds_vec shine = ds_mix(who->hair, ds_vec(0.5F, 0.5F, 0.5F), 0.35F);
        c = ds_add(c, ds_mul(lamp->color, ds_add(ds_scale(albedo, diffuse),
                                                 ds_scale(shine, 0.22F * s * facing))));
    }
    return c;
}

static struct ds_vec shade_cover(struct point *at)
{
    const struct ds_person *who = at->who;
    struct ds_vec albedo = who->cover;
    float weave = 0;
    if (who->cover_kind == DS_COVER_BEANIE) {
        weave = 0.10F * sinf(at->p.x * 55);
        albedo = ds_scale(albedo, 1 - 0.25F * ds_step(0.02F, 0.0F, fabsf(at->p.y - 0.56F)));
    } else {
        weave =
            0.10F * ds_noise(at->p.x * 4 + at->p.y * 9, at->p.y * 3 - at->p.z * 3, who->seed + 11);
    }
    at->gloss = 0.02F;
    return lit(at, DS_PART_COVER, ds_scale(albedo, 1 + weave), 0.2F);
}

static struct ds_vec shade_torso(struct point *at)
{
    const struct ds_person *who = at->who;
    /* The neck's opening: round or, when deep, a V. */
    float drop = who->neckline * (1 - fabsf(at->p.x) / 0.42F);
    float cloth = -1.34F - (at->p.z > 0 ? ds_max(0, drop) : 0) - at->p.y;
    struct ds_vec albedo = who->cloth;
    if (who->stripes && sinf(at->p.y * 38) > 0.2F) albedo = who->trim;
    if (cloth < 0.05F) albedo = ds_mix(albedo, who->trim, 0.5F);
    float folds = ds_noise(at->p.x * 4, at->p.y * 3, who->seed + 12);
    at->open *= 0.75F + 0.25F * ds_step(-1.25F, -1.8F, at->p.y);
    struct ds_vec fabric = ds_scale(albedo, 0.9F * (1 + 0.14F * folds));
    albedo = ds_mix(who->skin, fabric, ds_step(-0.012F, 0.012F, cloth));
    return lit(at, DS_PART_TORSO, albedo, 0.2F);
}

struct ds_vec ds_shade(const struct ds_person *who, const struct ds_scene *scene,
                       const struct ds_pose *pose, const struct ds_sample *sample)
{
    struct point at = {who, scene, pose, sample->p, ds_unit(sample->n), who->skin, 0, 1};
    bool inside = at.n.z < 0;
    struct ds_vec c;
    if (inside) at.n = ds_scale(at.n, -1);
    switch (sample->part) {
    case DS_PART_FACE:
        c = shade_face(&at);
        break;
    case DS_PART_EAR:
        at.skin = ds_mul(at.skin, ds_vec(1.02F, 0.86F, 0.84F));
        at.open = 0.45F + 0.5F * sample->mask;
        at.skin = ds_scale(at.skin, 0.55F + 0.45F * sample->mask);
        c = lit(&at, DS_PART_EAR, at.skin, 0.45F);
        break;
    case DS_PART_NECK:
        at.open = 0.35F + 0.6F * ds_step(-0.85F, -1.35F, at.p.y);
        c = lit(&at, DS_PART_NECK, ds_scale(at.skin, 0.93F), 0.3F);
        break;
    case DS_PART_HAIR:
        if (inside) at.open = 0.25F;
        c = inside ? ds_mul(who->hair, ambient(&at)) : shade_hair(&at);
        break;
    case DS_PART_COVER:
        if (inside) at.open = 0.3F;
        c = inside ? ds_mul(who->cover, ambient(&at)) : shade_cover(&at);
        break;
    case DS_PART_TORSO:
        c = shade_torso(&at);
        break;
    default:
        at.gloss = 0.25F;
        c = lit(&at, DS_PART_FRAME, who->frame, 0.1F);
    }
    if (sample->lens > 0) { /* glass: a little darker, with the sky mirrored in its upper part */
        struct ds_vec mirror = ds_scale(scene->sky, 0.10F * ds_step(0.9F, 1.5F, sample->lens));
        c = ds_add(ds_scale(c, (1 - who->lens_tint) * 0.95F), mirror);
    }
    return c;
}
