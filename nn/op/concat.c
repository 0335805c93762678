/*
 * concat.c — tensors side by side along one axis (1 or more; the images stay where they are). All
 * other dimensions are equal.
 *
 * A tensor [.., A_i, ..] is looked at as rows of A_i * inner floats, one for each place before the
 * axis: a row of y is the inputs' rows one after another.
 *
 * Gradient: dy cut at the same places.
 */
#include "nn/op/op.h"

struct attributes {
    int axis;
};

static const struct nn_field FIELDS[] = {
    {"axis", NN_FIELD_INT, offsetof(struct attributes, axis)},
    {NULL, NN_FIELD_INT, 0},
};

static bool fits(const struct nn_shape *a, const struct nn_shape *b, int axis)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (i != axis && a->dim[i] != b->dim[i]) return false;
    return true;
}

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    const struct nn_shape *first = &node->input[0]->shape;
    int axis = attributes->axis;
    char a[64], b[64];
    if (axis < 1 || axis >= first->rank)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "concat '%s': expected an axis of 1 to %d for %s, got %d", node->name,
                             first->rank - 1, nn_shape_text(a, *first), axis);
    int64_t length = 0;
    for (int i = 0; i < node->inputs; i++) {
        const struct nn_shape *shape = &node->input[i]->shape;
        if (!fits(first, shape, axis))
            return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                                 "concat '%s': expected shapes that differ in axis %d alone, got "
                                 "%s and %s",
                                 node->name, axis, nn_shape_text(a, *first),
                                 nn_shape_text(b, *shape));
        length += shape->dim[axis];
    }
    if (length > INT32_MAX)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "concat '%s': %lld along axis %d are too many", node->name,
                             (long long)length, axis);
    node->shape = *first;
    node->shape.dim[axis] = (int)length;
    return NN_OK;
}

/* Floats in a row of `node`. */
static size_t row_size(const struct nn_node *node, int axis)
{
    size_t size = 1;
    for (int i = axis; i < node->shape.rank; i++) size *= (size_t)node->shape.dim[i];
    return size;
}

/* With one row there is nothing between the inputs. */
static bool place(size_t *floats, const struct nn_node *node, int i, int batch)
{
    const struct attributes *attributes = node->attributes;
    size_t width = row_size(node, attributes->axis);
    *floats = 0;
    for (int j = 0; j < i; j++) *floats += row_size(node->input[j], attributes->axis);
    return nn_node_count_for(node, batch) == width;
}

static void forward_rows(const struct nn_step *step, size_t from, size_t to)
{
    const struct attributes *attributes = step->node->attributes;
    size_t width = row_size(step->node, attributes->axis), at = 0;
    for (int i = 0; i < step->node->inputs; i++) {
        size_t size = row_size(step->node->input[i], attributes->axis);
        bool there = step->x[i] == step->y + at;
        for (size_t r = from; r < to && !there; r++)
            memcpy(step->y + r * width + at, step->x[i] + r * size, size * sizeof(float));
        at += size;
    }
}

static void backward_rows(const struct nn_step *step, size_t from, size_t to)
{
    const struct attributes *attributes = step->node->attributes;
    size_t width = row_size(step->node, attributes->axis), at = 0;
    for (int i = 0; i < step->node->inputs; i++) {
        size_t size = row_size(step->node->input[i], attributes->axis);
        for (size_t r = from; step->dx[i] && r < to; r++)
            memcpy(step->dx[i] + r * size, step->dy + r * width + at, size * sizeof(float));
        at += size;
    }
}

static void run(struct nn_step *step, nn_range_task *task)
{
    const struct attributes *attributes = step->node->attributes;
    size_t width = row_size(step->node, attributes->axis);
    nn_step_ranges(step, nn_op_count(step) / width, 1 + NN_GRAIN / width, task);
}

static void forward(struct nn_step *step)
{
    run(step, forward_rows);
}

static void backward(struct nn_step *step)
{
    run(step, backward_rows);
}

const struct nn_op nn_op_concat = {
    .name = "concat",
    .title = "Concatenate",
    .stem = "concatenate",
    .inputs_min = 1,
    .inputs_max = NN_MAX_INPUTS,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .infer = infer,
    .place = place,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_concat(struct nn_node *const *x, int count, int axis)
{
    return nn_append(&nn_op_concat, x, count, &(struct attributes){axis});
}
