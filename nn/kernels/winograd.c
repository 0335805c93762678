/*
 * winograd.c — the transforms of Winograd's F(4x4, 3x3), by definition.
 *
 * A 4x4 tile of outputs of a 3x3 convolution needs a 6x6 tile of inputs and, done plainly, 144
 * multiplications per pair of channel and filter. Winograd (1980) finds polynomials that need 36:
 *
 *     y = A' [ (G w G') . (B' d B) ] A        . element by element, ' transposed
 *
 * with A', B', G as below (interpolation points 0, 1, -1, 2, -2, infinity). Lavin & Gray, "Fast
 * Algorithms for Convolutional Neural Networks", 2015, section 4.3. All of it is linear, so the
 * gradient of the weights goes the same way back: with dm = A dy A',
 *
 *     dw = G' [ dm . (B' d B) ] G             summed over the tiles between the brackets
 *
 * Additions cost rounding: results are some ten times less exact than plain sums, around 1e-6 of
 * the largest value.
 */
#include "nn/kernels/kernels.h"

enum { IN = 6, OUT = 4, WINDOW = 3 };

/* Rows of 6 numbers, from 3, 4 or 6. */
static const float G[IN * WINDOW] = {1.0f / 4,  0,         0,         -1.0f / 6,  -1.0f / 6,
                                     -1.0f / 6, -1.0f / 6, 1.0f / 6,  -1.0f / 6,  1.0f / 24,
                                     1.0f / 12, 1.0f / 6,  1.0f / 24, -1.0f / 12, 1.0f / 6,
                                     0,         0,         1};
static const float BT[IN * IN] = {4, 0,  -5, 0, 1, 0, 0, -4, -4, 1,  1, 0, 0, 4, -4, -1, 1, 0,
                                  0, -2, -1, 2, 1, 0, 0, 2,  -1, -2, 1, 0, 0, 4, 0,  -5, 0, 1};
static const float AT[OUT * IN] = {1, 1, 1, 1, 1, 0, 0, 1, -1, 2, -2, 0,
                                   0, 1, 1, 4, 4, 0, 0, 1, -1, 8, -8, 1};

/* A matrix [rows, columns], or its transpose. */
struct matrix {
    const float *values;
    int rows, columns;
    bool transposed;
};

static float at(const struct matrix *m, int i, int j)
{
    return m->transposed ? m->values[j * m->rows + i] : m->values[i * m->columns + j];
}

/* to = m from m', square ones: to[i][j] = sum over a, b of m[i][a] from[a][b] m[j][b] */
static void both_sides(float to[IN][IN], const struct matrix *m, float from[IN][IN])
{
    float half[IN][IN];
    for (int i = 0; i < m->rows; i++)
        for (int b = 0; b < m->columns; b++) {
            half[i][b] = 0.0f;
            for (int a = 0; a < m->columns; a++) half[i][b] += at(m, i, a) * from[a][b];
        }
    for (int i = 0; i < m->rows; i++)
        for (int j = 0; j < m->rows; j++) {
            to[i][j] = 0.0f;
            for (int b = 0; b < m->columns; b++) to[i][j] += half[i][b] * at(m, j, b);
        }
}

static void read_tile(float to[IN][IN], const float *from, const struct nn_tile *tile)
{
    for (int i = 0; i < IN; i++)
        for (int j = 0; j < IN; j++) to[i][j] = 0.0f;
    for (int i = tile->top; i < tile->bottom; i++)
        for (int j = tile->left; j < tile->right; j++)
            to[i][j] = from[(i - tile->top) * tile->row + (j - tile->left) * tile->pixel];
}

/* `size` x `size` numbers, row by row, `stride` floats from one to the next. */
static void read_rows(float to[IN][IN], const float *from, ptrdiff_t stride, int size)
{
    for (int i = 0; i < size * size; i++) to[i / size][i % size] = from[i * stride];
}
static void write_rows(float *to, ptrdiff_t stride, float from[IN][IN], int size)
{
    for (int i = 0; i < size * size; i++) to[i * stride] = from[i / size][i % size];
}

