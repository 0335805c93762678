/*
 * ssd_res10.c — OpenCV's face detector as code: a single-shot detector (Liu et al., "SSD", 2016)
 * whose body is a thin ResNet with normalisation before the activation (He et al., "Identity
 * mappings in deep residual networks", 2016).
 *
 *     300x300x3 -> 150 -> 75x75x32 -> 38x38x128 -> 19x19x256, dilated -> 10 -> 5 -> 5 -> 5
 *
 * Six maps, from 38x38 to 5x5, each have a head: a convolution for the places of its boxes, one for
 * their confidences, and the boxes themselves. 1.18 G multiply-adds. Names, shapes and order are
 * those of deploy.prototxt; Caffe's normalisation is two layers, one that divides and one that
 * scales.
 */
#include "nn/nn.h"

#include <stdio.h>

enum { SIDE = 300, CLASSES = 2, HEADS = 6, NAME_BYTES = 64 };

struct builder {
    struct nn_graph *graph;
    struct nn_node *picture;
    struct nn_node *location[HEADS], *confidence[HEADS], *prior[HEADS];
    int heads;
};

static int channels_of(const struct nn_node *x)
{
    return x ? nn_node_shape(x).dim[3] : 1;
}

static const char *part_name(char text[NAME_BYTES], const char *layer, const char *part)
{
    snprintf(text, NAME_BYTES, "%.40s%.20s", layer, part); /* none is longer */
    return text;
}

static struct nn_node *vector(struct builder *b, const char *layer, const char *part, int channels,
                              enum nn_initializer initializer, bool trained)
{
    char name[NAME_BYTES];
    part_name(name, layer, part);
    return trained ? nn_parameter(b->graph, name, nn_shape1(channels), initializer)
                   : nn_state(b->graph, name, nn_shape1(channels), initializer);
}

/* Without a bias where a normalisation follows. */
static struct nn_node *conv(struct builder *b, struct nn_node *x, const char *layer, int filters,
                            int kernel, struct nn_conv2d_options options, bool bias)
{
    char name[NAME_BYTES];
    struct nn_shape shape = nn_shape4(kernel, kernel, channels_of(x), filters);
    struct nn_node *w =
        nn_parameter(b->graph, part_name(name, layer, "/kernel"), shape, NN_HE_NORMAL);
    int pad = (kernel - 1) / 2 * (options.dilation_h ? options.dilation_h : 1);
    options.padding = NN_EXPLICIT;
    options.pad_top = options.pad_left = options.pad_bottom = options.pad_right = pad;
    struct nn_node *biases = bias ? vector(b, layer, "/bias", filters, NN_ZEROS, true) : NULL;
    return nn_name(nn_conv2d(x, w, biases, &options), layer);
}

static struct nn_node *conv_bias(struct builder *b, struct nn_node *x, const char *layer,
                                 int filters, int kernel, int stride)
{
    struct nn_conv2d_options options = {.stride_h = stride, .stride_w = stride};
    return conv(b, x, layer, filters, kernel, options, true);
}

static struct nn_node *conv_plain(struct builder *b, struct nn_node *x, const char *layer,
                                  int filters, int kernel, int stride)
{
    struct nn_conv2d_options options = {.stride_h = stride, .stride_w = stride};
    return conv(b, x, layer, filters, kernel, options, false);
}

static struct nn_node *relu(struct nn_node *x, const char *layer)
{
    return nn_name(nn_relu(x), layer);
}

/* Two of Caffe's layers: (x - mean) / deviation, then gamma x + beta. */
static struct nn_node *norm(struct builder *b, struct nn_node *x, const char *divides,
                            const char *scales)
{
    int channels = channels_of(x);
    struct nn_node *gamma = vector(b, divides, "/gamma", channels, NN_ONES, false);
    struct nn_node *beta = vector(b, divides, "/beta", channels, NN_ZEROS, false);
    struct nn_node *mean = vector(b, divides, "/moving_mean", channels, NN_ZEROS, false);
    struct nn_node *variance = vector(b, divides, "/moving_variance", channels, NN_ONES, false);
    x = nn_name(nn_batch_norm(x, gamma, beta, mean, variance, 0.999f, 1e-5f), divides);
    gamma = vector(b, scales, "/gamma", channels, NN_ONES, true);
    beta = vector(b, scales, "/beta", channels, NN_ZEROS, true);
    return nn_name(nn_scale_shift(x, gamma, beta), scales);
}

