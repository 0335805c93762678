/*
 * measure.h — what things take: a plan's steps, kernels by themselves, this machine at most. For
 * benchmarks and for who wants to know where the time goes; nothing here is needed to train or to
 * predict.
 */
#ifndef NN_MEASURE_H
#define NN_MEASURE_H

#include "nn/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What this machine can do at most with so many threads of the pool (0: all), measured now, in a
 * tenth of a second each: floating-point operations per second (a multiply-add is two) of the level
 * in use; bytes per second, read and written, of memory that is gone through in place, `bytes` of
 * it in all: what fits a cache has that cache's speed. 0 when there was no memory. */
double nn_measure_peak(struct nn_context *context, int threads);
double nn_measure_bandwidth(struct nn_context *context, int threads, size_t bytes);

/* What a plan's forward run does, step by step, and how long each took: for summaries and
 * benchmarks. nn_profile runs forward once, like nn_forward, and notes the seconds of each step. */
struct nn_step_info {
    const char *name, *op; /* of the node that runs */
    const char *fused;     /* what rides along: "affine relu", "" */
    struct nn_shape shape; /* of the value */
    double multiply_adds;  /* of one image */
    size_t bytes;          /* read and written: inputs, parameters, value, for the whole batch */
    double seconds;        /* of the last nn_profile */
};
int nn_plan_steps(const struct nn_plan *plan);
struct nn_step_info nn_plan_step(const struct nn_plan *plan, int index);
enum nn_status nn_profile(struct nn_plan *plan, int images);
/* The same of a training plan's backward run: nn_profile_backward is nn_backward, but convolutions
 * and dense layers run in two halves, each with its own time: the gradient of what came in
 * (`data`, all that other ops have), and that of weights and bias. */
struct nn_backward_info {
    const char *name, *op;
    struct nn_shape shape; /* of the value whose gradient comes in */
    struct nn_half_info {
        double multiply_adds; /* of one image */
        size_t bytes;         /* read and written, for the whole batch; 0: there is no such half */
        double seconds;       /* of the last nn_profile_backward */
    } data, weights;
};
int nn_plan_backward_steps(const struct nn_plan *plan);
struct nn_backward_info nn_plan_backward_step(const struct nn_plan *plan, int index);
enum nn_status nn_profile_backward(struct nn_plan *plan);

/* Kernels by themselves, on one thread, at sizes the models below have: what a call computes and
 * moves, and the seconds it takes (best of trials during `seconds`; 0: there was no memory). */
struct nn_kernel_info {
    const char *name, *shape; /* "conv_row", "32 pixels, 3x3x16 to 16" */
    double flops;             /* 0: it is the bytes that count */
    size_t bytes;
};
int nn_kernel_cases(void);
struct nn_kernel_info nn_kernel_case(int index);
double nn_measure_kernel(struct nn_context *context, int index, double seconds);

#ifdef __cplusplus
}
#endif
#endif
