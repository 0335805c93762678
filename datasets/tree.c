/*
 * tree.c — lists a folder of class folders.
 *
 * Nothing is opened but folders. What is odd (a link that leads nowhere or in a circle, a folder
 * that may not be read, a fifo named x.png) goes to the list of bad files and the walk goes on.
 */
#include "datasets/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_DEPTH = 32, /* folders below a class; each holds a descriptor open while it is listed */
    /* Links may lead to one folder on many ways, 2^depth of them: that is no loop, but no data
     * set either. */
    MAX_FOLDERS = 1000000,
    STOP_EVERY = 256
};

struct walk {
    struct ds_catalog *catalog;
    struct nn_text path; /* of what is looked at: root/class/... */
    size_t skip;         /* where the part below the root begins */
    size_t folders, entries;
};

/* A folder that is being listed, linked to the one it was found in. */
struct place {
    dev_t device;
    ino_t inode;
    int depth; /* 0: the root */
    const struct place *above;
};

static enum nn_status walk_folder(struct walk *walk, const struct place *above);

static const char *relative(const struct walk *walk)
{
    return walk->path.size > walk->skip ? walk->path.data + walk->skip : walk->path.data;
}

static enum nn_status bad(struct walk *walk, const char *reason)
{
    return ds_add_bad(walk->catalog->pictures, relative(walk), reason);
}

char *ds_errno_text(char text[128], int error)
{
    if (strerror_r(error, text, 128) != 0) snprintf(text, 128, "error %d", error);
    return text;
}

/* Running out of memory or descriptors says nothing about the file. */
static enum nn_status bad_errno(struct walk *walk, int error)
{
    char quoted[NN_QUOTED], text[128];
    ds_errno_text(text, error);
    if (error == ENOMEM || error == EMFILE || error == ENFILE)
        return nn_fail(walk->catalog->context, error == ENOMEM ? NN_ERROR_MEMORY : NN_ERROR_IO,
                       "cannot read %s: %s", nn_quote(quoted, walk->path.data), text);
    return bad(walk, text);
}

static enum nn_status visit(struct walk *walk, const struct place *place, int folder,
                            const char *name)
{
    struct stat info;
    bool picture = vi_is_picture_name(name);
    if (fstatat(folder, name, &info, 0) != 0) {
        /* A link to nothing matters only where a picture was meant. */
        if (!picture && errno == ENOENT) return NN_OK;
        return bad_errno(walk, errno);
    }
    if (S_ISDIR(info.st_mode)) {
        enum nn_status status = NN_OK;
        if (place->depth == 0) status = ds_add_class(walk->catalog, name, strlen(name));
        return status ? status : walk_folder(walk, place);
    }
    if (!picture) return NN_OK;
    if (!S_ISREG(info.st_mode)) return bad(walk, "it is not a regular file");
    if (place->depth == 0) return bad(walk, "it lies beside the class folders, not in one");
    return ds_add_path(walk->catalog, relative(walk));
}

/* Every entry of an open folder, in the system's order. */
static enum nn_status walk_entries(struct walk *walk, const struct place *place, DIR *folder)
{
    size_t size = walk->path.size;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) return errno ? bad_errno(walk, errno) : NN_OK;
        if (ds_is_hidden(entry->d_name, strlen(entry->d_name))) continue;
        enum nn_status status = NN_OK;
        if (walk->entries++ % STOP_EVERY == 0)
            status = ds_check_stop(walk->catalog->context, walk->catalog->options);
        nn_text_append(&walk->path, "/", 1);
        nn_text_append(&walk->path, entry->d_name, strlen(entry->d_name));
        if (walk->path.failed) status = NN_ERROR_MEMORY;
        if (!status) status = visit(walk, place, dirfd(folder), entry->d_name);
        if (status) return status;
        walk->path.size = size;
        walk->path.data[size] = '\0';
    }
}

/* The same device and inode on the way down means a link that leads back up. */
static bool is_loop(const struct place *place)
{
    for (const struct place *up = place->above; up; up = up->above)
        if (up->device == place->device && up->inode == place->inode) return true;
    return false;
}

static enum nn_status walk_folder(struct walk *walk, const struct place *above)
{
    struct nn_context *context = walk->catalog->context;
    struct place place = {.depth = above ? above->depth + 1 : 0, .above = above};
    struct stat info;
    if (place.depth > MAX_DEPTH) return bad(walk, "folders are nested too deeply");
    if (walk->folders++ >= MAX_FOLDERS)
        return nn_fail(context, NN_ERROR_UNSUPPORTED,
                       "more than %d folders: do links lead to the same ones again and again?",
                       MAX_FOLDERS);
    int file = open(walk->path.data, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return bad_errno(walk, errno);
    DIR *folder = NULL;
    enum nn_status status;
    if (fstat(file, &info) != 0) {
        status = bad_errno(walk, errno);
        goto done;
    }
    place.device = info.st_dev;
    place.inode = info.st_ino;
    if (is_loop(&place)) {
        status = bad(walk, "this link leads back to a folder it lies in");
        goto done;
    }
    folder = fdopendir(file);
    status = folder ? walk_entries(walk, &place, folder) : bad_errno(walk, errno);
done:
    if (folder)
        closedir(folder);
    else
        close(file);
    return status;
}

enum nn_status ds_tree_list(struct ds_catalog *catalog, const char *root)
{
    struct nn_context *context = catalog->context;
    struct walk walk = {.catalog = catalog, .path.context = context};
    char quoted[NN_QUOTED];
    nn_text_append(&walk.path, root, strlen(root));
    if (walk.path.failed) {
        nn_text_free(&walk.path);
        return NN_ERROR_MEMORY;
    }
    walk.skip = walk.path.size + 1;
    enum nn_status status = walk_folder(&walk, NULL);
    /* The root itself is the only bad "file" that is fatal. */
    const struct ds_pictures *pictures = catalog->pictures;
    if (!status && walk.entries == 0 && pictures->bad_count)
        status = nn_fail(context, NN_ERROR_IO, "cannot read folder %s: %s", nn_quote(quoted, root),
                         pictures->bad[0].reason);
    nn_text_free(&walk.path);
    return status;
}
