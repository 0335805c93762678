/*
 * prelu.c — y = x > 0 ? x : slope[c] * x, a slope for each channel, the last axis (He et al.,
 * "Delving Deep into Rectifiers", 2015). x [.., C], slope [C], y as x.
 *
 * Gradient, with a sum over all rows (pixels of all images):
 *
 *     dx[c] = x[c] > 0 ? dy[c] : slope[c] dy[c],   dslope[c] = sum x[c] > 0 ? 0 : x[c] dy[c]
 *
 * A slope may be negative, so y's sign does not tell x's: backward reads x. dslope is summed over
 * fixed chunks of rows, the chunks in order: the same for any number of threads. dx may be dy's own
 * memory: an element of dy is read before dx is written there.
 */
#include "nn/op/op.h"

enum { CHUNK = 256 }; /* rows */

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_row(node);
    if (!status) status = nn_op_expect_channels(node, 1, "a slope");
    return status ? status : nn_op_infer_same(node);
}

static size_t chunks(const struct nn_node *node, int images)
{
    return (nn_rows(node, images) + CHUNK - 1) / CHUNK;
}

/* Each chunk's share of dslope. */
static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    (void)threads;
    return training ? chunks(node, batch) * (size_t)nn_channels(node) * sizeof(float) : 0;
}

static void forward_rows(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node);
    const float *slope = step->x[1];
    for (size_t row = from; row < to; row++) {
        const float *x = step->x[0] + row * channels;
        float *y = step->y + row * channels;
        for (size_t c = 0; c < channels; c++) y[c] = x[c] > 0.0f ? x[c] : slope[c] * x[c];
    }
}

static void forward(struct nn_step *step)
{
    size_t grain = 1 + NN_GRAIN / (size_t)nn_channels(step->node);
    nn_step_ranges(step, nn_rows(step->node, step->run->images), grain, forward_rows);
}

static void backward_row(const struct nn_step *step, size_t row, float *dslope)
{
    size_t channels = (size_t)nn_channels(step->node);
    const float *x = step->x[0] + row * channels, *dy = step->dy + row * channels;
    const float *slope = step->x[1];
    float *dx = step->dx[0] ? step->dx[0] + row * channels : NULL;
    for (size_t c = 0; dslope && c < channels; c++) dslope[c] += x[c] > 0.0f ? 0.0f : x[c] * dy[c];
    for (size_t c = 0; dx && c < channels; c++) dx[c] = x[c] > 0.0f ? dy[c] : slope[c] * dy[c];
}

static void backward_chunks(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node);
    size_t rows = nn_rows(step->node, step->run->images);
    for (size_t i = from; i < to; i++) {
        float *dslope = step->dx[1] ? (float *)step->workspace + i * channels : NULL;
        size_t end = (i + 1) * CHUNK < rows ? (i + 1) * CHUNK : rows;
        if (dslope) memset(dslope, 0, channels * sizeof *dslope);
        for (size_t row = i * CHUNK; row < end; row++) backward_row(step, row, dslope);
    }
}

static void backward(struct nn_step *step)
{
    size_t channels = (size_t)nn_channels(step->node);
    size_t count = chunks(step->node, step->run->images);
    nn_step_ranges(step, count, 1 + NN_GRAIN / (CHUNK * channels), backward_chunks);
    for (size_t c = 0; step->dx[1] && c < channels; c++) {
        double all = 0.0;
        for (size_t i = 0; i < count; i++) all += ((float *)step->workspace)[i * channels + c];
        step->dx[1][c] = (float)all;
    }
}

const struct nn_op nn_op_prelu = {
    .name = "prelu",
    .title = "PReLU",
    .stem = "p_re_lu",
    .inputs_min = 2,
    .inputs_max = 2,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .inplace = true,
    .inplace_backward = true,
    .infer = infer,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_prelu(struct nn_node *x, struct nn_node *slope)
{
    struct nn_node *inputs[] = {x, slope};
    return nn_append(&nn_op_prelu, inputs, 2, NULL);
}
