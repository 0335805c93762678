/*
 * synth.c — writes a sample data set: which picture is what, on all cores, into files and a table.
 */
#include "datasets/synth.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIDE_DEFAULT = 96, SIDE_MIN = 32, SIDE_MAX = 1024, COUNT_MAX = 1000000 };

struct record {
    struct ds_face face;
    enum nn_status status; /* of this picture; its text is in the thread's context */
    int thread;
    bool written;
};

struct run {
    struct nn_context *context;
    const char *directory;
    const struct ds_synth_options *options;
    int first;                 /* picture of the round's task 0 */
    struct ds_studio *studios; /* [threads] */
    struct record *records;    /* [count] */
    bool owned;                /* the folder was empty: what is in it is ours */
};

static const char *const folders[] = {"real", "fake", "fake/print", "fake/screen"};
enum { FOLDERS = sizeof folders / sizeof *folders };

/* Even pictures are real; the odd ones are prints and screens in turn. */
static enum ds_attack_kind kind_of(int n)
{
    return n % 2 == 0 ? DS_REAL : n % 4 == 1 ? DS_PRINT : DS_SCREEN;
}

static const char *folder_of(int n)
{
    static const char *const names[] = {
        [DS_REAL] = "real", [DS_PRINT] = "fake/print", [DS_SCREEN] = "fake/screen"};
    return names[kind_of(n)];
}

/* NULL (and the status in the text's `failed`) when memory runs out. */
static char *join(struct nn_text *text, const char *directory, const char *name)
{
    nn_text_printf(text, "%s/%s", directory, name);
    return text->failed ? NULL : text->data;
}

static char *picture_path(struct nn_text *text, const char *directory, int n)
{
    nn_text_printf(text, "%s/%s/%04d.jpg", directory, folder_of(n), n);
    return text->failed ? NULL : text->data;
}

/* ---- folders --------------------------------------------------------------------------------- */

static enum nn_status make_folder(struct nn_context *context, const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return NN_OK;
    return nn_fail(context, NN_ERROR_IO, "cannot make the folder %s: %s", path, strerror(errno));
}

/* Makes the folder and those above it. */
static enum nn_status make_parents(struct nn_context *context, const char *directory)
{
    enum nn_status status = NN_OK;
    char *path = nn_strdup(context, directory);
    if (!path) return NN_ERROR_MEMORY;
    for (char *slash = path + 1; !status && *slash; slash++) {
        if (*slash != '/' || slash[-1] == '/') continue;
        *slash = 0;
        status = make_folder(context, path);
        *slash = '/';
    }
    nn_free(context, path);
    return status ? status : make_folder(context, directory);
}

