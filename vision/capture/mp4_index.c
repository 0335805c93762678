/*
 * mp4_index.c — the index of an MP4 or QuickTime file (ISO/IEC 14496-12; Apple's QuickTime File
 * Format, which it grew out of).
 *
 * A file is a row of boxes: size, four letters, body; some bodies are boxes again. "moov" holds,
 * for each track, where its samples lie (stsc: samples per chunk, stco: where chunks begin, stsz:
 * how long samples are) and how long each is shown (stts). It is read into memory as a whole, which
 * is never more than the file has bytes, and the tables are used where they lie.
 *
 * Edit lists are passed over: all frames that are stored come out, from time zero.
 */
#include "vision/capture/mp4.h"

#include <string.h>

enum {
    MAX_BOXES = 65536,     /* at the top, before the movie */
    MAX_MOVIE = 256 << 20, /* bytes: days of video */
    SAMPLE_ENTRY = 78      /* bytes of a video sample entry before its own boxes */
};

/* The same where QuickTime lets other things stand as well: what is no box ends the search. */
static bool spot_box(struct vi_mp4_parser *parser, struct vi_mp4_span parent, uint32_t type,
                     struct vi_mp4_span *body)
{
    struct vi_mp4_parser tolerant = *parser;
    return vi_mp4_find_box(&tolerant, parent, type, body);
}

/* A box of version, count and as many rows, the count `skip` bytes after the version. */
static struct vi_mp4_rows table(struct vi_mp4_parser *parser, struct vi_mp4_span body, size_t skip,
                                int row_bits)
{
    struct vi_mp4_rows rows = {NULL, 0};
    if (parser->status) return rows;
    if (body.at[0] != 0) vi_mp4_damaged(parser, body.at, "a table of version %d", body.at[0]);
    uint32_t count = vi_be32(body.at + 4 + skip);
    size_t left = body.size - 8 - skip;
    if (((uint64_t)count * (uint64_t)row_bits + 7) / 8 > left)
        vi_mp4_damaged(parser, body.at, "a table of %u rows in %zu bytes", count, left);
    else
        rows = (struct vi_mp4_rows){body.at + 8 + skip, count};
    return rows;
}

/* ---- what a track holds ---------------------------------------------------------------------- */

static const struct {
    uint32_t type;
    const char *name;
} codecs[] = {
    {BOX('a', 'v', 'c', '1'), "H.264"},         {BOX('a', 'v', 'c', '3'), "H.264"},
    {BOX('h', 'v', 'c', '1'), "H.265"},         {BOX('h', 'e', 'v', '1'), "H.265"},
    {BOX('v', 'p', '0', '8'), "VP8"},           {BOX('v', 'p', '0', '9'), "VP9"},
    {BOX('a', 'v', '0', '1'), "AV1"},           {BOX('m', 'p', '4', 'v'), "MPEG-4"},
    {BOX('s', '2', '6', '3'), "H.263"},         {BOX('h', '2', '6', '3'), "H.263"},
    {BOX('m', 'j', 'p', 'b'), "Motion-JPEG B"}, {BOX('e', 'n', 'c', 'v'), "encrypted"},
};

static void unsupported(struct vi_mp4_parser *parser, uint32_t codec)
{
    char text[5];
    const char *name = NULL;
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (codecs[i].type == codec) name = codecs[i].name;
    if (parser->status) return;
    parser->status =
        nn_fail(parser->context, NN_ERROR_UNSUPPORTED, "%s is %s%s%s video in MP4 or QuickTime",
                parser->mp4->name, name ? name : "'", name ? "" : vi_mp4_letters(text, codec),
                name ? "" : "'");
}

/* ISO/IEC 14496-14 and 14496-1, 7.2.6: descriptors are a tag, a length of 7 bits per byte, a body.
 * An ES_Descriptor (3) has its DecoderConfigDescriptor (4) first, whose first byte says what is
 * coded: 0x6C JPEG, 0x6D PNG. 0: not found. */
