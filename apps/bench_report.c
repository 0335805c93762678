/* bench_report.c — what was measured, as tables. */
#include "apps/bench.h"

#include <string.h>

static const char *const PLACE[BENCH_PLACES] = {"L1", "L2", "mem"};

/* 0 where a clock was too coarse to see anything. */
static double per_second(double amount, double seconds)
{
    return seconds > 0 ? amount / seconds : 0;
}

struct bench_figure bench_figure(const struct bench *bench, double flops, double bytes,
                                 double seconds, int level, int threads)
{
    const struct bench_machine *machine = &bench->machine[level];
    int all = threads > 1 ? BENCH_ALL : BENCH_ONE;
    if (flops > 0) {
        double rate = per_second(flops, seconds);
        return (struct bench_figure){rate, per_second(rate, machine->peak[all]), "FMA"};
    }
    int place = BENCH_L1;
    while (place < BENCH_MEMORY && bytes / threads > (double)bench->cpu.cache[place]) place++;
    double rate = per_second(bytes, seconds);
    return (struct bench_figure){rate, per_second(rate, machine->bandwidth[place][all]),
                                 PLACE[place]};
}

char *bench_size_text(char text[64], struct nn_shape shape)
{
    int size = 0;
    text[0] = '\0';
    for (int i = 1; i < shape.rank; i++)
        size += snprintf(text + size, 64 - (size_t)size, "%s%d", i > 1 ? "x" : "", shape.dim[i]);
    return text;
}

static struct bench_figure pass_figure(const struct bench *bench, const struct bench_pass *pass,
                                       int level)
{
    return bench_figure(bench, pass->flops, pass->bytes, pass->seconds[level], level,
                        bench->threads);
}

static bool is_there(const struct bench_pass *pass)
{
    return pass->flops > 0 || pass->bytes > 0;
}

/* ---- widths ---------------------------------------------------------------------------------- */

struct widths {
    int name, what, size;
};

static void widen(int *width, const char *text, int most)
{
    int size = (int)strlen(text);
    if (size > most) size = most;
    if (size > *width) *width = size;
}

/* "conv2d affine relu" */
static const char *what_text(char text[64], const struct bench_row *row)
{
    snprintf(text, 64, "%s%s%s", row->op, *row->fused ? " " : "", row->fused);
    return text;
}

static struct widths measure_widths(const struct bench_network *network)
{
    struct widths widths = {8, 4, 6};
    char text[NN_QUOTED];
    for (int i = 0; i < network->count; i++) {
        const struct bench_row *row = &network->rows[i];
        widen(&widths.name, app_plain(text, row->name), 40);
        widen(&widths.what, what_text(text, row), 36);
        widen(&widths.size, bench_size_text(text, row->shape), 16);
    }
    return widths;
}

/* ---- the machine ----------------------------------------------------------------------------- */

static void print_limits(struct nn_text *text, const struct bench *bench, int all)
{
    static const char *const names[] = {"first-level cache, GB/s", "second-level cache, GB/s",
                                        "memory, GB/s"};
    char threads[32];
    snprintf(threads, sizeof threads, all ? "%d threads" : "%d thread", all ? bench->threads : 1);
    nn_text_printf(text, "%-26s %-11s", "multiply-adds, GFLOP/s", threads);
    for (int l = 0; l < bench->levels; l++)
        nn_text_printf(text, " %9.1f", bench->machine[l].peak[all] * 1e-9);
    for (int p = 0; p < BENCH_PLACES; p++) {
        nn_text_printf(text, "\n%-26s %-11s", names[p], threads);
        for (int l = 0; l < bench->levels; l++)
            nn_text_printf(text, " %9.1f", bench->machine[l].bandwidth[p][all] * 1e-9);
    }
    nn_text_printf(text, "\n");
}

static void print_machine(struct nn_text *text, const struct bench *bench)
{
    const struct bench_cpu *cpu = &bench->cpu;
    const char *names[8];
    int count = nn_levels(names);
    nn_text_printf(text, "machine  %s, %d core%s, caches of %zu and %zu kB each\nlevels   ",
                   *cpu->name ? cpu->name : "CPU without a name", cpu->cores,
                   cpu->cores == 1 ? "" : "s", cpu->cache[BENCH_L1] >> 10,
                   cpu->cache[BENCH_L2] >> 10);
    for (int i = 0; i < count; i++) nn_text_printf(text, "%s%s", i ? ", " : "", names[i]);
    nn_text_printf(text, "; measured: ");
    for (int i = 0; i < bench->levels; i++)
        nn_text_printf(text, "%s%s", i ? ", " : "", bench->level[i]);
    nn_text_printf(text, "; %d thread%s\n\n%-38s", bench->threads, bench->threads == 1 ? "" : "s",
                   "at most");
    for (int i = 0; i < bench->levels; i++) nn_text_printf(text, " %9s", bench->level[i]);
    nn_text_printf(text, "\n");
    print_limits(text, bench, BENCH_ONE);
    if (bench->threads > 1) print_limits(text, bench, BENCH_ALL);
}

