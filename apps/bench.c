/*
 * bench.c — `liveness bench`: how fast this machine runs a network, step by step.
 *
 * Whole runs and profiled runs take turns, so that a machine whose speed drifts is fair to both. A
 * turn is as many runs as fill a millisecond, and counts with their mean; figures are medians over
 * the turns. What a speed is a share of, this machine's peak, is measured before and after.
 */
#include "apps/bench.h"
#include "apps/commands.h"

#include <stdlib.h>
#include <string.h>

static const struct cli_option OPTIONS[] = {
    {"-m --model", CLI_TEXT, offsetof(struct bench_settings, model), "FILE|DIR", NULL, 0, 0, 0,
     "network to run: what `train` wrote, or a face detector; without it LivenessNet"},
    {"-b --batch", CLI_INT, offsetof(struct bench_settings, batch), "N", "1", 1, 4096, 0,
     "pictures per run"},
    {"--seconds", CLI_REAL, offsetof(struct bench_settings, seconds), "S", "2", 0, 3600,
     CLI_ABOVE_LOW, "how long to measure"},
    {"--picture", CLI_TEXT, offsetof(struct bench_settings, picture), "FILE", NULL, 0, 0, 0,
     "what the network gets to see, .png or .jpg; without it noise"},
};

enum { FEWEST_TURNS = 3 };
static const double TURN_SECONDS = 1e-3, WARM_SHARE = 0.2;
/* Of a thread: more than a first-level cache, less than a second-level one. Of all: more than a
 * last-level cache mostly is. */
enum { NEAR_BYTES = 256 << 10, FAR_BYTES = 128 << 20 };

/* ---- the network's input --------------------------------------------------------------------- */

static enum nn_status read_picture(struct bench *bench, struct vi_image *image, int width,
                                   int height)
{
    struct nn_context *context = bench->app->context;
    if (bench->settings->picture)
        return vi_read(image, context, bench->settings->picture,
                       &(struct vi_decode_options){.color = VI_RGB});
    enum nn_status status = vi_image_new(image, context, width, height, 3);
    struct nn_rng rng = nn_rng_make(bench->settings->common.seed, 1);
    for (int i = 0; !status && i < height * width * 3; i++)
        image->pixels[i] = (uint8_t)nn_rng_below(&rng, 256);
    return status;
}

/* What the network makes of a picture, by way of its own preparation of pictures. */
static enum nn_status prepare_picture(struct bench *bench, float *row, const struct vi_image *image)
{
    struct network *network = &bench->network;
    struct nn_context *context = bench->app->context;
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
    const struct model_contract *contract = &network->model.contract;
    struct vi_image small;
    enum nn_status status = vi_image_new(&small, context, contract->width, contract->height, 3);
    if (!status) status = vi_resize(&small, image, context);
    if (!status && contract->color == VI_BGR) vi_swap_red_blue(&small);
    if (!status) model_fill(row, contract, small.pixels);
    vi_image_free(context, &small);
    return status;
}

