/*
 * channel.c — sums over pixels and maps per channel, by definition.
 *
 * A tensor [N,H,W,C] is looked at as rows (one per pixel) of `channels` floats: what batch
 * normalisation, biases and per-channel scales need.
 */
#include "nn/kernels/kernels.h"

static void scale_shift(float *y, const float *x, const float *scale, const float *shift,
                        size_t rows, int channels)
{
    for (size_t r = 0; r < rows; r++, x += channels, y += channels)
        for (int c = 0; c < channels; c++) y[c] = x[c] * scale[c] + shift[c];
}

static void channel_sum(float *sum, const float *x, size_t rows, int channels)
{
    for (int c = 0; c < channels; c++) sum[c] = 0.0f;
    for (size_t r = 0; r < rows; r++, x += channels)
        for (int c = 0; c < channels; c++) sum[c] += x[c];
}

/* Of the differences, not of x^2 minus mean^2: that would cancel where |mean| >> deviation. */
static void channel_square_sum(float *sum, const float *x, const float *mean, size_t rows,
                               int channels)
{
    for (int c = 0; c < channels; c++) sum[c] = 0.0f;
    for (size_t r = 0; r < rows; r++, x += channels)
        for (int c = 0; c < channels; c++) {
            float difference = x[c] - mean[c];
            sum[c] += difference * difference;
        }
}

static void channel_products(float *sum, float *product, const float *dy, const float *x,
                             const float *mean, size_t rows, int channels)
{
    for (int c = 0; c < channels; c++) sum[c] = product[c] = 0.0f;
    for (size_t r = 0; r < rows; r++, dy += channels, x += channels)
        for (int c = 0; c < channels; c++) {
            sum[c] += dy[c];
            product[c] += dy[c] * (mean ? x[c] - mean[c] : x[c]);
        }
}

static void batch_norm_backward(float *dx, const float *dy, const float *x, const float *const *abd,
                                bool relu, size_t rows, int channels)
{
    const float *a = abd[0], *b = abd[1], *d = abd[2];
    for (size_t r = 0; r < rows; r++, dx += channels, dy += channels, x += channels)
        for (int c = 0; c < channels; c++) {
            float value = a[c] * dy[c] + (b[c] * x[c] + d[c]);
            dx[c] = relu && !(x[c] > 0.0f) ? 0.0f : value;
        }
}

void nn_channel_scalar(struct nn_kernels *table)
{
    table->scale_shift = scale_shift;
    table->channel_sum = channel_sum;
    table->channel_square_sum = channel_square_sum;
    table->channel_products = channel_products;
    table->batch_norm_backward = batch_norm_backward;
}
