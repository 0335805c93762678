/*
 * binary_cross_entropy.c — yes-or-no questions, one per element.
 *
 *     loss = 1/M sum_i w_i e_i,   e = -(t' log sigmoid(x) + (1 - t') log(1 - sigmoid(x)))
 *     t' = t (1 - s) + s/2        label smoothing
 *     w  = (1 - t) class_weights[0] + t class_weights[1]     (two weights: no and yes)
 *
 * logits, target [N,..] of one shape with M elements in all, loss [1]. With log sigmoid(x) =
 * -log(1 + exp(-x)) and log(1 - sigmoid(x)) = -x - log(1 + exp(-x)) this is
 * e = max(x, 0) - x t' + log(1 + exp(-|x|)), which cannot overflow.
 *
 * Gradient: de/dx = sigmoid(x) - t' and de/dt' = -x, so
 *
 *     dx = dloss/M w (sigmoid(x) - t')
 *     dt = dloss/M ((class_weights[1] - class_weights[0]) e - w x (1 - s))
 *
 * Sums are double, over fixed chunks of elements, the chunks in order.
 */
#include "nn/op/loss.h"

enum { CHUNK = 4096 }; /* elements */

static const struct nn_field FIELDS[] = {NN_LOSS_FIELDS, {NULL, NN_FIELD_INT, 0}};

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_equal(node);
    if (!status) status = nn_loss_check(node, 2);
    if (status) return status;
    node->shape = nn_shape1(1);
    return NN_OK;
}

static size_t elements(const struct nn_node *node, int images)
{
    return nn_node_count_for(node->input[0], images);
}

/* Each chunk's sum. */
static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    (void)threads;
    (void)training;
    return (elements(node, batch) + CHUNK - 1) / CHUNK * sizeof(double);
}

struct question {
    double x, t, smoothed;
    double weight, slope; /* w and dw/dt */
    double entropy;       /* e */
};

static struct question look_at(const struct nn_step *step, size_t i)
{
    const struct nn_loss_attributes *attributes = step->node->attributes;
    const float *weights =
        attributes->class_weights.count ? attributes->class_weights.values : NULL;
    double no = weights ? (double)weights[0] : 1.0, yes = weights ? (double)weights[1] : 1.0;
    double s = (double)attributes->label_smoothing;
    struct question q = {.x = (double)step->x[0][i], .t = (double)step->x[1][i]};
    q.smoothed = q.t * (1.0 - s) + 0.5 * s;
    q.weight = (1.0 - q.t) * no + q.t * yes;
    q.slope = yes - no;
    q.entropy = (q.x > 0.0 ? q.x : 0.0) - q.x * q.smoothed + log1p(exp(-fabs(q.x)));
    return q;
}

static void sum_chunks(const struct nn_step *step, size_t from, size_t to)
{
    size_t count = elements(step->node, step->run->images);
    for (size_t i = from; i < to; i++) {
        size_t end = (i + 1) * CHUNK < count ? (i + 1) * CHUNK : count;
        double sum = 0.0;
        for (size_t j = i * CHUNK; j < end; j++) {
            struct question q = look_at(step, j);
            sum += q.weight * q.entropy;
        }
        ((double *)step->workspace)[i] = sum;
    }
}

static void forward(struct nn_step *step)
{
    size_t count = elements(step->node, step->run->images), chunks = (count + CHUNK - 1) / CHUNK;
    nn_step_ranges(step, chunks, 1, sum_chunks);
    double loss = 0.0;
    for (size_t i = 0; i < chunks; i++) loss += ((const double *)step->workspace)[i];
    step->y[0] = (float)(loss / (double)count);
}

static void backward_range(const struct nn_step *step, size_t from, size_t to)
{
    const struct nn_loss_attributes *attributes = step->node->attributes;
    double kept = 1.0 - (double)attributes->label_smoothing;
    double scale = (double)step->dy[0] / (double)elements(step->node, step->run->images);
    for (size_t i = from; i < to; i++) {
        struct question q = look_at(step, i);
        double dx = q.weight * (1.0 / (1.0 + exp(-q.x)) - q.smoothed);
        double dt = q.slope * q.entropy - q.weight * q.x * kept;
        if (step->dx[0]) step->dx[0][i] = (float)(scale * dx);
        if (step->dx[1]) step->dx[1][i] = (float)(scale * dt);
    }
}

static void backward(struct nn_step *step)
{
    size_t count = elements(step->node, step->run->images);
    nn_step_ranges(step, count, NN_GRAIN / 64, backward_range);
}

const struct nn_op nn_op_binary_cross_entropy = {
    .name = "binary_cross_entropy",
    .title = "BinaryCrossEntropy",
    .stem = "loss",
    .inputs_min = 2,
    .inputs_max = 2,
    .attributes_size = sizeof(struct nn_loss_attributes),
    .fields = FIELDS,
    .loss = true,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .infer = infer,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_binary_cross_entropy(struct nn_node *logits, struct nn_node *target,
                                        const struct nn_loss_options *options)
{
    return nn_loss_append(&nn_op_binary_cross_entropy, logits, target, options, 2);
}
