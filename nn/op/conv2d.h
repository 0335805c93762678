/*
 * conv2d.h — what a conv2d node knows about itself: what its own op and the one for bfloat16 share.
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

#endif
