/* test_caffe.c — small Caffe networks of our own against OpenCV's answers, layer by layer. The
 * networks and answers are made by tests/golden/make_caffe.py. */
#include "tests/test.h"
#include "tests/caffe_files.h"

enum { MOST_OUTPUTS = 16 };

struct expected {
    char name[64], layout[16];
    int rank, dim[4];
    float *values;
    size_t count;
};

static struct nn_context *context;

/* The input: a formula of the place, in NHWC order. */
static void fill_input(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)((i * 7919 + 13) % 2003) / 1001.5 - 1.0);
}

/* Caffe's order into that of the node. */
static float expected_at(const struct expected *expected, size_t i)
{
    const int *d = expected->dim;
    if (expected->rank != 4 || strcmp(expected->layout, "nhwc") != 0) return expected->values[i];
    size_t c = i % (size_t)d[1], w = i / (size_t)d[1] % (size_t)d[3];
    size_t h = i / (size_t)(d[1] * d[3]) % (size_t)d[2], n = i / (size_t)(d[1] * d[2] * d[3]);
    return expected->values[((n * (size_t)d[1] + c) * (size_t)d[2] + h) * (size_t)d[3] + w];
}

/* Largest difference, relative to the largest value expected. */
static double difference(const float *got, const struct expected *expected)
{
    double apart = 0.0, largest = 0.0;
    for (size_t i = 0; i < expected->count; i++) {
        double value = (double)expected_at(expected, i), off = fabs((double)got[i] - value);
        if (!(off <= apart)) apart = off;
        if (fabs(value) > largest) largest = fabs(value);
    }
    return largest > 0.0 ? apart / largest : apart;
}

static bool read_expected(struct expected *expected, FILE *index, FILE *data)
{
    expected->count = 1;
    if (fscanf(index, "%63s %15s %d", expected->name, expected->layout, &expected->rank) != 3 ||
        expected->rank > 4)
        return false;
    for (int i = 0; i < expected->rank; i++) {
        if (fscanf(index, "%d", &expected->dim[i]) != 1) return false;
        expected->count *= (size_t)expected->dim[i];
    }
    expected->values = malloc(expected->count * sizeof(float));
    return fread(expected->values, sizeof(float), expected->count, data) == expected->count;
}

static struct nn_node *last_node(const struct nn_graph *graph)
{
    return nn_node_at(graph, nn_node_count(graph) - 1);
}

static void compare(const char *name, struct nn_graph *graph, struct nn_node *const *nodes,
                    const struct expected *expected, int count, int images)
{
    struct nn_plan *plan = NULL;
    struct nn_node *data = nn_find(graph, "data");
    struct nn_plan_options options = {.batch = 2, .outputs = nodes, .output_count = count};
    if (!CHECK(nn_compile(&plan, graph, &options) == NN_OK, "%s: compiled (%s)", name,
               nn_error(context)))
        return;
    fill_input(nn_data(plan, data), nn_shape_count(nn_node_shape(data)) * (size_t)images);
    CHECK(nn_forward(plan, images) == NN_OK, "%s: run", name);
    for (int i = 0; i < count; i++) {
        struct nn_shape shape = nn_node_shape(nodes[i]);
        size_t got = nn_shape_count(shape) * (size_t)(shape.dim[0] == NN_BATCH ? images : 1);
        bool same = got == expected[i].count;
        double apart = same ? difference(nn_data(plan, nodes[i]), &expected[i]) : 1e9;
        CHECK(apart < 1e-5, "%s: %s as expected (%.2g)", name, expected[i].name, apart);
    }
    nn_plan_free(&plan);
}

/* One network of expected.txt. */
static bool check_net(FILE *index, FILE *data)
{
    char name[64], text[128], weights[128];
    int images, count;
    struct expected expected[MOST_OUTPUTS] = {{.count = 0}};
    struct nn_node *nodes[MOST_OUTPUTS] = {NULL};
    struct nn_graph *graph = NULL;
    if (fscanf(index, " net %63s %d %d", name, &images, &count) != 3) return false;
    bool good = count <= MOST_OUTPUTS;
    for (int i = 0; good && i < count; i++) good = read_expected(&expected[i], index, data);
    if (!CHECK(good, "%s: what is expected is readable", name)) return false;
    snprintf(text, sizeof text, CAFFE_FILES "/%s.prototxt", name);
    snprintf(weights, sizeof weights, CAFFE_FILES "/%s.caffemodel", name);
    CHECK(nn_import_caffe(&graph, context, text, weights) == NN_OK, "%s: imported (%s)", name,
          nn_error(context));
    for (int i = 0; graph && i < count; i++) {
        bool last = strcmp(expected[i].layout, "last") == 0;
        nodes[i] = last ? last_node(graph) : nn_find(graph, expected[i].name);
        good = CHECK(nodes[i] != NULL, "%s: there is a node '%s'", name, expected[i].name) && good;
    }
    if (graph && good) compare(name, graph, nodes, expected, count, images);
    nn_graph_free(&graph);
    for (int i = 0; i < count; i++) free(expected[i].values);
    return true;
}

static void check_answers(void)
{
    FILE *index = fopen(CAFFE_FILES "/expected.txt", "r");
    FILE *data = fopen(CAFFE_FILES "/expected.f32", "rb");
    int nets = 0;
    while (index && data && check_net(index, data)) nets++;
    CHECK(nets == 17 && data && fgetc(data) == EOF, "%d networks, and no answer left over", nets);
    if (index) fclose(index);
    if (data) fclose(data);
}

/* ---- what the graph looks like --------------------------------------------------------------- */

