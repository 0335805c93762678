/*
 * test_plans.c — a plan's decisions never change a result: sharing memory, working in place, fusing
 * ops, more threads, room for more images. First op by op (op_cases.inc), then for networks drawn
 * at random, in which nodes have several users, views of views and so on.
 */
#include "tests/test.h"
#include "tests/trial.h"

/* ---- op by op -------------------------------------------------------------------------------- */

/* All that a run gives: the value, then gradients and states of all tensors. */
static float *collect(const struct trial *trial, size_t *count)
{
    size_t total = trial_floats(trial, trial->out);
    for (int i = 0; i < trial->count; i++) total += trial_floats(trial, trial->tensor[i]);
    float *all = calloc(total, sizeof *all), *next = all;
    if (!all) return NULL;
    size_t size = trial_floats(trial, trial->out);
    memcpy(next, nn_data(trial->plan, trial->out), size * sizeof *next);
    next += size;
    for (int i = 0; i < trial->count; i++, next += size) {
        const float *values = trial_is_state(trial->row->roles[i])
                                  ? nn_values(trial->tensor[i])
                                  : nn_gradient(trial->plan, trial->tensor[i]);
        size = trial_floats(trial, trial->tensor[i]);
        if (values) memcpy(next, values, size * sizeof *next);
    }
    *count = total;
    return all;
}

static float *run_case(const struct op_case *row, struct nn_context *context,
                       const struct trial_options *options, size_t *count)
{
    struct trial trial;
    float *all = NULL;
    *count = 0;
    if (trial_open(&trial, row, context, options) == NN_OK) {
        nn_plan_seed(trial.plan, 5, 7);
        /* Twice: buffers that were left dirty must not show. */
        for (int run = 0; run < 2; run++) {
            trial_fill(&trial);
            if (trial_run(&trial)) break;
            free(all);
            all = collect(&trial, count);
        }
    }
    if (!all) printf("# %s: %s\n", row->name, nn_error(context));
    trial_close(&trial);
    return all;
}

static void check_same(const struct op_case *row, const char *how, struct nn_context *one,
                       struct nn_context *other, const struct trial_options *options)
{
    size_t count_a, count_b;
    float *a = run_case(row, one, &(struct trial_options){0}, &count_a);
    float *b = run_case(row, other, options, &count_b);
    bool same = a && b && count_a == count_b && memcmp(a, b, count_a * sizeof *a) == 0;
    CHECK(same, "%s: the same bits %s", row->name, how);
    free(a);
    free(b);
}

static void check_cases(struct nn_context *one, struct nn_context *three)
{
    for (int i = 0; i < OP_CASE_COUNT; i++) {
        const struct op_case *row = &OP_CASES[i];
        check_same(row, "with 3 threads", one, three, &(struct trial_options){0});
        check_same(row, "without sharing", one, one, &(struct trial_options){.no_sharing = true});
        check_same(row, "without fusion", one, one,
                   &(struct trial_options){.no_sharing = true, .no_fusion = true});
        check_same(row, "in a plan for more images", one, three,
                   &(struct trial_options){.spare = 3});
    }
}

/* ---- networks drawn at random ---------------------------------------------------------------- */

enum { IMAGES = 3, MOST_NODES = 64, SIDE = 4, CHANNELS = 6 };

struct network {
    struct nn_graph *graph;
    struct nn_plan *plan;
    struct nn_node *maps[MOST_NODES]; /* all [N, SIDE, SIDE, CHANNELS] */
    int count;
    struct nn_node *input, *r, *out, *loss;
};

static struct nn_node *squeeze(struct nn_node *x)
{
    return nn_layer_conv2d(x, NULL, CHANNELS, 3, 3, NULL);
}

static struct nn_node *channel_values(struct nn_node *x)
{
    char name[32];
    if (!x) return NULL;
    snprintf(name, sizeof name, "values_%d", nn_node_count(x->graph));
    return nn_parameter(x->graph, name, nn_shape1(CHANNELS), NN_HE_NORMAL);
}

static struct nn_node *there_and_back(struct nn_node *x)
{
    return nn_reshape(nn_relu(nn_flatten(x)), nn_shape4(NN_BATCH, SIDE, -1, CHANNELS));
}

static struct nn_node *bigger_and_back(struct nn_node *a, struct nn_node *b)
{
    struct nn_node *both[] = {a, b, a};
    return nn_layer_conv2d(nn_concat(both, 3, 3), NULL, CHANNELS, 1, 1, NULL);
}

static struct nn_node *through_dense(struct nn_node *x)
{
    struct nn_node *y = nn_layer_batch_norm(nn_relu(nn_layer_dense(nn_flatten(x), NULL, 8)), NULL);
    y = nn_layer_dense(nn_dropout(y, 0.25f), NULL, SIDE * SIDE * CHANNELS);
    return nn_reshape(y, nn_shape4(NN_BATCH, SIDE, SIDE, CHANNELS));
}

