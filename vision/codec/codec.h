/*
 * codec.h — what the picture codecs share among themselves; vision.h has the public part.
 *
 * A file passes three stations: our own look at its structure (jpeg.c, png.c, pnm.c), which refuses
 * what is damaged, giant or unsupported before anything is allocated; stb_image, behind a cap on
 * its allocations (stb.c); and the conversion to the colours that were asked for, upright
 * (decode.c).
 */
#ifndef VISION_CODEC_H
#define VISION_CODEC_H

#include "vision/vision.h"

/* Memory that decoding one picture leaves for the next one of its kind, so that a video's frames
 * come without calls of the allocator. All zero at first. */
enum { VI_MAX_KEPT = 16 };
struct vi_scratch {
    void *blocks[VI_MAX_KEPT];
    bool fresh[VI_MAX_KEPT]; /* used for the picture before: what is not used again goes */
};
/* Takes a block from nn_alloc (or NULL) over. */
void vi_scratch_keep(struct vi_scratch *scratch, struct nn_context *context, void *memory);
void vi_scratch_free(struct vi_scratch *scratch, struct nn_context *context);

/* A file in memory, and who is told what is wrong with it. */
struct vi_source {
    struct nn_context *context;
    const uint8_t *bytes;
    size_t size;
    const char *name;           /* for messages */
    struct vi_scratch *scratch; /* NULL: the allocator is called */
};

/* What decoding needs to know beyond vi_header. */
struct vi_layout {
    struct vi_header header; /* width and height as stored */
    int orientation;         /* Exif's, 1 to 8; 0: the file does not say */
    bool palette;            /* PNG: samples are indices of colours */
    size_t palette_chunk;    /* PNG: offset of the PLTE chunk, 0 if there is none */
    size_t palette_colors;   /* PNG: its entries */
    size_t samples;          /* PGM, PPM: offset of the pixels */
    int largest;             /* PGM, PPM: what a full sample is */
};

/* Records "<name>: <message>" with the name made fit for a terminal; returns `status`. */
enum nn_status vi_source_fail(const struct vi_source *source, enum nn_status status,
                              const char *format, ...) NN_PRINTF(3, 4);

/* Is this what the first bytes say? */
bool vi_is_jpeg(const struct vi_source *source);
bool vi_is_png(const struct vi_source *source);
bool vi_is_pnm(const struct vi_source *source);

/* Read the structure: up to the dimensions, or (`whole`) to the very end, with every check. */
enum nn_status vi_jpeg_inspect(struct vi_layout *layout, const struct vi_source *source,
                               bool whole);
enum nn_status vi_png_inspect(struct vi_layout *layout, const struct vi_source *source, bool whole);
enum nn_status vi_pnm_inspect(struct vi_layout *layout, const struct vi_source *source, bool whole);
/* vi_decode; options NULL: the defaults. */
enum nn_status vi_decode_source(struct vi_image *image, const struct vi_source *source,
                                const struct vi_decode_options *options);
/* One of them, or an error that says what the file is instead. */
enum nn_status vi_inspect(struct vi_layout *layout, const struct vi_source *source, bool whole);

/* The orientation that Exif data (from "II" or "MM" on) tell: 1 to 8, 1 also where it makes no
 * sense; 0: they do not tell any. */
int vi_exif_orientation(const uint8_t *bytes, size_t size);

/* A copy of the PNG whose palette has all 256 entries, the new ones black: indices beyond a short
 * palette then mean black and not whatever the decoder's stack holds. */
enum nn_status vi_png_pad_palette(void **bytes, size_t *size, const struct vi_source *source,
                                  const struct vi_layout *layout);

/* stb_image: width * height * `channels` (1, 3, 4) samples from nn_alloc. Its memory is capped by
 * what a picture of these dimensions can need. */
enum nn_status vi_stb_decode(uint8_t **pixels, const struct vi_source *source,
                             const struct vi_header *header, int channels);
/* PGM, PPM: the same. */
enum nn_status vi_pnm_decode(uint8_t **pixels, const struct vi_source *source,
                             const struct vi_layout *layout, int channels);
/* stb_image_write: rows without gaps; the result is the caller's to nn_free. */
enum nn_status vi_stb_encode_png(void **bytes, size_t *size, const struct vi_image *image,
                                 struct nn_context *context);
/* jpeg_encode.c. The Huffman tables of ITU-T T.81, annex K.3, as one DHT segment: for luma and
 * chroma (number 0, 1) and for differences of DC and for AC (class 0, 1): 16 counts of codes by
 * length, then the values. */
extern const uint8_t vi_jpeg_tables[420];
/* Writes JPEGs; all zero at first but for the context. Its memory is used again for each picture,
 * and grows only when one needs more than all before. */
struct vi_jpeg_writer {
    struct nn_context *context;
    uint8_t *bytes; /* the last picture, nn_free's */
    size_t size, capacity;
    int16_t *samples; /* of a row of blocks */
    size_t sample_count;
    int quality;         /* that the tables are for; 0: none yet */
    uint8_t step[2][64]; /* of luma and chroma: the quantiser's, row by row */
    float factor[2][64]; /* what coefficients are multiplied by, column by column */
    uint32_t dc[2][16], ac[2][256];
};
/* 1 (grey), 3 or 4 channels (RGB, RGBA), up to 65535 each way; quality 1 to 100. */
enum nn_status vi_jpeg_encode(struct vi_jpeg_writer *writer, const struct vi_image *image,
                              int quality);
void vi_jpeg_writer_free(struct vi_jpeg_writer *writer);

/* zlib stream (RFC 1950) of `from`; NULL when there is no memory. The caller's to nn_free. */
uint8_t *vi_deflate(struct nn_context *context, const uint8_t *from, size_t from_size,
                    size_t *size);

static inline uint32_t vi_be16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t vi_be32(const uint8_t *bytes)
{
    return vi_be16(bytes) << 16 | vi_be16(bytes + 2);
}

#endif
