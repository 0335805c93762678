/*
 * capture.h — what the video sources share; vision.h has the public part.
 *
 * A source is one file that ends in one `struct vi_source_kind`; capture.c lists them, asks each
 * whether it knows the first bytes, and does what is the same for all: counting, limits, turning.
 */
#ifndef VISION_CAPTURE_CAPTURE_H
#define VISION_CAPTURE_CAPTURE_H

#include "vision/vision.h"

/* ---- stream.c: bytes of a file, a pipe or standard input --------------------------------------
 */

/* Buffered; the first VI_HEAD bytes can be looked at before anything is taken. */
enum { VI_HEAD = 4096 };
struct vi_stream;
/* "-" is standard input. A folder, and what cannot be opened, are errors that say so. */
enum nn_status vi_stream_open(struct vi_stream **stream, struct nn_context *context,
                              const char *path);
/* The same on a descriptor that is then the stream's. */
enum nn_status vi_stream_from(struct vi_stream **stream, struct nn_context *context, int descriptor,
                              const char *name);
void vi_stream_close(struct vi_stream **stream);
const uint8_t *vi_stream_head(struct vi_stream *stream, size_t *size);
/* Fills `to` as far as there are bytes; returns how many (fewer than asked: the end, or an error
 * that vi_stream_status tells). */
size_t vi_stream_read(struct vi_stream *stream, void *to, size_t size);
bool vi_stream_skip(struct vi_stream *stream, uint64_t size);
/* Regular files only: false elsewhere. */
bool vi_stream_seek(struct vi_stream *stream, uint64_t offset);
bool vi_stream_seekable(const struct vi_stream *stream);
uint64_t vi_stream_size(const struct vi_stream *stream); /* UINT64_MAX: not known */
uint64_t vi_stream_tell(const struct vi_stream *stream);
enum nn_status vi_stream_status(const struct vi_stream *stream);
const char *vi_stream_name(const struct vi_stream *stream); /* quoted, for messages */

/* ---- sources ------------------------------------------------------------------------------------
 */

/* What one call of `read` found. */
enum vi_found {
    VI_FOUND_FRAME,  /* capture->image holds it */
    VI_FOUND_BROKEN, /* one frame passed over; the context's error says why */
    VI_FOUND_END,
    VI_FOUND_ERROR /* nothing more can come: the context's error says why; status in `status` */
};

struct vi_source_kind {
    const char *format; /* vi_capture_info.format */
    /* Do these first bytes belong to it? `path` for what has none (folders: head is NULL). */
    bool (*knows)(const char *path, const uint8_t *head, size_t size);
    /* Sets capture->state, info.rate, .frames, .width, .height as far as known. */
    enum nn_status (*open)(struct vi_capture *capture);
    /* With `wanted` false the frame may be left undecoded (FRAME without an image). Sets
     * capture->seconds (negative: not known), capture->name. */
    enum vi_found (*read)(struct vi_capture *capture, bool wanted);
    void (*close)(struct vi_capture *capture); /* frees capture->state */
};

struct vi_capture {
    struct nn_context *context;
    const struct vi_source_kind *kind;
    struct vi_stream *stream; /* NULL for folders and for ffmpeg's input */
    char *path;
    struct vi_capture_options options; /* defaults filled in */
    struct vi_capture_info info;
    void *state;           /* the source's own */
    struct vi_image image; /* RGB, allocated anew only when a frame has another size */
    double seconds;        /* of the frame just read; negative: from index and rate */
    const char *name;      /* of the picture just read */
    enum nn_status status; /* what VI_FOUND_ERROR means; sticks */
    int64_t next;          /* index of the next frame */
};

/* Makes capture->image this large (RGB), reusing its memory where it fits; the limit on pixels is
 * checked here. */
enum nn_status vi_capture_size(struct vi_capture *capture, int width, int height);
/* Decodes a JPEG frame into capture->image; adds the standard Huffman tables where the camera left
 * them out (as Motion-JPEG allows; ITU-T T.81, annex K.3). `name` for messages. */
enum nn_status vi_capture_jpeg(struct vi_capture *capture, uint8_t *bytes, size_t size,
                               const char *name);
/* 4:2:0, 4:2:2, 4:4:4 or grey planes to capture->image (which has been sized). BT.601, limited
 * range unless `full`. Chroma is shared by the pixels it was taken from (as swscale's fast path
 * and most viewers do). */
struct vi_yuv {
    const uint8_t *y, *u, *v; /* u, v NULL: grey */
    ptrdiff_t y_stride, uv_stride;
    int shift_x, shift_y; /* log2 of the chroma's subsampling */
    bool full;
};
void vi_capture_yuv(struct vi_capture *capture, const struct vi_yuv *yuv);

extern const struct vi_source_kind vi_source_pictures, vi_source_y4m, vi_source_avi, vi_source_mp4,
    vi_source_mjpeg, vi_source_ffmpeg;

#endif
