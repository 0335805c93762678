/*
 * test_winograd.c — 3x3 convolutions that inference does by Winograd's transforms: against the
 * definition in double precision, at odd sizes and paddings, with everything an epilogue can hold.
 */
#include "nn/internal.h"
#include "tests/test.h"

struct geometry {
    int images, height, width, channels, filters, pad_h, pad_w;
};

static float *random_values(struct nn_rng *rng, size_t count, float size)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; values && i < count; i++) values[i] = nn_rng_uniform(rng, -size, size);
    return values;
}

/* sum over r, s, c of x[p + r - pad, q + s - pad, c] w[r,s,c,k] */
static double plain_sum(const struct geometry *g, const float *x, const float *w, int p, int q,
                        int k)
{
    double sum = 0;
    for (int r = 0; r < 3; r++)
        for (int s = 0; s < 3; s++) {
            int i = p + r - g->pad_h, j = q + s - g->pad_w;
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
    int rows = g->height + 2 * g->pad_h - 2, columns = g->width + 2 * g->pad_w - 2;
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
    struct nn_conv2d_options options = {.padding = NN_EXPLICIT,
                                        .pad_top = g.pad_h,
                                        .pad_bottom = g.pad_h,
                                        .pad_left = g.pad_w,
                                        .pad_right = g.pad_w};
    int rows = g.height + 2 * g.pad_h - 2, columns = g.width + 2 * g.pad_w - 2;
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
    CHECK(worst < 1e-5, "%d x %d x %d x %d to %d filters, padding %d and %d: within %.1e", g.images,
          g.height, g.width, g.channels, g.filters, g.pad_h, g.pad_w, worst);
    free(x_values);
    free(residual);
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

int main(void)
{
    static const struct geometry CASES[] = {
        {1, 19, 19, 32, 32, 1, 1}, {1, 18, 20, 33, 37, 1, 1}, {2, 21, 18, 40, 32, 0, 1},
        {1, 17, 24, 32, 70, 2, 0}, {3, 20, 20, 35, 33, 2, 2}, {1, 3, 130, 32, 32, 1, 1},
    };
    struct nn_context *context = NULL;
    CHECK(nn_winograd_suits(&(struct nn_winograd){
              .channels = 32, .filters = 32, .out_height = 19, .out_width = 19}) &&
              !nn_winograd_suits(&(struct nn_winograd){
                  .channels = 15, .filters = 32, .out_height = 19, .out_width = 19}),
          "these sizes are done so, smaller ones are not");
    for (int threads = 1; threads <= 3; threads += 2) {
        if (!CHECK(nn_open(&context, &(struct nn_options){.threads = threads}) == NN_OK, "open"))
            return test_done();
        for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
            check_one(context, CASES[i], (int)i);
        nn_close(&context);
    }
    return test_done();
}
