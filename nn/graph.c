/*
 * graph.c — building a network: nodes are appended to an array, inputs before their users.
 *
 * Model code is a list of calls without checks, so the first error sticks to the graph, every
 * later call returns NULL, and nn_compile reports it.
 */
#include "nn/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- arena: what lives as long as the graph -------------------------------------------------- */

enum { CHUNK_BYTES = 16 * 1024 };

struct nn_arena_chunk {
    struct nn_arena_chunk *next;
    size_t used, size;
    /* the bytes follow */
};

void *nn_graph_alloc(struct nn_graph *graph, size_t count, size_t size)
{
    size_t bytes;
    if (!nn_size_multiply(&bytes, count, size) || bytes > SIZE_MAX / 2) {
        nn_graph_fail(graph, NN_ERROR_MEMORY, "out of memory: %zu items of %zu bytes", count, size);
        return NULL;
    }
    bytes = (bytes + 15) & ~(size_t)15;
    struct nn_arena_chunk *chunk = graph->arena;
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = nn_alloc(graph->context, 1, sizeof *chunk + 64 + room);
        if (!chunk) {
            nn_graph_fail(graph, NN_ERROR_MEMORY, "%s", nn_error(graph->context));
            return NULL;
        }
        *chunk = (struct nn_arena_chunk){graph->arena, 0, room};
        graph->arena = chunk;
    }
    char *memory = (char *)chunk + 64 + chunk->used;
    chunk->used += bytes;
    return memory;
}

/* ---- graph ----------------------------------------------------------------------------------- */

struct nn_graph *nn_graph_new(struct nn_context *context)
{
    struct nn_graph *graph = nn_alloc(context, 1, sizeof *graph);
    if (graph) graph->context = context;
    return graph;
}

void nn_graph_free(struct nn_graph **freed)
{
    struct nn_graph *graph = *freed;
    if (!graph) return;
    struct nn_context *context = graph->context;
    for (struct nn_arena_chunk *chunk = graph->arena, *next; chunk; chunk = next) {
        next = chunk->next;
        nn_free(context, chunk);
    }
    nn_free(context, graph->nodes);
    nn_free(context, graph->values);
    nn_free(context, graph);
    *freed = NULL;
}

enum nn_status nn_graph_fail(struct nn_graph *graph, enum nn_status status, const char *format, ...)
{
    if (graph->status) return graph->status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(graph->error, sizeof graph->error, format, arguments);
    va_end(arguments);
    graph->status = status;
    return nn_fail(graph->context, status, "%s", graph->error);
}

