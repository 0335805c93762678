/*
 * conv2d.c — y[n,p,q,k] = b[k] + sum_{r,s,c} x[n, p sh + r dh - top, q sw + s dw - left, c]
 * w[r,s,c,k]
 *
 * x [N,H,W,C], w [R,S,C/groups,K], b [K], y [N,P,Q,K]; zeros outside the picture.
 *
 * How it runs. Bands of the picture are copied, with the zeros of the border (conv_pass.h); there
 * the kernel (conv_row) is a plain sum over runs of floats.
 *
 * Gradients, all with the same two kernels:
 *   dx  is a convolution of dy with the window turned by 180 degrees and C, K swapped:
 *       dx[h,w,c] = sum_{r,s,k} dy[(h + top - r dh) / sh, (w + left - s dw) / sw, k] w[r,s,c,k]
 *       over those r, s where the divisions leave no rest: the copy spreads dy by the stride,
 *       with zeros between.
 *   dw[r,s,c,k] = sum_{n,p,q} x[n, p sh + r dh - top, ..., c] dy[n,p,q,k], summed per chunk of
 *       images; chunks are added in order, so that threads do not change the sum.
 *   db[k] = sum_{n,p,q} dy[n,p,q,k]
 */
#include "nn/op/conv2d.h"

enum { MOST_TAPS = 1 << 14, MOST_CHUNKS = 16 };
enum { PANEL = 32 };               /* filters whose weights lie together once prepared */
enum { LEAST_PACKED = 80 * 1024 }; /* floats of weights; fewer stay in the cache as they are */
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
static bool look_at_winograd(struct nn_winograd *winograd, const struct pass *pass)
{
    *winograd = (struct nn_winograd){pass->height,      pass->width,      pass->from_channels,
                                     pass->to_channels, pass->out_height, pass->out_width,
                                     pass->before_h,    pass->before_w};
    return nn_winograd_suits(winograd);
}

