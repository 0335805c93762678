/*
 * tensorflow_graph.c — constants: TensorProto in text and on the wire, and the nodes of a binary
 * (frozen) GraphDef that lead to one.
 *
 * The 8-bit files were made by TensorFlow's quantize_weights: a weight w is Dequantize(w_const,
 * w_min, w_max) in mode MIN_FIRST, which means (tensorflow/core/kernels/quantization_utils.h)
 *
 *     scale = (max - min) / 255,   value(q) = (q + round(min / scale)) * scale
 *
 * so that 0 is among the values. OpenCV computes the same, q * scale + round(min / scale) * scale
 * in float32, with halves rounded to even: so done here.
 */
#include "nn/format/sort.h"
#include "nn/format/tensorflow.h"

#include <math.h>
#include <string.h>

enum { MOST_NODES = 100000, MOST_HOPS = 8 };

/* Numbers of fields. */
enum { GRAPH_NODE = 1 };
enum { NODE_NAME = 1, NODE_OP = 2, NODE_INPUT = 3, NODE_ATTR = 5 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { ATTR_STRING = 2, ATTR_INT = 3, ATTR_BOOL = 5, ATTR_TYPE = 6, ATTR_TENSOR = 8 };
enum { TENSOR_TYPE = 1, TENSOR_SHAPE = 2, TENSOR_CONTENT = 4 };
enum { SHAPE_DIM = 2, SHAPE_UNKNOWN_RANK = 3, DIM_SIZE = 1 };

/* ---- tensors --------------------------------------------------------------------------------- */

static const struct type_row {
    enum nn_tf_type type;
    const char *name; /* in text */
    size_t bytes;     /* of a value in tensor_content */
    const char *list; /* the field that lists values, in text and as a number */
    uint32_t list_number;
} TYPES[] = {{NN_TF_FLOAT, "DT_FLOAT", 4, "float_val", 5},
             {NN_TF_INT32, "DT_INT32", 4, "int_val", 7},
             {NN_TF_INT64, "DT_INT64", 8, "int64_val", 10},
             {NN_TF_QUINT8, "DT_QUINT8", 1, "int_val", 7}};
enum { TYPE_COUNT = sizeof TYPES / sizeof *TYPES };

static const char UNKNOWN_TYPE[] = "its type is none of float, int32, int64 and quint8";
static const char DAMAGED[] = "it is damaged";
static const char BAD_VALUE[] = "one of its values is not a number of its type";

static const struct type_row *row_of(const struct nn_tf_tensor *tensor)
{
    for (int i = 0; i < TYPE_COUNT; i++)
        if (TYPES[i].type == tensor->type) return &TYPES[i];
    return NULL;
}

static bool fits_type(enum nn_tf_type type, double value)
{
    return type != NN_TF_QUINT8 || (value >= 0 && value <= 255);
}

static const char *add_dim(struct nn_tf_tensor *tensor, int64_t dim)
{
    if (tensor->rank == NN_TF_MOST_AXES || dim < 1 || dim > INT32_MAX)
        return "expected at most 8 dimensions from 1 to 2^31 - 1";
    tensor->dim[tensor->rank++] = (int)dim;
    return NULL;
}

/* Whether there are as many values as the shape wants. */
static const char *check_values(struct nn_tf_tensor *tensor, size_t content_size)
{
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++)
        if (!nn_size_multiply(&tensor->count, tensor->count, (size_t)tensor->dim[i]) ||
            tensor->count > INT32_MAX)
            return "its shape has more than 2^31 - 1 values";
    size_t bytes = tensor->count * row_of(tensor)->bytes;
    if (tensor->content ? tensor->listed || content_size != bytes
                        : tensor->listed < 1 || tensor->listed > tensor->count)
        return "its values are not as many as its shape says";
    return NULL;
}

/* TensorShapeProto, appended to the tensor's. */
static const char *read_shape(struct nn_tf_tensor *tensor, struct nn_protowire shape)
{
    struct nn_protowire_field field, part;
    while (nn_protowire_next(&shape, &field)) {
        if (field.number == SHAPE_UNKNOWN_RANK) return "its shape is unknown";
        if (field.number != SHAPE_DIM) continue;
        struct nn_protowire dim = nn_protowire_enter(&field);
        int64_t size = 0;
        while (nn_protowire_next(&dim, &part))
            if (part.number == DIM_SIZE && part.type == NN_PROTOWIRE_VARINT)
                size = (int64_t)part.value;
        if (dim.damaged) return DAMAGED;
        const char *wrong = add_dim(tensor, size);
        if (wrong) return wrong;
    }
    return shape.damaged ? DAMAGED : NULL;
}

