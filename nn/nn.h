/*
 * nn.h — the engine's only public header, and its reference manual.
 *
 * Life of a network:
 *
 *     build    nn_graph_new, nn_input, nn_conv2d, nn_relu ...   a node per line, no checks
 *     compile  nn_compile                 shapes checked, ops fused, buffers laid out
 *     run      nn_forward, nn_backward, nn_optimizer_step       no allocation from here on
 *
 * Layout is NHWC, float32. Letters: N images, H W pixels, C input and K output channels,
 * R S kernel rows and columns (docs/notation.md). Outputs come first in argument lists.
 *
 * Arithmetic is IEEE 754's, denormal numbers included: the processor's flush-to-zero is neither
 * asked for nor touched. (Only plans in bfloat16 read them as 0: the instruction does.) They are
 * slow, a hundred cycles each on x86; optimisers keep their moments from decaying into them.
 *
 * Errors: a function that can fail returns enum nn_status; nn_error(context) says what was
 * wrong, where, and what would be right. The library never prints and never exits.
 */
#ifndef NN_H
#define NN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ---------------------------------------------------------------------------- */

enum nn_status {
    NN_OK = 0,
    NN_ERROR_ARGUMENT,    /* the caller asked for something that makes no sense */
    NN_ERROR_SHAPE,       /* tensors do not fit together */
    NN_ERROR_MEMORY,      /* an allocation failed, or a size would overflow */
    NN_ERROR_IO,          /* the operating system refused: errno's text is in the message */
    NN_ERROR_FORMAT,      /* a file is not what it claims to be */
    NN_ERROR_UNSUPPORTED, /* valid, but not something this build can do */
    NN_ERROR_INTERRUPTED  /* the caller's stop flag was seen */
};

#if defined(__GNUC__)
#define NN_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define NN_PRINTF(text, first)
#endif

/* ---- context: allocator, threads, kernels, the last error ------------------------------ */

struct nn_context;

/* `allocate` returns at least `bytes` bytes aligned to 64, or NULL; `release` gets them back. */
struct nn_allocator {
    void *(*allocate)(void *user, size_t bytes);
    void (*release)(void *user, void *memory, size_t bytes);
    void *user;
};

struct nn_options {
    int threads;                          /* 0: one per core of this process, of which no more
                                             ever run at once */
    const char *cpu;                      /* "scalar", "sse", "avx2", "avx512", "neon"; NULL: best.
                                             Lowers the level, never raises it. */
    const struct nn_allocator *allocator; /* NULL: the system's; copied */
};

/* Makes a context with its thread pool. On failure nn_error(*context) says why (*context is NULL
 * only when there was no memory for it); nn_close it all the same. */
enum nn_status nn_open(struct nn_context **context, const struct nn_options *options);
void nn_close(struct nn_context **context);

/* The text of the context's last error; "" when there was none. Valid until the next error. */
const char *nn_error(const struct nn_context *context);

/* Records a printf-style message and returns `status`, so that callers can `return nn_fail(...)`.
 */
enum nn_status nn_fail(struct nn_context *context, enum nn_status status, const char *format, ...)
    NN_PRINTF(3, 4);

int nn_threads(const struct nn_context *context);     /* size of the pool, >= 1 */
const char *nn_cpu(const struct nn_context *context); /* level in use, "avx2" for instance */
/* Names of the levels this CPU and OS can run, scalar first, best last; returns how many. */
int nn_levels(const char *names[8]);
/* Is NN_BFLOAT16 faster than NN_FLOAT32 at this level? It is no less right where it is not. */
bool nn_bfloat16_pays(const struct nn_context *context);
const char *nn_version(void);

/* Memory from the context's allocator: `count * size` bytes, zeroed, aligned to 64. NULL (with
 * the error recorded) when there is none or the product overflows. nn_free accepts NULL. Safe to
 * call from worker threads. */
