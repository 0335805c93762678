/*
 * mjpeg.c — JPEGs one after the other: raw, or in a multipart/x-mixed-replace body as web cameras
 * send it, with or without the HTTP header.
 *
 * A frame begins with a start marker and is followed, segment by segment, to its end marker: a
 * thumbnail inside of a segment has an end marker of its own. Whatever lies between frames is
 * passed over, boundary lines and part headers included, so that a wrong Content-Length does no
 * harm. Bytes are taken as they come; a live frame is there when its last byte is.
 */
#include "vision/capture/capture.h"

#include <string.h>
#include <strings.h>

/* ---- where frames begin and end -------------------------------------------------------------- */

/* Names of JPEG markers: ITU-T T.81, table B.1. */
enum { RST0 = 0xd0, RST7 = 0xd7, SOI = 0xd8, EOI = 0xd9, APP2 = 0xe2, TEM = 0x01 };

enum state {
    OUTSIDE, /* looking for FF D8 FF */
    AFTER_FF,
    AFTER_SOI,
    DATA,   /* in a frame: up to the next FF */
    MARKER, /* after it */
    LENGTH_HIGH,
    LENGTH_LOW,
    SEGMENT /* `left` bytes of it */
};

enum event {
    NOTHING,
    BEGIN, /* FF D8 FF have been seen, the last of them just now */
    END,   /* the end marker */
    TORN   /* the next frame's FF D8, where the end of this one was expected */
};

struct walk {
    enum state state;
    int marker;
    size_t left;
    uint8_t tag[4];  /* of an APP2 segment: its first bytes, as far as they have come */
    size_t tag_size; /* how many */
    bool previews;   /* the frame says that other pictures lie behind it (CIPA DC-007, MPF) */
};

/* What follows FF within a frame. */
static enum event after_marker(struct walk *walk, uint8_t byte)
{
    walk->marker = byte;
    if (byte == 0xff) return NOTHING; /* fill byte */
    walk->state = DATA;
    if (byte == 0 || byte == TEM || (byte >= RST0 && byte <= RST7)) return NOTHING;
    walk->state = OUTSIDE;
    if (byte == EOI) return END;
    walk->state = byte == SOI ? AFTER_SOI : LENGTH_HIGH;
    return byte == SOI ? TORN : NOTHING;
}

/* Bytes of a segment that can be passed over at once. */
static size_t pass_segment(struct walk *walk, const uint8_t *bytes, size_t size)
{
    size_t step = size < walk->left ? size : walk->left;
    if (walk->marker == APP2 && walk->tag_size < sizeof walk->tag) {
        step = 1;
        walk->tag[walk->tag_size++] = *bytes;
        if (walk->tag_size == 4 && memcmp(walk->tag, "MPF", 4) == 0) walk->previews = true;
    }
    walk->left -= step;
    if (walk->left == 0) walk->state = DATA;
    return step;
}

static enum event step_one(struct walk *walk, uint8_t byte)
{
    switch (walk->state) {
    case AFTER_FF:
        walk->state = byte == SOI ? AFTER_SOI : byte == 0xff ? AFTER_FF : OUTSIDE;
        return NOTHING;
    case AFTER_SOI:
        walk->state = byte == 0xff ? MARKER : OUTSIDE;
        walk->previews = false;
        return byte == 0xff ? BEGIN : NOTHING;
    case MARKER:
        return after_marker(walk, byte);
    case LENGTH_HIGH:
        walk->left = (size_t)byte << 8;
        walk->state = LENGTH_LOW;
        return NOTHING;
    case LENGTH_LOW:
        walk->left |= byte;
        walk->left = walk->left > 2 ? walk->left - 2 : 0; /* its own two bytes */
        walk->tag_size = 0;
        walk->state = walk->left ? SEGMENT : DATA;
        return NOTHING;
    default: /* OUTSIDE, DATA: this byte is FF */
        walk->state = walk->state == OUTSIDE ? AFTER_FF : MARKER;
        return NOTHING;
    }
}

/* Goes on until something happens or the bytes are used up; returns how many were. */
static size_t walk_on(struct walk *walk, enum event *event, const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    *event = NOTHING;
    while (at < size && *event == NOTHING) {
        if (walk->state == OUTSIDE || walk->state == DATA) {
            const uint8_t *found = memchr(bytes + at, 0xff, size - at);
            if (!found) return size;
            at = (size_t)(found - bytes);
        }
        if (walk->state == SEGMENT)
            at += pass_segment(walk, bytes + at, size - at);
        else
            *event = step_one(walk, bytes[at++]);
    }
    return at;
}

bool vi_mjpeg_is_stream(struct vi_stream *stream)
{
    struct walk walk = {.state = OUTSIDE};
    size_t size, since_end = 0;
    bool ended = false;
    for (;;) {
        enum event event;
        const uint8_t *bytes = vi_stream_peek(stream, 1, &size);
        if (!size || since_end > VI_HEAD) return false;
        size_t used = walk_on(&walk, &event, bytes, size);
        vi_stream_skip(stream, used);
        if (ended) since_end += used;
        if (event == TORN || (event == BEGIN && ended)) return true;
        if (event != END) continue;
        if (walk.previews) return false;
        ended = true;
    }
}

/* ---- the source ------------------------------------------------------------------------------ */

