/*
 * y4m.c
 */
#include "vision/capture/capture.h"

static bool knows(const char *path, const uint8_t *head, size_t size)
{
    (void)path, (void)head, (void)size;
    return false;
}

static enum nn_status open_file(struct vi_capture *capture)
{
    return nn_fail(capture->context, NN_ERROR_UNSUPPORTED, "y4m is not read yet");
}

static enum vi_found read_frame(struct vi_capture *capture, bool wanted)
{
    (void)capture, (void)wanted;
    return VI_FOUND_END;
}

static void close_file(struct vi_capture *capture)
{
    (void)capture;
}

const struct vi_source_kind vi_source_y4m = {"y4m", knows, open_file, read_frame, close_file};
