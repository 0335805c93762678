/*
 * tensorflow_layers.c — one function per op. TensorFlow's layout is ours, [N, H, W, C], so most of
 * them only fetch attributes and constants.
 *
 * Nodes that belong together become one: a bias (BiasAdd, or Add of a constant) with the
 * convolution, dense layer or Mul that nobody else uses; a Mul by a constant with the L2Normalize
 * before it; Pad, or SpaceToBatchND and BatchToSpaceND, with the convolution they surround.
 */
#include "nn/format/tensorflow.h"

#include <math.h>
#include <string.h>

/* ---- inputs ---------------------------------------------------------------------------------- */

static bool is(const struct nn_tf_node *node, const char *op)
{
    return node && strcmp(node->op, op) == 0;
}

/* The value of an input that must be a node; NULL with an error when it is none. */
static struct nn_node *input_of(struct nn_tf_reader *reader, struct nn_tf_node *node, int index)
{
    const struct nn_tf_node *from = node->input[index].node;
    if (from && from->block[0])
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                   "padding is for convolutions without their own (VALID) alone");
    else if (!from)
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "expected input %d to be no constant",
                   index);
    return from && !reader->graph->status ? from->value : NULL;
}

static int channels_of(const struct nn_node *x)
{
    return x ? nn_channels(x) : 1;
}

/* Which of two inputs is a constant, when one is and one is not; -1. */
static int constant_side(const struct nn_tf_node *node)
{
    if (node->inputs != 2 || !node->input[0].node == !node->input[1].node) return -1;
    return node->input[0].node ? 1 : 0;
}

/* The only user of a node. */
static struct nn_tf_node *only_user(const struct nn_tf_node *node)
{
    return node->users == 1 ? node->user : NULL;
}

static bool is_sum(const struct nn_tf_node *node)
{
    return is(node, "BiasAdd") || is(node, "Add") || is(node, "AddV2");
}

/* If what follows *tail, the last node of those merged into `head`, adds a constant: its values,
 * [channels], and it is the new tail. */
static struct nn_node *take_bias(struct nn_tf_reader *reader, struct nn_tf_node *head,
                                 struct nn_tf_node **tail, int channels)
{
    struct nn_tf_node *sum = only_user(*tail);
    int side = is_sum(sum) ? constant_side(sum) : -1;
    if (side < 0) return NULL;
    *tail = sum;
    sum->merged = head;
    return nn_tf_values(reader, sum, side, nn_shape1(channels), false);
}

/* ---- padding and convolution ----------------------------------------------------------------- */

static bool zero_or_more(const int *values, int count)
{
    for (int i = 0; i < count; i++)
        if (values[i] < 0 || values[i] > 4096) return false;
    return true;
}

/* A constant of exactly `count` integers, each 0 .. 4096. */
static bool read_ints(int *values, int count, struct nn_tf_reader *reader, struct nn_tf_node *node,
                      int index)
{
    struct nn_tf_tensor tensor;
    if (!nn_tf_constant(&tensor, reader, node, index)) return false;
    if (nn_tf_tensor_ints(values, count, &tensor) == count && zero_or_more(values, count))
        return true;
    return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                      "expected input %d to be %d integers from 0 to 4096", index, count);
}

/* The padding waits for the convolution; none at all is none. */
static void build_padding(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    int pads[8] = {0}, block[2] = {1, 1};
    node->value = input_of(reader, node, 0);
    if (is(node, "Pad")) {
        if (!read_ints(pads, 8, reader, node, 1)) return;
    } else if (!read_ints(block, 2, reader, node, 1) || !read_ints(pads + 2, 4, reader, node, 2)) {
        return;
    }
    if (block[0] < 1 || block[1] < 1 || pads[0] || pads[1] || pads[6] || pads[7]) {
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                   "expected blocks of 1 or more, and padding of height and width alone");
        return;
    }
    memcpy(node->pad, pads + 2, sizeof node->pad);
    if (block[0] > 1 || block[1] > 1 || pads[2] || pads[3] || pads[4] || pads[5])
        memcpy(node->block, block, sizeof node->block);
    if (node->block[0] && !node->users)
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "padding that no convolution takes");
}

/* SpaceToBatchND with blocks of b pixels turns each image into b^2 images of every b-th pixel; a
 * convolution of them, turned back, is one with dilation b of the padded image. Turning back also
 * crops, which for stride 1 is less padding. `tail` is the convolution or its bias. */
