/*
 * mp4.c — Motion-JPEG in MP4 and QuickTime files (ISO/IEC 14496-12 and -14), with each picture's
 * own time.
 *
 * While it grows, the file is one of fragments: a short index without samples, then for each second
 * a box that says what follows (moof) and the pictures (mdat). It may end after any of these. At
 * the end comes an index of everything, and then the 16 bytes behind the file's type, so far free,
 * become the head of a box of data that holds all up to there: it is a file without fragments,
 * which all programs can seek in.
 *
 *     growing   ftyp  free  moov'  moof mdat  moof mdat ...
 *     ended     ftyp  mdat {moov'  moof mdat  moof mdat ... }  moov
 *
 * Into a pipe goes the first form alone.
 */
#include "vision/record/record.h"

#include <string.h>

enum {
    TICKS = 90000,         /* per second */
    MAX_FRAGMENT = 4 << 20 /* bytes after which one ends before its second is over */
};

struct sample {
    uint32_t size, ticks;
};
struct chunk { /* the samples of a fragment */
    uint64_t offset;
    uint32_t samples;
};
struct mp4 {
    struct nn_text box;     /* what is written next */
    struct vi_bytes data;   /* of this fragment's pictures */
    struct sample *samples; /* all there are */
    struct chunk *chunks;
    size_t count, capacity, chunk_count, chunk_capacity;
    size_t first;    /* sample of this fragment */
    uint64_t begins; /* ticks of that, and of the last sample */
    uint64_t last;
    uint64_t free_at; /* in the file */
    bool quicktime;
};

/* ---- boxes ----------------------------------------------------------------------------------- */

static void put(struct nn_text *to, uint32_t value)
{
    const char bytes[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
                           (char)value};
    nn_text_append(to, bytes, 4);
}

static void put64(struct nn_text *to, uint64_t value)
{
    put(to, (uint32_t)(value >> 32));
    put(to, (uint32_t)value);
}

static void put_zeros(struct nn_text *to, int words)
{
    while (words-- > 0) put(to, 0);
}

static void set(struct nn_text *to, size_t at, uint32_t value)
{
    if (to->failed) return;
    for (int i = 0; i < 4; i++) to->data[at + (size_t)i] = (char)(value >> (24 - 8 * i));
}

static size_t open_box(struct nn_text *to, const char *type)
{
    size_t at = to->size;
    put(to, 0);
    nn_text_append(to, type, 4);
    return at;
}

/* With a version and flags. */
static size_t open_full(struct nn_text *to, const char *type, uint32_t version_flags)
{
    size_t at = open_box(to, type);
    put(to, version_flags);
    return at;
}

static void close_box(struct nn_text *to, size_t at)
{
    set(to, at, (uint32_t)(to->size - at));
}

static void put_matrix(struct nn_text *to)
{
    for (int i = 0; i < 9; i++) put(to, i == 8 ? 1u << 30 : i % 4 == 0 ? 1u << 16 : 0);
}

enum { VERSION_1 = 1 << 24 }; /* times of 64 bits */

/* ---- index ----------------------------------------------------------------------------------- */

/* ISO/IEC 14496-1, 7.2.6: a stream (3) whose decoder (4) is JPEG's, 0x6c, visual (4 << 2 | 1), and
 * whose packets (6) are as MP4 has them. */
static void put_esds(struct nn_text *to)
{
    static const char descriptors[] = {3, 21, 0, 1, 0, 4, 13, 0x6c, 0x11, 0, 0, 0,
                                       0, 0,  0, 0, 0, 0, 0,  0,    6,    1, 2};
    size_t box = open_full(to, "esds", 0);
    nn_text_append(to, descriptors, sizeof descriptors);
    close_box(to, box);
}

