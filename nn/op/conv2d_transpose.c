/*
 * conv2d_transpose.c — "deconvolution": the gradient of conv2d with respect to its input, as an op
 * (Zeiler et al. 2010; Long et al. 2015 make pictures larger with it).
 *
 * y[n,p,q,k] = b[k] + sum x[n,h,w,c] * w[r,s,c,k'],  p = h sh + r dh - top, q = w sw + s dw - left
 *
 * x [N,H,W,C], w [R,S,C,K/groups], b [K], y [N,P,Q,K]; channel c is of group c / (C / groups), and
 * k = group * K/groups + k'. What falls outside of y is dropped.
 *
 * How it runs. Every product belongs to a pair of pixels, one of x and one of y, and to the tap
 * (r, s) that joins them. A task takes a row of pixels of one side, in every image, visits the rows
 * of the other side that a tap joins to it, and walks along both: a pixel's channels times a matrix
 * [C, K/groups] of w, or that matrix's transpose, are added to the other pixel's. So each row is
 * one task's own, and its sums have a fixed order.
 *
 * Gradients, with the same pairs of pixels:
 *   dx[n,h,w,c] = sum_{r,s,k'} dy[n,p,q,k] w[r,s,c,k'], with w's matrices transposed beforehand
 *   dw[r,s,c,k'] = sum_{n,h,w} x[n,h,w,c] dy[n,p,q,k], a task per tap
 *   db[k] = sum_{n,p,q} dy[n,p,q,k]
 */
#include "nn/op/op.h"

enum { X, W, B };
enum { LIMIT = 1 << 24, MOST_TAPS = 1 << 14 };

struct attributes {
    int stride_h, stride_w, dilation_h, dilation_w, groups, padding;
    int pad_top, pad_left, pad_bottom, pad_right;
};
static const struct nn_field FIELDS[] = {
    {"stride_h", NN_FIELD_INT, offsetof(struct attributes, stride_h)},
    {"stride_w", NN_FIELD_INT, offsetof(struct attributes, stride_w)},
    {"dilation_h", NN_FIELD_INT, offsetof(struct attributes, dilation_h)},
    {"dilation_w", NN_FIELD_INT, offsetof(struct attributes, dilation_w)},
    {"groups", NN_FIELD_INT, offsetof(struct attributes, groups)},
    {"padding", NN_FIELD_INT, offsetof(struct attributes, padding)},
    {"pad_top", NN_FIELD_INT, offsetof(struct attributes, pad_top)},
    {"pad_left", NN_FIELD_INT, offsetof(struct attributes, pad_left)},
    {"pad_bottom", NN_FIELD_INT, offsetof(struct attributes, pad_bottom)},
    {"pad_right", NN_FIELD_INT, offsetof(struct attributes, pad_right)},
    {NULL, NN_FIELD_INT, 0},
};

/* ---- shape ----------------------------------------------------------------------------------- */

static bool within(int value, int least)
{
    return value >= least && value <= LIMIT;
}

static enum nn_status check_attributes(struct nn_node *node)
{
    const struct attributes *a = node->attributes;
    bool cut = a->pad_top || a->pad_left || a->pad_bottom || a->pad_right;
    bool good = a->padding == (int)NN_EXPLICIT || (a->padding == (int)NN_VALID && !cut);
    good = good && within(a->stride_h, 1) && within(a->stride_w, 1);
    good = good && within(a->dilation_h, 1) && within(a->dilation_w, 1);
    good = good && within(a->pad_top, 0) && within(a->pad_left, 0);
    good = good && within(a->pad_bottom, 0) && within(a->pad_right, 0);
    if (good) return NN_OK;
    return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT,
                         "conv2d_transpose '%s': expected valid or explicit padding of 0 or more, "
                         "stride and dilation of 1 or more, got kind %d, pads %d, %d, %d, %d, "
                         "stride %d x %d, dilation %d x %d",
                         node->name, a->padding, a->pad_top, a->pad_left, a->pad_bottom,
                         a->pad_right, a->stride_h, a->stride_w, a->dilation_h, a->dilation_w);
}

