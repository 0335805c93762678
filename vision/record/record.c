/*
 * record.c — which kind of recording a name asks for, and what is the same for all of them.
 *
 * Time: each picture says from when on it is shown. Kinds of a fixed rate divide time into slots;
 * a picture goes into the slot that is nearest, slots that nobody came for repeat the picture
 * before them, and of two that want the same slot the first one gets it.
 */
#include "vision/record/record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_SIDE = 65535, MAX_PIXELS = 64000000 };
/* A clock that goes back, or further ahead than this, has been set: time goes on from the last
 * picture. So no wrong number fills a disk with repetitions. */
static const double max_gap = 10;

static const struct vi_recorder_kind *const kinds[] = {
    &vi_recorder_avi,      &vi_recorder_mp4, &vi_recorder_mov,      &vi_recorder_y4m,
    &vi_recorder_pictures, &vi_recorder_raw, &vi_recorder_h264_mp4, &vi_recorder_h264_mov,
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- choosing -------------------------------------------------------------------------------- */

/* The format that a name asks for; NULL: none. */
static const char *format_of(const char *path)
{
    size_t size = strlen(path);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strcmp(path, "-") == 0) return vi_recorder_raw.format;
    if (strchr(name, '%') && vi_can_write(path)) return vi_recorder_pictures.format;
    for (int i = 0; i < KINDS; i++) {
        size_t ending = kinds[i]->ending ? strlen(kinds[i]->ending) : SIZE_MAX;
        if (size > ending && strcasecmp(path + size - ending, kinds[i]->ending) == 0)
            return kinds[i]->format;
    }
    return NULL;
}

bool vi_can_record(const char *path)
{
    return format_of(path) != NULL;
}

/* NULL: there is none, and the context's error says why. */
static const struct vi_recorder_kind *choose(struct nn_context *context, const char *path,
                                             const struct vi_recorder_options *options)
{
    const struct vi_recorder_kind *same = NULL; /* of that format */
    char quoted[NN_QUOTED];
    const char *format = options->format ? options->format : format_of(path);
    if (!format) {
        nn_fail(context, NN_ERROR_ARGUMENT,
                "cannot record to %s: expected a name that ends in .avi, .mp4, .mov or .y4m, a "
                "picture's with %%d or %%06d in it (out-%%06d.jpg), or -",
                nn_quote(quoted, path));
        return NULL;
    }
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i]->format, format) != 0) continue;
        if (!same) same = kinds[i];
        if (options->codec && strcmp(kinds[i]->codec, options->codec) != 0) continue;
        return kinds[i];
    }
    if (same)
        nn_fail(context, NN_ERROR_ARGUMENT,
                "%s holds no codec %s: there is mjpeg (in avi, mp4 and mov) and h264 (in mp4 and "
                "mov)",
                format, nn_quote(quoted, options->codec));
    else
        nn_fail(context, NN_ERROR_ARGUMENT,
                "recording format %s: expected avi, mp4, mov, y4m, pictures or raw",
                nn_quote(quoted, format));
    return NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* 30 is 30/1, 29.97 is 30000/1001, others have three digits behind the point. */
static void set_rate(struct vi_recorder *recorder, double rate)
{
    double whole = floor(rate + 0.5), television = floor(rate * 1.001 + 0.5);
    recorder->scale = 1000;
    recorder->rate = (uint32_t)(rate * 1000 + 0.5);
    if (fabs(rate - whole) < 1e-6) {
        recorder->scale = 1;
        recorder->rate = (uint32_t)whole;
    } else if (fabs(rate - television / 1.001) < 1e-4) {
        recorder->scale = 1001;
        recorder->rate = (uint32_t)television * 1000;
    }
}

static enum nn_status check(struct nn_context *context, int width, int height,
                            const struct vi_recorder_options *options)
{
    double rate = options->rate;
    if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE ||
        (int64_t)width * height > MAX_PIXELS)
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "cannot record pictures of %dx%d: expected 1 to %d each way, and at most "
                       "%d million pixels",
                       width, height, MAX_SIDE, MAX_PIXELS / 1000000);
    if (!(rate == 0 || (rate >= 0.1 && rate <= 1000)))
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "recording rate %g: expected 0.1 to 1000 pictures per second", rate);
    if (options->quality < 0 || options->quality > 100)
        return nn_fail(context, NN_ERROR_ARGUMENT, "JPEG quality: expected 1 to 100, got %d",
                       options->quality);
    return NN_OK;
}

