/*
 * catalog.c — the list of what a data set holds, and its order.
 *
 * The order is part of a data set's meaning: a split or a label index must be the same on every
 * file system and for the folder and its zip. Folders are listed in whatever order the system
 * gives, so everything is sorted once, here.
 */
#include "datasets/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- strings ------------------------------------------------------------------------------- */

void ds_strings_add(struct ds_strings *strings, const char *text, size_t size)
{
    nn_text_append(&strings->text, text, size);
    nn_text_append(&strings->text, "", 1);
    strings->count++;
}

char **ds_strings_build(const struct ds_strings *strings, struct nn_context *context)
{
    size_t head = strings->count * sizeof(char *), size = strings->text.size;
    if (strings->count > SIZE_MAX / sizeof(char *) || head > SIZE_MAX - size - 1) {
        nn_fail(context, NN_ERROR_MEMORY, "out of memory: %zu names", strings->count);
        return NULL;
    }
    char **array = nn_alloc(context, head + size + 1, 1);
    if (!array) return NULL;
    char *at = (char *)(array + strings->count);
    if (size) memcpy(at, strings->text.data, size);
    for (size_t i = 0; i < strings->count; i++) {
        array[i] = at;
        at += strlen(at) + 1;
    }
    return array;
}

/* ---- order --------------------------------------------------------------------------------- */

static int compare_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order ? order : (a_size > b_size) - (a_size < b_size);
}

int ds_compare_paths(const char *a, const char *b)
{
    for (bool class_name = true;; class_name = false) {
        size_t a_size = strcspn(a, "/"), b_size = strcspn(b, "/");
        int order = class_name ? compare_bytes(a, a_size, b, b_size)
                               : vi_compare_names(a, a_size, b, b_size);
        if (order) return order;
        a += a_size;
        b += b_size;
        if (!*a || !*b) return (*a != '\0') - (*b != '\0');
        a++;
        b++;
    }
}

/* ---- adding -------------------------------------------------------------------------------- */

bool ds_is_hidden(const char *name, size_t size)
{
    static const char mac[] = "__MACOSX";
    return (size > 0 && name[0] == '.') || (size == sizeof mac - 1 && memcmp(name, mac, size) == 0);
}

enum nn_status ds_add_class(struct ds_catalog *catalog, const char *name, size_t size)
{
    ds_strings_add(&catalog->classes, name, size);
    return catalog->classes.text.failed ? NN_ERROR_MEMORY : NN_OK;
}

enum nn_status ds_add_path(struct ds_catalog *catalog, const char *path)
{
    if (catalog->paths.count == UINT32_MAX)
        return nn_fail(catalog->context, NN_ERROR_UNSUPPORTED,
                       "more than %lu pictures in one data set", (unsigned long)UINT32_MAX);
    ds_strings_add(&catalog->paths, path, strlen(path));
    return catalog->paths.text.failed ? NN_ERROR_MEMORY : NN_OK;
}

enum nn_status ds_add_bad(struct ds_pictures *pictures, const char *path, const char *reason)
{
    struct nn_context *context = pictures->context;
    size_t count = pictures->bad_count;
    if ((count & (count - 1)) == 0) { /* 0 or a power of two: the array is full */
        struct ds_bad_file *grown =
            nn_realloc(context, pictures->bad, count ? 2 * count : 1, sizeof *grown);
        if (!grown) return NN_ERROR_MEMORY;
        pictures->bad = grown;
    }
    struct ds_bad_file *bad = &pictures->bad[count];
    bad->path = nn_strdup(context, path);
    bad->reason = bad->path ? nn_strdup(context, reason) : NULL;
    if (!bad->reason) {
        nn_free(context, bad->path);
        return NN_ERROR_MEMORY;
    }
    pictures->bad_count++;
    return NN_OK;
}

enum nn_status ds_check_stop(struct nn_context *context, const struct ds_options *options)
{
    if (!options->stop || !*options->stop) return NN_OK;
    return nn_fail(context, NN_ERROR_INTERRUPTED, "stopped while reading pictures");
}

void ds_catalog_free(struct ds_catalog *catalog)
{
    nn_text_free(&catalog->classes.text);
    nn_text_free(&catalog->paths.text);
    catalog->classes.count = catalog->paths.count = 0;
}

