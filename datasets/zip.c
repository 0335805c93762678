/*
 * zip.c — reads the pictures of a .zip, without unpacking it to disk.
 *
 * PKWARE's APPNOTE.TXT 6.3.10 (section numbers below). The list of files is the central directory
 * at the end of the archive (4.3.12); it says where each file's local header (4.3.7) and data are.
 * The two are compared, so that damage to a name is noticed; damage to data is found by the
 * CRC-32. Names are only names: nothing is ever written to disk under them.
 */
#include "datasets/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    LOCAL_HEADER = 30,
    CENTRAL_HEADER = 46,
    END_RECORD = 22,
    LOCATOR = 20,
    MAX_COMMENT = 65535,
    MAX_DIRECTORY = 256 << 20, /* 65,535 names of 4 KB */
    STORED = 0,
    DEFLATED = 8,
    /* Deflate codes at most 258 bytes in 2 bits: what claims to grow more lies about its size. */
    MAX_RATIO = 1032
};
enum { ENCRYPTED = 1, STREAMED = 8, PATCH = 32, STRONG = 64, MASKED = 8192 }; /* flags, 4.4.4 */

static const uint32_t LOCAL_SIGNATURE = 0x04034b50, CENTRAL_SIGNATURE = 0x02014b50,
                      END_SIGNATURE = 0x06054b50, LOCATOR_SIGNATURE = 0x07064b50;

static uint16_t le16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t le32(const uint8_t *bytes)
{
    return le16(bytes) | (uint32_t)le16(bytes + 2) << 16;
}

/* CRC-32 of ISO 3309, four bits at a time: row r of the table is r shifted out of the reflected
 * polynomial 0xEDB88320. */
