/*
 * window.c — the largest value of a window, channel by channel, by definition.
 *
 * Equal values: the first tap wins, and alone gets the gradient. A NaN is never larger than
 * anything, and nothing is larger than it: it comes out where it is in the first tap, and is passed
 * over in the others.
 */
#include "nn/kernels/kernels.h"

static float value_at(const float *x, int c, const struct nn_window_row *row)
{
    return row->affine ? x[c] * row->affine[c] + row->affine[row->channels + c] : x[c];
}

static void max_window(float *y, float *which, const float *const *x,
                       const struct nn_window_row *row)
{
    for (int i = 0; i < row->windows; i++)
        for (int c = 0; c < row->channels; c++) {
            int best = 0;
            ptrdiff_t from = i * row->step, to = (ptrdiff_t)i * row->channels + c;
            y[to] = value_at(x[0] + from, c, row);
            for (int t = 1; t < row->taps; t++) {
                float value = value_at(x[t] + from, c, row);
                if (value > y[to]) y[to] = value, best = t;
            }
            if (which) which[to] = (float)best;
        }
}

static void max_window_backward(float *const *dx, const float *which, const float *dy,
                                const struct nn_window_row *row)
{
    for (int i = 0; i < row->windows; i++)
        for (int t = 0; t < row->taps; t++)
            for (int c = 0; c < row->channels; c++) {
                ptrdiff_t from = (ptrdiff_t)i * row->channels + c;
                float share = which[from] == (float)t ? dy[from] : 0.0f;
                float *to = dx[t] + i * row->step + c;
                *to = row->sets ? share : *to + share;
            }
}

void nn_window_scalar(struct nn_kernels *table)
{
    table->max_window = max_window;
    table->max_window_backward = max_window_backward;
}
