/*
 * overhead.c — what a training step of LivenessNet costs beside arithmetic: the walk over the
 * steps, and handing jobs to threads.
 *
 *     build/bench/overhead [--batch N] [--threads N] [--seconds S]
 *
 * Runs the plan of a training step of which every op has been emptied: it starts as many jobs as
 * the real one does, each of one task per image, and the tasks do nothing. Adam is left out, it
 * adds one job. Times are of single steps; on a machine with other work the least is the overhead,
 * the median says how much the others disturb. Prints one JSON line:
 *
 *     {"batch": 8, "threads": 2, "jobs": 45, "microseconds": 9.1, "median": 9.6}
 */
#include "nn/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_SAMPLES = 100000, MOST_STEPS = 256 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- emptied ops ----------------------------------------------------------------------------- */

/* A real op, emptied; `op` is first, so that a step's op leads to the rest. */
struct emptied {
    struct nn_op op;
    int forward_jobs, backward_jobs;
};

static void nothing(void *argument, int index, int thread)
{
    (void)argument, (void)index, (void)thread;
}

static void run_jobs(const struct nn_step *step, int jobs)
{
    for (int i = 0; i < jobs; i++) nn_parallel(step->context, step->run->images, nothing, NULL);
}

static void forward(struct nn_step *step)
{
    run_jobs(step, ((const struct emptied *)step->op)->forward_jobs);
}

static void backward(struct nn_step *step)
{
    run_jobs(step, ((const struct emptied *)step->op)->backward_jobs);
}

/* Runs each step once to see how many jobs it starts, then empties it. */
static int empty_plan(struct nn_plan *plan, int batch, struct emptied ops[MOST_STEPS])
{
    const struct nn_pool *pool = plan->context->pool;
    struct emptied *next = ops;
    int jobs = 0;
    if (plan->forward_count + plan->backward_count > MOST_STEPS) return -1;
    nn_forward(plan, batch);
    nn_backward(plan);
    for (int t = 0; t < plan->forward_count; t++, next++) {
        struct nn_step *step = &plan->forward[t];
        uint32_t before = nn_pool_jobs(pool);
        step->op->forward(step);
        *next = (struct emptied){*step->op, (int)(nn_pool_jobs(pool) - before), 0};
        next->op.forward = forward;
        step->op = &next->op;
        jobs += next->forward_jobs;
    }
    for (int t = 0; t < plan->backward_count; t++, next++) {
        struct nn_step *step = &plan->backward[t];
        uint32_t before = nn_pool_jobs(pool);
        step->op->backward(step);
        *next = (struct emptied){*step->op, 0, (int)(nn_pool_jobs(pool) - before)};
        next->op.backward = backward;
        step->op = &next->op;
        jobs += next->backward_jobs;
    }
    return jobs;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static struct nn_plan *make_plan(struct nn_context *context, int batch)
{
    struct nn_plan *plan = NULL;
    struct nn_graph *graph = nn_graph_new(context);
    if (!graph) return NULL;
    struct nn_node *softmax = nn_model_livenessnet(graph, 32, 32, 3, 2);
    struct nn_node *target = nn_input(graph, "target", nn_shape2(NN_BATCH, 2));
    struct nn_node *loss =
        softmax ? nn_softmax_cross_entropy(nn_node_input(softmax, 0), target, NULL) : NULL;
    if (nn_initialize(graph, 1)) return NULL;
    nn_compile(&plan, graph,
               &(struct nn_plan_options){
                   .batch = batch, .loss = loss, .outputs = &softmax, .output_count = 1});
    return plan;
}

static void measure(struct nn_plan *plan, int batch, int jobs, double seconds)
{
    static double times[MOST_SAMPLES];
    int count = 0;
    for (double end = now() + seconds; now() < end && count < MOST_SAMPLES; count++) {
        double start = now();
        nn_forward(plan, batch);
        nn_backward(plan);
        times[count] = now() - start;
    }
    if (!count) return;
    qsort(times, (size_t)count, sizeof *times, compare);
    printf("{\"batch\": %d, \"threads\": %d, \"jobs\": %d, \"microseconds\": %.1f, "
           "\"median\": %.1f}\n",
           batch, nn_threads(plan->context), jobs, times[count / 100] * 1e6,
           times[count / 2] * 1e6);
}

int main(int argc, char **argv)
{
    static struct emptied ops[MOST_STEPS];
    int batch = 8, threads = 0;
    double seconds = 1;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--batch"))
            batch = atoi(value);
        else if (!strcmp(argv[i], "--threads"))
            threads = atoi(value);
        else if (!strcmp(argv[i], "--seconds"))
            seconds = atof(value);
        else
            return fprintf(stderr, "overhead: unknown option %s\n", argv[i]), 2;
    }
    struct nn_context *context = NULL;
    struct nn_plan *plan = NULL;
    if (!nn_open(&context, &(struct nn_options){.threads = threads}))
        plan = make_plan(context, batch);
    int jobs = plan ? empty_plan(plan, batch, ops) : -1;
    if (jobs >= 0)
        measure(plan, batch, jobs, seconds);
    else
        fprintf(stderr, "overhead: %s\n", context ? nn_error(context) : "no memory");
    if (plan) {
        struct nn_graph *graph = plan->graph;
        nn_plan_free(&plan);
        nn_graph_free(&graph);
    }
    nn_close(&context);
    return jobs < 0;
}
