/*
 * gather_write.c — the threads that write: from crops to files.
 *
 * A name says where a face comes from: clip_000015.png is frame 15 of clip.mp4, photo.png the face
 * of photo.jpg, ..._2 the second best face there. No file is ever replaced. If a name is taken by
 * the very same bytes, an earlier run has done this work; if by others, this is another clip of
 * that name, or the options were others, and it becomes clip-2_000015.png.
 *
 * A file appears under its name when it is whole and on disk.
 */
#include "apps/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_RUNS = 10000, STEM = 190 /* bytes of the input's name that are kept */ };

static enum nn_status fail_path(struct nn_context *context, const char *path)
{
    char quoted[NN_QUOTED];
    int number = errno;
    return nn_fail(context, NN_ERROR_IO, "cannot write %s: %s", nn_quote(quoted, path),
                   strerror(number));
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The name without folder and ending, made fit for a file that is to be found again: not hidden,
 * no control characters. */
static void make_stem(char stem[STEM + 1], const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strcmp(path, "-") == 0) name = "stdin";
    while (*name == '.') name++;
    const char *dot = strrchr(name, '.');
    size_t size = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    if (size > STEM) {
        size = STEM;
        while (size && ((unsigned char)name[size] & 0xC0) == 0x80) size--; /* inside a letter */
    }
    for (size_t i = 0; i < size; i++) stem[i] = (unsigned char)name[i] < ' ' ? '_' : name[i];
    stem[size] = '\0';
    if (!size) memcpy(stem, "face", sizeof "face");
}

static void make_name(char name[GATHER_NAME], const struct gather_crop *crop, int run,
                      const char *ending)
{
    char stem[STEM + 1], parts[3][32] = {"", "", ""};
    make_stem(stem, crop->path);
    if (run) snprintf(parts[0], sizeof parts[0], "-%d", run + 1);
    if (crop->index >= 0) snprintf(parts[1], sizeof parts[1], "_%06lld", (long long)crop->index);
    if (crop->face) snprintf(parts[2], sizeof parts[2], "_%d", crop->face + 1);
    snprintf(name, GATHER_NAME, "%s%.11s%.20s%.11s.%.3s", stem, parts[0], parts[1], parts[2],
             ending);
}

/* -o, and below it the folder in which the input's file lies below its argument. */
static char *make_folder_name(const struct gather *gather, struct nn_context *context,
                              const struct gather_crop *crop)
{
    const char *slash = strrchr(crop->path, '/');
    size_t root = crop->input->root, end = slash ? (size_t)(slash - crop->path) : 0;
    struct nn_text text = {.context = context};
    nn_text_printf(&text, "%s", gather->settings.output);
    if (gather->settings.keep_folders && root != (size_t)GATHER_NO_ROOT && end > root)
        nn_text_printf(&text, "/%.*s", (int)(end - root), crop->path + root);
    if (text.failed) nn_text_free(&text);
    return text.data;
}

/* ---- files ----------------------------------------------------------------------------------- */

enum found { NOTHING, THE_SAME, ANOTHER };

static enum nn_status look_up(enum found *found, struct nn_context *context, const char *path,
                              const void *bytes, size_t size)
{
    struct stat info;
    void *there = NULL;
    size_t there_size = 0;
    *found = ANOTHER;
    if (lstat(path, &info) != 0) {
        *found = NOTHING;
        return errno == ENOENT ? NN_OK : fail_path(context, path);
    }
    if (!S_ISREG(info.st_mode) || (uintmax_t)info.st_size != size) return NN_OK;
    enum nn_status status = nn_file_read(context, path, size, &there, &there_size);
    if (!status && there_size == size && memcmp(there, bytes, size) == 0) *found = THE_SAME;
    nn_free(context, there);
    return status == NN_ERROR_MEMORY ? status : NN_OK;
}

/* 0 or errno. */
static int write_whole(int file, const char *bytes, size_t size)
{
    while (size) {
        ssize_t put = write(file, bytes, size);
        if (put < 0 && errno != EINTR) return errno;
        if (put > 0) {
            bytes += put;
            size -= (size_t)put;
        }
    }
    return fsync(file) != 0 ? errno : 0;
}

/* Gives the file `temporary` the name `path` if that is free (0), else EEXIST, or errno. */
static int give_name(const char *temporary, const char *path)
{
    if (link(temporary, path) == 0) return 0;
    if (errno == EEXIST) return EEXIST;
    /* A file system without links (FAT): take the name with an empty file, and replace that. */
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) return errno;
    close(file);
    if (rename(temporary, path) == 0) return 0;
    int error = errno;
    unlink(path);
    return error;
}

