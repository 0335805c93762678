/*
 * tensorflow.c — nn_import_tensorflow: a network out of TensorFlow's text and binary GraphDefs, as
 * OpenCV reads the pair: the text has the nodes, the binary file the constants they name.
 *
 * Nodes are brought into order, inputs before users, by walking back from each node in the file's
 * order; so the one node that nobody uses, the network's output, is built last. A node is built by
 * its op's function (tensorflow_layers.c), which marks all it reads; what is left over is an error.
 * A node of ours bears the name of the file's node whose value it holds; of nodes that become one
 * that is the last (of convolution and bias, the bias; a BatchToSpaceND behind them does not
 * count). Parameters bear the names of their constants.
 */
#include "nn/format/sort.h"
#include "nn/format/tensorflow.h"

#include <string.h>

static const size_t MAX_TEXT = (size_t)1 << 26, MAX_BINARY = (size_t)1 << 29;

/* ---- nodes ----------------------------------------------------------------------------------- */

static int compare_nodes(const void *a, const void *b)
{
    return strcmp(((const struct nn_tf_node *)a)->name, ((const struct nn_tf_node *)b)->name);
}

/* A node of the text file, Const or not. */
struct nn_tf_node *nn_tf_find(const struct nn_tf_reader *reader, const char *name, size_t size)
{
    int low = 0, high = reader->count + reader->const_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        const struct nn_tf_node *node = reader->sorted[middle];
        int order = strncmp(name, node->name, size);
        if (order == 0 && node->name[size]) order = -1;
        if (order == 0) return (struct nn_tf_node *)node;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* A string field of a node: "" when it is missing or no plain text. */
static const char *text_field(struct nn_prototext_field *node, const char *name)
{
    const struct nn_prototext_field *field = nn_prototext_find(node, name, NULL);
    bool plain = field && field->kind == NN_PROTOTEXT_STRING && strlen(field->text) == field->size;
    return plain ? field->text : "";
}

/* Name, op, inputs; `inputs` is where the next node's inputs go. */
static bool read_node(struct nn_tf_reader *reader, struct nn_tf_node *node,
                      struct nn_prototext_field *field, struct nn_tf_input **inputs)
{
    node->field = field;
    node->name = text_field(field, "name");
    node->op = text_field(field, "op");
    node->input = *inputs;
    nn_prototext_use_all(nn_prototext_find(field, "device", NULL));
    if (!*node->name || !*node->op)
        return nn_tf_fail(reader, node, NN_ERROR_FORMAT, "expected one name and one op");
    for (struct nn_prototext_field *input = nn_prototext_find(field, "input", NULL); input;
         input = nn_prototext_find(field, "input", input)) {
        if (input->kind != NN_PROTOTEXT_STRING || node->inputs == NN_TF_MOST_INPUTS)
            return nn_tf_fail(reader, node, NN_ERROR_FORMAT, "expected at most %d names as inputs",
                              (int)NN_TF_MOST_INPUTS);
        size_t size = strlen(input->text);
        if (size > 2 && strcmp(input->text + size - 2, ":0") == 0) size -= 2;
        *(*inputs)++ = (struct nn_tf_input){.name = input->text, .size = size};
        node->inputs++;
    }
    return true;
}

/* Takes the nodes out of the text: Const ones to reader->consts, others to reader->nodes. */
static bool read_nodes(struct nn_tf_reader *reader, struct nn_tf_input *inputs)
{
    struct nn_prototext_field *root = nn_prototext_root(reader->text);
    for (struct nn_prototext_field *field = nn_prototext_find(root, "node", NULL); field;
         field = nn_prototext_find(root, "node", field)) {
        bool constant = strcmp(text_field(field, "op"), "Const") == 0;
        struct nn_tf_node *node =
            constant ? &reader->consts[reader->const_count] : &reader->nodes[reader->count];
        reader->sorted[reader->count + reader->const_count] = node;
        constant ? reader->const_count++ : reader->count++;
        if (!read_node(reader, node, field, &inputs)) return false;
    }
    int count = reader->count + reader->const_count;
    nn_sort(reader->sorted, (size_t)count, compare_nodes);
    for (int i = 1; i < count; i++) {
        const struct nn_tf_node *node = reader->sorted[i];
        if (compare_nodes(reader->sorted[i - 1], node) == 0)
            return nn_tf_fail(reader, node, NN_ERROR_FORMAT, "another node has the same name");
    }
    return true;
}

/* Finds the nodes that inputs name, and who uses whom. */
static void connect(struct nn_tf_reader *reader)
{
    for (int i = 0; i < reader->count; i++) {
        struct nn_tf_node *node = &reader->nodes[i];
        for (int k = 0; k < node->inputs; k++) {
            struct nn_tf_node *from = nn_tf_find(reader, node->input[k].name, node->input[k].size);
            if (!from || (from >= reader->consts && from < reader->consts + reader->const_count))
                continue;
            node->input[k].node = from;
            from->users++;
            from->user = node;
        }
    }
}

/* One input, one output. */
static bool check_ends(struct nn_tf_reader *reader)
{
    const struct nn_tf_node *input = NULL, *output = NULL;
    char quoted[NN_QUOTED];
    for (int i = 0; i < reader->count; i++) {
        const struct nn_tf_node *node = &reader->nodes[i];
        bool placeholder = strcmp(node->op, "Placeholder") == 0;
        if (placeholder && input)
            return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "a second input, beside %s",
                              nn_quote(quoted, input->name));
        if (!node->users && output)
            return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                              "nobody uses it, nor %s: which is the network's output?",
                              nn_quote(quoted, output->name));
        if (placeholder) input = node;
        if (!node->users) output = node;
    }
    if (input && output) return true;
    nn_quote(quoted, nn_prototext_name(reader->text));
    nn_graph_fail(reader->graph, NN_ERROR_FORMAT, "%s: the network has no %s", quoted,
                  input ? "output: it goes round in a circle" : "Placeholder: no input");
    return false;
}