static void put_entry(struct nn_text *to, const struct vi_recorder *recorder)
{
    const struct mp4 *mp4 = recorder->state;
    size_t table = open_full(to, "stsd", 0);
    put(to, 1);
    size_t entry = open_box(to, mp4->quicktime ? "jpeg" : "mp4v");
    put(to, 0);
    put(to, 1); /* where the data are: here */
    put_zeros(to, 4);
    put(to, (uint32_t)recorder->width << 16 | (uint32_t)recorder->height);
    put(to, 72 << 16); /* pixels per inch, both ways */
    put(to, 72 << 16);
    put(to, 0);
    put(to, 1 << 16); /* pictures per sample; then the compressor's name, 32 bytes */
    put_zeros(to, 7);
    nn_text_append(to, "\0\0\0\x18\xff\xff", 6); /* 24 bits, no palette */
    if (!mp4->quicktime) put_esds(to);
    close_box(to, entry);
    close_box(to, table);
}

/* How long each is shown: runs of the same time. */
static void put_times(struct nn_text *to, const struct mp4 *mp4)
{
    uint32_t runs = 0;
    size_t box = open_full(to, "stts", 0), at = to->size;
    put(to, 0);
    for (size_t i = 0, next; i < mp4->count; i = next, runs++) {
        for (next = i; next < mp4->count && mp4->samples[next].ticks == mp4->samples[i].ticks;)
            next++;
        put(to, (uint32_t)(next - i));
        put(to, mp4->samples[i].ticks);
    }
    set(to, at, runs);
    close_box(to, box);
}

/* How many samples are in each chunk: runs of the same number. */
static void put_runs(struct nn_text *to, const struct mp4 *mp4)
{
    uint32_t runs = 0;
    size_t box = open_full(to, "stsc", 0), at = to->size;
    put(to, 0);
    for (size_t i = 0; i < mp4->chunk_count; i++) {
        if (i && mp4->chunks[i].samples == mp4->chunks[i - 1].samples) continue;
        put(to, (uint32_t)i + 1);
        put(to, mp4->chunks[i].samples);
        put(to, 1);
        runs++;
    }
    set(to, at, runs);
    close_box(to, box);
}

static void put_tables(struct nn_text *to, const struct vi_recorder *recorder, bool all)
{
    static const struct mp4 none;
    const struct mp4 *mp4 = all ? recorder->state : &none;
    size_t table = open_box(to, "stbl");
    put_entry(to, recorder);
    put_times(to, mp4);
    put_runs(to, mp4);
    size_t box = open_full(to, "stsz", 0);
    put(to, 0);
    put(to, (uint32_t)mp4->count);
    for (size_t i = 0; i < mp4->count; i++) put(to, mp4->samples[i].size);
    close_box(to, box);
    box = open_full(to, "co64", 0);
    put(to, (uint32_t)mp4->chunk_count);
    for (size_t i = 0; i < mp4->chunk_count; i++) put64(to, mp4->chunks[i].offset);
    close_box(to, box);
    close_box(to, table);
}

static void put_media(struct nn_text *to, const struct vi_recorder *recorder, uint64_t duration)
{
    const struct mp4 *mp4 = recorder->state;
    size_t media = open_box(to, "mdia");
    size_t box = open_full(to, "mdhd", VERSION_1);
    put_zeros(to, 4);
    put(to, TICKS);
    put64(to, duration);
    put(to, 0x55c4 << 16); /* language: "und" */
    close_box(to, box);
    box = open_full(to, "hdlr", 0);
    nn_text_append(to, mp4->quicktime ? "mhlrvide" : "\0\0\0\0vide", 8);
    put_zeros(to, 3);
    nn_text_append(to, "", 1); /* no name */
    close_box(to, box);
    size_t information = open_box(to, "minf");
    box = open_full(to, "vmhd", 1);
    put_zeros(to, 2);
    close_box(to, box);
    size_t data = open_box(to, "dinf");
    box = open_full(to, "dref", 0);
    put(to, 1);
    size_t here = open_full(to, "url ", 1);
    close_box(to, here);
    close_box(to, box);
    close_box(to, data);
    put_tables(to, recorder, duration > 0);
    close_box(to, information);
    close_box(to, media);
}

