/*
 * amx_emulated.h — AMX in plain C: the words of nn/kernels/amx.h, so that a kernel written in them
 * runs on CPUs without it. After the Software Developer's Manual, volume 2 (LDTILECFG, TILELOADD,
 * TDPBF16PS, TILESTORED) and volume 1, chapter 18; denormal numbers count as zeros, before and
 * after; rounding is to nearest. What would be an exception there sets amx_fault.
 */
#ifndef TESTS_AMX_EMULATED_H
#define TESTS_AMX_EMULATED_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NN_AMX_EMULATED 1

enum { TILE_ROWS = 16, TILE_BYTES = 64 };

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static struct {
    bool configured;
    struct tile_config config;
    uint8_t tile[8][TILE_ROWS][TILE_BYTES];
    long dots; /* done so far */
} amx;
static const char *amx_fault;

static void tile_configure(const struct tile_config *config)
{
    static const uint8_t zero[14];
    bool good = sizeof *config == 64 && config->palette == 1 && config->start_row == 0 &&
                memcmp(config->reserved, zero, sizeof zero) == 0;
    for (int i = 0; i < 16; i++) {
        bool none = config->rows[i] == 0 && config->row_bytes[i] == 0;
        bool fits = config->rows[i] > 0 && config->rows[i] <= TILE_ROWS &&
                    config->row_bytes[i] > 0 && config->row_bytes[i] <= TILE_BYTES;
        good = good && (none || (fits && i < 8));
    }
    if (!good) amx_fault = "ldtilecfg: not a configuration of palette 1";
    memset(&amx.tile, 0, sizeof amx.tile);
    amx.config = *config;
    amx.configured = true;
}

static void tile_release(void)
{
    memset(&amx.tile, 0, sizeof amx.tile);
    amx.configured = false;
}

static bool tile_known(int tile)
{
    bool known = amx.configured && tile >= 0 && tile < 8 && amx.config.rows[tile] > 0;
    if (!known) amx_fault = "a tile that is not configured";
    return known;
}

static void tile_zero(int tile)
{
    if (tile_known(tile)) memset(amx.tile[tile], 0, sizeof amx.tile[tile]);
}

static void tile_load(int tile, const void *from, ptrdiff_t stride)
{
    if (!tile_known(tile)) return;
    memset(amx.tile[tile], 0, sizeof amx.tile[tile]);
    for (int i = 0; i < amx.config.rows[tile]; i++)
        memcpy(amx.tile[tile][i], (const char *)from + i * stride, amx.config.row_bytes[tile]);
}

static void tile_store(int tile, void *to, ptrdiff_t stride)
{
    if (!tile_known(tile)) return;
    for (int i = 0; i < amx.config.rows[tile]; i++)
        memcpy((char *)to + i * stride, amx.tile[tile][i], amx.config.row_bytes[tile]);
}

static float amx_flush(float value)
{
    return fpclassify(value) == FP_SUBNORMAL ? copysignf(0.0f, value) : value;
}
static float amx_widen(const uint8_t *at)
{
    uint16_t half;
    float value;
    memcpy(&half, at, sizeof half);
    uint32_t bits = (uint32_t)half << 16;
    memcpy(&value, &bits, sizeof value);
    return amx_flush(value);
}

/* One row of sums. The two products of a pair run in two sums of their own, which are joined at
 * the end. */
static void amx_dot_row(uint8_t *sums, const uint8_t *x, int w, int pairs, int columns)
{
    float pair_sums[TILE_BYTES / 4][2] = {{0}};
    for (int k = 0; k < pairs; k++)
        for (int n = 0; n < columns; n++)
            for (int i = 0; i < 2; i++) {
                float product =
                    amx_widen(x + 4 * k + 2 * i) * amx_widen(amx.tile[w][k] + 4 * n + 2 * i);
                pair_sums[n][i] = amx_flush(pair_sums[n][i] + product);
            }
    for (int n = 0; n < columns; n++) {
        float sum;
        memcpy(&sum, sums + 4 * n, sizeof sum);
        sum = amx_flush(amx_flush(sum) + amx_flush(pair_sums[n][0] + pair_sums[n][1]));
        memcpy(sums + 4 * n, &sum, sizeof sum);
    }
}

static void tile_dot(int sums, int x, int w)
{
    if (!tile_known(sums) || !tile_known(x) || !tile_known(w)) return;
    const struct tile_config *c = &amx.config;
    if (sums == x || sums == w || x == w || c->row_bytes[sums] % 4 || c->row_bytes[x] % 4 ||
        c->rows[sums] != c->rows[x] || c->row_bytes[x] / 4 != c->rows[w] ||
        c->row_bytes[sums] != c->row_bytes[w]) {
        amx_fault = "tdpbf16ps: tiles that do not fit together";
        return;
    }
    amx.dots++;
    for (int i = 0; i < c->rows[sums]; i++)
        amx_dot_row(amx.tile[sums][i], amx.tile[x][i], w, c->row_bytes[x] / 4,
                    c->row_bytes[sums] / 4);
}

#define tile_barrier() ((void)0)

static void tile_copy_row(uint16_t *to, const uint16_t *from, int count)
{
    memset(to, 0, 32 * sizeof *to);
    memcpy(to, from, (size_t)count * sizeof *to);
}

#endif
