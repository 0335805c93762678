/*
 * maximum.c — y = max(a, b), element by element; all three of one shape. A NaN in a or in b stays
 * one, so that a diverging network is noticed.
 *
 * Gradient: dy goes to the larger of the two, to a where they are equal (any share of it would be a
 * subgradient). da may be dy's own memory, so db is written first.
 */
#include "nn/op/op.h"

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_equal(node);
    return status ? status : nn_op_infer_same(node);
}

/* Is y a? */
static bool first_wins(float a, float b)
{
    return a >= b || a != a;
}

static void forward_range(const struct nn_step *step, size_t from, size_t to)
{
    const float *a = step->x[0], *b = step->x[1];
    for (size_t i = from; i < to; i++) step->y[i] = first_wins(a[i], b[i]) ? a[i] : b[i];
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, forward_range);
}

static void backward_range(const struct nn_step *step, size_t from, size_t to)
{
    const float *a = step->x[0], *b = step->x[1], *dy = step->dy;
    float *da = step->dx[0], *db = step->dx[1];
    for (size_t i = from; db && i < to; i++) db[i] = first_wins(a[i], b[i]) ? 0.0f : dy[i];
    for (size_t i = from; da && i < to; i++) da[i] = first_wins(a[i], b[i]) ? dy[i] : 0.0f;
}

static void backward(struct nn_step *step)
{
    nn_step_ranges(step, nn_op_count(step), NN_GRAIN, backward_range);
}

const struct nn_op nn_op_maximum = {
    .name = "maximum",
    .title = "Maximum",
    .stem = "maximum",
    .inputs_min = 2,
    .inputs_max = 2,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .inplace = true,
    .inplace_backward = true,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_maximum(struct nn_node *a, struct nn_node *b)
{
    struct nn_node *inputs[] = {a, b};
    return nn_append(&nn_op_maximum, inputs, 2, NULL);
}
