/*
 * test_tensorflow.c — networks of TensorFlow: TensorFlow's numbers for small ones, OpenCV's for the
 * face detector, and what is refused.
 */
#include "nn/format/tensorflow.h"
#include "tests/test.h"
#include "tests/wire.h"

#include <stdarg.h>
#include <unistd.h>

static struct nn_context *context;
static char text_path[300], wire_path[300];

/* ---- files ------------------------------------------------------------------------------------
 */

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) abort();
}

static enum nn_status import(struct nn_graph **graph, const char *text, const struct wire *wire)
{
    write_file(text_path, text, strlen(text));
    write_file(wire_path, wire->bytes, wire->size);
    return nn_import_tensorflow(graph, context, text_path, wire_path);
}

/* ---- running ----------------------------------------------------------------------------------
 */

struct run {
    struct nn_graph *graph;
    struct nn_plan *plan;
    float *x, *y;
    struct nn_shape in, out;
    const char *name;
};

static bool open_run(struct run *run, const char *pbtxt, const char *pb, int images)
{
    *run = (struct run){0};
    bool good =
        nn_import_tensorflow(&run->graph, context, pbtxt, pb) == NN_OK &&
        nn_compile(&run->plan, run->graph, &(struct nn_plan_options){.batch = images}) == NN_OK;
    if (!CHECK(good, "%s is read: %s", pbtxt, good ? "" : nn_error(context))) return false;
    struct nn_node *in = NULL, *out = nn_node_at(run->graph, nn_node_count(run->graph) - 1);
    for (int i = 0; i < nn_node_count(run->graph) && !in; i++)
        if (!strcmp(nn_node_op(nn_node_at(run->graph, i)), "input")) in = nn_node_at(run->graph, i);
    run->in = nn_node_shape(in);
    run->out = nn_node_shape(out);
    run->name = nn_node_name(out);
    run->x = nn_data(run->plan, in);
    run->y = nn_data(run->plan, out);
    return true;
}

static void close_run(struct run *run)
{
    nn_plan_free(&run->plan);
    nn_graph_free(&run->graph);
}

/* A network of tests/golden/tensorflow and TensorFlow's answer. */
static void test_golden(const char *name)
{
    char pbtxt[100], pb[100], txt[100], line[200] = "";
    struct run run;
    double largest = 0;
    snprintf(pbtxt, sizeof pbtxt, "tests/golden/tensorflow/%s.pbtxt", name);
    snprintf(pb, sizeof pb, "tests/golden/tensorflow/%s.pb", name);
    snprintf(txt, sizeof txt, "tests/golden/tensorflow/%s.txt", name);
    if (!open_run(&run, pbtxt, pb, 2)) {
        close_run(&run);
        return;
    }
    for (int i = 0; i < 2 * (int)nn_shape_count(run.in); i++)
        run.x[i] = (float)(i * 37 % 64 - 32) / 16;
    CHECK(nn_forward(run.plan, 2) == NN_OK, "it runs");
    FILE *file = fopen(txt, "r");
    size_t count = 2 * nn_shape_count(run.out), got = 0;
    if (!file || !fgets(line, sizeof line, file)) abort();
    while (fgets(line, sizeof line, file) && got < count)
        largest = fmax(largest, fabs(strtod(line, NULL) - (double)run.y[got++]));
    CHECK(got == count && feof(file) && largest < 2e-6, "%s: %zu values as TensorFlow's to %g",
          name, got, largest);
    CHECK(!strcmp(run.name, *name == 'p' ? "c" : "softmax"), "the last node is '%s'", run.name);
    fclose(file);
    close_run(&run);
}

/* ---- the face detector -------------------------------------------------------------------------
 */

/* A binary .ppm of 300x300 as the network wants it: BGR, less the mean. */
static bool load_picture(float *x, const char *name)
{
    static const float mean[] = {104, 177, 123};
    static uint8_t pixels[300 * 300 * 3];
    char path[400];
    int width = 0, height = 0;
    snprintf(path, sizeof path, "%s/golden/ssd/%s", test_shared(), name);
    FILE *file = fopen(path, "rb");
    bool good = file && fscanf(file, "P6 %d %d 255", &width, &height) == 2 && width == 300 &&
                height == 300 && fgetc(file) != EOF &&
                fread(pixels, 1, sizeof pixels, file) == sizeof pixels;
    if (file) fclose(file);
    for (int i = 0; i < 300 * 300 && good; i++)
        for (int c = 0; c < 3; c++) x[3 * i + c] = (float)pixels[3 * i + 2 - c] - mean[c];
    return good;
}