static bool turn_back(struct nn_tf_reader *reader, struct nn_tf_node *head,
                      const struct nn_tf_node *tail, struct nn_conv2d_options *options)
{
    const struct nn_tf_node *from = head->input[0].node;
    struct nn_tf_node *back = only_user(tail);
    int block[2] = {1, 1}, crops[4] = {0};
    if (!is(back, "BatchToSpaceND"))
        return (from->block[0] == 1 && from->block[1] == 1) ||
               nn_tf_fail(reader, head, NN_ERROR_UNSUPPORTED,
                          "expected a BatchToSpaceND behind it, as there is a SpaceToBatchND "
                          "before it");
    if (back->inputs > 1 && (!read_ints(block, 2, reader, back, 1) || back->inputs < 3 ||
                             !read_ints(crops, 4, reader, back, 2)))
        return nn_tf_fail(reader, back, NN_ERROR_FORMAT, "expected blocks and crops");
    if (memcmp(block, from->block, sizeof block) != 0)
        return nn_tf_fail(reader, back, NN_ERROR_UNSUPPORTED,
                          "its blocks are not those of the SpaceToBatchND");
    bool cropped = crops[0] || crops[1] || crops[2] || crops[3];
    int *pads[] = {&options->pad_top, &options->pad_bottom, &options->pad_left,
                   &options->pad_right};
    for (int i = 0; i < 4; i++) *pads[i] -= crops[i];
    if (cropped && (options->stride_h > 1 || options->stride_w > 1 || options->pad_top < 0 ||
                    options->pad_bottom < 0 || options->pad_left < 0 || options->pad_right < 0))
        return nn_tf_fail(reader, back, NN_ERROR_UNSUPPORTED,
                          "it crops more than was padded, or behind a stride");
    back->merged = head;
    return true;
}

/* Strides, dilations, and the convolution's own padding. */
static bool read_conv_options(struct nn_tf_reader *reader, struct nn_tf_node *node,
                              struct nn_conv2d_options *options)
{
    static const char *const paddings[] = {"SAME", "VALID", NULL};
    int strides[4], dilations[4] = {1, 1, 1, 1}, padding;
    if (!nn_tf_list(strides, reader, node, "strides", true) ||
        !nn_tf_list(dilations, reader, node, "dilations", false) ||
        !nn_tf_word(&padding, reader, node, "padding", paddings))
        return false;
    if (strides[0] != 1 || strides[3] != 1 || dilations[0] != 1 || dilations[3] != 1)
        return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                          "strides and dilations are for height and width alone");
    *options = (struct nn_conv2d_options){.stride_h = strides[1],
                                          .stride_w = strides[2],
                                          .dilation_h = dilations[1],
                                          .dilation_w = dilations[2],
                                          .padding = padding ? NN_VALID : NN_SAME};
    return true;
}

/* Makes the padding that waits before the convolution its own. */
static bool take_padding(struct nn_tf_reader *reader, struct nn_tf_node *node,
                         struct nn_conv2d_options *options)
{
    const struct nn_tf_node *from = node->input[0].node;
    bool blocks = from->block[0] > 1 || from->block[1] > 1;
    if (options->padding != NN_VALID)
        return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                          "expected padding VALID, as there is padding before it");
    if (blocks && (options->stride_h > 1 || options->stride_w > 1 || options->dilation_h > 1 ||
                   options->dilation_w > 1))
        return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                          "strides or dilations between SpaceToBatchND and BatchToSpaceND");
    options->padding = NN_EXPLICIT;
    options->pad_top = from->pad[0][0];
    options->pad_bottom = from->pad[0][1];
    options->pad_left = from->pad[1][0];
    options->pad_right = from->pad[1][1];
    if (blocks) options->dilation_h = from->block[0];
    if (blocks) options->dilation_w = from->block[1];
    return true;
}