/* The next value of those that a message lists one by one or packed; false at the end. */
struct list {
    const struct type_row *row;
    struct nn_protowire message, packed;
    bool damaged;
};
static bool next_listed(struct list *list, double *value)
{
    struct nn_protowire_field field;
    uint64_t number;
    while (list->packed.at >= list->packed.end) {
        do
            if (!nn_protowire_next(&list->message, &field)) return false;
        while (field.number != list->row->list_number);
        if (field.type != NN_PROTOWIRE_BYTES &&
            field.type !=
                (list->row->type == NN_TF_FLOAT ? NN_PROTOWIRE_FIXED32 : NN_PROTOWIRE_VARINT))
            return !(list->damaged = true);
        list->packed = nn_protowire_open(field.bytes, field.size);
    }
    if (list->row->type == NN_TF_FLOAT) {
        if (list->packed.end - list->packed.at < 4) return !(list->damaged = true);
        *value = (double)nn_protowire_float(list->packed.at);
        list->packed.at += 4;
        return true;
    }
    if (!nn_protowire_varint(&list->packed, &number)) return !(list->damaged = true);
    *value = (double)(int64_t)number;
    return true;
}

static const char *tensor_from_wire(struct nn_tf_tensor *tensor, struct nn_protowire message)
{
    struct nn_protowire_field field;
    size_t content_size = 0;
    double value;
    *tensor = (struct nn_tf_tensor){.message = message};
    while (nn_protowire_next(&message, &field)) {
        const char *wrong = NULL;
        if (field.number == TENSOR_TYPE && field.type == NN_PROTOWIRE_VARINT) {
            tensor->type = (enum nn_tf_type)(field.value < 100 ? field.value : 0);
        } else if (field.number == TENSOR_SHAPE) {
            wrong = read_shape(tensor, nn_protowire_enter(&field));
        } else if (field.number == TENSOR_CONTENT && field.type == NN_PROTOWIRE_BYTES &&
                   field.size) { /* an empty one is none */
            tensor->content = field.bytes;
            content_size = field.size;
        }
        if (wrong) return wrong;
    }
    if (message.damaged) return DAMAGED;
    const struct type_row *row = row_of(tensor);
    if (!row) return UNKNOWN_TYPE;
    struct list list = {.row = row, .message = tensor->message};
    while (next_listed(&list, &value)) {
        if (!fits_type(tensor->type, value)) return BAD_VALUE;
        tensor->listed++;
    }
    return list.damaged ? DAMAGED : check_values(tensor, content_size);
}

/* Counts the values that a text lists; each must be a number. */
static const char *check_list(struct nn_tf_tensor *tensor, struct nn_prototext_field *text)
{
    const char *name = row_of(tensor)->list;
    for (struct nn_prototext_field *field = nn_prototext_find(text, name, NULL); field;
         field = nn_prototext_find(text, name, field)) {
        int64_t whole;
        double number;
        bool good = tensor->type == NN_TF_FLOAT
                        ? nn_prototext_float(&number, field)
                        : nn_prototext_int(&whole, field) && fits_type(tensor->type, (double)whole);
        if (!good) return BAD_VALUE;
        tensor->listed++;
    }
    return NULL;
}

const char *nn_tf_tensor_from_text(struct nn_tf_tensor *tensor, struct nn_prototext_field *text)
{
    *tensor = (struct nn_tf_tensor){.text = text};
    struct nn_prototext_field *type = nn_prototext_find(text, "dtype", NULL);
    for (int i = 0; type && type->kind == NN_PROTOTEXT_WORD && i < TYPE_COUNT; i++)
        if (strcmp(type->text, TYPES[i].name) == 0) tensor->type = TYPES[i].type;
    if (!row_of(tensor)) return UNKNOWN_TYPE;
    struct nn_prototext_field *shape = nn_prototext_find(text, "tensor_shape", NULL);
    for (struct nn_prototext_field *dim = nn_prototext_find(shape, "dim", NULL); dim;
         dim = nn_prototext_find(shape, "dim", dim)) {
        int64_t size = 0;
        nn_prototext_int(&size, nn_prototext_find(dim, "size", NULL));
        const char *wrong = add_dim(tensor, size);
        if (wrong) return wrong;
    }
    struct nn_prototext_field *content = nn_prototext_find(text, "tensor_content", NULL);
    if (content && (content->kind != NN_PROTOTEXT_STRING || !content->size))
        return "its tensor_content is no string of bytes";
    if (content) tensor->content = (const uint8_t *)content->text;
    const char *wrong = check_list(tensor, text);
    return wrong ? wrong : check_values(tensor, content ? content->size : 0);
}