enum nn_status nn_graph_status(const struct nn_graph *graph)
{
    if (graph->status) return nn_fail(graph->context, graph->status, "%s", graph->error);
    return NN_OK;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static bool reserve_node(struct nn_graph *graph)
{
    if (graph->count < graph->capacity) return true;
    int capacity = graph->capacity ? 2 * graph->capacity : 64;
    struct nn_node **grown =
        nn_realloc(graph->context, graph->nodes, (size_t)capacity, sizeof(struct nn_node *));
    if (!grown) {
        nn_graph_fail(graph, NN_ERROR_MEMORY, "%s", nn_error(graph->context));
        return false;
    }
    graph->nodes = grown;
    graph->capacity = capacity;
    return true;
}

static struct nn_node *new_node(struct nn_graph *graph, enum nn_kind kind, int inputs)
{
    if (graph->status || !reserve_node(graph)) return NULL;
    struct nn_node *node = nn_graph_alloc(graph, 1, sizeof *node);
    if (!node) return NULL;
    memset(node, 0, sizeof *node);
    node->graph = graph;
    node->kind = kind;
    node->index = graph->count;
    node->inputs = inputs;
    if (inputs) {
        node->input = nn_graph_alloc(graph, (size_t)inputs, sizeof *node->input);
        if (!node->input) return NULL;
    }
    return node;
}

static const char *copy_name(struct nn_graph *graph, const char *name)
{
    size_t size = strlen(name) + 1;
    char *copy = nn_graph_alloc(graph, size, 1);
    if (copy) memcpy(copy, name, size);
    return copy;
}

static bool name_is_taken(const struct nn_graph *graph, const char *name)
{
    return nn_find(graph, name) != NULL;
}

struct nn_node *nn_name(struct nn_node *node, const char *name)
{
    if (!node) return NULL;
    struct nn_graph *graph = node->graph;
    if (strlen(name) == 0 || strlen(name) > 200) {
        nn_graph_fail(graph, NN_ERROR_ARGUMENT, "a node's name has 1 to 200 bytes, not %zu",
                      strlen(name));
        return NULL;
    }
    struct nn_node *other = nn_find(graph, name);
    if (other && other != node) {
        nn_graph_fail(graph, NN_ERROR_ARGUMENT, "two nodes are called '%s'", name);
        return NULL;
    }
    node->name = copy_name(graph, name);
    return node->name ? node : NULL;
}

static bool number_is_taken(char name[224], const struct nn_graph *graph, const char *stem,
                            uint64_t number)
{
    snprintf(name, 224, "%s_%" PRIu64, stem, number);
    return name_is_taken(graph, name);
}

/* "relu" is free: stem; else stem_1, stem_2 ... as Keras counts. A file may name ten thousand nodes
 * so: the first free number after a taken one is found by doubling, then halving. */
static struct nn_node *name_automatically(struct nn_node *node, const char *stem)
{
    const uint64_t most = UINT64_C(1) << 62; /* taken only by a file that tries hard */
    char name[224];
    uint64_t taken = 0, above = 1;
    snprintf(name, sizeof name, "%s", stem);
    if (!name_is_taken(node->graph, name)) return nn_name(node, name);
    while (above < most && number_is_taken(name, node->graph, stem, above))
        taken = above, above *= 2;
    while (above - taken > 1) {
        uint64_t middle = taken + (above - taken) / 2;
        *(number_is_taken(name, node->graph, stem, middle) ? &taken : &above) = middle;
    }
    snprintf(name, sizeof name, "%s_%" PRIu64, stem, above);
    return nn_name(node, name);
}

static struct nn_node *add_node(struct nn_node *node)
{
    if (node && node->name) {
        node->graph->nodes[node->graph->count++] = node;
        return node;
    }
    return NULL;
}

static bool check_shape(struct nn_graph *graph, const char *name, struct nn_shape shape, int least)
{
    bool good = shape.rank >= 1 && shape.rank <= NN_MAX_RANK;
    for (int i = 0; good && i < shape.rank; i++) good = shape.dim[i] >= (i == 0 ? least : 1);
    size_t count = good ? nn_shape_count(shape) : 0;
    if (good && count > 0 && count <= (size_t)INT32_MAX) return true;
    char text[64];
    if (shape.rank < 0 || shape.rank > NN_MAX_RANK) shape.rank = 0;
    nn_graph_fail(graph, NN_ERROR_SHAPE,
                  "'%s': %s is not a shape: 1 to %d dimensions of 1 or more, under 2^31 in all",
                  name, nn_shape_text(text, shape), NN_MAX_RANK);
    return false;
}

struct nn_node *nn_input(struct nn_graph *graph, const char *name, struct nn_shape shape)
{
    if (!check_shape(graph, name, shape, NN_BATCH)) return NULL;
    struct nn_node *node = new_node(graph, NN_KIND_INPUT, 0);
    if (!node) return NULL;
    node->shape = shape;
    return add_node(nn_name(node, name));
}

static struct nn_node *new_values(struct nn_graph *graph, enum nn_kind kind, const char *name,
                                  struct nn_shape shape, enum nn_initializer initializer)
{
    if (graph->values) {
        nn_graph_fail(graph, NN_ERROR_ARGUMENT,
                      "'%s': parameters come before the graph is initialised or compiled", name);
        return NULL;
    }
    if (!check_shape(graph, name, shape, 1)) return NULL;
    struct nn_node *node = new_node(graph, kind, 0);
    if (!node) return NULL;
    node->shape = shape;
    node->initializer = initializer;
    return add_node(nn_name(node, name));
}

struct nn_node *nn_parameter(struct nn_graph *graph, const char *name, struct nn_shape shape,
                             enum nn_initializer initializer)
{
    return new_values(graph, NN_KIND_PARAMETER, name, shape, initializer);
}

struct nn_node *nn_state(struct nn_graph *graph, const char *name, struct nn_shape shape,
                         enum nn_initializer initializer)
{
    return new_values(graph, NN_KIND_STATE, name, shape, initializer);
}

struct nn_node *nn_append(const struct nn_op *op, struct nn_node *const *inputs, int count,
                          const void *attributes)
{
    struct nn_graph *graph = NULL;
    bool missing = count < op->inputs_min || count > op->inputs_max;
    for (int i = 0; i < count; i++) {
        if (!inputs[i])
            missing = true;
        else
            graph = inputs[i]->graph;
    }
    if (!graph || graph->status) return NULL;
    if (missing) {
        nn_graph_fail(graph, NN_ERROR_ARGUMENT, "%s: an input is missing", op->name);
        return NULL;
    }
    struct nn_node *node = new_node(graph, NN_KIND_OP, count);
    if (!node) return NULL;
    node->op = op;
    for (int i = 0; i < count; i++) {
        if (inputs[i]->graph != graph) {
            nn_graph_fail(graph, NN_ERROR_ARGUMENT, "%s: its inputs are of two graphs", op->name);
            return NULL;
        }
        node->input[i] = inputs[i];
    }
    node->attributes = nn_graph_alloc(graph, 1, op->attributes_size);
    if (!node->attributes) return NULL;
    if (op->attributes_size) memcpy(node->attributes, attributes, op->attributes_size);
    if (!name_automatically(node, op->stem) || op->infer(node) != NN_OK ||
        !check_shape(graph, node->name, node->shape, NN_BATCH))
        return NULL;
    return add_node(node);
}

/* ---- looking --------------------------------------------------------------------------------- */

struct nn_node *nn_find(const struct nn_graph *graph, const char *name)
{
    for (int i = 0; i < graph->count; i++)
        if (strcmp(graph->nodes[i]->name, name) == 0) return graph->nodes[i];
    return NULL;
}

int nn_node_count(const struct nn_graph *graph)
{
    return graph->count;
}

struct nn_node *nn_node_at(const struct nn_graph *graph, int index)
{
    return index >= 0 && index < graph->count ? graph->nodes[index] : NULL;
}

const char *nn_node_name(const struct nn_node *node)
{
    return node->name;
}

const char *nn_node_op(const struct nn_node *node)
{
    static const char *const kinds[] = {"input", "parameter", "state"};
    return node->kind == NN_KIND_OP ? node->op->name : kinds[node->kind];
}

const char *nn_node_title(const struct nn_node *node)
{
    return node->kind == NN_KIND_OP ? node->op->title : "InputLayer";
}

struct nn_shape nn_node_shape(const struct nn_node *node)
{
    return node->shape;
}

int nn_node_inputs(const struct nn_node *node)
{
    return node->inputs;
}

struct nn_node *nn_node_input(const struct nn_node *node, int index)
{
    return index >= 0 && index < node->inputs ? node->input[index] : NULL;
}

double nn_node_multiply_adds(const struct nn_node *node)
{
    return node->op && node->op->multiply_adds ? node->op->multiply_adds(node) : 0.0;
}

/* ---- values ---------------------------------------------------------------------------------- */

static size_t place_values(struct nn_graph *graph, enum nn_kind kind, size_t offset)
{
    enum { PADDED = 16 }; /* floats: one cache line, one AVX-512 register */
    for (int i = 0; i < graph->count; i++) {
        struct nn_node *node = graph->nodes[i];
        if (node->kind != kind) continue;
        node->offset = offset;
        offset += (nn_shape_count(node->shape) + PADDED - 1) / PADDED * PADDED;
    }
    return offset;
}

enum nn_status nn_graph_seal(struct nn_graph *graph)
{
    if (graph->status) return nn_graph_status(graph);
    if (graph->released_by)
        return nn_fail(graph->context, NN_ERROR_ARGUMENT,
                       "this graph's weights are gone: a plan was compiled with release_weights");
    if (graph->values) return NN_OK;
    graph->trained_floats = place_values(graph, NN_KIND_PARAMETER, 0);
    graph->value_floats = place_values(graph, NN_KIND_STATE, graph->trained_floats);
    size_t floats = graph->value_floats ? graph->value_floats : 1;
    graph->values = nn_alloc(graph->context, floats, sizeof(float));
    return graph->values ? NN_OK : NN_ERROR_MEMORY;
}

float *nn_values(struct nn_node *node)
{
    if (!node || (node->kind != NN_KIND_PARAMETER && node->kind != NN_KIND_STATE)) return NULL;
    if (nn_graph_seal(node->graph)) return NULL;
    return node->graph->values + node->offset;
}

void nn_parameters_changed(struct nn_graph *graph)
{
    graph->version++;
}
