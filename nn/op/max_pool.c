/*
 * max_pool.c — the largest value of each window, channel by channel.
 *
 *     y[n,p,q,c] = max over (i, j) in window (p, q) of x[n,i,j,c]
 *
 * x [N,H,W,C], y [N,P,Q,C]; window (p, q) begins at (p*stride_h - top, q*stride_w - left). Pixels
 * outside the picture never win, they are not looked at.
 *
 * Gradient: y changes with the winning pixel alone, so dy goes to it; of equal values the first
 * one in the window's row-major order counts as the winner. Which one it was is saved, numbered
 * among the window's pixels inside the picture, as a float: what the kernel compares fastest.
 * Where windows overlap a pixel may win several times and gets the sum.
 */
#include "nn/op/pool.h"

static const struct nn_field FIELDS[] = {NN_POOL_FIELDS, {NULL, NN_FIELD_INT, 0}};

static size_t saved(const struct nn_node *node, int batch, bool training)
{
    return training ? nn_node_count_for(node, batch) * sizeof(float) : 0;
}

static struct nn_window_row row_of(const struct nn_pool_attributes *a, int channels)
{
    return (struct nn_window_row){.channels = channels, .step = (ptrdiff_t)a->w.stride * channels};
}

/* How many windows of a row, from window q on, go alike: all that are whole, or one. */
static int windows_from(const struct nn_pool_attributes *a, int q)
{
    int left = q * a->w.stride - a->w.before;
    int whole = left < 0 ? 0 : (a->w.in - a->w.kernel - left) / a->w.stride + 1;
    if (a->w.in < left + a->w.kernel || whole < 1) return 1;
    return whole < a->w.out - q ? whole : a->w.out - q;
}

/* Does each pixel of the axis lie in one window? */
static bool are_partition(const struct nn_window *w)
{
    return w->stride == w->kernel && !w->before && w->out * w->kernel == w->in;
}

static bool takes_affine(const struct nn_node *node)
{
    (void)node;
    return true;
}

static void forward_rows(const struct nn_step *step, size_t from, size_t to)
{
    const struct nn_pool_attributes *attributes = step->node->attributes;
    const struct nn_shape *shape = &step->node->shape;
    int rows = shape->dim[1], columns = shape->dim[2], channels = shape->dim[3];
    size_t image = (size_t)attributes->h.in * (size_t)attributes->w.in * (size_t)channels;
    ptrdiff_t offset[NN_POOL_TAPS];
    const float *tap[NN_POOL_TAPS];
    struct nn_window_row row = row_of(attributes, channels);
    row.affine = step->affine;
    for (size_t r = from; r < to; r++) {
        const float *x = step->x[0] + r / (size_t)rows * image;
        for (int q = 0; q < columns; q += row.windows) {
            row.taps = nn_pool_taps(offset, attributes, (int)(r % (size_t)rows), q, channels);
            row.windows = windows_from(attributes, q);
            for (int t = 0; t < row.taps; t++) tap[t] = x + offset[t];
            size_t place = (r * (size_t)columns + (size_t)q) * (size_t)channels;
            float *which = step->saved ? (float *)step->saved + place : NULL;
            step->kernels->max_window(step->y + place, which, tap, &row);
        }
    }
}

static void forward(struct nn_step *step)
{
    nn_step_ranges(step, nn_pool_rows(step), nn_pool_grain(step), forward_rows);
}

static bool pools_pairs(const struct nn_node *node)
{
    const struct nn_pool_attributes *a = node->attributes;
    return a->size_h == 2 && a->size_w == 2 && a->stride_h == 2 && a->stride_w == 2 &&
           !a->h.before && !a->w.before && a->h.out == a->h.in / 2 && a->w.out == a->w.in / 2;
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
    const float *which = (const float *)step->saved + place, *dy = step->dy + place;
    ptrdiff_t offset[NN_POOL_TAPS];
    float *tap[NN_POOL_TAPS];
    struct nn_window_row row = row_of(attributes, channels);
    (void)thread;
    row.sets = are_partition(&attributes->h) && are_partition(&attributes->w);
    if (!row.sets) memset(dx, 0, image * sizeof *dx);
    for (int p = 0; p < shape->dim[1]; p++)
        for (int q = 0; q < shape->dim[2]; q += row.windows) {
            row.taps = nn_pool_taps(offset, attributes, p, q, channels);
            row.windows = windows_from(attributes, q);
            for (int t = 0; t < row.taps; t++) tap[t] = dx + offset[t];
            size_t at = ((size_t)p * (size_t)shape->dim[2] + (size_t)q) * (size_t)channels;
            step->kernels->max_window_backward(tap, which + at, dy + at, &row);
        }
}

static void backward(struct nn_step *step)
{
    nn_parallel(step->context, nn_op_images(step->node, step->run), backward_image, step);
}

const struct nn_op nn_op_max_pool = {
    .name = "max_pool",
    .title = "MaxPooling2D",
    .stem = "max_pooling2d",
    .inputs_min = 1,
    .inputs_max = 1,
    .attributes_size = sizeof(struct nn_pool_attributes),
    .fields = FIELDS,
    .pools_pairs = pools_pairs,
    .takes_affine = takes_affine,
    .infer = nn_pool_infer,
    .saved = saved,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_max_pool(struct nn_node *x, const struct nn_pool_options *options)
{
    return nn_pool_append(&nn_op_max_pool, x, options);
}
