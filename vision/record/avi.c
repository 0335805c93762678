/*
 * avi.c — Motion-JPEG in AVI with OpenDML's extensions ("OpenDML AVI File Format Extensions",
 * 1996), so that it may grow beyond 2 GB.
 *
 *     RIFF 'AVI '   LIST hdrl  avih  LIST strl (strh strf indx)  LIST odml (dmlh)
 *                   LIST movi  00dc 00dc ... ix00  00dc 00dc ... ix00
 *                   idx1
 *     RIFF 'AVIX'   LIST movi  ...                                        every further gigabyte
 *
 * Each second an index of its frames (ix00) is put behind them, and only then the header is written
 * anew: with it the sizes and the list of indexes (indx) reach so far. At no time does it speak of
 * what is not there. Of 16 indexes in a row one is made, of 16 of these again, and of a whole part
 * in the end a single one, so that the list stays short; those that nothing points to any more are
 * passed over by readers. A picture that is shown again is a chunk of no bytes.
 */
#include "vision/record/record.h"

#include <assert.h>
#include <string.h>

enum {
    SLOTS = 1024,     /* of the list of indexes: a terabyte */
    MERGED = 16,      /* indexes of which one is made */
    BLOCK = 4096,     /* bytes of an index that are written at once */
    PART_HEADER = 24, /* RIFF size AVIX LIST size movi */
    KEY_FRAME = 0x10, /* flag of a frame in idx1 */
    HAS_INDEX = 0x10  /* flag of the file in avih */
};
/* Where in the header. */
enum {
    RIFF_SIZE = 4,
    PART_FRAMES = 48, /* of the first part */
    LONGEST = 60,
    FRAMES = 140,
    STREAM_LONGEST = 144,
    USED_SLOTS = 224,
    FIRST_SLOT = 244,
    ALL_FRAMES = FIRST_SLOT + 16 * SLOTS + 20, /* in dmlh */
    HEADER = ALL_FRAMES + 4 + 12               /* up to the first frame */
};

struct entry {
    uint32_t at, size; /* of a frame's bytes: from the beginning of its part */
};
struct slot { /* an index */
    uint64_t offset;
    uint32_t size, frames;
    int level; /* 0: of a second; n + 1: made of those of n */
};
struct avi {
    uint8_t header[HEADER];
    struct slot slots[SLOTS];
    int used, part_slot;   /* slots; the first of this part */
    struct entry *entries; /* of this part's frames */
    uint32_t count, indexed, capacity;
    uint64_t part;   /* where it begins */
    bool first;      /* it is the first */
    uint32_t frames; /* in all */
    uint32_t longest;
    uint32_t per_second, since; /* frames; those not yet spoken of */
};

static void le32(uint8_t *to, uint64_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> 8 * i);
}

/* ---- header ---------------------------------------------------------------------------------- */

/* Where the next word goes. */
struct filler {
    uint8_t *to;
};

static void put_word(struct filler *filler, const char *letters)
{
    memcpy(filler->to, letters, 4);
    filler->to += 4;
}

static void put_number(struct filler *filler, uint32_t value)
{
    le32(filler->to, value);
    filler->to += 4;
}

static void put_chunk(struct filler *filler, const char *letters, uint32_t size)
{
    put_word(filler, letters);
    put_number(filler, size);
}

static void put_list(struct filler *filler, const char *letters, uint32_t size)
{
    put_chunk(filler, "LIST", size);
    put_word(filler, letters);
}

