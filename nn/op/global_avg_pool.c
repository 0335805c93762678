/*
 * global_avg_pool.c — the mean over all pixels (Lin et al., "Network in Network", 2014).
 *
 *     y[n,c] = 1/(HW) sum_{i,j} x[n,i,j,c]        x [N,H,W,C], y [N,C]
 *
 * Gradient: dx[n,i,j,c] = dy[n,c] / (HW).
 */
#include "nn/op/op.h"

static enum nn_status infer(struct nn_node *node)
{
    enum nn_status status = nn_op_expect_rank(node, 4, "[N,H,W,C]");
    if (status) return status;
    const struct nn_shape *x = &node->input[0]->shape;
    node->shape = nn_shape2(x->dim[0], x->dim[3]);
    return NN_OK;
}

static size_t pixels(const struct nn_node *node)
{
    const struct nn_shape *x = &node->input[0]->shape;
    return (size_t)x->dim[1] * (size_t)x->dim[2];
}

static void forward_image(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    int channels = nn_channels(step->node);
    size_t count = pixels(step->node);
    float *y = step->y + (size_t)index * (size_t)channels;
    const float *x = step->x[0] + (size_t)index * count * (size_t)channels;
    (void)thread;
    step->kernels->channel_sum(y, x, count, channels);
    for (int c = 0; c < channels; c++) y[c] /= (float)count;
}

static void forward(struct nn_step *step)
{
    nn_parallel(step->context, nn_op_images(step->node, step->run), forward_image, step);
}

static void backward_image(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    size_t channels = (size_t)nn_channels(step->node), count = pixels(step->node);
    const float *dy = step->dy + (size_t)index * channels;
    float *dx = step->dx[0] + (size_t)index * count * channels;
    (void)thread;
    for (size_t c = 0; c < channels; c++) dx[c] = dy[c] / (float)count;
    for (size_t p = 1; p < count; p++) memcpy(dx + p * channels, dx, channels * sizeof *dx);
}

static void backward(struct nn_step *step)
{
    nn_parallel(step->context, nn_op_images(step->node, step->run), backward_image, step);
}

const struct nn_op nn_op_global_avg_pool = {
    .name = "global_avg_pool",
    .title = "GlobalAveragePooling2D",
    .stem = "global_average_pooling2d",
    .inputs_min = 1,
    .inputs_max = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_global_avg_pool(struct nn_node *x)
{
    return nn_append(&nn_op_global_avg_pool, &x, 1, NULL);
}
