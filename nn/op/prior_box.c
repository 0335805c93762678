/*
 * prior_box.c — the default boxes of a feature map, which an SSD's heads are asked to correct
 * (Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016, section 2.2).
 *
 * map [N,H,W,C], picture [N,h,w,c]; y [1, 2, H*W*B*4]: the boxes, then their variances. A pixel
 * (row i, column j) has B boxes around its centre; in pixels of the picture
 *
 *     centre     ((j + offset) step_w, (i + offset) step_h)
 *     for each min_size m, with max its max_size:
 *         m x m
 *         sqrt(m max) x sqrt(m max)                    where there are max_sizes
 *         m sqrt(a) x m / sqrt(a)                      for each aspect ratio a
 *
 * in this order, all in shares of the picture: xmin, ymin, xmax, ymax. A ratio of 1, or one that
 * was there before, does not count (to 1e-6); `flip` puts 1/a behind each a. All of it is
 * Caffe-SSD's PriorBox, in float32 and in OpenCV's order of operations: these numbers are the
 * detector's constants, and its answers should not depend on who computed them.
 *
 * y depends on shapes alone. No gradient.
 */
#include "nn/op/op.h"

#include <math.h>

struct attributes {
    struct nn_floats min_size, max_size, aspect_ratio, variance;
    bool flip, clip;
    float step_h, step_w, offset;
};

static const struct nn_field FIELDS[] = {
    {"min_size", NN_FIELD_FLOATS, offsetof(struct attributes, min_size)},
    {"max_size", NN_FIELD_FLOATS, offsetof(struct attributes, max_size)},
    {"aspect_ratio", NN_FIELD_FLOATS, offsetof(struct attributes, aspect_ratio)},
    {"variance", NN_FIELD_FLOATS, offsetof(struct attributes, variance)},
    {"flip", NN_FIELD_BOOL, offsetof(struct attributes, flip)},
    {"clip", NN_FIELD_BOOL, offsetof(struct attributes, clip)},
    {"step_h", NN_FIELD_FLOAT, offsetof(struct attributes, step_h)},
    {"step_w", NN_FIELD_FLOAT, offsetof(struct attributes, step_w)},
    {"offset", NN_FIELD_FLOAT, offsetof(struct attributes, offset)},
    {NULL, NN_FIELD_INT, 0},
};

/* ---- the boxes of a pixel -------------------------------------------------------------------- */

enum { MOST_RATIOS = 2 * NN_MOST_BOXES, MOST_SIZES = NN_MOST_BOXES * (2 + MOST_RATIOS) };

struct sizes {
    int count;
    float width[MOST_SIZES], height[MOST_SIZES]; /* pixels of the picture */
};

/* The aspect ratios that count, with their inverses; returns how many. */
static int list_ratios(float ratios[MOST_RATIOS], const struct attributes *attributes)
{
    int count = 0;
    for (int i = 0; i < attributes->aspect_ratio.count; i++) {
        float ratio = attributes->aspect_ratio.values[i];
        bool known = fabs((double)(ratio - 1.0f)) < 1e-6;
        for (int j = 0; j < count; j++) known |= fabs((double)(ratio - ratios[j])) < 1e-6;
        if (known) continue;
        ratios[count++] = ratio;
        if (attributes->flip) ratios[count++] = 1.0f / ratio;
    }
    return count;
}

static void add_size(struct sizes *sizes, float width, float height)
{
    sizes->width[sizes->count] = width;
    sizes->height[sizes->count++] = height;
}

static void list_sizes(struct sizes *sizes, const struct attributes *attributes)
{
    float ratios[MOST_RATIOS];
    int count = list_ratios(ratios, attributes);
    sizes->count = 0;
    for (int i = 0; i < attributes->min_size.count; i++) {
        float least = attributes->min_size.values[i];
        add_size(sizes, least, least);
        if (attributes->max_size.count) {
            float between = sqrtf(least * attributes->max_size.values[i]);
            add_size(sizes, between, between);
        }
        for (int j = 0; j < count; j++) {
            float root = sqrtf(ratios[j]);
            add_size(sizes, least * root, least / root);
        }
    }
}

/* ---- shape ---------------------------------------------------------------------------------- */

/* least .. most numbers, all above 0; *got is what is not so: a number, or how many there are. */
static bool good(double *got, const struct nn_floats *floats, int least, int most)
{
    *got = floats->count;
    if (floats->count < least || floats->count > most) return false;
    for (int i = 0; i < floats->count; i++) {
        *got = (double)floats->values[i];
        if (!isfinite(floats->values[i]) || floats->values[i] <= 0.0f) return false;
    }
    return true;
}

/* No max_sizes, or one above each min_size. */
static bool good_max_sizes(double *got, const struct attributes *attributes)
{
    const struct nn_floats *least = &attributes->min_size, *most = &attributes->max_size;
    *got = most->count;
    if (most->count == 0) return true;
    if (!good(got, most, least->count, least->count)) return false;
    for (int i = 0; i < most->count; i++) {
        *got = (double)most->values[i];
        if (most->values[i] <= least->values[i]) return false;
    }
    return true;
}

static bool good_step(double *got, float step)
{
    *got = (double)step;
    return isfinite(step) && step >= 0.0f;
}

