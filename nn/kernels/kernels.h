/*
 * kernels.h — the list of kernels, and what each promises.
 *
 * A kernel is a leaf: plain pointers in, no threads, no allocation, no errors. The scalar version
 * in <family>.c is the definition. <family>_simd.c is written once against simd.h and compiled
 * once per instruction set; it overrides the table's rows that it improves.
 *
 * Unless said otherwise: pointers need no alignment beyond float's, outputs do not overlap inputs,
 * counts may be 0, nothing outside the named ranges is read or written, and an element's value
 * does not depend on how a range was cut into calls.
 */
#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What happens to a finished sum before it is stored, in this order; NULL and false: nothing.
 * Vectors are [filters]; the residual lies as y does (y_stride from pixel to pixel). */
struct nn_epilogue {
    const float *bias;
    const float *residual;      /* added: the other branch of a residual block */
    const float *scale, *shift; /* both or none */
    bool relu;
    const float *scale_after, *shift_after; /* both or none */
    bool pool; /* winograd_output alone: the largest of each 2x2 is stored; without residual */
};

/* Geometry of one row of a convolution over a padded picture (no edges left to care about). Each
 * output pixel sees `taps` runs of `length` neighbouring floats: kernel rows of S*C floats, or
 * single kernel pixels of C floats where dilation tears them apart. A dense layer is one run of C
 * floats with images for pixels. */
struct nn_conv_row {
    int pixels, filters;
    int taps, length;
    const ptrdiff_t *tap; /* [taps] from a pixel's x to each run */
    ptrdiff_t step;       /* floats from one pixel's x to the next one's */
    ptrdiff_t w_stride;   /* floats from one row of w to the next, >= filters */
    ptrdiff_t y_stride;   /* floats from one pixel's y to the next one's, >= filters */
    ptrdiff_t ahead;      /* floats from w to what will be read next: a hint, 0 for none */
};

/* The same for the gradient of the weights: `rows` rows of pixels at once. */
struct nn_conv_gradient {
    struct nn_conv_row row; /* y_stride is dy's */
    int rows;
    ptrdiff_t x_row, dy_row; /* floats from one row to the next */
};

/* `count` products of matrices, x [rows,depth], w [depth,columns], y [rows,columns]: floats from
 * row to row (at least its length), and from one matrix to the next. */
struct nn_products {
    int count, rows, depth, columns;
    ptrdiff_t x_row, w_row, y_row;
    ptrdiff_t x_next, w_next, y_next;
};

/* A square tile of a picture, of which only rows [top, bottom) and columns [left, right) lie in
 * it; the pointer that comes with it is to pixel (top, left). What lies outside is 0, and is not
 * written. */
struct nn_tile {
    ptrdiff_t row, pixel; /* floats from one row, one pixel to the next */
    int top, bottom, left, right;
};

/* Neighbouring windows of a picture that have all their `taps` (>= 1) inside: tap t of window i
 * begins i * step floats behind that of the first one; what is made of a window is `channels`
 * floats long and lies behind that of the one before. */
struct nn_window_row {
    int taps, channels, windows;
    ptrdiff_t step;
    const float *affine; /* of x * scale + shift: scale [channels], shift [channels]; or NULL */
    bool sets;           /* backward: dx is set, not added to; for windows that do not overlap */
};

/* A convolution of bfloat16 numbers (the upper halves of floats) for one panel of at most 32
 * filters: geometry as above, in bfloat16s for x and in floats for y. Weights begin every 32
 * filters and every run at a multiple of 32, with zeros for what is missing, and lie in pairs:
 * that of float t, j and filter k is w[((t*depth + j) / 2 * 32 + k) * 2 + j % 2]. */
enum { NN_BF16_PANEL = 32, NN_BF16_DEPTH = 32 };
struct nn_conv_bf16 {
    int rows, pixels, filters; /* filters <= 32 */
    int taps, length;
    const ptrdiff_t *tap;
    ptrdiff_t step, x_row;
    ptrdiff_t y_stride, y_row;
};
static inline ptrdiff_t nn_bf16_depth(int length)
{
    return ((ptrdiff_t)length + NN_BF16_DEPTH - 1) / NN_BF16_DEPTH * NN_BF16_DEPTH;
}

struct nn_adam {
    float rate; /* with both bias corrections in it */
    float beta1, beta2;
    float epsilon;     /* scaled like rate */
    float decay;       /* w loses decay * w (AdamW: learning rate * weight decay) */
    float scale, clip; /* gradients are multiplied by scale, then cut to +-clip (0: not) */
};

struct nn_sgd {
    float rate, momentum, decay, scale, clip;
    bool nesterov;
};

struct nn_dropout_draw {
    uint64_t key, stream, first;
    uint32_t threshold; /* of 65536 */
    float scale;
};

