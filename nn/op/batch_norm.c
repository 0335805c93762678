/*
 * batch_norm.c — y = gamma (x - mean) / sqrt(variance + epsilon) + beta, per channel.
 * Ioffe & Szegedy, "Batch Normalization", 2015.
 *
 * Training takes mean and variance from the batch's n = N*H*W rows, and moves the running ones
 * towards them; inference uses the running ones, and is one multiply-add per element. That one may
 * be left to who reads y: backward needs x alone.
 *
 * Gradient, with s = 1 / sqrt(variance + epsilon), S1 = sum dy, S2 = sum dy (x - mean):
 *     dbeta = S1        dgamma = s S2
 *     dx = gamma s (dy - S1/n - (x - mean) s^2 S2/n)
 *        = a dy + b x + d,  a = gamma s,  b = -a s^2 S2/n,  d = -a S1/n - b mean
 * (mean and variance depend on every x; those paths are the two subtracted means.)
 *
 * Sums are taken per chunk of whole images and joined in order, so that they do not depend on who
 * computed which. Chunk means and squared deviations are joined by Chan, Golub & LeVeque's rule
 * (1983): no cancellation of large squares.
 */
#include "nn/op/op.h"

#include <math.h>

enum { X, GAMMA, BETA, MEAN, VARIANCE, INPUTS };
enum { LEAST_CHUNK_ROWS = 256 };

struct attributes {
    float momentum, epsilon;
};
static const struct nn_field FIELDS[] = {
    {"momentum", NN_FIELD_FLOAT, offsetof(struct attributes, momentum)},
    {"epsilon", NN_FIELD_FLOAT, offsetof(struct attributes, epsilon)},
    {NULL, NN_FIELD_INT, 0},
};

static enum nn_status infer(struct nn_node *node)
{
    static const char *const names[INPUTS] = {"x", "gamma", "beta", "mean", "variance"};
    const struct attributes *a = node->attributes;
    struct nn_shape x = node->input[X]->shape;
    char text[64];
    if (!(a->momentum >= 0 && a->momentum <= 1) || !(a->epsilon > 0 && a->epsilon < 1))
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "batch_norm '%s': momentum lies in [0, 1] and epsilon in (0, 1), "
                             "got %g and %g",
                             node->name, (double)a->momentum, (double)a->epsilon);
    for (int i = GAMMA; i < INPUTS; i++) {
        struct nn_shape shape = node->input[i]->shape;
        if (shape.rank != 1 || shape.dim[0] != x.dim[x.rank - 1])
            return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                                 "batch_norm '%s': %s must have shape (%d), not %s", node->name,
                                 names[i], x.dim[x.rank - 1], nn_shape_text(text, shape));
    }
    for (int i = GAMMA; i < MEAN; i++)
        if (node->input[i]->kind != NN_KIND_PARAMETER && node->input[i]->kind != NN_KIND_STATE)
            return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                                 "batch_norm '%s': %s must be a parameter or a state: inference "
                                 "turns it into a constant",
                                 node->name, names[i]);
    for (int i = MEAN; i < INPUTS; i++)
        if (node->input[i]->kind != NN_KIND_STATE)
            return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                                 "batch_norm '%s': %s must be a state", node->name, names[i]);
    node->shape = x;
    return NN_OK;
}

/* ---- chunks of rows -------------------------------------------------------------------------- */

static size_t chunk_rows(const struct nn_node *node)
{
    size_t image = nn_rows(node, 1);
    return image >= LEAST_CHUNK_ROWS ? image : (LEAST_CHUNK_ROWS + image - 1) / image * image;
}

static int chunk_count(const struct nn_node *node, int images)
{
    size_t size = chunk_rows(node);
    return (int)((nn_rows(node, images) + size - 1) / size);
}

struct chunk {
    size_t first, rows;   /* rows of x */
    size_t offset;        /* floats before it */
    float *sum, *product; /* its places in the workspace, [C] each */
};

static struct chunk chunk_at(const struct nn_step *step, int index)
{
    size_t size = chunk_rows(step->node), rows = nn_rows(step->node, step->run->images);
    size_t channels = (size_t)nn_channels(step->node), first = (size_t)index * size;
    float *sum = (float *)step->workspace + 2 * (size_t)index * channels;
    return (struct chunk){first, rows - first < size ? rows - first : size, first * channels, sum,
                          sum + channels};
}

