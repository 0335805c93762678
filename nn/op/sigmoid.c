/*
 * sigmoid.c — y = 1 / (1 + exp(-x)), element by element; y has x's shape.
 *
 * Gradient: y' = exp(-x) / (1 + exp(-x))^2 = y (1 - y), so
 *
 *     dx = dy * y * (1 - y)
 *
 * exp(-x) overflows to infinity below x = -88, and 1 / infinity is the right answer, 0.
 */
#include "nn/op/op.h"

#include <math.h>

enum { GRAIN = NN_GRAIN / 16 }; /* an exponential costs some dozen simple operations */

static void forward_range(const struct nn_step *step, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) step->y[i] = 1.0f / (1.0f + expf(-step->x[0][i]));
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), GRAIN, forward_range);
}

static void backward_range(const struct nn_step *step, size_t from, size_t to)
{
    const float *y = step->y;
    for (size_t i = from; i < to; i++) step->dx[0][i] = step->dy[i] * y[i] * (1.0f - y[i]);
}

static void backward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, backward_range);
}

const struct nn_op nn_op_sigmoid = {
    .name = "sigmoid",
    .title = "Activation",
    .stem = "sigmoid",
    .inputs_min = 1,
    .inputs_max = 1,
    .bwd_reads = NN_READS_Y,
    .inplace = true,
    .inplace_backward = true,
    .infer = nn_op_infer_same,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_sigmoid(struct nn_node *x)
{
    return nn_append(&nn_op_sigmoid, &x, 1, NULL);
}