void *nn_alloc(struct nn_context *context, size_t count, size_t size);
/* Grows or shrinks; new bytes are zero. On failure returns NULL and `memory` stays valid. */
void *nn_realloc(struct nn_context *context, void *memory, size_t count, size_t size);
void nn_free(struct nn_context *context, void *memory);
size_t nn_block_size(const void *memory); /* bytes of what nn_alloc or nn_realloc gave */
char *nn_strdup(struct nn_context *context, const char *text);
size_t nn_bytes_allocated(const struct nn_context *context); /* now held */
size_t nn_bytes_peak(const struct nn_context *context);      /* most ever held */
size_t nn_allocations(const struct nn_context *context);     /* calls so far */

/* Runs task(argument, i, thread) for every i in [0, count) on the pool and returns when all are
 * done. Thread t begins with the t-th contiguous share; who is done helps the others, so what a
 * task computes must not depend on `thread`, which is in [0, nn_threads) and good for choosing
 * scratch memory. Not reentrant: tasks must not call it. */
typedef void nn_task(void *argument, int index, int thread);
void nn_parallel(struct nn_context *context, int count, nn_task *task, void *argument);

/* A context for use inside tasks on pool thread `thread`: shares the allocator, has its own error
 * text and a pool of one. Owned by `context`. */
struct nn_context *nn_worker(struct nn_context *context, int thread);

/* ---- random numbers: counter-based, the same on every machine and for any thread count --- */

/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
 * 128 random bits that are a pure function of key and counter. */
void nn_philox(uint32_t bits[4], uint64_t key, uint64_t counter_low, uint64_t counter_high);

/* A stream of random numbers: plain data, can be saved and restored. */
struct nn_rng {
    uint64_t seed;   /* the user's */
    uint64_t stream; /* what the numbers are for: epoch, image, node ... */
    uint64_t next;   /* how many 32-bit numbers were drawn */
};
struct nn_rng nn_rng_make(uint64_t seed, uint64_t stream);
uint32_t nn_rng_u32(struct nn_rng *rng);
float nn_rng_uniform(struct nn_rng *rng, float low, float high);        /* [low, high) */
float nn_rng_normal(struct nn_rng *rng);                                /* mean 0, deviation 1 */
uint32_t nn_rng_below(struct nn_rng *rng, uint32_t bound);              /* [0, bound), unbiased */
void nn_rng_shuffle(struct nn_rng *rng, uint32_t *items, size_t count); /* Fisher-Yates */

/* ---- shapes ---------------------------------------------------------------------------- */

enum { NN_MAX_RANK = 4, NN_MAX_INPUTS = 16 };

/* dim[0] is the number of images; NN_BATCH there means "known when compiled". */
struct nn_shape {
    int rank;
    int dim[NN_MAX_RANK];
};
enum { NN_BATCH = 0 };

struct nn_shape nn_shape1(int a);
struct nn_shape nn_shape2(int a, int b);
struct nn_shape nn_shape4(int a, int b, int c, int d);
bool nn_shape_equal(struct nn_shape a, struct nn_shape b);
/* Product of the dimensions, with NN_BATCH counted as 1; 0 when it overflows. */
size_t nn_shape_count(struct nn_shape shape);
/* "(None, 32, 32, 3)", as Keras prints it. Returns `text`. */
char *nn_shape_text(char text[64], struct nn_shape shape);

/* ---- graph: build ----------------------------------------------------------------------- */

struct nn_graph;
struct nn_node;

/* The first error sticks to the graph: later calls return NULL and nn_compile reports it. NULL
 * nodes are accepted everywhere and passed on, so model code needs no checks. Only running out of
 * memory for the graph itself makes nn_graph_new return NULL. */
struct nn_graph *nn_graph_new(struct nn_context *context);
void nn_graph_free(struct nn_graph **graph);
enum nn_status nn_graph_status(const struct nn_graph *graph);

/* An input the caller fills before each run. `shape.dim[0]` is usually NN_BATCH. */
struct nn_node *nn_input(struct nn_graph *graph, const char *name, struct nn_shape shape);

enum nn_initializer {
    NN_ZEROS,
    NN_ONES,
    NN_GLOROT_UNIFORM, /* U(-a, a), a = sqrt(6 / (fan_in + fan_out)); Glorot & Bengio 2010 */
    NN_HE_NORMAL       /* N(0, 2 / fan_in) cut at two deviations; He et al. 2015, as Keras */
};
/* A tensor the graph owns: trained (nn_parameter), or only carried along (nn_state: running
 * means). Fans are taken from the shape: [R,S,C,K] or [C,K]. */
