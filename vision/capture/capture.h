/*
 * capture.h — what the video sources share; vision.h has the public part.
 *
 * A source is one file that ends in one `struct vi_source_kind`; capture.c lists them, asks each
 * whether it knows the first bytes, and does what is the same for all: counting, limits, turning.
 */
#ifndef VISION_CAPTURE_CAPTURE_H
#define VISION_CAPTURE_CAPTURE_H

#include "vision/vision.h"

/* ---- stream.c: bytes of a file, a pipe or standard input ------------------------------------- */

/* Buffered; the next VI_HEAD bytes can be looked at before they are taken. */
enum { VI_HEAD = 4096 };
struct vi_stream;
/* "-" is standard input. A folder, and what cannot be opened, are errors that say so. */
enum nn_status vi_stream_open(struct vi_stream **stream, struct nn_context *context,
                              const char *path);
/* The same on a descriptor that is then the stream's. */
enum nn_status vi_stream_from(struct vi_stream **stream, struct nn_context *context, int descriptor,
                              const char *name);
void vi_stream_close(struct vi_stream **stream);
/* The next VI_HEAD bytes, or as many as there are; valid until the next call. */
const uint8_t *vi_stream_head(struct vi_stream *stream, size_t *size);
/* All that is buffered, after having waited for `least` bytes (up to VI_HEAD) or the end. With 1 a
 * live stream is taken as it comes. */
const uint8_t *vi_stream_peek(struct vi_stream *stream, size_t least, size_t *size);
/* Fills `to` as far as there are bytes; returns how many (fewer than asked: the end, or an error
 * that vi_stream_status tells). */
size_t vi_stream_read(struct vi_stream *stream, void *to, size_t size);
bool vi_stream_skip(struct vi_stream *stream, uint64_t size);
/* Regular files only: false elsewhere. */
bool vi_stream_seek(struct vi_stream *stream, uint64_t offset);
/* To the beginning; elsewhere than in regular files only as long as that is buffered. */
bool vi_stream_rewind(struct vi_stream *stream);
bool vi_stream_seekable(const struct vi_stream *stream);
uint64_t vi_stream_size(const struct vi_stream *stream); /* UINT64_MAX: not known */
uint64_t vi_stream_tell(const struct vi_stream *stream);
/* For poll(): ready to be read, or at its end. What is buffered already is not seen there. */
int vi_stream_descriptor(const struct vi_stream *stream);
enum nn_status vi_stream_status(const struct vi_stream *stream);
const char *vi_stream_name(const struct vi_stream *stream); /* quoted, for messages */

/* A growing block that is used again for each frame: set `size` to 0 before. */
struct vi_bytes {
    uint8_t *data;
    size_t size, capacity;
};
/* `from` NULL: room whose bytes the caller fills in. */
enum nn_status vi_bytes_append(struct vi_bytes *bytes, struct nn_context *context, const void *from,
                               size_t size);
/* Appends the stream's next `size` bytes, fewer at its end (look at bytes->size). Memory grows with
 * what comes, not with what was promised. */
enum nn_status vi_bytes_read(struct vi_bytes *bytes, struct vi_stream *stream, size_t size);
void vi_bytes_free(struct vi_bytes *bytes, struct nn_context *context);

/* ---- sources --------------------------------------------------------------------------------- */

/* The longest frame that is read, in bytes; more is damage. */
enum { VI_MAX_FRAME = 64 << 20 };

/* What one call of `read` found. */
enum vi_found {
    VI_FOUND_FRAME,  /* capture->image holds it */
    VI_FOUND_BROKEN, /* one frame passed over; the context's error says why */
    VI_FOUND_END,
    VI_FOUND_ERROR /* nothing more can come: the context's error says why; status in `status` */
};

struct vi_camera_system;
struct vi_scratch;

