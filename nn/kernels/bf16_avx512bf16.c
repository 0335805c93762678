/*
 * bf16_avx512bf16.c — convolution in bfloat16 with AVX512-BF16: vdpbf16ps multiplies 16 pairs by 16
 * pairs and adds both products of each to a float.
 *
 * As in conv_simd.c, a tile of M pixels x V vectors of filters stays in registers. A pair of a
 * pixel's channels is broadcast to all filters; the weights lie as the instruction wants them.
 */
#include "nn/kernels/kernels.h"

#if defined(__AVX512BF16__)

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum { WIDTH = 16, PAIRS = NN_BF16_PANEL };
enum { WIDEST = 12 }; /* pixels of a tile: 24 sums, 2 vectors of weights, a pair in registers */

/* Two neighbours, or the last one alone: what lies behind it may be a NaN. */
INLINE __m512bh pair_of(const uint16_t *x, bool both)
{
    uint32_t pair = *x;
    if (both) memcpy(&pair, x, sizeof pair);
    return (__m512bh)_mm512_set1_epi32((int)pair);
}

INLINE void add_pair(__m512 sum[][2], const uint16_t *x, ptrdiff_t step, const uint16_t *w, int m,
                     int v, bool both)
{
    __m512bh weight[2];
    UNROLL
    for (int k = 0; k < v; k++) weight[k] = (__m512bh)_mm512_loadu_si512(w + k * 2 * WIDTH);
    UNROLL
    for (int i = 0; i < m; i++) {
        __m512bh pair = pair_of(x + i * step, both);
        UNROLL
        for (int k = 0; k < v; k++) sum[i][k] = _mm512_dpbf16_ps(sum[i][k], pair, weight[k]);
    }
}

/* m pixels from x on; v vectors of filters, the last of which has `mask`. */
INLINE void tile(float *y, const uint16_t *x, const uint16_t *w, const struct nn_conv_bf16 *conv,
                 __mmask16 mask, int m, int v)
{
    __m512 sum[WIDEST][2];
    UNROLL
    for (int i = 0; i < m; i++) {
        UNROLL
        for (int k = 0; k < v; k++) sum[i][k] = _mm512_setzero_ps();
    }
    for (int t = 0; t < conv->taps; t++) {
        const uint16_t *run = x + conv->tap[t];
        const uint16_t *weights = w + t * nn_bf16_depth(conv->length) * NN_BF16_PANEL;
        for (int j = 0; j + 2 <= conv->length; j += 2, run += 2, weights += 2 * PAIRS)
            add_pair(sum, run, conv->step, weights, m, v, true);
        if (conv->length % 2) add_pair(sum, run, conv->step, weights, m, v, false);
    }
    UNROLL
    for (int i = 0; i < m; i++) {
        UNROLL
        for (int k = 0; k + 1 < v; k++)
            _mm512_storeu_ps(y + i * conv->y_stride + k * WIDTH, sum[i][k]);
        _mm512_mask_storeu_ps(y + i * conv->y_stride + (v - 1) * WIDTH, mask, sum[i][v - 1]);
    }
}

typedef void tile_function(float *y, const uint16_t *x, const uint16_t *w,
                           const struct nn_conv_bf16 *conv, __mmask16 mask);

#define DEFINE_TILE(m, v)                                                                          \
    static void tile_##m##x##v(float *y, const uint16_t *x, const uint16_t *w,                     \
                               const struct nn_conv_bf16 *conv, __mmask16 mask)                    \
    {                                                                                              \
        tile(y, x, w, conv, mask, m, v);                                                           \
    }
#define TILE(m, v) tile_##m##x##v,
#define UP_TO_12(X, v)                                                                             \
    X(1, v)                                                                                        \
    X(2, v) X(3, v) X(4, v) X(5, v) X(6, v) X(7, v) X(8, v) X(9, v) X(10, v) X(11, v) X(12, v)

UP_TO_12(DEFINE_TILE, 1)
UP_TO_12(DEFINE_TILE, 2)
static tile_function *const TILES[2][WIDEST] = {{UP_TO_12(TILE, 1)}, {UP_TO_12(TILE, 2)}};

/* Each row is cut into tiles as equal as can be. */
static void conv_bf16(float *y, const uint16_t *x, const uint16_t *w,
                      const struct nn_conv_bf16 *conv)
{
    int vectors = conv->filters > WIDTH ? 2 : 1, tiles = (conv->pixels + WIDEST - 1) / WIDEST;
    __mmask16 mask = (__mmask16)((1u << (conv->filters - (vectors - 1) * WIDTH)) - 1);
    for (int r = 0; r < conv->rows; r++)
        for (int i = 0, from = 0; i < tiles; i++) {
            int to = (int)((long)conv->pixels * (i + 1) / tiles);
            TILES[vectors - 1][to - from - 1](y + r * conv->y_row + from * conv->y_stride,
                                              x + r * conv->x_row + from * conv->step, w, conv,
                                              mask);
            from = to;
        }
}

static void to_bf16(uint16_t *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i += WIDTH) {
        unsigned lanes = count - i < WIDTH ? (unsigned)(count - i) : WIDTH;
        __mmask16 mask = (__mmask16)((1u << lanes) - 1);
        __m256bh half = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + i));
        _mm256_mask_storeu_epi16(y + i, mask, (__m256i)half);
    }
}

void nn_bf16_avx512bf16(struct nn_kernels *table)
{
    table->to_bf16 = to_bf16;
    table->conv_bf16 = conv_bf16;
}

#endif
