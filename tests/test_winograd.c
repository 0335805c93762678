/*
 * test_winograd.c — 3x3 convolutions by Winograd's transforms, forward and back: against the
 * definition in double precision, at odd sizes, paddings and dilations, with everything an epilogue
 * can hold; and plans that give back the weights which were transformed.
 */
#include "nn/compile.h"
#include "tests/test.h"

struct geometry {
    int images, height, width, channels, filters, pad_h, pad_w, dilation;
};

static int out_rows(const struct geometry *g)
{
    return g->height + 2 * g->pad_h - 2 * g->dilation;
}
static int out_columns(const struct geometry *g)
{
    return g->width + 2 * g->pad_w - 2 * g->dilation;
}

static struct nn_conv2d_options options_of(const struct geometry *g)
{
    return (struct nn_conv2d_options){.padding = NN_EXPLICIT,
                                      .dilation_h = g->dilation,
                                      .dilation_w = g->dilation,
                                      .pad_top = g->pad_h,
                                      .pad_bottom = g->pad_h,
                                      .pad_left = g->pad_w,
                                      .pad_right = g->pad_w};
}

static float *random_values(struct nn_rng *rng, size_t count, float size)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; values && i < count; i++) values[i] = nn_rng_uniform(rng, -size, size);
    return values;
}

/* sum over r, s, c of x[p + r d - pad, q + s d - pad, c] w[r,s,c,k] */
static double plain_sum(const struct geometry *g, const float *x, const float *w, int p, int q,
                        int k)
{
    double sum = 0;
    for (int r = 0; r < 3; r++)
        for (int s = 0; s < 3; s++) {
            int i = p + r * g->dilation - g->pad_h, j = q + s * g->dilation - g->pad_w;
            if (i < 0 || j < 0 || i >= g->height || j >= g->width) continue;
            for (int c = 0; c < g->channels; c++)
                sum += (double)x[(i * g->width + j) * g->channels + c] *
                       (double)w[((r * 3 + s) * g->channels + c) * g->filters + k];
        }
    return sum;
}

/* The largest difference from the definition, as a share of the largest value. */
static double difference(const struct geometry *g, const float *y, const float *x, const float *w,
                         const float *b, const float *other)
{
    int rows = out_rows(g), columns = out_columns(g);
    double worst = 0, largest = 0;
    for (int at = 0; at < g->images * rows * columns * g->filters; at++) {
        int k = at % g->filters, q = at / g->filters % columns;
        int p = at / g->filters / columns % rows, n = at / g->filters / columns / rows;
        double want = plain_sum(g, x + n * g->height * g->width * g->channels, w, p, q, k);
        want += (double)b[k] + (double)other[at];
        want = want > 0 ? want : 0;
        double off = fabs(want - (double)y[at]);
        if (!(off <= worst)) worst = off;
        if (want > largest) largest = want;
    }
    return worst / largest;
}

