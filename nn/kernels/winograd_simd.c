/*
 * winograd_simd.c — winograd.c with vectors of channels. The matrices' products are written out:
 * rows of B' and A' share sums, so that six outputs take a dozen additions.
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

#define INLINE static inline __attribute__((always_inline))

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

/* to = B' d */
INLINE void input_lines(vf to[6], const vf d[6])
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
INLINE void output_lines(vf to[4], const vf m[6])
{
    vf sum = vf_add(m[1], m[2]), difference = vf_sub(m[1], m[2]);
    vf sum_2 = vf_add(m[3], m[4]), difference_2 = vf_sub(m[3], m[4]);
    to[0] = vf_add(vf_add(m[0], sum), sum_2);
    to[1] = vf_fma(difference_2, vf_set1(2.0f), difference);
    to[2] = vf_fma(sum_2, vf_set1(4.0f), sum);
    to[3] = vf_add(vf_fma(difference_2, vf_set1(8.0f), difference), m[5]);
}

INLINE void input_lanes(float *v, ptrdiff_t v_stride, const float *x, ptrdiff_t x_row,
                        ptrdiff_t x_pixel, int lanes)
{
    vf half[6][6];
    for (int j = 0; j < 6; j++) {
        vf d[6], t[6];
        for (int i = 0; i < 6; i++) d[i] = load(x + i * x_row + j * x_pixel, lanes);
        input_lines(t, d);
        for (int i = 0; i < 6; i++) half[i][j] = t[i];
    }
    for (int i = 0; i < 6; i++) {
        vf t[6];
        input_lines(t, half[i]);
        for (int j = 0; j < 6; j++) store(v + (6 * i + j) * v_stride, t[j], lanes);
    }
}

INLINE void output_lanes(float *y, ptrdiff_t y_row, ptrdiff_t y_pixel, const float *m,
                         ptrdiff_t m_stride, int lanes)
{
    vf half[4][6];
    for (int j = 0; j < 6; j++) {
        vf d[6], t[4];
        for (int i = 0; i < 6; i++) d[i] = load(m + (6 * i + j) * m_stride, lanes);
        output_lines(t, d);
        for (int i = 0; i < 4; i++) half[i][j] = t[i];
    }
    for (int i = 0; i < 4; i++) {
        vf t[4];
        output_lines(t, half[i]);
        for (int j = 0; j < 4; j++) store(y + i * y_row + j * y_pixel, t[j], lanes);
    }
}

static void winograd_input(float *v, ptrdiff_t v_stride, const float *x, ptrdiff_t x_row,
                           ptrdiff_t x_pixel, int channels)
{
    int c = 0;
    for (; c + VF_WIDTH <= channels; c += VF_WIDTH)
        input_lanes(v + c, v_stride, x + c, x_row, x_pixel, VF_WIDTH);
    if (c < channels) input_lanes(v + c, v_stride, x + c, x_row, x_pixel, channels - c);
}

static void winograd_output(float *y, ptrdiff_t y_row, ptrdiff_t y_pixel, const float *m,
                            ptrdiff_t m_stride, int filters)
{
    int k = 0;
    for (; k + VF_WIDTH <= filters; k += VF_WIDTH)
        output_lanes(y + k, y_row, y_pixel, m + k, m_stride, VF_WIDTH);
    if (k < filters) output_lanes(y + k, y_row, y_pixel, m + k, m_stride, filters - k);
}

void NN_LEVEL_NAME(nn_winograd)(struct nn_kernels *table)
{
    table->winograd_input = winograd_input;
    table->winograd_output = winograd_output;
}
