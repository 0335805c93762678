/*
 * optim.c — from gradients to new weights.
 *
 * All parameters lie in one block, their gradients and moments in blocks of the same layout, so a
 * step is one pass over each, whatever the network looks like.
 *
 * SGD     v <- momentum v + g;  w <- w - rate v
 * Adam    m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;
 *         w <- w - rate sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + epsilon)
 *         (Kingma & Ba 2015, the form at the end of their section 2, which is Keras')
 * AdamW   the same, and w <- w - rate decay w (Loshchilov & Hutter 2019)
 */
#include "nn/compile.h"

#include <math.h>

enum { GRAIN = 16384 }; /* floats: below that a second thread costs more than it gives */

/* The moments of a weight whose gradient has become 0, as a dead unit's does, decay into denormal
 * numbers. Rounding keeps them there (0.9 times the smallest ones are the smallest ones again), and
 * each costs a hundred cycles in every step to come: Adam took 20 times as long. So moments below
 * IDLE are set to 0 every SWEEP steps: in between 0.9 takes off a factor of 1e-3, and `rate * m` is
 * still a normal number. What they would have moved a weight by is rate * 1e-28 / epsilon, which
 * no weight that is not 0 itself would show. */
enum { SWEEP = 64 };
static const float IDLE = 1e-28f;

struct nn_optimizer {
    struct nn_plan *plan;
    struct nn_optimizer_options options;
    uint64_t steps;
    size_t count; /* floats of parameters, padding included */
    float *slots[2];
    double *partial;     /* one sum of squares per chunk, for clip_norm */
    struct nn_adam adam; /* of the step under way */
    struct nn_sgd sgd;
};

static bool in_range(float value, float low, float high)
{
    return value >= low && value < high; /* false for NaN */
}

static enum nn_status check_options(struct nn_context *context,
                                    const struct nn_optimizer_options *options)
{
    if (options->kind != NN_ADAM && options->kind != NN_ADAMW && options->kind != NN_SGD)
        return nn_fail(context, NN_ERROR_ARGUMENT, "optimizer: unknown kind %d",
                       (int)options->kind);
    if (!in_range(options->momentum, 0, 1) || !in_range(options->beta1, 0, 1) ||
        !in_range(options->beta2, 0, 1))
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "optimizer: momentum, beta1 and beta2 lie in [0, 1)");
    if (!in_range(options->epsilon, 0, INFINITY) || !in_range(options->weight_decay, 0, INFINITY) ||
        !in_range(options->clip_norm, 0, INFINITY) || !in_range(options->clip_value, 0, INFINITY))
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "optimizer: epsilon, weight decay and clip limits are 0 or more");
    return NN_OK;
}

enum nn_status nn_optimizer_new(struct nn_optimizer **made, struct nn_plan *plan,
                                const struct nn_optimizer_options *options)
{
    *made = NULL;
    struct nn_context *context = plan->context;
    enum nn_status status = check_options(context, options);
    if (status) return status;
    if (!plan->training)
        return nn_fail(context, NN_ERROR_ARGUMENT, "an optimizer needs a plan with a loss");
    struct nn_optimizer *optimizer = nn_alloc(context, 1, sizeof *optimizer);
    if (!optimizer) return NN_ERROR_MEMORY;
    optimizer->plan = plan;
    optimizer->options = *options;
    if (options->beta1 == 0) optimizer->options.beta1 = 0.9f;
    if (options->beta2 == 0) optimizer->options.beta2 = 0.999f;
    if (options->epsilon == 0) optimizer->options.epsilon = 1e-7f;
    optimizer->count = plan->graph->trained_floats;
    int slots = options->kind == NN_SGD ? 1 : 2;
    bool complete = true;
    for (int i = 0; i < slots; i++) {
        optimizer->slots[i] = nn_alloc(context, optimizer->count + 1, sizeof(float));
        complete = complete && optimizer->slots[i];
    }
    optimizer->partial = nn_alloc(context, optimizer->count / GRAIN + 1, sizeof(double));
    if (!complete || !optimizer->partial) {
        nn_optimizer_free(&optimizer);
        return NN_ERROR_MEMORY;
    }
    *made = optimizer;
    return NN_OK;
}

void nn_optimizer_free(struct nn_optimizer **freed)
{
    struct nn_optimizer *optimizer = *freed;
    if (!optimizer) return;
    struct nn_context *context = optimizer->plan->context;
    nn_free(context, optimizer->slots[0]);
    nn_free(context, optimizer->slots[1]);
    nn_free(context, optimizer->partial);
    nn_free(context, optimizer);
    *freed = NULL;
}

