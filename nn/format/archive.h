/*
 * archive.h — the inside of struct nn_archive, for the formats that fill and write it.
 */
#ifndef NN_FORMAT_ARCHIVE_H
#define NN_FORMAT_ARCHIVE_H

#include "nn/nn.h"

enum { NN_ARCHIVE_MAX_RANK = 8, NN_ARCHIVE_MAX_ITEMS = 1 << 17 };

/* Both kinds of item start with their name, and lists are in the order of the names' bytes. An
 * item is one block; the strings it points to follow it. */
struct nn_archive_item {
    const char *name;
};
struct nn_archive_text {
    const char *name, *text;
};
struct nn_archive_entry {
    struct nn_archive_tensor tensor; /* .data is a block of its own, aligned to 64 */
    size_t offset;                   /* where a file being read or written has the data */
};

struct nn_archive_list {
    void **items;
    int count, capacity;
};
struct nn_archive {
    struct nn_context *context;
    struct nn_archive_list tensors, texts;
};

/* Adds a tensor that is not there yet, without data; the caller has checked what it is given. */
enum nn_status nn_archive_add(struct nn_archive_entry **entry, struct nn_archive *archive,
                              const char *name, const struct nn_archive_tensor *like);
/* Size of the elements times the dimensions; false when a dimension is negative or the product
 * overflows. */
bool nn_archive_bytes(size_t *bytes, enum nn_type type, int rank, const int64_t *dims);
size_t nn_type_size(enum nn_type type);

/* The archive as a .safetensors file in memory, *bytes the caller's to nn_free. */
enum nn_status nn_archive_serialize(struct nn_archive *archive, unsigned char **bytes,
                                    size_t *size);

/* Keys a file needs for itself: they are no part of the archive's texts. */
#define NN_ARCHIVE_PREFIX   "liveness."
#define NN_ARCHIVE_FORMAT   NN_ARCHIVE_PREFIX "format"
#define NN_ARCHIVE_SHA256   NN_ARCHIVE_PREFIX "sha256"
#define NN_ARCHIVE_METADATA "__metadata__"

#endif
