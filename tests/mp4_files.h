/*
 * mp4_files.h — small MP4 and QuickTime files with Motion-JPEG in them, written here.
 */
#ifndef MP4_FILES_H
#define MP4_FILES_H

#include "capture_files.h"

enum { FRAMES = 5 };

/* ---- writing MP4 ----------------------------------------------------------------------------- */

struct movie {
    const char *codec; /* NULL: jpeg */
    int object_type;   /* > 0: an esds box says so */
    int fields;        /* > 0: a fiel box says so */
    int frames;        /* 0: FRAMES */
    int turns;         /* quarters to the right, in the track's header */
    int movie_turns;   /* in the movie's header */
    bool own_matrix;
    int32_t matrix[4]; /* a b c d */
    bool index_first, wide_offsets, wide_mdat, open_mdat, long_headers, no_ftyp;
    int size_bits;         /* 0: stsz; 4, 8, 16: stz2 */
    bool uniform;          /* frames padded to one size, which stands alone */
    const uint32_t *times; /* [frames] in 1/600 s; NULL: 24 each (25 a second) */
    int per_chunk;         /* 0: all in one */
    bool sound_first;      /* a sound track before */
    int per_fragment;      /* > 0: frames in fragments of so many, */
    int fragment_form;     /* 0: times and sizes of each; 1: sizes only, offsets from the file's
                              beginning, times in trex; 2: nothing of each (uniform), times and sizes in
                              tfhd, no tfdt; 3: in two runs, another track before; 4: that track
                              without saying what offsets count from */
    bool heif, compressed, elsewhere, other_entry, trailing_zeros;
    size_t frame_at[64]; /* out: where each frame begins */
    size_t index_end;    /* out */
};

static inline void be32(struct file *file, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    put(file, bytes, 4);
}

static inline void set_be32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static size_t open_box(struct file *file, const char *type)
{
    size_t at = file->size;
    be32(file, 0);
    put(file, type, 4);
    return at;
}

static inline void close_box(struct file *file, size_t at)
{
    set_be32(file->data + at, (uint32_t)(file->size - at));
}

/* A box of version and flags, then numbers. */
static inline void numbers_box(struct file *file, const char *type, int count,
                               const uint32_t *numbers)
{
    size_t at = open_box(file, type);
    be32(file, 0);
    for (int i = 0; i < count; i++) be32(file, numbers[i]);
    close_box(file, at);
}

static inline void put_matrix(struct file *file, int turns, const int32_t *own)
{
    static const int abcd[4][4] = {{1, 0, 0, 1}, {0, 1, -1, 0}, {-1, 0, 0, -1}, {0, -1, 1, 0}};
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++) {
            int32_t value = row == 2 && column == 2 ? 1 << 30 : 0;
            if (row < 2 && column < 2)
                value = own ? own[2 * row + column] : 65536 * abcd[turns][2 * row + column];
            be32(file, (uint32_t)value);
        }
}

/* mvhd, tkhd: times and more, which nobody reads, then the matrix. */
static inline void header_box(struct file *file, const char *type, const struct movie *movie)
{
    size_t at = open_box(file, type);
    bool track = strcmp(type, "tkhd") == 0;
    be32(file, movie->long_headers ? 1u << 24 : 0);
    put_zeros(file, (size_t)(track ? 36 : 32) + (movie->long_headers ? 12 : 0));
    put_matrix(file, track ? movie->turns : movie->movie_turns,
               track && movie->own_matrix ? movie->matrix : NULL);
    put_zeros(file, track ? 8 : 28);
    close_box(file, at);
}

