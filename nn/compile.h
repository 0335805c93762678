/*
 * compile.h — what the passes of nn_compile hand to each other.
 *
 *     select    which nodes are needed, and how often each is used             (plan.c)
 *     gradient  which nodes get a gradient, the order of the backward run      (autograd.c)
 *     fuse      which steps disappear into others                              (fuse.c)
 *     lifetime  which buffers there are, when each is first written, last read (lifetime.c)
 *     layout    where each lies in the one block                               (layout.c)
 *     bind      steps with their pointers                                      (plan.c)
 */
#ifndef NN_COMPILE_H
#define NN_COMPILE_H

#include "nn/internal.h"

enum { NONE = -1 };

/* A buffer of the plan. Time is counted in steps, forward 0 .. F-1, then backward F .. F+B-1;
 * a slot is alive in [first, last]. A slot that shares another's memory, or lies inside it, points
 * to it by `root`, and the root's size and life cover both. */
struct nn_slot {
    size_t bytes;
    int first, last;
    int root;      /* own index: a root */
    size_t offset; /* of a root, in the block */
    size_t inside; /* of another, in the slot it points to: 0, or its place in a concatenation */
    const char *what;
    const struct nn_node *node;
};

/* What compile knows about one node. */
struct nn_mark {
    bool needed;   /* for an output or the loss */
    bool kept;     /* the caller reads it */
    bool to_loss;  /* the loss depends on it */
    bool gradient; /* a gradient flows into it */
    int uses;      /* by needed nodes */
    /* fusion */
    bool no_step;               /* its forward runs inside another step, or not at all */
    struct nn_node *stands_for; /* its value is this node's */
    struct nn_node *fused_residual, *fused_affine, *fused_relu, *fused_after; /* in its epilogue */
    struct nn_node *fused_pool;                                               /* and last of all */
    const struct nn_node *composes; /* an affine map that takes in this one before it */
    bool constant;                  /* depends on shapes alone: runs once */
    bool leaves_affine;             /* its value is its input's: the reader does the rest */
    bool relu_backward_fused;       /* a relu whose backward runs inside its user's */
    bool gradient_begun;            /* its first share has a place */
    /* slots */
    int value, gradient_slot, saved;
    ptrdiff_t prepared;              /* in the plan's block of such, in floats; NONE */
    int forward_time, backward_time; /* NONE: does not run */
};

/* One run of an op, or (op == NULL) the sum of a second gradient into the first. */
struct nn_planned {
    struct nn_node *node;
    int target[NN_MAX_INPUTS];    /* backward: slot that dx[i] goes to; NONE */
    int parameter[NN_MAX_INPUTS]; /* backward: index of the parameter node dx[i] goes to; NONE */
    int workspace;
    int sum_into, sum_from; /* slots, or parameter's node index when sum_parameter */
    bool sum_parameter;
};

struct nn_compiler {
    struct nn_context *context;
    struct nn_graph *graph;
    const struct nn_plan_options *options;
    bool training, statistics;
    struct nn_mark *mark; /* [graph->count] */
    struct nn_planned *forward, *backward, *constant;
    int forward_count, backward_count, constant_count;
    struct nn_slot *slots;
    int slot_count, slot_capacity;
    size_t block_bytes, prepared_floats;
};

enum nn_status nn_plan_gradients(struct nn_compiler *compiler);
void nn_plan_fusions(struct nn_compiler *compiler);
/* Is this op's prepare called: predicting, with parameters that stay? */
bool nn_plan_prepares(const struct nn_compiler *compiler, const struct nn_node *node);
/* The op that computes the node in a plan of this precision: its own, or the one for bfloat16. */
const struct nn_op *nn_plan_op(const struct nn_compiler *compiler, const struct nn_node *node);
/* Will it turn the node into y = x * scale + shift? */
bool nn_plan_affine(const struct nn_compiler *compiler, const struct nn_node *node);
enum nn_status nn_plan_lifetimes(struct nn_compiler *compiler);
enum nn_status nn_plan_layout(struct nn_compiler *compiler);

/* Predicts; neither trains nor measures statistics. */
static inline bool nn_plan_predicts(const struct nn_compiler *compiler)
{
    return !compiler->training && !compiler->statistics;
}

/* Bytes of a node's value at the plan's batch. */
static inline size_t nn_value_bytes(const struct nn_compiler *compiler, const struct nn_node *node)
{
    return nn_node_count_for(node, compiler->options->batch) * sizeof(float);
}

struct nn_plan {
    struct nn_context *context;
    struct nn_graph *graph;
    struct nn_run run;
    int batch;
    bool training, statistics;
    struct nn_step *forward, *backward, *prepare, *constant;
    int forward_count, backward_count, prepare_count, constant_count;
    float **value; /* [graph->count at compile time]; NULL: not kept */
    float **gradient;
    int node_count;
    float *block; /* activations, gradients of activations, workspace */
    size_t block_bytes;
    float *prepared_values; /* what prepare makes of parameters */
    float *gradients;       /* of the parameters, laid out as the graph's values */
    float *loss_seed;       /* where d loss / d loss = 1 goes */
    struct nn_slot *slots;  /* for printing */
    int slot_count;
    uint64_t prepared; /* the graph's version that `prepare` has seen, + 1 */
    bool release_weights;
    bool forward_done;
    bool constants_done;
    double *seconds; /* [forward_count], then [backward_count][2]: profile.c; or NULL */
};

/* What stands before and after the forward steps of a run, timed or not (run.c). */
enum nn_status nn_run_begin(struct nn_plan *plan, int images);
void nn_run_end(struct nn_plan *plan);

#endif
