/*
 * bench_network.c — a network at one level: its plan, its input, and turns of runs.
 *
 * Whole runs and profiled runs take turns, so that a machine whose speed drifts is fair to both. A
 * turn is as many runs as fill a millisecond, and counts with their mean; figures are medians over
 * the turns. A training run is forward, backward, and Adam's update.
 */
#include "apps/bench.h"

#include <stdlib.h>
#include <string.h>

enum { FEWEST_TURNS = 3, MOST_TURNS = 2000, TRAINING_BATCH = 8 };
static const double TURN_SECONDS = 1e-3, WARM_SHARE = 0.2;
static const float LEARNING_RATE = 1e-4f;

/* One network while it is measured. */
struct trial {
    struct bench *bench;
    struct app *app;
    struct bench_network *about;
    int level;
    struct network network;
    struct nn_node *target; /* NULL: not trained */
    struct nn_plan *plan;
    struct nn_optimizer *optimizer;
    uint64_t step;
    int repeats;  /* runs per turn */
    double *run;  /* [MOST_TURNS] seconds */
    double *pass; /* [rows][BENCH_PASSES][MOST_TURNS] seconds */
};

/* ---- the network's input --------------------------------------------------------------------- */

static enum nn_status read_picture(struct trial *trial, struct vi_image *image, int width,
                                   int height)
{
    struct nn_context *context = trial->app->context;
    if (trial->bench->settings->picture)
        return vi_read(image, context, trial->bench->settings->picture,
                       &(struct vi_decode_options){.color = VI_RGB});
    enum nn_status status = vi_image_new(image, context, width, height, 3);
    struct nn_rng rng = nn_rng_make(trial->bench->settings->common.seed, 1);
    for (int i = 0; !status && i < height * width * 3; i++)
        image->pixels[i] = (uint8_t)nn_rng_below(&rng, 256);
    return status;
}

/* How the built-in detector wants its pictures, as its file does. */
static const struct model_contract DETECTOR = {300, 300, 3, VI_BGR, 1.0, {104, 177, 123}, 0};

/* What the network makes of a picture, by way of its own preparation of pictures. */
static enum nn_status prepare_picture(struct trial *trial, float *row, const struct vi_image *image)
{
    struct network *network = &trial->network;
    struct nn_context *context = trial->app->context;
    if (network->detector) {
        const struct nn_plan *plan = vi_detector_plan(network->detector);
        const struct nn_node *input = network_input(network);
        const struct vi_face *faces;
        int count;
        enum nn_status status = vi_detect(network->detector, image, VI_RGB, 0.5f, &faces, &count);
        if (!status)
            memcpy(row, nn_data(plan, input), nn_shape_count(nn_node_shape(input)) * sizeof *row);
        return status;
    }
    const struct model_contract *contract =
        network->is_model ? &network->model.contract : &DETECTOR;
    struct vi_image small;
    enum nn_status status = vi_image_new(&small, context, contract->width, contract->height, 3);
    if (!status) status = vi_resize(&small, image, context);
    if (!status && contract->color == VI_BGR) vi_swap_red_blue(&small);
    if (!status) model_fill(row, contract, small.pixels);
    vi_image_free(context, &small);
    return status;
}

static enum nn_status fill_input(struct trial *trial)
{
    const struct nn_node *input = network_input(&trial->network);
    struct nn_shape shape = nn_node_shape(input);
    size_t count = nn_shape_count(shape);
    float *rows = nn_data(trial->plan, input);
    struct vi_image image = {0};
    bool bare = trial->network.bare && !trial->about->random; /* a file without weights */
    enum nn_status status = NN_OK;
    if (bare && trial->bench->settings->picture)
        return nn_fail(trial->app->context, NN_ERROR_ARGUMENT,
                       "--picture: how a network without weights wants its pictures is not known");
    if (bare) {
        struct nn_rng rng = nn_rng_make(trial->bench->settings->common.seed, 1);
        for (size_t i = 0; i < count; i++) rows[i] = nn_rng_uniform(&rng, -1, 1);
    } else {
        status = read_picture(trial, &image, shape.dim[2], shape.dim[1]);
        if (!status) status = prepare_picture(trial, rows, &image);
    }
    for (int n = 1; n < trial->about->batch && !status; n++)
        memcpy(rows + (size_t)n * count, rows, count * sizeof *rows);
    vi_image_free(trial->app->context, &image);
    return status;
}

