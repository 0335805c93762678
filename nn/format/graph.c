/*
 * graph.c — a network as tensors and a text: the parameters by name, and under the metadata key
 * "architecture" a list of nodes in order, ops by name, attributes by their field tables:
 *
 *     {"version": 1, "nodes": [
 *       {"name": "input", "op": "input", "shape": [0, 32, 32, 3]},
 *       {"name": "conv2d/kernel", "op": "parameter", "shape": [3, 3, 3, 16], "initializer": 2},
 *       {"name": "conv2d", "op": "conv2d", "inputs": ["input", "conv2d/kernel", "conv2d/bias"],
 *        "attributes": {"stride_h": 1, ...}}, ...]}
 *
 * A reader rebuilds the graph through the same functions as a program that builds one, so that
 * every check holds for files too. What it does not know is an error.
 */
#include "nn/format/json.h"
#include "nn/format/sha256.h"
#include "nn/internal.h"
#include "nn/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MOST_NODES = 10000 };
static const char KEY[] = "architecture";

/* ---- which nodes: the network, without the loss that was built onto it ----------------------- */

static void mark_network(bool *wanted, const struct nn_graph *graph)
{
    int last = graph->count - 1;
    for (int i = last; i >= 0; i--) {
        const struct nn_node *node = graph->nodes[i];
        if (node->op && !node->op->loss) {
            last = i;
            break;
        }
    }
    wanted[last] = true;
    for (int i = last; i >= 0; i--) {
        const struct nn_node *node = graph->nodes[i];
        for (int j = 0; wanted[i] && j < node->inputs; j++) wanted[node->input[j]->index] = true;
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_shape(struct nn_text *text, const struct nn_shape *shape)
{
    for (int i = 0; i < shape->rank; i++)
        nn_text_printf(text, "%s%d", i ? ", " : "[", shape->dim[i]);
    nn_text_printf(text, shape->rank ? "]" : "[]");
}

static void write_field(struct nn_text *text, const struct nn_field *field, const char *at)
{
    switch (field->type) {
    case NN_FIELD_INT:
        nn_text_printf(text, "%d", *(const int *)(const void *)at);
        break;
    case NN_FIELD_FLOAT:
        nn_text_printf(text, "%.9g", (double)*(const float *)(const void *)at);
        break;
    case NN_FIELD_BOOL:
        nn_text_printf(text, *(const bool *)at ? "true" : "false");
        break;
    case NN_FIELD_SHAPE:
        write_shape(text, (const struct nn_shape *)(const void *)at);
        break;
    case NN_FIELD_FLOATS: {
        const struct nn_floats *floats = (const struct nn_floats *)(const void *)at;
        nn_text_printf(text, "[");
        for (int i = 0; i < floats->count; i++)
            nn_text_printf(text, "%s%.9g", i ? ", " : "", (double)floats->values[i]);
        nn_text_printf(text, "]");
        break;
    }
    }
}

static void write_node(struct nn_text *text, const struct nn_node *node)
{
    nn_text_printf(text, "{\"name\": ");
    nn_text_json_string(text, node->name);
    nn_text_printf(text, ", \"op\": \"%s\"", nn_node_op(node));
    if (node->kind != NN_KIND_OP) {
        nn_text_printf(text, ", \"shape\": ");
        write_shape(text, &node->shape);
        if (node->kind != NN_KIND_INPUT)
            nn_text_printf(text, ", \"initializer\": %d", (int)node->initializer);
        nn_text_printf(text, "}");
        return;
    }
    nn_text_printf(text, ", \"inputs\": [");
    for (int i = 0; i < node->inputs; i++) {
        nn_text_printf(text, i ? ", " : "");
        nn_text_json_string(text, node->input[i]->name);
    }
    nn_text_printf(text, "], \"attributes\": {");
    for (const struct nn_field *field = node->op->fields; field && field->name; field++) {
        nn_text_printf(text, "%s\"%s\": ", field == node->op->fields ? "" : ", ", field->name);
        write_field(text, field, (const char *)node->attributes + field->offset);
    }
    nn_text_printf(text, "}}");
}

static enum nn_status put_values(struct nn_archive *archive, struct nn_node *node)
{
    int64_t dims[NN_MAX_RANK];
    for (int i = 0; i < node->shape.rank; i++) dims[i] = node->shape.dim[i];
    return nn_archive_put(archive, node->name, NN_F32, node->shape.rank, dims, nn_values(node));
}

enum nn_status nn_graph_save(struct nn_graph *graph, struct nn_archive *archive)
{
    struct nn_context *context = graph->context;
    enum nn_status status = nn_graph_seal(graph);
    if (status) return status;
    if (graph->count == 0) return nn_fail(context, NN_ERROR_ARGUMENT, "the graph has no nodes");
    bool *wanted = nn_alloc(context, (size_t)graph->count, sizeof *wanted);
    if (!wanted) return NN_ERROR_MEMORY;
    mark_network(wanted, graph);
    struct nn_text text = {.context = context};
    nn_text_printf(&text, "{\"version\": %d, \"nodes\": [", VERSION);
    const char *separator = "\n";
    for (int i = 0; i < graph->count && !status; i++) {
        struct nn_node *node = graph->nodes[i];
        if (!wanted[i]) continue;
        nn_text_printf(&text, "%s", separator);
        separator = ",\n";
        write_node(&text, node);
        if (node->kind == NN_KIND_PARAMETER || node->kind == NN_KIND_STATE)
            status = put_values(archive, node);
    }
    nn_text_printf(&text, "\n]}");
    if (!status && text.failed) status = NN_ERROR_MEMORY;
    if (!status) status = nn_archive_put_text(archive, KEY, text.data);
    nn_text_free(&text);
    nn_free(context, wanted);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool read_int(int *value, const struct nn_json *json)
{
    double number = nn_json_number(json, NAN);
    if (!(number >= INT32_MIN && number <= INT32_MAX) || number != floor(number)) return false;
    *value = (int)number;
    return true;
}

static bool read_shape(struct nn_shape *shape, const struct nn_json *json)
{
    int rank = nn_json_count(json);
    if (nn_json_kind(json) != NN_JSON_ARRAY || rank > NN_MAX_RANK) return false;
    *shape = (struct nn_shape){.rank = rank};
    for (int i = 0; i < rank; i++)
        if (!read_int(&shape->dim[i], nn_json_at(json, i))) return false;
    return true;
}

static bool read_floats(struct nn_floats *floats, struct nn_graph *graph,
                        const struct nn_json *json)
{
    if (nn_json_kind(json) != NN_JSON_ARRAY) return false;
    int count = nn_json_count(json);
    float *values = nn_graph_alloc(graph, (size_t)count, sizeof *values);
    if (!values) return false;
    for (int i = 0; i < count; i++) values[i] = (float)nn_json_number(nn_json_at(json, i), NAN);
    *floats = (struct nn_floats){count, values};
    return true;
}

static bool read_field(char *at, const struct nn_field *field, struct nn_graph *graph,
                       const struct nn_json *json)
{
    switch (field->type) {
    case NN_FIELD_INT:
        return read_int((int *)(void *)at, json);
    case NN_FIELD_FLOAT:
        *(float *)(void *)at = (float)nn_json_number(json, NAN);
        return nn_json_kind(json) == NN_JSON_NUMBER;
    case NN_FIELD_BOOL:
        *(bool *)at = nn_json_bool(json, false);
        return nn_json_kind(json) == NN_JSON_BOOL;
    case NN_FIELD_SHAPE:
        return read_shape((struct nn_shape *)(void *)at, json);
    case NN_FIELD_FLOATS:
        return read_floats((struct nn_floats *)(void *)at, graph, json);
    }
    return false;
}

static void *read_attributes(const struct nn_op *op, struct nn_graph *graph, const char *name,
                             const struct nn_json *json)
{
    char *attributes = nn_graph_alloc(graph, 1, op->attributes_size);
    if (!attributes) return NULL;
    int known = 0;
    for (const struct nn_field *field = op->fields; field && field->name; field++, known++) {
        if (read_field(attributes + field->offset, field, graph, nn_json_get(json, field->name)))
            continue;
        nn_graph_fail(graph, NN_ERROR_FORMAT, "node '%s' (%s): attribute \"%s\" is missing or bad",
                      name, op->name, field->name);
        return NULL;
    }
    if (nn_json_count(json) == known) return attributes;
    nn_graph_fail(graph, NN_ERROR_FORMAT, "node '%s': %s has %d attributes, the file gives %d",
                  name, op->name, known, nn_json_count(json));
    return NULL;
}

static struct nn_node *read_op(struct nn_graph *graph, const char *name, const char *op_name,
                               const struct nn_json *json)
{
    char quoted[NN_QUOTED];
    const struct nn_op *op = nn_op_find(op_name);
    if (!op) {
        nn_graph_fail(graph, NN_ERROR_UNSUPPORTED, "node '%s' has an unknown op %s", name,
                      nn_quote(quoted, op_name));
        return NULL;
    }
    const struct nn_json *list = nn_json_get(json, "inputs");
    struct nn_node *inputs[NN_MAX_INPUTS];
    int count = nn_json_count(list);
    if (count > NN_MAX_INPUTS || count < op->inputs_min || count > op->inputs_max) {
        nn_graph_fail(graph, NN_ERROR_FORMAT, "node '%s': %s takes %d to %d inputs, got %d", name,
                      op->name, op->inputs_min, op->inputs_max, count);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        const char *input = nn_json_string(nn_json_at(list, i), "");
        inputs[i] = nn_find(graph, input);
        if (inputs[i]) continue;
        nn_graph_fail(graph, NN_ERROR_FORMAT, "node '%s': its input %s is no earlier node", name,
                      nn_quote(quoted, input));
        return NULL;
    }
    void *attributes = read_attributes(op, graph, name, nn_json_get(json, "attributes"));
    struct nn_node *node = attributes ? nn_append(op, inputs, count, attributes) : NULL;
    return node ? nn_name(node, name) : NULL;
}

static void read_node(struct nn_graph *graph, const struct nn_json *json)
{
    const char *name = nn_json_string(nn_json_get(json, "name"), "");
    const char *op = nn_json_string(nn_json_get(json, "op"), "");
    bool input = strcmp(op, "input") == 0, parameter = strcmp(op, "parameter") == 0;
    if (!input && !parameter && strcmp(op, "state") != 0) {
        read_op(graph, name, op, json);
        return;
    }
    struct nn_shape shape;
    int initializer = NN_ZEROS;
    if (!read_shape(&shape, nn_json_get(json, "shape")) ||
        (!input && (!read_int(&initializer, nn_json_get(json, "initializer")) || initializer < 0 ||
                    initializer > (int)NN_HE_NORMAL))) {
        nn_graph_fail(graph, NN_ERROR_FORMAT, "node '%s': its shape or initializer is bad", name);
        return;
    }
    if (input)
        nn_input(graph, name, shape);
    else if (parameter)
        nn_parameter(graph, name, shape, (enum nn_initializer)initializer);
    else
        nn_state(graph, name, shape, (enum nn_initializer)initializer);
}

static enum nn_status read_nodes(struct nn_graph *graph, const struct nn_json *root)
{
    const struct nn_json *nodes = nn_json_get(root, "nodes");
    if (nn_json_number(nn_json_get(root, "version"), 0) != VERSION)
        return nn_graph_fail(graph, NN_ERROR_UNSUPPORTED,
                             "the architecture's version is %g, this program reads %d",
                             nn_json_number(nn_json_get(root, "version"), 0), VERSION);
    int count = nn_json_count(nodes);
    if (nn_json_kind(nodes) != NN_JSON_ARRAY || count < 1 || count > MOST_NODES)
        return nn_graph_fail(graph, NN_ERROR_FORMAT,
                             "the architecture has %d nodes, expected 1 to %d", count, MOST_NODES);
    for (int i = 0; i < count && !graph->status; i++) read_node(graph, nn_json_at(nodes, i));
    return nn_graph_status(graph);
}

static enum nn_status read_values(struct nn_graph *graph, const struct nn_archive *archive)
{
    enum nn_status status = NN_OK;
    for (int i = 0; i < graph->count && !status; i++) {
        struct nn_node *node = graph->nodes[i];
        if (node->kind != NN_KIND_PARAMETER && node->kind != NN_KIND_STATE) continue;
        const struct nn_archive_tensor *tensor = nn_archive_get(archive, node->name);
        bool fits = tensor && tensor->type == NN_F32 && tensor->rank == node->shape.rank;
        for (int j = 0; fits && j < tensor->rank; j++) fits = tensor->dim[j] == node->shape.dim[j];
        char text[64];
        if (!fits)
            return nn_graph_fail(graph, NN_ERROR_FORMAT,
                                 "tensor '%s': expected float32 of shape %s, the file has %s",
                                 node->name, nn_shape_text(text, node->shape),
                                 tensor ? "another" : "none");
        float *values = nn_values(node);
        if (values)
            memcpy(values, tensor->data, tensor->bytes);
        else
            status = NN_ERROR_MEMORY;
    }
    nn_parameters_changed(graph);
    return status;
}

enum nn_status nn_graph_load(struct nn_graph **loaded, struct nn_context *context,
                             const struct nn_archive *archive)
{
    *loaded = NULL;
    const char *text = nn_archive_text(archive, KEY);
    if (!text)
        return nn_fail(context, NN_ERROR_FORMAT,
                       "the file has tensors but no \"%s\": it was not written by this program",
                       KEY);
    struct nn_json *root = NULL;
    enum nn_status status = nn_json_parse(&root, context, text, strlen(text), KEY);
    if (status) return status;
    struct nn_graph *graph = nn_graph_new(context);
    status = graph ? read_nodes(graph, root) : NN_ERROR_MEMORY;
    if (!status) status = nn_graph_seal(graph);
    if (!status) status = read_values(graph, archive);
    if (status) nn_graph_free(&graph);
    nn_json_free(&root);
    *loaded = graph;
    return status;
}

/* ---- identity of weights --------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct nn_node *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void hash_node(struct nn_sha256 *hash, struct nn_node *node)
{
    size_t count = nn_shape_count(node->shape);
    nn_sha256_add_u64(hash, strlen(node->name));
    nn_sha256_add(hash, node->name, strlen(node->name));
    nn_sha256_add_u64(hash, (uint64_t)node->shape.rank);
    for (int i = 0; i < node->shape.rank; i++)
        nn_sha256_add_u64(hash, (uint64_t)node->shape.dim[i]);
    nn_sha256_add(hash, nn_values(node), count * sizeof(float));
}

enum nn_status nn_weights_sha256(char hex[65], struct nn_graph *graph)
{
    enum nn_status status = nn_graph_seal(graph);
    if (status) return status;
    struct nn_node **sorted =
        nn_alloc(graph->context, (size_t)graph->count + 1, sizeof(struct nn_node *));
    if (!sorted) return NN_ERROR_MEMORY;
    size_t count = 0;
    for (int i = 0; i < graph->count; i++) {
        enum nn_kind kind = graph->nodes[i]->kind;
        if (kind == NN_KIND_PARAMETER || kind == NN_KIND_STATE) sorted[count++] = graph->nodes[i];
    }
    qsort(sorted, count, sizeof(struct nn_node *), by_name);
    struct nn_sha256 hash;
    nn_sha256_start(&hash);
    for (size_t i = 0; i < count; i++) hash_node(&hash, sorted[i]);
    nn_sha256_finish(hex, &hash);
    nn_free(graph->context, sorted);
    return NN_OK;
}