/* Compares a row of OpenCV's with ours; boxes may change places where confidences are the same. */
static double row_difference(const float *ours, const char *line)
{
    double largest = 0, value;
    for (int i = 2; i < 7; i++) {
        char *end;
        value = strtod(line, &end);
        largest = fmax(largest, fabs(value - (double)ours[i]));
        line = end;
    }
    return largest;
}

static int count_above(const float *rows, float least)
{
    int count = 0;
    for (; count < 200 && rows[7 * count + 1] > 0 && rows[7 * count + 2] > least; count++) continue;
    return count;
}

static void test_detector(void)
{
    char pbtxt[300], pb[300], line[200], name[200] = "";
    struct run run;
    int row = 0, pictures = 0, same_counts = 0, rows = 0;
    double largest = 0;
    if (!test_shared()) {
        test_skip("the 8-bit face detector", "no shared folder");
        return;
    }
    snprintf(pbtxt, sizeof pbtxt, "%s/data/detector/opencv_face_detector.pbtxt", test_shared());
    snprintf(pb, sizeof pb, "%s/data/detector/opencv_face_detector_uint8.pb", test_shared());
    FILE *file = fopen("tests/golden/tensorflow.txt", "r");
    if (!file) abort();
    if (open_run(&run, pbtxt, pb, 1)) {
        CHECK(nn_shape_equal(run.in, nn_shape4(NN_BATCH, 300, 300, 3)) &&
                  nn_shape_equal(run.out, nn_shape4(NN_BATCH, 1, 200, 7)),
              "300x300 pixels in, 200 boxes out");
        while (fgets(line, sizeof line, file)) {
            if (line[0] == '#') continue;
            if (strstr(line, ".ppm")) {
                same_counts += pictures && count_above(run.y, 0.1f) == row;
                snprintf(name, sizeof name, "%.*s", (int)strcspn(line, "\n"), line);
                if (!load_picture(run.x, name) || nn_forward(run.plan, 1)) break;
                pictures++;
                row = 0;
            } else if (row < 200) {
                double difference = row_difference(run.y + 7 * row++, line);
                if (difference > 1e-4) printf("# %s: row %d: %g\n", name, row, difference);
                largest = fmax(largest, difference);
                rows++;
            }
        }
        same_counts += count_above(run.y, 0.1f) == row;
        CHECK(pictures == 13 && same_counts == 13, "%d pictures, %d with as many boxes as OpenCV's",
              pictures, same_counts);
        CHECK(rows > 600 && largest < 1e-4, "%d boxes are OpenCV's to %g", rows, largest);
    }
    close_run(&run);
    fclose(file);
}

/* ---- binary GraphDefs by hand ------------------------------------------------------------------
 */

static void put_shape(struct wire *tensor, const char *shape)
{
    static struct wire dims, dim;
    dims.size = 0;
    for (; *shape; shape++) {
        dim.size = 0;
        wire_int(&dim, 1, *shape - '0');
        wire_message(&dims, 2, &dim);
    }
    wire_message(tensor, 2, &dims);
}

static void put_attribute(struct wire *node, const char *key, uint32_t kind, const void *bytes,
                          size_t size)
{
    static struct wire pair, value;
    pair.size = value.size = 0;
    if (bytes)
        wire_data(&value, kind, bytes, size);
    else
        wire_int(&value, kind, (int64_t)size);
    wire_text(&pair, 1, key);
    wire_message(&pair, 2, &value);
    wire_message(node, 5, &pair);
}

static void put_node(struct wire *graph, const char *name, const char *op, const struct wire *rest)
{
    static struct wire node;
    node.size = 0;
    wire_text(&node, 1, name);
    wire_text(&node, 2, op);
    wire_bytes(&node, rest->bytes, rest->size);
    wire_message(graph, 1, &node);
}

/* A Const; `tensor` has all but type and shape ("23": 2 x 3). */
static void put_const(struct wire *graph, const char *name, int type, const char *shape,
                      const struct wire *tensor)
{
    static struct wire rest, whole;
    rest.size = whole.size = 0;
    wire_int(&whole, 1, type);
    put_shape(&whole, shape);
    wire_bytes(&whole, tensor->bytes, tensor->size);
    put_attribute(&rest, "dtype", 6, NULL, (size_t)type);
    put_attribute(&rest, "value", 8, whole.bytes, whole.size);
    put_node(graph, name, "Const", &rest);
}

/* A Const of floats 1/4, 2/4 ...: all in tensor_content. */
static void put_floats(struct wire *graph, const char *name, const char *shape, int count)
{
    static struct wire content, tensor;
    content.size = tensor.size = 0;
    for (int i = 0; i < count; i++) wire_float(&content, (float)(i + 1) / 4);
    wire_message(&tensor, 4, &content);
    put_const(graph, name, NN_TF_FLOAT, shape, &tensor);
}

