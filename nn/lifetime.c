/*
 * lifetime.c — every buffer a plan needs, from which step to which it is alive, and which of them
 * can be the same memory.
 *
 * Forward step t of a training plan is answered by a backward step later on; a value lives until
 * the last of its readers, and backward functions say what they read (nn_op.bwd_reads): a relu
 * whose backward needs only its output lets its input be overwritten at once.
 */
#include "nn/compile.h"

enum { FOREVER = 1 << 30 };

static int new_slot(struct nn_compiler *compiler, const struct nn_node *node, const char *what,
                    size_t bytes, int time)
{
    if (compiler->slot_count == compiler->slot_capacity) {
        int capacity = compiler->slot_capacity ? 2 * compiler->slot_capacity : 64;
        struct nn_slot *grown = nn_realloc(compiler->context, compiler->slots, (size_t)capacity,
                                           sizeof *compiler->slots);
        if (!grown) return NONE;
        compiler->slots = grown;
        compiler->slot_capacity = capacity;
    }
    int index = compiler->slot_count++;
    compiler->slots[index] = (struct nn_slot){.bytes = bytes ? bytes : sizeof(float),
                                              .first = time,
                                              .last = time,
                                              .root = index,
                                              .what = what,
                                              .node = node};
    return index;
}

static struct nn_slot *root_of(const struct nn_compiler *compiler, int slot)
{
    while (compiler->slots[slot].root != slot) slot = compiler->slots[slot].root;
    return &compiler->slots[slot];
}

static void use(struct nn_compiler *compiler, int slot, int time)
{
    if (slot == NONE) return;
    struct nn_slot *root = root_of(compiler, slot);
    if (time > root->last) root->last = time;
}

/* `slot` becomes another name for the memory of `other`, `inside` bytes into it. */
static void share(struct nn_compiler *compiler, int slot, int other, size_t inside)
{
    struct nn_slot *a = root_of(compiler, slot), *b = root_of(compiler, other);
    if (a == b) return;
    if (a->first < b->first) b->first = a->first;
    if (a->last > b->last) b->last = a->last;
    a->root = b->root;
    a->inside = inside;
}

/* ---- what there is --------------------------------------------------------------------------- */

/* Notes the step that computes an op; returns its time. */
static int add_step(struct nn_compiler *compiler, struct nn_node *node)
{
    struct nn_mark *mark = &compiler->mark[node->index];
    struct nn_planned planned = {.node = node, .workspace = NONE};
    if (mark->constant) {
        compiler->constant[compiler->constant_count++] = planned;
        return 0;
    }
    mark->forward_time = compiler->forward_count;
    compiler->forward[compiler->forward_count] = planned;
    return compiler->forward_count++;
}

static enum nn_status add_forward_steps(struct nn_compiler *compiler)
{
    for (int i = 0; i < compiler->graph->count; i++) {
        struct nn_node *node = compiler->graph->nodes[i];
        struct nn_mark *mark = &compiler->mark[i];
        if (!mark->needed || node->kind == NN_KIND_PARAMETER || node->kind == NN_KIND_STATE)
            continue;
        bool runs = node->kind == NN_KIND_OP && !mark->no_step;
        int time = runs ? add_step(compiler, node) : 0;
        if (mark->stands_for) {
            mark->value = compiler->mark[mark->stands_for->index].value;
        } else {
            const struct nn_node *stored = mark->fused_pool ? mark->fused_pool : node;
            mark->value = new_slot(compiler, node, "value", nn_value_bytes(compiler, stored), time);
            if (mark->value == NONE) return NN_ERROR_MEMORY;
        }
        if (node->kind == NN_KIND_INPUT || mark->kept || mark->constant)
            use(compiler, mark->value, FOREVER);
    }
    return NN_OK;
}

/* Where the gradient of input i of `node` goes: through a relu whose backward is fused. */
static struct nn_node *gradient_receiver(const struct nn_compiler *compiler,
                                         const struct nn_node *node, int i)
{
    struct nn_node *input = node->input[i];
    if (!compiler->mark[input->index].gradient) return NULL;
    return i == 0 && compiler->mark[input->index].relu_backward_fused ? input->input[0] : input;
}

/* Gives dx[i] of the backward step `planned` a place; a second share of a gradient gets a place
 * of its own and a step that sums it. */