/* What is wrong, and *got; or NULL. */
static const char *complaint(double *got, const struct attributes *attributes)
{
    if (!good(got, &attributes->min_size, 1, NN_MOST_BOXES)) return "1 to 16 min_sizes above 0";
    if (!good_max_sizes(got, attributes))
        return "no max_sizes or as many as min_sizes, each above its min_size";
    if (!good(got, &attributes->aspect_ratio, 0, NN_MOST_BOXES))
        return "at most 16 aspect ratios above 0";
    if (!good(got, &attributes->variance, 4, 4)) return "4 variances above 0";
    if (!good_step(got, attributes->step_h) || !good_step(got, attributes->step_w))
        return "steps of 0 (the picture by the map) or more";
    *got = (double)attributes->offset;
    return isfinite(attributes->offset) ? NULL : "an offset that is a number";
}

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    const struct nn_shape *map = &node->input[0]->shape, *picture = &node->input[1]->shape;
    double got;
    const char *wrong = complaint(&got, attributes);
    if (wrong)
        return nn_graph_fail(node->graph, NN_ERROR_ARGUMENT, "prior_box '%s': expected %s, got %g",
                             node->name, wrong, got);
    char a[64], b[64];
    if (map->rank != 4 || picture->rank != 4)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "prior_box '%s': expected a map (N, H, W, C) and a picture "
                             "(N, h, w, c), got %s and %s",
                             node->name, nn_shape_text(a, *map), nn_shape_text(b, *picture));
    struct sizes sizes;
    list_sizes(&sizes, attributes);
    int64_t boxes = (int64_t)map->dim[1] * map->dim[2];
    if (boxes > INT32_MAX / 8 / sizes.count)
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "prior_box '%s': %d boxes at each pixel of %s are too many",
                             node->name, sizes.count, nn_shape_text(a, *map));
    node->shape = (struct nn_shape){3, {1, 2, (int)boxes * sizes.count * 4}};
    return NN_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

static float clipped(float share)
{
    return share < 0.0f ? 0.0f : share > 1.0f ? 1.0f : share;
}

/* The boxes around one centre; returns what follows them. */
static float *put_boxes(float *y, const struct sizes *sizes, const float centre[2],
                        const struct nn_shape *picture)
{
    float height = (float)picture->dim[1], width = (float)picture->dim[2];
    for (int i = 0; i < sizes->count; i++, y += 4) {
        float half_width = sizes->width[i] * 0.5f, half_height = sizes->height[i] * 0.5f;
        y[0] = (centre[0] - half_width) / width;
        y[1] = (centre[1] - half_height) / height;
        y[2] = (centre[0] + half_width) / width;
        y[3] = (centre[1] + half_height) / height;
    }
    return y;
}

static void forward(struct nn_step *step)
{
    const struct attributes *attributes = step->node->attributes;
    const struct nn_shape *map = &step->node->input[0]->shape;
    const struct nn_shape *picture = &step->node->input[1]->shape;
    float step_h = attributes->step_h, step_w = attributes->step_w;
    if (step_h == 0.0f) step_h = (float)picture->dim[1] / (float)map->dim[1];
    if (step_w == 0.0f) step_w = (float)picture->dim[2] / (float)map->dim[2];
    struct sizes sizes;
    list_sizes(&sizes, attributes);
    float *y = step->y;
    for (int i = 0; i < map->dim[1]; i++)
        for (int j = 0; j < map->dim[2]; j++) {
            float centre[2] = {((float)j + attributes->offset) * step_w,
                               ((float)i + attributes->offset) * step_h};
            y = put_boxes(y, &sizes, centre, picture);
        }
    size_t count = (size_t)step->node->shape.dim[2];
    for (size_t i = 0; attributes->clip && i < count; i++) step->y[i] = clipped(step->y[i]);
    for (size_t i = 0; i < count; i++) y[i] = attributes->variance.values[i % 4];
}

const struct nn_op nn_op_prior_box = {
    .name = "prior_box",
    .title = "PriorBox",
    .stem = "prior_box",
    .inputs_min = 2,
    .inputs_max = 2,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .constant = true,
    .infer = infer,
    .forward = forward,
};

/* Lists that are too long are cut to one more than is allowed, for the shape rule to refuse. */
static struct nn_floats list(struct nn_graph *graph, const float *values, int count)
{
    enum { TOO_MANY = NN_MOST_BOXES + 1 };
    if (count < 0 || count > NN_MOST_BOXES) return (struct nn_floats){TOO_MANY, NULL};
    float *copy = nn_graph_alloc(graph, (size_t)count, sizeof *copy);
    if (!copy) return (struct nn_floats){TOO_MANY, NULL};
    memcpy(copy, values, (size_t)count * sizeof *copy);
    return (struct nn_floats){count, copy};
}

struct nn_node *nn_prior_box(struct nn_node *map, struct nn_node *picture,
                             const struct nn_prior_box_options *options)
{
    struct nn_node *inputs[] = {map, picture};
    struct attributes attributes = {.flip = options->flip,
                                    .clip = options->clip,
                                    .step_h = options->step_h,
                                    .step_w = options->step_w,
                                    .offset = options->offset};
    if (map && picture) {
        struct nn_graph *graph = map->graph;
        attributes.min_size = list(graph, options->min_size, options->min_sizes);
        attributes.max_size = list(graph, options->max_size, options->max_sizes);
        attributes.aspect_ratio = list(graph, options->aspect_ratio, options->aspect_ratios);
        attributes.variance = list(graph, options->variance, 4);
    }
    return nn_append(&nn_op_prior_box, inputs, 2, &attributes);
}