static int count_ops(const struct nn_graph *graph, const char *op)
{
    int count = 0;
    for (int i = 0; i < nn_node_count(graph); i++)
        count += strcmp(nn_node_op(nn_node_at(graph, i)), op) == 0;
    return count;
}

static struct nn_graph *import(const char *text, const char *weights)
{
    struct nn_graph *graph = NULL;
    enum nn_status status = nn_import_caffe(&graph, context, text, weights);
    CHECK(status == NN_OK && graph, "%s imported (%s)", text, nn_error(context));
    return graph;
}

static bool has_shape(const struct nn_graph *graph, const char *name, const char *shape)
{
    char text[64];
    const struct nn_node *node = graph ? nn_find(graph, name) : NULL;
    return node && strcmp(nn_shape_text(text, nn_node_shape(node)), shape) == 0;
}

static void check_structure(void)
{
    struct nn_graph *graph = import(CAFFE_FILES "/ssd.prototxt", NULL);
    if (!graph) return;
    CHECK(count_ops(graph, "permute") == 0, "an SSD's heads move no data");
    CHECK(strcmp(nn_node_name(last_node(graph)), "det") == 0, "the last node is the output");
    CHECK(has_shape(graph, "data", "(None, 24, 32, 3)"), "the input is NHWC, for any batch");
    CHECK(has_shape(graph, "body_loc/kernel", "(3, 3, 6, 16)") &&
              has_shape(graph, "body_loc/bias", "(16)"),
          "parameters are named after their layer");
    const float *bias = nn_values(nn_find(graph, "body_loc/bias"));
    CHECK(bias[0] == 0.0f && bias[15] == 0.0f, "without weights all are zero");
    nn_graph_free(&graph);
    if (!(graph = import(CAFFE_FILES "/norms.prototxt", NULL))) return;
    CHECK(nn_values(nn_find(graph, "bn0/moving_variance"))[3] == 1.0f &&
              nn_values(nn_find(graph, "bn0/gamma"))[3] == 1.0f,
          "but variances are one");
    nn_graph_free(&graph);
    if (!(graph = import(CAFFE_FILES "/inner.prototxt", CAFFE_FILES "/inner.caffemodel"))) return;
    CHECK(count_ops(graph, "permute") == 0, "nor does an inner product after a convolution");
    nn_graph_free(&graph);
    if (!(graph = import(CAFFE_FILES "/head.prototxt", CAFFE_FILES "/head.caffemodel"))) return;
    CHECK(count_ops(graph, "permute") == 4, "data move where they must (%d times)",
          count_ops(graph, "permute"));
    nn_graph_free(&graph);
}

/* A network that ends in layers without nodes of their own. */
static void check_output(void)
{
    static const char HEAD[] = "input: 'data' input_shape { dim: 1 dim: 2 dim: 3 dim: 4 }\n"
                               "layer { name: 'a' type: 'ReLU' bottom: 'data' top: 'a' }\n";
    static const struct {
        const char *text, *shape, *op;
    } ends[] = {
        {"layer { name: 'b' type: 'Sigmoid' bottom: 'data' top: 'b' }\n"
         "layer { name: 'c' type: 'Split' bottom: 'a' top: 'c' top: 'd' }\n",
         "(None, 3, 4, 2)", "reshape"},
        {"layer { name: 'p' type: 'Permute' bottom: 'a' top: 'p' permute_param { order: [0, 2, 3, "
         "1] } }\n",
         "(None, 3, 4, 2)", "relu"},
        {"layer { name: 'p' type: 'Permute' bottom: 'a' top: 'p' permute_param { order: [0, 3] } "
         "}\n",
         "(None, 4, 2, 3)", "permute"},
        {"layer { name: 'p' type: 'Permute' bottom: 'a' top: 'p' permute_param { } }\n",
         "(None, 3, 4, 2)", "relu"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char shape[64];
        struct nn_graph *graph = NULL;
        caffe_write_text(HEAD, ends[i].text);
        CHECK(nn_import_caffe(&graph, context, caffe_text_path(), NULL) == NN_OK,
              "output %zu: imported (%s)", i, nn_error(context));
        if (!graph) continue;
        const struct nn_node *last = last_node(graph);
        CHECK(strcmp(nn_shape_text(shape, nn_node_shape(last)), ends[i].shape) == 0 &&
                  strcmp(nn_node_op(last), ends[i].op) == 0,
              "output %zu: %s %s", i, nn_node_op(last), shape);
        nn_graph_free(&graph);
    }
}

/* Imported, saved as .safetensors, loaded: the same answers. */
static void check_saving(void)
{
    struct nn_graph *graph = import(CAFFE_FILES "/ssd.prototxt", CAFFE_FILES "/ssd.caffemodel");
    struct nn_graph *loaded = NULL;
    struct nn_archive *archive = NULL;
    char a[65] = "", b[65] = "";
    if (!graph) return;
    CHECK(nn_archive_new(&archive, context) == NN_OK && nn_graph_save(graph, archive) == NN_OK &&
              nn_graph_load(&loaded, context, archive) == NN_OK,
          "saved and loaded (%s)", nn_error(context));
    CHECK(loaded && nn_weights_sha256(a, graph) == NN_OK && nn_weights_sha256(b, loaded) == NN_OK &&
              strcmp(a, b) == 0,
          "with the same weights");
    CHECK(loaded && strcmp(nn_node_name(last_node(loaded)), "det") == 0, "and the same output");
    nn_graph_free(&loaded);
    nn_graph_free(&graph);
    nn_archive_free(&archive);
}

int main(void)
{
    if (nn_open(&context, NULL)) return 1;
    check_answers();
    check_structure();
    check_output();
    check_saving();
    caffe_remove_files();
    nn_close(&context);
    return test_done();
}
