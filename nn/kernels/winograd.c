/*
 * winograd.c — the transforms of Winograd's F(4x4, 3x3), by definition.
 *
 * A 4x4 tile of outputs of a 3x3 convolution needs a 6x6 tile of inputs and, done plainly, 144
 * multiplications per pair of channel and filter. Winograd (1980) finds polynomials that need 36:
 *
 *     y = A' [ (G w G') . (B' d B) ] A        . element by element, ' transposed
 *
 * with B', A' as below (interpolation points 0, 1, -1, 2, -2, infinity). Lavin & Gray, "Fast
 * Algorithms for Convolutional Neural Networks", 2015, section 4.3. Additions cost rounding:
 * results are some ten times less exact than plain sums, around 1e-6 of the largest value.
 */
#include "nn/kernels/kernels.h"

static const float B[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                              {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const float A[4][6] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

/* to[i][j] = sum over a, b of left[i][a] from[a][b] left[j][b], for `rows` x `rows` of them. */
static void both_sides(float to[6][6], float from[6][6], const float left[][6], int rows)
{
    float half[6][6];
    for (int i = 0; i < rows; i++)
        for (int b = 0; b < 6; b++) {
            half[i][b] = 0.0f;
            for (int a = 0; a < 6; a++) half[i][b] += left[i][a] * from[a][b];
        }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < rows; j++) {
            to[i][j] = 0.0f;
            for (int b = 0; b < 6; b++) to[i][j] += half[i][b] * left[j][b];
        }
}

static void winograd_input(float *v, ptrdiff_t v_stride, const float *x, ptrdiff_t x_row,
                           ptrdiff_t x_pixel, int channels)
{
    for (int c = 0; c < channels; c++) {
        float d[6][6], t[6][6];
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 6; j++) d[i][j] = x[i * x_row + j * x_pixel + c];
        both_sides(t, d, B, 6);
        for (int i = 0; i < 36; i++) v[i * v_stride + c] = t[i / 6][i % 6];
    }
}

static void winograd_output(float *y, ptrdiff_t y_row, ptrdiff_t y_pixel, const float *m,
                            ptrdiff_t m_stride, int filters)
{
    for (int k = 0; k < filters; k++) {
        float d[6][6], t[6][6];
        for (int i = 0; i < 36; i++) d[i / 6][i % 6] = m[i * m_stride + k];
        both_sides(t, d, A, 4);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) y[i * y_row + j * y_pixel + k] = t[i][j];
    }
}

void nn_winograd_scalar(struct nn_kernels *table)
{
    table->winograd_input = winograd_input;
    table->winograd_output = winograd_output;
}
