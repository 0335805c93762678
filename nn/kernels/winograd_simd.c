/*
 * winograd_simd.c — winograd.c with vectors of channels or filters. The matrices' products are
 * written out: rows of a matrix share sums, so that six numbers take a dozen additions.
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 6")

enum { IN = 6, OUT = 4, WINDOW = 3 };

INLINE vf load(const float *p, int lanes)
{
    return lanes == VF_WIDTH ? vf_load(p) : vf_load_partial(p, lanes);
}
INLINE void store(float *p, vf value, int lanes)
{
    if (lanes == VF_WIDTH)
        vf_store(p, value);
    else
        vf_store_partial(p, value, lanes);
}

/* ---- one line of a tile: a matrix times a vector of numbers ---------------------------------- */

/* to = G w */
INLINE void weight_line(vf to[IN], const vf w[WINDOW])
{
    const vf sixth = vf_set1(1.0f / 6);
    vf ends = vf_mul(vf_add(w[0], w[2]), vf_set1(-1.0f / 6)), middle = vf_mul(w[1], sixth);
    vf even = vf_fma(w[0], vf_set1(1.0f / 24), vf_mul(w[2], sixth));
    vf odd = vf_mul(w[1], vf_set1(1.0f / 12));
    to[0] = vf_mul(w[0], vf_set1(1.0f / 4));
    to[1] = vf_sub(ends, middle);
    to[2] = vf_add(ends, middle);
    to[3] = vf_add(even, odd);
    to[4] = vf_sub(even, odd);
    to[5] = w[2];
}

/* to = B' d */
INLINE void input_line(vf to[IN], const vf d[IN])
{
    const vf four = vf_set1(4.0f), five = vf_set1(-5.0f), two = vf_set1(2.0f);
    const vf minus_four = vf_set1(-4.0f), minus_two = vf_set1(-2.0f);
    vf even = vf_fma(d[2], minus_four, d[4]), odd = vf_fma(d[1], minus_four, d[3]);
    vf even_2 = vf_sub(d[4], d[2]), odd_2 = vf_sub(d[3], d[1]);
    to[0] = vf_fma(d[0], four, vf_fma(d[2], five, d[4]));
    to[1] = vf_add(even, odd);
    to[2] = vf_sub(even, odd);
    to[3] = vf_fma(odd_2, two, even_2);
    to[4] = vf_fma(odd_2, minus_two, even_2);
    to[5] = vf_fma(d[1], four, vf_fma(d[3], five, d[5]));
}

/* to = A' m */
INLINE void output_line(vf to[OUT], const vf m[IN])
{
    vf sum = vf_add(m[1], m[2]), difference = vf_sub(m[1], m[2]);
    vf sum_2 = vf_add(m[3], m[4]), difference_2 = vf_sub(m[3], m[4]);
    to[0] = vf_add(vf_add(m[0], sum), sum_2);
    to[1] = vf_fma(difference_2, vf_set1(2.0f), difference);
    to[2] = vf_fma(sum_2, vf_set1(4.0f), sum);
    to[3] = vf_add(vf_fma(difference_2, vf_set1(8.0f), difference), m[5]);
}

/* to = A d */
INLINE void slope_line(vf to[IN], const vf d[OUT])
{
    vf even = vf_add(d[0], d[2]), odd = vf_add(d[1], d[3]);
    vf even_2 = vf_fma(d[2], vf_set1(4.0f), d[0]);
    vf odd_2 = vf_mul(vf_fma(d[3], vf_set1(4.0f), d[1]), vf_set1(2.0f));
    to[0] = d[0];
    to[1] = vf_add(even, odd);
    to[2] = vf_sub(even, odd);
    to[3] = vf_add(even_2, odd_2);
    to[4] = vf_sub(even_2, odd_2);
    to[5] = d[3];
}

/* to = G' u */
INLINE void weight_gradient_line(vf to[WINDOW], const vf u[IN])
{
    vf sum = vf_add(u[1], u[2]), difference = vf_sub(u[2], u[1]);
    vf sum_2 = vf_add(u[3], u[4]), difference_2 = vf_sub(u[3], u[4]);
    vf both = vf_mul(sum, vf_set1(-1.0f / 6));
    to[0] = vf_fma(u[0], vf_set1(1.0f / 4), vf_fma(sum_2, vf_set1(1.0f / 24), both));
    to[1] = vf_fma(difference, vf_set1(1.0f / 6), vf_mul(difference_2, vf_set1(1.0f / 12)));
    to[2] = vf_add(vf_fma(sum_2, vf_set1(1.0f / 6), both), u[5]);
}

