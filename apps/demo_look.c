/*
 * demo_look.c — the thread that looks: from frames to faces with verdicts.
 *
 * The detector takes most of the time, and all threads of the pool. It ends when the next frame is
 * just there: the reader is asked so much ahead as reading takes.
 */
#include "apps/demo.h"
#include "apps/detector.h"

#include <math.h>
#include <string.h>

struct look {
    struct demo *demo;
    struct app app; /* with this thread's context */
    struct demo_exchange *exchange;
    const struct demo_settings *settings;
    struct vi_detector *detector;
    struct model model;
    struct predictor predictor;
    struct vi_resize_room room;
    const struct vi_shape *shape;
    int real;        /* the label */
    uint8_t *crops;  /* [VI_MAX_TRACKS, the network's picture] */
    char *workspace; /* [threads, vi_texture_workspace] */
    struct vi_tracker tracker;
    struct vi_blink blinks[VI_MAX_TRACKS];
    struct vi_verdict verdicts[VI_MAX_TRACKS];
    struct vi_verdict_options verdict_options;
    int64_t turn;
    struct nn_text line; /* of --json */
    struct demo_frame *frame;
    double face_spent[2][VI_MAX_TRACKS];
    double interval; /* seconds from verdict to verdict, smoothed */
};

/* ---- start and end --------------------------------------------------------------------------- */

static enum nn_status find_real(struct look *look)
{
    const char *wanted = look->settings->real_label;
    char quoted[NN_QUOTED];
    look->real = ds_live_class(look->model.labels, look->model.classes, wanted);
    if (look->real >= 0) return NN_OK;
    if (wanted)
        return nn_fail(look->app.context, NN_ERROR_ARGUMENT,
                       "--real-label: the model has no label %s", nn_quote(quoted, wanted));
    return nn_fail(look->app.context, NN_ERROR_ARGUMENT,
                   "%s: which of its labels means a live face? Say so with --real-label",
                   nn_quote(quoted, look->settings->model));
}

static enum nn_status open_look(struct look *look)
{
    const struct demo_settings *settings = look->settings;
    struct nn_context *context = look->app.context;
    enum nn_status status =
        app_open_detector(&look->detector, &look->app, settings->detector, settings->precision);
    if (!status) status = model_load(&look->model, &look->app, settings->model, NULL);
    if (!status) status = find_real(look);
    if (!status)
        status = predictor_open(&look->predictor, &look->model, VI_MAX_TRACKS,
                                (enum nn_precision)settings->precision);
    if (status) return status;
    const struct model_contract *contract = &look->model.contract;
    look->crops =
        nn_alloc(context, VI_MAX_TRACKS, (size_t)contract->width * (size_t)contract->height * 3);
    look->workspace = nn_alloc(context, (size_t)nn_threads(context), vi_texture_workspace());
    if (!look->crops || !look->workspace) return NN_ERROR_MEMORY;
    if (settings->margin < 0)
        look->demo->crop_margin = contract->crop_margin;
    else
        look->demo->crop_margin = settings->margin;
    look->verdict_options = (struct vi_verdict_options){
        .policy = (enum vi_policy)settings->policy,
        .blinks = settings->blinks,
        .threshold = settings->threshold,
        .no_eyes = !look->demo->eyes,
    };
    return NN_OK;
}

static void close_look(struct look *look)
{
    struct nn_context *context = look->app.context;
    nn_text_free(&look->line);
    nn_free(context, look->room.memory);
    nn_free(context, look->workspace);
    nn_free(context, look->crops);
    predictor_close(&look->predictor);
    model_free(&look->model);
    vi_detector_close(&look->detector);
}

/* ---- landmarks, blinks, texture: a task each, per face --------------------------------------- */

struct vi_image demo_crop(const struct vi_image *image, const struct vi_face *face, double margin)
{
    double across = ((double)face->x2 - (double)face->x1) * margin;
    double along = ((double)face->y2 - (double)face->y1) * margin;
    int left = (int)fmax((double)face->x1 - across, 0),
        top = (int)fmax((double)face->y1 - along, 0);
    int right = (int)fmin((double)face->x2 + across, image->width);
    int bottom = (int)fmin((double)face->y2 + along, image->height);
    return vi_image_crop(image, left, top, right - left, bottom - top);
}

