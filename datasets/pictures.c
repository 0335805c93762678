/*
 * pictures.c — reads a data set: lists it, decodes it on all cores, keeps 8-bit pixels.
 *
 * The pictures are decoded in slices of some per thread. Picture i of a slice goes to the place it
 * will have if none before it is bad; between slices the calling thread closes the gaps that bad
 * pictures left, reports progress and looks at the stop flag. So memory is that of the pixels and
 * of one big picture per thread, and what comes out does not depend on the number of threads.
 */
#include "datasets/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SIDE = 8192, SLICE = 8 /* per thread: a second or so of the largest photos */ };

/* ---- one picture --------------------------------------------------------------------------- */

static enum nn_status check_options(struct nn_context *context, const struct ds_options *options)
{
    if (!options) return nn_fail(context, NN_ERROR_ARGUMENT, "no options for reading pictures");
    if (options->width < 1 || options->width > MAX_SIDE || options->height < 1 ||
        options->height > MAX_SIDE)
        return nn_fail(context, NN_ERROR_ARGUMENT, "picture size: expected 1x1 to %dx%d, got %dx%d",
                       MAX_SIDE, MAX_SIDE, options->width, options->height);
    if (options->color != VI_BGR && options->color != VI_RGB)
        return nn_fail(context, NN_ERROR_ARGUMENT, "picture colours: expected BGR or RGB");
    return NN_OK;
}

/* Decodes into to[height * width * 3]; the large picture is gone when it returns. */
static enum nn_status decode(uint8_t *to, struct nn_context *context, const void *bytes,
                             size_t size, const struct ds_options *options, const char *name)
{
    const struct vi_decode_options decoding = {
        .color = options->color,
        .max_pixels = options->max_pixels,
    };
    struct vi_image image, small = {
                               .pixels = to,
                               .width = options->width,
                               .height = options->height,
                               .channels = 3,
                               .stride = (ptrdiff_t)options->width * 3,
                           };
    enum nn_status status = vi_decode(&image, context, bytes, size, &decoding, name);
    if (status) return status;
    status = vi_resize(&small, &image, context);
    vi_image_free(context, &image);
    return status;
}

enum nn_status ds_read_picture(uint8_t *to, struct nn_context *context, const char *path,
                               const struct ds_options *options)
{
    void *bytes = NULL;
    size_t size = 0;
    enum nn_status status = check_options(context, options);
    if (!status) status = nn_file_read(context, path, DS_MAX_FILE, &bytes, &size);
    if (!status) status = decode(to, context, bytes, size, options, path);
    nn_free(context, bytes);
    return status;
}

/* ---- all of them --------------------------------------------------------------------------- */

struct load {
    struct nn_context *context;
    const struct ds_options *options;
    struct ds_pictures *pictures;
    const struct ds_zip *zip; /* NULL: a folder */
    const char *root;
    size_t picture_size;    /* bytes */
    size_t from, kept;      /* first path of the slice, good pictures before it */
    enum nn_status *status; /* [slice] */
    char **reason;          /* [slice] of the bad ones; NULL where there was no memory for it */
};

static enum nn_status read_file(void **bytes, size_t *size, const struct load *load,
                                struct nn_context *context, const char *path)
{
    size_t root = strlen(load->root), rest = strlen(path);
    char *full = nn_alloc(context, root + rest + 2, 1);
    if (!full) return NN_ERROR_MEMORY;
    memcpy(full, load->root, root);
    full[root] = '/';
    memcpy(full + root + 1, path, rest + 1);
    enum nn_status status = nn_file_read(context, full, DS_MAX_FILE, bytes, size);
    nn_free(context, full);
    return status;
}

/* The part of a message that does not repeat which file it is about: after "cannot read 'path': ".
 */
static const char *reason_of(const char *message)
{
    const char *last = NULL;
    for (const char *at = message; (at = strstr(at, "': ")) != NULL; at++) last = at + 3;
    return strncmp(message, "cannot ", 7) == 0 && last ? last : message;
}

static void load_one(void *argument, int index, int thread)
{
    const struct load *load = argument;
    struct nn_context *context = nn_worker(load->context, thread);
    const char *path = load->pictures->paths[load->from + (size_t)index];
    uint8_t *to = load->pictures->pixels + (load->kept + (size_t)index) * load->picture_size;
    void *bytes = NULL;
    size_t size = 0;
    enum nn_status status =
        load->zip ? ds_zip_read(&bytes, &size, load->zip, load->from + (size_t)index, context)
                  : read_file(&bytes, &size, load, context, path);
    if (!status) status = decode(to, context, bytes, size, load->options, NULL);
    nn_free(context, bytes);
    load->status[index] = status;
    load->reason[index] = status ? nn_strdup(context, reason_of(nn_error(context))) : NULL;
    if (status && !load->reason[index]) load->status[index] = NN_ERROR_MEMORY;
}

/* Moves the good pictures of a slice together and names the bad ones. Running out of memory is
 * not the picture's fault, so it ends the loading. */
static enum nn_status close_gaps(struct load *load, int count)
{
    struct ds_pictures *pictures = load->pictures;
    char quoted[NN_QUOTED];
    size_t begin = load->kept;
    for (int i = 0; i < count; i++) {
        size_t from = load->from + (size_t)i, to = load->kept;
        const char *reason = load->reason[i] ? load->reason[i] : "out of memory";
        enum nn_status status = load->status[i];
        if (status == NN_ERROR_MEMORY)
            return nn_fail(load->context, status, "%s: %s", nn_quote(quoted, pictures->paths[from]),
                           reason);
        if (status) {
            status = ds_add_bad(pictures, pictures->paths[from], reason);
            if (status) return status;
            continue;
        }
        if (to != begin + (size_t)i)
            memcpy(pictures->pixels + to * load->picture_size,
                   pictures->pixels + (begin + (size_t)i) * load->picture_size, load->picture_size);
        pictures->paths[to] = pictures->paths[from];
        pictures->labels[to] = pictures->labels[from];
        load->kept++;
    }
    return NN_OK;
}

