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
 *
 * Where a multiply-add takes one lane of a register (VF_LANES), a load brings VF_WIDTH neighbouring
 * floats of a pixel, and the broadcasts are free: of 22 instructions 16 and more multiply, which
 * tests/check_neon_mix.sh holds to. Sums are the same to the bit: their order is.
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* The largest tiles of one vector and of two: pixels of a row, rows of a gradient. */
#if VF_REGISTERS < 32
enum { WIDE_1 = 12, WIDE_2 = 6, TALL_1 = WIDE_1, TALL_2 = WIDE_2 };
#elif !defined(VF_LANES)
enum { WIDE_1 = 24, WIDE_2 = 12, TALL_1 = WIDE_1, TALL_2 = WIDE_2 };
#else /* VF_WIDTH floats of some pixels, or of some weights, need registers too */
enum { WIDE_1 = 18, WIDE_2 = 8, TALL_1 = 24, TALL_2 = 12 };
#endif

/* ---- forward --------------------------------------------------------------------------------- */

INLINE vf load_filters(const float *p, int lanes)
{
    return lanes == VF_WIDTH ? vf_load(p) : vf_load_partial(p, lanes);
}

/* The epilogue of a tile that has just been stored: a vector of filters at a time, so that what
 * belongs to the filters is loaded once. The tile is still in the first-level cache. */
static void finish(float *y, const struct nn_conv_row *row, const struct nn_epilogue *e,
                   const float *residual, int filter, int width, int pixels)
{
    for (int k = filter; k < filter + width; k += VF_WIDTH) {
        int lanes = filter + width - k < VF_WIDTH ? filter + width - k : VF_WIDTH;
        vf none = vf_zero();
        vf bias = e->bias ? load_filters(e->bias + k, lanes) : none;
        vf scale = e->scale ? load_filters(e->scale + k, lanes) : none;
        vf shift = e->scale ? load_filters(e->shift + k, lanes) : none;
        vf scale_after = e->scale_after ? load_filters(e->scale_after + k, lanes) : none;
        vf shift_after = e->scale_after ? load_filters(e->shift_after + k, lanes) : none;
        for (int p = 0; p < pixels; p++) {
            float *at = y + p * row->y_stride + k;
            vf sum = load_filters(at, lanes);
            if (e->bias) sum = vf_add(sum, bias);
            if (residual) sum = vf_add(sum, load_filters(residual + p * row->y_stride + k, lanes));
            if (e->scale) sum = vf_fma(sum, scale, shift);
            if (e->relu) sum = vf_relu(sum);
            if (e->scale_after) sum = vf_fma(sum, scale_after, shift_after);
            if (lanes == VF_WIDTH)
                vf_store(at, sum);
            else
                vf_store_partial(at, sum, lanes);
        }
    }
}

#ifdef VF_LANES
/* VF_WIDTH floats j of a tile with two vectors of filters: the pixels stay in registers, one row of
 * weights after the other passes them. The compiler shall walk with w, not keep four pointers. */
INLINE const float *four_floats_2(vf sum[24][2], const float *x, ptrdiff_t step, const float *w,
                                  ptrdiff_t w_stride, int m)
{
    vf pixel[WIDE_2];
    UNROLL
    for (int i = 0; i < m; i++) pixel[i] = vf_load(x + i * step);
    UNROLL
    for (int lane = 0; lane < VF_WIDTH; lane++) {
        vf left = vf_load(w), right = vf_load(w + VF_WIDTH);
        w += w_stride;
        VF_OPAQUE(w);
        UNROLL
        for (int i = 0; i < m; i++) {
            sum[i][0] = vf_fma_lane(pixel[i], lane, left, sum[i][0]);
            sum[i][1] = vf_fma_lane(pixel[i], lane, right, sum[i][1]);
        }
    }
    return w;
}

/* The same with one vector of filters: more pixels than registers are left for, so that the weights
 * stay and the pixels pass, four at a time. */
INLINE void four_floats_1(vf sum[24][2], const float *x, ptrdiff_t step, const float *w,
                          const ptrdiff_t w_row[VF_WIDTH], int m, int lanes)
{
    vf weight[VF_WIDTH], pixel[4];
    UNROLL
    for (int lane = 0; lane < VF_WIDTH; lane++) weight[lane] = load_filters(w + w_row[lane], lanes);
    UNROLL
    for (int first = 0; first < m; first += 4) {
        UNROLL
        for (int i = 0; i < 4; i++)
            if (first + i < m) pixel[i] = vf_load(x + (first + i) * step);
        UNROLL
        for (int lane = 0; lane < VF_WIDTH; lane++) {
            UNROLL
            for (int i = 0; i < 4; i++)
                if (first + i < m)
                    sum[first + i][0] =
                        vf_fma_lane(pixel[i], lane, weight[lane], sum[first + i][0]);
        }
    }
}

