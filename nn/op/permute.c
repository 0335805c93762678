/*
 * permute.c — axes in another order: y's axis i is x's axis order[i]. Axis 0, the images, stays.
 *
 *     y[i0, i1, i2, i3] = x[j0, j1, j2, j3],  j[order[a]] = i[a]
 *
 * Where the last axis stays, runs of it are copied. Otherwise each pair of last axes, x's and y's,
 * is a transposed matrix, and the one axis that is left counts matrices: that serves the moves
 * between NHWC and NCHW, and every other.
 *
 * Gradient: dy moved back, by the inverse order.
 */
#include "nn/op/op.h"

struct attributes {
    struct nn_shape order;
};

static const struct nn_field FIELDS[] = {
    {"order", NN_FIELD_SHAPE, offsetof(struct attributes, order)},
    {NULL, NN_FIELD_INT, 0},
};

static bool is_order(const struct nn_shape *order, int rank)
{
    unsigned seen = 0;
    if (order->rank != rank || order->dim[0] != 0) return false;
    for (int i = 0; i < rank; i++) {
        if (order->dim[i] < 0 || order->dim[i] >= rank) return false;
        seen |= 1u << order->dim[i];
    }
    return seen == (1u << rank) - 1;
}

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    const struct nn_shape *x = &node->input[0]->shape;
    char text[64];
    if (!is_order(&attributes->order, x->rank))
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "permute '%s': expected the %d axes of %s in some order, 0 first, "
                             "got %d, %d, %d, %d",
                             node->name, x->rank, nn_shape_text(text, *x), attributes->order.dim[0],
                             attributes->order.dim[1], attributes->order.dim[2],
                             attributes->order.dim[3]);
    node->shape.rank = x->rank;
    for (int i = 0; i < x->rank; i++) node->shape.dim[i] = x->dim[attributes->order.dim[i]];
    return NN_OK;
}

/* A move of four axes: those that are missing are put behind the images, with a length of 1. */
struct move {
    size_t from[NN_MAX_RANK], to[NN_MAX_RANK]; /* strides; to: of x's axes, in y */
    size_t size[NN_MAX_RANK];                  /* of x's axes */
    int last;                                  /* y's last axis, as one of x's */
    int middle;                                /* what is neither that nor x's last */
};

static struct move move_of(const struct nn_node *node, bool back)
{
    const struct attributes *attributes = node->attributes;
    const struct nn_shape *shape = back ? &node->shape : &node->input[0]->shape;
    int missing = NN_MAX_RANK - shape->rank, order[NN_MAX_RANK] = {0};
    struct move move = {.size = {1, 1, 1, 1}};
    for (int i = 1; i <= missing; i++) order[i] = i;
    for (int i = 1; i < shape->rank; i++) {
        int axis = attributes->order.dim[i] + missing;
        if (back)
            order[axis] = i + missing;
        else
            order[i + missing] = axis;
        move.size[i + missing] = (size_t)shape->dim[i];
    }
    size_t from = 1, to = 1;
    for (int i = NN_MAX_RANK - 1; i >= 0; i--) {
        move.from[i] = from;
        from *= move.size[i];
        move.to[order[i]] = to;
        to *= move.size[order[i]];
    }
    move.last = order[NN_MAX_RANK - 1];
    move.middle = move.last == 2 ? 1 : 2;
    return move;
}

/* Item i of the work is a matrix, or a run where the last axis stays: items of an image. */
static size_t items(const struct move *move)
{
    return move->last == 3 ? move->size[1] * move->size[2] : move->size[move->middle];
}

static void move_items(const struct nn_step *step, bool back, size_t first, size_t end)
{
    struct move move = move_of(step->node, back);
    const float *x = back ? step->dy : step->x[0];
    float *y = back ? step->dx[0] : step->y;
    size_t each = items(&move);
    for (size_t i = first; i < end; i++) {
        size_t image = i / each, item = i % each;
        const float *from = x + image * move.from[0];
        float *to = y + image * move.to[0];
        if (move.last == 3) {
            size_t a = item / move.size[2], b = item % move.size[2];
            memcpy(to + a * move.to[1] + b * move.to[2], from + a * move.from[1] + b * move.from[2],
                   move.size[3] * sizeof *to);
        } else {
            step->kernels->transpose(to + item * move.to[move.middle], (ptrdiff_t)move.to[3],
                                     from + item * move.from[move.middle],
                                     (ptrdiff_t)move.from[move.last], (int)move.size[move.last],
                                     (int)move.size[3]);
        }
    }
}

static void forward_items(const struct nn_step *step, size_t from, size_t to)
{
    move_items(step, false, from, to);
}

static void backward_items(const struct nn_step *step, size_t from, size_t to)
{
    move_items(step, true, from, to);
}

static void run(struct nn_step *step, bool back)
{
    struct move move = move_of(step->node, back);
    size_t count = (size_t)nn_op_images(step->node, step->run) * items(&move);
    size_t grain = 1 + NN_GRAIN / (nn_op_count(step) / count);
    nn_step_ranges(step, count, grain, back ? backward_items : forward_items);
}

static void forward(struct nn_step *step)
{
    run(step, false);
}

static void backward(struct nn_step *step)
{
    run(step, true);
}

const struct nn_op nn_op_permute = {
    .name = "permute",
    .title = "Permute",
    .stem = "permute",
    .inputs_min = 1,
    .inputs_max = 1,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_permute(struct nn_node *x, const int order[NN_MAX_RANK])
{
    struct attributes attributes = {.order = {.rank = x ? x->shape.rank : 0}};
    for (int i = 0; i < attributes.order.rank; i++) attributes.order.dim[i] = order[i];
    return nn_append(&nn_op_permute, &x, 1, &attributes);
}