static void build_conv2d(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_conv2d_options options = {0};
    struct nn_tf_tensor kernel;
    struct nn_tf_node *from = node->input[0].node, *tail = node;
    bool padded = from && from->block[0];
    if (!read_conv_options(reader, node, &options) ||
        (padded && !take_padding(reader, node, &options)))
        return;
    if (!nn_tf_constant(&kernel, reader, node, 1)) return;
    if (kernel.rank != 4) {
        nn_tf_fail(reader, node, NN_ERROR_SHAPE, "expected a kernel of 4 dimensions, got %d",
                   kernel.rank);
        return;
    }
    struct nn_shape shape = nn_shape4(kernel.dim[0], kernel.dim[1], kernel.dim[2], kernel.dim[3]);
    size_t taps = (size_t)shape.dim[0] * (size_t)shape.dim[1];
    if (!nn_tf_charge(reader, node, 4 * taps)) return; /* two tables of them */
    struct nn_node *x = padded ? from->value : input_of(reader, node, 0);
    struct nn_node *w = nn_tf_values(reader, node, 1, shape, false);
    struct nn_node *b = take_bias(reader, node, &tail, shape.dim[3]);
    if (padded && !turn_back(reader, node, tail, &options)) return;
    node->value = nn_name(nn_conv2d(x, w, b, &options), tail->name);
}

static void build_batch_to_space(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
               "expected a SpaceToBatchND, a convolution and at most a bias before it");
}

static void build_pool(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    static const char *const paddings[] = {"SAME", "VALID", NULL};
    int size[4], strides[4], padding;
    struct nn_node *x = input_of(reader, node, 0);
    if (!nn_tf_list(size, reader, node, "ksize", true) ||
        !nn_tf_list(strides, reader, node, "strides", true) ||
        !nn_tf_word(&padding, reader, node, "padding", paddings))
        return;
    if (size[0] != 1 || size[3] != 1 || strides[0] != 1 || strides[3] != 1) {
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "windows are of height and width alone");
        return;
    }
    struct nn_pool_options options = {.size_h = size[1],
                                      .size_w = size[2],
                                      .stride_h = strides[1],
                                      .stride_w = strides[2],
                                      .padding = padding ? NN_VALID : NN_SAME};
    x = is(node, "MaxPool") ? nn_max_pool(x, &options) : nn_avg_pool(x, &options);
    node->value = nn_name(x, node->name);
}

static void build_mat_mul(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    bool a = false, b = false;
    struct nn_tf_tensor kernel;
    struct nn_tf_node *tail = node;
    struct nn_node *x = input_of(reader, node, 0);
    if (!nn_tf_bool(&a, reader, node, "transpose_a", false) ||
        !nn_tf_bool(&b, reader, node, "transpose_b", false) ||
        !nn_tf_constant(&kernel, reader, node, 1))
        return;
    if (a || b || kernel.rank != 2) {
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "expected a matrix, and none transposed");
        return;
    }
    struct nn_shape shape = nn_shape2(kernel.dim[0], kernel.dim[1]);
    struct nn_node *w = nn_tf_values(reader, node, 1, shape, false);
    struct nn_node *bias = take_bias(reader, node, &tail, shape.dim[1]);
    node->value = nn_name(nn_dense(x, w, bias), tail->name);
}

/* ---- element by element ---------------------------------------------------------------------- */

static void build_sum(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    int side = constant_side(node);
    struct nn_node *x = input_of(reader, node, side == 0);
    if (side < 0) {
        struct nn_node *other = input_of(reader, node, 1);
        node->value = nn_name(nn_add(x, other), node->name);
        return;
    }
    struct nn_shape shape = nn_shape1(channels_of(x));
    struct nn_node *scale = nn_tf_uniform(reader, node, "scale", shape.dim[0], 1.0f);
    struct nn_node *shift = nn_tf_values(reader, node, side, shape, false);
    if (shift) node->value = nn_name(nn_scale_shift(x, scale, shift), node->name);
}

static void build_mul(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    int side = constant_side(node);
    struct nn_tf_node *tail = node;
    struct nn_node *x = input_of(reader, node, side == 0);
    if (side < 0) {
        struct nn_node *other = input_of(reader, node, 1);
        node->value = nn_name(nn_mul(x, other), node->name);
        return;
    }
    struct nn_shape shape = nn_shape1(channels_of(x));
    struct nn_node *scale = nn_tf_values(reader, node, side, shape, false);
    struct nn_node *shift = take_bias(reader, node, &tail, shape.dim[0]);
    node->value = nn_name(nn_scale_shift(x, scale, shift), tail->name);
}

