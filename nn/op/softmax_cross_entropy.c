/*
 * softmax_cross_entropy.c — how surprised the softmax of the logits is by the targets.
 *
 *     loss = 1/N sum_n w_n e_n,   e_n = -sum_k t'[n,k] log p[n,k],   p = softmax(logits)
 *     t' = t (1 - s) + s/K        label smoothing, Szegedy et al. 2016
 *     w_n = sum_k t[n,k] class_weights[k]
 *
 * logits, target [N,K], loss [1]. log p[k] = x[k] - log sum_j exp x[j] is taken as
 * (x[k] - m) - log sum_j exp(x[j] - m) with m the largest x: nothing overflows, and no logarithm
 * of a probability that was rounded to 0 is taken.
 *
 * Gradient: d log p[j] / dx[k] = (j == k) - p[k], so
 *
 *     dx[n,k] = dloss w_n/N (p[n,k] sum_j t'[n,j] - t'[n,k])
 *     dt[n,k] = dloss 1/N (class_weights[k] e_n - w_n (1 - s) log p[n,k])
 *
 * All sums are double, in one fixed order; N and K are small beside a convolution's pixels, so
 * one thread does it.
 */
#include "nn/op/loss.h"

static const struct nn_field FIELDS[] = {NN_LOSS_FIELDS, {NULL, NN_FIELD_INT, 0}};

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_rank(node, 2, "[N,K]");
    if (!status) status = nn_op_expect_equal(node);
    if (!status) status = nn_loss_check(node, nn_channels(node->input[0]));
    if (status) return status;
    node->shape = nn_shape1(1);
    return NN_OK;
}

/* What forward and backward need to know about one image. */
struct row {
    const float *x, *t;
    int classes;
    double smoothing;
    double log_sum; /* log p[k] = x[k] - log_sum */
    double weight;  /* w_n */
    double entropy; /* e_n */
    double target;  /* sum_k t'[k] */
};

static double smoothed(const struct row *row, int k)
{
    return (double)row->t[k] * (1.0 - row->smoothing) + row->smoothing / row->classes;
}

static double log_probability(const struct row *row, int k)
{
    return (double)row->x[k] - row->log_sum;
}

static double class_weight(const struct nn_step *step, int k)
{
    const struct nn_loss_attributes *attributes = step->node->attributes;
    return attributes->class_weights.count ? (double)attributes->class_weights.values[k] : 1.0;
}

static struct row look_at(const struct nn_step *step, int n)
{
    const struct nn_loss_attributes *attributes = step->node->attributes;
    int classes = nn_channels(step->node->input[0]);
    size_t place = (size_t)n * (size_t)classes;
    struct row row = {.x = step->x[0] + place,
                      .t = step->x[1] + place,
                      .classes = classes,
                      .smoothing = (double)attributes->label_smoothing};
    float largest = row.x[0];
    for (int k = 1; k < classes; k++)
        if (row.x[k] > largest) largest = row.x[k];
    double sum = exp((double)row.x[0] - (double)largest);
    for (int k = 1; k < classes; k++) sum += exp((double)row.x[k] - (double)largest);
    row.log_sum = (double)largest + log(sum);
    for (int k = 0; k < classes; k++) {
        row.weight += (double)row.t[k] * class_weight(step, k);
        row.target += smoothed(&row, k);
        /* 0 log 0 = 0, also where a logit is -infinity. */
        if (smoothed(&row, k) != 0.0) row.entropy -= smoothed(&row, k) * log_probability(&row, k);
    }
    return row;
}

static void forward(struct nn_step *step)
{
    int images = nn_op_images(step->node->input[0], step->run);
    double loss = 0.0;
    for (int n = 0; n < images; n++) {
        struct row row = look_at(step, n);
        loss += row.weight * row.entropy;
    }
    step->y[0] = (float)(loss / images);
}

static void backward(struct nn_step *step)
{
    int images = nn_op_images(step->node->input[0], step->run);
    double scale = (double)step->dy[0] / images;
    for (int n = 0; n < images; n++) {
        struct row row = look_at(step, n);
        size_t place = (size_t)n * (size_t)row.classes;
        for (int k = 0; k < row.classes; k++) {
            double p = exp(log_probability(&row, k));
            double dx = row.weight * (p * row.target - smoothed(&row, k));
            double dt = class_weight(step, k) * row.entropy -
                        row.weight * (1.0 - row.smoothing) * log_probability(&row, k);
            if (step->dx[0]) step->dx[0][place + (size_t)k] = (float)(scale * dx);
            if (step->dx[1]) step->dx[1][place + (size_t)k] = (float)(scale * dt);
        }
    }
}

const struct nn_op nn_op_softmax_cross_entropy = {
    .name = "softmax_cross_entropy",
    .title = "SoftmaxCrossEntropy",
    .stem = "loss",
    .inputs_min = 2,
    .inputs_max = 2,
    .attributes_size = sizeof(struct nn_loss_attributes),
    .fields = FIELDS,
    .loss = true,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_softmax_cross_entropy(struct nn_node *logits, struct nn_node *target,
                                         const struct nn_loss_options *options)
{
    return nn_loss_append(&nn_op_softmax_cross_entropy, logits, target, options,
                          logits ? nn_channels(logits) : 0);
}
