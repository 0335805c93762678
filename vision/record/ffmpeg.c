/*
 * ffmpeg.c — H.264 in fragmented MP4 and QuickTime files, by the ffmpeg program (version 4 or
 * newer): it is fed with pixels and gives back the file, which is written here, so that what is
 * true of other recordings is true of these: a name only for what can be played, an end at a whole
 * fragment where the disk is full, an error for everything that goes wrong.
 */
#include "vision/capture/process.h"
#include "vision/record/record.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILE_END, WORDS }; /* its ends, in the order of vi_process.out */
enum {
    MAX_WORDS = 600, /* of what it says, the first bytes are kept */
    BUFFER = 65536,
    SILENCE = 60 * 1000, /* milliseconds in which it neither takes nor gives anything */
    LISTING = 1 << 16    /* bytes of the list of its encoders */
};

/* In order of preference, with what they are asked for. */
static const struct encoder {
    const char *name;
    bool crf; /* quality is constant, not the bits per second */
} encoders[] = {
    {"libx264", true}, {"libopenh264", false}, {"h264_v4l2m2m", false}, {"h264_omx", false}};

struct h264 {
    struct vi_process process;
    uint8_t *pixels; /* the last picture, without gaps */
    size_t size;
    char words[MAX_WORDS + 1];
    size_t word_bytes;
    uint8_t head[8]; /* of the box that comes from it */
    size_t head_bytes;
    uint64_t left; /* bytes of that box still to come */
    bool is_data;
    uint8_t buffer[BUFFER];
};

/* ---- what it gives back ---------------------------------------------------------------------- */

static enum nn_status complain(struct vi_recorder *recorder, const char *how)
{
    struct h264 *h264 = recorder->state;
    char quoted[NN_QUOTED], words[2 * MAX_WORDS + 1];
    vi_process_tidy(words, h264->words);
    return nn_fail(recorder->context, NN_ERROR_IO, "cannot write %s: ffmpeg %s%s%s",
                   nn_quote(quoted, recorder->path), how, *words ? ": " : ", without a word",
                   words);
}

/* Boxes: whenever one of data has ended, the file is whole. */
static enum nn_status take_file(struct vi_recorder *recorder, const uint8_t *bytes, size_t size)
{
    struct h264 *h264 = recorder->state;
    enum nn_status status = NN_OK;
    while (size && !status) {
        size_t part = sizeof h264->head - h264->head_bytes;
        bool head = part > 0;
        if (!head) part = h264->left < size ? (size_t)h264->left : size;
        if (part > size) part = size;
        status = vi_output_put(&recorder->output, bytes, part);
        if (status) break;
        if (head) {
            memcpy(h264->head + h264->head_bytes, bytes, part);
            h264->head_bytes += part;
            uint32_t whole = vi_be32(h264->head);
            /* 0 and 1 would be boxes up to the end, and of more than 4 GB */
            h264->left = whole >= 8 ? whole - 8 : UINT64_MAX;
            h264->is_data = memcmp(h264->head + 4, "mdat", 4) == 0;
        } else {
            h264->left -= part;
        }
        bytes += part;
        size -= part;
        if (h264->head_bytes < sizeof h264->head || h264->left) continue;
        h264->head_bytes = 0;
        if (h264->is_data) status = vi_output_commit(&recorder->output);
    }
    return status;
}

static void take_words(struct h264 *h264)
{
    char more[MAX_WORDS];
    size_t size = vi_process_read(&h264->process.out[WORDS], more, sizeof more);
    if (size > MAX_WORDS - h264->word_bytes) size = MAX_WORDS - h264->word_bytes;
    memcpy(h264->words + h264->word_bytes, more, size);
    h264->word_bytes += size;
    h264->words[h264->word_bytes] = '\0';
}

/* Waits until something can be done, and does it: of `bytes` it takes some, what it gives is
 * written. */
