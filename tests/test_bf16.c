/*
 * test_bf16.c — plans that predict in bfloat16: convolutions of all kinds against the definition in
 * double precision on rounded inputs, what goes that way and what does not, threads, and words for
 * what cannot be.
 *
 * Where a CPU has AMX everything goes through its kernel; so that this is seen on others too, a
 * context is told that it has it, with the emulated kernel for its own.
 */
#include "nn/internal.h"
#include "nn/measure.h"
#include "tests/test.h"

#include "tests/amx_emulated.h"
void nn_bf16_amx_emulated(struct nn_kernels *table);
#define nn_bf16_amx nn_bf16_amx_emulated
#include "nn/kernels/bf16_amx.c"
#undef nn_bf16_amx

struct geometry {
    int images, height, width, channels, filters, kernel_h, kernel_w, stride, dilation, groups;
    int top, left, bottom, right;
};

static const struct geometry CASES[] = {
    {1, 19, 19, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1}, /* in floats: Winograd's */
    {2, 7, 9, 3, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1},    /* the first layer of many */
    {1, 23, 31, 3, 32, 7, 7, 2, 1, 1, 3, 3, 3, 3},  /* of others */
    {1, 12, 40, 5, 33, 3, 2, 3, 1, 1, 0, 1, 2, 1},  /* odd channels, one filter too many */
    {1, 19, 19, 64, 40, 3, 3, 2, 2, 1, 2, 2, 2, 2}, /* torn by dilation */
    {1, 11, 10, 33, 64, 1, 1, 1, 1, 1, 0, 0, 0, 0}, /* a row of all pixels */
    {2, 11, 10, 34, 70, 1, 1, 2, 1, 1, 0, 0, 0, 0}, /* with gaps */
    {3, 1, 1, 47, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1},   /* one pixel */
    {1, 1, 17, 1, 1, 1, 3, 1, 1, 1, 0, 1, 0, 1},    /* one channel, one filter */
    {1, 9, 9, 31, 17, 5, 5, 2, 1, 1, 4, 0, 0, 4},   /* padding on two sides */
    {1, 6, 6, 4, 8, 3, 3, 1, 1, 2, 1, 1, 1, 1},     /* groups stay floats */
    {1, 40, 45, 32, 48, 3, 3, 2, 1, 1, 1, 1, 1, 1}, /* bands of rows */
    {1, 5, 5, 130, 96, 3, 3, 1, 1, 1, 1, 1, 1, 1},  /* rows lower than a tile */
};
enum { CASE_COUNT = sizeof CASES / sizeof *CASES };

static struct nn_shape y_shape(const struct geometry *g)
{
    int rows = g->height + g->top + g->bottom - (g->kernel_h - 1) * g->dilation;
    int columns = g->width + g->left + g->right - (g->kernel_w - 1) * g->dilation;
    return nn_shape4(NN_BATCH, (rows - 1) / g->stride + 1, (columns - 1) / g->stride + 1,
                     g->filters);
}

