/*
 * relu.c — the rectifier: y = max(x, 0), element by element; y has x's shape.
 *
 * Gradient: dy/dx is 1 for x > 0 and 0 for x < 0; at 0, where there is none, 0 by custom. Since
 * y > 0 exactly where x > 0, backward needs only y, and x may be overwritten:
 *
 *     dx = dy * (y > 0)
 */
#include "nn/op/op.h"

static void forward_range(const struct nn_step *step, size_t from, size_t to)
{
    step->kernels->relu(step->y + from, step->x[0] + from, to - from);
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, forward_range);
}

static void backward_range(const struct nn_step *step, size_t from, size_t to)
{
    step->kernels->relu_backward(step->dx[0] + from, step->y + from, step->dy + from, to - from);
}

static void backward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, backward_range);
}

const struct nn_op nn_op_relu = {
    .name = "relu",
    .title = "Activation",
    .stem = "activation",
    .inputs_min = 1,
    .inputs_max = 1,
    .bwd_reads = NN_READS_Y,
    .inplace = true,
    .inplace_backward = true,
    .relu = true,
    .infer = nn_op_infer_same,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_relu(struct nn_node *x)
{
    return nn_append(&nn_op_relu, &x, 1, NULL);
}
