/*
 * 03_training.c — learning: a network that tells discs from squares, drawn at random places and
 * sizes. Convolutions, pooling, a dense layer, Adam. See 03_training.md.
 */
#include "nn/nn.h"

#include <math.h>
#include <stdio.h>

enum { SIZE = 16, BATCH = 32, STEPS = 500, TESTS = 10 };

/* Draws one grey picture with some noise; a disc (class 0) or a square (class 1) of equal area,
 * so that counting bright pixels does not help. */
static void draw(float *pixels, int class, struct nn_rng *rng)
{
    float radius = nn_rng_uniform(rng, 3, 5);
    float x = nn_rng_uniform(rng, radius, SIZE - radius);
    float y = nn_rng_uniform(rng, radius, SIZE - radius);
    float half = radius * sqrtf(3.14159265f) / 2; /* (2 half)^2 = pi radius^2 */
    for (int i = 0; i < SIZE * SIZE; i++) {
        float dx = (float)(i % SIZE) + 0.5f - x, dy = (float)(i / SIZE) + 0.5f - y;
        int inside =
            class == 0 ? dx * dx + dy * dy < radius * radius : fabsf(dx) < half && fabsf(dy) < half;
        pixels[i] = (inside ? 0.8f : 0.2f) + 0.1f * nn_rng_normal(rng);
    }
}

static void draw_batch(float *x, float *target, struct nn_rng *rng)
{
    for (int n = 0; n < BATCH; n++) {
        int class = (int)nn_rng_below(rng, 2);
        draw(x + n * SIZE * SIZE, class, rng);
        target[2 * n] = class == 0 ? 1.0f : 0.0f;
        target[2 * n + 1] = class == 1 ? 1.0f : 0.0f;
    }
}

static struct nn_node *build(struct nn_graph *graph)
{
    struct nn_node *x = nn_input(graph, "x", nn_shape4(NN_BATCH, SIZE, SIZE, 1));
    x = nn_relu(nn_layer_conv2d(x, NULL, 8, 3, 3, NULL));
    x = nn_max_pool(x, &(struct nn_pool_options){.size_h = 2, .size_w = 2, .padding = NN_VALID});
    x = nn_relu(nn_layer_conv2d(x, NULL, 16, 3, 3, NULL));
    x = nn_max_pool(x, &(struct nn_pool_options){.size_h = 2, .size_w = 2, .padding = NN_VALID});
    x = nn_relu(nn_layer_dense(nn_flatten(x), NULL, 32));
    return nn_layer_dense(x, NULL, 2);
}

/* The share of fresh pictures that a forward-only plan gets right. */
static double accuracy(struct nn_plan *plan, const struct nn_node *x, const struct nn_node *logits,
                       struct nn_rng *rng)
{
    float target[BATCH * 2];
    int right = 0;
    for (int t = 0; t < TESTS; t++) {
        draw_batch(nn_data(plan, x), target, rng);
        nn_forward(plan, BATCH);
        const float *z = nn_data(plan, logits);
        for (int n = 0; n < BATCH; n++)
            right += (z[2 * n] > z[2 * n + 1]) == (target[2 * n] > target[2 * n + 1]);
    }
    return (double)right / (TESTS * BATCH);
}

int main(void)
{
    struct nn_context *context;
    struct nn_plan *plan = NULL, *test_plan = NULL;
    struct nn_optimizer *optimizer = NULL;
    struct nn_graph *graph = NULL;
    double share = 0;
    if (nn_open(&context, NULL)) goto done;
    graph = nn_graph_new(context);
    struct nn_node *logits = build(graph);
    struct nn_node *target = nn_input(graph, "target", nn_shape2(NN_BATCH, 2));
    struct nn_node *loss = nn_softmax_cross_entropy(logits, target, NULL);
    if (!graph || nn_initialize(graph, 1)) goto done;

    /* One graph, two plans: they share the weights. */
    struct nn_plan_options training = {.batch = BATCH, .loss = loss};
    struct nn_plan_options testing = {.batch = BATCH, .outputs = &logits, .output_count = 1};
    if (nn_compile(&plan, graph, &training) || nn_compile(&test_plan, graph, &testing)) goto done;
    struct nn_optimizer_options adam = {.kind = NN_ADAM};
    if (nn_optimizer_new(&optimizer, plan, &adam)) goto done;

    struct nn_rng rng = nn_rng_make(1, 0), test_rng = nn_rng_make(1, 1);
    const struct nn_node *x = nn_find(graph, "x");
    for (int step = 0; step < STEPS; step++) {
        draw_batch(nn_data(plan, x), nn_data(plan, target), &rng);
        if (nn_forward(plan, BATCH) || nn_backward(plan) || nn_optimizer_step(optimizer, 3e-3f))
            goto done;
        if (step % 50 == 0 || step == STEPS - 1)
            printf("step %3d  loss %.4f\n", step, (double)nn_data(plan, loss)[0]);
    }
    share = accuracy(test_plan, x, logits, &test_rng);
    printf("right on %.1f %% of %d pictures it has never seen\n", 100 * share, TESTS * BATCH);
done:
    if (share == 0) fprintf(stderr, "03_training: %s\n", nn_error(context));
    nn_optimizer_free(&optimizer);
    nn_plan_free(&plan);
    nn_plan_free(&test_plan);
    nn_graph_free(&graph);
    nn_close(&context);
    return share > 0.9 ? 0 : 1;
}