static void check_one(struct nn_context *context, struct geometry g, int seed)
{
    struct nn_rng rng = nn_rng_make((uint64_t)seed, 0);
    struct nn_conv2d_options options = options_of(&g);
    int rows = out_rows(&g), columns = out_columns(&g);
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_plan *plan = NULL;
    struct nn_node *x = nn_input(graph, "x", nn_shape4(NN_BATCH, g.height, g.width, g.channels));
    struct nn_node *other = nn_input(graph, "other", nn_shape4(NN_BATCH, rows, columns, g.filters));
    struct nn_node *w =
        nn_parameter(graph, "w", nn_shape4(3, 3, g.channels, g.filters), NN_HE_NORMAL);
    struct nn_node *b = nn_parameter(graph, "b", nn_shape1(g.filters), NN_HE_NORMAL);
    struct nn_node *y = nn_relu(nn_add(nn_conv2d(x, w, b, &options), other));
    bool made = nn_initialize(graph, (uint64_t)seed) == NN_OK &&
                nn_compile(&plan, graph, &(struct nn_plan_options){.batch = g.images}) == NN_OK;
    size_t x_count = nn_shape_count(nn_node_shape(x)) * (size_t)g.images;
    size_t y_count = nn_shape_count(nn_node_shape(y)) * (size_t)g.images;
    float *x_values = random_values(&rng, x_count, 1), *residual = random_values(&rng, y_count, 2);
    double worst = 1;
    if (made && x_values && residual) {
        memcpy(nn_data(plan, x), x_values, x_count * sizeof *x_values);
        memcpy(nn_data(plan, other), residual, y_count * sizeof *residual);
        if (nn_forward(plan, g.images) == NN_OK)
            worst =
                difference(&g, nn_data(plan, y), x_values, nn_values(w), nn_values(b), residual);
    }
    CHECK(worst < 1e-5,
          "%d x %d x %d x %d to %d filters, padding %d and %d, dilation %d: within %.1e", g.images,
          g.height, g.width, g.channels, g.filters, g.pad_h, g.pad_w, g.dilation, worst);
    free(x_values);
    free(residual);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

/* ---- gradients ------------------------------------------------------------------------------- */

struct gradients {
    double *dx, *dw, *db;
};

/* What one output's slope adds to each gradient. */
static void spread(struct gradients *sum, const struct geometry *g, const float *x, const float *w,
                   const float *dy, int n, int p, int q)
{
    const float *slopes = dy + ((n * out_rows(g) + p) * out_columns(g) + q) * g->filters;
    for (int k = 0; k < g->filters; k++) sum->db[k] += (double)slopes[k];
    for (int tap = 0; tap < 9; tap++) {
        int i = p + tap / 3 * g->dilation - g->pad_h, j = q + tap % 3 * g->dilation - g->pad_w;
        if (i < 0 || j < 0 || i >= g->height || j >= g->width) continue;
        int pixel = ((n * g->height + i) * g->width + j) * g->channels;
        for (int c = 0; c < g->channels; c++)
            for (int k = 0; k < g->filters; k++) {
                int weight = (tap * g->channels + c) * g->filters + k;
                sum->dx[pixel + c] += (double)slopes[k] * (double)w[weight];
                sum->dw[weight] += (double)slopes[k] * (double)x[pixel + c];
            }
    }
}

static double apart(const float *got, const double *want, size_t count)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        double off = fabs((double)got[i] - want[i]);
        if (!(off <= worst)) worst = off;
        largest = fmax(largest, fabs(want[i]));
    }
    return worst / largest;
}

static struct nn_step *backward_of(struct nn_plan *plan, const struct nn_node *node)
{
    for (int i = 0; i < plan->backward_count; i++)
        if (plan->backward[i].node == node) return &plan->backward[i];
    return NULL;
}

static void fill(float *values, size_t count, struct nn_rng *rng)
{
    for (size_t i = 0; i < count; i++) values[i] = nn_rng_uniform(rng, -1, 1);
}

/* The convolution's backward by itself, with slopes of this test's choice. */
static void compare_gradients(const struct geometry *g, struct nn_step *step, int seed)
{
    struct nn_rng rng = nn_rng_make((uint64_t)seed, 7);
    size_t x_count = nn_node_count_for(step->node->input[0], g->images);
    size_t w_count = nn_shape_count(step->node->input[1]->shape), filters = (size_t)g->filters;
    size_t y_count = nn_node_count_for(step->node, g->images);
    float *dy = malloc(y_count * sizeof *dy), *x = malloc(x_count * sizeof *x);
    double *sums = calloc(x_count + w_count + filters, sizeof *sums);
    if (CHECK(dy && x && sums, "memory for gradients")) {
        struct gradients want = {sums, sums + x_count, sums + x_count + w_count};
        fill(dy, y_count, &rng);
        fill(x, x_count, &rng);
        step->x[0] = x;
        step->dy = dy;
        step->op->backward(step);
        for (int at = 0; at < g->images * out_rows(g) * out_columns(g); at++)
            spread(&want, g, x, step->x[1], dy, at / out_columns(g) / out_rows(g),
                   at / out_columns(g) % out_rows(g), at % out_columns(g));
        double dx = apart(step->dx[0], want.dx, x_count), dw = apart(step->dx[1], want.dw, w_count);
        double db = apart(step->dx[2], want.db, filters);
        CHECK(dx < 1e-5 && dw < 1e-5 && db < 1e-5,
              "%d x %d x %d x %d to %d filters, padding %d and %d, dilation %d: dx within %.1e, "
              "dw %.1e, db %.1e",
              g->images, g->height, g->width, g->channels, g->filters, g->pad_h, g->pad_w,
              g->dilation, dx, dw, db);
    }
    free(dy);
    free(x);
    free(sums);
}

