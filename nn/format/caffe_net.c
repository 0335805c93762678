/*
 * caffe_net.c — a prototxt's network, layer by layer, as a graph.
 *
 * Blobs are found by name; a layer may write to a blob it reads ("in place"), and later layers read
 * what was written last, so a name stands for its latest value and nothing is ever overwritten.
 * The network is that of the TEST phase. A layer whose data need not change (Permute, Split) has no
 * node. The output is the top that nobody reads; of several the last layer's.
 */
#include "nn/format/caffe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void nn_caffe_net_fail(struct nn_caffe_net *net, enum nn_status status, int line,
                       const char *format, ...)
{
    char name[NN_QUOTED], place[32] = "";
    if (net->status) return;
    net->status = status;
    if (line) snprintf(place, sizeof place, ", line %d", line);
    int used = snprintf(net->error, sizeof net->error,
                        "%s%s: ", nn_quote(name, nn_prototext_name(net->text)), place);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(net->error + used, sizeof net->error - (size_t)used, format, arguments);
    va_end(arguments);
}

void *nn_caffe_grow(struct nn_caffe_net *net, void *items, int *capacity, int count, size_t size)
{
    if (count < *capacity) return items;
    int more = *capacity ? 2 * *capacity : 64;
    void *grown = nn_realloc(net->context, items, (size_t)more, size);
    if (grown)
        *capacity = more;
    else
        nn_caffe_net_fail(net, NN_ERROR_MEMORY, 0, "%s", nn_error(net->context));
    return grown;
}

/* ---- blobs ----------------------------------------------------------------------------------- */

static struct nn_caffe_top *find_top(const struct nn_caffe_net *net, const char *name)
{
    for (int i = net->top_count - 1; i >= 0; i--)
        if (strcmp(net->tops[i].name, name) == 0) return &net->tops[i];
    return NULL;
}

static void put_top(struct nn_caffe_net *net, const char *name, const struct nn_caffe_value *value)
{
    struct nn_caffe_top *top = find_top(net, name);
    if (!top) {
        void *tops =
            nn_caffe_grow(net, net->tops, &net->top_capacity, net->top_count, sizeof *net->tops);
        if (!tops) return;
        net->tops = tops;
        top = &net->tops[net->top_count++];
        top->name = name;
    }
    top->value = *value;
}

/* A string field as a name: not empty, no NUL in it. NULL: an error. */
static const char *name_of(struct nn_caffe_net *net, const struct nn_prototext_field *field)
{
    if (field->kind == NN_PROTOTEXT_STRING && field->size > 0 && strlen(field->text) == field->size)
        return field->text;
    nn_caffe_net_fail(net, NN_ERROR_FORMAT, field->line, "'%s': expected a name in quotes",
                      field->name);
    return NULL;
}

/* ---- input ----------------------------------------------------------------------------------- */

static void add_input(struct nn_caffe_net *net, const char *name, const int *dims, int rank,
                      int line)
{
    static const int order[] = {0, 2, 3, 1};
    struct nn_caffe_value value = {.rank = rank};
    struct nn_shape shape = {.rank = rank};
    if (net->status || !name) return;
    if (net->top_count) {
        nn_caffe_net_fail(net, NN_ERROR_UNSUPPORTED, line,
                          "networks with more than one input are not supported");
        return;
    }
    if (rank < 2) {
        nn_caffe_net_fail(net, NN_ERROR_FORMAT, line,
                          "the input's shape is missing, or has less than 2 dimensions");
        return;
    }
    for (int i = 0; i < rank; i++) {
        value.axis[i] = rank == 4 ? order[i] : i;
        value.dim[i] = dims[i];
        shape.dim[i] = dims[value.axis[i]];
    }
    shape.dim[0] = NN_BATCH;
    value.node = nn_input(net->graph, name, shape);
    if (value.node)
        put_top(net, name, &value);
    else
        nn_caffe_net_fail(net, nn_graph_status(net->graph), line, "%s", nn_error(net->context));
}

/* `input: "data"` with input_shape { dim: 1 ... } or four times input_dim: 1 */
static void add_net_input(struct nn_caffe_net *net, struct nn_prototext_field *root)
{
    int dims[NN_MAX_RANK], rank = 0;
    struct nn_prototext_field *input = nn_prototext_find(root, "input", NULL);
    struct nn_prototext_field *shape = nn_prototext_find(root, "input_shape", NULL);
    if (!input) return; /* then a shape is left over */
    if (nn_prototext_find(root, "input", input)) {
        nn_caffe_net_fail(net, NN_ERROR_UNSUPPORTED, input->line,
                          "networks with more than one input are not supported");
        return;
    }
    if (shape)
        rank = nn_caffe_dims(net, dims, shape, "dim", 1);
    else
        rank = nn_caffe_dims(net, dims, root, "input_dim", 1);
    add_input(net, name_of(net, input), dims, rank, input->line);
}

