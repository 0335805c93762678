/*
 * window_simd.c — window.c with vectors: the same values and the same taps, to the bit.
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

static inline vf load(const float *p, int lanes)
{
    return lanes == VF_WIDTH ? vf_load(p) : vf_load_partial(p, lanes);
}
static inline void store(float *p, vf value, int lanes)
{
    if (lanes == VF_WIDTH)
        vf_store(p, value);
    else
        vf_store_partial(p, value, lanes);
}

/* Channels [c, c + lanes) of a window. A later tap takes over only where it is greater: the first
 * one wins. */
static inline void max_lanes(float *y, float *which, const float *const *x,
                             const struct nn_window_row *row, ptrdiff_t from, int c, int lanes)
{
    const float *affine = row->affine;
    vf scale = affine ? load(affine + c, lanes) : vf_zero();
    vf shift = affine ? load(affine + row->channels + c, lanes) : vf_zero();
    vf best = load(x[0] + from + c, lanes), place = vf_zero();
    if (affine) best = vf_fma(best, scale, shift);
    for (int t = 1; t < row->taps; t++) {
        vf value = load(x[t] + from + c, lanes);
        if (affine) value = vf_fma(value, scale, shift);
        vm greater = vf_gt(value, best);
        best = vf_select(greater, value, best);
        place = vf_select(greater, vf_set1((float)t), place);
    }
    store(y + c, best, lanes);
    if (which) store(which + c, place, lanes);
}

static void max_window(float *y, float *which, const float *const *x,
                       const struct nn_window_row *row)
{
    int channels = row->channels;
    for (int i = 0; i < row->windows; i++) {
        ptrdiff_t from = i * row->step;
        int c = 0;
        for (; channels - c >= VF_WIDTH; c += VF_WIDTH)
            max_lanes(y, which, x, row, from, c, VF_WIDTH);
        if (c < channels) max_lanes(y, which, x, row, from, c, channels - c);
        y += channels;
        if (which) which += channels;
    }
}

static inline void backward_lanes(float *const *dx, const float *which, const float *dy,
                                  const struct nn_window_row *row, ptrdiff_t to, int c, int lanes)
{
    vf place = load(which + c, lanes), slope = load(dy + c, lanes);
    for (int t = 0; t < row->taps; t++) {
        vf share = vf_keep(vf_eq(place, vf_set1((float)t)), slope);
        float *place_of = dx[t] + to + c;
        store(place_of, row->sets ? share : vf_add(load(place_of, lanes), share), lanes);
    }
}

static void max_window_backward(float *const *dx, const float *which, const float *dy,
                                const struct nn_window_row *row)
{
    int channels = row->channels;
    for (int i = 0; i < row->windows; i++, which += channels, dy += channels) {
        int c = 0;
        for (; channels - c >= VF_WIDTH; c += VF_WIDTH)
            backward_lanes(dx, which, dy, row, i * row->step, c, VF_WIDTH);
        if (c < channels) backward_lanes(dx, which, dy, row, i * row->step, c, channels - c);
    }
}

void NN_LEVEL_NAME(nn_window)(struct nn_kernels *table)
{
    table->max_window = max_window;
    table->max_window_backward = max_window_backward;
}
