/*
 * ladder.c — the ten steps on one layer: made, run, checked against the first one, measured in
 * turns.
 */
#include "bench/ladder/ladder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PANEL = 32 };
static const double TURN_SECONDS = 2e-3;
static const double CLOSE = 5e-5; /* of the largest value: Winograd's rounding, with room */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the steps ------------------------------------------------------------------------------- */

static void six_loops(struct ladder *l)
{
    l->steps->six_loops(l->y, l->x_planes, l->w_planes, &l->layer);
}

static void filters_inside(struct ladder *l)
{
    l->steps->filters_inside(l->y, l->x, l->w, &l->layer);
}

/* Image n with a pixel of zeros around it. The zeros are there from the beginning. */
static void pad(struct ladder *l, int n)
{
    size_t row = (size_t)l->layer.width * (size_t)l->layer.channels;
    size_t channels = (size_t)l->layer.channels, wide = row + 2 * channels;
    for (size_t h = 0; h < (size_t)l->layer.height; h++)
        memcpy(l->padded + (h + 1) * wide + channels,
               l->x + ((size_t)n * (size_t)l->layer.height + h) * row, row * sizeof(float));
}

static void padded(struct ladder *l)
{
    for (int n = 0; n < l->layer.images; n++) {
        pad(l, n);
        l->steps->padded(l->y + (size_t)n * (l->y_floats / (size_t)l->layer.images), l->padded,
                         l->w, &l->layer);
    }
}

/* A row of tiles, for each whole block of filters. The last tile may begin before the one before it
 * has ended, and do pixels twice. */
static void tile_row(const struct ladder *l, float *y, const float *x,
                     const struct tile_place *place, int pixels, int m, int v)
{
    tile_function *tile = l->steps->tile[v][m];
    int width = v * l->steps->lanes;
    for (int k = 0; k + width <= place->filters; k += width)
        for (int q = 0; q < pixels; q += m) {
            int at = q + m > pixels ? pixels - m : q;
            tile(y + (ptrdiff_t)at * place->filters + k, x + (ptrdiff_t)at * place->channels,
                 l->w + k, place);
        }
}

static void tiles(struct ladder *l)
{
    const struct layer *layer = &l->layer;
    struct tile_place place = {(ptrdiff_t)(layer->width + 2) * layer->channels, layer->channels,
                               layer->filters};
    float *y = l->y;
    for (int n = 0; n < layer->images; n++) {
        pad(l, n);
        for (int p = 0; p < layer->height; p++, y += (ptrdiff_t)layer->width * layer->filters)
            tile_row(l, y, l->padded + p * place.row, &place, layer->width, l->m, l->v);
    }
}

/* From here on it is the engine's kernel, in the engine's bands (conv_pass.h). */
struct band_job {
    struct ladder *ladder;
    int panel; /* filters of which all rows of a band are done before the next ones' turn */
    const float *weights;
    ptrdiff_t panel_stride;
    int w_stride;
};

static void run_band(void *argument, int index, int thread)
{
    static const struct nn_epilogue nothing;
    const struct band_job *job = argument;
    const struct ladder *l = job->ladder;
    const struct pass *pass = &l->pass;
    int bands = band_count(pass), first = index % bands * pass->band;
    int rows = pass->out_height - first < pass->band ? pass->out_height - first : pass->band;
    size_t image = (size_t)(index / bands), picture = l->x_floats / (size_t)l->layer.images;
    ptrdiff_t y_row = (ptrdiff_t)pass->out_width * pass->to_channels;
    ptrdiff_t copied_row = (ptrdiff_t)pass->copy_width * pass->from_group;
    float *copy = l->scratch + (size_t)thread * scratch_floats(pass);
    float *y = l->y + ((ptrdiff_t)image * pass->out_height + first) * y_row;
    struct nn_conv_row row = row_of(pass, job->w_stride);
    copy_band(copy, pass, l->x + image * picture, first, rows);
    for (int k = 0, i = 0; k < pass->to_channels; k += job->panel, i++) {
        row.filters = pass->to_channels - k < job->panel ? pass->to_channels - k : job->panel;
        for (int p = 0; p < rows; p++)
            l->one->kernels.conv_row(y + p * y_row + k, copy + p * copied_row,
                                     job->weights + i * job->panel_stride, &row, &nothing);
    }
}

static void run_bands(struct nn_context *context, struct band_job *job)
{
    const struct ladder *l = job->ladder;
    nn_parallel(context, l->layer.images * band_count(&l->pass), run_band, job);
}