/* layer { type: "Input" top: "data" input_param { shape { dim: 1 ... } } } */
static void add_input_layer(struct nn_caffe_net *net, struct nn_prototext_field *layer)
{
    int dims[NN_MAX_RANK];
    struct nn_prototext_field *top = nn_prototext_find(layer, "top", NULL);
    struct nn_prototext_field *param = nn_prototext_find(layer, "input_param", NULL);
    struct nn_prototext_field *shape = nn_prototext_find(param, "shape", NULL);
    int rank = nn_caffe_dims(net, dims, shape, "dim", 1);
    if (!top || nn_prototext_find(layer, "top", top))
        nn_caffe_net_fail(net, NN_ERROR_UNSUPPORTED, layer->line,
                          "an Input layer with %d tops; expected one",
                          nn_prototext_count(layer, "top"));
    else
        add_input(net, name_of(net, top), dims, rank, layer->line);
}

/* ---- phases ---------------------------------------------------------------------------------- */

static int64_t level_of(struct nn_caffe_net *net, struct nn_prototext_field *message,
                        const char *name, int64_t fallback)
{
    const struct nn_prototext_field *field = nn_prototext_find(message, name, NULL);
    int64_t level = fallback;
    if (field && !nn_prototext_int(&level, field))
        nn_caffe_net_fail(net, NN_ERROR_FORMAT, field->line, "'%s': expected an integer", name);
    return level;
}

/* Whether the network's state has this stage. */
static bool has_stage(struct nn_prototext_field *state, const struct nn_prototext_field *wanted)
{
    const struct nn_prototext_field *stage = NULL;
    while ((stage = nn_prototext_find(state, "stage", stage)))
        if (stage->size == wanted->size && memcmp(stage->text, wanted->text, wanted->size) == 0)
            return true;
    return false;
}

/* Whether the network's state, always of the TEST phase, meets one rule. */
static bool meets(struct nn_caffe_net *net, struct nn_prototext_field *state,
                  struct nn_prototext_field *rule)
{
    int64_t level = level_of(net, state, "level", 0);
    bool good = level_of(net, rule, "min_level", INT64_MIN) <= level &&
                level <= level_of(net, rule, "max_level", INT64_MAX);
    const struct nn_prototext_field *field = nn_prototext_find(rule, "phase", NULL);
    if (rule->kind != NN_PROTOTEXT_MESSAGE ||
        (field && (field->kind != NN_PROTOTEXT_WORD ||
                   (strcmp(field->text, "TEST") != 0 && strcmp(field->text, "TRAIN") != 0))))
        nn_caffe_net_fail(net, NN_ERROR_FORMAT, rule->line,
                          "'%s': expected a rule like { phase: TEST }", rule->name);
    else if (field && strcmp(field->text, "TRAIN") == 0)
        good = false;
    field = NULL;
    while ((field = nn_prototext_find(rule, "stage", field)))
        if (field->kind == NN_PROTOTEXT_MESSAGE || !has_stage(state, field)) good = false;
    field = NULL;
    while ((field = nn_prototext_find(rule, "not_stage", field)))
        if (field->kind != NN_PROTOTEXT_MESSAGE && has_stage(state, field)) good = false;
    return good;
}

/* Whether the layer is part of the network. */
static bool is_included(struct nn_caffe_net *net, struct nn_prototext_field *state,
                        struct nn_prototext_field *layer)
{
    struct nn_prototext_field *include = nn_prototext_find(layer, "include", NULL);
    struct nn_prototext_field *exclude = nn_prototext_find(layer, "exclude", NULL);
    if (include && exclude) {
        nn_caffe_net_fail(net, NN_ERROR_FORMAT, layer->line,
                          "a layer has either include or exclude rules, not both");
        return false;
    }
    bool met = false;
    for (; include; include = nn_prototext_find(layer, "include", include))
        met = meets(net, state, include) || met;
    if (nn_prototext_count(layer, "include")) return met;
    for (; exclude; exclude = nn_prototext_find(layer, "exclude", exclude))
        met = meets(net, state, exclude) || met;
    return !met;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* V2's types are strings with V2's names, V1's are words of their own. */
static const struct nn_caffe_type *find_type(const struct nn_prototext_field *type, bool v1)
{
    static const struct nn_caffe_type *const tables[] = {
        nn_caffe_conv_types, nn_caffe_channel_types, nn_caffe_shape_types, nn_caffe_ssd_types};
    if (type->kind != (v1 ? NN_PROTOTEXT_WORD : NN_PROTOTEXT_STRING)) return NULL;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct nn_caffe_type *at = tables[i]; at->name; at++) {
            const char *name = v1 ? at->v1 : at->name;
            if (name && strcmp(name, type->text) == 0) return at;
        }
    return NULL;
}