struct nn_node *nn_parameter(struct nn_graph *graph, const char *name, struct nn_shape shape,
                             enum nn_initializer initializer);
struct nn_node *nn_state(struct nn_graph *graph, const char *name, struct nn_shape shape,
                         enum nn_initializer initializer);

/* Padding: NN_SAME as Keras/TensorFlow (output = ceil(input / stride), the odd pixel goes to the
 * bottom and right), NN_VALID none, NN_EXPLICIT as given by pad[]. */
enum nn_padding { NN_SAME, NN_VALID, NN_EXPLICIT };

struct nn_conv2d_options {
    int stride_h, stride_w;     /* 0 means 1 */
    int dilation_h, dilation_w; /* 0 means 1 */
    int groups;                 /* 0 means 1; C for depthwise */
    enum nn_padding padding;
    int pad_top, pad_left, pad_bottom, pad_right; /* for NN_EXPLICIT */
};

/* ---- ops: one file each in nn/op/ -------------------------------------------------------- */

/* y[n,p,q,k] = b[k] + sum_{r,s,c} x[n, p*sh + r*dh - top, q*sw + s*dw - left, c] * w[r,s,c,k]
 * x [N,H,W,C], w [R,S,C/groups,K], b [K] or NULL, y [N,P,Q,K]. Zeros outside the picture.
 * options NULL: stride 1, same. */
struct nn_node *nn_conv2d(struct nn_node *x, struct nn_node *w, struct nn_node *b,
                          const struct nn_conv2d_options *options);

/* y[n,k] = b[k] + sum_c x[n,c] * w[c,k];  x [N,C], w [C,K], b [K] or NULL, y [N,K] */
struct nn_node *nn_dense(struct nn_node *x, struct nn_node *w, struct nn_node *b);

/* y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel (last axis); all [C].
 * Training: mean and (biased) variance of the batch; running <- momentum * running +
 * (1 - momentum) * batch (Keras: the running variance takes the biased one).
 * Inference: the running ones. Ioffe & Szegedy 2015. */
struct nn_node *nn_batch_norm(struct nn_node *x, struct nn_node *gamma, struct nn_node *beta,
                              struct nn_node *running_mean, struct nn_node *running_variance,
                              float momentum, float epsilon);

struct nn_node *nn_relu(struct nn_node *x);                    /* y = max(x, 0) */
struct nn_node *nn_leaky_relu(struct nn_node *x, float slope); /* y = x > 0 ? x : slope x */
struct nn_node *nn_sigmoid(struct nn_node *x);                 /* y = 1 / (1 + exp(-x)) */
struct nn_node *nn_softmax(struct nn_node *x);                 /* over the last axis */

struct nn_pool_options {
    int size_h, size_w;     /* required */
    int stride_h, stride_w; /* 0 means the size */
    enum nn_padding padding;
    int pad_top, pad_left, pad_bottom, pad_right; /* for NN_EXPLICIT */
    bool ceil;          /* NN_VALID/NN_EXPLICIT: a last, partial window counts too (Caffe) */
    bool count_padding; /* avg: divide by the full window, not by the pixels inside */
};
/* Largest / mean value of each window; x [N,H,W,C], y [N,P,Q,C]. Padding never wins a maximum. */
struct nn_node *nn_max_pool(struct nn_node *x, const struct nn_pool_options *options);
struct nn_node *nn_avg_pool(struct nn_node *x, const struct nn_pool_options *options);
struct nn_node *nn_global_avg_pool(struct nn_node *x); /* [N,H,W,C] -> [N,C] */

/* Training: y = x / (1 - rate) with probability 1 - rate, else 0. Inference: y = x.
 * Srivastava et al. 2014. The mask is a function of (seed, step, this node, element). */
struct nn_node *nn_dropout(struct nn_node *x, float rate);

