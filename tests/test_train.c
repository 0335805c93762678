/*
 * test_train.c — training LivenessNet: losses as PyTorch's over fifty steps, and the same bits
 * however the work is split, stored, or cut into batches; nothing is allocated on the way.
 */
#include "tests/test.h"
#include "tests/numbers.h"
#include "nn/internal.h"

enum { BATCH = 8, SIDE = 32, CLASSES = 2, BATCHES = 10, STEPS = 50 };
enum { SMALL_SIDE = 16 }; /* where it is the bits that count */

struct training {
    int side;
    struct nn_graph *graph;
    struct nn_plan *plan;
    struct nn_optimizer *optimizer;
    struct nn_node *input, *target, *loss;
};

/* ---- the same numbers as tests/golden/make_training.py --------------------------------------- */

static void fill_weights(struct nn_graph *graph)
{
    static const struct {
        const char *name;
        float scale;
    } kernels[] = {{"conv2d/kernel", 0.125f},   {"conv2d_1/kernel", 0.125f},
                   {"conv2d_2/kernel", 0.125f}, {"conv2d_3/kernel", 0.125f},
                   {"dense/kernel", 0.0625f},   {"dense_1/kernel", 0.25f}};
    nn_initialize(graph, 0); /* zeros and ones for the rest */
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        struct nn_node *node = nn_find(graph, kernels[i].name);
        float *values = nn_values(node);
        if (!CHECK(values != NULL, "the network has %s", kernels[i].name) || !values) return;
        size_t count = nn_shape_count(nn_node_shape(node));
        numbers_fill(values, count, 1, 'i', numbers_seed(kernels[i].name), 0);
        for (size_t k = 0; k < count; k++) values[k] *= kernels[i].scale;
    }
    nn_parameters_changed(graph);
}

/* Noise, and a checkerboard whose phase is the label. */
static void fill_batch(const struct training *training, int index, int images)
{
    float *x = nn_data(training->plan, training->input);
    float *t = nn_data(training->plan, training->target);
    int side = training->side, picture = side * side * 3;
    numbers_fill(x, (size_t)images * (size_t)picture, 1, 'u', numbers_seed("pictures"),
                 (uint64_t)index);
    for (int i = 0; i < images * picture; i++) {
        int n = i / picture, row = i / (side * 3) % side, column = i / 3 % side;
        x[i] = 0.75f * x[i] + 0.25f * (float)((row + column + n) % 2);
    }
    for (int n = 0; n < images; n++)
        for (int k = 0; k < CLASSES; k++) t[n * CLASSES + k] = n % 2 == k ? 1.0f : 0.0f;
}

/* ---- a training ------------------------------------------------------------------------------ */

static void switch_dropout_off(struct nn_graph *graph)
{
    for (int i = 0; i < nn_node_count(graph); i++) {
        struct nn_node *node = nn_node_at(graph, i);
        if (strcmp(nn_node_op(node), "dropout") != 0) continue;
        *(float *)(void *)((char *)node->attributes + node->op->fields[0].offset) = 0.0f;
    }
}

static bool training_open(struct training *training, struct nn_context *context, int side,
                          bool dropout, const struct nn_plan_options *how)
{
    *training = (struct training){.side = side, .graph = nn_graph_new(context)};
    struct nn_node *softmax = nn_model_livenessnet(training->graph, side, side, 3, CLASSES);
    training->input = nn_find(training->graph, "input");
    training->target = nn_input(training->graph, "target", nn_shape2(NN_BATCH, CLASSES));
    training->loss = nn_softmax_cross_entropy(nn_node_input(softmax, 0), training->target, NULL);
    if (!dropout) switch_dropout_off(training->graph);
    struct nn_plan_options options = *how;
    options.loss = training->loss;
    bool good = nn_compile(&training->plan, training->graph, &options) == NN_OK &&
                nn_optimizer_new(&training->optimizer, training->plan,
                                 &(struct nn_optimizer_options){.kind = NN_ADAM}) == NN_OK;
    CHECK(good, "LivenessNet compiles for training: %s", good ? "yes" : nn_error(context));
    if (good) fill_weights(training->graph);
    return good;
}

static void training_close(struct training *training)
{
    nn_optimizer_free(&training->optimizer);
    nn_plan_free(&training->plan);
    nn_graph_free(&training->graph);
}

static double training_step(const struct training *training, int step, int images)
{
    fill_batch(training, step % BATCHES, images);
    nn_plan_seed(training->plan, 1, (uint64_t)step);
    if (nn_forward(training->plan, images) || nn_backward(training->plan) ||
        nn_optimizer_step(training->optimizer, 1e-4f))
        return NAN;
    return (double)*nn_data(training->plan, training->loss);
}

