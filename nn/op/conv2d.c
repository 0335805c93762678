/*
 * conv2d.c — y[n,p,q,k] = b[k] + sum_{r,s,c} x[n, p sh + r dh - top, q sw + s dw - left, c]
 * w[r,s,c,k]
 *
 * x [N,H,W,C], w [R,S,C/groups,K], b [K], y [N,P,Q,K]; zeros outside the picture.
 *
 * How it runs. Bands of the picture are copied, with the zeros of the border (conv_pass.h); there
 * the kernel (conv_row) is a plain sum over runs of floats.
 *
 * Gradients: nn/conv_gradient.c.
 */
#include "nn/op/conv2d.h"

enum { MOST_TAPS = 1 << 14 };
enum { PANEL = 32 };               /* filters whose weights lie together once prepared */
enum { LEAST_PACKED = 80 * 1024 }; /* floats of weights; fewer stay in the cache as they are */
enum { AHEAD = 4096 }; /* floats of packed weights: they may come from the last-level cache */
enum { CHUNK_FLOATS = 64 * 1024 }; /* of weights, for one task: 256 kB */

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

/* ---- geometry -------------------------------------------------------------------------------- */

/* Large 3x3 convolutions of stride 1 go that way; dx is one when the convolution is. */
static bool look_at_winograd(struct nn_winograd *winograd, const struct pass *pass, int dilation)
{
    *winograd = (struct nn_winograd){pass->height,      pass->width,      pass->from_channels,
                                     pass->to_channels, pass->out_height, pass->out_width,
                                     pass->before_h,    pass->before_w,   dilation};
    return nn_winograd_suits(winograd);
}

static void choose_way(struct geometry *g, const struct attributes *a)
{
    bool possible = g->kernel_h == 3 && g->kernel_w == 3 && g->groups == 1 && a->stride_h == 1 &&
                    a->stride_w == 1 && a->dilation_h == a->dilation_w;
    g->by_winograd = look_at_winograd(&g->winograd, &g->forward, a->dilation_h) && possible;
    g->back_by_winograd =
        look_at_winograd(&g->back_winograd, &g->backward, a->dilation_h) && possible;
}

static enum nn_status make_geometry(struct nn_node *node, struct nn_window h, struct nn_window w)
{
    struct attributes *a = node->attributes;
    struct nn_shape kernel = node->input[W]->shape;
    int channels = node->input[X]->shape.dim[3], filters = kernel.dim[3];
    struct geometry *g = nn_graph_alloc(node->graph, 1, sizeof *g);
    if (!g) return NN_ERROR_MEMORY;
    g->kernel_h = kernel.dim[0];
    g->kernel_w = kernel.dim[1];
    g->groups = a->groups;
    g->forward = (struct pass){.height = h.in,
                               .width = w.in,
                               .spread_h = 1,
                               .spread_w = 1,
                               .before_h = h.before,
                               .before_w = w.before,
                               .from_channels = channels,
                               .from_group = channels / a->groups,
                               .to_channels = filters,
                               .to_group = filters / a->groups,
                               .out_height = h.out,
                               .out_width = w.out,
                               .stride_h = h.stride,
                               .stride_w = w.stride};
    g->backward = (struct pass){.height = h.out,
                                .width = w.out,
                                .spread_h = h.stride,
                                .spread_w = w.stride,
                                .before_h = (h.kernel - 1) * h.dilation - h.before,
                                .before_w = (w.kernel - 1) * w.dilation - w.before,
                                .from_channels = filters,
                                .from_group = filters / a->groups,
                                .to_channels = channels,
                                .to_group = channels / a->groups,
                                .out_height = h.in,
                                .out_width = w.in,
                                .stride_h = 1,
                                .stride_w = 1};
    choose_way(g, a);
    a->geometry = g;
    if (complete_pass(&g->forward, node->graph, h, w) &&
        complete_pass(&g->backward, node->graph, h, w))
        return NN_OK;
    return nn_graph_fail(node->graph, NN_ERROR_SHAPE, "conv2d '%s': too large", node->name);
}

