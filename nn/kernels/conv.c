/*
 * conv.c — convolution's kernels, by definition.
 *
 * What is left of a convolution once somebody has padded the picture and counted the strides: for
 * each output pixel, a few runs of neighbouring floats, each float times a row of the weights.
 *
 *     y[p,k] = epilogue( sum over t, j of  x[p*step + tap[t] + j] * w[t*length + j, k] )
 *
 * The loops run with k inside, so that w and y are read as they lie in memory; each y[p,k] is
 * still summed in the order of (t, j).
 */
#include "nn/kernels/kernels.h"

static void add_product(float *y, float x, const float *w, int filters)
{
    for (int k = 0; k < filters; k++) y[k] += x * w[k];
}

static void apply_epilogue(float *y, const float *residual, int filters,
                           const struct nn_epilogue *epilogue)
{
    for (int k = 0; k < filters; k++) {
        float value = y[k];
        if (epilogue->bias) value += epilogue->bias[k];
        if (residual) value += residual[k];
        if (epilogue->scale) value = value * epilogue->scale[k] + epilogue->shift[k];
        if (epilogue->relu) value = 0.0f > value ? 0.0f : value; /* as in elementwise.c */
        if (epilogue->scale_after)
            value = value * epilogue->scale_after[k] + epilogue->shift_after[k];
        y[k] = value;
    }
}

static void conv_row(float *y, const float *x, const float *w, const struct nn_conv_row *row,
                     const struct nn_epilogue *epilogue)
{
    for (int p = 0; p < row->pixels; p++) {
        float *sum = y + p * row->y_stride;
        const float *residual = epilogue->residual;
        if (residual) residual += p * row->y_stride;
        for (int k = 0; k < row->filters; k++) sum[k] = 0.0f;
        for (int t = 0; t < row->taps; t++) {
            const float *run = x + p * row->step + row->tap[t];
            const float *weights = w + (ptrdiff_t)t * row->length * row->w_stride;
            for (int j = 0; j < row->length; j++)
                add_product(sum, run[j], weights + j * row->w_stride, row->filters);
        }
        apply_epilogue(sum, residual, row->filters, epilogue);
    }
}

static void conv_finish(float *y, const struct nn_conv_row *row, const struct nn_epilogue *epilogue)
{
    for (int p = 0; p < row->pixels; p++) {
        const float *residual = epilogue->residual;
        if (residual) residual += p * row->y_stride;
        apply_epilogue(y + p * row->y_stride, residual, row->filters, epilogue);
    }
}

/* dw[t,j,k] = sum over pixels of dy[p,k] * (the derivative of y[p,k] by w[t,j,k]): the x that this
 * weight was multiplied by. */
static void conv_gradient(float *dw, const float *x, const float *dy,
                          const struct nn_conv_gradient *gradient)
{
    const struct nn_conv_row *row = &gradient->row;
    for (int r = 0; r < gradient->rows; r++)
        for (int p = 0; p < row->pixels; p++) {
            const float *pixel = x + r * gradient->x_row + p * row->step;
            const float *slope = dy + r * gradient->dy_row + p * row->y_stride;
            for (int t = 0; t < row->taps; t++)
                for (int j = 0; j < row->length; j++) {
                    ptrdiff_t weight = (ptrdiff_t)t * row->length + j;
                    add_product(dw + weight * row->w_stride, pixel[row->tap[t] + j], slope,
                                row->filters);
                }
        }
}

static void products(float *y, const float *x, const float *w, const struct nn_products *p)
{
    for (int i = 0; i < p->count; i++, y += p->y_next, x += p->x_next, w += p->w_next)
        for (int r = 0; r < p->rows; r++) {
            float *sum = y + r * p->y_row;
            for (int k = 0; k < p->columns; k++) sum[k] = 0.0f;
            for (int j = 0; j < p->depth; j++)
                add_product(sum, x[r * p->x_row + j], w + j * p->w_row, p->columns);
        }
}

static void product_gradients(float *dw, const float *x, const float *dy,
                              const struct nn_products *p)
{
    for (int i = 0; i < p->count; i++, dw += p->w_next, x += p->x_next, dy += p->y_next)
        for (int r = 0; r < p->rows; r++)
            for (int j = 0; j < p->depth; j++)
                add_product(dw + j * p->w_row, x[r * p->x_row + j], dy + r * p->y_row, p->columns);
}

static void transpose(float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t from_stride,
                      int rows, int columns)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) to[c * to_stride + r] = from[r * from_stride + c];
}

void nn_conv_scalar(struct nn_kernels *table)
{
    table->conv_row = conv_row;
    table->conv_finish = conv_finish;
    table->conv_gradient = conv_gradient;
    table->products = products;
    table->product_gradients = product_gradients;
    table->transpose = transpose;
}
