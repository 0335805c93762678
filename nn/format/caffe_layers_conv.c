/*
 * caffe_layers_conv.c — Caffe's layers with windows and matrices: Convolution, Deconvolution,
 * Pooling, InnerProduct.
 */
#include "nn/format/caffe.h"

#include <stdio.h>
#include <string.h>

struct pair {
    int h, w;
};

/* "stride: 2", "stride: 2 stride: 1" (rows, columns; where `repeated`) or "stride_h: 2 stride_w:
 * 1". The scalar may have another name than the stem: kernel_size, kernel_h. A fallback below
 * `least` means that it must be there. */
static struct pair read_pair(struct nn_caffe_build *layer, const char *scalar, const char *stem,
                             int fallback, int least)
{
    char h[32], w[32];
    int values[2] = {fallback, fallback};
    snprintf(h, sizeof h, "%s_h", stem);
    snprintf(w, sizeof w, "%s_w", stem);
    int count = nn_caffe_ints(layer, values, 2, scalar, NN_CAFFE_MOST_PIXELS);
    if (count == 1) values[1] = values[0];
    if (nn_caffe_has(layer, h) || nn_caffe_has(layer, w)) {
        if (count)
            nn_caffe_fail(layer, NN_ERROR_FORMAT, layer->param->line,
                          "either '%s' or '%s' and '%s', not both", scalar, h, w);
        /* Caffe takes a lone pad_h for a pad_w of 0, and refuses the others. */
        int lone = least == 0 ? 0 : -1;
        return (struct pair){nn_caffe_int(layer, h, lone, least, NN_CAFFE_MOST_PIXELS),
                             nn_caffe_int(layer, w, lone, least, NN_CAFFE_MOST_PIXELS)};
    }
    if (values[0] < least || values[1] < least)
        nn_caffe_fail(layer, NN_ERROR_FORMAT, layer->param ? layer->param->line : 0,
                      count ? "'%s' is too small" : "the parameter '%s' is missing", scalar);
    return (struct pair){values[0], values[1]};
}

/* ---- convolutions ---------------------------------------------------------------------------- */

/* Deconvolution is the same with the roles of input and output channels exchanged. */
static void build_windows(struct nn_caffe_build *layer, bool transposed)
{
    struct nn_caffe_value x = nn_caffe_picture(layer, 0);
    int filters = nn_caffe_int(layer, "num_output", 0, 1, NN_CAFFE_MOST_CHANNELS);
    int groups = nn_caffe_int(layer, "group", 1, 1, NN_CAFFE_MOST_CHANNELS);
    bool has_bias = nn_caffe_bool(layer, "bias_term", true);
    struct pair kernel = read_pair(layer, "kernel_size", "kernel", -1, 1);
    struct pair stride = read_pair(layer, "stride", "stride", 1, 1);
    struct pair pad = read_pair(layer, "pad", "pad", 0, 0);
    struct pair dilation = read_pair(layer, "dilation", "dilation", 1, 1);
    int channels = x.dim[1];
    if (nn_caffe_axis(layer, "axis", 1, 4) != 1)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "only axis 1 is supported");
    if (layer->net->status) return;
    if (channels % groups || filters % groups) {
        nn_caffe_fail(layer, NN_ERROR_SHAPE, 0,
                      "%d groups do not divide %d channels and %d filters", groups, channels,
                      filters);
        return;
    }
    int rows = transposed ? channels : filters;
    int columns = (transposed ? filters : channels) / groups;
    struct nn_caffe_wanted w = {
        .what = "kernel",
        .rank = 4,
        .dim = {rows, columns, kernel.h, kernel.w},
        .fill = {.rank = 4, .dim = {rows, columns, kernel.h, kernel.w}, .order = {2, 3, 1, 0}}};
    if (transposed) w.fill.order[2] = 0, w.fill.order[3] = 1;
    w.shape = nn_shape4(kernel.h, kernel.w, w.dim[w.fill.order[2]], w.dim[w.fill.order[3]]);
    struct nn_node *weights = nn_caffe_parameter(layer, &w);
    struct nn_node *bias = has_bias ? nn_caffe_vector(layer, "bias", 1, filters) : NULL;
    if (!weights || (has_bias && !bias)) return;
    struct nn_conv2d_options options = {.stride_h = stride.h,
                                        .stride_w = stride.w,
                                        .dilation_h = dilation.h,
                                        .dilation_w = dilation.w,
                                        .groups = groups,
                                        .padding = NN_EXPLICIT,
                                        .pad_top = pad.h,
                                        .pad_bottom = pad.h,
                                        .pad_left = pad.w,
                                        .pad_right = pad.w};
    struct nn_node *y = transposed ? nn_conv2d_transpose(x.node, weights, bias, &options)
                                   : nn_conv2d(x.node, weights, bias, &options);
    nn_caffe_make(layer, nn_name(y, layer->name), &x);
}