/* The same numbers under another shape; dim[0] stays, one other dim may be -1 ("the rest"). */
struct nn_node *nn_reshape(struct nn_node *x, struct nn_shape shape);
struct nn_node *nn_flatten(struct nn_node *x);                            /* [N,H,W,C] -> [N,HWC] */
struct nn_node *nn_concat(struct nn_node *const *x, int count, int axis); /* axis >= 1 */
struct nn_node *nn_add(struct nn_node *a, struct nn_node *b); /* y = a + b, same shapes */
struct nn_node *nn_mul(struct nn_node *a, struct nn_node *b); /* y = a * b, same shapes */
/* y = x * scale + shift, per channel; scale, shift [C]; shift may be NULL. */
struct nn_node *nn_scale_shift(struct nn_node *x, struct nn_node *scale, struct nn_node *shift);
/* y = scale * x / sqrt(sum_c x^2 + epsilon) at each pixel; scale [C]. Liu et al., ParseNet 2015. */
struct nn_node *nn_l2_normalize(struct nn_node *x, struct nn_node *scale, float epsilon);
struct nn_node *nn_maximum(struct nn_node *a, struct nn_node *b);   /* y = max(a, b), same shapes */
struct nn_node *nn_prelu(struct nn_node *x, struct nn_node *slope); /* y = x > 0 ? x : slope[c] x */
/* y's axis i is x's axis order[i]; order[0] = 0: the images stay. */
struct nn_node *nn_permute(struct nn_node *x, const int order[NN_MAX_RANK]);
/* y = the part of x that begins at offset[] and has this shape; images (axis 0) are not cut:
 * offset[0] = 0, shape.dim[0] = x's. */
struct nn_node *nn_crop(struct nn_node *x, const int offset[NN_MAX_RANK], struct nn_shape shape);
/* Transposed convolution ("deconvolution"), the gradient of nn_conv2d with respect to its input:
 * y[n, h*sh + r*dh - top, w*sw + s*dw - left, k] += x[n,h,w,c] * w[r,s,c,k], plus b[k].
 * x [N,H,W,C], w [R,S,C,K/groups], b [K] or NULL; y [N,P,Q,K], P = (H-1) sh + (R-1) dh + 1 - top -
 * bottom; padding is NN_EXPLICIT or NN_VALID. Channel c belongs to group c / (C / groups), whose
 * filters are K/groups neighbours. */
struct nn_node *nn_conv2d_transpose(struct nn_node *x, struct nn_node *w, struct nn_node *b,
                                    const struct nn_conv2d_options *options);

/* ---- single-shot detection: Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016 ------ */

enum { NN_MOST_BOXES = 16 };
struct nn_prior_box_options {
    float min_size[NN_MOST_BOXES], max_size[NN_MOST_BOXES]; /* pixels of the picture */
    float aspect_ratio[NN_MOST_BOXES];                      /* besides 1 */
    int min_sizes, max_sizes, aspect_ratios; /* max_sizes: 0 or as many as min_sizes */
    bool flip;                               /* each ratio also as 1 / ratio */
    bool clip;                               /* boxes are cut to [0, 1] */
    float variance[4];
    float step_h, step_w; /* pixels from one prior's centre to the next; 0: picture / map */
    float offset;         /* of the first centre, in steps */
};
/* The default boxes of a feature map [N,H,W,C] over a picture [N,h,w,c]: y [1, 2, H*W*B*4], first
 * xmin, ymin, xmax, ymax of each box (shares of the picture), then its four variances. For each
 * pixel, row by row, and each min_size m: m x m; sqrt(m max) square; m sqrt(a) x m / sqrt(a) for
 * each aspect ratio (Caffe's order). Depends on shapes alone: a plan computes it once. */
struct nn_node *nn_prior_box(struct nn_node *map, struct nn_node *picture,
                             const struct nn_prior_box_options *options);

struct nn_detection_options {
    int classes;           /* with the background */
    int background;        /* its label; -1: there is none */
    bool shared;           /* one set of boxes for all classes (the only kind supported) */
    bool variance_encoded; /* the locations have the variances in them already */
    float least_confidence;
    float overlap; /* boxes that overlap a better one by more (intersection / union) are dropped */
    int most_before; /* of a class, taken into the suppression: the best ones; -1: all */
    int most;        /* kept in all, >= 1 */
};
/* Boxes out of an SSD network's heads. locations [N, P*4] (CENTER_SIZE code), confidences
 * [N, P*classes] (after softmax), priors [1, 2, P*4]; y [N, 1, most, 7]: image, label, confidence,
 * xmin, ymin, xmax, ymax (shares of the picture, not clipped), best first; rows without a box have
 * the label -1 and else zeros. As Caffe-SSD's and OpenCV's DetectionOutput. No gradient. */
