/*
 * tensorflow_node.c — what a node of the text file says: attributes, constants, and errors that
 * name it.
 */
#include "nn/format/tensorflow.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_CHARGED = 1 << 21 /* floats: 8 MB */ };

/* ---- errors ---------------------------------------------------------------------------------- */

/* "'x.pbtxt', line 7: node 'conv' (Conv2D)" */
static void place_of(char place[4 * NN_QUOTED], const struct nn_tf_reader *reader,
                     const struct nn_tf_node *node)
{
    char file[NN_QUOTED], name[NN_QUOTED], op[NN_QUOTED];
    nn_quote(op, node->op);
    op[strlen(op) - 1] = '\0'; /* without its quotes */
    snprintf(place, 4 * NN_QUOTED, "%s, line %d: node %s (%s)",
             nn_quote(file, nn_prototext_name(reader->text)), node->field->line,
             nn_quote(name, node->name), op + 1);
}

bool nn_tf_fail(struct nn_tf_reader *reader, const struct nn_tf_node *node, enum nn_status status,
                const char *format, ...)
{
    char place[4 * NN_QUOTED], what[2 * NN_QUOTED];
    va_list arguments;
    if (reader->graph->status) return false; /* the first error counts */
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    place_of(place, reader, node);
    nn_graph_fail(reader->graph, status, "%s: %s", place, what);
    reader->told = true;
    return false;
}

enum nn_status nn_tf_status(struct nn_tf_reader *reader, const struct nn_tf_node *node)
{
    char place[4 * NN_QUOTED];
    enum nn_status status = reader->graph->status;
    if (!status || reader->told) return nn_graph_status(reader->graph);
    place_of(place, reader, node);
    return nn_fail(reader->context, status, "%s: %s", place, reader->graph->error);
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* Whether `field` is an attr with this key; nothing is marked. */
static bool has_key(const struct nn_prototext_field *field, const char *key)
{
    if (strcmp(field->name, "attr") != 0) return false;
    for (const struct nn_prototext_field *part = field->first; part; part = part->next)
        if (strcmp(part->name, "key") == 0)
            return part->kind == NN_PROTOTEXT_STRING && strcmp(part->text, key) == 0;
    return false;
}

struct nn_prototext_field *nn_tf_attribute(struct nn_tf_node *node, const char *key)
{
    for (struct nn_prototext_field *field = node->field->first; field; field = field->next) {
        if (!has_key(field, key)) continue;
        field->used = true;
        nn_prototext_find(field, "key", NULL);
        return nn_prototext_find(field, "value", NULL);
    }
    return NULL;
}

/* The part `kind` of an attribute's value, or else `other`; NULL with an error when it is required
 * or there is a value of another kind. */
static struct nn_prototext_field *value_of(struct nn_tf_reader *reader, struct nn_tf_node *node,
                                           const char *key, const char *kind, const char *other)
{
    struct nn_prototext_field *value = nn_tf_attribute(node, key);
    struct nn_prototext_field *found = nn_prototext_find(value, kind, NULL);
    if (!found && other) found = nn_prototext_find(value, other, NULL);
    if (value && !found)
        nn_tf_fail(reader, node, NN_ERROR_FORMAT, "its attribute '%s' has no value '%s'", key,
                   kind);
    return found;
}

/* `required` and missing is an error; so is a value that is not `good`. */
static bool judge(struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
                  const struct nn_prototext_field *value, bool required, bool good)
{
    if (reader->graph->status) return false;
    if (!value && required)
        return nn_tf_fail(reader, node, NN_ERROR_FORMAT, "its attribute '%s' is missing", key);
    if (value && !good)
        return nn_tf_fail(reader, node, NN_ERROR_FORMAT,
                          "the value of its attribute '%s' is not of the right kind or range", key);
    return true;
}

bool nn_tf_int(int *value, struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
               bool required)
{
    struct nn_prototext_field *field = value_of(reader, node, key, "i", NULL);
    int64_t number;
    bool good = nn_prototext_int(&number, field) && number >= INT32_MIN && number <= INT32_MAX;
    if (good) *value = (int)number;
    return judge(reader, node, key, field, required, good);
}

bool nn_tf_float(float *value, struct nn_tf_reader *reader, struct nn_tf_node *node,
                 const char *key, bool required)
{
    struct nn_prototext_field *field = value_of(reader, node, key, "f", "i");
    double number;
    bool good = nn_prototext_float(&number, field) && fabs(number) < 1e30;
    if (good) *value = (float)number;
    return judge(reader, node, key, field, required, good);
}

bool nn_tf_bool(bool *value, struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
                bool required)
{
    struct nn_prototext_field *field = value_of(reader, node, key, "b", NULL);
    return judge(reader, node, key, field, required, nn_prototext_bool(value, field));
}

bool nn_tf_word(int *value, struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
                const char *const *words)
{
    struct nn_prototext_field *field = value_of(reader, node, key, "s", NULL);
    char quoted[NN_QUOTED];
    if (!judge(reader, node, key, field, true, field && field->kind == NN_PROTOTEXT_STRING))
        return false;
    for (*value = 0; words[*value]; ++*value)
        if (strcmp(field->text, words[*value]) == 0) return true;
    return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED, "its attribute '%s' is %s, not %s%s%s",
                      key, nn_quote(quoted, field->text), words[0], words[1] ? " or " : "",
                      words[1] ? words[1] : "");
}

