/*
 * plan.c — nn_compile: from a graph to arrays of steps over one block of memory.
 *
 * The passes are listed in compile.h. Everything that depends on shapes, fusions or buffers is
 * decided here, once; run.c only walks the arrays.
 */
#include "nn/compile.h"

#include <string.h>

/* ---- select ---------------------------------------------------------------------------------- */

static enum nn_status check_options(struct nn_compiler *compiler)
{
    const struct nn_plan_options *options = compiler->options;
    struct nn_graph *graph = compiler->graph;
    enum { MOST_IMAGES = 1 << 20 };
    if (options->batch < 1 || options->batch > MOST_IMAGES)
        return nn_fail(compiler->context, NN_ERROR_ARGUMENT,
                       "batch: expected 1 to %d images, got %d", MOST_IMAGES, options->batch);
    if (graph->count == 0)
        return nn_fail(compiler->context, NN_ERROR_ARGUMENT, "the graph has no nodes");
    for (int i = 0; i < options->output_count; i++)
        if (!options->outputs[i] || options->outputs[i]->graph != graph)
            return nn_fail(compiler->context, NN_ERROR_ARGUMENT,
                           "output %d is not a node of this graph", i);
    if (options->loss && options->statistics)
        return nn_fail(compiler->context, NN_ERROR_ARGUMENT,
                       "a plan is for training (loss) or for nn_measure (statistics), not both");
    if (options->precision != NN_FLOAT32 && options->precision != NN_BFLOAT16)
        return nn_fail(compiler->context, NN_ERROR_ARGUMENT,
                       "precision: expected NN_FLOAT32 or NN_BFLOAT16, got %d",
                       (int)options->precision);
    if (options->precision == NN_BFLOAT16 && (options->loss || options->statistics))
        return nn_fail(compiler->context, NN_ERROR_UNSUPPORTED,
                       "bfloat16 is for predicting: a plan that %s works in floats",
                       options->loss ? "trains" : "measures statistics");
    if (options->loss && options->loss->graph != graph)
        return nn_fail(compiler->context, NN_ERROR_ARGUMENT, "the loss is of another graph");
    for (int i = 0; i < graph->count; i++) {
        const struct nn_node *node = graph->nodes[i];
        size_t bytes;
        if (nn_size_multiply(&bytes, nn_shape_count(node->shape) * sizeof(float),
                             (size_t)options->batch) &&
            bytes <= SIZE_MAX / 4096)
            continue;
        return nn_fail(compiler->context, NN_ERROR_MEMORY, "'%s' is too large for a batch of %d",
                       node->name, options->batch);
    }
    return NN_OK;
}

static void keep(struct nn_compiler *compiler, const struct nn_node *node)
{
    compiler->mark[node->index].needed = compiler->mark[node->index].kept = true;
}

static void select_nodes(struct nn_compiler *compiler)
{
    const struct nn_plan_options *options = compiler->options;
    struct nn_graph *graph = compiler->graph;
    for (int i = 0; i < graph->count; i++) {
        struct nn_mark *mark = &compiler->mark[i];
        mark->value = mark->gradient_slot = mark->saved = NONE;
        mark->prepared = NONE;
        mark->forward_time = mark->backward_time = NONE;
    }
    for (int i = 0; i < options->output_count; i++) keep(compiler, options->outputs[i]);
    if (options->loss) keep(compiler, options->loss);
    if (!options->loss && options->output_count == 0)
        keep(compiler, graph->nodes[graph->count - 1]);
    for (int i = graph->count - 1; i >= 0; i--) {
        const struct nn_node *node = graph->nodes[i];
        if (!compiler->mark[i].needed) continue;
        for (int j = 0; j < node->inputs; j++) {
            compiler->mark[node->input[j]->index].needed = true;
            compiler->mark[node->input[j]->index].uses++;
        }
    }
}

const struct nn_op *nn_plan_op(const struct nn_compiler *compiler, const struct nn_node *node)
{
    const struct nn_op *bf16 = node->op->bf16;
    bool wanted = bf16 && compiler->options->precision == NN_BFLOAT16 &&
                  nn_plan_prepares(compiler, node) && bf16->pays(node);
    return wanted ? bf16 : node->op;
}

