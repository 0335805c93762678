/*
 * pool.h — what max_pool and avg_pool share: attributes, shape rule, the pixels of a window.
 *
 * A padding as wide as the window would make windows without a pixel, whose maximum and mean do
 * not exist, so it is an error. With narrower paddings nn_window_make leaves none of them empty.
 */
#ifndef NN_OP_POOL_H
#define NN_OP_POOL_H

#include "nn/op/op.h"

enum { NN_POOL_TAPS = 4096 }; /* most pixels in a window: what fits on a stack as pointers */

struct nn_pool_attributes {
    int size_h, size_w, stride_h, stride_w; /* strides of 0 become the size */
    int padding;                            /* enum nn_padding */
    int pad_top, pad_left, pad_bottom, pad_right;
    bool ceil, count_padding;
    struct nn_window h, w; /* made by infer */
};

#define NN_POOL_INT(name)                                                                          \
    {                                                                                              \
#name, NN_FIELD_INT, offsetof(struct nn_pool_attributes, name)                             \
    }
#define NN_POOL_BOOL(name)                                                                         \
    {                                                                                              \
#name, NN_FIELD_BOOL, offsetof(struct nn_pool_attributes, name)                            \
    }
#define NN_POOL_FIELDS                                                                             \
    NN_POOL_INT(size_h), NN_POOL_INT(size_w), NN_POOL_INT(stride_h), NN_POOL_INT(stride_w),        \
        NN_POOL_INT(padding), NN_POOL_INT(pad_top), NN_POOL_INT(pad_left),                         \
        NN_POOL_INT(pad_bottom), NN_POOL_INT(pad_right), NN_POOL_BOOL(ceil)

static inline struct nn_node *nn_pool_append(const struct nn_op *op, struct nn_node *x,
                                             const struct nn_pool_options *options)
{
    struct nn_pool_attributes attributes = {
        .size_h = options->size_h,
        .size_w = options->size_w,
        .stride_h = options->stride_h,
        .stride_w = options->stride_w,
        .padding = (int)options->padding,
        .pad_top = options->pad_top,
        .pad_left = options->pad_left,
        .pad_bottom = options->pad_bottom,
        .pad_right = options->pad_right,
        .ceil = options->ceil,
        .count_padding = options->count_padding,
    };
    return nn_append(op, &x, 1, &attributes);
}

static inline enum nn_status nn_pool_check(struct nn_node *node)
{
    const struct nn_pool_attributes *a = node->attributes;
    if (a->size_h < 1 || a->size_w < 1 || a->size_h > NN_POOL_TAPS || a->size_w > NN_POOL_TAPS ||
        a->size_h * a->size_w > NN_POOL_TAPS)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "%s '%s': expected a window of 1 to %d pixels, got %d x %d",
                             node->op->name, node->name, NN_POOL_TAPS, a->size_h, a->size_w);
    if (a->stride_h < 0 || a->stride_w < 0)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "%s '%s': expected strides of 1 or more (0: the size), got %d x %d",
                             node->op->name, node->name, a->stride_h, a->stride_w);
    if (a->padding != NN_SAME && a->padding != NN_VALID && a->padding != NN_EXPLICIT)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "%s '%s': expected padding %d (same), %d (valid) or %d (explicit), "
                             "got %d",
                             node->op->name, node->name, NN_SAME, NN_VALID, NN_EXPLICIT,
                             a->padding);
    if (a->pad_top < 0 || a->pad_bottom < 0 || a->pad_left < 0 || a->pad_right < 0 ||
        a->pad_top >= a->size_h || a->pad_bottom >= a->size_h || a->pad_left >= a->size_w ||
        a->pad_right >= a->size_w)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                             "%s '%s': expected paddings of 0 or more and less than the window's "
                             "%d x %d, got top %d, bottom %d, left %d, right %d",
                             node->op->name, node->name, a->size_h, a->size_w, a->pad_top,
                             a->pad_bottom, a->pad_left, a->pad_right);
    return NN_OK;
}

static inline enum nn_status nn_pool_infer(struct nn_node *node)
{
    struct nn_pool_attributes *a = node->attributes;
    enum nn_status status = nn_op_expect_rank(node, 4, "[N,H,W,C]");
    if (!status) status = nn_pool_check(node);
    if (status) return status;
    if (a->stride_h == 0) a->stride_h = a->size_h;
    if (a->stride_w == 0) a->stride_w = a->size_w;
    const struct nn_shape *x = &node->input[0]->shape;
    enum nn_padding padding = (enum nn_padding)a->padding;
    struct nn_window_request h = {x->dim[1], a->size_h,  a->stride_h,   1,
                                  padding,   a->pad_top, a->pad_bottom, a->ceil};
    struct nn_window_request w = {x->dim[2], a->size_w,   a->stride_w,  1,
                                  padding,   a->pad_left, a->pad_right, a->ceil};
    if (!nn_window_make(&a->h, &h) || !nn_window_make(&a->w, &w)) {
        char text[64];
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "%s '%s': a window of %d x %d does not fit into %s", node->op->name,
                             node->name, a->size_h, a->size_w, nn_shape_text(text, *x));
    }
    node->shape = nn_shape4(x->dim[0], a->h.out, a->w.out, x->dim[3]);
    return NN_OK;
}

/* Pixels [from, to) of window `index` that lie in the picture. */
static inline void nn_pool_span(int *from, int *to, const struct nn_window *window, int index)
{
    int start = index * window->stride - window->before, end = start + window->kernel;
    *from = start > 0 ? start : 0;
    *to = end < window->in ? end : window->in;
}

/* Offsets, in floats from the image's first, of the pixels of window (p, q), row by row; returns
 * how many. */
static inline int nn_pool_taps(ptrdiff_t offset[NN_POOL_TAPS],
                               const struct nn_pool_attributes *attributes, int p, int q,
                               int channels)
{
    int top, bottom, left, right, taps = 0;
    nn_pool_span(&top, &bottom, &attributes->h, p);
    nn_pool_span(&left, &right, &attributes->w, q);
    for (int i = top; i < bottom; i++)
        for (int j = left; j < right; j++)
            offset[taps++] = ((ptrdiff_t)i * attributes->w.in + j) * channels;
    return taps;
}

/* Rows of output pixels, over all images, and a share of them worth a thread. */
static inline size_t nn_pool_rows(const struct nn_step *step)
{
    return (size_t)nn_op_images(step->node, step->run) * (size_t)step->node->shape.dim[1];
}
static inline size_t nn_pool_grain(const struct nn_step *step)
{
    const struct nn_pool_attributes *attributes = step->node->attributes;
    size_t work = (size_t)step->node->shape.dim[2] * (size_t)nn_channels(step->node) *
                  (size_t)attributes->size_h * (size_t)attributes->size_w;
    return 1 + NN_GRAIN / work;
}

#endif
