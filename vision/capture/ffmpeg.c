/*
 * ffmpeg.c — everything else, through the ffmpeg program (versions 4 to 9).
 *
 * It is asked for two outputs, for one decoding:
 *
 *     standard output   a PPM picture per frame: its size stands before it
 *     descriptor 3      framecrc: a line of text per frame: its time, and how long it is shown
 *
 * The times are the first output, so that no picture comes before its time. Frames are passed
 * through, neither doubled nor dropped to even out the rate, and turned as the file says. Colours
 * are those that OpenCV's VideoCapture has: ITU-R BT.601 whatever the file says, by swscale.
 *
 * One loop waits for all ends at once: nothing that ffmpeg says or is fed can make it stand still.
 */
#include "vision/capture/capture.h"
#include "vision/capture/process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PICTURES, WORDS, TIMES }; /* its ends, in the order of vi_process.out */
enum {
    BUFFER = 65536,
    MAX_WORDS = 600,      /* of what it says, the last bytes are kept */
    MAX_STAMPS = 1024,    /* frames that times may run ahead of pictures */
    MAX_REFEED = 1 << 20, /* bytes of input that can be fed a second time */
    SILENCE = 120 * 1000, /* milliseconds in which nothing at all comes from a file */
    PATIENCE = 3 * 1000   /* for the time of a frame; for its end after the last frame */
};

struct source {
    struct vi_process process;
    struct vi_bytes fed; /* input on its way, from fed_at */
    size_t fed_at;
    bool piped;    /* it is fed */
    bool answered; /* a frame has come: what was fed is not needed again */
    bool lost;     /* too much to be fed again */
    enum nn_status fed_status;

    char words[MAX_WORDS + 1];
    size_t word_bytes;
    bool complained; /* and that has been told */

    char line[64]; /* of times; what is longer is cut */
    size_t line_bytes;
    double unit; /* seconds; 0: not yet told */
    double stamps[MAX_STAMPS];
    unsigned first_stamp, stamp_count;
    bool timeless; /* times are missing, or make no sense */

    uint8_t buffer[BUFFER]; /* of pictures */
    size_t at, filled;
    int width, height; /* of the frame whose header has been read; 0: none */
    bool silent;
};

static bool knows(const char *path, const uint8_t *head, size_t size)
{
    (void)path, (void)head, (void)size;
    return false; /* it is asked when all others have shaken their heads */
}

/* ---- what comes from the ends ---------------------------------------------------------------- */

static void take_words(struct source *source)
{
    char more[MAX_WORDS];
    size_t size = vi_process_read(&source->process.out[WORDS], more, sizeof more);
    size_t drop = source->word_bytes + size > MAX_WORDS ? source->word_bytes + size - MAX_WORDS : 0;
    memmove(source->words, source->words + drop, source->word_bytes - drop);
    memcpy(source->words + source->word_bytes - drop, more, size);
    source->word_bytes += size - drop;
    source->words[source->word_bytes] = '\0';
}

/* "#tb 0: 1/90000" once, then "0, dts, pts, duration, ..." for each frame. */
static void take_line(struct vi_capture *capture)
{
    struct source *source = capture->state;
    long long over, under, stamp, duration;
    if (sscanf(source->line, "#tb 0: %lld/%lld", &over, &under) == 2 && over > 0 && under > 0)
        source->unit = (double)over / (double)under;
    if (source->line[0] == '#' || source->timeless) return;
    unsigned next = (source->first_stamp + source->stamp_count) % MAX_STAMPS;
    source->timeless = source->unit <= 0 || source->stamp_count == MAX_STAMPS ||
                       sscanf(source->line, "0, %*d, %lld, %lld", &stamp, &duration) != 2;
    if (source->timeless) return;
    source->stamps[next] = (double)stamp * source->unit;
    source->stamp_count++;
    if (capture->info.rate <= 0 && duration > 0)
        capture->info.rate = 1 / ((double)duration * source->unit);
}

