/*
 * warp.c — affine maps, bilinear, the nearest edge outside.
 *
 * Coordinates walk along a row in fixed point, 32 bits before and after the point: a step is one
 * addition, exact in every order of evaluation, and the integer part is a shift. The error after
 * n steps is n * 2^-33 of a pixel.
 */
#include "vision/vision.h"

#include <assert.h>
#include <string.h>

struct vi_affine vi_affine_multiply(struct vi_affine a, struct vi_affine b)
{
    const double *p = a.m, *q = b.m;
    return (struct vi_affine){{p[0] * q[0] + p[1] * q[3], p[0] * q[1] + p[1] * q[4],
                               p[0] * q[2] + p[1] * q[5] + p[2], p[3] * q[0] + p[4] * q[3],
                               p[3] * q[1] + p[4] * q[4], p[3] * q[2] + p[4] * q[5] + p[5]}};
}

/* Absurd and undefined coordinates become some coordinate: the pixel is then wrong, as the map
 * is, but it is a pixel of the image. */
static uint64_t to_fixed(double value)
{
    const double limit = 1 << 30;
    if (!(value > -limit)) value = -limit;
    if (value > limit) value = limit;
    return (uint64_t)(int64_t)(value * 4294967296.0);
}

/* Where a row begins, and how far one pixel goes. Unsigned, so that wrapping is defined. */
struct walk {
    uint64_t x, y, step_x, step_y;
};

static struct walk begin_row(const struct vi_affine *map, int y)
{
    const double *m = map->m;
    return (struct walk){to_fixed(m[1] * y + m[2]), to_fixed(m[4] * y + m[5]), to_fixed(m[0]),
                         to_fixed(m[3])};
}

/* The four samples around a place, as element offsets, and their weights. */
struct corners {
    ptrdiff_t at[4]; /* upper left, upper right, lower left, lower right */
    float weight[4];
};

static inline float fraction(uint64_t place)
{
    return (float)(int32_t)((uint32_t)place >> 8) * (1.0f / (1 << 24));
}

static inline void set_weights(struct corners *corners, float x, float y)
{
    float xy = x * y;
    corners->weight[0] = 1.0f - x - (y - xy);
    corners->weight[1] = x - xy;
    corners->weight[2] = y - xy;
    corners->weight[3] = xy;
}

static uint64_t clamp(uint64_t place, int size)
{
    int64_t last = (int64_t)(size - 1) << 32;
    int64_t value = (int64_t)place;
    return value < 0 ? 0 : (uint64_t)(value > last ? last : value);
}

/* Outside or on the last row or column: neighbours beyond the border are the border. */
static void find_border(struct corners *corners, uint64_t x, uint64_t y, const int size[2],
                        const ptrdiff_t pitch[2])
{
    x = clamp(x, size[0]);
    y = clamp(y, size[1]);
    ptrdiff_t left = (ptrdiff_t)(x >> 32), top = (ptrdiff_t)(y >> 32);
    ptrdiff_t right = left + (left + 1 < size[0]), bottom = top + (top + 1 < size[1]);
    corners->at[0] = top * pitch[1] + left * pitch[0];
    corners->at[1] = top * pitch[1] + right * pitch[0];
    corners->at[2] = bottom * pitch[1] + left * pitch[0];
    corners->at[3] = bottom * pitch[1] + right * pitch[0];
    set_weights(corners, fraction(x), fraction(y));
}

/* size: width, height; pitch: elements to the next pixel and to the next row. */
static inline void find_corners(struct corners *corners, uint64_t x, uint64_t y, const int size[2],
                                const ptrdiff_t pitch[2])
{
    /* As unsigned numbers, negative places are large ones: two comparisons for four sides. */
    if (x >> 32 >= (uint64_t)(size[0] - 1) || y >> 32 >= (uint64_t)(size[1] - 1)) {
        find_border(corners, x, y, size, pitch);
        return;
    }
    ptrdiff_t at = (ptrdiff_t)(y >> 32) * pitch[1] + (ptrdiff_t)(x >> 32) * pitch[0];
    corners->at[0] = at;
    corners->at[1] = at + pitch[0];
    corners->at[2] = at + pitch[1];
    corners->at[3] = at + pitch[1] + pitch[0];
    set_weights(corners, fraction(x), fraction(y));
}

