/*
 * conv2d.h — what a conv2d node knows about itself and how it runs: shared by the way there
 * (conv2d.c), the way back (conv_gradient.c) and the way there in bfloat16 (conv_bf16.c).
 */
#ifndef NN_OP_CONV2D_H
#define NN_OP_CONV2D_H

#include "nn/op/conv_pass.h"

enum { X, W, B };

struct attributes {
    int stride_h, stride_w, dilation_h, dilation_w, groups, padding;
    int pad_top, pad_left, pad_bottom, pad_right;
    struct geometry *geometry; /* made by infer, not saved */
};

struct geometry {
    struct pass forward, backward;
    int kernel_h, kernel_w, groups;
    struct nn_winograd winograd, back_winograd; /* of both passes, where they go that way */
    bool by_winograd, back_by_winograd;
};

static inline const struct geometry *geometry_of(const struct nn_node *node)
{
    return ((const struct attributes *)node->attributes)->geometry;
}

/* One run over all images: forward, or dx from dy. */
struct conv_job {
    const struct nn_step *step;
    const struct pass *pass;
    const float *from, *weights;
    float *to, *scratch;    /* scratch: one per thread */
    ptrdiff_t group_stride; /* floats from a group's weights to the next's */
    int w_stride;
    int panel;              /* filters whose weights begin at one place */
    ptrdiff_t panel_stride; /* floats from a panel's weights to the next's */
    int chunk;              /* panels of one task */
    ptrdiff_t ahead;        /* as in struct nn_conv_row */
    struct nn_epilogue epilogue;
};

void nn_conv_run(struct conv_job *job);

size_t nn_conv_workspace(const struct nn_node *node, int batch, int threads, bool training);
void nn_conv_backward(struct nn_step *step);

#endif
