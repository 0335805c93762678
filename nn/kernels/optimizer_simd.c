/*
 * optimizer_simd.c — optimizer.c with vectors, in one pass over the parameters.
 *
 * Each step function takes `lanes` elements from i on; the rest that does not fill a vector gets
 * the same arithmetic. Its unused lanes compute with zeros (0 / 0 at worst, and is not stored).
 */
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

#include <math.h>

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

/* The gradient scaled and cut. The bounds come first: a NaN in the second place stays. */
static inline vf gradient_of(const float *g, int lanes, vf scale, vf limit)
{
    vf gradient = vf_mul(load(g, lanes), scale);
    return vf_min(limit, vf_max(vf_sub(vf_zero(), limit), gradient));
}

struct adam_vectors {
    vf rate, beta1, rest1, beta2, rest2, epsilon, decay, scale, limit;
};

static inline void adam_step(float *w, float *m, float *v, const float *g,
                             const struct adam_vectors *a, int lanes)
{
    vf gradient = gradient_of(g, lanes, a->scale, a->limit);
    vf mean = vf_fma(a->beta1, load(m, lanes), vf_mul(a->rest1, gradient));
    vf square = vf_fma(a->beta2, load(v, lanes), vf_mul(a->rest2, vf_mul(gradient, gradient)));
    vf step = vf_div(vf_mul(a->rate, mean), vf_add(vf_sqrt(square), a->epsilon));
    vf weight = load(w, lanes);
    store(m, mean, lanes);
    store(v, square, lanes);
    store(w, vf_sub(vf_sub(weight, vf_mul(a->decay, weight)), step), lanes);
}

static void adam(float *w, float *m, float *v, const float *g, const struct nn_adam *adam,
                 size_t count)
{
    const struct adam_vectors a = {
        .rate = vf_set1(adam->rate),
        .beta1 = vf_set1(adam->beta1),
        .rest1 = vf_set1(1.0f - adam->beta1),
        .beta2 = vf_set1(adam->beta2),
        .rest2 = vf_set1(1.0f - adam->beta2),
        .epsilon = vf_set1(adam->epsilon),
        .decay = vf_set1(adam->decay),
        .scale = vf_set1(adam->scale),
        .limit = vf_set1(adam->clip > 0.0f ? adam->clip : INFINITY),
    };
    size_t i = 0;
    for (; count - i >= VF_WIDTH; i += VF_WIDTH)
        adam_step(w + i, m + i, v + i, g + i, &a, VF_WIDTH);
    if (i < count) adam_step(w + i, m + i, v + i, g + i, &a, (int)(count - i));
}

struct sgd_vectors {
    vf rate, momentum, decay, scale, limit;
    bool nesterov;
};

static inline void sgd_step(float *w, float *v, const float *g, const struct sgd_vectors *s,
                            int lanes)
{
    vf weight = load(w, lanes);
    vf gradient = vf_fma(s->decay, weight, gradient_of(g, lanes, s->scale, s->limit));
    vf velocity = vf_fma(s->momentum, load(v, lanes), gradient);
    vf direction = s->nesterov ? vf_fma(s->momentum, velocity, gradient) : velocity;
    store(v, velocity, lanes);
    store(w, vf_sub(weight, vf_mul(s->rate, direction)), lanes);
}

static void sgd(float *w, float *v, const float *g, const struct nn_sgd *sgd, size_t count)
{
    const struct sgd_vectors s = {
        .rate = vf_set1(sgd->rate),
        .momentum = vf_set1(sgd->momentum),
        .decay = vf_set1(sgd->decay),
        .scale = vf_set1(sgd->scale),
        .limit = vf_set1(sgd->clip > 0.0f ? sgd->clip : INFINITY),
        .nesterov = sgd->nesterov,
    };
    size_t i = 0;
    for (; count - i >= VF_WIDTH; i += VF_WIDTH) sgd_step(w + i, v + i, g + i, &s, VF_WIDTH);
    if (i < count) sgd_step(w + i, v + i, g + i, &s, (int)(count - i));
}

/* Element i goes to sum i % LANES: a fixed order, and independent sums, which the compiler makes
 * into vectors of double by itself. */
static void square_sum(double *sum, const float *x, size_t count)
{
    enum { LANES = 2 * VF_WIDTH };
    double lane[LANES] = {0.0};
    size_t i = 0;
    for (; count - i >= LANES; i += LANES)
        for (int j = 0; j < LANES; j++) lane[j] += (double)x[i + j] * x[i + j];
    for (int j = 0; i < count; i++, j++) lane[j] += (double)x[i] * x[i];
    double total = 0.0;
    for (int j = 0; j < LANES; j++) total += lane[j];
    *sum = total;
}

void NN_LEVEL_NAME(nn_optimizer)(struct nn_kernels *table)
{
    table->adam = adam;
    table->sgd = sgd;
    table->square_sum = square_sum;
}