/* ---- classes ------------------------------------------------------------------------------- */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum nn_status sort_classes(struct ds_catalog *catalog, const char *root, int min_classes)
{
    struct nn_context *context = catalog->context;
    struct ds_pictures *pictures = catalog->pictures;
    char quoted[NN_QUOTED], name[NN_QUOTED], **names = ds_strings_build(&catalog->classes, context);
    if (!names) return NN_ERROR_MEMORY;
    pictures->class_names = names;
    size_t count = 0;
    qsort(names, catalog->classes.count, sizeof *names, compare_strings);
    for (size_t i = 0; i < catalog->classes.count; i++)
        if (count == 0 || strcmp(names[count - 1], names[i]) != 0) names[count++] = names[i];
    if (count > DS_MAX_CLASSES)
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%s has %zu classes, at most %d are accepted",
                       nn_quote(quoted, root), count, DS_MAX_CLASSES);
    pictures->classes = (int)count;
    if (count == 0)
        return nn_fail(context, NN_ERROR_FORMAT,
                       "%s has no class folders%s: a data set is a folder, or a .zip, with one "
                       "sub-folder of PNG or JPEG pictures per class, for instance real/ and fake/",
                       nn_quote(quoted, root),
                       pictures->bad_count ? ", only pictures that lie in no folder" : "");
    if (pictures->classes < min_classes)
        return nn_fail(context, NN_ERROR_FORMAT,
                       "%s has %d class%s (%s%s), at least %d are needed: one sub-folder per class",
                       nn_quote(quoted, root), pictures->classes, count > 1 ? "es" : "",
                       nn_quote(name, names[0]), count > 1 ? " ..." : "", min_classes);
    return NN_OK;
}

static size_t class_size(const char *path)
{
    return strcspn(path, "/");
}

