/*
 * gather.h — what the parts of `liveness gather` share.
 *
 *   gather_inputs.c   arguments -> rows of files
 *   gather_read.c     rows -> frames: one thread that decodes, ahead of
 *   gather_look.c     frames -> crops: the caller and its pool, which find the faces, ahead of
 *   gather_write.c    crops -> files: threads that encode and write
 *   gather_queue.c    what stands between them
 *   gather_report.c   the summary; gather_sheet.c the contact sheet
 *
 * Frames and crops lie in a few slots that are used again and again, so that memory does not grow
 * with a video's length, and who is faster waits for the other.
 */
#ifndef APPS_GATHER_H
#define APPS_GATHER_H

#include "apps/app.h"
#include "vision/vision.h"

#include <pthread.h>

enum {
    GATHER_FRAMES = 2, /* one is looked at while the next is decoded */
    GATHER_CROPS = 8,
    GATHER_WRITERS = 2,
    GATHER_NAME = 256 /* bytes of a file's name, with the closing NUL */
};

struct gather_settings {
    struct cli_common common;
    const char *input; /* the last one; all of them are arguments */
    const char *output, *detector, *sheet;
    double confidence, margin, different;
    int skip, min_size, max, format, quality, precision;
    bool all_faces, square, keep_folders, no_sheet;
};

/* ---- gather_queue.c -------------------------------------------------------------------------- */

/* Slots between threads: each is free, in somebody's hands, or full. */
enum { GATHER_SLOTS = GATHER_CROPS, GATHER_FREE = -1, GATHER_HELD = -2 };
struct gather_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int slots;
    int64_t turn[GATHER_SLOTS]; /* of a full slot, from 0; else GATHER_FREE or GATHER_HELD */
    int64_t turns;
    bool closed;  /* nothing more is put in */
    bool aborted; /* nobody takes out any more */
};
void gather_queue_open(struct gather_queue *queue, int slots);
void gather_queue_free(struct gather_queue *queue);
/* A free slot to fill; -1 when it is no use any more. */
int gather_queue_room(struct gather_queue *queue);
void gather_queue_put(struct gather_queue *queue, int slot);
/* The slot that was filled first; -1 when there are no more or *stop (may be NULL) was set. *turn
 * (may be NULL): how many were filled before. */
int gather_queue_take(struct gather_queue *queue, int64_t *turn, const volatile int *stop);
void gather_queue_release(struct gather_queue *queue, int slot);
void gather_queue_close(struct gather_queue *queue);
void gather_queue_abort(struct gather_queue *queue);
/* Waits until it is closed, but not longer than this. */
bool gather_queue_await_close(struct gather_queue *queue, double seconds);

/* ---- what goes through them ------------------------------------------------------------------ */

/* What became of a frame, or of one face in it. */
enum gather_fate {
    GATHER_NO_FACE, /* nothing that resembles one */
    GATHER_UNSURE,  /* something does, but not above -c */
    GATHER_SMALL,   /* below --min-size */
    GATHER_ALIKE,   /* --different: like one that was kept just before */
    GATHER_WRITTEN,
    GATHER_THERE, /* an earlier run wrote the very same file */
    GATHER_FATES
};

/* A row of the summary: a video, or pictures of one folder. */
enum { GATHER_NO_ROOT = -1 }; /* a file that was named itself mirrors no folders */
struct gather_input {
    char *label;
    size_t first, count; /* of the files */
    size_t root;         /* bytes of a path before the part that is mirrored under -o */
    bool pictures;       /* they are so by their names */
    /* Written by the thread that does the work; read when the row is over. */
    int64_t frames, broken, looked, fate[GATHER_FATES];
    const char *named; /* the file whose faces are being named, */
    int run;           /* and what stands behind its name: "clip-2" */
    int chosen;        /* faces handed to the writers */
    int enough;        /* atomic: --max is reached */
    char error[512];   /* why it could not be read (to its end); "": it could */
};

/* Pixels that are allocated anew only when they have to grow. */
struct gather_pixels {
    struct vi_image image;
    size_t room;
};
enum nn_status gather_fit(struct gather_pixels *pixels, struct nn_context *context, int width,
                          int height);

