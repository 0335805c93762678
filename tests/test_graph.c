/*
 * test_graph.c — building and compiling: names, shapes, messages of the first error, where windows
 * lie, gradients of nodes with several users, and what LivenessNet needs.
 */
#include "tests/test.h"
#include "tests/trial.h"

static struct nn_context *context;

/* ---- shapes and windows ---------------------------------------------------------------------- */

static void check_shapes(void)
{
    char text[64];
    struct nn_shape shape = nn_shape4(NN_BATCH, 32, 32, 3);
    CHECK(strcmp(nn_shape_text(text, shape), "(None, 32, 32, 3)") == 0, "%s", text);
    CHECK(strcmp(nn_shape_text(text, nn_shape1(7)), "(7)") == 0, "%s", text);
    CHECK(nn_shape_count(shape) == 3072, "the images are not counted");
    CHECK(nn_shape_count(nn_shape4(INT32_MAX, INT32_MAX, INT32_MAX, 2)) == 0,
          "a count that overflows is 0");
    struct nn_shape widest = nn_shape4(INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX);
    CHECK(strlen(nn_shape_text(text, widest)) < 64, "the longest text fits: %s", text);
    CHECK(!nn_shape_equal(nn_shape2(2, 3), nn_shape2(3, 2)) &&
              nn_shape_equal(nn_shape2(2, 3), nn_shape2(2, 3)),
          "shapes compare");
}

/* nn_window_make against a count by hand: windows are tried one after another. */
static int windows_by_hand(const struct nn_window_request *request, int before, int after)
{
    int span = (request->kernel - 1) * request->dilation + 1, count = 0;
    for (int start = -before;; start += request->stride) {
        bool inside = start + span <= request->in + after;
        bool partial = request->ceil && start < request->in &&
                       (count == 0 || start - request->stride + span < request->in + after);
        if (!inside && !partial) return count;
        count++;
    }
}

static bool window_is_right(const struct nn_window_request *request)
{
    struct nn_window window;
    int expected = windows_by_hand(request, request->before, request->after);
    if (!nn_window_make(&window, request)) return expected == 0;
    return window.out == expected && window.before == request->before;
}

