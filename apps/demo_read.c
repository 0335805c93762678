/*
 * demo_read.c — the thread that reads: from a camera or a recording to frames.
 *
 * It reads a recording only when it is asked to (demo_ask), so that a frame is as young as it can
 * be when somebody looks at it, and a camera as fast as that delivers.
 */
#include "apps/demo.h"

#include <string.h>

struct reading {
    struct demo *demo;
    struct nn_context *context;
    struct vi_capture *capture;
    int64_t first, next; /* frame numbers go on when a recording begins anew (--loop) ... */
    double begin, last;  /* ... and so do seconds */
    double rate;         /* where nothing else is known */
    int64_t turns;       /* frames since it began */
    struct vi_resize_room room;
};

static enum nn_status open_video(struct reading *reading)
{
    const struct demo *demo = reading->demo;
    const struct demo_settings *settings = &demo->settings;
    struct vi_capture_options options = {
        .width = settings->width, .height = settings->height, .rate = settings->fps};
    if (demo->seams.open)
        return demo->seams.open(&reading->capture, reading->context, settings->video, &options,
                                demo->seams.user);
    return vi_capture_open(&reading->capture, reading->context, settings->video, &options);
}

/* Room for a picture of this size. */
static enum nn_status fit(struct demo_frame *frame, struct nn_context *context, int width,
                          int height)
{
    size_t size = (size_t)width * (size_t)height * 3;
    if (size > frame->room) {
        vi_image_free(context, &frame->image);
        frame->room = 0;
        enum nn_status status = vi_image_new(&frame->image, context, width, height, 3);
        if (status) return status;
        frame->room = size;
    }
    frame->image = (struct vi_image){frame->image.pixels, width, height, 3, (ptrdiff_t)width * 3};
    return NN_OK;
}

/* -w and -he; where only one is given, proportions are kept. */
static void wanted_size(const struct demo_settings *settings, const struct vi_image *image,
                        int *width, int *height)
{
    double across = settings->width, along = settings->height;
    if (!settings->width) across = along * image->width / image->height;
    if (!settings->height) along = across * image->height / image->width;
    *width = across >= 1 ? (int)(across + 0.5) : settings->height ? 1 : image->width;
    *height = along >= 1 ? (int)(along + 0.5) : settings->width ? 1 : image->height;
}

static enum nn_status fill(struct reading *reading, struct demo_frame *frame,
                           const struct vi_frame *read)
{
    const struct vi_capture_info *info = vi_capture_info(reading->capture);
    int width, height;
    wanted_size(&reading->demo->settings, &read->image, &width, &height);
    enum nn_status status = fit(frame, reading->context, width, height);
    if (status) return status;
    if (width == read->image.width && height == read->image.height)
        vi_image_copy(&frame->image, &read->image);
    else
        status = vi_resize_in(&reading->room, &frame->image, &read->image, reading->context);
    frame->index = reading->first + read->index;
    frame->seconds = reading->begin + read->seconds;
    if (!(info->rate > 0) && !info->live) /* pictures of a folder */
        frame->seconds = reading->begin + (double)read->index / reading->rate;
    frame->arrived = read->arrived;
    frame->rate = info->rate;
    snprintf(frame->trouble, sizeof frame->trouble, "%s", read->trouble ? read->trouble : "");
    memset(frame->spent, 0, sizeof frame->spent);
    frame->ready = app_seconds();
    frame->spent[DEMO_READ] = frame->ready - frame->arrived;
    return status;
}

/* The recording from its beginning, as if it went on. */
static enum nn_status begin_anew(struct reading *reading, int64_t frames)
{
    const struct vi_capture_info *info = vi_capture_info(reading->capture);
    reading->first += frames;
    reading->begin = reading->last + 1 / (info->rate > 0 ? info->rate : reading->rate);
    reading->demo->broken += info->broken;
    reading->turns = 0;
    vi_capture_close(&reading->capture);
    return open_video(reading);
}

static enum nn_status read_one(struct reading *reading, int slot, bool *end)
{
    struct demo *demo = reading->demo;
    struct demo_frame *frame = &demo->frames[slot];
    struct vi_frame read;
    enum nn_status status = vi_capture_read(reading->capture, &read, end);
    if (!status && *end && demo->settings.loop && reading->turns) {
        status = begin_anew(reading, read.index);
        if (!status) status = vi_capture_read(reading->capture, &read, end);
    }
    if (status || *end) return status;
    status = fill(reading, frame, &read);
    reading->last = frame->seconds;
    reading->turns++;
    return status;
}

static enum nn_status read_all(struct reading *reading)
{
    struct demo_exchange *exchange = &reading->demo->exchange;
    enum nn_status status = NN_OK;
    bool end = false;
    int slot = -1;
    while (!status && !end && (slot = demo_to_read(exchange)) >= 0) {
        status = read_one(reading, slot, &end);
        if (status || end)
            demo_release(exchange, slot);
        else
            demo_was_read(exchange, slot);
    }
    return status;
}

void *demo_read(void *argument)
{
    struct demo *demo = argument;
    struct reading reading = {.demo = demo, .context = demo->reader.context, .rate = 30};
    if (demo->settings.fps > 0) reading.rate = demo->settings.fps;
    enum nn_status status = open_video(&reading);
    if (!status) {
        demo_set_live(&demo->exchange, vi_capture_info(reading.capture)->live);
        status = read_all(&reading);
    }
    if (reading.capture) {
        const struct vi_capture_info *info = vi_capture_info(reading.capture);
        demo->source = info->format;
        demo->lost = info->lost;
        demo->broken += info->broken;
        snprintf(demo->last_broken, sizeof demo->last_broken, "%s", info->last_broken);
    }
    vi_capture_close(&reading.capture);
    nn_free(reading.context, reading.room.memory);
    demo->reader.status = status;
    demo_over(&demo->exchange, DEMO_READ_OVER);
    return NULL;
}