static enum nn_status check_shapes(struct nn_node *node)
{
    const struct attributes *a = node->attributes;
    struct nn_shape x = node->input[X]->shape, w = node->input[W]->shape;
    char text[2][64];
    if (x.rank != 4 || w.rank != 4)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d '%s': expected x (N, H, W, C) and w (R, S, C, K), got %s "
                             "and %s",
                             node->name, nn_shape_text(text[0], x), nn_shape_text(text[1], w));
    if (a->groups < 1 || x.dim[3] % a->groups || w.dim[3] % a->groups ||
        w.dim[2] != x.dim[3] / a->groups)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d '%s': x %s and w %s do not fit with %d groups (w's third "
                             "dimension is C / groups, and groups divide C and K)",
                             node->name, nn_shape_text(text[0], x), nn_shape_text(text[1], w),
                             a->groups);
    if (node->inputs > B && !nn_shape_equal(node->input[B]->shape, nn_shape1(w.dim[3])))
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d '%s': expected a bias of shape (%d), got %s", node->name,
                             w.dim[3], nn_shape_text(text[0], node->input[B]->shape));
    if ((int64_t)w.dim[0] * w.dim[1] > MOST_TAPS)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d '%s': a %d x %d kernel has more than %d taps", node->name,
                             w.dim[0], w.dim[1], MOST_TAPS);
    return NN_OK;
}

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *a = node->attributes;
    enum nn_status status = check_shapes(node);
    if (status) return status;
    struct nn_shape x = node->input[X]->shape, w = node->input[W]->shape;
    struct nn_window rows, columns;
    enum nn_padding padding = (enum nn_padding)a->padding;
    bool known = padding == NN_SAME || padding == NN_VALID || padding == NN_EXPLICIT;
    if (!known ||
        !nn_window_make(&rows,
                        &(struct nn_window_request){x.dim[1], w.dim[0], a->stride_h, a->dilation_h,
                                                    padding, a->pad_top, a->pad_bottom, false}) ||
        !nn_window_make(&columns,
                        &(struct nn_window_request){x.dim[2], w.dim[1], a->stride_w, a->dilation_w,
                                                    padding, a->pad_left, a->pad_right, false})) {
        char text[64];
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "conv2d '%s': a %d x %d kernel with stride %d x %d and dilation "
                             "%d x %d does not fit into %s",
                             node->name, w.dim[0], w.dim[1], a->stride_h, a->stride_w,
                             a->dilation_h, a->dilation_w, nn_shape_text(text, x));
    }
    node->shape = nn_shape4(x.dim[0], rows.out, columns.out, w.dim[3]);
    return make_geometry(node, rows, columns);
}

/* ---- forward and dx: one job ----------------------------------------------------------------- */

static int panel_count(const struct conv_job *job)
{
    return (job->pass->to_group + job->panel - 1) / job->panel;
}

/* A chunk's filters of `band` rows from the padded copy. All rows for one panel, then the next: a
 * panel's weights stay in the cache. */
static void run_panels(const struct conv_job *job, int group, int chunk, float *to, int band,
                       const float *copy)
{
    const struct pass *pass = job->pass;
    ptrdiff_t to_row = (ptrdiff_t)pass->out_width * pass->to_channels;
    ptrdiff_t copied_row = (ptrdiff_t)pass->stride_h * pass->copy_width * pass->from_group;
    int end =
        (chunk + 1) * job->chunk < panel_count(job) ? (chunk + 1) * job->chunk : panel_count(job);
    struct nn_conv_row row = row_of(pass, job->w_stride);
    row.ahead = job->ahead;
    for (int i = chunk * job->chunk; i < end; i++) {
        int from = i * job->panel, at = group * pass->to_group + from;
        row.filters = pass->to_group - from < job->panel ? pass->to_group - from : job->panel;
        const float *weights = job->weights + group * job->group_stride + i * job->panel_stride;
        for (int p = 0; p < band; p++) {
            float *y = to + p * to_row + at;
            struct nn_epilogue epilogue = nn_epilogue_from(&job->epilogue, at, y - job->to);
            job->step->kernels->conv_row(y, copy + p * copied_row, weights, &row, &epilogue);
        }
    }
}

/* Tasks are numbered chunk by chunk, so that a thread's share needs few of the weights. */
static void run_task(void *argument, int index, int thread)
{
    const struct conv_job *job = argument;
    const struct pass *pass = job->pass;
    int bands = band_count(pass), tasks = bands * job->step->run->images;
    int image = index % tasks / bands, first = index % bands * pass->band;
    int band = pass->out_height - first < pass->band ? pass->out_height - first : pass->band;
    size_t from_image = (size_t)pass->height * (size_t)pass->width * (size_t)pass->from_channels;
    size_t to_row = (size_t)pass->out_width * (size_t)pass->to_channels;
    const float *from = job->from + (size_t)image * from_image;
    float *to = job->to + ((size_t)image * (size_t)pass->out_height + (size_t)first) * to_row;
    float *scratch = job->scratch + (size_t)thread * scratch_floats(pass);
    for (int g = 0; g < geometry_of(job->step->node)->groups; g++) {
        copy_band(scratch, pass, from + g * pass->from_group, first, band);
        run_panels(job, g, index / tasks, to, band, scratch);
    }
}

void nn_conv_run(struct conv_job *job)
{
    int chunks = (panel_count(job) + job->chunk - 1) / job->chunk;
    int count = chunks * job->step->run->images * band_count(job->pass);
    nn_parallel(job->step->context, count, run_task, job);
}

/* ---- prepared weights: [K / PANEL][R][S][C][PANEL], so that a tile's are one stream ---------- */

static size_t panel_floats(const struct nn_node *node)
{
    return nn_shape_count(node->input[W]->shape) / (size_t)nn_channels(node) * PANEL;
}

