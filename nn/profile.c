/*
 * profile.c — what a plan's forward run consists of, and where its time goes.
 *
 * nn_profile is nn_forward with a look at the clock between the steps: same steps, same order, same
 * caches, so its times add up to a run's. A look costs some 30 ns.
 */
#include "nn/compile.h"

#include <time.h>

int nn_plan_steps(const struct nn_plan *plan)
{
    return plan->forward_count;
}

/* What the epilogue does to a finished sum, in its order. */
static const char *fused_text(const struct nn_epilogue *epilogue)
{
    static const char *const TEXTS[16] = {
        "",
        "residual",
        "affine",
        "residual affine",
        "relu",
        "residual relu",
        "affine relu",
        "residual affine relu",
        "affine",
        "residual affine",
        "affine affine",
        "residual affine affine",
        "relu affine",
        "residual relu affine",
        "affine relu affine",
        "residual affine relu affine",
    };
    return TEXTS[(epilogue->residual ? 1 : 0) + (epilogue->scale ? 2 : 0) +
                 (epilogue->relu ? 4 : 0) + (epilogue->scale_after ? 8 : 0)];
}

/* A concatenation copies what has not been computed in its place already. */
static size_t count_copied(const struct nn_plan *plan, const struct nn_step *step)
{
    const float *end = step->y + nn_node_count_for(step->node, plan->batch);
    size_t floats = 0;
    for (int i = 0; i < step->node->inputs; i++)
        if (step->x[i] < step->y || step->x[i] >= end)
            floats += 2 * nn_node_count_for(step->node->input[i], plan->batch);
    return floats;
}

/* Each tensor is read or written once; what of it stays in a cache is not asked. */
static size_t count_bytes(const struct nn_plan *plan, const struct nn_step *step)
{
    if (step->op->place) return count_copied(plan, step) * sizeof(float);
    size_t value = nn_node_count_for(step->node, plan->batch);
    size_t floats = step->epilogue.residual ? 2 * value : value;
    for (int i = 0; i < step->node->inputs; i++)
        floats += nn_node_count_for(step->node->input[i], plan->batch);
    return floats * sizeof(float);
}

struct nn_step_info nn_plan_step(const struct nn_plan *plan, int index)
{
    if (index < 0 || index >= plan->forward_count) return (struct nn_step_info){0};
    const struct nn_step *step = &plan->forward[index];
    return (struct nn_step_info){.name = step->node->name,
                                 .op = step->op->name,
                                 .fused = fused_text(&step->epilogue),
                                 .shape = step->node->shape,
                                 .multiply_adds = nn_node_multiply_adds(step->node),
                                 .bytes = count_bytes(plan, step),
                                 .seconds = plan->seconds ? plan->seconds[index] : 0.0};
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

enum nn_status nn_profile(struct nn_plan *plan, int images)
{
    if (plan->statistics) return nn_forward(plan, images); /* an error, and its to word */
    if (!plan->seconds)
        plan->seconds =
            nn_alloc(plan->context, (size_t)plan->forward_count + 1, sizeof *plan->seconds);
    if (!plan->seconds) return NN_ERROR_MEMORY;
    enum nn_status status = nn_run_begin(plan, images);
    if (status) return status;
    double before = now();
    for (int t = 0; t < plan->forward_count; t++) {
        plan->forward[t].op->forward(&plan->forward[t]);
        double after = now();
        plan->seconds[t] = after - before;
        before = after;
    }
    nn_run_end(plan);
    return NN_OK;
}
