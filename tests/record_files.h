/*
 * record_files.h — what the tests of recordings share: a scratch folder, pictures that show their
 * number, recordings that are killed, and questions to the ffmpeg program.
 */
#ifndef RECORD_FILES_H
#define RECORD_FILES_H

#include "capture_files.h"
#include "vision/record/record.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

static char record_folder[256];

static inline bool record_begin(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(record_folder, sizeof record_folder, "%s/liveness.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return CHECK(mkdtemp(record_folder), "scratch folder");
}

static inline const char *in_folder(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", record_folder, name);
    return path;
}

/* Files that were not asked for would be seen here. */
static inline void record_end(void)
{
    CHECK(rmdir(record_folder) == 0, "nothing is left behind in the folder");
}

/* Picture `number` of a recording. */
static inline enum nn_status put_number_picture(struct vi_recorder *recorder, int number,
                                                double seconds)
{
    uint8_t pixels[FILE_WIDTH * FILE_HEIGHT * 3];
    struct vi_image image = {pixels, FILE_WIDTH, FILE_HEIGHT, 3, FILE_WIDTH * 3};
    vi_fill(&image, frame_color(number % 20));
    /* A few bytes of one colour are not enough for ffmpeg: it complains of its own, too. */
    for (int i = 20 * FILE_WIDTH; i < FILE_WIDTH * FILE_HEIGHT; i++)
        pixels[3 * i] = (uint8_t)(i * i >> 3);
    return vi_recorder_write(recorder, &image, seconds);
}

/* A recording of `count` pictures at `rate`; `part` as recorder->part, 0: what it is. */
static inline enum nn_status record_file(struct nn_context *context, const char *path, int count,
                                         struct vi_recorder_options options, uint64_t part)
{
    struct vi_recorder *recorder;
    double rate = options.rate > 0 ? options.rate : 30;
    enum nn_status status =
        vi_recorder_open(&recorder, context, path, FILE_WIDTH, FILE_HEIGHT, &options);
    if (status) return status;
    if (part) recorder->part = part;
    for (int i = 0; i < count && !status; i++)
        status = put_number_picture(recorder, i, 100 + i / rate);
    enum nn_status closed = vi_recorder_close(&recorder);
    return status ? status : closed;
}

/* What vi_capture sees in a file; ffmpeg stays out of it. */
static inline struct seen see_path(struct nn_context *context, const char *path)
{
    struct vi_capture_options options = {.no_ffmpeg = true};
    struct vi_capture *capture = NULL;
    struct seen seen = {.status = vi_capture_open(&capture, context, path, &options)};
    if (seen.status)
        snprintf(seen.error, sizeof seen.error, "%s", nn_error(context));
    else
        seen = see_all(capture, context);
    vi_capture_close(&capture);
    return seen;
}

/* The first `count` pictures, at most 64, are numbers 0, 1, 2 ... (modulo 20). */
static inline bool seen_in_order(const struct seen *seen, int count)
{
    bool right = seen->opened && !seen->status && seen->count == count && !seen->info.broken;
    for (int i = 0; right && i < count && i < 64; i++) right = seen->numbers[i] == i % 20;
    if (!right)
        printf("# %d pictures, broken %lld %s; %s\n", seen->count, (long long)seen->info.broken,
               seen->info.last_broken, seen->error);
    return right;
}

static inline struct file load(const char *path)
{
    struct file file = {0};
    uint8_t block[4096];
    FILE *from = fopen(path, "rb");
    for (size_t size; from && (size = fread(block, 1, sizeof block, from)) > 0;)
        put(&file, block, size);
    if (from) fclose(from);
    return file;
}

static inline bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* In another process: records, a picture every so many milliseconds, tells after each of them, and
 * is killed after `count`. */
static inline bool record_and_kill(const char *path, int count, struct vi_recorder_options options,
                                   int milliseconds)
{
    int ends[2];
    char byte;
    if (pipe(ends)) abort();
    fflush(stdout);
    pid_t id = fork();
    if (id == 0) {
        struct nn_context *own;
        struct vi_recorder *recorder;
        close(ends[0]);
        if (nn_open(&own, &(struct nn_options){.threads = 1}) ||
            vi_recorder_open(&recorder, own, path, FILE_WIDTH, FILE_HEIGHT, &options))
            _exit(1);
        for (int i = 0;; i++)
            if (put_number_picture(recorder, i, 7 + i / options.rate) || write(ends[1], "", 1) != 1)
                _exit(2);
            else if (i + 1 == count)
                pause();
            else if (milliseconds)
                poll(NULL, 0, milliseconds);
    }
    close(ends[1]);
    int told = 0, status = 0;
    while (told < count && read(ends[0], &byte, 1) == 1) told++;
    kill(id, SIGKILL);
    waitpid(id, &status, 0);
    close(ends[0]);
    return told == count && WIFSIGNALED(status);
}

/* Removes what a killed recording left beside the file: one that had no name yet. */
static inline int remove_drafts(void)
{
    char command[600];
    snprintf(command, sizeof command, "rm -f '%s'/.liveness-*.tmp", record_folder);
    return system(command);
}

/* ---- the ffmpeg program ---------------------------------------------------------------------- */

static inline bool has_ffmpeg(void)
{
    static int answer = -1;
    if (answer < 0)
        answer = system("ffmpeg -version >/dev/null 2>&1 && ffprobe -version >/dev/null 2>&1") == 0;
    return answer;
}

/* What a command says, its complaints included; %s in it is the path. */
static inline const char *ask(const char *command, const char *path)
{
    static char said[4096];
    char line[1024], whole[1040];
    snprintf(line, sizeof line, command, path);
    snprintf(whole, sizeof whole, "%s 2>&1", line);
    FILE *from = popen(whole, "r");
    size_t size = from ? fread(said, 1, sizeof said - 1, from) : 0;
    said[size] = '\0';
    if (from) pclose(from);
    return said;
}

/* ffmpeg and ffprobe have nothing to say about it, and count `frames`. */
static inline bool ffmpeg_likes(const char *path, int frames)
{
    const char *said =
        ask("ffmpeg -nostdin -v warning -i '%s' -fps_mode passthrough -f null -", path);
    bool likes = !*said;
    if (!likes) printf("# ffmpeg: %s\n", said);
    said = ask("ffprobe -v warning -count_frames -select_streams v -of csv=p=0 "
               "-show_entries stream=nb_read_frames '%s'",
               path);
    if (atoi(said) == frames && strspn(said, "0123456789,\n") == strlen(said)) return likes;
    printf("# ffprobe: %s\n", said);
    return false;
}

#endif
