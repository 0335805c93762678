/* test_caffe_errors.c — Caffe networks that are broken, of another kind, or hostile: each an error
 * that says what and where, and never more. */
#include "tests/test.h"
#include "tests/caffe_files.h"

static struct nn_context *context;

#define INPUT "input: 'data' input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n"
#define LAYER(name, type, rest)                                                                    \
    "layer { name: '" name "' type: '" type "' bottom: 'data' top: '" name "' " rest " }\n"
#define CONV(rest) LAYER("c", "Convolution", "convolution_param { " rest " }")
#define POOL(rest) LAYER("p", "Pooling", "pooling_param { " rest " }")

static const struct {
    const char *text, *expected; /* words separated by '|' */
} BROKEN[] = {
    /* networks */
    {"", "no layers"},
    {"name: 'x'", "no layers"},
    {INPUT, "no layers"},
    {INPUT "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'r'", "line 2"},
    {INPUT "foo: 1\n" LAYER("r", "ReLU", ""), "line 2|unknown parameter 'foo'"},
    {INPUT LAYER("r", "ReLU", "") "layers { }", "line 3|unknown parameter 'layers'"},
    {"input: 'a' input: 'b'\n" LAYER("r", "ReLU", ""), "line 1|more than one input"},
    {"input: 'data'\n" LAYER("r", "ReLU", ""), "shape is missing"},
    {"input: 'data' input_dim: 1 input_dim: 3 input_dim: 0 input_dim: 8\n" LAYER("r", "ReLU", ""),
     "input_dim|from 1 to|got '0'"},
    {"input: 'data' input_shape { dim: 1 dim: 2 dim: 3 dim: 4 dim: 5 }\n" LAYER("r", "ReLU", ""),
     "more than 4 axes"},
    {"input: 'data' input_shape { dim: 1 dim: 3 dim: 9999999999 dim: 1 }\n" LAYER("r", "ReLU", ""),
     "got '9999999999'"},
    {"input: 'data' input_shape { dim: 1 dim: 3 dim: 99999 dim: 99999 }\n" LAYER("r", "ReLU", ""),
     "under 2^31"},
    {"input: '' input_shape { dim: 1 dim: 3 }\n" LAYER("r", "ReLU", ""), "a name in quotes"},
    {"layer { name: 'd' type: 'Input' top: 'd' top: 'e' input_param { shape { dim: 1 dim: 1 } } }",
     "with 2 tops"},
    {"layer { name: 'd' type: 'Input' top: 'd' input_param { shape { dim: 1 dim: 1 } } }",
     "no layer computes"},
    {"layer { name: 'd' type: 'Input' top: 'd' input_param { shape { dim: 1 dim: 1 } x: 2 } }",
     "layer 'd' ('Input')|unknown parameter 'x'"},
    /* layers */
    {INPUT "layer { name: 'r' bottom: 'data' top: 'r' }", "line 2|without a type"},
    {INPUT "layer { type: 'ReLU' bottom: 'data' top: 'r' }", "line 2|without a name"},
    {INPUT "layer { name: '' type: 'ReLU' bottom: 'data' top: 'r' }", "a name in quotes"},
    {INPUT LAYER("r", "LRN", ""), "line 2|layer 'r' ('LRN')|not supported"},
    {INPUT LAYER("r", "Data", ""), "layer 'r' ('Data')|not supported"},
    {INPUT "\n\n" LAYER("r", "Python", ""), "line 4|('Python')|not supported"},
    {INPUT "layer { name: 'r' type: RELU bottom: 'data' top: 'r' }", "('RELU')|not supported"},
    {INPUT "layers { name: 'r' type: 'ReLU' bottom: 'data' top: 'r' }", "('ReLU')|not supported"},
    {INPUT LAYER("r", "ReLU", "foo: 1"), "layer 'r' ('ReLU')|unknown parameter 'foo'"},
    {INPUT LAYER("r", "ReLU", "\nrelu_param { negative_slope: 0\n engine: CAFFE\n foo: 1 }"),
     "line 5|layer 'r' ('ReLU')|unknown parameter 'foo'"},
    {INPUT LAYER("r", "ReLU", "sigmoid_param { }"), "unknown parameter 'sigmoid_param'"},
    {INPUT LAYER("r", "ReLU", "param { lr_mult: 1 foo: 2 }"), "unknown parameter 'foo'"},
    {INPUT LAYER("r", "ReLU", "include { phase: TEST } exclude { phase: TRAIN }"), "not both"},
    {INPUT LAYER("r", "ReLU", "include { phase: test }"), "expected a rule"},
    {INPUT LAYER("r", "ReLU", "include { phase: TEST foo: 1 }"), "unknown parameter 'foo'"},
    {INPUT LAYER("r", "ReLU", "include { phase: TRAIN }"), "no layer computes"},
    {INPUT "layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'r' }",
     "line 2|layer 'r' ('ReLU')|bottom 'x'|no layer before"},
    {INPUT "layer { name: 'r' type: 'ReLU' top: 'r' }", "expected 1 to 1 bottoms, got 0"},
    {INPUT "layer { name: 'r' type: 'ReLU' bottom: 'data' }", "no top"},
    {INPUT "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'a' top: 'b' }",
     "more than one top"},
    {INPUT LAYER("r", "ReLU", "") "layer { name: 'q' type: 'ReLU' bottom: 'data' top: 'r' }",
     "line 3|layer 'q'|top 'r'|earlier layer"},
    {INPUT LAYER("r", "ReLU", "") "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'q' }",
     "line 3|layer 'r'|two nodes are called 'r'"},
    {INPUT "layer { name: 'r\\ts' type: 'ReLU' bottom: 'x\\n' top: 'r' }", "'r\\x09s'|'x\\x0A'"},
    /* convolutions */
    {INPUT LAYER("c", "Convolution", ""), "layer 'c' ('Convolution')|'num_output' is missing"},
    {INPUT CONV("num_output: 4"), "'kernel_size' is missing"},
    {INPUT CONV("num_output: 4 num_output: 5 kernel_size: 1"), "'num_output' is given twice"},
    {INPUT CONV("num_output: x kernel_size: 1"), "'num_output': expected an integer|'x'"},
    {INPUT CONV("num_output: 0 kernel_size: 1"), "'num_output': expected an integer|'0'"},
    {INPUT CONV("num_output: 4 kernel_size: 0"), "'kernel_size' is too small"},
    {INPUT CONV("num_output: 4 kernel_size: 1 kernel_h: 1 kernel_w: 1"), "not both"},
    {INPUT CONV("num_output: 4 kernel_h: 1"), "'kernel_w' is missing"},
    {INPUT CONV("num_output: 4 kernel_size: [1, 1, 1]"), "more than 2 times"},
    {INPUT CONV("num_output: 4 kernel_size: 1 stride: 0"), "'stride' is too small"},
    {INPUT CONV("num_output: 4 kernel_size: 9"), "layer 'c'|conv2d"},
    {INPUT CONV("num_output: 4 kernel_size: 1 pad: -1"), "'pad'|'-1'"},
    {INPUT CONV("num_output: 4 kernel_size: 1 group: 2"), "2 groups do not divide 3 channels"},
    {INPUT CONV("num_output: 4 kernel_size: 1 axis: 2"), "only axis 1"},
    {INPUT CONV("num_output: 4 kernel_size: 1 axis: 4"), "'axis' is 4"},
    {INPUT CONV("num_output: 4 kernel_size: 1 bias_term: 3"),
     "'bias_term': expected true or false"},
    {INPUT CONV("num_output: 4 kernel_size: 1 weight_filler { type: 'a' foo: 1 }"),
     "unknown parameter 'foo'"},
    {INPUT CONV("num_output: 16000000 kernel_size: 1000 pad: 500"), "layer 'c'|more than 1024 MB"},
    {INPUT CONV("num_output: 100000 kernel_size: 30 pad: 15"), "more than 1024 MB of parameters"},
    {"input: 'data' input_shape { dim: 1 dim: 3 }" CONV("num_output: 4 kernel_size: 1"),
     "expected an input of 4 axes"},
    {INPUT LAYER("c", "Deconvolution", "convolution_param { num_output: 4 kernel_size: 1 pad: 9 }"),
     "layer 'c' ('Deconvolution')"},
    /* pooling, inner products */
    {INPUT POOL(""), "'kernel_size' is missing"},
    {INPUT POOL("kernel_size: 2 pool: STOCHASTIC"), "'pool': expected one of MAX AVE|'STOCHASTIC'"},
    {INPUT POOL("kernel_size: 2 pad: 2"), "layer 'p'|padding"},
    {INPUT POOL("kernel_size: 20"), "do not fit onto 8 x 8"},
    {INPUT POOL("kernel_size: 2 stride: 8 kernel_h: 2"), "not both"},
    {INPUT POOL("kernel_size: 3 stride: 8"), "do not fit onto 8 x 8"},
    {"input: 'data' input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }" POOL("kernel_size: 3 stride: 4"),
     "OK"},
    {"input: 'data' input_shape { dim: 1 dim: 3 dim: 5 dim: 5 }" POOL("kernel_size: 3 stride: 5"),
     "do not fit onto 5 x 5"},
    {INPUT POOL("global_pooling: true stride: 2"), "no padding and stride 1"},
    {INPUT POOL("global_pooling: true kernel_size: 2"), "goes with no kernel"},
    {INPUT LAYER("i", "InnerProduct", ""), "'num_output' is missing"},
    {INPUT LAYER("i", "InnerProduct", "inner_product_param { num_output: 4 axis: 2 }"),
     "only axis 1"},
    /* channels */
    {INPUT LAYER("b", "BatchNorm", "batch_norm_param { use_global_stats: false }"),
     "use_global_stats: false"},
    {INPUT LAYER("b", "BatchNorm", "batch_norm_param { eps: -1 }"), "layer 'b'|epsilon"},
    {INPUT LAYER("b", "BatchNorm", "batch_norm_param { eps: nan }"), "finite number|'nan'"},
    {INPUT LAYER("b", "BatchNorm", "batch_norm_param { scale_bias: true }"),
     "unknown parameter 'scale_bias'"},
    {INPUT LAYER("s", "Scale", "bottom: 'data'"), "second bottom"},
    {INPUT LAYER("s", "Scale", "scale_param { axis: 2 }"), "only axis 1"},
    {INPUT LAYER("s", "Scale", "scale_param { num_axes: 2 }"), "only axis 1 and num_axes 1"},
    {INPUT LAYER("d", "Dropout", "dropout_param { dropout_ratio: 1 }"), "layer 'd'|rate"},
    {INPUT LAYER("d", "Dropout", "dropout_param { scale_train: false }"), "scale_train: false"},
    {INPUT LAYER("s", "Softmax", "softmax_param { axis: 0 }"), "axis 0 after the images"},
    {INPUT LAYER("s", "Softmax", "softmax_param { axis: -5 }"), "'axis' is -5"},
    {INPUT LAYER("e", "Eltwise", ""), "expected 2 to 512 bottoms, got 1"},
    {INPUT LAYER("e", "Eltwise", "bottom: 'data' eltwise_param { coeff: 1 }"),
     "1 coefficients for 2 bottoms"},
    {INPUT LAYER("e", "Eltwise",
                 "bottom: 'data' eltwise_param { operation: MAX coeff: 1 coeff: 1 }"),
     "only SUM takes them"},
    {INPUT POOL("kernel_size: 2") "layer { name: 'e' type: 'Eltwise' bottom: 'data' bottom: 'p' "
                                  "top: 'e' }",
     "line 3|layer 'e'|different shapes"},
    {INPUT LAYER("n", "Normalize", "norm_param { eps: 0 }"), "layer 'n'|epsilon"},
    /* shapes */
    {INPUT LAYER("c", "Concat", "concat_param { axis: 0 }"), "axis 0, the images"},
    {INPUT LAYER("c", "Concat", "concat_param { axis: 1 concat_dim: 1 }"), "not both"},
    {INPUT POOL("kernel_size: 2") "layer { name: 'c' type: 'Concat' bottom: 'data' bottom: 'p' "
                                  "top: 'c' }",
     "layer 'c'|differ in axis"},
    {INPUT LAYER("f", "Flatten", "") "layer { name: 'c' type: 'Concat' bottom: 'data' bottom: 'f' "
                                     "top: 'c' }",
     "4 and 2 axes"},
    {INPUT LAYER("p", "Permute", "permute_param { order: 1 order: 0 }"), "must stay first"},
    {INPUT LAYER("p", "Permute", "permute_param { order: 0 order: 0 }"), "axis 0 comes twice"},
    {INPUT LAYER("p", "Permute", "permute_param { order: [0, 1, 2, 3, 3] }"), "more than 4 times"},
    {INPUT LAYER("p", "Permute", "permute_param { order: 4 }"), "'order'|from 0 to 3"},
    {INPUT LAYER("f", "Flatten", "flatten_param { axis: 0 }"), "images, axis 0"},
    {INPUT LAYER("f", "Flatten", "flatten_param { axis: 3 end_axis: 2 }"), "is before"},
    {INPUT LAYER("r", "Reshape", ""), "'shape' is missing"},
    {INPUT LAYER("r", "Reshape", "reshape_param { shape { dim: 0 dim: 5 } }"), "do not fit"},
    {INPUT LAYER("r", "Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: -1 } }"),
     "do not fit"},
    {INPUT LAYER("r", "Reshape", "reshape_param { shape { dim: 0 dim: 7 dim: -1 } }"),
     "do not fit"},
    {INPUT LAYER("r", "Reshape", "reshape_param { shape { dim: 2 dim: -1 } }"), "images, axis 0"},
    {INPUT LAYER("r", "Reshape", "reshape_param { shape { dim: -1 } }"), "images, axis 0"},
    {INPUT LAYER("r", "Reshape", "reshape_param { shape { } }"), "expected 1 to 4 axes, got 0"},
    {INPUT LAYER("r", "Reshape", "reshape_param { shape { dim: 1 dim: 1 } axis: 1 num_axes: 1 }"),
     "expected 1 to 4 axes, got 5"},
    {INPUT LAYER("r", "Reshape", "reshape_param { shape { dim: 1 } axis: 3 num_axes: 2 }"),
     "axes 3 to 4"},
    {INPUT LAYER("r", "Reshape",
                 "reshape_param { shape { dim: 1 dim: 1 dim: 1 dim: 1 dim: 192 } }"),
     "more than 4 axes"},
    {INPUT LAYER("c", "Crop", ""), "expected 2 to 2 bottoms"},
    {INPUT LAYER("c", "Crop", "bottom: 'data' crop_param { offset: [1, 2, 3] }"),
     "3 offsets for 2 axes"},
    {INPUT LAYER("c", "Crop", "bottom: 'data' crop_param { offset: 1 }"), "layer 'c'|crop"},
    {INPUT LAYER("c", "Crop", "bottom: 'data' crop_param { axis: 0 offset: 1 }"),
     "cannot be cropped"},
    /* detection */
    {INPUT LAYER("p", "PriorBox", "bottom: 'data'"), "'min_size' is missing"},
    {INPUT LAYER("p", "PriorBox", "bottom: 'data' prior_box_param { min_size: 1 img_size: 9 }"),
     "9 x 9 that is not its second bottom's"},
    {INPUT LAYER("p", "PriorBox",
                 "bottom: 'data' prior_box_param { min_size: 1 variance: [1, 1] }"),
     "1 or 4 variances"},
    {INPUT LAYER("p", "PriorBox", "bottom: 'data' prior_box_param { min_size: 1 step_h: 1 }"),
     "both 'step_h' and 'step_w'"},
    {INPUT LAYER("p", "PriorBox", "bottom: 'data' prior_box_param { min_size: 1 aspect_ratio: 0 }"),
     "all above 0"},
    {INPUT LAYER("p", "PriorBox", "bottom: 'data' prior_box_param { min_size: -1 }"),
     "layer 'p'|prior_box"},
    {INPUT LAYER("p", "PriorBox",
                 "bottom: 'data' prior_box_param { min_size: 3 max_size: [4, 5] }"),
     "layer 'p'|prior_box"},
    {INPUT LAYER("d", "DetectionOutput", ""), "expected 3 to 3 bottoms"},
    {INPUT LAYER("d", "DetectionOutput", "bottom: 'data' bottom: 'data'"),
     "'num_classes' is missing"},
    {INPUT LAYER("d", "DetectionOutput",
                 "bottom: 'data' bottom: 'data' detection_output_param { num_classes: 2 }"),
     "only code_type: CENTER_SIZE"},
    {INPUT LAYER("d", "DetectionOutput",
                 "bottom: 'data' bottom: 'data' detection_output_param { num_classes: 2 code_type: "
                 "CENTER_SIZE save_output_param { output_directory: 'x' } }"),
     "saving results"},
    {INPUT LAYER("d", "DetectionOutput",
                 "bottom: 'data' bottom: 'data' detection_output_param { num_classes: 2 code_type: "
                 "CENTER_SIZE }"),
     "layer 'd'|detection_output|priors"},
};

