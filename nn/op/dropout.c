/*
 * dropout.c — training: each number is dropped with probability `rate`, the others are scaled up so
 * that the expectation stays; inference: y = x (Srivastava et al. 2014). y has x's shape.
 *
 * Gradient: dx = dy where kept, scaled alike, else 0: the same map as forward. Whether an element
 * is kept is a function of (seed, step, node, element), so backward draws again and no mask is
 * stored; the numbers are the same for any number of threads.
 *
 * The probability is rounded to a multiple of 1/65536, and the scale is that of the rounded one.
 */
#include "nn/op/op.h"

struct attributes {
    float rate;
};

static const struct nn_field FIELDS[] = {
    {"rate", NN_FIELD_FLOAT, offsetof(struct attributes, rate)},
    {NULL, NN_FIELD_INT, 0},
};

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    if (!(attributes->rate >= 0.0f && attributes->rate < 1.0f))
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "dropout '%s': expected a rate of 0 or more and less than 1, got %g",
                             node->name, (double)attributes->rate);
    return nn_op_infer_same(node);
}

/* Elements [from, to) of y <- x. */
static void drop(const struct nn_step *step, float *y, const float *x, size_t from, size_t to)
{
    enum { WHOLE = 65536, MOST_NODES_BITS = 20 };
    const struct attributes *attributes = step->node->attributes;
    uint32_t threshold = (uint32_t)(attributes->rate * (float)WHOLE + 0.5f);
    if (threshold >= WHOLE) threshold = WHOLE - 1;
    /* The top bit keeps these streams apart from those of shuffles and initialisers. */
    struct nn_dropout_draw draw = {
        .key = step->run->seed,
        .stream =
            UINT64_C(1) << 63 | step->run->step << MOST_NODES_BITS | (uint64_t)step->node->index,
        .first = from,
        .threshold = threshold,
        .scale = (float)WHOLE / (float)(WHOLE - threshold),
    };
    step->kernels->dropout(y + from, x + from, to - from, &draw);
}

static void forward_range(const struct nn_step *step, size_t from, size_t to)
{
    drop(step, step->y, step->x[0], from, to);
}

static void forward(struct nn_step *step)
{
    if (step->training)
        nn_step_ranges(step, nn_op_count(step), NN_GRAIN / 2, forward_range);
    else
        nn_op_copy(step, step->y, step->x[0]);
}

static void backward_range(const struct nn_step *step, size_t from, size_t to)
{
    drop(step, step->dx[0], step->dy, from, to);
}

static void backward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN / 2, backward_range);
}

const struct nn_op nn_op_dropout = {
    .name = "dropout",
    .title = "Dropout",
    .stem = "dropout",
    .inputs_min = 1,
    .inputs_max = 1,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .inplace = true,
    .inplace_backward = true,
    .identity_at_inference = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_dropout(struct nn_node *x, float rate)
{
    return nn_append(&nn_op_dropout, &x, 1, &(struct attributes){rate});
}