/* ---- one level: inference ----------------------------------------------------------------------
 */

static void print_forward_row(struct nn_text *text, const struct bench *bench,
                              const struct bench_network *network, const struct widths *widths,
                              const struct bench_row *row)
{
    const struct bench_pass *pass = &row->pass[BENCH_FORWARD];
    struct bench_figure figure = pass_figure(bench, pass, 0);
    char name[NN_QUOTED], what[64], size[64];
    nn_text_printf(text, "%-*s %-*s %-*s %8.1f", widths->name, app_plain(name, row->name),
                   widths->what, what_text(what, row), widths->size,
                   bench_size_text(size, row->shape), pass->seconds[0] * 1e6);
    if (is_there(pass))
        nn_text_printf(text, " %8.1f %6.1f %-3s", figure.rate * 1e-9, 100 * figure.share,
                       figure.bound);
    else
        nn_text_printf(text, " %8s %6s %-3s", "", "", "");
    nn_text_printf(text, " %6.1f\n", 100 * per_second(pass->seconds[0], network->result[0].sum));
}

static void print_forward(struct nn_text *text, const struct bench *bench,
                          const struct bench_network *network)
{
    struct widths widths = measure_widths(network);
    nn_text_printf(text, "%-*s %-*s %-*s %8s %8s %6s %-3s %6s\n", widths.name, "step", widths.what,
                   "what", widths.size, "output", "us", "G/s", "%", "of", "% time");
    for (int i = 0; i < network->count; i++)
        print_forward_row(text, bench, network, &widths, &network->rows[i]);
}

/* ---- one level: training -----------------------------------------------------------------------
 */

static void print_pass(struct nn_text *text, const struct bench *bench,
                       const struct bench_pass *pass)
{
    struct bench_figure figure = pass_figure(bench, pass, 0);
    if (is_there(pass))
        nn_text_printf(text, " %7.1f %6.1f %4.0f", pass->seconds[0] * 1e6, figure.rate * 1e-9,
                       100 * figure.share);
    else
        nn_text_printf(text, " %7s %6s %4s", "", "", "");
}

/* Where the largest of a row's passes lives. */
static const char *row_bound(const struct bench *bench, const struct bench_row *row)
{
    const struct bench_pass *largest = &row->pass[0];
    for (int p = 1; p < BENCH_PASSES; p++)
        if (row->pass[p].bytes > largest->bytes) largest = &row->pass[p];
    return is_there(largest) ? pass_figure(bench, largest, 0).bound : "";
}

static void print_training_sums(struct nn_text *text, const struct bench *bench,
                                const struct bench_network *network, const struct widths *widths)
{
    nn_text_printf(text, "%-*s %-*s", widths->name, "all", widths->size, "");
    for (int p = 0; p < BENCH_PASSES; p++) {
        struct bench_pass sum = {0};
        for (int i = 0; i < network->count; i++) {
            sum.flops += network->rows[i].pass[p].flops;
            sum.seconds[0] += network->rows[i].pass[p].seconds[0];
        }
        print_pass(text, bench, &sum);
    }
    nn_text_printf(text, " FMA %5.1f\n", 100.0);
}

static void print_training(struct nn_text *text, const struct bench *bench,
                           const struct bench_network *network)
{
    struct widths widths = measure_widths(network);
    char name[NN_QUOTED], size[64];
    nn_text_printf(text, "%-*s %20s %20s %20s\n", widths.name + 1 + widths.size, "", "forward    ",
                   "bwd-data    ", "bwd-weights    ");
    nn_text_printf(text, "%-*s %-*s", widths.name, "step", widths.size, "output");
    for (int p = 0; p < BENCH_PASSES; p++) nn_text_printf(text, " %7s %6s %4s", "us", "G/s", "%");
    nn_text_printf(text, " %-3s %5s\n", "of", "% t");
    for (int i = 0; i < network->count; i++) {
        const struct bench_row *row = &network->rows[i];
        double seconds = 0;
        if (!is_there(&row->pass[0]) && !is_there(&row->pass[1]) && !is_there(&row->pass[2]))
            continue; /* nothing moves */
        nn_text_printf(text, "%-*s %-*s", widths.name, app_plain(name, row->name), widths.size,
                       bench_size_text(size, row->shape));
        for (int p = 0; p < BENCH_PASSES; p++) {
            print_pass(text, bench, &row->pass[p]);
            seconds += row->pass[p].seconds[0];
        }
        nn_text_printf(text, " %-3s %5.1f\n", row_bound(bench, row),
                       100 * per_second(seconds, network->result[0].sum));
    }
    print_training_sums(text, bench, network, &widths);
}

/* ---- levels beside each other ------------------------------------------------------------------
 */

