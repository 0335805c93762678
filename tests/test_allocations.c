/*
 * test_allocations.c — every allocation of building, compiling and training a network is failed
 * once in turn: an error each time, and nothing is lost.
 */
#include "tests/test.h"
#include "tests/numbers.h"
#include "nn/internal.h"

struct failing {
    struct nn_allocator system;
    long left;        /* atomic: allocations before one fails; negative: none does */
    long outstanding; /* atomic: blocks */
};

static void *allocate(void *user, size_t bytes)
{
    struct failing *failing = user;
    if (__atomic_fetch_sub(&failing->left, 1, __ATOMIC_RELAXED) == 0) return NULL;
    void *memory = failing->system.allocate(failing->system.user, bytes);
    if (memory) {
        memset(memory, 0xa5, bytes); /* what is read before it is written shows */
        __atomic_fetch_add(&failing->outstanding, 1, __ATOMIC_RELAXED);
    }
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    struct failing *failing = user;
    memset(memory, 0x5a, bytes);
    __atomic_fetch_sub(&failing->outstanding, 1, __ATOMIC_RELAXED);
    failing->system.release(failing->system.user, memory, bytes);
}

static enum nn_status step(struct nn_graph *graph, struct nn_plan *plan,
                           struct nn_optimizer *optimizer)
{
    numbers_fill(nn_data(plan, nn_find(graph, "input")), 2 * 16 * 16 * 3, 3, 'u', 1, 1);
    numbers_fill(nn_data(plan, nn_find(graph, "target")), 2 * 2, 2, 't', 1, 2);
    enum nn_status status = nn_forward(plan, 2);
    if (!status) status = nn_backward(plan);
    return status ? status : nn_optimizer_step(optimizer, 1e-3f);
}

static enum nn_status train(struct nn_context *context)
{
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_plan *plan = NULL;
    struct nn_optimizer *optimizer = NULL;
    if (!graph) return NN_ERROR_MEMORY;
    struct nn_node *softmax = nn_model_livenessnet(graph, 16, 16, 3, 2);
    struct nn_node *target = nn_input(graph, "target", nn_shape2(NN_BATCH, 2));
    static const float weights[] = {1.0f, 2.0f};
    struct nn_plan_options options = {.batch = 2};
    if (softmax)
        options.loss = nn_softmax_cross_entropy(
            nn_node_input(softmax, 0), target, &(struct nn_loss_options){.class_weights = weights});
    enum nn_status status = nn_initialize(graph, 1);
    if (!status) status = nn_compile(&plan, graph, &options);
    if (!status) status = nn_optimizer_new(&optimizer, plan, &(struct nn_optimizer_options){0});
    if (!status) status = step(graph, plan, optimizer);
    nn_optimizer_free(&optimizer);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
    return status;
}

static enum nn_status run(struct failing *failing, long left, bool *message)
{
    struct nn_context *context;
    struct nn_allocator allocator = {allocate, release, failing};
    failing->left = left;
    struct nn_options options = {.threads = 2, .allocator = &allocator};
    enum nn_status status = nn_open(&context, &options);
    if (!status) status = train(context);
    *message = strlen(nn_error(context)) > 0;
    nn_close(&context);
    return status;
}

int main(void)
{
    struct failing failing = {.system = nn_system_allocator()};
    bool message;
    int failures = 0, wrong = 0;
    CHECK(run(&failing, -1, &message) == NN_OK && failing.outstanding == 0,
          "without a failure it trains, and gives everything back");
    for (;; failures++) {
        enum nn_status status = run(&failing, failures, &message);
        if (failing.outstanding != 0) wrong++;
        if (status == NN_OK) break;
        if (status != NN_ERROR_MEMORY || !message) wrong++;
        if (failures > 10000) break;
    }
    CHECK(failures > 20 && failures <= 10000, "each of %d allocations failed once", failures);
    CHECK(wrong == 0, "each time with an error, a message, and nothing lost; %d times not", wrong);
    return test_done();
}
