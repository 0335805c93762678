/*
 * test_tensorflow_files.c — networks of TensorFlow, made by hand: what is read and what is refused;
 * damage.
 */
#include "tests/graphdef.h"
#include "tests/test.h"

static struct nn_context *context;

/* ---- networks -------------------------------------------------------------------------------- */

#define ATTR(key, value)   "attr { key: '" key "' value { " value " } } "
#define LIST(key, h, w)    ATTR(key, "list { i: 1 i: " #h " i: " #w " i: 1 }")
#define NODE(name, op, in) "node { name: '" name "' op: '" op "' " in "}\n"
#define IN(name)           "input: '" name "' "
#define DIM(size)          "dim { size: " #size " } "
#define DATA                                                                                       \
    NODE("data", "Placeholder",                                                                    \
         ATTR("dtype", "type: DT_FLOAT")                                                           \
             ATTR("shape", "shape { " DIM(-1) DIM(4) DIM(5) DIM(2) "}"))
#define BARE                 NODE("data", "Placeholder", "")
#define VALID                ATTR("padding", "s: 'VALID'")
#define SAME                 ATTR("padding", "s: 'SAME'")
#define CONV(name, in, rest) NODE(name, "Conv2D", IN(in) IN("k") LIST("strides", 1, 1) rest)
#define BN(rest)             NODE("bn", "FusedBatchNorm", IN("data") IN("b2") IN("b2") IN("b2") IN("b2") rest)
#define SPLIT(pads)          NODE("s", "SpaceToBatchND", IN("data") IN("blocks") IN(pads))
#define RELU(in)             NODE("r", "Relu", IN(in))
#define POOL(rest)           NODE("p", "MaxPool", IN("data") rest)
#define FLOATS(key, count, values)                                                                 \
    ATTR(key, "tensor { dtype: DT_FLOAT tensor_shape { dim { size: " #count " } } " values " }")
#define SIZES                 ATTR("min_size", "i: 30") ATTR("max_size", "i: 60")
#define FLAGS                 ATTR("flip", "b: true") ATTR("clip", "b: false") ATTR("offset", "f: 0.5")
#define VARIANCE              FLOATS("variance", 1, "float_val: 0.1")
#define PRIOR(name, in, rest) NODE(name, "PriorBox", IN(in) IN("data") SIZES FLAGS rest)

struct network {
    const char *what, *text, *part; /* part: of the message; or the last node's name */
    struct nn_shape shape;          /* of the last node; rank 0: refused */
};

static void check_network(const struct network *network)
{
    static struct wire wire;
    struct nn_graph *graph;
    put_constants(&wire);
    size_t size = strlen(network->text);
    char *text = malloc(size + 1); /* exactly as large: a sanitizer sees reads beyond */
    memcpy(text, network->text, size);
    enum nn_status status =
        nn_tf_import(&graph, context, &(struct nn_tf_file){text, size, "x.pbtxt"},
                     &(struct nn_tf_file){wire.bytes, wire.size, "x.pb"});
    free(text);
    bool refused = network->shape.rank == 0, right;
    if (refused || status) {
        right = refused && status && !graph && strstr(nn_error(context), network->part) &&
                strstr(nn_error(context), "x.pb");
    } else {
        const struct nn_node *last = nn_node_at(graph, nn_node_count(graph) - 1);
        right = nn_shape_equal(nn_node_shape(last), network->shape) &&
                !strcmp(nn_node_name(last), network->part);
        if (!right) printf("# the last is '%s'\n", nn_node_name(last));
    }
    if (!CHECK(right, "%s: %s", refused ? "refused" : "read", network->what))
        printf("# %s\n", status ? nn_error(context) : "accepted");
    nn_graph_free(&graph);
}

#define HEAD(name)                                                                                 \
    NODE(name, "Conv2D", IN("data") IN(name "/w") LIST("strides", 1, 1) VALID)                     \
    NODE(name "/flat", "Flatten", IN(name))
#define DETECTION(rest)                                                                            \
    NODE("out", "DetectionOutput",                                                                 \
         IN("loc/flat") IN("flat") IN("p") ATTR("num_classes", "i: 2")                             \
             ATTR("share_location", "b: true") ATTR("background_label_id", "i: 0")                 \
                 ATTR("nms_threshold", "f: 0.45") ATTR("top_k", "i: 400")                          \
                     ATTR("keep_top_k", "i: 5") ATTR("confidence_threshold", "f: 0.01") rest)
#define CODE ATTR("code_type", "s: 'CENTER_SIZE'")
/* Two boxes for each of 4 x 4 pixels, two classes. */
#define SSD(rest)                                                                                  \
    BARE HEAD("loc") HEAD("conf")                                                                  \
        NODE("rows/shape", "Const",                                                                \
             ATTR("value", "tensor { dtype: "                                                      \
                           "DT_INT32 tensor_shape { dim { size: 3 } } int_val: [0, -1, 2] }"))     \
            NODE("pairs", "Reshape", IN("conf/flat") IN("rows/shape"))                             \
                NODE("soft", "Softmax", IN("pairs") ATTR("axis", "i: 2"))                          \
                    NODE("flat", "Flatten", IN("soft"))                                            \
                        PRIOR("p", "loc", VARIANCE ATTR("step", "f: 4")) rest

/* Black pictures: no box is moved, and all are faces by half. The first is the first prior: 30
 * pixels around (2, 2), in a picture of 4. */
static void test_ssd(void)
{
    static struct wire wire;
    static char text[] = SSD(DETECTION(CODE));
    struct nn_graph *graph;
    struct nn_plan *plan = NULL;
    put_constants(&wire);
    bool good = !nn_tf_import(&graph, context, &(struct nn_tf_file){text, sizeof text - 1, "x"},
                              &(struct nn_tf_file){wire.bytes, wire.size, "y"}) &&
                !nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1}) &&
                !nn_forward(plan, 1);
    if (CHECK(good, "a small SSD runs: %s", good ? "" : nn_error(context))) {
        const float *row = nn_data(plan, nn_find(graph, "out"));
        CHECK(row[1] == 1 && fabsf(row[2] - 0.5f) < 1e-6f && fabsf(row[3] + 3.25f) < 1e-6f &&
                  fabsf(row[6] - 4.25f) < 1e-6f,
              "a prior is found: %g %g %g .. %g", (double)row[1], (double)row[2], (double)row[3],
              (double)row[6]);
    }
    nn_plan_free(&plan);
    nn_graph_free(&graph);
}