static inline void entry_box(struct file *file, const struct movie *movie, const char *codec)
{
    size_t at = open_box(file, codec);
    put_zeros(file, 24);
    be32(file, FILE_WIDTH << 16 | FILE_HEIGHT);
    put_zeros(file, 50);
    if (movie->object_type) {
        uint8_t esds[] = {0,    0,    0,  0, 3, 0x80, 0x80, 0x80, 24, 0, 1, 0x80, 9, 9, 4, 0x80,
                          0x80, 0x80, 13, 0, 0, 0,    0,    0,    0,  0, 0, 0,    0, 0, 0, 0};
        esds[19] = (uint8_t)movie->object_type;
        size_t box = open_box(file, "esds");
        put(file, esds, sizeof esds);
        close_box(file, box);
    }
    if (movie->fields) {
        size_t box = open_box(file, "fiel");
        put(file, (uint8_t[]){(uint8_t)movie->fields, 6}, 2);
        close_box(file, box);
    }
    if (movie->trailing_zeros) put_zeros(file, 4);
    close_box(file, at);
}

static inline void size_boxes(struct file *file, const struct movie *movie,
                              const struct file *jpegs)
{
    int frames = movie->per_fragment ? 0 : movie->frames;
    uint32_t rows[70] = {0, (uint32_t)frames};
    for (int i = 0; i < frames; i++) rows[2 + i] = (uint32_t)jpegs[i].size;
    if (movie->uniform) rows[0] = rows[2];
    if (!movie->size_bits) {
        numbers_box(file, "stsz", movie->uniform ? 2 : 2 + frames, rows);
        return;
    }
    size_t at = open_box(file, "stz2");
    be32(file, 0);
    be32(file, (uint32_t)movie->size_bits);
    be32(file, (uint32_t)frames);
    for (int i = 0; i < frames; i++) {
        uint8_t size[2] = {(uint8_t)(jpegs[i].size >> 8), (uint8_t)jpegs[i].size};
        put(file, size, 2);
    }
    close_box(file, at);
}

static inline void time_box(struct file *file, const struct movie *movie)
{
    uint32_t rows[140] = {1, (uint32_t)movie->frames, 24};
    if (movie->per_fragment)
        rows[0] = 0;
    else if (movie->times)
        rows[0] = (uint32_t)movie->frames;
    for (int i = 0; rows[0] && movie->times && i < movie->frames; i++) {
        rows[1 + 2 * i] = 1;
        rows[2 + 2 * i] = movie->times[i];
    }
    numbers_box(file, "stts", 1 + 2 * (int)rows[0], rows);
}

/* Chunks of per_chunk frames, the last one maybe with fewer. */
static inline void chunk_boxes(struct file *file, const struct movie *movie)
{
    int frames = movie->per_fragment ? 0 : movie->frames, each = movie->per_chunk ? movie->per_chunk
                                                                 : frames         ? frames
                                                                                  : 1;
    int full = frames / each, rest = frames % each, chunks = full + (rest > 0);
    uint32_t runs[7] = {(uint32_t)(full > 0) + (rest > 0), 1, (uint32_t)each, 1};
    uint32_t *last = runs + (full ? 4 : 1);
    if (rest) last[0] = (uint32_t)full + 1, last[1] = (uint32_t)rest, last[2] = 1;
    numbers_box(file, "stsc", 1 + 3 * (int)runs[0], runs);
    size_t at = open_box(file, movie->wide_offsets ? "co64" : "stco");
    be32(file, 0);
    be32(file, (uint32_t)chunks);
    for (int i = 0; i < chunks; i++) {
        if (movie->wide_offsets) be32(file, 0);
        be32(file, (uint32_t)movie->frame_at[i * each]);
    }
    close_box(file, at);
}

static inline void sound_track(struct file *file)
{
    static const uint32_t handler[] = {0, 0x736f756e /* soun */, 0, 0, 0};
    size_t track = open_box(file, "trak"), media = open_box(file, "mdia");
    numbers_box(file, "hdlr", 5, handler);
    close_box(file, media);
    close_box(file, track);
}

static inline void sample_table(struct file *file, const struct movie *movie,
                                const struct file *jpegs)
{
    size_t table = open_box(file, "stbl"), entries = open_box(file, "stsd");
    be32(file, 0);
    be32(file, movie->other_entry ? 2 : 1);
    entry_box(file, movie, movie->codec ? movie->codec : "jpeg");
    if (movie->other_entry) entry_box(file, movie, "avc1");
    close_box(file, entries);
    time_box(file, movie);
    chunk_boxes(file, movie);
    size_boxes(file, movie, jpegs);
    close_box(file, table);
}

