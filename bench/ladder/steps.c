/*
 * steps.c — the first steps, in plain C: what a loop order and a tile are worth when
 * nothing else changes. docs/kernels.md tells the story.
 *
 * Compiled once per level, with its instructions, -O3, and -ffp-contract=fast: here the compiler
 * may make one rounding of a * b + c, as the kernels do by name. A vector is a type of GCC and
 * clang, `lanes` floats that are added and multiplied like one.
 */
#include "bench/ladder/steps.h"

#define INLINE static inline __attribute__((always_inline))
/* Whole, or the sums are no registers. Clang knows GCC's word and does not heed it here. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(NN_LEVEL_scalar)
#define STEPS convolution_steps_scalar
#define LEVEL "scalar"
enum { LANES = 1, REGISTERS = 16 };
#elif defined(NN_LEVEL_sse)
#define STEPS convolution_steps_sse
#define LEVEL "sse"
enum { LANES = 4, REGISTERS = 16 };
#elif defined(NN_LEVEL_avx2)
#define STEPS convolution_steps_avx2
#define LEVEL "avx2"
enum { LANES = 8, REGISTERS = 16 };
#elif defined(NN_LEVEL_avx512)
#define STEPS convolution_steps_avx512
#define LEVEL "avx512"
enum { LANES = 16, REGISTERS = 32 };
#elif defined(NN_LEVEL_neon)
#define STEPS convolution_steps_neon
#define LEVEL "neon"
enum { LANES = 4, REGISTERS = 32 };
#else
#error "steps.c: compile with -DNN_LEVEL_scalar, _sse, _avx2 ... (the Makefile does)"
#endif

/* Lies anywhere, and over floats. */
#if defined(NN_LEVEL_scalar)
typedef float vector;
#else
typedef float vector __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
#endif

/* ---- 1: as the formula stands ---------------------------------------------------------------- */

/* y[k,p,q] = sum over c, r, s of x[c, p+r-1, q+s-1] w[k,c,r,s]: one sum, each product waits. */
static float one_output(const float *x, const float *w, const struct layer *layer, int p, int q)
{
    float sum = 0.0f;
    for (int c = 0; c < layer->channels; c++)
        for (int r = 0; r < 3; r++)
            for (int s = 0; s < 3; s++) {
                int h = p + r - 1, column = q + s - 1;
                if (h < 0 || h >= layer->height || column < 0 || column >= layer->width) continue;
                sum += x[((ptrdiff_t)c * layer->height + h) * layer->width + column] *
                       w[(c * 3 + r) * 3 + s];
            }
    return sum;
}

static void six_loops(float *y, const float *x, const float *w, const struct layer *layer)
{
    ptrdiff_t picture = (ptrdiff_t)layer->channels * layer->height * layer->width;
    for (int n = 0; n < layer->images; n++)
        for (int k = 0; k < layer->filters; k++)
            for (int p = 0; p < layer->height; p++)
                for (int q = 0; q < layer->width; q++)
                    *y++ = one_output(x + n * picture, w + (ptrdiff_t)k * layer->channels * 9,
                                      layer, p, q);
}

/* ---- 2: filters inside ----------------------------------------------------------------------- */

/* The compiler makes vectors of this: y and w are read and y is written as they lie. */
INLINE void add_product(float *restrict y, float x, const float *restrict w, int filters)
{
    for (int k = 0; k < filters; k++) y[k] += x * w[k];
}

INLINE void clear(float *y, int filters)
{
    for (int k = 0; k < filters; k++) y[k] = 0.0f;
}

static void one_pixel(float *y, const float *x, const float *w, const struct layer *layer, int p,
                      int q)
{
    int channels = layer->channels, filters = layer->filters;
    clear(y, filters);
    for (int r = 0; r < 3; r++)
        for (int s = 0; s < 3; s++) {
            int h = p + r - 1, column = q + s - 1;
            if (h < 0 || h >= layer->height || column < 0 || column >= layer->width) continue;
            const float *pixel = x + ((ptrdiff_t)h * layer->width + column) * channels;
            const float *weights = w + (ptrdiff_t)(r * 3 + s) * channels * filters;
            for (int c = 0; c < channels; c++)
                add_product(y, pixel[c], weights + (ptrdiff_t)c * filters, filters);
        }
}