static size_t prepared(const struct nn_node *node)
{
    const struct geometry *g = geometry_of(node);
    size_t filters = (size_t)nn_channels(node);
    if (g->by_winograd) return nn_winograd_weights(&g->winograd);
    size_t floats = nn_shape_count(node->input[W]->shape);
    if (filters <= PANEL || floats < LEAST_PACKED || g->groups > 1) return 0;
    return (filters + PANEL - 1) / PANEL * panel_floats(node);
}

static void prepare_panel(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    size_t filters = (size_t)nn_channels(step->node), from = (size_t)index * PANEL;
    size_t rows = panel_floats(step->node) / PANEL;
    size_t bytes = (filters - from < PANEL ? filters - from : PANEL) * sizeof(float);
    float *to = step->prepared + (size_t)index * panel_floats(step->node);
    (void)thread;
    for (size_t row = 0; row < rows; row++)
        memcpy(to + row * PANEL, step->x[W] + row * filters + from, bytes);
}

static void prepare(struct nn_step *step)
{
    const struct geometry *g = geometry_of(step->node);
    int panels = (nn_channels(step->node) + PANEL - 1) / PANEL;
    if (g->by_winograd)
        nn_winograd_transform(step->context, &g->winograd, step->prepared, step->x[W]);
    else
        nn_parallel(step->context, panels, prepare_panel, step);
}

static void forward_by_winograd(struct nn_step *step, const struct nn_winograd *w)
{
    nn_winograd_forward(step->context,
                        &(struct nn_winograd_run){.w = w,
                                                  .y = step->y,
                                                  .x = step->x[X],
                                                  .u = step->prepared,
                                                  .weights = step->x[W],
                                                  .epilogue = step->epilogue,
                                                  .workspace = step->workspace,
                                                  .affine = step->affine},
                        step->run->images);
}

static void forward(struct nn_step *step)
{
    const struct geometry *g = geometry_of(step->node);
    step->epilogue.bias = step->node->inputs > B ? step->x[B] : NULL;
    if (g->by_winograd) {
        forward_by_winograd(step, &g->winograd);
        return;
    }
    struct conv_job job = {.step = step,
                           .pass = &g->forward,
                           .from = step->x[X],
                           .weights = step->x[W],
                           .to = step->y,
                           .scratch = step->workspace,
                           .group_stride = g->forward.to_group,
                           .w_stride = g->forward.to_channels,
                           .panel = PANEL,
                           .panel_stride = PANEL,
                           .epilogue = step->epilogue};
    size_t floats = panel_floats(step->node);
    job.chunk = floats < CHUNK_FLOATS ? CHUNK_FLOATS / (int)floats : 1;
    if (step->prepared) {
        job.weights = step->prepared;
        job.w_stride = PANEL;
        job.panel_stride = (ptrdiff_t)floats;
        job.ahead = AHEAD;
    }
    nn_conv_run(&job);
}

static bool takes_pool(const struct nn_node *node)
{
    const struct geometry *g = geometry_of(node);
    return g->by_winograd && g->winograd.dilation == 1;
}

static bool takes_affine(const struct nn_node *node)
{
    return geometry_of(node)->by_winograd;
}

static double multiply_adds(const struct nn_node *node)
{
    const struct pass *pass = &geometry_of(node)->forward;
    return (double)pass->out_height * pass->out_width *
           (double)nn_shape_count(node->input[W]->shape);
}

const struct nn_op nn_op_conv2d = {
    .name = "conv2d",
    .title = "Conv2D",
    .stem = "conv2d",
    .inputs_min = 2,
    .inputs_max = 3,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .bwd_reads = NN_READS_X(X) | NN_READS_X(W),
    .takes_epilogue = true,
    .takes_pool = takes_pool,
    .takes_affine = takes_affine,
    .replaces_weights = true,
    .infer = infer,
    .workspace = nn_conv_workspace,
    .prepare = prepare,
    .prepared = prepared,
    .bf16 = &nn_conv2d_bf16,
    .forward = forward,
    .backward = nn_conv_backward,
    .multiply_adds = multiply_adds,
};

struct nn_node *nn_conv2d(struct nn_node *x, struct nn_node *w, struct nn_node *b,
                          const struct nn_conv2d_options *options)
{
    static const struct nn_conv2d_options defaults;
    const struct nn_conv2d_options *o = options ? options : &defaults;
    struct nn_node *inputs[] = {x, w, b};
    struct attributes attributes = {.stride_h = o->stride_h ? o->stride_h : 1,
                                    .stride_w = o->stride_w ? o->stride_w : 1,
                                    .dilation_h = o->dilation_h ? o->dilation_h : 1,
                                    .dilation_w = o->dilation_w ? o->dilation_w : 1,
                                    .groups = o->groups ? o->groups : 1,
                                    .padding = (int)o->padding,
                                    .pad_top = o->pad_top,
                                    .pad_left = o->pad_left,
                                    .pad_bottom = o->pad_bottom,
                                    .pad_right = o->pad_right};
    return nn_append(&nn_op_conv2d, inputs, b ? 3 : 2, &attributes);
}