static void build_batch_norm(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    bool training = false;
    float epsilon = 0;
    struct nn_node *x = input_of(reader, node, 0), *values[4];
    if (!nn_tf_float(&epsilon, reader, node, "epsilon", true) ||
        !nn_tf_bool(&training, reader, node, "is_training", false))
        return;
    if (training || !(epsilon > 0)) {
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                   "expected is_training false and epsilon above 0");
        return;
    }
    for (int i = 0; i < 4; i++)
        values[i] = nn_tf_values(reader, node, 1 + i, nn_shape1(channels_of(x)), i >= 2);
    x = nn_batch_norm(x, values[0], values[1], values[2], values[3], 0.99f, epsilon);
    node->value = nn_name(x, node->name);
}

static void build_activation(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_node *x = input_of(reader, node, 0);
    node->value = nn_name(is(node, "Relu") ? nn_relu(x) : nn_sigmoid(x), node->name);
}

static void build_softmax(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_node *x = input_of(reader, node, 0);
    int axis = -1;
    if (!x || !nn_tf_int(&axis, reader, node, "axis", false)) return;
    if (axis != -1 && axis != x->shape.rank - 1)
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "expected the last axis, got %d", axis);
    node->value = nn_name(nn_softmax(x), node->name);
}

/* As OpenCV: x / sqrt(sum x^2 + 1e-10) over the channels (TensorFlow's own takes the larger of sum
 * and 1e-12); the scale that an SSD puts behind it rides along. */
static void build_l2_normalize(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_node *x = input_of(reader, node, 0), *scale;
    struct nn_tf_tensor tensor;
    struct nn_tf_node *tail = node, *mul = only_user(node);
    int axis = 0;
    if (!x || !nn_tf_constant(&tensor, reader, node, 1)) return;
    if (nn_tf_tensor_ints(&axis, 1, &tensor) != 1 || (axis != -1 && axis != x->shape.rank - 1)) {
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "expected the last axis");
        return;
    }
    int side = is(mul, "Mul") ? constant_side(mul) : -1;
    if (side >= 0) {
        tail = mul;
        mul->merged = node;
        scale = nn_tf_values(reader, mul, side, nn_shape1(channels_of(x)), false);
    } else {
        scale = nn_tf_uniform(reader, node, "scale", channels_of(x), 1.0f);
    }
    node->value = nn_name(nn_l2_normalize(x, scale, 1e-10f), tail->name);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static void build_identity(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    node->value = input_of(reader, node, 0);
    if (node->value) node->boxes = node->input[0].node->boxes;
}

static void build_flatten(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    node->value = nn_name(nn_flatten(input_of(reader, node, 0)), node->name);
}

/* Images stay: their axis may be given as -1 (TensorFlow's way) or 0. Elsewhere 0 is "as it is",
 * as in OpenCV. */
static void build_reshape(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_node *x = input_of(reader, node, 0);
    struct nn_tf_tensor tensor;
    int dims[NN_MAX_RANK];
    if (!x || !nn_tf_constant(&tensor, reader, node, 1)) return;
    int rank = nn_tf_tensor_ints(dims, NN_MAX_RANK, &tensor);
    if (rank < 2 || (dims[0] != 0 && dims[0] != -1)) {
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                   "expected a shape of 2 to 4 integers that leaves the images as they are");
        return;
    }
    struct nn_shape shape = {.rank = rank, .dim = {x->shape.dim[0]}};
    for (int i = 1; i < rank; i++)
        shape.dim[i] = i < x->shape.rank && dims[i] == 0 ? x->shape.dim[i] : dims[i];
    node->value = nn_name(nn_reshape(x, shape), node->name);
}

/* Prior boxes [1, 2, n] are joined along n. The file has axis 1 for that: of [N, H, W, C], which
 * OpenCV takes to its own axis 2. */
static void build_concat(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_node *values[NN_TF_MOST_INPUTS];
    struct nn_tf_tensor tensor;
    int count = node->inputs - 1, axis = 0, rank = 0, boxes = 0;
    if (!nn_tf_constant(&tensor, reader, node, count)) return;
    for (int i = 0; i < count; i++) {
        values[i] = input_of(reader, node, i);
        if (!values[i]) return;
        boxes += node->input[i].node->boxes;
        rank = values[i]->shape.rank;
    }
    bool good = nn_tf_tensor_ints(&axis, 1, &tensor) == 1;
    if (good && axis < 0) axis += rank;
    if (!good || (boxes && (boxes < count || axis < 1 || axis > 2))) {
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                   "expected an axis; prior boxes are joined with each other along 1 or 2");
        return;
    }
    node->boxes = boxes > 0;
    node->value = nn_name(nn_concat(values, count, boxes ? 2 : axis), node->name);
}