enum gather_kind { GATHER_FRAME, GATHER_REMARK, GATHER_END };
struct gather_frame {
    enum gather_kind kind;
    struct gather_input *input;
    struct gather_pixels pixels;
    const char *path;    /* of the file */
    int64_t index;       /* in its video; -1: a picture */
    int64_t done, total; /* of the row, for the bar; total -1: not known */
    char remark[600];
};
struct gather_crop {
    struct gather_input *input;
    struct gather_pixels pixels;
    const char *path;
    int64_t index;
    int face; /* 0: the best of its frame */
    float confidence;
};

/* ---- gather_look.c --------------------------------------------------------------------------- */

/* Small grey versions of the faces kept last, to compare new ones with. */
enum { GATHER_THUMB = 16, GATHER_KEPT = 8 };
struct gather_kept {
    uint8_t thumbs[GATHER_KEPT][GATHER_THUMB * GATHER_THUMB];
    int count;
};
struct gather_rect {
    int x, y, width, height;
};
/* Where a face is cut out: the box and its margin, made square where that is asked for, inside the
 * picture. May be empty. */
struct gather_rect gather_cut(const struct vi_face *face, const struct gather_settings *settings,
                              int width, int height);
/* The mean of the from-pixels that each to-pixel covers (RGB). */
void gather_shrink(const struct vi_image *to, const struct vi_image *from);
/* Differs the picture from all that were kept by at least `least` grey levels on average? Then it
 * is kept too. */
bool gather_keep(struct gather_kept *kept, const struct vi_image *image, double least);

/* ---- gather_sheet.c -------------------------------------------------------------------------- */

enum { GATHER_SHEET_MOST = 60, GATHER_SHEET_CELL = 96, GATHER_CAPTION = 48 };
struct gather_sheet {
    uint8_t *pixels; /* [GATHER_SHEET_MOST, cell, cell, 3]; NULL: no sheet is wanted */
    struct vi_sheet_item items[GATHER_SHEET_MOST];
    char captions[GATHER_SHEET_MOST][2][GATHER_CAPTION];
    int count;
    int64_t seen, every; /* every so many faces, one is taken */
    char *path;
};
struct gather;
enum nn_status gather_sheet_open(struct gather *gather);
/* `path`: below -o */
void gather_sheet_add(struct gather_sheet *sheet, const struct gather_crop *crop, const char *path);
enum nn_status gather_sheet_write(struct gather *gather);

/* ---- the run --------------------------------------------------------------------------------- */

struct gather_writer {
    struct gather *gather;
    struct nn_context *context;
    pthread_t thread;
    bool started;
};
struct gather {
    struct app *app;
    struct gather_settings settings;
    struct app_files files;
    struct gather_input *inputs;
    int input_count, input_room;
    struct vi_detector *detector;

    struct gather_queue frames, crops;
    struct gather_frame frame[GATHER_FRAMES];
    struct gather_crop crop[GATHER_CROPS];

    struct nn_context *reader_context;
    pthread_t reader;
    bool reader_started;
    enum nn_status reader_status; /* what ends the run; that a file is bad does not */
    bool unwanted;                /* nobody takes its frames any more */

    struct gather_writer writers[GATHER_WRITERS];
    int writer_count;
    pthread_mutex_t turn_mutex; /* crops are encoded side by side, and written in their order */
    pthread_cond_t turn_changed;
    int64_t turn;
    enum nn_status writer_status;
    char writer_error[1024];
    struct nn_context *file_context; /* of who has the turn */
    char *folder;                    /* that was made last */

    bool given_up; /* there are no writers any more */
    struct gather_kept kept;
    struct gather_sheet sheet;
    struct app_progress progress;
    const struct gather_input *shown; /* the row the bar is of */
    int remarks;                      /* about it so far */
    double start, seconds;
};

/* gather_inputs.c */
enum nn_status gather_find_inputs(struct gather *gather);
void gather_free_inputs(struct gather *gather);
/* gather_read.c */
void *gather_read(void *gather);
/* gather_look.c */
enum nn_status gather_look(struct gather *gather);
/* gather_write.c */
void *gather_write(void *writer);
void gather_leave_folder(struct gather *gather);
/* gather_report.c */
void gather_show(struct gather *gather, const struct gather_frame *frame);
enum nn_status gather_report(struct gather *gather, bool good); /* did all go well? */

#endif
