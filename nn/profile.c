/*
 * profile.c — what a plan's runs consist of, and where their time goes.
 *
 * nn_profile is nn_forward with a look at the clock between the steps: same steps, same order, same
 * caches, so its times add up to a run's. A look costs some 30 ns. nn_profile_backward is the same
 * of nn_backward; an op that finds no place for one of its gradients computes only the others, and
 * so each half of a convolution can be timed alone, to the same bits.
 */
#include "nn/compile.h"
#include "nn/measure.h"

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
    static const char *const POOLED[8] = {
        "pool",        "affine pool",        "relu pool",        "affine relu pool",
        "affine pool", "affine affine pool", "relu affine pool", "affine relu affine pool",
    };
    if (epilogue->pool)
        return POOLED[(epilogue->scale ? 1 : 0) + (epilogue->relu ? 2 : 0) +
                      (epilogue->scale_after ? 4 : 0)];
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
    if (step->epilogue.pool) { /* pairs of rows, of columns: an odd one is left out */
        const int *of = step->node->shape.dim;
        value = value / (size_t)(of[1] * of[2]) * (size_t)(of[1] / 2 * (of[2] / 2));
    }
    if (step->leaves_affine) value = 0;
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

/* Seconds: a row for the forward steps, then two for each backward step: data, weights. */
static bool have_seconds(struct nn_plan *plan)
{
    size_t count = (size_t)plan->forward_count + 2 * (size_t)plan->backward_count;
    if (!plan->seconds) plan->seconds = nn_alloc(plan->context, count + 1, sizeof *plan->seconds);
    return plan->seconds != NULL;
}

enum nn_status nn_profile(struct nn_plan *plan, int images)
{
    if (plan->statistics) return nn_forward(plan, images); /* an error, and its to word */
    if (!have_seconds(plan)) return NN_ERROR_MEMORY;
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

/* ---- backward -------------------------------------------------------------------------------- */

enum { X, W };

int nn_plan_backward_steps(const struct nn_plan *plan)
{
    return plan->backward_count;
}

/* An op that multiplies by weights, x[1] and any bias behind it, whose gradients can be had or left
 * apart from that of x[0]. */
static bool has_weights(const struct nn_step *step)
{
    if (!step->op->multiply_adds) return false;
    for (int i = W; i < step->node->inputs; i++)
        if (step->dx[i]) return true;
    return false;
}

static size_t count_input(const struct nn_plan *plan, const struct nn_step *step, int i)
{
    return nn_node_count_for(step->node->input[i], plan->batch);
}

/* dy and w in, dx out; any other op: what it reads, and all that it writes. */
static struct nn_half_info data_half(const struct nn_plan *plan, const struct nn_step *step)
{
    size_t value = nn_node_count_for(step->node, plan->batch), floats = step->dy ? value : 0;
    struct nn_half_info half = {0};
    if (step->op->view && step->dx[X] == step->dy)
        return half; /* the same numbers in their place */
    if (step->op->multiply_adds) {
        if (!step->dx[X]) return half;
        half.multiply_adds = nn_node_multiply_adds(step->node);
        floats += count_input(plan, step, X) + count_input(plan, step, W);
    } else if (!step->op->infer) { /* a sum of gradients: one more comes in, and one goes out */
        floats += 2 * value;
    } else {
        for (int i = 0; i < step->node->inputs; i++)
            floats += count_input(plan, step, i) *
                      ((step->dx[i] != NULL) + (size_t)(step->op->bwd_reads >> i & 1));
        if (step->op->bwd_reads & NN_READS_Y) floats += value;
    }
    half.bytes = floats * sizeof(float);
    return half;
}

/* x and dy in, dw and db out. */
static struct nn_half_info weights_half(const struct nn_plan *plan, const struct nn_step *step)
{
    struct nn_half_info half = {0};
    if (!has_weights(step)) return half;
    size_t floats = nn_node_count_for(step->node, plan->batch) + count_input(plan, step, X);
    for (int i = W; i < step->node->inputs; i++)
        if (step->dx[i]) floats += count_input(plan, step, i);
    half.multiply_adds = nn_node_multiply_adds(step->node);
    half.bytes = floats * sizeof(float);
    return half;
}

struct nn_backward_info nn_plan_backward_step(const struct nn_plan *plan, int index)
{
    if (index < 0 || index >= plan->backward_count) return (struct nn_backward_info){0};
    const struct nn_step *step = &plan->backward[index];
    struct nn_backward_info info = {.name = step->node->name,
                                    .op = step->op->name,
                                    .shape = step->node->shape,
                                    .data = data_half(plan, step),
                                    .weights = weights_half(plan, step)};
    if (!plan->seconds) return info;
    const double *seconds = plan->seconds + plan->forward_count + 2 * (ptrdiff_t)index;
    info.data.seconds = seconds[0];
    info.weights.seconds = seconds[1];
    return info;
}

/* Runs the step, in halves where it has two; seconds of each. */
static void time_backward(struct nn_step *step, double seconds[2])
{
    double start = now();
    seconds[1] = 0;
    struct nn_step half = *step;
    if (has_weights(step)) {
        half.dx[X] = NULL;
        half.op->backward(&half);
        double middle = now();
        seconds[1] = middle - start;
        start = middle;
        half = *step;
        for (int i = W; i < step->node->inputs; i++) half.dx[i] = NULL;
        seconds[0] = 0;
        if (!half.dx[X]) return;
    }
    half.op->backward(&half);
    seconds[0] = now() - start;
}

enum nn_status nn_profile_backward(struct nn_plan *plan)
{
    if (!plan->training || !plan->forward_done) return nn_backward(plan); /* which says so */
    if (!have_seconds(plan)) return NN_ERROR_MEMORY;
    plan->loss_seed[0] = 1.0f;
    for (int t = 0; t < plan->backward_count; t++)
        time_backward(&plan->backward[t], plan->seconds + plan->forward_count + 2 * (ptrdiff_t)t);
    plan->forward_done = false;
    return NN_OK;
}