struct nn_node *nn_detection_output(struct nn_node *locations, struct nn_node *confidences,
                                    struct nn_node *priors,
                                    const struct nn_detection_options *options);

struct nn_loss_options {
    float label_smoothing;      /* target <- target * (1 - s) + s / K */
    const float *class_weights; /* [K], copied; NULL: all 1 */
};
/* loss [1] = 1/N sum_n weight_n * -sum_k target[n,k] * log softmax(logits)[n,k], where
 * weight_n = sum_k target[n,k] * class_weights[k] (Keras divides by N, not by the weights' sum). */
struct nn_node *nn_softmax_cross_entropy(struct nn_node *logits, struct nn_node *target,
                                         const struct nn_loss_options *options);
/* loss [1] = mean over all elements of -(t log sigmoid(x) + (1-t) log(1 - sigmoid(x))). */
struct nn_node *nn_binary_cross_entropy(struct nn_node *logits, struct nn_node *target,
                                        const struct nn_loss_options *options);

/* ---- layers: functions that make parameters and compose ops; named as Keras names them ---- */

/* `name` NULL: "conv2d", "conv2d_1" ... Parameters are "<name>/kernel", "<name>/bias",
 * "<name>/gamma", "/beta", "/moving_mean", "/moving_variance". */
struct nn_node *nn_layer_conv2d(struct nn_node *x, const char *name, int filters, int kernel_h,
                                int kernel_w, const struct nn_conv2d_options *options);
struct nn_node *nn_layer_dense(struct nn_node *x, const char *name, int units);
struct nn_node *nn_layer_batch_norm(struct nn_node *x, const char *name); /* Keras' defaults */

/* Names a node so that nn_find can return it and files can refer to it. Returns the node. */
struct nn_node *nn_name(struct nn_node *node, const char *name);

/* ---- looking at a graph ------------------------------------------------------------------ */

struct nn_node *nn_find(const struct nn_graph *graph, const char *name); /* NULL if there is none */
int nn_node_count(const struct nn_graph *graph);
struct nn_node *nn_node_at(const struct nn_graph *graph, int index); /* inputs before their users */
const char *nn_node_name(const struct nn_node *node);
const char *nn_node_op(const struct nn_node *node);    /* "input", "parameter", "state" or the op */
const char *nn_node_title(const struct nn_node *node); /* Keras' class name: "MaxPooling2D" */
struct nn_shape nn_node_shape(const struct nn_node *node);
int nn_node_inputs(const struct nn_node *node);
struct nn_node *nn_node_input(const struct nn_node *node, int index);
/* Multiply-adds of one image; 0 for ops that do none. */
double nn_node_multiply_adds(const struct nn_node *node);

/* Values of a parameter or state: nn_shape_count floats, the graph's. nn_parameter_changed tells
 * the plans of this graph that values were written, so that they repack before the next run. */
float *nn_values(struct nn_node *node);
void nn_parameters_changed(struct nn_graph *graph);
/* Draws all parameters and states anew from their initialisers. */
enum nn_status nn_initialize(struct nn_graph *graph, uint64_t seed);

/* ---- compile ------------------------------------------------------------------------------ */

struct nn_plan;

/* What convolutions multiply: floats, or bfloat16s, the upper halves of floats (8 bits of
 * precision); sums are floats in any case, and so is all that is kept. */
enum nn_precision { NN_FLOAT32, NN_BFLOAT16 };