static bool says(const char *words)
{
    char word[128];
    const char *error = nn_error(context);
    for (const char *at = words; *at;) {
        size_t size = strcspn(at, "|");
        snprintf(word, sizeof word, "%.*s", (int)size, at);
        if (!strstr(error, word)) {
            printf("# got: %s\n", error);
            return false;
        }
        at += size + (at[size] == '|');
    }
    return true;
}

static enum nn_status import(const char *weights)
{
    struct nn_graph *graph = NULL;
    enum nn_status status = nn_import_caffe(&graph, context, caffe_text_path(), weights);
    if ((status == NN_OK) != (graph != NULL)) CHECK(false, "a graph, or an error");
    nn_graph_free(&graph);
    return status;
}

static void check_broken(void)
{
    for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++) {
        caffe_write_text(BROKEN[i].text, "");
        enum nn_status status = import(NULL);
        if (strcmp(BROKEN[i].expected, "OK") == 0)
            CHECK(status == NN_OK, "network %zu is fine", i);
        else
            CHECK(status != NN_OK && says(BROKEN[i].expected), "broken %zu: %s", i,
                  BROKEN[i].expected);
    }
}

/* ---- weights --------------------------------------------------------------------------------- */

static void check_weights(void)
{
    static const char *const small = CAFFE_FILES "/double.caffemodel";
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"convolution_param { num_output: 3 kernel_size: 3 }", "OK"},
        {"convolution_param { num_output: 3 kernel_size: 2 }",
         "layer 'conv' ('Convolution')|kernel of shape (3, 2, 2, 2)|has (3, 2, 3, 3)"},
        {"convolution_param { num_output: 2 kernel_size: 3 }", "(2, 2, 3, 3)|has (3, 2, 3, 3)"},
        {"convolution_param { num_output: 30000000 kernel_size: 3 }", "expected an integer"},
        {"convolution_param { num_output: 3 kernel_size: 3 bias_term: false }",
         "expected 1 blobs|double.caffemodel' has 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'c' %s }",
                 cases[i].text);
        caffe_write_text("input: 'data' input_shape { dim: 1 dim: 2 dim: 4 dim: 4 }\n", text);
        enum nn_status status = import(small);
        bool good = strcmp(cases[i].expected, "OK") == 0;
        CHECK(good ? status == NN_OK : status != NN_OK && says(cases[i].expected),
              "weights %zu: %s", i, cases[i].expected);
    }
    struct nn_graph *graph = NULL;
    CHECK(nn_import_caffe(&graph, context, CAFFE_FILES "/ssd.prototxt", small) == NN_ERROR_FORMAT &&
              says("ssd.prototxt'|double.caffemodel' has no weights for 6 of its layers|'body', "
                   "'small', 'body_loc', 'body_conf' ...|of this network"),
          "weights of another network: %s", nn_error(context));
    CHECK(nn_import_caffe(&graph, context, CAFFE_FILES "/ssd.prototxt", "missing") == NN_ERROR_IO &&
              says("'missing'"),
          "no such weights");
    CHECK(nn_import_caffe(&graph, context, "missing", NULL) == NN_ERROR_IO && says("'missing'"),
          "no such network");
    CHECK(nn_import_caffe(&graph, context, small, NULL) == NN_ERROR_FORMAT, "weights as network");
    CHECK(nn_import_caffe(&graph, context, CAFFE_FILES "/ssd.prototxt",
                          CAFFE_FILES "/ssd.prototxt") == NN_ERROR_FORMAT,
          "network as weights");
}