static inline void media_box(struct file *file, const struct movie *movie, const struct file *jpegs)
{
    static const uint32_t handler[] = {0, 0x76696465 /* vide */, 0, 0, 0};
    static const uint32_t header[] = {0, 0, 600, 0, 0}, long_header[] = {0, 0, 0, 0, 600, 0, 0, 0};
    size_t media = open_box(file, "mdia");
    size_t at = file->size;
    numbers_box(file, "mdhd", movie->long_headers ? 8 : 5,
                movie->long_headers ? long_header : header);
    file->data[at + 8] = movie->long_headers;
    numbers_box(file, "hdlr", 5, handler);
    size_t information = open_box(file, "minf");
    size_t data = open_box(file, "dinf"), reference = open_box(file, "dref");
    be32(file, 0);
    be32(file, 1);
    numbers_box(file, "url ", 0, NULL);
    file->data[file->size - 1] = !movie->elsewhere;
    close_box(file, reference);
    close_box(file, data);
    sample_table(file, movie, jpegs);
    close_box(file, information);
    close_box(file, media);
}

/* ---- fragments ------------------------------------------------------------------------------- */

static inline void extends_box(struct file *file, const struct movie *movie)
{
    size_t at = open_box(file, "mvex");
    uint32_t other[6] = {0, 7, 1, 99, 99, 0};
    uint32_t ours[6] = {0, 0, 1, movie->fragment_form == 1 ? 24 : 0, 0, 0};
    numbers_box(file, "trex", 5, other + 1);
    numbers_box(file, "trex", 5, ours + 1);
    close_box(file, at);
}

/* Frames [first, end), and where the number stands that says where they are; 0: in the file. */
static inline size_t run_box(struct file *file, const struct movie *movie, const struct file *jpegs,
                             int first, int end)
{
    int form = movie->fragment_form;
    uint32_t flags[] = {0x301, 0x201, 0x1, 0xf05, 0x301};
    size_t at = open_box(file, "trun"), offset = 0;
    be32(file, flags[form]);
    be32(file, (uint32_t)(end - first));
    offset = file->size;
    be32(file, 0);
    if (form == 3) be32(file, 0x02000000);
    for (int i = first; i < end && form != 2; i++) {
        if (form != 1) be32(file, movie->times ? movie->times[i] : 24);
        be32(file, (uint32_t)jpegs[i].size);
        if (form == 3) be32(file, 0), be32(file, 5);
    }
    close_box(file, at);
    return offset;
}

static inline void other_track(struct file *file)
{
    static const uint32_t header[] = {7}, run[] = {3};
    size_t track = open_box(file, "traf");
    numbers_box(file, "tfhd", 1, header);
    numbers_box(file, "trun", 1, run);
    close_box(file, track);
}