static void build_convolution(struct nn_caffe_build *layer)
{
    build_windows(layer, false);
}

static void build_deconvolution(struct nn_caffe_build *layer)
{
    build_windows(layer, true);
}

/* ---- pooling --------------------------------------------------------------------------------- */

/* Windows along one axis as Caffe counts them; 0: none fits. With padding a last window that would
 * begin in it is dropped; without, such a window lies outside the picture and has no maximum. */
static int count_windows(int in, int kernel, int stride, int pad, bool ceil, bool padded)
{
    int64_t room = (int64_t)in + 2 * (int64_t)pad - kernel;
    if (room <= -stride || (!ceil && room < 0)) return 0;
    int64_t count = 1 + (room < 0 ? 0 : (ceil ? room + stride - 1 : room) / stride);
    if ((count - 1) * stride >= (int64_t)in + pad) {
        if (!padded) return 0;
        count--;
    }
    return (int)count;
}

/* The mean of a whole picture: its windows may be larger than nn_avg_pool's. */
static struct nn_node *global_mean(struct nn_caffe_build *layer, const struct nn_caffe_value *x)
{
    struct nn_node *mean = nn_caffe_helper(layer, nn_global_avg_pool(x->node), "mean");
    if (!mean) return NULL;
    return nn_reshape(mean, nn_shape4(nn_node_shape(mean).dim[0], 1, 1, x->dim[1]));
}

static void build_pooling(struct nn_caffe_build *layer)
{
    enum { MAX, AVE };
    struct nn_caffe_value x = nn_caffe_picture(layer, 0);
    int method = nn_caffe_choice(layer, "pool", "MAX AVE", MAX);
    bool global = nn_caffe_bool(layer, "global_pooling", false);
    bool floor = nn_caffe_choice(layer, "round_mode", "CEIL FLOOR", 0) == 1;
    if (!nn_caffe_bool(layer, "ceil_mode", true)) floor = true;
    struct pair kernel = {x.dim[2], x.dim[3]};
    if (!global) kernel = read_pair(layer, "kernel_size", "kernel", -1, 1);
    struct pair stride = read_pair(layer, "stride", "stride", 1, 1);
    struct pair pad = read_pair(layer, "pad", "pad", 0, 0);
    if (layer->net->status) return;
    if (global &&
        (pad.h || pad.w || stride.h != 1 || stride.w != 1 || nn_caffe_has(layer, "kernel_size") ||
         nn_caffe_has(layer, "kernel_h") || nn_caffe_has(layer, "kernel_w"))) {
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0,
                      "global_pooling goes with no kernel, no padding and stride 1");
        return;
    }
    bool padded = pad.h || pad.w;
    int rows = count_windows(x.dim[2], kernel.h, stride.h, pad.h, !floor, padded);
    int columns = count_windows(x.dim[3], kernel.w, stride.w, pad.w, !floor, padded);
    if (!rows || !columns) {
        nn_caffe_fail(layer, NN_ERROR_SHAPE, 0,
                      "windows of %d x %d, %d x %d apart, do not fit onto %d x %d pixels", kernel.h,
                      kernel.w, stride.h, stride.w, x.dim[2], x.dim[3]);
        return;
    }
    struct nn_pool_options options = {.size_h = kernel.h,
                                      .size_w = kernel.w,
                                      .stride_h = stride.h,
                                      .stride_w = stride.w,
                                      .padding = NN_EXPLICIT,
                                      .pad_top = pad.h,
                                      .pad_bottom = pad.h,
                                      .pad_left = pad.w,
                                      .pad_right = pad.w,
                                      .ceil = !floor,
                                      .count_padding = true};
    struct nn_node *y = method == MAX ? nn_max_pool(x.node, &options)
                        : global      ? global_mean(layer, &x)
                                      : nn_avg_pool(x.node, &options);
    struct nn_shape got = y ? nn_node_shape(y) : nn_shape1(1);
    if (y && (got.dim[1] != rows || got.dim[2] != columns))
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0,
                      "Caffe makes %d x %d pixels here, not %d x %d", rows, columns, got.dim[1],
                      got.dim[2]);
    nn_caffe_make(layer, nn_name(y, layer->name), &x);
}

