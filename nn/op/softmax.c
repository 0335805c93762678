/*
 * softmax.c — y[r,k] = exp(x[r,k]) / sum_j exp(x[r,j]) over the last axis; y has x's shape.
 *
 * The largest x of a row is subtracted first: it cancels in the quotient, and no exponential can
 * overflow.
 *
 * Gradient: dy_j/dx_k = y_j ((j == k) - y_k), so with s = sum_j dy_j y_j
 *
 *     dx_k = sum_j dy_j y_j ((j == k) - y_k) = y_k (dy_k - s)
 */
#include "nn/op/op.h"

#include <math.h>

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_row(node);
    return status ? status : nn_op_infer_same(node);
}

static size_t grain(const struct nn_step *step)
{
    return 1 + NN_GRAIN / 16 / (size_t)nn_channels(step->node);
}

static void forward_rows(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node);
    for (size_t r = from; r < to; r++) {
        const float *x = step->x[0] + r * channels;
        float *y = step->y + r * channels;
        float largest = x[0];
        for (size_t k = 1; k < channels; k++)
            if (x[k] > largest) largest = x[k];
        double sum = 0.0;
        for (size_t k = 0; k < channels; k++)
            sum += y[k] = x[k] == largest ? 1.0f : expf(x[k] - largest); /* exp(0): 1 of 2 */
        float scale = (float)(1.0 / sum);
        for (size_t k = 0; k < channels; k++) y[k] *= scale;
    }
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_rows(step->node, step->run->images), grain(step), forward_rows);
}

static void backward_rows(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node);
    for (size_t r = from; r < to; r++) {
        const float *y = step->y + r * channels, *dy = step->dy + r * channels;
        float *dx = step->dx[0] + r * channels;
        double sum = 0.0;
        for (size_t k = 0; k < channels; k++) sum += (double)dy[k] * y[k];
        for (size_t k = 0; k < channels; k++) dx[k] = (float)(y[k] * (dy[k] - sum));
    }
}

static void backward(struct nn_step *step)
{
    nn_step_ranges(step, nn_rows(step->node, step->run->images), grain(step), backward_rows);
}

const struct nn_op nn_op_softmax = {
    .name = "softmax",
    .title = "Activation",
    .stem = "softmax",
    .inputs_min = 1,
    .inputs_max = 1,
    .bwd_reads = NN_READS_Y,
    .inplace = true,
    .inplace_backward = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_softmax(struct nn_node *x)
{
    return nn_append(&nn_op_softmax, &x, 1, NULL);
}