static void put_float(struct wire *graph, const char *name, const char *shape, float value)
{
    static struct wire tensor;
    tensor.size = 0;
    wire_key(&tensor, 5, 5);
    wire_float(&tensor, value);
    put_const(graph, name, NN_TF_FLOAT, shape, &tensor);
}

static void put_ints(struct wire *graph, const char *name, const char *shape, const char *values)
{
    static struct wire tensor;
    tensor.size = 0;
    wire_key(&tensor, 7, 2);
    wire_varint(&tensor, strlen(values));
    for (; *values; values++) wire_varint(&tensor, (uint64_t)(*values - '0'));
    put_const(graph, name, NN_TF_INT32, shape, &tensor);
}

static void put_dequantize(struct wire *graph, const char *name, const char *mode,
                           const char *const *inputs)
{
    static struct wire rest;
    rest.size = 0;
    for (int i = 0; i < 3 && inputs[i]; i++) wire_text(&rest, 3, inputs[i]);
    put_attribute(&rest, "T", 6, NULL, NN_TF_QUINT8);
    put_attribute(&rest, "mode", 2, mode, strlen(mode));
    put_node(graph, name, "Dequantize", &rest);
}

static void put_identity(struct wire *graph, const char *name, const char *input)
{
    static struct wire rest;
    rest.size = 0;
    wire_text(&rest, 3, input);
    put_node(graph, name, "Identity", &rest);
}

/* Constants for all that follows. */
static void put_constants(struct wire *graph)
{
    static struct wire tensor;
    static const char *const coded[] = {"codes", "low:0", "high"};
    static const char *const listed[] = {"codes listed", "low", "high"};
    static const char *const point[] = {"codes", "low", "low"};
    static const char *const backwards[] = {"codes", "high", "low"};
    static const char *const two[] = {"codes", "low", NULL};
    static const char *const floats[] = {"b3", "low", "high"};
    graph->size = tensor.size = 0;
    put_floats(graph, "k", "1123", 6);
    put_floats(graph, "b2", "2", 2);
    put_floats(graph, "b3", "3", 3);
    put_floats(graph, "b113", "113", 3);
    put_floats(graph, "m", "23", 6);
    put_float(graph, "low", "", -0.35f);
    put_float(graph, "high", "", 0.67f);
    put_float(graph, "filled", "9", 1.5f);
    put_ints(graph, "one", "", "1");
    put_ints(graph, "three", "1", "3");
    put_ints(graph, "blocks", "2", "11");
    put_ints(graph, "pads", "22", "1122");
    put_ints(graph, "pads4", "42", "00110011");
    wire_text(&tensor, 4, "\1\x7F\xFF");
    put_const(graph, "codes", NN_TF_QUINT8, "3", &tensor);
    tensor.size = 0;
    wire_int(&tensor, 7, 1);
    wire_int(&tensor, 7, 200);
    put_const(graph, "codes listed", NN_TF_QUINT8, "3", &tensor);
    put_dequantize(graph, "coded", "MIN_FIRST", coded);
    put_dequantize(graph, "coded listed", "MIN_FIRST", listed);
    put_dequantize(graph, "point", "MIN_FIRST", point);
    put_dequantize(graph, "backwards", "MIN_FIRST", backwards);
    put_dequantize(graph, "two", "MIN_FIRST", two);
    put_dequantize(graph, "floats", "MIN_FIRST", floats);
    put_dequantize(graph, "combined", "MIN_COMBINED", coded);
    put_identity(graph, "same", "coded:0");
    put_identity(graph, "circle", "circle");
    put_identity(graph, "lost", "nobody");
    put_node(graph, "relu", "Relu", &(struct wire){0});
}

static struct nn_tf_constants *constants;

static const char *find(struct nn_tf_tensor *tensor, const char *name)
{
    bool found;
    const char *wrong = nn_tf_constants_find(tensor, &found, constants, name, strlen(name));
    return found ? wrong : "none";
}

static bool is_wrong(const char *name, const char *part)
{
    struct nn_tf_tensor tensor;
    const char *wrong = find(&tensor, name);
    if (wrong && strstr(wrong, part)) return true;
    printf("# %s: %s\n", name, wrong ? wrong : "accepted");
    return false;
}

/* q * scale + zero for scale = 1.02 / 255 = 0.004, zero = round(-0.35 / 0.004) * 0.004 = -88
 * steps. (-87.5, a half, goes to the even -88.) */
static bool are_decoded(const char *name, int second, int third)
{
    const int codes[] = {1, second, third};
    struct nn_tf_tensor tensor;
    float values[3];
    const char *wrong = find(&tensor, name);
    if (wrong || tensor.count != 3) return false;
    nn_tf_tensor_floats(values, &tensor);
    bool right = true;
    for (int i = 0; i < 3; i++) right = right && fabs(values[i] - (codes[i] - 88) * 0.004) < 1e-6;
    return right;
}

