/* files.c — a folder, or one file of a pair, to the files a detector is read from. */
#include "vision/face/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { NETWORK, WEIGHTS, NAME = 256, KINDS = 3 };

static const struct kind {
    const char *source;
    const char *ending[2]; /* of network and weights; NULL: not needed */
    const char *preferred; /* name of the network's file */
} KIND[KINDS] = {
    {"caffe", {".prototxt", ".caffemodel"}, "deploy.prototxt"},
    {"tensorflow", {".pbtxt", ".pb"}, NULL},
    {"safetensors", {NULL, ".safetensors"}, NULL},
};

/* The files of one ending in a folder. */
struct found {
    int count;
    char name[2][NAME]; /* the first two in the order of bytes, so that messages do not change */
};

struct folder {
    struct nn_context *context;
    const char *path;
    const char *given; /* the name of the file that was asked for; NULL: the folder was */
    struct found found[KINDS][2];
};

/* ---- names ----------------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *ending)
{
    size_t size = strlen(name), length = ending ? strlen(ending) : 0;
    return ending && size > length && strcasecmp(name + size - length, ending) == 0;
}

static char *join(struct nn_context *context, const char *folder, const char *name)
{
    struct nn_text text = {.context = context};
    size_t size = strlen(folder);
    nn_text_printf(&text, "%s%s%s", folder, size && folder[size - 1] == '/' ? "" : "/", name);
    if (text.failed) nn_text_free(&text);
    return text.data;
}

static void note_name(struct found *found, const char *name)
{
    char(*held)[NAME] = found->name;
    size_t bytes = strlen(name) + 1;
    if (bytes > NAME) return;
    if (found->count == 0 || strcmp(name, held[0]) < 0) {
        memcpy(held[1], held[0], NAME);
        memcpy(held[0], name, bytes);
    } else if (found->count == 1 || strcmp(name, held[1]) < 0) {
        memcpy(held[1], name, bytes);
    }
    found->count++;
}

/* ---- a folder -------------------------------------------------------------------------------- */

static enum nn_status fail_open(struct nn_context *context, const char *path)
{
    char quoted[NN_QUOTED];
    int number = errno;
    return nn_fail(context, NN_ERROR_IO, "cannot open the detector %s: %s%s",
                   nn_quote(quoted, path), strerror(number),
                   number == ENOENT ? " (weights/fetch.sh downloads one)" : "");
}

static enum nn_status scan(struct folder *folder)
{
    DIR *stream = opendir(folder->path);
    const struct dirent *entry;
    struct stat info;
    if (!stream) return fail_open(folder->context, folder->path);
    enum nn_status status = NN_OK;
    while (!status && (entry = readdir(stream)) != NULL) {
        for (int i = 0; i < 2 * KINDS; i++) {
            if (entry->d_name[0] == '.' || !ends_in(entry->d_name, KIND[i / 2].ending[i % 2]))
                continue;
            char *path = join(folder->context, folder->path, entry->d_name);
            if (!path) status = NN_ERROR_MEMORY;
            if (path && stat(path, &info) == 0 && S_ISREG(info.st_mode))
                note_name(&folder->found[i / 2][i % 2], entry->d_name);
            nn_free(folder->context, path);
        }
    }
    closedir(stream);
    return status;
}

static bool has_file(const struct folder *folder, const char *name)
{
    struct stat info;
    char *path = join(folder->context, folder->path, name);
    bool there = path && stat(path, &info) == 0 && S_ISREG(info.st_mode);
    nn_free(folder->context, path);
    return there;
}

/* Path of the one file of this kind and part: the one called `first` or `second` (NULL: none), or
 * else the only one. */
static enum nn_status choose(char **path, const struct folder *folder, const struct kind *kind,
                             int part, const char *const preferred[2])
{
    const struct found *found = &folder->found[kind - KIND][part];
    const char *name = found->count == 1 ? found->name[0] : NULL;
    char quoted[NN_QUOTED], one[NN_QUOTED], two[NN_QUOTED];
    for (int i = 1; i >= 0; i--)
        if (preferred[i] && has_file(folder, preferred[i])) name = preferred[i];
    if (name) {
        *path = join(folder->context, folder->path, name);
        return *path ? NN_OK : NN_ERROR_MEMORY;
    }
    if (found->count > 1)
        return nn_fail(folder->context, NN_ERROR_ARGUMENT,
                       "%d %s files in %s (%s, %s%s): say which one by its own name", found->count,
                       kind->ending[part], nn_quote(quoted, folder->path),
                       nn_quote(one, found->name[0]), nn_quote(two, found->name[1]),
                       found->count > 2 ? " ..." : "");
    name = folder->given ? folder->given : folder->found[kind - KIND][1 - part].name[0];
    return nn_fail(folder->context, NN_ERROR_ARGUMENT,
                   "%s has %s, but no %s to go with it (weights/fetch.sh downloads such a pair)",
                   nn_quote(quoted, folder->path), nn_quote(one, name), kind->ending[part]);
}