static void find_bottoms(struct nn_caffe_build *layer)
{
    struct nn_caffe_net *net = layer->net;
    const struct nn_caffe_type *type = layer->type;
    struct nn_prototext_field *field = NULL;
    char quoted[NN_QUOTED];
    while ((field = nn_prototext_find(layer->field, "bottom", field))) {
        const char *name = name_of(net, field);
        const struct nn_caffe_top *top = name ? find_top(net, name) : NULL;
        if (!name || layer->bottoms == NN_CAFFE_MOST_BOTTOMS) break;
        if (!top) {
            nn_caffe_fail(layer, NN_ERROR_FORMAT, field->line,
                          "its bottom %s is made by no layer before it", nn_quote(quoted, name));
            return;
        }
        layer->bottom[layer->bottoms++] = top->value;
    }
    if (layer->bottoms < type->bottoms_min || layer->bottoms > type->bottoms_max || field)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, 0, "expected %d to %d bottoms, got %d",
                      type->bottoms_min, type->bottoms_max,
                      nn_prototext_count(layer->field, "bottom"));
}

/* The layer's value under the names of its tops. A name that is taken is only right where the layer
 * also reads it, in the same place. */
static void put_tops(struct nn_caffe_build *layer)
{
    struct nn_caffe_net *net = layer->net;
    const struct nn_prototext_field *bottom = NULL;
    struct nn_prototext_field *field = NULL;
    char quoted[NN_QUOTED];
    for (int count = 0; (field = nn_prototext_find(layer->field, "top", field)); count++) {
        const char *name = name_of(net, field);
        if (count < layer->bottoms) bottom = nn_prototext_find(layer->field, "bottom", bottom);
        if (!name) return;
        bool in_place = count < layer->bottoms && bottom && strcmp(bottom->text, name) == 0;
        if (!in_place && find_top(net, name)) {
            nn_caffe_fail(layer, NN_ERROR_FORMAT, field->line,
                          "its top %s is made by an earlier layer too", nn_quote(quoted, name));
            return;
        }
        if (count && !layer->type->many_tops) {
            nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, field->line, "more than one top");
            return;
        }
        put_top(net, name, &layer->made);
    }
    if (!nn_prototext_count(layer->field, "top"))
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "it has no top");
}

/* A graph's error says which op; this says which layer. */
static void check_graph(struct nn_caffe_build *layer)
{
    enum nn_status status = nn_graph_status(layer->net->graph);
    if (status && !layer->net->status)
        nn_caffe_fail(layer, status, 0, "%s", nn_error(layer->net->context));
}

static void check_blobs(struct nn_caffe_build *layer)
{
    char quoted[NN_QUOTED];
    int got = layer->weights ? layer->weights->blobs : layer->blobs;
    if (got != layer->blobs)
        nn_caffe_fail(layer, NN_ERROR_FORMAT, 0, "expected %d blobs of weights, %s has %d",
                      layer->blobs, nn_quote(quoted, layer->net->weights_name), got);
}

static void check_fields(struct nn_caffe_build *layer)
{
    char quoted[NN_QUOTED];
    const struct nn_prototext_field *unknown = nn_prototext_unused(layer->field);
    if (unknown)
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, unknown->line, "unknown parameter %s",
                      nn_quote(quoted, unknown->name));
}

static void build_layer(struct nn_caffe_build *layer)
{
    const struct nn_caffe_type *type = layer->type;
    struct nn_caffe_net *net = layer->net;
    if (type->param) layer->param = nn_prototext_find(layer->field, type->param, NULL);
    if (net->weights) layer->weights = nn_caffe_weights_find(net->weights, layer->name);
    nn_caffe_use(layer->param, type->ignored);
    find_bottoms(layer);
    if (!net->status) type->build(layer);
    check_graph(layer);
    if (net->status) return;
    if (!layer->made.node) nn_caffe_fail(layer, NN_ERROR_MEMORY, 0, "%s", nn_error(net->context));
    check_blobs(layer);
    put_tops(layer);
    check_fields(layer);
}