/* As much of a run as divides by VF_WIDTH; returns the next weights. */
INLINE const float *row_lanes(vf sum[24][2], const float *x, const float *w,
                              const struct nn_conv_row *row, int m, int v, int lanes)
{
    ptrdiff_t step = row->step, w_stride = row->w_stride;
    ptrdiff_t w_row[VF_WIDTH] = {0, w_stride, 2 * w_stride, 3 * w_stride};
    if (v == 1) {
        VF_OPAQUE(w_row[2]);
        VF_OPAQUE(w_row[3]);
    }
    for (int left = row->length / VF_WIDTH; left > 0; left--, x += VF_WIDTH) {
        if (v == 2) {
            w = four_floats_2(sum, x, step, w, w_stride, m);
        } else {
            four_floats_1(sum, x, step, w, w_row, m, lanes);
            w += VF_WIDTH * w_stride;
        }
    }
    return w;
}
#endif

/* One tile: m pixels from x on, v vectors of filters (the last one `lanes` wide) from `filter`. */
INLINE void row_tile(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                     int filter, int m, int v, int lanes)
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
        int j = 0;
#ifdef VF_LANES
        w = row_lanes(sum, from, w, row, m, v, lanes);
        j = row->length & -VF_WIDTH;
        from += j;
#endif
        for (; j < row->length; j++, from++, w += row->w_stride) {
            vf weight[2];
            UNROLL
            for (int k = 0; k < v; k++)
                weight[k] = load_filters(w + k * VF_WIDTH, k + 1 < v ? VF_WIDTH : lanes);
            if (v == 2) {
                __builtin_prefetch(w + row->ahead, 0, 2);
                if (VF_WIDTH == 16) __builtin_prefetch(w + row->ahead + VF_WIDTH, 0, 2);
            }
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
            if (width == VF_WIDTH)
                vf_store(y + i * row->y_stride + at, sum[i][k]);
            else
                vf_store_partial(y + i * row->y_stride + at, sum[i][k], width);
        }
    }
}

typedef void row_function(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                          int filter, int lanes);

#define DEFINE_ROW(m)                                                                              \
    static void row_##m##x1(float *y, const float *x, const float *w,                              \
                            const struct nn_conv_row *row, int filter, int lanes)                  \
    {                                                                                              \
        (void)lanes;                                                                               \
        row_tile(y, x, w, row, filter, m, 1, VF_WIDTH);                                            \
    }
#define DEFINE_ROW_2(m)                                                                            \
    static void row_##m##x2(float *y, const float *x, const float *w,                              \
                            const struct nn_conv_row *row, int filter, int lanes)                  \
    {                                                                                              \
        (void)lanes;                                                                               \
        row_tile(y, x, w, row, filter, m, 2, VF_WIDTH);                                            \
    }
/* Filters that do not fill a vector: a classifier's last layer, a detector's heads. */
#define DEFINE_ROW_PARTIAL(m)                                                                      \
    static void row_##m##xpart(float *y, const float *x, const float *w,                           \
                               const struct nn_conv_row *row, int filter, int lanes)               \
    {                                                                                              \
        row_tile(y, x, w, row, filter, m, 1, lanes);                                               \
    }

#define UP_TO_6(X)  X(1) X(2) X(3) X(4) X(5) X(6)
#define UP_TO_8(X)  UP_TO_6(X) X(7) X(8)
#define UP_TO_12(X) UP_TO_8(X) X(9) X(10) X(11) X(12)
#define UP_TO_18(X) UP_TO_12(X) X(13) X(14) X(15) X(16) X(17) X(18)
#define UP_TO_24(X) UP_TO_18(X) X(19) X(20) X(21) X(22) X(23) X(24)

#define ROW_1(m)       row_##m##x1,
#define ROW_2(m)       row_##m##x2,
#define ROW_PARTIAL(m) row_##m##xpart,
#define GRADIENT_1(m)  gradient_##m##x1,
#define GRADIENT_2(m)  gradient_##m##x2,

