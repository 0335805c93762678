/*
 * test_optim.c — optimisers against their formulas in double precision, gradient clipping, and
 * learning-rate schedules at known points.
 *
 * The network is loss = sum r w^2 over a few weights: its gradient is 2 r w.
 */
#include "tests/test.h"
#include "tests/trial.h"

enum { WEIGHTS = 37, STEPS = 20 };
static const double RATE = 0.0625;

struct reference {
    double w[WEIGHTS], m[WEIGHTS], v[WEIGHTS];
};

static void take_gradients(double g[WEIGHTS], const struct reference *reference, const float *r,
                           const struct nn_optimizer_options *options)
{
    double square = 0.0;
    for (int i = 0; i < WEIGHTS; i++) {
        g[i] = 2.0 * (double)r[i] * reference->w[i];
        square += g[i] * g[i];
    }
    double norm = sqrt(square), limit = (double)options->clip_norm;
    double scale = limit > 0.0 && norm > limit ? limit / norm : 1.0;
    for (int i = 0; i < WEIGHTS; i++) {
        g[i] *= scale;
        if (options->clip_value > 0.0f)
            g[i] = fmax(-(double)options->clip_value, fmin((double)options->clip_value, g[i]));
    }
}

static void reference_sgd(struct reference *s, const double *g,
                          const struct nn_optimizer_options *options)
{
    double momentum = (double)options->momentum;
    for (int i = 0; i < WEIGHTS; i++) {
        double gradient = g[i] + (double)options->weight_decay * s->w[i];
        s->v[i] = momentum * s->v[i] + gradient;
        s->w[i] -= RATE * (options->nesterov ? gradient + momentum * s->v[i] : s->v[i]);
    }
}

static void reference_adam(struct reference *s, const double *g, int step,
                           const struct nn_optimizer_options *options)
{
    double b1 = options->beta1 > 0.0f ? (double)options->beta1 : 0.9;
    double b2 = options->beta2 > 0.0f ? (double)options->beta2 : 0.999;
    double epsilon = options->epsilon > 0.0f ? (double)options->epsilon : 1e-7;
    double decay = options->kind == NN_ADAMW ? RATE * (double)options->weight_decay : 0.0;
    double rate = RATE * sqrt(1.0 - pow(b2, step)) / (1.0 - pow(b1, step));
    for (int i = 0; i < WEIGHTS; i++) {
        s->m[i] = b1 * s->m[i] + (1.0 - b1) * g[i];
        s->v[i] = b2 * s->v[i] + (1.0 - b2) * g[i] * g[i];
        s->w[i] -= decay * s->w[i] + rate * s->m[i] / (sqrt(s->v[i]) + epsilon);
    }
}

/* Worst difference to the reference over all steps. */
static double follow(struct nn_plan *plan, struct nn_node *w, struct nn_node *r,
                     const struct nn_optimizer_options *options)
{
    struct nn_optimizer *optimizer;
    struct reference s = {0};
    double worst = 0.0, g[WEIGHTS];
    numbers_fill(nn_values(w), WEIGHTS, 1, 'a', 1, 1);
    numbers_fill(nn_data(plan, r), WEIGHTS, 1, 'v', 1, 2);
    for (int i = 0; i < WEIGHTS; i++) s.w[i] = (double)nn_values(w)[i];
    if (nn_optimizer_new(&optimizer, plan, options)) return 1.0;
    for (int step = 1; step <= STEPS; step++) {
        take_gradients(g, &s, nn_data(plan, r), options);
        if (options->kind == NN_SGD)
            reference_sgd(&s, g, options);
        else
            reference_adam(&s, g, step, options);
        if (nn_forward(plan, 1) || nn_backward(plan) || nn_optimizer_step(optimizer, (float)RATE))
            worst = 1.0;
        for (int i = 0; i < WEIGHTS; i++) {
            double apart = fabs((double)nn_values(w)[i] - s.w[i]);
            if (!(apart <= worst)) worst = apart;
        }
    }
    if (nn_optimizer_steps(optimizer) != STEPS) worst = 1.0;
    nn_optimizer_free(&optimizer);
    return worst;
}