/* ---- all lines of a tile, one vector of channels or filters ---------------------------------- */

/* x * scale + shift, on the way in; `is` false: x as it is. */
struct affine {
    bool is;
    vf scale, shift;
};

INLINE struct affine load_affine(const float *affine, int channels, int c, int lanes)
{
    if (!affine) return (struct affine){false, vf_zero(), vf_zero()};
    return (struct affine){true, load(affine + c, lanes), load(affine + channels + c, lanes)};
}

/* Column j of a tile of `size` rows; the outside is 0. */
INLINE void load_column(vf to[IN], const float *x, const struct nn_tile *tile, int size, int j,
                        int lanes, bool whole, const struct affine *affine)
{
    bool inside = whole || (j >= tile->left && j < tile->right);
    UNROLL
    for (int i = 0; i < size; i++) {
        to[i] = vf_zero();
        if (whole)
            to[i] = load(x + i * tile->row + j * tile->pixel, lanes);
        else if (inside && i >= tile->top && i < tile->bottom)
            to[i] = load(x + (i - tile->top) * tile->row + (j - tile->left) * tile->pixel, lanes);
        else
            continue;
        if (affine->is) to[i] = vf_fma(to[i], affine->scale, affine->shift);
    }
}

INLINE void input_lanes(float *v, ptrdiff_t v_stride, const float *x, const struct nn_tile *tile,
                        int lanes, bool whole, struct affine affine)
{
    vf half[IN][IN];
    UNROLL
    for (int j = 0; j < IN; j++) {
        vf d[IN], t[IN];
        load_column(d, x, tile, IN, j, lanes, whole, &affine);
        input_line(t, d);
        for (int i = 0; i < IN; i++) half[i][j] = t[i];
    }
    UNROLL
    for (int i = 0; i < IN; i++) {
        vf t[IN];
        input_line(t, half[i]);
        for (int j = 0; j < IN; j++) store(v + (IN * i + j) * v_stride, t[j], lanes);
    }
}

INLINE void slopes_lanes(float *s, ptrdiff_t s_stride, const float *dy, const struct nn_tile *tile,
                         int lanes, bool whole)
{
    vf half[IN][OUT];
    const struct affine none = {false, vf_zero(), vf_zero()};
    UNROLL
    for (int j = 0; j < OUT; j++) {
        vf d[IN], t[IN];
        load_column(d, dy, tile, OUT, j, lanes, whole, &none);
        slope_line(t, d);
        for (int i = 0; i < IN; i++) half[i][j] = t[i];
    }
    UNROLL
    for (int i = 0; i < IN; i++) {
        vf t[IN];
        slope_line(t, half[i]);
        for (int j = 0; j < IN; j++) store(s + (IN * i + j) * s_stride, t[j], lanes);
    }
}

INLINE void weights_lanes(float *u, ptrdiff_t u_stride, const float *w, ptrdiff_t w_stride,
                          int lanes)
{
    vf half[IN][WINDOW];
    UNROLL
    for (int j = 0; j < WINDOW; j++) {
        vf d[WINDOW], t[IN];
        for (int i = 0; i < WINDOW; i++) d[i] = load(w + (WINDOW * i + j) * w_stride, lanes);
        weight_line(t, d);
        for (int i = 0; i < IN; i++) half[i][j] = t[i];
    }
    UNROLL
    for (int i = 0; i < IN; i++) {
        vf t[IN];
        weight_line(t, half[i]);
        for (int j = 0; j < IN; j++) store(u + (IN * i + j) * u_stride, t[j], lanes);
    }
}

INLINE void weight_gradient_lanes(float *dw, ptrdiff_t dw_stride, const float *du,
                                  ptrdiff_t du_stride, int lanes)
{
    vf half[WINDOW][IN];
    UNROLL
    for (int j = 0; j < IN; j++) {
        vf d[IN], t[WINDOW];
        for (int i = 0; i < IN; i++) d[i] = load(du + (IN * i + j) * du_stride, lanes);
        weight_gradient_line(t, d);
        for (int i = 0; i < WINDOW; i++) half[i][j] = t[i];
    }
    UNROLL
    for (int i = 0; i < WINDOW; i++) {
        vf t[WINDOW];
        weight_gradient_line(t, half[i]);
        for (int j = 0; j < WINDOW; j++) store(dw + (WINDOW * i + j) * dw_stride, t[j], lanes);
    }
}

/* What belongs to a vector of filters in an epilogue. */
struct finish {
    vf bias, scale, shift, scale_after, shift_after;
};

