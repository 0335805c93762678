/*
 * caffe_layers_channel.c — Caffe's layers that work number by number or channel by channel:
 * BatchNorm, Scale, the activations, Eltwise, Softmax, Normalize, Dropout.
 */
#include "nn/format/caffe.h"

#include <stdio.h>
#include <string.h>

/* ---- batch norm and scale -------------------------------------------------------------------- */

/* Blobs: sums of means and of variances, and the number that both are to be divided by. */
static struct nn_node *statistic(struct nn_caffe_build *layer, const char *what, int blob,
                                 int channels, float constant)
{
    struct nn_caffe_wanted factor = {.what = "scale factor", .blob = 2, .rank = 1, .dim = {1}};
    struct nn_caffe_wanted wanted = {
        .what = what,
        .shape = nn_shape1(channels),
        .blob = blob,
        .rank = 1,
        .dim = {channels},
        .state = true,
        .fill = {.constant = constant, .divisor = nn_caffe_blob_of(layer, &factor)}};
    return nn_caffe_parameter(layer, &wanted);
}

static void build_batch_norm(struct nn_caffe_build *layer)
{
    struct nn_caffe_value x = nn_caffe_last(layer, &layer->bottom[0], 1);
    float epsilon = nn_caffe_float(layer, "eps", 1e-5f);
    float momentum = nn_caffe_float(layer, "moving_average_fraction", 0.999f);
    int channels = x.dim[1];
    if (!nn_caffe_bool(layer, "use_global_stats", true))
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "use_global_stats: false (a batch's own statistics) is not supported");
    if (layer->net->status) return;
    struct nn_node *gamma = nn_caffe_constant(layer, "gamma", channels, 1.0f);
    struct nn_node *beta = nn_caffe_constant(layer, "beta", channels, 0.0f);
    struct nn_node *mean = statistic(layer, "moving_mean", 0, channels, 0.0f);
    struct nn_node *variance = statistic(layer, "moving_variance", 1, channels, 1.0f);
    if (!gamma || !beta || !mean || !variance) return;
    struct nn_node *y = nn_batch_norm(x.node, gamma, beta, mean, variance, momentum, epsilon);
    nn_caffe_make(layer, nn_name(y, layer->name), &x);
}

static void build_scale(struct nn_caffe_build *layer)
{
    if (layer->bottoms == 2) {
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "a scale that is a second bottom is not supported");
        return;
    }
    if (nn_caffe_axis(layer, "axis", 1, layer->bottom[0].rank) != 1 ||
        nn_caffe_int(layer, "num_axes", 1, -1, NN_MAX_RANK) != 1)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "only axis 1 and num_axes 1 are supported");
    bool has_bias = nn_caffe_bool(layer, "bias_term", false);
    struct nn_caffe_value x = nn_caffe_last(layer, &layer->bottom[0], 1);
    struct nn_node *gamma = nn_caffe_vector(layer, "gamma", 0, x.dim[1]);
    struct nn_node *beta = has_bias ? nn_caffe_vector(layer, "beta", 1, x.dim[1]) : NULL;
    if (!gamma || (has_bias && !beta)) return;
    nn_caffe_make(layer, nn_name(nn_scale_shift(x.node, gamma, beta), layer->name), &x);
}

/* ---- activations ----------------------------------------------------------------------------- */

static void build_relu(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    float slope = nn_caffe_float(layer, "negative_slope", 0.0f);
    if (layer->net->status) return;
    struct nn_node *y = slope == 0.0f ? nn_relu(x->node) : nn_leaky_relu(x->node, slope);
    nn_caffe_make(layer, nn_name(y, layer->name), x);
}

/* Blob: a number per channel, or one that all channels share. */
static struct nn_node *shared_vector(struct nn_caffe_build *layer, const char *what, int channels,
                                     int length, bool shared)
{
    struct nn_caffe_wanted wanted = {
        .what = what, .shape = nn_shape1(length), .rank = 1, .dim = {shared ? 1 : channels}};
    return nn_caffe_parameter(layer, &wanted);
}

static void build_prelu(struct nn_caffe_build *layer)
{
    struct nn_caffe_value x = nn_caffe_last(layer, &layer->bottom[0], 1);
    bool shared = nn_caffe_bool(layer, "channel_shared", false);
    struct nn_node *slope = shared_vector(layer, "slope", x.dim[1], x.dim[1], shared);
    if (slope) nn_caffe_make(layer, nn_name(nn_prelu(x.node, slope), layer->name), &x);
}

static void build_sigmoid(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    nn_caffe_make(layer, nn_name(nn_sigmoid(x->node), layer->name), x);
}

static void build_dropout(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    float rate = nn_caffe_float(layer, "dropout_ratio", 0.5f);
    if (!nn_caffe_bool(layer, "scale_train", true))
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "scale_train: false is not supported");
    if (layer->net->status) return;
    nn_caffe_make(layer, nn_name(nn_dropout(x->node, rate), layer->name), x);
}