/* X(name, arguments) for every kernel; the result is void. */
#define NN_KERNELS(X)                                                                              \
    /* y[p,k] = epilogue(sum_t sum_j x[p*step + tap[t] + j] * w[(t*length + j)*w_stride + k]),     \
     * summed in the order of (t, j) with one accumulator per element. */                          \
    X(conv_row, (float *y, const float *x, const float *w, const struct nn_conv_row *row,          \
                 const struct nn_epilogue *epilogue))                                              \
    /* The epilogue alone: y[p,k] = epilogue(y[p,k]) for the row's pixels and filters. */          \
    X(conv_finish, (float *y, const struct nn_conv_row *row, const struct nn_epilogue *epilogue))  \
    /* dw[(t*length+j)*w_stride + k] += sum_rows sum_p x[r*x_row + p*step + tap[t] + j]            \
     *                                  * dy[r*dy_row + p*y_stride + k] */                         \
    X(conv_gradient,                                                                               \
      (float *dw, const float *x, const float *dy, const struct nn_conv_gradient *gradient))       \
    /* For i < count: y_i[p,k] = sum_j x_i[p,j] * w_i[j,k], summed in the order of j. */           \
    X(products, (float *y, const float *x, const float *w, const struct nn_products *products))    \
    /* For i < count: dw_i[j,k] += sum_p x_i[p,j] * dy_i[p,k] (dw laid out as w, dy as y) */       \
    X(product_gradients,                                                                           \
      (float *dw, const float *x, const float *dy, const struct nn_products *products))            \
    /* Winograd's transforms; [i,j] of 6x6 is row 6i+j of u, v, m, s, du.                          \
     * u = G w G', w[r,s] at (3r+s)*w_stride; for `filters` neighbouring floats */                 \
    X(winograd_weights,                                                                            \
      (float *u, ptrdiff_t u_stride, const float *w, ptrdiff_t w_stride, int filters))             \
    /* v = B' d B, d the 6x6 tile of x, or of x * scale + shift inside the picture: affine is      \
     * scale [channels], shift [channels], or NULL */                                              \
    X(winograd_input, (float *v, ptrdiff_t v_stride, const float *x, const struct nn_tile *tile,   \
                       int channels, const float *affine))                                         \
    /* y = epilogue(A' m A), a 4x4 tile; of 2x2 where it pools */                                  \
    X(winograd_output, (float *y, const struct nn_tile *tile, const float *m, ptrdiff_t m_stride,  \
                        int filters, const struct nn_epilogue *epilogue))                          \
    /* s = A dy A', dy a 4x4 tile: the gradient of m */                                            \
    X(winograd_slopes,                                                                             \
      (float *s, ptrdiff_t s_stride, const float *dy, const struct nn_tile *tile, int filters))    \
    /* dw = G' du G */                                                                             \
    X(winograd_weight_gradient,                                                                    \
      (float *dw, ptrdiff_t dw_stride, const float *du, ptrdiff_t du_stride, int filters))         \
    /* To the nearest bfloat16, ties to the even one; denormal numbers become 0. */                \
    X(to_bf16, (uint16_t * y, const float *x, size_t count))                                       \
    /* y[r*y_row + p*y_stride + k] = sum_t sum_j x[r*x_row + p*step + tap[t] + j] * w[t,j,k], in   \
     * floats; elements are all summed in one order (each level has its own). */                   \
    X(conv_bf16,                                                                                   \
      (float *y, const uint16_t *x, const uint16_t *w, const struct nn_conv_bf16 *conv))           \
    /* to[c*to_stride + r] = from[r*from_stride + c] for rows x columns */                         \
    X(transpose, (float *to, ptrdiff_t to_stride, const float *from, ptrdiff_t from_stride,        \
                  int rows, int columns))                                                          \
    /* Elementwise; y may be x. A NaN stays one: relu is 0 > x ? 0 : x (the epilogue's too). */    \
    X(relu, (float *y, const float *x, size_t count))                                              \
    /* dx = y > 0 ? dy : 0; dx may be dy. */                                                       \
    X(relu_backward, (float *dx, const float *y, const float *dy, size_t count))                   \
    X(leaky_relu, (float *y, const float *x, float slope, size_t count))                           \
    X(leaky_relu_backward,                                                                         \
      (float *dx, const float *x, const float *dy, float slope, size_t count))                     \
    X(add, (float *y, const float *a, const float *b, size_t count))   /* y may be a or b */       \
    X(mul, (float *y, const float *a, const float *b, size_t count))   /* y may be a or b */       \
    X(scale, (float *y, const float *x, float factor, size_t count))   /* y may be x */            \
    X(multiply_add, (float *y, const float *a, float b, size_t count)) /* y += a * b */            \
    /* Per channel over rows of `channels` floats; y may be x. */                                  \
    X(scale_shift, (float *y, const float *x, const float *scale, const float *shift, size_t rows, \
                    int channels))                                                                 \
    /* sum[c] = sum over rows of x[c] */                                                           \
    X(channel_sum, (float *sum, const float *x, size_t rows, int channels))                        \
    /* sum[c] = sum over rows of (x[c] - mean[c])^2 */                                             \
    X(channel_square_sum,                                                                          \
      (float *sum, const float *x, const float *mean, size_t rows, int channels))                  \
    /* sum[c] = sum of dy[c], product[c] = sum of dy[c] * (x[c] - mean[c]); mean may be NULL */    \
    X(channel_products, (float *sum, float *product, const float *dy, const float *x,              \
                         const float *mean, size_t rows, int channels))                            \
    /* dx = a[c]*dy + b[c]*x + d[c]; with `relu`, 0 unless x > 0; dx may be dy. */                 \
    X(batch_norm_backward, (float *dx, const float *dy, const float *x, const float *const *abd,   \
                            bool relu, size_t rows, int channels))                                 \
    /* y[c] = max_t x[t][c], which[c] = the first t where it is reached, for each window of a row; \
     * which may be NULL. */                                                                       \
    X(max_window,                                                                                  \
      (float *y, float *which, const float *const *x, const struct nn_window_row *row))            \
    /* dx[t][c] += which[c] == t ? dy[c] : 0 */                                                    \
    X(max_window_backward,                                                                         \
      (float *const *dx, const float *which, const float *dy, const struct nn_window_row *row))    \
    /* y = kept ? x * scale : 0. Element i of the stream is kept when the 16-bit number i % 8 of   \
     * philox(key, i / 8, stream) is >= threshold; x[0] is element `first`. y may be x. */         \
    X(dropout, (float *y, const float *x, size_t count, const struct nn_dropout_draw *draw))       \
    /* m, v, w in place: m <- b1 m + (1-b1) g; v <- b2 v + (1-b2) g^2;                             \
     * w <- w - decay w - rate m / (sqrt(v) + epsilon) */                                          \
    X(adam,                                                                                        \
      (float *w, float *m, float *v, const float *g, const struct nn_adam *adam, size_t count))    \
    /* v <- momentum v + (g + decay w); w <- w - rate * (nesterov ? g + decay w + momentum v : v)  \
     */                                                                                            \
    X(sgd, (float *w, float *v, const float *g, const struct nn_sgd *sgd, size_t count))           \
    /* *sum = sum of x^2, in double */                                                             \
    X(square_sum, (double *sum, const float *x, size_t count))                                     \
    /* x[i] <- x[i] * a + b, `rounds` times, in registers: arithmetic and nothing else. */         \
    X(fma_peak, (float *x, float a, float b, size_t count, size_t rounds))

