/*
 * numbers.h — the numbers tests are fed with: functions of a name and a position, the same here and
 * in tests/golden/philox.py, so that no golden file has to hold them.
 */
#ifndef TESTS_NUMBERS_H
#define TESTS_NUMBERS_H

#include "nn/nn.h"

#include <math.h>
#include <string.h>

/* FNV-1a: a seed from a name. */
static inline uint64_t numbers_seed(const char *name)
{
    uint64_t value = UINT64_C(0xCBF29CE484222325);
    for (; *name; name++) value = (value ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
    return value;
}

static inline float numbers_one(char role, struct nn_rng *rng, size_t i, size_t count)
{
    if (role == 'd') {
        int64_t place = ((int64_t)i * 7919 + 13 * (int64_t)rng->stream) % (int64_t)count;
        return (float)((double)place * 4.0 / (double)count - 2.0);
    }
    float unit = nn_rng_uniform(rng, 0.0f, 1.0f);
    if (role == 'u') return unit;
    if (role == 'v') return unit + 0.5f;
    if (role == 'g') return floorf(unit * 16.0f) / 8.0f - 1.0f + (float)(rng->stream % 2) / 16.0f;
    float value = 2.0f * unit - 1.0f;
    if (role == 'a') value += value >= 0.0f ? 0.125f : -0.125f;
    return value;
}

/* Values of a tensor; roles are explained in op_cases.inc, `channels` is its last axis. */
static inline void numbers_fill(float *values, size_t count, int channels, char role, uint64_t seed,
                                uint64_t stream)
{
    struct nn_rng rng = nn_rng_make(seed, stream);
    if (role == 't') {
        memset(values, 0, count * sizeof *values);
        for (size_t r = 0; r < count / (size_t)channels; r++)
            values[r * (size_t)channels + nn_rng_u32(&rng) % (uint32_t)channels] = 1.0f;
        return;
    }
    for (size_t i = 0; i < count; i++) values[i] = numbers_one(role, &rng, i, count);
}

#endif
