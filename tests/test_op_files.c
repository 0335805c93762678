/*
 * test_op_files.c — every case of op_cases.inc goes through an archive and comes back the same: all
 * attributes of an op are in its table of fields.
 */
#include "tests/test.h"
#include "tests/trial.h"

/* The bare op between its tensors; what trial.h adds cannot be loaded by name. */
static struct nn_graph *build(const struct op_case *row, struct nn_context *context)
{
    struct nn_graph *graph = nn_graph_new(context);
    struct nn_node *x[NN_MAX_INPUTS];
    const char *shapes = row->shapes;
    int count = 0;
    for (const char *role = row->roles; *role; role++, count++) {
        struct nn_shape shape;
        char name[16];
        snprintf(name, sizeof name, "x%d", count);
        shapes = trial_parse_shape(&shape, shapes);
        if (trial_is_input(*role)) {
            shape.dim[0] = NN_BATCH;
            x[count] = nn_input(graph, name, shape);
        } else if (trial_is_state(*role)) {
            x[count] = nn_state(graph, name, shape, NN_ONES);
        } else {
            x[count] = nn_parameter(graph, name, shape, NN_GLOROT_UNIFORM);
        }
    }
    row->build(x);
    nn_initialize(graph, 1);
    return graph;
}

/* The last node's value for one image of given inputs; malloc'ed. */
static float *value_of(struct nn_graph *graph, size_t *count)
{
    struct nn_plan *plan;
    float *value = NULL;
    *count = 0;
    if (nn_compile(&plan, graph, &(struct nn_plan_options){.batch = 1})) return NULL;
    for (int i = 0; i < nn_node_count(graph); i++) {
        struct nn_node *node = nn_node_at(graph, i);
        if (node->kind == NN_KIND_INPUT)
            numbers_fill(nn_data(plan, node), nn_node_count_for(node, 1), 1, 'u', 1, (uint64_t)i);
    }
    struct nn_node *last = nn_node_at(graph, nn_node_count(graph) - 1);
    if (nn_forward(plan, 1) == NN_OK) {
        *count = nn_node_count_for(last, 1);
        value = malloc(*count * sizeof *value);
        if (value) memcpy(value, nn_data(plan, last), *count * sizeof *value);
    }
    nn_plan_free(&plan);
    return value;
}

static bool same_node(const struct nn_node *a, const struct nn_node *b)
{
    return a->kind == b->kind && a->op == b->op && nn_shape_equal(a->shape, b->shape) &&
           strcmp(a->name, b->name) == 0 && a->inputs == b->inputs;
}

static void check_case(const struct op_case *row, struct nn_context *context)
{
    struct nn_graph *graph = build(row, context), *loaded = NULL;
    struct nn_archive *first = NULL, *second = NULL;
    size_t count_a = 0, count_b = 0;
    float *a = NULL, *b = NULL;
    bool same = nn_graph_status(graph) == NN_OK && nn_archive_new(&first, context) == NN_OK &&
                nn_archive_new(&second, context) == NN_OK && nn_graph_save(graph, first) == NN_OK &&
                nn_graph_load(&loaded, context, first) == NN_OK &&
                nn_graph_save(loaded, second) == NN_OK;
    if (!same) printf("# %s: %s\n", row->name, nn_error(context));
    const char *text = same ? nn_archive_text(first, "architecture") : NULL;
    const char *again = same ? nn_archive_text(second, "architecture") : NULL;
    same = same && text && again && strcmp(text, again) == 0 &&
           nn_node_count(graph) == nn_node_count(loaded);
    for (int i = 0; same && i < nn_node_count(graph); i++)
        same = same_node(nn_node_at(graph, i), nn_node_at(loaded, i));
    if (same) {
        a = value_of(graph, &count_a);
        b = value_of(loaded, &count_b);
        same = a && b && count_a == count_b && memcmp(a, b, count_a * sizeof *a) == 0;
    }
    CHECK(same, "%s comes back from a file the same", row->name);
    free(a);
    free(b);
    nn_archive_free(&second);
    nn_archive_free(&first);
    nn_graph_free(&loaded);
    nn_graph_free(&graph);
}

int main(void)
{
    struct nn_context *context = NULL;
    if (!CHECK(nn_open(&context, &(struct nn_options){.threads = 1}) == NN_OK, "a context"))
        return test_done();
    for (int i = 0; i < OP_CASE_COUNT; i++) check_case(&OP_CASES[i], context);
    nn_close(&context);
    return test_done();
}