struct nn_plan_options {
    int batch;                      /* most images in one run, >= 1 */
    struct nn_node *loss;           /* set: training (gradients); NULL: inference */
    struct nn_node *const *outputs; /* nodes whose values must be readable after a forward run */
    int output_count;               /* 0 without a loss: the last node */
    bool statistics;                /* for nn_measure; without a loss */
    enum nn_precision precision;    /* NN_BFLOAT16: without a loss, without statistics */
    bool release_weights;           /* what inference has made its own of goes: no other use */
    bool input_gradients;           /* also keep gradients of nn_input nodes */
    bool no_fusion, no_sharing;     /* for tests: every op on its own, every buffer its own */
};
enum nn_status nn_compile(struct nn_plan **plan, struct nn_graph *graph,
                          const struct nn_plan_options *options);
void nn_plan_free(struct nn_plan **plan);

/* Buffer of an input (to fill), or of the loss or an output (to read): [batch, ...] floats. */
float *nn_data(const struct nn_plan *plan, const struct nn_node *node);
/* Gradient of the loss with respect to a parameter (or input, see input_gradients), after
 * nn_backward; NULL when there is none. */
float *nn_gradient(const struct nn_plan *plan, const struct nn_node *node);

/* Lines of a table of steps, shapes, fusions, buffers; passed one at a time to `line`. */
void nn_plan_print(const struct nn_plan *plan, void (*line)(void *user, const char *text),
                   void *user);
size_t nn_plan_bytes(const struct nn_plan *plan); /* buffers + workspace, without weights */

/* ---- run ---------------------------------------------------------------------------------- */

/* Runs the first `images` (1 .. batch) rows. nn_forward of a training plan normalises by the
 * batch, drops out, and updates running statistics. */
enum nn_status nn_forward(struct nn_plan *plan, int images);
enum nn_status nn_backward(struct nn_plan *plan);
/* Runs forward of a plan compiled with `statistics`: batch norms normalise by the batch and take
 * its statistics, running <- (1 - weight) running + weight batch; nothing drops out. Over batches
 * of plain pictures, with weight = images / images so far, the running statistics become those the
 * network meets when it predicts; the moving averages of training were taken from augmented,
 * dropped-out, ever-changing values (Wu & Johnson, "Rethinking Batch in BatchNorm", 2021;
 * Touvron et al., "Fixing the train-test resolution discrepancy", 2019). */
enum nn_status nn_measure(struct nn_plan *plan, int images, float weight);
/* What makes dropout differ from step to step. */
void nn_plan_seed(struct nn_plan *plan, uint64_t seed, uint64_t step);

/* ---- optimise ----------------------------------------------------------------------------- */

enum nn_optimizer_kind { NN_ADAM, NN_ADAMW, NN_SGD };

struct nn_optimizer_options {
    enum nn_optimizer_kind kind;
    float momentum; /* SGD; Nesterov's with `nesterov` */
    bool nesterov;
    float beta1, beta2; /* Adam; 0: 0.9, 0.999 */
    float epsilon;      /* Adam; 0: 1e-7 (Keras) */
    float weight_decay; /* AdamW, decoupled (Loshchilov & Hutter 2019); SGD: L2 */
    float clip_norm;    /* > 0: the global L2 norm of all gradients is cut to this */
    float clip_value;   /* > 0: each gradient is cut to +- this */
};
struct nn_optimizer;

/* Updates the parameters of `plan`'s graph from `plan`'s gradients (a training plan). Moments below
 * 1e-28 are now and then set to 0, so that those of weights at rest do not become denormal. */
enum nn_status nn_optimizer_new(struct nn_optimizer **optimizer, struct nn_plan *plan,
                                const struct nn_optimizer_options *options);
void nn_optimizer_free(struct nn_optimizer **optimizer);
enum nn_status nn_optimizer_step(struct nn_optimizer *optimizer, float learning_rate);

/* Slot `slot` (0: first moment or velocity, 1: second moment) of a parameter; NULL if none. */
float *nn_optimizer_slot(struct nn_optimizer *optimizer, const struct nn_node *parameter, int slot);
uint64_t nn_optimizer_steps(const struct nn_optimizer *optimizer);
void nn_optimizer_set_steps(struct nn_optimizer *optimizer, uint64_t steps);

