/*
 * bench.h — what `bench` measures and tells.
 *
 *   bench.c           options, levels, what is measured in which order
 *   bench_network.c   a network, its input, turns of runs
 *   bench_machine.c   the CPU, its peak and its bandwidths, kernels by themselves
 *   bench_report.c    tables
 *   bench_json.c      the same for programs
 *   bench_plot.c      a roofline
 *
 * A level is an instruction set; each has a context, networks and figures of its own. What does not
 * depend on it (names, shapes, work) is noted once.
 */
#ifndef APPS_BENCH_H
#define APPS_BENCH_H

#include "apps/network.h"
#include "nn/measure.h"

enum { BENCH_LEVELS = 8, BENCH_NETWORKS = 3 };

struct bench_settings {
    struct cli_common common;
    const char *model, *picture, *level, *plot;
    int network;   /* the only one of the built-in ones; -1: all */
    int batch;     /* 0: what is usual for the network */
    int precision; /* an enum nn_precision */
    double seconds;
};

/* What this machine can do at a level: with one thread, with all. */
enum { BENCH_ONE, BENCH_ALL };
enum { BENCH_L1, BENCH_L2, BENCH_MEMORY, BENCH_PLACES };
struct bench_machine {
    double peak[2];                    /* FLOP/s */
    double bandwidth[BENCH_PLACES][2]; /* bytes/s */
};

struct bench_cpu {
    char name[128]; /* "" where the system does not tell */
    int cores;
    size_t cache[2]; /* bytes of a core's first- and second-level cache */
};

/* One direction of one step. A training plan has up to three. */
enum { BENCH_FORWARD, BENCH_DATA, BENCH_WEIGHTS, BENCH_PASSES };
struct bench_pass {
    double flops, bytes; /* of the whole batch; both 0: there is no such pass */
    double seconds[BENCH_LEVELS];
};
struct bench_row {
    char *name;
    const char *op, *fused;
    struct nn_shape shape;
    double multiply_adds; /* of one picture, forward */
    struct bench_pass pass[BENCH_PASSES];
};

/* Of whole runs, in seconds. */
struct bench_result {
    int turns;
    double median, best;
    double sum; /* of all passes */
};

struct bench_network {
    const char *name, *title; /* "livenessnet", "LivenessNet, forward" */
    const char *source;
    bool training;
    bool random; /* weights */
    int batch;
    struct bench_row *rows;
    int count;
    double flops; /* of a run */
    struct bench_result result[BENCH_LEVELS];
};

struct bench {
    struct app *app;
    const struct bench_settings *settings;
    struct bench_cpu cpu;
    const char *level[BENCH_LEVELS];
    int levels;
    int threads;
    struct bench_machine machine[BENCH_LEVELS];
    struct bench_network network[BENCH_NETWORKS];
    int networks;
    double *kernel; /* [nn_kernel_cases()][BENCH_LEVELS] seconds of a call; NULL: not measured */
};

/* ---- bench_network.c ---- */

/* Measures network `index` with the context of `level`, which is app's. */
enum nn_status bench_measure_network(struct bench *bench, struct app *app, int index, int level);
void bench_free_network(struct bench *bench, struct bench_network *network);

/* ---- bench_machine.c ---- */

void bench_look_at_cpu(struct bench_cpu *cpu);
/* What was measured before stays where it was better. */
enum nn_status bench_measure_machine(struct bench *bench, struct nn_context *context, int level);
enum nn_status bench_measure_peak(struct bench *bench, struct nn_context *context, int level);
enum nn_status bench_measure_kernels(struct bench *bench, struct nn_context *context, int level);

/* ---- bench_report.c ---- */

/* A speed and what it is a share of: the peak for what has multiply-adds, else the bandwidth of
 * where its bytes fit in. */
struct bench_figure {
    double rate, share; /* FLOP/s or bytes/s; of 1 */
    const char *bound;  /* "FMA", "L1", "L2", "mem" */
};
struct bench_figure bench_figure(const struct bench *bench, double flops, double bytes,
                                 double seconds, int level, int threads);
void bench_print_tables(struct nn_text *text, const struct bench *bench);
/* "150x150x32": without the images. Returns `text`. */
char *bench_size_text(char text[64], struct nn_shape shape);

/* ---- bench_json.c, bench_plot.c ---- */

void bench_print_json(struct nn_text *text, const struct bench *bench);
enum nn_status bench_draw(const struct bench *bench, const char *path);

#endif