void vi_warp(const struct vi_image *to, const struct vi_image *from, struct vi_affine map)
{
    const int size[2] = {from->width, from->height}, channels = from->channels;
    const ptrdiff_t pitch[2] = {channels, from->stride};
    assert(to->channels == channels);
    if (from->width < 1 || from->height < 1) return;
    for (int y = 0; y < to->height; y++) {
        uint8_t *pixel = to->pixels + y * to->stride;
        struct walk at = begin_row(&map, y);
        for (int x = 0; x < to->width; x++, pixel += channels) {
            struct corners k;
            find_corners(&k, at.x, at.y, size, pitch);
            for (int c = 0; c < channels; c++) {
                const uint8_t *p = from->pixels + c;
                float value = (float)p[k.at[0]] * k.weight[0] + (float)p[k.at[1]] * k.weight[1] +
                              (float)p[k.at[2]] * k.weight[2] + (float)p[k.at[3]] * k.weight[3];
                pixel[c] = (uint8_t)(value + 0.5f);
            }
            at.x += at.step_x;
            at.y += at.step_y;
        }
    }
}

static inline float blend(const float *p, const struct corners *k)
{
    return p[k->at[0]] * k->weight[0] + p[k->at[1]] * k->weight[1] + p[k->at[2]] * k->weight[2] +
           p[k->at[3]] * k->weight[3];
}

/* Three channels and what follows them in one vector of four: the same sums. */
static inline void blend_four(float *to, const float *p, const struct corners *k)
{
    float value[4];
    for (int c = 0; c < 4; c++) value[c] = blend(p + c, k);
    memcpy(to, value, sizeof value);
}

/* Every picture of every epoch passes here: pixels of three channels are read and written as if
 * they had four. The fourth is the first of the next pixel, which is written later; the last pixel
 * of the picture, and corners at its right border, where nothing may follow, go the plain way. */
static void warp_three(float *to, const float *from, int width, int height, struct vi_affine map)
{
    const int size[2] = {width, height};
    const ptrdiff_t pitch[2] = {3, (ptrdiff_t)width * 3};
    for (int y = 0; y < height; y++) {
        struct walk at = begin_row(&map, y);
        int whole = y + 1 < height ? width : width - 1;
        for (int x = 0; x < width; x++, to += 3) {
            struct corners k;
            bool inside = (int64_t)at.x < (int64_t)(width - 2) * ((int64_t)1 << 32);
            find_corners(&k, at.x, at.y, size, pitch);
            at.x += at.step_x;
            at.y += at.step_y;
            if (inside && x < whole)
                blend_four(to, from, &k);
            else
                for (int c = 0; c < 3; c++) to[c] = blend(from + c, &k);
        }
    }
}

void vi_warp_float(float *to, const float *from, int width, int height, int channels,
                   struct vi_affine map)
{
    const int size[2] = {width, height};
    const ptrdiff_t pitch[2] = {channels, (ptrdiff_t)width * channels};
    if (channels == 3 && width > 2) { /* else column 1 is the right border */
        warp_three(to, from, width, height, map);
        return;
    }
    for (int y = 0; y < height; y++) {
        struct walk at = begin_row(&map, y);
        for (int x = 0; x < width; x++, to += channels) {
            struct corners k;
            find_corners(&k, at.x, at.y, size, pitch);
            at.x += at.step_x;
            at.y += at.step_y;
            for (int c = 0; c < channels; c++) to[c] = blend(from + c, &k);
        }
    }
}