static void build_softmax(struct nn_caffe_build *layer)
{
    int axis = nn_caffe_axis(layer, "axis", 1, layer->bottom[0].rank);
    struct nn_caffe_value x = nn_caffe_last(layer, &layer->bottom[0], axis);
    if (layer->net->status) return;
    nn_caffe_make(layer, nn_name(nn_softmax(x.node), layer->name), &x);
}

/* ---- element by element ---------------------------------------------------------------------- */

static bool same_dims(struct nn_caffe_build *layer, const struct nn_caffe_value *a,
                      const struct nn_caffe_value *b)
{
    if (a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0)
        return true;
    nn_caffe_fail(layer, NN_ERROR_SHAPE, 0, "its bottoms have different shapes");
    return false;
}

/* Bottom i in the order of the first one, times its coefficient. */
static struct nn_node *term(struct nn_caffe_build *layer, int i, float coefficient)
{
    const struct nn_caffe_value *first = &layer->bottom[0];
    if (!same_dims(layer, first, &layer->bottom[i])) return NULL;
    struct nn_caffe_value x = nn_caffe_ordered(layer, &layer->bottom[i], first->axis);
    if (coefficient == 1.0f || !x.node) return x.node;
    struct nn_shape shape = nn_node_shape(x.node);
    char what[32];
    snprintf(what, sizeof what, "coefficient_%d", i);
    struct nn_node *scale = nn_caffe_constant(layer, what, shape.dim[shape.rank - 1], coefficient);
    if (!scale) return NULL;
    return nn_caffe_helper(layer, nn_scale_shift(x.node, scale, NULL), "times");
}

static void build_eltwise(struct nn_caffe_build *layer)
{
    enum { PROD, SUM };
    float coefficient[NN_CAFFE_MOST_BOTTOMS];
    int operation = nn_caffe_choice(layer, "operation", "PROD SUM MAX", SUM);
    int count = nn_caffe_floats(layer, coefficient, NN_CAFFE_MOST_BOTTOMS, "coeff");
    if (count && (count != layer->bottoms || operation != SUM))
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0,
                      "%d coefficients for %d bottoms; only SUM takes them, one for each", count,
                      layer->bottoms);
    if (layer->net->status) return;
    struct nn_node *y = NULL;
    for (int i = 0; i < layer->bottoms; i++) {
        struct nn_node *x = term(layer, i, count ? coefficient[i] : 1.0f);
        if (!x) return;
        if (i > 1) y = nn_caffe_helper(layer, y, "so_far");
        y = i == 0              ? x
            : operation == SUM  ? nn_add(y, x)
            : operation == PROD ? nn_mul(y, x)
                                : nn_maximum(y, x);
    }
    nn_caffe_make(layer, nn_name(y, layer->name), &layer->bottom[0]);
}

/* ---- normalize ------------------------------------------------------------------------------- */

/* Over the channels of a pixel; or, across_spatial, over all of an image: then as one long row. */
static void build_normalize(struct nn_caffe_build *layer)
{
    struct nn_caffe_value x = nn_caffe_last(layer, &layer->bottom[0], 1);
    bool across = nn_caffe_bool(layer, "across_spatial", true);
    bool shared = nn_caffe_bool(layer, "channel_shared", true);
    float epsilon = nn_caffe_float(layer, "eps", 1e-10f);
    if (layer->net->status) return;
    struct nn_shape shape = nn_node_shape(x.node);
    struct nn_node *rows = x.node;
    if (across && x.rank > 2) rows = nn_caffe_helper(layer, nn_flatten(rows), "flatten");
    if (!rows) return;
    struct nn_shape row = nn_node_shape(rows);
    struct nn_node *scale = shared_vector(layer, "scale", x.dim[1], row.dim[row.rank - 1], shared);
    if (!scale) return;
    struct nn_node *y = nn_l2_normalize(rows, scale, epsilon);
    if (rows != x.node) y = nn_reshape(nn_caffe_helper(layer, y, "normalize"), shape);
    nn_caffe_make(layer, nn_name(y, layer->name), &x);
}

const struct nn_caffe_type nn_caffe_channel_types[] = {
    {"BatchNorm", NULL, "batch_norm_param", "", 1, 1, false, build_batch_norm},
    {"Scale", NULL, "scale_param", "filler bias_filler", 1, 2, false, build_scale},
    {"ReLU", "RELU", "relu_param", "engine", 1, 1, false, build_relu},
    {"PReLU", NULL, "prelu_param", "filler", 1, 1, false, build_prelu},
    {"Sigmoid", "SIGMOID", "sigmoid_param", "engine", 1, 1, false, build_sigmoid},
    {"Dropout", "DROPOUT", "dropout_param", "", 1, 1, false, build_dropout},
    {"Softmax", "SOFTMAX", "softmax_param", "engine", 1, 1, false, build_softmax},
    {"Eltwise", "ELTWISE", "eltwise_param", "stable_prod_grad", 2, NN_CAFFE_MOST_BOTTOMS, false,
     build_eltwise},
    {"Normalize", NULL, "norm_param", "scale_filler", 1, 1, false, build_normalize},
    {NULL, NULL, NULL, NULL, 0, 0, false, NULL},
};
