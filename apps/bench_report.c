/* bench_report.c — what was measured, as a table and as JSON. */
#include "apps/bench.h"

#include <string.h>

static double flops(const struct bench *bench, double multiply_adds)
{
    return 2 * multiply_adds * bench->settings->batch;
}

/* 0 where a clock was too coarse to see anything. */
static double per_second(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

/* "150x150x32": without the images. Returns `text`. */
static char *size_text(char text[64], struct nn_shape shape)
{
    int size = 0;
    text[0] = '\0';
    for (int i = 1; i < shape.rank; i++)
        size += snprintf(text + size, 64 - (size_t)size, "%s%d", i > 1 ? "x" : "", shape.dim[i]);
    return text;
}

struct widths {
    int name, op, fused, size;
};

static void widen(int *width, const char *text, int most)
{
    int size = (int)strlen(text);
    if (size > most) size = most;
    if (size > *width) *width = size;
}

static struct widths measure_widths(const struct bench *bench)
{
    struct widths widths = {12, 2, 5, 6};
    char text[NN_QUOTED];
    for (int s = 0; s < bench->steps; s++) {
        struct nn_step_info step = nn_plan_step(bench->plan, s);
        widen(&widths.name, app_plain(text, step.name), 40);
        widen(&widths.op, step.op, 24);
        widen(&widths.fused, step.fused, 24);
        widen(&widths.size, size_text(text, step.shape), 16);
    }
    return widths;
}

static void print_step(struct nn_text *text, const struct bench *bench, const struct widths *widths,
                       int index)
{
    struct nn_step_info step = nn_plan_step(bench->plan, index);
    double seconds = bench->step_median[index],
           work = per_second(flops(bench, step.multiply_adds), seconds);
    char name[NN_QUOTED], size[64];
    nn_text_printf(text, "%-*s  %-*s  %-*s  %-*s %10.1f", widths->name, app_plain(name, step.name),
                   widths->op, step.op, widths->fused, step.fused, widths->size,
                   size_text(size, step.shape), seconds * 1e6);
    if (work > 0)
        nn_text_printf(text, " %9.1f %6.1f", work * 1e-9, 100 * work / bench->machine.peak);
    else
        nn_text_printf(text, " %9s %6s", "", "");
    if (step.bytes)
        nn_text_printf(text, " %8.1f", per_second((double)step.bytes, seconds) * 1e-9);
    else
        nn_text_printf(text, " %8s", "");
    nn_text_printf(text, " %6.1f\n", 100 * per_second(seconds, bench->steps_sum));
}

void bench_print_table(struct nn_text *text, const struct bench *bench)
{
    const struct bench_machine *machine = &bench->machine;
    struct nn_context *context = bench->app->context;
    struct widths widths = measure_widths(bench);
    double work = per_second(flops(bench, bench->multiply_adds), bench->run_median);
    char name[NN_QUOTED];
    nn_text_printf(text,
                   "machine  %s, %d thread%s: at most %.1f GFLOP/s, %.1f GB/s near the core, "
                   "%.1f GB/s from memory\n",
                   nn_cpu(context), nn_threads(context), nn_threads(context) == 1 ? "" : "s",
                   machine->peak * 1e-9, machine->near * 1e-9, machine->far * 1e-9);
    nn_text_printf(text, "network  %s, %d picture%s per run\n\n",
                   bench->settings->model ? app_plain(name, bench->settings->model) : "LivenessNet",
                   bench->settings->batch, bench->settings->batch == 1 ? "" : "s");
    nn_text_printf(text, "%-*s  %-*s  %-*s  %-*s %10s %9s %6s %8s %6s\n", widths.name, "step",
                   widths.op, "op", widths.fused, "fused", widths.size, "output", "us", "GFLOP/s",
                   "% peak", "GB/s", "% time");
    for (int s = 0; s < bench->steps; s++) print_step(text, bench, &widths, s);
    nn_text_printf(text,
                   "\nrun      %.3f ms (median of %d turns; best %.3f), %.3f GFLOP: %.1f GFLOP/s, "
                   "%.1f %% of the peak\n",
                   bench->run_median * 1e3, bench->turns, bench->run_best * 1e3,
                   flops(bench, bench->multiply_adds) * 1e-9, work * 1e-9,
                   100 * work / machine->peak);
}

static void member(struct nn_text *text, const char *key, double value)
{
    nn_text_printf(text, ",\"%s\":", key);
    app_json_number(text, value);
}

static void print_json_step(struct nn_text *text, const struct bench *bench, int index)
{
    struct nn_step_info step = nn_plan_step(bench->plan, index);
    double seconds = bench->step_median[index],
           work = per_second(flops(bench, step.multiply_adds), seconds);
    nn_text_printf(text, "%s{\"name\":", index ? "," : "");
    nn_text_json_string(text, step.name);
    nn_text_printf(text, ",\"op\":\"%s\",\"fused\":\"%s\",\"shape\":[", step.op, step.fused);
    for (int i = 1; i < step.shape.rank; i++)
        nn_text_printf(text, "%s%d", i > 1 ? "," : "", step.shape.dim[i]);
    nn_text_printf(text, "]");
    member(text, "multiply_adds", step.multiply_adds);
    member(text, "bytes", (double)step.bytes);
    member(text, "microseconds", seconds * 1e6);
    member(text, "gflops", work * 1e-9);
    member(text, "share_of_peak", work / bench->machine.peak);
    member(text, "share_of_time", per_second(seconds, bench->steps_sum));
    nn_text_printf(text, "}");
}

void bench_print_json(struct nn_text *text, const struct bench *bench)
{
    double work = per_second(flops(bench, bench->multiply_adds), bench->run_median);
    nn_text_printf(text, "{\"model\":");
    nn_text_json_string(text, bench->settings->model ? bench->settings->model : "livenessnet");
    nn_text_printf(text, ",\"source\":\"%s\",\"cpu\":\"%s\",\"threads\":%d,\"batch\":%d",
                   bench->network.source, nn_cpu(bench->app->context),
                   nn_threads(bench->app->context), bench->settings->batch);
    member(text, "peak_gflops", bench->machine.peak * 1e-9);
    member(text, "near_gbytes", bench->machine.near * 1e-9);
    member(text, "memory_gbytes", bench->machine.far * 1e-9);
    nn_text_printf(text, ",\"steps\":[");
    for (int s = 0; s < bench->steps; s++) print_json_step(text, bench, s);
    nn_text_printf(text, "],\"turns\":%d", bench->turns);
    member(text, "milliseconds", bench->run_median * 1e3);
    member(text, "milliseconds_best", bench->run_best * 1e3);
    member(text, "multiply_adds", bench->multiply_adds);
    member(text, "gflops", work * 1e-9);
    member(text, "share_of_peak", work / bench->machine.peak);
    nn_text_printf(text, "}\n");
}