static void bands(struct ladder *l)
{
    run_bands(l->one, &(struct band_job){l, l->layer.filters, l->w, 0, l->layer.filters});
}

static void panels(struct ladder *l)
{
    run_bands(l->one, &(struct band_job){l, PANEL, l->w, PANEL, l->layer.filters});
}

static struct band_job packed_job(struct ladder *l)
{
    return (struct band_job){l, PANEL, l->packed, (ptrdiff_t)9 * l->layer.channels * PANEL, PANEL};
}

static void packed(struct ladder *l)
{
    struct band_job job = packed_job(l);
    run_bands(l->one, &job);
}

static void threads(struct ladder *l)
{
    struct band_job job = packed_job(l);
    run_bands(l->all, &job);
}

static void plan(struct ladder *l)
{
    nn_forward(l->plan[0], l->layer.images);
}

static void plan_threads(struct ladder *l)
{
    nn_forward(l->plan[1], l->layer.images);
}

const struct ladder_step ladder_steps[MOST_STEPS] = {
    {.run = six_loops,
     .name = "1 six loops, one sum at a time",
     .loads = "2 x 1 float",
     .planes = true},
    {.run = filters_inside, .name = "2 filters inside: vectors", .loads = "2, and a store"},
    {.run = padded, .name = "3 zeros around a copy: no edges", .loads = "2, and a store"},
    {.run = tiles, .name = "4 a tile of sums in registers", .tiled = true},
    {.run = bands, .name = "5 bands, the engine's conv_row"},
    {.run = panels, .name = "6 a panel of filters at a time", .panels = true},
    {.run = packed, .name = "7 panels packed", .panels = true},
    {.run = threads, .name = "8 all threads", .threaded = true},
    {.run = plan, .name = "9 the engine's plan", .planned = true},
    {.run = plan_threads, .name = "10 the same, all threads", .threaded = true, .planned = true},
};

bool ladder_applies(const struct ladder *l, const struct ladder_step *step)
{
    if (step->threaded && nn_threads(l->all) == 1) return false;
    return !step->panels || l->layer.filters > PANEL;
}

/* ---- making the layer ------------------------------------------------------------------------ */

/* to[j][i] = from[i][j], of vectors that are `wide` floats: NHWC to NCHW and back, per image. */
static void turn(float *to, const float *from, int rows, int columns)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            to[(ptrdiff_t)j * rows + i] = from[(ptrdiff_t)i * columns + j];
}

static void fill(struct ladder *l)
{
    const struct layer *layer = &l->layer;
    struct nn_rng rng = nn_rng_make(1, 1);
    int pixels = layer->height * layer->width, rows = 9 * layer->channels;
    ptrdiff_t picture = (ptrdiff_t)pixels * layer->channels;
    for (size_t i = 0; i < l->x_floats; i++) l->x[i] = nn_rng_uniform(&rng, -1, 1);
    for (int n = 0; n < layer->images; n++)
        turn(l->x_planes + n * picture, l->x + n * picture, pixels, layer->channels);
    /* [9][C][K] to [K][C][9] */
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < layer->filters; k++)
            l->w_planes[((ptrdiff_t)k * layer->channels + i % layer->channels) * 9 +
                        i / layer->channels] = l->w[(ptrdiff_t)i * layer->filters + k];
    for (int k = 0; k < layer->filters; k++)
        for (int i = 0; i < rows; i++)
            l->packed[((ptrdiff_t)(k / PANEL) * rows + i) * PANEL + k % PANEL] =
                l->w[(ptrdiff_t)i * layer->filters + k];
    for (int i = 0; i < 2; i++)
        memcpy(nn_data(l->plan[i], nn_find(l->graph[i], "x")), l->x, l->x_floats * sizeof(float));
}

/* The largest tile whose sums, weights and one pixel the registers hold, made smaller so that a
 * row is cut evenly: of those that are compiled, the next one. */
static void choose_tile(struct ladder *l)
{
    int lanes = l->steps->lanes, wide = l->steps->registers >= 32 ? 24 : 12;
    l->v = l->layer.filters % (2 * lanes) ? 1 : 2;
    int most = wide / l->v, count = (l->layer.width + most - 1) / most;
    l->m = (l->layer.width + count - 1) / count;
    while (l->m < most && !l->steps->tile[l->v][l->m]) l->m++;
    while (l->m > 1 && (!l->steps->tile[l->v][l->m] || l->m > l->layer.width)) l->m--;
}