static enum nn_status check_shapes(struct nn_node *node)
{
    const struct attributes *a = node->attributes;
    const struct nn_shape *x = &node->input[X]->shape, *w = &node->input[W]->shape;
    char text[2][64];
    if (x->rank != 4 || w->rank != 4 || w->dim[2] != x->dim[3] || a->groups < 1 ||
        x->dim[3] % a->groups || w->dim[3] > INT32_MAX / a->groups)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d_transpose '%s': expected x (N, H, W, C) and w (R, S, C, "
                             "K/groups), C a multiple of %d groups, got %s and %s",
                             node->name, a->groups, nn_shape_text(text[0], *x),
                             nn_shape_text(text[1], *w));
    if ((int64_t)w->dim[0] * w->dim[1] > MOST_TAPS)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d_transpose '%s': a %d x %d kernel has more than %d taps",
                             node->name, w->dim[0], w->dim[1], MOST_TAPS);
    int filters = w->dim[3] * a->groups;
    if (node->inputs > B && !nn_shape_equal(node->input[B]->shape, nn_shape1(filters)))
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d_transpose '%s': expected a bias of shape (%d), got %s",
                             node->name, filters, nn_shape_text(text[0], node->input[B]->shape));
    return NN_OK;
}

static int64_t out_size(int in, int stride, int kernel, int dilation, int pads)
{
    return (int64_t)(in - 1) * stride + (int64_t)(kernel - 1) * dilation + 1 - pads;
}

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *a = node->attributes;
    const struct nn_shape *x = &node->input[X]->shape, *w = &node->input[W]->shape;
    enum nn_status status = check_attributes(node);
    if (!status) status = check_shapes(node);
    if (status) return status;
    int64_t rows =
        out_size(x->dim[1], a->stride_h, w->dim[0], a->dilation_h, a->pad_top + a->pad_bottom);
    int64_t columns =
        out_size(x->dim[2], a->stride_w, w->dim[1], a->dilation_w, a->pad_left + a->pad_right);
    if (rows < 1 || rows > LIMIT || columns < 1 || columns > LIMIT)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d_transpose '%s': expected an output of 1 to %d rows and "
                             "columns, got %lld x %lld",
                             node->name, LIMIT, (long long)rows, (long long)columns);
    node->shape = nn_shape4(x->dim[0], (int)rows, (int)columns, w->dim[3] * a->groups);
    return NN_OK;
}

/* ---- pairs of pixels ------------------------------------------------------------------------- */

struct geometry {
    int kernel_h, kernel_w, groups;
    int rows, columns, channels;          /* of x */
    int out_rows, out_columns, filters;   /* of y */
    size_t group_channels, group_filters; /* in a group */
    size_t tap_floats;                    /* of w, for each tap */
    size_t x_row, y_row;                  /* floats in a row of pixels */
    const struct attributes *a;
};

static struct geometry geometry_of(const struct nn_node *node)
{
    const struct nn_shape *x = &node->input[X]->shape, *w = &node->input[W]->shape;
    const struct nn_shape *y = &node->shape;
    const struct attributes *a = node->attributes;
    return (struct geometry){.kernel_h = w->dim[0],
                             .kernel_w = w->dim[1],
                             .groups = a->groups,
                             .rows = x->dim[1],
                             .columns = x->dim[2],
                             .channels = x->dim[3],
                             .out_rows = y->dim[1],
                             .out_columns = y->dim[2],
                             .filters = y->dim[3],
                             .group_channels = (size_t)(x->dim[3] / a->groups),
                             .group_filters = (size_t)w->dim[3],
                             .tap_floats = (size_t)w->dim[2] * (size_t)w->dim[3],
                             .x_row = (size_t)x->dim[2] * (size_t)x->dim[3],
                             .y_row = (size_t)y->dim[2] * (size_t)y->dim[3],
                             .a = a};
}

static size_t row_at(int image, int rows, int row)
{
    return (size_t)image * (size_t)rows + (size_t)row;
}

/* The row of y that row h of x meets by kernel row r; outside of y: -1. */
static int row_met(const struct geometry *g, int h, int r)
{
    int64_t p = (int64_t)h * g->a->stride_h + (int64_t)r * g->a->dilation_h - g->a->pad_top;
    return p >= 0 && p < g->out_rows ? (int)p : -1;
}

/* The row of x that meets row p of y by kernel row r; none: -1. */
static int row_meeting(const struct geometry *g, int p, int r)
{
    int64_t inside = (int64_t)p + g->a->pad_top - (int64_t)r * g->a->dilation_h;
    if (inside < 0 || inside % g->a->stride_h || inside / g->a->stride_h >= g->rows) return -1;
    return (int)(inside / g->a->stride_h);
}

/* Columns [first, end) of x meet columns of y by kernel column s: w meets w * stride + shift. */
struct span {
    int first, end;
    int64_t shift;
};