struct vi_source_kind {
    const char *format; /* vi_capture_info.format */
    /* Do these first bytes belong to it? `path` for what has none (folders: head is NULL). */
    bool (*knows)(const char *path, const uint8_t *head, size_t size);
    /* Sets capture->state, info.rate, .frames, .width, .height as far as known; `close` is called
     * whatever comes. NN_ERROR_UNSUPPORTED hands the file on to ffmpeg, and from ffmpeg's own open
     * it means that the program is not there. */
    enum nn_status (*open)(struct vi_capture *capture);
    /* With `wanted` false the frame may be left undecoded (FRAME without an image). Sets
     * capture->seconds (negative: not known), capture->name. */
    enum vi_found (*read)(struct vi_capture *capture, bool wanted);
    void (*close)(struct vi_capture *capture); /* frees capture->state */
};

struct vi_capture {
    struct nn_context *context;
    const struct vi_source_kind *kind;
    struct vi_stream *stream; /* NULL for folders, and where ffmpeg opens a file by its name */
    char *path;
    struct vi_capture_options options; /* defaults filled in */
    struct vi_capture_info info;
    void *state;           /* the source's own */
    struct vi_image image; /* RGB, allocated anew only when a frame has another size */
    double seconds;        /* of the frame just read; negative: from index and rate */
    double arrived;        /* vi_clock when its bytes were there; 0: not known yet */
    const char *trouble;   /* why there is no new one */
    const char *name;      /* of the picture just read */
    enum nn_status status; /* what VI_FOUND_ERROR means; sticks */
    int64_t next;          /* index of the next frame */
    /* Used again for each frame. */
    struct nn_text label;
    struct vi_bytes whole;
    struct vi_scratch *scratch;
    const struct vi_camera_system *cameras; /* v4l2.h */
};

/* Its bytes are there and decoding begins; called once more it changes nothing. */
void vi_capture_arrived(struct vi_capture *capture);
/* Counts a broken frame that the source itself passes over; the context's error says why. */
void vi_capture_broken(struct vi_capture *capture);
/* What reading a frame comes to: NN_OK a frame; out of memory or a failed read an error, since they
 * say nothing about the frame; all else a broken frame. */
enum vi_found vi_capture_found(struct vi_capture *capture, enum nn_status status);
/* vi_capture_open with a stream, which becomes the capture's also on failure. */
enum nn_status vi_capture_from(struct vi_capture **capture, struct nn_context *context,
                               struct vi_stream *stream, const char *path,
                               const struct vi_capture_options *options);

/* Makes capture->image this large (RGB), reusing its memory where it fits; the limit on pixels is
 * checked here. */
enum nn_status vi_capture_size(struct vi_capture *capture, int width, int height);
/* Decodes a JPEG frame into capture->image; adds the standard Huffman tables where the camera left
 * them out (as Motion-JPEG allows; ITU-T T.81, annex K.3). Other pictures are taken as well. `name`
 * for messages; NULL: path and number of the frame. */
enum nn_status vi_capture_jpeg(struct vi_capture *capture, const uint8_t *bytes, size_t size,
                               const char *name);
/* 4:2:0, 4:2:2, 4:4:4 or grey planes to capture->image (which has been sized). BT.601, limited
 * range unless `full`. Chroma is shared by the pixels it was taken from (as swscale's fast path
 * and most viewers do). */
struct vi_yuv {
    const uint8_t *y, *u, *v; /* u, v NULL: grey */
    ptrdiff_t y_stride, uv_stride;
    int shift_x, shift_y; /* log2 of the chroma's subsampling */
    int y_step, uv_step;  /* bytes from sample to sample, 1 or packed (2, 4); pairs (1, 2); 0: 1 */
    bool full;
};
void vi_capture_yuv(struct vi_capture *capture, const struct vi_yuv *yuv);

/* mjpeg.c: does the JPEG that begins here go on with another one, so that it is a stream of them?
 * (A photo with previews behind it, which says so in its MPF segment, is not.) Takes bytes. */
bool vi_mjpeg_is_stream(struct vi_stream *stream);

extern const struct vi_source_kind vi_source_pictures, vi_source_y4m, vi_source_avi, vi_source_mp4,
    vi_source_mjpeg, vi_source_ffmpeg;

#endif