static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    size_t channels = (size_t)nn_channels(node);
    (void)threads;
    if (!training) return 0;
    return (2 * (size_t)chunk_count(node, batch) + 3) * channels * sizeof(float);
}

/* By the batch: mean [C], 1 / deviation [C], and y = x * scale [C] + shift [C]. */
static size_t saved(const struct nn_node *node, int batch, bool training)
{
    (void)batch;
    (void)training;
    return 4 * (size_t)nn_channels(node) * sizeof(float);
}

static size_t left(const struct nn_node *node)
{
    return 2 * (size_t)nn_channels(node);
}

/* By the running statistics: scale [C], then shift [C]. */
static size_t prepared(const struct nn_node *node)
{
    return 2 * (size_t)nn_channels(node);
}

/* ---- forward --------------------------------------------------------------------------------- */

static void measure_chunk(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    struct chunk chunk = chunk_at(step, index);
    const float *x = step->x[X] + chunk.offset;
    int channels = nn_channels(step->node);
    (void)thread;
    step->kernels->channel_sum(chunk.sum, x, chunk.rows, channels);
    for (int c = 0; c < channels; c++) chunk.sum[c] /= (float)chunk.rows;
    step->kernels->channel_square_sum(chunk.product, x, chunk.sum, chunk.rows, channels);
}

/* Normalise by the batch, or by the running statistics? */
static bool by_batch(const struct nn_step *step)
{
    return step->training || step->statistics;
}

/* Joins the chunks: mean, 1 / deviation into `saved`, running statistics into the states. */
static void join_measures(const struct nn_step *step, int chunks)
{
    const struct attributes *a = step->node->attributes;
    int channels = nn_channels(step->node);
    double n = (double)nn_rows(step->node, step->run->images);
    float *mean = step->saved, *deviation = mean + channels;
    float *running_mean = nn_values(step->node->input[MEAN]);
    float *running_variance = nn_values(step->node->input[VARIANCE]);
    float moved = step->statistics ? step->run->weight : 1.0f - a->momentum;
    float kept = step->statistics ? 1.0f - step->run->weight : a->momentum;
    for (int c = 0; c < channels; c++) {
        double total = 0, squares = 0;
        for (int i = 0; i < chunks; i++) {
            struct chunk chunk = chunk_at(step, i);
            total += (double)chunk.rows * (double)chunk.sum[c];
        }
        double center = total / n;
        for (int i = 0; i < chunks; i++) {
            struct chunk chunk = chunk_at(step, i);
            double off = (double)chunk.sum[c] - center;
            squares += (double)chunk.product[c] + (double)chunk.rows * off * off;
        }
        double variance = squares / n;
        mean[c] = (float)center;
        deviation[c] = (float)(1.0 / sqrt(variance + (double)a->epsilon));
        running_mean[c] = kept * running_mean[c] + moved * (float)center;
        running_variance[c] = kept * running_variance[c] + moved * (float)variance;
    }
}

static void normalize_chunk(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    struct chunk chunk = chunk_at(step, index);
    int channels = nn_channels(step->node);
    const float *scale = (const float *)step->saved + left(step->node);
    (void)thread;
    step->kernels->scale_shift(step->y + chunk.offset, step->x[X] + chunk.offset, scale,
                               scale + channels, chunk.rows, channels);
}

/* a, b, d lie behind the chunks' sums. */
static float *coefficients(const struct nn_step *step)
{
    size_t chunks = (size_t)chunk_count(step->node, step->run->images);
    return (float *)step->workspace + 2 * chunks * (size_t)nn_channels(step->node);
}

static void forward(struct nn_step *step)
{
    int channels = nn_channels(step->node), chunks = chunk_count(step->node, step->run->images);
    if (!by_batch(step)) {
        nn_step_ranges(step, nn_rows(step->node, step->run->images),
                       1 + NN_GRAIN / (size_t)channels, nn_op_affine_rows);
        return;
    }
    nn_parallel(step->context, chunks, measure_chunk, step);
    join_measures(step, chunks);
    const float *mean = step->saved, *deviation = mean + channels;
    float *scale = (float *)step->saved + left(step->node), *shift = scale + channels;
    for (int c = 0; c < channels; c++) {
        scale[c] = step->x[GAMMA][c] * deviation[c];
        shift[c] = step->x[BETA][c] - mean[c] * scale[c];
    }
    if (!step->leaves_affine) nn_parallel(step->context, chunks, normalize_chunk, step);
}