/* ---- heads ----------------------------------------------------------------------------------- */

struct head {
    const char *name;
    float least, most; /* sides of its boxes, pixels */
    int ratios;        /* 1: 2 and 1/2; 2: also 3 and 1/3 */
    float step;        /* pixels of the picture between its boxes' centres */
};

/* One row per image. */
static struct nn_node *row(struct nn_node *x)
{
    return nn_reshape(x, nn_shape2(NN_BATCH, -1));
}

static void add_head(struct builder *b, struct nn_node *map, const struct head *head)
{
    int boxes = 2 + 2 * head->ratios, i = b->heads++;
    char name[NAME_BYTES], flat[NAME_BYTES];
    struct nn_node *x =
        conv_bias(b, map, part_name(name, head->name, "_mbox_loc"), boxes * 4, 3, 1);
    b->location[i] = nn_name(row(x), part_name(flat, name, "_flat"));
    x = conv_bias(b, map, part_name(name, head->name, "_mbox_conf"), boxes * CLASSES, 3, 1);
    b->confidence[i] = nn_name(row(x), part_name(flat, name, "_flat"));
    struct nn_prior_box_options options = {.min_size = {head->least},
                                           .max_size = {head->most},
                                           .aspect_ratio = {2, 3},
                                           .min_sizes = 1,
                                           .max_sizes = 1,
                                           .aspect_ratios = head->ratios,
                                           .flip = true,
                                           .variance = {0.1f, 0.1f, 0.2f, 0.2f},
                                           .step_h = head->step,
                                           .step_w = head->step,
                                           .offset = 0.5f};
    b->prior[i] = nn_name(nn_prior_box(map, b->picture, &options),
                          part_name(name, head->name, "_mbox_priorbox"));
}

static struct nn_node *detections(struct builder *b)
{
    struct nn_node *locations = nn_name(nn_concat(b->location, HEADS, 1), "mbox_loc");
    struct nn_node *x = nn_name(nn_concat(b->confidence, HEADS, 1), "mbox_conf");
    struct nn_node *priors = nn_name(nn_concat(b->prior, HEADS, 2), "mbox_priorbox");
    struct nn_shape pairs = {3, {NN_BATCH, -1, CLASSES}};
    x = nn_name(nn_reshape(x, pairs), "mbox_conf_reshape");
    x = nn_name(nn_softmax(x), "mbox_conf_softmax");
    x = nn_name(row(x), "mbox_conf_flatten");
    struct nn_detection_options options = {.classes = CLASSES,
                                           .shared = true,
                                           .least_confidence = 0.01f,
                                           .overlap = 0.45f,
                                           .most_before = 400,
                                           .most = 200};
    return nn_name(nn_detection_output(locations, x, priors, &options), "detection_out");
}

/* ---- body ------------------------------------------------------------------------------------ */

static struct nn_node *stem(struct builder *b)
{
    struct nn_node *x = norm(b, b->picture, "data_bn", "data_scale");
    x = conv_bias(b, x, "conv1_h", 32, 7, 2);
    x = relu(norm(b, x, "conv1_bn_h", "conv1_scale_h"), "conv1_relu");
    x = nn_max_pool(x, &(struct nn_pool_options){.size_h = 3,
                                                 .size_w = 3,
                                                 .stride_h = 2,
                                                 .stride_w = 2,
                                                 .padding = NN_VALID,
                                                 .ceil = true});
    return nn_name(x, "conv1_pool");
}

/* Three residual blocks; *map is what the first head looks at. */
static struct nn_node *blocks(struct builder *b, struct nn_node *x, struct nn_node **map)
{
    struct nn_node *in = x;
    x = conv_plain(b, x, "layer_64_1_conv1_h", 32, 3, 1);
    x = relu(norm(b, x, "layer_64_1_bn2_h", "layer_64_1_scale2_h"), "layer_64_1_relu2");
    x = conv_plain(b, x, "layer_64_1_conv2_h", 32, 3, 1);
    x = nn_name(nn_add(x, in), "layer_64_1_sum");