static void test_constants(void)
{
    static struct wire graph, bad;
    struct nn_tf_tensor tensor;
    float values[9];
    int ints[8];
    put_constants(&graph);
    if (!CHECK(nn_tf_constants_parse(&constants, context, graph.bytes, graph.size, "x.pb") == NN_OK,
               "constants"))
        return;
    CHECK(!find(&tensor, "k") && tensor.rank == 4 && tensor.dim[3] == 3 && tensor.count == 6 &&
              (nn_tf_tensor_floats(values, &tensor), values[5] == 1.5f),
          "floats as bytes");
    CHECK(!find(&tensor, "filled") && tensor.count == 9 && tensor.listed == 1 &&
              (nn_tf_tensor_floats(values, &tensor), values[0] == 1.5f && values[8] == 1.5f),
          "one float for nine");
    CHECK(!find(&tensor, "pads4") && nn_tf_tensor_ints(ints, 8, &tensor) == 8 && ints[2] == 1 &&
              ints[7] == 1 && nn_tf_tensor_ints(ints, 7, &tensor) == 0,
          "integers");
    CHECK(!find(&tensor, "b2") && nn_tf_tensor_ints(ints, 8, &tensor) == 0, "which floats are not");
    CHECK(are_decoded("coded", 127, 255), "8-bit codes");
    CHECK(are_decoded("coded listed", 200, 200), "listed ones, the last for two");
    CHECK(are_decoded("same", 127, 255), "by another name");
    CHECK(!find(&tensor, "point") && (nn_tf_tensor_floats(values, &tensor), values[2] == -0.35f),
          "a range of one point");
    CHECK(is_wrong("nobody", "none") && is_wrong("", "none") && is_wrong("codedx", "none"),
          "no such node");
    CHECK(is_wrong("relu", "no constant") && is_wrong("circle", "no constant") &&
              is_wrong("lost", "no constant"),
          "no constant");
    CHECK(is_wrong("combined", "MIN_FIRST"), "another mode");
    CHECK(is_wrong("backwards", "range") && is_wrong("two", "no Const") &&
              is_wrong("floats", "8-bit codes"),
          "other inputs");
    nn_tf_constants_free(&constants);

    static const struct {
        const char *what, *shape, *bytes, *part;
        size_t size;
        int type;
    } tensors[] = {
        {"too few", "3", "\x22\x04\0\0\0\0", "not as many", 6, NN_TF_FLOAT},
        {"none", "", "", "not as many", 0, NN_TF_FLOAT},
        {"too many", "1", "\x38\1\x38\1", "not as many", 4, NN_TF_INT32},
        {"both ways", "1", "\x38\1\x22\x04\0\0\0\0", "not as many", 8, NN_TF_INT32},
        {"half a float", "1", "\x2A\2\0\0", "damaged", 4, NN_TF_FLOAT},
        {"a float as varint", "1", "\x28\1", "damaged", 2, NN_TF_FLOAT},
        {"an integer as float", "1", "\x3D\0\0\0\0", "damaged", 5, NN_TF_INT32},
        {"half an integer", "2", "\x3A\2\1\x80", "damaged", 4, NN_TF_INT32},
        {"a code of 9 bits", "1", "\x38\x80\2", "not a number of its type", 3, NN_TF_QUINT8},
        {"strings", "1", "\x42\1x", "its type", 3, 7},
        {"a damaged end", "1", "\x38\1\x38", "damaged", 3, NN_TF_INT32},
        {"no size", "0", "\x38\1", "dimensions", 2, NN_TF_INT32},
        {"nine axes", "111111111", "\x38\1", "dimensions", 2, NN_TF_INT32}};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        graph.size = bad.size = 0;
        wire_bytes(&bad, tensors[i].bytes, tensors[i].size);
        put_const(&graph, "c", tensors[i].type, tensors[i].shape, &bad);
        bool good = !nn_tf_constants_parse(&constants, context, graph.bytes, graph.size, "x.pb");
        CHECK(good && is_wrong("c", tensors[i].part), "a constant with %s", tensors[i].what);
        nn_tf_constants_free(&constants);
    }
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    char folder[256], command[300];
    snprintf(folder, sizeof folder, "%s/liveness-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder) || nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    snprintf(text_path, sizeof text_path, "%s/x.pbtxt", folder);
    snprintf(wire_path, sizeof wire_path, "%s/x.pb", folder);
    size_t before = nn_bytes_allocated(context);
    test_golden("classifier");
    test_golden("padded");
    test_detector();
    test_constants();
    (void)import;
    CHECK(nn_bytes_allocated(context) == before, "nothing is left");
    nn_close(&context);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) ? 1 : test_done();
}
