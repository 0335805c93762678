/*
 * safetensors.c — .safetensors files (github.com/huggingface/safetensors, README "Format"):
 *
 *     8 bytes      N, little-endian
 *     N bytes      JSON, starts with '{', may end in spaces:
 *                  {"__metadata__": {key: text ...},
 *                   name: {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]} ...}
 *     the rest     the tensors' bytes, little-endian, row-major, without holes
 *
 * Files written here also carry, as metadata, "liveness.format" and "liveness.sha256": a hash over
 * everything a reader gets from the file. A file with any key that starts with "liveness." must
 * have both and the hash must be right; so a change of any one byte is noticed (a change of one
 * of the two keys leaves the other) or makes no difference (another kind of white space).
 */
#include "nn/format/archive.h"
#include "nn/format/json.h"
#include "nn/format/sha256.h"
#include "nn/format/sort.h"
#include "nn/text.h"

#include <inttypes.h>
#include <string.h>

enum {
    LENGTH = 8,
    MAX_HEADER = 100000000, /* the limit of the safetensors library */
    ALIGNMENT = 64 /* of the first tensor in the file: a mapped file can be used as it is */
};
static const size_t MAX_FILE = (size_t)1 << 31; /* checked before memory is taken */
static const char FORMAT[] = "1";

static const struct {
    const char *name;
    enum nn_type type;
} TYPES[] = {{"F32", NN_F32}, {"F64", NN_F64}, {"U8", NN_U8}, {"I64", NN_I64}};
enum { TYPE_COUNT = sizeof TYPES / sizeof *TYPES };

static const char *type_name(enum nn_type type)
{
    for (int i = 0; i < TYPE_COUNT; i++)
        if (TYPES[i].type == type) return TYPES[i].name;
    return "?";
}