static int object_type(struct vi_mp4_span body)
{
    static const int optional[] = {0x80, 0x40, 0x20}; /* flags: depends on, URL, clock */
    size_t at = 4;
    for (int tag = 3; tag <= 4; tag++) {
        if (at >= body.size || body.at[at++] != tag) return 0;
        while (at < body.size && body.at[at] & 0x80) at++;
        at++;
        if (tag == 4) break;
        if (body.size < 3 || at > body.size - 3) return 0;
        int flags = body.at[at + 2];
        at += 3;
        for (int i = 0; i < 3; i++) {
            if (!(flags & optional[i])) continue;
            if (at >= body.size) return 0;
            at += i == 1 ? 1 + (size_t)body.at[at] : 2;
        }
    }
    return at < body.size ? body.at[at] : 0;
}

/* Is each frame a JPEG (or PNG) file of its own? Of two fields ("fiel") each would be one. */
static bool holds_pictures(struct vi_mp4_parser *parser, uint32_t codec, struct vi_mp4_span boxes)
{
    struct vi_mp4_span body;
    int fields = 0, type = 0; /* not said */
    if (spot_box(parser, boxes, BOX('f', 'i', 'e', 'l'), &body) && body.size) fields = body.at[0];
    if (spot_box(parser, boxes, BOX('e', 's', 'd', 's'), &body)) type = object_type(body);
    switch (codec) {
    case BOX('m', 'p', '4', 'v'):
        return type == 0x6c || type == 0x6d;
    case BOX('m', 'j', 'p', 'a'): /* made for fields */
        return fields == 1;
    case BOX('j', 'p', 'e', 'g'):
    case BOX('m', 'j', 'p', 'g'):
    case BOX('M', 'J', 'P', 'G'):
    case BOX('p', 'n', 'g', ' '):
        return fields <= 1;
    default:
        return false;
    }
}

/* stsd: usually one entry; where there are more, all must be readable. */
static void read_entries(struct vi_mp4_parser *parser, struct vi_mp4_span samples)
{
    struct vi_mp4_span rest, entry;
    uint32_t codec;
    if (!vi_mp4_need_box(parser, samples, BOX('s', 't', 's', 'd'), 8, &rest)) return;
    uint32_t count = vi_be32(rest.at + 4), seen = 0;
    rest = (struct vi_mp4_span){rest.at + 8, rest.size - 8};
    for (; seen < count && vi_mp4_take_box(parser, &rest, &codec, &entry); seen++) {
        if (entry.size < SAMPLE_ENTRY) {
            vi_mp4_damaged(parser, entry.at, "a sample entry of %zu bytes", entry.size);
            return;
        }
        struct vi_mp4_span boxes = {entry.at + SAMPLE_ENTRY, entry.size - SAMPLE_ENTRY};
        if (!holds_pictures(parser, codec, boxes)) {
            unsupported(parser, codec);
            return;
        }
        if (seen) continue;
        parser->mp4->width = (int)vi_be16(entry.at + 24);
        parser->mp4->height = (int)vi_be16(entry.at + 26);
    }
    if (seen < count || !count)
        vi_mp4_damaged(parser, rest.at, "%u sample entries, expected %u", seen, count ? count : 1);
}

/* Media that lie in another file (dref without the flag "self-contained") are not looked for. */
static void check_reference(struct vi_mp4_parser *parser, struct vi_mp4_span information)
{
    struct vi_mp4_span data, rest, entry;
    uint32_t type;
    if (!vi_mp4_find_box(parser, information, BOX('d', 'i', 'n', 'f'), &data) ||
        !vi_mp4_find_box(parser, data, BOX('d', 'r', 'e', 'f'), &rest) || rest.size < 8)
        return;
    rest = (struct vi_mp4_span){rest.at + 8, rest.size - 8};
    while (vi_mp4_take_box(parser, &rest, &type, &entry))
        if (entry.size < 4 || !(entry.at[3] & 1)) {
            parser->status = nn_fail(parser->context, NN_ERROR_UNSUPPORTED,
                                     "%s keeps its video in another file", parser->mp4->name);
            return;
        }
}

