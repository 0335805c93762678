/*
 * scale_shift.c — y = x * scale + shift, per channel (the last axis); scale and shift [C], shift
 * may be missing. y has x's shape.
 *
 * Gradient, with sums over all rows (pixels of all images):
 *
 *     dscale[c] = sum dy[c] * x[c],  dshift[c] = sum dy[c],  dx[c] = dy[c] * scale[c]
 *
 * The sums are made over fixed chunks of rows and then added in order, in double: the same for
 * any number of threads. dx may be dy's own memory and comes last.
 */
#include "nn/op/op.h"

enum { CHUNK = 256 }; /* rows */

static size_t chunks(const struct nn_node *node, int images)
{
    return (nn_rows(node, images) + CHUNK - 1) / CHUNK;
}

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_row(node);
    if (!status) status = nn_op_expect_channels(node, 1, "a scale");
    if (!status && node->inputs == 3) status = nn_op_expect_channels(node, 2, "a shift");
    return status ? status : nn_op_infer_same(node);
}

/* sum [C] and product [C] of each chunk. */
static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    (void)threads;
    return training ? chunks(node, batch) * 2 * (size_t)nn_channels(node) * sizeof(float) : 0;
}

/* scale [C], shift [C] */
static size_t prepared(const struct nn_node *node)
{
    return 2 * (size_t)nn_channels(node);
}

static void prepare(struct nn_step *step)
{
    size_t bytes = (size_t)nn_channels(step->node) * sizeof(float);
    float *scale = step->prepared, *shift = scale + nn_channels(step->node);
    memcpy(scale, step->x[1], bytes);
    if (step->node->inputs == 3)
        memcpy(shift, step->x[2], bytes);
    else
        memset(shift, 0, bytes);
}

static void scale_rows(const struct nn_step *step, size_t from, size_t to, float *y, const float *x)
{
    size_t channels = (size_t)nn_channels(step->node);
    for (size_t r = from; r < to; r++)
        step->kernels->mul(y + r * channels, x + r * channels, step->x[1], channels);
}

static void forward_rows(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node);
    if (step->node->inputs == 2)
        scale_rows(step, from, to, step->y, step->x[0]);
    else
        step->kernels->scale_shift(step->y + from * channels, step->x[0] + from * channels,
                                   step->x[1], step->x[2], to - from, (int)channels);
}

static void backward_rows(const struct nn_step *step, size_t from, size_t to)
{
    scale_rows(step, from, to, step->dx[0], step->dy);
}

static void run(struct nn_step *step, nn_range_task *task)
{
    size_t grain = 1 + NN_GRAIN / (size_t)nn_channels(step->node);
    nn_step_ranges(step, nn_rows(step->node, step->run->images), grain, task);
}

static void forward(struct nn_step *step)
{
    run(step, step->epilogue.scale || step->epilogue.relu ? nn_op_affine_rows : forward_rows);
}

static void sum_chunks(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node);
    size_t rows = nn_rows(step->node, step->run->images);
    for (size_t i = from; i < to; i++) {
        float *sum = (float *)step->workspace + i * 2 * channels;
        size_t first = i * CHUNK, count = rows - first < CHUNK ? rows - first : CHUNK;
        step->kernels->channel_products(sum, sum + channels, step->dy + first * channels,
                                        step->x[0] + first * channels, NULL, count, (int)channels);
    }
}

/* total[c] = the chunks' sums at `place`, in order. */
static void add_chunks(const struct nn_step *step, float *total, size_t place)
{
    size_t channels = (size_t)nn_channels(step->node);
    size_t count = chunks(step->node, step->run->images);
    for (size_t c = 0; c < channels; c++) {
        const float *sum = (const float *)step->workspace + place + c;
        double all = 0.0;
        for (size_t i = 0; i < count; i++) all += sum[i * 2 * channels];
        total[c] = (float)all;
    }
}

static void backward(struct nn_step *step)
{
    size_t channels = (size_t)nn_channels(step->node);
    if (step->dx[1] || step->dx[2]) {
        size_t grain = 1 + NN_GRAIN / (CHUNK * channels);
        nn_step_ranges(step, chunks(step->node, step->run->images), grain, sum_chunks);
    }
    if (step->dx[2]) add_chunks(step, step->dx[2], 0);
    if (step->dx[1]) add_chunks(step, step->dx[1], channels);
    if (step->dx[0]) run(step, backward_rows);
}

const struct nn_op nn_op_scale_shift = {
    .name = "scale_shift",
    .title = "ScaleShift",
    .stem = "scale_shift",
    .inputs_min = 2,
    .inputs_max = 3,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .inplace = true,
    .inplace_backward = true,
    .affine_at_inference = true,
    .infer = infer,
    .workspace = workspace,
    .prepare = prepare,
    .prepared = prepared,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_scale_shift(struct nn_node *x, struct nn_node *scale, struct nn_node *shift)
{
    struct nn_node *inputs[] = {x, scale, shift};
    return nn_append(&nn_op_scale_shift, inputs, shift ? 3 : 2, NULL);
}