/* ---- inner product --------------------------------------------------------------------------- */

/* The data stay as they are: the weights' rows are brought into the order of the node's axes. */
static void build_inner_product(struct nn_caffe_build *layer)
{
    const struct nn_caffe_value *x = &layer->bottom[0];
    int units = nn_caffe_int(layer, "num_output", 0, 1, NN_CAFFE_MOST_CHANNELS);
    bool has_bias = nn_caffe_bool(layer, "bias_term", true);
    bool transposed = nn_caffe_bool(layer, "transpose", false);
    if (nn_caffe_axis(layer, "axis", 1, x->rank) != 1)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "only axis 1 is supported");
    if (layer->net->status) return;
    struct nn_node *flat = x->node;
    if (x->rank > 2) flat = nn_caffe_helper(layer, nn_flatten(flat), "flatten");
    if (!flat) return;
    int length = nn_node_shape(flat).dim[1];
    /* [K, c, h, w] or, transposed, [c, h, w, K]; to [h, w, c, K] */
    struct nn_caffe_wanted w = {.what = "kernel",
                                .shape = nn_shape2(length, units),
                                .rank = 2,
                                .dim = {transposed ? length : units, transposed ? units : length},
                                .fill = {.rank = x->rank}};
    int first = transposed ? 0 : 1, last = transposed ? x->rank - 1 : 0;
    for (int i = 1; i < x->rank; i++) {
        w.fill.dim[i - 1 + first] = x->dim[i];
        w.fill.order[i - 1] = x->axis[i] - 1 + first;
    }
    w.fill.dim[last] = units;
    w.fill.order[x->rank - 1] = last;
    struct nn_node *weights = nn_caffe_parameter(layer, &w);
    struct nn_node *bias = has_bias ? nn_caffe_vector(layer, "bias", 1, units) : NULL;
    if (!weights || (has_bias && !bias)) return;
    nn_caffe_make(layer, nn_name(nn_dense(flat, weights, bias), layer->name), NULL);
}

#define FILLERS "weight_filler bias_filler"
const struct nn_caffe_type nn_caffe_conv_types[] = {
    {"Convolution", "CONVOLUTION", "convolution_param", FILLERS " engine force_nd_im2col", 1, 1,
     false, build_convolution},
    {"Deconvolution", "DECONVOLUTION", "convolution_param", FILLERS " engine force_nd_im2col", 1, 1,
     false, build_deconvolution},
    {"Pooling", "POOLING", "pooling_param", "engine", 1, 1, false, build_pooling},
    {"InnerProduct", "INNER_PRODUCT", "inner_product_param", FILLERS, 1, 1, false,
     build_inner_product},
    {NULL, NULL, NULL, NULL, 0, 0, false, NULL},
};