    in = relu(norm(b, x, "layer_128_1_bn1_h", "layer_128_1_scale1_h"), "layer_128_1_relu1");
    x = conv_plain(b, in, "layer_128_1_conv1_h", 128, 3, 2);
    x = relu(norm(b, x, "layer_128_1_bn2", "layer_128_1_scale2"), "layer_128_1_relu2");
    x = conv_plain(b, x, "layer_128_1_conv2", 128, 3, 1);
    in = conv_plain(b, in, "layer_128_1_conv_expand_h", 128, 1, 2);
    x = nn_name(nn_add(x, in), "layer_128_1_sum");

    in = relu(norm(b, x, "layer_256_1_bn1", "layer_256_1_scale1"), "layer_256_1_relu1");
    *map = in;
    x = conv_plain(b, in, "layer_256_1_conv1", 256, 3, 2);
    x = relu(norm(b, x, "layer_256_1_bn2", "layer_256_1_scale2"), "layer_256_1_relu2");
    x = conv_plain(b, x, "layer_256_1_conv2", 256, 3, 1);
    in = conv_plain(b, in, "layer_256_1_conv_expand", 256, 1, 2);
    x = nn_name(nn_add(x, in), "layer_256_1_sum");

    in = relu(norm(b, x, "layer_512_1_bn1", "layer_512_1_scale1"), "layer_512_1_relu1");
    x = conv_plain(b, in, "layer_512_1_conv1_h", 128, 3, 1);
    x = relu(norm(b, x, "layer_512_1_bn2_h", "layer_512_1_scale2_h"), "layer_512_1_relu2");
    x = conv(b, x, "layer_512_1_conv2_h", 256, 3,
             (struct nn_conv2d_options){.dilation_h = 2, .dilation_w = 2}, false);
    in = conv_plain(b, in, "layer_512_1_conv_expand_h", 256, 1, 1);
    x = nn_name(nn_add(x, in), "layer_512_1_sum");
    return relu(norm(b, x, "last_bn_h", "last_scale_h"), "last_relu");
}

/* 1x1, then 3x3: one map more. */
static struct nn_node *smaller(struct builder *b, struct nn_node *x, int index, int filters,
                               int stride)
{
    static const char *const names[4][4] = {
        {"conv6_1_h", "conv6_1_relu", "conv6_2_h", "conv6_2_relu"},
        {"conv7_1_h", "conv7_1_relu", "conv7_2_h", "conv7_2_relu"},
        {"conv8_1_h", "conv8_1_relu", "conv8_2_h", "conv8_2_relu"},
        {"conv9_1_h", "conv9_1_relu", "conv9_2_h", "conv9_2_relu"}};
    const char *const *name = names[index];
    x = relu(conv_bias(b, x, name[0], filters / 2, 1, 1), name[1]);
    return relu(conv_bias(b, x, name[2], filters, 3, stride), name[3]);
}

struct nn_node *nn_model_ssd_res10(struct nn_graph *graph)
{
    static const struct head HEAD[HEADS] = {
        {"conv4_3_norm", 30, 60, 1, 8}, {"fc7", 60, 111, 2, 16},
        {"conv6_2", 111, 162, 2, 32},   {"conv7_2", 162, 213, 2, 64},
        {"conv8_2", 213, 264, 1, 100},  {"conv9_2", 264, 315, 1, 300},
    };
    struct builder b = {.graph = graph};
    struct nn_node *map[HEADS];
    b.picture = nn_input(graph, "data", nn_shape4(NN_BATCH, SIDE, SIDE, 3));
    map[1] = blocks(&b, stem(&b), &map[0]);
    map[2] = smaller(&b, map[1], 0, 256, 2);
    map[3] = smaller(&b, map[2], 1, 128, 2);
    map[4] = smaller(&b, map[3], 2, 128, 1);
    map[5] = smaller(&b, map[4], 3, 128, 1);
    struct nn_node *scale = vector(&b, HEAD[0].name, "/scale", channels_of(map[0]), NN_ONES, true);
    map[0] = nn_name(nn_l2_normalize(map[0], scale, 1e-10f), HEAD[0].name);
    for (int i = 0; i < HEADS; i++) add_head(&b, map[i], &HEAD[i]);
    return detections(&b);
}
