/*
 * mp4_fragments.c — samples that the index of an MP4 file does not speak of (ISO/IEC
 * 14496-12, 8.8): fragments behind it, each with an index of its own ("moof"), as recordings have
 * them that were to be playable whenever they end.
 *
 *     moof   traf   tfhd   which track, what offsets count from, what is said once for all samples
 *                   tfdt   the time of its first sample
 *                   trun   a run of samples that lie together: where, how long, how large
 *
 * One is in memory at a time. Boxes between them are passed over, and a file may end between any
 * two of them; one that is cut off is an error when the frames before it have come.
 */
#include "vision/capture/mp4.h"

enum { MAX_FRAGMENT = 16 << 20 }; /* bytes of an index: more than a million samples */

/* Flags of tfhd and trun: what they say. */
enum { BASE = 1, ENTRY = 2, ALL_TICKS = 8, ALL_SIZES = 0x10, BASE_IS_MOOF = 0x20000 };
enum { OFFSET = 1, FIRST_FLAGS = 4, TICKS = 0x100, SIZE = 0x200, FLAGS = 0x400, DELAY = 0x800 };

void vi_mp4_read_extends(struct vi_mp4_parser *parser, struct vi_mp4_span movie)
{
    struct vi_mp4_fragments *fragments = &parser->mp4->fragments;
    struct vi_mp4_span rest, body;
    uint32_t type;
    if (!vi_mp4_find_box(parser, movie, BOX('m', 'v', 'e', 'x'), &rest)) return;
    fragments->expected = true;
    while (vi_mp4_take_box(parser, &rest, &type, &body)) {
        if (type != BOX('t', 'r', 'e', 'x') || body.size < 24 ||
            vi_be32(body.at + 4) != fragments->track)
            continue;
        fragments->ticks = vi_be32(body.at + 12);
        fragments->size = vi_be32(body.at + 16);
    }
}

/* The next number of a box that has room for it. */
static uint32_t take32(struct vi_mp4_parser *parser, struct vi_mp4_span *rest)
{
    if (rest->size < 4) {
        vi_mp4_damaged(parser, rest->at, "a box of a fragment that ends too soon");
        return 0;
    }
    rest->at += 4;
    rest->size -= 4;
    return vi_be32(rest->at - 4);
}

static uint64_t take64(struct vi_mp4_parser *parser, struct vi_mp4_span *rest)
{
    uint64_t high = take32(parser, rest);
    return high << 32 | take32(parser, rest);
}

/* ---- what the boxes say ---------------------------------------------------------------------- */

/* Loads the next "moof". False: there is none, or an error. */
static bool load_fragment(struct vi_mp4_parser *parser, struct vi_stream *stream)
{
    struct vi_mp4_fragments *fragments = &parser->mp4->fragments;
    uint64_t body = 0, end = 0, file = vi_stream_size(stream);
    uint32_t type = 0;
    do {
        fragments->begin = fragments->next;
        if (fragments->next >= file) return false;
        if (!vi_mp4_file_box(stream, fragments->begin, &type, &body, &end)) {
            parser->status = vi_stream_status(stream);
            if (!parser->status)
                parser->status = nn_fail(parser->context, NN_ERROR_FORMAT,
                                         "%s: truncated MP4: no box at byte %llu", parser->name,
                                         (unsigned long long)fragments->begin);
            return false;
        }
        fragments->next = end;
    } while (type != BOX('m', 'o', 'o', 'f'));
    if (end > file || end - body > MAX_FRAGMENT) {
        parser->status = nn_fail(
            parser->context, end > file ? NN_ERROR_FORMAT : NN_ERROR_UNSUPPORTED,
            "%s: %s: the index of a fragment goes from byte %llu to %llu, the file has %llu",
            parser->name, end > file ? "truncated MP4" : "MP4 with too large a fragment",
            (unsigned long long)fragments->begin, (unsigned long long)end,
            (unsigned long long)file);
        return false;
    }
    fragments->box.size = 0;
    vi_stream_seek(stream, body);
    parser->status = vi_bytes_read(&fragments->box, stream, (size_t)(end - body));
    if (!parser->status && fragments->box.size < end - body)
        parser->status =
            nn_fail(parser->context, NN_ERROR_FORMAT, "%s became shorter", parser->name);
    parser->bytes = fragments->box.data;
    parser->offset = body;
    fragments->tracks = (struct vi_mp4_span){fragments->box.data, fragments->box.size};
    fragments->tracks_seen = 0;
    return !parser->status;
}