/* ---- detection ------------------------------------------------------------------------------- */

static void build_prior_box(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_prior_box_options options = {.min_sizes = 1, .max_sizes = 1};
    int variances;
    if (!nn_tf_float(&options.min_size[0], reader, node, "min_size", true) ||
        !nn_tf_float(&options.max_size[0], reader, node, "max_size", false) ||
        !nn_tf_bool(&options.flip, reader, node, "flip", true) ||
        !nn_tf_bool(&options.clip, reader, node, "clip", true) ||
        !nn_tf_float(&options.offset, reader, node, "offset", true) ||
        !nn_tf_float(&options.step_h, reader, node, "step", false) ||
        !nn_tf_floats(options.aspect_ratio, &options.aspect_ratios, NN_MOST_BOXES, reader, node,
                      "aspect_ratio") ||
        !nn_tf_floats(options.variance, &variances, 4, reader, node, "variance"))
        return;
    if (variances != 1 && variances != 4) {
        nn_tf_fail(reader, node, NN_ERROR_FORMAT, "expected 1 or 4 variances, got %d", variances);
        return;
    }
    for (int i = variances; i < 4; i++) options.variance[i] = options.variance[0];
    if (options.max_size[0] == 0) options.max_sizes = 0;
    options.step_w = options.step_h;
    struct nn_node *map = input_of(reader, node, 0), *picture = input_of(reader, node, 1);
    node->boxes = true;
    node->value = nn_name(nn_prior_box(map, picture, &options), node->name);
}

static void build_detection_output(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    static const char *const codes[] = {"CENTER_SIZE", NULL};
    struct nn_detection_options options = {0};
    bool normalized = true, clip = false;
    int code;
    if (!nn_tf_int(&options.classes, reader, node, "num_classes", true) ||
        !nn_tf_int(&options.background, reader, node, "background_label_id", true) ||
        !nn_tf_bool(&options.shared, reader, node, "share_location", true) ||
        !nn_tf_bool(&options.variance_encoded, reader, node, "variance_encoded_in_target", false) ||
        !nn_tf_float(&options.least_confidence, reader, node, "confidence_threshold", true) ||
        !nn_tf_float(&options.overlap, reader, node, "nms_threshold", true) ||
        !nn_tf_int(&options.most_before, reader, node, "top_k", true) ||
        !nn_tf_int(&options.most, reader, node, "keep_top_k", true) ||
        !nn_tf_bool(&normalized, reader, node, "normalized_bbox", false) ||
        !nn_tf_bool(&clip, reader, node, "clip", false) ||
        !nn_tf_word(&code, reader, node, "code_type", codes))
        return;
    struct nn_node *x[3];
    for (int i = 0; i < 3; i++) x[i] = input_of(reader, node, i);
    if (!normalized || clip || (x[2] && !node->input[2].node->boxes)) {
        nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                   "expected boxes as shares of the picture, not clipped, and PriorBoxes as "
                   "input 2");
        return;
    }
    node->value = nn_name(nn_detection_output(x[0], x[1], x[2], &options), node->name);
}

/* ---- the input ------------------------------------------------------------------------------- */

/* The largest step of the file's prior boxes, a whole number; 0: there is none. */
static int largest_step(struct nn_tf_reader *reader)
{
    float largest = 0;
    for (int i = 0; i < reader->count; i++) {
        struct nn_tf_node *node = &reader->nodes[i];
        float step = 0;
        if (is(node, "PriorBox") && nn_tf_float(&step, reader, node, "step", false) &&
            step > largest)
            largest = step;
    }
    return largest <= 4096 && largest == floorf(largest) ? (int)largest : 0;
}

/* The channels that the first user of the input has constants for; 0: that does not tell. */
static int wanted_channels(struct nn_tf_reader *reader, const struct nn_tf_node *node)
{
    enum { MOST_HOPS = 8 };
    for (int hop = 0, i = 0; hop < MOST_HOPS && i < reader->count; i++) {
        struct nn_tf_node *user = &reader->nodes[i];
        struct nn_tf_tensor tensor;
        if (!user->inputs || user->input[0].node != node || is(user, "PriorBox")) continue;
        if (is(user, "Pad") || is(user, "SpaceToBatchND") || is(user, "Identity")) {
            node = user;
            hop++;
            i = -1;
            continue;
        }
        if (user->inputs < 2 || user->input[1].node || !nn_tf_constant(&tensor, reader, user, 1))
            return 0;
        if (is(user, "Conv2D")) return tensor.rank == 4 ? tensor.dim[2] : 0;
        return tensor.rank ? tensor.dim[tensor.rank - 1] : 0;
    }
    return 0;
}