static void check_gradients(struct nn_context *context, const struct geometry *g, int seed)
{
    struct nn_conv2d_options options = options_of(g);
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_plan *plan = NULL;
    struct nn_node *x = nn_input(graph, "x", nn_shape4(NN_BATCH, g->height, g->width, g->channels));
    struct nn_node *y = nn_layer_conv2d(x, "conv", g->filters, 3, 3, &options);
    struct nn_node *target =
        nn_input(graph, "target", nn_shape2(NN_BATCH, out_rows(g) * out_columns(g) * g->filters));
    struct nn_node *loss = nn_softmax_cross_entropy(nn_flatten(y), target, NULL);
    bool made =
        nn_initialize(graph, (uint64_t)seed) == NN_OK &&
        nn_compile(&plan, graph,
                   &(struct nn_plan_options){
                       .batch = g->images, .loss = loss, .input_gradients = true}) == NN_OK &&
        nn_forward(plan, g->images) == NN_OK;
    struct nn_step *step = made ? backward_of(plan, y) : NULL;
    if (CHECK(step != NULL, "a training plan: %s", nn_error(context)))
        compare_gradients(g, step, seed);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

/* ---- pooling in the epilogue, weights given back --------------------------------------------- */

static struct nn_node *pooled(struct nn_graph *graph, int height, int width)
{
    struct nn_node *x = nn_input(graph, "x", nn_shape4(NN_BATCH, height, width, 16));
    struct nn_node *y = nn_layer_conv2d(x, "conv", 24, 3, 3, NULL);
    y = nn_layer_batch_norm(nn_relu(y), "norm");
    return nn_max_pool(y, &(struct nn_pool_options){.size_h = 2, .size_w = 2, .padding = NN_VALID});
}

/* Fused, the same bits as one after the other; the rows and columns left over are cut off. */
static void check_pool(struct nn_context *context, int height, int width)
{
    enum { IMAGES = 3 };
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *y = pooled(graph, height, width);
    struct nn_plan *plan[2] = {NULL, NULL};
    struct nn_rng rng = nn_rng_make(1, 9);
    bool good = nn_initialize(graph, 5) == NN_OK;
    float *gamma = nn_values(nn_find(graph, "norm/gamma"));
    for (int k = 0; good && gamma && k < 24; k++)
        gamma[k] = k % 2 ? 1.5f : -1; /* max turns to min */
    for (int i = 0; i < 2; i++) {
        good = good && nn_compile(&plan[i], graph,
                                  &(struct nn_plan_options){.batch = IMAGES, .no_fusion = i}) == 0;
        if (!good) break;
        if (i == 0)
            fill(nn_data(plan[0], nn_find(graph, "x")), (size_t)(IMAGES * height * width * 16),
                 &rng);
        else
            memcpy(nn_data(plan[1], nn_find(graph, "x")), nn_data(plan[0], nn_find(graph, "x")),
                   (size_t)(IMAGES * height * width * 16) * sizeof(float));
        good = nn_forward(plan[i], IMAGES) == NN_OK;
    }
    size_t count = good ? nn_node_count_for(y, IMAGES) : 0;
    double worst = good ? 0 : 1;
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, fabs((double)nn_data(plan[0], y)[i] - (double)nn_data(plan[1], y)[i]));
    CHECK(good && plan[0]->forward_count == 1 && plan[0]->forward[0].epilogue.pool &&
              plan[1]->forward_count > 1,
          "%d x %d: one step instead of %d", height, width, good ? plan[1]->forward_count : 0);
    CHECK(worst < 1e-5, "and the same values, within %.1e", worst);
    nn_plan_free(&plan[0]);
    nn_plan_free(&plan[1]);
    nn_graph_free(&graph);
}