static void winograd_weights(float *u, ptrdiff_t u_stride, const float *w, ptrdiff_t w_stride,
                             int filters)
{
    static const struct matrix g = {G, IN, WINDOW, false};
    for (int k = 0; k < filters; k++) {
        float d[IN][IN], t[IN][IN];
        read_rows(d, w + k, w_stride, WINDOW);
        both_sides(t, &g, d);
        write_rows(u + k, u_stride, t, IN);
    }
}

static void winograd_input(float *v, ptrdiff_t v_stride, const float *x, const struct nn_tile *tile,
                           int channels, const float *affine)
{
    static const struct matrix b = {BT, IN, IN, false};
    for (int c = 0; c < channels; c++) {
        float d[IN][IN], t[IN][IN];
        read_tile(d, x + c, tile);
        for (int i = tile->top; affine && i < tile->bottom; i++)
            for (int j = tile->left; j < tile->right; j++)
                d[i][j] = d[i][j] * affine[c] + affine[channels + c];
        both_sides(t, &b, d);
        write_rows(v + c, v_stride, t, IN);
    }
}

static float finish(float value, const struct nn_epilogue *e, ptrdiff_t at_y, int k)
{
    if (e->bias) value += e->bias[k];
    if (e->residual) value += e->residual[at_y];
    if (e->scale) value = value * e->scale[k] + e->shift[k];
    if (e->relu) value = 0.0f > value ? 0.0f : value; /* as in elementwise.c */
    if (e->scale_after) value = value * e->scale_after[k] + e->shift_after[k];
    return value;
}

/* Of the 2x2 from row i and column j on, as max_window finds it. */
static float largest(float t[IN][IN], int i, int j, const struct nn_epilogue *epilogue, int k)
{
    float best = finish(t[i][j], epilogue, 0, k);
    for (int at = 1; at < 4; at++) {
        float value = finish(t[i + at / 2][j + at % 2], epilogue, 0, k);
        if (value > best) best = value;
    }
    return best;
}

static void winograd_output(float *y, const struct nn_tile *tile, const float *m,
                            ptrdiff_t m_stride, int filters, const struct nn_epilogue *epilogue)
{
    static const struct matrix a = {AT, OUT, IN, false};
    for (int k = 0; k < filters; k++) {
        float d[IN][IN], t[IN][IN];
        read_rows(d, m + k, m_stride, IN);
        both_sides(t, &a, d);
        for (int i = tile->top; i < tile->bottom; i++)
            for (int j = tile->left; j < tile->right; j++) {
                ptrdiff_t to = (i - tile->top) * tile->row + (j - tile->left) * tile->pixel + k;
                y[to] = epilogue->pool ? largest(t, 2 * i, 2 * j, epilogue, k)
                                       : finish(t[i][j], epilogue, to, k);
            }
    }
}

static void winograd_slopes(float *s, ptrdiff_t s_stride, const float *dy,
                            const struct nn_tile *tile, int filters)
{
    static const struct matrix a = {AT, IN, OUT, true};
    for (int k = 0; k < filters; k++) {
        float d[IN][IN], t[IN][IN];
        read_tile(d, dy + k, tile);
        both_sides(t, &a, d);
        write_rows(s + k, s_stride, t, IN);
    }
}

static void winograd_weight_gradient(float *dw, ptrdiff_t dw_stride, const float *du,
                                     ptrdiff_t du_stride, int filters)
{
    static const struct matrix g = {G, WINDOW, IN, true};
    for (int k = 0; k < filters; k++) {
        float d[IN][IN], t[IN][IN];
        read_rows(d, du + k, du_stride, IN);
        both_sides(t, &g, d);
        write_rows(dw + k, dw_stride, t, WINDOW);
    }
}

void nn_winograd_scalar(struct nn_kernels *table)
{
    table->winograd_weights = winograd_weights;
    table->winograd_input = winograd_input;
    table->winograd_output = winograd_output;
    table->winograd_slopes = winograd_slopes;
    table->winograd_weight_gradient = winograd_weight_gradient;
}