/* Two classes in turn; and pictures that differ, so that statistics over a batch have a spread. */
static void fill_targets(struct trial *trial)
{
    const struct nn_node *input = network_input(&trial->network);
    float *target = nn_data(trial->plan, trial->target), *x = nn_data(trial->plan, input);
    size_t count = nn_shape_count(nn_node_shape(input));
    struct nn_rng rng = nn_rng_make(trial->bench->settings->common.seed, 2);
    for (int n = 0; n < trial->about->batch; n++) {
        target[2 * n] = (float)(n % 2);
        target[2 * n + 1] = (float)(1 - n % 2);
        for (size_t i = 0; i < count; i++)
            x[(size_t)n * count + i] += nn_rng_uniform(&rng, -0.1f, 0.1f);
    }
}

/* ---- the networks ---------------------------------------------------------------------------- */

/* Random weights find nothing in particular, everywhere. In a trained detector nearly all boxes are
 * background, and that decides how long the last step takes: their biases say so here too. */
static void prefer_background(struct nn_graph *graph)
{
    static const char ENDING[] = "mbox_conf/bias";
    for (int i = 0; i < nn_node_count(graph); i++) {
        struct nn_node *node = nn_node_at(graph, i);
        const char *name = nn_node_name(node);
        size_t size = strlen(name), tail = sizeof ENDING - 1;
        if (size < tail || strcmp(name + size - tail, ENDING) != 0) continue;
        float *bias = nn_values(node);
        for (size_t j = 0; j < nn_shape_count(nn_node_shape(node)); j += 2) bias[j] = 12;
    }
    nn_parameters_changed(graph);
}

static enum nn_status build_detector(struct trial *trial)
{
    struct nn_context *context = trial->app->context;
    struct network *network = &trial->network;
    *network = (struct network){.context = context, .source = "ssd_res10"};
    network->graph = network->bare = nn_graph_new(context);
    if (!network->graph) return NN_ERROR_MEMORY;
    nn_model_ssd_res10(network->graph);
    enum nn_status status = nn_initialize(network->graph, trial->bench->settings->common.seed);
    if (!status) prefer_background(network->graph);
    return status;
}