/* A declared giant with weights that do not fit takes no memory. */
static void check_memory(void)
{
    size_t before = nn_bytes_peak(context);
    caffe_write_text("input: 'data' input_shape { dim: 1 dim: 2 dim: 4 dim: 4 }\n",
                     "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'c' "
                     "convolution_param { num_output: 1000000 kernel_size: 10 pad: 5 } }");
    CHECK(import(CAFFE_FILES "/double.caffemodel") == NN_ERROR_SHAPE &&
              says("(1000000, 2, 10, 10)"),
          "a giant of other weights");
    CHECK(nn_bytes_peak(context) - before < 1 << 20, "takes %zu bytes",
          nn_bytes_peak(context) - before);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
    return *state = *state * 1664525u + 1013904223u;
}

static void check_prefixes(const char *name)
{
    char path[128];
    size_t text_size, size;
    int fine = 0;
    snprintf(path, sizeof path, CAFFE_FILES "/%s.prototxt", name);
    char *text = caffe_read(path, &text_size);
    snprintf(path, sizeof path, CAFFE_FILES "/%s.caffemodel", name);
    char *weights = caffe_read(path, &size);
    if (!CHECK(text && weights, "%s is readable", name)) return;
    for (size_t i = 0; i < text_size; i++) {
        caffe_write(caffe_text_path(), text, i);
        fine += import(path) == NN_OK;
    }
    CHECK(fine > 1 && fine * 20 < (int)text_size,
          "%s: %zu prefixes of the text, %d of them whole networks", name, text_size, fine);
    caffe_write(caffe_text_path(), text, text_size);
    fine = 0;
    for (size_t i = 0; i < size; i += 1 + size / 3000) {
        caffe_write(caffe_weights_path(), weights, i);
        fine += import(caffe_weights_path()) == NN_OK;
    }
    CHECK(fine <= 1, "%s: prefixes of %zu bytes of weights", name, size);
    free(text);
    free(weights);
}