static bool make_plan(struct ladder *l, struct nn_context *context, int i)
{
    const struct layer *a = &l->layer;
    struct nn_graph *graph = l->graph[i] = nn_graph_new(context);
    if (!graph) return false;
    struct nn_node *x =
        nn_name(nn_input(graph, "x", nn_shape4(NN_BATCH, a->height, a->width, a->channels)), "x");
    struct nn_node *w =
        nn_parameter(graph, "w", nn_shape4(3, 3, a->channels, a->filters), NN_GLOROT_UNIFORM);
    struct nn_node *y = nn_conv2d(x, w, NULL, NULL);
    if (nn_initialize(graph, 1)) return false;
    if (i == 0) l->w = nn_values(w);
    return nn_compile(&l->plan[i], graph,
                      &(struct nn_plan_options){
                          .batch = a->images, .outputs = &y, .output_count = 1}) == NN_OK;
}

static bool make_pass(struct ladder *l)
{
    const struct layer *a = &l->layer;
    struct nn_window h = {a->height, a->height, 3, 1, 1, 1}, w = {a->width, a->width, 3, 1, 1, 1};
    l->pass = (struct pass){.height = a->height,
                            .width = a->width,
                            .spread_h = 1,
                            .spread_w = 1,
                            .before_h = 1,
                            .before_w = 1,
                            .from_channels = a->channels,
                            .from_group = a->channels,
                            .to_channels = a->filters,
                            .to_group = a->filters,
                            .out_height = a->height,
                            .out_width = a->width,
                            .stride_h = 1,
                            .stride_w = 1};
    return complete_pass(&l->pass, l->graph[0], h, w);
}

/* The padded picture has room for the sweep's rows, which are whole tiles. */
bool ladder_make(struct ladder *l)
{
    const struct layer *a = &l->layer;
    size_t pixels = (size_t)a->images * (size_t)a->height * (size_t)a->width;
    size_t panel_count = ((size_t)a->filters + PANEL - 1) / PANEL;
    l->x_floats = pixels * (size_t)a->channels;
    l->y_floats = pixels * (size_t)a->filters;
    l->w_floats = 9 * (size_t)a->channels * (size_t)a->filters;
    if (!make_plan(l, l->one, 0) || !make_plan(l, l->all, 1) || !make_pass(l)) return false;
    size_t wide = (size_t)(a->width + 2 + MOST_PIXELS) * (size_t)a->channels;
    struct {
        float **at;
        size_t floats;
    } blocks[] = {
        {&l->x, l->x_floats},
        {&l->x_planes, l->x_floats},
        {&l->w_planes, l->w_floats},
        {&l->packed, panel_count * 9 * (size_t)a->channels * PANEL},
        {&l->padded, (size_t)(a->height + 2) * wide},
        {&l->scratch, (size_t)nn_threads(l->all) * scratch_floats(&l->pass)},
        {&l->y, l->y_floats + (size_t)MOST_PIXELS * (size_t)a->filters},
        {&l->expected, l->y_floats},
        {&l->first, l->y_floats},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (!(*blocks[i].at = nn_alloc(l->one, blocks[i].floats, sizeof(float)))) return false;
    fill(l);
    choose_tile(l);
    return true;
}

void ladder_free(struct ladder *l)
{
    float *blocks[] = {l->x,       l->x_planes, l->w_planes, l->packed, l->padded,
                       l->scratch, l->y,        l->expected, l->first};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) nn_free(l->one, blocks[i]);
    for (int i = 0; i < 2; i++) nn_plan_free(&l->plan[i]), nn_graph_free(&l->graph[i]);
}

/* ---- checking and measuring ------------------------------------------------------------------ */

static const float *result_of(const struct ladder *l, const struct ladder_step *step)
{
    if (!step->planned) return l->y;
    int i = step->threaded;
    return nn_data(l->plan[i], nn_node_at(l->graph[i], nn_node_count(l->graph[i]) - 1));
}