static void check_windows(void)
{
    enum { CASES = 9 * 4 * 4 * 2 * 4 * 4 * 2 };
    int tried = 0, wrong = 0;
    for (int i = 0; i < CASES; i++) {
        struct nn_window_request request = {.in = 1 + i % 9,
                                            .kernel = 1 + i / 9 % 4,
                                            .stride = 1 + i / 36 % 4,
                                            .dilation = 1 + i / 144 % 2,
                                            .padding = NN_EXPLICIT,
                                            .before = i / 288 % 4,
                                            .after = i / 1152 % 4,
                                            .ceil = i / 4608 % 2};
        if (request.before >= request.kernel || request.after >= request.kernel) continue;
        tried++;
        wrong += !window_is_right(&request);
    }
    CHECK(wrong == 0, "explicit windows as counted by hand: %d of %d wrong", wrong, tried);

    static const int same[][5] = {/* in, kernel, stride -> out, before */
                                  {32, 3, 1, 32, 1}, {32, 2, 2, 16, 0}, {7, 3, 2, 4, 1},
                                  {8, 3, 2, 4, 0},   {5, 4, 1, 5, 1},   {10, 1, 3, 4, 0}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct nn_window window;
        struct nn_window_request request = {same[i][0], same[i][1], same[i][2], 1,
                                            NN_SAME,    0,          0,          false};
        CHECK(nn_window_make(&window, &request) && window.out == same[i][3] &&
                  window.before == same[i][4],
              "same, %d pixels, kernel %d, stride %d: %d windows from -%d", same[i][0], same[i][1],
              same[i][2], window.out, window.before);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static void check_names(void)
{
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *x = nn_input(graph, "picture", nn_shape2(NN_BATCH, 4));
    struct nn_node *a = nn_relu(x), *b = nn_relu(a), *c = nn_softmax(nn_name(nn_relu(b), "mine"));
    CHECK(c && nn_find(graph, "activation") == a && nn_find(graph, "activation_1") == b,
          "ops are named as Keras names its layers");
    CHECK(nn_find(graph, "softmax") == c && nn_find(graph, "mine") == nn_node_input(c, 0) &&
              !nn_find(graph, "nobody"),
          "nodes are found by name");
    CHECK(nn_node_count(graph) == 5 && nn_node_at(graph, 0) == x && !nn_node_at(graph, 5) &&
              !nn_node_at(graph, -1) && !nn_node_input(c, 1),
          "nodes are counted");
    CHECK(strcmp(nn_node_op(x), "input") == 0 && strcmp(nn_node_op(c), "softmax") == 0 &&
              strcmp(nn_node_title(c), "Activation") == 0,
          "a node tells its op");
    CHECK(!nn_name(a, "mine") && strstr(nn_error(context), "'mine'"), "a name twice: %s",
          nn_error(context));
    nn_graph_free(&graph);
    CHECK(!graph, "freed");
}

/* ---- errors ---------------------------------------------------------------------------------- */

static struct nn_node *parameter(struct nn_node *x, const char *name, struct nn_shape shape)
{
    return nn_parameter(x->graph, name, shape, NN_ZEROS);
}

static struct nn_node *bad_add(struct nn_node *x)
{
    return nn_add(x, parameter(x, "other", nn_shape2(1, 4)));
}
static struct nn_node *bad_conv(struct nn_node *x)
{
    return nn_conv2d(x, parameter(x, "w", nn_shape4(3, 3, 5, 8)), NULL, NULL);
}
static struct nn_node *missing_input(struct nn_node *x)
{
    return nn_add(x, NULL);
}
static struct nn_node *bad_dense(struct nn_node *x)
{
    return nn_dense(x, parameter(x, "w", nn_shape2(3, 2)), NULL);
}
static struct nn_node *bad_rate(struct nn_node *x)
{
    return nn_dropout(x, 1.0f);
}
static struct nn_node *nan_rate(struct nn_node *x)
{
    return nn_dropout(x, NAN);
}
static struct nn_node *bad_slope(struct nn_node *x)
{
    return nn_leaky_relu(x, -0.5f);
}
static struct nn_node *nan_slope(struct nn_node *x)
{
    return nn_leaky_relu(x, NAN);
}
static struct nn_node *bad_window(struct nn_node *x)
{
    return nn_max_pool(x, &(struct nn_pool_options){.size_h = 0, .size_w = 2});
}
static struct nn_node *huge_window(struct nn_node *x)
{
    return nn_max_pool(x, &(struct nn_pool_options){.size_h = 1 << 30, .size_w = 1 << 30});
}
static struct nn_node *large_window(struct nn_node *x)
{
    return nn_avg_pool(x, &(struct nn_pool_options){.size_h = 9, .size_w = 9, .padding = NN_VALID});
}
static struct nn_node *bad_padding(struct nn_node *x)
{
    return nn_avg_pool(x, &(struct nn_pool_options){
                              .size_h = 2, .size_w = 2, .pad_left = 2, .padding = NN_EXPLICIT});
}
static struct nn_node *unknown_padding(struct nn_node *x)
{
    return nn_avg_pool(
        x, &(struct nn_pool_options){.size_h = 2, .size_w = 2, .padding = (enum nn_padding)7});
}
static struct nn_node *bad_stride(struct nn_node *x)
{
    return nn_avg_pool(x, &(struct nn_pool_options){.size_h = 2, .size_w = 2, .stride_h = -1});
}
static struct nn_node *bad_reshape(struct nn_node *x)
{
    return nn_reshape(x, nn_shape2(NN_BATCH, 1000));
}
static struct nn_node *two_rests(struct nn_node *x)
{
    return nn_reshape(x, nn_shape4(NN_BATCH, -1, -1, 3));
}
static struct nn_node *bad_rank(struct nn_node *x)
{
    return nn_reshape(x, (struct nn_shape){5, {NN_BATCH, 1, 1, 1}});
}
static struct nn_node *other_images(struct nn_node *x)
{
    return nn_reshape(x, nn_shape2(6, 8));
}
static struct nn_node *bad_axis(struct nn_node *x)
{
    return nn_concat((struct nn_node *[]){x, x}, 2, 0);
}
static struct nn_node *bad_concat(struct nn_node *x)
{
    return nn_concat((struct nn_node *[]){x, nn_flatten(x)}, 2, 1);
}
static struct nn_node *bad_epsilon(struct nn_node *x)
{
    return nn_l2_normalize(x, parameter(x, "scale", nn_shape1(3)), 0.0f);
}
static struct nn_node *bad_scale(struct nn_node *x)
{
    return nn_scale_shift(x, parameter(x, "scale", nn_shape1(4)), NULL);
}
static struct nn_node *bad_smoothing(struct nn_node *x)
{
    struct nn_node *rows = nn_flatten(x);
    return nn_softmax_cross_entropy(rows, rows, &(struct nn_loss_options){.label_smoothing = 1});
}
static struct nn_node *bad_weights(struct nn_node *x)
{
    static const float weights[] = {1.0f, -1.0f};
    struct nn_node *rows = nn_flatten(x);
    return nn_binary_cross_entropy(rows, rows, &(struct nn_loss_options){.class_weights = weights});
}
static struct nn_node *bad_target(struct nn_node *x)
{
    return nn_softmax_cross_entropy(nn_flatten(x), x, NULL);
}
static struct nn_node *late_name(struct nn_node *x)
{
    return nn_name(nn_relu(x), "");
}

static const struct {
    const char *what, *words;                    /* that the message has, separated by | */
    struct nn_node *(*build)(struct nn_node *x); /* x [N,4,4,3] */
} ERRORS[] = {
    {"add of two shapes", "add|(None, 4, 4, 3)|(1, 4)", bad_add},
    {"convolution of other channels", "conv2d|(None, 4, 4, 3)|(3, 3, 5, 8)", bad_conv},
    {"a missing input", "add|missing", missing_input},
    {"dense of a picture", "dense|(None, 4, 4, 3)|(3, 2)", bad_dense},
    {"dropout of all", "dropout|less than 1|got 1", bad_rate},
    {"dropout of NaN", "dropout|nan", nan_rate},
    {"negative slope", "leaky_relu|-0.5", bad_slope},
    {"slope NaN", "leaky_relu|nan", nan_slope},
    {"window of nothing", "max_pool|0 x 2", bad_window},
    {"window whose area overflows", "max_pool|1073741824", huge_window},
    {"window larger than the picture", "avg_pool|9 x 9|(None, 4, 4, 3)", large_window},
    {"padding as wide as the window", "avg_pool|left 2", bad_padding},
    {"padding of an unknown kind", "avg_pool|got 7", unknown_padding},
    {"negative stride", "avg_pool|-1", bad_stride},
    {"reshape to another count", "reshape|(None, 4, 4, 3)|(None, 1000)", bad_reshape},
    {"reshape with two rests", "reshape|-1", two_rests},
    {"reshape to rank 5", "reshape|rank", bad_rank},
    {"reshape of the images", "reshape|(6, 8)", other_images},
    {"concat of images", "concat|1 to 3|got 0", bad_axis},
    {"concat of ranks", "concat|(None, 4, 4, 3)|(None, 48)", bad_concat},
    {"epsilon 0", "l2_normalize|got 0", bad_epsilon},
    {"scale of other channels", "scale_shift|(3)|(4)", bad_scale},
    {"smoothing of all", "softmax_cross_entropy|less than 1", bad_smoothing},
    {"negative class weight", "binary_cross_entropy|-1|class 1", bad_weights},
    {"target of another shape", "softmax_cross_entropy|(None, 48)|(None, 4, 4, 3)", bad_target},
    {"an empty name", "name|0", late_name},
};

static bool has_words(const char *text, const char *words)
{
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, "|", &rest); word; word = strtok_r(NULL, "|", &rest))
        if (!strstr(text, word)) return false;
    return true;
}