/* ---- sample tables --------------------------------------------------------------------------- */

static void read_sizes(struct vi_mp4_parser *parser, struct vi_mp4_span samples)
{
    struct vi_mp4 *mp4 = parser->mp4;
    struct vi_mp4_span body;
    if (vi_mp4_find_box(parser, samples, BOX('s', 't', 'z', '2'), &body)) {
        mp4->size_bits = body.size >= 12 ? body.at[7] : 0;
        if (mp4->size_bits == 4 || mp4->size_bits == 8 || mp4->size_bits == 16)
            mp4->sizes = table(parser, body, 4, mp4->size_bits);
        else
            vi_mp4_damaged(parser, body.at, "sizes of %d bits", mp4->size_bits);
        return;
    }
    if (!vi_mp4_need_box(parser, samples, BOX('s', 't', 's', 'z'), 12, &body)) return;
    mp4->uniform = vi_be32(body.at + 4);
    mp4->size_bits = mp4->uniform ? 0 : 32;
    mp4->sizes = table(parser, body, 4, mp4->size_bits);
}

static void read_chunks(struct vi_mp4_parser *parser, struct vi_mp4_span samples)
{
    struct vi_mp4 *mp4 = parser->mp4;
    struct vi_mp4_span body;
    mp4->chunk_bits = 64;
    if (vi_mp4_find_box(parser, samples, BOX('c', 'o', '6', '4'), &body)) {
        if (body.size < 8) vi_mp4_damaged(parser, body.at, "box 'co64' of %zu bytes", body.size);
    } else {
        mp4->chunk_bits = 32;
        vi_mp4_need_box(parser, samples, BOX('s', 't', 'c', 'o'), 8, &body);
    }
    mp4->chunks = table(parser, body, 0, mp4->chunk_bits);
}

/* Rows of a run: its first chunk (counted from 1), samples in each of its chunks, their entry. It
 * goes on to where the next one begins. */
static void read_runs(struct vi_mp4_parser *parser, struct vi_mp4_span samples)
{
    struct vi_mp4 *mp4 = parser->mp4;
    struct vi_mp4_span body;
    uint64_t room = 0;
    if (!vi_mp4_need_box(parser, samples, BOX('s', 't', 's', 'c'), 8, &body)) return;
    mp4->runs = table(parser, body, 0, 96);
    for (uint32_t i = 0; i < mp4->runs.count && !parser->status; i++) {
        const uint8_t *row = mp4->runs.at + 12 * (size_t)i;
        uint64_t first = vi_be32(row), end = (uint64_t)mp4->chunks.count + 1;
        if (i + 1 < mp4->runs.count) end = vi_be32(row + 12);
        if (first < 1 || (i == 0 && first != 1) || end <= first ||
            end > (uint64_t)mp4->chunks.count + 1 || vi_be32(row + 4) == 0)
            vi_mp4_damaged(parser, row,
                           "run %u of chunks %llu to %llu, of %u, with %u samples each", i,
                           (unsigned long long)first, (unsigned long long)end - 1,
                           mp4->chunks.count, vi_be32(row + 4));
        /* At most 2^32 chunks of 2^32 samples: the first overflow would be the sum's. */
        uint64_t more = (end - first) * vi_be32(row + 4);
        room = more > UINT64_MAX - room ? UINT64_MAX : room + more;
    }
    if (!parser->status && room < mp4->sizes.count)
        vi_mp4_damaged(parser, body.at, "chunks for %llu samples, expected %u",
                       (unsigned long long)room, mp4->sizes.count);
}

