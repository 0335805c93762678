/*
 * cpu.c — which instruction sets this CPU and its operating system can run, and the table of
 * kernels for a level.
 *
 * A level is a fixed set of features, so that "avx2" means the same code everywhere. NN_CPU, or
 * nn_options.cpu, lowers the level and never raises it.
 */
#define _DEFAULT_SOURCE /* syscall */

#include "nn/internal.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef void fill_function(struct nn_kernels *table);

enum { FAMILIES = 9 };

static bool always(void)
{
    return true;
}

/* The compiler's built-in looks at CPUID and at XGETBV: what the OS does not save across a
 * context switch does not count. */
#if defined(__x86_64__)
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
/* Not all compilers that know these instructions know their names here. */
static bool has_avx512bf16(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

/* Does the OS save tiles, and may this process use them? They are 8 kB of every thread's state, so
 * Linux wants to be asked; the answer is for the whole process, and asking again does no harm. */
static bool may_use_tiles(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18, TILE_STATE = 3u << 17 };
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return (low & TILE_STATE) == TILE_STATE &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

static bool has_amx(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx512bf16() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) &&
           (d >> 24 & 1) && may_use_tiles();
}
#endif

#define FAMILIES_OF(name)                                                                          \
    nn_conv_##name, nn_elementwise_##name, nn_channel_##name, nn_window_##name, nn_dropout_##name, \
        nn_optimizer_##name, nn_peak_##name, nn_winograd_##name

static const struct level {
    const char *name;
    bool (*present)(void);
    fill_function *fill[FAMILIES]; /* up to the first NULL */
} LEVELS[] = {
    {"scalar", always, {FAMILIES_OF(scalar), nn_bf16_scalar}},
#if defined(__x86_64__)
    {"sse", always, {FAMILIES_OF(sse)}}, /* SSE2 belongs to x86-64 itself */
    {"avx2", has_avx2, {FAMILIES_OF(avx2)}},
    {"avx512", has_avx512, {FAMILIES_OF(avx512)}},
    {"avx512bf16", has_avx512bf16, {nn_bf16_avx512bf16}},
    {"amx", has_amx, {nn_bf16_amx}},
#elif defined(__aarch64__)
    {"neon", always, {FAMILIES_OF(neon)}},
#endif
};
enum { LEVEL_COUNT = sizeof LEVELS / sizeof *LEVELS };

int nn_levels(const char *names[8])
{
    int count = 0;
    for (int i = 0; i < LEVEL_COUNT; i++)
        if (LEVELS[i].present()) names[count++] = LEVELS[i].name;
    return count;
}

bool nn_kernels_fill(struct nn_kernels *table, const char *level)
{
    /* Scalar first; each level up to the wanted one overrides what it improves. */
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (!LEVELS[i].present()) return false;
        for (int family = 0; family < FAMILIES && LEVELS[i].fill[family]; family++)
            LEVELS[i].fill[family](table);
        if (strcmp(LEVELS[i].name, level) == 0) return true;
    }
    return false;
}

/* AMD's multiply pairs of bfloat16 at the rate of single floats; Intel's that have AVX512-BF16 do
 * one such instruction where they do four multiply-adds (measured on Sapphire Rapids), and have
 * tiles for the purpose. */
enum nn_bf16_gain nn_bf16_gain(const char *level)
{
    if (strcmp(level, "amx") == 0) return NN_BF16_FASTEST;
#if defined(__x86_64__)
    if (strcmp(level, "avx512bf16") == 0 && __builtin_cpu_is("amd")) return NN_BF16_FASTER;
#endif
    return NN_BF16_SLOWER;
}

enum nn_status nn_kernels_choose(struct nn_context *context, const char *wanted)
{
    const char *names[8];
    int count = nn_levels(names);
    context->cpu = names[count - 1];
    for (int i = 0; wanted && i <= count; i++) {
        if (i < count && strcmp(names[i], wanted) == 0) {
            context->cpu = names[i];
            break;
        }
        if (i == count) {
            char list[128] = "";
            for (int j = 0; j < count; j++)
                snprintf(list + strlen(list), sizeof list - strlen(list), " %s", names[j]);
            return nn_fail(context, NN_ERROR_ARGUMENT,
                           "CPU level '%.40s' is not one this machine has; it has:%s", wanted,
                           list);
        }
    }
    nn_kernels_fill(&context->kernels, context->cpu);
    return NN_OK;
}