/* Is it ours? Then its runs are next. */
static bool enter_track(struct vi_mp4_parser *parser, struct vi_mp4_span track)
{
    struct vi_mp4_fragments *fragments = &parser->mp4->fragments;
    struct vi_mp4_span body;
    bool first = fragments->tracks_seen++ == 0;
    if (!vi_mp4_need_box(parser, track, BOX('t', 'f', 'h', 'd'), 8, &body)) return false;
    uint32_t flags = take32(parser, &body) & 0xffffff;
    if (take32(parser, &body) != fragments->track) return false;
    fragments->base = flags & BASE ? take64(parser, &body) : fragments->begin;
    if (flags & ENTRY) take32(parser, &body);
    fragments->run_ticks = flags & ALL_TICKS ? take32(parser, &body) : fragments->ticks;
    fragments->run_size = flags & ALL_SIZES ? take32(parser, &body) : fragments->size;
    if (!parser->status && !first && !(flags & (BASE | BASE_IS_MOOF)))
        parser->status = nn_fail(parser->context, NN_ERROR_UNSUPPORTED,
                                 "%s: Motion-JPEG in fragmented MP4 whose video lies behind other "
                                 "tracks",
                                 parser->name);
    parser->mp4->offset = fragments->base;
    if (vi_mp4_find_box(parser, track, BOX('t', 'f', 'd', 't'), &body)) {
        flags = take32(parser, &body);
        parser->mp4->ticks = flags >> 24 == 1 ? take64(parser, &body) : take32(parser, &body);
    }
    fragments->runs = track;
    return !parser->status;
}

static size_t row_size(uint32_t flags)
{
    return 4 *
           (size_t)(!!(flags & TICKS) + !!(flags & SIZE) + !!(flags & FLAGS) + !!(flags & DELAY));
}

/* Samples per second of the first run, for those who ask before they have seen all. */
static double rate_of(const struct vi_mp4 *mp4)
{
    const struct vi_mp4_fragments *fragments = &mp4->fragments;
    double ticks = (double)fragments->left * fragments->run_ticks;
    if (fragments->flags & TICKS) {
        size_t row = row_size(fragments->flags);
        ticks = 0;
        for (uint32_t i = 0; i < fragments->left; i++) ticks += vi_be32(fragments->row + i * row);
    }
    return ticks > 0 ? (double)fragments->left * mp4->timescale / ticks : 0;
}

static void enter_run(struct vi_mp4_parser *parser, struct vi_mp4_span run)
{
    struct vi_mp4 *mp4 = parser->mp4;
    struct vi_mp4_fragments *fragments = &mp4->fragments;
    fragments->flags = take32(parser, &run) & 0xffffff;
    uint32_t count = take32(parser, &run);
    if (fragments->flags & OFFSET) {
        uint32_t from = take32(parser, &run); /* signed */
        mp4->offset = fragments->base + from - ((uint64_t)(from >> 31) << 32);
    }
    if (fragments->flags & FIRST_FLAGS) take32(parser, &run);
    if (parser->status) return;
    if ((uint64_t)count * row_size(fragments->flags) > run.size) {
        vi_mp4_damaged(parser, run.at, "a run of %u samples in %zu bytes", count, run.size);
        return;
    }
    fragments->row = run.at;
    fragments->left = count;
    if (fragments->rate <= 0 && count) fragments->rate = rate_of(mp4);
}

/* ---- samples, one after the other ------------------------------------------------------------ */

/* Goes on to the next run that has samples. False: there is none, or an error. */
static bool next_run(struct vi_mp4_parser *parser, struct vi_stream *stream)
{
    struct vi_mp4_fragments *fragments = &parser->mp4->fragments;
    struct vi_mp4_span body;
    uint32_t type;
    while (!parser->status && fragments->left == 0) {
        if (vi_mp4_take_box(parser, &fragments->runs, &type, &body)) {
            if (type == BOX('t', 'r', 'u', 'n')) enter_run(parser, body);
            continue;
        }
        if (parser->status) break;
        fragments->runs.size = 0;
        if (vi_mp4_take_box(parser, &fragments->tracks, &type, &body)) {
            if (type == BOX('t', 'r', 'a', 'f')) enter_track(parser, body);
            continue;
        }
        fragments->tracks.size = 0;
        if (!parser->status && !load_fragment(parser, stream)) return false;
    }
    return !parser->status;
}

static struct vi_mp4_parser parser_of(struct vi_mp4 *mp4, struct nn_context *context)
{
    const struct vi_mp4_fragments *fragments = &mp4->fragments;
    return (struct vi_mp4_parser){context, mp4->name, fragments->box.data, fragments->begin + 8,
                                  mp4,     NN_OK};
}

enum nn_status vi_mp4_first_fragment(struct vi_mp4 *mp4, struct nn_context *context,
                                     struct vi_stream *stream)
{
    struct vi_mp4_parser parser = parser_of(mp4, context);
    if (mp4->fragments.expected) next_run(&parser, stream);
    return parser.status;
}

enum nn_status vi_mp4_next_in_fragment(struct vi_mp4 *mp4, struct nn_context *context,
                                       struct vi_stream *stream, struct vi_mp4_sample *sample,
                                       bool *end)
{
    struct vi_mp4_fragments *fragments = &mp4->fragments;
    struct vi_mp4_parser parser = parser_of(mp4, context);
    *end = !fragments->expected || !next_run(&parser, stream);
    if (*end) return parser.status;
    const uint8_t *row = fragments->row;
    uint32_t ticks = fragments->run_ticks;
    sample->offset = mp4->offset;
    sample->seconds = (double)mp4->ticks / mp4->timescale;
    sample->size = fragments->run_size;
    if (fragments->flags & TICKS) ticks = vi_be32(row), row += 4;
    if (fragments->flags & SIZE) sample->size = vi_be32(row);
    fragments->row += row_size(fragments->flags);
    fragments->left--;
    mp4->ticks += ticks;
    mp4->offset += sample->size;
    return NN_OK;
}