static void print_level_heads(struct nn_text *text, const struct bench *bench, int width)
{
    for (int l = 0; l < bench->levels; l++)
        nn_text_printf(text, " %*s %4s", width, bench->level[l], "%");
    nn_text_printf(text, "\n");
}

static void print_levels_row(struct nn_text *text, const struct bench *bench,
                             const struct bench_pass *pass)
{
    for (int l = 0; l < bench->levels; l++) {
        struct bench_figure figure = pass_figure(bench, pass, l);
        nn_text_printf(text, " %9.1f", pass->seconds[l] * 1e6);
        if (is_there(pass))
            nn_text_printf(text, " %4.0f", 100 * figure.share);
        else
            nn_text_printf(text, " %4s", "");
    }
    nn_text_printf(text, "\n");
}

static void print_levels(struct nn_text *text, const struct bench *bench,
                         const struct bench_network *network)
{
    static const char *const directions[] = {"forward", "data", "weights"};
    struct widths widths = measure_widths(network);
    char name[NN_QUOTED], size[64];
    int direction = network->training ? 8 : 0;
    nn_text_printf(text, "%-*s %-*s%-*s", widths.name, "step, us", widths.size, "output", direction,
                   network->training ? " of" : "");
    print_level_heads(text, bench, 9);
    for (int i = 0; i < network->count; i++) {
        const struct bench_row *row = &network->rows[i];
        for (int p = 0; p < (network->training ? BENCH_PASSES : 1); p++) {
            if (network->training && !is_there(&row->pass[p])) continue;
            nn_text_printf(text, "%-*s %-*s", widths.name, app_plain(name, row->name), widths.size,
                           bench_size_text(size, row->shape));
            if (network->training) nn_text_printf(text, " %-7s", directions[p]);
            print_levels_row(text, bench, &row->pass[p]);
        }
    }
}

/* ---- kernels -----------------------------------------------------------------------------------
 */

static void print_kernels(struct nn_text *text, const struct bench *bench)
{
    bool single = bench->levels == 1;
    nn_text_printf(text,
                   "\n\nkernels  on one thread, G/s\n\n"
                   "%-19s %-27s%s %-3s",
                   "kernel", "at", single ? "        us" : "", "of");
    print_level_heads(text, bench, 6);
    for (int i = 0; i < nn_kernel_cases(); i++) {
        struct nn_kernel_info info = nn_kernel_case(i);
        const double *seconds = &bench->kernel[i * BENCH_LEVELS];
        double bytes = (double)info.bytes;
        nn_text_printf(text, "%-19s %-27s", info.name, info.shape);
        if (single) nn_text_printf(text, " %9.2f", seconds[0] * 1e6);
        nn_text_printf(text, " %-3s",
                       bench_figure(bench, info.flops, bytes, seconds[0], 0, 1).bound);
        for (int l = 0; l < bench->levels; l++) {
            struct bench_figure figure = bench_figure(bench, info.flops, bytes, seconds[l], l, 1);
            nn_text_printf(text, " %6.1f %4.0f", figure.rate * 1e-9, 100 * figure.share);
        }
        nn_text_printf(text, "\n");
    }
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static void print_total(struct nn_text *text, const struct bench *bench,
                        const struct bench_network *network, int level)
{
    const struct bench_result *result = &network->result[level];
    double work = per_second(network->flops, result->median);
    nn_text_printf(text,
                   "%-8s %.3f ms (median of %d turns; best %.3f), %.3f GFLOP: %.1f GFLOP/s, "
                   "%.1f %% of peak\n",
                   bench->levels > 1 ? bench->level[level] : "run", result->median * 1e3,
                   result->turns, result->best * 1e3, network->flops * 1e-9, work * 1e-9,
                   100 * per_second(work, bench->machine[level].peak[BENCH_ALL]));
}

static void print_network(struct nn_text *text, const struct bench *bench,
                          const struct bench_network *network)
{
    char name[NN_QUOTED];
    nn_text_printf(text, "\n\nnetwork  %s, %d picture%s per run%s%s\n\n",
                   app_plain(name, network->title), network->batch, network->batch == 1 ? "" : "s",
                   network->random ? ", random weights" : "",
                   bench->settings->precision && !network->training ? ", bfloat16 products" : "");
    if (bench->levels > 1)
        print_levels(text, bench, network);
    else if (network->training)
        print_training(text, bench, network);
    else
        print_forward(text, bench, network);
    nn_text_printf(text, "\n");
    for (int l = 0; l < bench->levels; l++) print_total(text, bench, network, l);
}

void bench_print_tables(struct nn_text *text, const struct bench *bench)
{
    print_machine(text, bench);
    for (int i = 0; i < bench->networks; i++) print_network(text, bench, &bench->network[i]);
    if (bench->kernel) print_kernels(text, bench);
    nn_text_printf(text, "\nG/s: GFLOP/s where %% is of FMA, the peak; GB/s where it is of a cache "
                         "(L1, L2) or memory.\n");
}
