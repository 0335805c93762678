/*
 * resize.c — cv2.resize(..., INTER_LINEAR) on 8-bit pictures, to the bit.
 *
 * Weights have 11 bits. A row is interpolated horizontally into integers of 19 bits; two such
 * rows are mixed with their low bits dropped on the way, as OpenCV does it for the sake of 16-bit
 * SIMD lanes: ((b0 * (r0 >> 4)) >> 16) + ((b1 * (r1 >> 4)) >> 16), then + 2 and >> 2. A change of
 * order or of rounding gives other pictures than those a network was trained on.
 * Halving both sides exactly is a mean of four, because OpenCV takes INTER_AREA there.
 */
#include "vision/resize.h"

#include <math.h>
#include <string.h>

/* A float counts pixels exactly up to 2^24. */
enum { WEIGHT_BITS = 11, ONE = 1 << WEIGHT_BITS, MAX_SIDE = 1 << 24 };

/* ---- where a pixel comes from ------------------------------------------------------------- */

/* Centres of pixels are at +0.5 in both pictures. Single precision after the subtraction and
 * rounding to even (rint) are OpenCV's. */
static struct vi_tap make_tap(int to, int to_size, int from_size)
{
    double scale = 1.0 / ((double)to_size / from_size);
    float position = (float)((to + 0.5) * scale - 0.5);
    float base = floorf(position), fraction = position - base;
    int at = (int)base;
    return (struct vi_tap){{at, at + 1},
                           {(int)rintf((1.0f - fraction) * ONE), (int)rintf(fraction * ONE)}};
}

static int clamp(int value, int limit)
{
    return value < 0 ? 0 : value >= limit ? limit - 1 : value;
}

/* Columns: at the borders the weight moves to the pixel inside. Rows (below) only clamp their
 * indices and keep both weights, so that the two directions differ in the last bit. */
static struct vi_tap column_tap(int to, int to_size, int from_size, int channels)
{
    struct vi_tap tap = make_tap(to, to_size, from_size);
    if (tap.at[0] < 0 || tap.at[0] >= from_size - 1) {
        tap.weight[0] = ONE;
        tap.weight[1] = 0;
    }
    for (int i = 0; i < 2; i++) tap.at[i] = clamp(tap.at[i], from_size) * channels;
    return tap;
}

/* ---- a row ---------------------------------------------------------------------------------- */

/* The low four bits are dropped here: what is left has 15 and a sign. Inlined per number of
 * channels, so that the inner loop is unrolled. */
static inline void interpolate_pixels(int16_t *to, const uint8_t *from, const struct vi_tap *taps,
                                      int width, int channels)
{
    for (int x = 0; x < width; x++, to += channels) {
        const uint8_t *left = from + taps[x].at[0], *right = from + taps[x].at[1];
        int a = taps[x].weight[0], b = taps[x].weight[1];
        for (int c = 0; c < channels; c++) to[c] = (int16_t)((left[c] * a + right[c] * b) >> 4);
    }
}

static void interpolate_row(int16_t *to, const struct vi_resizer *resizer, int y)
{
    const uint8_t *from = resizer->from.pixels + y * resizer->from.stride;
    if (resizer->from.channels == 1)
        interpolate_pixels(to, from, resizer->columns, resizer->width, 1);
    else if (resizer->from.channels == 3)
        interpolate_pixels(to, from, resizer->columns, resizer->width, 3);
    else
        interpolate_pixels(to, from, resizer->columns, resizer->width, 4);
}

static inline uint8_t mix(int16_t upper, int16_t lower, int16_t a, int16_t b)
{
    int16_t sum = (int16_t)((int16_t)((a * upper) >> 16) + (int16_t)((b * lower) >> 16));
    return (uint8_t)((int16_t)(sum + 2) >> 2); /* at most (510 + 510 + 2) / 4 = 255 */
}

/* In blocks of fixed size, which compilers turn into vector instructions without being asked for
 * more than -O2. */
static void mix_rows(uint8_t *restrict to, const int16_t *restrict upper,
                     const int16_t *restrict lower, const int weight[2], int count)
{
    enum { BLOCK = 16 };
    const int16_t a = (int16_t)weight[0], b = (int16_t)weight[1];
    int i = 0;
    for (; i + BLOCK <= count; i += BLOCK)
        for (int k = 0; k < BLOCK; k++) to[i + k] = mix(upper[i + k], lower[i + k], a, b);
    for (; i < count; i++) to[i] = mix(upper[i], lower[i], a, b);
}

static void halve_row(uint8_t *to, const struct vi_resizer *resizer, int y)
{
    const ptrdiff_t channels = resizer->from.channels, stride = resizer->from.stride;
    const uint8_t *upper = resizer->from.pixels + 2 * (y * stride), *lower = upper + stride;
    for (int x = 0; x < resizer->width; x++, upper += 2 * channels, lower += 2 * channels)
        for (ptrdiff_t c = 0; c < channels; c++)
            *to++ =
                (uint8_t)((upper[c] + upper[c + channels] + lower[c] + lower[c + channels] + 2) >>
                          2);
}

