/*
 * video.h — what the harnesses of video input share: the bytes are read as a file and through a
 * pipe, all frames of them, with a small limit of pixels.
 */
#ifndef FUZZ_VIDEO_H
#define FUZZ_VIDEO_H

#include "vision/capture/capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A descriptor that yields the bytes. A pipe takes what it takes without a reader. */
static int fuzz_descriptor(const uint8_t *bytes, size_t size, bool as_pipe)
{
    int ends[2];
    if (as_pipe) {
        if (pipe(ends)) abort();
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
    } else {
        FILE *file = tmpfile();
        if (!file) abort();
        ends[0] = dup(fileno(file));
        ends[1] = dup(fileno(file));
        fclose(file);
    }
    if (write(ends[1], bytes, size) < 0 && !as_pipe) abort();
    if (!as_pipe) lseek(ends[0], 0, SEEK_SET);
    close(ends[1]);
    return ends[0];
}

static void fuzz_read(struct vi_capture *capture, int skip)
{
    struct vi_frame frame;
    bool end = false;
    for (int64_t next = 0; !end; next = frame.index + 1) {
        if (vi_capture_read(capture, &frame, &end)) return;
        const struct vi_image *image = &frame.image;
        if (frame.index < next || end != !image->pixels) abort();
        if (!end && (image->width < 1 || image->height < 1 || image->channels != 3 ||
                     image->width * image->height > 4096))
            abort();
        if (skip && vi_capture_skip(capture, skip)) return;
    }
}

static int fuzz_video(const uint8_t *bytes, size_t size)
{
    struct vi_capture_options options = {.max_pixels = 4096, .no_ffmpeg = true};
    struct nn_context *context;
    if (nn_open(&context, &(struct nn_options){.threads = 1})) abort();
    size_t before = nn_bytes_allocated(context);
    for (int way = 0; way < 3; way++) { /* file; pipe; file with frames passed over */
        struct vi_stream *stream;
        struct vi_capture *capture;
        int descriptor = fuzz_descriptor(bytes, size, way == 1);
        if (vi_stream_from(&stream, context, descriptor, "fuzz")) abort();
        enum nn_status status = vi_capture_from(&capture, context, stream, "fuzz", &options);
        if (!status != !!capture) abort();
        if (capture) fuzz_read(capture, way == 2 ? 2 : 0);
        vi_capture_close(&capture);
        if (nn_bytes_allocated(context) != before) abort();
    }
    nn_close(&context);
    return 0;
}

#endif
