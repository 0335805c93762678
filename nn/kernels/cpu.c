/*
 * cpu.c — which instruction sets this CPU and its operating system can run, and the table of
 * kernels for a level.
 *
 * A level is a fixed set of features, so that "avx2" means the same code everywhere. NN_CPU, or
 * nn_options.cpu, lowers the level and never raises it.
 */
#include "nn/internal.h"

#include <stdio.h>
#include <string.h>

typedef void fill_function(struct nn_kernels *table);

enum { FAMILIES = 8 };

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
#endif

#define LEVEL(name, test)                                                                          \
    {                                                                                              \
#name, test,                                                                               \
        {                                                                                          \
            nn_conv_##name, nn_elementwise_##name, nn_channel_##name, nn_window_##name,            \
                nn_dropout_##name, nn_optimizer_##name, nn_peak_##name, nn_winograd_##name         \
        }                                                                                          \
    }

static const struct level {
    const char *name;
    bool (*present)(void);
    fill_function *fill[FAMILIES];
} LEVELS[] = {
    LEVEL(scalar, always),
#if defined(__x86_64__)
    LEVEL(sse, always), /* SSE2 belongs to x86-64 itself */
    LEVEL(avx2, has_avx2),
    LEVEL(avx512, has_avx512),
#elif defined(__aarch64__)
    LEVEL(neon, always),
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
        for (int family = 0; family < FAMILIES; family++) LEVELS[i].fill[family](table);
        if (strcmp(LEVELS[i].name, level) == 0) return true;
    }
    return false;
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
