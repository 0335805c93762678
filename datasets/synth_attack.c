/*
 * synth_attack.c — recapture: a finished picture shown on paper or on a screen, and photographed.
 *
 * What a recapture adds is physics, not a filter: the dots of the print, or the screen's stripes
 * which beat with the camera's own grid (moire: a wave of period p pixels, sampled at pixels, is
 * seen as a wave of period 1 / |1/p - round(1/p)|), less gamut, a second lens, a second light, and
 * now and then the edge of the medium. Brightness, contrast, noise and file are the camera's, and
 * the camera is the same for every class.
 */
#include "datasets/synth.h"

/* The medium in the second picture: (u, v) = m (x, y) + k, in pixels of the original, with a slight
 * keystone; beyond the rectangle `edge` is border, and `border` further on is the room. */
struct medium {
    float m[2][2], k[2];
    float lean_x, lean_y;  /* keystone: 1 / (1 + lean . xy) */
    float edge[4], border; /* left, top, right, bottom; width */
    struct ds_vec border_color, room;
    float light_x, light_y; /* fall-off of the light over the picture, per side */
    struct ds_vec tint;
    struct nn_rng *rng;
};

static float uniform(struct nn_rng *rng, float low, float high)
{
    return nn_rng_uniform(rng, low, high);
}

/* ---- geometry -------------------------------------------------------------------------------- */

static void place(const struct medium *medium, float x, float y, float *u, float *v)
{
    float w = 1 / (1 + medium->lean_x * x + medium->lean_y * y);
    *u = (medium->m[0][0] * x + medium->m[0][1] * y) * w + medium->k[0];
    *v = (medium->m[1][0] * x + medium->m[1][1] * y) * w + medium->k[1];
}

/* Where the original's point (u, v) is seen: Newton steps on place(), nearly linear. */
static void place_back(const struct medium *medium, float u, float v, float *x, float *y)
{
    const float(*m)[2] = medium->m;
    float inverse = 1 / (m[0][0] * m[1][1] - m[0][1] * m[1][0]);
    for (int i = 0; i < 6; i++) {
        float a, b;
        place(medium, *x, *y, &a, &b);
        *x += ((u - a) * m[1][1] - (v - b) * m[0][1]) * inverse;
        *y += ((v - b) * m[0][0] - (u - a) * m[1][0]) * inverse;
    }
}

/* Seen coordinates are relative to the picture's middle, in pixels. */
static void move_face(struct ds_face *face, const struct medium *medium, int size)
{
    float half = 0.5F * (float)size;
    float *point[6][2] = {{&face->left_x, &face->left_y}, {&face->right_x, &face->right_y}};
    float corner[4][2] = {
        {face->x0, face->y0}, {face->x1, face->y0}, {face->x0, face->y1}, {face->x1, face->y1}};
    for (int i = 0; i < 4; i++) {
        point[2 + i][0] = &corner[i][0];
        point[2 + i][1] = &corner[i][1];
    }
    for (int i = 0; i < 6; i++) {
        float x = 0, y = 0;
        place_back(medium, *point[i][0], *point[i][1], &x, &y);
        *point[i][0] = x + half;
        *point[i][1] = y + half;
    }
    face->x0 = 0.5F * (corner[0][0] + corner[2][0]);
    face->x1 = 0.5F * (corner[1][0] + corner[3][0]);
    face->y0 = 0.5F * (corner[0][1] + corner[1][1]);
    face->y1 = 0.5F * (corner[2][1] + corner[3][1]);
}

