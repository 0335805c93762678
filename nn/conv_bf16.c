/*
 * conv_bf16.c — convolution in bfloat16, for inference: what a plan of that precision runs instead
 * of conv2d's own forward, wherever it pays.
 *
 * Between ops all values stay floats. Here the picture becomes a padded copy in bfloat16, once for
 * all filters; weights were narrowed when the plan was prepared; sums and what follows them
 * (epilogue) are floats.
 *
 *     copy [images][rows][columns][C]      w [K / 32][taps][pairs of the run][32][2]
 *
 * Two rounds over the pool: rows of the copy; then a panel of filters for a band of rows per task,
 * panel by panel, so that a thread's share of the weights stays in its cache.
 */
#include "nn/op/conv2d.h"

enum { PANEL = NN_BF16_PANEL };
enum { BAND_PIXELS = 400 }; /* of a task, at least, where there are so many */

struct job {
    struct nn_step *step;
    const struct pass *pass;
    uint16_t *copy;
    const uint16_t *weights;
    int copy_rows, bands, band;
};

static const struct pass *pass_of(const struct nn_node *node)
{
    return &geometry_of(node)->forward;
}

/* Everything without groups where bfloat16 is faster than Winograd, else what does not go that
 * way. */
static bool pays(const struct nn_node *node)
{
    const struct geometry *g = geometry_of(node);
    bool fastest = nn_bf16_gain(node->graph->context->cpu) == NN_BF16_FASTEST;
    return g->groups == 1 && (fastest || !g->by_winograd);
}

/* ---- weights --------------------------------------------------------------------------------- */

static int panel_count(const struct pass *pass)
{
    return (pass->to_channels + PANEL - 1) / PANEL;
}

/* bfloat16s of a panel. */
static size_t panel_size(const struct pass *pass)
{
    return (size_t)pass->taps * (size_t)nn_bf16_depth(pass->length) * PANEL;
}

static size_t prepared(const struct nn_node *node)
{
    const struct pass *pass = pass_of(node);
    return (size_t)panel_count(pass) * panel_size(pass) / (sizeof(float) / sizeof(uint16_t));
}

static void prepare_panel(void *argument, int panel, int thread)
{
    const struct nn_step *step = argument;
    const struct pass *pass = pass_of(step->node);
    size_t filters = (size_t)pass->to_channels, from = (size_t)panel * PANEL;
    size_t count = filters - from < PANEL ? filters - from : PANEL;
    uint16_t *to = (uint16_t *)(void *)step->prepared + (size_t)panel * panel_size(pass);
    uint16_t row[PANEL];
    (void)thread;
    memset(to, 0, panel_size(pass) * sizeof *to);
    for (int t = 0; t < pass->taps; t++, to += nn_bf16_depth(pass->length) * PANEL)
        for (int j = 0; j < pass->length; j++) {
            size_t at = (size_t)t * (size_t)pass->length + (size_t)j;
            uint16_t *pairs = to + (ptrdiff_t)(j / 2) * 2 * PANEL + j % 2;
            step->kernels->to_bf16(row, step->x[W] + at * filters + from, count);
            for (size_t k = 0; k < count; k++) pairs[2 * k] = row[k];
        }
}

static void prepare(struct nn_step *step)
{
    nn_parallel(step->context, panel_count(pass_of(step->node)), prepare_panel, step);
}

/* ---- the padded copy ------------------------------------------------------------------------- */

static int copy_rows(const struct pass *pass)
{
    return (pass->out_height - 1) * pass->stride_h + pass->window_rows;
}

static size_t copy_size(const struct pass *pass)
{
    return (size_t)copy_rows(pass) * (size_t)pass->copy_width * (size_t)pass->from_channels;
}

static size_t workspace(const struct nn_node *node, int batch, int threads, bool training)
{
    (void)threads, (void)training;
    return (size_t)batch * copy_size(pass_of(node)) * sizeof(uint16_t);
}

