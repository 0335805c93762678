/*
 * l2_normalize.c — each pixel's vector of channels brought to length 1, then scaled per channel
 * (Liu et al., "ParseNet", 2015, eq. 1-4; the SSD detector's first head).
 *
 *     y[c] = scale[c] * x[c] * r,   r = 1 / sqrt(sum_k x[k]^2 + epsilon)
 *
 * x [.., C], scale [C], y as x.
 *
 * Gradient: dr/dx[c] = -x[c] r^3, so with g[c] = dy[c] * scale[c]
 *
 *     dx[c]     = r g[c] - x[c] r^3 sum_k g[k] x[k]
 *     dscale[c] = sum over rows of dy[c] x[c] r
 *
 * A row's sums are double. dscale is summed over fixed chunks of rows, the chunks in order. dx may
 * be dy's own memory: a row of dy is read before that row of dx is written.
 */
#include "nn/op/op.h"

#include <math.h>

enum { CHUNK = 256 }; /* rows */

struct attributes {
    float epsilon;
};

static const struct nn_field FIELDS[] = {
    {"epsilon", NN_FIELD_FLOAT, offsetof(struct attributes, epsilon)},
    {NULL, NN_FIELD_INT, 0},
};

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    if (!isfinite(attributes->epsilon) || attributes->epsilon <= 0.0f)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "l2_normalize '%s': expected an epsilon above 0, got %g", node->name,
                             (double)attributes->epsilon);
    enum nn_status status = nn_op_expect_row(node);
    if (!status) status = nn_op_expect_channels(node, 1, "a scale");
    return status ? status : nn_op_infer_same(node);
}

static size_t chunks(const struct nn_node *node, int images)
{
    return (nn_rows(node, images) + CHUNK - 1) / CHUNK;
}

/* Each chunk's share of dscale. */
static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    (void)threads;
    return training ? chunks(node, batch) * (size_t)nn_channels(node) * sizeof(float) : 0;
}

/* r of one row. */
static double inverse_length(const struct nn_step *step, const float *x, size_t channels)
{
    const struct attributes *attributes = step->node->attributes;
    double sum;
    step->kernels->square_sum(&sum, x, channels);
    return 1.0 / sqrt(sum + (double)attributes->epsilon);
}

static void forward_rows(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node);
    const float *scale = step->x[1];
    for (size_t row = from; row < to; row++) {
        const float *x = step->x[0] + row * channels;
        float *y = step->y + row * channels;
        float r = (float)inverse_length(step, x, channels);
        step->kernels->mul(y, x, scale, channels);
        step->kernels->scale(y, y, r, channels);
    }
}

static void forward(struct nn_step *step)
{
    size_t grain = 1 + NN_GRAIN / 4 / (size_t)nn_channels(step->node);
    nn_step_ranges(step, nn_rows(step->node, step->run->images), grain, forward_rows);
}

/* One row: dx, and its share of dscale; either may be NULL. */
static void backward_row(const struct nn_step *step, size_t row, float *dx, float *dscale)
{
    size_t channels = (size_t)nn_channels(step->node);
    const float *x = step->x[0] + row * channels, *dy = step->dy + row * channels;
    const float *scale = step->x[1];
    double r = inverse_length(step, x, channels), product = 0.0;
    for (size_t c = 0; c < channels; c++) product += (double)dy[c] * scale[c] * x[c];
    if (dscale)
        for (size_t c = 0; c < channels; c++) dscale[c] += dy[c] * x[c] * (float)r;
    float direct = (float)r, along = (float)(r * r * r * product);
    if (dx)
        for (size_t c = 0; c < channels; c++) dx[c] = direct * (dy[c] * scale[c]) - along * x[c];
}

static void backward_chunks(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node);
    size_t rows = nn_rows(step->node, step->run->images);
    for (size_t i = from; i < to; i++) {
        float *dscale = step->dx[1] ? (float *)step->workspace + i * channels : NULL;
        size_t end = (i + 1) * CHUNK < rows ? (i + 1) * CHUNK : rows;
        if (dscale) memset(dscale, 0, channels * sizeof *dscale);
        for (size_t row = i * CHUNK; row < end; row++)
            backward_row(step, row, step->dx[0] ? step->dx[0] + row * channels : NULL, dscale);
    }
}

static void backward(struct nn_step *step)
{
    size_t channels = (size_t)nn_channels(step->node);
    size_t count = chunks(step->node, step->run->images);
    nn_step_ranges(step, count, 1 + NN_GRAIN / 4 / (CHUNK * channels), backward_chunks);
    for (size_t c = 0; step->dx[1] && c < channels; c++) {
        double all = 0.0;
        for (size_t i = 0; i < count; i++) all += ((float *)step->workspace)[i * channels + c];
        step->dx[1][c] = (float)all;
    }
}

const struct nn_op nn_op_l2_normalize = {
    .name = "l2_normalize",
    .title = "L2Normalize",
    .stem = "l2_normalize",
    .inputs_min = 2,
    .inputs_max = 2,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .inplace = true,
    .inplace_backward = true,
    .infer = infer,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_l2_normalize(struct nn_node *x, struct nn_node *scale, float epsilon)
{
    struct nn_node *inputs[] = {x, scale};
    return nn_append(&nn_op_l2_normalize, inputs, 2, &(struct attributes){epsilon});
}