static enum nn_status load_slice(struct load *load, int count)
{
    enum nn_status status = ds_check_stop(load->context, load->options);
    if (status) return status;
    nn_parallel(load->context, count, load_one, load);
    status = close_gaps(load, count);
    for (int i = 0; i < count; i++) {
        nn_free(load->context, load->reason[i]);
        load->reason[i] = NULL;
    }
    return status;
}

static enum nn_status load_pixels(struct load *load)
{
    struct nn_context *context = load->context;
    struct ds_pictures *pictures = load->pictures;
    size_t slice = (size_t)nn_threads(context) * SLICE, total = pictures->count;
    load->picture_size = (size_t)pictures->width * (size_t)pictures->height * 3;
    load->status = nn_alloc(context, slice, sizeof *load->status);
    load->reason = load->status ? nn_alloc(context, slice, sizeof *load->reason) : NULL;
    if (load->reason) pictures->pixels = nn_alloc(context, total, load->picture_size);
    enum nn_status status = pictures->pixels ? NN_OK : NN_ERROR_MEMORY;
    while (!status && load->from < total) {
        size_t count = total - load->from < slice ? total - load->from : slice;
        status = load_slice(load, (int)count);
        load->from += count;
        if (!status && load->options->progress)
            load->options->progress(load->options->user, load->from, total);
    }
    pictures->count = load->kept;
    nn_free(context, load->reason);
    nn_free(context, load->status);
    return status;
}

/* ---- the data set -------------------------------------------------------------------------- */

/* Opens `path` if it is a zip: *file stays -1 if it is a folder. */
static enum nn_status open_source(int *file, struct nn_context *context, const char *path)
{
    char quoted[NN_QUOTED], text[128];
    struct stat info;
    uint8_t magic[2] = {0, 0};
    *file = -1;
    nn_quote(quoted, path);
    int made = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (made < 0 || fstat(made, &info) != 0) {
        int error = errno;
        if (made >= 0) close(made);
        return nn_fail(context, NN_ERROR_IO, "cannot open data set %s: %s", quoted,
                       ds_errno_text(text, error));
    }
    if (S_ISDIR(info.st_mode)) {
        close(made);
        return NN_OK;
    }
    if (S_ISREG(info.st_mode) && pread(made, magic, 2, 0) == 2 && magic[0] == 'P' &&
        magic[1] == 'K') {
        *file = made;
        return NN_OK;
    }
    close(made);
    return nn_fail(context, NN_ERROR_FORMAT,
                   "data set %s is neither a folder nor a .zip: expected one sub-folder of PNG or "
                   "JPEG pictures per class, for instance real/ and fake/",
                   quoted);
}

static int compare_bad(const void *a, const void *b)
{
    const struct ds_bad_file *p = a, *q = b;
    int order = ds_compare_paths(p->path, q->path);
    return order ? order : strcmp(p->reason, q->reason);
}

enum nn_status ds_load(struct ds_pictures *pictures, struct nn_context *context, const char *path,
                       const struct ds_options *options, int min_classes)
{
    struct ds_zip zip = {.file = -1};
    struct ds_catalog catalog = {
        .context = context,
        .options = options,
        .pictures = pictures,
        .classes.text.context = context,
        .paths.text.context = context,
    };
    int file = -1;
    *pictures = (struct ds_pictures){.context = context};
    enum nn_status status = check_options(context, options);
    if (status) return status;
    pictures->width = options->width;
    pictures->height = options->height;
    status = open_source(&file, context, path);
    if (status) goto done;
    bool zipped = file >= 0;
    status = zipped ? ds_zip_list(&zip, &catalog, file, path) : ds_tree_list(&catalog, path);
    if (!status) status = ds_catalog_sort(&catalog, zipped ? &zip : NULL, path, min_classes);
    ds_catalog_free(&catalog);
    if (status) goto done;
    struct load load = {
        .context = context,
        .options = options,
        .pictures = pictures,
        .zip = zipped ? &zip : NULL,
        .root = path,
    };
    status = load_pixels(&load);
    if (!status) status = ds_check_classes(pictures, path);
    if (!status) status = ds_name_groups(pictures, path);
    if (!status && pictures->bad_count)
        qsort(pictures->bad, pictures->bad_count, sizeof *pictures->bad, compare_bad);
done:
    ds_catalog_free(&catalog);
    ds_zip_close(&zip, context);
    if (status) ds_free(pictures);
    return status;
}

void ds_free(struct ds_pictures *pictures)
{
    struct nn_context *context = pictures->context;
    if (!context) return;
    for (size_t i = 0; i < pictures->bad_count; i++) {
        nn_free(context, pictures->bad[i].path);
        nn_free(context, pictures->bad[i].reason);
    }
    nn_free(context, pictures->bad);
    nn_free(context, pictures->group_names);
    nn_free(context, pictures->groups);
    nn_free(context, pictures->labels);
    nn_free(context, pictures->paths);
    nn_free(context, pictures->pixels);
    nn_free(context, pictures->class_names);
    *pictures = (struct ds_pictures){0};
}