static enum nn_status open_network(struct trial *trial)
{
    const struct bench_settings *settings = trial->bench->settings;
    struct nn_plan_options options = {.batch = trial->about->batch};
    enum nn_status status = NN_OK;
    if (settings->model)
        status = network_open(&trial->network, trial->app, settings->model);
    else if (strcmp(trial->about->name, "ssd_res10") == 0)
        status = build_detector(trial);
    else
        status = network_new(&trial->network, trial->app, 32, 32, 2, settings->common.seed);
    if (status) return status;
    if (!trial->about->training) options.precision = (enum nn_precision)settings->precision;
    if (trial->about->training) {
        trial->target = nn_input(trial->network.graph, "target", nn_shape2(NN_BATCH, 2));
        options.loss = nn_softmax_cross_entropy(trial->network.model.logits, trial->target, NULL);
    }
    status = nn_compile(&trial->plan, trial->network.graph, &options);
    if (!status) status = fill_input(trial);
    if (status || !trial->target) return status;
    fill_targets(trial);
    return nn_optimizer_new(&trial->optimizer, trial->plan,
                            &(struct nn_optimizer_options){.kind = NN_ADAM});
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct bench_row *find_row(struct bench_network *about, const char *name)
{
    for (int i = 0; i < about->count; i++)
        if (strcmp(about->rows[i].name, name) == 0) return &about->rows[i];
    return NULL;
}

/* The step's row; a new one where there is none. NULL: no memory. */
static struct bench_row *row_of(struct trial *trial, const char *name, const char *op,
                                struct nn_shape shape)
{
    struct bench_network *about = trial->about;
    struct bench_row *row = find_row(about, name);
    if (row) return row;
    row = &about->rows[about->count];
    *row = (struct bench_row){.op = op, .fused = "", .shape = shape};
    row->name = nn_strdup(trial->bench->app->context, name);
    if (!row->name) return NULL;
    about->count++;
    return row;
}

static double update_bytes(const struct trial *trial)
{
    size_t floats = 0;
    for (int i = 0; i < nn_node_count(trial->network.graph); i++) {
        const struct nn_node *node = nn_node_at(trial->network.graph, i);
        if (strcmp(nn_node_op(node), "parameter") == 0)
            floats += nn_shape_count(nn_node_shape(node));
    }
    return 7.0 * sizeof(float) * (double)floats; /* w, m, v are read and written, g is read */
}

/* A row per step, forward and backward in one; rows of an earlier level are found again. */
static enum nn_status make_rows(struct trial *trial)
{
    struct bench_network *about = trial->about;
    int forward = nn_plan_steps(trial->plan), backward = nn_plan_backward_steps(trial->plan);
    size_t most = (size_t)forward + (size_t)backward + 1;
    double batch = about->batch;
    if (!about->rows) about->rows = nn_alloc(trial->bench->app->context, most, sizeof *about->rows);
    if (!about->rows) return NN_ERROR_MEMORY;
    bool first = about->count == 0;
    for (int i = 0; i < forward && first; i++) {
        struct nn_step_info step = nn_plan_step(trial->plan, i);
        struct bench_row *row = row_of(trial, step.name, step.op, step.shape);
        if (!row) return NN_ERROR_MEMORY;
        row->fused = step.fused;
        row->multiply_adds = step.multiply_adds;
        row->pass[BENCH_FORWARD].flops = 2 * batch * step.multiply_adds;
        row->pass[BENCH_FORWARD].bytes += (double)step.bytes;
    }
    for (int i = 0; i < backward && first; i++) {
        struct nn_backward_info step = nn_plan_backward_step(trial->plan, i);
        struct bench_row *row = row_of(trial, step.name, step.op, step.shape);
        if (!row) return NN_ERROR_MEMORY;
        row->pass[BENCH_DATA].flops += 2 * batch * step.data.multiply_adds;
        row->pass[BENCH_DATA].bytes += (double)step.data.bytes;
        row->pass[BENCH_WEIGHTS].flops += 2 * batch * step.weights.multiply_adds;
        row->pass[BENCH_WEIGHTS].bytes += (double)step.weights.bytes;
    }
    if (!trial->optimizer || !first) return NN_OK;
    struct bench_row *row = row_of(trial, "adam", "adam", nn_shape1(0));
    if (!row) return NN_ERROR_MEMORY;
    row->pass[BENCH_WEIGHTS].bytes = update_bytes(trial);
    return NN_OK;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static enum nn_status run_once(struct trial *trial)
{
    enum nn_status status = NN_OK;
    if (trial->optimizer) nn_plan_seed(trial->plan, 1, trial->step++);
    status = nn_forward(trial->plan, trial->about->batch);
    if (!status && trial->optimizer) status = nn_backward(trial->plan);
    if (!status && trial->optimizer) status = nn_optimizer_step(trial->optimizer, LEARNING_RATE);
    return status;
}

static void add_time(struct trial *trial, const char *name, int pass, int turn, double seconds)
{
    const struct bench_row *row = find_row(trial->about, name);
    if (!row) return;
    size_t index = (size_t)(row - trial->about->rows) * BENCH_PASSES + (size_t)pass;
    trial->pass[index * MOST_TURNS + (size_t)turn] += seconds / trial->repeats;
}

static enum nn_status profile_once(struct trial *trial, int turn)
{
    if (trial->optimizer) nn_plan_seed(trial->plan, 1, trial->step++);
    enum nn_status status = nn_profile(trial->plan, trial->about->batch);
    for (int i = 0; i < nn_plan_steps(trial->plan) && !status; i++) {
        struct nn_step_info step = nn_plan_step(trial->plan, i);
        add_time(trial, step.name, BENCH_FORWARD, turn, step.seconds);
    }
    if (status || !trial->optimizer) return status;
    status = nn_profile_backward(trial->plan);
    for (int i = 0; i < nn_plan_backward_steps(trial->plan) && !status; i++) {
        struct nn_backward_info step = nn_plan_backward_step(trial->plan, i);
        add_time(trial, step.name, BENCH_DATA, turn, step.data.seconds);
        add_time(trial, step.name, BENCH_WEIGHTS, turn, step.weights.seconds);
    }
    double start = app_seconds();
    if (!status) status = nn_optimizer_step(trial->optimizer, LEARNING_RATE);
    add_time(trial, "adam", BENCH_WEIGHTS, turn, app_seconds() - start);
    return status;
}

/* Caches, page tables, clocks; and how many runs make a turn. */
static enum nn_status warm_up(struct trial *trial)
{
    double wanted = trial->bench->settings->seconds, start = app_seconds(), now = start;
    double turn = larger(TURN_SECONDS, wanted / (2 * MOST_TURNS));
    int runs = 0;
    enum nn_status status = NN_OK;
    while (!status && (runs < 2 || now - start < WARM_SHARE * wanted)) {
        status = run_once(trial);
        now = app_seconds();
        runs++;
    }
    trial->repeats = 1 + (int)(turn * runs / larger(now - start, 1e-6));
    return status;
}

static enum nn_status take_turn(struct trial *trial, int turn)
{
    enum nn_status status = NN_OK;
    double start = app_seconds();
    for (int i = 0; i < trial->repeats && !status; i++) status = run_once(trial);
    trial->run[turn] = (app_seconds() - start) / trial->repeats;
    for (int i = 0; i < trial->repeats && !status; i++) status = profile_once(trial, turn);
    return status;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times, int count)
{
    qsort(times, (size_t)count, sizeof *times, compare);
    return (times[(count - 1) / 2] + times[count / 2]) / 2;
}

static void conclude(struct trial *trial, int turns)
{
    struct bench_network *about = trial->about;
    struct bench_result *result = &about->result[trial->level];
    result->turns = turns;
    result->median = median(trial->run, turns);
    result->best = trial->run[0];
    about->flops = 0;
    for (int i = 0; i < about->count * BENCH_PASSES; i++) {
        struct bench_pass *pass = &about->rows[i / BENCH_PASSES].pass[i % BENCH_PASSES];
        double seconds = median(trial->pass + (size_t)i * MOST_TURNS, turns);
        pass->seconds[trial->level] = seconds;
        result->sum += seconds;
        about->flops += pass->flops;
    }
}

static enum nn_status measure(struct trial *trial)
{
    struct nn_context *context = trial->app->context;
    size_t passes = (size_t)trial->about->count * BENCH_PASSES;
    trial->run = nn_alloc(context, MOST_TURNS, sizeof *trial->run);
    trial->pass = nn_alloc(context, passes * MOST_TURNS, sizeof *trial->pass);
    if (!trial->run || !trial->pass) return NN_ERROR_MEMORY;
    enum nn_status status = warm_up(trial);
    double start = app_seconds();
    int turns = 0;
    while (!status && turns < MOST_TURNS &&
           (turns < FEWEST_TURNS || app_seconds() - start < trial->bench->settings->seconds))
        status = take_turn(trial, turns++);
    if (!status) conclude(trial, turns);
    return status;
}

enum nn_status bench_measure_network(struct bench *bench, struct app *app, int index, int level)
{
    struct bench_network *about = &bench->network[index];
    struct trial trial = {.bench = bench, .app = app, .about = about, .level = level};
    if (about->batch == 0) about->batch = bench->settings->batch;
    if (about->batch == 0) about->batch = about->training ? TRAINING_BATCH : 1;
    enum nn_status status = open_network(&trial);
    if (!status) about->source = trial.network.source;
    if (!status) status = make_rows(&trial);
    if (!status) status = measure(&trial);
    nn_free(app->context, trial.run);
    nn_free(app->context, trial.pass);
    nn_optimizer_free(&trial.optimizer);
    nn_plan_free(&trial.plan);
    network_close(&trial.network);
    return status;
}

void bench_free_network(struct bench *bench, struct bench_network *network)
{
    for (int i = 0; i < network->count; i++) nn_free(bench->app->context, network->rows[i].name);
    nn_free(bench->app->context, network->rows);
    network->rows = NULL;
    network->count = 0;
}
