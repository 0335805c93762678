/*
 * steps.h — the first steps of a 3x3 convolution of stride 1 on its way from six loops to the
 * engine: up to a register tile, in plain C, compiled once per instruction set.
 */
#ifndef BENCH_LADDER_STEPS_H
#define BENCH_LADDER_STEPS_H

#include <stddef.h>

/* Output pixels lie where the input's do, zeros outside ("same"). */
struct layer {
    int images, height, width, channels, filters;
};

/* One tile: pixels of a row of y, from the picture with zeros around it. */
struct tile_place {
    ptrdiff_t row; /* floats from one row of the padded picture to the next */
    int channels, filters;
};
typedef void tile_function(float *y, const float *x, const float *w,
                           const struct tile_place *place);

enum { MOST_PIXELS = 28, MOST_VECTORS = 4 };

/* The steps at one level. Pictures are [N,H,W,C] and weights [R,S,C,K], but six_loops has
 * [N,C,H,W] and [K,C,R,S]; `padded` is one picture, [H+2,W+2,C]. */
struct convolution_steps {
    const char *level;
    int lanes, registers;
    void (*six_loops)(float *y, const float *x, const float *w, const struct layer *layer);
    void (*filters_inside)(float *y, const float *x, const float *w, const struct layer *layer);
    void (*padded)(float *y, const float *padded, const float *w, const struct layer *layer);
    /* [vectors][pixels]; NULL: not compiled */
    tile_function *tile[MOST_VECTORS + 1][MOST_PIXELS + 1];
};

extern const struct convolution_steps convolution_steps_scalar;
extern const struct convolution_steps convolution_steps_sse;
extern const struct convolution_steps convolution_steps_avx2;
extern const struct convolution_steps convolution_steps_avx512;
extern const struct convolution_steps convolution_steps_neon;

#endif
