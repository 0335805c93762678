/*
 * leaky_relu.c — y = x > 0 ? x : slope * x, element by element (Maas et al. 2013); y has x's shape.
 *
 * Gradient: dx = y > 0 ? dy : slope * dy. With a slope of 0 or more y > 0 exactly where x > 0, so
 * backward reads y and x may be overwritten; that is why a negative slope is an error.
 */
#include "nn/op/op.h"

#include <math.h>

struct attributes {
    float slope;
};

static const struct nn_field FIELDS[] = {
    {"slope", NN_FIELD_FLOAT, offsetof(struct attributes, slope)},
    {NULL, NN_FIELD_INT, 0},
};

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    if (!isfinite(attributes->slope) || attributes->slope < 0.0f)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "leaky_relu '%s': expected a slope of 0 or more, got %g", node->name,
                             (double)attributes->slope);
    return nn_op_infer_same(node);
}

static void forward_range(const struct nn_step *step, size_t from, size_t to)
{
    const struct attributes *attributes = step->node->attributes;
    step->kernels->leaky_relu(step->y + from, step->x[0] + from, attributes->slope, to - from);
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, forward_range);
}

static void backward_range(const struct nn_step *step, size_t from, size_t to)
{
    const struct attributes *attributes = step->node->attributes;
    /* The kernel asks only for the sign of its second argument. */
    step->kernels->leaky_relu_backward(step->dx[0] + from, step->y + from, step->dy + from,
                                       attributes->slope, to - from);
}

static void backward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, backward_range);
}

const struct nn_op nn_op_leaky_relu = {
    .name = "leaky_relu",
    .title = "LeakyReLU",
    .stem = "leaky_re_lu",
    .inputs_min = 1,
    .inputs_max = 1,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .bwd_reads = NN_READS_Y,
    .inplace = true,
    .inplace_backward = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_leaky_relu(struct nn_node *x, float slope)
{
    return nn_append(&nn_op_leaky_relu, &x, 1, &(struct attributes){slope});
}
