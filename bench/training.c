/*
 * training.c — the bare training step of LivenessNet: forward, backward, Adam, on one batch that
 * is in memory. What `liveness train` adds (decoding, augmentation, logging) is not in it.
 *
 *     build/bench/training [--batch N] [--threads N] [--seconds S] [--profile] [--forward]
 *
 * Prints one JSON line: {"batch": 8, "threads": 2, "cpu": "avx512", "images_per_second": 5000.0}
 */
#include "nn/compile.h"

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

/* Runs each step of the plan alone, many times, and prints the median. Values are those of the
 * run before, so only times mean something here. */
static void profile(struct nn_step *steps, int count, const char *direction)
{
    enum { REPEATS = 200 };
    double total = 0;
    for (int t = 0; t < count; t++) {
        double times[REPEATS];
        bool backward = strcmp(direction, "backward") == 0;
        for (int i = 0; i < REPEATS; i++) {
            double start = now();
            if (backward)
                steps[t].op->backward(&steps[t]);
            else
                steps[t].op->forward(&steps[t]);
            times[i] = now() - start;
        }
        qsort(times, REPEATS, sizeof *times, compare);
        total += times[REPEATS / 2];
        double work = nn_node_multiply_adds(steps[t].node) * 2 * steps[t].run->images *
                      (backward ? (steps[t].dx[0] ? 2 : 1) : 1);
        fprintf(stderr, "%-9s %-28s %9.1f us", direction, steps[t].node->name,
                times[REPEATS / 2] * 1e6);
        if (work > 0) fprintf(stderr, " %8.1f GFLOP/s", work / times[REPEATS / 2] * 1e-9);
        fputc('\n', stderr);
    }
    fprintf(stderr, "%-9s %-28s %9.1f us\n", direction, "total", total * 1e6);
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
    if (profiled) {
        profile(plan->forward, plan->forward_count, "forward");
        profile(plan->backward, plan->backward_count, "backward");
    }
    nn_optimizer_free(&optimizer);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
    nn_close(&context);
    return 0;
fail:
    fprintf(stderr, "training: %s\n", nn_error(context));
    return 1;
}
