/*
 * crop.c — the part of x that begins at offset[] and has a given shape. The images (axis 0) are not
 * cut.
 *
 *     y[i0, i1, ..] = x[i0, offset[1] + i1, ..]
 *
 * Gradient: dx = dy in that part, 0 around it.
 */
#include "nn/op/op.h"

struct attributes {
    struct nn_shape offset, shape;
};

static const struct nn_field FIELDS[] = {
    {"offset", NN_FIELD_SHAPE, offsetof(struct attributes, offset)},
    {"shape", NN_FIELD_SHAPE, offsetof(struct attributes, shape)},
    {NULL, NN_FIELD_INT, 0},
};

static bool fits(const struct attributes *attributes, const struct nn_shape *x)
{
    const struct nn_shape *offset = &attributes->offset, *shape = &attributes->shape;
    if (offset->rank != x->rank || shape->rank != x->rank) return false;
    if (offset->dim[0] != 0 || shape->dim[0] != x->dim[0]) return false;
    for (int i = 1; i < x->rank; i++)
        if (offset->dim[i] < 0 || shape->dim[i] < 1 || shape->dim[i] > x->dim[i] ||
            offset->dim[i] > x->dim[i] - shape->dim[i])
            return false;
    return true;
}

static enum nn_status infer(struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    const struct nn_shape *x = &node->input[0]->shape, *shape = &attributes->shape;
    const int *offset = attributes->offset.dim;
    if (!fits(attributes, x)) {
        char whole[64], part[64] = "a shape of no valid rank";
        if (shape->rank >= 1 && shape->rank <= NN_MAX_RANK) nn_shape_text(part, *shape);
        return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                             "crop '%s': expected a part of %s with all its images, got %s from "
                             "%d, %d, %d, %d on",
                             node->name, nn_shape_text(whole, *x), part, offset[0], offset[1],
                             offset[2], offset[3]);
    }
    node->shape = *shape;
    return NN_OK;
}

/* x as [images, rows, columns, channels]: axes that are missing are put behind the images. */
struct part {
    size_t whole[NN_MAX_RANK], size[NN_MAX_RANK], begin[NN_MAX_RANK];
};

static struct part part_of(const struct nn_node *node)
{
    const struct attributes *attributes = node->attributes;
    const struct nn_shape *x = &node->input[0]->shape;
    struct part part = {{1, 1, 1, 1}, {1, 1, 1, 1}, {0}};
    for (int i = 1; i < x->rank; i++) {
        int axis = i + NN_MAX_RANK - x->rank;
        part.whole[axis] = (size_t)x->dim[i];
        part.size[axis] = (size_t)node->shape.dim[i];
        part.begin[axis] = (size_t)attributes->offset.dim[i];
    }
    return part;
}

/* y's rows of pixels, counted over all images. */
static void forward_rows(const struct nn_step *step, size_t from, size_t to)
{
    struct part part = part_of(step->node);
    size_t channels = part.size[3], row_floats = part.size[2] * channels;
    for (size_t row = from; row < to; row++) {
        size_t image = row / part.size[1], h = row % part.size[1] + part.begin[1];
        const float *x =
            step->x[0] +
            ((image * part.whole[1] + h) * part.whole[2] + part.begin[2]) * part.whole[3] +
            part.begin[3];
        float *y = step->y + row * row_floats;
        for (size_t w = 0; w < part.size[2]; w++)
            memcpy(y + w * channels, x + w * part.whole[3], channels * sizeof *y);
    }
}

/* x's rows of pixels. */
static void backward_rows(const struct nn_step *step, size_t from, size_t to)
{
    struct part part = part_of(step->node);
    size_t channels = part.size[3], row_floats = part.whole[2] * part.whole[3];
    for (size_t row = from; row < to; row++) {
        size_t image = row / part.whole[1], h = row % part.whole[1] - part.begin[1];
        float *dx = step->dx[0] + row * row_floats;
        memset(dx, 0, row_floats * sizeof *dx);
        if (h >= part.size[1]) continue; /* above the part, h has wrapped round */
        const float *dy = step->dy + (image * part.size[1] + h) * part.size[2] * channels;
        dx += part.begin[2] * part.whole[3] + part.begin[3];
        for (size_t w = 0; w < part.size[2]; w++)
            memcpy(dx + w * part.whole[3], dy + w * channels, channels * sizeof *dx);
    }
}

static void forward(struct nn_step *step)
{
    struct part part = part_of(step->node);
    size_t rows = (size_t)nn_op_images(step->node, step->run) * part.size[1];
    nn_step_ranges(step, rows, 1 + NN_GRAIN / (part.size[2] * part.size[3]), forward_rows);
}

static void backward(struct nn_step *step)
{
    struct part part = part_of(step->node);
    size_t rows = (size_t)nn_op_images(step->node, step->run) * part.whole[1];
    nn_step_ranges(step, rows, 1 + NN_GRAIN / (part.whole[2] * part.whole[3]), backward_rows);
}

const struct nn_op nn_op_crop = {
    .name = "crop",
    .title = "Crop",
    .stem = "crop",
    .inputs_min = 1,
    .inputs_max = 1,
    .attributes_size = sizeof(struct attributes),
    .fields = FIELDS,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

struct nn_node *nn_crop(struct nn_node *x, const int offset[NN_MAX_RANK], struct nn_shape shape)
{
    struct attributes attributes = {.shape = shape};
    attributes.offset.rank = x ? x->shape.rank : 0;
    for (int i = 0; i < attributes.offset.rank; i++) attributes.offset.dim[i] = offset[i];
    return nn_append(&nn_op_crop, &x, 1, &attributes);
}