struct nn_kernels {
#define NN_DECLARE(name, arguments) void(*name) arguments;
    NN_KERNELS(NN_DECLARE)
#undef NN_DECLARE
};

/* Each family's scalar rows, and each level's overrides: cpu.c lists them. */
void nn_conv_scalar(struct nn_kernels *table);
void nn_elementwise_scalar(struct nn_kernels *table);
void nn_channel_scalar(struct nn_kernels *table);
void nn_window_scalar(struct nn_kernels *table);
void nn_dropout_scalar(struct nn_kernels *table);
void nn_optimizer_scalar(struct nn_kernels *table);
void nn_peak_scalar(struct nn_kernels *table);
void nn_winograd_scalar(struct nn_kernels *table);
void nn_bf16_scalar(struct nn_kernels *table);

#define NN_LEVEL_DECLARE(level)                                                                    \
    void nn_conv_##level(struct nn_kernels *table);                                                \
    void nn_elementwise_##level(struct nn_kernels *table);                                         \
    void nn_channel_##level(struct nn_kernels *table);                                             \
    void nn_window_##level(struct nn_kernels *table);                                              \
    void nn_dropout_##level(struct nn_kernels *table);                                             \
    void nn_optimizer_##level(struct nn_kernels *table);                                           \
    void nn_peak_##level(struct nn_kernels *table);                                                \
    void nn_winograd_##level(struct nn_kernels *table);
NN_LEVEL_DECLARE(sse)
NN_LEVEL_DECLARE(avx2)
NN_LEVEL_DECLARE(avx512)
NN_LEVEL_DECLARE(neon)
#undef NN_LEVEL_DECLARE
/* Levels that only know how to multiply bfloat16. */
void nn_bf16_avx512bf16(struct nn_kernels *table);
void nn_bf16_amx(struct nn_kernels *table);

/* Names of the levels this CPU and OS can run, scalar first, best last; returns how many. */
int nn_levels(const char *names[8]);
/* What bfloat16 gains at a level. */
enum nn_bf16_gain {
    NN_BF16_SLOWER,
    NN_BF16_FASTER, /* than a plain convolution of floats */
    NN_BF16_FASTEST /* than Winograd's, with a quarter of the multiplications */
};
enum nn_bf16_gain nn_bf16_gain(const char *level);
/* Fills `table` for one of these names; false when the CPU has not got it. */
bool nn_kernels_fill(struct nn_kernels *table, const char *level);

#endif