/* Copies elements between this machine's byte order and the file's, which is little-endian. */
static void copy_elements(void *to, const void *from, size_t bytes, size_t element)
{
    const uint16_t one = 1;
    unsigned char *out = to;
    const unsigned char *in = from, *lowest_first = (const unsigned char *)&one;
    if (bytes == 0) return;
    if (*lowest_first == 1 || element == 1) {
        memcpy(out, in, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++) out[i] = in[i - i % element + (element - 1 - i % element)];
}

/* The hash over all that counts: each string and list with its length before it. `data` is the
 * file's data part; entries' offsets are set. */
static void checksum(char hex[NN_SHA256_HEX], const struct nn_archive *archive,
                     const unsigned char *data)
{
    struct nn_sha256 hash;
    nn_sha256_start(&hash);
    nn_sha256_add_u64(&hash, (uint64_t)archive->texts.count);
    for (int i = 0; i < archive->texts.count; i++) {
        const struct nn_archive_text *item = archive->texts.items[i];
        nn_sha256_add_u64(&hash, strlen(item->name));
        nn_sha256_add(&hash, item->name, strlen(item->name));
        nn_sha256_add_u64(&hash, strlen(item->text));
        nn_sha256_add(&hash, item->text, strlen(item->text));
    }
    nn_sha256_add_u64(&hash, (uint64_t)archive->tensors.count);
    for (int i = 0; i < archive->tensors.count; i++) {
        const struct nn_archive_entry *entry = archive->tensors.items[i];
        const struct nn_archive_tensor *tensor = &entry->tensor;
        const char *type = type_name(tensor->type);
        nn_sha256_add_u64(&hash, strlen(tensor->name));
        nn_sha256_add(&hash, tensor->name, strlen(tensor->name));
        nn_sha256_add_u64(&hash, strlen(type));
        nn_sha256_add(&hash, type, strlen(type));
        nn_sha256_add_u64(&hash, (uint64_t)tensor->rank);
        for (int k = 0; k < tensor->rank; k++) nn_sha256_add_u64(&hash, (uint64_t)tensor->dim[k]);
        nn_sha256_add(&hash, data + entry->offset, tensor->bytes);
    }
    nn_sha256_finish(hex, &hash);
}

/* ---- read ------------------------------------------------------------------------------------ */

struct reader {
    struct nn_context *context;
    struct nn_archive *archive;
    char name[NN_QUOTED];      /* the file's, quoted */
    const unsigned char *data; /* the data part */
    size_t data_size;
    bool ours;                   /* some key starts with NN_ARCHIVE_PREFIX */
    const char *format, *sha256; /* the JSON's, or NULL */
};

static enum nn_status read_metadata(struct reader *r, const struct nn_json *metadata)
{
    char quoted[NN_QUOTED];
    if (nn_json_kind(metadata) != NN_JSON_OBJECT)
        return nn_fail(r->context, NN_ERROR_FORMAT, "%s: %s is not an object", r->name,
                       NN_ARCHIVE_METADATA);
    for (int i = 0; i < nn_json_count(metadata); i++) {
        const char *key;
        const char *text = nn_json_string(nn_json_sorted(metadata, i, &key), NULL);
        enum nn_status status = NN_OK;
        if (!text)
            return nn_fail(r->context, NN_ERROR_FORMAT, "%s: the metadata %s is not a string",
                           r->name, nn_quote(quoted, key));
        if (strncmp(key, NN_ARCHIVE_PREFIX, strlen(NN_ARCHIVE_PREFIX)) == 0) r->ours = true;
        if (strcmp(key, NN_ARCHIVE_FORMAT) == 0)
            r->format = text;
        else if (strcmp(key, NN_ARCHIVE_SHA256) == 0)
            r->sha256 = text;
        else
            status = nn_archive_put_text(r->archive, key, text);
        if (status) return status;
    }
    return NN_OK;
}

static enum nn_status read_type(struct reader *r, enum nn_type *type, const char *tensor,
                                const struct nn_json *value)
{
    char quoted[NN_QUOTED];
    const char *name = nn_json_string(value, NULL);
    if (!name)
        return nn_fail(r->context, NN_ERROR_FORMAT, "%s: tensor %s has no dtype", r->name, tensor);
    for (int i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(name, TYPES[i].name) != 0) continue;
        *type = TYPES[i].type;
        return NN_OK;
    }
    return nn_fail(r->context, NN_ERROR_UNSUPPORTED,
                   "%s: tensor %s: expected dtype F32, F64, U8 or I64, got %s", r->name, tensor,
                   nn_quote(quoted, name));
}

/* Numbers of `list` into values[0 .. most); how many there were, or -1 if they are no such list. */
static int read_integers(int64_t *values, int most, const struct nn_json *list)
{
    int count = nn_json_count(list);
    if (nn_json_kind(list) != NN_JSON_ARRAY || count > most) return -1;
    for (int i = 0; i < count; i++)
        if (!nn_json_integer(nn_json_at(list, i), &values[i])) return -1;
    return count;
}

/* One tensor of the header. Its place is checked against its shape here, against the others' and
 * the file in check_places. */
static enum nn_status read_tensor(struct reader *r, const char *name, const struct nn_json *value)
{
    char quoted[NN_QUOTED];
    struct nn_archive_tensor tensor = {0};
    struct nn_archive_entry *entry;
    int64_t place[2];
    const struct nn_json *shape = nn_json_get(value, "shape");
    const struct nn_json *offsets = nn_json_get(value, "data_offsets");
    nn_quote(quoted, name);
    if (nn_json_count(value) != 3 || !shape || !offsets || !nn_json_get(value, "dtype"))
        return nn_fail(r->context, NN_ERROR_FORMAT,
                       "%s: tensor %s: expected exactly dtype, shape and data_offsets", r->name,
                       quoted);
    enum nn_status status = read_type(r, &tensor.type, quoted, nn_json_get(value, "dtype"));
    if (status) return status;
    if (nn_json_count(shape) > NN_ARCHIVE_MAX_RANK)
        return nn_fail(r->context, NN_ERROR_UNSUPPORTED,
                       "%s: tensor %s: expected at most %d dimensions, got %d", r->name, quoted,
                       NN_ARCHIVE_MAX_RANK, nn_json_count(shape));
    tensor.rank = read_integers(tensor.dim, NN_ARCHIVE_MAX_RANK, shape);
    if (tensor.rank < 0 || read_integers(place, 2, offsets) != 2)
        return nn_fail(r->context, NN_ERROR_FORMAT,
                       "%s: tensor %s: shape and data_offsets must be lists of whole numbers",
                       r->name, quoted);
    if (!nn_archive_bytes(&tensor.bytes, tensor.type, tensor.rank, tensor.dim) ||
        place[1] < place[0] || (uint64_t)(place[1] - place[0]) != tensor.bytes ||
        (uint64_t)place[1] > r->data_size)
        return nn_fail(r->context, NN_ERROR_FORMAT,
                       "%s: tensor %s: its shape does not fit bytes %" PRId64 " to %" PRId64
                       " of %zu",
                       r->name, quoted, place[0], place[1], r->data_size);
    status = nn_archive_add(&entry, r->archive, name, &tensor);
    if (!status) entry->offset = (size_t)place[0];
    return status;
}

