/*
 * pictures.c — a folder of pictures, or a single one, as a video.
 *
 * The folder is listed once, subfolders included, in the order people number files: "2.jpg" before
 * "10.jpg". A picture that cannot be read or decoded is a broken frame; sizes may differ.
 */
#include "vision/capture/capture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_DEPTH = 32, /* folders below; each holds a descriptor open while it is listed */
    /* Links may lead to one folder on many ways, 2^depth of them. */
    MAX_FOLDERS = 1000000,
    MAX_PICTURE = 256 << 20 /* bytes of one file */
};

struct pictures {
    struct nn_context *context;
    char **names; /* below the folder; of a single picture its last component */
    size_t count, capacity, next;
    size_t folders;
    struct nn_text path; /* of what is looked at */
    size_t skip;         /* where the part below the folder begins */
    struct vi_bytes bytes;
};

/* A folder that is being listed, linked to the one it was found in. */
struct place {
    dev_t device;
    ino_t inode;
    int depth;
    const struct place *above;
};

static enum nn_status fail_errno(struct pictures *pictures, const char *verb, int number)
{
    char quoted[NN_QUOTED], reason[128];
    if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    enum nn_status status = number == ENOMEM ? NN_ERROR_MEMORY : NN_ERROR_IO;
    return nn_fail(pictures->context, status, "cannot %s %s: %s", verb,
                   nn_quote(quoted, pictures->path.data), reason);
}

static enum nn_status add_name(struct pictures *pictures, const char *name)
{
    if (pictures->count == pictures->capacity) {
        size_t capacity = pictures->capacity ? 2 * pictures->capacity : 64;
        char **grown = nn_realloc(pictures->context, pictures->names, capacity, sizeof *grown);
        if (!grown) return NN_ERROR_MEMORY;
        pictures->names = grown;
        pictures->capacity = capacity;
    }
    char *copy = nn_strdup(pictures->context, name);
    if (!copy) return NN_ERROR_MEMORY;
    pictures->names[pictures->count++] = copy;
    return NN_OK;
}

/* ---- listing --------------------------------------------------------------------------------- */

static enum nn_status list_folder(struct pictures *pictures, const struct place *above);

/* What cannot be examined is listed if it is named like a picture: reading it will say why. */
static enum nn_status visit(struct pictures *pictures, const struct place *place, int folder,
                            const char *name)
{
    struct stat info;
    if (fstatat(folder, name, &info, 0) == 0 && S_ISDIR(info.st_mode))
        return list_folder(pictures, place);
    if (!vi_is_picture_name(name)) return NN_OK;
    return add_name(pictures, pictures->path.data + pictures->skip);
}

static enum nn_status list_entries(struct pictures *pictures, const struct place *place,
                                   DIR *folder)
{
    struct nn_text *path = &pictures->path;
    size_t size = path->size;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) return errno ? fail_errno(pictures, "read the folder", errno) : NN_OK;
        if (entry->d_name[0] == '.') continue;
        if (path->data[size - 1] != '/') nn_text_append(path, "/", 1);
        nn_text_append(path, entry->d_name, strlen(entry->d_name));
        if (path->failed) return NN_ERROR_MEMORY;
        enum nn_status status = visit(pictures, place, dirfd(folder), entry->d_name);
        if (status) return status;
        path->size = size;
        path->data[size] = '\0';
    }
}

/* The same device and inode on the way down: a link that leads back up. */
static bool is_loop(const struct place *place)
{
    for (const struct place *up = place->above; up; up = up->above)
        if (up->device == place->device && up->inode == place->inode) return true;
    return false;
}

