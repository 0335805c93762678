/*
 * autograd.c — reverse-mode differentiation: which nodes get a gradient, and in which order the
 * ops' backward functions run.
 *
 * d loss / d loss = 1. Walking the nodes from last to first, each op turns the gradient of its
 * output into those of its inputs (the chain rule); since users come after their inputs, all
 * shares of a node's gradient are in when its turn comes. Where a node has several users the first
 * share is written in place and the others are summed into it, in this fixed order.
 */
#include "nn/compile.h"

static void mark_ancestors_of_loss(struct nn_compiler *compiler)
{
    compiler->mark[compiler->options->loss->index].to_loss = true;
    for (int i = compiler->graph->count - 1; i >= 0; i--) {
        const struct nn_node *node = compiler->graph->nodes[i];
        if (!compiler->mark[i].to_loss) continue;
        for (int j = 0; j < node->inputs; j++) compiler->mark[node->input[j]->index].to_loss = true;
    }
}

static bool wants_gradient(const struct nn_compiler *compiler, const struct nn_node *node)
{
    if (!compiler->mark[node->index].to_loss) return false;
    if (node->kind == NN_KIND_PARAMETER) return true;
    if (node->kind == NN_KIND_INPUT) return compiler->options->input_gradients;
    if (node->kind == NN_KIND_STATE || !node->op->backward) return false;
    for (int i = 0; i < node->inputs; i++)
        if (compiler->mark[node->input[i]->index].gradient) return true;
    return false;
}

enum nn_status nn_plan_gradients(struct nn_compiler *compiler)
{
    struct nn_node *loss = compiler->options->loss;
    if (nn_shape_count(loss->shape) != 1 || loss->shape.dim[0] == NN_BATCH) {
        char text[64];
        return nn_fail(compiler->context, NN_ERROR_SHAPE,
                       "the loss '%s' must be one number, shape (1), not %s", loss->name,
                       nn_shape_text(text, loss->shape));
    }
    mark_ancestors_of_loss(compiler);
    for (int i = 0; i < compiler->graph->count; i++)
        compiler->mark[i].gradient = wants_gradient(compiler, compiler->graph->nodes[i]);
    if (!compiler->mark[loss->index].gradient)
        return nn_fail(compiler->context, NN_ERROR_ARGUMENT,
                       "the loss '%s' depends on no parameter", loss->name);
    return NN_OK;
}