static enum nn_status pump(struct vi_recorder *recorder, const uint8_t **bytes, size_t *size)
{
    struct h264 *h264 = recorder->state;
    struct vi_process *process = &h264->process;
    struct pollfd ends[3] = {{process->out[FILE_END], POLLIN, 0},
                             {process->out[WORDS], POLLIN, 0},
                             {*size ? process->in : -1, POLLOUT, 0}};
    int ready = poll(ends, 3, SILENCE);
    if (ready == 0) return complain(recorder, "gave no sign of life any more");
    if (ready < 0) return errno == EINTR ? NN_OK : vi_output_fail(&recorder->output, errno);
    if (ends[1].revents) take_words(h264);
    if (ends[2].revents) {
        ssize_t sent = send(process->in, *bytes, *size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            *bytes += sent;
            *size -= (size_t)sent;
        } else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
            vi_process_close_end(&process->in);
        }
    }
    if (!ends[0].revents) return NN_OK;
    size_t got = vi_process_read(&process->out[FILE_END], h264->buffer, BUFFER);
    return take_file(recorder, h264->buffer, got);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Takes what it still has to give, and its exit code. */
static enum nn_status await_end(struct vi_recorder *recorder, int *code)
{
    struct h264 *h264 = recorder->state;
    const uint8_t *none = NULL;
    size_t nothing = 0;
    enum nn_status status = NN_OK;
    vi_process_close_end(&h264->process.in);
    while (!status && (h264->process.out[FILE_END] >= 0 || h264->process.out[WORDS] >= 0))
        status = pump(recorder, &none, &nothing);
    for (int waited = 0; !status && !vi_process_ended(&h264->process, code); waited++) {
        if (waited == SILENCE / 10) status = complain(recorder, "did not end");
        poll(NULL, 0, 10);
    }
    return status;
}

static enum nn_status finish(struct vi_recorder *recorder)
{
    char how[64];
    int code = 0;
    enum nn_status status = await_end(recorder, &code);
    if (status) return status;
    snprintf(how, sizeof how, "failed with code %d", code);
    if (code > 0) return complain(recorder, how);
    return vi_output_commit(&recorder->output);
}

/* It takes no more pictures, though there are some. */
static enum nn_status broke_off(struct vi_recorder *recorder)
{
    char how[64];
    int code = -1;
    enum nn_status status = await_end(recorder, &code);
    if (status) return status;
    snprintf(how, sizeof how, "broke off with code %d after %lld pictures", code,
             (long long)recorder->frames);
    return complain(recorder, how);
}

/* ---- pictures -------------------------------------------------------------------------------- */

static enum nn_status send_picture(struct vi_recorder *recorder)
{
    struct h264 *h264 = recorder->state;
    const uint8_t *bytes = h264->pixels;
    size_t size = h264->size;
    enum nn_status status = NN_OK;
    while (size && !status && h264->process.in >= 0) status = pump(recorder, &bytes, &size);
    return status || !size ? status : broke_off(recorder);
}

static enum nn_status write_picture(struct vi_recorder *recorder, const struct vi_image *image,
                                    double seconds)
{
    struct h264 *h264 = recorder->state;
    struct vi_image packed = {h264->pixels, image->width, image->height, 3,
                              3 * (ptrdiff_t)image->width};
    (void)seconds;
    vi_image_copy(&packed, image);
    return send_picture(recorder);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Lines are " V....D libx264   libx264 H.264 ...". */
static const struct encoder *find_encoder(const char *listing)
{
    char word[32];
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++) {
        snprintf(word, sizeof word, " %s ", encoders[i].name);
        if (strstr(listing, word)) return &encoders[i];
    }
    return NULL;
}

/* *encoder NULL: it has none of those that are known here. */
static enum nn_status ask_encoders(struct vi_recorder *recorder, char *program,
                                   const struct encoder **encoder)
{
    struct vi_process process;
    char *argv[] = {program, "-hide_banner", "-v", "error", "-encoders", NULL};
    char *listing = nn_alloc(recorder->context, LISTING + 1, 1);
    size_t size = 0;
    *encoder = NULL;
    if (!listing) return NN_ERROR_MEMORY;
    enum nn_status status = vi_process_start(&process, recorder->context, argv, VI_INPUT_EMPTY);
    while (!status && size < LISTING && process.out[FILE_END] >= 0) {
        struct pollfd end = {process.out[FILE_END], POLLIN, 0};
        if (poll(&end, 1, SILENCE) == 0) break;
        size += vi_process_read(&process.out[FILE_END], listing + size, LISTING - size);
    }
    if (!status) vi_process_kill(&process);
    if (!status) *encoder = find_encoder(listing);
    nn_free(recorder->context, listing);
    return status;
}