static void copy_picture_row(void *argument, int index, int thread)
{
    const struct job *job = argument;
    const struct pass *pass = job->pass;
    int image = index / job->copy_rows, h = index % job->copy_rows - pass->before_h;
    size_t pixel = (size_t)pass->from_channels, row = (size_t)pass->copy_width * pixel;
    uint16_t *to = job->copy + (size_t)index * row;
    struct row_span span = span_of(pass);
    size_t left = (size_t)span.left * pixel, middle = (size_t)span.count * pixel;
    const float *from =
        job->step->x[X] +
        ((size_t)image * (size_t)pass->height * (size_t)pass->width + (size_t)span.from) * pixel;
    (void)thread;
    if (h < 0 || h >= pass->height) {
        memset(to, 0, row * sizeof *to);
        return;
    }
    memset(to, 0, left * sizeof *to);
    job->step->kernels->to_bf16(to + left, from + (size_t)h * (size_t)pass->width * pixel, middle);
    memset(to + left + middle, 0, (row - left - middle) * sizeof *to);
}

/* ---- products -------------------------------------------------------------------------------- */

/* Where neighbours stay neighbours over the end of a row (1x1 without strides), rows are one. */
static void join_rows(struct nn_conv_bf16 *conv)
{
    if (conv->x_row != conv->pixels * conv->step || conv->y_row != conv->pixels * conv->y_stride)
        return;
    conv->pixels *= conv->rows;
    conv->rows = 1;
}

/* Tasks are numbered panel by panel. */
static void run_task(void *argument, int index, int thread)
{
    const struct job *job = argument;
    const struct pass *pass = job->pass;
    int tasks = job->bands * job->step->run->images, panel = index / tasks, from = panel * PANEL;
    int image = index % tasks / job->bands, first = index % job->bands * job->band;
    ptrdiff_t x_row = (ptrdiff_t)pass->copy_width * pass->from_channels;
    struct nn_conv_bf16 conv = {
        .rows = pass->out_height - first < job->band ? pass->out_height - first : job->band,
        .pixels = pass->out_width,
        .filters = pass->to_channels - from < PANEL ? pass->to_channels - from : PANEL,
        .taps = pass->taps,
        .length = pass->length,
        .tap = pass->tap,
        .step = (ptrdiff_t)pass->stride_w * pass->from_channels,
        .x_row = x_row * pass->stride_h,
        .y_stride = pass->to_channels,
        .y_row = (ptrdiff_t)pass->out_width * pass->to_channels};
    float *y = job->step->y + ((ptrdiff_t)image * pass->out_height + first) * conv.y_row + from;
    const uint16_t *x =
        job->copy + ((ptrdiff_t)image * job->copy_rows + first * pass->stride_h) * x_row;
    (void)thread;
    join_rows(&conv);
    job->step->kernels->conv_bf16(y, x, job->weights + (size_t)panel * panel_size(pass), &conv);
    struct nn_conv_row row = {
        .pixels = conv.pixels, .filters = conv.filters, .y_stride = conv.y_stride};
    for (int r = 0; r < conv.rows; r++, y += conv.y_row) {
        struct nn_epilogue epilogue =
            nn_epilogue_from(&job->step->epilogue, from, y - job->step->y);
        job->step->kernels->conv_finish(y, &row, &epilogue);
    }
}

static void forward(struct nn_step *step)
{
    const struct pass *pass = pass_of(step->node);
    step->epilogue.bias = step->node->inputs > B ? step->x[B] : NULL;
    struct job job = {.step = step,
                      .pass = pass,
                      .copy = step->workspace,
                      .weights = (const uint16_t *)(const void *)step->prepared,
                      .copy_rows = copy_rows(pass),
                      .band = (BAND_PIXELS + pass->out_width - 1) / pass->out_width};
    job.bands = (pass->out_height + job.band - 1) / job.band;
    nn_parallel(step->context, job.copy_rows * step->run->images, copy_picture_row, &job);
    nn_parallel(step->context, panel_count(pass) * job.bands * step->run->images, run_task, &job);
}

const struct nn_op nn_conv2d_bf16 = {
    .name = "conv2d bf16",
    .title = "Conv2D",
    .stem = "conv2d",
    .takes_epilogue = true,
    .replaces_weights = true,
    .pays = pays,
    .workspace = workspace,
    .prepare = prepare,
    .prepared = prepared,
    .forward = forward,
    .multiply_adds = nn_node_multiply_adds,
};
