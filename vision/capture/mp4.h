/*
 * mp4.h — the index of an MP4 or QuickTime file (mp4_boxes.c), for the source that reads its frames
 * (mp4.c). Letters and names are those of ISO/IEC 14496-12.
 */
#ifndef VISION_CAPTURE_MP4_H
#define VISION_CAPTURE_MP4_H

#include "vision/capture/capture.h"

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
};

/* Finds the movie box and checks all of it. Files whose video is not Motion-JPEG are
 * NN_ERROR_UNSUPPORTED, and the error names what they hold. mp4->movie is the caller's to free. */
enum nn_status vi_mp4_open(struct vi_mp4 *mp4, struct nn_context *context,
                           struct vi_stream *stream);

struct vi_mp4_sample {
    uint64_t offset;
    uint32_t size;
    double seconds;
};
/* The next sample; false: there are no more. */
bool vi_mp4_next(struct vi_mp4 *mp4, struct vi_mp4_sample *sample);

#endif
