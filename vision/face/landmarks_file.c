/*
 * landmarks_file.c — dlib's file of a shape predictor, as its serialize() writes it.
 *
 *     integer   a byte: bit 7 the sign, bits 0-3 how many bytes of magnitude follow, lowest first
 *     float     two integers: mantissa and exponent of 2
 *     vector    an integer: how many, then those
 *     matrix    two integers: -rows, -columns (of the first dlibs: positive), then its floats
 *
 *     version 1
 *     matrix                              the mean shape: x0 y0 x1 y1 ..., one column
 *     vector of stages: vector of trees:  vector of splits: integer, integer, float
 *                                         vector of leaves: matrix as the mean shape
 *     vector of stages: vector of pixels: integer, the point it hangs on
 *     vector of stages: vector of pixels: float, float, its offset
 *
 * The usual file is 100 MB, nearly all of it floats of six bytes, so these have a way of their own.
 * It passes through a small buffer: what is held in the end is all that was ever held. A file may
 * promise anything; no count makes more memory than the bytes behind it could fill.
 */
#include "vision/face/landmarks.h"
#include "vision/capture/capture.h"

#include <math.h>
#include <string.h>

enum {
    LONGEST = 12,              /* bytes of a float: 1 + 8, 1 + 2 */
    BLOCK = VI_HEAD / LONGEST, /* floats that are decoded at once */
    SPECIAL = 32000,           /* exponents from here on are infinities and NaN */
    BEYOND = 16                /* a decoder may read so far beyond what it takes */
};

struct reader {
    struct vi_shape *shape;
    struct vi_stream *stream;
    int highest[VI_SHAPE_STAGES]; /* pixel that a stage's splits ask for */
};

/* ---- integers and floats --------------------------------------------------------------------- */

static enum nn_status fail(struct reader *reader, const char *what)
{
    enum nn_status status = vi_stream_status(reader->stream);
    if (status) return status;
    return nn_fail(reader->shape->context, NN_ERROR_FORMAT,
                   "%s is no shape predictor of dlib's, or damaged: %s at byte %llu",
                   vi_stream_name(reader->stream), what,
                   (unsigned long long)vi_stream_tell(reader->stream));
}