/* Hash of all weights after some steps. */
static bool train_some(char hash[65], struct nn_context *context, int steps, int images,
                       const struct nn_plan_options *how)
{
    struct training training;
    bool good = training_open(&training, context, SMALL_SIDE, true, how);
    for (int step = 0; good && step < steps; step++)
        good = isfinite(training_step(&training, step, images));
    if (good) nn_weights_sha256(hash, training.graph);
    training_close(&training);
    return good;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static bool read_losses(double losses[STEPS])
{
    FILE *file = fopen("tests/golden/training.txt", "r");
    int count = 0;
    while (file && count < STEPS && fscanf(file, "%lf", &losses[count]) == 1) count++;
    if (file) fclose(file);
    return CHECK(count == STEPS, "%d losses of PyTorch", count);
}

/* Later a rounding error may have turned one relu or one pool's choice, and paths part. */
enum { EARLY = 15 };

static void check_losses(const char *level, const double expected[STEPS], int steps)
{
    struct nn_context *context = NULL;
    struct training training;
    double early = 0.0, worst = 0.0, last = 0.0;
    if (CHECK(nn_open(&context, &(struct nn_options){.threads = 2, .cpu = level}) == NN_OK,
              "level %s", level) &&
        training_open(&training, context, SIDE, false, &(struct nn_plan_options){.batch = BATCH})) {
        for (int step = 0; step < steps; step++) {
            last = training_step(&training, step, BATCH);
            double difference = fabs(last - expected[step]);
            if (!(difference <= worst)) worst = difference;
            if (step < EARLY) early = worst;
        }
        CHECK(early <= 1e-4 && worst <= 2e-3,
              "%s: %d losses follow PyTorch's to %.1e, then %.1e; the last is %.6f", level, steps,
              early, worst, last);
        training_close(&training);
    }
    nn_close(&context);
}

static void check_allocations(struct nn_context *context)
{
    struct training training;
    if (training_open(&training, context, SIDE, true, &(struct nn_plan_options){.batch = BATCH})) {
        size_t before = nn_allocations(context), bytes = nn_bytes_allocated(context);
        double loss = training_step(&training, 0, BATCH);
        loss += training_step(&training, 1, BATCH - 3);
        CHECK(isfinite(loss) && nn_allocations(context) == before &&
                  nn_bytes_allocated(context) == bytes,
              "a training step allocates nothing");
        CHECK(bytes < 32u << 20, "training holds %zu bytes at batch %d", bytes, BATCH);
    }
    training_close(&training);
}

static void check_same_bits(const char *first, const char *how, struct nn_context *context,
                            int images, const struct nn_plan_options *options)
{
    char hash[65] = "";
    bool good = train_some(hash, context, 5, images, options);
    CHECK(good && strcmp(hash, first) == 0, "%s: the same weights after 5 steps", how);
}

static void check_threads(const char *first, int threads)
{
    struct nn_context *context = NULL;
    char how[32];
    snprintf(how, sizeof how, "%d threads", threads);
    if (CHECK(nn_open(&context, &(struct nn_options){.threads = threads}) == NN_OK, "%s", how))
        check_same_bits(first, how, context, BATCH, &(struct nn_plan_options){.batch = BATCH});
    nn_close(&context);
}

int main(void)
{
    struct nn_context *context = NULL;
    double expected[STEPS] = {0};
    char full[65] = "", partial[65] = "";
    const char *levels[8];
    int count = nn_levels(levels);
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 1}) == NN_OK, "a context") ||
        !read_losses(expected))
        return test_done();
    /* Fifty steps at the best level; a few at the others are enough to see a wrong kernel. */
    for (int i = 0; i < count; i++) check_losses(levels[i], expected, i == count - 1 ? STEPS : 3);
    check_allocations(context);

    const struct nn_plan_options normal = {.batch = BATCH};
    CHECK(train_some(full, context, 5, BATCH, &normal), "five steps");
    check_same_bits(full, "again", context, BATCH, &normal);
    check_threads(full, 2);
    check_threads(full, 3);
    check_threads(full, 8);
    check_same_bits(full, "no sharing", context, BATCH,
                    &(struct nn_plan_options){.batch = BATCH, .no_sharing = true});
    check_same_bits(full, "a plan for 11 images", context, BATCH,
                    &(struct nn_plan_options){.batch = 11});
    CHECK(train_some(partial, context, 5, 5, &(struct nn_plan_options){.batch = 5}),
          "five steps of five");
    check_same_bits(partial, "five images of eight", context, 5, &normal);
    CHECK(strcmp(full, partial) != 0, "which are other weights than those of eight images");
    nn_close(&context);
    return test_done();
}
