/*
 * bench.c — `liveness bench`: what this machine can do, and what the networks make of it.
 *
 * Level by level: the machine's limits, each network, the kernels by themselves, and the limits
 * again in between and at the end, since clocks rise and fall. What a speed is a share of was thus
 * measured in the same run.
 */
#include "apps/bench.h"
#include "apps/commands.h"

#include <string.h>

static const struct cli_option OPTIONS[] = {
    {"-m --model", CLI_TEXT, offsetof(struct bench_settings, model), "FILE|DIR", NULL, 0, 0, 0,
     "network to run instead of the built-in ones: what `train` wrote, or a face detector"},
    {"--network", CLI_CHOICE, offsetof(struct bench_settings, network),
     "training|livenessnet|detector", NULL, 0, 0, 0,
     "only this built-in network, and no kernels; with --batch or --picture livenessnet"},
    {"-b --batch", CLI_INT, offsetof(struct bench_settings, batch), "N", NULL, 1, 4096, 0,
     "pictures per run; without it 1, and 8 in training"},
    {"--seconds", CLI_REAL, offsetof(struct bench_settings, seconds), "S", "2", 0, 3600,
     CLI_ABOVE_LOW, "how long to measure each network at each level"},
    {"--picture", CLI_TEXT, offsetof(struct bench_settings, picture), "FILE", NULL, 0, 0, 0,
     "what the networks get to see, .png or .jpg; without it noise"},
    {"--level", CLI_TEXT, offsetof(struct bench_settings, level), "NAME|all", NULL, 0, 0, 0,
     "instruction set to measure; `all` puts those of this CPU beside each other"},
    {"--precision", CLI_CHOICE, offsetof(struct bench_settings, precision), "fp32|bf16", "fp32", 0,
     0, 0, "of the products in convolutions when a network is run, not trained"},
    {"-p --plot", CLI_TEXT, offsetof(struct bench_settings, plot), "FILE", NULL, 0, 0, 0,
     "roofline of all layers at the best level measured, .png or .jpg"},
};

/* ---- levels ---------------------------------------------------------------------------------- */

/* Levels that only bring other kernels for bfloat16. */
static bool is_for_bf16(const char *level)
{
    return strcmp(level, "avx512bf16") == 0 || strcmp(level, "amx") == 0;
}

/* Those up to the context's own, which NN_CPU or --cpu may have lowered; of them --level's, or the
 * best that makes a difference. False: there is none of that name, which was said. */
