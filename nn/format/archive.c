/*
 * archive.c — named tensors and texts in memory; safetensors.c takes them from and to files.
 */
#include "nn/format/archive.h"
#include "nn/text.h"

#include <assert.h>
#include <string.h>

/* ---- lists in the order of names ------------------------------------------------------------- */

static const char *name_at(const struct nn_archive_list *list, int index)
{
    const struct nn_archive_item *item = list->items[index];
    return item->name;
}

/* Where `name` is, or would have to be inserted. */
static int find(const struct nn_archive_list *list, const char *name, bool *found)
{
    int low = 0, high = list->count;
    *found = false;
    /* Readers add names in order: look at the end first. */
    if (high > 0 && strcmp(name_at(list, high - 1), name) < 0) return high;
    while (low < high) {
        int middle = low + (high - low) / 2, order = strcmp(name, name_at(list, middle));
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void *lookup(const struct nn_archive_list *list, const char *name)
{
    bool found;
    int index = find(list, name, &found);
    return found ? list->items[index] : NULL;
}

/* Puts `item` in its place; the one that had its name before is in *replaced, or NULL. */
static enum nn_status insert(struct nn_archive *archive, struct nn_archive_list *list, void *item,
                             void **replaced)
{
    bool found;
    int index = find(list, ((const struct nn_archive_item *)item)->name, &found);
    *replaced = found ? list->items[index] : NULL;
    if (!found) {
        if (list->count == NN_ARCHIVE_MAX_ITEMS)
            return nn_fail(archive->context, NN_ERROR_UNSUPPORTED,
                           "an archive holds at most %d tensors and as many texts",
                           NN_ARCHIVE_MAX_ITEMS);
        if (list->count == list->capacity) {
            int capacity = list->capacity ? 2 * list->capacity : 16;
            void **items =
                nn_realloc(archive->context, list->items, (size_t)capacity, sizeof *items);
            if (!items) return NN_ERROR_MEMORY;
            list->items = items;
            list->capacity = capacity;
        }
        memmove(list->items + index + 1, list->items + index,
                (size_t)(list->count - index) * sizeof *list->items);
        list->count++;
    }
    list->items[index] = item;
    return NN_OK;
}

/* ---- checks ---------------------------------------------------------------------------------- */

size_t nn_type_size(enum nn_type type)
{
    switch (type) {
    case NN_F32:
        return 4;
    case NN_F64:
    case NN_I64:
        return 8;
    case NN_U8:
        return 1;
    }
    return 0;
}

bool nn_archive_bytes(size_t *bytes, enum nn_type type, int rank, const int64_t *dims)
{
    size_t product = nn_type_size(type);
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0) return false;
        /* Also the dimensions beside a 0 must make sense: their order may be changed later. */
        if (dims[i] == 0)
            empty = true;
        else if (product > SIZE_MAX / 2 / (uint64_t)dims[i])
            return false;
        else
            product *= (size_t)dims[i];
    }
    *bytes = empty ? 0 : product;
    return true;
}

/* Only UTF-8 goes into JSON and comes back as it was. */
static enum nn_status check_utf8(struct nn_context *context, const char *what, const char *text)
{
    char quoted[NN_QUOTED];
    size_t size = strlen(text), step;
    for (size_t at = 0; at < size; at += step) {
        step = nn_utf8_size(text + at, size - at);
        if (!step)
            return nn_fail(context, NN_ERROR_ARGUMENT, "%s %s of an archive is not UTF-8", what,
                           nn_quote(quoted, text));
    }
    return NN_OK;
}

/* ---- archive --------------------------------------------------------------------------------- */

enum nn_status nn_archive_new(struct nn_archive **archive, struct nn_context *context)
{
    *archive = nn_alloc(context, 1, sizeof **archive);
    if (!*archive) return NN_ERROR_MEMORY;
    (*archive)->context = context;
    return NN_OK;
}

static void free_entry(struct nn_context *context, struct nn_archive_entry *entry)
{
    if (entry) nn_free(context, (void *)entry->tensor.data);
    nn_free(context, entry);
}

void nn_archive_free(struct nn_archive **archive)
{
    if (!*archive) return;
    struct nn_context *context = (*archive)->context;
    for (int i = 0; i < (*archive)->tensors.count; i++)
        free_entry(context, (*archive)->tensors.items[i]);
    for (int i = 0; i < (*archive)->texts.count; i++) nn_free(context, (*archive)->texts.items[i]);
    nn_free(context, (*archive)->tensors.items);
    nn_free(context, (*archive)->texts.items);
    nn_free(context, *archive);
    *archive = NULL;
}

/* A tensor's block: its struct, then its name. */
static struct nn_archive_entry *new_entry(struct nn_context *context, const char *name,
                                          const struct nn_archive_tensor *like)
{
    size_t length = strlen(name);
    struct nn_archive_entry *entry = nn_alloc(context, sizeof *entry + length + 1, 1);
    if (!entry) return NULL;
    entry->tensor = *like;
    entry->tensor.name = memcpy(entry + 1, name, length + 1);
    entry->tensor.data = NULL;
    return entry;
}