/* ---- bind ------------------------------------------------------------------------------------ */

static float *slot_memory(const struct nn_plan *plan, const struct nn_compiler *compiler, int slot)
{
    size_t inside = 0;
    if (slot == NONE) return NULL;
    for (; compiler->slots[slot].root != slot; slot = compiler->slots[slot].root)
        inside += compiler->slots[slot].inside;
    return plan->block + (compiler->slots[slot].offset + inside) / sizeof(float);
}

static float *value_memory(const struct nn_plan *plan, const struct nn_compiler *compiler,
                           const struct nn_node *node)
{
    if (node->kind == NN_KIND_PARAMETER || node->kind == NN_KIND_STATE)
        return plan->graph->values + node->offset;
    return slot_memory(plan, compiler, compiler->mark[node->index].value);
}

/* What prepare makes for a node: of an affine one, scale [C], then shift [C]. NULL: nothing. */
static float *prepared_memory(const struct nn_plan *plan, const struct nn_compiler *compiler,
                              const struct nn_node *node)
{
    if (!node || compiler->mark[node->index].prepared == NONE) return NULL;
    return plan->prepared_values + compiler->mark[node->index].prepared;
}

static void bind_epilogue(struct nn_epilogue *epilogue, const struct nn_plan *plan,
                          const struct nn_compiler *compiler, const struct nn_node *node)
{
    const struct nn_mark *mark = &compiler->mark[node->index];
    epilogue->relu = mark->fused_relu != NULL;
    epilogue->pool = mark->fused_pool != NULL;
    if (mark->fused_residual)
        epilogue->residual = value_memory(plan, compiler, mark->fused_residual);
    epilogue->scale = prepared_memory(plan, compiler, mark->fused_affine);
    epilogue->scale_after = prepared_memory(plan, compiler, mark->fused_after);
    if (epilogue->scale) epilogue->shift = epilogue->scale + nn_channels(node);
    if (epilogue->scale_after) epilogue->shift_after = epilogue->scale_after + nn_channels(node);
}

static void bind_step(struct nn_plan *plan, const struct nn_compiler *compiler,
                      struct nn_step *step, struct nn_node *node, int workspace)
{
    const struct nn_mark *mark = &compiler->mark[node->index];
    *step = (struct nn_step){.op = nn_plan_op(compiler, node),
                             .node = node,
                             .context = plan->context,
                             .kernels = &plan->context->kernels,
                             .run = &plan->run,
                             .training = plan->training,
                             .statistics = plan->statistics};
    for (int i = 0; i < node->inputs; i++)
        step->x[i] = value_memory(plan, compiler, node->input[i]);
    step->y = value_memory(plan, compiler, node);
    step->saved = slot_memory(plan, compiler, mark->saved);
    step->prepared = prepared_memory(plan, compiler, node);
    step->workspace = slot_memory(plan, compiler, workspace);
    step->compose = prepared_memory(plan, compiler, mark->composes);
    step->sole_user = node->inputs > 1 && compiler->mark[node->input[1]->index].uses == 1;
    step->leaves_affine = mark->leaves_affine;
    const struct nn_node *from = node->inputs ? node->input[0] : node;
    if (compiler->mark[from->index].leaves_affine)
        step->affine =
            slot_memory(plan, compiler, compiler->mark[from->index].saved) + from->op->left(from);
    bind_epilogue(&step->epilogue, plan, compiler, node);
    step->fused_relu_backward =
        node->inputs && compiler->mark[node->input[0]->index].relu_backward_fused;
}

/* y += x, as a step of its own. */
static void sum_backward(struct nn_step *step)
{
    size_t count = nn_node_count_for(step->node, step->run->images);
    step->kernels->add(step->dx[0], step->dx[0], step->dy, count);
}
static const struct nn_op SUM = {.name = "sum of gradients", .backward = sum_backward};