static void check_errors(void)
{
    for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) {
        struct nn_graph *graph = nn_graph_new(context);
        struct nn_plan *plan = NULL;
        struct nn_node *x = nn_input(graph, "x", nn_shape4(NN_BATCH, 4, 4, 3));
        struct nn_node *y = ERRORS[i].build(x);
        char first[512];
        snprintf(first, sizeof first, "%s", nn_error(context));
        CHECK(!y && has_words(first, ERRORS[i].words), "%s: %s", ERRORS[i].what, first);
        /* The error sticks: nothing can be added, and compile reports the first one. */
        nn_fail(context, NN_ERROR_ARGUMENT, "another error in between");
        bool stuck = !nn_relu(x) && !nn_relu(y) &&
                     nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1}) &&
                     strcmp(nn_error(context), first) == 0 && !plan;
        CHECK(stuck, "%s: the error sticks", ERRORS[i].what);
        nn_graph_free(&graph);
    }
}

static void check_compile_errors(void)
{
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_plan *plan = NULL;
    CHECK(nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1}) && !plan, "no nodes: %s",
          nn_error(context));
    struct nn_node *x = nn_input(graph, "x", nn_shape2(NN_BATCH, 4)), *y = nn_relu(x);
    CHECK(nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 0}) && !plan, "batch 0: %s",
          nn_error(context));
    CHECK(nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1, .loss = y}) && !plan,
          "a loss that is no number: %s", nn_error(context));
    struct nn_node *loss = nn_softmax_cross_entropy(y, x, NULL);
    CHECK(nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1, .loss = loss}) && !plan,
          "a loss without parameters: %s", nn_error(context));
    CHECK(!nn_parameter(graph, "late", nn_shape1(3), NN_ZEROS), "a parameter after compiling: %s",
          nn_error(context));
    nn_graph_free(&graph);

    graph = nn_graph_new(context);
    nn_relu(nn_input(graph, "x", nn_shape2(NN_BATCH, 4)));
    if (CHECK(nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 2}) == NN_OK, "a plan")) {
        CHECK(nn_forward(plan, 0) && nn_forward(plan, 3) && nn_forward(plan, 2) == NN_OK,
              "a plan for 2 runs 1 or 2 images: %s", nn_error(context));
        CHECK(nn_backward(plan) == NN_ERROR_ARGUMENT, "backward of an inference plan: %s",
              nn_error(context));
    }
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

