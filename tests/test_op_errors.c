/*
 * test_op_errors.c — what ops say to options and shapes that make no sense. A row changes one thing
 * of a call that works.
 */
#include "nn/nn.h"
#include "tests/test.h"

static struct nn_context *context;

/* `graph` must have failed so, saying `text`. Frees it. */
static void expect(struct nn_graph *graph, enum nn_status status, const char *text)
{
    bool good = nn_graph_status(graph) == status && strstr(nn_error(context), text) != NULL;
    CHECK(good, "%s", status ? nn_error(context) : "taken: what the rows change");
    nn_graph_free(&graph);
}

/* ---- prior_box ------------------------------------------------------------------------------- */

static void try_prior_box(enum nn_status status, const char *text, struct nn_shape map,
                          const struct nn_prior_box_options *options)
{
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *picture = nn_input(graph, "picture", nn_shape4(NN_BATCH, 30, 30, 3));
    nn_prior_box(nn_input(graph, "map", map), picture, options);
    expect(graph, status, text);
}

static void check_prior_box(void)
{
    static const struct nn_prior_box_options good = {
        .min_size = {4, 5}, .min_sizes = 2, .variance = {1, 1, 1, 1}};
    struct nn_shape map = nn_shape4(NN_BATCH, 3, 3, 1);
    struct nn_prior_box_options o;
#define ROW(text, ...) o = good, __VA_ARGS__, try_prior_box(NN_ERROR_ARGUMENT, text, map, &o)
    try_prior_box(NN_OK, "", map, &good);
    ROW("min_sizes", o.min_sizes = 0);
    ROW("min_sizes", o.min_sizes = -1);
    ROW("min_sizes", o.min_sizes = NN_MOST_BOXES + 1);
    ROW("min_sizes", o.min_size[1] = NAN);
    ROW("min_sizes", o.min_size[1] = 0.0f);
    ROW("max_sizes", o.max_size[0] = 9, o.max_sizes = 1);
    ROW("max_sizes", o.max_size[0] = o.max_size[1] = o.max_size[2] = 9, o.max_sizes = 3);
    ROW("max_sizes", o.max_size[0] = 9, o.max_size[1] = 5, o.max_sizes = 2);
    ROW("ratios", o.aspect_ratios = 1);
    ROW("ratios", o.aspect_ratio[0] = INFINITY, o.aspect_ratios = 1);
    ROW("ratios", o.aspect_ratios = 1000);
    ROW("variances", o.variance[3] = 0);
    ROW("steps", o.step_h = -1);
    ROW("steps", o.step_w = INFINITY);
    ROW("offset", o.offset = NAN);
    try_prior_box(NN_ERROR_SHAPE, "picture", nn_shape2(NN_BATCH, 9), &good);
    try_prior_box(NN_ERROR_SHAPE, "too many", nn_shape4(NN_BATCH, 30000, 30000, 1), &good);
#undef ROW
}

/* ---- detection_output ------------------------------------------------------------------------ */

static void try_output(enum nn_status status, const char *text, struct nn_shape priors,
                       const struct nn_detection_options *options)
{
    struct nn_graph *graph = nn_graph_new(context);
    nn_detection_output(nn_input(graph, "locations", nn_shape2(NN_BATCH, 12)),
                        nn_input(graph, "confidences", nn_shape2(NN_BATCH, 6)),
                        nn_input(graph, "priors", priors), options);
    expect(graph, status, text);
}