/* The transformed weights remain, the others go: the plan runs on, nobody else begins. */
static void check_release(struct nn_context *context)
{
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *y = pooled(graph, 20, 20);
    struct nn_plan *plan = NULL, *other = NULL;
    struct nn_plan_options keeps = {.batch = 1}, releases = {.batch = 1, .release_weights = true};
    char hex[65];
    if (CHECK(!nn_initialize(graph, 3) && !nn_compile(&other, graph, &keeps) &&
                  !nn_compile(&plan, graph, &releases),
              "two plans of a graph")) {
        for (int i = 0; i < 20 * 20 * 16; i++)
            nn_data(plan, nn_find(graph, "x"))[i] = (float)(i % 31) / 31;
        CHECK(nn_weights_sha256(hex, graph) == NN_OK && nn_forward(other, 1) == NN_OK,
              "until the first run all is there");
        CHECK(nn_forward(plan, 1) == NN_OK, "the plan runs");
        float first = nn_data(plan, y)[7];
        CHECK(nn_forward(plan, 1) == NN_OK && nn_data(plan, y)[7] == first, "and again the same");
        CHECK(nn_forward(other, 1) == NN_ERROR_ARGUMENT && strstr(nn_error(context), "release"),
              "the other says: %s", nn_error(context));
        CHECK(nn_weights_sha256(hex, graph) == NN_ERROR_ARGUMENT &&
                  strstr(nn_error(context), "release"),
              "nor is there anything to sum up: %s", nn_error(context));
        CHECK(!nn_values(nn_find(graph, "conv/kernel")), "or to read");
        nn_plan_free(&other);
        CHECK(nn_compile(&other, graph, &keeps) == NN_ERROR_ARGUMENT, "or to compile: %s",
              nn_error(context));
    }
    nn_plan_free(&plan);
    nn_plan_free(&other);
    nn_graph_free(&graph);
}

int main(void)
{
    static const struct geometry CASES[] = {
        {1, 19, 19, 32, 32, 1, 1, 1}, {1, 18, 20, 33, 37, 1, 1, 1}, {2, 21, 18, 40, 32, 0, 1, 1},
        {1, 17, 24, 32, 70, 2, 0, 1}, {3, 20, 20, 35, 33, 2, 2, 1}, {1, 3, 130, 32, 32, 1, 1, 1},
        {2, 13, 12, 16, 8, 1, 1, 1},  {1, 19, 19, 16, 16, 2, 2, 2}, {2, 17, 21, 20, 9, 2, 3, 3},
        {1, 16, 10, 33, 24, 5, 5, 5},
    };
    struct nn_context *context = NULL;
    CHECK(nn_winograd_suits(&(struct nn_winograd){
              .channels = 16, .filters = 8, .out_height = 13, .out_width = 12}) &&
              !nn_winograd_suits(&(struct nn_winograd){
                  .channels = 15, .filters = 32, .out_height = 19, .out_width = 19}),
          "these sizes are done so, smaller ones are not");
    for (int threads = 1; threads <= 3; threads += 2) {
        if (!CHECK(nn_open(&context, &(struct nn_options){.threads = threads}) == NN_OK, "open"))
            return test_done();
        for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
            check_one(context, CASES[i], (int)i);
            check_gradients(context, &CASES[i], (int)i);
        }
        check_pool(context, 20, 20);
        check_pool(context, 21, 19);
        check_release(context);
        nn_close(&context);
    }
    return test_done();
}