/* ---- step ------------------------------------------------------------------------------------ */

static size_t chunk_size(const struct nn_optimizer *optimizer, int chunk)
{
    size_t from = (size_t)chunk * GRAIN, left = optimizer->count - from;
    return left < GRAIN ? left : GRAIN;
}

static void sum_chunk(void *argument, int chunk, int thread)
{
    struct nn_optimizer *optimizer = argument;
    const struct nn_kernels *kernels = &optimizer->plan->context->kernels;
    (void)thread;
    kernels->square_sum(&optimizer->partial[chunk],
                        optimizer->plan->gradients + (size_t)chunk * GRAIN,
                        chunk_size(optimizer, chunk));
}

/* A second moment goes after the first, for m / sqrt(v) must not become m / 0. */
static void sweep(float *m, float *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fabsf(m[i]) < IDLE) m[i] = 0;
        if (v && v[i] < IDLE && m[i] == 0) v[i] = 0;
    }
}

static void update_chunk(void *argument, int chunk, int thread)
{
    struct nn_optimizer *optimizer = argument;
    const struct nn_plan *plan = optimizer->plan;
    const struct nn_kernels *kernels = &plan->context->kernels;
    size_t from = (size_t)chunk * GRAIN, count = chunk_size(optimizer, chunk);
    float *w = plan->graph->values + from;
    const float *g = plan->gradients + from;
    (void)thread;
    if (optimizer->options.kind == NN_SGD)
        kernels->sgd(w, optimizer->slots[0] + from, g, &optimizer->sgd, count);
    else
        kernels->adam(w, optimizer->slots[0] + from, optimizer->slots[1] + from, g,
                      &optimizer->adam, count);
    if (optimizer->steps % SWEEP == 0)
        sweep(optimizer->slots[0] + from, optimizer->slots[1] ? optimizer->slots[1] + from : NULL,
              count);
}

/* Parameters the loss does not depend on have gradient 0 for ever: their block is never written. */
static float clip_scale(struct nn_optimizer *optimizer, int chunks)
{
    if (optimizer->options.clip_norm <= 0) return 1.0f;
    nn_parallel(optimizer->plan->context, chunks, sum_chunk, optimizer);
    double sum = 0;
    for (int i = 0; i < chunks; i++) sum += optimizer->partial[i];
    double norm = sqrt(sum), limit = optimizer->options.clip_norm;
    return norm > limit ? (float)(limit / norm) : 1.0f;
}

enum nn_status nn_optimizer_step(struct nn_optimizer *optimizer, float learning_rate)
{
    struct nn_plan *plan = optimizer->plan;
    const struct nn_optimizer_options *options = &optimizer->options;
    if (!in_range(learning_rate, 0, INFINITY))
        return nn_fail(plan->context, NN_ERROR_ARGUMENT, "learning rate %g is not 0 or more",
                       (double)learning_rate);
    int chunks = (int)((optimizer->count + GRAIN - 1) / GRAIN);
    float scale = clip_scale(optimizer, chunks);
    double t = (double)++optimizer->steps;
    double correction = sqrt(1 - pow(options->beta2, t)) / (1 - pow(options->beta1, t));
    optimizer->adam = (struct nn_adam){
        .rate = (float)(learning_rate * correction),
        .beta1 = options->beta1,
        .beta2 = options->beta2,
        .epsilon = options->epsilon,
        .decay = options->kind == NN_ADAMW ? learning_rate * options->weight_decay : 0,
        .scale = scale,
        .clip = options->clip_value};
    optimizer->sgd = (struct nn_sgd){.rate = learning_rate,
                                     .momentum = options->momentum,
                                     .decay = options->weight_decay,
                                     .scale = scale,
                                     .clip = options->clip_value,
                                     .nesterov = options->nesterov};
    nn_parallel(plan->context, chunks, update_chunk, optimizer);
    nn_parameters_changed(plan->graph);
    return NN_OK;
}

/* ---- state ----------------------------------------------------------------------------------- */

float *nn_optimizer_slot(struct nn_optimizer *optimizer, const struct nn_node *parameter, int slot)
{
    if (slot < 0 || slot > 1 || !optimizer->slots[slot] || parameter->kind != NN_KIND_PARAMETER)
        return NULL;
    return optimizer->slots[slot] + parameter->offset;
}

uint64_t nn_optimizer_steps(const struct nn_optimizer *optimizer)
{
    return optimizer->steps;
}

void nn_optimizer_set_steps(struct nn_optimizer *optimizer, uint64_t steps)
{
    optimizer->steps = steps;
}