static void prepare(struct nn_step *step)
{
    const struct attributes *a = step->node->attributes;
    int channels = nn_channels(step->node);
    float *scale = step->prepared, *shift = scale + channels;
    for (int c = 0; c < channels; c++) {
        double deviation = sqrt((double)step->x[VARIANCE][c] + (double)a->epsilon);
        double slope = (double)step->x[GAMMA][c] / deviation;
        scale[c] = (float)slope;
        shift[c] = (float)((double)step->x[BETA][c] - (double)step->x[MEAN][c] * slope);
    }
}

/* ---- backward -------------------------------------------------------------------------------- */

static void sum_chunk(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    struct chunk chunk = chunk_at(step, index);
    (void)thread;
    step->kernels->channel_products(chunk.sum, chunk.product, step->dy + chunk.offset,
                                    step->x[X] + chunk.offset, step->saved, chunk.rows,
                                    nn_channels(step->node));
}

/* dgamma, dbeta, and a, b, d of dx = a dy + b x + d. */
static void join_sums(struct nn_step *step, int chunks)
{
    int channels = nn_channels(step->node);
    double n = (double)nn_rows(step->node, step->run->images);
    const float *mean = step->saved, *deviation = mean + channels;
    float *a = coefficients(step), *b = a + channels, *d = b + channels;
    for (int i = 0; i < channels; i++) {
        double s1 = 0, s2 = 0, s = (double)deviation[i];
        for (int j = 0; j < chunks; j++) {
            struct chunk chunk = chunk_at(step, j);
            s1 += (double)chunk.sum[i];
            s2 += (double)chunk.product[i];
        }
        double slope = (double)step->x[GAMMA][i] * s, turn = -slope * s * s * s2 / n;
        a[i] = (float)slope;
        b[i] = (float)turn;
        d[i] = (float)(-slope * s1 / n - turn * (double)mean[i]);
        if (step->dx[GAMMA]) step->dx[GAMMA][i] = (float)(s * s2);
        if (step->dx[BETA]) step->dx[BETA][i] = (float)s1;
    }
}

static void gradient_chunk(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    struct chunk chunk = chunk_at(step, index);
    int channels = nn_channels(step->node);
    const float *a = coefficients(step);
    const float *const abd[] = {a, a + channels, a + 2 * channels};
    (void)thread;
    step->kernels->batch_norm_backward(step->dx[X] + chunk.offset, step->dy + chunk.offset,
                                       step->x[X] + chunk.offset, abd, step->fused_relu_backward,
                                       chunk.rows, channels);
}

static void backward(struct nn_step *step)
{
    int chunks = chunk_count(step->node, step->run->images);
    nn_parallel(step->context, chunks, sum_chunk, step);
    join_sums(step, chunks);
    if (step->dx[X]) nn_parallel(step->context, chunks, gradient_chunk, step);
}

const struct nn_op nn_op_batch_norm = {
    .name = "batch_norm",
    .title = "BatchNormalization",
    .stem = "batch_normalization",
    .inputs_min = INPUTS,
    .inputs_max = INPUTS,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .bwd_reads = NN_READS_X(X) | NN_READS_X(GAMMA),
    .inplace = true,
    .inplace_backward = true,
    .masks_relu = true,
    .left = left,
    .affine_at_inference = true,
    .infer = infer,
    .saved = saved,
    .workspace = workspace,
    .prepare = prepare,
    .prepared = prepared,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_batch_norm(struct nn_node *x, struct nn_node *gamma, struct nn_node *beta,
                              struct nn_node *running_mean, struct nn_node *running_variance,
                              float momentum, float epsilon)
{
    struct nn_node *inputs[] = {x, gamma, beta, running_mean, running_variance};
    struct attributes attributes = {momentum, epsilon};
    return nn_append(&nn_op_batch_norm, inputs, INPUTS, &attributes);
}
