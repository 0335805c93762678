/*
 * caffe_weights.c — reading a .caffemodel.
 *
 * Two walks over the message: one counts layers and bytes of names, one fills in. Of a layer only
 * name, type and blobs matter; the rest (parameters of the layer, which the prototxt gives too, and
 * fields of Caffe's many forks) is skipped, as far as it is whole.
 * Source: src/caffe/proto/caffe.proto of BVLC/caffe; raw_data as in OpenCV's opencv-caffe.proto.
 */
#include "nn/format/caffe_weights.h"
#include "nn/format/protowire.h"
#include "nn/format/sort.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LAYERS = 10000 };

enum { NET_LAYERS_V1 = 2, NET_LAYER = 100 };
enum {
    BLOB_NUM = 1,
    BLOB_WIDTH = 4,
    BLOB_DATA = 5,
    BLOB_SHAPE = 7,
    BLOB_DOUBLE_DATA = 8,
    BLOB_RAW_TYPE = 10,
    BLOB_RAW_DATA = 12
};
enum { RAW_DOUBLE, RAW_FLOAT, RAW_HALF };

/* The numbers of a layer message's fields, in V2 and V1. V1's field 1 is a layer of V0. */
struct layout {
    uint32_t name, type, blobs, older;
};
static const struct layout V2 = {1, 2, 7, 0}, V1 = {4, 5, 6, 1};

/* V1LayerParameter.LayerType, by number; the names are those upgrade_proto.cpp gives. */
static const char *const V1_TYPES[] = {"unknown",
                                       "Accuracy",
                                       "BNLL",
                                       "Concat",
                                       "Convolution",
                                       "Data",
                                       "Dropout",
                                       "EuclideanLoss",
                                       "Flatten",
                                       "HDF5Data",
                                       "HDF5Output",
                                       "Im2col",
                                       "ImageData",
                                       "InfogainLoss",
                                       "InnerProduct",
                                       "LRN",
                                       "MultinomialLogisticLoss",
                                       "Pooling",
                                       "ReLU",
                                       "Sigmoid",
                                       "Softmax",
                                       "SoftmaxWithLoss",
                                       "Split",
                                       "TanH",
                                       "WindowData",
                                       "Eltwise",
                                       "Power",
                                       "SigmoidCrossEntropyLoss",
                                       "HingeLoss",
                                       "MemoryData",
                                       "ArgMax",
                                       "Threshold",
                                       "DummyData",
                                       "Slice",
                                       "MVN",
                                       "AbsVal",
                                       "Silence",
                                       "ContrastiveLoss",
                                       "Exp",
                                       "Deconvolution"};
enum { V1_TYPE_COUNT = sizeof V1_TYPES / sizeof *V1_TYPES };

struct nn_caffe_weights {
    struct nn_context *context;
    void *bytes;
    int count;
    struct nn_caffe_layer *layers;
    const void **sorted; /* the layers by name; of one name, those with blobs first */
    char *names;
};

struct reader {
    struct nn_context *context;
    char name[NN_QUOTED]; /* the file's, quoted */
    const uint8_t *bytes;
    size_t size;
    struct nn_caffe_weights *weights;
    char *names; /* where the next name goes */
};

/* ---- messages -------------------------------------------------------------------------------- */

static enum nn_status fail_damaged(struct reader *r, const uint8_t *at)
{
    return nn_fail(r->context, NN_ERROR_FORMAT,
                   "%s: damaged at byte %zu of %zu, or not a .caffemodel", r->name,
                   (size_t)(at - r->bytes), r->size);
}

static enum nn_status fail_blob(struct reader *r, const struct nn_caffe_layer *layer,
                                enum nn_status status, const char *what)
{
    char quoted[NN_QUOTED];
    return nn_fail(r->context, status, "%s: blob %d of layer %s: %s", r->name, layer->blobs,
                   nn_quote(quoted, layer->name), what);
}

/* ---- blobs ----------------------------------------------------------------------------------- */