static int compare_places(const void *a, const void *b)
{
    const struct nn_archive_entry *left = a, *right = b;
    if (left->offset != right->offset) return left->offset < right->offset ? -1 : 1;
    return (left->tensor.bytes > right->tensor.bytes) - (left->tensor.bytes < right->tensor.bytes);
}

/* Together the tensors must be the data part: no byte twice, none left over. */
static enum nn_status check_places(struct reader *r)
{
    const struct nn_archive_list *tensors = &r->archive->tensors;
    char quoted[NN_QUOTED];
    size_t at = 0, count = (size_t)tensors->count;
    const void **order = nn_alloc(r->context, count, sizeof *order);
    enum nn_status status = NN_OK;
    if (!order) return NN_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) order[i] = tensors->items[i];
    nn_sort(order, count, compare_places);
    for (size_t i = 0; i < count && !status; i++) {
        const struct nn_archive_entry *entry = order[i];
        if (entry->offset != at)
            status = nn_fail(r->context, NN_ERROR_FORMAT,
                             "%s: tensor %s: expected its data at byte %zu, got %zu", r->name,
                             nn_quote(quoted, entry->tensor.name), at, entry->offset);
        at += entry->tensor.bytes;
    }
    if (!status && at != r->data_size)
        status = nn_fail(r->context, NN_ERROR_FORMAT,
                         "%s: expected %zu bytes of tensors after the header, got %zu", r->name, at,
                         r->data_size);
    nn_free(r->context, order);
    return status;
}

static enum nn_status check_sum(struct reader *r)
{
    char hex[NN_SHA256_HEX], quoted[NN_QUOTED];
    if (!r->ours) return NN_OK;
    if (!r->format || !r->sha256)
        return nn_fail(r->context, NN_ERROR_FORMAT,
                       "%s: the metadata %s is missing: the file is damaged", r->name,
                       r->format ? NN_ARCHIVE_SHA256 : NN_ARCHIVE_FORMAT);
    if (strcmp(r->format, FORMAT) != 0)
        return nn_fail(r->context, NN_ERROR_UNSUPPORTED,
                       "%s: expected " NN_ARCHIVE_FORMAT " '%s', got %s", r->name, FORMAT,
                       nn_quote(quoted, r->format));
    checksum(hex, r->archive, r->data);
    if (strcmp(hex, r->sha256) != 0)
        return nn_fail(r->context, NN_ERROR_FORMAT,
                       "%s: checksum does not match: the file is damaged", r->name);
    return NN_OK;
}

/* Everything is checked: memory is taken only for bytes the file really has. */
static enum nn_status copy_data(struct reader *r)
{
    for (int i = 0; i < r->archive->tensors.count; i++) {
        struct nn_archive_entry *entry = r->archive->tensors.items[i];
        void *data = nn_alloc(r->context, entry->tensor.bytes, 1);
        if (!data) return NN_ERROR_MEMORY;
        copy_elements(data, r->data + entry->offset, entry->tensor.bytes,
                      nn_type_size(entry->tensor.type));
        entry->tensor.data = data;
    }
    return NN_OK;
}

