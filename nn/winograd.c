/*
 * winograd.c — a 3x3 convolution of stride 1 with a quarter of the multiplications, for inference
 * (kernels/winograd.c has the mathematics).
 *
 * The picture is cut into tiles of 4x4 outputs, which overlap in their 6x6 inputs. Each input tile
 * becomes 36 numbers per channel, v; each pair of channel and filter has become 36 weights, u, when
 * the plan was prepared. Then, for each of the 36 on its own, tiles x channels times channels x
 * filters is a matrix product, for which conv_row does; and the 36 products of a tile become its
 * 4x4 outputs.
 *
 *     v [36][tiles][C]      u [K / PANEL][36][C][PANEL]      m [36][tiles of a block][PANEL]
 *
 * Two rounds over the pool: all v, a row of tiles per task; then a panel of filters for a block of
 * tiles per task, panel by panel, so that a thread's share of u stays in its cache.
 */
#include "nn/internal.h"

#include <string.h>

enum { OUT = 4, IN = 6, PRODUCTS = IN * IN, PANEL = 32 };
enum { MOST_TILES = 36 }; /* of a block: m stays in the second-level cache */

static int tiles_of(int size)
{
    return (size + OUT - 1) / OUT;
}

static int panels_of(const struct nn_winograd *w)
{
    return (w->filters + PANEL - 1) / PANEL;
}

/* Fewer channels or pixels, and the transforms cost what the products save. */
bool nn_winograd_suits(const struct nn_winograd *w)
{
    enum { LEAST_CHANNELS = 32, LEAST_PIXELS = 300 };
    return w->channels >= LEAST_CHANNELS && w->filters >= LEAST_CHANNELS &&
           (int64_t)w->out_height * w->out_width >= LEAST_PIXELS;
}

/* ---- weights: u = G w G' --------------------------------------------------------------------- */

size_t nn_winograd_weights(const struct nn_winograd *w)
{
    return (size_t)panels_of(w) * PRODUCTS * (size_t)w->channels * PANEL;
}

static const float G[IN][3] = {{1.0f / 4, 0, 0},
                               {-1.0f / 6, -1.0f / 6, -1.0f / 6},
                               {-1.0f / 6, 1.0f / 6, -1.0f / 6},
                               {1.0f / 24, 1.0f / 12, 1.0f / 6},
                               {1.0f / 24, -1.0f / 12, 1.0f / 6},
                               {0, 0, 1}};

/* to = x[0] g[0] + x[1] g[1] + x[2] g[2], for PANEL filters */
static void combine(float *to, const float *const x[3], const float g[3])
{
    for (int k = 0; k < PANEL; k++) to[k] = x[0][k] * g[0] + x[1][k] * g[1] + x[2][k] * g[2];
}

/* One channel's weights to a panel of filters, 3x3, become 6x6. */
static void transform_weights(float *u, size_t u_stride, float w[9][PANEL])
{
    float half[IN][3][PANEL];
    for (int i = 0; i < IN; i++)
        for (int s = 0; s < 3; s++)
            combine(half[i][s], (const float *const[]){w[s], w[3 + s], w[6 + s]}, G[i]);
    for (int i = 0; i < PRODUCTS; i++) {
        float(*row)[PANEL] = half[i / IN];
        combine(u + (size_t)i * u_stride, (const float *const[]){row[0], row[1], row[2]},
                G[i % IN]);
    }
}

struct job {
    struct nn_step *step;
    const struct nn_winograd *w;
    int image, tile_rows, tile_columns, tiles, blocks;
    float *v, *scratch;
    size_t scratch_floats; /* of each thread */
};

static void prepare_panel(void *argument, int panel, int thread)
{
    const struct job *job = argument;
    size_t channels = (size_t)job->w->channels, filters = (size_t)job->w->filters;
    size_t from = (size_t)panel * PANEL, count = filters - from < PANEL ? filters - from : PANEL;
    float *u = job->step->prepared + (size_t)panel * PRODUCTS * channels * PANEL;
    float w[9][PANEL] = {{0}};
    (void)thread;
    for (size_t c = 0; c < channels; c++) {
        for (size_t tap = 0; tap < 9; tap++)
            memcpy(w[tap], job->step->x[1] + (tap * channels + c) * filters + from,
                   count * sizeof(float));
        transform_weights(u + c * PANEL, channels * PANEL, w);
    }
}

void nn_winograd_prepare(struct nn_step *step, const struct nn_winograd *w)
{
    struct job job = {.step = step, .w = w};
    nn_parallel(step->context, panels_of(w), prepare_panel, &job);
}

/* ---- inputs to v ----------------------------------------------------------------------------- */

/* The part of a tile's inputs that lies in the picture, with zeros around it. */
static void copy_patch(float *to, const struct nn_winograd *w, const float *image, int top,
                       int left)
{
    size_t pixel = (size_t)w->channels;
    memset(to, 0, PRODUCTS * pixel * sizeof *to);
    int from = left < 0 ? -left : 0, end = w->width - left < IN ? w->width - left : IN;
    for (int i = 0; i < IN; i++) {
        int row = top + i;
        if (row < 0 || row >= w->height || end <= from) continue;
        memcpy(to + (size_t)(i * IN + from) * pixel,
               image + ((size_t)row * (size_t)w->width + (size_t)(left + from)) * pixel,
               (size_t)(end - from) * pixel * sizeof *to);
    }
}