/* ---- several users --------------------------------------------------------------------------- */

/* y = w*w*w + w, five uses of one parameter: dy/dw = 3 w^2 + 1. */
static void check_sums(void)
{
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_plan *plan = NULL;
    struct nn_node *w = nn_parameter(graph, "w", nn_shape1(3), NN_ZEROS);
    struct nn_node *r = nn_input(graph, "r", nn_shape1(3));
    struct nn_node *y = nn_add(nn_mul(nn_mul(w, w), w), w);
    struct nn_node *loss = trial_weighted_sum(y, r);
    struct nn_plan_options options = {.batch = 1, .loss = loss, .input_gradients = true};
    if (CHECK(nn_compile(&plan, graph, &options) == NN_OK, "a parameter with four users")) {
        static const float values[] = {0.5f, -2.0f, 0.0f}, ones[] = {1.0f, 1.0f, 1.0f};
        memcpy(nn_values(w), values, sizeof values);
        memcpy(nn_data(plan, r), ones, sizeof ones);
        CHECK(nn_forward(plan, 1) == NN_OK && nn_backward(plan) == NN_OK, "runs");
        const float *g = nn_gradient(plan, w), *dr = nn_gradient(plan, r);
        CHECK(g && g[0] == 1.75f && g[1] == 13.0f && g[2] == 1.0f, "dy/dw = 3 w^2 + 1");
        CHECK(dr && dr[0] == 0.625f && dr[1] == -10.0f && dr[2] == 0.0f, "dy/dr = w^3 + w");
        CHECK(*nn_data(plan, loss) == -9.375f, "the loss is %g", (double)*nn_data(plan, loss));
        CHECK(nn_backward(plan) != NN_OK, "backward twice: %s", nn_error(context));
    }
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

/* ---- dropout --------------------------------------------------------------------------------- */

static void check_dropout(void)
{
    enum { COUNT = 20000 };
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_plan *plan = NULL;
    struct nn_node *x = nn_input(graph, "x", nn_shape2(NN_BATCH, COUNT));
    struct nn_node *y = nn_dropout(trial_pass(x), 0.25f);
    struct nn_node *r = nn_input(graph, "r", nn_shape2(NN_BATCH, COUNT));
    struct nn_plan_options options = {.batch = 1,
                                      .loss = trial_weighted_sum(y, r),
                                      .outputs = &y,
                                      .output_count = 1,
                                      .input_gradients = true};
    if (!CHECK(nn_compile(&plan, graph, &options) == NN_OK, "dropout compiles")) return;
    static float first[COUNT];
    int kept = 0, differs = 0, wrong = 0;
    for (int step = 0; step < 2; step++) {
        for (int i = 0; i < COUNT; i++) nn_data(plan, x)[i] = nn_data(plan, r)[i] = 1.0f;
        nn_plan_seed(plan, 1, (uint64_t)step);
        CHECK(nn_forward(plan, 1) == NN_OK && nn_backward(plan) == NN_OK, "step %d", step);
        const float *out = nn_data(plan, y), *dx = nn_gradient(plan, x);
        for (int i = 0; i < COUNT; i++) {
            wrong += (out[i] != 0.0f && fabsf(out[i] - 4.0f / 3) > 1e-6f) || dx[i] != out[i];
            kept += out[i] != 0.0f;
            if (step == 0)
                first[i] = out[i];
            else
                differs += first[i] != out[i];
        }
    }
    CHECK(wrong == 0, "what is kept is scaled by 4/3, and the gradient with it");
    CHECK(abs(kept - COUNT * 3 / 2) < 5 * 87, "%d of %d are kept at rate 0.25", kept, 2 * COUNT);
    CHECK(abs(differs - COUNT * 3 / 8) < 5 * 69, "steps drop other elements: %d differ", differs);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

/* ---- LivenessNet ----------------------------------------------------------------------------- */

static void check_livenessnet(void)
{
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_plan *plan = NULL;
    struct nn_node *softmax = nn_model_livenessnet(graph, 32, 32, 3, 2);
    size_t trained = 0, carried = 0;
    double multiply_adds = 0;
    for (int i = 0; i < nn_node_count(graph); i++) {
        const struct nn_node *node = nn_node_at(graph, i);
        if (node->kind == NN_KIND_PARAMETER) trained += nn_shape_count(node->shape);
        if (node->kind == NN_KIND_STATE) carried += nn_shape_count(node->shape);
        multiply_adds += nn_node_multiply_adds(node);
    }
    CHECK(trained == 148242 && carried == 320, "%zu trained parameters and %zu others", trained,
          carried);
    CHECK(fabs(multiply_adds - 6.47e6) < 0.02e6, "%.3f million multiply-adds", multiply_adds / 1e6);
    CHECK(softmax && nn_find(graph, "softmax") == softmax && nn_find(graph, "input") &&
              nn_shape_equal(nn_node_shape(softmax), nn_shape2(NN_BATCH, 2)),
          "input and softmax are found");
    if (CHECK(nn_initialize(graph, 1) == NN_OK &&
                  nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1}) == NN_OK,
              "it compiles")) {
        CHECK(nn_plan_bytes(plan) < 200000, "inference needs %zu bytes of buffers",
              nn_plan_bytes(plan));
        numbers_fill(nn_data(plan, nn_find(graph, "input")), 32 * 32 * 3, 3, 'u', 1, 1);
        CHECK(nn_forward(plan, 1) == NN_OK, "it runs");
        const float *p = nn_data(plan, softmax);
        CHECK(fabsf(p[0] + p[1] - 1.0f) < 1e-6f && p[0] > 0.0f && p[1] > 0.0f,
              "probabilities %.4f and %.4f", (double)p[0], (double)p[1]);
    }
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

int main(void)
{
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 2}) == NN_OK, "a context"))
        return test_done();
    size_t held = nn_bytes_allocated(context);
    check_shapes();
    check_windows();
    check_names();
    check_errors();
    check_compile_errors();
    check_sums();
    check_dropout();
    check_livenessnet();
    CHECK(nn_bytes_allocated(context) == held, "all is given back");
    nn_close(&context);
    return test_done();
}
