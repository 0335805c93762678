/*
 * avi.c — Motion-JPEG in AVI (Microsoft's RIFF, with OpenDML's further segments).
 *
 * The file is walked from front to back, chunk by chunk, and no index is looked at: so a recording
 * that was never finished is read as far as it goes, sizes of lists may be zero or wrong, files may
 * have any size, and a pipe does as well as a file. Lists are entered and their ends ignored.
 *
 *     RIFF 'AVI '   LIST hdrl  avih  LIST strl (strh strf) ...  LIST odml (dmlh)
 *                   LIST movi  00dc 01wb 00dc ...  or within LIST 'rec '
 *                   idx1
 *     RIFF 'AVIX'   LIST movi  ...                    every further gigabyte
 *
 * A chunk of no bytes is a frame that the camera dropped to keep its rate: the one before it is
 * shown again. Where a chunk's header is damaged, the next frame is searched for.
 */
#include "vision/capture/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    HEADER = 64,             /* bytes of a header chunk that are looked at */
    MAX_SEARCH = 256 << 20,  /* bytes that are searched for a frame behind damage */
    MAX_REWOUND = 256 << 20, /* bytes that are read once more to do so, in all */
    MAX_STREAMS = 100        /* two digits name a stream in its chunks */
};

struct avi {
    int streams;           /* so far */
    int video;             /* index of the first video stream; -1: not yet seen */
    bool current;          /* it is the one whose headers are being read */
    char codec[5];         /* fourcc */
    int height;            /* by the header; may be negative */
    uint32_t frames[3];    /* by dmlh, avih, strh; 0: absent */
    double rates[2];       /* by strh, avih */
    uint8_t tag[2];        /* first letters of the video's chunks: "00" */
    bool odd;              /* a byte of padding should come */
    bool indexed;          /* this segment's idx1 was passed: no frames before the next RIFF */
    uint64_t data;         /* where the last chunk's data begin: damage is searched from there */
    uint64_t rewound;      /* bytes read again so far */
    struct vi_bytes frame; /* the last one, as it is stored; empty: there is none to repeat */
};

static uint32_t le32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static bool is(const uint8_t *id, const char *word)
{
    return memcmp(id, word, 4) == 0;
}

/* ---- header ---------------------------------------------------------------------------------- */