static void check_optimizers(struct nn_plan *plan, struct nn_node *w, struct nn_node *r)
{
    static const struct {
        const char *name;
        struct nn_optimizer_options options;
    } rows[] = {
        {"SGD", {.kind = NN_SGD}},
        {"SGD with momentum", {.kind = NN_SGD, .momentum = 0.75f}},
        {"SGD with Nesterov's momentum", {.kind = NN_SGD, .momentum = 0.75f, .nesterov = true}},
        {"SGD with weight decay", {.kind = NN_SGD, .momentum = 0.5f, .weight_decay = 0.125f}},
        {"SGD, norm clipped", {.kind = NN_SGD, .clip_norm = 1.0f}},
        {"SGD, values clipped", {.kind = NN_SGD, .clip_value = 0.25f}},
        {"Adam", {.kind = NN_ADAM}},
        {"Adam with other constants",
         {.kind = NN_ADAM, .beta1 = 0.5f, .beta2 = 0.75f, .epsilon = 0.0625f}},
        {"Adam, norm clipped", {.kind = NN_ADAM, .clip_norm = 0.5f}},
        {"AdamW", {.kind = NN_ADAMW, .weight_decay = 0.25f}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double worst = follow(plan, w, r, &rows[i].options);
        CHECK(worst < 2e-5, "%s follows its formula to %.1e", rows[i].name, worst);
    }
}

static int count_denormals(const float *values, int count)
{
    int denormals = 0;
    for (int i = 0; values && i < count; i++) denormals += fpclassify(values[i]) == FP_SUBNORMAL;
    return denormals;
}

/* A weight whose gradient stays 0 comes to rest: its moments go to 0 and are never denormal, while
 * its neighbours' go on. */
static void check_rest(struct nn_plan *plan, struct nn_node *w, struct nn_node *r, const char *name,
                       const struct nn_optimizer_options *options)
{
    struct nn_optimizer *optimizer;
    int denormals = 0;
    numbers_fill(nn_values(w), WEIGHTS, 1, 'a', 1, 1);
    numbers_fill(nn_data(plan, r), WEIGHTS, 1, 'v', 1, 2);
    if (!CHECK(!nn_optimizer_new(&optimizer, plan, options), "an optimiser")) return;
    const float *m = nn_optimizer_slot(optimizer, w, 0), *v = nn_optimizer_slot(optimizer, w, 1);
    for (int step = 0; step < 3000; step++) {
        if (step == 10)
            for (int i = 0; i < WEIGHTS; i += 2) nn_data(plan, r)[i] = 0;
        if (nn_forward(plan, 1) || nn_backward(plan) || nn_optimizer_step(optimizer, 1e-6f)) break;
        denormals += count_denormals(m, WEIGHTS) + count_denormals(v, WEIGHTS);
    }
    int resting = 0, moving = 0;
    for (int i = 0; i < WEIGHTS; i++)
        if (i % 2)
            moving += m[i] != 0 && (!v || v[i] > 0);
        else
            resting += m[i] == 0 && (!v || v[i] == 0);
    CHECK(denormals == 0 && resting == (WEIGHTS + 1) / 2 && moving == WEIGHTS / 2,
          "%s: %d denormal moments; %d weights at rest, %d not", name, denormals, resting, moving);
    nn_optimizer_free(&optimizer);
}

static void check_bad_options(struct nn_context *context, struct nn_plan *plan)
{
    static const struct nn_optimizer_options rows[] = {
        {.kind = (enum nn_optimizer_kind)9},
        {.kind = NN_SGD, .momentum = 1.0f},
        {.beta1 = -0.5f},
        {.beta2 = NAN},
        {.epsilon = -1.0f},
        {.clip_norm = NAN},
        {.clip_value = INFINITY},
        {.kind = NN_ADAMW, .weight_decay = -1.0f},
    };
    struct nn_optimizer *optimizer;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool refused = nn_optimizer_new(&optimizer, plan, &rows[i]) == NN_ERROR_ARGUMENT;
        CHECK(refused && !optimizer, "refused: %s", nn_error(context));
    }
    if (!CHECK(nn_optimizer_new(&optimizer, plan, &(struct nn_optimizer_options){0}) == NN_OK,
               "defaults are good"))
        return;
    CHECK(nn_optimizer_step(optimizer, NAN) && nn_optimizer_step(optimizer, -1.0f) &&
              nn_optimizer_step(optimizer, INFINITY),
          "learning rates that are none: %s", nn_error(context));
    nn_optimizer_free(&optimizer);
}

static void check_schedules(void)
{
    const struct nn_schedule constant = {.kind = NN_CONSTANT, .rate = 0.5};
    const struct nn_schedule decay = {.kind = NN_DECAY, .rate = 1.0, .decay = 0.25};
    const struct nn_schedule cosine = {.kind = NN_COSINE, .rate = 2.0, .steps = 100};
    const struct nn_schedule stairs = {.kind = NN_STEP, .rate = 1.0, .every = 10, .factor = 0.5};
    const struct nn_schedule warm = {.kind = NN_CONSTANT, .rate = 1.0, .warmup = 4};
    CHECK(nn_schedule_at(&constant, 0) == 0.5 && nn_schedule_at(&constant, 1000000) == 0.5,
          "constant");
    CHECK(nn_schedule_at(&decay, 0) == 1.0 && nn_schedule_at(&decay, 4) == 0.5, "decay");
    CHECK(nn_schedule_at(&cosine, 0) == 2.0 && fabs(nn_schedule_at(&cosine, 50) - 1.0) < 1e-12 &&
              fabs(nn_schedule_at(&cosine, 25) - 1.0 - sqrt(0.5)) < 1e-12 &&
              nn_schedule_at(&cosine, 100) == 0.0 && nn_schedule_at(&cosine, 1000) == 0.0,
          "cosine");
    CHECK(nn_schedule_at(&stairs, 9) == 1.0 && nn_schedule_at(&stairs, 10) == 0.5 &&
              nn_schedule_at(&stairs, 25) == 0.25,
          "steps");
    CHECK(nn_schedule_at(&warm, 0) > 0.0 && nn_schedule_at(&warm, 0) < nn_schedule_at(&warm, 2) &&
              nn_schedule_at(&warm, 4) == 1.0,
          "warm-up");
}

int main(void)
{
    struct nn_context *context = NULL;
    struct nn_plan *plan = NULL;
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 2}) == NN_OK, "a context"))
        return test_done();
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *w = nn_parameter(graph, "w", nn_shape1(WEIGHTS), NN_ZEROS);
    struct nn_node *r = nn_input(graph, "r", nn_shape1(WEIGHTS));
    struct nn_node *loss = trial_weighted_sum(nn_mul(w, w), r);
    struct nn_plan_options options = {.batch = 1, .loss = loss};
    if (CHECK(nn_compile(&plan, graph, &options) == NN_OK, "a plan")) {
        check_optimizers(plan, w, r);
        check_rest(plan, w, r, "Adam",
                   &(struct nn_optimizer_options){.kind = NN_ADAM, .beta2 = 0.95f});
        check_rest(plan, w, r, "SGD with momentum",
                   &(struct nn_optimizer_options){.kind = NN_SGD, .momentum = 0.9f});
        check_bad_options(context, plan);
    }
    check_schedules();
    nn_plan_free(&plan);
    nn_graph_free(&graph);
    nn_close(&context);
    return test_done();
}
