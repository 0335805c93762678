/*
 * test_caffe_weights.c — protobuf's wire format, and .caffemodel files of all kinds.
 */
#include "nn/format/caffe_weights.h"
#include "nn/format/protowire.h"
#include "tests/test.h"
#include "tests/wire.h"

static struct nn_context *context;
static struct nn_caffe_weights *weights;

/* ---- the wire -------------------------------------------------------------------------------- */

static void test_wire(void)
{
    static struct wire w;
    w.size = 0;
    wire_int(&w, 1, 150);
    wire_int(&w, 2, -1);
    wire_text(&w, 16, "abc");
    wire_key(&w, 3, 5);
    wire_float(&w, -2.5f);
    wire_key(&w, 536870911, 1);
    wire_double(&w, 1e300);
    struct nn_protowire message = nn_protowire_open(w.bytes, w.size);
    struct nn_protowire_field field;
    CHECK(nn_protowire_next(&message, &field) && field.number == 1 &&
              field.type == NN_PROTOWIRE_VARINT && field.value == 150,
          "a varint");
    CHECK(nn_protowire_next(&message, &field) && field.number == 2 && field.value == UINT64_MAX,
          "a negative one");
    CHECK(nn_protowire_next(&message, &field) && field.number == 16 &&
              field.type == NN_PROTOWIRE_BYTES && field.size == 3 && !memcmp(field.bytes, "abc", 3),
          "bytes");
    CHECK(nn_protowire_next(&message, &field) && field.type == NN_PROTOWIRE_FIXED32 &&
              nn_protowire_float(field.bytes) == -2.5f,
          "a float");
    CHECK(nn_protowire_next(&message, &field) && field.number == 536870911 &&
              nn_protowire_double(field.bytes) == 1e300,
          "a double, the highest number");
    CHECK(!nn_protowire_next(&message, &field) && !message.damaged, "and the end");
    struct nn_protowire inside = nn_protowire_enter(&field);
    CHECK(inside.damaged && !nn_protowire_next(&inside, &field), "a number is no message");
    CHECK(!nn_protowire_next(&(struct nn_protowire){NULL, NULL, false}, &field), "nothing");
}

