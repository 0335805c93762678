/*
 * shots.h — what commands that look at pictures and videos share: the files, the detector, frame
 * after frame, what to say of those that cannot be read, and the sum at the end.
 */
#ifndef APPS_SHOTS_H
#define APPS_SHOTS_H

#include "apps/annotate.h"
#include "apps/detector.h"

/* A picture, or a frame of a video. */
struct shot {
    const char *file;
    struct vi_image image; /* RGB */
    int64_t frame;         /* -1: a picture */
    double seconds;
    const struct vi_face *faces;
    int count;
    double milliseconds; /* of looking */
};

struct shots {
    struct app *app;
    /* Finds shot->faces, and how long that took. */
    enum nn_status (*look)(struct shots *shots, struct shot *shot);
    void (*json)(struct nn_text *text, const struct shots *shots, const struct shot *shot);
    /* The table's heading (`shot` NULL), or its rows for a shot. */
    void (*rows)(struct nn_text *text, const struct shots *shots, const struct shot *shot);
    /* Onto the picture, where there is an output. */
    void (*draw)(const struct shots *shots, const struct shot *shot);
    void *user;
    const char *label; /* of the progress: "detecting" */
    int every, max_frames;
    struct app_files files;
    struct annotate_output output;
    struct app_progress progress;
    size_t looked, faces, bad; /* pictures and frames; faces in them; files */
    double seconds;            /* of looking */
};

/* Finds the files that the arguments name, and prepares `output` (NULL: none) for them. */
enum nn_status shots_open(struct shots *shots, const char *output);
/* Looks at all of them; the sum goes to standard error. */
enum nn_status shots_run(struct shots *shots);
void shots_close(struct shots *shots);
/* The end of a row: file, frame, seconds. */
void shots_write_file(struct nn_text *text, const struct shot *shot);
/* The beginning of a line of --json: {"file": ... "height": ... */
void shots_write_json(struct nn_text *text, const struct shot *shot);

#endif