enum nn_schedule_kind {
    NN_CONSTANT,
    NN_DECAY,  /* Keras 1/2: rate / (1 + decay * step) */
    NN_COSINE, /* rate * (1 + cos(pi * step / steps)) / 2; Loshchilov & Hutter 2017 */
    NN_STEP    /* rate * factor^floor(step / every) */
};
struct nn_schedule {
    enum nn_schedule_kind kind;
    double rate;
    double decay;    /* NN_DECAY */
    uint64_t steps;  /* NN_COSINE: length of the run */
    uint64_t warmup; /* any kind: rate grows linearly from 0 over this many steps */
    uint64_t every;  /* NN_STEP */
    double factor;   /* NN_STEP */
};
double nn_schedule_at(const struct nn_schedule *schedule, uint64_t step);

/* ---- models --------------------------------------------------------------------------------- */

/* LivenessNet: input node "input" [N,height,width,channels], last node "softmax" [N,classes], whose
 * input, "dense_1", holds the logits. 148,562 parameters at 32x32x3 and 2 classes. Returns the
 * softmax node. */
struct nn_node *nn_model_livenessnet(struct nn_graph *graph, int height, int width, int channels,
                                     int classes);
/* The architecture of OpenCV's face detector, for measuring: input node "data" [N,300,300,3], last
 * node "detection_out" [N,1,200,7], which is returned; names are those of its file's layers. */
struct nn_node *nn_model_ssd_res10(struct nn_graph *graph);

/* ---- files ---------------------------------------------------------------------------------- */

/* A file in memory, or being made: named tensors and a text map, as .safetensors holds them. */
struct nn_archive;

enum nn_type { NN_F32, NN_F64, NN_U8, NN_I64 };

enum nn_status nn_archive_new(struct nn_archive **archive, struct nn_context *context);
void nn_archive_free(struct nn_archive **archive);
/* Reads and checks a .safetensors file. Our own files carry a checksum over all tensors and
 * metadata; where it is present it must be right. */
enum nn_status nn_archive_read(struct nn_archive **archive, struct nn_context *context,
                               const char *path);
enum nn_status nn_archive_parse(struct nn_archive **archive, struct nn_context *context,
                                const void *bytes, size_t size, const char *name_for_errors);
/* Writes to a temporary file beside `path`, fsyncs, renames: whole or not at all. */
enum nn_status nn_archive_write(struct nn_archive *archive, const char *path);

/* Copies `data` in; an existing tensor of that name is replaced. */
enum nn_status nn_archive_put(struct nn_archive *archive, const char *name, enum nn_type type,
                              int rank, const int64_t *dims, const void *data);
enum nn_status nn_archive_put_text(struct nn_archive *archive, const char *key, const char *text);

struct nn_archive_tensor {
    const char *name;
    enum nn_type type;
    int rank;
    int64_t dim[8];
    size_t bytes;
    const void *data; /* the archive's */
};
int nn_archive_count(const struct nn_archive *archive);
const struct nn_archive_tensor *nn_archive_at(const struct nn_archive *archive, int index);
const struct nn_archive_tensor *nn_archive_get(const struct nn_archive *archive, const char *name);
const char *nn_archive_text(const struct nn_archive *archive, const char *key); /* NULL if none */

/* A graph as tensors plus the "architecture" text (JSON: one object per node, ops by name). */
enum nn_status nn_graph_save(struct nn_graph *graph, struct nn_archive *archive);
/* Rebuilds the graph the archive describes and copies the values of its parameters. */
enum nn_status nn_graph_load(struct nn_graph **graph, struct nn_context *context,
                             const struct nn_archive *archive);
/* Networks of other programs, with their weights. The graph has one input node; nodes bear the
 * names of the file's layers; the last node is the network's output. What the importer does not
 * know is an error that names the layer, its type and its line: nothing is skipped or guessed.
 *
 * Caffe: `prototxt` (network, TEST phase) and `caffemodel` (weights; NULL: all zero, to look at the
 * structure). Layouts are turned from NCHW to NHWC here and nowhere else. */
enum nn_status nn_import_caffe(struct nn_graph **graph, struct nn_context *context,
                               const char *prototxt, const char *caffemodel);
/* TensorFlow, as OpenCV reads it: `pbtxt` (text GraphDef: network) and `pb` (frozen GraphDef:
 * weights, 8-bit ones dequantised). */