/* Names under which Motion-JPEG goes in AVI. */
static bool is_motion_jpeg(const char *codec)
{
    static const char *const names[] = {"MJPG", "JPEG", "dmb1", "AVRn", "AVI1",
                                        "AVI2", "mjpa", "ACDV", "CJPG", "QIVG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(codec, names[i]) == 0) return true;
    return false;
}

static double ratio(double over, double under)
{
    return over > 0 && under > 0 && over / under < 1e6 ? over / under : 0;
}

/* The header of a stream: AVISTREAMHEADER. */
static void parse_strh(struct avi *avi, const uint8_t bytes[HEADER])
{
    avi->current = avi->video < 0 && is(bytes, "vids");
    if (!avi->current) return;
    avi->video = avi->streams - 1;
    avi->frames[2] = le32(bytes + 32);
    avi->rates[0] = ratio(le32(bytes + 24), le32(bytes + 20));
    memcpy(avi->codec, bytes + 4, 4);
}

/* Its format, for video: BITMAPINFOHEADER. The codec stands here; in strh stands who wrote it. */
static void parse_strf(struct avi *avi, struct vi_capture *capture, const uint8_t bytes[HEADER])
{
    if (!avi->current) return;
    int32_t width = (int32_t)le32(bytes + 4), height = (int32_t)le32(bytes + 8);
    if (le32(bytes + 16)) memcpy(avi->codec, bytes + 16, 4);
    if (width <= 0 || width > 65535 || height == 0 || height < -65535 || height > 65535) return;
    avi->height = abs(height);
    capture->info.width = width;
    capture->info.height = avi->height;
}

/* Lists are entered, other chunks looked at and passed. False: the file ends. *movi: the frames
 * begin here. */
static bool header_chunk(struct vi_capture *capture, bool *movi)
{
    struct avi *avi = capture->state;
    struct vi_stream *stream = capture->stream;
    uint8_t id[8], bytes[HEADER] = {0};
    if (vi_stream_read(stream, id, 8) < 8) return false;
    uint64_t size = le32(id + 4), padded = size + (size & 1);
    if (is(id, "RIFF") || is(id, "LIST")) {
        if (vi_stream_read(stream, bytes, 4) < 4) return false;
        if (is(bytes, "strl")) avi->streams++;
        *movi = is(bytes, "movi");
        if (*movi || is(bytes, "AVI ") || is(bytes, "hdrl") || is(bytes, "strl") ||
            is(bytes, "odml"))
            return true;
        return vi_stream_skip(stream, padded > 4 ? padded - 4 : 0);
    }
    size_t part = size < HEADER ? (size_t)size : HEADER;
    if (vi_stream_read(stream, bytes, part) < part) return false;
    if (is(id, "dmlh")) avi->frames[0] = le32(bytes);
    if (is(id, "avih")) avi->frames[1] = le32(bytes + 16);
    if (is(id, "avih")) avi->rates[1] = ratio(1e6, le32(bytes));
    if (is(id, "strh")) parse_strh(avi, bytes);
    if (is(id, "strf")) parse_strf(avi, capture, bytes);
    return vi_stream_skip(stream, padded - part);
}

/* The header's numbers, as far as they can be believed: a frame takes at least 8 bytes. */
static void fill_info(struct vi_capture *capture)
{
    struct avi *avi = capture->state;
    uint64_t most = vi_stream_size(capture->stream) / 8;
    capture->info.rate = avi->rates[0] > 0 ? avi->rates[0] : avi->rates[1];
    for (int i = 0; i < 3 && capture->info.frames < 0; i++)
        if (avi->frames[i] && avi->frames[i] <= most) capture->info.frames = avi->frames[i];
    avi->tag[0] = (uint8_t)('0' + avi->video / 10);
    avi->tag[1] = (uint8_t)('0' + avi->video % 10);
}

static bool knows(const char *path, const uint8_t *head, size_t size)
{
    (void)path;
    return size >= 12 && is(head, "RIFF") && is(head + 8, "AVI ");
}

static enum nn_status open_avi(struct vi_capture *capture)
{
    struct nn_context *context = capture->context;
    const char *name = vi_stream_name(capture->stream);
    char quoted[NN_QUOTED];
    struct avi *avi = nn_alloc(context, 1, sizeof *avi);
    capture->state = avi;
    if (!avi) return NN_ERROR_MEMORY;
    avi->video = -1;
    for (bool movi = false; !movi;) {
        if (header_chunk(capture, &movi)) continue;
        enum nn_status status = vi_stream_status(capture->stream);
        if (status) return status;
        return nn_fail(context, NN_ERROR_FORMAT, "%s: this AVI file ends before its first frame",
                       name);
    }
    if (avi->video < 0 || avi->video >= MAX_STREAMS)
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%s is an AVI file without a video stream",
                       name);
    if (!is_motion_jpeg(avi->codec))
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%s is an AVI file with video coded as %s",
                       name, *avi->codec ? nn_quote(quoted, avi->codec) : "plain pixels");
    fill_info(capture);
    avi->data = vi_stream_tell(capture->stream);
    return NN_OK;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

enum what {
    FRAME,
    SPOILT, /* the video's, but no frame: it was one once */
    LIST,
    OTHER,
    DAMAGE
};

static bool is_letter(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ' ' ||
           c == '_';
}

