/*
 * internal.h — the engine's private structs and their invariants.
 *
 *   context   allocator, thread pool, kernel table, last error
 *   graph     nodes in an array, inputs before users; owns parameter values
 *   plan      a compiled graph: arrays of steps over one planned block of memory
 *   op        one file in nn/op/: shape rule, forward, backward, descriptor
 */
#ifndef NN_INTERNAL_H
#define NN_INTERNAL_H

#include "nn/nn.h"
#include "nn/kernels/kernels.h"

#include <assert.h>

/* ---- context ------------------------------------------------------------------------------ */

struct nn_pool;

/* Counters are shared by a context and its workers and only touched atomically. */
struct nn_memory {
    struct nn_allocator allocator;
    size_t bytes, peak, calls;
};

struct nn_context {
    struct nn_memory *memory;
    struct nn_memory own_memory; /* what `memory` points to, except in workers */
    struct nn_kernels kernels;   /* chosen at nn_open, constant after */
    const char *cpu;
    struct nn_pool *pool;       /* NULL: run everything on the caller's thread */
    struct nn_context *workers; /* [threads] */
    int threads;
    char error[1024];
};

/* No more than `cores` of the threads are ever awake. */
enum nn_status nn_pool_new(struct nn_pool **pool, struct nn_context *context, int threads,
                           int cores);
void nn_pool_free(struct nn_context *context, struct nn_pool **pool);
void nn_pool_run(struct nn_pool *pool, int count, nn_task *task, void *argument);
uint32_t nn_pool_jobs(const struct nn_pool *pool); /* run so far; 0 without a pool */
int nn_online_cores(void);