static enum nn_status fill_input(struct bench *bench)
{
    const struct nn_node *input = network_input(&bench->network);
    struct nn_shape shape = nn_node_shape(input);
    size_t count = nn_shape_count(shape);
    float *rows = nn_data(bench->plan, input);
    struct vi_image image = {0};
    enum nn_status status = NN_OK;
    if (bench->network.bare && bench->settings->picture)
        return nn_fail(bench->app->context, NN_ERROR_ARGUMENT,
                       "--picture: how a network without weights wants its pictures is not known");
    if (bench->network.bare) {
        struct nn_rng rng = nn_rng_make(bench->settings->common.seed, 1);
        for (size_t i = 0; i < count; i++) rows[i] = nn_rng_uniform(&rng, -1, 1);
    } else {
        status = read_picture(bench, &image, shape.dim[2], shape.dim[1]);
        if (!status) status = prepare_picture(bench, rows, &image);
    }
    for (int n = 1; n < bench->settings->batch && !status; n++)
        memcpy(rows + (size_t)n * count, rows, count * sizeof *rows);
    vi_image_free(bench->app->context, &image);
    return status;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Twice: clocks rise and fall in between. */
static enum nn_status measure_machine(struct bench *bench)
{
    struct nn_context *context = bench->app->context;
    struct bench_machine *machine = &bench->machine;
    double peak = nn_measure_peak(context, 0);
    double near =
        nn_measure_bandwidth(context, 0, (size_t)NEAR_BYTES * (size_t)nn_threads(context));
    double far = nn_measure_bandwidth(context, 0, FAR_BYTES);
    if (!(peak > 0 && near > 0 && far > 0)) return NN_ERROR_MEMORY;
    machine->peak = larger(machine->peak, peak);
    machine->near = larger(machine->near, near);
    machine->far = larger(machine->far, far);
    return NN_OK;
}

/* Caches, page tables, clocks; and how many runs make a turn. */
static enum nn_status warm_up(struct bench *bench)
{
    double start = app_seconds(), now = start;
    double turn = larger(TURN_SECONDS, bench->settings->seconds / (2 * BENCH_TURNS));
    int runs = 0;
    enum nn_status status = NN_OK;
    while (!status && (runs < 2 || now - start < WARM_SHARE * bench->settings->seconds)) {
        status = nn_forward(bench->plan, bench->settings->batch);
        now = app_seconds();
        runs++;
    }
    bench->repeats = 1 + (int)(turn * runs / larger(now - start, 1e-6));
    return status;
}

static enum nn_status take_turn(struct bench *bench, int turn)
{
    int batch = bench->settings->batch, repeats = bench->repeats;
    enum nn_status status = NN_OK;
    double start = app_seconds();
    for (int i = 0; i < repeats && !status; i++) status = nn_forward(bench->plan, batch);
    bench->run[turn] = (app_seconds() - start) / repeats;
    for (int i = 0; i < repeats && !status; i++) {
        status = nn_profile(bench->plan, batch);
        for (int s = 0; s < bench->steps; s++)
            bench->step[(size_t)s * BENCH_TURNS + (size_t)turn] +=
                nn_plan_step(bench->plan, s).seconds / repeats;
    }
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

static void conclude(struct bench *bench)
{
    bench->run_median = median(bench->run, bench->turns);
    bench->run_best = bench->run[0];
    for (int s = 0; s < bench->steps; s++) {
        bench->step_median[s] = median(bench->step + (size_t)s * BENCH_TURNS, bench->turns);
        bench->steps_sum += bench->step_median[s];
        bench->multiply_adds += nn_plan_step(bench->plan, s).multiply_adds;
    }
}

static enum nn_status measure(struct bench *bench)
{
    struct nn_context *context = bench->app->context;
    bench->steps = nn_plan_steps(bench->plan);
    bench->run = nn_alloc(context, BENCH_TURNS, sizeof *bench->run);
    bench->step_median = nn_alloc(context, (size_t)bench->steps, sizeof *bench->step_median);
    bench->step = nn_alloc(context, (size_t)bench->steps * BENCH_TURNS, sizeof *bench->step);
    if (!bench->run || !bench->step_median || !bench->step) return NN_ERROR_MEMORY;
    enum nn_status status = measure_machine(bench);
    if (!status) status = warm_up(bench);
    double start = app_seconds();
    while (!status && bench->turns < BENCH_TURNS &&
           (bench->turns < FEWEST_TURNS || app_seconds() - start < bench->settings->seconds))
        status = take_turn(bench, bench->turns++);
    if (!status) status = measure_machine(bench);
    if (!status) conclude(bench);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum nn_status bench_network(struct bench *bench)
{
    const struct bench_settings *settings = bench->settings;
    struct nn_text text = {.context = bench->app->context};
    enum nn_status status =
        settings->model
            ? network_open(&bench->network, bench->app, settings->model)
            : network_new(&bench->network, bench->app, 32, 32, 2, settings->common.seed);
    if (!status)
        status = nn_compile(&bench->plan, bench->network.graph,
                            &(struct nn_plan_options){.batch = settings->batch});
    if (!status) status = fill_input(bench);
    if (!status) status = measure(bench);
    if (status) return status;
    if (settings->common.json)
        bench_print_json(&text, bench);
    else
        bench_print_table(&text, bench);
    return app_print(bench->app, &text);
}

static int run(struct app *app, int argc, char **argv)
{
    struct bench_settings settings;
    struct bench bench = {.app = app, .settings = &settings};
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (!app_open(app, 0)) return app->exit_code;
    enum nn_status status = bench_network(&bench);
    nn_free(app->context, bench.run);
    nn_free(app->context, bench.step);
    nn_free(app->context, bench.step_median);
    nn_plan_free(&bench.plan);
    network_close(&bench.network);
    return app_finish(app, status);
}

const struct cli_command app_bench = {
    .name = "bench",
    .summary = "Measures how fast this machine runs a network, and each of its steps.",
    .arguments = "",
    .arguments_min = 0,
    .arguments_max = 0,
    .notes = "GFLOP/s count a multiply-add as two operations. % peak is the share of the "
             "multiply-adds this\nmachine was just measured to do in registers; GB/s, what a step "
             "reads and writes. The total is\nof whole runs, which take turns with the profiled "
             "ones.",
    .example = "  liveness bench\n"
               "  liveness bench --model detector --threads 1 --seconds 5",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct bench_settings),
    .run = run,
};
