/*
 * test_profile.c — a plan's steps as nn_plan_step tells them, what nn_profile notes, and this
 * machine's peak and bandwidth as they are measured.
 */
#include "nn/measure.h"
#include "tests/test.h"

enum { BATCH = 3 };

struct network {
    struct nn_context *context;
    struct nn_graph *graph;
    struct nn_plan *plan;
    struct nn_node *input, *softmax, *target;
};

static bool open_network(struct network *n, int threads, bool training)
{
    *n = (struct network){0};
    if (nn_open(&n->context, &(struct nn_options){.threads = threads})) return false;
    n->graph = nn_graph_new(n->context);
    if (!n->graph) return false;
    n->softmax = nn_model_livenessnet(n->graph, 16, 16, 3, 2);
    n->input = nn_find(n->graph, "input");
    struct nn_node *loss = NULL;
    if (training) {
        n->target = nn_input(n->graph, "target", nn_shape2(NN_BATCH, 2));
        loss = nn_softmax_cross_entropy(nn_node_input(n->softmax, 0), n->target, NULL);
    }
    struct nn_plan_options options = {
        .batch = BATCH, .loss = loss, .outputs = &n->softmax, .output_count = 1};
    return nn_initialize(n->graph, 1) == NN_OK && nn_compile(&n->plan, n->graph, &options) == NN_OK;
}

static void fill(const struct network *n)
{
    struct nn_rng rng = nn_rng_make(7, 1);
    float *x = nn_data(n->plan, n->input);
    for (int i = 0; i < BATCH * 16 * 16 * 3; i++) x[i] = nn_rng_uniform(&rng, 0, 1);
    float *target = n->target ? nn_data(n->plan, n->target) : NULL;
    for (int i = 0; target && i < BATCH * 2; i++) target[i] = i % 2 ? 1.0f : 0.0f;
}

static void close_network(struct network *n)
{
    nn_plan_free(&n->plan);
    nn_graph_free(&n->graph);
    nn_close(&n->context);
}

static void check_steps(const struct network *n)
{
    double in_steps = 0, in_graph = 0, seconds = 0;
    int convolutions = 0, fused = 0;
    bool named = true;
    for (int i = 0; i < nn_node_count(n->graph); i++)
        in_graph += nn_node_multiply_adds(nn_node_at(n->graph, i));
    for (int i = 0; i < nn_plan_steps(n->plan); i++) {
        struct nn_step_info step = nn_plan_step(n->plan, i);
        const struct nn_node *node = nn_find(n->graph, step.name);
        named = named && node && strcmp(nn_node_op(node), step.op) == 0 &&
                nn_shape_equal(step.shape, nn_node_shape(node)) && step.fused;
        in_steps += step.multiply_adds;
        seconds += step.seconds;
        convolutions += strcmp(step.op, "conv2d") == 0;
        fused += strstr(step.fused, "relu") && strstr(step.fused, "affine");
    }
    CHECK(named, "each step has its node's name, op and shape");
    CHECK(in_steps == in_graph && in_graph > 1e6, "multiply-adds: %.0f in steps, %.0f in the graph",
          in_steps, in_graph);
    CHECK(convolutions == 4, "four convolutions");
    CHECK(fused == 5, "relu and batch norm ride along with all but the last layer");
    CHECK(seconds == 0, "no time before the first profile");
    CHECK(!nn_plan_step(n->plan, -1).name && !nn_plan_step(n->plan, 1000).name,
          "no step outside the plan");
}

/* conv2d reads 16x16x3 and its kernel and bias, and writes 16x16x16. */
static void check_bytes(const struct network *n)
{
    struct nn_step_info first = nn_plan_step(n->plan, 0);
    size_t floats = BATCH * (16 * 16 * 3 + 16 * 16 * 16) + 3 * 3 * 3 * 16 + 16;
    CHECK(strcmp(first.name, "conv2d") == 0 && first.bytes == floats * sizeof(float),
          "%s moves %zu bytes, expected %zu", first.name, first.bytes, floats * sizeof(float));
}

static void check_profile(const struct network *n)
{
    float want[BATCH * 2];
    fill(n);
    CHECK(nn_forward(n->plan, BATCH) == NN_OK, "a run");
    memcpy(want, nn_data(n->plan, n->softmax), sizeof want);
    memset(nn_data(n->plan, n->softmax), 0, sizeof want);
    CHECK(nn_profile(n->plan, BATCH) == NN_OK, "a profile");
    CHECK(memcmp(want, nn_data(n->plan, n->softmax), sizeof want) == 0,
          "gives the bits of nn_forward");
    bool good = true;
    double seconds = 0;
    for (int i = 0; i < nn_plan_steps(n->plan); i++) {
        double t = nn_plan_step(n->plan, i).seconds;
        good = good && t >= 0 && t < 60;
        seconds += t;
    }
    CHECK(good && seconds > 0, "times, %.0f us in all", seconds * 1e6);
    size_t before = nn_allocations(n->context);
    CHECK(nn_profile(n->plan, 1) == NN_OK && nn_allocations(n->context) == before,
          "the second profile, of one image, allocates nothing");
    CHECK(nn_profile(n->plan, BATCH + 1) == NN_ERROR_ARGUMENT && nn_error(n->context)[0],
          "too many images: %s", nn_error(n->context));
}

