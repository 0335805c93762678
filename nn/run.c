/* run.c — runs a compiled plan: walks the arrays of steps. No allocation, no decisions. */
#include "nn/compile.h"

#include <stdio.h>

void nn_plan_seed(struct nn_plan *plan, uint64_t seed, uint64_t step)
{
    plan->run.seed = seed;
    plan->run.step = step;
}

/* scale, shift of an affine map, after the map `first`: (x s1 + t1) s + t. */
static void compose(struct nn_step *step)
{
    int channels = nn_channels(step->node);
    float *scale = step->prepared, *shift = scale + channels;
    const float *first = step->compose;
    for (int c = 0; c < channels; c++) {
        shift[c] = (float)((double)first[channels + c] * (double)scale[c] + (double)shift[c]);
        scale[c] = (float)((double)first[c] * (double)scale[c]);
    }
}

/* One weight after another, so that never all are there twice. */
static void release(const struct nn_plan *plan, const struct nn_step *step)
{
    const struct nn_node *weights = step->node->input[1];
    if (!step->sole_user) return;
    weights->graph->released_by = plan;
    nn_give_back(weights->graph->values + weights->offset,
                 nn_shape_count(weights->shape) * sizeof(float));
}

static void prepare(struct nn_plan *plan)
{
    for (int t = 0; t < plan->constant_count && !plan->constants_done; t++)
        plan->constant[t].op->forward(&plan->constant[t]);
    plan->constants_done = true;
    if (plan->prepared == plan->graph->version + 1 || plan->graph->released_by) return;
    for (int t = 0; t < plan->prepare_count; t++) {
        struct nn_step *step = &plan->prepare[t];
        step->op->prepare(step);
        if (step->compose) compose(step);
        if (plan->release_weights && step->op->replaces_weights) release(plan, step);
    }
    plan->prepared = plan->graph->version + 1;
}

static enum nn_status check_weights(const struct nn_plan *plan)
{
    if (plan->graph->released_by && plan->graph->released_by != plan)
        return nn_fail(plan->context, NN_ERROR_ARGUMENT,
                       "the weights are gone: another plan was compiled with release_weights");
    return NN_OK;
}

enum nn_status nn_run_begin(struct nn_plan *plan, int images)
{
    if (images < 1 || images > plan->batch)
        return nn_fail(plan->context, NN_ERROR_ARGUMENT,
                       "this plan runs 1 to %d images at once, not %d", plan->batch, images);
    enum nn_status status = check_weights(plan);
    if (status) return status;
    plan->run.images = images;
    prepare(plan);
    return NN_OK;
}

void nn_run_end(struct nn_plan *plan)
{
    /* Running statistics have moved. */
    if (plan->training || plan->statistics) nn_parameters_changed(plan->graph);
    plan->forward_done = true;
}

static enum nn_status run_forward(struct nn_plan *plan, int images)
{
    enum nn_status status = nn_run_begin(plan, images);
    if (status) return status;
    for (int t = 0; t < plan->forward_count; t++) plan->forward[t].op->forward(&plan->forward[t]);
    nn_run_end(plan);
    return NN_OK;
}

enum nn_status nn_forward(struct nn_plan *plan, int images)
{
    if (plan->statistics)
        return nn_fail(plan->context, NN_ERROR_ARGUMENT,
                       "a plan compiled with statistics is run by nn_measure");
    return run_forward(plan, images);
}

enum nn_status nn_measure(struct nn_plan *plan, int images, float weight)
{
    if (!plan->statistics || !(weight >= 0.0f && weight <= 1.0f))
        return nn_fail(plan->context, NN_ERROR_ARGUMENT,
                       "nn_measure takes a plan compiled with statistics, and a weight in [0, 1]");
    plan->run.weight = weight;
    return run_forward(plan, images);
}

enum nn_status nn_backward(struct nn_plan *plan)
{
    if (!plan->training || !plan->forward_done)
        return nn_fail(plan->context, NN_ERROR_ARGUMENT,
                       "nn_backward follows nn_forward of a plan compiled with a loss");
    enum nn_status status = check_weights(plan);
    if (status) return status;
    plan->loss_seed[0] = 1.0f;
    for (int t = 0; t < plan->backward_count; t++)
        plan->backward[t].op->backward(&plan->backward[t]);
    plan->forward_done = false; /* buffers that forward filled have been reused */
    return NN_OK;
}

/* ---- for ops: a range of elements over the pool ---------------------------------------------- */

struct ranges {
    const struct nn_step *step;
    size_t count, size;
    nn_range_task *task;
};

static void run_range(void *argument, int index, int thread)
{
    const struct ranges *ranges = argument;
    size_t from = (size_t)index * ranges->size, to = from + ranges->size;
    (void)thread;
    ranges->task(ranges->step, from, to < ranges->count ? to : ranges->count);
}

void nn_step_ranges(struct nn_step *step, size_t count, size_t grain, nn_range_task *task)
{
    if (count <= grain || step->context->threads == 1) {
        if (count) task(step, 0, count);
        return;
    }
    /* A share per thread, in whole cache lines. */
    size_t shares = (size_t)step->context->threads;
    size_t size = ((count + shares - 1) / shares + 15) & ~(size_t)15;
    if (size < grain) size = grain;
    struct ranges ranges = {step, count, size, task};
    nn_parallel(step->context, (int)((count + size - 1) / size), run_range, &ranges);
}