/* The index of everything; of nothing, for a file of fragments, with a duration of 0. */
static void put_movie(struct nn_text *to, const struct vi_recorder *recorder, uint64_t duration)
{
    size_t movie = open_box(to, "moov");
    size_t box = open_full(to, "mvhd", VERSION_1);
    put_zeros(to, 4);
    put(to, TICKS);
    put64(to, duration);
    put(to, 1 << 16);   /* speed */
    put(to, 256 << 16); /* volume */
    put_zeros(to, 2);
    put_matrix(to);
    put_zeros(to, 6);
    put(to, 2); /* the next track's number */
    close_box(to, box);
    size_t track = open_box(to, "trak");
    box = open_full(to, "tkhd", VERSION_1 | 7); /* enabled, and part of the movie */
    put_zeros(to, 4);
    put(to, 1);
    put(to, 0);
    put64(to, duration);
    put_zeros(to, 4);
    put_matrix(to);
    put(to, (uint32_t)recorder->width << 16);
    put(to, (uint32_t)recorder->height << 16);
    close_box(to, box);
    put_media(to, recorder, duration);
    close_box(to, track);
    if (!duration) {
        size_t extends = open_box(to, "mvex");
        box = open_full(to, "trex", 0);
        put(to, 1); /* track */
        put(to, 1); /* sample entry */
        put_zeros(to, 3);
        close_box(to, box);
        close_box(to, extends);
    }
    close_box(to, movie);
}

/* ---- fragments ------------------------------------------------------------------------------- */

/* `rows` with room for one more than `count`; NULL: there is no memory, and they are as before. */
static void *with_room(struct vi_recorder *recorder, void *rows, size_t count, size_t *capacity,
                       size_t row)
{
    if (count < *capacity) return rows;
    void *grown = nn_realloc(recorder->context, rows, 2 * count + 1024, row);
    if (grown) *capacity = 2 * count + 1024;
    return grown;
}

/* What this fragment holds: moof, and the head of mdat. */
static void put_fragment(struct nn_text *to, const struct mp4 *mp4)
{
    enum { HERE = 0x20000, OFFSET = 1, TIMES = 0x100, SIZES = 0x200 };
    size_t fragment = open_box(to, "moof");
    size_t box = open_full(to, "mfhd", 0);
    put(to, (uint32_t)mp4->chunk_count);
    close_box(to, box);
    size_t track = open_box(to, "traf");
    box = open_full(to, "tfhd", HERE); /* offsets count from this box, the moof */
    put(to, 1);
    close_box(to, box);
    box = open_full(to, "tfdt", VERSION_1);
    put64(to, mp4->begins);
    close_box(to, box);
    box = open_full(to, "trun", OFFSET | TIMES | SIZES);
    put(to, (uint32_t)(mp4->count - mp4->first));
    size_t offset = to->size;
    put(to, 0);
    for (size_t i = mp4->first; i < mp4->count; i++) {
        put(to, mp4->samples[i].ticks);
        put(to, mp4->samples[i].size);
    }
    close_box(to, box);
    close_box(to, track);
    close_box(to, fragment);
    put(to, (uint32_t)mp4->data.size + 8);
    nn_text_append(to, "mdat", 4);
    set(to, offset, (uint32_t)(to->size - fragment));
}

static enum nn_status end_fragment(struct vi_recorder *recorder)
{
    struct mp4 *mp4 = recorder->state;
    struct vi_output *output = &recorder->output;
    if (mp4->first == mp4->count) return NN_OK;
    struct chunk *chunks =
        with_room(recorder, mp4->chunks, mp4->chunk_count, &mp4->chunk_capacity, sizeof *chunks);
    if (!chunks) return NN_ERROR_MEMORY;
    mp4->chunks = chunks;
    struct chunk *chunk = &chunks[mp4->chunk_count++];
    mp4->box.size = 0;
    put_fragment(&mp4->box, mp4);
    if (mp4->box.failed) return NN_ERROR_MEMORY;
    *chunk = (struct chunk){output->size + mp4->box.size, (uint32_t)(mp4->count - mp4->first)};
    enum nn_status status =
        vi_output_put_behind(output, mp4->box.data, mp4->box.size, mp4->data.data, mp4->data.size);
    mp4->first = mp4->count;
    mp4->data.size = 0;
    return status ? status : vi_output_commit(output);
}