/* Chooses how the original is held: its face's box comes to lie on `wanted`, a little turned. */
static void hold(struct medium *medium, const struct ds_face *from, const struct ds_face *wanted,
                 int size, int source)
{
    struct nn_rng *rng = medium->rng;
    float half = 0.5F * (float)size, side = (float)source;
    float scale = (from->y1 - from->y0) / (wanted->y1 - wanted->y0);
    float angle = uniform(rng, -0.10F, 0.10F), c = scale * cosf(angle), s = scale * sinf(angle);
    float stretch = uniform(rng, 0.95F, 1.05F);
    medium->m[0][0] = c * stretch;
    medium->m[0][1] = -s;
    medium->m[1][0] = s * stretch;
    medium->m[1][1] = c;
    medium->lean_x = uniform(rng, -0.10F, 0.10F) / (float)size;
    medium->lean_y = uniform(rng, -0.10F, 0.10F) / (float)size;
    float x = 0.5F * (wanted->x0 + wanted->x1) - half, y = 0.5F * (wanted->y0 + wanted->y1) - half;
    float u, v;
    medium->k[0] = medium->k[1] = 0;
    place(medium, x, y, &u, &v);
    medium->k[0] = 0.5F * (from->x0 + from->x1) - u;
    medium->k[1] = 0.5F * (from->y0 + from->y1) - v;
    /* In about half the pictures one or two edges come so close to the face that they are seen. */
    float far = 0.6F * side;
    medium->edge[0] = medium->edge[1] = -far;
    medium->edge[2] = medium->edge[3] = side + far;
    for (int e = 0; e < 4; e++) {
        float gap = uniform(rng, 0.02F, 0.20F) * side;
        if (uniform(rng, 0, 1) > 0.22F) continue;
        if (e == 0) medium->edge[0] = from->x0 - gap;
        if (e == 1) medium->edge[1] = from->y0 - gap;
        if (e == 2) medium->edge[2] = from->x1 + gap;
        if (e == 3) medium->edge[3] = from->y1 + gap;
    }
    medium->light_x = uniform(rng, -0.25F, 0.25F);
    medium->light_y = uniform(rng, -0.25F, 0.25F);
    float warm = uniform(rng, -0.12F, 0.12F);
    medium->tint = ds_vec(1 + warm, 1, 1 - warm);
    float dark = uniform(rng, 0.08F, 0.5F);
    medium->room = ds_scale(ds_vec(uniform(rng, 0.7F, 1), 0.85F, 0.8F), dark);
}

/* How far outside the picture (u, v) is; negative inside. */
static float outside(const struct medium *medium, float u, float v)
{
    float x = ds_max(medium->edge[0] - u, u - medium->edge[2]);
    float y = ds_max(medium->edge[1] - v, v - medium->edge[3]);
    return ds_max(x, y);
}

/* ---- the original: light shown at (u, v), bilinear, edges repeated --------------------------- */

static struct ds_vec pixel(const float *rgb, int side, int x, int y)
{
    x = x < 0 ? 0 : x >= side ? side - 1 : x;
    y = y < 0 ? 0 : y >= side ? side - 1 : y;
    const float *p = rgb + 3 * (y * side + x);
    return ds_vec(p[0], p[1], p[2]);
}

static struct ds_vec shown(const float *rgb, int side, float u, float v)
{
    int x = ds_floor(u - 0.5F), y = ds_floor(v - 0.5F);
    float a = u - 0.5F - (float)x, b = v - 0.5F - (float)y;
    return ds_mix(ds_mix(pixel(rgb, side, x, y), pixel(rgb, side, x + 1, y), a),
                  ds_mix(pixel(rgb, side, x, y + 1), pixel(rgb, side, x + 1, y + 1), a), b);
}

/* ---- print ----------------------------------------------------------------------------------- */

struct print {
    float wave[3][2]; /* screens of cyan, magenta, yellow: cycles per seen pixel */
    float hardness;   /* of a dot's edge */
    float resolved;   /* contrast of the dots that the lens leaves */
    float stochastic; /* share of dots placed at random, as ink-jets do */
    float paper, curl_x, curl_y, curl_phase, curl;
    struct ds_vec white, ink; /* reflectance of bare and of fully inked paper */
    float pale;               /* loss of saturation */
    uint32_t seed;
    struct ds_vec finger[2]; /* x, y, radius; radius 0: none */
    struct ds_vec skin;
};