INLINE struct finish load_finish(const struct nn_epilogue *e, int k, int lanes)
{
    vf none = vf_zero();
    return (struct finish){e->bias ? load(e->bias + k, lanes) : none,
                           e->scale ? load(e->scale + k, lanes) : none,
                           e->scale ? load(e->shift + k, lanes) : none,
                           e->scale_after ? load(e->scale_after + k, lanes) : none,
                           e->scale_after ? load(e->shift_after + k, lanes) : none};
}

INLINE vf finished(vf sum, const struct nn_epilogue *e, const struct finish *finish,
                   const float *residual, int lanes)
{
    if (e->bias) sum = vf_add(sum, finish->bias);
    if (residual) sum = vf_add(sum, load(residual, lanes));
    if (e->scale) sum = vf_fma(sum, finish->scale, finish->shift);
    if (e->relu) sum = vf_relu(sum);
    if (e->scale_after) sum = vf_fma(sum, finish->scale_after, finish->shift_after);
    return sum;
}

/* half = A' m */
INLINE void output_half(vf half[OUT][IN], const float *m, ptrdiff_t m_stride, int lanes)
{
    UNROLL
    for (int j = 0; j < IN; j++) {
        vf d[IN], t[OUT];
        for (int i = 0; i < IN; i++) d[i] = load(m + (IN * i + j) * m_stride, lanes);
        output_line(t, d);
        for (int i = 0; i < OUT; i++) half[i][j] = t[i];
    }
}

INLINE void output_lanes(float *y, const struct nn_tile *tile, const float *m, ptrdiff_t m_stride,
                         const struct nn_epilogue *e, int k, int lanes, bool whole)
{
    vf half[OUT][IN];
    const struct finish finish = load_finish(e, k, lanes);
    output_half(half, m + k, m_stride, lanes);
    UNROLL
    for (int i = 0; i < OUT; i++) {
        vf t[OUT];
        output_line(t, half[i]);
        if (!whole && (i < tile->top || i >= tile->bottom)) continue;
        UNROLL
        for (int j = 0; j < OUT; j++) {
            if (!whole && (j < tile->left || j >= tile->right)) continue;
            ptrdiff_t at = whole ? i * tile->row + j * tile->pixel
                                 : (i - tile->top) * tile->row + (j - tile->left) * tile->pixel;
            const float *residual = e->residual ? e->residual + at + k : NULL;
            store(y + at + k, finished(t[j], e, &finish, residual, lanes), lanes);
        }
    }
}

/* The largest of each 2x2, as max_window finds it. */
INLINE void pooled_lanes(float *y, const struct nn_tile *tile, const float *m, ptrdiff_t m_stride,
                         const struct nn_epilogue *e, int k, int lanes)
{
    vf half[OUT][IN];
    const struct finish finish = load_finish(e, k, lanes);
    output_half(half, m + k, m_stride, lanes);
    UNROLL
    for (int i = 0; i < OUT; i += 2) {
        vf upper[OUT], lower[OUT];
        output_line(upper, half[i]);
        output_line(lower, half[i + 1]);
        UNROLL
        for (int j = 0; j < OUT; j++) {
            upper[j] = finished(upper[j], e, &finish, NULL, lanes);
            lower[j] = finished(lower[j], e, &finish, NULL, lanes);
        }
        UNROLL
        for (int j = 0; j < OUT; j += 2) {
            vf best = vf_max(lower[j], vf_max(upper[j + 1], upper[j]));
            if (i / 2 < tile->bottom && j / 2 < tile->right)
                store(y + i / 2 * tile->row + j / 2 * tile->pixel + k, vf_max(lower[j + 1], best),
                      lanes);
        }
    }
}

/* ---- all channels or filters ----------------------------------------------------------------- */

/* Three ways through a tile: all of it inside and vectors full, which is most of the work; the
 * border; and, once for all that is rare, what is left of a number of channels that vectors do not
 * divide. */
#define RARELY static __attribute__((noinline))

static bool is_whole(const struct nn_tile *tile, int size)
{
    return tile->top == 0 && tile->left == 0 && tile->bottom == size && tile->right == size;
}

RARELY void weights_rest(float *u, ptrdiff_t u_stride, const float *w, ptrdiff_t w_stride,
                         int lanes)
{
    weights_lanes(u, u_stride, w, w_stride, lanes);
}