#if VF_REGISTERS < 32
#define ALL_ROWS_1      UP_TO_12
#define ALL_ROWS_2      UP_TO_6
#define ALL_GRADIENTS_1 UP_TO_12
#define ALL_GRADIENTS_2 UP_TO_6
#else
#ifdef VF_LANES
#define ALL_ROWS_1 UP_TO_18
#define ALL_ROWS_2 UP_TO_8
#else
#define ALL_ROWS_1 UP_TO_24
#define ALL_ROWS_2 UP_TO_12
#endif
#define ALL_GRADIENTS_1 UP_TO_24
#define ALL_GRADIENTS_2 UP_TO_12
#endif
#ifdef VF_LANES
#define ALL_PARTIAL UP_TO_8
enum { TALL_PARTIAL = 8, WIDE_ROW_PARTIAL = 12 };
#else
#define ALL_PARTIAL UP_TO_6
enum { TALL_PARTIAL = 6, WIDE_ROW_PARTIAL = 12 };
#endif

ALL_ROWS_1(DEFINE_ROW)
ALL_ROWS_2(DEFINE_ROW_2)
UP_TO_12(DEFINE_ROW_PARTIAL)

static row_function *const ROWS_1[] = {ALL_ROWS_1(ROW_1)};
static row_function *const ROWS_2[] = {ALL_ROWS_2(ROW_2)};
static row_function *const ROWS_PARTIAL[] = {UP_TO_12(ROW_PARTIAL)};

/* Tiles of `width` filters: the functions for 1, 2 ... pixels, and how many pixels are the most. */
struct sweep {
    row_function *const *tiles;
    int widest, width;
};

/* Cuts the pixels into tiles of at most `widest`, as equal as can be. */
static void sweep_row(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                      const struct nn_epilogue *epilogue, struct sweep sweep, int filter)
{
    int count = (row->pixels + sweep.widest - 1) / sweep.widest, lanes = sweep.width % VF_WIDTH;
    bool unfinished = epilogue->bias || epilogue->residual || epilogue->scale || epilogue->relu ||
                      epilogue->scale_after;
    for (int i = 0, from = 0; i < count; i++) {
        int to = (int)((long)row->pixels * (i + 1) / count);
        float *tile = y + from * row->y_stride;
        const float *residual = epilogue->residual;
        if (residual) residual += from * row->y_stride;
        sweep.tiles[to - from - 1](tile, x + from * row->step, w, row, filter, lanes);
        if (unfinished) finish(tile, row, epilogue, residual, filter, sweep.width, to - from);
        from = to;
    }
}

static void conv_row(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                     const struct nn_epilogue *epilogue)
{
    static const struct sweep two = {ROWS_2, WIDE_2, 2 * VF_WIDTH},
                              one = {ROWS_1, WIDE_1, VF_WIDTH};
    int filter = 0;
    for (; filter + two.width <= row->filters; filter += two.width)
        sweep_row(y, x, w, row, epilogue, two, filter);
    for (; filter + one.width <= row->filters; filter += one.width)
        sweep_row(y, x, w, row, epilogue, one, filter);
    struct sweep rest = {ROWS_PARTIAL, WIDE_ROW_PARTIAL, row->filters - filter};
    if (rest.width) sweep_row(y, x, w, row, epilogue, rest, filter);
}

static void conv_finish(float *y, const struct nn_conv_row *row, const struct nn_epilogue *epilogue)
{
    finish(y, row, epilogue, epilogue->residual, 0, row->filters, row->pixels);
}

/* ---- gradient of the weights ----------------------------------------------------------------- */

INLINE void load_slopes(vf slope[2], const float *d, int v, int lanes)
{
    UNROLL
    for (int k = 0; k < v; k++)
        slope[k] = load_filters(d + k * VF_WIDTH, k + 1 < v ? VF_WIDTH : lanes);
}

#ifdef VF_LANES
/* A row of pixels: VF_WIDTH floats of a pixel are as many rows of dw; two loads at a time. */
INLINE void gradient_row(vf sum[24][2], const float *pixel, const float *d,
                         const struct nn_conv_row *row, int m, int v, int lanes)
{
    for (int left = row->pixels; left > 0; left--, pixel += row->step, d += row->y_stride) {
        vf slope[2], values[2];
        load_slopes(slope, d, v, lanes);
        UNROLL
        for (int i = 0; i < m; i++) {
            int rest = m - i;
            if (i % (2 * VF_WIDTH) == 0) {
                values[0] = load_filters(pixel + i, rest < VF_WIDTH ? rest : VF_WIDTH);
                rest -= VF_WIDTH;
                if (rest > 0)
                    values[1] =
                        load_filters(pixel + i + VF_WIDTH, rest < VF_WIDTH ? rest : VF_WIDTH);
            }
            UNROLL
            for (int k = 0; k < v; k++)
                sum[i][k] =
                    vf_fma_lane(values[i / VF_WIDTH % 2], i % VF_WIDTH, slope[k], sum[i][k]);
        }
    }
}
#else
/* A row of pixels. */
INLINE void gradient_row(vf sum[24][2], const float *pixel, const float *d,
                         const struct nn_conv_row *row, int m, int v, int lanes)
{
    for (int p = 0; p < row->pixels; p++, pixel += row->step, d += row->y_stride) {
        vf slope[2];
        load_slopes(slope, d, v, lanes);
        UNROLL
        for (int i = 0; i < m; i++) {
            vf value = vf_set1(pixel[i]);
            UNROLL
            for (int k = 0; k < v; k++) sum[i][k] = vf_fma(value, slope[k], sum[i][k]);
        }
    }
}
#endif

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
        gradient_row(sum, pixel, d, row, m, v, lanes);
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

