/*
 * conv_simd.c — convolution in registers.
 *
 * A tile of M pixels x V vectors of filters stays in registers while the kernel window passes over
 * it: each weight vector is loaded once per tile and multiplied by M broadcast pixels, straight
 * from the picture (no im2col). With L = latency x ports of the FMA unit, M*V >= L keeps it busy
 * (8 on current x86); M*V + V + 1 registers must fit the file. Georganas et al., "Anatomy of
 * High-Performance Deep Learning Convolutions", 2018.
 *
 * A row of Q pixels is cut into tiles of nearly equal width, so every M up to the largest is
 * compiled; the loops over M and V have constant bounds and unroll completely.
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

/* The largest tiles: of one vector, and of two. */
#if VF_REGISTERS >= 32
enum { WIDE_1 = 24, WIDE_2 = 12 };
#else
enum { WIDE_1 = 12, WIDE_2 = 6 };
#endif

/* ---- forward -----------------------------------------------------------------------------------
 */

INLINE vf load_filters(const float *p, int lanes)
{
    return lanes == VF_WIDTH ? vf_load(p) : vf_load_partial(p, lanes);
}

INLINE vf finish(vf sum, const struct nn_epilogue *e, int filter, int lanes)
{
    if (e->bias) sum = vf_add(sum, load_filters(e->bias + filter, lanes));
    if (e->relu) sum = vf_relu(sum);
    if (e->scale)
        sum = vf_fma(sum, load_filters(e->scale + filter, lanes),
                     load_filters(e->shift + filter, lanes));
    return sum;
}

/* One tile: m pixels from x on, v vectors of filters (the last one `lanes` wide) from `filter`. */
INLINE void row_tile(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                     const struct nn_epilogue *epilogue, int filter, int m, int v, int lanes)
{
    vf sum[24][2];
    ptrdiff_t step = row->step;
    w += filter;
    UNROLL
    for (int i = 0; i < m; i++) {
        UNROLL
        for (int k = 0; k < v; k++) sum[i][k] = vf_zero();
    }
    for (int t = 0; t < row->taps; t++) {
        const float *from = x + row->tap[t];
        for (int j = 0; j < row->length; j++, from++, w += row->w_stride) {
            vf weight[2];
            UNROLL
            for (int k = 0; k < v; k++)
                weight[k] = load_filters(w + k * VF_WIDTH, k + 1 < v ? VF_WIDTH : lanes);
            /* Every fourth pixel has a base of its own: step, 2 step, 3 step fit in addresses. */
            const float *base = from;
            UNROLL
            for (int i = 0; i < m; i++) {
                if (i && i % 4 == 0) base += 4 * step;
                vf pixel = vf_set1(base[(i % 4) * step]);
                UNROLL
                for (int k = 0; k < v; k++) sum[i][k] = vf_fma(pixel, weight[k], sum[i][k]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < m; i++) {
        UNROLL
        for (int k = 0; k < v; k++) {
            int width = k + 1 < v ? VF_WIDTH : lanes, at = filter + k * VF_WIDTH;
            vf done = finish(sum[i][k], epilogue, at, width);
            if (width == VF_WIDTH)
                vf_store(y + i * row->y_stride + at, done);
            else
                vf_store_partial(y + i * row->y_stride + at, done, width);
        }
    }
}

typedef void row_function(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                          const struct nn_epilogue *epilogue, int filter, int lanes);

#define DEFINE_ROW(m)                                                                              \
    static void row_##m##x1(float *y, const float *x, const float *w,                              \
                            const struct nn_conv_row *row, const struct nn_epilogue *epilogue,     \
                            int filter, int lanes)                                                 \
    {                                                                                              \
        (void)lanes;                                                                               \
        row_tile(y, x, w, row, epilogue, filter, m, 1, VF_WIDTH);                                  \
    }
#define DEFINE_ROW_2(m)                                                                            \
    static void row_##m##x2(float *y, const float *x, const float *w,                              \
                            const struct nn_conv_row *row, const struct nn_epilogue *epilogue,     \
                            int filter, int lanes)                                                 \
    {                                                                                              \
        (void)lanes;                                                                               \
        row_tile(y, x, w, row, epilogue, filter, m, 2, VF_WIDTH);                                  \
    }
/* Filters that do not fill a vector: few networks have them outside the last layer. */
#define DEFINE_ROW_PARTIAL(m)                                                                      \
    static void row_##m##xpart(float *y, const float *x, const float *w,                           \
                               const struct nn_conv_row *row, const struct nn_epilogue *epilogue,  \
                               int filter, int lanes)                                              \
    {                                                                                              \
        row_tile(y, x, w, row, epilogue, filter, m, 1, lanes);                                     \
    }

