/*
 * peak.c — nothing but multiply-adds, by definition: what a kernel's speed is a share of.
 *
 * Each number waits for its own last round only: with many side by side, no unit of the CPU waits.
 * Compilers make vectors of them where they can, as they do in the other scalar kernels.
 */
#include "nn/kernels/kernels.h"

enum { CHAINS = 32 };

#define UNROLL _Pragma("GCC unroll 32")

static void fma_chains(float *x, float a, float b, size_t rounds)
{
    float sum[CHAINS];
    for (int i = 0; i < CHAINS; i++) sum[i] = x[i];
    for (size_t r = 0; r < rounds; r++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * a + b;
    }
    for (int i = 0; i < CHAINS; i++) x[i] = sum[i];
}

static void fma_peak(float *x, float a, float b, size_t count, size_t rounds)
{
    size_t i = 0;
    for (; i + CHAINS <= count; i += CHAINS) fma_chains(x + i, a, b, rounds);
    for (; i < count; i++)
        for (size_t r = 0; r < rounds; r++) x[i] = x[i] * a + b;
}

void nn_peak_scalar(struct nn_kernels *table)
{
    table->fma_peak = fma_peak;
}
