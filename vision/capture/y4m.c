/*
 * y4m.c — YUV4MPEG2: planes of luma and chroma behind lines of text, as mjpegtools, ffmpeg and x264
 * write it. A line of parameters, then for each frame the line "FRAME" with parameters and the
 * planes. Samples of more than 8 bits (16-bit little endian) lose their lower bits.
 */
#include "vision/capture/capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 1024 };
static const char magic[] = "YUV4MPEG2";

struct y4m {
    int width, height;
    int planes; /* 1 grey, 3, 4 with alpha, which is read and left alone */
    int shift_x, shift_y;
    int depth;       /* bits per sample */
    bool full;       /* range of samples */
    size_t luma;     /* samples of the plane */
    size_t chroma;   /* of each of the two */
    uint8_t *pixels; /* a frame as it is stored */
    size_t size;     /* its bytes */
};

/* C parameters; the position of chroma samples is not looked at. Longest names first. */
static const struct space {
    const char *name;
    int planes, shift_x, shift_y;
} spaces[] = {
    {"420jpeg", 3, 1, 1},  {"420mpeg2", 3, 1, 1}, {"420paldv", 3, 1, 1},
    {"444alpha", 4, 0, 0}, {"420", 3, 1, 1},      {"422", 3, 1, 0},
    {"411", 3, 2, 0},      {"444", 3, 0, 0},      {"mono", 1, 0, 0},
};

static bool knows(const char *path, const uint8_t *head, size_t size)
{
    (void)path;
    return size > sizeof magic - 1 && memcmp(head, magic, sizeof magic - 1) == 0 &&
           (head[sizeof magic - 1] == ' ' || head[sizeof magic - 1] == '\n');
}

/* Takes a line without its end; false: the stream ends before, the line is longer than a line may
 * be, or holds what is not text. */
static bool take_line(char line[MAX_LINE], struct vi_stream *stream)
{
    size_t size, length = 0;
    /* A live frame's line comes with the frame; waiting for a whole look ahead would be late. */
    const uint8_t *bytes = vi_stream_peek(stream, 1, &size);
    while (length < MAX_LINE) {
        if (length == size) {
            size_t before = size;
            bytes = vi_stream_peek(stream, size + 1, &size);
            if (size == before) return false;
        }
        if (bytes[length] == '\n') break;
        if (bytes[length] < ' ' || bytes[length] > '~') return false;
        length++;
    }
    if (length == MAX_LINE) return false;
    memcpy(line, bytes, length);
    line[length] = '\0';
    return vi_stream_skip(stream, length + 1);
}

/* "12:1" or "12/1"; false: anything else. */
static bool parse_ratio(double *ratio, const char *text)
{
    char *end;
    double over = strtod(text, &end), under = 1;
    if (end == text || (*end != ':' && *end != '/')) return false;
    text = end + 1;
    under = strtod(text, &end);
    if (end == text || *end) return false;
    *ratio = over > 0 && under > 0 && over / under < 1e6 ? over / under : 0;
    return true;
}

/* A whole number of 1 .. 65535; 0: anything else. */
static int parse_size(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9') return 0;
    long value = strtol(text, &end, 10);
    return *end == '\0' && value > 0 && value <= 65535 ? (int)value : 0;
}

/* "420", "420mpeg2", "420p10", "mono16" ... */
static bool parse_space(struct y4m *y4m, const char *text)
{
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        const struct space *s = &spaces[i];
        size_t length = strlen(s->name);
        if (strncmp(text, s->name, length) != 0) continue;
        const char *rest = text + length;
        y4m->planes = s->planes;
        y4m->shift_x = s->shift_x;
        y4m->shift_y = s->shift_y;
        y4m->depth = 8;
        if (*rest == '\0') return true;
        if (s->planes == 3 && *rest++ != 'p') return false;
        y4m->depth = parse_size(rest);
        return y4m->depth > 8 && y4m->depth <= 16;
    }
    return false;
}

static bool parse_parameter(struct y4m *y4m, struct vi_capture *capture, const char *word)
{
    switch (*word) {
    case 'W':
        return (y4m->width = parse_size(word + 1)) > 0;
    case 'H':
        return (y4m->height = parse_size(word + 1)) > 0;
    case 'F':
        return parse_ratio(&capture->info.rate, word + 1);
    case 'C':
        return parse_space(y4m, word + 1);
    case 'X':
        if (strcmp(word, "XCOLORRANGE=FULL") == 0) y4m->full = true;
        return true;
    case 'I': /* interlaced: the frame holds the lines of both fields, as a picture does */
    case 'A': /* shape of pixels */
        return true;
    default:
        return false;
    }
}

static enum nn_status parse_header(struct y4m *y4m, struct vi_capture *capture)
{
    char line[MAX_LINE], *rest = NULL, quoted[NN_QUOTED];
    const char *name = vi_stream_name(capture->stream);
    struct nn_context *context = capture->context;
    *y4m = (struct y4m){.planes = 3, .shift_x = 1, .shift_y = 1, .depth = 8};
    if (!take_line(line, capture->stream))
        return nn_fail(context, NN_ERROR_FORMAT, "%s: the header of a y4m file has no end", name);
    strtok_r(line, " ", &rest);
    for (const char *word; (word = strtok_r(NULL, " ", &rest)) != NULL;) {
        if (parse_parameter(y4m, capture, word)) continue;
        return nn_fail(context, *word == 'C' ? NN_ERROR_UNSUPPORTED : NN_ERROR_FORMAT,
                       "%s: y4m parameter %s is not known here", name, nn_quote(quoted, word));
    }
    if (y4m->width && y4m->height) return NN_OK;
    return nn_fail(context, NN_ERROR_FORMAT, "%s: the y4m header does not say how large frames are",
                   name);
}