static void bind_backward(struct nn_plan *plan, const struct nn_compiler *compiler,
                          struct nn_step *step, const struct nn_planned *planned)
{
    if (!planned->node) {
        bool parameter = planned->sum_parameter;
        const struct nn_node *node = parameter ? plan->graph->nodes[planned->sum_into]
                                               : compiler->slots[planned->sum_into].node;
        *step = (struct nn_step){.op = &SUM,
                                 .node = node,
                                 .context = plan->context,
                                 .kernels = &plan->context->kernels,
                                 .run = &plan->run};
        step->dx[0] = parameter ? plan->gradients + node->offset
                                : slot_memory(plan, compiler, planned->sum_into);
        step->dy = slot_memory(plan, compiler, planned->sum_from);
        return;
    }
    bind_step(plan, compiler, step, planned->node, planned->workspace);
    step->dy = slot_memory(plan, compiler, compiler->mark[planned->node->index].gradient_slot);
    for (int i = 0; i < planned->node->inputs; i++) {
        step->dx[i] = slot_memory(plan, compiler, planned->target[i]);
        if (planned->parameter[i] != NONE)
            step->dx[i] = plan->gradients + plan->graph->nodes[planned->parameter[i]]->offset;
    }
}

static void bind(struct nn_plan *plan, struct nn_compiler *compiler)
{
    for (int t = 0; t < compiler->forward_count; t++)
        bind_step(plan, compiler, &plan->forward[t], compiler->forward[t].node,
                  compiler->forward[t].workspace);
    for (int t = 0; t < compiler->backward_count; t++)
        bind_backward(plan, compiler, &plan->backward[t], &compiler->backward[t]);
    for (int t = 0; t < compiler->constant_count; t++)
        bind_step(plan, compiler, &plan->constant[t], compiler->constant[t].node,
                  compiler->constant[t].workspace);
    plan->constant_count = compiler->constant_count;
    plan->forward_count = compiler->forward_count;
    plan->backward_count = compiler->backward_count;
    for (int i = 0; i < plan->node_count; i++) {
        struct nn_node *node = plan->graph->nodes[i];
        const struct nn_mark *mark = &compiler->mark[i];
        if (mark->kept || (mark->needed && node->kind == NN_KIND_INPUT))
            plan->value[i] = value_memory(plan, compiler, node);
        if (mark->gradient && node->kind == NN_KIND_PARAMETER)
            plan->gradient[i] = plan->gradients + node->offset;
        if (mark->gradient && node->kind == NN_KIND_INPUT)
            plan->gradient[i] = slot_memory(plan, compiler, mark->gradient_slot);
        if (mark->prepared != NONE)
            bind_step(plan, compiler, &plan->prepare[plan->prepare_count++], node, NONE);
    }
    if (plan->training)
        plan->loss_seed = slot_memory(plan, compiler,
                                      compiler->mark[compiler->options->loss->index].gradient_slot);
}

static enum nn_status allocate(struct nn_plan *plan, struct nn_compiler *compiler)
{
    struct nn_context *context = plan->context;
    size_t nodes = (size_t)plan->node_count;
    plan->forward = nn_alloc(context, (size_t)compiler->forward_count + 1, sizeof(struct nn_step));
    plan->backward =
        nn_alloc(context, (size_t)compiler->backward_count + 1, sizeof(struct nn_step));
    plan->prepare = nn_alloc(context, nodes, sizeof(struct nn_step));
    plan->constant =
        nn_alloc(context, (size_t)compiler->constant_count + 1, sizeof(struct nn_step));
    plan->value = nn_alloc(context, nodes, sizeof(float *));
    plan->gradient = nn_alloc(context, nodes, sizeof(float *));
    plan->block = nn_alloc(context, compiler->block_bytes + 1, 1);
    plan->block_bytes = compiler->block_bytes;
    plan->prepared_values = nn_alloc_unset(context, compiler->prepared_floats + 1, sizeof(float));
    if (plan->training)
        plan->gradients = nn_alloc(context, plan->graph->trained_floats + 1, sizeof(float));
    bool complete = plan->forward && plan->backward && plan->prepare && plan->constant &&
                    plan->value && plan->gradient && plan->block && plan->prepared_values &&
                    (plan->gradients || !plan->training);
    return complete ? NN_OK : NN_ERROR_MEMORY;
}