static void put_stream(struct filler *to, const struct vi_recorder *recorder)
{
    uint32_t width = (uint32_t)recorder->width, height = (uint32_t)recorder->height;
    put_list(to, "strl", 4 + 8 + 56 + 8 + 40 + 8 + 24 + 16 * SLOTS);
    put_chunk(to, "strh", 56);
    put_word(to, "vids");
    put_word(to, "MJPG");
    to->to += 12;
    put_number(to, recorder->scale);
    put_number(to, recorder->rate);
    to->to += 12;               /* start, FRAMES, STREAM_LONGEST */
    put_number(to, UINT32_MAX); /* quality: not said */
    to->to += 8;                /* size of samples: they differ; left, top */
    put_number(to, width | height << 16);
    put_chunk(to, "strf", 40);
    put_number(to, 40);
    put_number(to, width);
    put_number(to, height);
    put_number(to, 1 | 24 << 16); /* planes, bits */
    put_word(to, "MJPG");
    put_number(to, 3 * width * height);
    to->to += 16;
    put_chunk(to, "indx", 24 + 16 * SLOTS);
    put_number(to, 4); /* words per slot; an index of indexes */
    to->to += 4;       /* USED_SLOTS */
    put_word(to, "00dc");
    to->to += 12 + 16 * SLOTS;
}

static void put_header(struct avi *avi, const struct vi_recorder *recorder)
{
    struct filler to = {avi->header};
    put_chunk(&to, "RIFF", 0);
    put_word(&to, "AVI ");
    put_list(&to, "hdrl", HEADER - 12 - 20);
    put_chunk(&to, "avih", 56);
    put_number(&to, (uint32_t)(1e6 * recorder->scale / recorder->rate + 0.5));
    to.to += 8;
    put_number(&to, HAS_INDEX);
    to.to += 8;
    put_number(&to, 1); /* streams */
    to.to += 4;         /* LONGEST */
    put_number(&to, (uint32_t)recorder->width);
    put_number(&to, (uint32_t)recorder->height);
    to.to += 16;
    put_stream(&to, recorder);
    put_list(&to, "odml", 4 + 8 + 4);
    put_chunk(&to, "dmlh", 4);
    to.to += 4; /* ALL_FRAMES */
    put_list(&to, "movi", 4);
    assert(to.to == avi->header + HEADER);
}

/* The file as it is now becomes what the header speaks of: the movie of this part goes up to
 * `movie`, the part to the end of the file. */
static enum nn_status write_header(struct vi_recorder *recorder, uint64_t movie)
{
    struct avi *avi = recorder->state;
    struct vi_output *output = &recorder->output;
    uint8_t part[PART_HEADER];
    uint64_t riff_size = output->size - avi->part - 8;
    enum nn_status status = NN_OK;
    if (avi->first) {
        le32(avi->header + RIFF_SIZE, riff_size);
        le32(avi->header + HEADER - 8, movie - HEADER + 4);
        le32(avi->header + PART_FRAMES, avi->frames);
    } else {
        struct filler to = {part};
        put_chunk(&to, "RIFF", (uint32_t)riff_size);
        put_word(&to, "AVIX");
        put_list(&to, "movi", (uint32_t)(movie - avi->part - PART_HEADER + 4));
        status = vi_output_patch(output, avi->part, part, sizeof part);
    }
    le32(avi->header + FRAMES, avi->frames);
    le32(avi->header + ALL_FRAMES, avi->frames);
    le32(avi->header + LONGEST, avi->longest + 8);
    le32(avi->header + STREAM_LONGEST, avi->longest + 8);
    avi->header[USED_SLOTS] = (uint8_t)avi->used;
    avi->header[USED_SLOTS + 1] = (uint8_t)(avi->used >> 8);
    for (int i = 0; i < avi->used; i++) {
        uint8_t *slot = avi->header + FIRST_SLOT + 16 * i;
        le32(slot, avi->slots[i].offset);
        le32(slot + 4, avi->slots[i].offset >> 32);
        le32(slot + 8, avi->slots[i].size);
        le32(slot + 12, avi->slots[i].frames);
    }
    if (!status) status = vi_output_patch(output, 0, avi->header, HEADER);
    return status ? status : vi_output_commit(output);
}

/* ---- indexes --------------------------------------------------------------------------------- */