static void test_networks(void)
{
    static const struct network networks[] = {
        {"an input alone", DATA, "data", {4, {0, 4, 5, 2}}},
        {"users before inputs",
         RELU("bn") BN(ATTR("epsilon", "f: 0.001")) DATA,
         "r",
         {4, {0, 4, 5, 2}}},
        {"a convolution with a bias",
         DATA CONV("c", "data", VALID) NODE("b", "BiasAdd", IN("c") IN("b113")),
         "b",
         {4, {0, 4, 5, 3}}},
        {"a bias of one number",
         DATA NODE("b", "Add", IN("low") IN("data")),
         "b",
         {4, {0, 4, 5, 2}}},
        {"a bias of two users' value",
         DATA CONV("c", "data", VALID) NODE("b", "BiasAdd", IN("c") IN("coded"))
             NODE("m", "Mul", IN("c:0") IN("b")),
         "m",
         {4, {0, 4, 5, 3}}},
        {"padding",
         DATA SPLIT("pads") CONV("c", "s", VALID) NODE("j", "BatchToSpaceND", IN("c")),
         "c",
         {4, {0, 6, 9, 3}}},
        {"Pad",
         DATA NODE("s", "Pad", IN("data") IN("pads4")) CONV("c", "s", VALID),
         "c",
         {4, {0, 4, 7, 3}}},
        {"no padding at all",
         DATA NODE("s", "SpaceToBatchND", IN("data") IN("blocks") IN("none")) RELU("s") NODE(
             "none", "Const",
             ATTR("value", "tensor { dtype: DT_INT32 tensor_shape { " DIM(4) "} int_val: 0 }")),
         "r",
         {4, {0, 4, 5, 2}}},
        {"a window",
         DATA POOL(LIST("ksize", 2, 2) LIST("strides", 2, 2) SAME),
         "p",
         {4, {0, 2, 3, 2}}},
        {"an l2 norm alone",
         DATA NODE("n", "L2Normalize", IN("data") IN("axis"))
             NODE("axis", "Const",
                  ATTR("value", "tensor { dtype: DT_INT64 "
                                "tensor_shape {} "
                                "int64_val: -1 }")),
         "n",
         {4, {0, 4, 5, 2}}},
        {"one input that bears another name",
         DATA NODE("i", "Identity", IN("data:0")),
         "data",
         {4, {0, 4, 5, 2}}},
        {"a size by priors",
         BARE CONV("c", "data", SAME) PRIOR("p", "c", VARIANCE ATTR("step", "f: 24")),
         "p",
         {3, {1, 2, 24 * 24 * 2 * 4}}},
        {"boxes joined",
         BARE CONV("c", "data", SAME) PRIOR("p", "c", VARIANCE ATTR("step", "f: 4"))
             PRIOR("q", "c", VARIANCE FLOATS("aspect_ratio", 2, "float_val: [2, 3]"))
                 NODE("pq", "ConcatV2", IN("p") IN("q") IN("one")),
         "pq",
         {3, {1, 2, 16 * 2 * 4 + 16 * 6 * 4}}},
        {"joined values",
         DATA NODE("x", "ConcatV2", IN("data") IN("data") IN("three")),
         "x",
         {4, {0, 4, 5, 4}}},
        {"values joined along the last axis",
         DATA NODE("x", "ConcatV2", IN("data") IN("data") IN("data") IN("axis"))
             NODE("axis", "Const", ATTR("value", "tensor { dtype: DT_INT32 int_val: -1 }")),
         "x",
         {4, {0, 4, 5, 6}}},
        {"a small SSD", SSD(DETECTION(CODE)), "out", {4, {0, 1, 5, 7}}},
        {"library and versions",
         DATA "library { }\nversions { producer: 26 }",
         "data",
         {4, {0, 4, 5, 2}}}};
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) check_network(&networks[i]);
}

