/*
 * ladder.h — the steps of bench/convolution, and what was measured of them.
 *
 *   steps.c    the first four, plain C, compiled once per instruction set
 *   ladder.c   those, and six with the engine's kernels and plans: made, checked, measured
 *   report.c   the tables
 */
#ifndef BENCH_LADDER_LADDER_H
#define BENCH_LADDER_LADDER_H

#include "bench/ladder/steps.h"
#include "nn/measure.h"
#include "nn/op/conv_pass.h"

enum { MOST_TURNS = 99, MOST_STEPS = 10 };

struct ladder {
    struct nn_context *one, *all; /* a pool of one thread, of all */
    struct nn_graph *graph[2];
    struct nn_plan *plan[2]; /* on one thread, on all */
    const struct convolution_steps *steps;
    struct layer layer;
    struct pass pass; /* the layer in the engine's bands */
    const float *w;   /* the graph's */
    float *x, *x_planes, *w_planes, *packed, *padded, *scratch, *y, *expected, *first;
    size_t x_floats, w_floats, y_floats;
    int m, v;       /* the tile of step 4 */
    double peak[2]; /* FLOP/s of one thread, of all */
};

struct ladder_step {
    const char *name, *loads; /* vector loads for each multiply-add; NULL: not told */
    void (*run)(struct ladder *ladder);
    bool planes;   /* its y is [N,K,P,Q] */
    bool tiled;    /* by the tile m x v */
    bool threaded; /* on all threads */
    bool panels;   /* no other than the step before, where one panel holds all filters */
    bool planned;  /* its y is the plan's */
};
extern const struct ladder_step ladder_steps[MOST_STEPS];

struct outcome {
    double times[MOST_TURNS], seconds;
    int repeats;
    double difference; /* from step 1, of its largest value */
    bool same_bits;    /* as step 2 */
};

/* Floating-point operations per second; 0: there is no such tile, or it is wider than all filters.
 */
struct tile_rates {
    double rate[MOST_VECTORS + 1][MOST_PIXELS + 1]; /* [vectors][pixels] */
};

/* What the ladder does not set is the caller's: contexts, steps, layer. False after an error. */
bool ladder_make(struct ladder *ladder);
void ladder_free(struct ladder *ladder);
bool ladder_applies(const struct ladder *ladder, const struct ladder_step *step);
/* False, and a line on stderr, when a step's numbers are not those of step 1. */
bool ladder_measure(struct ladder *ladder, struct outcome outcomes[MOST_STEPS], int turns);
/* Tiles and nothing else: rows of whole tiles, of as many filters as blocks of them hold. */
void ladder_sweep(struct ladder *ladder, struct tile_rates *rates, int turns);
double ladder_work(const struct layer *layer); /* floating-point operations, done plainly */

void ladder_print(struct nn_text *text, struct ladder *ladder, const char *name, const char *what,
                  const struct outcome *outcomes, int turns);
void ladder_print_json(struct nn_text *text, struct ladder *ladder, const char *name,
                       const struct outcome *outcomes, int turns);

#endif