static enum what what_is(const struct avi *avi, const uint8_t *id)
{
    if (memcmp(id, avi->tag, 2) == 0) {
        if (id[2] == 'd' && (id[3] == 'c' || id[3] == 'b')) return FRAME;
        return id[2] == 'p' && id[3] == 'c' ? OTHER : SPOILT; /* pc: a palette */
    }
    if (is(id, "LIST") || is(id, "RIFF")) return LIST;
    for (int i = 0; i < 4; i++)
        if (!is_letter(id[i])) return DAMAGE;
    return OTHER;
}

/* Is it one of the names that stand between frames, beyond doubt? */
static bool is_known(const uint8_t *id)
{
    bool digits = id[0] >= '0' && id[0] <= '9' && id[1] >= '0' && id[1] <= '9';
    bool letters = id[2] >= 'a' && id[2] <= 'z' && id[3] >= 'a' && id[3] <= 'z';
    return (digits && letters) || is(id, "LIST") || is(id, "RIFF") || is(id, "JUNK") ||
           is(id, "idx1") || memcmp(id, "ix", 2) == 0;
}

/* Is there, for all that can be seen, a frame, or a list that holds frames? */
static bool is_landmark(const struct avi *avi, const uint8_t at[12])
{
    if (is(at, "LIST")) return is(at + 8, "movi") || is(at + 8, "rec ");
    if (is(at, "RIFF")) return is(at + 8, "AVIX");
    uint32_t size = le32(at + 4);
    return memcmp(at, avi->tag, 2) == 0 && what_is(avi, at) == FRAME && size >= 2 &&
           size <= VI_MAX_FRAME && at[8] == 0xff && at[9] == 0xd8;
}

/* Goes to the next landmark; false: there is none. */
static bool search(struct vi_capture *capture, uint64_t *searched)
{
    struct avi *avi = capture->state;
    size_t size;
    for (;;) {
        const uint8_t *bytes = vi_stream_peek(capture->stream, 12, &size);
        if (size < 12) {
            vi_stream_skip(capture->stream, size);
            return false;
        }
        size_t at = 0;
        while (at + 12 <= size && !is_landmark(avi, bytes + at)) at++;
        bool found = at + 12 <= size;
        vi_stream_skip(capture->stream, at);
        *searched += at;
        if (found || *searched > MAX_SEARCH) return found;
    }
}

/* Behind damage: to the next frame, which may lie in the last chunk if its size was wrong. `why` is
 * what a frame was lost by, if no other one follows; NULL: then it was none. */
static enum vi_found find_again(struct vi_capture *capture, const char *why)
{
    struct avi *avi = capture->state;
    struct vi_stream *stream = capture->stream;
    uint64_t at = vi_stream_tell(stream), searched = 0, back = at > avi->data ? at - avi->data : 0;
    if (avi->rewound + back <= MAX_REWOUND && vi_stream_seek(stream, avi->data))
        avi->rewound += back;
    avi->odd = false;
    bool found = search(capture, &searched);
    avi->data = vi_stream_tell(stream);
    capture->status = vi_stream_status(stream);
    if (capture->status) return VI_FOUND_ERROR;
    if (!found && !why && searched <= MAX_SEARCH) return VI_FOUND_END;
    nn_fail(capture->context, NN_ERROR_FORMAT, "%s: %s at byte %llu", vi_stream_name(stream),
            why ? why : "a damaged chunk", (unsigned long long)at);
    if (found || searched <= MAX_SEARCH) return VI_FOUND_BROKEN;
    capture->status = NN_ERROR_FORMAT;
    return VI_FOUND_ERROR;
}

/* Takes the header of the next chunk, unless it is damaged, after the padding of the last one,
 * which some writers leave out. False: the file ends. */