#define UP_TO_6(X)  X(1) X(2) X(3) X(4) X(5) X(6)
#define UP_TO_12(X) UP_TO_6(X) X(7) X(8) X(9) X(10) X(11) X(12)
#define UP_TO_24(X)                                                                                \
    UP_TO_12(X) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24)

#define ROW_1(m)       row_##m##x1,
#define ROW_2(m)       row_##m##x2,
#define ROW_PARTIAL(m) row_##m##xpart,
#define GRADIENT_1(m)  gradient_##m##x1,
#define GRADIENT_2(m)  gradient_##m##x2,

#if VF_REGISTERS >= 32
#define ALL_1 UP_TO_24
#define ALL_2 UP_TO_12
#else
#define ALL_1 UP_TO_12
#define ALL_2 UP_TO_6
#endif
#define ALL_PARTIAL UP_TO_6
enum { WIDE_PARTIAL = 6 };

ALL_1(DEFINE_ROW)
ALL_2(DEFINE_ROW_2)
ALL_PARTIAL(DEFINE_ROW_PARTIAL)

static row_function *const ROWS_1[] = {ALL_1(ROW_1)};
static row_function *const ROWS_2[] = {ALL_2(ROW_2)};
static row_function *const ROWS_PARTIAL[] = {ALL_PARTIAL(ROW_PARTIAL)};

/* Cuts `pixels` into tiles of at most `widest`, as equal as can be. */
static void sweep_row(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                      const struct nn_epilogue *epilogue, row_function *const *tiles, int widest,
                      int filter, int lanes)
{
    int count = (row->pixels + widest - 1) / widest;
    for (int i = 0, from = 0; i < count; i++) {
        int to = (int)((long)row->pixels * (i + 1) / count);
        tiles[to - from - 1](y + from * row->y_stride, x + from * row->step, w, row, epilogue,
                             filter, lanes);
        from = to;
    }
}

static void conv_row(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                     const struct nn_epilogue *epilogue)
{
    int filter = 0;
    for (; filter + 2 * VF_WIDTH <= row->filters; filter += 2 * VF_WIDTH)
        sweep_row(y, x, w, row, epilogue, ROWS_2, WIDE_2, filter, VF_WIDTH);
    for (; filter + VF_WIDTH <= row->filters; filter += VF_WIDTH)
        sweep_row(y, x, w, row, epilogue, ROWS_1, WIDE_1, filter, VF_WIDTH);
    if (filter < row->filters)
        sweep_row(y, x, w, row, epilogue, ROWS_PARTIAL, WIDE_PARTIAL, filter,
                  row->filters - filter);
}

/* ---- gradient of the weights
 * --------------------------------------------------------------------- */

/* m rows of dw (neighbouring floats of the window) x v vectors of filters, summed over all pixels
 * in registers: an outer product per pixel. */
INLINE void gradient_tile(float *dw, const float *x, const float *dy,
                          const struct nn_conv_gradient *gradient, int m, int v, int lanes)
{
    const struct nn_conv_row *row = &gradient->row;
    vf sum[24][2];
    UNROLL
    for (int i = 0; i < m; i++) {
        UNROLL
        for (int k = 0; k < v; k++) sum[i][k] = vf_zero();
    }
    for (int r = 0; r < gradient->rows; r++) {
        const float *pixel = x + r * gradient->x_row, *d = dy + r * gradient->dy_row;
        for (int p = 0; p < row->pixels; p++, pixel += row->step, d += row->y_stride) {
            vf slope[2];
            UNROLL
            for (int k = 0; k < v; k++)
                slope[k] = load_filters(d + k * VF_WIDTH, k + 1 < v ? VF_WIDTH : lanes);
            UNROLL
            for (int i = 0; i < m; i++) {
                vf value = vf_set1(pixel[i]);
                UNROLL
                for (int k = 0; k < v; k++) sum[i][k] = vf_fma(value, slope[k], sum[i][k]);
            }
        }
    }
    UNROLL
    for (int i = 0; i < m; i++) {
        UNROLL
        for (int k = 0; k < v; k++) {
            float *to = dw + i * row->w_stride + k * VF_WIDTH;
            int width = k + 1 < v ? VF_WIDTH : lanes;
            if (width == VF_WIDTH)
                vf_store(to, vf_add(vf_load(to), sum[i][k]));
            else
                vf_store_partial(to, vf_add(vf_load_partial(to, width), sum[i][k]), width);
        }
    }
}

