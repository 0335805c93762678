/*
 * record.h — what the kinds of recordings share; vision.h has the public part.
 *
 * A kind is one file that ends in a `struct vi_recorder_kind`; record.c lists them, chooses by the
 * name's ending, and does what is the same for all: checks, time, and what comes after an error.
 *
 * Whatever ends the program, its kill included, a file can be played up to its last second: each
 * kind says when all that it has written makes a whole (vi_output_commit), which is at least once
 * a second, and writes in between only where that does not matter.
 */
#ifndef VISION_RECORD_H
#define VISION_RECORD_H

#include "vision/capture/capture.h"
#include "vision/codec/codec.h"

/* ---- output.c: bytes to a file that may be looked at while it grows -------------------------- */

struct vi_output {
    struct nn_context *context;
    const char *path;      /* as it was given, for messages */
    struct nn_draft draft; /* beside its name until the first commit */
    bool seekable;         /* a regular file, not a pipe or a device */
    uint64_t size;         /* bytes so far */
    uint64_t committed;    /* of these */
};
/* "-" is standard output. */
enum nn_status vi_output_open(struct vi_output *output, struct nn_context *context,
                              const char *path);
enum nn_status vi_output_put(struct vi_output *output, const void *bytes, size_t size);
/* The same in two parts, of which the first makes sense of the second: in files it is written
 * after it. */
enum nn_status vi_output_put_behind(struct vi_output *output, const void *head, size_t head_size,
                                    const void *bytes, size_t size);
/* Writes over what is there; files only. */
enum nn_status vi_output_patch(struct vi_output *output, uint64_t offset, const void *bytes,
                               size_t size);
/* All that has been written can be played: the file gets its name. */
enum nn_status vi_output_commit(struct vi_output *output);
/* Cuts off what has not been committed; without any commit there is no file. */
enum nn_status vi_output_close(struct vi_output *output);
enum nn_status vi_output_fail(const struct vi_output *output, int number); /* of errno */

/* ---- record.c -------------------------------------------------------------------------------- */

struct vi_recorder;
struct vi_recorder_kind {
    const char *format; /* vi_recorder_options.format */
    const char *codec;  /* the same; "": it has none */
    const char *ending; /* of names; NULL: the format must be said, or record.c knows */
    bool steady;        /* each picture is shown for the same time */
    bool file_only;     /* it goes back in what it has written */
    bool many_files;    /* it does not write to recorder->output */
    /* NULL: nothing to do; but for `write`, and `repeat` of steady kinds. */
    enum nn_status (*start)(struct vi_recorder *recorder);
    /* A picture of the right size, at `seconds` from the first one (steady kinds: next in line). */
    enum nn_status (*write)(struct vi_recorder *recorder, const struct vi_image *image,
                            double seconds);
    enum nn_status (*repeat)(struct vi_recorder *recorder); /* steady kinds: the last once more */
    /* After the last picture; there was one, and no error. */
    enum nn_status (*finish)(struct vi_recorder *recorder);
    void (*release)(struct vi_recorder *recorder); /* recorder->state, however far `start` came */
};

struct vi_recorder {
    struct nn_context *context;
    const struct vi_recorder_kind *kind;
    char *path;
    int width, height;
    int quality;
    uint32_t rate, scale; /* pictures per `scale` seconds */
    void *state;          /* the kind's own */
    struct vi_output output;
    struct vi_jpeg_writer jpeg;
    uint64_t part; /* AVI: bytes up to which a part of the file may grow; tests make it small */

    double shift, last;    /* seconds of the first picture, as if the clock had never been set;
                              of the last one since then */
    int64_t frames;        /* in the file */
    enum nn_status status; /* of the first error, which ends the recording */
    char trouble[600];     /* its message */
};

extern const struct vi_recorder_kind vi_recorder_avi, vi_recorder_mp4, vi_recorder_mov,
    vi_recorder_y4m, vi_recorder_pictures, vi_recorder_raw, vi_recorder_h264_mp4,
    vi_recorder_h264_mov;

#endif