static bool next_chunk(struct vi_capture *capture, enum what *what, uint32_t *size)
{
    struct avi *avi = capture->state;
    size_t there, padding = avi->odd;
    const uint8_t *bytes = vi_stream_peek(capture->stream, 8 + padding, &there);
    if (there < 8 + padding) return false;
    if (padding && is_known(bytes) && !is_known(bytes + 1)) padding = 0;
    avi->odd = false;
    *size = le32(bytes + padding + 4);
    *what = what_is(avi, bytes + padding);
    if (*what == LIST) {
        bytes = vi_stream_peek(capture->stream, 12 + padding, &there);
        if (there < 12 + padding) return false;
        if (!is(bytes + padding, "RIFF") && !is_landmark(avi, bytes + padding)) *what = OTHER;
    }
    if (is(bytes + padding, "idx1")) avi->indexed = true;
    if (is(bytes + padding, "RIFF")) avi->indexed = false;
    vi_stream_skip(capture->stream, padding + (*what == DAMAGE ? 0 : *what == LIST ? 12 : 8));
    if (*what != DAMAGE) avi->data = vi_stream_tell(capture->stream);
    return true;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static enum vi_found broken(struct vi_capture *capture, const char *what)
{
    nn_fail(capture->context, NN_ERROR_FORMAT, "%s, frame %lld: %s",
            vi_stream_name(capture->stream), (long long)capture->next, what);
    return VI_FOUND_BROKEN;
}

static enum vi_found decode(struct vi_capture *capture)
{
    struct avi *avi = capture->state;
    enum nn_status status = vi_capture_jpeg(capture, avi->frame.data, avi->frame.size, NULL);
    if (!status && avi->height == 2 * capture->image.height)
        status = nn_fail(capture->context, NN_ERROR_UNSUPPORTED,
                         "%s: each frame is two fields of %d lines, which is not supported",
                         vi_stream_name(capture->stream), capture->image.height);
    if (status) avi->frame.size = 0;
    return vi_capture_found(capture, status);
}

static enum vi_found read_frame(struct vi_capture *capture, uint32_t size, bool wanted)
{
    struct avi *avi = capture->state;
    if (size == 0 && avi->frame.size == 0)
        return broken(capture, "it repeats the one before, and there is none");
    if (size) {
        avi->frame.size = 0;
        enum nn_status status = vi_bytes_read(&avi->frame, capture->stream, size);
        if (status) return vi_capture_found(capture, status);
    }
    if (size && avi->frame.size < size) {
        avi->frame.size = 0;
        return broken(capture, "the file ends within it");
    }
    /* A repeated one is decoded anew: its pixels were the caller's to draw on. */
    return wanted ? decode(capture) : VI_FOUND_FRAME;
}

/* Can a chunk of this size be here? */
static bool fits(const struct vi_capture *capture, enum what what, uint32_t size)
{
    if (what == FRAME && size > VI_MAX_FRAME) return false;
    return size <= vi_stream_size(capture->stream) - vi_stream_tell(capture->stream);
}

static enum vi_found read_avi(struct vi_capture *capture, bool wanted)
{
    struct avi *avi = capture->state;
    enum what what;
    uint32_t size;
    while (next_chunk(capture, &what, &size)) {
        if (what == LIST) continue;
        if (what == DAMAGE) return find_again(capture, avi->indexed ? NULL : "a damaged chunk");
        if (!fits(capture, what, size))
            return find_again(capture, what == FRAME ? "a frame that is cut off" : NULL);
        avi->odd = size & 1;
        if (what == FRAME) return read_frame(capture, size, wanted);
        if (!vi_stream_skip(capture->stream, size)) break;
        if (what == SPOILT) return broken(capture, "its chunk has a damaged name");
    }
    capture->status = vi_stream_status(capture->stream);
    return capture->status ? VI_FOUND_ERROR : VI_FOUND_END;
}

static void close_avi(struct vi_capture *capture)
{
    struct avi *avi = capture->state;
    if (avi) vi_bytes_free(&avi->frame, capture->context);
    nn_free(capture->context, avi);
}

const struct vi_source_kind vi_source_avi = {"avi", knows, open_avi, read_avi, close_avi};