typedef void gradient_function(float *dw, const float *x, const float *dy,
                               const struct nn_conv_gradient *gradient, int lanes);

#define DEFINE_GRADIENT(m)                                                                         \
    static void gradient_##m##x1(float *dw, const float *x, const float *dy,                       \
                                 const struct nn_conv_gradient *gradient, int lanes)               \
    {                                                                                              \
        (void)lanes;                                                                               \
        gradient_tile(dw, x, dy, gradient, m, 1, VF_WIDTH);                                        \
    }
#define DEFINE_GRADIENT_2(m)                                                                       \
    static void gradient_##m##x2(float *dw, const float *x, const float *dy,                       \
                                 const struct nn_conv_gradient *gradient, int lanes)               \
    {                                                                                              \
        (void)lanes;                                                                               \
        gradient_tile(dw, x, dy, gradient, m, 2, VF_WIDTH);                                        \
    }
#define DEFINE_GRADIENT_PARTIAL(m)                                                                 \
    static void gradient_##m##xpart(float *dw, const float *x, const float *dy,                    \
                                    const struct nn_conv_gradient *gradient, int lanes)            \
    {                                                                                              \
        gradient_tile(dw, x, dy, gradient, m, 1, lanes);                                           \
    }
#define GRADIENT_PARTIAL(m) gradient_##m##xpart,

ALL_1(DEFINE_GRADIENT)
ALL_2(DEFINE_GRADIENT_2)
ALL_PARTIAL(DEFINE_GRADIENT_PARTIAL)

static gradient_function *const GRADIENTS_1[] = {ALL_1(GRADIENT_1)};
static gradient_function *const GRADIENTS_2[] = {ALL_2(GRADIENT_2)};
static gradient_function *const GRADIENTS_PARTIAL[] = {ALL_PARTIAL(GRADIENT_PARTIAL)};

static void sweep_gradient(float *dw, const float *x, const float *dy,
                           const struct nn_conv_gradient *gradient, gradient_function *const *tiles,
                           int widest, int lanes)
{
    const struct nn_conv_row *row = &gradient->row;
    int count = (row->length + widest - 1) / widest;
    for (int t = 0; t < row->taps; t++) {
        const float *from = x + row->tap[t];
        float *to = dw + (ptrdiff_t)t * row->length * row->w_stride;
        for (int i = 0, first = 0; i < count; i++) {
            int last = (int)((long)row->length * (i + 1) / count);
            tiles[last - first - 1](to + first * row->w_stride, from + first, dy, gradient, lanes);
            first = last;
        }
    }
}

static void conv_gradient(float *dw, const float *x, const float *dy,
                          const struct nn_conv_gradient *gradient)
{
    int filters = gradient->row.filters, filter = 0;
    for (; filter + 2 * VF_WIDTH <= filters; filter += 2 * VF_WIDTH)
        sweep_gradient(dw + filter, x, dy + filter, gradient, GRADIENTS_2, WIDE_2, VF_WIDTH);
    for (; filter + VF_WIDTH <= filters; filter += VF_WIDTH)
        sweep_gradient(dw + filter, x, dy + filter, gradient, GRADIENTS_1, WIDE_1, VF_WIDTH);
    if (filter < filters)
        sweep_gradient(dw + filter, x, dy + filter, gradient, GRADIENTS_PARTIAL, WIDE_PARTIAL,
                       filters - filter);
}

/* ---- transpose
 * ------------------------------------------------------------------------------------- */

static void transpose(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t from_stride,
                      int rows, int columns)
{
    int whole_rows = rows & ~3, whole_columns = columns & ~3;
    for (int r = 0; r < whole_rows; r += 4)
        for (int c = 0; c < whole_columns; c += 4)
            vf_transpose_4x4(to + c * to_stride + r, to_stride, from + r * from_stride + c,
                             from_stride);
    for (int r = 0; r < rows; r++)
        for (int c = r < whole_rows ? whole_columns : 0; c < columns; c++)
            to[c * to_stride + r] = from[r * from_stride + c];
}

void NN_LEVEL_NAME(nn_conv)(struct nn_kernels *table)
{
    table->conv_row = conv_row;
    table->conv_gradient = conv_gradient;
    table->transpose = transpose;
}