static enum nn_status start(struct vi_recorder *recorder)
{
    char quoted[NN_QUOTED];
    const struct vi_recorder_kind *kind = recorder->kind;
    if (!kind->many_files) {
        enum nn_status status =
            vi_output_open(&recorder->output, recorder->context, recorder->path);
        if (status) return status;
        if (kind->file_only && !recorder->output.seekable)
            return nn_fail(recorder->context, NN_ERROR_UNSUPPORTED,
                           "cannot write %s to %s, which is no file: pipes take y4m, mp4 and raw",
                           kind->format, nn_quote(quoted, recorder->path));
    }
    return kind->start ? kind->start(recorder) : NN_OK;
}

static void release(struct vi_recorder **recorder)
{
    struct vi_recorder *old = *recorder;
    if (!old) return;
    if (old->kind->release) old->kind->release(old);
    nn_draft_close(&old->output.draft, old->context);
    vi_jpeg_writer_free(&old->jpeg);
    nn_free(old->context, old->path);
    nn_free(old->context, old);
    *recorder = NULL;
}

enum nn_status vi_recorder_open(struct vi_recorder **recorder, struct nn_context *context,
                                const char *path, int width, int height,
                                const struct vi_recorder_options *options)
{
    static const struct vi_recorder_options defaults = {0};
    const struct vi_recorder_kind *kind = NULL;
    *recorder = NULL;
    if (!options) options = &defaults;
    enum nn_status status = check(context, width, height, options);
    if (status) return status;
    kind = choose(context, path, options);
    if (!kind) return NN_ERROR_ARGUMENT;
    struct vi_recorder *made = nn_alloc(context, 1, sizeof *made);
    if (!made) return NN_ERROR_MEMORY;
    *made = (struct vi_recorder){.context = context,
                                 .kind = kind,
                                 .width = width,
                                 .height = height,
                                 .quality = options->quality ? options->quality : 90,
                                 .output.draft.descriptor = -1,
                                 .jpeg.context = context,
                                 .part = UINT64_C(1) << 30};
    set_rate(made, options->rate > 0 ? options->rate : 30);
    *recorder = made;
    made->path = nn_strdup(context, path);
    status = made->path ? start(made) : NN_ERROR_MEMORY;
    if (status) release(recorder);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Seconds since the first picture, on a clock that nobody sets. */
static double next_time(struct vi_recorder *recorder, double seconds)
{
    double now = seconds - recorder->shift;
    if (recorder->frames == 0)
        now = 0;
    else if (now < recorder->last || now > recorder->last + max_gap)
        now = recorder->last + (double)recorder->scale / recorder->rate;
    recorder->shift = seconds - now;
    recorder->last = now;
    return now;
}

/* Keeps the first error: after it nothing is written any more. */
static enum nn_status settle(struct vi_recorder *recorder, enum nn_status status)
{
    if (!status || recorder->status) return status;
    recorder->status = status;
    snprintf(recorder->trouble, sizeof recorder->trouble, "%s", nn_error(recorder->context));
    return status;
}

static enum nn_status put_picture(struct vi_recorder *recorder, const struct vi_image *image,
                                  double seconds)
{
    if (recorder->kind->steady) {
        double slot = floor(seconds * recorder->rate / recorder->scale + 0.5);
        if (slot < (double)recorder->frames) return NN_OK;
        for (; (double)recorder->frames < slot; recorder->frames++) {
            enum nn_status status = recorder->kind->repeat(recorder);
            if (status) return status;
        }
    }
    enum nn_status status = recorder->kind->write(recorder, image, seconds);
    if (!status) recorder->frames++;
    return status;
}

enum nn_status vi_recorder_write(struct vi_recorder *recorder, const struct vi_image *image,
                                 double seconds)
{
    struct nn_context *context = recorder->context;
    if (recorder->status) return nn_fail(context, recorder->status, "%s", recorder->trouble);
    if (!image->pixels || image->channels != 3 || image->width != recorder->width ||
        image->height != recorder->height)
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "cannot record a picture of %dx%dx%d: expected %dx%dx3 (RGB)", image->width,
                       image->height, image->channels, recorder->width, recorder->height);
    if (!isfinite(seconds))
        return nn_fail(context, NN_ERROR_ARGUMENT, "cannot record a picture at %g seconds",
                       seconds);
    return settle(recorder, put_picture(recorder, image, next_time(recorder, seconds)));
}

enum nn_status vi_recorder_close(struct vi_recorder **recorder)
{
    struct vi_recorder *old = *recorder;
    if (!old) return NN_OK;
    if (!old->status && old->frames && old->kind->finish) settle(old, old->kind->finish(old));
    if (!old->kind->many_files) settle(old, vi_output_close(&old->output));
    enum nn_status status = old->status;
    if (status) nn_fail(old->context, status, "%s", old->trouble);
    release(recorder);
    return status;
}

void vi_recorder_size(const struct vi_recorder *recorder, int64_t *frames, uint64_t *bytes)
{
    *frames = recorder->frames;
    *bytes = recorder->output.size;
}
