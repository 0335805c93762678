/*
 * jpeg_encode.c — baseline JPEG (ITU-T T.81), fast enough for a frame of video in a fraction of its
 * time, with memory that is used again for the next picture.
 *
 *     R G B -> Y Cb Cr (JFIF; BT.601, full range)      integers of 4 bits behind the point
 *     8x8 blocks -> discrete cosine transform          floats, eight columns at a time
 *     -> divided by the quantiser's steps, rounded     one product each
 *     -> runs of zeros and values in Huffman codes     64 bits at a time
 *
 * The transform is that of Arai, Agui and Nakajima (1988), which leaves a factor per row and column
 * to the quantiser. Chroma has half the resolution up to a quality of 90, the full one above, and
 * steps and codes are those of annex K, scaled as the Independent JPEG Group does.
 */
#include "vision/codec/codec.h"

#include <assert.h>
#include <string.h>

const uint8_t vi_jpeg_tables[420] = {
    0xff, 0xc4, 0x01, 0xa2,
    /* K.3: luma DC */
    0x00, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, /**/
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    /* K.5: luma AC */
    0x10, 0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d, /**/
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
    0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa,
    /* K.4: chroma DC */
    0x01, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, /**/
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    /* K.6: chroma AC */
    0x11, 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77, /**/
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0,
    0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5,
    0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
    0xf9, 0xfa};

/* Tables K.1 and K.2, row by row. */
static const uint8_t steps[2][64] = {
    {16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,
     14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,
     18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,
     49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99},
    {17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99,
     99, 99, 47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
     99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99}};

/* Figure A.6: from the order in which coefficients are written to 8 * row + column. */
static const uint8_t zigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                   12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                   35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                   58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

enum { FRACTION = 4 }; /* bits behind the point of samples */

/* ---- tables ---------------------------------------------------------------------------------- */

/* Codes from the counts of their lengths (annex C): code << 8 | length, by symbol. */
static const uint8_t *make_codes(uint32_t *codes, const uint8_t *table)
{
    const uint8_t *counts = table + 1, *symbols = table + 17;
    uint32_t code = 0;
    for (uint32_t length = 1; length <= 16; length++, code <<= 1)
        for (int i = 0; i < counts[length - 1]; i++) codes[*symbols++] = code++ << 8 | length;
    return symbols;
}

/* The transform leaves coefficients 8 a[u] a[v] times too large: a[0] = 1 and
 * a[k] = sqrt(2) cos(k pi / 16). */
static void make_quantiser(struct vi_jpeg_writer *writer, int quality)
{
    static const double factor[8] = {1.0, 1.387039845, 1.306562965, 1.175875602,
                                     1.0, 0.785694958, 0.541196100, 0.275899379};
    int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < 64; i++) {
            int row = i / 8, column = i % 8, step = (steps[t][i] * scale + 50) / 100;
            step = step < 1 ? 1 : step > 255 ? 255 : step;
            writer->step[t][i] = (uint8_t)step;
            /* The second pass leaves rows and columns exchanged. */
            writer->factor[t][8 * column + row] =
                (float)(1.0 / (step * factor[row] * factor[column] * 8 * (1 << FRACTION)));
        }
}

static void make_tables(struct vi_jpeg_writer *writer, int quality)
{
    if (writer->quality == quality) return;
    const uint8_t *table = vi_jpeg_tables + 4;
    for (int t = 0; t < 2; t++) {
        table = make_codes(writer->dc[t], table);
        table = make_codes(writer->ac[t], table);
    }
    make_quantiser(writer, quality);
    writer->quality = quality;
}

/* ---- header ---------------------------------------------------------------------------------- */

static uint8_t *put16(uint8_t *to, int value)
{
    *to++ = (uint8_t)(value >> 8);
    *to++ = (uint8_t)value;
    return to;
}