/* Builds a node whose inputs are built. */
static bool build_node(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    const struct nn_tf_op *op = nn_tf_op_find(node->op);
    node->built = true;
    if (!op) return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "an op that is not known");
    if (node->inputs < op->inputs_min || node->inputs > op->inputs_max)
        return nn_tf_fail(reader, node, NN_ERROR_FORMAT, "expected %d to %d inputs, got %d",
                          op->inputs_min, op->inputs_max, node->inputs);
    if (!nn_tf_common(reader, node)) return false;
    if (node->merged)
        node->value = node->merged->value;
    else
        op->build(reader, node);
    if (reader->graph->status) return false;
    const struct nn_prototext_field *unused = nn_prototext_unused(node->field);
    if (!unused) return true;
    char quoted[NN_QUOTED];
    const struct nn_prototext_field *key = unused->first;
    while (key && (strcmp(key->name, "key") != 0 || !key->text)) key = key->next;
    return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "%s %s (line %d) is not known to %s",
                      key ? "its attribute" : "its field",
                      nn_quote(quoted, key ? key->text : unused->name), unused->line, op->name);
}

/* Builds `node` after all that it needs; the way back from it is a stack of nodes. */
static enum nn_status build_from(struct nn_tf_reader *reader, struct nn_tf_node *node,
                                 struct nn_tf_node **stack)
{
    int depth = 0;
    stack[depth++] = node;
    while (depth) {
        struct nn_tf_node *top = stack[depth - 1], *before = NULL;
        top->waiting = true;
        for (int i = 0; i < top->inputs && !before; i++)
            if (top->input[i].node && !top->input[i].node->built) before = top->input[i].node;
        if (before && before->waiting) {
            nn_tf_fail(reader, before, NN_ERROR_FORMAT, "it needs its own value: a circle");
            return nn_tf_status(reader, before);
        }
        if (before) {
            stack[depth++] = before;
            continue;
        }
        if (!build_node(reader, top)) return nn_tf_status(reader, top);
        top->waiting = false;
        depth--;
    }
    return NN_OK;
}

/* What stands beside the nodes. */
static bool check_rest(struct nn_tf_reader *reader)
{
    struct nn_prototext_field *root = nn_prototext_root(reader->text);
    char quoted[NN_QUOTED], name[NN_QUOTED];
    nn_prototext_find(root, "library", NULL); /* of functions: must be empty */
    nn_prototext_use_all(nn_prototext_find(root, "versions", NULL));
    for (int i = 0; i < reader->const_count; i++) nn_prototext_use_all(reader->consts[i].field);
    const struct nn_prototext_field *unused = nn_prototext_unused(root);
    if (!unused) return true;
    nn_graph_fail(reader->graph, NN_ERROR_UNSUPPORTED, "%s, line %d: %s is not known",
                  nn_quote(quoted, nn_prototext_name(reader->text)), unused->line,
                  nn_quote(name, unused->name));
    return false;
}

