/*
 * fuse.c — steps that need not run on their own.
 *
 * A convolution or dense layer finishes each sum in registers; what follows it costs nothing there,
 * as far as it comes in the order of struct nn_epilogue: the other branch of a residual block, the
 * per-channel affine map that a batch norm has become at inference, a relu, and another such map.
 * Affine maps in a row are one map. A convolution by Winograd has 4x4 values at hand and can pool
 * them. Where such a map follows something else, it is one pass, and the relu after it rides along.
 * A relu's backward is a mask, and batch norm's backward reads the relu's output anyway. Dropout at
 * inference, and reshapes, are other names for their input.
 *
 * In training a batch norm's map cannot ride along with what comes before, for the statistics have
 * to be known first; it rides along with what reads it.
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

bool nn_op_could_prepare(const struct nn_node *node)
{
    for (int i = 1; i < node->inputs; i++)
        if (node->input[i]->kind == NN_KIND_INPUT || node->input[i]->kind == NN_KIND_OP)
            return false;
    return true;
}

bool nn_plan_prepares(const struct nn_compiler *compiler, const struct nn_node *node)
{
    return nn_plan_predicts(compiler) && node->op->prepare && nn_op_could_prepare(node);
}

bool nn_plan_affine(const struct nn_compiler *compiler, const struct nn_node *node)
{
    return node->op->affine_at_inference && nn_plan_prepares(compiler, node);
}

/* The node before this swallowed one, on the way to the op that computes it. */
static struct nn_node *before(const struct nn_compiler *compiler, const struct nn_node *node)
{
    for (int i = 0; i < node->inputs; i++) {
        struct nn_node *input = node->input[i];
        if (input->kind == NN_KIND_OP &&
            source_of(compiler, input) == compiler->mark[node->index].stands_for)
            return input;
    }
    return compiler->mark[node->index].stands_for;
}

/* The op that could finish `node` together with its own value, which is input i; NULL: none. */
static struct nn_node *host_of(const struct nn_compiler *compiler, const struct nn_node *node,
                               int i)
{
    if (node->inputs <= i || node->input[i]->kind != NN_KIND_OP) return NULL;
    struct nn_node *host = source_of(compiler, node->input[i]);
    if (compiler->mark[host->index].constant || nn_channels(host) != nn_channels(node)) return NULL;
    if (compiler->mark[host->index].fused_pool) return NULL;
    for (const struct nn_node *at = node->input[i]; at != host; at = before(compiler, at))
        if (!only_used_by_next(compiler, at)) return NULL;
    return only_used_by_next(compiler, host) ? host : NULL;
}

static void fuse_relu(struct nn_compiler *compiler, struct nn_node *node)
{
    struct nn_node *host = host_of(compiler, node, 0);
    if (!host || !(host->op->takes_epilogue || nn_plan_affine(compiler, host))) return;
    struct nn_mark *mark = &compiler->mark[host->index];
    if (mark->fused_relu || mark->fused_after) return;
    mark->fused_relu = node;
    swallow(compiler, node, host);
}

static void fuse_affine(struct nn_compiler *compiler, struct nn_node *node)
{
    struct nn_node *host = host_of(compiler, node, 0);
    if (!host) return;
    struct nn_mark *mark = &compiler->mark[host->index];
    bool after = mark->fused_relu || mark->fused_after;
    if (!host->op->takes_epilogue && (after || !nn_plan_affine(compiler, host))) return;
    struct nn_node **place = after ? &mark->fused_after : &mark->fused_affine;
    const struct nn_node *previous = host->op->takes_epilogue ? *place : *place ? *place : host;
    compiler->mark[node->index].composes = previous;
    *place = node;
    swallow(compiler, node, host);
}

/* a + b, where the later of the two is a host and the other one is there before it runs. */
static void fuse_residual(struct nn_compiler *compiler, struct nn_node *node)
{
    for (int i = 0; i < 2; i++) {
        struct nn_node *host = host_of(compiler, node, i), *other = node->input[1 - i];
        if (!host || !host->op->takes_epilogue) continue;
        struct nn_mark *mark = &compiler->mark[host->index];
        if (mark->fused_residual || mark->fused_affine || mark->fused_relu || mark->fused_after)
            continue;
        int from = other->kind == NN_KIND_OP ? source_of(compiler, other)->index : other->index;
        if (from >= host->index) continue;
        mark->fused_residual = other;
        swallow(compiler, node, host);
        return;
    }
}

static void fuse_pool(struct nn_compiler *compiler, struct nn_node *node)
{
    struct nn_node *host = host_of(compiler, node, 0);
    if (!host) return;
    const struct nn_op *op = nn_plan_op(compiler, host);
    struct nn_mark *mark = &compiler->mark[host->index];
    if (!op->takes_pool || !op->takes_pool(host) || mark->fused_residual) return;
    mark->fused_pool = node;
    swallow(compiler, node, host);
}

static void fuse_forward(struct nn_compiler *compiler, struct nn_node *node)
{
    if (compiler->mark[node->index].constant) return;
    if (node->op->relu)
        fuse_relu(compiler, node);
    else if (nn_plan_affine(compiler, node))
        fuse_affine(compiler, node);
    else if (node->op->adds && nn_plan_predicts(compiler))
        fuse_residual(compiler, node);
    else if (node->op->pools_pairs && node->op->pools_pairs(node) && nn_plan_predicts(compiler))
        fuse_pool(compiler, node);
}

/* What depends on shapes alone, and on nothing else that does not. */
static void find_constants(struct nn_compiler *compiler)
{
    for (int i = 0; nn_plan_predicts(compiler) && i < compiler->graph->count; i++) {
        const struct nn_node *node = compiler->graph->nodes[i];
        if (node->kind != NN_KIND_OP) continue;
        bool constant = node->inputs > 0;
        for (int j = 0; j < node->inputs; j++)
            constant = constant && compiler->mark[node->input[j]->index].constant;
        compiler->mark[i].constant = constant || node->op->constant;
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

/* A batch norm whose only reader can take in its affine map. */
static void leave_affine(struct nn_compiler *compiler, const struct nn_node *reader)
{
    struct nn_node *node = reader->input[0];
    if (!reader->op->takes_affine || !reader->op->takes_affine(reader)) return;
    if (node->kind != NN_KIND_OP || !node->op->left || !only_used_by_next(compiler, node)) return;
    if (node->input[0]->kind != NN_KIND_OP) return;
    compiler->mark[node->index].leaves_affine = true;
    compiler->mark[node->index].stands_for = source_of(compiler, node->input[0]);
}

void nn_plan_fusions(struct nn_compiler *compiler)
{
    find_constants(compiler);
    for (int i = 0; i < compiler->graph->count; i++) {
        struct nn_node *node = compiler->graph->nodes[i];
        if (node->kind != NN_KIND_OP || !compiler->mark[i].needed) continue;
        bool nothing = node->op->view || (!compiler->training && node->op->identity_at_inference);
        if (nothing && !compiler->mark[i].constant && !compiler->options->no_sharing &&
            node->input[0]->kind == NN_KIND_OP && !compiler->mark[i].kept &&
            !compiler->mark[node->input[0]->index].kept) {
            /* Views of inputs and parameters, and those the caller reads, are copied. */
            swallow(compiler, node, source_of(compiler, node->input[0]));
            continue;
        }
        if (compiler->options->no_fusion) continue;
        fuse_forward(compiler, node);
        if (compiler->training) {
            fuse_backward(compiler, node);
            leave_affine(compiler, node);
        }
    }
}