static void print_draw(struct print *print, struct medium *medium, int size)
{
    /* Angles of the screens 15, 75 and 0 degrees, so that they do not beat with each other. */
    static const float angles[3] = {0.2618F, 1.3090F, 0.0F};
    struct nn_rng *rng = medium->rng;
    *print = (struct print){.seed = nn_rng_u32(rng)};
    float period = uniform(rng, 3.0F, 5.2F), turn = uniform(rng, 0, 1.57F);
    for (int c = 0; c < 3; c++) {
        print->wave[c][0] = cosf(angles[c] + turn) / period;
        print->wave[c][1] = sinf(angles[c] + turn) / period;
    }
    print->hardness = uniform(rng, 0.9F, 1.6F);
    print->resolved = uniform(rng, 0.30F, 0.60F);
    print->stochastic = uniform(rng, 0, 1) < 0.25F ? uniform(rng, 0.5F, 1) : 0;
    print->paper = uniform(rng, 0.01F, 0.04F);
    print->curl = uniform(rng, 0, 0.22F);
    print->curl_x = uniform(rng, -5, 5) / (float)size;
    print->curl_y = uniform(rng, -2, 2) / (float)size;
    print->curl_phase = uniform(rng, 0, 6.28F);
    float yellow = uniform(rng, 0, 0.10F), black = uniform(rng, 0.04F, 0.12F);
    print->white = ds_vec(0.88F, 0.88F - 0.3F * yellow, 0.88F - yellow);
    print->ink = ds_vec(black, black, black * uniform(rng, 0.9F, 1.4F));
    print->pale = uniform(rng, 0.12F, 0.40F);
    medium->border = uniform(rng, 0.03F, 0.30F) * (float)size;
    medium->border_color = print->white;
    static const uint32_t skins[] = {0xEBC6A9, 0xC28A62, 0x8A5A3C, 0x543527};
    print->skin = ds_color(skins[nn_rng_below(rng, 4)]);
    if (uniform(rng, 0, 1) < 0.12F) {
        float half = 0.5F * (float)size, r = uniform(rng, 0.07F, 0.10F) * (float)size;
        float side = nn_rng_below(rng, 2) ? 1.0F : -1.0F;
        print->finger[0] = ds_vec(side * half, uniform(rng, 0, 0.8F) * half, r);
        print->finger[1] = ds_vec(side * half, print->finger[0].y + 2.1F * r, r);
    }
}

/* cos(2 pi x) to 2 %: a cubic through its extremes and zeros. */
static float wave(float x)
{
    float part = x - (float)ds_floor(x + 0.5F), t = 4 * fabsf(part) - 1;
    return -t * (1.5F - 0.5F * t * t);
}

/* Share of a channel's light that is left after halftoning: round dots grow into a chequerboard
 * and then into round holes. The threshold's mean over a cell is 1/2, so the tone is kept. */
static float dot(const struct print *print, int channel, float x, float y, float light)
{
    const float *w = print->wave[channel];
    float a = wave(w[0] * x + w[1] * y), b = wave(w[0] * y - w[1] * x);
    float threshold = 0.5F + 0.25F * (a + b);
    if (print->stochastic > 0)
        threshold = ds_lerp(
            threshold, 0.5F + 0.5F * ds_noise(x * 0.8F, y * 0.8F, print->seed + (uint32_t)channel),
            print->stochastic);
    return ds_clamp(0.5F + print->hardness * (light - threshold) + 0.25F * (light - 0.5F), 0, 1);
}

/* Light of the printed picture `c` seen by the pixel with its middle at (x, y). */
static struct ds_vec dots(const struct print *print, struct ds_vec c, float x, float y)
{
    enum { N = 2 }; /* samples on a pixel's diagonal stand for the sensor's area */
    struct ds_vec sum = ds_vec(0, 0, 0);
    for (int k = 0; k < N; k++) {
        float sx = x + 0.5F * (float)k - 0.25F, sy = y + 0.5F * (float)k - 0.25F;
        sum = ds_add(sum, ds_vec(dot(print, 0, sx, sy, c.x), dot(print, 1, sx, sy, c.y),
                                 dot(print, 2, sx, sy, c.z)));
    }
    return ds_mix(c, ds_scale(sum, 1.0F / N), print->resolved);
}

static struct ds_vec print_at(const struct print *print, const struct medium *medium,
                              struct ds_studio *studio, float x, float y)
{
    float u, v, half = 0.5F * (float)studio->size;
    place(medium, x, y, &u, &v);
    float out = outside(medium, u, v);
    float on = ds_step(0.6F, -0.6F, out), room = ds_step(-0.6F, 0.6F, out - medium->border);
    struct ds_vec c = shown(studio->source, studio->source_size, u, v);
    float grey = 0.3F * c.x + 0.6F * c.y + 0.1F * c.z;
    c = dots(print, ds_mix(c, ds_vec(grey, grey, grey), print->pale), x, y);
    c = ds_add(print->ink, ds_mul(ds_sub(print->white, print->ink), c));
    c = ds_mix(print->white, c, on);
    float light = 1 + medium->light_x * x / half + medium->light_y * y / half;
    light *= 1 + print->curl * sinf(print->curl_x * x + print->curl_y * y + print->curl_phase);
    light *= 1 + print->paper * ds_noise(x * 0.7F, y * 0.7F, print->seed + 9);
    return ds_mix(ds_mul(ds_scale(c, light), medium->tint), medium->room, room);
}