/* Dropout, batch statistics: what makes a training run different must be the same here. */
static void check_training(void)
{
    struct network n, other;
    bool ready = open_network(&n, 2, true);
    ready = open_network(&other, 2, true) && ready;
    CHECK(ready, "two training plans");
    if (!ready) return;
    fill(&n);
    fill(&other);
    nn_plan_seed(n.plan, 3, 4);
    nn_plan_seed(other.plan, 3, 4);
    CHECK(nn_forward(n.plan, BATCH) == NN_OK && nn_profile(other.plan, BATCH) == NN_OK, "they run");
    CHECK(nn_backward(n.plan) == NN_OK && nn_backward(other.plan) == NN_OK,
          "backward follows a profile as it follows a run");
    const struct nn_node *a = nn_find(n.graph, "conv2d/kernel");
    const struct nn_node *b = nn_find(other.graph, "conv2d/kernel");
    CHECK(memcmp(nn_gradient(n.plan, a), nn_gradient(other.plan, b),
                 nn_shape_count(nn_node_shape(a)) * sizeof(float)) == 0,
          "to the same gradients");
    close_network(&other);
    close_network(&n);
}

/* Halves have the work of the op each; the first convolution has no input gradient to compute. */
static void check_backward_steps(const struct network *n)
{
    int halves = 0, first = 0, others = 0;
    bool good = true, timed = true;
    for (int i = 0; i < nn_plan_backward_steps(n->plan); i++) {
        struct nn_backward_info step = nn_plan_backward_step(n->plan, i);
        const struct nn_node *node = step.name ? nn_find(n->graph, step.name) : NULL;
        if (!node) good = false;
        double work = node ? nn_node_multiply_adds(node) : 0;
        timed = timed && step.data.seconds >= 0 && step.weights.seconds >= 0 &&
                (step.data.bytes > 0 || step.data.seconds < 1e-2) &&
                (step.weights.bytes > 0 || step.weights.seconds == 0);
        if (work == 0) {
            bool moves = !node || strcmp(nn_node_op(node), "flatten") != 0;
            good = good && (step.data.bytes > 0) == moves && step.weights.bytes == 0;
            others++;
        } else if (step.data.bytes == 0) {
            good = good && step.weights.multiply_adds == work && strcmp(step.name, "conv2d") == 0;
            first++;
        } else {
            good = good && step.weights.multiply_adds == work && step.data.multiply_adds == work;
            halves++;
        }
    }
    CHECK(good && halves == 5 && first == 1 && others >= 10,
          "%d steps in two halves, %d without an input gradient, %d others", halves, first, others);
    CHECK(timed, "what there is has a time, what there is not has none");
    CHECK(!nn_plan_backward_step(n->plan, -1).name && !nn_plan_backward_step(n->plan, 1000).name,
          "no step outside the plan");
}

static bool same_gradients(const struct network *a, const struct network *b)
{
    bool same = true;
    for (int i = 0; i < nn_node_count(a->graph); i++) {
        const struct nn_node *x = nn_node_at(a->graph, i), *y = nn_node_at(b->graph, i);
        if (!nn_gradient(a->plan, x)) continue;
        same = same && memcmp(nn_gradient(a->plan, x), nn_gradient(b->plan, y),
                              nn_shape_count(nn_node_shape(x)) * sizeof(float)) == 0;
    }
    return same;
}

static void check_backward(int threads)
{
    struct network n, other;
    bool ready = open_network(&n, threads, true);
    ready = open_network(&other, threads, true) && ready;
    if (!CHECK(ready, "two training plans, %d threads", threads)) return;
    check_backward_steps(&n);
    CHECK(nn_profile_backward(n.plan) == NN_ERROR_ARGUMENT && nn_error(n.context)[0],
          "nothing to go back from: %s", nn_error(n.context));
    fill(&n);
    fill(&other);
    bool runs = true;
    for (int step = 0; step < 2; step++) {
        nn_plan_seed(n.plan, 3, (uint64_t)step);
        nn_plan_seed(other.plan, 3, (uint64_t)step);
        runs = runs && !nn_profile(n.plan, BATCH) && !nn_profile_backward(n.plan) &&
               !nn_forward(other.plan, BATCH) && !nn_backward(other.plan);
    }
    CHECK(runs && same_gradients(&n, &other), "backward in halves: the bits of nn_backward");
    check_backward_steps(&n);
    double seconds = 0;
    for (int i = 0; i < nn_plan_backward_steps(n.plan); i++)
        seconds += nn_plan_backward_step(n.plan, i).data.seconds +
                   nn_plan_backward_step(n.plan, i).weights.seconds;
    CHECK(seconds > 0 && seconds < 60, "times, %.0f us in all", seconds * 1e6);
    close_network(&other);
    close_network(&n);
}