static inline void fragment_boxes(struct file *file, struct movie *movie, const struct file *jpegs,
                                  int first, int end)
{
    int form = movie->fragment_form, middle = form == 3 ? (first + end) / 2 : end;
    static const uint32_t sequence[] = {1};
    size_t begin = file->size, moof = open_box(file, "moof"), base = 0, offset[2] = {0};
    numbers_box(file, "mfhd", 1, sequence);
    if (form >= 3) other_track(file);
    size_t track = open_box(file, "traf"), at = open_box(file, "tfhd");
    be32(file, form == 1 ? 1 : form == 2 ? 0x20018 : form == 3 ? 0x20002 : form == 4 ? 0 : 0x20000);
    be32(file, 0);
    if (form == 1) be32(file, 0), base = file->size, be32(file, 0);
    if (form == 2) be32(file, 24), be32(file, (uint32_t)jpegs[0].size);
    if (form == 3) be32(file, 1);
    close_box(file, at);
    uint32_t ticks = 0;
    for (int i = 0; i < first; i++) ticks += movie->times ? movie->times[i] : 24;
    if (form != 2) numbers_box(file, "tfdt", 1, &ticks);
    offset[0] = run_box(file, movie, jpegs, first, middle);
    if (middle < end) offset[1] = run_box(file, movie, jpegs, middle, end);
    close_box(file, track);
    close_box(file, moof);
    size_t data = open_box(file, "mdat");
    if (base) set_be32(file->data + base, (uint32_t)(begin + 3));
    for (int i = first; i < end; i++) {
        movie->frame_at[i] = file->size;
        /* form 1: counted from behind the moof's begin, to see that it is what counts */
        uint32_t from = (uint32_t)(file->size - begin - (base ? 3 : 0));
        if (i == first) set_be32(file->data + offset[0], from);
        if (i == middle) set_be32(file->data + offset[1], from);
        put(file, jpegs[i].data, jpegs[i].size);
    }
    close_box(file, data);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static inline void movie_box(struct file *file, const struct movie *movie, const struct file *jpegs)
{
    size_t moov = open_box(file, "moov");
    header_box(file, "mvhd", movie);
    if (movie->compressed) numbers_box(file, "cmov", 0, NULL);
    if (movie->sound_first) sound_track(file);
    size_t track = open_box(file, "trak");
    header_box(file, "tkhd", movie);
    media_box(file, movie, jpegs);
    close_box(file, track);
    if (movie->per_fragment) extends_box(file, movie);
    if (movie->trailing_zeros) put_zeros(file, 4);
    close_box(file, moov);
}

static inline void data_box(struct file *file, struct movie *movie, const struct file *jpegs)
{
    size_t at = open_box(file, "mdat");
    if (movie->wide_mdat) put_zeros(file, 8);
    for (int i = 0; i < movie->frames; i++) {
        movie->frame_at[i] = file->size;
        put(file, jpegs[i].data, jpegs[i].size);
    }
    if (movie->wide_mdat) {
        set_be32(file->data + at + 12, (uint32_t)(file->size - at));
        set_be32(file->data + at, 1);
    } else if (!movie->open_mdat) {
        close_box(file, at);
    }
}

static inline struct file movie_write(struct nn_context *context, struct movie *movie)
{
    struct file jpegs[64] = {{0}}, file = {0};
    size_t longest = 0;
    if (!movie->frames) movie->frames = FRAMES;
    for (int i = 0; i < movie->frames; i++) {
        jpegs[i] = frame_jpeg(context, i);
        if (jpegs[i].size > longest) longest = jpegs[i].size;
    }
    for (int i = 0; i < movie->frames && movie->uniform; i++)
        put_zeros(&jpegs[i], longest - jpegs[i].size);
    /* Twice: where frames lie in a file whose index comes first is known after writing it. */
    for (int pass = 0; pass < 2; pass++) {
        file.size = 0;
        if (!movie->no_ftyp) {
            size_t at = open_box(&file, "ftyp");
            put_text(&file, movie->heif ? "mif1" : "qt  ");
            put_zeros(&file, 4);
            close_box(&file, at);
        }
        numbers_box(&file, movie->heif ? "meta" : "free", 0, NULL);
        if (movie->index_first || movie->per_fragment) movie_box(&file, movie, jpegs);
        movie->index_end = file.size;
        for (int i = 0; i < movie->frames && movie->per_fragment; i += movie->per_fragment) {
            int end = i + movie->per_fragment;
            fragment_boxes(&file, movie, jpegs, i, end < movie->frames ? end : movie->frames);
            numbers_box(&file, "free", 0, NULL);
        }
        if (movie->per_fragment) continue;
        data_box(&file, movie, jpegs);
        if (!movie->index_first && !movie->heif) movie_box(&file, movie, jpegs);
    }
    for (int i = 0; i < movie->frames; i++) file_free(&jpegs[i]);
    return file;
}

#endif