static enum nn_status read_header(struct reader *r, const struct nn_json *header)
{
    enum nn_status status = NN_OK;
    for (int i = 0; i < nn_json_count(header) && !status; i++) {
        const char *name;
        const struct nn_json *value = nn_json_sorted(header, i, &name);
        status = strcmp(name, NN_ARCHIVE_METADATA) == 0 ? read_metadata(r, value)
                                                        : read_tensor(r, name, value);
    }
    if (!status) status = check_places(r);
    if (!status) status = check_sum(r);
    if (!status) status = copy_data(r);
    return status;
}

/* Size of the JSON, from the 8 bytes before it. */
static enum nn_status header_size(struct reader *r, size_t *length, const unsigned char *file,
                                  size_t size)
{
    uint64_t number = 0;
    if (size <= LENGTH)
        return nn_fail(r->context, NN_ERROR_FORMAT,
                       "%s: expected a .safetensors file, got %zu bytes", r->name, size);
    for (int i = LENGTH - 1; i >= 0; i--) number = number << 8 | file[i];
    if (number > MAX_HEADER || number > size - LENGTH)
        return nn_fail(r->context, NN_ERROR_FORMAT,
                       "%s: not a .safetensors file or cut off: a header of %" PRIu64
                       " bytes in a file of %zu",
                       r->name, number, size);
    if (number == 0 || file[LENGTH] != '{')
        return nn_fail(r->context, NN_ERROR_FORMAT,
                       "%s: not a .safetensors file: expected '{' at byte %d", r->name, LENGTH);
    *length = (size_t)number;
    return NN_OK;
}

enum nn_status nn_archive_parse(struct nn_archive **archive, struct nn_context *context,
                                const void *bytes, size_t size, const char *name_for_errors)
{
    const unsigned char *file = bytes;
    struct reader r = {.context = context};
    struct nn_json *header = NULL;
    size_t length = 0;
    *archive = NULL;
    nn_quote(r.name, name_for_errors);
    enum nn_status status = header_size(&r, &length, file, size);
    if (status) return status;
    r.data = file + LENGTH + length;
    r.data_size = size - LENGTH - length;
    status = nn_json_parse(&header, context, (const char *)file + LENGTH, length, name_for_errors);
    if (!status) status = nn_archive_new(&r.archive, context);
    if (!status) status = read_header(&r, header);
    nn_json_free(&header);
    if (status && r.archive) nn_archive_free(&r.archive);
    *archive = r.archive;
    return status;
}

enum nn_status nn_archive_read(struct nn_archive **archive, struct nn_context *context,
                               const char *path)
{
    void *bytes = NULL;
    size_t size = 0;
    *archive = NULL;
    enum nn_status status = nn_file_read(context, path, MAX_FILE, &bytes, &size);
    if (!status) status = nn_archive_parse(archive, context, bytes, size, path);
    nn_free(context, bytes);
    return status;
}

/* ---- write ----------------------------------------------------------------------------------- */

/* Larger elements first: then each tensor begins at a multiple of its element's size, although
 * there may be no gaps. */
static int compare_layout(const void *a, const void *b)
{
    const struct nn_archive_entry *left = a, *right = b;
    size_t l = nn_type_size(left->tensor.type), r = nn_type_size(right->tensor.type);
    if (l != r) return l > r ? -1 : 1;
    return strcmp(left->tensor.name, right->tensor.name);
}

