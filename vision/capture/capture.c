/*
 * capture.c — which source reads a file, and what is the same for all of them.
 *
 * The first bytes decide. A source that knows the container but not what is in it (H.264 in AVI)
 * hands the file on to the ffmpeg program, as does a file that nobody knows; where that program is
 * missing, the error says how to convert the file elsewhere.
 */
#include "vision/capture/capture.h"
#include "vision/capture/v4l2.h"
#include "vision/codec/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const uint64_t default_pixels = UINT64_C(64000000);

/* A stream that never ends and never holds a picture must not be read for ever. */
enum { MAX_BROKEN_RUN = 100000 };

/* ffmpeg's is not among them: it is asked when all have shaken their heads. */
static const struct vi_source_kind *const kinds[] = {
    &vi_source_pictures, &vi_source_y4m, &vi_source_avi, &vi_source_mp4, &vi_source_mjpeg,
};

/* The source that knows these bytes; NULL: none. */
static const struct vi_source_kind *kind_of(const char *path, const uint8_t *head, size_t size)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i]->knows(path, head, size)) return kinds[i];
    return NULL;
}

/* Containers whose contents only ffmpeg reads, to say what a file is. */
static const struct signature {
    size_t offset, size;
    const char *bytes, *name;
} signatures[] = {
    {0, 4, "\x1A\x45\xDF\xA3", "WebM or Matroska"},
    {0, 4, "OggS", "Ogg"},
    {0, 3, "FLV", "Flash video"},
    {0, 4, "\x30\x26\xB2\x75", "ASF or WMV"},
    {0, 4, "\0\0\1\xBA", "an MPEG program stream"},
    {0, 4, "\0\0\1\xB3", "MPEG video"},
    {0, 5, "\0\0\0\1\x67", "raw H.264"},
    {0, 5, "\0\0\0\1\x40", "raw H.265"},
    {0, 4, "GIF8", "GIF"},
    {0, 4, "DKIF", "IVF"},
};

/* NULL: unknown. */
static const char *container_of(const uint8_t *head, size_t size)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const struct signature *s = &signatures[i];
        if (size >= s->offset + s->size && memcmp(head + s->offset, s->bytes, s->size) == 0)
            return s->name;
    }
    /* MPEG transport stream: packets of 188 bytes that begin with 'G'. */
    if (size > 376 && head[0] == 0x47 && head[188] == 0x47 && head[376] == 0x47)
        return "an MPEG transport stream";
    return NULL;
}

static bool is_jpeg(const uint8_t *head, size_t size)
{
    return size >= 3 && memcmp(head, "\377\330\377", 3) == 0;
}

/* Both are JPEG from the first byte; what follows the first one tells. Streams that cannot be
 * rewound are streams. */
static const struct vi_source_kind *picture_or_stream(struct vi_stream *stream)
{
    if (!vi_stream_seekable(stream)) return &vi_source_mjpeg;
    bool many = vi_mjpeg_is_stream(stream);
    vi_stream_rewind(stream);
    return many ? &vi_source_mjpeg : &vi_source_pictures;
}

static enum nn_status start(struct vi_capture *capture, const struct vi_source_kind *kind)
{
    capture->kind = kind;
    capture->info.format = kind->format;
    capture->info.frames = -1;
    return kind->open(capture);
}

/* `why`: what the file is. ffmpeg opens a file anew by its name, and is fed with a stream. */
static enum nn_status hand_to_ffmpeg(struct vi_capture *capture, const char *why)
{
    char copy[512];
    struct nn_context *context = capture->context;
    bool by_name = vi_stream_seekable(capture->stream) && strcmp(capture->path, "-") != 0;
    snprintf(copy, sizeof copy, "%s", why);
    if (!vi_stream_rewind(capture->stream))
        return nn_fail(context, NN_ERROR_UNSUPPORTED,
                       "%s; save it to a file, or send it through ffmpeg first: "
                       "... | ffmpeg -i - -c:v mjpeg -q:v 2 -f avi - | ...",
                       copy);
    if (!capture->options.no_ffmpeg) {
        if (by_name) vi_stream_close(&capture->stream);
        enum nn_status status = start(capture, &vi_source_ffmpeg);
        if (status != NN_ERROR_UNSUPPORTED) return status;
    }
    return nn_fail(context, NN_ERROR_UNSUPPORTED,
                   "%s; the ffmpeg program, which may read it, is not %s. Convert it elsewhere: "
                   "ffmpeg -i IN -c:v mjpeg -q:v 2 OUT.avi",
                   copy,
                   capture->options.no_ffmpeg ? "to be used"
                                              : "installed (Debian, Ubuntu: apt install ffmpeg)");
}

