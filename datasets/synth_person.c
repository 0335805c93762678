/*
 * synth_person.c — draws who is in a sample picture, and the scene around.
 *
 * Ranges are this generator's own choices, wide on purpose: a data set in which one look is rare
 * teaches a net that this look is suspicious. No trait depends on any other, except where nature
 * or tailors make it so (grey hair by age, no hair under a scarf).
 */
#include "datasets/synth.h"

static float uniform(struct nn_rng *rng, float low, float high)
{
    return nn_rng_uniform(rng, low, high);
}
static bool chance(struct nn_rng *rng, float p)
{
    return nn_rng_uniform(rng, 0, 1) < p;
}
#define PICK(rng, table) ((table)[nn_rng_below(rng, sizeof(table) / sizeof *(table))])

/* From very light to very dark: seven stops, mixed in between, then varied towards red or yellow.
 */
static struct ds_vec skin_tone(struct nn_rng *rng)
{
    static const uint32_t stops[] = {0xF6DFD0, 0xEBC6A9, 0xDCAA85, 0xC28A62,
                                     0x9A6644, 0x6E4630, 0x523528};
    float t = uniform(rng, 0, 5.999F);
    int i = (int)t;
    struct ds_vec c = ds_mix(ds_color(stops[i]), ds_color(stops[i + 1]), t - (float)i);
    float red = uniform(rng, -0.06F, 0.06F);
    return ds_mul(c, ds_vec(1 + 0.5F * red, 1 - 0.4F * red, 1 - 1.2F * red));
}

static void draw_shape(struct ds_person *who, struct nn_rng *rng)
{
    who->width = uniform(rng, 0.93F, 1.07F);
    who->jaw = uniform(rng, 0.86F, 1.10F);
    who->chin = uniform(rng, 0.5F, 1.3F);
    who->cheek = uniform(rng, 0.5F, 1.4F);
    who->nose_length = uniform(rng, 0.90F, 1.15F);
    who->nose_width = uniform(rng, 0.82F, 1.30F);
    who->nose_height = uniform(rng, 0.80F, 1.15F);
    who->eye_size = uniform(rng, 0.92F, 1.08F);
    who->eye_open = uniform(rng, 0.72F, 1.08F);
    who->eye_tilt = uniform(rng, -0.05F, 0.13F);
    who->eye_gap = uniform(rng, 0.95F, 1.05F);
    who->brow_height = uniform(rng, 0.145F, 0.195F);
    who->brow_thickness = uniform(rng, 0.6F, 1.3F);
    who->brow_arch = uniform(rng, 0.2F, 1.2F);
    who->lip_fullness = uniform(rng, 0.65F, 1.35F);
    who->mouth_width = uniform(rng, 0.20F, 0.25F);
    who->smile = uniform(rng, -0.1F, 1.0F);
    who->teeth = who->smile > 0.45F && chance(rng, 0.45F) ? uniform(rng, 0.4F, 1.0F) : 0;
    who->gaze_x = uniform(rng, -0.12F, 0.12F);
    who->gaze_y = uniform(rng, -0.05F, 0.05F);
}

static void draw_hair(struct ds_person *who, struct nn_rng *rng)
{
    static const uint32_t colors[] = {0x14100E, 0x1E1613, 0x2B1D15, 0x3B281A, 0x553820, 0x6E4A2A,
                                      0x94683A, 0xC29A5E, 0xD8BC86, 0x8A4022, 0x6A2E1A};
    static const float volume[DS_HAIR_KINDS][2] = {{0, 0},         {0.02F, 0.03F}, {0.07F, 0.16F},
                                                   {0.16F, 0.36F}, {0.08F, 0.15F}, {0.07F, 0.14F},
                                                   {0.05F, 0.09F}};
    float tone = uniform(rng, 0, 1);
    struct ds_vec natural = ds_color(PICK(rng, colors));
    if (tone < 0.4F) natural = ds_color(colors[nn_rng_below(rng, 4)]); /* most hair is dark */
    if (who->skin.y < 0.14F && chance(rng, 0.85F)) natural = ds_color(colors[nn_rng_below(rng, 4)]);
    float grey = who->age > 0.55F && chance(rng, 0.6F) ? uniform(rng, 0.4F, 1) : 0;
    who->hair = ds_mix(natural, ds_vec(0.27F, 0.265F, 0.26F), grey);
    who->brow = ds_scale(ds_mix(natural, ds_vec(0.15F, 0.14F, 0.13F), 0.6F * grey), 0.75F);
    who->hair_kind = (enum ds_hair)nn_rng_below(rng, DS_HAIR_KINDS);
    if (who->hair_kind == DS_HAIR_NONE && chance(rng, 0.4F)) who->hair_kind = DS_HAIR_SHORT;
    const float *range = volume[who->hair_kind];
    who->hair_volume = uniform(rng, range[0], range[1] + 1e-3F);
    who->hairline = uniform(rng, 0.58F, 0.70F) + 0.06F * who->age;
    who->hair_drop = uniform(rng, 0.55F, 0.95F);
    who->hair_part = uniform(rng, -0.22F, 0.22F);
    who->hair_wave = uniform(rng, 0, 1.2F);
    who->hair_length =
        who->hair_kind == DS_HAIR_BOB ? uniform(rng, 0.65F, 1.0F) : uniform(rng, 1.3F, 1.9F);
    bool fringe = who->hair_kind >= DS_HAIR_SHORT && who->hair_kind <= DS_HAIR_LONG;
    if (fringe && who->hair_kind != DS_HAIR_CURLY && chance(rng, 0.25F)) {
        who->hairline = uniform(rng, 0.33F, 0.42F);
        who->hair_drop = 0.1F;
    }
}