static enum nn_status start(struct vi_recorder *recorder)
{
    struct mp4 *mp4 = nn_alloc(recorder->context, 1, sizeof *mp4);
    recorder->state = mp4;
    if (!mp4) return NN_ERROR_MEMORY;
    struct nn_text *to = &mp4->box;
    to->context = recorder->context;
    mp4->quicktime = recorder->kind == &vi_recorder_mov;
    size_t box = open_box(to, "ftyp");
    nn_text_append(to, mp4->quicktime ? "qt  " : "isom", 4);
    put(to, 0x200);
    nn_text_append(to, mp4->quicktime ? "qt  " : "isomiso5mp41", mp4->quicktime ? 4 : 12);
    close_box(to, box);
    mp4->free_at = to->size;
    box = open_box(to, "free");
    put_zeros(to, 2);
    close_box(to, box);
    put_movie(to, recorder, 0);
    if (to->failed) return NN_ERROR_MEMORY;
    return vi_output_put(&recorder->output, to->data, to->size);
}

static enum nn_status write_picture(struct vi_recorder *recorder, const struct vi_image *image,
                                    double seconds)
{
    struct mp4 *mp4 = recorder->state;
    uint64_t now = (uint64_t)(seconds * TICKS + 0.5);
    enum nn_status status = NN_OK;
    if (mp4->count) {
        if (now <= mp4->last) now = mp4->last + 1;
        mp4->samples[mp4->count - 1].ticks = (uint32_t)(now - mp4->last);
        if (now - mp4->begins >= TICKS || mp4->data.size >= MAX_FRAGMENT)
            status = end_fragment(recorder);
    }
    if (!status) status = vi_jpeg_encode(&recorder->jpeg, image, recorder->quality);
    if (status) return status;
    struct sample *samples =
        with_room(recorder, mp4->samples, mp4->count, &mp4->capacity, sizeof *samples);
    if (!samples) return NN_ERROR_MEMORY;
    mp4->samples = samples;
    status =
        vi_bytes_append(&mp4->data, recorder->context, recorder->jpeg.bytes, recorder->jpeg.size);
    if (status) return status;
    if (mp4->first == mp4->count) mp4->begins = now;
    mp4->samples[mp4->count++] = (struct sample){(uint32_t)recorder->jpeg.size, 0};
    mp4->last = now;
    return NN_OK;
}

static enum nn_status finish(struct vi_recorder *recorder)
{
    struct mp4 *mp4 = recorder->state;
    struct vi_output *output = &recorder->output;
    struct nn_text *to = &mp4->box;
    uint32_t period = (uint32_t)((double)TICKS * recorder->scale / recorder->rate + 0.5);
    mp4->samples[mp4->count - 1].ticks = period;
    enum nn_status status = end_fragment(recorder);
    if (status || !output->seekable) return status;
    uint64_t index_at = output->size;
    to->size = 0;
    put_movie(to, recorder, mp4->last + period);
    if (to->failed) return NN_ERROR_MEMORY;
    status = vi_output_put(output, to->data, to->size);
    to->size = 0;
    put(to, 1); /* the size stands behind the type */
    nn_text_append(to, "mdat", 4);
    put64(to, index_at - mp4->free_at);
    if (!status) status = vi_output_patch(output, mp4->free_at, to->data, to->size);
    return status ? status : vi_output_commit(output);
}

static void release(struct vi_recorder *recorder)
{
    struct mp4 *mp4 = recorder->state;
    if (!mp4) return;
    nn_text_free(&mp4->box);
    vi_bytes_free(&mp4->data, recorder->context);
    nn_free(recorder->context, mp4->samples);
    nn_free(recorder->context, mp4->chunks);
    nn_free(recorder->context, mp4);
}

#define MP4(name)                                                                                  \
    {                                                                                              \
        .format = name, .codec = "mjpeg", .ending = "." name, .start = start,                      \
        .write = write_picture, .finish = finish, .release = release                               \
    }
const struct vi_recorder_kind vi_recorder_mp4 = MP4("mp4"), vi_recorder_mov = MP4("mov");