static enum nn_status build_all(struct nn_tf_reader *reader, struct nn_tf_node **stack)
{
    connect(reader);
    if (!check_ends(reader)) return nn_graph_status(reader->graph);
    for (int i = 0; i < reader->count; i++) {
        struct nn_tf_node *node = &reader->nodes[i];
        enum nn_status status = node->built ? NN_OK : build_from(reader, node, stack);
        if (status) return status;
    }
    if (!check_rest(reader)) return nn_graph_status(reader->graph);
    enum nn_status status = nn_graph_seal(reader->graph);
    return status ? status : nn_tf_fill_all(reader);
}

/* ---- the files ------------------------------------------------------------------------------- */

static int count_inputs(struct nn_prototext_field *root)
{
    int count = 0;
    for (const struct nn_prototext_field *field = root->first; field; field = field->next)
        count += nn_prototext_count(field, "input");
    return count;
}

/* Everything but the graph is let go of at the end. */
static enum nn_status read_network(struct nn_tf_reader *reader)
{
    struct nn_prototext_field *root = nn_prototext_root(reader->text);
    struct nn_context *context = reader->context;
    int nodes = nn_prototext_count(root, "node"), inputs = count_inputs(root);
    char quoted[NN_QUOTED];
    if (nodes < 1 || nodes > NN_TF_MOST_NODES)
        return nn_fail(context, nodes ? NN_ERROR_UNSUPPORTED : NN_ERROR_FORMAT,
                       "%s: expected a text GraphDef of 1 to %d nodes, got %d",
                       nn_quote(quoted, nn_prototext_name(reader->text)), (int)NN_TF_MOST_NODES,
                       nodes);
    size_t count = (size_t)nodes;
    struct nn_tf_input *input = nn_alloc(context, (size_t)inputs + 1, sizeof *input);
    struct nn_tf_node **stack = nn_alloc(context, count, sizeof *stack);
    reader->nodes = nn_alloc(context, count, sizeof *reader->nodes);
    reader->consts = nn_alloc(context, count, sizeof *reader->consts);
    reader->sorted = nn_alloc(context, count, sizeof *reader->sorted);
    enum nn_status status = NN_ERROR_MEMORY;
    if (input && stack && reader->nodes && reader->consts && reader->sorted)
        status =
            read_nodes(reader, input) ? build_all(reader, stack) : nn_graph_status(reader->graph);
    nn_free(context, input);
    nn_free(context, stack);
    nn_free(context, reader->nodes);
    nn_free(context, reader->consts);
    nn_free(context, (void *)reader->sorted);
    nn_free(context, reader->fills);
    return status;
}

enum nn_status nn_tf_import(struct nn_graph **graph, struct nn_context *context,
                            const struct nn_tf_file *pbtxt, const struct nn_tf_file *pb)
{
    struct nn_tf_reader reader = {.context = context, .pb = pb->name};
    *graph = NULL;
    enum nn_status status =
        nn_prototext_parse(&reader.text, context, pbtxt->bytes, pbtxt->size, pbtxt->name);
    if (!status)
        status = nn_tf_constants_parse(&reader.constants, context, pb->bytes, pb->size, pb->name);
    if (!status && !(reader.graph = nn_graph_new(context))) status = NN_ERROR_MEMORY;
    if (!status) status = read_network(&reader);
    nn_tf_constants_free(&reader.constants);
    nn_prototext_free(&reader.text);
    if (status && reader.graph) nn_graph_free(&reader.graph);
    *graph = reader.graph;
    return status;
}

enum nn_status nn_import_tensorflow(struct nn_graph **graph, struct nn_context *context,
                                    const char *pbtxt, const char *pb)
{
    struct nn_tf_file text = {.name = pbtxt}, binary = {.name = pb};
    *graph = NULL;
    enum nn_status status = nn_file_read(context, pbtxt, MAX_TEXT, &text.bytes, &text.size);
    if (!status) status = nn_file_read(context, pb, MAX_BINARY, &binary.bytes, &binary.size);
    if (!status) status = nn_tf_import(graph, context, &text, &binary);
    nn_free(context, text.bytes);
    nn_free(context, binary.bytes);
    return status;
}
