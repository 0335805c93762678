/*
 * gather_read.c — the thread that decodes: from files to frames.
 *
 * As in the tutorial, of every -s frames the last one is taken: 15, 31, 47 ... counted from 0. A
 * file that cannot be read ends its row, or, among the pictures of a folder, counts as broken; the
 * run goes on.
 */
#include "apps/gather.h"

#include <string.h>

enum { VIDEO_SKIP = 16 };

enum nn_status gather_fit(struct gather_pixels *pixels, struct nn_context *context, int width,
                          int height)
{
    struct vi_image *image = &pixels->image;
    size_t size = (size_t)width * (size_t)height * 3;
    if (size > pixels->room) {
        vi_image_free(context, image);
        pixels->room = 0;
        enum nn_status status = vi_image_new(image, context, width, height, 3);
        if (status) return status;
        pixels->room = size;
    }
    *image = (struct vi_image){image->pixels, width, height, 3, (ptrdiff_t)width * 3};
    return NN_OK;
}

/* A slot of this kind to fill; -1 when nobody looks any more. */
static int room(struct gather *gather, enum gather_kind kind, struct gather_input *input)
{
    int slot = gather_queue_room(&gather->frames);
    gather->unwanted = slot < 0;
    if (slot < 0) return slot;
    gather->frame[slot].kind = kind;
    gather->frame[slot].input = input;
    return slot;
}

static void remark(struct gather *gather, struct gather_input *input, const char *text)
{
    int slot = room(gather, GATHER_REMARK, input);
    if (slot < 0) return;
    snprintf(gather->frame[slot].remark, sizeof gather->frame[slot].remark, "%s", text);
    gather_queue_put(&gather->frames, slot);
}

static bool is_over(const struct gather *gather, struct gather_input *input)
{
    return gather->reader_status || gather->unwanted || *app_stop_flag() ||
           __atomic_load_n(&input->enough, __ATOMIC_RELAXED);
}

/* What an error means for the run, the row, or the picture. */
static void note(struct gather *gather, struct gather_input *input, enum nn_status status)
{
    const char *text = nn_error(gather->reader_context);
    if (status == NN_ERROR_MEMORY) {
        gather->reader_status = status;
    } else if (*app_stop_flag()) {
        return; /* who stops us may have stopped the ffmpeg that decodes, too */
    } else if (input->pictures) {
        input->broken++;
        remark(gather, input, text);
    } else {
        snprintf(input->error, sizeof input->error, "%s", text);
    }
}

/* ---- one file -------------------------------------------------------------------------------- */

struct file {
    struct gather_input *input;
    struct vi_capture *capture;
    const char *path;
    bool picture;
    int64_t number; /* among the row's files */
    int64_t next;   /* frame */
};

static enum nn_status put_frame(struct gather *gather, const struct file *file,
                                const struct vi_frame *read)
{
    int slot = room(gather, GATHER_FRAME, file->input);
    if (slot < 0) return NN_OK;
    struct gather_frame *frame = &gather->frame[slot];
    enum nn_status status =
        gather_fit(&frame->pixels, gather->reader_context, read->image.width, read->image.height);
    if (status) {
        gather_queue_release(&gather->frames, slot);
        return status;
    }
    vi_image_copy(&frame->pixels.image, &read->image);
    bool pictures = file->input->pictures;
    frame->path = file->path;
    frame->index = file->picture ? -1 : read->index;
    frame->done = (pictures ? file->number : read->index) + 1;
    frame->total = pictures ? (int64_t)file->input->count : vi_capture_info(file->capture)->frames;
    gather_queue_put(&gather->frames, slot);
    return NN_OK;
}

static enum nn_status read_frames(struct gather *gather, struct file *file, int64_t skip)
{
    struct vi_frame frame;
    bool end = false;
    enum nn_status status = NN_OK;
    while (!status && !is_over(gather, file->input)) {
        int64_t between = skip - 1 - file->next % skip;
        if (between) status = vi_capture_skip(file->capture, between);
        if (!status) status = vi_capture_read(file->capture, &frame, &end);
        if (status) break;
        file->next = frame.index + !end;
        if (end) break;
        if (!frame.trouble) status = put_frame(gather, file, &frame);
    }
    return status;
}

/* Broken frames of a video share a remark: there may be thousands. */
static void tell_broken(struct gather *gather, const struct file *file)
{
    char text[600], quoted[NN_QUOTED];
    const struct vi_capture_info *info = vi_capture_info(file->capture);
    file->input->broken += info->broken;
    if (!info->broken || *app_stop_flag()) return;
    if (file->input->pictures)
        snprintf(text, sizeof text, "%s", info->last_broken);
    else
        snprintf(text, sizeof text, "%s: %lld broken frame%s; the last: %.300s",
                 nn_quote(quoted, file->path), (long long)info->broken, info->broken > 1 ? "s" : "",
                 info->last_broken);
    remark(gather, file->input, text);
}

static void read_file(struct gather *gather, struct file *file)
{
    struct gather_input *input = file->input;
    enum nn_status status =
        vi_capture_open(&file->capture, gather->reader_context, file->path, NULL);
    if (!status) {
        int skip = gather->settings.skip;
        file->picture = strcmp(vi_capture_info(file->capture)->format, "pictures") == 0;
        status = read_frames(gather, file, file->picture ? 1 : skip ? skip : VIDEO_SKIP);
        tell_broken(gather, file);
    }
    if (status) note(gather, input, status);
    vi_capture_close(&file->capture);
    input->frames += input->pictures && !file->next ? 1 : file->next;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void read_input(struct gather *gather, struct gather_input *input)
{
    int skip = input->pictures && gather->settings.skip ? gather->settings.skip : 1;
    for (size_t i = 0; i < input->count && !is_over(gather, input); i++) {
        struct file file = {.input = input, .number = (int64_t)i};
        file.path = gather->files.paths[input->first + i];
        if ((i + 1) % (size_t)skip == 0)
            read_file(gather, &file);
        else
            input->frames++;
    }
    int slot = room(gather, GATHER_END, input);
    if (slot >= 0) gather_queue_put(&gather->frames, slot);
}

void *gather_read(void *argument)
{
    struct gather *gather = argument;
    for (int i = 0; i < gather->input_count; i++) {
        if (gather->reader_status || gather->unwanted || *app_stop_flag()) break;
        read_input(gather, &gather->inputs[i]);
    }
    gather_queue_close(&gather->frames);
    return NULL;
}