enum nn_status nn_import_tensorflow(struct nn_graph **graph, struct nn_context *context,
                                    const char *pbtxt, const char *pb);
/* SHA-256 over names, shapes and values of all parameters and states in name order, as hex. */
enum nn_status nn_weights_sha256(char hex[65], struct nn_graph *graph);

/* Writes `size` bytes to `path` whole or not at all: temporary file, fsync, rename. */
enum nn_status nn_file_write(struct nn_context *context, const char *path, const void *bytes,
                             size_t size);
/* A file that is written piece by piece: beside its name until it is fit to be seen, then under it;
 * a device, a fifo or an open descriptor (/dev/stdout) is written to as it is. */
struct nn_draft {
    int descriptor;           /* to write to; -1: none */
    char *target, *temporary; /* target NULL: no file; temporary NULL: it has its name */
};
enum nn_status nn_draft_open(struct nn_draft *draft, struct nn_context *context, const char *path);
/* Gives it its name, and takes the place of a file that had it. It may be written to further. */
enum nn_status nn_draft_publish(struct nn_draft *draft, struct nn_context *context);
enum nn_status nn_draft_sync(struct nn_draft *draft,
                             struct nn_context *context); /* onto the disk */
/* Closes it; what has not been published is gone. */
void nn_draft_close(struct nn_draft *draft, struct nn_context *context);
/* Reads a whole regular file of at most `limit` bytes; *bytes (plus a closing NUL that is not
 * counted) is the caller's to nn_free. */
enum nn_status nn_file_read(struct nn_context *context, const char *path, size_t limit,
                            void **bytes, size_t *size);

/* ---- JSON: what the metadata needs, and the apps' --json ------------------------------------- */

struct nn_json; /* a parsed value */
enum nn_status nn_json_parse(struct nn_json **root, struct nn_context *context, const char *text,
                             size_t size, const char *name_for_errors);
void nn_json_free(struct nn_json **root);
enum nn_json_kind {
    NN_JSON_NULL,
    NN_JSON_BOOL,
    NN_JSON_NUMBER,
    NN_JSON_STRING,
    NN_JSON_ARRAY,
    NN_JSON_OBJECT
};
/* All of these accept NULL and wrong kinds, and answer NULL, 0 or the fallback. */
enum nn_json_kind nn_json_kind(const struct nn_json *value);
int nn_json_count(const struct nn_json *value); /* members or items */
const struct nn_json *nn_json_at(const struct nn_json *value, int index);
const char *nn_json_key(const struct nn_json *object, int index);
const struct nn_json *nn_json_get(const struct nn_json *object, const char *key);
double nn_json_number(const struct nn_json *value, double fallback);
bool nn_json_bool(const struct nn_json *value, bool fallback);
const char *nn_json_string(const struct nn_json *value, const char *fallback);

/* Text that grows; the first failed allocation sticks: check `failed` at the end. */
struct nn_text {
    struct nn_context *context;
    char *data; /* NUL-terminated, or NULL while empty; free with nn_text_free */
    size_t size, capacity;
    bool failed;
};
void nn_text_printf(struct nn_text *text, const char *format, ...) NN_PRINTF(2, 3);
void nn_text_append(struct nn_text *text, const char *bytes, size_t size);
/* Appends a JSON string with quotes; invalid UTF-8 bytes become U+FFFD. */
void nn_text_json_string(struct nn_text *text, const char *string);
void nn_text_free(struct nn_text *text);

/* Bytes of the well-formed UTF-8 sequence at the start of `bytes` (Unicode 15, table 3-7: no
 * overlong forms, no surrogates, nothing over U+10FFFF); 0 when there is none. */
size_t nn_utf8_size(const void *bytes, size_t size);

enum { NN_QUOTED = 256 };
/* `text` in single quotes for an error message: control characters and bytes that are not UTF-8
 * become \xNN, so that a file name cannot move the cursor of a terminal; of a long text the end
 * is kept. Returns `quoted`. */
char *nn_quote(char quoted[NN_QUOTED], const char *text);

#ifdef __cplusplus
}
#endif
#endif
