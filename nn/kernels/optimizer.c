/*
 * optimizer.c — one step of an optimiser over a block of parameters, by definition.
 *
 * Adam: Kingma & Ba 2015, with the bias corrections folded into rate and epsilon by the caller;
 * decay apart from the gradient as in AdamW (Loshchilov & Hutter 2019). SGD with momentum as
 * PyTorch has it: the rate is outside of v.
 */
#include "nn/kernels/kernels.h"

#include <math.h>

/* A NaN stays one: both comparisons are false. */
static float cut(float g, float limit)
{
    if (g > limit) return limit;
    return g < -limit ? -limit : g;
}

static void adam(float *w, float *m, float *v, const float *g, const struct nn_adam *adam,
                 size_t count)
{
    float limit = adam->clip > 0.0f ? adam->clip : INFINITY;
    float rest1 = 1.0f - adam->beta1, rest2 = 1.0f - adam->beta2;
    for (size_t i = 0; i < count; i++) {
        float gradient = cut(g[i] * adam->scale, limit);
        m[i] = adam->beta1 * m[i] + rest1 * gradient;
        v[i] = adam->beta2 * v[i] + rest2 * (gradient * gradient);
        float step = adam->rate * m[i] / (sqrtf(v[i]) + adam->epsilon);
        w[i] = w[i] - adam->decay * w[i] - step;
    }
}

static void sgd(float *w, float *v, const float *g, const struct nn_sgd *sgd, size_t count)
{
    float limit = sgd->clip > 0.0f ? sgd->clip : INFINITY;
    for (size_t i = 0; i < count; i++) {
        float gradient = cut(g[i] * sgd->scale, limit) + sgd->decay * w[i];
        v[i] = sgd->momentum * v[i] + gradient;
        w[i] -= sgd->rate * (sgd->nesterov ? gradient + sgd->momentum * v[i] : v[i]);
    }
}

/* In double the square of a float is exact, and a million of them add up without a trace. */
static void square_sum(double *sum, const float *x, size_t count)
{
    double total = 0.0;
    for (size_t i = 0; i < count; i++) total += (double)x[i] * x[i];
    *sum = total;
}

void nn_optimizer_scalar(struct nn_kernels *table)
{
    table->adam = adam;
    table->sgd = sgd;
    table->square_sum = square_sum;
}