/* The attribute `shape`, with 0 for what it leaves open; rank 0: there is none. */
static bool read_shape(struct nn_shape *shape, struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_prototext_field *value = nn_tf_attribute(node, "shape"), *dim = NULL;
    struct nn_prototext_field *field = nn_prototext_find(value, "shape", NULL);
    *shape = (struct nn_shape){.rank = 0};
    nn_prototext_use_all(nn_prototext_find(field, "unknown_rank", NULL));
    while ((dim = nn_prototext_find(field, "dim", dim)) != NULL) {
        int64_t size = -1;
        bool good = nn_prototext_int(&size, nn_prototext_find(dim, "size", NULL));
        if (!good || size < -1 || size > 65536 || shape->rank == NN_MAX_RANK)
            return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                              "expected a shape of at most 4 dimensions up to 65536");
        shape->dim[shape->rank++] = size < 1 ? 0 : (int)size;
    }
    return true;
}

/* Where the placeholder does not say it: the pictures of an SSD are as large as the largest step
 * of its prior boxes, that of its last map, whose one cell is the picture (300 for SSD300, 512 for
 * SSD512); the channels are those of the first layer's constants. */
static bool input_shape(struct nn_shape *shape, struct nn_tf_reader *reader,
                        struct nn_tf_node *node)
{
    if (!read_shape(shape, reader, node)) return false;
    if (shape->rank == 0) shape->rank = 4;
    shape->dim[0] = NN_BATCH;
    int last = shape->rank - 1;
    for (int i = 1; i < last && shape->rank == 4; i++)
        if (!shape->dim[i]) shape->dim[i] = largest_step(reader);
    if (last && !shape->dim[last]) shape->dim[last] = wanted_channels(reader, node);
    bool known = shape->rank > 1;
    for (int i = 1; i <= last; i++) known = known && shape->dim[i] > 0;
    return known || nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                               "the files do not tell the size of its pictures: expected an "
                               "attribute 'shape', or PriorBoxes with a 'step'");
}

static void build_placeholder(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    struct nn_shape shape;
    if (input_shape(&shape, reader, node)) node->value = nn_input(reader->graph, node->name, shape);
}

/* ---- the list -------------------------------------------------------------------------------- */

static const struct nn_tf_op OPS[] = {{"Placeholder", 0, 0, build_placeholder},
                                      {"Identity", 1, 1, build_identity},
                                      {"Pad", 2, 2, build_padding},
                                      {"SpaceToBatchND", 3, 3, build_padding},
                                      {"BatchToSpaceND", 1, 3, build_batch_to_space},
                                      {"Conv2D", 2, 2, build_conv2d},
                                      {"MatMul", 2, 2, build_mat_mul},
                                      {"BiasAdd", 2, 2, build_sum},
                                      {"Add", 2, 2, build_sum},
                                      {"AddV2", 2, 2, build_sum},
                                      {"Mul", 2, 2, build_mul},
                                      {"FusedBatchNorm", 5, 5, build_batch_norm},
                                      {"FusedBatchNormV2", 5, 5, build_batch_norm},
                                      {"FusedBatchNormV3", 5, 5, build_batch_norm},
                                      {"Relu", 1, 1, build_activation},
                                      {"Sigmoid", 1, 1, build_activation},
                                      {"Softmax", 1, 1, build_softmax},
                                      {"L2Normalize", 2, 2, build_l2_normalize},
                                      {"MaxPool", 1, 1, build_pool},
                                      {"AvgPool", 1, 1, build_pool},
                                      {"Flatten", 1, 1, build_flatten},
                                      {"Reshape", 2, 2, build_reshape},
                                      {"ConcatV2", 2, NN_MAX_INPUTS + 1, build_concat},
                                      {"PriorBox", 2, 2, build_prior_box},
                                      {"DetectionOutput", 3, 3, build_detection_output}};

const struct nn_tf_op *nn_tf_op_find(const char *name)
{
    for (size_t i = 0; i < sizeof OPS / sizeof *OPS; i++)
        if (strcmp(OPS[i].name, name) == 0) return &OPS[i];
    return NULL;
}
