/* layer.c — layers are functions that make parameters and compose ops; they have no struct. */
#include "nn/internal.h"

#include <stdio.h>

enum { NAME_BYTES = 224 };

/* "conv2d" and its "_1", "_2" ... where no op has that name yet; `name` if it is given. */
static void layer_name(char text[NAME_BYTES], const struct nn_graph *graph, const char *name,
                       const char *stem)
{
    snprintf(text, NAME_BYTES, "%s", name ? name : stem);
    for (int i = 1; !name && nn_find(graph, text); i++)
        snprintf(text, NAME_BYTES, "%s_%d", stem, i);
}

static struct nn_node *make(struct nn_node *x, const char *layer, const char *what,
                            struct nn_shape shape, enum nn_initializer initializer)
{
    char name[NAME_BYTES + 32];
    snprintf(name, sizeof name, "%s/%s", layer, what);
    return nn_parameter(x->graph, name, shape, initializer);
}

static struct nn_node *make_state(struct nn_node *x, const char *layer, const char *what,
                                  int channels, enum nn_initializer initializer)
{
    char name[NAME_BYTES + 32];
    snprintf(name, sizeof name, "%s/%s", layer, what);
    return nn_state(x->graph, name, nn_shape1(channels), initializer);
}

struct nn_node *nn_layer_conv2d(struct nn_node *x, const char *name, int filters, int kernel_h,
                                int kernel_w, const struct nn_conv2d_options *options)
{
    if (!x) return NULL;
    char layer[NAME_BYTES];
    layer_name(layer, x->graph, name, "conv2d");
    int groups = options && options->groups ? options->groups : 1;
    int channels = x->shape.rank == 4 && groups > 0 ? x->shape.dim[3] / groups : 0;
    struct nn_shape shape = nn_shape4(kernel_h, kernel_w, channels, filters);
    struct nn_node *w = make(x, layer, "kernel", shape, NN_GLOROT_UNIFORM);
    struct nn_node *b = make(x, layer, "bias", nn_shape1(filters), NN_ZEROS);
    struct nn_node *y = nn_conv2d(x, w, b, options);
    return y ? nn_name(y, layer) : NULL;
}

struct nn_node *nn_layer_dense(struct nn_node *x, const char *name, int units)
{
    if (!x) return NULL;
    char layer[NAME_BYTES];
    layer_name(layer, x->graph, name, "dense");
    struct nn_shape shape = nn_shape2(x->shape.dim[x->shape.rank - 1], units);
    struct nn_node *w = make(x, layer, "kernel", shape, NN_GLOROT_UNIFORM);
    struct nn_node *b = make(x, layer, "bias", nn_shape1(units), NN_ZEROS);
    struct nn_node *y = nn_dense(x, w, b);
    return y ? nn_name(y, layer) : NULL;
}

struct nn_node *nn_layer_batch_norm(struct nn_node *x, const char *name)
{
    if (!x) return NULL;
    char layer[NAME_BYTES];
    layer_name(layer, x->graph, name, "batch_normalization");
    int channels = x->shape.dim[x->shape.rank - 1];
    struct nn_node *gamma = make(x, layer, "gamma", nn_shape1(channels), NN_ONES);
    struct nn_node *beta = make(x, layer, "beta", nn_shape1(channels), NN_ZEROS);
    struct nn_node *mean = make_state(x, layer, "moving_mean", channels, NN_ZEROS);
    struct nn_node *variance = make_state(x, layer, "moving_variance", channels, NN_ONES);
    struct nn_node *y = nn_batch_norm(x, gamma, beta, mean, variance, 0.99f, 1e-3f);
    return y ? nn_name(y, layer) : NULL;
}
