/*
 * bf16.c — convolution in bfloat16, by definition.
 *
 * A bfloat16 is the upper half of a float: its sign, its exponent, and 8 of its 24 bits of
 * precision. The product of two of them is exact in a float, and is added to a float: only the
 * inputs are coarser than in conv.c.
 *
 * Denormal numbers (below 1.2e-38) may count as zeros, before and after: the hardware's
 * instructions take them so.
 */
#include "nn/kernels/kernels.h"

#include <string.h>

static float widen(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To the nearest, ties to the even one: a carry out of the lower half may run up into infinity. A
 * NaN stays one, with its sign: the highest bit of its fraction is set. */
static uint16_t narrow(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t exponent = bits & 0x7f800000u, fraction = bits & 0x007fffffu;
    if (exponent == 0) return (uint16_t)(bits >> 16 & 0x8000u);
    if (exponent == 0x7f800000u && fraction) return (uint16_t)(bits >> 16 | 0x0040u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static void to_bf16(uint16_t *y, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) y[i] = narrow(x[i]);
}

static void add_run(float *sum, const uint16_t *x, const uint16_t *w, int length, int filters)
{
    for (int j = 0; j < length; j++) {
        const uint16_t *row = w + (ptrdiff_t)(j / 2) * 2 * NN_BF16_PANEL + j % 2;
        for (int k = 0; k < filters; k++) sum[k] += widen(x[j]) * widen(row[2 * k]);
    }
}

static void conv_bf16(float *y, const uint16_t *x, const uint16_t *w,
                      const struct nn_conv_bf16 *conv)
{
    ptrdiff_t depth = nn_bf16_depth(conv->length);
    for (int r = 0; r < conv->rows; r++)
        for (int p = 0; p < conv->pixels; p++) {
            const uint16_t *pixel = x + r * conv->x_row + p * conv->step;
            float *sum = y + r * conv->y_row + p * conv->y_stride;
            for (int k = 0; k < conv->filters; k++) sum[k] = 0.0f;
            for (int t = 0; t < conv->taps; t++)
                add_run(sum, pixel + conv->tap[t], w + t * depth * NN_BF16_PANEL, conv->length,
                        conv->filters);
        }
}

void nn_bf16_scalar(struct nn_kernels *table)
{
    table->to_bf16 = to_bf16;
    table->conv_bf16 = conv_bf16;
}