static void choose_way(struct geometry *g, const struct attributes *a)
{
    bool possible = g->kernel_h == 3 && g->kernel_w == 3 && g->groups == 1 && a->stride_h == 1 &&
                    a->stride_w == 1 && a->dilation_h == 1 && a->dilation_w == 1;
    g->by_winograd = look_at_winograd(&g->winograd, &g->forward) && possible;
    g->back_by_winograd = look_at_winograd(&g->back_winograd, &g->backward) && possible;
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

struct job {
    const struct nn_step *step;
    const struct pass *pass;
    const float *from, *weights;
    float *to, *scratch;    /* scratch: one per thread */
    ptrdiff_t group_stride; /* floats from a group's weights to the next's */
    int w_stride;
    int panel;              /* filters whose weights begin at one place */
    ptrdiff_t panel_stride; /* floats from a panel's weights to the next's */
    int chunk;              /* panels of one task */
    struct nn_epilogue epilogue;
};

static int panel_count(const struct job *job)
{
    return (job->pass->to_group + job->panel - 1) / job->panel;
}

/* A chunk's filters of `band` rows from the padded copy. All rows for one panel, then the next: a
 * panel's weights stay in the cache. */
static void run_panels(const struct job *job, int group, int chunk, float *to, int band,
                       const float *copy)
{
    const struct pass *pass = job->pass;
    ptrdiff_t to_row = (ptrdiff_t)pass->out_width * pass->to_channels;
    ptrdiff_t copied_row = (ptrdiff_t)pass->stride_h * pass->copy_width * pass->from_group;
    int end =
        (chunk + 1) * job->chunk < panel_count(job) ? (chunk + 1) * job->chunk : panel_count(job);
    struct nn_conv_row row = row_of(pass, job->w_stride);
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
    const struct job *job = argument;
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

static void run_job(struct job *job)
{
    int chunks = (panel_count(job) + job->chunk - 1) / job->chunk;
    int count = chunks * job->step->run->images * band_count(job->pass);
    nn_parallel(job->step->context, count, run_task, job);
}

/* ---- prepared weights: [K / PANEL][R][S][C][PANEL], so that what a tile needs is one stream
 * ------
 */

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

/* Workspace: u where nobody has prepared it, then the blocks'. */
static void forward_by_winograd(struct nn_step *step, const struct nn_winograd *w)
{
    float *u = step->prepared, *workspace_floats = step->workspace;
    if (!u) {
        u = workspace_floats;
        workspace_floats += nn_winograd_weights(w);
        nn_winograd_transform(step->context, w, u, step->x[W]);
    }
    nn_winograd_forward(
        step->context,
        &(struct nn_winograd_run){w, step->y, step->x[X], u, step->epilogue, workspace_floats},
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
    struct job job = {.step = step,
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
    }
    run_job(&job);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The backward workspace: turned weights, scratch per thread or u and its blocks', partial sums per
 * chunk. */
struct parts {
    size_t turned, scratch, partial, total; /* floats before each, and in all */
    size_t each;                            /* of a thread's scratch */
};

static size_t round_up(size_t floats)
{
    return (floats + 15) & ~(size_t)15;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t weight_floats(const struct nn_node *node)
{
    return round_up(nn_shape_count(node->input[W]->shape));
}

static size_t partial_floats(const struct nn_node *node)
{
    return weight_floats(node) + round_up((size_t)nn_channels(node));
}

static int chunk_count(int images)
{
    return images < MOST_CHUNKS ? images : MOST_CHUNKS;
}

/* Floats of u, and of what the blocks of all threads need. */
static size_t winograd_floats(const struct nn_winograd *w, int threads)
{
    return nn_winograd_weights(w) + nn_winograd_workspace(w, threads) / sizeof(float);
}

static struct parts parts_of(const struct nn_node *node, int images, int threads)
{
    const struct geometry *g = geometry_of(node);
    size_t all = (size_t)threads;
    struct parts parts = {.scratch = weight_floats(node)};
    parts.each = g->by_winograd ? round_up(nn_winograd_gradient_scratch(&g->winograd))
                                : scratch_floats(&g->forward);
    parts.each = larger(parts.each, scratch_floats(&g->backward));
    size_t scratch = all * parts.each;
    if (g->back_by_winograd) scratch = larger(scratch, winograd_floats(&g->back_winograd, threads));
    parts.partial = parts.scratch + round_up(scratch);
    parts.total = parts.partial + (size_t)chunk_count(images) * partial_floats(node);
    return parts;
}

static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    const struct geometry *g = geometry_of(node);
    size_t floats = (size_t)threads * scratch_floats(&g->forward);
    if (g->by_winograd) floats = winograd_floats(&g->winograd, threads);
    if (g->by_winograd && !training && nn_op_could_prepare(node))
        floats -= nn_winograd_weights(&g->winograd);
    if (training) floats = larger(floats, parts_of(node, batch, threads).total);
    return floats * sizeof(float);
}

/* w [R,S,C/G,K] -> [G][R][S][K/G][C/G], with r and s counted from the other end. */
static void turn_tap(void *argument, int index, int thread)
{
    const struct nn_step *step = argument;
    const struct geometry *g = geometry_of(step->node);
    int taps = g->kernel_h * g->kernel_w;
    int channels = g->forward.from_group, filters = g->forward.to_group;
    int all = g->forward.to_channels, group = index / taps, tap = index % taps;
    size_t block = (size_t)channels * (size_t)filters;
    float *to = (float *)step->workspace + ((size_t)group * (size_t)taps + (size_t)tap) * block;
    const float *from = step->x[W] + (size_t)(taps - 1 - tap) * (size_t)channels * (size_t)all +
                        (size_t)group * (size_t)filters;
    (void)thread;
    step->kernels->transpose(to, channels, from, all, channels, filters);
}

static void input_gradient(struct nn_step *step, const struct parts *parts)
{
    const struct geometry *g = geometry_of(step->node);
    const struct pass *pass = &g->backward;
    int taps = g->kernel_h * g->kernel_w;
    nn_parallel(step->context, g->groups * taps, turn_tap, step);
    float *workspace_floats = step->workspace;
    if (g->back_by_winograd) {
        const struct nn_winograd *w = &g->back_winograd;
        float *u = workspace_floats + parts->scratch;
        nn_winograd_transform(step->context, w, u, workspace_floats);
        nn_winograd_forward(step->context,
                            &(struct nn_winograd_run){.w = w,
                                                      .y = step->dx[X],
                                                      .x = step->dy,
                                                      .u = u,
                                                      .workspace = u + nn_winograd_weights(w)},
                            step->run->images);
        return;
    }
    struct job job = {.step = step,
                      .pass = pass,
                      .from = step->dy,
                      .weights = workspace_floats,
                      .to = step->dx[X],
                      .scratch = workspace_floats + parts->scratch,
                      .group_stride = (ptrdiff_t)taps * pass->from_group * pass->to_group,
                      .w_stride = pass->to_group,
                      .panel = pass->to_group,
                      .chunk = 1};
    run_job(&job);
}

struct weight_job {
    struct nn_step *step;
    struct parts parts;
    int chunks;
};

/* dw and db of one image are added to the chunk's. */
static void add_image(const struct nn_step *step, float *dw, float *scratch, int image)
{
    const struct geometry *g = geometry_of(step->node);
    const struct pass *pass = &g->forward;
    size_t copy_row_floats = (size_t)pass->copy_width * (size_t)pass->from_group;
    size_t y_row = (size_t)pass->out_width * (size_t)pass->to_channels;
    size_t x_image = (size_t)pass->height * (size_t)pass->width * (size_t)pass->from_channels;
    const float *x = step->x[X] + (size_t)image * x_image;
    const float *dy = step->dy + (size_t)image * (size_t)pass->out_height * y_row;
    struct nn_conv_gradient gradient = {
        .row = row_of(pass, pass->to_channels),
        .x_row = (ptrdiff_t)(pass->stride_h * (ptrdiff_t)copy_row_floats),
        .dy_row = (ptrdiff_t)y_row};
    for (int first = 0; first < pass->out_height; first += pass->band) {
        int left = pass->out_height - first;
        gradient.rows = left < pass->band ? left : pass->band;
        for (int group = 0; group < g->groups; group++) {
            copy_band(scratch, pass, x + group * pass->from_group, first, gradient.rows);
            step->kernels->conv_gradient(dw + group * pass->to_group, scratch,
                                         dy + (size_t)first * y_row + group * pass->to_group,
                                         &gradient);
        }
    }
}

static void sum_plainly(const struct nn_step *step, float *dw, float *scratch, int from, int to)
{
    memset(dw, 0, nn_shape_count(step->node->input[W]->shape) * sizeof *dw);
    for (int image = from; image < to; image++) add_image(step, dw, scratch, image);
}

static void sum_by_winograd(const struct nn_step *step, float *dw, float *scratch, int from, int to)
{
    const struct nn_winograd *w = &geometry_of(step->node)->winograd;
    size_t x_image = (size_t)w->height * (size_t)w->width * (size_t)w->channels;
    size_t y_image = (size_t)w->out_height * (size_t)w->out_width * (size_t)w->filters;
    nn_winograd_gradient_begin(w, scratch);
    for (int image = from; image < to; image++)
        nn_winograd_gradient_add(step->kernels, w, scratch, step->x[X] + (size_t)image * x_image,
                                 step->dy + (size_t)image * y_image);
    nn_winograd_gradient_end(step->kernels, w, dw, scratch);
}

static void sum_chunk(void *argument, int chunk, int thread)
{
    const struct weight_job *job = argument;
    const struct nn_step *step = job->step;
    const struct pass *pass = &geometry_of(step->node)->forward;
    int images = step->run->images;
    int from = (int)((int64_t)images * chunk / job->chunks);
    int to = (int)((int64_t)images * (chunk + 1) / job->chunks);
    size_t image_rows = (size_t)pass->out_height * (size_t)pass->out_width;
    size_t all = (size_t)pass->to_channels;
    float *workspace_floats = step->workspace;
    float *dw = workspace_floats + job->parts.partial + (size_t)chunk * partial_floats(step->node);
    float *db = dw + weight_floats(step->node);
    float *scratch = workspace_floats + job->parts.scratch + (size_t)thread * job->parts.each;
    if (geometry_of(step->node)->by_winograd)
        sum_by_winograd(step, dw, scratch, from, to);
    else
        sum_plainly(step, dw, scratch, from, to);
    if (step->dx[B])
        step->kernels->channel_sum(db, step->dy + (size_t)from * image_rows * all,
                                   (size_t)(to - from) * image_rows, pass->to_channels);
}

/* dw, db = the chunks' sums, in order. */
static void join_range(const struct nn_step *step, size_t from, size_t to)
{
    int chunks = chunk_count(step->run->images);
    const struct parts parts = parts_of(step->node, step->run->images, step->context->threads);
    const float *partial = (const float *)step->workspace + parts.partial + from;
    size_t stride = partial_floats(step->node);
    if (to > from) memcpy(step->dx[W] + from, partial, (to - from) * sizeof(float));
    for (int i = 1; i < chunks; i++)
        step->kernels->add(step->dx[W] + from, step->dx[W] + from, partial + (size_t)i * stride,
                           to - from);
}

static void weight_gradient(struct nn_step *step, const struct parts *parts)
{
    struct weight_job job = {step, *parts, chunk_count(step->run->images)};
    nn_parallel(step->context, job.chunks, sum_chunk, &job);
    if (step->dx[W])
        nn_step_ranges(step, nn_shape_count(step->node->input[W]->shape), 4096, join_range);
    if (!step->dx[B]) return;
    size_t filters = (size_t)nn_channels(step->node);
    const float *db = (const float *)step->workspace + parts->partial + weight_floats(step->node);
    memcpy(step->dx[B], db, filters * sizeof(float));
    for (int i = 1; i < job.chunks; i++)
        step->kernels->add(step->dx[B], step->dx[B], db + (size_t)i * partial_floats(step->node),
                           filters);
}

static void backward(struct nn_step *step)
{
    const struct parts parts = parts_of(step->node, step->run->images, step->context->threads);
    if (step->dx[W] || step->dx[B]) weight_gradient(step, &parts);
    if (step->dx[X]) input_gradient(step, &parts);
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
    .infer = infer,
    .workspace = workspace,
    .prepare = prepare,
    .prepared = prepared,
    .bf16 = &nn_conv2d_bf16,
    .forward = forward,
    .backward = backward,
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