static void add_layer(struct nn_caffe_build *layer, struct nn_prototext_field *field, bool v1)
{
    struct nn_caffe_net *net = layer->net;
    struct nn_prototext_field *type = nn_prototext_find(field, "type", NULL);
    struct nn_prototext_field *name = nn_prototext_find(field, "name", NULL);
    nn_caffe_use(field, "param loss_weight propagate_down phase blobs_lr weight_decay "
                        "blob_share_mode");
    if (!type || type->kind == NN_PROTOTEXT_MESSAGE) {
        nn_caffe_net_fail(net, NN_ERROR_FORMAT, field->line, "a layer without a type");
        return;
    }
    layer->field = field;
    layer->type_name = type->text;
    layer->name = "";
    if (strcmp(type->text, "Input") == 0 && !v1) {
        add_input_layer(net, field);
        layer->name = name && name->kind == NN_PROTOTEXT_STRING ? name->text : "";
        check_fields(layer);
        return;
    }
    if (!name) nn_caffe_net_fail(net, NN_ERROR_FORMAT, field->line, "a layer without a name");
    if (!name || !(layer->name = name_of(net, name))) return;
    layer->type = find_type(type, v1);
    if (layer->type)
        build_layer(layer);
    else
        nn_caffe_fail(layer, NN_ERROR_UNSUPPORTED, type->line,
                      "layers of this type are not supported");
}

/* ---- the network ----------------------------------------------------------------------------- */

static enum nn_status check_size(struct nn_caffe_net *net, struct nn_prototext_field *root,
                                 const char *kind)
{
    int layers = 0, links = 0;
    struct nn_prototext_field *field = NULL;
    while ((field = nn_prototext_find(root, kind, field))) {
        layers++;
        links += nn_prototext_count(field, "bottom") + nn_prototext_count(field, "top");
    }
    if (layers > NN_CAFFE_MOST_LAYERS || links > NN_CAFFE_MOST_LINKS)
        nn_caffe_net_fail(net, NN_ERROR_UNSUPPORTED, 0,
                          "%d layers with %d bottoms and tops; at most %d and %d are supported",
                          layers, links, NN_CAFFE_MOST_LAYERS, NN_CAFFE_MOST_LINKS);
    if (layers == 0) nn_caffe_net_fail(net, NN_ERROR_FORMAT, 0, "it has no layers");
    return net->status;
}

/* The last node is the network's output: NHWC where it is a picture, else in Caffe's order. */
static void finish(struct nn_caffe_build *last)
{
    struct nn_caffe_net *net = last->net;
    struct nn_caffe_value *made = &last->made;
    static const int picture[] = {0, 2, 3, 1};
    if (net->status || !made->node) return;
    if (made->rank != 4 || memcmp(made->axis, picture, sizeof picture) != 0)
        *made = nn_caffe_plain(last, made);
    if (made->node && made->node != nn_node_at(net->graph, nn_node_count(net->graph) - 1))
        nn_caffe_helper(last, nn_reshape(made->node, nn_node_shape(made->node)), "output");
    check_graph(last);
}

static void check_lacking(struct nn_caffe_net *net)
{
    char quoted[NN_QUOTED];
    if (net->lacking)
        nn_caffe_net_fail(net, NN_ERROR_FORMAT, 0,
                          "%s has no weights for %d of its layers: %s; is it of this network?",
                          nn_quote(quoted, net->weights_name), net->lacking, net->lacking_names);
}

enum nn_status nn_caffe_net_build(struct nn_caffe_net *net)
{
    char quoted[NN_QUOTED];
    struct nn_prototext_field *root = nn_prototext_root(net->text), *field = NULL;
    bool v1 = !nn_prototext_find(root, "layer", NULL);
    const char *kind = v1 ? "layers" : "layer";
    nn_caffe_use(root, "name force_backward debug_info");
    struct nn_prototext_field *state = nn_prototext_find(root, "state", NULL);
    nn_caffe_use(state, "phase level stage");
    if (check_size(net, root, kind)) return net->status;
    add_net_input(net, root);
    struct nn_caffe_build *last = nn_alloc(net->context, 2, sizeof *last);
    if (!last) {
        nn_caffe_net_fail(net, NN_ERROR_MEMORY, 0, "%s", nn_error(net->context));
        return net->status;
    }
    struct nn_caffe_build *layer = last + 1;
    last->net = net; /* also where no layer makes anything */
    while (!net->status && (field = nn_prototext_find(root, kind, field))) {
        if (!is_included(net, state, field)) {
            nn_prototext_use_all(field);
            continue;
        }
        memset(layer, 0, sizeof *layer);
        layer->net = net;
        add_layer(layer, field, v1);
        if (layer->made.node) *last = *layer;
    }
    const struct nn_prototext_field *unknown = nn_prototext_unused(root);
    if (!net->status && unknown)
        nn_caffe_net_fail(net, NN_ERROR_UNSUPPORTED, unknown->line, "unknown parameter %s",
                          nn_quote(quoted, unknown->name));
    if (!net->status && !last->made.node)
        nn_caffe_net_fail(net, NN_ERROR_FORMAT, 0, "no layer computes anything");
    check_lacking(net);
    finish(last);
    nn_free(net->context, last);
    return net->status;
}