static void check_mutations(const char *name, int rounds)
{
    char path[128];
    size_t text_size, size;
    uint32_t state = 7;
    int fine = 0;
    snprintf(path, sizeof path, CAFFE_FILES "/%s.prototxt", name);
    char *text = caffe_read(path, &text_size);
    snprintf(path, sizeof path, CAFFE_FILES "/%s.caffemodel", name);
    char *weights = caffe_read(path, &size);
    CHECK(text && weights, "%s is readable", name);
    for (int i = 0; text_size && size && i < rounds; i++) {
        char *bytes = i % 2 ? text : weights;
        size_t count = i % 2 ? text_size : size;
        size_t place = next_random(&state) % count;
        char old = bytes[place];
        bytes[place] = (char)(next_random(&state) >> 24);
        caffe_write(caffe_text_path(), text, text_size);
        caffe_write(caffe_weights_path(), weights, size);
        fine += import(caffe_weights_path()) == NN_OK;
        bytes[place] = old;
    }
    CHECK(fine > 0 && fine < rounds, "%s: %d of %d networks with a changed byte can be read", name,
          fine, rounds);
    free(text);
    free(weights);
}

/* ---- many layers, no memory ------------------------------------------------------------------ */

static void check_many(void)
{
    enum { LAYERS = 10001 };
    FILE *file = fopen(caffe_text_path(), "w");
    if (!CHECK(file != NULL, "a file to write")) return;
    fputs(INPUT, file);
    for (int i = 0; i < LAYERS; i++)
        fprintf(file, "layer { name: 'r%d' type: 'ReLU' bottom: 'data' top: 'data' }\n", i);
    fclose(file);
    CHECK(import(NULL) == NN_ERROR_UNSUPPORTED && says("10001 layers|at most 10000"),
          "too many layers");
}

