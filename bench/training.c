/*
 * training.c — the bare training step of LivenessNet: forward, backward, Adam, on one batch that
 * is in memory. What `liveness train` adds (decoding, augmentation, logging) is not in it.
 *
 *     build/bench/training [--batch N] [--threads N] [--seconds S] [--profile] [--forward]
 *
 * Prints one JSON line: {"batch": 8, "threads": 2, "cpu": "avx512", "images_per_second": 5000.0}
 */
#include "nn/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

enum { REPEATS = 200 };

static double median(double times[REPEATS])
{
    qsort(times, REPEATS, sizeof *times, compare);
    return times[REPEATS / 2];
}

static void print_step(const char *direction, const char *name, double seconds, double flops)
{
    fprintf(stderr, "%-11s %-28s %9.1f us", direction, name, seconds * 1e6);
    if (flops > 0) fprintf(stderr, " %8.1f GFLOP/s", flops / seconds * 1e-9);
    fputc('\n', stderr);
}

struct pass {
    const char *direction, *name;
    double seconds, flops;
};

/* Forward steps, then the halves of the backward steps. */
static struct pass pass_at(const struct nn_plan *plan, int batch, int index)
{
    int forward = nn_plan_steps(plan);
    if (index < forward) {
        struct nn_step_info step = nn_plan_step(plan, index);
        return (struct pass){"forward", step.name, step.seconds, 2 * batch * step.multiply_adds};
    }
    struct nn_backward_info step = nn_plan_backward_step(plan, (index - forward) / 2);
    bool data = (index - forward) % 2 == 0;
    const struct nn_half_info *half = data ? &step.data : &step.weights;
    return (struct pass){half->bytes ? data ? "bwd-data" : "bwd-weights" : NULL, step.name,
                         half->seconds, 2 * batch * half->multiply_adds};
}

/* A line per step and direction, and one for each direction: medians of many runs. */
static void profile(struct nn_plan *plan, int batch, bool training)
{
    static const char *const DIRECTIONS[] = {"forward", "bwd-data", "bwd-weights"};
    int count = nn_plan_steps(plan) + 2 * nn_plan_backward_steps(plan);
    double total[3] = {0}, (*times)[REPEATS] = malloc((size_t)count * sizeof *times);
    for (int i = 0; times && i < REPEATS; i++) {
        nn_profile(plan, batch);
        if (training) nn_profile_backward(plan);
        for (int t = 0; t < count; t++) times[t][i] = pass_at(plan, batch, t).seconds;
    }
    for (int t = 0; times && t < count; t++) {
        struct pass pass = pass_at(plan, batch, t);
        if (!pass.direction) continue;
        double seconds = median(times[t]);
        print_step(pass.direction, pass.name, seconds, pass.flops);
        for (int d = 0; d < 3; d++)
            if (strcmp(pass.direction, DIRECTIONS[d]) == 0) total[d] += seconds;
    }
    for (int d = 0; d < (training ? 3 : 1); d++) print_step(DIRECTIONS[d], "total", total[d], 0);
    free(times);
}

int main(int argc, char **argv)
{
    int batch = 8, threads = 0;
    double seconds = 1;
    bool profiled = false, only_forward = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--profile"))
            profiled = true;
        else if (!strcmp(argv[i], "--forward"))
            only_forward = true;
        else if (!strcmp(argv[i], "--batch"))
            batch = atoi(value), i++;
        else if (!strcmp(argv[i], "--threads"))
            threads = atoi(value), i++;
        else if (!strcmp(argv[i], "--seconds"))
            seconds = atof(value), i++;
        else
            return fprintf(stderr, "training: unknown option %s\n", argv[i]), 2;
    }
    struct nn_context *context;
    struct nn_plan *plan = NULL;
    struct nn_optimizer *optimizer = NULL;
    if (nn_open(&context, &(struct nn_options){.threads = threads})) goto fail;
    struct nn_graph *graph = nn_graph_new(context);
    if (!graph) goto fail;
    struct nn_node *softmax = nn_model_livenessnet(graph, 32, 32, 3, 2);
    struct nn_node *target = nn_input(graph, "target", nn_shape2(NN_BATCH, 2));
    struct nn_node *loss =
        softmax ? nn_softmax_cross_entropy(nn_node_input(softmax, 0), target, NULL) : NULL;
    if (nn_initialize(graph, 1)) goto fail;
    if (nn_compile(&plan, graph,
                   &(struct nn_plan_options){.batch = batch,
                                             .loss = only_forward ? NULL : loss,
                                             .outputs = &softmax,
                                             .output_count = 1}))
        goto fail;
    struct nn_rng rng = nn_rng_make(1, 1);
    float *x = nn_data(plan, nn_find(graph, "input"));
    for (int i = 0; i < batch * 32 * 32 * 3; i++) x[i] = nn_rng_uniform(&rng, 0, 1);
    if (!only_forward) {
        float *y = nn_data(plan, target);
        for (int i = 0; i < batch; i++) y[2 * i + i % 2] = 1, y[2 * i + 1 - i % 2] = 0;
        if (nn_optimizer_new(&optimizer, plan, &(struct nn_optimizer_options){.kind = NN_ADAM}))
            goto fail;
    }
    int steps = 0, warm = 0;
    double start = now();
    for (double end = start + seconds; now() < end || warm < 2;) {
        nn_plan_seed(plan, 1, (uint64_t)steps);
        nn_forward(plan, batch);
        if (!only_forward) {
            nn_backward(plan);
            nn_optimizer_step(optimizer, 1e-4f);
        }
        steps++;
        if (warm < 2 && now() - start > seconds / 5) { /* caches, clocks, page tables */
            if (warm++ == 0) continue;
            steps = 0, start = now(), end = start + seconds;
        }
    }
    double rate = steps * (double)batch / (now() - start);
    printf("{\"batch\": %d, \"threads\": %d, \"cpu\": \"%s\", \"images_per_second\": %.1f}\n",
           batch, nn_threads(context), nn_cpu(context), rate);
    if (profiled) profile(plan, batch, !only_forward);
    nn_optimizer_free(&optimizer);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
    nn_close(&context);
    return 0;
fail:
    fprintf(stderr, "training: %s\n", nn_error(context));
    return 1;
}
