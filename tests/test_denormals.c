/*
 * test_denormals.c — arithmetic is IEEE 754's at every level and on every thread: denormal numbers
 * are neither read nor written as 0.
 */
#include "tests/test.h"
#include "nn/nn.h"

#include <float.h>

/* More than one thread takes its part in. */
enum { CHANNELS = 24, ROWS = 4096, COUNT = ROWS * CHANNELS };

/* y = relu(x * 0.5 + x * 0.5): halves of denormals, and their sum. */
static void check_elementwise(struct nn_context *context)
{
    struct nn_plan *plan = NULL;
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *x = nn_input(graph, "x", nn_shape2(NN_BATCH, CHANNELS));
    struct nn_node *h = nn_input(graph, "h", nn_shape2(NN_BATCH, CHANNELS));
    struct nn_node *half = nn_mul(x, h), *y = nn_relu(nn_add(half, half));
    struct nn_plan_options options = {.batch = ROWS, .outputs = &y, .output_count = 1};
    int wrong = 0;
    if (CHECK(!nn_compile(&plan, graph, &options), "%s: a plan", nn_cpu(context))) {
        for (int i = 0; i < COUNT; i++) {
            nn_data(plan, x)[i] = ldexpf((float)(1 + i % 1000), FLT_MIN_EXP - 15);
            nn_data(plan, h)[i] = 0.5f;
        }
        if (nn_forward(plan, ROWS)) wrong = COUNT;
        for (int i = 0; i < COUNT && !wrong; i++)
            wrong += nn_data(plan, y)[i] != ldexpf((float)(1 + i % 1000), FLT_MIN_EXP - 15);
        CHECK(wrong == 0, "%s: denormals through mul, add and relu", nn_cpu(context));
    }
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

/* y = x w with powers of two: every product is denormal, and sums of them are exact. */
static void check_dense(struct nn_context *context)
{
    struct nn_plan *plan = NULL;
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *x = nn_input(graph, "x", nn_shape2(NN_BATCH, CHANNELS));
    struct nn_node *w = nn_parameter(graph, "w", nn_shape2(CHANNELS, CHANNELS), NN_ZEROS);
    struct nn_node *b = nn_parameter(graph, "b", nn_shape1(CHANNELS), NN_ZEROS);
    struct nn_node *y = nn_dense(x, w, b);
    struct nn_plan_options options = {.batch = ROWS, .outputs = &y, .output_count = 1};
    if (CHECK(!nn_compile(&plan, graph, &options), "%s: a plan", nn_cpu(context))) {
        for (int i = 0; i < CHANNELS * CHANNELS; i++) nn_values(w)[i] = ldexpf(1, -70);
        for (int i = 0; i < COUNT; i++) nn_data(plan, x)[i] = ldexpf(1, -70);
        nn_parameters_changed(graph);
        int wrong = nn_forward(plan, ROWS) != NN_OK;
        for (int i = 0; i < COUNT; i++)
            wrong += nn_data(plan, y)[i] != ldexpf((float)CHANNELS, -140);
        CHECK(wrong == 0, "%s: denormal products add up", nn_cpu(context));
    }
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

int main(void)
{
    const char *levels[8];
    int count = nn_levels(levels);
    for (int i = 0; i < count; i++) {
        struct nn_context *context = NULL;
        struct nn_options options = {.threads = 2, .cpu = levels[i]};
        if (CHECK(!nn_open(&context, &options), "level %s", levels[i])) {
            check_elementwise(context);
            check_dense(context);
        }
        nn_close(&context);
    }
    return test_done();
}