static void draw_wear(struct ds_person *who, struct nn_rng *rng)
{
    static const uint32_t fabrics[] = {0x1D2A44, 0x6B1F2A, 0x2F4F3A, 0xE8E4DA, 0x22242A, 0x7C8CA0,
                                       0xB08A5A, 0x4A3562, 0x2F6E86, 0xC9B7A2, 0x8E3B46, 0xD9A441,
                                       0x5E6B4E, 0xC7D3DD, 0x3C3C40, 0xB5656B};
    static const uint32_t frames[] = {0x101012, 0x2A1A10, 0x5A3A20, 0x8A8C92,
                                      0xB08C48, 0x1C2C4C, 0x701E24};
    who->cloth = ds_color(PICK(rng, fabrics));
    who->trim = ds_color(PICK(rng, fabrics));
    who->cover = ds_color(PICK(rng, fabrics));
    who->frame = ds_color(PICK(rng, frames));
    who->neckline = uniform(rng, 0.0F, 0.42F);
    who->stripes = chance(rng, 0.2F);
    float cover = uniform(rng, 0, 1);
    who->cover_kind = cover < 0.06F   ? DS_COVER_BEANIE
                      : cover < 0.14F ? DS_COVER_SCARF
                      : cover < 0.19F ? DS_COVER_TURBAN
                                      : DS_COVER_NONE;
    if (who->cover_kind == DS_COVER_SCARF) who->hair_kind = DS_HAIR_NONE;
    if (who->cover_kind != DS_COVER_NONE &&
        (who->hair_kind == DS_HAIR_CURLY || who->hair_kind == DS_HAIR_BUN))
        who->hair_kind = DS_HAIR_BUZZ;
    if (who->cover_kind != DS_COVER_NONE) { /* what shows below a hat */
        who->hairline = 0.66F;
        who->hair_volume *= 0.5F;
    }
    bool bearded = who->hair_kind <= DS_HAIR_CURLY && who->cover_kind != DS_COVER_SCARF;
    who->beard_kind =
        bearded && chance(rng, 0.5F) ? (enum ds_beard)(1 + nn_rng_below(rng, 4)) : DS_BEARD_NONE;
    who->beard_density = uniform(rng, 0.6F, 1);
    who->glasses = chance(rng, 0.28F);
    who->lens_width = uniform(rng, 0.185F, 0.225F);
    who->lens_height = uniform(rng, 0.135F, 0.185F);
    who->lens_power = uniform(rng, 2, 4.5F);
    who->frame_radius = uniform(rng, 0.012F, 0.026F);
    who->lens_tint = chance(rng, 0.12F) ? uniform(rng, 0.25F, 0.6F) : 0;
}

void ds_person_draw(struct ds_person *who, struct nn_rng *rng)
{
    static const uint32_t irises[] = {0x3A2417, 0x2A1A12, 0x4A3020, 0x5C4226,
                                      0x5F6B3C, 0x4B6A7C, 0x6C8AA0, 0x5A6268};
    static const uint32_t lipsticks[] = {0xA8343E, 0x8C2A3A, 0xB85560, 0x7A2E40, 0xB5443A};
    *who = (struct ds_person){.seed = nn_rng_u32(rng)};
    who->age = uniform(rng, 0, 1);
    who->skin = skin_tone(rng);
    /* Light eyes go with light skin, brown ones with any. */
    uint32_t shades = who->skin.y > 0.3F ? 8 : who->skin.y > 0.12F ? 5 : 3;
    who->iris = ds_color(irises[nn_rng_below(rng, shades)]);
    draw_shape(who, rng);
    draw_hair(who, rng);
    draw_wear(who, rng);
    bool made_up = who->beard_kind == DS_BEARD_NONE && chance(rng, 0.35F);
    who->makeup = made_up ? uniform(rng, 0.4F, 1) : 0;
    struct ds_vec lips = ds_mul(who->skin, ds_vec(0.80F, 0.50F, 0.50F));
    who->lips = made_up ? ds_mix(lips, ds_color(PICK(rng, lipsticks)), 0.75F * who->makeup) : lips;
    who->freckles = chance(rng, 0.15F) ? uniform(rng, 0.3F, 1) : 0;
    who->blush = uniform(rng, 0.2F, 1);
}

/* ---- the scene ------------------------------------------------------------------------------- */

