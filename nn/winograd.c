/*
 * winograd.c — a 3x3 convolution of stride 1, and its gradients, with a quarter of the
 * multiplications (kernels/winograd.c has the mathematics).
 *
 * The picture is cut into tiles of 4x4 outputs, which overlap in their 6x6 inputs. Each input tile
 * becomes 36 numbers per channel, v; each pair of channel and filter 36 weights, u. Then, for each
 * of the 36 on its own, tiles x channels times channels x filters is a product of matrices; and the
 * 36 products of a tile become its 4x4 outputs.
 *
 *     v [36][tiles][C]      u [K / panel][36][C][panel]      m [36][tiles][panel]
 *
 * A task does all of that for a block of tiles, panel by panel of filters, so that its v and m stay
 * in a core's second-level cache. The gradient of the weights sums outer products instead, du
 * [36][C][K] = v' s with s the transformed slopes of the outputs; that of x is a convolution of dy
 * with turned weights, which goes the forward way.
 *
 * A dilated convolution is several plain ones, of every dilation-th row and column from a first one
 * on, its phases: their tiles are counted one phase after another.
 *
 * What a block holds does not touch the order of any sum.
 */
#include "nn/internal.h"

#include <string.h>

enum { OUT = 4, IN = 6, PRODUCTS = IN * IN, PANEL = 32, LINE = 16 };

static int tiles_of(int size)
{
    return size > OUT ? (size + OUT - 1) / OUT : 1;
}

/* Every `dilation`-th pixel of an axis, from pixel `from` on. */
static int phase_size(int size, int from, int dilation)
{
    return from < size ? (size - from - 1) / dilation + 1 : 0;
}

/* Rows, columns of tiles of a phase; the first one is the largest. */
static int rows_of_tiles(const struct nn_winograd *w)
{
    return tiles_of(phase_size(w->out_height, 0, w->dilation));
}
static int columns_of_tiles(const struct nn_winograd *w)
{
    return tiles_of(phase_size(w->out_width, 0, w->dilation));
}

static int tile_count(const struct nn_winograd *w)
{
    return w->dilation * w->dilation * rows_of_tiles(w) * columns_of_tiles(w);
}

static int panel_of(const struct nn_winograd *w)
{
    return w->filters < PANEL ? w->filters : PANEL;
}

static int panels_of(const struct nn_winograd *w)
{
    return (w->filters + PANEL - 1) / PANEL;
}

/* Fewer channels or pixels, and the transforms cost what the products save. */
bool nn_winograd_suits(const struct nn_winograd *w)
{
    enum { LEAST_CHANNELS = 16, LEAST_FILTERS = 8, LEAST_PIXELS = 150 };
    return w->channels >= LEAST_CHANNELS && w->filters >= LEAST_FILTERS &&
           (int64_t)w->out_height * w->out_width >= LEAST_PIXELS;
}

/* ---- how the work is cut --------------------------------------------------------------------- */

/* Floats of v or m in a block, whichever is wider. Where u is small, it and a block's v stay in the
 * caches nearest the core; a large u comes from the last-level cache for each block anew, so blocks
 * are large, too. Where there is but one picture, memory counts: blocks are what still is fast. */
enum { SMALL_U = 64 * 1024, SMALL_V = 10 * 1024, ONE_V = 6 * 1024, LARGE_V = 200 * 1024 };
enum { LEAST_TILES = 8, ONE_LEAST = 6 };

static int most_tiles(const struct nn_winograd *w, int images)
{
    int width = w->channels > panel_of(w) ? w->channels : panel_of(w);
    int least = images > 1 ? LEAST_TILES : ONE_LEAST, v = images > 1 ? SMALL_V : ONE_V;
    if (nn_winograd_weights(w) > SMALL_U) v = LARGE_V;
    int tiles = v / (PRODUCTS * width);
    return tiles > least ? tiles : least;
}

/* Blocks of at most so many tiles, and groups of panels: an image's tasks are each block with each
 * group. */
struct cut {
    int blocks, groups, tiles;
};

/* A single picture is cut for all threads: its tiles, or where u is what takes the time to read,
 * its filters. */
static struct cut cut_image(const struct nn_winograd *w, int images, int threads)
{
    int all = tile_count(w), most = most_tiles(w, images);
    struct cut cut = {(all + most - 1) / most, 1, 0};
    if (images < threads) {
        if (nn_winograd_weights(w) > (size_t)all * PRODUCTS * (size_t)w->channels * 2)
            cut.groups = threads < panels_of(w) ? threads : panels_of(w);
        else
            cut.blocks = (cut.blocks + threads - 1) / threads * threads;
    }
    if (cut.blocks > all) cut.blocks = all;
    cut.tiles = (all + cut.blocks - 1) / cut.blocks;
    return cut;
}