static uint8_t *put_bytes(uint8_t *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

enum { HEADER = 640 }; /* bytes, at most */

static uint8_t *put_header(uint8_t *to, const struct vi_jpeg_writer *writer, int width, int height,
                           int components, int sampling)
{
    static const uint8_t jfif[] = {0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F',
                                   0,    1,    1,    0,    0, 1,  0,   1,   0,   0};
    to = put_bytes(to, jfif, sizeof jfif);
    for (int t = 0; t < 1 + (components > 1); t++) {
        to = put_bytes(to, "\xff\xdb\0\x43", 4);
        *to++ = (uint8_t)t;
        for (int k = 0; k < 64; k++) *to++ = writer->step[t][zigzag[k]];
    }
    to = put_bytes(to, "\xff\xc0", 2);
    to = put16(to, 8 + 3 * components);
    *to++ = 8;
    to = put16(to, height);
    to = put16(to, width);
    *to++ = (uint8_t)components;
    for (int i = 0; i < components; i++) {
        *to++ = (uint8_t)(i + 1);
        *to++ = (uint8_t)(i == 0 ? 0x11 * sampling : 0x11);
        *to++ = i > 0;
    }
    to = put_bytes(to, vi_jpeg_tables, sizeof vi_jpeg_tables);
    to = put_bytes(to, "\xff\xda", 2);
    to = put16(to, 6 + 2 * components);
    *to++ = (uint8_t)components;
    for (int i = 0; i < components; i++) {
        *to++ = (uint8_t)(i + 1);
        *to++ = i > 0 ? 0x11 : 0;
    }
    return put_bytes(to, "\0\x3f\0", 3);
}

/* ---- samples --------------------------------------------------------------------------------- */

/* Y = 0.299 R + 0.587 G + 0.114 B, minus 128; 16 bits behind the point are rounded to 4. */
static void luma_row(int16_t *restrict to, const uint8_t *restrict from, int width, int channels)
{
    if (channels == 1) {
        for (int x = 0; x < width; x++) to[x] = (int16_t)((from[x] - 128) * (1 << FRACTION));
        return;
    }
    for (int x = 0; x < width; x++, from += channels)
        to[x] = (int16_t)(((from[0] * 19595 + from[1] * 38470 + from[2] * 7471 + 2048) >> 12) -
                          (128 << FRACTION));
}

/* Cb = (B - Y) / 1.772 and Cr = (R - Y) / 1.402 of sums of 1 << `shift` pixels. */
static inline void chroma(int16_t *cb, int16_t *cr, const int sum[3], int shift)
{
    int half = 1 << (11 + shift);
    *cb = (int16_t)((sum[0] * -11059 + sum[1] * -21709 + sum[2] * 32768 + half) >> (12 + shift));
    *cr = (int16_t)((sum[0] * 32768 + sum[1] * -27439 + sum[2] * -5329 + half) >> (12 + shift));
}

static void chroma_row(int16_t *cb, int16_t *cr, const uint8_t *from, int width, int channels)
{
    for (int x = 0; x < width; x++, from += channels)
        chroma(cb + x, cr + x, (const int[3]){from[0], from[1], from[2]}, 0);
}

/* Each sample is the mean of two pixels in each of two rows; an odd last column counts twice. */
static void half_chroma_row(int16_t *cb, int16_t *cr, const uint8_t *a, const uint8_t *b, int width,
                            int channels)
{
    for (int x = 0; x < width; x += 2, a += 2 * channels, b += 2 * channels) {
        int right = x + 1 < width ? channels : 0, sum[3];
        for (int c = 0; c < 3; c++) sum[c] = a[c] + a[right + c] + b[c] + b[right + c];
        chroma(cb++, cr++, sum, 2);
    }
}

/* The last sample is repeated up to a whole block. */
static void pad(int16_t *row, int width, int stride)
{
    for (int x = width; x < stride; x++) row[x] = row[width - 1];
}

/* A picture on its way. Of `samples`, a row of units: luma of `stride` columns and 8 or 16 rows,
 * then the rows of Cb and Cr. */
struct plan {
    const struct vi_image *image;
    int components, sampling; /* sampling: 1, or 2: chroma at half the resolution */
    int units, unit_rows;     /* of 8 or 16 pixels each way */
    int stride, chroma_stride;
    int16_t *plane[3];
};

static const uint8_t *image_row(const struct plan *plan, int y)
{
    const struct vi_image *image = plan->image;
    return image->pixels + (y < image->height ? y : image->height - 1) * image->stride;
}

static void convert(const struct plan *plan, int first)
{
    int width = plan->image->width, channels = plan->image->channels;
    int half = (width + plan->sampling - 1) / plan->sampling;
    for (int y = 0; y < 8 * plan->sampling; y++) {
        int16_t *to = plan->plane[0] + y * plan->stride;
        luma_row(to, image_row(plan, first + y), width, channels);
        pad(to, width, plan->stride);
    }
    for (int y = 0; y < 8 && plan->components > 1; y++) {
        int16_t *cb = plan->plane[1] + y * plan->chroma_stride;
        int16_t *cr = plan->plane[2] + y * plan->chroma_stride;
        if (plan->sampling == 1)
            chroma_row(cb, cr, image_row(plan, first + y), width, channels);
        else
            half_chroma_row(cb, cr, image_row(plan, first + 2 * y),
                            image_row(plan, first + 2 * y + 1), width, channels);
        pad(cb, half, plan->chroma_stride);
        pad(cr, half, plan->chroma_stride);
    }
}

/* ---- transform ------------------------------------------------------------------------------- */

/* Each column in place; one step of the loop per column, so that the compiler takes several. */
static inline void transform_columns(float *restrict x)
{
    for (int i = 0; i < 8; i++) {
        float s07 = x[i] + x[56 + i], d07 = x[i] - x[56 + i];
        float s16 = x[8 + i] + x[48 + i], d16 = x[8 + i] - x[48 + i];
        float s25 = x[16 + i] + x[40 + i], d25 = x[16 + i] - x[40 + i];
        float s34 = x[24 + i] + x[32 + i], d34 = x[24 + i] - x[32 + i];
        /* even rows */
        float a = s07 + s34, b = s16 + s25, c = s07 - s34, d = s16 - s25;
        float turned = (c + d) * 0.707106781f;
        x[i] = a + b;
        x[32 + i] = a - b;
        x[16 + i] = c + turned;
        x[48 + i] = c - turned;
        /* odd rows */
        float e = d34 + d25, f = d25 + d16, g = d16 + d07;
        float h = (e - g) * 0.382683433f;
        float p = 0.541196100f * e + h, q = 1.306562965f * g + h, r = f * 0.707106781f;
        float plus = d07 + r, minus = d07 - r;
        x[40 + i] = minus + p;
        x[24 + i] = minus - p;
        x[8 + i] = plus + q;
        x[56 + i] = plus - q;
    }
}

/* Coefficients in writing order; returns which of them are not 0. */
static uint64_t transform(int16_t *restrict to, const int16_t *restrict from, int stride,
                          const float *restrict factor)
{
    float x[64], turned[64];
    int16_t whole[64];
    uint64_t used = 0;
    for (int y = 0; y < 8; y++)
        for (int i = 0; i < 8; i++) x[8 * y + i] = from[y * stride + i];
    transform_columns(x);
    for (int y = 0; y < 8; y++)
        for (int i = 0; i < 8; i++) turned[8 * y + i] = x[8 * i + y];
    transform_columns(turned);
    /* 1.5 * 2^23 leaves no bits behind the point: the sum is rounded. */
    for (int i = 0; i < 64; i++)
        whole[i] = (int16_t)(int)((turned[i] * factor[i] + 12582912.0f) - 12582912.0f);
    for (int k = 0; k < 64; k++) {
        int at = zigzag[k];
        to[k] = whole[8 * (at % 8) + at / 8];
        used |= (uint64_t)(to[k] != 0) << k;
    }
    return used;
}

/* ---- codes ----------------------------------------------------------------------------------- */

struct bits {
    uint64_t waiting;
    int count; /* of them, fewer than 32 between calls */
    uint8_t *to;
};

/* A byte of ones is followed by one of zeros, or it would be a marker. */
static void put_stuffed(struct bits *bits, uint32_t word, int bytes)
{
    for (int shift = 8 * bytes - 8; shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(word >> shift);
        *bits->to++ = byte;
        if (byte == 0xff) *bits->to++ = 0;
    }
}

static inline void put_bits(struct bits *bits, uint32_t value, int count)
{
    bits->waiting = bits->waiting << count | value;
    bits->count += count;
    if (bits->count < 32) return;
    bits->count -= 32;
    uint32_t word = (uint32_t)(bits->waiting >> bits->count), zeros = ~word;
    if ((zeros - 0x01010101u) & ~zeros & 0x80808080u) {
        put_stuffed(bits, word, 4);
        return;
    }
    bits->to[0] = (uint8_t)(word >> 24);
    bits->to[1] = (uint8_t)(word >> 16);
    bits->to[2] = (uint8_t)(word >> 8);
    bits->to[3] = (uint8_t)word;
    bits->to += 4;
}

/* A symbol and the bits of the value whose length it tells (F.1.2.1): of a negative value, those of
 * value - 1. */
static inline void put_value(struct bits *bits, const uint32_t *codes, uint32_t run, int value)
{
    uint32_t size =
        value ? 32 - (uint32_t)__builtin_clz((unsigned)(value < 0 ? -value : value)) : 0;
    uint32_t code = codes[run << 4 | size], low = (uint32_t)(value - (value < 0));
    put_bits(bits, (code >> 8) << size | (low & ((1u << size) - 1)), (int)((code & 255) + size));
}

static void put_block(struct bits *bits, const struct vi_jpeg_writer *writer, int table,
                      const int16_t *from, int stride, int *last)
{
    enum { RUN_OF_16 = 0xf0 };
    int16_t values[64];
    const uint32_t *codes = writer->ac[table];
    uint64_t used = transform(values, from, stride, writer->factor[table]) & ~UINT64_C(1);
    put_value(bits, writer->dc[table], 0, values[0] - *last);
    *last = values[0];
    uint32_t at = 0;
    for (; used; used &= used - 1) {
        uint32_t next = (uint32_t)__builtin_ctzll(used), run = next - at - 1;
        for (; run >= 16; run -= 16) put_bits(bits, codes[RUN_OF_16] >> 8, codes[RUN_OF_16] & 255);
        put_value(bits, codes, run, values[next]);
        at = next;
    }
    if (at < 63) put_bits(bits, codes[0] >> 8, codes[0] & 255); /* the rest are zeros */
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* No block is longer: 64 codes of 16 bits with values of 11, each byte followed by a zero. */
enum { LONGEST_BLOCK = 64 * 27 / 8 * 2 };

static enum nn_status make_room(struct vi_jpeg_writer *writer, size_t used, size_t more)
{
    if (writer->capacity - used >= more) return NN_OK;
    size_t capacity = writer->capacity + writer->capacity / 2 + more;
    uint8_t *grown = nn_realloc(writer->context, writer->bytes, capacity, 1);
    if (!grown) return NN_ERROR_MEMORY;
    writer->bytes = grown;
    writer->capacity = capacity;
    return NN_OK;
}

/* The size of everything, and room for a row of units. */
static enum nn_status prepare(struct plan *plan, struct vi_jpeg_writer *writer,
                              const struct vi_image *image, int quality)
{
    *plan = (struct plan){.image = image, .components = image->channels > 1 ? 3 : 1};
    plan->sampling = plan->components > 1 && quality <= 90 ? 2 : 1;
    int side = 8 * plan->sampling;
    plan->units = (image->width + side - 1) / side;
    plan->unit_rows = (image->height + side - 1) / side;
    plan->stride = plan->units * side;
    plan->chroma_stride = plan->units * 8;
    size_t luma = (size_t)plan->stride * (size_t)side, each = (size_t)plan->chroma_stride * 8;
    size_t samples = luma + (plan->components > 1 ? 2 * each : 0);
    if (samples > writer->sample_count) {
        nn_free(writer->context, writer->samples);
        writer->sample_count = 0;
        writer->samples = nn_alloc(writer->context, samples, sizeof *writer->samples);
        if (!writer->samples) return NN_ERROR_MEMORY;
        writer->sample_count = samples;
    }
    plan->plane[0] = writer->samples;
    plan->plane[1] = writer->samples + luma;
    plan->plane[2] = plan->components > 1 ? plan->plane[1] + each : NULL;
    return NN_OK;
}

static void put_unit_row(struct bits *bits, const struct vi_jpeg_writer *writer,
                         const struct plan *plan, int last[3])
{
    for (int unit = 0; unit < plan->units; unit++) {
        for (int y = 0; y < plan->sampling; y++)
            for (int x = 0; x < plan->sampling; x++) {
                int column = (unit * plan->sampling + x) * 8;
                put_block(bits, writer, 0, plan->plane[0] + y * 8 * plan->stride + column,
                          plan->stride, &last[0]);
            }
        for (int c = 1; c < plan->components; c++)
            put_block(bits, writer, 1, plan->plane[c] + unit * 8, plan->chroma_stride, &last[c]);
    }
}

enum nn_status vi_jpeg_encode(struct vi_jpeg_writer *writer, const struct vi_image *image,
                              int quality)
{
    struct plan plan;
    struct bits bits = {0};
    int last[3] = {0};
    assert(quality >= 1 && quality <= 100 && image->width > 0 && image->height > 0);
    assert(image->width <= 65535 && image->height <= 65535);
    enum nn_status status = prepare(&plan, writer, image, quality);
    if (!status) status = make_room(writer, 0, HEADER);
    if (status) return status;
    make_tables(writer, quality);
    bits.to = put_header(writer->bytes, writer, image->width, image->height, plan.components,
                         plan.sampling);
    size_t blocks = (size_t)plan.units * (size_t)(plan.sampling * plan.sampling + 2);
    for (int row = 0; row < plan.unit_rows; row++) {
        size_t used = (size_t)(bits.to - writer->bytes);
        status = make_room(writer, used, blocks * LONGEST_BLOCK + 16);
        if (status) return status;
        bits.to = writer->bytes + used;
        convert(&plan, row * 8 * plan.sampling);
        put_unit_row(&bits, writer, &plan, last);
    }
    /* Ones up to a whole byte. */
    put_bits(&bits, 0x7f, 7);
    put_stuffed(&bits, (uint32_t)(bits.waiting >> (bits.count % 8)), bits.count / 8);
    bits.to = put_bytes(bits.to, "\xff\xd9", 2);
    writer->size = (size_t)(bits.to - writer->bytes);
    return NN_OK;
}

void vi_jpeg_writer_free(struct vi_jpeg_writer *writer)
{
    nn_free(writer->context, writer->bytes);
    nn_free(writer->context, writer->samples);
    *writer = (struct vi_jpeg_writer){.context = writer->context};
}