static enum nn_status place_gradient(struct nn_compiler *compiler, struct nn_planned *planned,
                                     int i, int time, int *sums)
{
    struct nn_node *receiver = gradient_receiver(compiler, planned->node, i);
    if (!receiver) return NN_OK;
    struct nn_mark *mark = &compiler->mark[receiver->index];
    bool parameter = receiver->kind == NN_KIND_PARAMETER;
    bool first = !mark->gradient_begun;
    mark->gradient_begun = true;
    size_t bytes = nn_value_bytes(compiler, receiver);
    if (first && parameter) {
        planned->parameter[i] = receiver->index;
        return NN_OK;
    }
    int slot = new_slot(compiler, receiver, first ? "gradient" : "share", bytes, time);
    if (slot == NONE) return NN_ERROR_MEMORY;
    planned->target[i] = slot;
    if (first) {
        mark->gradient_slot = slot;
        if (receiver->kind == NN_KIND_INPUT) use(compiler, slot, FOREVER);
        return NN_OK;
    }
    struct nn_planned *sum = &compiler->backward[compiler->backward_count + 1 + (*sums)++];
    *sum = (struct nn_planned){.sum_from = slot, .sum_parameter = parameter, .workspace = NONE};
    sum->sum_into = parameter ? receiver->index : mark->gradient_slot;
    return NN_OK;
}

static enum nn_status add_backward_steps(struct nn_compiler *compiler)
{
    struct nn_node *loss = compiler->options->loss;
    struct nn_mark *loss_mark = &compiler->mark[loss->index];
    loss_mark->gradient_slot =
        new_slot(compiler, loss, "gradient", sizeof(float), compiler->forward_count);
    if (loss_mark->gradient_slot == NONE) return NN_ERROR_MEMORY;
    for (int i = loss->index; i >= 0; i--) {
        struct nn_node *node = compiler->graph->nodes[i];
        struct nn_mark *mark = &compiler->mark[i];
        if (node->kind != NN_KIND_OP || !mark->gradient || mark->relu_backward_fused) continue;
        int time = compiler->forward_count + compiler->backward_count, sums = 0;
        struct nn_planned *planned = &compiler->backward[compiler->backward_count];
        *planned = (struct nn_planned){.node = node, .workspace = NONE};
        mark->backward_time = time;
        for (int j = 0; j < NN_MAX_INPUTS; j++) planned->target[j] = planned->parameter[j] = NONE;
        use(compiler, mark->gradient_slot, time);
        for (int j = 0; j < node->inputs; j++) {
            enum nn_status status = place_gradient(compiler, planned, j, time, &sums);
            if (status) return status;
        }
        for (int j = 0; j < sums; j++) {
            const struct nn_planned *sum = planned + 1 + j;
            use(compiler, sum->sum_from, time + 1 + j);
            if (!sum->sum_parameter) use(compiler, sum->sum_into, time + 1 + j);
        }
        compiler->backward_count += 1 + sums;
    }
    return NN_OK;
}

static enum nn_status add_scratch(struct nn_compiler *compiler, struct nn_planned *planned,
                                  int time)
{
    if (!planned->node) return NN_OK;
    const struct nn_node *node = planned->node;
    int batch = compiler->options->batch, threads = compiler->context->threads;
    const struct nn_op *op = nn_plan_op(compiler, node);
    size_t bytes = op->workspace ? op->workspace(node, batch, threads,
                                                 compiler->training || compiler->statistics)
                                 : 0;
    if (!bytes) return NN_OK;
    planned->workspace = new_slot(compiler, node, "workspace", bytes, time);
    return planned->workspace == NONE ? NN_ERROR_MEMORY : NN_OK;
}

static enum nn_status add_saved(struct nn_compiler *compiler)
{
    for (int i = 0; i < compiler->graph->count; i++) {
        struct nn_node *node = compiler->graph->nodes[i];
        struct nn_mark *mark = &compiler->mark[i];
        if (node->kind != NN_KIND_OP || !mark->needed || !node->op->saved) continue;
        size_t bytes = node->op->saved(node, compiler->options->batch, compiler->training);
        if (!bytes || mark->forward_time == NONE) continue;
        mark->saved = new_slot(compiler, node, "saved", bytes, mark->forward_time);
        if (mark->saved == NONE) return NN_ERROR_MEMORY;
        use(compiler, mark->saved, mark->backward_time);
    }
    return NN_OK;
}

/* What prepare makes lives as long as the plan: one after another, in a block of its own. */
static enum nn_status add_prepared(struct nn_compiler *compiler)
{
    for (int i = 0; i < compiler->graph->count; i++) {
        const struct nn_node *node = compiler->graph->nodes[i];
        if (node->kind != NN_KIND_OP || !compiler->mark[i].needed ||
            !nn_plan_prepares(compiler, node))
            continue;
        size_t floats = (nn_plan_op(compiler, node)->prepared(node) + 15) & ~(size_t)15;
        if (!floats) continue;
        compiler->mark[i].prepared = (ptrdiff_t)compiler->prepared_floats;
        compiler->prepared_floats += floats;
        if (compiler->prepared_floats > PTRDIFF_MAX / sizeof(float)) return NN_ERROR_MEMORY;
    }
    return NN_OK;
}