static void check_detection_output(void)
{
    static const struct nn_detection_options good = {
        .classes = 2, .shared = true, .overlap = 0.5f, .most_before = -1, .most = 5};
    struct nn_shape priors = {3, {1, 2, 12}};
    struct nn_detection_options o;
#define ROW(status, text, change)                                                                  \
    o = good, o.change, try_output(NN_ERROR_##status, text, priors, &o)
    try_output(NN_OK, "", priors, &good);
    ROW(UNSUPPORTED, "share", shared = false);
    ROW(ARGUMENT, "class", classes = 0);
    ROW(ARGUMENT, "background", background = 2);
    ROW(ARGUMENT, "background", background = -2);
    ROW(ARGUMENT, "confidence", least_confidence = NAN);
    ROW(ARGUMENT, "overlap", overlap = -0.1f);
    ROW(ARGUMENT, "overlap", overlap = INFINITY);
    ROW(ARGUMENT, "before", most_before = 0);
    ROW(ARGUMENT, "keep", most = 0);
    ROW(SHAPE, "P*3", classes = 3);
    ROW(SHAPE, "P*2147483647", classes = INT32_MAX);
    ROW(SHAPE, "not a shape", most = INT32_MAX);
    try_output(NN_ERROR_SHAPE, "(1, 2, P*4)", nn_shape2(NN_BATCH, 12), &good);
    try_output(NN_ERROR_SHAPE, "(1, 2, P*4)", (struct nn_shape){3, {NN_BATCH, 2, 12}}, &good);
    try_output(NN_ERROR_SHAPE, "(1, 2, P*4)", (struct nn_shape){3, {1, 1, 12}}, &good);
    try_output(NN_ERROR_SHAPE, "(1, 2, P*4)", (struct nn_shape){3, {1, 2, 16}}, &good);
#undef ROW
}

/* ---- permute --------------------------------------------------------------------------------- */

static void try_permute(enum nn_status status, int a, int b, int c, int d)
{
    struct nn_graph *graph = nn_graph_new(context);
    nn_permute(nn_input(graph, "x", nn_shape4(NN_BATCH, 2, 3, 4)),
               (const int[NN_MAX_RANK]){a, b, c, d});
    expect(graph, status, status ? "in some order, 0 first" : "");
}

static void check_permute(void)
{
    try_permute(NN_OK, 0, 3, 1, 2);
    try_permute(NN_ERROR_ARGUMENT, 1, 0, 2, 3);
    try_permute(NN_ERROR_ARGUMENT, 0, 1, 1, 3);
    try_permute(NN_ERROR_ARGUMENT, 0, 1, 2, 4);
    try_permute(NN_ERROR_ARGUMENT, 0, 1, 2, -1);
    try_permute(NN_ERROR_ARGUMENT, 0, 1, 2, INT32_MIN);
}

/* ---- crop ------------------------------------------------------------------------------------ */

static void try_crop(enum nn_status status, struct nn_shape shape, int a, int b, int c, int d)
{
    struct nn_graph *graph = nn_graph_new(context);
    nn_crop(nn_input(graph, "x", nn_shape4(NN_BATCH, 4, 5, 6)),
            (const int[NN_MAX_RANK]){a, b, c, d}, shape);
    expect(graph, status, status ? "with all its images" : "");
}

static void check_crop(void)
{
    struct nn_shape good = nn_shape4(NN_BATCH, 2, 3, 4);
    try_crop(NN_OK, good, 0, 2, 2, 2);
    try_crop(NN_ERROR_SHAPE, good, 1, 2, 2, 2);
    try_crop(NN_ERROR_SHAPE, good, 0, 3, 2, 2);
    try_crop(NN_ERROR_SHAPE, good, 0, 2, -1, 2);
    try_crop(NN_ERROR_SHAPE, good, 0, 2, 2, INT32_MAX);
    try_crop(NN_ERROR_SHAPE, nn_shape4(NN_BATCH, 2, 3, 7), 0, 0, 0, 0);
    try_crop(NN_ERROR_SHAPE, nn_shape4(NN_BATCH, 2, 0, 4), 0, 0, 0, 0);
    try_crop(NN_ERROR_SHAPE, nn_shape4(1, 2, 3, 4), 0, 0, 0, 0);
    try_crop(NN_ERROR_SHAPE, nn_shape2(NN_BATCH, 2), 0, 0, 0, 0);
    try_crop(NN_ERROR_SHAPE, (struct nn_shape){.rank = 9}, 0, 0, 0, 0);
}

/* ---- prelu, maximum -------------------------------------------------------------------------- */

static void check_pairs(void)
{
    struct nn_graph *graph = nn_graph_new(context);
    nn_prelu(nn_input(graph, "x", nn_shape2(NN_BATCH, 6)),
             nn_parameter(graph, "slope", nn_shape1(5), NN_ZEROS));
    expect(graph, NN_ERROR_SHAPE, "a slope of shape (6), got (5)");
    graph = nn_graph_new(context);
    nn_prelu(nn_input(graph, "x", nn_shape1(NN_BATCH)),
             nn_parameter(graph, "slope", nn_shape1(1), NN_ZEROS));
    expect(graph, NN_ERROR_SHAPE, "an axis after the images");
    graph = nn_graph_new(context);
    nn_maximum(nn_input(graph, "a", nn_shape2(NN_BATCH, 6)),
               nn_input(graph, "b", nn_shape2(NN_BATCH, 7)));
    expect(graph, NN_ERROR_SHAPE, "two equal shapes");
}

/* ---- conv2d_transpose ------------------------------------------------------------------------ */

static void try_up(enum nn_status status, const char *text, int bias,
                   const struct nn_conv2d_options *options)
{
    struct nn_graph *graph = nn_graph_new(context);
    nn_conv2d_transpose(nn_input(graph, "x", nn_shape4(NN_BATCH, 4, 5, 6)),
                        nn_parameter(graph, "w", nn_shape4(3, 3, 6, 2), NN_ZEROS),
                        nn_parameter(graph, "b", nn_shape1(bias), NN_ZEROS), options);
    expect(graph, status, text);
}

static void check_conv2d_transpose(void)
{
    static const struct nn_conv2d_options good = {
        .padding = NN_EXPLICIT, .pad_top = 1, .stride_h = 2, .groups = 3};
    struct nn_conv2d_options o;
#define ROW(status, text, change) o = good, o.change, try_up(NN_ERROR_##status, text, 6, &o)
    try_up(NN_OK, "", 6, &good);
    ROW(ARGUMENT, "explicit padding", padding = NN_SAME);
    ROW(ARGUMENT, "explicit padding", padding = (enum nn_padding)9);
    ROW(ARGUMENT, "stride -1 x 1", stride_h = -1);
    ROW(ARGUMENT, "stride 2 x 2147483647", stride_w = INT32_MAX);
    ROW(ARGUMENT, "dilation -2 x 1", dilation_h = -2);
    ROW(ARGUMENT, "pads 1, 0, -1, 0", pad_bottom = -1);
    ROW(SHAPE, "4 groups", groups = 4);
    ROW(SHAPE, "-1 groups", groups = -1);
    ROW(SHAPE, "got 0 x 7", pad_bottom = 8);
    ROW(SHAPE, "33554438 x 7", dilation_h = 1 << 24);
    try_up(NN_ERROR_SHAPE, "a bias of shape (6), got (2)", 2, &good);
#undef ROW
    struct nn_graph *graph = nn_graph_new(context);
    nn_conv2d_transpose(nn_input(graph, "x", nn_shape4(NN_BATCH, 4, 5, 6)),
                        nn_parameter(graph, "w", nn_shape4(129, 128, 6, 1), NN_ZEROS), NULL, &good);
    expect(graph, NN_ERROR_SHAPE, "more than 16384 taps");
}

int main(void)
{
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 1}) == NN_OK, "a context"))
        return test_done();
    check_prior_box();
    check_detection_output();
    check_permute();
    check_crop();
    check_pairs();
    check_conv2d_transpose();
    nn_close(&context);
    return test_done();
}
