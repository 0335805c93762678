/*
 * fuse.c — steps that need not run on their own.
 *
 * A convolution or dense layer finishes each sum in registers: the relu after it, and at inference
 * the per-channel affine map a batch norm has become, cost nothing there. A relu's backward is a
 * mask, and batch norm's backward reads the relu's output anyway. Dropout at inference, and
 * reshapes, are other names for their input.
 *
 * A node can only be swallowed when nobody else wants to see its value.
 */
#include "nn/compile.h"

static bool only_used_by_next(const struct nn_compiler *compiler, const struct nn_node *node)
{
    const struct nn_mark *mark = &compiler->mark[node->index];
    return mark->uses == 1 && !mark->kept;
}

/* The op that computes `node`'s value, through nodes that were swallowed already. */
static struct nn_node *source_of(const struct nn_compiler *compiler, struct nn_node *node)
{
    while (compiler->mark[node->index].stands_for) node = compiler->mark[node->index].stands_for;
    return node;
}

static void swallow(struct nn_compiler *compiler, struct nn_node *node, struct nn_node *into)
{
    compiler->mark[node->index].no_step = true;
    compiler->mark[node->index].stands_for = into;
}

static void fuse_forward(struct nn_compiler *compiler, struct nn_node *node)
{
    if (node->inputs == 0 || node->input[0]->kind != NN_KIND_OP) return;
    struct nn_node *source = source_of(compiler, node->input[0]);
    if (!source->op->takes_epilogue || nn_channels(source) != nn_channels(node)) return;
    for (const struct nn_node *between = node->input[0]; between != source;
         between = between->input[0])
        if (!only_used_by_next(compiler, between)) return;
    if (!only_used_by_next(compiler, source)) return;
    struct nn_mark *mark = &compiler->mark[source->index];
    if (node->op->relu && !mark->fused_relu && !mark->fused_affine) {
        mark->fused_relu = node;
        swallow(compiler, node, source);
    } else if (!compiler->training && !compiler->statistics && node->op->affine_at_inference &&
               !mark->fused_affine) {
        mark->fused_affine = node;
        swallow(compiler, node, source);
    }
}

static void fuse_backward(struct nn_compiler *compiler, const struct nn_node *node)
{
    struct nn_node *relu = node->input[0];
    if (!node->op->masks_relu || relu->kind != NN_KIND_OP || !relu->op->relu) return;
    if (!only_used_by_next(compiler, relu) || relu->input[0]->kind != NN_KIND_OP) return;
    if (compiler->mark[relu->input[0]->index].uses != 1) return;
    compiler->mark[relu->index].relu_backward_fused = compiler->mark[relu->index].gradient;
}

void nn_plan_fusions(struct nn_compiler *compiler)
{
    for (int i = 0; i < compiler->graph->count; i++) {
        struct nn_node *node = compiler->graph->nodes[i];
        if (node->kind != NN_KIND_OP || !compiler->mark[i].needed) continue;
        bool nothing = node->op->view || (!compiler->training && node->op->identity_at_inference);
        if (nothing && !compiler->options->no_sharing && node->input[0]->kind == NN_KIND_OP &&
            !compiler->mark[i].kept && !compiler->mark[node->input[0]->index].kept) {
            /* Views of inputs and parameters, and those the caller reads, are copied. */
            swallow(compiler, node, source_of(compiler, node->input[0]));
            continue;
        }
        if (compiler->options->no_fusion) continue;
        fuse_forward(compiler, node);
        if (compiler->training) fuse_backward(compiler, node);
    }
}
