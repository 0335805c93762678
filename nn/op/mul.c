/*
 * mul.c — y = a * b, element by element; all three of one shape.
 *
 * Gradient: da = dy * b, db = dy * a. da may be dy's own memory, so db is written first.
 */
#include "nn/op/op.h"

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_equal(node);
    return status ? status : nn_op_infer_same(node);
}

static void forward_range(const struct nn_step *step, size_t from, size_t to)
{
    step->kernels->mul(step->y + from, step->x[0] + from, step->x[1] + from, to - from);
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, forward_range);
}

static void backward_range(const struct nn_step *step, size_t from, size_t to)
{
    const float *a = step->x[0] + from, *b = step->x[1] + from, *dy = step->dy + from;
    if (step->dx[1]) step->kernels->mul(step->dx[1] + from, dy, a, to - from);
    if (step->dx[0]) step->kernels->mul(step->dx[0] + from, dy, b, to - from);
}

static void backward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, backward_range);
}

const struct nn_op nn_op_mul = {
    .name = "mul",
    .title = "Multiply",
    .stem = "multiply",
    .inputs_min = 2,
    .inputs_max = 2,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .inplace = true,
    .inplace_backward = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_mul(struct nn_node *a, struct nn_node *b)
{
    struct nn_node *inputs[] = {a, b};
    return nn_append(&nn_op_mul, inputs, 2, NULL);
}
