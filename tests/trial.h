/*
 * trial.h — one case of op_cases.inc as a small network that can be run:
 *
 *     inputs -> pass -> the op -> pass -> weighted sum with r -> loss
 *
 * `pass` copies, so that the op under test has ops around it and the plan may let it work in
 * place. The loss is sum(y * r) for a random r: its gradient at the op's output is r.
 */
#ifndef TESTS_TRIAL_H
#define TESTS_TRIAL_H

#include "nn/internal.h"
#include "tests/numbers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum trial_mode { TRAINING, INFERENCE, RANDOM };

struct op_case {
    const char *op, *name;
    enum trial_mode mode;
    const char *roles, *shapes;
    struct nn_node *(*build)(struct nn_node *const *x);
};

#define OP_CASE(op, name, mode, roles, shapes, ...)                                                \
    static struct nn_node *build_##op##_##name(struct nn_node *const *x)                           \
    {                                                                                              \
        return __VA_ARGS__;                                                                        \
    }
#include "tests/op_cases.inc"
#undef OP_CASE

static const struct op_case OP_CASES[] = {
#define OP_CASE(op, name, mode, roles, shapes, ...)                                                \
    {#op, #op "." #name, mode, roles, shapes, build_##op##_##name},
#include "tests/op_cases.inc"
#undef OP_CASE
};
enum { OP_CASE_COUNT = sizeof OP_CASES / sizeof *OP_CASES };

/* ---- ops for the tests alone ----------------------------------------------------------------- */

static inline enum nn_status trial_infer_same(struct nn_node *node)
{
    node->shape = node->input[0]->shape;
    return NN_OK;
}

static inline void trial_pass_forward(struct nn_step *step)
{
    memcpy(step->y, step->x[0], nn_node_count_for(step->node, step->run->images) * sizeof *step->y);
}

static inline void trial_pass_backward(struct nn_step *step)
{
    memcpy(step->dx[0], step->dy,
           nn_node_count_for(step->node, step->run->images) * sizeof *step->dy);
}

static const struct nn_op TRIAL_PASS = {
    .name = "pass",
    .title = "Pass",
    .stem = "pass",
    .inputs_min = 1,
    .inputs_max = 1,
    .infer = trial_infer_same,
    .forward = trial_pass_forward,
    .backward = trial_pass_backward,
};

static inline enum nn_status trial_infer_sum(struct nn_node *node)
{
    node->shape = nn_shape1(1);
    return NN_OK;
}

static inline void trial_sum_forward(struct nn_step *step)
{
    double sum = 0.0;
    for (size_t i = 0; i < nn_node_count_for(step->node->input[0], step->run->images); i++)
        sum += (double)step->x[0][i] * (double)step->x[1][i];
    step->y[0] = (float)sum;
}

static inline void trial_sum_backward(struct nn_step *step)
{
    for (size_t i = 0; i < nn_node_count_for(step->node->input[0], step->run->images); i++) {
        float x0 = step->x[0][i], x1 = step->x[1][i];
        if (step->dx[0]) step->dx[0][i] = step->dy[0] * x1;
        if (step->dx[1]) step->dx[1][i] = step->dy[0] * x0;
    }
}

static const struct nn_op TRIAL_SUM = {
    .name = "weighted_sum",
    .title = "WeightedSum",
    .stem = "weighted_sum",
    .inputs_min = 2,
    .inputs_max = 2,
    .bwd_reads = NN_READS_X(0) | NN_READS_X(1),
    .infer = trial_infer_sum,
    .forward = trial_sum_forward,
    .backward = trial_sum_backward,
};

static inline struct nn_node *trial_pass(struct nn_node *x)
{
    return nn_append(&TRIAL_PASS, &x, 1, NULL);
}

static inline struct nn_node *trial_weighted_sum(struct nn_node *y, struct nn_node *r)
{
    struct nn_node *inputs[] = {y, r};
    return nn_append(&TRIAL_SUM, inputs, 2, NULL);
}

/* ---- a case as a plan ------------------------------------------------------------------------ */

struct trial_options {
    bool no_fusion, no_sharing;
    int spare; /* the plan is made for that many more images than run */
};

struct trial {
    const struct op_case *row;
    struct nn_graph *graph;
    struct nn_plan *plan;
    int count, images;
    struct nn_node *tensor[NN_MAX_INPUTS]; /* input, parameter or state */
    struct nn_node *out, *r, *loss;
};

enum { TRIAL_R_STREAM = 100 };

static inline bool trial_is_input(char role)
{
    return strchr("iadgtu", role) != NULL;
}
static inline bool trial_is_state(char role)
{
    return strchr("sv", role) != NULL;
}

/* "3x5x7x3 ..." -> the shape; returns what follows. */
static inline const char *trial_parse_shape(struct nn_shape *shape, const char *text)
{
    *shape = (struct nn_shape){0};
    while (*text == ' ') text++;
    while (*text && *text != ' ') {
        char *end;
        shape->dim[shape->rank++] = (int)strtol(text, &end, 10);
        text = *end == 'x' ? end + 1 : end;
    }
    return text;
}

static inline void trial_build(struct trial *trial, struct nn_context *context)
{
    struct nn_node *x[NN_MAX_INPUTS];
    const char *shapes = trial->row->shapes;
    trial->graph = nn_graph_new(context);
    for (const char *role = trial->row->roles; *role; role++) {
        struct nn_shape shape;
        char name[16];
        int i = trial->count++;
        snprintf(name, sizeof name, "x%d", i);
        shapes = trial_parse_shape(&shape, shapes);
        if (trial_is_input(*role)) {
            trial->images = shape.dim[0];
            shape.dim[0] = NN_BATCH;
            trial->tensor[i] = nn_input(trial->graph, name, shape);
            x[i] = trial_pass(trial->tensor[i]);
        } else {
            x[i] = trial->tensor[i] = trial_is_state(*role)
                                          ? nn_state(trial->graph, name, shape, NN_ZEROS)
                                          : nn_parameter(trial->graph, name, shape, NN_ZEROS);
        }
    }
    struct nn_node *y = trial->row->build(x);
    trial->out = trial_pass(y);
    if (y) trial->r = nn_input(trial->graph, "r", nn_node_shape(y));
    trial->loss = trial_weighted_sum(trial->out, trial->r);
}

static inline enum nn_status trial_open(struct trial *trial, const struct op_case *row,
                                        struct nn_context *context,
                                        const struct trial_options *options)
{
    *trial = (struct trial){.row = row};
    trial_build(trial, context);
    enum nn_status status = nn_graph_status(trial->graph);
    if (status) return status;
    struct nn_plan_options plan = {.batch = trial->images + options->spare,
                                   .outputs = &trial->out,
                                   .output_count = 1,
                                   .loss = row->mode == INFERENCE ? NULL : trial->loss,
                                   .input_gradients = true,
                                   .no_fusion = options->no_fusion,
                                   .no_sharing = options->no_sharing};
    return nn_compile(&trial->plan, trial->graph, &plan);
}

static inline void trial_close(struct trial *trial)
{
    nn_plan_free(&trial->plan);
    nn_graph_free(&trial->graph);
}

static inline size_t trial_floats(const struct trial *trial, const struct nn_node *node)
{
    return nn_node_count_for(node, trial->images);
}

/* Where the values of tensor i lie: to be written before a run. */
static inline float *trial_values(const struct trial *trial, int i)
{
    return trial_is_input(trial->row->roles[i]) ? nn_data(trial->plan, trial->tensor[i])
                                                : nn_values(trial->tensor[i]);
}

static inline void trial_fill(const struct trial *trial)
{
    uint64_t seed = numbers_seed(trial->row->name);
    for (int i = 0; i < trial->count; i++)
        numbers_fill(trial_values(trial, i), trial_floats(trial, trial->tensor[i]),
                     nn_channels(trial->tensor[i]), trial->row->roles[i], seed, (uint64_t)i);
    if (trial->row->mode != INFERENCE)
        numbers_fill(nn_data(trial->plan, trial->r), trial_floats(trial, trial->r), 1, 'i', seed,
                     TRIAL_R_STREAM);
    nn_parameters_changed(trial->graph);
}

static inline enum nn_status trial_run(const struct trial *trial)
{
    enum nn_status status = nn_forward(trial->plan, trial->images);
    return status || trial->row->mode == INFERENCE ? status : nn_backward(trial->plan);
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Largest difference, relative to the largest expected value; NaN differs from everything. */
static inline double trial_difference(const float *got, const float *expected, size_t count)
{
    double largest = 0.0, difference = 0.0;
    for (size_t i = 0; i < count; i++) {
        double apart = fabs((double)got[i] - (double)expected[i]);
        if (!(apart <= difference)) difference = apart;
        if (fabs((double)expected[i]) > largest) largest = fabs((double)expected[i]);
    }
    return largest > 0.0 ? difference / largest : difference;
}

#endif