static struct ds_vec finger_over(const struct print *print, struct ds_vec c, float x, float y)
{
    for (int i = 0; i < 2; i++) {
        struct ds_vec f = print->finger[i];
        if (f.z <= 0) continue;
        float dx = ds_max(0, fabsf(x - f.x) - 1.6F * f.z),
              dy = y - f.y; /* a capsule from the side */
        float d = sqrtf(dx * dx + dy * dy) / f.z;
        c = ds_mix(c, ds_scale(print->skin, 0.9F - 0.5F * d * d), ds_step(1.05F, 0.95F, d));
    }
    return c;
}

static void print_take(struct ds_studio *studio, struct medium *medium)
{
    struct print print;
    int size = studio->size;
    float half = 0.5F * (float)size;
    print_draw(&print, medium, size);
    for (int j = 0; j < size; j++)
        for (int i = 0; i < size; i++) {
            float x = (float)i + 0.5F - half, y = (float)j + 0.5F - half;
            struct ds_vec c = print_at(&print, medium, studio, x, y);
            c = finger_over(&print, c, x, y);
            float *to = studio->picture + 3 * (j * size + i);
            to[0] = c.x, to[1] = c.y, to[2] = c.z;
        }
}

/* ---- screen ---------------------------------------------------------------------------------- */

struct screen {
    float across[2], down[2]; /* the screen's columns and rows: cycles per seen pixel */
    float bend;               /* curvature of the lens: waves bow towards the corners */
    float stripe, gap;        /* depth of the colour stripes and of the lines between rows */
    float black, glare, glare_x, glare_y, glare_r;
    float streak, streak_angle, streak_at, streak_width;
    struct ds_vec cast;
};

static void screen_draw(struct screen *screen, struct medium *medium, int size)
{
    struct nn_rng *rng = medium->rng;
    *screen = (struct screen){.bend = uniform(rng, -0.03F, 0.03F)};
    /* Bands of 8 to 28 pixels are seen: the pitch is that far from one pixel. */
    float band = 8 * exp2f(uniform(rng, 0, 1.8F)), angle = uniform(rng, -0.12F, 0.12F);
    float beat = nn_rng_below(rng, 2) ? 1 / band : -1 / band;
    float cycles = 1 + beat;
    screen->across[0] = cycles * cosf(angle);
    screen->across[1] = cycles * sinf(angle);
    screen->down[0] = -cycles * sinf(angle);
    screen->down[1] = cycles * cosf(angle);
    screen->stripe = uniform(rng, 0.16F, 0.36F);
    screen->gap = uniform(rng, 0.06F, 0.20F);
    screen->black = uniform(rng, 0.015F, 0.06F);
    float half = 0.5F * (float)size;
    screen->glare = uniform(rng, 0.04F, 0.28F);
    screen->glare_x = uniform(rng, -1, 1) * half;
    screen->glare_y = uniform(rng, -1, 1) * half;
    screen->glare_r = uniform(rng, 0.5F, 1.5F) * half;
    screen->streak = uniform(rng, 0, 1) < 0.4F ? uniform(rng, 0.05F, 0.25F) : 0;
    screen->streak_angle = uniform(rng, 0, 3.14F);
    screen->streak_at = uniform(rng, -0.9F, 0.9F) * half;
    screen->streak_width = uniform(rng, 0.05F, 0.2F) * half;
    float blue = uniform(rng, -0.06F, 0.14F);
    screen->cast = ds_vec(1 - blue, 1, 1 + blue);
    medium->border = uniform(rng, 0.04F, 0.30F) * (float)size;
    float plastic = uniform(rng, 0.01F, 0.04F);
    medium->border_color = ds_vec(plastic, plastic, plastic);
    medium->light_x *= 0.3F;
    medium->light_y *= 0.3F;
}

static float reflection(const struct screen *screen, float x, float y)
{
    float dx = (x - screen->glare_x) / screen->glare_r,
          dy = (y - screen->glare_y) / screen->glare_r;
    float light = screen->glare * expf(-dx * dx - dy * dy);
    float d = x * cosf(screen->streak_angle) + y * sinf(screen->streak_angle) - screen->streak_at;
    return light +
           screen->streak * ds_step(screen->streak_width, 0.3F * screen->streak_width, fabsf(d));
}

/* The picture's light as the stripes let it through at the middle of a seen pixel. Red, green and
 * blue are a third of a period apart, which is why moire has colours. */