/* Entries [first, count) of this part, in the words of ix00 or of idx1. */
static enum nn_status put_entries(struct vi_recorder *recorder, uint32_t first, bool old)
{
    const struct avi *avi = recorder->state;
    uint8_t block[BLOCK];
    enum nn_status status = NN_OK;
    for (uint32_t i = first; i < avi->count && !status;) {
        struct filler to = {block};
        for (; i < avi->count && to.to + 16 <= block + BLOCK; i++) {
            const struct entry *entry = &avi->entries[i];
            if (old) {
                put_word(&to, "00dc");
                put_number(&to, entry->size ? KEY_FRAME : 0);
                put_number(&to, entry->at - 8 - (HEADER - 4)); /* of the chunk, from 'movi' */
            } else {
                put_number(&to, entry->at);
            }
            put_number(&to, entry->size);
        }
        status = vi_output_put(&recorder->output, block, (size_t)(to.to - block));
    }
    return status;
}

/* An index of the frames from `first` on takes the slots from `slot` on. */
static enum nn_status put_index(struct vi_recorder *recorder, int slot, uint32_t first, int level)
{
    struct avi *avi = recorder->state;
    uint8_t head[32] = {0};
    struct filler to = {head};
    uint32_t frames = avi->count - first, size = 24 + 8 * frames;
    if (slot == SLOTS)
        return nn_fail(recorder->context, NN_ERROR_UNSUPPORTED,
                       "the recording is too long for an AVI file of %d parts", SLOTS);
    put_chunk(&to, "ix00", size);
    put_number(&to, 2 | 1 << 24); /* words per entry; an index of chunks */
    put_number(&to, frames);
    put_word(&to, "00dc");
    put_number(&to, (uint32_t)avi->part);
    put_number(&to, (uint32_t)(avi->part >> 32));
    avi->slots[slot] = (struct slot){recorder->output.size, size + 8, frames, level};
    avi->used = slot + 1;
    enum nn_status status = vi_output_put(&recorder->output, head, sizeof head);
    return status ? status : put_entries(recorder, first, false);
}

/* How many frames the slots from `slot` on speak of. */
static uint32_t frames_from(const struct avi *avi, int slot)
{
    uint32_t frames = 0;
    for (; slot < avi->used; slot++) frames += avi->slots[slot].frames;
    return frames;
}

