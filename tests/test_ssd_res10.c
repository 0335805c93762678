/* test_ssd_res10.c — OpenCV's face detector as code: its layers, one by one, are those of the file
 * (where ../shared has it), its multiply-adds those of its paper trail, and it runs. */
#include "nn/nn.h"
#include "tests/test.h"

static struct nn_context *context;

static struct nn_node *next_op(const struct nn_graph *graph, int *at)
{
    while (*at < nn_node_count(graph)) {
        struct nn_node *node = nn_node_at(graph, (*at)++);
        const char *op = nn_node_op(node);
        if (strcmp(op, "parameter") != 0 && strcmp(op, "state") != 0) return node;
    }
    return NULL;
}

static bool same(const struct nn_node *a, const struct nn_node *b)
{
    bool good = strcmp(nn_node_name(a), nn_node_name(b)) == 0 &&
                strcmp(nn_node_op(a), nn_node_op(b)) == 0 &&
                nn_shape_equal(nn_node_shape(a), nn_node_shape(b)) &&
                nn_node_multiply_adds(a) == nn_node_multiply_adds(b) &&
                nn_node_inputs(a) == nn_node_inputs(b);
    for (int i = 0; good && i < nn_node_inputs(a); i++) {
        const struct nn_node *x = nn_node_input(a, i), *y = nn_node_input(b, i);
        good = nn_shape_equal(nn_node_shape(x), nn_node_shape(y)) &&
               strcmp(nn_node_op(x), nn_node_op(y)) == 0 &&
               strcmp(nn_node_name(x), nn_node_name(y)) == 0;
    }
    return good;
}

/* Layer by layer, with what each takes in; then the boxes that depend on nothing but the layers. */
static void compare(struct nn_graph *graph, struct nn_graph *file)
{
    int i = 0, j = 0, layers = 0;
    struct nn_node *a, *b;
    do {
        a = next_op(graph, &i);
        b = next_op(file, &j);
        if (a && b && same(a, b))
            layers++;
        else if (a || b)
            printf("# %s is not %s\n", a ? nn_node_name(a) : "nothing",
                   b ? nn_node_name(b) : "nothing");
    } while (a && b && same(a, b));
    CHECK(!a && !b && layers > 90, "%d layers, their names, shapes, inputs are the file's", layers);
    struct nn_graph *graphs[] = {graph, file};
    const struct nn_node *priors[2];
    struct nn_plan *plans[2] = {NULL, NULL};
    bool good = true;
    for (int g = 0; g < 2; g++) {
        struct nn_node *wanted[] = {nn_find(graphs[g], "mbox_priorbox"),
                                    nn_find(graphs[g], "detection_out")};
        priors[g] = wanted[0];
        good = good &&
               nn_compile(&plans[g], graphs[g],
                          &(struct nn_plan_options){
                              .batch = 1, .outputs = wanted, .output_count = 2}) == NN_OK &&
               nn_forward(plans[g], 1) == NN_OK;
    }
    CHECK(good && memcmp(nn_data(plans[0], priors[0]), nn_data(plans[1], priors[1]),
                         nn_shape_count(nn_node_shape(priors[0])) * sizeof(float)) == 0,
          "its 8892 boxes are the file's");
    nn_plan_free(&plans[0]);
    nn_plan_free(&plans[1]);
}

int main(void)
{
    if (nn_open(&context, NULL)) return 1;
    struct nn_graph *graph = nn_graph_new(context), *file = NULL;
    struct nn_node *last = nn_model_ssd_res10(graph);
    double sum = 0;
    if (!CHECK(last && nn_graph_status(graph) == NN_OK && nn_initialize(graph, 1) == NN_OK,
               "built (%s)", nn_error(context)))
        return test_done();
    for (int i = 0; i < nn_node_count(graph); i++)
        sum += nn_node_multiply_adds(nn_node_at(graph, i));
    CHECK(sum == 1178874752.0, "%.0f multiply-adds", sum);
    CHECK(strcmp(nn_node_name(last), "detection_out") == 0 && nn_node_shape(last).dim[2] == 200,
          "at most 200 faces come out");
    char path[512];
    const char *place = test_shared();
    if (place) {
        snprintf(path, sizeof path, "%s/data/detector/deploy.prototxt", place);
        if (CHECK(nn_import_caffe(&file, context, path, NULL) == NN_OK, "imported (%s)",
                  nn_error(context)))
            compare(graph, file);
    } else {
        test_skip("the layers are the file's", "no ../shared");
    }
    nn_graph_free(&file);
    nn_graph_free(&graph);
    nn_close(&context);
    return test_done();
}
