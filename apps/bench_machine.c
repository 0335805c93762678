/*
 * bench_machine.c — which CPU this is, and what it can do at most: multiply-adds in registers,
 * bytes per second out of each cache and out of memory. Shares are shares of these. And kernels by
 * themselves.
 */
#include "apps/bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Caches where the system does not tell: what most have at least. Memory: more than a last-level
 * cache mostly is. */
enum { USUAL_L1 = 32 << 10, USUAL_L2 = 512 << 10, FAR_BYTES = 128 << 20 };
static const double KERNELS_SHARE = 0.5; /* of --seconds, for all kernels together */

/* ---- the CPU --------------------------------------------------------------------------------- */

/* "model name : Intel(R) ..." on x86; ARM's kernels do not say. */
static void read_name(char name[128])
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    name[0] = '\0';
    while (file && !name[0] && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(name, 128, "%.*s", (int)strcspn(colon, "\n"), colon);
    }
    if (file) fclose(file);
    for (char *at = name; *at; at++) /* it goes to terminals */
        if (*at < ' ' || *at > '~') *at = '?';
}

static size_t cache_bytes(int which, size_t usual)
{
    long bytes = 0;
#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
    bytes = sysconf(which == BENCH_L1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
#else
    (void)which;
#endif
    return bytes > 4096 ? (size_t)bytes : usual;
}

void bench_look_at_cpu(struct bench_cpu *cpu)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    read_name(cpu->name);
    cpu->cores = cores > 0 ? (int)cores : 1;
    cpu->cache[BENCH_L1] = cache_bytes(BENCH_L1, USUAL_L1);
    cpu->cache[BENCH_L2] = cache_bytes(BENCH_L2, USUAL_L2);
}

/* ---- what it can do at most ------------------------------------------------------------------ */

/* A figure of 0 says that there was no memory to measure it. */
static bool keep(double *best, double value)
{
    if (value > *best) *best = value;
    return value > 0;
}

enum nn_status bench_measure_peak(struct bench *bench, struct nn_context *context, int level)
{
    double *peak = bench->machine[level].peak;
    if (!keep(&peak[BENCH_ALL], nn_measure_peak(context, 0))) return NN_ERROR_MEMORY;
    if (nn_threads(context) == 1)
        peak[BENCH_ONE] = peak[BENCH_ALL];
    else if (!keep(&peak[BENCH_ONE], nn_measure_peak(context, 1)))
        return NN_ERROR_MEMORY;
    keep(&peak[BENCH_ALL], peak[BENCH_ONE]); /* where others keep the cores busy */
    return NN_OK;
}

enum nn_status bench_measure_machine(struct bench *bench, struct nn_context *context, int level)
{
    struct bench_machine *machine = &bench->machine[level];
    /* Half of a cache: the other half is for all else that is in it. */
    const size_t place[BENCH_PLACES] = {bench->cpu.cache[BENCH_L1] / 2,
                                        bench->cpu.cache[BENCH_L2] / 2, 0};
    for (int i = 0; i < 2; i++) {
        int threads = i == BENCH_ONE ? 1 : nn_threads(context);
        for (int p = 0; p < BENCH_PLACES; p++) {
            size_t bytes = p == BENCH_MEMORY ? (size_t)FAR_BYTES : place[p] * (size_t)threads;
            if (i == BENCH_ALL && threads == 1)
                machine->bandwidth[p][i] = machine->bandwidth[p][BENCH_ONE];
            else if (!keep(&machine->bandwidth[p][i],
                           nn_measure_bandwidth(context, threads, bytes)))
                return NN_ERROR_MEMORY;
        }
    }
    return bench_measure_peak(bench, context, level);
}

enum nn_status bench_measure_kernels(struct bench *bench, struct nn_context *context, int level)
{
    int count = nn_kernel_cases();
    double seconds = KERNELS_SHARE * bench->settings->seconds / count;
    if (!bench->kernel)
        bench->kernel =
            nn_alloc(bench->app->context, (size_t)count * BENCH_LEVELS, sizeof *bench->kernel);
    if (!bench->kernel) return NN_ERROR_MEMORY;
    for (int i = 0; i < count; i++) {
        double *call = &bench->kernel[i * BENCH_LEVELS + level];
        *call = nn_measure_kernel(context, i, seconds);
        if (!(*call > 0)) return NN_ERROR_MEMORY;
    }
    return NN_OK;
}