static void filters_inside(float *y, const float *x, const float *w, const struct layer *layer)
{
    ptrdiff_t picture = (ptrdiff_t)layer->height * layer->width * layer->channels;
    for (int n = 0; n < layer->images; n++)
        for (int p = 0; p < layer->height; p++)
            for (int q = 0; q < layer->width; q++, y += layer->filters)
                one_pixel(y, x + n * picture, w, layer, p, q);
}

/* ---- 3: zeros around the picture: a window is three runs of 3 C floats ----------------------- */

static void padded(float *y, const float *x, const float *w, const struct layer *layer)
{
    int filters = layer->filters, run = 3 * layer->channels;
    ptrdiff_t row = (ptrdiff_t)(layer->width + 2) * layer->channels;
    for (int p = 0; p < layer->height; p++)
        for (int q = 0; q < layer->width; q++, y += filters) {
            const float *window = x + p * row + (ptrdiff_t)q * layer->channels;
            clear(y, filters);
            for (int r = 0; r < 3; r++)
                for (int j = 0; j < run; j++)
                    add_product(y, window[r * row + j], w + (ptrdiff_t)(r * run + j) * filters,
                                filters);
        }
}

/* ---- 4: a tile of m pixels x v vectors of filters stays in registers ------------------------- */

INLINE void tile(float *y, const float *x, const float *w, const struct tile_place *place, int m,
                 int v)
{
    vector sum[MOST_PIXELS][MOST_VECTORS], none = {0};
    ptrdiff_t step = place->channels;
    UNROLL
    for (int i = 0; i < m; i++) {
        UNROLL
        for (int k = 0; k < v; k++) sum[i][k] = none;
    }
    for (int r = 0; r < 3; r++) {
        const float *from = x + r * place->row;
        for (int j = 0; j < 3 * place->channels; j++, from++, w += place->filters) {
            vector weight[MOST_VECTORS];
            UNROLL
            for (int k = 0; k < v; k++) weight[k] = *(const vector *)(w + k * LANES);
            UNROLL
            for (int i = 0; i < m; i++) {
                UNROLL
                for (int k = 0; k < v; k++) sum[i][k] += from[i * step] * weight[k];
            }
        }
    }
    UNROLL
    for (int i = 0; i < m; i++) {
        UNROLL
        for (int k = 0; k < v; k++)
            *(vector *)(y + (ptrdiff_t)i * place->filters + k * LANES) = sum[i][k];
    }
}

#define DEFINE(m, v)                                                                               \
    static void tile_##m##x##v(float *y, const float *x, const float *w,                           \
                               const struct tile_place *place)                                     \
    {                                                                                              \
        tile(y, x, w, place, m, v);                                                                \
    }
#define ROW(m, v) [v][m] = tile_##m##x##v,

/* Pixels x vectors: what fits the registers, and some that do not. */
#define ONE(X)                                                                                     \
    X(1, 1) X(2, 1) X(4, 1) X(6, 1) X(8, 1) X(12, 1) X(14, 1) X(16, 1) X(20, 1) X(24, 1) X(28, 1)
#define TWO(X)   X(1, 2) X(2, 2) X(4, 2) X(6, 2) X(8, 2) X(10, 2) X(12, 2) X(14, 2) X(16, 2)
#define THREE(X) X(1, 3) X(2, 3) X(4, 3) X(6, 3) X(8, 3)
#define FOUR(X)  X(1, 4) X(2, 4) X(4, 4) X(6, 4) X(8, 4)

ONE(DEFINE)
TWO(DEFINE)
THREE(DEFINE)
FOUR(DEFINE)

const struct convolution_steps STEPS = {
    .level = LEVEL,
    .lanes = LANES,
    .registers = REGISTERS,
    .six_loops = six_loops,
    .filters_inside = filters_inside,
    .padded = padded,
    .tile = {ONE(ROW) TWO(ROW) THREE(ROW) FOUR(ROW)},
};