static void test_refused(void)
{
    static const struct network networks[] = {
        {"an empty text", "", "1 to 10000 nodes, got 0", {0}},
        {"no text", "x", "line 1", {0}},
        {"no name",
         DATA NODE("", "Relu", IN("data")),
         "line 2: node '' (Relu): expected one name",
         {0}},
        {"no op", DATA "node { name: 'x' }", "expected one name and one op", {0}},
        {"an unknown op",
         DATA NODE("x", "Elu", IN("data")),
         "line 2: node 'x' (Elu): an op that is not known",
         {0}},
        {"an unknown attribute",
         DATA NODE("x", "Relu", IN("data") "\n" ATTR("slope", "f: 1")),
         "line 2: node 'x' (Relu): its attribute 'slope' (line 3) is not known to Relu",
         {0}},
        {"an unknown field",
         DATA NODE("x", "Relu", IN("data") "colour: 1"),
         "its field 'colour' (line 2) is not known",
         {0}},
        {"an attribute twice",
         DATA POOL(LIST("ksize", 2, 2) LIST("ksize", 3, 3) LIST("strides", 2, 2) SAME),
         "'ksize' (line 2) is not known",
         {0}},
        {"an unknown part of the file", DATA "colour: 1", "line 2: 'colour' is not known", {0}},
        {"functions", DATA "library { function { } }", "'function' is not known", {0}},
        {"a name twice", DATA RELU("data") RELU("data"), "another node has the same name", {0}},
        {"too few inputs", DATA NODE("x", "Add", IN("data")), "expected 2 to 2 inputs, got 1", {0}},
        {"an input of no file",
         DATA NODE("x", "BiasAdd", IN("data") IN("lost one")),
         "its input 'lost one' is in neither file: ",
         {0}},
        {"another output of an input",
         DATA NODE("x", "BiasAdd", IN("data") IN("b2:1")),
         "its input 'b2:1' is in neither file",
         {0}},
        {"a constant where a value should be",
         DATA NODE("x", "Mul", IN("b2") IN("b2")) RELU("data"),
         "which is the network's output?",
         {0}},
        {"a constant alone",
         DATA NODE("x", "Relu", IN("b2")) NODE("y", "Add", IN("x") IN("data")),
         "expected input 0 to be no constant",
         {0}},
        {"a value where a constant should be",
         DATA NODE("x", "Conv2D", IN("data") IN("data") LIST("strides", 1, 1) SAME),
         "expected input 1 to be a constant, 'data' is none",
         {0}},
        {"two inputs", DATA NODE("x", "Placeholder", ""), "a second input, beside 'data'", {0}},
        {"two outputs", DATA RELU("data") NODE("x", "Relu", IN("data")), "nor 'r': which", {0}},
        {"no input", RELU("r"), "Placeholder: no input", {0}},
        {"a circle",
         DATA NODE("x", "Add", IN("data") IN("y")) NODE("y", "Relu", IN("x")) RELU("y"),
         "a circle",
         {0}},
        {"nothing but a circle",
         DATA NODE("x", "Add", IN("data") IN("x")),
         "goes round in a circle",
         {0}},
        {"other types",
         DATA NODE("x", "Relu", IN("data") ATTR("T", "type: DT_HALF")),
         "'T' is not of the right kind",
         {0}},
        {"another layout",
         DATA NODE("x", "BiasAdd", IN("data") IN("b2") ATTR("data_format", "s: 'NCHW'")),
         "'data_format' is 'NCHW', not NHWC",
         {0}},
        {"no strides",
         DATA NODE("x", "Conv2D", IN("data") IN("k") SAME),
         "'strides' is missing",
         {0}},
        {"strides of images",
         DATA NODE("x", "Conv2D",
                   IN("data") IN("k") SAME ATTR("strides", "list { i: [2, 1, 1, 1] }")),
         "height and width alone",
         {0}},
        {"three strides",
         DATA NODE("x", "Conv2D", IN("data") IN("k") SAME ATTR("strides", "list { i: [1, 1, 1] }")),
         "'strides' is not of the right kind",
         {0}},
        {"other padding",
         DATA CONV("c", "data", ATTR("padding", "s: 'EXPLICIT'")),
         "'padding' is 'EXPLICIT', not SAME or VALID",
         {0}},
        {"explicit padding",
         DATA CONV("c", "data", SAME ATTR("explicit_paddings", "list { i: 1 }")),
         "'i' (line 2) is not known",
         {0}},
        {"a kernel of two dimensions",
         DATA NODE("x", "Conv2D", IN("data") IN("m") LIST("strides", 1, 1) SAME),
         "expected a kernel of 4 dimensions, got 2",
         {0}},
        {"a kernel for other channels",
         DATA RELU("data") CONV("c", "r", SAME) CONV("d", "c", SAME),
         "line 4: node 'd' (Conv2D): conv2d",
         {0}},
        {"a bias of another length",
         DATA CONV("c", "data", SAME) NODE("b", "BiasAdd", IN("c") IN("b2")),
         "expected its constant 'b2' to be float of shape (3)",
         {0}},
        {"a bias of integers",
         DATA NODE("b", "BiasAdd", IN("data") IN("blocks")),
         "'blocks' to be float",
         {0}},
        {"padding before a relu", DATA SPLIT("pads") RELU("s"), "padding is for convolutions", {0}},
        {"padding at the end", DATA SPLIT("pads"), "padding that no convolution takes", {0}},
        {"padding twice", DATA SPLIT("pads") CONV("c", "s", SAME), "expected padding VALID", {0}},
        {"joining what was not split",
         DATA CONV("c", "data", SAME) NODE("j", "BatchToSpaceND", IN("c")),
         "expected a SpaceToBatchND",
         {0}},
        {"other padding than 2 x 2",
         DATA SPLIT("blocks"),
         "expected input 2 to be 4 integers",
         {0}},
        {"training",
         DATA BN(ATTR("epsilon", "f: 1e-3") ATTR("is_training", "b: true")),
         "is_training false",
         {0}},
        {"no epsilon", DATA BN(""), "'epsilon' is missing", {0}},
        {"epsilon as text", DATA BN(ATTR("epsilon", "s: '1'")), "has no value 'f'", {0}},
        {"softmax along the first axis",
         DATA NODE("x", "Softmax", IN("data") ATTR("axis", "i: 1")),
         "expected the last axis, got 1",
         {0}},
        {"a window of images",
         DATA POOL(ATTR("ksize", "list { i: [2, 2, 2, 1] }") LIST("strides", 2, 2) SAME),
         "height and width alone",
         {0}},
        {"a shape without images",
         DATA NODE("x", "Reshape", IN("data") IN("blocks")),
         "leaves the images",
         {0}},
        {"four million weights from one number",
         NODE("data", "Placeholder", ATTR("shape", "shape { " DIM(-1) DIM(2000) "}"))
             NODE("w", "Const",
                  ATTR("value", "tensor { dtype: DT_FLOAT tensor_shape { " DIM(2000)
                                    DIM(2000) "} float_val: 0.5 }"))
                 NODE("x", "MatMul", IN("data") IN("w")),
         "far more memory than its files have bytes",
         {0}},
        {"pictures of no size", BARE RELU("data"), "do not tell the size of its pictures", {0}},
        {"a shape of five",
         NODE("data", "Placeholder",
              ATTR("shape", "shape { " DIM(1) DIM(1) DIM(1) DIM(1) DIM(1) "}")),
         "at most 4 dimensions",
         {0}},
        {"boxes in another code",
         SSD(DETECTION(ATTR("code_type", "s: 'CORNER'"))),
         "'code_type' is 'CORNER', not CENTER_SIZE",
         {0}},
        {"boxes in no code", SSD(DETECTION("")), "'code_type' is missing", {0}},
        {"boxes in pixels",
         SSD(DETECTION(CODE ATTR("normalized_bbox", "b: false"))),
         "expected boxes as shares",
         {0}},
        {"a threshold for a class", SSD(DETECTION(CODE ATTR("eta", "f: 0.5"))), "'eta'", {0}},
        {"priors without variance",
         BARE CONV("c", "data", SAME) PRIOR("p", "c", ATTR("step", "f: 24")),
         "expected 1 or 4 variances, got 0",
         {0}},
        {"priors with pictures",
         BARE CONV("c", "data", SAME) PRIOR("p", "c", VARIANCE ATTR("step", "f: 24"))
             NODE("x", "ConcatV2", IN("p") IN("data") IN("one")),
         "prior boxes are joined with each other",
         {0}}};
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) check_network(&networks[i]);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static struct nn_tf_file files[2]; /* the text and the binary one */

