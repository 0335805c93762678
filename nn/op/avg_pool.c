/*
 * avg_pool.c — the mean of each window, channel by channel.
 *
 *     y[n,p,q,c] = 1/D sum over (i, j) in window (p, q) of x[n,i,j,c]
 *
 * x [N,H,W,C], y [N,P,Q,C]. D is the number of the window's pixels inside the picture (as
 * TensorFlow, and Keras' `same`), or with count_padding inside picture and padding: Caffe's and
 * PyTorch's rule, in which only the part of a `ceil` window beyond the padding does not count.
 *
 * Gradient: each pixel gets dy/D from every window it is in.
 */
#include "nn/op/pool.h"

static const struct nn_field FIELDS[] = {
    NN_POOL_FIELDS, NN_POOL_BOOL(count_padding), {NULL, NN_FIELD_INT, 0}};

/* Pixels of window `index` along one axis that the mean is divided by. */
static int counted(const struct nn_window *window, int index, int after, bool count_padding)
{
    int from, to;
    nn_pool_span(&from, &to, window, index);
    if (!count_padding) return to - from;
    int start = index * window->stride - window->before, rest = window->in + after - start;
    return rest < window->kernel ? rest : window->kernel;
}

static float weight(const struct nn_pool_attributes *attributes, int p, int q)
{
    /* `same` pads as far as its windows go. */
    const int explicit_padding = attributes->padding == NN_EXPLICIT;
    const int far = attributes->padding == NN_SAME ? NN_POOL_TAPS : 0;
    int bottom = explicit_padding ? attributes->pad_bottom : far;
    int right = explicit_padding ? attributes->pad_right : far;
    int rows = counted(&attributes->h, p, bottom, attributes->count_padding);
    int columns = counted(&attributes->w, q, right, attributes->count_padding);
    return 1.0f / (float)(rows * columns);
}

static void forward_rows(const struct nn_step *step, size_t from, size_t to)
{
    const struct nn_pool_attributes *attributes = step->node->attributes;
    const struct nn_shape *shape = &step->node->shape;
    int rows = shape->dim[1], columns = shape->dim[2], channels = shape->dim[3];
    size_t image = (size_t)attributes->h.in * (size_t)attributes->w.in * (size_t)channels;
    ptrdiff_t offset[NN_POOL_TAPS];
    for (size_t r = from; r < to; r++) {
        const float *x = step->x[0] + r / (size_t)rows * image;
        float *y = step->y + r * (size_t)columns * (size_t)channels;
        int p = (int)(r % (size_t)rows);
        for (int q = 0; q < columns; q++, y += channels) {
            int taps = nn_pool_taps(offset, attributes, p, q, channels);
            float share = weight(attributes, p, q);
            memset(y, 0, (size_t)channels * sizeof *y);
            for (int t = 0; t < taps; t++)
                step->kernels->multiply_add(y, x + offset[t], share, (size_t)channels);
        }
    }
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_pool_rows(step), nn_pool_grain(step), forward_rows);
}

static void backward_image(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    const struct nn_pool_attributes *attributes = step->node->attributes;
    const struct nn_shape *shape = &step->node->shape;
    int channels = shape->dim[3];
    size_t image = (size_t)attributes->h.in * (size_t)attributes->w.in * (size_t)channels;
    size_t place = (size_t)index * (size_t)shape->dim[1] * (size_t)shape->dim[2] * (size_t)channels;
    float *dx = step->dx[0] + (size_t)index * image;
    const float *dy = step->dy + place;
    ptrdiff_t offset[NN_POOL_TAPS];
    (void)thread;
    memset(dx, 0, image * sizeof *dx);
    for (int p = 0; p < shape->dim[1]; p++)
        for (int q = 0; q < shape->dim[2]; q++, dy += channels) {
            int taps = nn_pool_taps(offset, attributes, p, q, channels);
            float share = weight(attributes, p, q);
            for (int t = 0; t < taps; t++)
                step->kernels->multiply_add(dx + offset[t], dy, share, (size_t)channels);
        }
}

static void backward(struct nn_step *step)
{
    nn_parallel(step->context, nn_op_images(step->node, step->run), backward_image, step);
}

const struct nn_op nn_op_avg_pool = {
    .name = "avg_pool",
    .title = "AveragePooling2D",
    .stem = "average_pooling2d",
    .inputs_min = 1,
    .inputs_max = 1,
    .attributes_size = sizeof(struct nn_pool_attributes),
    .fields = FIELDS,
    .infer = nn_pool_infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_avg_pool(struct nn_node *x, const struct nn_pool_options *options)
{
    return nn_pool_append(&nn_op_avg_pool, x, options);
}
