/*
 * bench_plot.c — a roofline of what was measured: a dot for each step that multiplies, its area the
 * share of its network's time.
 */
#include "apps/bench.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 1200, HEIGHT = 800, GROUPS = 5, LIMIT_BYTES = 64 };
/* Of the time: smaller dots stay without a name, or are left out. */
static const double LABEL_SHARE = 0.04, LEAST_SHARE = 0.004;

/* Okabe & Ito, "Color Universal Design" (2008): told apart with every kind of colour vision. */
static const struct vi_rgb COLOR[GROUPS] = {
    {0, 114, 178}, {230, 159, 0}, {204, 121, 167}, {86, 180, 233}, {0, 158, 115}};

struct drawing {
    struct vi_roof_point *points;
    int count;
    struct vi_roof_group groups[GROUPS];
    char group_text[GROUPS][96];
    int group_count;
    char limit[5][LIMIT_BYTES];
};

static int add_group(struct drawing *drawing, const struct bench_network *network, int pass)
{
    static const char *const directions[] = {"forward", "bwd-data", "bwd-weights"};
    int group = drawing->group_count++;
    char plain[NN_QUOTED];
    const char *title = network->training ? "LivenessNet training" : network->title;
    snprintf(drawing->group_text[group], sizeof drawing->group_text[group], "%.60s, batch %d%s%s",
             app_plain(plain, title), network->batch, network->training ? ": " : "",
             network->training ? directions[pass] : "");
    drawing->groups[group] =
        (struct vi_roof_group){drawing->group_text[group], COLOR[group % GROUPS]};
    return group;
}

/* In training a layer is named once, where it takes longest. */
static bool is_longest(const struct bench_row *row, int pass, int level)
{
    for (int p = 0; p < BENCH_PASSES; p++)
        if (row->pass[p].seconds[level] > row->pass[pass].seconds[level]) return false;
    return true;
}

static void add_pass(struct drawing *drawing, const struct bench_network *network, int pass,
                     int level)
{
    int group = add_group(drawing, network, pass);
    for (int i = 0; i < network->count; i++) {
        const struct bench_row *row = &network->rows[i];
        double seconds = row->pass[pass].seconds[level], flops = row->pass[pass].flops;
        if (!(flops > 0 && seconds > 0 && row->pass[pass].bytes > 0)) continue;
        double share = fmin(seconds / network->result[level].sum, 1);
        if (share < LEAST_SHARE) continue;
        bool named = share >= LABEL_SHARE && is_longest(row, pass, level);
        drawing->points[drawing->count++] =
            (struct vi_roof_point){.intensity = flops / row->pass[pass].bytes,
                                   .rate = flops / seconds * 1e-9,
                                   .weight = share,
                                   .group = group,
                                   .label = named ? row->name : NULL};
    }
}

static void name_limits(struct drawing *drawing, struct vi_ceiling *ceilings,
                        struct vi_ceiling *slopes, const struct bench *bench, int level)
{
    static const char *const names[] = {"L1", "L2", "memory"};
    const struct bench_machine *machine = &bench->machine[level];
    for (int i = 0; i < 2; i++) {
        int all = i == 0 ? BENCH_ALL : BENCH_ONE, threads = i == 0 ? bench->threads : 1;
        ceilings[i] = (struct vi_ceiling){drawing->limit[i], machine->peak[all] * 1e-9};
        snprintf(drawing->limit[i], LIMIT_BYTES, "multiply-adds, %d thread%s: %.0f GFLOP/s",
                 threads, threads == 1 ? "" : "s", ceilings[i].rate);
    }
    for (int p = 0; p < BENCH_PLACES; p++) {
        char *text = drawing->limit[2 + p];
        slopes[p] = (struct vi_ceiling){text, machine->bandwidth[p][BENCH_ALL] * 1e-9};
        snprintf(text, LIMIT_BYTES, "%s: %.0f GB/s", names[p], slopes[p].rate);
    }
}

static enum nn_status draw(struct drawing *drawing, const struct bench *bench, const char *path)
{
    struct nn_context *context = bench->app->context;
    int level = bench->levels - 1;
    struct vi_ceiling ceilings[2], slopes[BENCH_PLACES];
    struct vi_image image;
    char title[256];
    name_limits(drawing, ceilings, slopes, bench, level);
    for (int n = 0; n < bench->networks; n++)
        for (int p = 0; p < (bench->network[n].training ? BENCH_PASSES : 1); p++)
            add_pass(drawing, &bench->network[n], p, level);
    snprintf(title, sizeof title, "%s: %s, %d thread%s",
             *bench->cpu.name ? bench->cpu.name : "this CPU", bench->level[level], bench->threads,
             bench->threads == 1 ? "" : "s");
    struct vi_roofline roofline = {
        .title = title,
        .subtitle = "a dot is a layer, its area the share of its network's time; "
                    "above the roof is only Winograd, which multiplies less than is counted",
        .x_label = "arithmetic intensity: FLOP per byte of inputs, weights and outputs",
        .y_label = "GFLOP/s",
        .width = WIDTH,
        .height = HEIGHT,
        .ceilings = ceilings,
        .ceiling_count = bench->threads > 1 ? 2 : 1,
        .slopes = slopes,
        .slope_count = BENCH_PLACES,
        .groups = drawing->groups,
        .group_count = drawing->group_count,
        .points = drawing->points,
        .point_count = drawing->count};
    enum nn_status status = vi_plot_roofline(&image, context, &roofline);
    if (!status) status = vi_write(&image, context, path, 0);
    vi_image_free(context, &image);
    return status;
}

enum nn_status bench_draw(const struct bench *bench, const char *path)
{
    struct drawing drawing = {0};
    size_t most = 1;
    for (int n = 0; n < bench->networks; n++)
        most += (size_t)bench->network[n].count * BENCH_PASSES;
    drawing.points = nn_alloc(bench->app->context, most, sizeof *drawing.points);
    enum nn_status status = drawing.points ? draw(&drawing, bench, path) : NN_ERROR_MEMORY;
    nn_free(bench->app->context, drawing.points);
    return status;
}