/* y = concat(a, a + a, input): the sum is computed in its place, the others are copied. */
static void check_concat(void)
{
    struct nn_context *context;
    struct nn_plan *plan = NULL;
    nn_open(&context, &(struct nn_options){.threads = 1});
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *input = nn_input(graph, "input", nn_shape2(NN_BATCH, 16));
    struct nn_node *parts[] = {input, nn_add(input, input), input};
    nn_concat(parts, 3, 1);
    bool good = nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1}) == NN_OK;
    CHECK(good && nn_plan_steps(plan) == 2, "an addition, a concatenation");
    if (good)
        CHECK(nn_plan_step(plan, 1).bytes == 2 * 2 * 16 * sizeof(float),
              "two thirds of it are copied: %zu bytes", nn_plan_step(plan, 1).bytes);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
    nn_close(&context);
}

static void check_refusal(void)
{
    struct network n;
    if (!CHECK(open_network(&n, 1, false), "a network")) return;
    struct nn_plan *plan = NULL;
    struct nn_plan_options options = {
        .batch = 1, .outputs = &n.softmax, .output_count = 1, .statistics = true};
    CHECK(nn_compile(&plan, n.graph, &options) == NN_OK && nn_profile(plan, 1) == NN_ERROR_ARGUMENT,
          "a plan for nn_measure is not profiled");
    CHECK(nn_plan_backward_steps(n.plan) == 0 && nn_profile_backward(n.plan) == NN_ERROR_ARGUMENT,
          "a plan without a loss has no way back");
    nn_plan_free(&plan);
    close_network(&n);
}

/* Each kernel that there is a case of takes some time, and no machine is a thousand times faster
 * than any there is. */
static void check_kernels(void)
{
    struct nn_context *context;
    const char *levels[8];
    int count = nn_levels(levels), conv = 0;
    nn_open(&context, &(struct nn_options){.threads = 1, .cpu = levels[count - 1]});
    size_t before = nn_bytes_allocated(context);
    bool good = true;
    for (int i = 0; i < nn_kernel_cases(); i++) {
        struct nn_kernel_info info = nn_kernel_case(i);
        double seconds = nn_measure_kernel(context, i, 1e-3);
        conv += strncmp(info.name, "conv_", 5) == 0;
        good = good && info.shape && info.bytes > 0 && seconds > 0 && seconds < 1 &&
               info.flops / seconds < 1e14 && (double)info.bytes / seconds < 1e14;
        if (!good) printf("# %s, %s: %g s\n", info.name, info.shape, seconds);
    }
    CHECK(good && conv >= 8 && nn_kernel_cases() >= 20, "%d kernels", nn_kernel_cases());
    CHECK(!nn_kernel_case(-1).name && !nn_kernel_case(1000).name &&
              nn_measure_kernel(context, 1000, 1) == 0,
          "no others");
    CHECK(nn_bytes_allocated(context) == before, "nothing is left behind");
    nn_close(&context);
}

/* No machine multiplies and adds a million numbers a second only, and none does 10^16. */
static void check_machine(void)
{
    struct nn_context *context;
    const char *const levels[] = {"scalar", NULL};
    double peak[2];
    for (int i = 0; i < 2; i++) {
        nn_open(&context, &(struct nn_options){.threads = 2, .cpu = levels[i]});
        size_t before = nn_bytes_allocated(context);
        peak[i] = nn_measure_peak(context, 1);
        CHECK(peak[i] > 1e6 && peak[i] < 1e16, "%s: %.1f GFLOP/s", nn_cpu(context), peak[i] * 1e-9);
        double bandwidth = nn_measure_bandwidth(context, 2, 1 << 16);
        CHECK(bandwidth > 1e6 && bandwidth < 1e16, "%.1f GB/s", bandwidth * 1e-9);
        CHECK(nn_measure_bandwidth(context, 99, 1) > 0 && nn_measure_peak(context, 99) > 0,
              "more threads than there are, fewer bytes than a vector");
        CHECK(nn_measure_bandwidth(context, 1, SIZE_MAX) == 0, "more bytes than there are");
        CHECK(nn_bytes_allocated(context) == before, "nothing is left behind");
        nn_close(&context);
    }
    CHECK(peak[1] > peak[0] / 2, "the best level is not slower than plain C");
}

int main(void)
{
    for (int threads = 1; threads <= 2; threads++) {
        struct network n;
        if (!CHECK(open_network(&n, threads, false), "%d threads", threads)) continue;
        check_steps(&n);
        check_bytes(&n);
        check_profile(&n);
        close_network(&n);
    }
    check_training();
    check_backward(1);
    check_backward(2);
    check_kernels();
    check_concat();
    check_refusal();
    check_machine();
    return test_done();
}