static enum nn_status list_folder(struct pictures *pictures, const struct place *above)
{
    struct place place = {.depth = above ? above->depth + 1 : 0, .above = above};
    struct stat info;
    enum nn_status status = NN_OK;
    if (place.depth > MAX_DEPTH)
        return nn_fail(pictures->context, NN_ERROR_UNSUPPORTED,
                       "folders are nested more than %d deep", MAX_DEPTH);
    if (pictures->folders++ >= MAX_FOLDERS)
        return nn_fail(pictures->context, NN_ERROR_UNSUPPORTED,
                       "more than %d folders: do links lead to the same ones again and again?",
                       MAX_FOLDERS);
    int file = open(pictures->path.data, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return fail_errno(pictures, "open the folder", errno);
    DIR *folder = fdopendir(file);
    if (!folder || fstat(file, &info) != 0) {
        status = fail_errno(pictures, "read the folder", errno);
    } else {
        place.device = info.st_dev;
        place.inode = info.st_ino;
        if (!is_loop(&place)) status = list_entries(pictures, &place, folder);
    }
    if (folder)
        closedir(folder);
    else
        close(file);
    return status;
}

static int by_name(const void *p, const void *q)
{
    const char *a = *(char *const *)p, *b = *(char *const *)q;
    return vi_compare_names(a, strlen(a), b, strlen(b));
}

static enum nn_status list(struct pictures *pictures)
{
    char quoted[NN_QUOTED];
    size_t size = pictures->path.size;
    pictures->skip = size + (pictures->path.data[size - 1] != '/');
    enum nn_status status = list_folder(pictures, NULL);
    if (status) return status;
    if (pictures->count == 0)
        return nn_fail(pictures->context, NN_ERROR_ARGUMENT,
                       "no picture (.png, .jpg, .jpeg, .ppm, .pgm) below %s",
                       nn_quote(quoted, pictures->path.data));
    qsort(pictures->names, pictures->count, sizeof *pictures->names, by_name);
    return NN_OK;
}

/* ---- the source ------------------------------------------------------------------------------ */

/* A JPEG may be a stream of them: capture.c looks. */
static bool knows(const char *path, const uint8_t *head, size_t size)
{
    (void)path;
    if (!head) return true;
    bool pnm = size >= 3 && head[0] == 'P' && (head[1] == '5' || head[1] == '6');
    return (pnm && head[2] && strchr(" \t\n\r#", head[2])) ||
           (size >= 3 && memcmp(head, "\377\330\377", 3) == 0) ||
           (size >= 8 && memcmp(head, "\211PNG\r\n\032\n", 8) == 0);
}

static enum nn_status open_pictures(struct vi_capture *capture)
{
    struct pictures *pictures = nn_alloc(capture->context, 1, sizeof *pictures);
    if (!pictures) return NN_ERROR_MEMORY;
    capture->state = pictures;
    pictures->context = pictures->path.context = capture->context;
    nn_text_append(&pictures->path, capture->path, strlen(capture->path));
    if (pictures->path.failed) return NN_ERROR_MEMORY;
    const char *slash = strrchr(capture->path, '/');
    enum nn_status status =
        capture->stream ? add_name(pictures, slash ? slash + 1 : capture->path) : list(pictures);
    capture->info.frames = (int64_t)pictures->count;
    return status;
}

/* The bytes of a file of the folder, in pictures->bytes. */
static enum nn_status read_file(struct pictures *pictures, const char *name)
{
    struct vi_bytes *bytes = &pictures->bytes;
    void *data = NULL;
    pictures->path.size = pictures->skip - 1;
    nn_text_printf(&pictures->path, "/%s", name);
    if (pictures->path.failed) return NN_ERROR_MEMORY;
    vi_bytes_free(bytes, pictures->context);
    enum nn_status status =
        nn_file_read(pictures->context, pictures->path.data, MAX_PICTURE, &data, &bytes->size);
    bytes->data = data;
    bytes->capacity = bytes->size;
    return status;
}

static enum vi_found read_picture(struct vi_capture *capture, bool wanted)
{
    struct pictures *pictures = capture->state;
    if (pictures->next == pictures->count) return VI_FOUND_END;
    capture->name = pictures->names[pictures->next++];
    if (!wanted) return VI_FOUND_FRAME;
    enum nn_status status = capture->stream
                                ? vi_bytes_read(&pictures->bytes, capture->stream, MAX_PICTURE + 1)
                                : read_file(pictures, capture->name);
    /* A file that cannot be read is no reason to leave out those that can. */
    if (status == NN_ERROR_IO) return VI_FOUND_BROKEN;
    if (!status)
        status = vi_capture_jpeg(capture, pictures->bytes.data, pictures->bytes.size,
                                 pictures->path.data);
    return vi_capture_found(capture, status);
}

static void close_pictures(struct vi_capture *capture)
{
    struct pictures *pictures = capture->state;
    if (!pictures) return;
    for (size_t i = 0; i < pictures->count; i++) nn_free(capture->context, pictures->names[i]);
    nn_free(capture->context, pictures->names);
    nn_text_free(&pictures->path);
    vi_bytes_free(&pictures->bytes, capture->context);
    nn_free(capture->context, pictures);
}

const struct vi_source_kind vi_source_pictures = {"pictures", knows, open_pictures, read_picture,
                                                  close_pictures};