static struct nn_allocator below;
static long left;

static void *allocate(void *user, size_t bytes)
{
    (void)user;
    return left-- > 0 ? below.allocate(below.user, bytes) : NULL;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)user;
    below.release(below.user, memory, bytes);
}

static void *plain_allocate(void *user, size_t bytes)
{
    void *memory = NULL;
    (void)user;
    return posix_memalign(&memory, 64, bytes) == 0 ? memory : NULL;
}

static void plain_release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

static void check_allocations(void)
{
    struct nn_context *starved = NULL;
    struct nn_allocator allocator = {allocate, release, NULL};
    below = (struct nn_allocator){plain_allocate, plain_release, NULL};
    left = 1 << 20;
    if (!CHECK(nn_open(&starved, &(struct nn_options){.threads = 1, .allocator = &allocator}) ==
                   NN_OK,
               "a context of little memory"))
        return;
    size_t held = nn_bytes_allocated(starved);
    int failed = 0;
    bool good = true;
    for (int i = 0; good; i++) {
        struct nn_graph *graph = NULL;
        left = i;
        enum nn_status status = nn_import_caffe(&graph, starved, CAFFE_FILES "/ssd.prototxt",
                                                CAFFE_FILES "/ssd.caffemodel");
        left = 1 << 20;
        nn_graph_free(&graph);
        if (status == NN_OK) break;
        failed++;
        good = status == NN_ERROR_MEMORY && *nn_error(starved) &&
               nn_bytes_allocated(starved) == held && i < 10000;
    }
    CHECK(good && failed > 10, "each of %d allocations may fail (%s)", failed, nn_error(starved));
    nn_close(&starved);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    check_broken();
    check_weights();
    check_memory();
    check_prefixes("old");
    check_prefixes("ssd");
    check_mutations("ssd", 2000);
    check_mutations("norms", 2000);
    check_many();
    check_allocations();
    caffe_remove_files();
    nn_close(&context);
    return test_done();
}