/* Sets the offsets and appends the tensors to the header. */
static enum nn_status write_tensors(struct nn_archive *archive, struct nn_text *header,
                                    size_t *data_size)
{
    size_t at = 0, count = (size_t)archive->tensors.count;
    const void **order = nn_alloc(archive->context, count, sizeof *order);
    if (!order) return NN_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) order[i] = archive->tensors.items[i];
    nn_sort(order, count, compare_layout);
    for (size_t i = 0; i < count; i++) {
        struct nn_archive_entry *entry = (struct nn_archive_entry *)order[i];
        const struct nn_archive_tensor *tensor = &entry->tensor;
        entry->offset = at;
        if (tensor->bytes > MAX_FILE - at) {
            nn_free(archive->context, order);
            return nn_fail(archive->context, NN_ERROR_UNSUPPORTED,
                           "more than %zu bytes of tensors for one file", MAX_FILE);
        }
        at += tensor->bytes;
        nn_text_append(header, ",", 1);
        nn_text_json_string(header, tensor->name);
        nn_text_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", type_name(tensor->type));
        for (int k = 0; k < tensor->rank; k++)
            nn_text_printf(header, "%s%" PRId64, k ? "," : "", tensor->dim[k]);
        nn_text_printf(header, "],\"data_offsets\":[%zu,%zu]}", entry->offset, at);
    }
    nn_free(archive->context, order);
    *data_size = at;
    return NN_OK;
}

/* The whole header with zeros for the hash, which begins at *hash_at. */
static enum nn_status write_header(struct nn_archive *archive, struct nn_text *header,
                                   size_t *hash_at, size_t *data_size)
{
    nn_text_printf(header, "{\"%s\":{\"%s\":\"%s\",\"%s\":\"", NN_ARCHIVE_METADATA,
                   NN_ARCHIVE_FORMAT, FORMAT, NN_ARCHIVE_SHA256);
    *hash_at = header->size;
    nn_text_printf(header, "%0*d\"", NN_SHA256_HEX - 1, 0);
    for (int i = 0; i < archive->texts.count; i++) {
        const struct nn_archive_text *item = archive->texts.items[i];
        nn_text_append(header, ",", 1);
        nn_text_json_string(header, item->name);
        nn_text_append(header, ":", 1);
        nn_text_json_string(header, item->text);
    }
    nn_text_append(header, "}", 1);
    enum nn_status status = write_tensors(archive, header, data_size);
    if (status) return status;
    nn_text_append(header, "}", 1);
    while (!header->failed && (LENGTH + header->size) % ALIGNMENT) nn_text_append(header, " ", 1);
    if (header->failed) return NN_ERROR_MEMORY;
    if (header->size > MAX_HEADER || header->size > MAX_FILE - LENGTH - *data_size)
        return nn_fail(archive->context, NN_ERROR_UNSUPPORTED,
                       "names and texts of %zu bytes are too many for one file", header->size);
    return NN_OK;
}

enum nn_status nn_archive_serialize(struct nn_archive *archive, unsigned char **bytes, size_t *size)
{
    struct nn_text header = {.context = archive->context};
    char hex[NN_SHA256_HEX];
    size_t hash_at = 0, data_size = 0;
    unsigned char *file = NULL;
    *bytes = NULL;
    *size = 0;
    enum nn_status status = write_header(archive, &header, &hash_at, &data_size);
    if (status) goto done;
    file = nn_alloc(archive->context, LENGTH + header.size + data_size, 1);
    if (!file) {
        status = NN_ERROR_MEMORY;
        goto done;
    }
    for (int i = 0; i < LENGTH; i++) file[i] = (unsigned char)((uint64_t)header.size >> 8 * i);
    unsigned char *data = file + LENGTH + header.size;
    for (int i = 0; i < archive->tensors.count; i++) {
        const struct nn_archive_entry *entry = archive->tensors.items[i];
        copy_elements(data + entry->offset, entry->tensor.data, entry->tensor.bytes,
                      nn_type_size(entry->tensor.type));
    }
    checksum(hex, archive, data);
    memcpy(file + LENGTH, header.data, header.size);
    memcpy(file + LENGTH + hash_at, hex, NN_SHA256_HEX - 1);
    *bytes = file;
    *size = LENGTH + header.size + data_size;
done:
    nn_text_free(&header);
    return status;
}

enum nn_status nn_archive_write(struct nn_archive *archive, const char *path)
{
    unsigned char *bytes;
    size_t size;
    enum nn_status status = nn_archive_serialize(archive, &bytes, &size);
    if (!status) status = nn_file_write(archive->context, path, bytes, size);
    nn_free(archive->context, bytes);
    return status;
}