static enum nn_status nobody_knows(struct vi_capture *capture, const uint8_t *head, size_t size)
{
    char why[512], hex[16] = "";
    const char *name = vi_stream_name(capture->stream), *container = container_of(head, size);
    enum nn_status status = vi_stream_status(capture->stream);
    if (status) return status;
    if (size == 0) return nn_fail(capture->context, NN_ERROR_FORMAT, "%s is empty", name);
    for (size_t i = 0; i < 4 && i < size; i++) sprintf(hex + 3 * i, "%02X ", head[i]);
    hex[strlen(hex) - 1] = '\0';
    if (container)
        snprintf(why, sizeof why, "%s is %s", name, container);
    else
        snprintf(why, sizeof why, "%s is of an unknown format (begins %s)", name, hex);
    /* ffmpeg would make a video of a text, and follow a playlist to other files. */
    if (!container && !memchr(head, 0, size))
        return nn_fail(capture->context, NN_ERROR_UNSUPPORTED, "%s, and is no video", why);
    return hand_to_ffmpeg(capture, why);
}

static enum nn_status start_stream(struct vi_capture *capture)
{
    size_t size;
    const uint8_t *head = vi_stream_head(capture->stream, &size);
    const struct vi_source_kind *kind = kind_of(capture->path, head, size);
    if (!kind) return nobody_knows(capture, head, size);
    if (is_jpeg(head, size)) kind = picture_or_stream(capture->stream);
    enum nn_status status = start(capture, kind);
    if (status != NN_ERROR_UNSUPPORTED) return status;
    kind->close(capture);
    capture->state = NULL;
    capture->info = (struct vi_capture_info){0};
    return hand_to_ffmpeg(capture, nn_error(capture->context));
}

/* A capture of nothing yet; on failure too `stream` has an owner or is closed. */
static struct vi_capture *new_capture(struct nn_context *context, struct vi_stream *stream,
                                      const char *path, const struct vi_capture_options *options)
{
    struct vi_capture *capture = nn_alloc(context, 1, sizeof *capture);
    if (!capture) {
        vi_stream_close(&stream);
        return NULL;
    }
    capture->context = context;
    capture->stream = stream;
    if (options) capture->options = *options;
    if (!capture->options.max_pixels) capture->options.max_pixels = default_pixels;
    capture->path = nn_strdup(context, path);
    if (!capture->path) vi_capture_close(&capture);
    return capture;
}

enum nn_status vi_capture_from(struct vi_capture **capture, struct nn_context *context,
                               struct vi_stream *stream, const char *path,
                               const struct vi_capture_options *options)
{
    *capture = new_capture(context, stream, path, options);
    if (!*capture) return NN_ERROR_MEMORY;
    enum nn_status status = start_stream(*capture);
    if (status) vi_capture_close(capture);
    return status;
}

/* What has no first bytes: a folder, a camera. */
static enum nn_status open_kind(struct vi_capture **capture, struct nn_context *context,
                                const char *path, const struct vi_capture_options *options,
                                const struct vi_camera_system *system)
{
    *capture = new_capture(context, NULL, path, options);
    if (!*capture) return NN_ERROR_MEMORY;
    (*capture)->cameras = system;
    enum nn_status status = start(*capture, system ? &vi_source_camera : &vi_source_pictures);
    if (status) vi_capture_close(capture);
    return status;
}