bool nn_tf_list(int value[4], struct nn_tf_reader *reader, struct nn_tf_node *node, const char *key,
                bool required)
{
    struct nn_prototext_field *list = value_of(reader, node, key, "list", NULL);
    bool good = nn_prototext_count(list, "i") == 4;
    struct nn_prototext_field *item = NULL;
    for (int i = 0; i < 4 && good; i++) {
        int64_t number;
        item = nn_prototext_find(list, "i", item);
        good = nn_prototext_int(&number, item) && number >= 1 && number <= 65536;
        if (good) value[i] = (int)number;
    }
    return judge(reader, node, key, list, required, good);
}

bool nn_tf_floats(float *values, int *count, int most, struct nn_tf_reader *reader,
                  struct nn_tf_node *node, const char *key)
{
    struct nn_prototext_field *text = value_of(reader, node, key, "tensor", NULL);
    struct nn_tf_tensor tensor;
    *count = 0;
    if (!text) return !reader->graph->status;
    const char *wrong = nn_tf_tensor_from_text(&tensor, text);
    if (!wrong && (tensor.type != NN_TF_FLOAT || tensor.count > (size_t)most))
        wrong = "it is no float or too long";
    if (wrong)
        return nn_tf_fail(reader, node, NN_ERROR_FORMAT, "its attribute '%s': %s", key, wrong);
    nn_tf_tensor_floats(values, &tensor);
    *count = (int)tensor.count;
    return true;
}

bool nn_tf_common(struct nn_tf_reader *reader, struct nn_tf_node *node)
{
    static const char *const harmless[] = {"Tidx",
                                           "Tshape",
                                           "Tpaddings",
                                           "Tblock_shape",
                                           "Tcrops",
                                           "N",
                                           "U",
                                           "use_cudnn_on_gpu",
                                           "_class",
                                           "_output_shapes",
                                           "exponential_avg_factor",
                                           "grad_a",
                                           "grad_b"};
    static const char *const types[] = {"T", "dtype"};
    static const char *const formats[] = {"NHWC", NULL};
    int which;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        nn_prototext_use_all(nn_tf_attribute(node, harmless[i]));
    nn_prototext_find(nn_tf_attribute(node, "explicit_paddings"), "list", NULL); /* empty */
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct nn_prototext_field *type = value_of(reader, node, types[i], "type", NULL);
        if (!judge(reader, node, types[i], type, false,
                   type && type->text && strcmp(type->text, "DT_FLOAT") == 0))
            return false;
    }
    return !nn_tf_attribute(node, "data_format") ||
           nn_tf_word(&which, reader, node, "data_format", formats);
}

/* ---- constants ------------------------------------------------------------------------------- */

bool nn_tf_constant(struct nn_tf_tensor *tensor, struct nn_tf_reader *reader,
                    struct nn_tf_node *node, int index)
{
    const struct nn_tf_input *input = &node->input[index];
    char name[NN_QUOTED], quoted[NN_QUOTED], file[NN_QUOTED];
    bool found = false;
    const char *wrong = NULL;
    *tensor = (struct nn_tf_tensor){.rank = 0};
    if (reader->graph->status) return false;
    snprintf(name, sizeof name, "%.*s", (int)(input->size < 200 ? input->size : 200), input->name);
    nn_quote(quoted, name);
    if (input->node)
        return nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                          "expected input %d to be a constant, %s is none", index, quoted);
    wrong = nn_tf_constants_find(tensor, &found, reader->constants, input->name, input->size);
    struct nn_tf_node *text = found ? NULL : nn_tf_find(reader, input->name, input->size);
    if (text) {
        struct nn_prototext_field *value = value_of(reader, text, "value", "tensor", NULL);
        wrong = value ? nn_tf_tensor_from_text(tensor, value) : "it has no value";
        struct nn_prototext_field *unused = value ? nn_prototext_unused(value) : NULL;
        if (!wrong && unused) wrong = "it has a field that is not known";
    } else if (!found) {
        return nn_tf_fail(reader, node, NN_ERROR_FORMAT,
                          "its input %s is in neither file: %s belongs to another network", quoted,
                          nn_quote(file, reader->pb));
    }
    return !wrong ||
           nn_tf_fail(reader, node, NN_ERROR_FORMAT, "its constant %s: %s", quoted, wrong);
}

