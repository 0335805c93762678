/*
 * mp4.h — the index of an MP4 or QuickTime file (mp4_index.c), and that of each of its fragments
 * (mp4_fragments.c), for the source that reads its frames (mp4.c). Letters and names are those of
 * ISO/IEC 14496-12.
 */
#ifndef VISION_CAPTURE_MP4_H
#define VISION_CAPTURE_MP4_H

#include "vision/capture/capture.h"
#include "vision/codec/codec.h"

/* ---- mp4_boxes.c: size, four letters, body --------------------------------------------------- */

#define BOX(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

struct vi_mp4_span {
    const uint8_t *at;
    size_t size;
};
struct vi_mp4_parser {
    struct nn_context *context;
    const char *name;      /* of the file, quoted */
    const uint8_t *bytes;  /* what is parsed, */
    uint64_t offset;       /* and where in the file it lies */
    struct vi_mp4 *mp4;    /* what comes out */
    enum nn_status status; /* the first error sticks */
};

static inline uint64_t vi_mp4_be64(const uint8_t *bytes)
{
    return (uint64_t)vi_be32(bytes) << 32 | vi_be32(bytes + 4);
}

/* "moov", fit for a message. */
const char *vi_mp4_letters(char text[5], uint32_t type);
/* An error in what lies at `at`. */
void vi_mp4_damaged(struct vi_mp4_parser *parser, const uint8_t *at, const char *format, ...)
    NN_PRINTF(3, 4);
/* Takes the next box off `rest`; false: there is none, or an error. */
bool vi_mp4_take_box(struct vi_mp4_parser *parser, struct vi_mp4_span *rest, uint32_t *type,
                     struct vi_mp4_span *body);
/* The first box of that type; false: there is none, or an error. */
bool vi_mp4_find_box(struct vi_mp4_parser *parser, struct vi_mp4_span parent, uint32_t type,
                     struct vi_mp4_span *body);
/* Missing is an error, and so is less than `least` bytes. */
bool vi_mp4_need_box(struct vi_mp4_parser *parser, struct vi_mp4_span parent, uint32_t type,
                     size_t least, struct vi_mp4_span *body);
/* Reads a box's header at `at` in the file: type, where the body begins, where the box ends (maybe
 * beyond the file's end). False: these are no 8 bytes, or no box. */
bool vi_mp4_file_box(struct vi_stream *stream, uint64_t at, uint32_t *type, uint64_t *body,
                     uint64_t *end);

/* ---- what is in the file --------------------------------------------------------------------- */

struct vi_mp4_rows { /* a table inside of the movie box */
    const uint8_t *at;
    uint32_t count;
};

/* The first video track's tables, left where they are in the movie box, and how far they have been
 * read: frames are found one after the other, with no memory of their own. */
struct vi_mp4 {
    const char *name;      /* of the file, quoted */
    struct vi_bytes movie; /* the body of the movie box */
    uint64_t movie_offset; /* of that body in the file */

    int width, height; /* as stored; 0: not said */
    int orientation;   /* as Exif has it, 1 to 8: what makes the picture upright */
    uint32_t timescale;
    struct vi_mp4_rows sizes, chunks, runs, times; /* stsz or stz2, stco or co64, stsc, stts */
    uint32_t uniform;                              /* size of all samples; 0: in the table */
    int size_bits, chunk_bits;                     /* of a row */
    double duration;                               /* seconds, all samples together */

    uint32_t sample, chunk, in_chunk, run, time, in_time;
    uint64_t offset, ticks;

    struct vi_mp4_fragments {         /* behind what the index speaks of */
        bool expected;                /* "mvex": there may be some */
        uint32_t track;               /* whose */
        uint32_t ticks, size;         /* of a sample that does not say it */
        double rate;                  /* samples per second of the first run; 0: not known */
        uint64_t next;                /* where in the file the next box is */
        struct vi_bytes box;          /* the body of "moof" */
        uint64_t begin;               /* where in the file that box is */
        struct vi_mp4_span tracks;    /* of it: what is still to be read */
        struct vi_mp4_span runs;      /* the same, of the track */
        uint32_t run_ticks, run_size; /* as above, in this track */
        uint64_t base;                /* what offsets count from */
        uint32_t tracks_seen;         /* in this fragment */
        uint32_t left, flags;         /* samples of this run, and what their rows say */
        const uint8_t *row;
    } fragments;
};

/* Finds the movie box and checks all of it. Files whose video is not Motion-JPEG are
 * NN_ERROR_UNSUPPORTED, and the error names what they hold. vi_mp4_free whatever comes. */
enum nn_status vi_mp4_open(struct vi_mp4 *mp4, struct nn_context *context,
                           struct vi_stream *stream);
void vi_mp4_free(struct vi_mp4 *mp4, struct nn_context *context);

struct vi_mp4_sample {
    uint64_t offset;
    uint32_t size;
    double seconds;
};
/* The next sample; *end: there are no more. */
enum nn_status vi_mp4_next(struct vi_mp4 *mp4, struct nn_context *context, struct vi_stream *stream,
                           struct vi_mp4_sample *sample, bool *end);

/* mp4_fragments.c: "mvex", of the index; how many samples per second there are; and the same as
 * above for samples in fragments. */
void vi_mp4_read_extends(struct vi_mp4_parser *parser, struct vi_mp4_span movie);
enum nn_status vi_mp4_first_fragment(struct vi_mp4 *mp4, struct nn_context *context,
                                     struct vi_stream *stream);
enum nn_status vi_mp4_next_in_fragment(struct vi_mp4 *mp4, struct nn_context *context,
                                       struct vi_stream *stream, struct vi_mp4_sample *sample,
                                       bool *end);

#endif