static bool choose_levels(struct bench *bench)
{
    const char *names[8], *own = nn_cpu(bench->app->context), *wanted = bench->settings->level;
    char list[128] = "", quoted[NN_QUOTED];
    bool all = wanted && strcmp(wanted, "all") == 0;
    int count = nn_levels(names), usable = 0;
    while (usable < count && strcmp(names[usable], own) != 0) usable++;
    usable = usable < count ? usable + 1 : count;
    for (int i = 0; i < usable; i++) {
        size_t size = strlen(list);
        bool differs = bench->settings->precision == NN_BFLOAT16 || !is_for_bf16(names[i]);
        snprintf(list + size, sizeof list - size, "%s%s", i ? ", " : "", names[i]);
        if (!wanted && differs) bench->levels = 0; /* the last one stays */
        if (wanted && !all ? strcmp(wanted, names[i]) == 0 : differs)
            bench->level[bench->levels++] = names[i];
    }
    if (bench->levels == 0)
        bench->app->exit_code =
            app_usage(bench->app, "--level: expected all or one this CPU may use (%s), got %s",
                      list, nn_quote(quoted, wanted));
    return bench->levels > 0;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static void list_networks(struct bench *bench)
{
    static const struct bench_network BUILT_IN[BENCH_NETWORKS] = {
        {.name = "livenessnet_training",
         .title = "LivenessNet, training step",
         .training = true,
         .random = true},
        {.name = "livenessnet", .title = "LivenessNet, forward", .random = true},
        {.name = "ssd_res10", .title = "SSD res10 300x300, forward", .random = true}};
    const struct bench_settings *settings = bench->settings;
    int only = settings->network;
    if (only < 0 && (settings->batch || settings->picture)) only = 1;
    if (settings->model)
        bench->network[bench->networks++] =
            (struct bench_network){.name = settings->model, .title = settings->model};
    for (int i = 0; i < BENCH_NETWORKS && !settings->model; i++)
        if (only < 0 || only == i) bench->network[bench->networks++] = BUILT_IN[i];
}

/* What takes so long: somebody who waits wants to know. */
static void tell(const struct bench *bench, const struct app *app, int level, const char *what)
{
    if (bench->networks > 1 && app_is_terminal())
        app_say(app, "%s: %s ...", bench->level[level], what);
}

/* `app` has the level's context. A network first: who misspelled its file shall not wait. */
static enum nn_status measure_level(struct bench *bench, struct app *app, int level)
{
    enum nn_status status = NN_OK;
    bench->threads = nn_threads(app->context);
    for (int i = 0; i < bench->networks && !status; i++) {
        tell(bench, app, level, bench->network[i].title);
        status = bench_measure_network(bench, app, i, level);
        if (!status)
            status = i ? bench_measure_peak(bench, app->context, level)
                       : bench_measure_machine(bench, app->context, level);
    }
    if (!status && bench->networks > 1) {
        tell(bench, app, level, "kernels");
        status = bench_measure_kernels(bench, app->context, level);
    }
    return status ? status : bench_measure_machine(bench, app->context, level);
}

static enum nn_status measure_levels(struct bench *bench)
{
    enum nn_status status = NN_OK;
    for (int i = 0; i < bench->levels && !status; i++) {
        struct app app = *bench->app;
        app.context = NULL;
        struct nn_options options = {.threads = bench->settings->common.threads,
                                     .cpu = bench->level[i],
                                     .allocator = bench->app->allocator};
        status = nn_open(&app.context, &options);
        if (!status) status = measure_level(bench, &app, i);
        /* What outlives the level is the command's, and so are its errors. */
        if (status && *nn_error(app.context))
            nn_fail(bench->app->context, status, "%s", nn_error(app.context));
        nn_close(&app.context);
    }
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum nn_status run_bench(struct bench *bench)
{
    const struct bench_settings *settings = bench->settings;
    struct nn_text text = {.context = bench->app->context};
    enum nn_status status = NN_OK;
    if (settings->plot) status = app_prepare_output(bench->app, settings->plot, "--plot");
    bench_look_at_cpu(&bench->cpu);
    list_networks(bench);
    if (!status) status = measure_levels(bench);
    if (!status && settings->plot) status = bench_draw(bench, settings->plot);
    if (status) return status;
    if (settings->common.json)
        bench_print_json(&text, bench);
    else
        bench_print_tables(&text, bench);
    return app_print(bench->app, &text);
}

static int run(struct app *app, int argc, char **argv)
{
    struct bench_settings settings;
    struct bench bench = {.app = app, .settings = &settings};
    char quoted[NN_QUOTED];
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (settings.plot && !vi_can_write(settings.plot))
        return app_usage(app, "--plot: expected a name that ends in .png or .jpg, got %s",
                         nn_quote(quoted, settings.plot));
    if (settings.model && settings.network >= 0)
        return app_usage(app, "--network names a built-in network; give it or --model");
    if (!app_open(app, 1)) return app->exit_code; /* to talk with; levels have their own */
    if (!choose_levels(&bench)) {
        nn_close(&app->context);
        return app->exit_code;
    }
    app_precision(app, settings.precision);
    enum nn_status status = run_bench(&bench);
    for (int i = 0; i < bench.networks; i++) bench_free_network(&bench, &bench.network[i]);
    nn_free(app->context, bench.kernel);
    return app_finish(app, status);
}

const struct cli_command app_bench = {
    .name = "bench",
    .summary = "Measures how fast this machine runs a network, and each of its steps.",
    .arguments = "",
    .arguments_min = 0,
    .arguments_max = 0,
    .notes =
        "A multiply-add is two operations. A step that multiplies is held against the multiply-adds"
        "\nthis machine was just measured to do in registers (FMA): GFLOP/s; Winograd's "
        "convolutions"
        "\ncount as what they replace. Any other against the bandwidth of the cache, or the memory,"
        "\nthat a core's share of its bytes fits in (L1, L2, mem): GB/s, read and written. Figures "
        "are"
        "\nmedians of turns; whole runs take turns with those whose steps are timed.",
    .example = "  liveness bench\n"
               "  liveness bench --level all --plot roofline.png\n"
               "  liveness bench --model detector --threads 1 --seconds 5",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct bench_settings),
    .run = run,
};