/* Indexes for what has none, and one for many. */
static enum nn_status put_indexes(struct vi_recorder *recorder)
{
    struct avi *avi = recorder->state;
    enum nn_status status = put_index(recorder, avi->used, avi->indexed, 0);
    avi->indexed = avi->count;
    while (!status && avi->used - avi->part_slot >= MERGED) {
        int slot = avi->used - MERGED, level = avi->slots[avi->used - 1].level;
        if (avi->slots[slot].level != level) break;
        status = put_index(recorder, slot, avi->count - frames_from(avi, slot), level + 1);
    }
    return status;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static enum nn_status speak(struct vi_recorder *recorder)
{
    struct avi *avi = recorder->state;
    avi->since = 0;
    if (avi->indexed == avi->count) return NN_OK;
    enum nn_status status = put_indexes(recorder);
    return status ? status : write_header(recorder, recorder->output.size);
}

static enum nn_status end_part(struct vi_recorder *recorder)
{
    struct avi *avi = recorder->state;
    struct vi_output *output = &recorder->output;
    enum nn_status status = NN_OK;
    if (avi->indexed < avi->count || avi->used - avi->part_slot > 1)
        status = put_index(recorder, avi->part_slot, 0, 0);
    avi->indexed = avi->count;
    avi->since = 0;
    uint64_t movie = output->size;
    if (!status && avi->first) {
        uint8_t head[8];
        struct filler to = {head};
        put_chunk(&to, "idx1", 16 * avi->count);
        status = vi_output_put(output, head, sizeof head);
        if (!status) status = put_entries(recorder, 0, true);
    }
    return status ? status : write_header(recorder, movie);
}

static enum nn_status begin_part(struct vi_recorder *recorder)
{
    struct avi *avi = recorder->state;
    uint8_t head[PART_HEADER];
    struct filler to = {head};
    avi->first = false;
    avi->part = recorder->output.size;
    avi->part_slot = avi->used;
    avi->count = avi->indexed = 0;
    put_chunk(&to, "RIFF", PART_HEADER - 8);
    put_word(&to, "AVIX");
    put_list(&to, "movi", 4);
    return vi_output_put(&recorder->output, head, sizeof head);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Room for one more entry, and for `size` bytes of a frame with all that will stand behind it. */
static enum nn_status make_room(struct vi_recorder *recorder, size_t size)
{
    struct avi *avi = recorder->state;
    uint64_t part = recorder->output.size - avi->part;
    uint64_t indexes = (uint64_t)(avi->count + 1) * (avi->first ? 24 : 8) + 256;
    if (avi->count && part + size + indexes > recorder->part) {
        enum nn_status status = end_part(recorder);
        if (!status) status = begin_part(recorder);
        if (status) return status;
    }
    if (avi->count < avi->capacity) return NN_OK;
    uint32_t capacity = 2 * avi->capacity + 2048;
    struct entry *grown =
        nn_realloc(recorder->context, avi->entries, capacity, sizeof *avi->entries);
    if (!grown) return NN_ERROR_MEMORY;
    avi->entries = grown;
    avi->capacity = capacity;
    return NN_OK;
}

static enum nn_status put_frame(struct vi_recorder *recorder, uint8_t *bytes, size_t size)
{
    struct avi *avi = recorder->state;
    struct vi_output *output = &recorder->output;
    uint8_t head[8];
    struct filler to = {head};
    enum nn_status status = make_room(recorder, size + 9);
    if (status) return status;
    put_chunk(&to, "00dc", (uint32_t)size);
    avi->entries[avi->count] =
        (struct entry){(uint32_t)(output->size + 8 - avi->part), (uint32_t)size};
    status = vi_output_put_behind(output, head, sizeof head, bytes, size);
    if (!status && size % 2) status = vi_output_put(output, "", 1);
    if (status) return status;
    avi->count++;
    avi->frames++;
    if (size > avi->longest) avi->longest = (uint32_t)size;
    return ++avi->since < avi->per_second ? NN_OK : speak(recorder);
}

static enum nn_status start(struct vi_recorder *recorder)
{
    struct avi *avi = nn_alloc(recorder->context, 1, sizeof *avi);
    recorder->state = avi;
    if (!avi) return NN_ERROR_MEMORY;
    put_header(avi, recorder);
    avi->first = true;
    avi->per_second = recorder->rate / recorder->scale;
    return vi_output_put(&recorder->output, avi->header, HEADER);
}

static enum nn_status write_picture(struct vi_recorder *recorder, const struct vi_image *image,
                                    double seconds)
{
    (void)seconds;
    enum nn_status status = vi_jpeg_encode(&recorder->jpeg, image, recorder->quality);
    return status ? status : put_frame(recorder, recorder->jpeg.bytes, recorder->jpeg.size);
}

static enum nn_status repeat(struct vi_recorder *recorder)
{
    return put_frame(recorder, NULL, 0);
}

static void release(struct vi_recorder *recorder)
{
    struct avi *avi = recorder->state;
    if (avi) nn_free(recorder->context, avi->entries);
    nn_free(recorder->context, avi);
}

const struct vi_recorder_kind vi_recorder_avi = {.format = "avi",
                                                 .codec = "mjpeg",
                                                 .ending = ".avi",
                                                 .steady = true,
                                                 .file_only = true,
                                                 .start = start,
                                                 .write = write_picture,
                                                 .repeat = repeat,
                                                 .finish = end_part,
                                                 .release = release};