/* ---- values ---------------------------------------------------------------------------------- */

static double content_value(const struct nn_tf_tensor *tensor, size_t index)
{
    const uint8_t *at = tensor->content + index * row_of(tensor)->bytes;
    if (tensor->type == NN_TF_FLOAT) return (double)nn_protowire_float(at);
    uint64_t bits = 0;
    for (size_t i = row_of(tensor)->bytes; i-- > 0;) bits = bits << 8 | at[i];
    if (tensor->type == NN_TF_INT32) return (double)(int32_t)(uint32_t)bits;
    return (double)(int64_t)bits;
}

/* Walks over the values, whatever they lie in. */
struct walk {
    const struct nn_tf_tensor *tensor;
    size_t index;
    double last;
    struct list list;
    const struct nn_prototext_field *text; /* the last one taken */
};

static struct walk start_walk(const struct nn_tf_tensor *tensor)
{
    return (struct walk){.tensor = tensor,
                         .list = {.row = row_of(tensor), .message = tensor->message}};
}

static double next_value(struct walk *walk)
{
    const struct nn_tf_tensor *tensor = walk->tensor;
    size_t index = walk->index++;
    if (tensor->content) return content_value(tensor, index);
    if (index >= tensor->listed) return walk->last; /* the last one stands for the rest */
    if (!tensor->text) {
        next_listed(&walk->list, &walk->last);
        return walk->last;
    }
    const struct nn_prototext_field *field = walk->text ? walk->text->next : tensor->text->first;
    while (strcmp(field->name, walk->list.row->list) != 0) field = field->next;
    walk->text = field;
    int64_t whole;
    if (tensor->type != NN_TF_FLOAT && nn_prototext_int(&whole, field))
        walk->last = (double)whole;
    else
        nn_prototext_float(&walk->last, field);
    return walk->last;
}

/* What the 256 codes stand for. */
static void make_table(float table[256], const struct nn_tf_tensor *tensor)
{
    float scale = (tensor->high - tensor->low) / 255.0f;
    float zero = scale > 0.0f ? scale * rintf(tensor->low / scale) : tensor->low;
    for (int i = 0; i < 256; i++) table[i] = (float)i * scale + zero;
}

void nn_tf_tensor_floats(float *to, const struct nn_tf_tensor *tensor)
{
    float table[256];
    struct walk walk = start_walk(tensor);
    if (tensor->quantised) make_table(table, tensor);
    if (tensor->quantised && tensor->content) {
        for (size_t i = 0; i < tensor->count; i++) to[i] = table[tensor->content[i]];
        return;
    }
    for (size_t i = 0; i < tensor->count; i++) {
        double value = next_value(&walk);
        to[i] = tensor->quantised ? table[(int)value] : (float)value;
    }
}

int nn_tf_tensor_ints(int *to, int most, const struct nn_tf_tensor *tensor)
{
    struct walk walk = start_walk(tensor);
    if ((tensor->type != NN_TF_INT32 && tensor->type != NN_TF_INT64) ||
        tensor->count > (size_t)most)
        return 0;
    for (size_t i = 0; i < tensor->count; i++) {
        double value = next_value(&walk);
        if (value < INT32_MIN || value > INT32_MAX) return 0;
        to[i] = (int)value;
    }
    return (int)tensor->count;
}

/* ---- nodes of the binary file ---------------------------------------------------------------- */

/* Bytes that are a text, without a NUL. */
struct span {
    const uint8_t *bytes;
    size_t size;
};

struct entry {
    struct span name, op, message;
};

struct nn_tf_constants {
    struct nn_context *context;
    size_t count;
    const void **sorted; /* entries by name */
    struct entry entries[];
};

static bool span_is(struct span span, const char *text)
{
    return span.size == strlen(text) && memcmp(span.bytes, text, span.size) == 0;
}