static void find_landmarks(struct look *look, struct demo_face *face)
{
    const struct demo_frame *frame = look->frame;
    int box[4];
    if (!look->shape) return;
    vi_shape_box(box, &face->box);
    vi_shape_find(look->shape, face->points, &frame->image, box);
    vi_blink_update(&look->blinks[face->slot],
                    &(struct vi_blink_options){look->settings->ear, look->settings->ear_frames},
                    face->points, frame->point_count, frame->seconds);
}

static void measure_one(void *argument, int index, int thread)
{
    struct look *look = argument;
    struct demo_face *face = &look->frame->faces[index / 2];
    double start = app_seconds();
    if (index % 2) {
        struct vi_image part = demo_crop(&look->frame->image, &face->box, 0);
        vi_texture_measure(&face->texture, &part,
                           look->workspace + (size_t)thread * vi_texture_workspace());
    } else {
        find_landmarks(look, face);
    }
    look->face_spent[index % 2][index / 2] = app_seconds() - start;
}

static void measure_faces(struct look *look)
{
    struct demo_frame *frame = look->frame;
    nn_parallel(look->app.context, 2 * frame->count, measure_one, look);
    for (int i = 0; i < frame->count; i++) {
        frame->spent[DEMO_LANDMARKS] += look->face_spent[0][i];
        frame->spent[DEMO_TEXTURE] += look->face_spent[1][i];
    }
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static enum nn_status classify(struct look *look)
{
    const struct demo_frame *frame = look->frame;
    const struct model_contract *contract = &look->model.contract;
    const size_t row = (size_t)contract->width * 3, size = row * (size_t)contract->height;
    enum nn_status status = NN_OK;
    for (int i = 0; i < frame->count && !status; i++) {
        struct vi_image to = {look->crops + (size_t)i * size, contract->width, contract->height, 3,
                              (ptrdiff_t)row};
        struct vi_image part =
            demo_crop(&frame->image, &frame->faces[i].box, look->demo->crop_margin);
        status = vi_resize_in(&look->room, &to, &part, look->app.context);
        if (contract->color == VI_BGR) vi_swap_red_blue(&to);
    }
    return frame->count ? predictor_run(&look->predictor, look->crops, frame->count) : NN_OK;
}

static void judge(struct look *look)
{
    struct demo_frame *frame = look->frame;
    for (int i = 0; i < frame->count; i++) {
        struct demo_face *face = &frame->faces[i];
        struct vi_verdict *verdict = &look->verdicts[face->slot];
        face->real =
            (double)look->predictor
                .probabilities[(size_t)i * (size_t)look->model.classes + (size_t)look->real];
        face->blink = look->blinks[face->slot];
        vi_verdict_update(verdict, &look->verdict_options,
                          &(struct vi_evidence){.real = face->real,
                                                .texture = face->texture,
                                                .has_texture = true,
                                                .blinks = face->blink.count,
                                                .seconds = frame->seconds});
        face->answer = verdict->answer;
        face->reason = verdict->reason ? verdict->reason : "";
        face->score = verdict->score;
        face->moire = verdict->moire;
        look->demo->answers[verdict->answer]++;
    }
}

/* ---- one frame ------------------------------------------------------------------------------- */

/* When the next frame of a recording has to be read, to be there when this one's turn is over. */
static void ask(struct look *look, double now, double detecting)
{
    const struct demo_times *times = look->demo->times;
    double lead = times[DEMO_READ].recent * 1.1;
    demo_ask(look->exchange, now + fmax(0, detecting - lead));
}

static enum nn_status find_faces(struct look *look)
{
    struct demo_frame *frame = look->frame;
    const struct vi_face *faces = NULL;
    int count = 0;
    enum nn_status status = NN_OK;
    double start = app_seconds();
    bool detect = look->turn++ % look->settings->every == 0;
    ask(look, start, detect ? look->demo->times[DEMO_DETECT].recent : 0);
    if (detect && !*frame->trouble)
        status = vi_detect(look->detector, &frame->image, VI_RGB, (float)look->settings->confidence,
                           &faces, &count);
    if (status) return status;
    if (detect)
        vi_track_update(&look->tracker, faces, count, frame->seconds);
    else
        vi_track_predict(&look->tracker, frame->seconds);
    frame->spent[DEMO_DETECT] = app_seconds() - start;
    if (detect) demo_times_add(&look->demo->times[DEMO_DETECT], frame->spent[DEMO_DETECT]);
    return NN_OK;
}

/* Tracks that are in the picture, and large enough to be cut out. */
static void list_faces(struct look *look)
{
    struct demo_frame *frame = look->frame;
    frame->count = 0;
    for (int i = 0; i < look->tracker.count; i++) {
        const struct vi_track *track = &look->tracker.track[i];
        if (track->fresh) {
            look->blinks[track->slot] = (struct vi_blink){0};
            look->verdicts[track->slot] = (struct vi_verdict){0};
        }
        struct vi_image part = demo_crop(&frame->image, &track->face, 0);
        if (track->missed || part.width < 1 || part.height < 1) continue;
        struct demo_face *face = &frame->faces[frame->count];
        *face = (struct demo_face){.id = track->id, .box = track->face, .slot = track->slot};
        if (look->shape)
            face->points = frame->points + (size_t)frame->count * (size_t)frame->point_count;
        frame->count++;
    }
}

/* A recording waits for the landmarks' file; a camera's first frames go without. */
static enum nn_status fetch_shape(struct look *look)
{
    struct demo *demo = look->demo;
    struct demo_frame *frame = look->frame;
    if (!look->shape && demo->eyes && demo_is_loaded(&demo->exchange, !demo->exchange.live)) {
        if (demo->loader.status)
            return nn_fail(look->app.context, demo->loader.status, "%s",
                           nn_error(demo->loader.context));
        look->shape = demo->shape;
    }
    if (!look->shape || frame->points) return NN_OK;
    frame->point_count = vi_shape_points(look->shape);
    frame->points = nn_alloc(look->app.context, VI_MAX_TRACKS * (size_t)frame->point_count,
                             sizeof *frame->points);
    return frame->points ? NN_OK : NN_ERROR_MEMORY;
}

/* Latencies, and --json. */
static enum nn_status close_frame(struct look *look)
{
    struct demo *demo = look->demo;
    struct demo_frame *frame = look->frame;
    double now = app_seconds();
    frame->spent[DEMO_LATENCY] = now - frame->arrived;
    for (int i = 0; i <= DEMO_LATENCY; i++)
        if (i != DEMO_DETECT && !(frame->held && (i == DEMO_WAIT || i == DEMO_LATENCY)))
            demo_times_add(&demo->times[i], frame->spent[i]);
    if (!demo->looked++) {
        demo->first_verdict = now - demo->start;
        demo->first_arrived = frame->arrived;
    }
    if (demo->last_seen > 0) {
        double interval = now - demo->last_seen;
        look->interval += (interval - look->interval) / (look->interval > 0 ? 16 : 1);
    }
    frame->fps = look->interval > 0 ? 1 / look->interval : 0;
    demo->last_seen = now;
    if (!look->settings->common.json) return NN_OK;
    look->line.size = 0;
    demo_write_frame(&look->line, frame);
    enum nn_status status = app_text_status(&look->line);
    if (status) return status;
    fwrite(look->line.data, 1, look->line.size, stdout);
    return app_flush(&look->app);
}

static enum nn_status look_at(struct look *look, struct demo_frame *frame)
{
    look->frame = frame;
    enum nn_status status = fetch_shape(look);
    frame->spent[DEMO_WAIT] = app_seconds() - frame->ready;
    if (!status) status = find_faces(look);
    if (status) return status;
    list_faces(look);
    if (frame->count) measure_faces(look);
    double start = app_seconds();
    status = classify(look);
    if (status) return status;
    judge(look);
    frame->spent[DEMO_CLASSIFY] = app_seconds() - start;
    return close_frame(look);
}

void *demo_look(void *argument)
{
    struct demo *demo = argument;
    struct look *look = nn_alloc(demo->looker.context, 1, sizeof *look);
    enum nn_status status = look ? NN_OK : NN_ERROR_MEMORY;
    if (look) {
        look->demo = demo;
        look->app = *demo->app;
        look->app.context = look->line.context = demo->looker.context;
        look->exchange = &demo->exchange;
        look->settings = &demo->settings;
        status = open_look(look);
        demo_ask(&demo->exchange, 0);
    }
    int slot = -1, most = demo->settings.max_frames;
    bool held = false;
    while (!status && (most == 0 || demo->looked < most) &&
           (slot = demo_to_look(&demo->exchange, &held)) >= 0) {
        demo->frames[slot].held = held;
        status = look_at(look, &demo->frames[slot]);
        if (status)
            demo_release(&demo->exchange, slot);
        else
            demo_was_seen(&demo->exchange, slot);
    }
    if (look) close_look(look);
    nn_free(demo->looker.context, look);
    demo->looker.status = status;
    demo_over(&demo->exchange, DEMO_LOOK_OVER);
    return NULL;
}