/* Keeps the last two interpolated rows: when enlarging, each is used many times. */
static void linear_row(uint8_t *to, const struct vi_resizer *resizer, struct vi_resizer_rows *rows,
                       int y)
{
    const int from_height = resizer->from.height;
    struct vi_tap tap = make_tap(y, resizer->height, from_height);
    int wanted[2] = {clamp(tap.at[0], from_height), clamp(tap.at[1], from_height)};
    if (rows->held[1] == wanted[0]) {
        int16_t *swap = rows->row[0];
        rows->row[0] = rows->row[1];
        rows->row[1] = swap;
        rows->held[1] = rows->held[0];
        rows->held[0] = wanted[0];
    }
    for (int i = 0; i < 2; i++)
        if (rows->held[i] != wanted[i]) {
            interpolate_row(rows->row[i], resizer, wanted[i]);
            rows->held[i] = wanted[i];
        }
    mix_rows(to, rows->row[0], rows->row[1], tap.weight, resizer->width * resizer->from.channels);
}

void vi_resizer_row(uint8_t *to, const struct vi_resizer *resizer, struct vi_resizer_rows *rows,
                    int y)
{
    const struct vi_image *from = &resizer->from;
    if (resizer->kind == VI_RESIZE_LINEAR)
        linear_row(to, resizer, rows, y);
    else if (resizer->kind == VI_RESIZE_HALVE)
        halve_row(to, resizer, y);
    else
        memcpy(to, from->pixels + y * from->stride, (size_t)from->width * (size_t)from->channels);
}

/* ---- a picture ------------------------------------------------------------------------------- */

static bool valid_size(int width, int height)
{
    return width >= 1 && height >= 1 && width <= MAX_SIDE && height <= MAX_SIDE;
}

enum nn_status vi_resizer_start(struct vi_resizer *resizer, struct nn_context *context, int width,
                                int height, const struct vi_image *from)
{
    if (!valid_size(width, height) || !valid_size(from->width, from->height))
        return nn_fail(context, NN_ERROR_SHAPE, "cannot resize %dx%d pixels to %dx%d", from->width,
                       from->height, width, height);
    if (from->channels != 1 && from->channels != 3 && from->channels != 4)
        return nn_fail(context, NN_ERROR_SHAPE, "resize: expected 1, 3 or 4 channels, got %d",
                       from->channels);
    bool half = from->width % 2 == 0 && from->width / 2 == width && from->height % 2 == 0 &&
                from->height / 2 == height;
    resizer->from = *from;
    resizer->width = width;
    resizer->height = height;
    resizer->kind = width == from->width && height == from->height ? VI_RESIZE_COPY
                    : half                                         ? VI_RESIZE_HALVE
                                                                   : VI_RESIZE_LINEAR;
    return NN_OK;
}

void vi_resizer_columns(const struct vi_resizer *resizer)
{
    for (int x = 0; x < resizer->width; x++)
        resizer->columns[x] =
            column_tap(x, resizer->width, resizer->from.width, resizer->from.channels);
}

/* NULL: out of memory. */
static void *make_room(struct vi_resize_room *room, struct nn_context *context, size_t size)
{
    if (size <= room->size) return room->memory;
    nn_free(context, room->memory);
    room->memory = nn_alloc(context, size, 1);
    room->size = room->memory ? size : 0;
    return room->memory;
}

enum nn_status vi_resize_in(struct vi_resize_room *room, const struct vi_image *to,
                            const struct vi_image *from, struct nn_context *context)
{
    struct vi_resizer resizer = {.from = *from};
    struct vi_resizer_rows rows = {.held = {-1, -1}};
    if (from->channels != to->channels)
        return nn_fail(context, NN_ERROR_SHAPE,
                       "resize: expected as many channels on both sides, got %d and %d",
                       from->channels, to->channels);
    enum nn_status status = vi_resizer_start(&resizer, context, to->width, to->height, from);
    if (status) return status;
    if (resizer.kind == VI_RESIZE_LINEAR) {
        size_t width = (size_t)to->width, count = width * (size_t)to->channels;
        resizer.columns = make_room(
            room, context, width * sizeof *resizer.columns + 2 * count * sizeof *rows.row[0]);
        if (!resizer.columns) return NN_ERROR_MEMORY;
        rows.row[0] = (int16_t *)(void *)(resizer.columns + width);
        rows.row[1] = rows.row[0] + count;
        vi_resizer_columns(&resizer);
    }
    for (int y = 0; y < to->height; y++)
        vi_resizer_row(to->pixels + y * to->stride, &resizer, &rows, y);
    return NN_OK;
}

enum nn_status vi_resize(const struct vi_image *to, const struct vi_image *from,
                         struct nn_context *context)
{
    struct vi_resize_room room = {0};
    enum nn_status status = vi_resize_in(&room, to, from, context);
    nn_free(context, room.memory);
    return status;
}