struct mjpeg {
    struct walk walk;
    struct vi_bytes frame;
    bool inside;
    size_t garbage; /* bytes passed over since the last frame */
};

/* Is `word` in the text, in any case? */
static bool has_word(const uint8_t *text, size_t size, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= size; i++)
        if (strncasecmp((const char *)text + i, word, length) == 0) return true;
    return false;
}

/* The header of an HTTP answer or of the first part ends with an empty line. */
static size_t header_size(const uint8_t *head, size_t size)
{
    for (size_t i = 0; i + 3 < size; i++)
        if (memcmp(head + i, "\n\r\n", 3) == 0 || memcmp(head + i, "\n\n", 2) == 0) return i;
    return size;
}

static bool knows(const char *path, const uint8_t *head, size_t size)
{
    (void)path;
    if (size >= 3 && memcmp(head, "\377\330\377", 3) == 0) return true;
    while (size && (*head == '\r' || *head == '\n')) head++, size--;
    if (size > 5 && memcmp(head, "HTTP/", 5) == 0)
        return has_word(head, header_size(head, size), "multipart/x-mixed-replace");
    return size > 2 && memcmp(head, "--", 2) == 0 &&
           has_word(head, header_size(head, size), "image/jp");
}

static enum nn_status open_mjpeg(struct vi_capture *capture)
{
    size_t size;
    const uint8_t *head = vi_stream_head(capture->stream, &size);
    size_t header = header_size(head, size);
    if (size > 5 && memcmp(head, "HTTP/", 5) == 0 && has_word(head, header, "transfer-encoding:") &&
        has_word(head, header, "chunked"))
        return nn_fail(capture->context, NN_ERROR_FORMAT,
                       "%s is an HTTP answer in chunks, whose lengths lie between the bytes of "
                       "pictures: save it without them, as curl does",
                       vi_stream_name(capture->stream));
    capture->state = nn_alloc(capture->context, 1, sizeof(struct mjpeg));
    return capture->state ? NN_OK : NN_ERROR_MEMORY;
}

static enum vi_found broken(struct vi_capture *capture, const char *what)
{
    nn_fail(capture->context, NN_ERROR_FORMAT, "%s, frame %lld: %s",
            vi_stream_name(capture->stream), (long long)capture->next, what);
    return VI_FOUND_BROKEN;
}

static enum vi_found at_end(struct vi_capture *capture)
{
    struct mjpeg *mjpeg = capture->state;
    capture->status = vi_stream_status(capture->stream);
    if (capture->status) return VI_FOUND_ERROR;
    if (!mjpeg->inside) return VI_FOUND_END;
    mjpeg->inside = false;
    return broken(capture, "the stream ends without its end marker");
}

/* Takes the next bytes that are there; those of a frame are kept. */
static enum nn_status advance(struct vi_capture *capture, enum event *event, bool *end)
{
    static const uint8_t start[3] = {0xff, SOI, 0xff};
    struct mjpeg *mjpeg = capture->state;
    enum nn_status status = NN_OK;
    size_t size;
    const uint8_t *bytes = vi_stream_peek(capture->stream, 1, &size);
    *end = size == 0;
    size_t used = walk_on(&mjpeg->walk, event, bytes, size);
    if (*event == BEGIN) {
        mjpeg->inside = true;
        mjpeg->frame.size = mjpeg->garbage = 0;
        status = vi_bytes_append(&mjpeg->frame, capture->context, start, sizeof start);
    } else if (mjpeg->inside) {
        status = vi_bytes_append(&mjpeg->frame, capture->context, bytes, used);
    } else {
        mjpeg->garbage += used;
    }
    vi_stream_skip(capture->stream, used);
    return status;
}

/* More bytes than a frame may have, or than may lie before one. */
static enum vi_found too_much(struct vi_capture *capture)
{
    struct mjpeg *mjpeg = capture->state;
    mjpeg->walk = (struct walk){.state = OUTSIDE};
    if (mjpeg->inside) {
        mjpeg->inside = false;
        return broken(capture, "it has more than 64 MB");
    }
    broken(capture, "none begins in 64 MB");
    capture->status = NN_ERROR_FORMAT;
    return VI_FOUND_ERROR;
}

static enum vi_found read_mjpeg(struct vi_capture *capture, bool wanted)
{
    struct mjpeg *mjpeg = capture->state;
    enum event event;
    do {
        bool end;
        enum nn_status status = advance(capture, &event, &end);
        if (status) return vi_capture_found(capture, status);
        if (end) return at_end(capture);
        if ((mjpeg->inside ? mjpeg->frame.size : mjpeg->garbage) > VI_MAX_FRAME)
            return too_much(capture);
    } while (event != END && event != TORN);
    mjpeg->inside = false;
    if (event == TORN) return broken(capture, "the next one begins before its end");
    if (!wanted) return VI_FOUND_FRAME;
    enum nn_status status = vi_capture_jpeg(capture, mjpeg->frame.data, mjpeg->frame.size, NULL);
    return vi_capture_found(capture, status);
}

static void close_mjpeg(struct vi_capture *capture)
{
    struct mjpeg *mjpeg = capture->state;
    if (mjpeg) vi_bytes_free(&mjpeg->frame, capture->context);
    nn_free(capture->context, mjpeg);
}

const struct vi_source_kind vi_source_mjpeg = {"mjpeg", knows, open_mjpeg, read_mjpeg, close_mjpeg};
