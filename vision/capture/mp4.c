/*
 * mp4.c — Motion-JPEG in MP4 and QuickTime files, as cameras and older phones write it.
 *
 * The index (mp4_index.c) says where each frame lies, or that of the fragment they are in
 * (mp4_fragments.c); they are read one at a time, so that a long film needs no more memory than a
 * short one. Frames are turned upright where the track says how it was held. Other codecs and pipes
 * are handed on to ffmpeg.
 */
#include "vision/capture/mp4.h"
#include "vision/orient.h"

#include <string.h>

struct source {
    struct vi_mp4 mp4;
    struct vi_bytes frame;
    uint64_t taken; /* bytes of frames so far: no more than the file has */
};

static bool knows(const char *path, const uint8_t *head, size_t size)
{
    static const char types[][5] = {"ftyp", "moov", "mdat", "wide", "free", "skip", "pnot"};
    (void)path;
    for (size_t i = 0; head && size >= 8 && i < sizeof types / sizeof *types; i++)
        if (memcmp(head + 4, types[i], 4) == 0) return true;
    return false;
}

static enum nn_status open_file(struct vi_capture *capture)
{
    struct source *source = nn_alloc(capture->context, 1, sizeof *source);
    capture->state = source;
    if (!source) return NN_ERROR_MEMORY;
    enum nn_status status = vi_mp4_open(&source->mp4, capture->context, capture->stream);
    if (status) return status;
    const struct vi_mp4 *mp4 = &source->mp4;
    bool lies = mp4->orientation >= 5;
    capture->info.width = lies ? mp4->height : mp4->width;
    capture->info.height = lies ? mp4->width : mp4->height;
    capture->info.rate = mp4->fragments.rate;
    if (mp4->duration > 0) capture->info.rate = mp4->sizes.count / mp4->duration;
    if (!mp4->fragments.expected) capture->info.frames = mp4->sizes.count;
    return NN_OK;
}

/* What lies outside of the file ends everything: a file that was cut off holds no more. A file of
 * frames that overlap could be a film without end, so all together may not be longer than it. */
static enum nn_status load_frame(struct vi_capture *capture, const struct vi_mp4_sample *sample)
{
    struct source *source = capture->state;
    uint64_t file = vi_stream_size(capture->stream);
    const char *name = source->mp4.name;
    source->frame.size = 0;
    if (sample->offset > file || sample->size > file - sample->offset)
        return nn_fail(
            capture->context, NN_ERROR_FORMAT,
            "%s: truncated MP4: frame %lld has %u bytes from byte %llu, the file ends at "
            "%llu",
            name, (long long)capture->next, sample->size, (unsigned long long)sample->offset,
            (unsigned long long)file);
    source->taken += sample->size;
    if (source->taken > file)
        return nn_fail(capture->context, NN_ERROR_FORMAT,
                       "%s: damaged MP4: up to frame %lld its frames are longer than the file",
                       name, (long long)capture->next);
    if (sample->size > VI_MAX_FRAME)
        return nn_fail(capture->context, NN_ERROR_UNSUPPORTED,
                       "%s: frame %lld has %u bytes, the limit is %d", name,
                       (long long)capture->next, sample->size, VI_MAX_FRAME);
    vi_stream_seek(capture->stream, sample->offset);
    enum nn_status status = vi_bytes_read(&source->frame, capture->stream, sample->size);
    if (!status && source->frame.size < sample->size)
        status = nn_fail(capture->context, NN_ERROR_FORMAT, "%s became shorter", name);
    return status;
}

static enum vi_found read_frame(struct vi_capture *capture, bool wanted)
{
    struct source *source = capture->state;
    struct vi_mp4_sample sample;
    bool end;
    capture->status = vi_mp4_next(&source->mp4, capture->context, capture->stream, &sample, &end);
    if (capture->status) return VI_FOUND_ERROR;
    if (end) return VI_FOUND_END;
    capture->seconds = sample.seconds;
    if (!wanted) return VI_FOUND_FRAME;
    capture->status = load_frame(capture, &sample);
    if (capture->status) return VI_FOUND_ERROR;
    enum nn_status status = vi_capture_jpeg(capture, source->frame.data, source->frame.size, NULL);
    if (!status) status = vi_upright(&capture->image, capture->context, source->mp4.orientation);
    return vi_capture_found(capture, status);
}

static void close_file(struct vi_capture *capture)
{
    struct source *source = capture->state;
    if (!source) return;
    vi_mp4_free(&source->mp4, capture->context);
    vi_bytes_free(&source->frame, capture->context);
    nn_free(capture->context, source);
    capture->state = NULL;
}

const struct vi_source_kind vi_source_mp4 = {"mp4", knows, open_file, read_frame, close_file};