/* Reads a copy of one file, cut or changed, with the other as it is. */
static bool survives(int which, const char *bytes, size_t size)
{
    struct nn_graph *graph;
    struct nn_tf_file pair[2] = {files[0], files[1]};
    pair[which].size = size;
    pair[which].bytes = malloc(size + !size);
    memcpy(pair[which].bytes, bytes, size);
    bool good = nn_tf_import(&graph, context, &pair[0], &pair[1]) == NN_OK;
    nn_graph_free(&graph);
    free(pair[which].bytes);
    return good;
}

static void test_damage(int which)
{
    struct nn_rng rng = nn_rng_make(3, 0);
    size_t size = files[which].size;
    int prefixes = 0, accepted = 0, refused = 0;
    char *copy = malloc(size);
    for (size_t end = 0; end < size; end++) prefixes += survives(which, files[which].bytes, end);
    for (int round = 0; round < 3000; round++) {
        memcpy(copy, files[which].bytes, size);
        for (uint32_t i = nn_rng_below(&rng, 3) + 1; i > 0; i--)
            copy[nn_rng_below(&rng, (uint32_t)size)] = (char)nn_rng_below(&rng, 256);
        survives(which, copy, size) ? accepted++ : refused++;
    }
    free(copy);
    CHECK(which == 0 ? prefixes < 40 : prefixes == 0, "%s, cut off: %d parts are networks",
          files[which].name, prefixes);
    CHECK(accepted > 20 && refused > 20, "%s, 3,000 times changed: %d accepted, %d refused",
          files[which].name, accepted, refused);
}

static enum nn_status read_pair(struct nn_context *own, void *argument)
{
    struct nn_graph *graph;
    (void)argument;
    enum nn_status status = nn_import_tensorflow(&graph, own, files[0].name, files[1].name);
    nn_graph_free(&graph);
    return status;
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    test_networks();
    test_ssd();
    test_refused();
    files[0].name = "tests/golden/tensorflow/padded.pbtxt";
    files[1].name = "tests/golden/tensorflow/padded.pb";
    for (int i = 0; i < 2; i++)
        if (nn_file_read(context, files[i].name, 1 << 20, &files[i].bytes, &files[i].size)) abort();
    for (int i = 0; i < 2; i++) test_damage(i);
    int failures = failing_each(read_pair, NULL);
    CHECK(failures > 10, "each of %d failed allocations is told, none leaks", failures);
    for (int i = 0; i < 2; i++) nn_free(context, files[i].bytes);
    CHECK(nn_bytes_allocated(context) == before, "nothing is left");
    nn_close(&context);
    return test_done();
}