static void read_times(struct vi_mp4_parser *parser, struct vi_mp4_span samples)
{
    struct vi_mp4 *mp4 = parser->mp4;
    struct vi_mp4_span body;
    uint64_t left = mp4->sizes.count;
    double ticks = 0.0;
    if (!vi_mp4_need_box(parser, samples, BOX('s', 't', 't', 's'), 8, &body)) return;
    mp4->times = table(parser, body, 0, 64);
    for (uint32_t i = 0; i < mp4->times.count && left; i++) {
        uint64_t count = vi_be32(mp4->times.at + 8 * (size_t)i);
        if (count > left) count = left;
        ticks += (double)count * vi_be32(mp4->times.at + 8 * (size_t)i + 4);
        left -= count;
    }
    if (left)
        vi_mp4_damaged(parser, body.at, "times for %llu samples fewer than the %u there are",
                       (unsigned long long)left, mp4->sizes.count);
    mp4->duration = ticks / mp4->timescale;
}

/* ---- track ----------------------------------------------------------------------------------- */

/* tkhd or mvhd: the matrix of the track, or of the movie. Its rows are (a b u) (c d v) (x y w),
 * numbers of 16 bits behind the point, and it maps (p q) to (a p + c q + x, b p + d q + y). Only
 * the signs of a b c d are taken: scales are left aside. All zero, as some write, is no turn. */
static void header_signs(struct vi_mp4_parser *parser, struct vi_mp4_span parent, uint32_t type,
                         int abcd[4])
{
    static const size_t offset[4] = {0, 4, 12, 16};
    struct vi_mp4_span body;
    bool any = false;
    size_t before =
        type == BOX('t', 'k', 'h', 'd') ? 24 + 16 : 20 + 16; /* times, ids, volume ... */
    if (!vi_mp4_need_box(parser, parent, type, 4, &body)) return;
    if (body.at[0] > 1) vi_mp4_damaged(parser, body.at, "header of version %d", body.at[0]);
    if (body.at[0] == 1) before += 12; /* three times of 64 bits */
    if (body.size < before + 36) {
        vi_mp4_damaged(parser, body.at, "header of %zu bytes, expected %zu", body.size,
                       before + 36);
        return;
    }
    for (int i = 0; i < 4; i++) {
        uint32_t value = vi_be32(body.at + before + offset[i]);
        abcd[i] = value == 0 ? 0 : value >> 31 ? -1 : 1;
        any = any || value;
    }
    if (!any) abcd[0] = abcd[3] = 1;
}

/* The track's matrix, and then the movie's. */
static void read_orientation(struct vi_mp4_parser *parser, struct vi_mp4_span track,
                             struct vi_mp4_span movie)
{
    static const int orientations[8][4] = {{1, 0, 0, 1},   {-1, 0, 0, 1}, {-1, 0, 0, -1},
                                           {1, 0, 0, -1},  {0, 1, 1, 0},  {0, 1, -1, 0},
                                           {0, -1, -1, 0}, {0, -1, 1, 0}};
    int t[4] = {0}, m[4] = {0};
    header_signs(parser, track, BOX('t', 'k', 'h', 'd'), t);
    header_signs(parser, movie, BOX('m', 'v', 'h', 'd'), m);
    const int both[4] = {t[0] * m[0] + t[1] * m[2], t[0] * m[1] + t[1] * m[3],
                         t[2] * m[0] + t[3] * m[2], t[2] * m[1] + t[3] * m[3]};
    for (int i = 0; i < 8; i++)
        if (memcmp(both, orientations[i], sizeof both) == 0) parser->mp4->orientation = i + 1;
    if (!parser->status && !parser->mp4->orientation)
        parser->status = nn_fail(parser->context, NN_ERROR_UNSUPPORTED,
                                 "%s is Motion-JPEG to be shown at a slant", parser->mp4->name);
}

/* The track's number, by which fragments call it. */
static void read_number(struct vi_mp4_parser *parser, struct vi_mp4_span track)
{
    struct vi_mp4_span body; /* which was found large enough by read_orientation */
    if (vi_mp4_need_box(parser, track, BOX('t', 'k', 'h', 'd'), 24, &body))
        parser->mp4->fragments.track = vi_be32(body.at + (body.at[0] == 1 ? 20 : 12));
}

static bool is_video(struct vi_mp4_parser *parser, struct vi_mp4_span media)
{
    struct vi_mp4_span body;
    return vi_mp4_need_box(parser, media, BOX('h', 'd', 'l', 'r'), 12, &body) &&
           vi_be32(body.at + 8) == BOX('v', 'i', 'd', 'e');
}