/* A pre-activation residual block (He et al. 2016): everything an epilogue can take in. */
static struct nn_node *residual(struct nn_node *a, struct nn_node *b)
{
    struct nn_node *y = nn_layer_batch_norm(nn_add(b, squeeze(a)), NULL);
    y = nn_scale_shift(y, channel_values(y), channel_values(y));
    return nn_layer_batch_norm(nn_relu(y), NULL);
}

/* Affine maps in a row, then a relu, with nothing before them to take them in. */
static struct nn_node *maps_in_a_row(struct nn_node *a)
{
    struct nn_node *y = nn_scale_shift(nn_sigmoid(a), channel_values(a), NULL);
    return nn_relu(nn_layer_batch_norm(nn_layer_batch_norm(y, NULL), NULL));
}

/* Heads of a detector: maps side by side, as rows. */
static struct nn_node *heads(struct nn_node *a, struct nn_node *b)
{
    struct nn_node *rows[] = {nn_flatten(squeeze(a)), nn_flatten(nn_relu(b)), nn_flatten(a),
                              nn_flatten(squeeze(b))};
    struct nn_node *all = nn_concat(rows, 4, 1);
    all = nn_reshape(nn_relu(all), nn_shape4(NN_BATCH, 4 * SIDE, SIDE, CHANNELS));
    return nn_max_pool(all, &(struct nn_pool_options){.size_h = 4, .size_w = 1});
}

static struct nn_node *draw_node(struct nn_node *a, struct nn_node *b, uint32_t kind)
{
    static const struct nn_pool_options pool = {
        .size_h = 3, .size_w = 3, .stride_h = 1, .stride_w = 1};
    switch (kind) {
    case 0:
        return nn_relu(a);
    case 1:
        return nn_sigmoid(a);
    case 2:
        return nn_add(a, b);
    case 3:
        return nn_mul(a, nn_sigmoid(b));
    case 4:
        return squeeze(a);
    case 5:
        return nn_relu(squeeze(a));
    case 6:
        return nn_layer_batch_norm(nn_relu(squeeze(a)), NULL);
    case 7:
        return nn_layer_batch_norm(a, NULL);
    case 8:
        return nn_dropout(a, 0.5f);
    case 9:
        return there_and_back(a);
    case 10:
        return bigger_and_back(a, b);
    case 11:
        return through_dense(a);
    case 12:
        return nn_max_pool(a, &pool);
    case 13:
        return nn_avg_pool(a, &pool);
    case 14:
        return nn_layer_batch_norm(nn_relu(nn_add(a, b)), NULL);
    case 15:
        return residual(a, b);
    case 16:
        return maps_in_a_row(a);
    case 17:
        return heads(a, b);
    case 18:
        return nn_relu(nn_add(squeeze(a), squeeze(b)));
    default:
        return nn_leaky_relu(nn_softmax(a), 0.5f);
    }
}

static void build_network(struct network *network, struct nn_context *context, uint64_t seed)
{
    struct nn_rng rng = nn_rng_make(seed, 1);
    struct nn_shape shape = nn_shape4(NN_BATCH, SIDE, SIDE, CHANNELS);
    *network = (struct network){.graph = nn_graph_new(context)};
    network->input = nn_input(network->graph, "input", shape);
    network->maps[network->count++] = network->input;
    int nodes = 2 + (int)nn_rng_below(&rng, 14);
    for (int i = 0; i < nodes; i++) {
        /* Mostly the last node, so that chains are long and some nodes have several users. */
        uint32_t last = (uint32_t)network->count - 1;
        struct nn_node *a =
            network->maps[nn_rng_below(&rng, 3) ? last : nn_rng_below(&rng, last + 1)];
        struct nn_node *b = network->maps[nn_rng_below(&rng, last + 1)];
        network->maps[network->count++] = draw_node(a, b, nn_rng_below(&rng, 20));
    }
    /* A parameter in any case: the loss depends on it. */
    network->out = squeeze(network->maps[network->count - 1]);
    network->r = nn_input(network->graph, "r", shape);
    network->loss = trial_weighted_sum(network->out, network->r);
}

