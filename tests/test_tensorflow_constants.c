/*
 * test_tensorflow_constants.c — TensorFlow's constants: types, ways to write them, 8-bit codes.
 */
#include "tests/graphdef.h"
#include "tests/test.h"

static struct nn_context *context;
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
    CHECK(!find(&tensor, "pads4") && nn_tf_tensor_ints(ints, 8, &tensor) == 8 && ints[4] == 1 &&
              ints[7] == 0 && nn_tf_tensor_ints(ints, 7, &tensor) == 0,
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
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    test_constants();
    CHECK(nn_bytes_allocated(context) == before, "nothing is left");
    nn_close(&context);
    return test_done();
}