/* How many there are can be told if all "FRAME" lines are bare. */
static int64_t count_frames(const struct y4m *y4m, const struct vi_stream *stream)
{
    uint64_t size = vi_stream_size(stream), head = vi_stream_tell(stream);
    uint64_t frame = (uint64_t)y4m->size + 6;
    if (size == UINT64_MAX || size < head || (size - head) % frame) return -1;
    return (int64_t)((size - head) / frame);
}

static enum nn_status open_y4m(struct vi_capture *capture)
{
    struct y4m *y4m = nn_alloc(capture->context, 1, sizeof *y4m);
    capture->state = y4m;
    if (!y4m) return NN_ERROR_MEMORY;
    enum nn_status status = parse_header(y4m, capture);
    /* The limit comes before anything is allocated. */
    if (!status) status = vi_capture_size(capture, y4m->width, y4m->height);
    if (status) return status;
    size_t columns = ((size_t)y4m->width + (1u << y4m->shift_x) - 1) >> y4m->shift_x;
    size_t rows = ((size_t)y4m->height + (1u << y4m->shift_y) - 1) >> y4m->shift_y;
    y4m->luma = (size_t)y4m->width * (size_t)y4m->height;
    y4m->chroma = y4m->planes > 1 ? columns * rows : 0;
    y4m->size = y4m->luma + 2 * y4m->chroma + (y4m->planes == 4 ? y4m->luma : 0);
    if (y4m->depth > 8) y4m->size *= 2;
    capture->info.width = y4m->width;
    capture->info.height = y4m->height;
    capture->info.frames = count_frames(y4m, capture->stream);
    y4m->pixels = nn_alloc(capture->context, y4m->size, 1);
    return y4m->pixels ? NN_OK : NN_ERROR_MEMORY;
}

/* 16-bit samples become 8-bit ones in place: each is written where no later one is read. */
static void drop_bits(struct y4m *y4m)
{
    size_t samples = y4m->size / 2;
    int shift = y4m->depth - 8;
    for (size_t i = 0; i < samples; i++) {
        int value = (y4m->pixels[2 * i] | y4m->pixels[2 * i + 1] << 8) >> shift;
        y4m->pixels[i] = (uint8_t)(value > 255 ? 255 : value);
    }
}

static void to_rgb(struct y4m *y4m, struct vi_capture *capture)
{
    if (y4m->depth > 8) drop_bits(y4m);
    struct vi_yuv yuv = {.y = y4m->pixels,
                         .y_stride = y4m->width,
                         .shift_x = y4m->shift_x,
                         .shift_y = y4m->shift_y,
                         .full = y4m->full};
    if (y4m->chroma) {
        yuv.u = y4m->pixels + y4m->luma;
        yuv.v = yuv.u + y4m->chroma;
        yuv.uv_stride = (y4m->width + (1 << y4m->shift_x) - 1) >> y4m->shift_x;
    }
    vi_capture_yuv(capture, &yuv);
}

/* The file is cut off: the frame that was to come is broken, and the last. */
static enum vi_found cut_off(struct vi_capture *capture)
{
    capture->status = vi_stream_status(capture->stream);
    if (capture->status) return VI_FOUND_ERROR;
    nn_fail(capture->context, NN_ERROR_FORMAT, "%s ends within frame %lld",
            vi_stream_name(capture->stream), (long long)capture->next);
    return VI_FOUND_BROKEN;
}

/* There is nothing to find the next frame by. */
static enum vi_found torn(struct vi_capture *capture)
{
    size_t size;
    const uint8_t *bytes = vi_stream_peek(capture->stream, MAX_LINE, &size);
    if (size < MAX_LINE && memcmp(bytes, "FRAME", size < 5 ? size : 5) == 0) {
        vi_stream_skip(capture->stream, size);
        return cut_off(capture);
    }
    capture->status =
        nn_fail(capture->context, NN_ERROR_FORMAT,
                "%s is torn: frame %lld should begin at byte %llu", vi_stream_name(capture->stream),
                (long long)capture->next, (unsigned long long)vi_stream_tell(capture->stream));
    return VI_FOUND_ERROR;
}

static enum vi_found read_y4m(struct vi_capture *capture, bool wanted)
{
    struct y4m *y4m = capture->state;
    struct vi_stream *stream = capture->stream;
    char line[MAX_LINE];
    size_t left;
    const uint8_t *bytes = vi_stream_peek(stream, 6, &left);
    capture->status = vi_stream_status(stream);
    if (!left) return capture->status ? VI_FOUND_ERROR : VI_FOUND_END;
    bool frame = left >= 6 && memcmp(bytes, "FRAME", 5) == 0 && strchr(" \n", bytes[5]);
    if (!frame || !take_line(line, stream)) return torn(capture);
    bool whole = wanted ? vi_stream_read(stream, y4m->pixels, y4m->size) == y4m->size
                        : vi_stream_skip(stream, y4m->size);
    if (!whole) return cut_off(capture);
    if (wanted) to_rgb(y4m, capture);
    return VI_FOUND_FRAME;
}

static void close_y4m(struct vi_capture *capture)
{
    struct y4m *y4m = capture->state;
    if (y4m) nn_free(capture->context, y4m->pixels);
    nn_free(capture->context, y4m);
}

const struct vi_source_kind vi_source_y4m = {"y4m", knows, open_y4m, read_y4m, close_y4m};