/* Floats from one of the 36 to the next; a line more than needed, so that 36 powers of two do not
 * meet in one set of a cache. */
static ptrdiff_t stride_of(int tiles, int width)
{
    return (((ptrdiff_t)tiles * width + LINE - 1) & ~(ptrdiff_t)(LINE - 1)) + LINE;
}

static size_t rows_floats(int tiles, int width)
{
    return (size_t)(PRODUCTS * stride_of(tiles, width));
}

/* ---- weights: u = G w G' --------------------------------------------------------------------- */

size_t nn_winograd_weights(const struct nn_winograd *w)
{
    return (size_t)panels_of(w) * PRODUCTS * (size_t)w->channels * (size_t)panel_of(w);
}

/* Threads that each make all of a small u do not wait for the other cores' halves of it: lines
 * which another core has just written come slowly. */
static bool makes_own_u(const struct nn_winograd *w)
{
    return nn_winograd_weights(w) <= SMALL_U;
}

struct weights_job {
    const struct nn_kernels *kernels;
    const struct nn_winograd *w;
    float *u;
    const float *weights;
};

/* One channel's weights to all filters. */
static void transform_channel(void *argument, int channel, int thread)
{
    const struct weights_job *job = argument;
    ptrdiff_t channels = job->w->channels, filters = job->w->filters, panel = panel_of(job->w);
    float *u = job->u + channel * panel;
    (void)thread;
    for (ptrdiff_t from = 0; from < filters; from += panel, u += PRODUCTS * channels * panel)
        job->kernels->winograd_weights(u, channels * panel, job->weights + channel * filters + from,
                                       channels * filters,
                                       (int)(filters - from < panel ? filters - from : panel));
}

static void make_own_u(const struct nn_kernels *kernels, const struct nn_winograd *w, float *u,
                       const float *weights)
{
    struct weights_job job = {kernels, w, u, weights};
    for (int channel = 0; channel < w->channels; channel++) transform_channel(&job, channel, 0);
}

