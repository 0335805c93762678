/*
 * channel_simd.c — channel.c with vectors.
 *
 * Channels are cut into strips of four, two or one vectors; a strip walks down all rows with its
 * coefficients or sums in registers. An addition takes about four cycles and two can start in
 * each, so eight sums must be under way to keep the adders busy: narrow strips take several rows at
 * a time, with sums of their own that are added up at the end. The order of every sum is therefore
 * a function of the rows, the channels and VF_WIDTH alone.
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

/* Strip functions get `vectors` and `last` (lanes of the last vector) as constants, so that their
 * loops over vectors disappear and arrays of vectors become registers. */
#define STRIP static inline __attribute__((always_inline)) void

enum { WIDEST = 4, IN_FLIGHT = 8 };

/* Calls strip(vectors, last, ...) for every strip; in the other arguments c is its first channel.
 */
#define EACH_STRIP(channels, strip, ...)                                                           \
    do {                                                                                           \
        for (int c = 0, left = (channels); left > 0; c = (channels)-left) {                        \
            if (left >= 4 * VF_WIDTH) {                                                            \
                strip(4, VF_WIDTH, __VA_ARGS__);                                                   \
                left -= 4 * VF_WIDTH;                                                              \
            } else if (left >= 2 * VF_WIDTH) {                                                     \
                strip(2, VF_WIDTH, __VA_ARGS__);                                                   \
                left -= 2 * VF_WIDTH;                                                              \
            } else if (left >= VF_WIDTH) {                                                         \
                strip(1, VF_WIDTH, __VA_ARGS__);                                                   \
                left -= VF_WIDTH;                                                                  \
            } else {                                                                               \
                strip(1, left, __VA_ARGS__);                                                       \
                left = 0;                                                                          \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Vector v of a strip at p; a strip narrower than a vector has no other. */
static inline vf load(const float *p, int v, int last)
{
    return last == VF_WIDTH ? vf_load(p + v * VF_WIDTH) : vf_load_partial(p, last);
}
static inline void store(float *p, int v, int last, vf value)
{
    if (last == VF_WIDTH)
        vf_store(p + v * VF_WIDTH, value);
    else
        vf_store_partial(p, value, last);
}

/* The rows of a matrix that a strip walks down. */
struct rows {
    size_t count;
    ptrdiff_t stride;
};

STRIP scale_shift_strip(const int vectors, const int last, float *y, const float *x,
                        const float *const coefficients[2], struct rows rows)
{
    vf scale[WIDEST], shift[WIDEST];
    for (int v = 0; v < vectors; v++) {
        scale[v] = load(coefficients[0], v, last);
        shift[v] = load(coefficients[1], v, last);
    }
    for (; rows.count; rows.count--, x += rows.stride, y += rows.stride)
        for (int v = 0; v < vectors; v++)
            store(y, v, last, vf_fma(load(x, v, last), scale[v], shift[v]));
}

static void scale_shift_wide(float *y, const float *x, const float *scale, const float *shift,
                             size_t rows, int channels)
{
    struct rows shape = {rows, channels};
    EACH_STRIP(channels, scale_shift_strip, y + c, x + c,
               ((const float *const[2]){scale + c, shift + c}), shape);
}

/* Rows narrower than a vector, a picture's colours for instance, are taken VF_WIDTH at a time: as
 * one long row with the coefficients repeated. */
static void scale_shift(float *y, const float *x, const float *scale, const float *shift,
                        size_t rows, int channels)
{
    size_t groups = channels < VF_WIDTH ? rows / VF_WIDTH : 0;
    if (groups) {
        float repeated[2][VF_WIDTH * VF_WIDTH];
        int wide = channels * VF_WIDTH;
        for (int i = 0; i < wide; i++) {
            repeated[0][i] = scale[i % channels];
            repeated[1][i] = shift[i % channels];
        }
        scale_shift_wide(y, x, repeated[0], repeated[1], groups, wide);
    }
    size_t done = groups * VF_WIDTH, floats = done * (size_t)channels;
    scale_shift_wide(y + floats, x + floats, scale, shift, rows - done, channels);
}

/* Adds the sums of the rows in flight onto the first's, and stores them. */
STRIP store_sums(const int vectors, const int last, float *sum, vf *sums, const int in_flight)
{
    for (int v = 0; v < vectors; v++) {
        vf total = sums[v];
        for (int f = 1; f < in_flight; f++) total = vf_add(total, sums[f * vectors + v]);
        store(sum, v, last, total);
    }
}

/* With a mean: of the squares of the differences from it; without: of the numbers. */
STRIP sum_strip(const int vectors, const int last, float *sum, const float *x, const float *mean,
                struct rows rows)
{
    const int in_flight = IN_FLIGHT / vectors;
    vf sums[IN_FLIGHT], means[WIDEST];
    for (int i = 0; i < in_flight * vectors; i++) sums[i] = vf_zero();
    for (int v = 0; v < vectors; v++) means[v] = mean ? load(mean, v, last) : vf_zero();
#define ADD_ROW(f)                                                                                 \
    for (int v = 0; v < vectors; v++) {                                                            \
        vf *s = &sums[(f)*vectors + v], value = load(x + (f)*rows.stride, v, last);                \
        if (mean) value = vf_sub(value, means[v]);                                                 \
        *s = mean ? vf_fma(value, value, *s) : vf_add(value, *s);                                  \
    }
    for (; rows.count >= (size_t)in_flight; rows.count -= (size_t)in_flight) {
        for (int f = 0; f < in_flight; f++) ADD_ROW(f)
        x += in_flight * rows.stride;
    }
    for (; rows.count; rows.count--, x += rows.stride) ADD_ROW(0)
#undef ADD_ROW
    store_sums(vectors, last, sum, sums, in_flight);
}

static void channel_sum(float *sum, const float *x, size_t rows, int channels)
{
    struct rows shape = {rows, channels};
    EACH_STRIP(channels, sum_strip, sum + c, x + c, NULL, shape);
}

static void channel_square_sum(float *sum, const float *x, const float *mean, size_t rows,
                               int channels)
{
    struct rows shape = {rows, channels};
    EACH_STRIP(channels, sum_strip, sum + c, x + c, mean + c, shape);
}

struct products {
    float *sum, *product;
    const float *dy, *x, *mean;
};

STRIP products_strip(const int vectors, const int last, const struct products *p, int c,
                     struct rows rows)
{
    /* Two sums of each kind and the means have to fit into 16 registers. */
    enum { ROOM = IN_FLIGHT / 2 };
    const int in_flight = ROOM / vectors;
    const float *dy = p->dy + c, *x = p->x + c;
    vf sums[ROOM], products[ROOM], means[WIDEST];
    for (int i = 0; i < in_flight * vectors; i++) sums[i] = products[i] = vf_zero();
    for (int v = 0; v < vectors; v++) means[v] = p->mean ? load(p->mean + c, v, last) : vf_zero();
#define ADD_ROW(f)                                                                                 \
    for (int v = 0; v < vectors; v++) {                                                            \
        const int i = (f)*vectors + v;                                                             \
        vf slope = load(dy + (f)*rows.stride, v, last);                                            \
        vf value = vf_sub(load(x + (f)*rows.stride, v, last), means[v]);                           \
        sums[i] = vf_add(sums[i], slope);                                                          \
        products[i] = vf_fma(slope, value, products[i]);                                           \
    }
    for (; rows.count >= (size_t)in_flight; rows.count -= (size_t)in_flight) {
        for (int f = 0; f < in_flight; f++) ADD_ROW(f)
        dy += in_flight * rows.stride;
        x += in_flight * rows.stride;
    }
    for (; rows.count; rows.count--, dy += rows.stride, x += rows.stride) ADD_ROW(0)
#undef ADD_ROW
    store_sums(vectors, last, p->sum + c, sums, in_flight);
    store_sums(vectors, last, p->product + c, products, in_flight);
}

static void channel_products(float *sum, float *product, const float *dy, const float *x,
                             const float *mean, size_t rows, int channels)
{
    struct products p = {sum, product, dy, x, mean};
    struct rows shape = {rows, channels};
    EACH_STRIP(channels, products_strip, &p, c, shape);
}

struct backward {
    float *dx;
    const float *dy, *x, *const *abd;
};

STRIP backward_strip(const int vectors, const int last, const struct backward *p, int c,
                     struct rows rows, const bool relu)
{
    float *dx = p->dx + c;
    const float *dy = p->dy + c, *x = p->x + c;
    vf a[WIDEST], b[WIDEST], d[WIDEST];
    for (int v = 0; v < vectors; v++) {
        a[v] = load(p->abd[0] + c, v, last);
        b[v] = load(p->abd[1] + c, v, last);
        d[v] = load(p->abd[2] + c, v, last);
    }
    for (; rows.count; rows.count--, dx += rows.stride, dy += rows.stride, x += rows.stride)
        for (int v = 0; v < vectors; v++) {
            vf input = load(x, v, last);
            vf value = vf_fma(a[v], load(dy, v, last), vf_fma(b[v], input, d[v]));
            if (relu) value = vf_keep(vf_gt(input, vf_zero()), value);
            store(dx, v, last, value);
        }
}

static void batch_norm_backward(float *dx, const float *dy, const float *x, const float *const *abd,
                                bool relu, size_t rows, int channels)
{
    struct backward p = {dx, dy, x, abd};
    struct rows shape = {rows, channels};
    if (relu)
        EACH_STRIP(channels, backward_strip, &p, c, shape, true);
    else
        EACH_STRIP(channels, backward_strip, &p, c, shape, false);
}

void NN_LEVEL_NAME(nn_channel)(struct nn_kernels *table)
{
    table->scale_shift = scale_shift;
    table->channel_sum = channel_sum;
    table->channel_square_sum = channel_square_sum;
    table->channel_products = channel_products;
    table->batch_norm_backward = batch_norm_backward;
}