/* The loss, out, all gradients and states, after two runs with `images` images. */
static float *run_network(struct nn_context *context, uint64_t seed, bool training,
                          const struct nn_plan_options *how, size_t *count)
{
    struct network network;
    build_network(&network, context, seed);
    /* Some networks keep a node in the middle. */
    struct nn_node *outputs[] = {network.out, network.maps[seed % (uint64_t)network.count]};
    struct nn_plan_options options = *how;
    options.outputs = outputs;
    options.output_count = seed % 3 ? 2 : 1;
    options.loss = training ? network.loss : NULL;
    options.input_gradients = seed % 2;
    float *all = NULL;
    *count = 0;
    if (nn_initialize(network.graph, seed) == NN_OK &&
        nn_compile(&network.plan, network.graph, &options) == NN_OK) {
        int images = how->batch < IMAGES ? how->batch : IMAGES;
        size_t floats = nn_node_count_for(network.out, images), place = 0;
        all = calloc(network.graph->value_floats + 4 * floats, sizeof *all);
        for (int run = 0; run < 2; run++) {
            nn_plan_seed(network.plan, seed, (uint64_t)run);
            numbers_fill(nn_data(network.plan, network.input), floats, 1, 'i', seed, 2);
            if (training) numbers_fill(nn_data(network.plan, network.r), floats, 1, 'i', seed, 3);
            nn_forward(network.plan, images);
            if (training) nn_backward(network.plan);
        }
        for (int i = 0; all && i < options.output_count; i++, place += floats)
            memcpy(all + place, nn_data(network.plan, outputs[i]), floats * sizeof *all);
        for (int i = 0; all && i < nn_node_count(network.graph); i++) {
            struct nn_node *node = nn_node_at(network.graph, i);
            const float *values =
                node->kind == NN_KIND_STATE ? nn_values(node) : nn_gradient(network.plan, node);
            size_t size = values ? nn_node_count_for(node, images) : 0;
            if (values && node != network.r) {
                memcpy(all + place, values, size * sizeof *all);
                place += size;
            }
        }
        *count = place;
    }
    if (!all) printf("# network %d: %s\n", (int)seed, nn_error(context));
    nn_plan_free(&network.plan);
    nn_graph_free(&network.graph);
    return all;
}

/* Networks of `count` for which two ways to plan give other results. */
static int count_different(struct nn_context *one, const struct nn_plan_options *a,
                           struct nn_context *other, const struct nn_plan_options *b, bool training,
                           double tolerance, int networks)
{
    int different = 0;
    for (int seed = 0; seed < networks; seed++) {
        size_t count_a, count_b;
        float *x = run_network(one, (uint64_t)seed, training, a, &count_a);
        float *y = run_network(other, (uint64_t)seed, training, b, &count_b);
        bool same = x && y && count_a == count_b && count_a > 0;
        double difference = same ? trial_difference(x, y, count_a) : 1.0;
        if (!(difference <= tolerance)) {
            printf("# network %d differs by %.1e (%zu and %zu numbers)\n", seed, difference,
                   count_a, count_b);
            different++;
        }
        free(x);
        free(y);
    }
    return different;
}

static void check_networks(struct nn_context *one, struct nn_context *three)
{
    enum { NETWORKS = 150 };
    const struct nn_plan_options normal = {.batch = IMAGES};
    const struct nn_plan_options apart = {.batch = IMAGES, .no_sharing = true};
    const struct nn_plan_options alone = {.batch = IMAGES, .no_sharing = true, .no_fusion = true};
    const struct nn_plan_options roomy = {.batch = IMAGES + 2};
    const struct nn_plan_options single = {.batch = 1};
    const struct nn_plan_options single_alone = {.batch = 1, .no_sharing = true, .no_fusion = true};
    for (int training = 0; training < 2; training++) {
        const char *what = training ? "training" : "inference";
        CHECK(count_different(one, &normal, one, &apart, training, 0.0, NETWORKS) == 0,
              "%s: %d networks give the same bits without sharing", what, NETWORKS);
        CHECK(count_different(one, &normal, one, &alone, training, 1e-6, NETWORKS) == 0,
              "%s: %d networks give the same to 1e-6 without fusion", what, NETWORKS);
        CHECK(count_different(one, &normal, three, &normal, training, 0.0, NETWORKS) == 0,
              "%s: %d networks give the same bits with 3 threads", what, NETWORKS);
        CHECK(count_different(one, &normal, one, &roomy, training, 0.0, NETWORKS) == 0,
              "%s: %d networks give the same bits in a plan for more images", what, NETWORKS);
        CHECK(count_different(one, &single, three, &single_alone, training, 1e-6, NETWORKS) == 0,
              "%s: %d networks give the same to 1e-6 with one image", what, NETWORKS);
    }
}

int main(void)
{
    struct nn_context *one = NULL, *three = NULL;
    if (!CHECK(nn_open(&one, &(struct nn_options){.threads = 1}) == NN_OK &&
                   nn_open(&three, &(struct nn_options){.threads = 3}) == NN_OK,
               "contexts with 1 and 3 threads"))
        return test_done();
    check_cases(one, three);
    check_networks(one, three);
    nn_close(&three);
    nn_close(&one);
    return test_done();
}
