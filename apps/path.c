/* path.c — folders for results, and the pictures below a folder. */
#include "apps/app.h"
#include "vision/vision.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum nn_status fail_path(struct nn_context *context, const char *verb, const char *path)
{
    char quoted[NN_QUOTED];
    int number = errno;
    return nn_fail(context, NN_ERROR_IO, "cannot %s %s: %s", verb, nn_quote(quoted, path),
                   strerror(number));
}

/* ---- output ---------------------------------------------------------------------------------- */

static enum nn_status make_one(struct app *app, const char *path)
{
    struct stat info;
    if (mkdir(path, 0777) == 0) return NN_OK;
    if (errno == EEXIST) {
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return NN_OK;
        errno = ENOTDIR;
    }
    /* A part of the path that exists may stand in a folder one cannot write to. */
    else if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return NN_OK;
    return fail_path(app->context, "make the folder", path);
}

enum nn_status app_make_folder(struct app *app, const char *path)
{
    char *copy = nn_strdup(app->context, path);
    if (!copy) return NN_ERROR_MEMORY;
    enum nn_status status = NN_OK;
    for (char *at = copy + 1; !status && *copy; at++) {
        char kept = *at;
        if (kept != '/' && kept != '\0') continue;
        *at = '\0';
        status = make_one(app, copy);
        *at = kept;
        if (kept == '\0') break;
    }
    nn_free(app->context, copy);
    return status;
}

enum nn_status app_prepare_output(struct app *app, const char *path, const char *option)
{
    struct stat info;
    char quoted[NN_QUOTED];
    const char *slash = strrchr(path, '/');
    enum nn_status status = NN_OK;
    if (slash && slash[1] == '\0')
        return nn_fail(app->context, NN_ERROR_ARGUMENT, "%s: expected a file, got the folder %s",
                       option, nn_quote(quoted, path));
    char *folder = nn_strdup(app->context, slash ? path : ".");
    if (!folder) return NN_ERROR_MEMORY;
    if (slash) folder[slash == path ? 1 : slash - path] = '\0';
    status = app_make_folder(app, folder);
    if (!status && access(folder, W_OK | X_OK) != 0)
        status = fail_path(app->context, "write into the folder", folder);
    if (!status && stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        status = nn_fail(app->context, NN_ERROR_IO, "%s: %s is %s, not a file", option,
                         nn_quote(quoted, path), S_ISDIR(info.st_mode) ? "a folder" : "a device");
    nn_free(app->context, folder);
    return status;
}

char *app_best_path(struct nn_context *context, const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    const char *name = slash ? slash + 1 : path;
    if (!dot || dot <= name) dot = path + strlen(path);
    struct nn_text text = {.context = context};
    nn_text_printf(&text, "%.*s.best%s", (int)(dot - path), path, dot);
    if (text.failed) nn_text_free(&text);
    return text.data;
}

char *app_join(struct nn_context *context, const char *folder, const char *name)
{
    struct nn_text text = {.context = context};
    size_t size = strlen(folder);
    nn_text_printf(&text, "%s%s%s", folder, size && folder[size - 1] == '/' ? "" : "/", name);
    if (text.failed) nn_text_free(&text);
    return text.data;
}

/* ---- pictures below a folder ----------------------------------------------------------------- */

/* The folders on the way down, to notice a link that leads back up. */
struct trail {
    const struct trail *up;
    dev_t device;
    ino_t node;
    int depth;
};
enum { DEEPEST = 64 };

/* Takes `path` over, also when it fails. */
static enum nn_status add_file(struct app_files *files, struct app *app, char *path)
{
    if (!path) return NN_ERROR_MEMORY;
    if (files->count == files->capacity) {
        size_t capacity = files->capacity ? 2 * files->capacity : 64;
        char **grown = nn_realloc(app->context, files->paths, capacity, sizeof *grown);
        if (!grown) {
            nn_free(app->context, path);
            return NN_ERROR_MEMORY;
        }
        files->paths = grown;
        files->capacity = capacity;
    }
    files->paths[files->count++] = path;
    return NN_OK;
}

static enum nn_status walk(struct app_files *files, struct app *app, const char *folder,
                           const struct trail *up);

static enum nn_status visit(struct app_files *files, struct app *app, const char *folder,
                            const char *name, const struct trail *trail)
{
    struct stat info;
    if (name[0] == '.') return NN_OK;
    char *path = app_join(app->context, folder, name);
    if (!path) return NN_ERROR_MEMORY;
    bool folder_below = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    /* A picture that cannot be examined is listed: reading it will say why. */
    bool (*wanted)(const char *) = files->wanted ? files->wanted : vi_is_picture_name;
    if (!folder_below && wanted(path)) return add_file(files, app, path);
    enum nn_status status = folder_below ? walk(files, app, path, trail) : NN_OK;
    nn_free(app->context, path);
    return status;
}

static enum nn_status walk(struct app_files *files, struct app *app, const char *folder,
                           const struct trail *up)
{
    struct stat info;
    enum nn_status status = NN_OK;
    DIR *stream = opendir(folder);
    if (!stream) return fail_path(app->context, "open the folder", folder);
    struct trail here = {.up = up, .depth = up ? up->depth + 1 : 0};
    if (fstat(dirfd(stream), &info) != 0) status = fail_path(app->context, "examine", folder);
    here.device = info.st_dev;
    here.node = info.st_ino;
    bool seen = here.depth > DEEPEST;
    for (const struct trail *t = up; t && !status; t = t->up)
        seen = seen || (t->device == here.device && t->node == here.node);
    while (!status && !seen) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry && errno) status = fail_path(app->context, "read the folder", folder);
        if (!entry) break;
        status = visit(files, app, folder, entry->d_name, &here);
    }
    closedir(stream);
    return status;
}

static int by_name(const void *p, const void *q)
{
    const char *a = *(char *const *)p, *b = *(char *const *)q;
    return vi_compare_names(a, strlen(a), b, strlen(b));
}

enum nn_status app_find_files(struct app_files *files, struct app *app, const char *path)
{
    struct stat info;
    size_t before = files->count;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return add_file(files, app, nn_strdup(app->context, path));
    enum nn_status status = walk(files, app, path, NULL);
    size_t found = files->count - before;
    if (!status && found == 0) {
        char quoted[NN_QUOTED];
        return nn_fail(app->context, NN_ERROR_ARGUMENT,
                       "no picture (.png, .jpg, .jpeg, .ppm, .pgm)%s below %s",
                       files->wanted ? " and no video" : "", nn_quote(quoted, path));
    }
    if (found) qsort(files->paths + before, found, sizeof *files->paths, by_name);
    return status;
}

void app_free_files(struct app_files *files, struct app *app)
{
    for (size_t i = 0; i < files->count; i++) nn_free(app->context, files->paths[i]);
    nn_free(app->context, files->paths);
    *files = (struct app_files){0};
}