/* a * b and a + b for sizes; false when they overflow. */
static inline bool nn_size_multiply(size_t *product, size_t a, size_t b)
{
    if (b && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}
static inline bool nn_size_add(size_t *sum, size_t a, size_t b)
{
    if (a > SIZE_MAX - b) return false;
    *sum = a + b;
    return true;
}

struct nn_allocator nn_system_allocator(void);
/* nn_alloc without the zeros: pages that nobody has written yet take no memory. */
void *nn_alloc_unset(struct nn_context *context, size_t items, size_t size);
/* The whole pages of a range that is never read again go back to the system, where it takes them;
 * what the range then holds is not defined. */
void nn_give_back(void *from, size_t bytes);
enum nn_status nn_kernels_choose(struct nn_context *context, const char *wanted);

/* ---- graph -------------------------------------------------------------------------------- */

enum nn_kind { NN_KIND_INPUT, NN_KIND_PARAMETER, NN_KIND_STATE, NN_KIND_OP };

struct nn_node {
    struct nn_graph *graph;
    const struct nn_op *op; /* NULL unless kind is NN_KIND_OP */
    enum nn_kind kind;
    int index; /* place in the graph */
    int inputs;
    struct nn_node **input; /* [inputs], all with a smaller index */
    struct nn_shape shape;  /* dim[0] == NN_BATCH: one row per image */
    const char *name;
    void *attributes;                /* op->attributes_size bytes, described by op->fields */
    enum nn_initializer initializer; /* of a parameter or state */
    size_t offset;                   /* of its values in the graph's block, in floats */
};

struct nn_arena_chunk;

struct nn_graph {
    struct nn_context *context;
    struct nn_arena_chunk *arena; /* nodes, names, attributes */
    struct nn_node **nodes;
    int count, capacity;
    enum nn_status status; /* the first error sticks; its text is in the context */
    char error[512];
    /* Values: trained parameters first, then states, each padded to 16 floats. Once the block
     * exists ("sealed") no parameter can be added. */
    float *values;
    size_t trained_floats, value_floats;
    /* The plan that gave back the memory of weights (see nn_plan_options.release_weights): no other
     * can run any more. */
    const struct nn_plan *released_by;
    uint64_t version; /* raised whenever values may have changed */
};

/* Appends an op; attributes are copied, shapes inferred. NULL after an error, now or before. */
struct nn_node *nn_append(const struct nn_op *op, struct nn_node *const *inputs, int count,
                          const void *attributes);
/* Looks for a graph among nodes of which some may be NULL. */
enum nn_status nn_graph_fail(struct nn_graph *graph, enum nn_status status, const char *format, ...)
    NN_PRINTF(3, 4);
void *nn_graph_alloc(struct nn_graph *graph, size_t count, size_t size); /* lives as the graph */
enum nn_status nn_graph_seal(struct nn_graph *graph);

/* Number of floats of a node for `images` images. */
static inline size_t nn_node_count_for(const struct nn_node *node, int images)
{
    size_t count = nn_shape_count(node->shape);
    return node->shape.rank && node->shape.dim[0] == NN_BATCH ? count * (size_t)images : count;
}
/* Rows and channels: the last axis, and the product of all before it. */
static inline int nn_channels(const struct nn_node *node)
{
    return node->shape.dim[node->shape.rank - 1];
}
static inline size_t nn_rows(const struct nn_node *node, int images)
{
    return nn_node_count_for(node, images) / (size_t)nn_channels(node);
}

/* ---- ops ---------------------------------------------------------------------------------- */

/* What an op's backward reads; anything else may be overwritten before it runs. */
#define NN_READS_X(i) (1u << (i))
#define NN_READS_Y    (1u << 31)

/* One attribute, for files and for printing: {"stride_h", NN_FIELD_INT, offsetof(...)}. */
enum nn_field_type { NN_FIELD_INT, NN_FIELD_FLOAT, NN_FIELD_BOOL, NN_FIELD_SHAPE, NN_FIELD_FLOATS };
struct nn_field {
    const char *name; /* NULL ends the list */
    enum nn_field_type type;
    size_t offset;
};
/* The value of an NN_FIELD_FLOATS: an array that lives as the graph. */
struct nn_floats {
    int count;
    const float *values;
};

/* What one call of an op sees. Pointers are fixed when the plan is made; `run` changes. */
struct nn_run {
    int images;
    uint64_t seed, step; /* for dropout */
    float weight;        /* nn_measure's, of a batch's statistics */
};
struct nn_step {
    const struct nn_op *op;
    const struct nn_node *node;
    struct nn_context *context;
    const struct nn_kernels *kernels;
    const struct nn_run *run;
    bool training;
    bool statistics; /* a plan for nn_measure */
    const float *x[NN_MAX_INPUTS];
    float *y;
    const float *dy;
    float *dx[NN_MAX_INPUTS];    /* NULL where no gradient is wanted; always overwritten */
    void *saved;                 /* op->saved bytes: written by forward, read by backward */
    float *prepared;             /* op->prepared floats: written by prepare; NULL: not called */
    void *workspace;             /* op->workspace bytes: garbage at the start of each call */
    struct nn_epilogue epilogue; /* what was fused into this op; bias is the op's own business */
    const float *compose;        /* prepare: scale [C], shift [C] of the affine map before this */
    bool sole_user;              /* of the weights x[1] */
    bool leaves_affine;          /* y is left to its reader */
    const float *affine;      /* x[0] was: it is x[0] * scale [C] + shift [C]; NULL: it is x[0] */
    bool fused_relu_backward; /* x[0] is a relu's output: mask dx[0] by it */
};

struct nn_op {
    const char *name;  /* in files: never changes */
    const char *title; /* Keras' class: "MaxPooling2D" */
    const char *stem;  /* Keras' layer name: "max_pooling2d" */
    int inputs_min, inputs_max;
    size_t attributes_size;
    const struct nn_field *fields;
    unsigned bwd_reads;
    bool inplace;          /* forward may run with y == x[0] */
    bool inplace_backward; /* backward may run with dx[0] == dy */
    bool view;             /* y is x[0] under another shape: nothing to run where they share */
    bool identity_at_inference;
    bool constant; /* y depends on shapes alone: inference computes it once, before the first run */
    bool loss;     /* not part of the network that is saved */
    bool takes_epilogue;
    /* Can the epilogue pool? Dilation and residuals it cannot. */
    bool (*takes_pool)(const struct nn_node *node);
    bool (*pools_pairs)(const struct nn_node *node); /* y is the largest of each 2x2 of x[0] */
    bool replaces_weights; /* where prepare has run, forward does not read x[1] any more */
    bool relu;             /* can be fused as nn_epilogue.relu */
    bool adds;             /* y = x[0] + x[1]: either can be nn_epilogue.residual */
    bool masks_relu;       /* backward honours fused_relu_backward */
    /* In training: y = x[0] * scale + shift, of which the reader can be told scale [C], shift [C]
     * at saved + left(node) floats, instead of y; and can this op take it so? Then one pass over y
     * is neither written nor read. Only for backwards that do not read y. */
    size_t (*left)(const struct nn_node *node);
    bool (*takes_affine)(const struct nn_node *node);
    /* Sets node->shape from its inputs and attributes; errors through nn_graph_fail. */
    enum nn_status (*infer)(struct nn_node *node);
    size_t (*saved)(const struct nn_node *node, int batch, bool training);
    size_t (*workspace)(const struct nn_node *node, int batch, int threads, bool training);
    /* Inference, where all inputs but x[0] are parameters or states: called before the first run
     * and after weights changed, makes what forward would rather have. An op that is then
     * y = x * scale + shift per channel makes scale[C], shift[C]. */
    void (*prepare)(struct nn_step *step);
    size_t (*prepared)(const struct nn_node *node); /* floats; 0: prepare has nothing to do */
    bool affine_at_inference;
    /* What predicts in bfloat16 instead, with workspace, prepare, prepared and forward of its own,
     * where all inputs but x[0] are parameters and `pays` says so; NULL: this op does. */
    const struct nn_op *bf16;
    bool (*pays)(const struct nn_node *node);
    /* Where input i lies in y, in floats, when y is its inputs one after another; false: it is
     * not. Inputs may then be computed right there, and forward finds x[i] in its place. */
    bool (*place)(size_t *floats, const struct nn_node *node, int i, int batch);
    void (*forward)(struct nn_step *step);
    void (*backward)(struct nn_step *step); /* NULL: gradients do not pass */
    double (*multiply_adds)(const struct nn_node *node);
};

const struct nn_op *nn_op_find(const char *name);
const struct nn_op *nn_op_at(int index); /* NULL past the end */

/* Are all inputs but x[0] parameters or states? Then inference calls prepare, where there is one.
 */
bool nn_op_could_prepare(const struct nn_node *node);

/* An epilogue for filters from `filter` on, of the value's part that begins `offset` floats in. */
static inline struct nn_epilogue nn_epilogue_from(const struct nn_epilogue *epilogue, int filter,
                                                  ptrdiff_t offset)
{
    struct nn_epilogue from = *epilogue;
    if (from.bias) from.bias += filter;
    if (from.residual) from.residual += offset;
    if (from.scale) from.scale += filter, from.shift += filter;
    if (from.scale_after) from.scale_after += filter, from.shift_after += filter;
    return from;
}

/* Splits [0, count) into ranges of at least `grain` and runs them on the pool. */
typedef void nn_range_task(const struct nn_step *step, size_t from, size_t to);
void nn_step_ranges(struct nn_step *step, size_t count, size_t grain, nn_range_task *task);

/* ---- winograd.c: 3x3 convolutions of stride 1 ------------------------------------------------ */

/* x [N,height,width,channels], w [3,3,channels,filters], y [N,out_height,out_width,filters]; the
 * first window begins `before` pixels outside, and its pixels lie `dilation` apart both ways. */
struct nn_winograd {
    int height, width, channels, filters;
    int out_height, out_width, before_h, before_w;
    int dilation;
};
/* Is it worth while? (All 3x3 convolutions of stride 1 can be done.) */
bool nn_winograd_suits(const struct nn_winograd *w);

/* From [3,3,channels,filters] to u. */
size_t nn_winograd_weights(const struct nn_winograd *w); /* floats of u */
void nn_winograd_transform(struct nn_context *context, const struct nn_winograd *w, float *u,
                           const float *weights);

struct nn_winograd_run {
    const struct nn_winograd *w;
    float *y;
    const float *x;
    const float *u, *weights;    /* u NULL: it is made, of weights, in the workspace */
    struct nn_epilogue epilogue; /* of y's beginning */
    float *workspace;
    const float *affine; /* of x: see struct nn_step */
};
/* Bytes, with or without a u that has been prepared; fewer images need no more. */
size_t nn_winograd_workspace(const struct nn_winograd *w, int images, int threads, bool prepared);
void nn_winograd_forward(struct nn_context *context, const struct nn_winograd_run *run, int images);

/* dw [3,3,channels,filters], summed over images between begin and end, by one thread. */
size_t nn_winograd_gradient_scratch(const struct nn_winograd *w); /* floats */
void nn_winograd_gradient_begin(const struct nn_winograd *w, float *scratch);
void nn_winograd_gradient_add(const struct nn_kernels *kernels, const struct nn_winograd *w,
                              float *scratch, const float *x, const float *affine, const float *dy);
void nn_winograd_gradient_end(const struct nn_kernels *kernels, const struct nn_winograd *w,
                              float *dw, const float *scratch);

/* ---- conv_bf16.c: convolutions at inference in bfloat16 -------------------------------------- */

extern const struct nn_op nn_conv2d_bf16;

/* ---- windows: what convolution and pooling share (window.c) -------------------------------- */

/* One axis: `out` windows of `kernel` taps, `stride` apart, taps `dilation` apart, the first one
 * beginning `before` pixels outside. */
struct nn_window {
    int in, out, kernel, stride, dilation, before;
};
struct nn_window_request {
    int in, kernel, stride, dilation;
    enum nn_padding padding;
    int before, after; /* NN_EXPLICIT */
    bool ceil;
};
/* False when no window fits. */
bool nn_window_make(struct nn_window *window, const struct nn_window_request *request);

#endif