static enum nn_status find_in_folder(struct vi_detector_files *files, struct folder *folder)
{
    const struct kind *kind = NULL, *half = NULL;
    char quoted[NN_QUOTED];
    enum nn_status status = scan(folder);
    if (status) return status;
    for (int i = KINDS - 1; i >= 0; i--) {
        int networks = folder->found[i][NETWORK].count, weights = folder->found[i][WEIGHTS].count;
        if (weights && (networks || !KIND[i].ending[NETWORK])) kind = &KIND[i];
        if (weights || networks) half = &KIND[i];
    }
    if (!half)
        return nn_fail(folder->context, NN_ERROR_ARGUMENT,
                       "no face detector in %s: expected deploy.prototxt and a .caffemodel "
                       "(weights/fetch.sh downloads them), a .pbtxt and a .pb, or a .safetensors",
                       nn_quote(quoted, folder->path));
    if (!kind) kind = half;
    files->source = kind->source;
    const char *const none[2] = {NULL, NULL}, *const preferred[2] = {kind->preferred, NULL};
    status = choose(&files->weights, folder, kind, WEIGHTS, none);
    if (!status && kind->ending[NETWORK])
        status = choose(&files->network, folder, kind, NETWORK, preferred);
    return status;
}

/* ---- a file ---------------------------------------------------------------------------------- */

static const struct kind *kind_of(const char *name, int *part)
{
    for (int i = 0; i < 2 * KINDS; i++) {
        *part = i % 2;
        if (ends_in(name, KIND[i / 2].ending[i % 2])) return &KIND[i / 2];
    }
    return NULL;
}

static enum nn_status find_partner(struct vi_detector_files *files, struct folder *folder,
                                   const char *path)
{
    const char *slash = strrchr(path, '/');
    char twin[2 * NAME], quoted[NN_QUOTED];
    int part;
    folder->given = slash ? slash + 1 : path;
    const struct kind *kind = kind_of(folder->given, &part);
    if (!kind)
        return nn_fail(folder->context, NN_ERROR_ARGUMENT,
                       "%s is no face detector: expected a folder, or a .caffemodel, .prototxt, "
                       ".pb, .pbtxt or .safetensors file",
                       nn_quote(quoted, path));
    char **own = part == WEIGHTS ? &files->weights : &files->network;
    char **other = part == WEIGHTS ? &files->network : &files->weights;
    files->source = kind->source;
    *own = nn_strdup(folder->context, path);
    if (!*own) return NN_ERROR_MEMORY;
    if (!kind->ending[1 - part]) return NN_OK;
    enum nn_status status = scan(folder);
    if (status) return status;
    size_t stem = strlen(folder->given) - strlen(kind->ending[part]);
    snprintf(twin, sizeof twin, "%.*s%s", (int)(stem < NAME ? stem : NAME), folder->given,
             kind->ending[1 - part]);
    const char *const preferred[2] = {twin, part == WEIGHTS ? kind->preferred : NULL};
    return choose(other, folder, kind, 1 - part, preferred);
}

/* ---- either ---------------------------------------------------------------------------------- */

/* The folder itself, or the one the file lies in. */
static char *folder_of(struct nn_context *context, const char *path, bool is_folder)
{
    const char *slash = is_folder ? NULL : strrchr(path, '/');
    char *folder = nn_strdup(context, slash || is_folder ? path : ".");
    if (folder && slash) folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

enum nn_status vi_detector_find(struct vi_detector_files *files, struct nn_context *context,
                                const char *path)
{
    struct stat info;
    *files = (struct vi_detector_files){0};
    if (stat(path, &info) != 0) return fail_open(context, path);
    bool is_folder = S_ISDIR(info.st_mode);
    struct folder *folder = nn_alloc(context, 1, sizeof *folder);
    char *where = folder_of(context, path, is_folder);
    enum nn_status status = folder && where ? NN_OK : NN_ERROR_MEMORY;
    if (!status) {
        folder->context = context;
        folder->path = where;
        status = is_folder ? find_in_folder(files, folder) : find_partner(files, folder, path);
    }
    nn_free(context, where);
    nn_free(context, folder);
    if (status) vi_detector_forget(files, context);
    return status;
}

void vi_detector_forget(struct vi_detector_files *files, struct nn_context *context)
{
    nn_free(context, files->network);
    nn_free(context, files->weights);
    *files = (struct vi_detector_files){0};
}