/* Bytes of a value that `field` of a BlobProto holds; 0: the field holds none. */
static size_t value_size(const struct nn_protowire_field *field, uint64_t raw_type)
{
    static const size_t raw[] = {[RAW_DOUBLE] = 8, [RAW_FLOAT] = 4, [RAW_HALF] = 2};
    if (field->number == BLOB_DATA) return 4;
    if (field->number == BLOB_DOUBLE_DATA) return 8;
    return field->number == BLOB_RAW_DATA && raw_type <= RAW_HALF ? raw[raw_type] : 0;
}

/* Whether a field of values has a wire type that fits: packed, or one number alone. */
static bool value_type_fits(const struct nn_protowire_field *field)
{
    return field->type == NN_PROTOWIRE_BYTES ||
           (field->number == BLOB_DATA && field->type == NN_PROTOWIRE_FIXED32) ||
           (field->number == BLOB_DOUBLE_DATA && field->type == NN_PROTOWIRE_FIXED64);
}

struct blob_fields {
    uint64_t legacy[4]; /* num, channels, height, width */
    bool has_legacy, has_shape;
    uint64_t raw_type; /* above RAW_HALF: none given */
    uint32_t values;   /* the number of the field that holds them; 0: none yet */
    size_t value_bytes;
};

/* The dimensions of a BlobShape, packed or not, appended to the blob's. */
static enum nn_status read_shape(struct reader *r, const struct nn_caffe_layer *layer,
                                 struct nn_caffe_blob *blob, struct nn_protowire shape)
{
    struct nn_protowire_field field;
    while (nn_protowire_next(&shape, &field)) {
        if (field.number != 1) continue;
        struct nn_protowire packed = nn_protowire_open(field.bytes, field.size);
        uint64_t dim; /* a single one is a run of one */
        if (field.type != NN_PROTOWIRE_VARINT) packed = nn_protowire_enter(&field);
        while (nn_protowire_varint(&packed, &dim)) {
            if (blob->rank == NN_CAFFE_MOST_AXES || dim > INT32_MAX)
                return fail_blob(r, layer, NN_ERROR_FORMAT,
                                 "expected at most 8 dimensions of less than 2^31");
            blob->dim[blob->rank++] = (int)dim;
        }
        if (packed.damaged) return fail_damaged(r, packed.at);
    }
    return shape.damaged ? fail_damaged(r, shape.at) : NN_OK;
}

static enum nn_status read_blob_field(struct reader *r, const struct nn_caffe_layer *layer,
                                      struct nn_caffe_blob *blob, struct blob_fields *seen,
                                      const struct nn_protowire_field *field)
{
    bool varint = field->type == NN_PROTOWIRE_VARINT;
    if (field->number >= BLOB_NUM && field->number <= BLOB_WIDTH) {
        if (!varint || field->value > INT32_MAX)
            return fail_blob(r, layer, NN_ERROR_FORMAT, "a dimension is no number below 2^31");
        seen->legacy[field->number - BLOB_NUM] = field->value;
        seen->has_legacy = true;
    } else if (field->number == BLOB_SHAPE) {
        seen->has_shape = true;
        return read_shape(r, layer, blob, nn_protowire_enter(field));
    } else if (field->number == BLOB_RAW_TYPE) {
        if (!varint || field->value > RAW_HALF)
            return fail_blob(r, layer, NN_ERROR_UNSUPPORTED,
                             "expected raw values of type 0, 1 or 2 (double, float, half)");
        seen->raw_type = field->value;
    } else if (field->number == BLOB_DATA || field->number == BLOB_DOUBLE_DATA ||
               field->number == BLOB_RAW_DATA) {
        if (!value_type_fits(field))
            return fail_blob(r, layer, NN_ERROR_FORMAT, "its values are no floats or doubles");
        if (seen->values && seen->values != field->number)
            return fail_blob(r, layer, NN_ERROR_FORMAT, "it has values of two types");
        size_t element = value_size(field, RAW_HALF); /* of raw data: checked when all is read */
        if (field->size % element)
            return fail_blob(r, layer, NN_ERROR_FORMAT, "the last value is cut off");
        seen->values = field->number;
        seen->value_bytes += field->size;
    }
    return NN_OK;
}