void nn_winograd_transform(struct nn_context *context, const struct nn_winograd *w, float *u,
                           const float *weights)
{
    struct weights_job job = {&context->kernels, w, u, weights};
    nn_parallel(context, w->channels, transform_channel, &job);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* One axis of a tile: it begins at pixel `origin`, and of its pixels, `dilation` apart, those from
 * `begin` to `end` lie in the picture. */
struct axis {
    int origin, begin, end;
};

static struct axis axis_of(int origin, int tile, int dilation, int size)
{
    struct axis axis = {origin, 0, 0};
    axis.begin = origin < 0 ? (dilation - 1 - origin) / dilation : 0;
    axis.end = size > origin ? (size - origin - 1) / dilation + 1 : 0;
    if (axis.end > tile) axis.end = tile;
    if (axis.begin >= axis.end) axis.begin = axis.end = 0;
    return axis;
}

/* Where the outputs of tile `index` begin. */
static void output_origin(int *row, int *column, const struct nn_winograd *w, int index)
{
    int columns = columns_of_tiles(w), each = rows_of_tiles(w) * columns;
    int phase = index / each, place = index % each;
    *row = phase / w->dilation + place / columns * OUT * w->dilation;
    *column = phase % w->dilation + place % columns * OUT * w->dilation;
}

/* A tile of a picture of `width` pixels of `channels` floats; returns how many floats lie before
 * its first pixel inside. */
static ptrdiff_t make_tile(struct nn_tile *tile, struct axis rows, struct axis columns,
                           int dilation, int width, int channels)
{
    ptrdiff_t pixel = channels, row = pixel * width;
    *tile = (struct nn_tile){dilation * row, dilation * pixel, rows.begin,
                             rows.end,       columns.begin,    columns.end};
    if (rows.begin == rows.end || columns.begin == columns.end) return 0;
    return (rows.origin + rows.begin * dilation) * row +
           (columns.origin + columns.begin * dilation) * pixel;
}

/* The 6x6 inputs of tile `index`. */
static ptrdiff_t input_tile(struct nn_tile *tile, const struct nn_winograd *w, int index)
{
    int row, column;
    output_origin(&row, &column, w, index);
    return make_tile(tile, axis_of(row - w->before_h, IN, w->dilation, w->height),
                     axis_of(column - w->before_w, IN, w->dilation, w->width), w->dilation,
                     w->width, w->channels);
}

/* Its 4x4 outputs; or what becomes of them where each 2x2 are one. */
static ptrdiff_t output_tile(struct nn_tile *tile, const struct nn_winograd *w, int index,
                             bool pool)
{
    int row, column, by = pool ? 2 : 1;
    output_origin(&row, &column, w, index);
    return make_tile(tile, axis_of(row / by, OUT / by, w->dilation, w->out_height / by),
                     axis_of(column / by, OUT / by, w->dilation, w->out_width / by), w->dilation,
                     w->out_width / by, w->filters);
}

static void transform_inputs(const struct nn_kernels *kernels, const struct nn_winograd *w,
                             float *v, ptrdiff_t v_next, const float *x, const float *affine,
                             int first, int tiles)
{
    for (int i = 0; i < tiles; i++) {
        struct nn_tile tile;
        ptrdiff_t at = input_tile(&tile, w, first + i);
        kernels->winograd_input(v + (ptrdiff_t)i * w->channels, v_next, x + at, &tile, w->channels,
                                affine);
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

struct job {
    const struct nn_kernels *kernels;
    const struct nn_winograd_run *run;
    struct cut cut;
    const float *u; /* NULL: each thread makes its own */
    float *scratch;
    size_t scratch_floats; /* of each thread */
};

static size_t u_floats(const struct nn_winograd *w)
{
    return (nn_winograd_weights(w) + LINE - 1) & ~(size_t)(LINE - 1);
}

/* v, then m; where a thread has its own u, first of all a line that says whether it is made, and u.
 */
static size_t forward_scratch(const struct nn_winograd *w, const struct cut *cut, bool own)
{
    return (own ? LINE + u_floats(w) : 0) + rows_floats(cut->tiles, w->channels) +
           rows_floats(cut->tiles, panel_of(w));
}

size_t nn_winograd_workspace(const struct nn_winograd *w, int images, int threads, bool prepared)
{
    struct cut cut = cut_image(w, images, threads);
    bool own = !prepared && makes_own_u(w);
    size_t shared = prepared || own ? 0 : u_floats(w);
    return (shared + (size_t)threads * forward_scratch(w, &cut, own)) * sizeof(float);
}

/* Thread's u, made when it is first asked for. */
static const float *own_u(const struct job *job, float *scratch)
{
    if (scratch[0] == 0.0f)
        make_own_u(job->kernels, job->run->w, scratch + LINE, job->run->weights);
    scratch[0] = 1.0f;
    return scratch + LINE;
}

/* Filters [from, from + filters) of the tiles from `first` on: m, then y. */
static void run_panel(const struct job *job, const struct nn_products *products, const float *all_u,
                      const float *v, float *m, int image, int first, int from)
{
    const struct nn_winograd_run *run = job->run;
    const struct nn_winograd *w = run->w;
    const float *u = all_u + from / panel_of(w) * PRODUCTS * products->w_next;
    bool pool = run->epilogue.pool;
    ptrdiff_t pixels = pool ? (ptrdiff_t)(w->out_height / 2) * (w->out_width / 2)
                            : (ptrdiff_t)w->out_height * w->out_width;
    job->kernels->products(m, v, u, products);
    for (int i = 0; i < products->rows; i++) {
        struct nn_tile tile;
        ptrdiff_t at = image * pixels * w->filters + output_tile(&tile, w, first + i, pool) + from;
        struct nn_epilogue epilogue = nn_epilogue_from(&run->epilogue, from, at);
        job->kernels->winograd_output(run->y + at, &tile, m + (ptrdiff_t)i * products->y_row,
                                      products->y_next, products->columns, &epilogue);
    }
}

static int share_of(int all, int index, int count)
{
    return (int)((int64_t)all * index / count);
}

static void run_block(void *argument, int index, int thread)
{
    const struct job *job = argument;
    const struct nn_winograd *w = job->run->w;
    int tasks = job->cut.blocks * job->cut.groups, image = index / tasks;
    int group = index % tasks / job->cut.blocks, block = index % job->cut.blocks;
    int all = tile_count(w), first = share_of(all, block, job->cut.blocks);
    int tiles = share_of(all, block + 1, job->cut.blocks) - first, panel = panel_of(w);
    struct nn_products products = {.count = PRODUCTS,
                                   .rows = tiles,
                                   .depth = w->channels,
                                   .x_row = w->channels,
                                   .w_row = panel,
                                   .y_row = panel,
                                   .x_next = stride_of(tiles, w->channels),
                                   .w_next = (ptrdiff_t)w->channels * panel,
                                   .y_next = stride_of(tiles, panel)};
    float *scratch = job->scratch + (size_t)thread * job->scratch_floats;
    const float *u = job->u ? job->u : own_u(job, scratch);
    float *v = job->u ? scratch : scratch + LINE + u_floats(w);
    float *m = v + rows_floats(job->cut.tiles, w->channels);
    const float *x = job->run->x + (ptrdiff_t)image * w->height * w->width * w->channels;
    transform_inputs(job->kernels, w, v, products.x_next, x, job->run->affine, first, tiles);
    int end = share_of(panels_of(w), group + 1, job->cut.groups);
    for (int i = share_of(panels_of(w), group, job->cut.groups); i < end; i++) {
        int from = i * panel;
        products.columns = w->filters - from < panel ? w->filters - from : panel;
        run_panel(job, &products, u, v, m, image, first, from);
    }
}

void nn_winograd_forward(struct nn_context *context, const struct nn_winograd_run *run, int images)
{
    struct cut cut = cut_image(run->w, images, context->threads);
    bool own = !run->u && makes_own_u(run->w);
    struct job job = {
        &context->kernels, run, cut, run->u, run->workspace, forward_scratch(run->w, &cut, own)};
    if (!run->u && !own) {
        job.u = run->workspace;
        job.scratch = run->workspace + u_floats(run->w);
        nn_winograd_transform(context, run->w, run->workspace, run->weights);
    }
    for (int i = 0; own && i < context->threads; i++)
        job.scratch[(size_t)i * job.scratch_floats] = 0.0f;
    nn_parallel(context, images * job.cut.blocks * job.cut.groups, run_block, &job);
}

/* ---- gradient of the weights ----------------------------------------------------------------- */

/* All images of a sum go through the same blocks. */
static struct cut cut_gradient(const struct nn_winograd *w)
{
    return cut_image(w, 2, 1);
}

/* du, then v, then s. */
static size_t du_floats(const struct nn_winograd *w)
{
    size_t floats = PRODUCTS * (size_t)w->channels * (size_t)w->filters;
    return (floats + LINE - 1) & ~(size_t)(LINE - 1);
}

size_t nn_winograd_gradient_scratch(const struct nn_winograd *w)
{
    int tiles = cut_gradient(w).tiles;
    return du_floats(w) + rows_floats(tiles, w->channels) + rows_floats(tiles, w->filters);
}

void nn_winograd_gradient_begin(const struct nn_winograd *w, float *scratch)
{
    memset(scratch, 0, du_floats(w) * sizeof *scratch);
}

void nn_winograd_gradient_add(const struct nn_kernels *kernels, const struct nn_winograd *w,
                              float *scratch, const float *x, const float *affine, const float *dy)
{
    struct cut cut = cut_gradient(w);
    float *v = scratch + du_floats(w), *s = v + rows_floats(cut.tiles, w->channels);
    int all = tile_count(w);
    for (int block = 0; block < cut.blocks; block++) {
        int first = share_of(all, block, cut.blocks);
        int tiles = share_of(all, block + 1, cut.blocks) - first;
        struct nn_products products = {.count = PRODUCTS,
                                       .rows = tiles,
                                       .depth = w->channels,
                                       .columns = w->filters,
                                       .x_row = w->channels,
                                       .w_row = w->filters,
                                       .y_row = w->filters,
                                       .x_next = stride_of(tiles, w->channels),
                                       .w_next = (ptrdiff_t)w->channels * w->filters,
                                       .y_next = stride_of(tiles, w->filters)};
        transform_inputs(kernels, w, v, products.x_next, x, affine, first, tiles);
        for (int i = 0; i < tiles; i++) {
            struct nn_tile tile;
            ptrdiff_t at = output_tile(&tile, w, first + i, false);
            kernels->winograd_slopes(s + (ptrdiff_t)i * w->filters, products.y_next, dy + at, &tile,
                                     w->filters);
        }
        kernels->product_gradients(scratch, v, s, &products);
    }
}

void nn_winograd_gradient_end(const struct nn_kernels *kernels, const struct nn_winograd *w,
                              float *dw, const float *scratch)
{
    ptrdiff_t all = (ptrdiff_t)w->channels * w->filters;
    for (int c = 0; c < w->channels; c++)
        kernels->winograd_weight_gradient(dw + c * w->filters, all, scratch + c * w->filters, all,
                                          w->filters);
}
