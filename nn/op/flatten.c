/*
 * flatten.c — each image as one row: x [N,H,W,C], y [N,HWC] (any x of two or more dimensions).
 * Nothing moves; see reshape.c.
 *
 * Gradient: dx = dy under x's shape.
 */
#include "nn/op/op.h"

static enum nn_status infer(struct nn_node *node)
{
    const struct nn_shape *x = &node->input[0]->shape;
    if (x->rank < 2) {
        char text[64];
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "flatten '%s': expected an input of 2 or more dimensions, got %s",
                             node->name, nn_shape_text(text, *x));
    }
    int length = 1; /* no overflow: all of x has less than 2^31 numbers */
    for (int i = 1; i < x->rank; i++) length *= x->dim[i];
    node->shape = nn_shape2(x->dim[0], length);
    return NN_OK;
}

static void forward(struct nn_step *step)
{
    nn_op_copy(step, step->y, step->x[0]);
}

static void backward(struct nn_step *step)
{
    nn_op_copy(step, step->dx[0], step->dy);
}

const struct nn_op nn_op_flatten = {
    .name = "flatten",
    .title = "Flatten",
    .stem = "flatten",
    .inputs_min = 1,
    .inputs_max = 1,
    .inplace = true,
    .inplace_backward = true,
    .view = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_flatten(struct nn_node *x)
{
    return nn_append(&nn_op_flatten, &x, 1, NULL);
}