static struct span span_of(const struct geometry *g, int s)
{
    int64_t stride = g->a->stride_w;
    int64_t shift = (int64_t)s * g->a->dilation_w - g->a->pad_left;
    int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    int64_t left = g->out_columns - shift; /* columns w with w * stride < left */
    int64_t end = left <= 0 ? 0 : (left + stride - 1) / stride;
    if (end > g->columns) end = g->columns;
    return (struct span){(int)first, (int)end, shift};
}

static size_t column_met(const struct geometry *g, const struct span *span, int w)
{
    return (size_t)((int64_t)w * g->a->stride_w + span->shift);
}

/* A pixel's worth of one group after the other: to += from * matrix, where a group's matrix has a
 * row of `to_group` floats for each of its `from_group` channels. */
static void add_product(const struct nn_kernels *kernels, float *to, const float *from,
                        const float *matrix, const struct geometry *g, bool back)
{
    size_t from_group = back ? g->group_filters : g->group_channels;
    size_t to_group = back ? g->group_channels : g->group_filters;
    size_t groups = (size_t)g->groups;
    if (from_group == 1 && to_group == 1) {
        for (size_t i = 0; i < groups; i++) to[i] += from[i] * matrix[i];
        return;
    }
    for (size_t i = 0; i < groups; i++, to += to_group)
        for (size_t j = 0; j < from_group; j++, matrix += to_group)
            kernels->multiply_add(to, matrix, *from++, to_group);
}

/* Row h of an image's x, to or from row p of its y, by kernel row r. `matrices` has w's, or their
 * transposes. */
static void join_rows(const struct nn_kernels *kernels, float *to, const float *from,
                      const float *matrices, const struct geometry *g, bool back)
{
    for (int s = 0; s < g->kernel_w; s++, matrices += g->tap_floats) {
        struct span span = span_of(g, s);
        for (int w = span.first; w < span.end; w++) {
            size_t x = (size_t)w * (size_t)g->channels;
            size_t y = column_met(g, &span, w) * (size_t)g->filters;
            add_product(kernels, to + (back ? x : y), from + (back ? y : x), matrices, g, back);
        }
    }
}

/* ---- forward: a row of y, of all images ------------------------------------------------------ */

static void start_row(float *y, const float *bias, size_t pixels, size_t filters)
{
    if (!bias) memset(y, 0, pixels * filters * sizeof *y);
    for (size_t q = 0; bias && q < pixels; q++, y += filters) memcpy(y, bias, filters * sizeof *y);
}

static void forward_row(void *argument, int p, int thread)
{
    const struct nn_step *step = argument;
    struct geometry g = geometry_of(step->node);
    const float *bias = step->node->inputs > B ? step->x[B] : NULL;
    int images = nn_op_images(step->node, step->run);
    (void)thread;
    for (int n = 0; n < images; n++) {
        float *y = step->y + row_at(n, g.out_rows, p) * g.y_row;
        start_row(y, bias, (size_t)g.out_columns, (size_t)g.filters);
        for (int r = 0; r < g.kernel_h; r++) {
            int h = row_meeting(&g, p, r);
            if (h >= 0)
                join_rows(step->kernels, y, step->x[X] + row_at(n, g.rows, h) * g.x_row,
                          step->x[W] + (size_t)(r * g.kernel_w) * g.tap_floats, &g, false);
        }
    }
}

static void forward(struct nn_step *step)
{
    nn_parallel(step->context, step->node->shape.dim[1], forward_row, step);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* w's transposed matrices. */
static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    (void)batch;
    (void)threads;
    return training ? nn_shape_count(node->input[W]->shape) * sizeof(float) : 0;
}

static void turn_tap(void *argument, int tap, int thread)
{
    const struct nn_step *step = argument;
    struct geometry g = geometry_of(step->node);
    size_t block = g.group_channels * g.group_filters;
    (void)thread;
    for (int i = 0; i < g.groups; i++) {
        size_t at = (size_t)tap * g.tap_floats + (size_t)i * block;
        step->kernels->transpose((float *)step->workspace + at, (ptrdiff_t)g.group_channels,
                                 step->x[W] + at, (ptrdiff_t)g.group_filters, (int)g.group_channels,
                                 (int)g.group_filters);
    }
}

/* A row of dx, of all images. */
static void input_gradient_row(void *argument, int h, int thread)
{
    const struct nn_step *step = argument;
    struct geometry g = geometry_of(step->node);
    const float *turned = step->workspace;
    int images = nn_op_images(step->node, step->run);
    (void)thread;
    for (int n = 0; n < images; n++) {
        float *dx = step->dx[X] + row_at(n, g.rows, h) * g.x_row;
        memset(dx, 0, g.x_row * sizeof *dx);
        for (int r = 0; r < g.kernel_h; r++) {
            int p = row_met(&g, h, r);
            if (p >= 0)
                join_rows(step->kernels, dx, step->dy + row_at(n, g.out_rows, p) * g.y_row,
                          turned + (size_t)(r * g.kernel_w) * g.tap_floats, &g, true);
        }
    }
}

