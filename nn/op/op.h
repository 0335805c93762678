/* op.h — what several ops check or do in the same way. */
#ifndef NN_OP_OP_H
#define NN_OP_OP_H

#include "nn/internal.h"

#include <string.h>

/* Work that is cheaper than waking a thread: floats of a simple elementwise loop. */
enum { NN_GRAIN = 16 * 1024 };

/* ---- shape rules ----------------------------------------------------------------------------- */

static inline enum nn_status nn_op_infer_same(struct nn_node *node)
{
    node->shape = node->input[0]->shape;
    return NN_OK;
}

static inline enum nn_status nn_op_expect_equal(struct nn_node *node)
{
    char a[64], b[64];
    if (nn_shape_equal(node->input[0]->shape, node->input[1]->shape)) return NN_OK;
    return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                         "%s '%s': expected two equal shapes, got %s and %s", node->op->name,
                         node->name, nn_shape_text(a, node->input[0]->shape),
                         nn_shape_text(b, node->input[1]->shape));
}

static inline enum nn_status nn_op_expect_rank(struct nn_node *node, int rank, const char *letters)
{
    char text[64];
    if (node->input[0]->shape.rank == rank) return NN_OK;
    return nn_graph_fail(node->graph, NN_ERROR_SHAPE, "%s '%s': expected an input %s, got %s",
                         node->op->name, node->name, letters,
                         nn_shape_text(text, node->input[0]->shape));
}

/* A last axis that is not the images: what counts as a row of channels. */
static inline enum nn_status nn_op_expect_row(struct nn_node *node)
{
    char text[64];
    const struct nn_shape *shape = &node->input[0]->shape;
    if (shape->dim[shape->rank - 1] > 0) return NN_OK;
    return nn_graph_fail(node->graph, NN_ERROR_SHAPE,
                         "%s '%s': expected an input with an axis after the images, got %s",
                         node->op->name, node->name, nn_shape_text(text, *shape));
}

/* Input `i`, one number per channel of input 0. */
static inline enum nn_status nn_op_expect_channels(struct nn_node *node, int i, const char *what)
{
    char text[64];
    const struct nn_shape *shape = &node->input[i]->shape;
    int channels = nn_channels(node->input[0]);
    if (shape->rank == 1 && shape->dim[0] == channels) return NN_OK;
    return nn_graph_fail(node->graph, NN_ERROR_SHAPE, "%s '%s': expected %s of shape (%d), got %s",
                         node->op->name, node->name, what, channels, nn_shape_text(text, *shape));
}

/* ---- at run time ----------------------------------------------------------------------------- */

/* Images of a tensor in this run. */
static inline int nn_op_images(const struct nn_node *node, const struct nn_run *run)
{
    return node->shape.dim[0] == NN_BATCH ? run->images : node->shape.dim[0];
}

/* Floats of the op's value in this run. */
static inline size_t nn_op_count(const struct nn_step *step)
{
    return nn_node_count_for(step->node, step->run->images);
}

/* What a change of shape does where its buffers are not one. */
static inline void nn_op_copy(const struct nn_step *step, float *to, const float *from)
{
    if (to != from) memcpy(to, from, nn_op_count(step) * sizeof *to);
}

/* Rows [from, to) of an op that has become y = x * scale + shift, with what was fused into it: in
 * blocks that stay in the first-level cache between the two passes. */
static inline void nn_op_affine_rows(const struct nn_step *step, size_t from, size_t to)
{
    size_t channels = (size_t)nn_channels(step->node), block = 1 + NN_GRAIN / 4 / channels;
    const float *scale = step->epilogue.scale ? step->epilogue.scale : step->prepared;
    for (size_t row = from; row < to; row += block) {
        size_t rows = to - row < block ? to - row : block;
        float *y = step->y + row * channels;
        step->kernels->scale_shift(y, step->x[0] + row * channels, scale, scale + channels, rows,
                                   (int)channels);
        if (step->epilogue.relu) step->kernels->relu(y, y, rows * channels);
    }
}

#endif
