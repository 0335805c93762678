/* describe.c — a plan as a table one can read: steps, what was fused, where buffers lie. */
#include "nn/compile.h"

#include <stdio.h>

static void describe_step(const struct nn_step *step, const char *direction, char *text,
                          size_t size)
{
    const struct nn_epilogue *epilogue = &step->epilogue;
    char shape[64];
    snprintf(text, size, "%-8s %-28s %-18s %s%s%s%s%s%s%s%s%s", direction, step->node->name,
             step->op->name, nn_shape_text(shape, step->node->shape),
             epilogue->residual ? " +residual" : "", epilogue->scale ? " +affine" : "",
             epilogue->relu ? " +relu" : "", epilogue->scale_after ? " +affine" : "",
             epilogue->pool ? " +pool" : "", step->affine ? " +affine of x" : "",
             step->leaves_affine ? " (statistics)" : "",
             step->fused_relu_backward ? " +relu backward" : "");
}

void nn_plan_print(const struct nn_plan *plan, void (*line)(void *user, const char *text),
                   void *user)
{
    char text[512];
    for (int t = 0; t < plan->constant_count; t++) {
        describe_step(&plan->constant[t], "once", text, sizeof text);
        line(user, text);
    }
    for (int t = 0; t < plan->forward_count; t++) {
        describe_step(&plan->forward[t], "forward", text, sizeof text);
        line(user, text);
    }
    for (int t = 0; t < plan->backward_count; t++) {
        describe_step(&plan->backward[t], "backward", text, sizeof text);
        line(user, text);
    }
    for (int i = 0; i < plan->slot_count; i++) {
        const struct nn_slot *slot = &plan->slots[i], *root = slot;
        size_t inside = 0;
        for (; root != &plan->slots[root->root]; root = &plan->slots[root->root])
            inside += root->inside;
        snprintf(text, sizeof text, "buffer   %-28s %-10s %10zu bytes at %10zu, steps %d to %d%s",
                 slot->node->name, slot->what, slot->bytes, root->offset + inside, slot->first,
                 slot->last < 1 << 30 ? slot->last : plan->forward_count + plan->backward_count,
                 root == slot ? "" : ", shared");
        line(user, text);
    }
    snprintf(text, sizeof text, "block    %zu bytes for a batch of %d", plan->block_bytes,
             plan->batch);
    line(user, text);
}