/* Runs a step once; step 1's y becomes what is expected, step 2's the bits to have. */
static void check_step(struct ladder *l, const struct ladder_step *step, struct outcome *outcome)
{
    const struct layer *a = &l->layer;
    int pixels = a->height * a->width;
    memset(l->y, 0xff, l->y_floats * sizeof(float)); /* NaN */
    double start = now(), largest = 0, difference = 0;
    step->run(l);
    outcome->repeats = 1 + (int)(TURN_SECONDS / (now() - start + 1e-9));
    const float *y = result_of(l, step);
    if (step->planes) {
        for (int n = 0; n < a->images; n++)
            turn(l->expected + (ptrdiff_t)n * pixels * a->filters,
                 l->y + (ptrdiff_t)n * pixels * a->filters, a->filters, pixels);
        return;
    }
    if (step == &ladder_steps[1]) memcpy(l->first, y, l->y_floats * sizeof(float));
    outcome->same_bits = memcmp(l->first, y, l->y_floats * sizeof(float)) == 0;
    for (size_t i = 0; i < l->y_floats; i++) {
        double apart = fabs((double)y[i] - (double)l->expected[i]);
        largest = fmax(largest, fabs((double)l->expected[i]));
        if (!(apart <= difference)) difference = apart; /* a NaN stays */
    }
    outcome->difference = difference / largest;
}

static double time_once(struct ladder *l, const struct ladder_step *step, int repeats)
{
    double start = now();
    for (int i = 0; i < repeats; i++) step->run(l);
    return (now() - start) / repeats;
}

/* What disturbs a turn only ever makes it slower; the peak's is the best, too. */
static double best(const double *times, int count)
{
    double least = times[0];
    for (int i = 1; i < count; i++) least = fmin(least, times[i]);
    return least;
}

static void measure_peaks(struct ladder *l)
{
    l->peak[0] = fmax(l->peak[0], nn_measure_peak(l->one, 1));
    l->peak[1] = fmax(l->peak[1], nn_measure_peak(l->all, 0));
}

bool ladder_measure(struct ladder *l, struct outcome outcomes[MOST_STEPS], int turns)
{
    bool right = true;
    for (int s = 0; s < MOST_STEPS; s++) {
        if (!ladder_applies(l, &ladder_steps[s])) continue;
        check_step(l, &ladder_steps[s], &outcomes[s]);
        if (outcomes[s].difference <= CLOSE) continue;
        fprintf(stderr, "convolution: step %s: off by %g of the largest value\n",
                ladder_steps[s].name, outcomes[s].difference);
        right = false;
    }
    for (int turn = 0; turn < turns; turn++) {
        measure_peaks(l);
        for (int s = 0; s < MOST_STEPS; s++)
            if (ladder_applies(l, &ladder_steps[s]))
                outcomes[s].times[turn] = time_once(l, &ladder_steps[s], outcomes[s].repeats);
    }
    for (int s = 0; s < MOST_STEPS; s++) outcomes[s].seconds = best(outcomes[s].times, turns);
    return right;
}

double ladder_work(const struct layer *a)
{
    return 18.0 * a->images * a->height * a->width * (double)a->channels * a->filters;
}

/* Seconds of `repeats` times what a picture's rows are, cut into whole tiles. */
static double time_tiles(struct ladder *l, int m, int v, int repeats)
{
    const struct layer *a = &l->layer;
    struct tile_place place = {(ptrdiff_t)(a->width + 2 + MOST_PIXELS) * a->channels, a->channels,
                               a->filters};
    int pixels = (a->width + m - 1) / m * m;
    double start = now();
    for (int i = 0; i < repeats; i++)
        for (int p = 0; p < a->height; p++)
            tile_row(l, l->y, l->padded + p * place.row, &place, pixels, m, v);
    return now() - start;
}

void ladder_sweep(struct ladder *l, struct tile_rates *rates, int turns)
{
    const struct layer *a = &l->layer;
    int repeats[MOST_VECTORS + 1][MOST_PIXELS + 1];
    memset(rates, 0, sizeof *rates);
    for (int turn = -1; turn < turns; turn++) /* the first one says how often */
        for (int v = 1; v <= MOST_VECTORS; v++)
            for (int m = 1; m <= MOST_PIXELS; m++) {
                int width = v * l->steps->lanes, filters = a->filters / width * width;
                if (!l->steps->tile[v][m] || filters == 0) continue;
                double times = turn < 0 ? 1 : repeats[v][m];
                double seconds = time_tiles(l, m, v, (int)times) / times + 1e-9;
                int pixels = (a->width + m - 1) / m * m;
                double rate = 18.0 * a->height * pixels * (double)a->channels * filters / seconds;
                if (turn < 0) repeats[v][m] = 1 + (int)(TURN_SECONDS / seconds);
                if (rate > rates->rate[v][m]) rates->rate[v][m] = rate;
            }
}
