/* LivenessNet with weights as Keras holds them answers as Keras does (tests/golden/make_keras.py).
 */
#include "nn/nn.h"
#include "tests/numbers.h"
#include "tests/test.h"

enum { PICTURES = 8, PIXELS = 32 * 32 * 3, CLASSES = 2 };

/* The values that make_keras.py gives the weight of this name. */
static void fill_weight(struct nn_node *node)
{
    static const struct {
        const char *kind;
        float scale;
    } kinds[] = {{"/kernel", 0.25f}, {"/bias", 0.25f}, {"/beta", 0.5f}, {"/moving_mean", 0.5f}};
    const char *name = nn_node_name(node), *kind = strchr(name, '/');
    size_t count = nn_shape_count(nn_node_shape(node));
    float *values = nn_values(node), scale = 0;
    for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i].kind) == 0) scale = kinds[i].scale;
    if (strcmp(name, "dense/kernel") == 0) scale /= 8;
    numbers_fill(values, count, 1, scale > 0 ? 'i' : 'v', numbers_seed(name), 0);
    for (size_t i = 0; scale > 0 && i < count; i++) values[i] *= scale;
}

static bool read_golden(double answers[PICTURES * CLASSES])
{
    FILE *file = fopen("tests/golden/keras.txt", "r");
    int count = 0;
    while (file && count < PICTURES * CLASSES && fscanf(file, "%lf", &answers[count]) == 1) count++;
    if (file) fclose(file);
    return count == PICTURES * CLASSES;
}

static void compare(const char *level, const double golden[PICTURES * CLASSES])
{
    struct nn_context *context;
    struct nn_plan *plan = NULL;
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 2, .cpu = level}) == NN_OK,
               "%s: a context", level))
        return;
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *softmax = nn_model_livenessnet(graph, 32, 32, 3, CLASSES);
    int weights = 0;
    for (int i = 0; i < nn_node_count(graph); i++) {
        struct nn_node *node = nn_node_at(graph, i);
        if (!nn_values(node)) continue;
        fill_weight(node);
        weights++;
    }
    nn_parameters_changed(graph);
    CHECK(weights == 32, "%s: 32 tensors of weights, as Keras counts them", level);
    if (CHECK(nn_compile(&plan, graph, &(struct nn_plan_options){.batch = PICTURES}) == NN_OK,
              "%s: compiles", level)) {
        numbers_fill(nn_data(plan, nn_find(graph, "input")), (size_t)PICTURES * PIXELS, 1, 'u',
                     numbers_seed("pictures"), 0);
        CHECK(nn_forward(plan, PICTURES) == NN_OK, "%s: runs", level);
        double worst = 0, least = 1;
        for (int i = 0; i < PICTURES * CLASSES; i++) {
            worst = fmax(worst, fabs((double)nn_data(plan, softmax)[i] - golden[i]));
            least = fmin(least, golden[i]);
        }
        CHECK(worst < 1e-5, "%s: answers as Keras (off by %.1e)", level, worst);
        CHECK(least > 1e-3, "%s: the answers are not all certain (least %.3f)", level, least);
    }
    nn_plan_free(&plan);
    nn_graph_free(&graph);
    nn_close(&context);
}

int main(void)
{
    static const char *const levels[] = {"scalar",     "sse", "avx2", "avx512",
                                         "avx512bf16", "amx", "neon"};
    double golden[PICTURES * CLASSES];
    if (!CHECK(read_golden(golden), "tests/golden/keras.txt")) return test_done();
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct nn_context *context;
        bool here =
            nn_open(&context, &(struct nn_options){.threads = 1, .cpu = levels[i]}) == NN_OK;
        nn_close(&context);
        if (here) compare(levels[i], golden);
    }
    return test_done();
}
