/*
 * window.c — the largest value of a window, channel by channel, by definition.
 *
 * Equal values: the first tap wins, and alone gets the gradient. A NaN is never larger than
 * anything, and nothing is larger than it: it comes out where it is in the first tap, and is passed
 * over in the others.
 */
#include "nn/kernels/kernels.h"

static void max_window(float *y, float *which, const float *const *x, int taps, int channels)
{
    for (int c = 0; c < channels; c++) {
        int best = 0;
        for (int t = 1; t < taps; t++)
            if (x[t][c] > x[best][c]) best = t;
        y[c] = x[best][c];
        if (which) which[c] = (float)best;
    }
}

static void max_window_backward(float *const *dx, const float *which, const float *dy, int taps,
                                int channels)
{
    for (int t = 0; t < taps; t++)
        for (int c = 0; c < channels; c++) dx[t][c] += which[c] == (float)t ? dy[c] : 0.0f;
}

void nn_window_scalar(struct nn_kernels *table)
{
    table->max_window = max_window;
    table->max_window_backward = max_window_backward;
}