static void take_times(struct vi_capture *capture)
{
    struct source *source = capture->state;
    char more[4096];
    size_t size = vi_process_read(&source->process.out[TIMES], more, sizeof more);
    for (size_t i = 0; i < size; i++) {
        if (more[i] != '\n') {
            if (source->line_bytes < sizeof source->line - 1)
                source->line[source->line_bytes++] = more[i];
            continue;
        }
        source->line[source->line_bytes] = '\0';
        source->line_bytes = 0;
        take_line(capture);
    }
}

/* Passes a part of the stream on; what ffmpeg does not want any more is not an error. */
static void feed(struct vi_capture *capture)
{
    struct source *source = capture->state;
    struct vi_bytes *fed = &source->fed;
    size_t size = 0;
    if (source->fed_at == fed->size) {
        if (source->answered || fed->size >= MAX_REFEED) {
            source->lost = !source->answered;
            source->fed_at = fed->size = 0;
        }
        const uint8_t *bytes = vi_stream_peek(capture->stream, 1, &size);
        source->fed_status = size ? vi_bytes_append(fed, capture->context, bytes, size)
                                  : vi_stream_status(capture->stream);
        if (size == 0 || source->fed_status) {
            vi_process_close_end(&source->process.in);
            return;
        }
        vi_stream_skip(capture->stream, size);
    }
    ssize_t sent = send(source->process.in, fed->data + source->fed_at, fed->size - source->fed_at,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0)
        source->fed_at += (size_t)sent;
    else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
        vi_process_close_end(&source->process.in);
}

/* Waits until something can be done, and does it. Up to `room` bytes of pictures go `to`; returns
 * how many. source->silent: nothing came for so long. */
static size_t pump(struct vi_capture *capture, void *to, size_t room, int milliseconds)
{
    struct source *source = capture->state;
    struct vi_process *process = &source->process;
    struct pollfd ends[4];
    size_t buffered = 0;
    bool pending = source->fed_at < source->fed.size;
    for (int i = 0; i < 3; i++) ends[i] = (struct pollfd){process->out[i], POLLIN, 0};
    if (!room) ends[PICTURES].fd = -1;
    ends[3] = (struct pollfd){process->in, POLLOUT, 0};
    if (process->in >= 0 && !pending) {
        vi_stream_peek(capture->stream, 0, &buffered);
        if (!buffered) ends[3] = (struct pollfd){vi_stream_descriptor(capture->stream), POLLIN, 0};
    }
    int ready = poll(ends, 4, milliseconds);
    source->silent = ready == 0;
    if (ready <= 0) return 0;
    if (ends[WORDS].revents) take_words(source);
    if (ends[TIMES].revents) take_times(capture);
    if (ends[3].revents) feed(capture);
    return ends[PICTURES].revents ? vi_process_read(&process->out[PICTURES], to, room) : 0;
}

