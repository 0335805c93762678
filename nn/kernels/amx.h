/*
 * amx.h — the few operations on tiles that a kernel for AMX is made of.
 *
 * A CPU with AMX has eight tiles of at most 16 rows of 64 bytes; a configuration says how large
 * each is. Tiles are named by literal numbers. tests/check_kernels_bf16.c has the same words for
 * CPUs without AMX, in plain C.
 */
#ifndef NN_AMX_H
#define NN_AMX_H

#include <immintrin.h>
#include <stdint.h>

enum { TILE_ROWS = 16, TILE_BYTES = 64 };

/* As ldtilecfg reads it. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* The compilers' intrinsics do not all say that tile loads read memory: what was stored before must
 * be there by then. */
#define tile_barrier() __asm__ volatile("" ::: "memory")

static inline void tile_configure(const struct tile_config *config)
{
    tile_barrier();
    _tile_loadconfig(config);
}
/* Gives the tiles back: a thread that has none is cheaper to switch. */
#define tile_release()  _tile_release()
#define tile_zero(tile) _tile_zero(tile)
/* Rows of memory are `stride` bytes apart. */
#define tile_load(tile, from, stride) _tile_loadd(tile, from, stride)
#define tile_store(tile, to, stride)  _tile_stored(tile, to, stride)
/* sums[m][n] += sum over k of x[m][2k] w[k][2n] + x[m][2k+1] w[k][2n+1]: bfloat16 to float */
#define tile_dot(sums, x, w) _tile_dpbf16ps(sums, x, w)

/* The first `count` of a row's 32 numbers, with zeros behind them; nothing else is read. */
static inline void tile_copy_row(uint16_t *to, const uint16_t *from, int count)
{
    _mm512_store_si512(to, _mm512_maskz_loadu_epi16((1u << count) - 1, from));
}

#endif
