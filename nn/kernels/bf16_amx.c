/*
 * bf16_amx.c — convolution in bfloat16 with AMX, whose unit multiplies whole tiles: 16 pixels x 32
 * channels times 32 channels x 16 filters in 16 cycles, sixteen times what multiply-adds on vectors
 * of floats do.
 *
 * Sums of two tiles of pixels x two of filters stay in tiles 0 .. 3 while the window passes over
 * them: each step of 32 channels loads two tiles of pixels, straight from the picture (neighbouring
 * pixels are rows, `step` apart), and two of weights, for four products.
 *
 *     a row's last tile ends with the row and shares pixels with the one before it, to which the
 *     same sums are given twice; where a row is shorter than a tile, tiles are made lower
 *     a run's last, shorter step goes through a copy with zeros behind the run
 *     the weights of missing channels and filters are zeros already
 */
#include "nn/kernels/kernels.h"

/* The second is how clang up to 15 spells it. */
#if defined(__AMX_BF16__) || defined(__AMXBF16__) || defined(NN_AMX_EMULATED)

#if !defined(NN_AMX_EMULATED)
#include "nn/kernels/amx.h"
#endif

#include <stdbool.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { STEP = NN_BF16_DEPTH, COLUMNS = 16 };
/* Weights of a panel: rows of 32 filters' pairs, of which a tile takes 16. */
enum { WEIGHT_ROW = NN_BF16_PANEL * 2 * sizeof(uint16_t), NEXT_FILTERS = COLUMNS * 2 };

/* Up to two tiles of pixels, each neighbours in one row. */
struct block {
    const uint16_t *x[2];
    float *y[2];
    bool two;                          /* tiles of pixels */
    int height;                        /* pixels of a tile */
    uint16_t (*copy)[TILE_ROWS][STEP]; /* [2]: room for shorter steps */
};

/* `left` channels of the tile's pixels, with zeros behind them. */
static const uint16_t *copy_step(uint16_t copy[TILE_ROWS][STEP], const uint16_t *x, ptrdiff_t step,
                                 int height, int left)
{
    for (int i = 0; i < height; i++) tile_copy_row(copy[i], x + i * step, left);
    return copy[0];
}

/* One step: `left` channels, at most 32, from `offset` on. */
INLINE void add_step(const struct block *b, const uint16_t *w, const struct nn_conv_bf16 *conv,
                     ptrdiff_t offset, int left, bool two_columns)
{
    const uint16_t *x[2] = {b->x[0] + offset, b->x[1] + offset};
    ptrdiff_t stride = conv->step * (ptrdiff_t)sizeof(uint16_t);
    if (left < STEP) {
        x[0] = copy_step(b->copy[0], x[0], conv->step, b->height, left);
        if (b->two) x[1] = copy_step(b->copy[1], x[1], conv->step, b->height, left);
        stride = STEP * (ptrdiff_t)sizeof(uint16_t);
        tile_barrier();
    }
    tile_load(6, w, WEIGHT_ROW);
    if (two_columns) tile_load(7, w + NEXT_FILTERS, WEIGHT_ROW);
    tile_load(4, x[0], stride);
    tile_dot(0, 4, 6);
    if (two_columns) tile_dot(1, 4, 7);
    if (!b->two) return;
    tile_load(5, x[1], stride);
    tile_dot(2, 5, 6);
    if (two_columns) tile_dot(3, 5, 7);
}

/* Sums of the last filters, which do not fill a tile, go through a copy. */
static void copy_filters(float *y, ptrdiff_t y_stride, float from[TILE_ROWS][COLUMNS], int height,
                         int filters)
{
    for (int i = 0; i < height; i++) memcpy(y + i * y_stride, from[i], (size_t)filters * sizeof *y);
}

#define STORE(tile, to, filters)                                                                   \
    do {                                                                                           \
        float part[TILE_ROWS][COLUMNS];                                                            \
        if ((filters) == COLUMNS) {                                                                \
            tile_store(tile, to, conv->y_stride *(ptrdiff_t)sizeof(float));                        \
        } else {                                                                                   \
            tile_store(tile, part, sizeof part[0]);                                                \
            copy_filters(to, conv->y_stride, part, b->height, filters);                            \
        }                                                                                          \
    } while (0)

INLINE void run_block(const struct block *b, const uint16_t *w, const struct nn_conv_bf16 *conv,
                      bool two_columns)
{
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (int t = 0; t < conv->taps; t++)
        for (int j = 0; j < conv->length; j += STEP, w += STEP * NN_BF16_PANEL) {
            int left = conv->length - j < STEP ? conv->length - j : STEP;
            add_step(b, w, conv, conv->tap[t] + j, left, two_columns);
        }
    int first = two_columns ? COLUMNS : conv->filters, second = conv->filters - COLUMNS;
    STORE(0, b->y[0], first);
    if (two_columns) STORE(1, b->y[0] + COLUMNS, second);
    if (!b->two) return;
    STORE(2, b->y[1], first);
    if (two_columns) STORE(3, b->y[1] + COLUMNS, second);
}

/* Sums and pixels have `height` rows; weights, all. */
static void configure(int height)
{
    struct tile_config config = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        config.row_bytes[tile] = TILE_BYTES;
        config.rows[tile] = (uint8_t)(tile < 6 ? height : TILE_ROWS);
    }
    tile_configure(&config);
}

static void conv_bf16(float *y, const uint16_t *x, const uint16_t *w,
                      const struct nn_conv_bf16 *conv)
{
    uint16_t copy[2][TILE_ROWS][STEP] __attribute__((aligned(TILE_BYTES)));
    if (conv->pixels == 0 || conv->rows == 0 || conv->filters == 0) return;
    struct block b = {.height = conv->pixels < TILE_ROWS ? conv->pixels : TILE_ROWS, .copy = copy};
    int row_tiles = (conv->pixels + TILE_ROWS - 1) / TILE_ROWS, tiles = conv->rows * row_tiles;
    configure(b.height);
    for (int i = 0; i < tiles; i += 2) {
        b.two = i + 1 < tiles;
        for (int n = 0; n < 2; n++) {
            int at = i + (b.two ? n : 0), row = at / row_tiles, p = at % row_tiles * TILE_ROWS;
            if (p > conv->pixels - b.height) p = conv->pixels - b.height;
            b.x[n] = x + row * conv->x_row + p * conv->step;
            b.y[n] = y + row * conv->y_row + p * conv->y_stride;
        }
        if (conv->filters > COLUMNS)
            run_block(&b, w, conv, true);
        else
            run_block(&b, w, conv, false);
    }
    tile_release();
}

void nn_bf16_amx(struct nn_kernels *table)
{
    table->conv_bf16 = conv_bf16;
}

#endif
