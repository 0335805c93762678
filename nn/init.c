/*
 * init.c — first values of parameters.
 *
 * Glorot & Bengio 2010 keep the variance of activations and gradients level through a layer by
 * U(-a, a), a = sqrt(6 / (fan_in + fan_out)); He et al. 2015 allow for ReLU's lost half with
 * variance 2 / fan_in. Fans as Keras counts them: [C,K] has C in and K out, [R,S,C,K] has R*S
 * times as many.
 */
#include "nn/internal.h"

#include <math.h>

static void find_fans(const struct nn_shape *shape, double *in, double *out)
{
    double receptive = 1;
    for (int i = 0; i < shape->rank - 2; i++) receptive *= shape->dim[i];
    *out = receptive * shape->dim[shape->rank - 1];
    *in = shape->rank > 1 ? receptive * shape->dim[shape->rank - 2] : *out;
}

/* Normal cut at two deviations, as Keras' VarianceScaling draws it; the constant restores the
 * deviation that cutting takes away. */
static float truncated_normal(struct nn_rng *rng, double deviation)
{
    const double cut_deviation = 0.87962566103423978;
    float value;
    do value = nn_rng_normal(rng);
    while (fabsf(value) > 2.0f);
    return (float)(value * deviation / cut_deviation);
}

static void initialize(struct nn_node *node, uint64_t seed)
{
    float *values = nn_values(node);
    size_t count = nn_shape_count(node->shape);
    struct nn_rng rng = nn_rng_make(seed, (uint64_t)node->index);
    double in, out;
    find_fans(&node->shape, &in, &out);
    float limit = (float)sqrt(6.0 / (in + out));
    for (size_t i = 0; i < count; i++) {
        switch (node->initializer) {
        case NN_ZEROS:
            values[i] = 0.0f;
            break;
        case NN_ONES:
            values[i] = 1.0f;
            break;
        case NN_GLOROT_UNIFORM:
            values[i] = nn_rng_uniform(&rng, -limit, limit);
            break;
        case NN_HE_NORMAL:
            values[i] = truncated_normal(&rng, sqrt(2.0 / in));
            break;
        }
    }
}

enum nn_status nn_initialize(struct nn_graph *graph, uint64_t seed)
{
    enum nn_status status = nn_graph_seal(graph);
    if (status) return status;
    for (int i = 0; i < graph->count; i++) {
        enum nn_kind kind = graph->nodes[i]->kind;
        if (kind == NN_KIND_PARAMETER || kind == NN_KIND_STATE) initialize(graph->nodes[i], seed);
    }
    nn_parameters_changed(graph);
    return NN_OK;
}
