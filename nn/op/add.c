/*
 * add.c — y = a + b, element by element; all three of one shape.
 *
 * Gradient: da = db = dy. da may be dy's own memory, so db is written first.
 */
#include "nn/op/op.h"

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_equal(node);
    return status ? status : nn_op_infer_same(node);
}

static void forward_range(const struct nn_step *step, size_t from, size_t to)
{
    step->kernels->add(step->y + from, step->x[0] + from, step->x[1] + from, to - from);
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, forward_range);
}

static void backward(struct nn_step *step)
{
    if (step->dx[1]) nn_op_copy(step, step->dx[1], step->dy);
    if (step->dx[0]) nn_op_copy(step, step->dx[0], step->dy);
}

const struct nn_op nn_op_add = {
    .name = "add",
    .title = "Add",
    .stem = "add",
    .inputs_min = 2,
    .inputs_max = 2,
    .adds = true,
    .inplace = true,
    .inplace_backward = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_add(struct nn_node *a, struct nn_node *b)
{
    struct nn_node *inputs[] = {a, b};
    return nn_append(&nn_op_add, inputs, 2, NULL);
}
