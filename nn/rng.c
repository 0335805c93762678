/*
 * rng.c — random numbers as a function of (key, counter), not of history.
 *
 * Whoever knows the seed, the stream and the position knows the number: nothing to lock between
 * threads, nothing but three integers to save in a checkpoint.
 *
 * Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011. Each round multiplies two of the four words by odd constants, and xors the high halves
 * with the others and a key that is bumped by the golden ratio and by sqrt(3) - 1.
 */
#include "nn/nn.h"

#include <math.h>

enum { ROUNDS = 10 };
static const uint32_t MULTIPLIER_0 = 0xD2511F53u, MULTIPLIER_1 = 0xCD9E8D57u;
static const uint32_t BUMP_0 = 0x9E3779B9u, BUMP_1 = 0xBB67AE85u;

void nn_philox(uint32_t bits[4], uint64_t key, uint64_t counter_low, uint64_t counter_high)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t product0 = (uint64_t)MULTIPLIER_0 * c0, product1 = (uint64_t)MULTIPLIER_1 * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += BUMP_0;
        k1 += BUMP_1;
    }
    bits[0] = c0;
    bits[1] = c1;
    bits[2] = c2;
    bits[3] = c3;
}

struct nn_rng nn_rng_make(uint64_t seed, uint64_t stream)
{
    return (struct nn_rng){.seed = seed, .stream = stream};
}

uint32_t nn_rng_u32(struct nn_rng *rng)
{
    uint32_t bits[4];
    nn_philox(bits, rng->seed, rng->next / 4, rng->stream);
    return bits[rng->next++ % 4];
}

float nn_rng_uniform(struct nn_rng *rng, float low, float high)
{
    /* 24 bits: every value is exact in a float and none rounds up to 1. */
    float unit = (float)(nn_rng_u32(rng) >> 8) * (1.0f / 16777216.0f);
    float value = low + (high - low) * unit;
    return value < high ? value : low;
}

float nn_rng_normal(struct nn_rng *rng)
{
    /* Box & Muller 1958; the first number is moved off zero for the logarithm. */
    double u = ((double)nn_rng_u32(rng) + 0.5) / 4294967296.0;
    double v = (double)nn_rng_u32(rng) / 4294967296.0;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

uint32_t nn_rng_below(struct nn_rng *rng, uint32_t bound)
{
    /* Lemire 2019: the high word of number * bound; the few values that would bias are redrawn. */
    if (bound < 2) return 0;
    uint32_t threshold = (0u - bound) % bound;
    for (;;) {
        uint64_t product = (uint64_t)nn_rng_u32(rng) * bound;
        if ((uint32_t)product >= threshold) return (uint32_t)(product >> 32);
    }
}

void nn_rng_shuffle(struct nn_rng *rng, uint32_t *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        uint32_t j = nn_rng_below(rng, (uint32_t)i);
        uint32_t kept = items[i - 1];
        items[i - 1] = items[j];
        items[j] = kept;
    }
}
