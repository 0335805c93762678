/* bench_json.c — what was measured, for programs. */
#include "apps/bench.h"

#include <string.h>

static double per_second(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

static void member(struct nn_text *text, const char *key, double value)
{
    nn_text_printf(text, ",\"%s\":", key);
    app_json_number(text, value);
}

static void text_member(struct nn_text *text, const char *key, const char *value)
{
    nn_text_printf(text, ",\"%s\":", key);
    nn_text_json_string(text, value);
}

/* ---- machine --------------------------------------------------------------------------------- */

static void print_limits(struct nn_text *text, const struct bench *bench, int level, int all)
{
    static const char *const names[] = {"l1_gbytes", "l2_gbytes", "memory_gbytes"};
    const struct bench_machine *machine = &bench->machine[level];
    nn_text_printf(text, "{\"threads\":%d", all ? bench->threads : 1);
    member(text, "peak_gflops", machine->peak[all] * 1e-9);
    for (int p = 0; p < BENCH_PLACES; p++)
        member(text, names[p], machine->bandwidth[p][all] * 1e-9);
    nn_text_printf(text, "}");
}

static void print_machine(struct nn_text *text, const struct bench *bench)
{
    const char *names[8];
    int count = nn_levels(names);
    nn_text_printf(text, "\"machine\":{\"name\":");
    nn_text_json_string(text, bench->cpu.name);
    nn_text_printf(text, ",\"cores\":%d,\"l1_bytes\":%zu,\"l2_bytes\":%zu,\"levels\":[",
                   bench->cpu.cores, bench->cpu.cache[BENCH_L1], bench->cpu.cache[BENCH_L2]);
    for (int i = 0; i < count; i++) nn_text_printf(text, "%s\"%s\"", i ? "," : "", names[i]);
    nn_text_printf(text, "],\"limits\":[");
    for (int l = 0; l < bench->levels; l++) {
        nn_text_printf(text, "%s{\"level\":\"%s\",\"one\":", l ? "," : "", bench->level[l]);
        print_limits(text, bench, l, BENCH_ONE);
        nn_text_printf(text, ",\"all\":");
        print_limits(text, bench, l, BENCH_ALL);
        nn_text_printf(text, "}");
    }
    nn_text_printf(text, "]}");
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void print_figure(struct nn_text *text, const struct bench *bench, double flops,
                         double bytes, double seconds, int level, int threads)
{
    struct bench_figure figure = bench_figure(bench, flops, bytes, seconds, level, threads);
    nn_text_printf(text, "\"microseconds\":");
    app_json_number(text, seconds * 1e6);
    member(text, "gflops", per_second(flops, seconds) * 1e-9);
    member(text, "gbytes", per_second(bytes, seconds) * 1e-9);
    if (!(flops > 0 || bytes > 0)) return;
    text_member(text, "bound", figure.bound);
    member(text, "share_of_bound", figure.share);
}

static void print_pass(struct nn_text *text, const struct bench *bench,
                       const struct bench_pass *pass, int level)
{
    nn_text_printf(text, "{\"flops\":");
    app_json_number(text, pass->flops);
    member(text, "bytes", pass->bytes);
    nn_text_printf(text, ",");
    print_figure(text, bench, pass->flops, pass->bytes, pass->seconds[level], level,
                 bench->threads);
    nn_text_printf(text, "}");
}

/* The figures of all directions together, and, of a training step, of each. */
static void print_step(struct nn_text *text, const struct bench *bench,
                       const struct bench_network *network, int index, int level)
{
    static const char *const names[] = {"forward", "bwd_data", "bwd_weights"};
    const struct bench_row *row = &network->rows[index];
    double seconds = 0, flops = 0, bytes = 0;
    for (int p = 0; p < BENCH_PASSES; p++) {
        seconds += row->pass[p].seconds[level];
        flops += row->pass[p].flops;
        bytes += row->pass[p].bytes;
    }
    nn_text_printf(text, "%s{\"name\":", index ? "," : "");
    nn_text_json_string(text, row->name);
    nn_text_printf(text, ",\"op\":\"%s\",\"fused\":\"%s\",\"shape\":[", row->op, row->fused);
    for (int i = 1; i < row->shape.rank; i++)
        nn_text_printf(text, "%s%d", i > 1 ? "," : "", row->shape.dim[i]);
    nn_text_printf(text, "]");
    member(text, "multiply_adds", row->multiply_adds);
    member(text, "bytes", bytes);
    nn_text_printf(text, ",");
    print_figure(text, bench, flops, bytes, seconds, level, bench->threads);
    member(text, "share_of_peak",
           per_second(per_second(flops, seconds), bench->machine[level].peak[BENCH_ALL]));
    member(text, "share_of_time", per_second(seconds, network->result[level].sum));
    for (int p = 0; p < BENCH_PASSES && network->training; p++) {
        if (!(row->pass[p].flops > 0 || row->pass[p].bytes > 0)) continue;
        nn_text_printf(text, ",\"%s\":", names[p]);
        print_pass(text, bench, &row->pass[p], level);
    }
    nn_text_printf(text, "}");
}

/* ---- networks -------------------------------------------------------------------------------- */

/* One network at one level; members, without the braces around. */
static void print_result(struct nn_text *text, const struct bench *bench,
                         const struct bench_network *network, int level)
{
    const struct bench_machine *machine = &bench->machine[level];
    const struct bench_result *result = &network->result[level];
    double work = per_second(network->flops, result->median), multiply_adds = 0;
    for (int i = 0; i < network->count; i++) multiply_adds += network->rows[i].multiply_adds;
    nn_text_printf(text, "\"model\":");
    nn_text_json_string(text, network->name);
    nn_text_printf(text,
                   ",\"source\":\"%s\",\"training\":%s,\"random_weights\":%s,\"cpu\":\"%s\","
                   "\"precision\":\"%s\",\"threads\":%d,\"batch\":%d",
                   network->source, network->training ? "true" : "false",
                   network->random ? "true" : "false", bench->level[level],
                   bench->settings->precision && !network->training ? "bf16" : "fp32",
                   bench->threads, network->batch);
    member(text, "peak_gflops", machine->peak[BENCH_ALL] * 1e-9);
    member(text, "near_gbytes", machine->bandwidth[BENCH_L2][BENCH_ALL] * 1e-9);
    member(text, "memory_gbytes", machine->bandwidth[BENCH_MEMORY][BENCH_ALL] * 1e-9);
    nn_text_printf(text, ",\"steps\":[");
    for (int i = 0; i < network->count; i++) print_step(text, bench, network, i, level);
    nn_text_printf(text, "],\"turns\":%d", result->turns);
    member(text, "milliseconds", result->median * 1e3);
    member(text, "milliseconds_best", result->best * 1e3);
    member(text, "multiply_adds", multiply_adds);
    member(text, "flops", network->flops);
    member(text, "gflops", work * 1e-9);
    member(text, "share_of_peak", per_second(work, machine->peak[BENCH_ALL]));
}

static void print_kernels(struct nn_text *text, const struct bench *bench)
{
    int count = bench->kernel ? nn_kernel_cases() : 0;
    nn_text_printf(text, ",\"kernels\":[");
    for (int i = 0; i < count; i++) {
        struct nn_kernel_info info = nn_kernel_case(i);
        nn_text_printf(text, "%s{\"name\":\"%s\",\"shape\":\"%s\"", i ? "," : "", info.name,
                       info.shape);
        member(text, "flops", info.flops);
        member(text, "bytes", (double)info.bytes);
        nn_text_printf(text, ",\"results\":[");
        for (int l = 0; l < bench->levels; l++) {
            nn_text_printf(text, "%s{\"level\":\"%s\",", l ? "," : "", bench->level[l]);
            print_figure(text, bench, info.flops, (double)info.bytes,
                         bench->kernel[i * BENCH_LEVELS + l], l, 1);
            nn_text_printf(text, "}");
        }
        nn_text_printf(text, "]}");
    }
    nn_text_printf(text, "]");
}

/* Everything is in the lists. What most ask for lies open: the network that was asked for, or
 * LivenessNet's forward run, at the best level. */
void bench_print_json(struct nn_text *text, const struct bench *bench)
{
    int open = 0;
    while (open + 1 < bench->networks && bench->network[open].training) open++;
    nn_text_printf(text, "{");
    print_result(text, bench, &bench->network[open], bench->levels - 1);
    nn_text_printf(text, ",");
    print_machine(text, bench);
    nn_text_printf(text, ",\"networks\":[");
    for (int i = 0; i < bench->networks * bench->levels; i++) {
        nn_text_printf(text, "%s{", i ? "," : "");
        print_result(text, bench, &bench->network[i / bench->levels], i % bench->levels);
        nn_text_printf(text, "}");
    }
    nn_text_printf(text, "]");
    print_kernels(text, bench);
    nn_text_printf(text, "}\n");
}