static double rounded(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

struct network {
    struct nn_graph *graph;
    struct nn_plan *plan;
    struct nn_node *x, *other, *w, *b, *y;
    size_t x_count, y_count;
};

static bool build(struct network *network, struct nn_context *context, const struct geometry *g,
                  int seed, enum nn_precision precision)
{
    struct nn_conv2d_options options = {g->stride,   g->stride, g->dilation, g->dilation, g->groups,
                                        NN_EXPLICIT, g->top,    g->left,     g->bottom,   g->right};
    struct nn_graph *graph = network->graph = nn_graph_new(context);
    struct nn_shape w_shape =
        nn_shape4(g->kernel_h, g->kernel_w, g->channels / g->groups, g->filters);
    network->plan = NULL;
    network->x = nn_input(graph, "x", nn_shape4(NN_BATCH, g->height, g->width, g->channels));
    network->other = nn_input(graph, "other", y_shape(g));
    network->w = nn_parameter(graph, "w", w_shape, NN_HE_NORMAL);
    network->b = nn_parameter(graph, "b", nn_shape1(g->filters), NN_HE_NORMAL);
    network->y =
        nn_relu(nn_add(nn_conv2d(network->x, network->w, network->b, &options), network->other));
    if (nn_initialize(graph, (uint64_t)seed) ||
        nn_compile(&network->plan, graph,
                   &(struct nn_plan_options){.batch = g->images, .precision = precision})) {
        printf("# %s\n", nn_error(context));
        return false;
    }
    network->x_count = nn_shape_count(nn_node_shape(network->x)) * (size_t)g->images;
    network->y_count = nn_shape_count(nn_node_shape(network->y)) * (size_t)g->images;
    struct nn_rng rng = nn_rng_make((uint64_t)seed, 1);
    for (size_t i = 0; i < network->x_count; i++)
        nn_data(network->plan, network->x)[i] = nn_rng_uniform(&rng, -1, 1);
    for (size_t i = 0; i < network->y_count; i++)
        nn_data(network->plan, network->other)[i] = nn_rng_uniform(&rng, -2, 2);
    return true;
}

static void release(struct network *network)
{
    nn_plan_free(&network->plan);
    nn_graph_free(&network->graph);
}

struct sum {
    double value, size;
    int terms;
};

static struct sum sum_of(const struct network *network, const struct geometry *g, int n, int p,
                         int q, int k)
{
    struct sum sum = {0};
    const float *x = nn_data(network->plan, network->x), *w = nn_values(network->w);
    int channels = g->channels / g->groups, first = k / (g->filters / g->groups) * channels;
    for (int tap = 0; tap < g->kernel_h * g->kernel_w; tap++) {
        int i = p * g->stride + tap / g->kernel_w * g->dilation - g->top;
        int j = q * g->stride + tap % g->kernel_w * g->dilation - g->left;
        if (i < 0 || j < 0 || i >= g->height || j >= g->width) continue;
        for (int c = 0; c < channels; c++, sum.terms++) {
            float a = x[((n * g->height + i) * g->width + j) * g->channels + first + c];
            float b = w[(tap * channels + c) * g->filters + k];
            double product = g->groups > 1 ? (double)a * (double)b : rounded(a) * rounded(b);
            sum.value += product;
            sum.size += fabs(product);
        }
    }
    return sum;
}

/* The largest error, as a share of what is allowed. */
static double worst_of(const struct network *network, const struct geometry *g)
{
    double worst = 0;
    struct nn_shape shape = nn_node_shape(network->y);
    const float *y = nn_data(network->plan, network->y);
    const float *other = nn_data(network->plan, network->other), *b = nn_values(network->b);
    for (size_t at = 0; at < network->y_count; at++) {
        int k = (int)(at % (size_t)g->filters), pixel = (int)(at / (size_t)g->filters);
        int q = pixel % shape.dim[2], p = pixel / shape.dim[2] % shape.dim[1];
        int n = pixel / shape.dim[2] / shape.dim[1];
        struct sum sum = sum_of(network, g, n, p, q, k);
        double want = sum.value + (double)b[k] + (double)other[at];
        double allowed = ldexp(1, -24) * ((2 * sum.terms + 64) * sum.size +
                                          4 * (fabs((double)b[k]) + fabs((double)other[at])));
        double off = fabs((want > 0 ? want : 0) - (double)y[at]) / (allowed + 1e-30);
        if (!(off <= worst)) worst = off;
    }
    return worst;
}

static bool runs(const struct network *network, const char *op)
{
    for (int i = 0; i < nn_plan_steps(network->plan); i++)
        if (strcmp(nn_plan_step(network->plan, i).op, op) == 0) return true;
    return false;
}

/* One case in bfloat16: the values, and what runs. */
static void check_case(struct nn_context *context, int i, const char *who)
{
    const struct geometry *g = &CASES[i];
    struct network network;
    bool fastest = strcmp(nn_cpu(context), "amx") == 0;
    bool floats = g->groups > 1 || (i == 0 && !fastest);
    double worst = INFINITY;
    bool made = build(&network, context, g, i, NN_BFLOAT16);
    if (made && nn_forward(network.plan, g->images) == NN_OK) worst = worst_of(&network, g);
    /* Winograd's transforms have a bound of their own (test_winograd). */
    if (i > 0 || fastest) CHECK(worst <= 1, "%s, case %d: %.2g of what is allowed", who, i, worst);
    CHECK(made && runs(&network, floats ? "conv2d" : "conv2d bf16"), "%s, case %d: in %s", who, i,
          floats ? "floats" : "bfloat16");
    release(&network);
}

static void check_levels(void)
{
    const char *names[8];
    int count = nn_levels(names);
    for (int level = 0; level < count; level++) {
        struct nn_context *context = NULL;
        if (!CHECK(!nn_open(&context, &(struct nn_options){.threads = 2, .cpu = names[level]}),
                   "open"))
            return;
        for (int i = 0; i < CASE_COUNT; i++) check_case(context, i, names[level]);
        nn_close(&context);
    }
}

static struct nn_context *open_emulated(int threads)
{
    struct nn_context *context = NULL;
    if (nn_open(&context, &(struct nn_options){.threads = threads})) return NULL;
    context->cpu = "amx";
    nn_kernels_fill(&context->kernels, "scalar");
    nn_bf16_amx_emulated(&context->kernels);
    return context;
}

/* The emulation has one set of tiles, so one thread. */
static void check_as_amx(void)
{
    struct nn_context *context = open_emulated(1);
    if (!CHECK(context != NULL, "open")) return;
    CHECK(nn_bfloat16_pays(context), "where there is AMX, bfloat16 pays");
    for (int i = 0; i < CASE_COUNT; i++) check_case(context, i, "amx, emulated");
    CHECK(amx.dots > 0 && !amx_fault && !amx.configured, "amx, emulated: no exception%s%s",
          amx_fault ? ": " : "", amx_fault ? amx_fault : "");
    nn_close(&context);
}

/* The same bits for 1, 2 and 5 threads, and when run again. */
static void check_threads(int i)
{
    static const int THREADS[] = {1, 2, 5};
    const struct geometry *g = &CASES[i];
    float *first = NULL;
    for (int t = 0; t < 3; t++) {
        struct nn_context *context = NULL;
        struct network network;
        if (nn_open(&context, &(struct nn_options){.threads = THREADS[t]})) break;
        context->cpu = "amx"; /* the choice; the kernels are this CPU's */
        bool good = build(&network, context, g, i, NN_BFLOAT16);
        for (int run = 0; run < 2 && good; run++) {
            good = nn_forward(network.plan, g->images) == NN_OK;
            const float *y = nn_data(network.plan, network.y);
            size_t bytes = network.y_count * sizeof *y;
            if (!first && (first = malloc(bytes)) != NULL) memcpy(first, y, bytes);
            CHECK(good && first && memcmp(first, y, bytes) == 0,
                  "case %d: the same bits with %d threads, run %d", i, THREADS[t], run);
        }
        release(&network);
        nn_close(&context);
    }
    free(first);
}

static void expect_words(struct nn_context *context, struct network *network,
                         struct nn_plan_options options, const char *words)
{
    struct nn_plan *plan = NULL;
    enum nn_status status = nn_compile(&plan, network->graph, &options);
    CHECK(status && !plan && strstr(nn_error(context), words), "refused: %s", nn_error(context));
    nn_plan_free(&plan);
}

static void check_options(void)
{
    struct nn_context *context = NULL;
    struct network network;
    if (!CHECK(!nn_open(&context, &(struct nn_options){.threads = 1}), "open")) return;
    bool made = build(&network, context, &CASES[1], 0, NN_FLOAT32);
    CHECK(made && !runs(&network, "conv2d bf16"), "floats are what one gets without asking");
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *x = nn_input(graph, "x", nn_shape2(NN_BATCH, 3));
    struct nn_node *target = nn_input(graph, "target", nn_shape2(NN_BATCH, 3));
    struct nn_node *loss = nn_softmax_cross_entropy(nn_layer_dense(x, NULL, 3), target, NULL);
    struct network training = {.graph = graph};
    expect_words(context, &training,
                 (struct nn_plan_options){.batch = 1, .loss = loss, .precision = NN_BFLOAT16},
                 "bfloat16 is for predicting: a plan that trains works in floats");
    expect_words(context, &training,
                 (struct nn_plan_options){.batch = 1, .statistics = true, .precision = NN_BFLOAT16},
                 "measures statistics");
    expect_words(context, &network,
                 (struct nn_plan_options){.batch = 1, .precision = (enum nn_precision)2},
                 "precision");
    nn_graph_free(&graph);
    release(&network);
    nn_close(&context);
    if (nn_open(&context, &(struct nn_options){.threads = 1, .cpu = "scalar"}) == NN_OK)
        CHECK(!nn_bfloat16_pays(context), "at the scalar level it does not pay");
    nn_close(&context);
}

int main(void)
{
    check_levels();
    check_as_amx();
    check_threads(2);
    check_threads(4);
    check_threads(11);
    check_options();
    return test_done();
}