ALL_GRADIENTS_1(DEFINE_GRADIENT)
ALL_GRADIENTS_2(DEFINE_GRADIENT_2)
ALL_PARTIAL(DEFINE_GRADIENT_PARTIAL)

static gradient_function *const GRADIENTS_1[] = {ALL_GRADIENTS_1(GRADIENT_1)};
static gradient_function *const GRADIENTS_2[] = {ALL_GRADIENTS_2(GRADIENT_2)};
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
#ifdef VF_LANES
            /* Whole loads. Pieces stay within `widest`, a multiple of VF_WIDTH. */
            if (i + 1 < count) last = (last + VF_WIDTH - 1) & -VF_WIDTH;
#endif
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
        sweep_gradient(dw + filter, x, dy + filter, gradient, GRADIENTS_2, TALL_2, VF_WIDTH);
    for (; filter + VF_WIDTH <= filters; filter += VF_WIDTH)
        sweep_gradient(dw + filter, x, dy + filter, gradient, GRADIENTS_1, TALL_1, VF_WIDTH);
    if (filter < filters)
        sweep_gradient(dw + filter, x, dy + filter, gradient, GRADIENTS_PARTIAL, TALL_PARTIAL,
                       filters - filter);
}

/* ---- products of matrices -------------------------------------------------------------------- */

/* Row p of x is a pixel with one run of `depth` floats. */
static struct nn_conv_row row_of_products(const struct nn_products *p, const ptrdiff_t *tap)
{
    return (struct nn_conv_row){.pixels = p->rows,
                                .filters = p->columns,
                                .taps = 1,
                                .length = p->depth,
                                .tap = tap,
                                .step = p->x_row,
                                .w_stride = p->w_row,
                                .y_stride = p->y_row,
                                .ahead = p->w_next};
}

static void sweep_products(float *y, const float *x, const float *w, const struct nn_products *p,
                           struct sweep sweep, int filter)
{
    static const ptrdiff_t start = 0;
    const struct nn_conv_row row = row_of_products(p, &start);
    int tiles = (p->rows + sweep.widest - 1) / sweep.widest, lanes = sweep.width % VF_WIDTH;
    int narrow = tiles ? p->rows / tiles : 0, wider = p->rows - narrow * tiles;
    for (int i = 0; i < p->count; i++, y += p->y_next, x += p->x_next, w += p->w_next)
        for (int t = 0, from = 0; t < tiles; t++) {
            int pixels = narrow + (t < wider);
            sweep.tiles[pixels - 1](y + from * p->y_row, x + from * p->x_row, w, &row, filter,
                                    lanes);
            from += pixels;
        }
}

static void products(float *y, const float *x, const float *w, const struct nn_products *p)
{
    static const struct sweep two = {ROWS_2, WIDE_2, 2 * VF_WIDTH},
                              one = {ROWS_1, WIDE_1, VF_WIDTH};
    int filter = 0;
    for (; filter + two.width <= p->columns; filter += two.width)
        sweep_products(y, x, w, p, two, filter);
    for (; filter + one.width <= p->columns; filter += one.width)
        sweep_products(y, x, w, p, one, filter);
    struct sweep rest = {ROWS_PARTIAL, WIDE_ROW_PARTIAL, p->columns - filter};
    if (rest.width) sweep_products(y, x, w, p, rest, filter);
}

static void product_gradients(float *dw, const float *x, const float *dy,
                              const struct nn_products *p)
{
    static const ptrdiff_t start = 0;
    struct nn_conv_gradient gradient = {.row = row_of_products(p, &start), .rows = 1};
    for (int i = 0; i < p->count; i++)
        conv_gradient(dw + i * p->w_next, x + i * p->x_next, dy + i * p->y_next, &gradient);
}

/* ---- transpose ------------------------------------------------------------------------------- */

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
    table->conv_finish = conv_finish;
    table->conv_gradient = conv_gradient;
    table->products = products;
    table->product_gradients = product_gradients;
    table->transpose = transpose;
}