static void test_wire_damage(void)
{
    static const struct {
        const char *what, *bytes;
        size_t size, at;
    } bad[] = {
        {"a key cut off", "\x08\x01\x80", 3, 2},
        {"a varint cut off", "\x08\x80", 2, 0},
        {"eleven bytes of varint", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12, 0},
        {"a varint beyond 64 bits", "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 11, 0},
        {"bytes beyond the end", "\x08\x01\x0A\x02z", 5, 2},
        {"bytes far beyond the end", "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01z", 12, 0},
        {"a fixed number cut off", "\x0D\x01\x02\x03", 4, 0},
        {"a long one", "\x09\x01\x02\x03\x04\x05\x06\x07", 8, 0},
        {"a group", "\x0B\x0C", 2, 0},
        {"the end of a group", "\x0C", 1, 0},
        {"type 6", "\x0E\x01", 2, 0},
        {"type 7", "\x0F\x01", 2, 0},
        {"number 0", "\x00\x01", 2, 0},
        {"a number of 30 bits", "\x80\x80\x80\x80\x10\x01", 6, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t *bytes = malloc(bad[i].size); /* exactly: a sanitizer sees reads beyond */
        memcpy(bytes, bad[i].bytes, bad[i].size);
        struct nn_protowire message = nn_protowire_open(bytes, bad[i].size);
        struct nn_protowire_field field;
        while (nn_protowire_next(&message, &field)) continue;
        CHECK(message.damaged && message.at == bytes + bad[i].at &&
                  !nn_protowire_next(&message, &field),
              "damage: %s", bad[i].what);
        free(bytes);
    }
    struct nn_protowire packed = nn_protowire_open("\x01\xAC\x02\x80", 4);
    uint64_t value, sum = 0;
    while (nn_protowire_varint(&packed, &value)) sum += value;
    CHECK(sum == 301 && packed.damaged, "packed varints, the last one cut off");
}

/* ---- caffemodels ----------------------------------------------------------------------------- */

static enum nn_status parse(const struct wire *file)
{
    nn_caffe_weights_free(&weights);
    char *bytes = nn_alloc(context, file->size, 1);
    memcpy(bytes, file->bytes, file->size);
    enum nn_status status =
        nn_caffe_weights_parse(&weights, context, bytes, file->size, "x.caffemodel");
    if (status) nn_free(context, bytes);
    return status;
}

enum values {
    PACKED,
    UNPACKED,
    HALVES,
    DOUBLES,
    LONE_DOUBLES,
    RAW_FLOATS,
    RAW_DOUBLES,
    RAW_HALVES
};

static const float NUMBERS[] = {1, -2, 0.5f, 0, 65504, 5.9604645e-8f};

/* The six numbers in one of the ways in which files have them. */
static void put_values(struct wire *blob, enum values kind)
{
    static const uint16_t halves[] = {0x3C00, 0xC000, 0x3800, 0, 0x7BFF, 1};
    static struct wire data;
    data.size = 0;
    for (int i = 0; i < 6; i++) {
        if (kind == UNPACKED) wire_key(blob, 5, 5);
        if (kind == LONE_DOUBLES) wire_key(blob, 8, 1);
        if (kind == UNPACKED)
            wire_float(blob, NUMBERS[i]);
        else if (kind == LONE_DOUBLES)
            wire_double(blob, NUMBERS[i]);
        else if (kind == DOUBLES || kind == RAW_DOUBLES)
            wire_double(&data, NUMBERS[i]);
        else if (kind == RAW_HALVES)
            wire_little_endian(&data, halves[i], 2);
        else
            wire_float(&data, NUMBERS[i]);
        if (kind == HALVES && i == 2) { /* in two packs, as protobuf allows */
            wire_message(blob, 5, &data);
            data.size = 0;
        }
    }
    if (kind == RAW_DOUBLES || kind == RAW_FLOATS) wire_int(blob, 10, kind == RAW_FLOATS);
    if (data.size) wire_message(blob, kind == DOUBLES ? 8 : kind >= RAW_FLOATS ? 12 : 5, &data);
    if (kind == RAW_HALVES) wire_int(blob, 10, 2); /* behind the values: any order is legal */
}

static void put_shape(struct wire *blob, bool packed)
{
    static struct wire shape;
    shape.size = 0;
    if (packed) {
        wire_data(&shape, 1, "\x02\x03", 2);
    } else {
        wire_int(&shape, 1, 2);
        wire_int(&shape, 1, 3);
    }
    wire_message(blob, 7, &shape);
}

/* A file of one layer "conv" with one blob. */
static void put_file(struct wire *file, const struct wire *blob, bool v1)
{
    static struct wire layer;
    layer.size = file->size = 0;
    wire_text(file, 1, "net");
    wire_message(&layer, v1 ? 6 : 7, blob); /* before the name: any order is legal */
    wire_text(&layer, v1 ? 4 : 1, "conv");
    if (v1)
        wire_int(&layer, 5, 4);
    else
        wire_text(&layer, 2, "Convolution");
    wire_text(&layer, 106, "convolution_param, whatever it says");
    wire_message(file, v1 ? 2 : 100, &layer);
}

static bool holds_numbers(const struct nn_caffe_blob *blob)
{
    float *values = malloc(blob->count * sizeof *values);
    nn_caffe_blob_copy(values, blob);
    bool same = blob->count == 6 && memcmp(values, NUMBERS, sizeof NUMBERS) == 0;
    free(values);
    return same;
}

static void test_values(void)
{
    static struct wire file, blob;
    for (int kind = PACKED; kind <= RAW_HALVES; kind++)
        for (int v1 = 0; v1 < 2; v1++) {
            blob.size = 0;
            put_shape(&blob, !v1);
            put_values(&blob, (enum values)kind);
            wire_text(&blob, 6, "diff: skipped");
            put_file(&file, &blob, v1);
            if (!CHECK(parse(&file) == NN_OK, "values of kind %d, format %d: %s", kind, 2 - v1,
                       nn_error(context)))
                continue;
            const struct nn_caffe_layer *layer = nn_caffe_weights_find(weights, "conv");
            CHECK(nn_caffe_weights_count(weights) == 1 && layer && layer->blobs == 1 &&
                      nn_caffe_weights_at(weights, 0) == layer &&
                      !strcmp(layer->type, "Convolution"),
                  "the layer");
            CHECK(layer->blob[0].rank == 2 && layer->blob[0].dim[0] == 2 &&
                      layer->blob[0].dim[1] == 3 && holds_numbers(&layer->blob[0]),
                  "its values");
            CHECK(!nn_caffe_weights_find(weights, "con") &&
                      !nn_caffe_weights_find(weights, "conw") && !nn_caffe_weights_at(weights, 1) &&
                      !nn_caffe_weights_at(weights, -1),
                  "and no other");
        }
    blob.size = 0;
    for (uint32_t i = 0; i < 4; i++) wire_int(&blob, 1 + i, i < 2 ? 1 : (int)i);
    put_values(&blob, PACKED);
    put_file(&file, &blob, true);
    CHECK(parse(&file) == NN_OK && weights && nn_caffe_weights_at(weights, 0)->blob[0].rank == 4 &&
              nn_caffe_weights_at(weights, 0)->blob[0].dim[3] == 3,
          "an old shape has four dimensions");
    blob.size = 0;
    wire_data(&blob, 5, "\0\0\x80\x3F", 4);
    put_file(&file, &blob, false);
    CHECK(parse(&file) == NN_OK && nn_caffe_weights_at(weights, 0)->blob[0].rank == 0 &&
              nn_caffe_weights_at(weights, 0)->blob[0].count == 1,
          "without a shape it is one number");
}

/* Status 0: any error. */
static bool message_has(const struct wire *file, enum nn_status status, const char *part)
{
    enum nn_status got = parse(file);
    if ((got == status || (!status && got)) && !weights &&
        strstr(nn_error(context), "'x.caffemodel'") && strstr(nn_error(context), part))
        return true;
    printf("# status %d: %s\n", got, got ? nn_error(context) : "accepted");
    return false;
}

/* `shape`: dimensions as bytes. */
static bool blob_refused(const char *shape, const char *part, void (*put)(struct wire *blob))
{
    static struct wire file, blob, dims;
    blob.size = dims.size = 0;
    if (*shape) {
        wire_text(&dims, 1, shape);
        wire_message(&blob, 7, &dims);
    }
    put(&blob);
    put_file(&file, &blob, false);
    return message_has(&file, NN_OK, part);
}

static void six(struct wire *blob)
{
    put_values(blob, PACKED);
}
static void none(struct wire *blob)
{
    (void)blob;
}
static void two_types(struct wire *blob)
{
    put_values(blob, PACKED);
    put_values(blob, DOUBLES);
}
static void two_shapes(struct wire *blob)
{
    wire_int(blob, 1, 6);
    put_values(blob, PACKED);
}
static void odd_bytes(struct wire *blob)
{
    wire_text(blob, 5, "12345");
}
static void raw_untyped(struct wire *blob)
{
    wire_text(blob, 12, "123456789abc");
}
static void raw_ints(struct wire *blob)
{
    wire_int(blob, 10, 3);
    wire_text(blob, 12, "123456789abc");
}
static void raw_doubles_of_12(struct wire *blob)
{
    wire_int(blob, 10, 0);
    wire_text(blob, 12, "123456789abc");
}
static void varint_values(struct wire *blob)
{
    wire_int(blob, 5, 6);
}
static void negative(struct wire *blob)
{
    wire_int(blob, 1, -6);
}
static void huge(struct wire *blob)
{
    static struct wire dims;
    dims.size = 0;
    for (int i = 0; i < 8; i++) wire_int(&dims, 1, INT32_MAX);
    wire_message(blob, 7, &dims);
}
static void shape_number(struct wire *blob)
{
    wire_int(blob, 7, 6);
}

static void test_bad_blobs(void)
{
    CHECK(blob_refused("\x02\x02", "blob 0 of layer 'conv': 2 x 2, but 6 values", six),
          "a shape that does not fit");
    CHECK(blob_refused("", "one value by its shape, but 6 values", six), "no shape");
    CHECK(blob_refused("\x02", "2, but 0 values", none), "no values");
    CHECK(blob_refused("\x06", "values of two types", two_types), "floats and doubles");
    CHECK(blob_refused("\x06", "both an old and a new shape", two_shapes), "two shapes");
    CHECK(blob_refused("\x01", "the last value is cut off", odd_bytes), "five bytes of float");
    CHECK(blob_refused("\x03", "raw values have no or another type", raw_untyped), "raw, no type");
    CHECK(blob_refused("\x03", "expected raw values of type 0, 1 or 2", raw_ints), "raw integers");
    CHECK(blob_refused("\x01", "raw values have no or another type", raw_doubles_of_12),
          "one and a half doubles");
    CHECK(blob_refused("\x01", "its values are no floats or doubles", varint_values), "a varint");
    CHECK(blob_refused("", "a dimension is no number below 2^31", negative),
          "a negative dimension");
    CHECK(blob_refused("", "but 0 values", huge), "a product that overflows");
    CHECK(blob_refused("", "damaged at byte ", shape_number), "a shape that is no message");
    CHECK(blob_refused("\1\1\1\1\1\1\1\1\1", "at most 8 dimensions", six), "nine dimensions");
}

static void test_bad_layers(void)
{
    static struct wire file, layer, blob;
    file.size = 0;
    CHECK(message_has(&file, NN_ERROR_FORMAT, "no layers: not a .caffemodel"), "an empty file");
    wire_text(&file, 1, "net");
    CHECK(message_has(&file, NN_ERROR_FORMAT, "no layers"), "a name alone");
    wire_message(&file, 2, &layer);
    wire_message(&file, 100, &layer);
    CHECK(message_has(&file, NN_ERROR_FORMAT, "both old (V1) and new layers"), "both formats");
    file.size = layer.size = 0;
    wire_text(&layer, 1, "a layer in a layer");
    wire_message(&file, 2, &layer);
    CHECK(message_has(&file, NN_ERROR_UNSUPPORTED, "(V0)"), "the first format");
    file.size = 0;
    wire_int(&file, 100, 1);
    CHECK(message_has(&file, NN_ERROR_FORMAT, "damaged at byte 2 of 3"),
          "a layer that is a number");
    file.size = layer.size = 0;
    wire_int(&layer, 1, 1);
    wire_message(&file, 100, &layer);
    CHECK(message_has(&file, NN_ERROR_FORMAT, "name or type is no text"),
          "a name that is a number");
    file.size = layer.size = 0;
    put_values(&blob, PACKED);
    put_shape(&blob, true);
    wire_text(&layer, 1, "twice");
    wire_message(&layer, 7, &blob);
    for (int i = 0; i < 2; i++) wire_message(&file, 100, &layer);
    CHECK(message_has(&file, NN_ERROR_FORMAT, "two layers with weights are called 'twice'"),
          "a name twice");
    for (int i = 0; i < 16; i++) wire_message(&layer, 7, &blob);
    file.size = 0;
    wire_message(&file, 100, &layer);
    CHECK(message_has(&file, NN_ERROR_UNSUPPORTED, "blob 16 of layer 'twice': more than 16 blobs"),
          "17 blobs");
}

static void test_names(void)
{
    static struct wire file, layer, blob;
    char name[] = "a0";
    file.size = blob.size = 0;
    put_values(&blob, PACKED);
    put_shape(&blob, true);
    for (int i = 9; i >= 0; i--) {
        layer.size = 0;
        name[1] = (char)('0' + i / 2);
        wire_text(&layer, 4, name);
        wire_int(&layer, 5, i == 0 ? 99 : i);
        if (i % 2) wire_message(&layer, 6, &blob);
        wire_message(&file, 2, &layer);
    }
    if (!CHECK(parse(&file) == NN_OK, "ten layers of five names: %s", nn_error(context))) return;
    bool right = true;
    for (int i = 0; i < 5; i++) {
        name[1] = (char)('0' + i);
        const struct nn_caffe_layer *found = nn_caffe_weights_find(weights, name);
        right = right && found && !strcmp(found->name, name) && found->blobs == 1;
    }
    CHECK(right, "of two layers of a name, the one with weights is found");
    CHECK(!strcmp(nn_caffe_weights_at(weights, 9)->type, "unknown") &&
              !strcmp(nn_caffe_weights_at(weights, 5)->type, "Convolution") &&
              !strcmp(nn_caffe_weights_at(weights, 1)->type, "Flatten"),
          "V1's numbers as names");
    file.size = layer.size = 0;
    for (int i = 0; i < 10001; i++) wire_message(&file, 2, &layer);
    CHECK(message_has(&file, NN_ERROR_UNSUPPORTED, "more than 10000 layers"), "10,001 layers");
    file.size -= 2;
    size_t before = nn_bytes_allocated(context);
    CHECK(parse(&file) == NN_OK && nn_bytes_allocated(context) < before + 12000000,
          "10,000 take less than 12 MB");
}

/* ---- hostile files --------------------------------------------------------------------------- */

static void put_seed(struct wire *file)
{
    static struct wire layer, blob;
    file->size = 0;
    for (int i = 0; i < 3; i++) {
        blob.size = layer.size = 0;
        put_values(&blob, i == 0 ? PACKED : i == 1 ? UNPACKED : RAW_HALVES);
        put_shape(&blob, i != 1);
        char name[] = {(char)('a' + i), '\0'};
        wire_text(&layer, 1, name);
        wire_text(&layer, 2, "Scale");
        wire_message(&layer, 7, &blob);
        wire_message(file, 100, &layer);
    }
}

/* Parses a copy, and copies what it holds; true when it is accepted. */
static bool survives(const struct wire *file)
{
    if (parse(file)) return false;
    for (int i = 0; i < nn_caffe_weights_count(weights); i++) {
        const struct nn_caffe_layer *layer = nn_caffe_weights_at(weights, i);
        for (int k = 0; k < layer->blobs; k++) {
            float *values = malloc(layer->blob[k].count * sizeof *values + 1);
            nn_caffe_blob_copy(values, &layer->blob[k]);
            free(values);
        }
    }
    return true;
}

static void test_mutations(void)
{
    static struct wire seed, file;
    struct nn_rng rng = nn_rng_make(2, 0);
    int accepted = 0, refused = 0, whole = 0;
    put_seed(&seed);
    nn_caffe_weights_free(&weights);
    size_t before = nn_bytes_allocated(context);
    for (size_t size = 0; size <= seed.size; size++) {
        file = seed;
        file.size = size;
        whole += survives(&file);
    }
    CHECK(whole == 3, "of all prefixes those are read that end with a layer: %d", whole);
    for (int round = 0; round < 5000; round++) {
        memcpy(file.bytes, seed.bytes, seed.size);
        for (uint32_t i = nn_rng_below(&rng, 3) + 1; i > 0; i--)
            file.bytes[nn_rng_below(&rng, (uint32_t)seed.size)] = (uint8_t)nn_rng_below(&rng, 256);
        survives(&file) ? accepted++ : refused++;
    }
    CHECK(accepted > 100 && refused > 1000, "5,000 changed files: %d accepted, %d refused",
          accepted, refused);
    nn_caffe_weights_free(&weights);
    CHECK(nn_bytes_allocated(context) == before, "nothing is left");
}

static enum nn_status parse_and_free(struct nn_context *own, void *argument)
{
    const struct wire *seed = argument;
    struct nn_caffe_weights *read;
    void *bytes = nn_alloc(own, seed->size, 1);
    if (!bytes) return NN_ERROR_MEMORY;
    memcpy(bytes, seed->bytes, seed->size);
    enum nn_status status = nn_caffe_weights_parse(&read, own, bytes, seed->size, "x");
    if (status) nn_free(own, bytes);
    nn_caffe_weights_free(&read);
    return status;
}

/* ---- the detector's weights, where they are -------------------------------------------------- */

static void test_real(void)
{
    char path[300];
    void *bytes;
    size_t size, values = 0;
    if (!test_shared()) {
        test_skip("the detector's weights", "no shared folder");
        return;
    }
    snprintf(path, sizeof path, "%s/data/detector/res10_hybrid.caffemodel", test_shared());
    if (!CHECK(nn_file_read(context, path, 1 << 24, &bytes, &size) == NN_OK, "%s", path)) return;
    nn_caffe_weights_free(&weights);
    CHECK(nn_caffe_weights_parse(&weights, context, bytes, size, path) == NN_OK &&
              nn_caffe_weights_count(weights) == 112,
          "112 layers");
    const struct nn_caffe_layer *conv = nn_caffe_weights_find(weights, "conv1_h");
    CHECK(conv && conv->blobs == 2 && conv->blob[0].rank == 4 && conv->blob[0].dim[0] == 32 &&
              conv->blob[0].dim[1] == 3 && conv->blob[0].dim[3] == 7 && conv->blob[1].count == 32,
          "the first convolution");
    for (int i = 0; i < nn_caffe_weights_count(weights); i++) {
        const struct nn_caffe_layer *layer = nn_caffe_weights_at(weights, i);
        for (int k = 0; k < layer->blobs; k++) values += layer->blob[k].count;
    }
    CHECK(values > 2600000 && values < size / 4, "%zu values in %zu bytes", values, size);
}

int main(void)
{
    static struct wire seed;
    if (nn_open(&context, &(struct nn_options){.threads = 1}) != NN_OK) return 1;
    test_wire();
    test_wire_damage();
    test_values();
    test_bad_blobs();
    test_bad_layers();
    test_names();
    test_mutations();
    put_seed(&seed);
    CHECK(failing_each(parse_and_free, &seed) == 5, "each failed allocation is told, none leaks");
    test_real();
    nn_caffe_weights_free(&weights);
    nn_close(&context);
    return test_done();
}
