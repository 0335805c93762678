/* gather_look.c — from frames to crops: which faces are kept, and where they are cut out. */
#include "apps/gather.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Below this even the detector's best guess is no face worth speaking of. */
static const double least_guess = 0.1;

/* ---- where ----------------------------------------------------------------------------------- */

/* [*low, *high) of `size` pixels or less, as near to its middle as [0, limit) allows. */
static void make_side(double *low, double *high, double size, int limit)
{
    if (size > limit) size = limit;
    *low = fmax(0, fmin((*low + *high - size) / 2, limit - size));
    *high = *low + size;
}

struct gather_rect gather_cut(const struct vi_face *face, const struct gather_settings *settings,
                              int width, int height)
{
    double x1 = face->x1, y1 = face->y1, x2 = face->x2, y2 = face->y2;
    double across = (x2 - x1) * settings->margin, along = (y2 - y1) * settings->margin;
    x1 -= across, x2 += across, y1 -= along, y2 += along;
    if (settings->square) {
        double side = floor(fmin(fmax(x2 - x1, y2 - y1), fmin(width, height)));
        make_side(&x1, &x2, side, width);
        make_side(&y1, &y2, side, height);
        return (struct gather_rect){(int)x1, (int)y1, (int)side, (int)side};
    }
    /* Rounded down, both ends, as the tutorial's astype("int"). */
    int left = (int)fmax(x1, 0), top = (int)fmax(y1, 0);
    int right = (int)fmin(x2, width), bottom = (int)fmin(y2, height);
    return (struct gather_rect){left, top, right > left ? right - left : 0,
                                bottom > top ? bottom - top : 0};
}

/* ---- near copies ----------------------------------------------------------------------------- */

/* The from-pixels [*first, *first + answer) that to-pixel i covers: one at least. */
static int covered(int *first, int i, int to, int from)
{
    *first = (int)((int64_t)i * from / to);
    int count = (int)((int64_t)(i + 1) * from / to) - *first;
    return count > 1 ? count : 1;
}

void gather_shrink(const struct vi_image *to, const struct vi_image *from)
{
    for (int y = 0; y < to->height; y++) {
        int top, left, rows = covered(&top, y, to->height, from->height);
        uint8_t *pixel = to->pixels + y * to->stride;
        for (int x = 0; x < to->width; x++, pixel += 3) {
            int columns = covered(&left, x, to->width, from->width);
            uint64_t sum[3] = {0, 0, 0}, count = (uint64_t)rows * (uint64_t)columns;
            for (int j = top; j < top + rows; j++) {
                const uint8_t *at = from->pixels + j * from->stride + (ptrdiff_t)left * 3;
                for (int i = 0; i < columns; i++, at += 3)
                    for (int k = 0; k < 3; k++) sum[k] += at[k];
            }
            for (int k = 0; k < 3; k++) pixel[k] = (uint8_t)((sum[k] + count / 2) / count);
        }
    }
}

bool gather_keep(struct gather_kept *kept, const struct vi_image *image, double least)
{
    enum { SIZE = GATHER_THUMB * GATHER_THUMB };
    uint8_t color[3 * SIZE], gray[SIZE];
    struct vi_image small = {color, GATHER_THUMB, GATHER_THUMB, 3, 3 * GATHER_THUMB};
    gather_shrink(&small, image);
    vi_to_gray(&(struct vi_image){gray, GATHER_THUMB, GATHER_THUMB, 1, GATHER_THUMB}, &small);
    int known = kept->count < GATHER_KEPT ? kept->count : GATHER_KEPT;
    for (int i = 0; i < known; i++) {
        int sum = 0;
        for (int k = 0; k < SIZE; k++) sum += abs(gray[k] - kept->thumbs[i][k]);
        if (sum < least * SIZE) return false;
    }
    memcpy(kept->thumbs[kept->count % GATHER_KEPT], gray, SIZE);
    kept->count++;
    return true;
}

/* ---- one frame ------------------------------------------------------------------------------- */

/* Hands a face to the writers. */
static enum nn_status hand_over(struct gather *gather, const struct gather_frame *frame,
                                const struct vi_image *part, int face, float confidence)
{
    struct gather_input *input = frame->input;
    int slot = gather_queue_room(&gather->crops);
    gather->given_up = slot < 0; /* the writers have failed, and say so */
    if (slot < 0) return NN_OK;
    struct gather_crop *crop = &gather->crop[slot];
    enum nn_status status =
        gather_fit(&crop->pixels, gather->app->context, part->width, part->height);
    if (status) {
        gather_queue_release(&gather->crops, slot);
        return status;
    }
    vi_image_copy(&crop->pixels.image, part);
    crop->input = input;
    crop->path = frame->path;
    crop->index = frame->index;
    crop->face = face;
    crop->confidence = confidence;
    gather_queue_put(&gather->crops, slot);
    input->chosen++;
    if (gather->settings.max && input->chosen >= gather->settings.max)
        __atomic_store_n(&input->enough, 1, __ATOMIC_RELAXED);
    return NN_OK;
}

static enum nn_status take_face(struct gather *gather, const struct gather_frame *frame,
                                const struct vi_face *face, int number)
{
    const struct gather_settings *settings = &gather->settings;
    const struct vi_image *image = &frame->pixels.image;
    struct gather_rect rect = gather_cut(face, settings, image->width, image->height);
    double shorter = fmin((double)face->x2 - face->x1, (double)face->y2 - face->y1);
    if (shorter < settings->min_size || rect.width < 1 || rect.height < 1) {
        frame->input->fate[GATHER_SMALL]++;
        return NN_OK;
    }
    struct vi_image part = vi_image_crop(image, rect.x, rect.y, rect.width, rect.height);
    if (settings->different > 0 && !gather_keep(&gather->kept, &part, settings->different)) {
        frame->input->fate[GATHER_ALIKE]++;
        return NN_OK;
    }
    return hand_over(gather, frame, &part, number, face->confidence);
}

static enum nn_status look_at(struct gather *gather, const struct gather_frame *frame)
{
    const struct gather_settings *settings = &gather->settings;
    struct gather_input *input = frame->input;
    const struct vi_face *faces;
    int count;
    if (input->enough) return NN_OK;
    enum nn_status status =
        vi_detect(gather->detector, &frame->pixels.image, VI_RGB,
                  (float)fmin(settings->confidence, least_guess), &faces, &count);
    if (status) return status;
    input->looked++;
    if (count == 0)
        input->fate[GATHER_NO_FACE]++;
    else if (!(faces[0].confidence > settings->confidence))
        input->fate[GATHER_UNSURE]++;
    for (int i = 0; i < count && !status; i++) {
        if (!(faces[i].confidence > settings->confidence) || input->enough || gather->given_up)
            break;
        status = take_face(gather, frame, &faces[i], i);
        if (!settings->all_faces) break;
    }
    return status;
}

enum nn_status gather_look(struct gather *gather)
{
    enum nn_status status = NN_OK;
    while (!status && !gather->given_up) {
        int slot = gather_queue_take(&gather->frames, NULL, app_stop_flag());
        if (slot < 0) break;
        struct gather_frame *frame = &gather->frame[slot];
        if (frame->kind == GATHER_FRAME) status = look_at(gather, frame);
        gather_show(gather, frame);
        if (frame->kind == GATHER_END) gather->kept.count = 0;
        gather_queue_release(&gather->frames, slot);
    }
    gather_queue_abort(&gather->frames);
    return status;
}