enum nn_status nn_archive_add(struct nn_archive_entry **entry, struct nn_archive *archive,
                              const char *name, const struct nn_archive_tensor *like)
{
    void *replaced;
    *entry = new_entry(archive->context, name, like);
    if (!*entry) return NN_ERROR_MEMORY;
    enum nn_status status = insert(archive, &archive->tensors, *entry, &replaced);
    assert(status || !replaced);
    if (status) {
        nn_free(archive->context, *entry);
        *entry = NULL;
    }
    return status;
}

/* What a caller wants to put, checked; *tensor has all but name and data. */
static enum nn_status describe(struct nn_archive_tensor *tensor, struct nn_context *context,
                               const char *name, enum nn_type type, int rank, const int64_t *dims)
{
    char quoted[NN_QUOTED];
    enum nn_status status = check_utf8(context, "the tensor name", name);
    if (status) return status;
    nn_quote(quoted, name);
    if (strcmp(name, NN_ARCHIVE_METADATA) == 0)
        return nn_fail(context, NN_ERROR_ARGUMENT, "no tensor can be named %s", quoted);
    if (nn_type_size(type) == 0)
        return nn_fail(context, NN_ERROR_ARGUMENT, "tensor %s: there is no type %d", quoted,
                       (int)type);
    if (rank < 0 || rank > NN_ARCHIVE_MAX_RANK)
        return nn_fail(context, NN_ERROR_ARGUMENT, "tensor %s: expected 0 to %d dimensions, got %d",
                       quoted, NN_ARCHIVE_MAX_RANK, rank);
    *tensor = (struct nn_archive_tensor){.type = type, .rank = rank};
    for (int i = 0; i < rank; i++) {
        tensor->dim[i] = dims[i];
        if (dims[i] < 0 || dims[i] > INT64_C(1) << 53) /* what a reader of JSON can hold exactly */
            return nn_fail(context, NN_ERROR_ARGUMENT, "tensor %s: dimension %d cannot be %lld",
                           quoted, i, (long long)dims[i]);
    }
    if (!nn_archive_bytes(&tensor->bytes, type, rank, dims))
        return nn_fail(context, NN_ERROR_MEMORY, "tensor %s is too large for this machine", quoted);
    return NN_OK;
}

enum nn_status nn_archive_put(struct nn_archive *archive, const char *name, enum nn_type type,
                              int rank, const int64_t *dims, const void *data)
{
    struct nn_context *context = archive->context;
    struct nn_archive_tensor tensor = {0};
    struct nn_archive_entry *entry = NULL;
    void *replaced;
    enum nn_status status = describe(&tensor, context, name, type, rank, dims);
    if (status) return status;
    void *copy = nn_alloc(context, tensor.bytes, 1);
    if (!copy) return NN_ERROR_MEMORY;
    if (tensor.bytes) memcpy(copy, data, tensor.bytes);
    entry = new_entry(context, name, &tensor);
    if (!entry) {
        nn_free(context, copy);
        return NN_ERROR_MEMORY;
    }
    entry->tensor.data = copy;
    status = insert(archive, &archive->tensors, entry, &replaced);
    free_entry(context, status ? entry : replaced);
    return status;
}

enum nn_status nn_archive_put_text(struct nn_archive *archive, const char *key, const char *text)
{
    struct nn_context *context = archive->context;
    char quoted[NN_QUOTED];
    void *replaced;
    enum nn_status status = check_utf8(context, "the key", key);
    if (!status) status = check_utf8(context, "the text", text);
    if (status) return status;
    if (strcmp(key, NN_ARCHIVE_FORMAT) == 0 || strcmp(key, NN_ARCHIVE_SHA256) == 0)
        return nn_fail(context, NN_ERROR_ARGUMENT, "the key %s is written by the archive itself",
                       nn_quote(quoted, key));
    size_t key_size = strlen(key) + 1, text_size = strlen(text) + 1;
    struct nn_archive_text *item = nn_alloc(context, sizeof *item + key_size + text_size, 1);
    if (!item) return NN_ERROR_MEMORY;
    char *strings = (char *)(item + 1);
    item->name = memcpy(strings, key, key_size);
    item->text = memcpy(strings + key_size, text, text_size);
    status = insert(archive, &archive->texts, item, &replaced);
    nn_free(context, status ? item : replaced);
    return status;
}

int nn_archive_count(const struct nn_archive *archive)
{
    return archive->tensors.count;
}

const struct nn_archive_tensor *nn_archive_at(const struct nn_archive *archive, int index)
{
    if (index < 0 || index >= archive->tensors.count) return NULL;
    const struct nn_archive_entry *entry = archive->tensors.items[index];
    return &entry->tensor;
}

const struct nn_archive_tensor *nn_archive_get(const struct nn_archive *archive, const char *name)
{
    const struct nn_archive_entry *entry = lookup(&archive->tensors, name);
    return entry ? &entry->tensor : NULL;
}

const char *nn_archive_text(const struct nn_archive *archive, const char *key)
{
    const struct nn_archive_text *item = lookup(&archive->texts, key);
    return item ? item->text : NULL;
}