/* dw of one tap += x of a pixel times dy of the one it meets. */
static void add_pixel(const struct nn_kernels *kernels, float *dw, const float *x, const float *dy,
                      const struct geometry *g)
{
    size_t groups = (size_t)g->groups;
    if (g->group_channels == 1 && g->group_filters == 1) {
        for (size_t i = 0; i < groups; i++) dw[i] += x[i] * dy[i];
        return;
    }
    for (size_t i = 0; i < groups; i++, dy += g->group_filters)
        for (size_t j = 0; j < g->group_channels; j++, dw += g->group_filters)
            kernels->multiply_add(dw, dy, *x++, g->group_filters);
}

static void weight_gradient_tap(void *argument, int tap, int thread)
{
    const struct nn_step *step = argument;
    struct geometry g = geometry_of(step->node);
    struct span span = span_of(&g, tap % g.kernel_w);
    size_t channels = (size_t)g.channels, filters = (size_t)g.filters;
    int images = nn_op_images(step->node, step->run);
    float *dw = step->dx[W] + (size_t)tap * g.tap_floats;
    (void)thread;
    memset(dw, 0, g.tap_floats * sizeof *dw);
    for (int n = 0; n < images; n++)
        for (int h = 0; h < g.rows; h++) {
            int p = row_met(&g, h, tap / g.kernel_w);
            if (p < 0) continue;
            const float *x = step->x[X] + row_at(n, g.rows, h) * g.x_row;
            const float *dy = step->dy + row_at(n, g.out_rows, p) * g.y_row;
            for (int w = span.first; w < span.end; w++)
                add_pixel(step->kernels, dw, x + (size_t)w * channels,
                          dy + column_met(&g, &span, w) * filters, &g);
        }
}

static void backward(struct nn_step *step)
{
    struct geometry g = geometry_of(step->node);
    int taps = g.kernel_h * g.kernel_w;
    if (step->dx[W]) nn_parallel(step->context, taps, weight_gradient_tap, step);
    if (step->dx[B])
        step->kernels->channel_sum(step->dx[B], step->dy, nn_rows(step->node, step->run->images),
                                   g.filters);
    if (!step->dx[X]) return;
    nn_parallel(step->context, taps, turn_tap, step);
    nn_parallel(step->context, g.rows, input_gradient_row, step);
}

static double multiply_adds(const struct nn_node *node)
{
    const struct nn_shape *x = &node->input[X]->shape;
    return (double)x->dim[1] * x->dim[2] * (double)nn_shape_count(node->input[W]->shape);
}

const struct nn_op nn_op_conv2d_transpose = {
    .name = "conv2d_transpose",
    .title = "Conv2DTranspose",
    .stem = "conv2d_transpose",
    .inputs_min = 2,
    .inputs_max = 3,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .bwd_reads = NN_READS_X(X) | NN_READS_X(W),
    .infer = infer,
    .workspace = workspace,
    .forward = forward,
    .backward = backward,
    .multiply_adds = multiply_adds,
};

struct nn_node *nn_conv2d_transpose(struct nn_node *x, struct nn_node *w, struct nn_node *b,
                                    const struct nn_conv2d_options *options)
{
    static const struct nn_conv2d_options defaults = {.padding = NN_VALID};
    const struct nn_conv2d_options *o = options ? options : &defaults;
    struct nn_node *inputs[] = {x, w, b};
    bool cut = o->padding == NN_EXPLICIT;
    struct attributes attributes = {.stride_h = o->stride_h ? o->stride_h : 1,
                                    .stride_w = o->stride_w ? o->stride_w : 1,
                                    .dilation_h = o->dilation_h ? o->dilation_h : 1,
                                    .dilation_w = o->dilation_w ? o->dilation_w : 1,
                                    .groups = o->groups ? o->groups : 1,
                                    .padding = (int)o->padding,
                                    .pad_top = cut ? o->pad_top : 0,
                                    .pad_left = cut ? o->pad_left : 0,
                                    .pad_bottom = cut ? o->pad_bottom : 0,
                                    .pad_right = cut ? o->pad_right : 0};
    return nn_append(&nn_op_conv2d_transpose, inputs, b ? 3 : 2, &attributes);
}