/* Spelt out: compilers know this for the one load that it mostly is. */
static inline uint64_t le64(const uint8_t *b)
{
    return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 |
           (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 |
           (uint64_t)b[7] << 56;
}

/* Returns what follows the integer, NULL: it is none. Looks at 9 bytes. */
static const uint8_t *unpack_integer(int64_t *value, const uint8_t *bytes)
{
    const unsigned size = bytes[0] & 0x7Fu;
    if (size - 1u > 7u) return NULL; /* bits 4-6 are never set */
    uint64_t magnitude = le64(bytes + 1) & UINT64_MAX >> (64 - 8 * size);
    if (magnitude > INT64_MAX) return NULL;
    *value = bytes[0] & 0x80 ? -(int64_t)magnitude : (int64_t)magnitude;
    return bytes + 1 + size;
}

static float power_of_two(int exponent) /* -126 .. 127 */
{
    float value;
    uint32_t bits = (uint32_t)(exponent + 127) << 23;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Any float; NULL: it is none, or not finite. */
static const uint8_t *unpack_any(float *value, const uint8_t *bytes)
{
    int64_t mantissa, exponent;
    bytes = unpack_integer(&mantissa, bytes);
    if (bytes) bytes = unpack_integer(&exponent, bytes);
    if (!bytes || exponent >= SPECIAL || exponent < -SPECIAL) return NULL;
    *value = ldexpf((float)mantissa, (int)exponent);
    return isfinite(*value) ? bytes : NULL;
}

/* Three bytes of mantissa and one of a negative exponent are what nearly all floats have. */
static inline const uint8_t *unpack_float(float *value, const uint8_t *bytes)
{
    const uint64_t word = le64(bytes);
    const int exponent = (int)(word >> 40 & 0xFF);
    if ((word & UINT64_C(0xFF0000007F)) != UINT64_C(0x8100000003) || exponent > 126)
        return unpack_any(value, bytes);
    float magnitude = (float)(word >> 8 & 0xFFFFFF) * power_of_two(-exponent);
    *value = word & 0x80 ? -magnitude : magnitude;
    return bytes + 6;
}

/* The next `least` bytes and BEYOND more, which are 0 where the file has ended: then in `spare`.
 * *size: how many there really are. */
static const uint8_t *look(struct reader *reader, uint8_t *spare, size_t least, size_t *size)
{
    const uint8_t *bytes = vi_stream_peek(reader->stream, least + BEYOND, size);
    if (*size >= least + BEYOND) return bytes;
    memcpy(spare, bytes, *size);
    memset(spare + *size, 0, least + BEYOND - *size);
    return spare;
}

static enum nn_status read_integer(struct reader *reader, int *value, int low, int high,
                                   const char *what)
{
    uint8_t spare[9 + BEYOND];
    size_t size;
    int64_t wide = 0;
    const uint8_t *bytes = look(reader, spare, 9, &size), *after = unpack_integer(&wide, bytes);
    if (!after || (size_t)(after - bytes) > size || wide < low || wide > high)
        return fail(reader, what);
    vi_stream_skip(reader->stream, (uint64_t)(after - bytes));
    *value = (int)wide;
    return NN_OK;
}

/* `limit`: the largest that is accepted, either sign. */
static enum nn_status read_floats(struct reader *reader, float *to, size_t count, float limit,
                                  const char *what)
{
    while (count) {
        uint8_t spare[BLOCK * LONGEST + BEYOND];
        size_t part = count < BLOCK ? count : BLOCK, size;
        const uint8_t *bytes = look(reader, spare, part * LONGEST, &size), *at = bytes;
        for (size_t i = 0; i < part; i++) {
            at = unpack_float(&to[i], at);
            if (!at || !(fabsf(to[i]) <= limit)) return fail(reader, what);
        }
        if ((size_t)(at - bytes) > size) return fail(reader, what);
        vi_stream_skip(reader->stream, (uint64_t)(at - bytes));
        to += part;
        count -= part;
    }
    return NN_OK;
}

/* Memory for what `least` bytes of the file each are needed for. */
static enum nn_status make(struct reader *reader, void *pointer, size_t count, size_t size,
                           size_t least)
{
    uint64_t size_now = vi_stream_size(reader->stream), at = vi_stream_tell(reader->stream);
    if (at > size_now || count > (size_now - at) / least)
        return fail(reader, "more is promised than there is");
    void *memory = nn_alloc(reader->shape->context, count, size);
    memcpy(pointer, &memory, sizeof memory);
    return memory ? NN_OK : NN_ERROR_MEMORY;
}

/* A matrix of one column; `rows` 0: as it comes. */
static enum nn_status read_column(struct reader *reader, int *rows)
{
    int most = *rows ? *rows : 2 * VI_SHAPE_POINTS, columns;
    enum nn_status status = read_integer(reader, rows, -most, most, "a wrong number of rows");
    if (!status) status = read_integer(reader, &columns, -1, 1, "a wrong number of columns");
    if (status) return status;
    if (*rows < 0) *rows = -*rows;
    return columns ? NN_OK : fail(reader, "a matrix without columns");
}

/* ---- the parts --------------------------------------------------------------------------------
 */

static enum nn_status read_mean(struct reader *reader)
{
    struct vi_shape *shape = reader->shape;
    int version, rows = 0;
    enum nn_status status = read_integer(reader, &version, 1, 1, "an unknown version");
    if (!status) status = read_column(reader, &rows);
    if (!status && (rows < 2 || rows % 2)) status = fail(reader, "no pairs of coordinates");
    if (!status) status = make(reader, &shape->mean, (size_t)rows, sizeof *shape->mean, 4);
    if (!status) status = make(reader, &shape->still, (size_t)rows, sizeof *shape->still, 4);
    if (!status)
        status =
            read_floats(reader, shape->mean, (size_t)rows, VI_SHAPE_FARTHEST, "a wrong coordinate");
    if (status) return status;
    shape->points = rows / 2;
    return NN_OK;
}

/* How many splits the trees have is known with the first. */
static enum nn_status read_split_count(struct reader *reader)
{
    struct vi_shape *shape = reader->shape;
    int splits;
    enum nn_status status =
        read_integer(reader, &splits, 0, VI_SHAPE_SPLITS, "a wrong number of splits");
    if (status) return status;
    if (splits & (splits + 1)) return fail(reader, "a tree that is not full");
    if (shape->splits >= 0 && splits != shape->splits)
        return fail(reader, "a tree of another depth than the first");
    shape->splits = splits;
    return NN_OK;
}

static enum nn_status read_splits(struct reader *reader, struct vi_shape_split *split, int *highest)
{
    for (int i = 0; i < reader->shape->splits; i++) {
        int pixel[2];
        float threshold;
        enum nn_status status = NN_OK;
        for (int j = 0; j < 2 && !status; j++) {
            status = read_integer(reader, &pixel[j], 0, VI_SHAPE_PIXELS - 1, "a wrong pixel");
            if (!status && pixel[j] > *highest) *highest = pixel[j];
        }
        if (!status) status = read_floats(reader, &threshold, 1, HUGE_VALF, "a wrong threshold");
        if (status) return status;
        /* Differences of 8-bit pixels are at most 255. */
        threshold = threshold < -256 ? -256 : threshold > 255 ? 255 : floorf(threshold);
        split[i] =
            (struct vi_shape_split){(uint16_t)pixel[0], (uint16_t)pixel[1], (int16_t)threshold};
    }
    return NN_OK;
}

static enum nn_status read_leaves(struct reader *reader, float *leaf)
{
    const int leaves = reader->shape->splits + 1, size = 2 * reader->shape->points;
    int count;
    enum nn_status status =
        read_integer(reader, &count, leaves, leaves, "a wrong number of leaves");
    for (int i = 0; i < leaves && !status; i++, leaf += size) {
        int rows = size;
        status = read_column(reader, &rows);
        if (!status && rows != size) status = fail(reader, "a leaf of another size");
        if (!status)
            status = read_floats(reader, leaf, (size_t)size, VI_SHAPE_FARTHEST, "a wrong leaf");
    }
    return status;
}

static enum nn_status read_trees(struct reader *reader, int index)
{
    struct vi_shape *shape = reader->shape;
    struct vi_shape_stage *stage = &shape->stage[index];
    enum nn_status status =
        read_integer(reader, &stage->trees, 1, INT32_MAX, "a wrong number of trees");
    for (int i = 0; i < stage->trees && !status; i++) {
        const size_t trees = (size_t)stage->trees, size = 2 * (size_t)shape->points;
        status = read_split_count(reader);
        const size_t splits = (size_t)shape->splits, leaves = splits + 1;
        if (!status && i == 0)
            status = make(reader, &stage->leaves, trees, leaves * size * sizeof(float),
                          leaves * size * 4);
        if (!status && i == 0 && splits)
            status =
                make(reader, &stage->splits, trees, splits * sizeof *stage->splits, splits * 8);
        if (!status && splits)
            status =
                read_splits(reader, stage->splits + (size_t)i * splits, &reader->highest[index]);
        if (!status) status = read_leaves(reader, stage->leaves + (size_t)i * leaves * size);
    }
    return status;
}

static enum nn_status read_anchors(struct reader *reader, int index)
{
    struct vi_shape *shape = reader->shape;
    struct vi_shape_stage *stage = &shape->stage[index];
    enum nn_status status = read_integer(reader, &stage->pixels, reader->highest[index] + 1,
                                         VI_SHAPE_PIXELS, "a wrong number of pixels");
    if (!status && stage->pixels)
        status = make(reader, &stage->anchors, (size_t)stage->pixels, sizeof *stage->anchors, 2);
    for (int i = 0; i < stage->pixels && !status; i++) {
        int anchor = 0;
        status = read_integer(reader, &anchor, 0, shape->points - 1, "a pixel of no point");
        if (!status) stage->anchors[i] = (uint16_t)anchor;
    }
    return status;
}

static enum nn_status read_offsets(struct reader *reader, int index)
{
    struct vi_shape_stage *stage = &reader->shape->stage[index];
    int pixels = 0;
    enum nn_status status =
        read_integer(reader, &pixels, stage->pixels, stage->pixels, "a wrong number of offsets");
    if (status || !pixels) return status;
    status = make(reader, &stage->offsets, (size_t)pixels, 2 * sizeof *stage->offsets, 8);
    if (status) return status;
    return read_floats(reader, stage->offsets, 2 * (size_t)pixels, VI_SHAPE_FARTHEST,
                       "a wrong offset");
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* What does not change from face to face. */
static void prepare(struct vi_shape *shape)
{
    const size_t size = 2 * (size_t)shape->points;
    double centre[2] = {0};
    for (size_t i = 0; i < size; i++) centre[i % 2] += (double)shape->mean[i];
    for (size_t i = 0; i < size; i++) {
        shape->still[i] = (double)shape->mean[i] - centre[i % 2] / shape->points;
        shape->spread += shape->still[i] * shape->still[i];
    }
}

static enum nn_status read_shape(struct reader *reader)
{
    static enum nn_status (*const READ[])(struct reader *, int) = {read_trees, read_anchors,
                                                                   read_offsets};
    struct vi_shape *shape = reader->shape;
    size_t size;
    shape->splits = -1;
    enum nn_status status = read_mean(reader);
    for (int part = 0; part < 3 && !status; part++) {
        int low = part ? shape->stages : 1, high = part ? low : VI_SHAPE_STAGES;
        status = read_integer(reader, &shape->stages, low, high, "a wrong number of stages");
        if (!status && !part) {
            status = make(reader, &shape->stage, (size_t)shape->stages, sizeof *shape->stage, 1);
            for (int i = 0; i < shape->stages; i++) reader->highest[i] = -1;
        }
        for (int i = 0; i < shape->stages && !status; i++) status = READ[part](reader, i);
    }
    if (status) return status;
    vi_stream_peek(reader->stream, 1, &size);
    if (size || vi_stream_status(reader->stream)) return fail(reader, "it does not end");
    prepare(shape);
    return NN_OK;
}

enum nn_status vi_shape_from(struct vi_shape **shape, struct nn_context *context,
                             struct vi_stream *stream)
{
    struct reader reader = {.stream = stream};
    *shape = NULL;
    if (!vi_stream_seekable(stream))
        return nn_fail(context, NN_ERROR_UNSUPPORTED,
                       "%s is no regular file: a shape predictor is read from one",
                       vi_stream_name(stream));
    reader.shape = nn_alloc(context, 1, sizeof *reader.shape);
    if (!reader.shape) return NN_ERROR_MEMORY;
    reader.shape->context = context;
    enum nn_status status = read_shape(&reader);
    if (status) vi_shape_close(&reader.shape);
    *shape = reader.shape;
    return status;
}

enum nn_status vi_shape_open(struct vi_shape **shape, struct nn_context *context, const char *path)
{
    struct vi_stream *stream;
    *shape = NULL;
    enum nn_status status = vi_stream_open(&stream, context, path);
    if (status) return status;
    status = vi_shape_from(shape, context, stream);
    vi_stream_close(&stream);
    return status;
}

void vi_shape_close(struct vi_shape **shape)
{
    struct vi_shape *old = *shape;
    if (!old) return;
    for (int i = 0; i < old->stages && old->stage; i++) {
        nn_free(old->context, old->stage[i].splits);
        nn_free(old->context, old->stage[i].leaves);
        nn_free(old->context, old->stage[i].offsets);
        nn_free(old->context, old->stage[i].anchors);
    }
    nn_free(old->context, old->stage);
    nn_free(old->context, old->mean);
    nn_free(old->context, old->still);
    nn_free(old->context, old);
    *shape = NULL;
}
