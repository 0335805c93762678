/*
 * resize.c — cv2.resize(..., INTER_LINEAR) on 8-bit pictures, to the bit.
 *
 * Weights have 11 bits. A row is interpolated horizontally into integers of 19 bits; two such
 * rows are mixed with their low bits dropped on the way, as OpenCV does it for the sake of 16-bit
 * SIMD lanes: ((b0 * (r0 >> 4)) >> 16) + ((b1 * (r1 >> 4)) >> 16), then + 2 and >> 2. A change of
 * order or of rounding gives other pictures than those a network was trained on.
 * Halving both sides exactly is a mean of four, because OpenCV takes INTER_AREA there.
 */
#include "vision/vision.h"

#include <math.h>
#include <string.h>

/* A float counts pixels exactly up to 2^24. */
enum { WEIGHT_BITS = 11, ONE = 1 << WEIGHT_BITS, MAX_SIDE = 1 << 24 };

/* Two neighbours of a destination pixel, as offsets, and their weights. */
struct tap {
    int at[2];
    int weight[2];
};

/* Centres of pixels are at +0.5 in both pictures. Single precision after the subtraction and
 * rounding to even (rint) are OpenCV's. */
static struct tap make_tap(int to, int to_size, int from_size)
{
    double scale = 1.0 / ((double)to_size / from_size);
    float position = (float)((to + 0.5) * scale - 0.5);
    float base = floorf(position), fraction = position - base;
    int at = (int)base;
    return (struct tap){{at, at + 1},
                        {(int)rintf((1.0f - fraction) * ONE), (int)rintf(fraction * ONE)}};
}

static int clamp(int value, int limit)
{
    return value < 0 ? 0 : value >= limit ? limit - 1 : value;
}

/* Columns: at the borders the weight moves to the pixel inside. Rows (below) only clamp their
 * indices and keep both weights, so that the two directions differ in the last bit. */
static struct tap column_tap(int to, int to_size, int from_size, int channels)
{
    struct tap tap = make_tap(to, to_size, from_size);
    if (tap.at[0] < 0 || tap.at[0] >= from_size - 1) {
        tap.weight[0] = ONE;
        tap.weight[1] = 0;
    }
    for (int i = 0; i < 2; i++) tap.at[i] = clamp(tap.at[i], from_size) * channels;
    return tap;
}

static void interpolate_row(int32_t *to, const uint8_t *from, const struct tap *taps, int width,
                            int channels)
{
    for (int x = 0; x < width; x++, to += channels) {
        const uint8_t *left = from + taps[x].at[0], *right = from + taps[x].at[1];
        int a = taps[x].weight[0], b = taps[x].weight[1];
        for (int c = 0; c < channels; c++) to[c] = left[c] * a + right[c] * b;
    }
}

static void mix_rows(uint8_t *to, int32_t *const rows[2], const int weight[2], int count)
{
    const int32_t *upper = rows[0], *lower = rows[1];
    int a = weight[0], b = weight[1];
    for (int i = 0; i < count; i++) {
        int sum = ((a * (upper[i] >> 4)) >> 16) + ((b * (lower[i] >> 4)) >> 16);
        to[i] = (uint8_t)((sum + 2) >> 2); /* at most (510 + 510 + 2) / 4 = 255 */
    }
}

static void halve(const struct vi_image *to, const struct vi_image *from)
{
    const ptrdiff_t channels = to->channels;
    for (int y = 0; y < to->height; y++) {
        const uint8_t *upper = from->pixels + 2 * (y * from->stride), *lower = upper + from->stride;
        uint8_t *pixel = to->pixels + y * to->stride;
        for (int x = 0; x < to->width; x++, upper += 2 * channels, lower += 2 * channels)
            for (ptrdiff_t c = 0; c < channels; c++)
                *pixel++ = (uint8_t)((upper[c] + upper[c + channels] + lower[c] +
                                      lower[c + channels] + 2) >>
                                     2);
    }
}

/* Keeps the last two interpolated rows: when enlarging, each is used many times. */
static void interpolate(const struct vi_image *to, const struct vi_image *from,
                        const struct tap *taps, int32_t *rows[2])
{
    const int count = to->width * to->channels;
    int held[2] = {-1, -1};
    for (int y = 0; y < to->height; y++) {
        struct tap tap = make_tap(y, to->height, from->height);
        int upper = clamp(tap.at[0], from->height), lower = clamp(tap.at[1], from->height);
        if (held[1] == upper) {
            int32_t *swap = rows[0];
            rows[0] = rows[1];
            rows[1] = swap;
            held[1] = held[0];
            held[0] = upper;
        }
        if (held[0] != upper)
            interpolate_row(rows[0], from->pixels + upper * from->stride, taps, to->width,
                            to->channels);
        if (held[1] != lower)
            interpolate_row(rows[1], from->pixels + lower * from->stride, taps, to->width,
                            to->channels);
        held[0] = upper;
        held[1] = lower;
        mix_rows(to->pixels + y * to->stride, rows, tap.weight, count);
    }
}

static bool valid_size(const struct vi_image *image)
{
    return image->width >= 1 && image->height >= 1 && image->width <= MAX_SIDE &&
           image->height <= MAX_SIDE;
}

enum nn_status vi_resize(const struct vi_image *to, const struct vi_image *from,
                         struct nn_context *context)
{
    const int channels = to->channels;
    if (!valid_size(to) || !valid_size(from))
        return nn_fail(context, NN_ERROR_SHAPE, "cannot resize %dx%d pixels to %dx%d", from->width,
                       from->height, to->width, to->height);
    if (from->channels != channels || (channels != 1 && channels != 3 && channels != 4))
        return nn_fail(context, NN_ERROR_SHAPE,
                       "resize: expected 1, 3 or 4 channels on both sides, got %d and %d",
                       from->channels, channels);
    if (to->width == from->width && to->height == from->height) {
        vi_image_copy(to, from);
        return NN_OK;
    }
    if (from->width % 2 == 0 && from->width / 2 == to->width && from->height % 2 == 0 &&
        from->height / 2 == to->height) {
        halve(to, from);
        return NN_OK;
    }
    size_t count = (size_t)to->width * (size_t)channels;
    struct tap *taps = nn_alloc(context, (size_t)to->width, sizeof *taps);
    int32_t *both = taps ? nn_alloc(context, count, 2 * sizeof *both) : NULL;
    if (both) {
        int32_t *rows[2] = {both, both + count};
        for (int x = 0; x < to->width; x++)
            taps[x] = column_tap(x, to->width, from->width, channels);
        interpolate(to, from, taps, rows);
    }
    nn_free(context, both);
    nn_free(context, taps);
    return both ? NN_OK : NN_ERROR_MEMORY;
}