/* Notes where the values of a parameter come from. */
static bool add_fill(struct nn_tf_reader *reader, struct nn_node *node,
                     const struct nn_tf_tensor *tensor)
{
    if (reader->fill_count == reader->fill_capacity) {
        int capacity = reader->fill_capacity ? 2 * reader->fill_capacity : 64;
        void *grown =
            nn_realloc(reader->context, reader->fills, (size_t)capacity, sizeof *reader->fills);
        if (!grown) {
            nn_graph_fail(reader->graph, NN_ERROR_MEMORY, "%s", nn_error(reader->context));
            return false;
        }
        reader->fills = grown;
        reader->fill_capacity = capacity;
    }
    reader->fills[reader->fill_count++] = (struct nn_tf_fill){node, *tensor};
    return true;
}

bool nn_tf_charge(struct nn_tf_reader *reader, const struct nn_tf_node *node, size_t floats)
{
    reader->charged += floats;
    return reader->charged <= MOST_CHARGED ||
           nn_tf_fail(reader, node, NN_ERROR_UNSUPPORTED,
                      "the network takes far more memory than its files have bytes");
}

/* Whether the tensor has the shape, but for ones before its last axis where the shape has one. */
static bool fits(const struct nn_tf_tensor *tensor, struct nn_shape shape)
{
    if (shape.rank == 1)
        return tensor->rank >= 1 && tensor->count == (size_t)shape.dim[0] &&
               tensor->dim[tensor->rank - 1] == shape.dim[0];
    bool same = tensor->rank == shape.rank;
    for (int i = 0; same && i < shape.rank; i++) same = tensor->dim[i] == shape.dim[i];
    return same;
}

struct nn_node *nn_tf_values(struct nn_tf_reader *reader, struct nn_tf_node *node, int index,
                             struct nn_shape shape, bool state)
{
    const struct nn_tf_input *input = &node->input[index];
    struct nn_tf_tensor tensor;
    char name[NN_QUOTED], text[64];
    if (!nn_tf_constant(&tensor, reader, node, index)) return NULL;
    bool one = tensor.count == 1 && shape.rank == 1;
    snprintf(name, sizeof name, "%.*s", (int)(input->size < 201 ? input->size : 201), input->name);
    if ((tensor.type != NN_TF_FLOAT && !tensor.quantised) || (!one && !fits(&tensor, shape))) {
        char quoted[NN_QUOTED];
        nn_tf_fail(reader, node, NN_ERROR_SHAPE,
                   "expected its constant %s to be float of shape %s, got type %d and %zu values",
                   nn_quote(quoted, name), nn_shape_text(text, shape), (int)tensor.type,
                   tensor.count);
        return NULL;
    }
    struct nn_node *values = nn_find(reader->graph, name);
    enum nn_kind kind = state ? NN_KIND_STATE : NN_KIND_PARAMETER;
    if (values && values->kind == kind && nn_shape_equal(values->shape, shape)) return values;
    if (values) { /* once more, for another use */
        if (!nn_tf_charge(reader, node, tensor.count)) return NULL;
        snprintf(name, sizeof name, "%.190s/%d", node->name, index);
    }
    if (tensor.listed < tensor.count && !tensor.content &&
        !nn_tf_charge(reader, node, tensor.count))
        return NULL;
    if (one && !nn_tf_charge(reader, node, (size_t)shape.dim[0])) return NULL;
    values = state ? nn_state(reader->graph, name, shape, NN_ZEROS)
                   : nn_parameter(reader->graph, name, shape, NN_ZEROS);
    return values && add_fill(reader, values, &tensor) ? values : NULL;
}

struct nn_node *nn_tf_uniform(struct nn_tf_reader *reader, struct nn_tf_node *node,
                              const char *what, int channels, float value)
{
    char name[NN_QUOTED];
    /* One code of a range that is a point. */
    struct nn_tf_tensor tensor = {.type = NN_TF_QUINT8,
                                  .count = 1,
                                  .content = (const uint8_t *)"",
                                  .quantised = true,
                                  .low = value,
                                  .high = value};
    if (reader->graph->status || !nn_tf_charge(reader, node, (size_t)channels)) return NULL;
    snprintf(name, sizeof name, "%.200s/%s", node->name, what);
    struct nn_node *values = nn_parameter(reader->graph, name, nn_shape1(channels), NN_ONES);
    return values && add_fill(reader, values, &tensor) ? values : NULL;
}

enum nn_status nn_tf_fill_all(struct nn_tf_reader *reader)
{
    for (int i = 0; i < reader->fill_count; i++) {
        const struct nn_tf_fill *fill = &reader->fills[i];
        float *values = nn_values(fill->node);
        if (!values) return NN_ERROR_MEMORY;
        nn_tf_tensor_floats(values, &fill->tensor);
        size_t count = nn_shape_count(nn_node_shape(fill->node));
        for (size_t k = fill->tensor.count; k < count; k++) values[k] = values[0];
    }
    nn_parameters_changed(reader->graph);
    return NN_OK;
}