enum nn_status vi_capture_open_camera(struct vi_capture **capture, struct nn_context *context,
                                      const char *path, const struct vi_capture_options *options,
                                      const struct vi_camera_system *system)
{
    struct stat info;
    struct vi_stream *stream;
    *capture = NULL;
    if (vi_is_camera(path, system)) return open_kind(capture, context, path, options, system);
    if (strcmp(path, "-") != 0 && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return open_kind(capture, context, path, options, NULL);
    enum nn_status status = vi_stream_open(&stream, context, path);
    return status ? status : vi_capture_from(capture, context, stream, path, options);
}

enum nn_status vi_capture_open(struct vi_capture **capture, struct nn_context *context,
                               const char *path, const struct vi_capture_options *options)
{
    return vi_capture_open_camera(capture, context, path, options, &vi_camera_linux);
}

void vi_capture_close(struct vi_capture **capture)
{
    struct vi_capture *old = *capture;
    if (!old) return;
    struct nn_context *context = old->context;
    if (old->kind) old->kind->close(old);
    vi_stream_close(&old->stream);
    vi_image_free(context, &old->image);
    vi_bytes_free(&old->whole, context);
    nn_text_free(&old->label);
    if (old->scratch) vi_scratch_free(old->scratch, context);
    nn_free(context, old->scratch);
    nn_free(context, old->path);
    nn_free(context, old);
    *capture = NULL;
}

/* ---- frames ---------------------------------------------------------------------------------- */

enum vi_found vi_capture_found(struct vi_capture *capture, enum nn_status status)
{
    if (status == NN_OK) return VI_FOUND_FRAME;
    if (status != NN_ERROR_MEMORY && status != NN_ERROR_IO && status != NN_ERROR_INTERRUPTED)
        return VI_FOUND_BROKEN;
    capture->status = status;
    return VI_FOUND_ERROR;
}

void vi_capture_broken(struct vi_capture *capture)
{
    struct vi_capture_info *info = &capture->info;
    info->broken++;
    snprintf(info->last_broken, sizeof info->last_broken, "%s", nn_error(capture->context));
}

/* The next frame that is not broken, or the end. */
static enum nn_status next_found(struct vi_capture *capture, bool wanted, bool *end)
{
    *end = false;
    if (capture->status)
        return nn_fail(capture->context, capture->status,
                       "nothing more can be read after frame %lld: an error came before",
                       (long long)capture->next);
    for (int run = 0; run < MAX_BROKEN_RUN; run++) {
        capture->seconds = -1;
        capture->arrived = 0;
        capture->trouble = NULL;
        capture->name = NULL;
        enum vi_found found = capture->kind->read(capture, wanted);
        if (found == VI_FOUND_ERROR) return capture->status;
        *end = found == VI_FOUND_END;
        if (*end) return NN_OK;
        capture->next++;
        if (found == VI_FOUND_FRAME) return NN_OK;
        vi_capture_broken(capture);
        if (!wanted) return NN_OK;
    }
    return capture->status =
               nn_fail(capture->context, NN_ERROR_FORMAT, "%d broken frames in a row; the last: %s",
                       MAX_BROKEN_RUN, capture->info.last_broken);
}

enum nn_status vi_capture_read(struct vi_capture *capture, struct vi_frame *frame, bool *end)
{
    *frame = (struct vi_frame){0};
    enum nn_status status = next_found(capture, true, end);
    frame->index = capture->next; /* at the end: how many there were */
    if (status || *end) return status;
    struct vi_capture_info *info = &capture->info;
    frame->image = capture->image;
    frame->index = capture->next - 1;
    frame->seconds = capture->seconds;
    if (frame->seconds < 0) frame->seconds = info->rate > 0 ? (double)frame->index / info->rate : 0;
    frame->name = capture->name;
    vi_capture_arrived(capture);
    frame->arrived = capture->arrived;
    frame->trouble = capture->trouble;
    if (info->width == 0) {
        info->width = frame->image.width;
        info->height = frame->image.height;
    }
    return NN_OK;
}

enum nn_status vi_capture_skip(struct vi_capture *capture, int64_t frames)
{
    bool end = false;
    enum nn_status status = NN_OK;
    while (frames-- > 0 && !end && !status) status = next_found(capture, false, &end);
    return status;
}

const struct vi_capture_info *vi_capture_info(const struct vi_capture *capture)
{
    return &capture->info;
}

bool vi_is_video(const char *path)
{
    struct stat info;
    size_t size;
    if (strcmp(path, "-") == 0 || vi_is_camera(path, &vi_camera_linux)) return true;
    if (stat(path, &info) != 0) return false;
    /* Looking at a pipe would take bytes from whoever reads it next. */
    if (!S_ISREG(info.st_mode)) return S_ISDIR(info.st_mode) || S_ISFIFO(info.st_mode);
    struct nn_context *context = NULL;
    struct vi_stream *stream = NULL;
    bool video = false;
    if (nn_open(&context, &(struct nn_options){.threads = 1}) == NN_OK &&
        vi_stream_open(&stream, context, path) == NN_OK) {
        const uint8_t *head = vi_stream_head(stream, &size);
        const struct vi_source_kind *kind = kind_of(path, head, size);
        if (is_jpeg(head, size)) kind = picture_or_stream(stream);
        video = kind ? kind != &vi_source_pictures : container_of(head, size) != NULL;
    }
    vi_stream_close(&stream);
    nn_close(&context);
    return video;
}