static enum nn_status check_empty(struct nn_context *context, const char *directory)
{
    DIR *dir = opendir(directory);
    if (!dir)
        return nn_fail(context, NN_ERROR_IO, "cannot open the folder %s: %s", directory,
                       strerror(errno));
    enum nn_status status = NN_OK;
    for (const struct dirent *entry; !status && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status =
                nn_fail(context, NN_ERROR_ARGUMENT,
                        "the folder %s is not empty (it holds %.80s): samples are only written "
                        "to a new or empty folder",
                        directory, entry->d_name);
    closedir(dir);
    return status;
}

static enum nn_status make_folders(struct run *run)
{
    struct nn_context *context = run->context;
    const char *directory = run->directory;
    enum nn_status status = make_parents(context, directory);
    if (!status) status = check_empty(context, directory);
    run->owned = !status;
    for (int i = 0; !status && i < FOLDERS; i++) {
        struct nn_text text = {.context = context};
        const char *path = join(&text, directory, folders[i]);
        status = path ? make_folder(context, path) : NN_ERROR_MEMORY;
        nn_text_free(&text);
    }
    return status;
}

/* Takes an unfinished set away again, so that nothing half-written is trained on. What cannot be
 * removed stays: the error that led here is the one to report. */
static void remove_all(const struct run *run)
{
    struct nn_text text = {.context = run->context};
    for (int n = 0; n < run->options->count; n++) {
        if (!run->records[n].written) continue;
        text.size = 0;
        const char *path = picture_path(&text, run->directory, n);
        if (path) unlink(path);
    }
    for (int i = FOLDERS - 1; i >= 0; i--) {
        text.size = 0;
        const char *path = join(&text, run->directory, folders[i]);
        if (path) rmdir(path);
    }
    nn_text_free(&text);
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* JPEG qualities 72 to 92, the same for every class. */
static enum nn_status write_picture(struct ds_studio *studio, const char *directory, uint64_t seed,
                                    int n)
{
    int size = studio->size;
    struct nn_rng rng = nn_rng_make(seed ^ 0x6A706567, (uint64_t)n);
    int quality = 72 + (int)nn_rng_below(&rng, 21);
    struct vi_image image = {studio->bytes, size, size, 3, 3 * (ptrdiff_t)size};
    struct nn_text text = {.context = studio->context};
    void *bytes = NULL;
    size_t count = 0;
    enum nn_status status = vi_encode(&bytes, &count, &image, studio->context, "jpeg", quality);
    if (!status) {
        const char *path = picture_path(&text, directory, n);
        status = path ? nn_file_write(studio->context, path, bytes, count) : NN_ERROR_MEMORY;
    }
    nn_text_free(&text);
    nn_free(studio->context, bytes);
    return status;
}

static void task(void *argument, int index, int thread)
{
    struct run *run = argument;
    int n = run->first + index;
    struct ds_studio *studio = &run->studios[thread];
    struct record *record = &run->records[n];
    record->thread = thread;
    uint64_t seed = run->options->seed;
    if (run->options->stop && *run->options->stop) {
        record->status = NN_ERROR_INTERRUPTED;
        return;
    }
    record->status = ds_picture(studio, &record->face, kind_of(n), seed, (uint64_t)n);
    if (!record->status) record->status = write_picture(studio, run->directory, seed, n);
    record->written = !record->status;
}

static enum nn_status report(const struct run *run, const struct record *record)
{
    const struct nn_context *worker = run->studios[record->thread].context;
    if (record->status == NN_ERROR_INTERRUPTED)
        return nn_fail(run->context, record->status, "interrupted: no samples were kept in %s",
                       run->directory);
    if (record->status == NN_ERROR_MEMORY)
        return nn_fail(run->context, record->status, "not enough memory to draw the samples in %s",
                       run->directory);
    if (worker == run->context) return record->status;
    return nn_fail(run->context, record->status, "%s", nn_error(worker));
}

static enum nn_status draw_all(struct run *run)
{
    enum { ROUND = 16 }; /* pictures per thread between two reports of progress */
    const struct ds_synth_options *options = run->options;
    int round = ROUND * nn_threads(run->context);
    for (int done = 0; done < options->count;) {
        int count = options->count - done < round ? options->count - done : round;
        run->first = done;
        nn_parallel(run->context, count, task, run);
        for (int i = 0; i < count; i++)
            if (run->records[done + i].status) return report(run, &run->records[done + i]);
        done += count;
        if (options->progress)
            options->progress(options->user, (size_t)done, (size_t)options->count);
    }
    return NN_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

static enum nn_status write_table(const struct run *run)
{
    struct nn_text text = {.context = run->context}, name = {.context = run->context};
    enum nn_status status = NN_ERROR_MEMORY;
    nn_text_printf(&text, "file,class,attack,xmin,ymin,xmax,ymax,left_eye_x,left_eye_y,"
                          "right_eye_x,right_eye_y\n");
    for (int n = 0; n < run->options->count; n++) {
        static const char *const attacks[] = {
            [DS_REAL] = "none", [DS_PRINT] = "print", [DS_SCREEN] = "screen"};
        enum ds_attack_kind kind = kind_of(n);
        const struct ds_face *f = &run->records[n].face;
        nn_text_printf(&text, "%s/%04d.jpg,%s,%s,", folder_of(n), n, kind ? "fake" : "real",
                       attacks[kind]);
        nn_text_printf(&text, "%.1f,%.1f,%.1f,%.1f,", (double)f->x0, (double)f->y0, (double)f->x1,
                       (double)f->y1);
        nn_text_printf(&text, "%.1f,%.1f,%.1f,%.1f\n", (double)f->left_x, (double)f->left_y,
                       (double)f->right_x, (double)f->right_y);
    }
    const char *path = join(&name, run->directory, "faces.csv");
    if (path && !text.failed) status = nn_file_write(run->context, path, text.data, text.size);
    nn_text_free(&name);
    nn_text_free(&text);
    return status;
}

static enum nn_status check(struct nn_context *context, const char *directory,
                            const struct ds_synth_options *options, int size)
{
    if (!directory || !*directory)
        return nn_fail(context, NN_ERROR_ARGUMENT, "samples: no folder to write to was given");
    if (options->count < 1 || options->count > COUNT_MAX)
        return nn_fail(context, NN_ERROR_ARGUMENT, "samples: count is %d, expected 1 to %d",
                       options->count, COUNT_MAX);
    if (size < SIDE_MIN || size > SIDE_MAX)
        return nn_fail(context, NN_ERROR_ARGUMENT, "samples: size is %d pixels, expected %d to %d",
                       size, SIDE_MIN, SIDE_MAX);
    return NN_OK;
}

enum nn_status ds_synth(struct nn_context *context, const char *directory,
                        const struct ds_synth_options *options)
{
    struct run run = {.context = context, .directory = directory, .options = options};
    int threads = nn_threads(context), size = options->size ? options->size : SIDE_DEFAULT;
    enum nn_status status = check(context, directory, options, size);
    if (status) return status;
    run.records = nn_alloc(context, (size_t)options->count, sizeof *run.records);
    run.studios = nn_alloc(context, (size_t)threads, sizeof *run.studios);
    status = run.records && run.studios ? NN_OK : NN_ERROR_MEMORY;
    for (int t = 0; !status && t < threads; t++) {
        status = ds_studio_new(&run.studios[t], nn_worker(context, t), size);
        if (status)
            nn_fail(context, status, "not enough memory to draw %d x %d samples on %d threads",
                    size, size, threads);
    }
    if (!status) {
        status = make_folders(&run);
        if (!status) status = draw_all(&run);
        if (!status) status = write_table(&run);
        if (status && run.owned) remove_all(&run);
    }
    for (int t = 0; run.studios && t < threads; t++) ds_studio_free(&run.studios[t]);
    nn_free(context, run.studios);
    nn_free(context, run.records);
    return status;
}