static void read_media(struct vi_mp4_parser *parser, struct vi_mp4_span media)
{
    struct vi_mp4 *mp4 = parser->mp4;
    struct vi_mp4_span body, information, samples;
    if (!vi_mp4_need_box(parser, media, BOX('m', 'd', 'h', 'd'), 24, &body)) return;
    if (body.at[0] > 1) vi_mp4_damaged(parser, body.at, "header of version %d", body.at[0]);
    mp4->timescale = vi_be32(body.at + (body.at[0] == 1 ? 20 : 12));
    if (mp4->timescale == 0) vi_mp4_damaged(parser, body.at, "0 units of time per second");
    if (!vi_mp4_need_box(parser, media, BOX('m', 'i', 'n', 'f'), 0, &information)) return;
    if (!vi_mp4_need_box(parser, information, BOX('s', 't', 'b', 'l'), 0, &samples)) return;
    read_entries(parser, samples);
    check_reference(parser, information);
    read_sizes(parser, samples);
    read_chunks(parser, samples);
    read_runs(parser, samples);
    if (!parser->status) read_times(parser, samples);
}

/* The first video track; other ones, sound and text are passed over. */
static void read_movie(struct vi_mp4_parser *parser)
{
    struct vi_mp4 *mp4 = parser->mp4;
    struct vi_mp4_span movie = {mp4->movie.data, mp4->movie.size}, rest = movie, track, media;
    uint32_t type;
    if (vi_mp4_find_box(parser, movie, BOX('c', 'm', 'o', 'v'), &track))
        parser->status = nn_fail(parser->context, NN_ERROR_UNSUPPORTED,
                                 "%s is QuickTime with a compressed index", mp4->name);
    while (vi_mp4_take_box(parser, &rest, &type, &track)) {
        if (type != BOX('t', 'r', 'a', 'k')) continue;
        if (!vi_mp4_need_box(parser, track, BOX('m', 'd', 'i', 'a'), 0, &media)) return;
        if (!is_video(parser, media)) continue;
        read_media(parser, media);
        if (parser->status) return;
        read_orientation(parser, track, movie);
        read_number(parser, track);
        vi_mp4_read_extends(parser, movie);
        return;
    }
    if (!parser->status)
        parser->status =
            nn_fail(parser->context, NN_ERROR_FORMAT, "%s: MP4 without a video track", mp4->name);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Cameras write the index last: without power, a recording has none. */
static enum nn_status no_movie(struct nn_context *context, struct vi_stream *stream, uint64_t at,
                               bool picture)
{
    enum nn_status status = vi_stream_status(stream);
    if (status) return status;
    if (picture)
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%s is a HEIF or AVIF picture",
                       vi_stream_name(stream));
    return nn_fail(context, NN_ERROR_FORMAT,
                   "%s: MP4 without an index (box 'moov'), looked for up to byte %llu of %llu: cut "
                   "off, or the recording was not finished",
                   vi_stream_name(stream), (unsigned long long)at,
                   (unsigned long long)vi_stream_size(stream));
}

static enum nn_status load_movie(struct vi_mp4 *mp4, struct nn_context *context,
                                 struct vi_stream *stream)
{
    uint64_t at = 0, body = 0, end = 0, file = vi_stream_size(stream);
    uint32_t type = 0;
    bool picture = false;
    for (int i = 0;; i++, at = end) {
        if (i == MAX_BOXES || at >= file || !vi_mp4_file_box(stream, at, &type, &body, &end))
            return no_movie(context, stream, at, picture);
        if (type == BOX('m', 'o', 'o', 'v')) break;
        picture = picture || type == BOX('m', 'e', 't', 'a');
    }
    if (end > file)
        return nn_fail(context, NN_ERROR_FORMAT,
                       "%s: truncated MP4: its index goes to byte %llu, the file has %llu",
                       mp4->name, (unsigned long long)end, (unsigned long long)file);
    if (end - body > MAX_MOVIE)
        return nn_fail(context, NN_ERROR_UNSUPPORTED,
                       "%s: MP4 with an index of %llu bytes, the limit is %d", mp4->name,
                       (unsigned long long)(end - body), MAX_MOVIE);
    mp4->movie_offset = body;
    mp4->fragments.next = end;
    vi_stream_seek(stream, body);
    enum nn_status status = vi_bytes_read(&mp4->movie, stream, (size_t)(end - body));
    if (status) return status;
    if (mp4->movie.size == end - body) return NN_OK;
    return nn_fail(context, NN_ERROR_FORMAT, "%s: MP4 whose index became shorter", mp4->name);
}