static int compare_spans(struct span a, struct span b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.bytes, b.bytes, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_entries(const void *a, const void *b)
{
    return compare_spans(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static enum nn_status fail_damaged(struct nn_context *context, const char *name, size_t at,
                                   size_t size)
{
    char quoted[NN_QUOTED];
    return nn_fail(context, NN_ERROR_FORMAT,
                   "%s: damaged at byte %zu of %zu, or no binary GraphDef", nn_quote(quoted, name),
                   at, size);
}

/* Name and op of a node; false when it is damaged, *at says where. */
static bool read_entry(struct entry *entry, const struct nn_protowire_field *field,
                       const uint8_t **at)
{
    struct nn_protowire message = nn_protowire_enter(field);
    struct nn_protowire_field part;
    *entry = (struct entry){.message = {field->bytes, field->size}};
    while (nn_protowire_next(&message, &part)) {
        if (part.number != NODE_NAME && part.number != NODE_OP) continue;
        if (part.type != NN_PROTOWIRE_BYTES) message.damaged = true;
        struct span span = {part.bytes, part.size};
        *(part.number == NODE_NAME ? &entry->name : &entry->op) = span;
    }
    *at = message.at;
    return !message.damaged;
}

static enum nn_status fill_entries(struct nn_tf_constants *constants, const uint8_t *bytes,
                                   size_t size, const char *name)
{
    struct nn_protowire message = nn_protowire_open(bytes, size);
    struct nn_protowire_field field;
    size_t count = 0;
    const uint8_t *at;
    while (nn_protowire_next(&message, &field)) {
        if (field.number != GRAPH_NODE) continue;
        struct entry *entry = &constants->entries[count];
        if (!read_entry(entry, &field, &at))
            return fail_damaged(constants->context, name, (size_t)(at - bytes), size);
        constants->sorted[count++] = entry;
    }
    nn_sort(constants->sorted, count, compare_entries);
    for (size_t i = 1; i < count; i++)
        if (compare_entries(constants->sorted[i - 1], constants->sorted[i]) == 0) {
            char quoted[NN_QUOTED];
            return nn_fail(constants->context, NN_ERROR_FORMAT,
                           "%s: two of its nodes have the same name", nn_quote(quoted, name));
        }
    return NN_OK;
}

enum nn_status nn_tf_constants_parse(struct nn_tf_constants **parsed, struct nn_context *context,
                                     const void *bytes, size_t size, const char *name)
{
    struct nn_protowire message = nn_protowire_open(bytes, size);
    struct nn_protowire_field field;
    size_t count = 0;
    char quoted[NN_QUOTED];
    *parsed = NULL;
    while (nn_protowire_next(&message, &field)) count += field.number == GRAPH_NODE;
    if (message.damaged)
        return fail_damaged(context, name, (size_t)(message.at - (const uint8_t *)bytes), size);
    if (count < 1 || count > MOST_NODES)
        return nn_fail(context, count ? NN_ERROR_UNSUPPORTED : NN_ERROR_FORMAT,
                       "%s: expected a binary GraphDef of 1 to %d nodes, got %zu",
                       nn_quote(quoted, name), MOST_NODES, count);
    struct nn_tf_constants *constants =
        nn_alloc(context, 1, sizeof *constants + count * sizeof *constants->entries);
    if (!constants) return NN_ERROR_MEMORY;
    constants->context = context;
    constants->count = count;
    constants->sorted = nn_alloc(context, count, sizeof *constants->sorted);
    enum nn_status status =
        constants->sorted ? fill_entries(constants, bytes, size, name) : NN_ERROR_MEMORY;
    if (status) nn_tf_constants_free(&constants);
    *parsed = constants;
    return status;
}

void nn_tf_constants_free(struct nn_tf_constants **freed)
{
    struct nn_tf_constants *constants = *freed;
    if (!constants) return;
    struct nn_context *context = constants->context;
    nn_free(context, (void *)constants->sorted);
    nn_free(context, constants);
    *freed = NULL;
}

static const struct entry *find_entry(const struct nn_tf_constants *constants, struct span name)
{
    size_t low = 0, high = constants->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *entry = constants->sorted[middle];
        int order = compare_spans(name, entry->name);
        if (order == 0) return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Input `index` of a node, without its ":0"; size 0: there is none. */
static struct span input_of(const struct entry *entry, int index)
{
    struct nn_protowire message = nn_protowire_open(entry->message.bytes, entry->message.size);
    struct nn_protowire_field field;
    while (nn_protowire_next(&message, &field)) {
        if (field.number != NODE_INPUT || index-- > 0) continue;
        struct span span = {field.bytes, field.size};
        if (span.size > 2 && memcmp(span.bytes + span.size - 2, ":0", 2) == 0) span.size -= 2;
        return span;
    }
    return (struct span){NULL, 0};
}

/* The attributes of a node that matter here. */
struct attributes {
    struct span mode;
    uint64_t type, axis;
    bool narrow;
    bool has_tensor, unknown;
    struct nn_protowire tensor;
};

/* An AttrValue holds one value, as the field of its kind. */
static void read_attribute(struct attributes *attributes, struct span key,
                           const struct nn_protowire_field *value)
{
    if (span_is(key, "value") && value->number == ATTR_TENSOR) {
        attributes->has_tensor = true;
        attributes->tensor = nn_protowire_enter(value);
    } else if (span_is(key, "mode") && value->number == ATTR_STRING) {
        attributes->mode = (struct span){value->bytes, value->size};
    } else if (span_is(key, "T") && value->number == ATTR_TYPE) {
        attributes->type = value->value;
    } else if (span_is(key, "narrow_range") && value->number == ATTR_BOOL) {
        attributes->narrow = value->value != 0;
    } else if (span_is(key, "axis") && value->number == ATTR_INT) {
        attributes->axis = value->value;
    } else if (!span_is(key, "dtype") && !(key.size && key.bytes[0] == '_')) {
        attributes->unknown = true;
    }
}

static struct attributes read_attributes(const struct entry *entry)
{
    struct attributes attributes = {.axis = UINT64_MAX}; /* -1: the whole tensor has one range */
    struct nn_protowire message = nn_protowire_open(entry->message.bytes, entry->message.size);
    struct nn_protowire_field field, part, value;
    while (nn_protowire_next(&message, &field)) {
        if (field.number != NODE_ATTR) continue;
        struct nn_protowire pair = nn_protowire_enter(&field), inside = {NULL, NULL, false};
        struct span key = {NULL, 0};
        while (nn_protowire_next(&pair, &part)) {
            if (part.number == ENTRY_KEY) key = (struct span){part.bytes, part.size};
            if (part.number == ENTRY_VALUE) inside = nn_protowire_enter(&part);
        }
        while (nn_protowire_next(&inside, &value)) read_attribute(&attributes, key, &value);
        attributes.unknown |= pair.damaged || inside.damaged;
    }
    return attributes;
}

static const char *read_const(struct nn_tf_tensor *tensor, const struct entry *entry)
{
    struct attributes attributes = read_attributes(entry);
    if (!attributes.has_tensor) return "it has no value";
    return tensor_from_wire(tensor, attributes.tensor);
}

static const char *read_dequantize(struct nn_tf_tensor *tensor,
                                   const struct nn_tf_constants *constants,
                                   const struct entry *entry)
{
    struct attributes attributes = read_attributes(entry);
    struct nn_tf_tensor parts[3];
    float range[2];
    if (attributes.type != NN_TF_QUINT8 || !span_is(attributes.mode, "MIN_FIRST") ||
        attributes.narrow || attributes.axis != UINT64_MAX || attributes.unknown)
        return "its Dequantize is not of quint8 in mode MIN_FIRST";
    for (int i = 0; i < 3; i++) {
        const struct entry *input = find_entry(constants, input_of(entry, i));
        if (!input || !span_is(input->op, "Const")) return "an input of its Dequantize is no Const";
        const char *wrong = read_const(&parts[i], input);
        if (wrong) return wrong;
        if (parts[i].type != (i ? NN_TF_FLOAT : NN_TF_QUINT8) || (i && parts[i].count != 1))
            return "its Dequantize does not get 8-bit codes, a float and a float";
        if (i) nn_tf_tensor_floats(&range[i - 1], &parts[i]);
    }
    *tensor = parts[0];
    tensor->quantised = true;
    tensor->low = range[0];
    tensor->high = range[1];
    if (!isfinite(range[1] - range[0]) || range[0] > range[1])
        return "the range of its Dequantize is none";
    return NULL;
}

const char *nn_tf_constants_find(struct nn_tf_tensor *tensor, bool *found,
                                 const struct nn_tf_constants *constants, const char *name,
                                 size_t name_size)
{
    struct span wanted = {(const uint8_t *)name, name_size};
    const struct entry *entry = find_entry(constants, wanted);
    *found = entry != NULL;
    for (int hop = 0; entry && hop < MOST_HOPS; hop++) {
        if (span_is(entry->op, "Const")) return read_const(tensor, entry);
        if (span_is(entry->op, "Dequantize")) return read_dequantize(tensor, constants, entry);
        if (!span_is(entry->op, "Identity")) break;
        entry = find_entry(constants, input_of(entry, 0));
    }
    return "it is no constant";
}