/* Writes a whole new file under a name that nobody reads, then gives it its own. 0 or errno. */
static int write_new(struct nn_context *context, const char *folder, const char *path,
                     const void *bytes, size_t size)
{
    int file = -1, error = EEXIST;
    struct nn_text name = {.context = context};
    for (int i = 0; error == EEXIST && i < MOST_RUNS; i++) { /* a killed run may have left one */
        name.size = 0;
        nn_text_printf(&name, "%s/.gather-%ld-%d.tmp", folder, (long)getpid(), i);
        if (name.failed) return ENOMEM;
        file = open(name.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        error = file < 0 ? errno : 0;
    }
    if (file >= 0) {
        error = write_whole(file, bytes, size);
        if (close(file) != 0 && !error) error = errno;
        if (!error) error = give_name(name.data, path);
        unlink(name.data);
    }
    nn_text_free(&name);
    return error;
}

/* New names are on disk once their folder is. That it cannot be opened or synced is no loss. */
static void sync_folder(const char *path)
{
    int file = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (file < 0) return;
    (void)fsync(file);
    close(file);
}

static enum nn_status enter_folder(struct gather *gather, const struct gather_crop *crop)
{
    struct nn_context *context = gather->file_context;
    struct app app = *gather->app; /* whose error text is not another thread's */
    app.context = context;
    char *folder = make_folder_name(gather, context, crop);
    if (!folder) return NN_ERROR_MEMORY;
    if (gather->folder && strcmp(gather->folder, folder) == 0) {
        nn_free(context, folder);
        return NN_OK;
    }
    gather_leave_folder(gather);
    gather->folder = folder;
    return app_make_folder(&app, folder);
}

void gather_leave_folder(struct gather *gather)
{
    sync_folder(gather->folder);
    nn_free(gather->file_context, gather->folder);
    gather->folder = NULL;
}

/* One try: writes the file if nothing has this name. */
static enum nn_status try_name(enum found *found, struct gather *gather, const char *name,
                               const void *bytes, size_t size)
{
    struct nn_context *context = gather->file_context;
    char *path = app_join(context, gather->folder, name);
    if (!path) return NN_ERROR_MEMORY;
    enum nn_status status = look_up(found, context, path, bytes, size);
    if (!status && *found == NOTHING) {
        int error = write_new(context, gather->folder, path, bytes, size);
        errno = error;
        if (error == EEXIST) /* another run was faster: what did it write? */
            status = look_up(found, context, path, bytes, size);
        else if (error)
            status = fail_path(context, path);
    }
    nn_free(context, path);
    return status;
}

static enum nn_status put_file(struct gather *gather, const struct gather_crop *crop,
                               const void *bytes, size_t size)
{
    struct gather_input *input = crop->input;
    char name[GATHER_NAME], quoted[NN_QUOTED];
    const char *ending = gather->settings.format ? "jpg" : "png";
    enum nn_status status = enter_folder(gather, crop);
    if (input->named != crop->path) input->run = 0;
    input->named = crop->path;
    for (; !status && input->run < MOST_RUNS; input->run++) {
        enum found found = ANOTHER;
        make_name(name, crop, input->run, ending);
        status = try_name(&found, gather, name, bytes, size);
        if (status || found == ANOTHER) continue;
        input->fate[found == NOTHING ? GATHER_WRITTEN : GATHER_THERE]++;
        const char *below = gather->folder + strlen(gather->settings.output);
        char path[2 * GATHER_NAME];
        snprintf(path, sizeof path, "%s%s%s", *below ? below + 1 : "", *below ? "/" : "", name);
        gather_sheet_add(&gather->sheet, crop, path);
        return NN_OK;
    }
    if (status) return status;
    return nn_fail(gather->file_context, NN_ERROR_IO, "%s: %d other files have this name already",
                   nn_quote(quoted, name), MOST_RUNS);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void await_turn(struct gather *gather, int64_t turn)
{
    pthread_mutex_lock(&gather->turn_mutex);
    while (gather->turn != turn) pthread_cond_wait(&gather->turn_changed, &gather->turn_mutex);
    pthread_mutex_unlock(&gather->turn_mutex);
}

static void end_turn(struct gather *gather)
{
    pthread_mutex_lock(&gather->turn_mutex);
    gather->turn++;
    pthread_cond_broadcast(&gather->turn_changed);
    pthread_mutex_unlock(&gather->turn_mutex);
}

/* In its turn: nobody else writes now. The first failure ends the run. */
static void finish_crop(struct gather *gather, const struct gather_crop *crop, const void *bytes,
                        size_t size)
{
    if (gather->writer_status) return;
    enum nn_status status = put_file(gather, crop, bytes, size);
    if (!status) return;
    snprintf(gather->writer_error, sizeof gather->writer_error, "%s",
             nn_error(gather->file_context));
    gather->writer_status = status;
}

void *gather_write(void *argument)
{
    struct gather_writer *self = argument;
    struct gather *gather = self->gather;
    const struct gather_settings *settings = &gather->settings;
    int64_t turn;
    int slot;
    while ((slot = gather_queue_take(&gather->crops, &turn, NULL)) >= 0) {
        const struct gather_crop *crop = &gather->crop[slot];
        void *bytes = NULL;
        size_t size = 0;
        enum nn_status status = vi_encode(&bytes, &size, &crop->pixels.image, self->context,
                                          settings->format ? "jpeg" : "png", settings->quality);
        await_turn(gather, turn);
        if (!status) {
            finish_crop(gather, crop, bytes, size);
        } else if (!gather->writer_status) {
            snprintf(gather->writer_error, sizeof gather->writer_error, "%s",
                     nn_error(self->context));
            gather->writer_status = status;
        }
        bool failed = gather->writer_status != NN_OK;
        end_turn(gather);
        nn_free(self->context, bytes);
        gather_queue_release(&gather->crops, slot);
        if (failed) gather_queue_abort(&gather->crops);
    }
    return NULL;
}
