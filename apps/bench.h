/*
 * bench.h — what `bench` measures and tells.
 *
 *   bench.c          the network, its input, turns of runs
 *   bench_report.c   a table, or JSON
 */
#ifndef APPS_BENCH_H
#define APPS_BENCH_H

#include "apps/network.h"

struct bench_settings {
    struct cli_common common;
    const char *model, *picture;
    int batch;
    double seconds;
};

/* What this machine can do with all threads in use. */
struct bench_machine {
    double peak;      /* FLOP/s */
    double near, far; /* bytes/s: out of the second-level caches, out of memory */
};

struct bench {
    struct app *app;
    const struct bench_settings *settings;
    struct network network;
    struct nn_plan *plan;
    struct bench_machine machine;
    int steps, turns, repeats; /* runs per turn */
    double *run;               /* [turns] seconds */
    double *step;              /* [steps][BENCH_TURNS] seconds */
    /* medians of them, in seconds */
    double *step_median; /* [steps] */
    double run_median, run_best, steps_sum;
    double multiply_adds; /* of one picture */
};
enum { BENCH_TURNS = 2000 }; /* at most */

void bench_print_table(struct nn_text *text, const struct bench *bench);
void bench_print_json(struct nn_text *text, const struct bench *bench);

#endif