static void winograd_weights(float *u, ptrdiff_t u_stride, const float *w, ptrdiff_t w_stride,
                             int filters)
{
    int k = 0;
    for (; k + VF_WIDTH <= filters; k += VF_WIDTH)
        weights_lanes(u + k, u_stride, w + k, w_stride, VF_WIDTH);
    if (k < filters) weights_rest(u + k, u_stride, w + k, w_stride, filters - k);
}

RARELY void input_rest(float *v, ptrdiff_t v_stride, const float *x, const struct nn_tile *tile,
                       int lanes, struct affine affine)
{
    input_lanes(v, v_stride, x, tile, lanes, false, affine);
}

static void winograd_input(float *v, ptrdiff_t v_stride, const float *x, const struct nn_tile *tile,
                           int channels, const float *affine)
{
    bool whole = is_whole(tile, IN);
    const struct affine none = {false, vf_zero(), vf_zero()};
    int c = 0;
    for (; c + VF_WIDTH <= channels; c += VF_WIDTH)
        if (whole && !affine)
            input_lanes(v + c, v_stride, x + c, tile, VF_WIDTH, true, none);
        else if (whole)
            input_lanes(v + c, v_stride, x + c, tile, VF_WIDTH, true,
                        load_affine(affine, channels, c, VF_WIDTH));
        else
            input_lanes(v + c, v_stride, x + c, tile, VF_WIDTH, false,
                        load_affine(affine, channels, c, VF_WIDTH));
    if (c < channels)
        input_rest(v + c, v_stride, x + c, tile, channels - c,
                   load_affine(affine, channels, c, channels - c));
}

RARELY void output_rest(float *y, const struct nn_tile *tile, const float *m, ptrdiff_t m_stride,
                        const struct nn_epilogue *epilogue, int k, int lanes)
{
    if (epilogue->pool)
        pooled_lanes(y, tile, m, m_stride, epilogue, k, lanes);
    else
        output_lanes(y, tile, m, m_stride, epilogue, k, lanes, false);
}

static void winograd_output(float *y, const struct nn_tile *tile, const float *m,
                            ptrdiff_t m_stride, int filters, const struct nn_epilogue *epilogue)
{
    bool whole = is_whole(tile, OUT);
    int k = 0;
    for (; k + VF_WIDTH <= filters; k += VF_WIDTH)
        if (epilogue->pool)
            pooled_lanes(y, tile, m, m_stride, epilogue, k, VF_WIDTH);
        else if (whole)
            output_lanes(y, tile, m, m_stride, epilogue, k, VF_WIDTH, true);
        else
            output_lanes(y, tile, m, m_stride, epilogue, k, VF_WIDTH, false);
    if (k < filters) output_rest(y, tile, m, m_stride, epilogue, k, filters - k);
}

RARELY void slopes_rest(float *s, ptrdiff_t s_stride, const float *dy, const struct nn_tile *tile,
                        int lanes)
{
    slopes_lanes(s, s_stride, dy, tile, lanes, false);
}

static void winograd_slopes(float *s, ptrdiff_t s_stride, const float *dy,
                            const struct nn_tile *tile, int filters)
{
    bool whole = is_whole(tile, OUT);
    int k = 0;
    for (; k + VF_WIDTH <= filters; k += VF_WIDTH)
        if (whole)
            slopes_lanes(s + k, s_stride, dy + k, tile, VF_WIDTH, true);
        else
            slopes_lanes(s + k, s_stride, dy + k, tile, VF_WIDTH, false);
    if (k < filters) slopes_rest(s + k, s_stride, dy + k, tile, filters - k);
}

RARELY void weight_gradient_rest(float *dw, ptrdiff_t dw_stride, const float *du,
                                 ptrdiff_t du_stride, int lanes)
{
    weight_gradient_lanes(dw, dw_stride, du, du_stride, lanes);
}

static void winograd_weight_gradient(float *dw, ptrdiff_t dw_stride, const float *du,
                                     ptrdiff_t du_stride, int filters)
{
    int k = 0;
    for (; k + VF_WIDTH <= filters; k += VF_WIDTH)
        weight_gradient_lanes(dw + k, dw_stride, du + k, du_stride, VF_WIDTH);
    if (k < filters) weight_gradient_rest(dw + k, dw_stride, du + k, du_stride, filters - k);
}

void NN_LEVEL_NAME(nn_winograd)(struct nn_kernels *table)
{
    table->winograd_weights = winograd_weights;
    table->winograd_input = winograd_input;
    table->winograd_output = winograd_output;
    table->winograd_slopes = winograd_slopes;
    table->winograd_weight_gradient = winograd_weight_gradient;
}