static bool is_of_class(const char *path, const char *name)
{
    size_t size = strlen(name);
    return strncmp(path, name, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

enum nn_status ds_check_classes(const struct ds_pictures *pictures, const char *root)
{
    char quoted[NN_QUOTED], name[NN_QUOTED], path[NN_QUOTED];
    size_t at = 0;
    for (int c = 0; c < pictures->classes; c++) {
        size_t from = at, bad = 0;
        const struct ds_bad_file *first = NULL;
        while (at < pictures->count && pictures->labels[at] == c) at++;
        if (at > from) continue;
        for (size_t i = 0; i < pictures->bad_count; i++) {
            const struct ds_bad_file *file = &pictures->bad[i];
            if (!is_of_class(file->path, pictures->class_names[c])) continue;
            if (!first || ds_compare_paths(file->path, first->path) < 0) first = file;
            bad++;
        }
        nn_quote(quoted, root);
        nn_quote(name, pictures->class_names[c]);
        if (!first)
            return nn_fail(pictures->context, NN_ERROR_FORMAT,
                           "class %s of %s is empty: no picture (.png, .jpg, .jpeg, .ppm, .pgm) in "
                           "that folder",
                           name, quoted);
        return nn_fail(pictures->context, NN_ERROR_FORMAT,
                       "class %s of %s: nothing in it could be read (%zu tried); the first, %s: %s",
                       name, quoted, bad, nn_quote(path, first->path), first->reason);
    }
    return NN_OK;
}

/* ---- paths --------------------------------------------------------------------------------- */

struct item {
    char *path;
    uint32_t index; /* as listed */
};

static int compare_items(const void *a, const void *b)
{
    const struct item *p = a, *q = b;
    int order = ds_compare_paths(p->path, q->path);
    return order ? order : (p->index > q->index) - (p->index < q->index);
}

/* Puts `items` into pictures->paths and the zip's entries beside them. A name that an archive
 * holds twice is kept once, and the other one named. */
static enum nn_status take_items(struct ds_pictures *pictures, const struct item *items,
                                 size_t count, struct ds_zip *zip)
{
    struct ds_zip_entry *sorted = NULL;
    if (zip) {
        sorted = nn_alloc(pictures->context, count, sizeof *sorted);
        if (!sorted) return NN_ERROR_MEMORY;
    }
    enum nn_status status = NN_OK;
    size_t kept = 0;
    for (size_t i = 0; i < count && !status; i++) {
        if (kept && strcmp(pictures->paths[kept - 1], items[i].path) == 0) {
            status = ds_add_bad(pictures, items[i].path,
                                "the archive holds this name twice; the first one was taken");
            continue;
        }
        pictures->paths[kept] = items[i].path;
        if (zip) sorted[kept] = zip->entries[items[i].index];
        kept++;
    }
    pictures->count = kept;
    if (zip) {
        nn_free(pictures->context, zip->entries);
        zip->entries = sorted;
        zip->count = kept;
    }
    return status;
}

static enum nn_status sort_paths(struct ds_catalog *catalog, struct ds_zip *zip)
{
    struct nn_context *context = catalog->context;
    struct ds_pictures *pictures = catalog->pictures;
    size_t count = catalog->paths.count;
    pictures->paths = ds_strings_build(&catalog->paths, context);
    struct item *items = nn_alloc(context, count, sizeof *items);
    enum nn_status status = pictures->paths && items ? NN_OK : NN_ERROR_MEMORY;
    if (!status) {
        for (size_t i = 0; i < count; i++)
            items[i] = (struct item){pictures->paths[i], (uint32_t)i};
        qsort(items, count, sizeof *items, compare_items);
        status = take_items(pictures, items, count, zip);
    }
    nn_free(context, items);
    return status;
}

enum nn_status ds_catalog_sort(struct ds_catalog *catalog, struct ds_zip *zip, const char *root,
                               int min_classes)
{
    struct ds_pictures *pictures = catalog->pictures;
    if (catalog->classes.text.failed || catalog->paths.text.failed) return NN_ERROR_MEMORY;
    enum nn_status status = sort_classes(catalog, root, min_classes);
    if (!status) status = sort_paths(catalog, zip);
    if (status) return status;
    pictures->labels = nn_alloc(pictures->context, pictures->count, sizeof *pictures->labels);
    if (!pictures->labels) return NN_ERROR_MEMORY;
    /* Both lists are in the byte order of the class: one walk along them. */
    size_t label = 0;
    for (size_t i = 0; i < pictures->count; i++) {
        while (!is_of_class(pictures->paths[i], pictures->class_names[label])) label++;
        pictures->labels[i] = (uint16_t)label;
    }
    return ds_check_classes(pictures, root);
}

/* ---- groups -------------------------------------------------------------------------------- */

/* Size of "fake/print" in "fake/print/...", of "fake" where there is no such folder. */
static size_t group_size(const char *path)
{
    size_t size = class_size(path), rest = strcspn(path + size + 1, "/");
    return path[size + 1 + rest] == '/' ? size + 1 + rest : size;
}

/* Pictures of one folder stand together, except that those right in the class folder (group
 * `own`) may stand between folders. */
static enum nn_status collect_groups(struct ds_pictures *pictures, struct ds_strings *names)
{
    const char *folder = "";
    size_t folder_size = 0, folder_group = 0, own = SIZE_MAX;
    for (size_t i = 0; i < pictures->count; i++) {
        const char *path = pictures->paths[i];
        size_t size = group_size(path), group;
        if (i > 0 && pictures->labels[i] != pictures->labels[i - 1]) own = SIZE_MAX;
        if (size == class_size(path)) {
            if (own == SIZE_MAX) {
                own = names->count;
                ds_strings_add(names, path, size);
            }
            group = own;
        } else {
            if (size != folder_size || memcmp(path, folder, size) != 0) {
                folder = path;
                folder_size = size;
                folder_group = names->count;
                ds_strings_add(names, path, size);
            }
            group = folder_group;
        }
        if (names->text.failed) return NN_ERROR_MEMORY;
        if (group >= DS_MAX_CLASSES) return NN_ERROR_UNSUPPORTED;
        pictures->groups[i] = (uint16_t)group;
    }
    return NN_OK;
}

enum nn_status ds_name_groups(struct ds_pictures *pictures, const char *root)
{
    struct nn_context *context = pictures->context;
    struct ds_strings names = {.text.context = context};
    char quoted[NN_QUOTED];
    pictures->groups = nn_alloc(context, pictures->count, sizeof *pictures->groups);
    if (!pictures->groups) return NN_ERROR_MEMORY;
    enum nn_status status = collect_groups(pictures, &names);
    if (status == NN_ERROR_UNSUPPORTED)
        nn_fail(context, status, "%s: more than %d folders below the class folders",
                nn_quote(quoted, root), DS_MAX_CLASSES);
    if (!status) {
        pictures->group_names = ds_strings_build(&names, context);
        pictures->group_count = (int)names.count;
        if (!pictures->group_names) status = NN_ERROR_MEMORY;
    }
    nn_text_free(&names.text);
    return status;
}