static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* Reads exactly `size` bytes at `offset`: 0, or errno, or -1 where the file ends before. */
static int read_at(int file, void *to, size_t size, uint64_t offset)
{
    uint8_t *at = to;
    while (size) {
        ssize_t got = pread(file, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return -1;
        at += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

static const char *read_error(char text[128], int error)
{
    return error < 0 ? "the file ends too early" : ds_errno_text(text, error);
}

/* ---- the end record ------------------------------------------------------------------------ */

/* An archive that is being listed. */
struct listing {
    struct ds_zip *zip;
    struct ds_catalog *catalog;
    const char *root;
    uint64_t file_size;
    uint8_t *directory; /* the central directory: `entries` headers in `size` bytes */
    size_t size, entries;
    struct nn_text name; /* of the entry at hand, cleaned */
};

static enum nn_status fail(const struct listing *list, enum nn_status status, const char *message)
{
    char quoted[NN_QUOTED];
    nn_fail(list->catalog->context, status, "%s: %s", nn_quote(quoted, list->root), message);
    return status;
}

static enum nn_status damaged(const struct listing *list)
{
    return fail(list, NN_ERROR_FORMAT,
                "damaged .zip: its central directory is not where, or not "
                "what, its end says");
}

/* Checks the record at `at` of the archive (4.3.16) and notes what it says. `before` bytes in
 * front of it were read as well. */
static enum nn_status take_end_record(struct listing *list, const uint8_t *record, size_t before,
                                      uint64_t at)
{
    if (before >= LOCATOR && le32(record - LOCATOR) == LOCATOR_SIGNATURE)
        return fail(list, NN_ERROR_UNSUPPORTED,
                    "a zip64 archive (more than 65,535 files, or "
                    "4 GB) cannot be read: unpack it and name the folder");
    if (le16(record + 4) != 0 || le16(record + 6) != 0 || le16(record + 8) != le16(record + 10))
        return fail(list, NN_ERROR_UNSUPPORTED,
                    "an archive split over several files cannot be "
                    "read: unpack it and name the folder");
    list->entries = le16(record + 10);
    list->size = le32(record + 12);
    list->zip->directory = le32(record + 16);
    if (list->zip->directory + list->size != at) return damaged(list);
    return NN_OK;
}

/* The end record is the last thing in the file but for a comment of at most 64 KB. */
static enum nn_status find_end_record(struct listing *list)
{
    struct nn_context *context = list->catalog->context;
    char text[128];
    size_t size = END_RECORD + MAX_COMMENT + LOCATOR;
    if (size > list->file_size) size = (size_t)list->file_size;
    uint8_t *tail = nn_alloc(context, size, 1);
    if (!tail) return NN_ERROR_MEMORY;
    uint64_t from = list->file_size - size;
    int error = read_at(list->zip->file, tail, size, from);
    enum nn_status status = NN_OK;
    bool found = false;
    if (error) status = fail(list, NN_ERROR_IO, read_error(text, error));
    for (size_t at = size; !status && !found && at-- > 0;) {
        /* The comment's length must lead to the end of the file: a signature within a comment
         * does not mislead. */
        if (size - at < END_RECORD || le32(tail + at) != END_SIGNATURE) continue;
        if (at + END_RECORD + le16(tail + at + 20) != size) continue;
        found = true;
        status = take_end_record(list, tail + at, at, from + at);
    }
    if (!status && !found)
        status = fail(list, NN_ERROR_FORMAT,
                      "not a whole .zip: it has no end record (was it cut "
                      "short?)");
    nn_free(context, tail);
    return status;
}

static enum nn_status read_directory(struct listing *list)
{
    char text[128];
    if (list->size > MAX_DIRECTORY)
        return fail(list, NN_ERROR_UNSUPPORTED, "its central directory has more than 256 MB");
    list->directory = nn_alloc(list->catalog->context, list->size + 1, 1);
    if (!list->directory) return NN_ERROR_MEMORY;
    int error = read_at(list->zip->file, list->directory, list->size, list->zip->directory);
    return error ? fail(list, NN_ERROR_IO, read_error(text, error)) : NN_OK;
}

/* ---- entries ------------------------------------------------------------------------------- */

/* A central header (4.3.12), read. */
struct central {
    const char *name;
    uint16_t name_size, made_by, flags, method;
    uint32_t crc, packed, size, offset;
};

static enum nn_status next_central(struct central *header, size_t *at, const struct listing *list)
{
    const uint8_t *b = list->directory + *at;
    if (list->size - *at < CENTRAL_HEADER || le32(b) != CENTRAL_SIGNATURE) return damaged(list);
    size_t total = (size_t)CENTRAL_HEADER + le16(b + 28) + le16(b + 30) + le16(b + 32);
    if (list->size - *at < total) return damaged(list);
    *header = (struct central){
        .name = (const char *)b + CENTRAL_HEADER,
        .name_size = le16(b + 28),
        .made_by = le16(b + 4),
        .flags = le16(b + 8),
        .method = le16(b + 10),
        .crc = le32(b + 16),
        .packed = le32(b + 20),
        .size = le32(b + 24),
        .offset = le32(b + 42),
    };
    if (memchr(header->name, '\0', header->name_size)) return damaged(list);
    if (le16(b + 34) != 0)
        return fail(list, NN_ERROR_UNSUPPORTED,
                    "an archive split over several files cannot be "
                    "read: unpack it and name the folder");
    *at += total;
    return NN_OK;
}

/* Puts the name's parts into list->name: no empty ones and no "."; '\' parts them too where the
 * archive was made under DOS (4.4.17). ".." is a name like others. */
enum kind { FILE_ENTRY, FOLDER_ENTRY, IGNORED_ENTRY };
static enum kind clean_name(struct listing *list, const struct central *header)
{
    const char separators[] = {'/', header->made_by >> 8 == 0 ? '\\' : '/'};
    bool folder = true, ignored = false;
    list->name.size = 0;
    for (size_t at = 0; at < header->name_size; at++) {
        const char *part = header->name + at;
        size_t size = 0, left = header->name_size - at;
        while (size < left && part[size] != separators[0] && part[size] != separators[1]) size++;
        at += size;
        folder = size < left;
        if (size == 0 || (size == 1 && part[0] == '.')) continue;
        bool parent = size == 2 && part[0] == '.' && part[1] == '.';
        if (ds_is_hidden(part, size) && !parent) ignored = true;
        if (list->name.size) nn_text_append(&list->name, "/", 1);
        nn_text_append(&list->name, part, size);
    }
    if (list->name.size == 0 || ignored) return IGNORED_ENTRY;
    return folder ? FOLDER_ENTRY : FILE_ENTRY;
}

/* Compares the local header with the central one and finds the data. Returns NULL, or what is
 * wrong. `local` has room for a header and a name. */
static const char *check_local(struct ds_zip_entry *entry, const struct ds_zip *zip,
                               const struct central *header, uint8_t *local, char text[128])
{
    size_t size = (size_t)LOCAL_HEADER + header->name_size;
    if (header->offset > zip->directory || size > zip->directory - header->offset)
        return "damaged .zip: its place lies outside of the archive";
    int error = read_at(zip->file, local, size, header->offset);
    if (error) return read_error(text, error);
    bool streamed = le16(local + 6) & STREAMED; /* sizes and CRC follow the data instead */
    if (le32(local) != LOCAL_SIGNATURE || le16(local + 8) != header->method ||
        le16(local + 26) != header->name_size ||
        memcmp(local + LOCAL_HEADER, header->name, header->name_size) != 0 ||
        (!streamed && (le32(local + 14) != header->crc || le32(local + 18) != header->packed ||
                       le32(local + 22) != header->size)))
        return "damaged .zip: its own header and the central directory differ";
    entry->data = header->offset + (uint64_t)size + le16(local + 28);
    if (entry->data + header->packed > zip->directory)
        return "damaged .zip: its data reach into the central directory";
    return NULL;
}

/* Is this something that can be unpacked, in reasonable memory? NULL, or why not. */
static const char *check_entry(const struct central *header, char text[128])
{
    if (header->flags & (ENCRYPTED | STRONG | MASKED)) return "it is encrypted";
    if (header->flags & PATCH) return "it is a patch, not a file";
    if (header->packed == UINT32_MAX || header->size == UINT32_MAX || header->offset == UINT32_MAX)
        return "its size is in zip64 form, which cannot be read";
    if (header->method != STORED && header->method != DEFLATED) {
        snprintf(text, 128, "packed by method %d; only 0 (stored) and 8 (deflated) can be read",
                 header->method);
        return text;
    }
    if (header->size > DS_MAX_FILE || header->packed > DS_MAX_FILE) {
        snprintf(text, 128, "unpacked it has %lu bytes, at most %lu are accepted",
                 (unsigned long)header->size, (unsigned long)DS_MAX_FILE);
        return text;
    }
    if (header->method == STORED ? header->packed != header->size
                                 : header->size > (uint64_t)header->packed * MAX_RATIO)
        return "damaged .zip: its sizes cannot be true";
    return NULL;
}

static enum nn_status add_entry(struct listing *list, const struct ds_zip_entry *entry,
                                const char *path)
{
    struct ds_zip *zip = list->zip;
    if (zip->count == zip->capacity) {
        size_t capacity = zip->capacity ? 2 * zip->capacity : 64;
        struct ds_zip_entry *grown =
            nn_realloc(list->catalog->context, zip->entries, capacity, sizeof *grown);
        if (!grown) return NN_ERROR_MEMORY;
        zip->entries = grown;
        zip->capacity = capacity;
    }
    zip->entries[zip->count++] = *entry;
    return ds_add_path(list->catalog, path);
}

/* One entry whose name, without the top folder, is `path`. */
static enum nn_status list_entry(struct listing *list, const struct central *header,
                                 const char *path, enum kind kind)
{
    struct ds_catalog *catalog = list->catalog;
    const char *slash = strchr(path, '/');
    enum nn_status status = NN_OK;
    if (slash || kind == FOLDER_ENTRY)
        status = ds_add_class(catalog, path, slash ? (size_t)(slash - path) : strlen(path));
    if (status || kind == FOLDER_ENTRY) return status;
    char text[128];
    uint8_t *local = nn_alloc(catalog->context, (size_t)LOCAL_HEADER + header->name_size, 1);
    if (!local) return NN_ERROR_MEMORY;
    struct ds_zip_entry entry = {
        .packed = header->packed,
        .size = header->size,
        .crc = header->crc,
        .method = header->method,
    };
    bool picture = vi_is_picture_name(path);
    const char *wrong = picture ? check_entry(header, text) : NULL;
    /* Also for what is no picture: its name may be damaged. */
    if (!wrong) wrong = check_local(&entry, list->zip, header, local, text);
    if (!wrong && picture && !slash) wrong = "it lies beside the class folders, not in one";
    if (wrong)
        status = ds_add_bad(catalog->pictures, path, wrong);
    else if (picture)
        status = add_entry(list, &entry, path);
    nn_free(catalog->context, local);
    return status;
}

/* ---- the whole list ------------------------------------------------------------------------ */

/* Size of "set/" when all there is lies in one folder `set` that holds folders and no pictures: it
 * is what the class folders were packed in, and is skipped. */
static enum nn_status find_top_folder(size_t *skip, struct listing *list)
{
    struct central header;
    struct nn_text top = {.context = list->catalog->context};
    bool one = true, folders = false;
    uint64_t used = 0;
    size_t at = 0;
    enum nn_status status = NN_OK;
    for (size_t i = 0; i < list->entries && !status; i++) {
        status = next_central(&header, &at, list);
        if (status) break;
        used += (uint64_t)LOCAL_HEADER + header.name_size + header.packed;
        enum kind kind = clean_name(list, &header);
        if (list->name.failed || top.failed) status = NN_ERROR_MEMORY;
        if (status || kind == IGNORED_ENTRY) continue;
        const char *name = list->name.data, *slash = strchr(name, '/');
        bool picture = kind == FILE_ENTRY && vi_is_picture_name(name);
        size_t size = slash ? (size_t)(slash - name) : list->name.size;
        if (!slash && kind == FILE_ENTRY) {
            if (picture) one = false;
            continue; /* a read-me beside the folder */
        }
        if (!top.size) nn_text_append(&top, name, size);
        if (!top.failed && (top.size != size || memcmp(top.data, name, size) != 0)) one = false;
        bool deeper = slash && (strchr(slash + 1, '/') || kind == FOLDER_ENTRY);
        if (deeper) folders = true;
        if (slash && !deeper && picture) one = false;
    }
    if (!status && top.failed) status = NN_ERROR_MEMORY;
    if (!status && at != list->size) status = damaged(list);
    /* Entries that share their data make a small file unpack to petabytes (Fifield 2019). */
    if (!status && used > list->zip->directory)
        status = fail(list, NN_ERROR_FORMAT, "damaged .zip: its files overlap");
    *skip = one && folders ? top.size + 1 : 0;
    nn_text_free(&top);
    return status;
}

static enum nn_status list_all(struct listing *list, size_t skip)
{
    struct central header;
    size_t at = 0;
    enum nn_status status = NN_OK;
    for (size_t i = 0; i < list->entries && !status; i++) {
        status = next_central(&header, &at, list);
        if (status) break;
        enum kind kind = clean_name(list, &header);
        if (list->name.failed) return NN_ERROR_MEMORY;
        /* With a top folder, what lies beside it is no picture. */
        if (kind == IGNORED_ENTRY || list->name.size <= skip) continue;
        if (skip && list->name.data[skip - 1] != '/') continue;
        status = list_entry(list, &header, list->name.data + skip, kind);
        if (!status && i % 256 == 0)
            status = ds_check_stop(list->catalog->context, list->catalog->options);
    }
    return status;
}

enum nn_status ds_zip_list(struct ds_zip *zip, struct ds_catalog *catalog, int file,
                           const char *root)
{
    struct nn_context *context = catalog->context;
    struct listing list = {.zip = zip, .catalog = catalog, .root = root, .name.context = context};
    struct stat info;
    size_t skip = 0;
    char text[128];
    *zip = (struct ds_zip){.file = file};
    if (fstat(file, &info) != 0) return fail(&list, NN_ERROR_IO, ds_errno_text(text, errno));
    list.file_size = (uint64_t)info.st_size;
    enum nn_status status = find_end_record(&list);
    if (!status) status = read_directory(&list);
    if (!status) status = find_top_folder(&skip, &list);
    if (!status) status = list_all(&list, skip);
    nn_text_free(&list.name);
    nn_free(context, list.directory);
    return status;
}

/* ---- data ---------------------------------------------------------------------------------- */

static enum nn_status read_packed(void *to, const struct ds_zip *zip,
                                  const struct ds_zip_entry *entry, struct nn_context *context)
{
    char text[128];
    int error = read_at(zip->file, to, entry->packed, entry->data);
    return error ? nn_fail(context, NN_ERROR_IO, "%s", read_error(text, error)) : NN_OK;
}

enum nn_status ds_zip_read(void **bytes, size_t *size, const struct ds_zip *zip, size_t index,
                           struct nn_context *context)
{
    const struct ds_zip_entry *entry = &zip->entries[index];
    uint8_t *packed = NULL, *unpacked = NULL;
    enum nn_status status = NN_ERROR_MEMORY;
    *bytes = NULL;
    *size = entry->size;
    unpacked = nn_alloc(context, (size_t)entry->size + 1, 1);
    if (!unpacked) goto done;
    if (entry->method == STORED) {
        status = read_packed(unpacked, zip, entry, context);
    } else {
        packed = nn_alloc(context, (size_t)entry->packed + 1, 1);
        if (!packed) goto done;
        status = read_packed(packed, zip, entry, context);
        if (!status)
            status = vi_inflate(context, unpacked, entry->size, packed, entry->packed, NULL);
    }
    if (!status && crc32_of(unpacked, entry->size) != entry->crc)
        status = nn_fail(context, NN_ERROR_FORMAT, "damaged .zip: wrong CRC-32");
    if (!status) {
        *bytes = unpacked;
        unpacked = NULL;
    }
done:
    nn_free(context, packed);
    nn_free(context, unpacked);
    return status;
}

void ds_zip_close(struct ds_zip *zip, struct nn_context *context)
{
    if (zip->file >= 0) close(zip->file);
    nn_free(context, zip->entries);
    *zip = (struct ds_zip){.file = -1};
}