/* Light of a lamp between candle (-1) and blue sky (+1), with luminance about 1. */
static struct ds_vec warmth(float t)
{
    return t < 0 ? ds_mix(ds_vec(1, 1, 1), ds_vec(1.30F, 0.94F, 0.60F), -t)
                 : ds_mix(ds_vec(1, 1, 1), ds_vec(0.84F, 1.01F, 1.28F), t);
}

static struct ds_vec direction(float azimuth, float height)
{
    float c = cosf(height);
    return ds_vec(c * sinf(azimuth), sinf(height), c * cosf(azimuth));
}

static void draw_lamps(struct ds_scene *scene, struct nn_rng *rng)
{
    float azimuth = uniform(rng, -1.15F, 1.15F);
    float key = uniform(rng, 0.7F, 1.25F), around = uniform(rng, 0.30F, 0.60F);
    struct ds_vec tint = warmth(uniform(rng, -0.5F, 0.5F));
    scene->lamp[0].to = direction(azimuth, uniform(rng, 0.10F, 0.85F));
    scene->lamp[0].color = ds_scale(tint, key);
    float other = azimuth > 0 ? uniform(rng, -2.0F, -0.4F) : uniform(rng, 0.4F, 2.0F);
    scene->lamp[1].to = direction(other, uniform(rng, -0.1F, 0.6F));
    float fill = uniform(rng, 0.05F, 0.45F), below = around * uniform(rng, 0.35F, 0.7F);
    scene->lamp[1].color = ds_scale(warmth(uniform(rng, -0.7F, 0.7F)), fill);
    for (int i = 0; i < 2; i++)
        scene->lamp[i].half = ds_unit(ds_add(scene->lamp[i].to, ds_vec(0, 0, 1)));
    scene->sky = ds_scale(warmth(uniform(rng, -0.3F, 0.6F)), around);
    scene->ground = ds_scale(warmth(uniform(rng, -0.7F, 0.1F)), below);
}

static void draw_wall(struct ds_scene *scene, struct nn_rng *rng)
{
    static const uint32_t walls[] = {0xB9BDBF, 0xD8D2C6, 0x8C979E, 0x5B6670, 0xA7B3A1, 0xC7B8A6,
                                     0x3F474F, 0x8F7F74, 0x9DB4C4, 0xE4E2DD, 0x6F7F6A, 0x524A5A};
    static const uint32_t things[] = {0xF4F1E6, 0x7A5A3C, 0x3E5A6C, 0x9A3F38, 0xD7B25B,
                                      0x43604A, 0x2C3036, 0xBFD4E2, 0xA58C70, 0x5E4A6E};
    struct ds_vec wall = ds_color(PICK(rng, walls));
    float shade = uniform(rng, 0.55F, 1.0F);
    scene->seed = nn_rng_u32(rng);
    scene->texture = chance(rng, 0.6F) ? uniform(rng, 0.05F, 0.35F) : 0;
    scene->texture_scale = 8 * exp2f(uniform(rng, 0, 2.6F));
    scene->wall_top = ds_scale(wall, uniform(rng, 0.7F, 1.1F));
    scene->wall_bottom = ds_scale(ds_mix(wall, ds_color(PICK(rng, walls)), 0.4F), shade);
    if (chance(rng, 0.25F)) return; /* a plain wall */
    bool outdoors = chance(rng, 0.35F);
    scene->shapes = 4 + (int)nn_rng_below(rng, DS_SHAPES - 3);
    float soft = uniform(rng, 0.015F, 0.08F);
    for (int i = 0; i < scene->shapes; i++) {
        struct ds_shape *s = &scene->shape[i];
        s->x = uniform(rng, -0.1F, 1.1F);
        s->y = uniform(rng, -0.1F, outdoors ? 1.0F : 0.8F);
        s->half_width = outdoors ? uniform(rng, 0.03F, 0.16F) : uniform(rng, 0.03F, 0.22F);
        s->half_height = outdoors ? s->half_width : uniform(rng, 0.05F, 0.35F);
        s->round = outdoors;
        s->soft = soft;
        float light = uniform(rng, 0.5F, 1.2F);
        struct ds_vec own = ds_scale(ds_color(PICK(rng, things)), light);
        struct ds_vec leaf = ds_scale(ds_vec(0.16F, 0.30F, 0.08F), light * light * 1.6F);
        s->color = outdoors ? leaf : ds_mix(wall, own, 0.7F);
    }
}

void ds_scene_draw(struct ds_scene *scene, struct nn_rng *rng)
{
    *scene = (struct ds_scene){.distance = uniform(rng, 5.5F, 10)};
    /* Most people look at the camera: the sum of two uniforms, within +-25 degrees. */
    scene->yaw = uniform(rng, -0.22F, 0.22F) + uniform(rng, -0.22F, 0.22F);
    scene->pitch = uniform(rng, -0.10F, 0.10F) + uniform(rng, -0.10F, 0.10F);
    scene->roll = uniform(rng, -0.09F, 0.09F) + uniform(rng, -0.09F, 0.09F);
    draw_lamps(scene, rng);
    draw_wall(scene, rng);
}
