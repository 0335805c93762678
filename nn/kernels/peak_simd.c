/*
 * peak_simd.c — multiply-adds at the rate the hardware can take them.
 *
 * A vector waits for its own last round, so latency x ports of them must be under way to keep the
 * units busy: 8 on current x86, 16 on the widest ARM cores. All stay in registers, beside a and b.
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

enum { CHAINS = VF_REGISTERS >= 32 ? 24 : 12, BLOCK = CHAINS * VF_WIDTH };

#define UNROLL _Pragma("GCC unroll 24")

static void fma_chains(float *x, vf a, vf b, size_t rounds)
{
    vf sum[CHAINS];
    UNROLL
    for (int i = 0; i < CHAINS; i++) sum[i] = vf_load(x + i * VF_WIDTH);
    for (size_t r = 0; r < rounds; r++) {
        UNROLL
        for (int i = 0; i < CHAINS; i++) sum[i] = vf_fma(sum[i], a, b);
    }
    UNROLL
    for (int i = 0; i < CHAINS; i++) vf_store(x + i * VF_WIDTH, sum[i]);
}

static void fma_peak(float *x, float a, float b, size_t count, size_t rounds)
{
    vf factor = vf_set1(a), term = vf_set1(b);
    size_t i = 0;
    for (; i + BLOCK <= count; i += BLOCK) fma_chains(x + i, factor, term, rounds);
    for (; i < count; i += VF_WIDTH) {
        int lanes = count - i < VF_WIDTH ? (int)(count - i) : VF_WIDTH;
        vf sum = vf_load_partial(x + i, lanes);
        for (size_t r = 0; r < rounds; r++) sum = vf_fma(sum, factor, term);
        vf_store_partial(x + i, sum, lanes);
    }
}

void NN_LEVEL_NAME(nn_peak)(struct nn_kernels *table)
{
    table->fma_peak = fma_peak;
}