enum nn_status vi_mp4_open(struct vi_mp4 *mp4, struct nn_context *context, struct vi_stream *stream)
{
    mp4->name = vi_stream_name(stream);
    if (!vi_stream_seekable(stream))
        return nn_fail(context, NN_ERROR_UNSUPPORTED,
                       "%s is MP4 or QuickTime, which cannot be read from a pipe here", mp4->name);
    enum nn_status status = load_movie(mp4, context, stream);
    if (status) return status;
    struct vi_mp4_parser parser = {context,           mp4->name, mp4->movie.data,
                                   mp4->movie_offset, mp4,       NN_OK};
    read_movie(&parser);
    if (parser.status || mp4->sizes.count) return parser.status;
    return vi_mp4_first_fragment(mp4, context, stream);
}

void vi_mp4_free(struct vi_mp4 *mp4, struct nn_context *context)
{
    vi_bytes_free(&mp4->movie, context);
    vi_bytes_free(&mp4->fragments.box, context);
}

/* ---- samples, one after the other ------------------------------------------------------------ */

static uint32_t size_of(const struct vi_mp4 *mp4, uint32_t sample)
{
    size_t at = sample;
    switch (mp4->size_bits) {
    case 4:
        return mp4->sizes.at[at / 2] >> (at % 2 ? 0 : 4) & 15;
    case 8:
        return mp4->sizes.at[at];
    case 16:
        return vi_be16(mp4->sizes.at + 2 * at);
    case 32:
        return vi_be32(mp4->sizes.at + 4 * at);
    default:
        return mp4->uniform;
    }
}

/* Tables were checked to reach as far as there are samples. */
static void next_sample(struct vi_mp4 *mp4, struct vi_mp4_sample *sample)
{
    if (mp4->in_chunk == 0) {
        size_t chunk = mp4->chunk;
        mp4->offset = mp4->chunk_bits == 64 ? vi_mp4_be64(mp4->chunks.at + 8 * chunk)
                                            : vi_be32(mp4->chunks.at + 4 * chunk);
    }
    while (mp4->in_time >= vi_be32(mp4->times.at + 8 * (size_t)mp4->time)) {
        mp4->in_time = 0;
        mp4->time++;
    }
    sample->offset = mp4->offset;
    sample->size = size_of(mp4, mp4->sample);
    sample->seconds = (double)mp4->ticks / mp4->timescale;

    mp4->offset += sample->size;
    mp4->ticks += vi_be32(mp4->times.at + 8 * (size_t)mp4->time + 4);
    mp4->in_time++;
    mp4->sample++;
    const uint8_t *run = mp4->runs.at + 12 * (size_t)mp4->run;
    if (++mp4->in_chunk < vi_be32(run + 4)) return;
    mp4->in_chunk = 0;
    mp4->chunk++;
    if (mp4->run + 1 < mp4->runs.count && mp4->chunk + 1 == vi_be32(run + 12)) mp4->run++;
}

enum nn_status vi_mp4_next(struct vi_mp4 *mp4, struct nn_context *context, struct vi_stream *stream,
                           struct vi_mp4_sample *sample, bool *end)
{
    *end = false;
    if (mp4->sample >= mp4->sizes.count)
        return vi_mp4_next_in_fragment(mp4, context, stream, sample, end);
    next_sample(mp4, sample);
    return NN_OK;
}