/* ---- who reads what, when -------------------------------------------------------------------- */

static void note_readers(struct nn_compiler *compiler)
{
    for (int i = 0; i < compiler->graph->count; i++) {
        const struct nn_node *node = compiler->graph->nodes[i];
        const struct nn_mark *mark = &compiler->mark[i];
        if (node->kind != NN_KIND_OP || !mark->needed) continue;
        int forward = mark->forward_time;
        if (forward == NONE && mark->stands_for)
            forward = compiler->mark[mark->stands_for->index].forward_time;
        for (int j = 0; j < node->inputs; j++) {
            int value = compiler->mark[node->input[j]->index].value;
            use(compiler, value, forward);
            if (compiler->mark[node->input[j]->index].leaves_affine) {
                use(compiler, compiler->mark[node->input[j]->index].saved, forward);
                use(compiler, compiler->mark[node->input[j]->index].saved, mark->backward_time);
            }
            if (mark->backward_time != NONE && (node->op->bwd_reads & NN_READS_X(j)))
                use(compiler, value, mark->backward_time);
        }
        if (mark->backward_time != NONE && (node->op->bwd_reads & NN_READS_Y))
            use(compiler, mark->value, mark->backward_time);
    }
}

/* Values that are put side by side are computed where they shall lie. */
static void share_places(struct nn_compiler *compiler)
{
    for (int t = 0; t < compiler->forward_count; t++) {
        const struct nn_node *node = compiler->forward[t].node;
        for (int i = 0; node->op->place && i < node->inputs; i++) {
            const struct nn_mark *input = &compiler->mark[node->input[i]->index];
            size_t floats;
            if (node->input[i]->kind != NN_KIND_OP || input->constant ||
                compiler->slots[input->value].root != input->value ||
                !node->op->place(&floats, node, i, compiler->options->batch))
                continue;
            share(compiler, input->value, compiler->mark[node->index].value,
                  floats * sizeof(float));
        }
    }
}

static void share_in_place(struct nn_compiler *compiler)
{
    for (int t = 0; t < compiler->forward_count; t++) {
        const struct nn_node *node = compiler->forward[t].node;
        if (!node->op->inplace || node->input[0]->kind != NN_KIND_OP) continue;
        int x = compiler->mark[node->input[0]->index].value;
        int y = compiler->mark[node->index].value;
        const struct nn_slot *root = root_of(compiler, x);
        if (root->last <= t && root->bytes == root_of(compiler, y)->bytes) share(compiler, y, x, 0);
    }
    for (int t = 0; t < compiler->backward_count; t++) {
        const struct nn_planned *planned = &compiler->backward[t];
        if (!planned->node || !planned->node->op->inplace_backward || planned->target[0] == NONE)
            continue;
        int dy = compiler->mark[planned->node->index].gradient_slot, dx = planned->target[0];
        const struct nn_slot *root = root_of(compiler, dy);
        if (root->last <= compiler->forward_count + t &&
            root->bytes == root_of(compiler, dx)->bytes)
            share(compiler, dx, dy, 0);
    }
}

enum nn_status nn_plan_lifetimes(struct nn_compiler *compiler)
{
    enum nn_status status = add_forward_steps(compiler);
    if (!status && compiler->training) status = add_backward_steps(compiler);
    if (!status) status = add_saved(compiler);
    if (!status) status = add_prepared(compiler);
    for (int t = 0; !status && t < compiler->forward_count; t++)
        status = add_scratch(compiler, &compiler->forward[t], t);
    for (int t = 0; !status && t < compiler->backward_count; t++)
        status = add_scratch(compiler, &compiler->backward[t], compiler->forward_count + t);
    for (int t = 0; !status && t < compiler->constant_count; t++)
        status = add_scratch(compiler, &compiler->constant[t], 0);
    if (status) return status;
    for (int t = 0; t < compiler->constant_count; t++)
        use(compiler, compiler->constant[t].workspace, FOREVER);
    if (nn_plan_predicts(compiler) && !compiler->options->no_sharing) share_places(compiler);
    note_readers(compiler);
    if (compiler->options->no_sharing) {
        for (int i = 0; i < compiler->slot_count; i++) {
            compiler->slots[i].first = 0;
            compiler->slots[i].last = FOREVER;
        }
    } else {
        share_in_place(compiler);
    }
    return NN_OK;
}