static enum nn_status start_program(struct vi_recorder *recorder, char *program,
                                    const struct encoder *encoder)
{
    struct h264 *h264 = recorder->state;
    char size[32], rate[32], second[16], crf[16], name[32], format[8];
    snprintf(size, sizeof size, "%dx%d", recorder->width, recorder->height);
    snprintf(rate, sizeof rate, "%u/%u", recorder->rate, recorder->scale);
    snprintf(second, sizeof second, "%u",
             recorder->rate > recorder->scale ? recorder->rate / recorder->scale : 1);
    /* 90 becomes 20, which is hard to tell from the original; 50 becomes 34. */
    snprintf(crf, sizeof crf, "%d", 51 - recorder->quality * 35 / 100);
    snprintf(name, sizeof name, "%s", encoder->name);
    snprintf(format, sizeof format, "%s", recorder->kind->format);
    /* Sides are even in 4:2:0. A fragment is out as soon as the next one's first picture is in. */
    char *argv[] = {program,
                    "-nostdin",
                    "-v",
                    "error",
                    "-f",
                    "rawvideo",
                    "-pix_fmt",
                    "rgb24",
                    "-video_size",
                    size,
                    "-framerate",
                    rate,
                    "-i",
                    "pipe:0",
                    "-vf",
                    "pad=ceil(iw/2)*2:ceil(ih/2)*2,format=yuv420p",
                    "-g",
                    second,
                    "-f",
                    format,
                    "-movflags",
                    "+frag_keyframe+empty_moov+default_base_moof",
                    "-flush_packets",
                    "1",
                    "-c:v",
                    name,
                    encoder->crf ? "-crf" : "-b:v",
                    encoder->crf ? crf : "4M",
                    encoder->crf ? "-preset" : "pipe:1",
                    encoder->crf ? "veryfast" : NULL,
                    "-tune",
                    "zerolatency",
                    "pipe:1",
                    NULL};
    return vi_process_start(&h264->process, recorder->context, argv, VI_INPUT_FED);
}

static enum nn_status start(struct vi_recorder *recorder)
{
    struct nn_context *context = recorder->context;
    const struct encoder *encoder = NULL;
    char *program = NULL;
    struct h264 *h264 = nn_alloc(context, 1, sizeof *h264);
    recorder->state = h264;
    if (!h264) return NN_ERROR_MEMORY;
    h264->process = (struct vi_process){.in = -1, .out = {-1, -1, -1}};
    h264->size = 3 * (size_t)recorder->width * (size_t)recorder->height;
    h264->pixels = nn_alloc(context, h264->size, 1);
    enum nn_status status =
        h264->pixels ? vi_process_find(&program, context, "ffmpeg") : NN_ERROR_MEMORY;
    if (!status && !program)
        status = nn_fail(context, NN_ERROR_UNSUPPORTED,
                         "recording H.264 needs the ffmpeg program, which is not installed "
                         "(Debian, Ubuntu: apt install ffmpeg); without it there is mjpeg");
    if (!status) status = ask_encoders(recorder, program, &encoder);
    if (!status && !encoder)
        status = nn_fail(context, NN_ERROR_UNSUPPORTED,
                         "this ffmpeg has no H.264 encoder (looked for libx264, libopenh264, "
                         "h264_v4l2m2m, h264_omx); without it there is mjpeg");
    if (encoder) status = start_program(recorder, program, encoder);
    nn_free(context, program);
    return status;
}

static void release(struct vi_recorder *recorder)
{
    struct h264 *h264 = recorder->state;
    if (!h264) return;
    vi_process_kill(&h264->process);
    nn_free(recorder->context, h264->pixels);
    nn_free(recorder->context, h264);
}

#define H264(name)                                                                                 \
    {                                                                                              \
        .format = name, .codec = "h264", .steady = true, .start = start, .write = write_picture,   \
        .repeat = send_picture, .finish = finish, .release = release                               \
    }
const struct vi_recorder_kind vi_recorder_h264_mp4 = H264("mp4"),
                              vi_recorder_h264_mov = H264("mov");