/* ---- compile --------------------------------------------------------------------------------- */

static enum nn_status run_passes(struct nn_compiler *compiler)
{
    size_t nodes = (size_t)compiler->graph->count, inputs = 0;
    for (int i = 0; i < compiler->graph->count; i++)
        inputs += (size_t)compiler->graph->nodes[i]->inputs;
    compiler->mark = nn_alloc(compiler->context, nodes, sizeof *compiler->mark);
    compiler->forward = nn_alloc(compiler->context, nodes, sizeof *compiler->forward);
    compiler->backward = nn_alloc(compiler->context, nodes + inputs, sizeof *compiler->backward);
    compiler->constant = nn_alloc(compiler->context, nodes, sizeof *compiler->constant);
    if (!compiler->mark || !compiler->forward || !compiler->backward || !compiler->constant)
        return NN_ERROR_MEMORY;
    select_nodes(compiler);
    enum nn_status status = compiler->training ? nn_plan_gradients(compiler) : NN_OK;
    if (status) return status;
    nn_plan_fusions(compiler);
    status = nn_plan_lifetimes(compiler);
    return status ? status : nn_plan_layout(compiler);
}

static enum nn_status make_plan(struct nn_plan **made, struct nn_compiler *compiler)
{
    struct nn_plan *plan = nn_alloc(compiler->context, 1, sizeof *plan);
    if (!plan) return NN_ERROR_MEMORY;
    *made = plan;
    plan->context = compiler->context;
    plan->graph = compiler->graph;
    plan->batch = compiler->options->batch;
    plan->training = compiler->training;
    plan->statistics = compiler->statistics;
    plan->release_weights = compiler->options->release_weights;
    plan->node_count = compiler->graph->count;
    enum nn_status status = allocate(plan, compiler);
    if (status) return status;
    bind(plan, compiler);
    plan->slots = compiler->slots;
    plan->slot_count = compiler->slot_count;
    compiler->slots = NULL;
    return NN_OK;
}

enum nn_status nn_compile(struct nn_plan **plan, struct nn_graph *graph,
                          const struct nn_plan_options *options)
{
    *plan = NULL;
    enum nn_status status = nn_graph_seal(graph);
    if (status) return status;
    struct nn_compiler compiler = {.context = graph->context,
                                   .graph = graph,
                                   .options = options,
                                   .training = options->loss != NULL,
                                   .statistics = options->statistics};
    status = check_options(&compiler);
    if (!status) status = run_passes(&compiler);
    if (!status) status = make_plan(plan, &compiler);
    if (status) nn_plan_free(plan);
    nn_free(graph->context, compiler.mark);
    nn_free(graph->context, compiler.forward);
    nn_free(graph->context, compiler.backward);
    nn_free(graph->context, compiler.constant);
    nn_free(graph->context, compiler.slots);
    return status;
}

void nn_plan_free(struct nn_plan **freed)
{
    struct nn_plan *plan = *freed;
    if (!plan) return;
    struct nn_context *context = plan->context;
    nn_free(context, plan->forward);
    nn_free(context, plan->backward);
    nn_free(context, plan->prepare);
    nn_free(context, plan->constant);
    nn_free(context, plan->value);
    nn_free(context, plan->gradient);
    nn_free(context, plan->block);
    nn_free(context, plan->prepared_values);
    nn_free(context, plan->gradients);
    nn_free(context, plan->slots);
    nn_free(context, plan->seconds);
    nn_free(context, plan);
    *freed = NULL;
}

float *nn_data(const struct nn_plan *plan, const struct nn_node *node)
{
    return node && node->index < plan->node_count ? plan->value[node->index] : NULL;
}

float *nn_gradient(const struct nn_plan *plan, const struct nn_node *node)
{
    return node && node->index < plan->node_count ? plan->gradient[node->index] : NULL;
}

size_t nn_plan_bytes(const struct nn_plan *plan)
{
    return plan->block_bytes;
}