/* The shape's product is what the file must have values for. */
static enum nn_status check_blob(struct reader *r, const struct nn_caffe_layer *layer,
                                 struct nn_caffe_blob *blob, const struct blob_fields *seen)
{
    struct nn_protowire_field values = {.number = seen->values};
    char what[200];
    if (seen->has_legacy && seen->has_shape)
        return fail_blob(r, layer, NN_ERROR_FORMAT, "it has both an old and a new shape");
    for (int i = 0; seen->has_legacy && i < 4; i++) blob->dim[i] = (int)seen->legacy[i];
    if (seen->has_legacy) blob->rank = 4;
    size_t element = seen->values ? value_size(&values, seen->raw_type) : 4;
    if (!element || seen->value_bytes % element)
        return fail_blob(r, layer, NN_ERROR_FORMAT, "its raw values have no or another type");
    size_t product = 1, got = seen->value_bytes / element;
    int length = 0;
    what[0] = '\0';
    for (int i = 0; i < blob->rank; i++) {
        size_t dim = (size_t)blob->dim[i];
        product = dim && product > SIZE_MAX / dim ? SIZE_MAX : product * dim;
        length +=
            snprintf(what + length, sizeof what - (size_t)length, "%s%zu", i ? " x " : "", dim);
    }
    blob->count = product;
    if (product == got) return NN_OK;
    snprintf(what + length, sizeof what - (size_t)length, "%s, but %zu values",
             blob->rank ? "" : "one value by its shape", got);
    return fail_blob(r, layer, NN_ERROR_FORMAT, what);
}

static enum nn_status read_blob(struct reader *r, struct nn_caffe_layer *layer,
                                const struct nn_protowire_field *bytes)
{
    struct nn_protowire message = nn_protowire_enter(bytes);
    struct nn_protowire_field field;
    struct blob_fields seen = {.raw_type = RAW_HALF + 1};
    if (layer->blobs == NN_CAFFE_MOST_BLOBS)
        return fail_blob(r, layer, NN_ERROR_UNSUPPORTED, "more than 16 blobs");
    struct nn_caffe_blob *blob = &layer->blob[layer->blobs];
    blob->message = bytes->bytes;
    blob->message_size = bytes->size;
    while (nn_protowire_next(&message, &field)) {
        enum nn_status status = read_blob_field(r, layer, blob, &seen, &field);
        if (status) return status;
    }
    if (message.damaged) return fail_damaged(r, message.at);
    enum nn_status status = check_blob(r, layer, blob, &seen);
    if (!status) layer->blobs++;
    return status;
}

