/*
 * livenessnet.c — the small VGG that face-liveness tutorials train (A. Rosebrock, "Liveness
 * Detection with OpenCV", 2019): two blocks of two 3x3 convolutions, then two dense layers.
 *
 * ReLU stands before batch norm, as published: networks that others trained keep that order.
 */
#include "nn/nn.h"

static struct nn_node *conv_block(struct nn_node *x, int filters)
{
    for (int i = 0; i < 2; i++) {
        x = nn_layer_conv2d(x, NULL, filters, 3, 3, NULL);
        x = nn_relu(x);
        x = nn_layer_batch_norm(x, NULL);
    }
    x = nn_max_pool(x, &(struct nn_pool_options){.size_h = 2, .size_w = 2, .padding = NN_VALID});
    return nn_dropout(x, 0.25f);
}

struct nn_node *nn_model_livenessnet(struct nn_graph *graph, int height, int width, int channels,
                                     int classes)
{
    struct nn_node *x = nn_input(graph, "input", nn_shape4(NN_BATCH, height, width, channels));
    x = conv_block(x, 16);
    x = conv_block(x, 32);
    x = nn_flatten(x);
    x = nn_layer_dense(x, NULL, 64);
    x = nn_relu(x);
    x = nn_layer_batch_norm(x, NULL);
    x = nn_dropout(x, 0.5f);
    x = nn_layer_dense(x, NULL, classes);
    return nn_softmax(x);
}
