/*
 * reshape.c — the same numbers under another shape. The first dimension, the images, stays; one
 * of the others may be -1, "the rest". Rows are contiguous, so nothing moves: the plan lets y be
 * x's memory where nobody else needs the two apart, and else they are copied.
 *
 * Gradient: dx = dy under x's shape.
 */
#include "nn/op/op.h"

struct attributes {
    struct nn_shape shape;
};

static const struct nn_field FIELDS[] = {
    {"shape", NN_FIELD_SHAPE, offsetof(struct attributes, shape)},
    {NULL, NN_FIELD_INT, 0},
};

/* Fills in the -1; false when the shapes do not hold the same numbers. */
static bool resolve(struct nn_shape *shape, const struct nn_shape *x)
{
    if (shape->rank < 1 || shape->rank > NN_MAX_RANK || shape->dim[0] != x->dim[0]) return false;
    size_t wanted = nn_shape_count(*x), known = 1;
    if (x->dim[0] != NN_BATCH) known = (size_t)x->dim[0];
    int rest = 0; /* the axis of the -1 */
    for (int i = 1; i < shape->rank; i++) {
        if (shape->dim[i] == -1 && !rest)
            rest = i;
        else if (shape->dim[i] < 1 || !nn_size_multiply(&known, known, (size_t)shape->dim[i]))
            return false;
    }
    if (!rest) return known == wanted;
    if (wanted % known) return false;
    shape->dim[rest] = (int)(wanted / known);
    return true;
}

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    struct nn_shape shape = attributes->shape;
    if (!resolve(&shape, &node->input[0]->shape)) {
        char from[64], to[64] = "a shape of no valid rank";
        if (shape.rank >= 1 && shape.rank <= NN_MAX_RANK) nn_shape_text(to, shape);
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "reshape '%s': expected a shape with the images and numbers of %s, "
                             "got %s",
                             node->name, nn_shape_text(from, node->input[0]->shape), to);
    }
    node->shape = shape;
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

const struct nn_op nn_op_reshape = {
    .name = "reshape",
    .title = "Reshape",
    .stem = "reshape",
    .inputs_min = 1,
    .inputs_max = 1,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .inplace = true,
    .inplace_backward = true,
    .view = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_reshape(struct nn_node *x, struct nn_shape shape)
{
    return nn_append(&nn_op_reshape, &x, 1, &(struct attributes){shape});
}