/* 1 sign, 5 exponent, 10 fraction bits (IEEE 754 binary16). */
static float half(const uint8_t bytes[2])
{
    int bits = bytes[0] | bytes[1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 31  ? (fraction ? NAN : INFINITY)
                  : exponent == 0 ? ldexpf((float)fraction, -24)
                                  : ldexpf((float)(fraction + 1024), exponent - 25);
    return bits & 0x8000 ? -value : value;
}

static bool little_endian(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 1;
}

void nn_caffe_blob_copy(float *to, const struct nn_caffe_blob *blob)
{
    struct nn_protowire message = nn_protowire_open(blob->message, blob->message_size);
    struct nn_protowire_field field;
    uint64_t raw_type = RAW_HALF + 1;
    while (nn_protowire_next(&message, &field)) /* it may stand behind the values */
        if (field.number == BLOB_RAW_TYPE) raw_type = field.value;
    message = nn_protowire_open(blob->message, blob->message_size);
    while (nn_protowire_next(&message, &field)) {
        size_t element = value_size(&field, raw_type);
        if (!element || !field.size) continue;
        size_t count = field.size / element;
        if (element == 4 && little_endian())
            memcpy(to, field.bytes, field.size);
        else
            for (size_t i = 0; i < count; i++) {
                const uint8_t *at = field.bytes + i * element;
                to[i] = element == 8   ? (float)nn_protowire_double(at)
                        : element == 4 ? nn_protowire_float(at)
                                       : half(at);
            }
        to += count;
    }
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* Copies a string behind the others; there is room for all. */
static enum nn_status read_string(struct reader *r, const char **string,
                                  const struct nn_protowire_field *field)
{
    if (field->type != NN_PROTOWIRE_BYTES || memchr(field->bytes, '\0', field->size))
        return nn_fail(r->context, NN_ERROR_FORMAT, "%s: a layer's name or type is no text",
                       r->name);
    *string = r->names;
    memcpy(r->names, field->bytes, field->size);
    r->names += field->size + 1; /* the block was zeroed */
    return NN_OK;
}

static enum nn_status read_type(struct reader *r, struct nn_caffe_layer *layer,
                                const struct nn_protowire_field *field, bool v1)
{
    if (!v1) return read_string(r, &layer->type, field);
    if (field->type != NN_PROTOWIRE_VARINT)
        return nn_fail(r->context, NN_ERROR_FORMAT, "%s: a layer's type is no number", r->name);
    layer->type = V1_TYPES[field->value < V1_TYPE_COUNT ? field->value : 0];
    return NN_OK;
}

/* Name and type first, so that errors about blobs can name the layer. */
static enum nn_status read_layer(struct reader *r, struct nn_caffe_layer *layer,
                                 const struct nn_protowire_field *bytes)
{
    bool v1 = bytes->number == NET_LAYERS_V1;
    const struct layout *layout = v1 ? &V1 : &V2;
    enum nn_status status = NN_OK;
    layer->name = layer->type = "";
    for (int pass = 0; pass < 2 && !status; pass++) {
        struct nn_protowire message = nn_protowire_enter(bytes);
        struct nn_protowire_field field;
        while (!status && nn_protowire_next(&message, &field)) {
            if (v1 && field.number == layout->older)
                status = nn_fail(r->context, NN_ERROR_UNSUPPORTED,
                                 "%s: layers of Caffe's first format (V0): convert it with "
                                 "Caffe's upgrade_net_proto_binary",
                                 r->name);
            else if (pass == 0 && field.number == layout->name)
                status = read_string(r, &layer->name, &field);
            else if (pass == 0 && field.number == layout->type)
                status = read_type(r, layer, &field, v1);
            else if (pass == 1 && field.number == layout->blobs)
                status = read_blob(r, layer, &field);
        }
        if (!status && message.damaged) status = fail_damaged(r, message.at);
    }
    return status;
}

/* Counts layers and the room that their names and types take. */
static enum nn_status count_layers(struct reader *r, int *layers, size_t *room)
{
    struct nn_protowire net = nn_protowire_open(r->bytes, r->size);
    struct nn_protowire_field field, part;
    uint32_t format = 0;
    *layers = 0;
    *room = 1;
    while (nn_protowire_next(&net, &field)) {
        if (field.number != NET_LAYER && field.number != NET_LAYERS_V1) continue;
        if (format && format != field.number)
            return nn_fail(r->context, NN_ERROR_FORMAT, "%s: both old (V1) and new layers",
                           r->name);
        format = field.number;
        if (++*layers > MOST_LAYERS)
            return nn_fail(r->context, NN_ERROR_UNSUPPORTED, "%s: more than %d layers", r->name,
                           MOST_LAYERS);
        const struct layout *layout = format == NET_LAYER ? &V2 : &V1;
        struct nn_protowire layer = nn_protowire_enter(&field);
        while (nn_protowire_next(&layer, &part))
            if (part.number == layout->name || part.number == layout->type) *room += part.size + 1;
        if (layer.damaged) return fail_damaged(r, layer.at);
    }
    if (net.damaged) return fail_damaged(r, net.at);
    if (*layers) return NN_OK;
    return nn_fail(r->context, NN_ERROR_FORMAT, "%s: no layers: not a .caffemodel", r->name);
}

static int compare_layers(const void *a, const void *b)
{
    const struct nn_caffe_layer *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    if (order) return order;
    if (!left->blobs != !right->blobs) return left->blobs ? -1 : 1;
    return (left > right) - (left < right);
}

/* Sorts the layers by name; two of one name may not both have weights. */
static enum nn_status index_layers(struct reader *r)
{
    struct nn_caffe_weights *weights = r->weights;
    char quoted[NN_QUOTED];
    for (int i = 0; i < weights->count; i++) weights->sorted[i] = &weights->layers[i];
    nn_sort(weights->sorted, (size_t)weights->count, compare_layers);
    for (int i = 1; i < weights->count; i++) {
        const struct nn_caffe_layer *one = weights->sorted[i - 1], *two = weights->sorted[i];
        if (two->blobs && strcmp(one->name, two->name) == 0)
            return nn_fail(r->context, NN_ERROR_FORMAT, "%s: two layers with weights are called %s",
                           r->name, nn_quote(quoted, two->name));
    }
    return NN_OK;
}

static enum nn_status read_layers(struct reader *r, int layers, size_t room)
{
    struct nn_caffe_weights *weights = r->weights;
    struct nn_protowire net = nn_protowire_open(r->bytes, r->size);
    struct nn_protowire_field field;
    enum nn_status status = NN_OK;
    weights->layers = nn_alloc(r->context, (size_t)layers, sizeof *weights->layers);
    weights->sorted = nn_alloc(r->context, (size_t)layers, sizeof *weights->sorted);
    weights->names = r->names = nn_alloc(r->context, room, 1);
    if (!weights->layers || !weights->sorted || !weights->names) return NN_ERROR_MEMORY;
    while (!status && nn_protowire_next(&net, &field))
        if (field.number == NET_LAYER || field.number == NET_LAYERS_V1)
            status = read_layer(r, &weights->layers[weights->count++], &field);
    return status ? status : index_layers(r);
}

enum nn_status nn_caffe_weights_parse(struct nn_caffe_weights **weights, struct nn_context *context,
                                      void *bytes, size_t size, const char *name)
{
    struct reader r = {.context = context, .bytes = bytes, .size = size};
    int layers;
    size_t room;
    *weights = NULL;
    nn_quote(r.name, name);
    enum nn_status status = count_layers(&r, &layers, &room);
    if (status) return status;
    r.weights = nn_alloc(context, 1, sizeof *r.weights);
    if (!r.weights) return NN_ERROR_MEMORY;
    r.weights->context = context;
    status = read_layers(&r, layers, room);
    if (status)
        nn_caffe_weights_free(&r.weights);
    else
        r.weights->bytes = bytes;
    *weights = r.weights;
    return status;
}

void nn_caffe_weights_free(struct nn_caffe_weights **freed)
{
    struct nn_caffe_weights *weights = *freed;
    if (!weights) return;
    struct nn_context *context = weights->context;
    nn_free(context, weights->layers);
    nn_free(context, (void *)weights->sorted);
    nn_free(context, weights->names);
    nn_free(context, weights->bytes);
    nn_free(context, weights);
    *freed = NULL;
}

/* ---- looking --------------------------------------------------------------------------------- */

int nn_caffe_weights_count(const struct nn_caffe_weights *weights)
{
    return weights->count;
}

const struct nn_caffe_layer *nn_caffe_weights_at(const struct nn_caffe_weights *weights, int index)
{
    return index >= 0 && index < weights->count ? &weights->layers[index] : NULL;
}

const struct nn_caffe_layer *nn_caffe_weights_find(const struct nn_caffe_weights *weights,
                                                   const char *name)
{
    int low = 0, high = weights->count;
    while (low < high) { /* the first that does not come before `name` */
        int middle = low + (high - low) / 2;
        const struct nn_caffe_layer *layer = weights->sorted[middle];
        if (strcmp(layer->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    const struct nn_caffe_layer *found = low < weights->count ? weights->sorted[low] : NULL;
    return found && strcmp(found->name, name) == 0 ? found : NULL;
}