/* Bytes of pictures; fewer than asked for: no more come. `to` NULL: passed over. */
static size_t take(struct vi_capture *capture, uint8_t *to, size_t size)
{
    struct source *source = capture->state;
    int limit = capture->stream ? -1 : SILENCE;
    size_t done = 0;
    source->silent = false;
    while (done < size) {
        size_t part = source->filled - source->at, left = size - done;
        if (part) {
            if (part > left) part = left;
            if (to) memcpy(to + done, source->buffer + source->at, part);
            source->at += part;
            done += part;
        } else if (source->process.out[PICTURES] < 0) {
            break;
        } else if (to && left >= BUFFER) { /* no need to pass through the buffer */
            done += pump(capture, to + done, left, limit);
        } else {
            source->at = 0;
            source->filled = pump(capture, source->buffer, BUFFER, limit);
        }
        if (source->silent) break;
    }
    return done;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* "%s: ffmpeg %s: what it said". */
static enum nn_status complain(struct vi_capture *capture, const char *how)
{
    struct source *source = capture->state;
    char quoted[NN_QUOTED], words[2 * MAX_WORDS + 1];
    vi_process_tidy(words, source->words);
    const char *name =
        capture->stream ? vi_stream_name(capture->stream) : nn_quote(quoted, capture->path);
    return nn_fail(capture->context, NN_ERROR_FORMAT, "%s: ffmpeg %s%s%s%s", name, how,
                   *words ? ": " : ", without a word", words,
                   source->piped && !source->answered
                       ? " (in a pipe it cannot look for what comes last: save it to a file)"
                       : "");
}

static enum vi_found fail(struct vi_capture *capture, const char *how, int code)
{
    struct source *source = capture->state;
    char text[100], exit_code[32] = "";
    if (code >= 0) snprintf(exit_code, sizeof exit_code, " with code %d", code);
    snprintf(text, sizeof text, "%s%s after %lld frames", how, exit_code, (long long)capture->next);
    vi_process_kill(&source->process);
    capture->status = complain(capture, text);
    return VI_FOUND_ERROR;
}

/* No more pictures come. `whole`: the last one was. */
static enum vi_found finish(struct vi_capture *capture, bool whole)
{
    struct source *source = capture->state;
    int code = -1, waited = 0;
    capture->status = source->fed_status;
    if (capture->status) return VI_FOUND_ERROR; /* the stream's, and so is the message */
    if (source->silent) return fail(capture, "gave no sign of life any more", -1);
    /* It may still have words; then it ends within a moment. */
    while (!vi_process_ended(&source->process, &code)) {
        if (waited > PATIENCE) return fail(capture, "did not end", -1);
        waited += 10;
        pump(capture, NULL, 0, 10);
    }
    do pump(capture, NULL, 0, 0);
    while (!source->silent && source->process.out[WORDS] >= 0);
    if (!whole || code > 0) return fail(capture, "broke off", code);
    if (source->word_bytes == 0 || source->complained) return VI_FOUND_END;
    if (capture->next == 0) return fail(capture, "found no pictures", -1);
    source->complained = true;
    complain(capture, "complained");
    return VI_FOUND_BROKEN;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* "P6\n640 480\n255\n", and nothing else. */
static enum vi_found read_header(struct vi_capture *capture)
{
    struct source *source = capture->state;
    char header[40], same[64];
    size_t size = 0;
    int width = 0, height = 0, lines = 0;
    if (source->width) return VI_FOUND_FRAME;
    while (lines < 3 && size < sizeof header - 1) {
        if (take(capture, (uint8_t *)header + size, 1) == 0) return finish(capture, size == 0);
        lines += header[size++] == '\n';
    }
    header[size] = '\0';
    sscanf(header, "P6\n%9d %9d", &width, &height);
    snprintf(same, sizeof same, "P6\n%d %d\n255\n", width, height);
    if (strcmp(header, same) != 0 || width < 1 || height < 1)
        return fail(capture, "wrote what is no picture", -1);
    source->width = width;
    source->height = height;
    source->answered = true;
    return VI_FOUND_FRAME;
}

/* Its line may come a moment later; a program that writes none costs that moment once. */
static double next_stamp(struct vi_capture *capture)
{
    struct source *source = capture->state;
    while (source->stamp_count == 0 && !source->timeless && source->process.out[TIMES] >= 0) {
        pump(capture, NULL, 0, PATIENCE);
        if (source->silent) source->timeless = true;
    }
    if (source->stamp_count == 0) return -1;
    double stamp = source->stamps[source->first_stamp];
    source->first_stamp = (source->first_stamp + 1) % MAX_STAMPS;
    source->stamp_count--;
    return stamp;
}

static enum vi_found read_frame(struct vi_capture *capture, bool wanted)
{
    struct source *source = capture->state;
    enum vi_found found = read_header(capture);
    if (found != VI_FOUND_FRAME) return found;
    size_t size = (size_t)source->width * 3 * (size_t)source->height;
    capture->status = vi_capture_size(capture, source->width, source->height);
    if (capture->status) return VI_FOUND_ERROR;
    source->width = 0;
    /* Its rows have no gaps: it is the capture's own. */
    if (take(capture, wanted ? capture->image.pixels : NULL, size) < size)
        return finish(capture, false);
    capture->seconds = next_stamp(capture);
    return VI_FOUND_FRAME;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* `passing`: the option that lets frames through as they are, "-fps_mode" since 5.1, before
 * "-vsync", which 9 knows no more. */
static enum nn_status start(struct vi_capture *capture, char *program, char *name, char *passing,
                            enum vi_process_input input)
{
    struct source *source = capture->state;
    char pixels[24];
    /* It counts what is stored, borders included. */
    uint64_t limit = capture->options.max_pixels + capture->options.max_pixels / 8 + 65536;
    snprintf(pixels, sizeof pixels, "%llu",
             (unsigned long long)(limit < INT32_MAX ? limit : INT32_MAX));
    char *argv[] = {program, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe",
                    "-max_pixels", pixels, "-i", name,
                    /* times, in ticks that all usual rates divide */
                    "-map", "0:V:0", passing, "passthrough", "-enc_time_base", "1:90000", "-c:v",
                    "wrapped_avframe", "-flush_packets", "1", "-f", "framecrc", "pipe:3",
                    /* pictures */
                    "-map", "0:V:0", passing, "passthrough", "-enc_time_base", "1:90000", "-vf",
                    "scale=in_color_matrix=bt601:flags=bicubic", "-pix_fmt", "rgb24", "-c:v", "ppm",
                    "-flush_packets", "1", "-f", "image2pipe", "pipe:1", NULL};
    source->word_bytes = source->fed_at = 0;
    source->words[0] = '\0';
    source->piped = input == VI_INPUT_FED;
    return vi_process_start(&source->process, capture->context, argv, input);
}

/* Standard input that is a file is opened anew by its other name, so that it can be sought in. */
static enum vi_process_input input_of(struct vi_capture *capture, struct nn_text *name)
{
    struct stat info;
    struct vi_stream *stream = capture->stream;
    if (!stream) {
        nn_text_printf(name, "file:%s", capture->path);
        return VI_INPUT_EMPTY;
    }
    bool whole = vi_stream_seekable(stream) && vi_stream_descriptor(stream) == STDIN_FILENO &&
                 fstat(STDIN_FILENO, &info) == 0 &&
                 vi_stream_size(stream) == (uint64_t)info.st_size;
    if (whole && lseek(STDIN_FILENO, 0, SEEK_SET) == 0) {
        nn_text_printf(name, "file:/dev/stdin");
        return VI_INPUT_OURS;
    }
    nn_text_printf(name, "pipe:0");
    return VI_INPUT_FED;
}

/* capture->stream, if it is still there, is at its beginning and becomes ffmpeg's input. */
static enum nn_status open_program(struct vi_capture *capture)
{
    char *const modes[] = {"-fps_mode", "-vsync"};
    struct nn_context *context = capture->context;
    struct nn_text name = {.context = context};
    struct source *source = nn_alloc(context, 1, sizeof *source);
    char *program = NULL;
    capture->state = source;
    if (!source) return NN_ERROR_MEMORY;
    source->process = (struct vi_process){.in = -1, .out = {-1, -1, -1}};
    enum nn_status status = vi_process_find(&program, context, "ffmpeg");
    if (!status && !program)
        status = nn_fail(context, NN_ERROR_UNSUPPORTED, "no ffmpeg program in PATH");
    enum vi_process_input input = status ? VI_INPUT_EMPTY : input_of(capture, &name);
    if (!status && name.failed) status = NN_ERROR_MEMORY;
    for (int i = 0; i < 2 && !status; i++) {
        status = start(capture, program, name.data, modes[i], input);
        if (status) break;
        /* The first frame's header tells whether it can be read, and its size. */
        enum vi_found found = read_header(capture);
        status = found == VI_FOUND_ERROR ? capture->status : NN_OK;
        if (!status || !strstr(source->words, "'fps_mode'")) break;
        if (i == 0 && !source->lost) status = capture->status = NN_OK;
    }
    capture->info.width = source->width;
    capture->info.height = source->height;
    nn_free(context, program);
    nn_text_free(&name);
    return status;
}

static void close_program(struct vi_capture *capture)
{
    struct source *source = capture->state;
    if (!source) return;
    vi_process_kill(&source->process);
    vi_bytes_free(&source->fed, capture->context);
    nn_free(capture->context, source);
    capture->state = NULL;
}

const struct vi_source_kind vi_source_ffmpeg = {"ffmpeg", knows, open_program, read_frame,
                                                close_program};