static void transform_row(void *argument, int tile_row, int thread)
{
    const struct job *job = argument;
    const struct nn_winograd *w = job->w;
    size_t pixel = (size_t)w->channels, row = (size_t)w->width * pixel;
    const float *image = job->step->x[0] + (size_t)job->image * (size_t)w->height * row;
    float *patch = job->scratch + (size_t)thread * job->scratch_floats;
    int top = tile_row * OUT - w->before_h;
    for (int i = 0; i < job->tile_columns; i++) {
        int left = i * OUT - w->before_w;
        bool inside = top >= 0 && left >= 0 && top + IN <= w->height && left + IN <= w->width;
        float *v = job->v + ((size_t)tile_row * (size_t)job->tile_columns + (size_t)i) * pixel;
        ptrdiff_t v_stride = (ptrdiff_t)job->tiles * w->channels;
        if (!inside) copy_patch(patch, w, image, top, left);
        const float *x = inside ? image + (size_t)top * row + (size_t)left * pixel : patch;
        job->step->kernels->winograd_input(v, v_stride, x, (ptrdiff_t)(inside ? row : IN * pixel),
                                           (ptrdiff_t)pixel, w->channels);
    }
}

/* ---- products to outputs --------------------------------------------------------------------- */

/* A tile's 4x4 outputs of a panel, and their epilogue; `edge` holds a tile that the map's border
 * cuts. */
static void finish_tile(const struct job *job, int tile, int panel, const float *m, int tiles,
                        float *edge)
{
    const struct nn_winograd *w = job->w;
    const struct nn_kernels *kernels = job->step->kernels;
    int p = tile / job->tile_columns * OUT, q = tile % job->tile_columns * OUT;
    int rows = w->out_height - p < OUT ? w->out_height - p : OUT;
    int columns = w->out_width - q < OUT ? w->out_width - q : OUT, from = panel * PANEL;
    int filters = w->filters - from < PANEL ? w->filters - from : PANEL;
    ptrdiff_t row = (ptrdiff_t)w->out_width * w->filters;
    ptrdiff_t at = ((ptrdiff_t)job->image * w->out_height + p) * row + (ptrdiff_t)q * w->filters;
    float *y = job->step->y + at + from;
    bool whole = rows == OUT && columns == OUT;
    kernels->winograd_output(whole ? y : edge, whole ? row : OUT * PANEL,
                             whole ? w->filters : PANEL, m, (ptrdiff_t)tiles * PANEL, filters);
    for (int i = 0; i < rows; i++, y += row) {
        for (int j = 0; j < columns && !whole; j++)
            memcpy(y + (ptrdiff_t)j * w->filters, edge + (i * OUT + j) * PANEL,
                   (size_t)filters * sizeof *y);
        struct nn_epilogue epilogue =
            nn_epilogue_from(&job->step->epilogue, from, y - job->step->y);
        kernels->conv_finish(
            y, &(struct nn_conv_row){.pixels = columns, .filters = filters, .y_stride = w->filters},
            &epilogue);
    }
}

static void multiply_block(void *argument, int index, int thread)
{
    static const ptrdiff_t start = 0;
    const struct job *job = argument;
    size_t channels = (size_t)job->w->channels;
    int panel = index / job->blocks, block = index % job->blocks;
    int first = (int)((int64_t)job->tiles * block / job->blocks);
    int tiles = (int)((int64_t)job->tiles * (block + 1) / job->blocks) - first;
    float *m = job->scratch + (size_t)thread * job->scratch_floats;
    float *edge = m + PRODUCTS * MOST_TILES * PANEL;
    const float *u = job->step->prepared + (size_t)panel * PRODUCTS * channels * PANEL;
    struct nn_conv_row row = {.pixels = tiles,
                              .filters = PANEL,
                              .taps = 1,
                              .length = job->w->channels,
                              .tap = &start,
                              .step = job->w->channels,
                              .w_stride = PANEL,
                              .y_stride = PANEL};
    for (size_t i = 0; i < PRODUCTS; i++) {
        static const struct nn_epilogue nothing;
        const float *v = job->v + (i * (size_t)job->tiles + (size_t)first) * channels;
        job->step->kernels->conv_row(m + i * (size_t)tiles * PANEL, v, u + i * channels * PANEL,
                                     &row, &nothing);
    }
    for (int i = 0; i < tiles; i++)
        finish_tile(job, first + i, panel, m + (size_t)i * PANEL, tiles, edge);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static struct job make_job(struct nn_step *step, const struct nn_winograd *w)
{
    struct job job = {.step = step,
                      .w = w,
                      .tile_rows = tiles_of(w->out_height),
                      .tile_columns = tiles_of(w->out_width)};
    job.tiles = job.tile_rows * job.tile_columns;
    job.blocks = (job.tiles + MOST_TILES - 1) / MOST_TILES;
    size_t patch = PRODUCTS * (size_t)w->channels;
    size_t products = PRODUCTS * MOST_TILES * PANEL + OUT * OUT * PANEL;
    job.scratch_floats = ((patch > products ? patch : products) + 15) & ~(size_t)15;
    return job;
}

static size_t v_floats(const struct job *job)
{
    size_t floats = PRODUCTS * (size_t)job->tiles * (size_t)job->w->channels;
    return (floats + 15) & ~(size_t)15;
}

size_t nn_winograd_workspace(const struct nn_winograd *w, int threads)
{
    struct job job = make_job(NULL, w);
    return (v_floats(&job) + (size_t)threads * job.scratch_floats) * sizeof(float);
}

void nn_winograd_forward(struct nn_step *step, const struct nn_winograd *w)
{
    struct job job = make_job(step, w);
    job.v = step->workspace;
    job.scratch = job.v + v_floats(&job);
    for (job.image = 0; job.image < step->run->images; job.image++) {
        nn_parallel(step->context, job.tile_rows, transform_row, &job);
        nn_parallel(step->context, panels_of(w) * job.blocks, multiply_block, &job);
    }
}