static struct ds_vec stripes(const struct screen *screen, struct ds_vec c, float x, float y,
                             float half)
{
    const float third = 1.0F / 3;
    float bow = 1 + screen->bend * (x * x + y * y) / (half * half);
    float a = bow * (screen->across[0] * x + screen->across[1] * y);
    float b = bow * (screen->down[0] * x + screen->down[1] * y);
    float row = 1 + screen->gap * wave(b);
    return ds_vec(c.x * row * (1 + screen->stripe * wave(a)),
                  c.y * row * (1 + screen->stripe * wave(a - third)),
                  c.z * row * (1 + screen->stripe * wave(a + third)));
}

static void screen_take(struct ds_studio *studio, struct medium *medium)
{
    struct screen screen;
    int size = studio->size;
    float half = 0.5F * (float)size;
    screen_draw(&screen, medium, size);
    for (int j = 0; j < size; j++)
        for (int i = 0; i < size; i++) {
            float x = (float)i + 0.5F - half, y = (float)j + 0.5F - half, u, v;
            place(medium, x, y, &u, &v);
            float out = outside(medium, u, v);
            float on = ds_step(0.6F, -0.6F, out), room = ds_step(-0.6F, 0.6F, out - medium->border);
            struct ds_vec c = shown(studio->source, studio->source_size, u, v);
            c = ds_mul(c, screen.cast);
            c = ds_scale(stripes(&screen, c, x, y, half),
                         1 + medium->light_x * x / half + medium->light_y * y / half);
            float shine = screen.black + reflection(&screen, x, y);
            c = ds_add(c, ds_scale(medium->tint, shine));
            struct ds_vec bezel =
                ds_add(medium->border_color, ds_scale(medium->tint, 0.15F * shine));
            c = ds_mix(ds_mix(bezel, c, on), medium->room, room);
            float *to = studio->picture + 3 * (j * size + i);
            to[0] = c.x, to[1] = c.y, to[2] = c.z;
        }
}

/* ---- the whole way of a picture -------------------------------------------------------------- */

/* Stores the original as its owner's camera would, and reads it back: the first of two JPEGs. */
static enum nn_status store(struct ds_studio *studio, int quality)
{
    int side = studio->source_size;
    struct vi_image image = {studio->bytes, side, side, 3, 3 * (ptrdiff_t)side}, back = {0};
    struct vi_decode_options options = {.color = VI_RGB};
    void *bytes = NULL;
    size_t size = 0;
    enum nn_status status = vi_encode(&bytes, &size, &image, studio->context, "jpeg", quality);
    if (!status) status = vi_decode(&back, studio->context, bytes, size, &options, "original");
    if (!status) vi_image_copy(&image, &back);
    vi_image_free(studio->context, &back);
    nn_free(studio->context, bytes);
    return status;
}

static void decode(float *light, const uint8_t *code, size_t count)
{
    float table[256];
    for (int i = 0; i < 256; i++) table[i] = ds_srgb_decode((float)i / 255);
    for (size_t i = 0; i < count; i++) light[i] = table[code[i]];
}

enum nn_status ds_picture(struct ds_studio *studio, struct ds_face *face, enum ds_attack_kind kind,
                          uint64_t seed, uint64_t n)
{
    struct nn_rng rng = nn_rng_make(seed, n);
    int size = studio->size, source = studio->source_size;
    ds_face_draw(face, size, &rng);
    if (kind == DS_REAL) {
        ds_head_draw(studio, studio->picture, size, face, &rng);
        ds_camera(studio->bytes, studio->picture, studio->work, size, uniform(&rng, 0.3F, 0.8F),
                  &rng);
        return NN_OK;
    }
    struct ds_face wanted = *face;
    float move = 0.5F * (float)(source - size);
    face->x0 += move, face->x1 += move, face->y0 += move, face->y1 += move;
    ds_head_draw(studio, studio->source, source, face, &rng);
    ds_camera(studio->bytes, studio->source, studio->work, source, uniform(&rng, 0.9F, 1.6F), &rng);
    if (kind == DS_SCREEN) {
        enum nn_status status = store(studio, 40 + (int)nn_rng_below(&rng, 46));
        if (status) return status;
    }
    decode(studio->source, studio->bytes, (size_t)source * (size_t)source * 3);
    struct medium medium = {.rng = &rng};
    hold(&medium, face, &wanted, size, source);
    if (kind == DS_PRINT)
        print_take(studio, &medium);
    else
        screen_take(studio, &medium);
    move_face(face, &medium, size);
    ds_camera(studio->bytes, studio->picture, studio->work, size, uniform(&rng, 0.4F, 0.8F), &rng);
    return NN_OK;
}
