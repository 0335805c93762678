/*
 * demo_show.c — from verdicts to the screen and to files, and what keys do.
 *
 * All is drawn into a copy: --record and training pictures get the frame as it came, and a pause
 * can switch landmarks on and off. A screen shows a recording at the speed it was taken; without
 * one it is worked off as fast as it goes.
 */
#include "apps/demo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ESCAPE = 27, PATH = 1024 };

struct show {
    struct demo *demo;
    struct app app; /* with this thread's context */
    struct nn_context *context;
    struct vi_display *display; /* NULL: none */
    struct vi_recorder *recorder[2];
    struct vi_image sized; /* what a recorder gets when pictures change their size */
    struct vi_resize_room room_to_size;
    int width[2], height[2];
    struct demo_overlay *overlay;
    struct vi_image canvas;
    size_t room;
    int frame; /* in hand; -1: none yet */
    bool paused, landmarks, help, quit, changed;
    double origin;       /* of a recording on a screen: when second 0 was, or would have been */
    double paused_since; /* app_seconds */
    double recent[DEMO_STAGES];
    char lines[3][160], said[96];
    double said_until;
    int failed; /* outputs that are lost */
    int64_t number[3];
};
static const char *const kinds[] = {"auto", "x11", "fb", "terminal", "none"};
static const char *const output_options[2] = {"-o", "--record"};

/* ---- pictures -------------------------------------------------------------------------------- */

static const struct demo_frame *frame_of(const struct show *show)
{
    return &show->demo->frames[show->frame];
}

static enum nn_status make_canvas(struct show *show, const struct vi_image *image)
{
    size_t size = (size_t)image->width * (size_t)image->height * 3;
    bool same = image->width == show->canvas.width && image->height == show->canvas.height;
    enum nn_status status = NN_OK;
    if (size > show->room) {
        vi_image_free(show->context, &show->canvas);
        show->room = 0;
        status = vi_image_new(&show->canvas, show->context, image->width, image->height, 3);
        if (status) return status;
        show->room = size;
    }
    show->canvas = (struct vi_image){show->canvas.pixels, image->width, image->height, 3,
                                     (ptrdiff_t)image->width * 3};
    if (!same || !show->overlay) {
        demo_overlay_free(&show->overlay);
        status = demo_overlay_open(&show->overlay, show->context, image->width, image->height);
    }
    return status;
}

/* Smoothed, for the eye. */
static void take_times(struct show *show)
{
    const struct demo_frame *frame = frame_of(show);
    for (int i = 0; i < DEMO_STAGES; i++) {
        double value = i <= DEMO_LATENCY ? frame->spent[i] : show->recent[i];
        if (!(frame->held && i == DEMO_LATENCY))
            show->recent[i] += (value - show->recent[i]) / (show->recent[i] > 0 ? 10 : 1);
    }
}

static double ms(const struct show *show, enum demo_stage stage)
{
    return 1e3 * show->recent[stage];
}

static struct demo_hud make_hud(struct show *show)
{
    const struct demo_frame *frame = frame_of(show);
    bool recording = show->recorder[0] || show->recorder[1];
    struct demo_hud hud = {.landmarks = show->landmarks, .help = show->help};
    snprintf(show->lines[0], sizeof show->lines[0], "%.0f frames/s   %.0f ms to the verdict",
             frame->fps, ms(show, DEMO_LATENCY));
    snprintf(show->lines[1], sizeof show->lines[1],
             "read %.1f  detect %.1f  landmarks %.1f  texture %.1f", ms(show, DEMO_READ),
             ms(show, DEMO_DETECT), ms(show, DEMO_LANDMARKS), ms(show, DEMO_TEXTURE));
    snprintf(show->lines[2], sizeof show->lines[2],
             "classify %.1f  draw %.1f  write %.1f  show %.1f", ms(show, DEMO_CLASSIFY),
             ms(show, DEMO_DRAW), ms(show, DEMO_WRITE), ms(show, DEMO_SHOW));
    for (int i = 0; i < 3; i++) hud.lines[i] = show->lines[i];
    if (app_seconds() < show->said_until) hud.lines[3] = show->said;
    hud.corner = show->paused ? "paused" : recording ? "REC" : NULL;
    hud.center = *frame->trouble ? frame->trouble : NULL;
    return hud;
}

/* The stages that are the shower's own. */
static void note(struct show *show, enum demo_stage stage, double since)
{
    double spent = app_seconds() - since;
    demo_times_add(&show->demo->times[stage], spent);
    show->recent[stage] += (spent - show->recent[stage]) / (show->recent[stage] > 0 ? 10 : 1);
}

static enum nn_status draw(struct show *show)
{
    const struct demo_frame *frame = frame_of(show);
    double start = app_seconds();
    enum nn_status status = make_canvas(show, &frame->image);
    if (status) return status;
    struct demo_hud hud = make_hud(show);
    vi_image_copy(&show->canvas, &frame->image);
    demo_overlay_draw(show->overlay, &show->canvas, frame, &hud);
    note(show, DEMO_DRAW, start);
    return NN_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Is there still somebody who sees the verdicts? */
static bool is_watched(const struct show *show)
{
    return show->display || show->recorder[0] || show->recorder[1] ||
           show->demo->settings.common.json;
}

/* An output is lost: that is told, and the run goes on as long as it has another one. */
static enum nn_status lose(struct show *show, enum nn_status status, const char *what)
{
    show->failed++;
    if (!is_watched(show)) return status;
    app_complain(show->demo->app, "%s: %s; going on without it", what, nn_error(show->context));
    return NN_OK;
}

static enum nn_status open_recorder(struct show *show, int which, const char *path,
                                    const struct demo_frame *frame)
{
    const struct demo_settings *settings = &show->demo->settings;
    show->width[which] = frame->image.width;
    show->height[which] = frame->image.height;
    return vi_recorder_open(
        &show->recorder[which], show->context, path, frame->image.width, frame->image.height,
        &(struct vi_recorder_options){.codec = settings->codec ? "h264" : NULL,
                                      .rate = settings->fps > 0 ? settings->fps : frame->rate,
                                      .quality = settings->quality});
}

/* A recording has one size. */
static enum nn_status fit(struct show *show, int which, const struct vi_image **image)
{
    enum nn_status status = NN_OK;
    int width = show->width[which], height = show->height[which];
    if ((*image)->width == width && (*image)->height == height) return NN_OK;
    if (show->sized.width != width || show->sized.height != height) {
        vi_image_free(show->context, &show->sized);
        status = vi_image_new(&show->sized, show->context, width, height, 3);
    }
    if (!status) status = vi_resize_in(&show->room_to_size, &show->sized, *image, show->context);
    *image = &show->sized;
    return status;
}

static enum nn_status record(struct show *show, int which, const struct vi_image *image)
{
    enum nn_status status = fit(show, which, &image);
    if (!status) status = vi_recorder_write(show->recorder[which], image, frame_of(show)->seconds);
    if (!status) return NN_OK;
    char error[512];
    snprintf(error, sizeof error, "%s", nn_error(show->context));
    vi_recorder_close(&show->recorder[which]);
    nn_fail(show->context, status, "%s", error);
    return lose(show, status, output_options[which]);
}

static enum nn_status write_files(struct show *show)
{
    const struct demo_settings *settings = &show->demo->settings;
    const struct vi_image *images[2] = {&show->canvas, &frame_of(show)->image};
    enum nn_status status = NN_OK;
    double start = app_seconds();
    for (int i = 0; i < 2 && !status; i++)
        if (show->recorder[i]) status = record(show, i, images[i]);
    if (settings->output || settings->record) note(show, DEMO_WRITE, start);
    return status;
}

static void say(struct show *show, const char *text)
{
    snprintf(show->said, sizeof show->said, "%s", text);
    show->said_until = app_seconds() + 2;
    show->changed = true;
}

/* Below --save, the first name "0001.png" that is free. */
static enum nn_status save_new(struct show *show, const char *folder, int kind,
                               const struct vi_image *image)
{
    char path[PATH], text[96];
    struct stat info;
    int size = snprintf(path, sizeof path, "%s/%s", show->demo->settings.save, folder);
    if (size < 0 || size >= PATH - 32)
        return nn_fail(show->context, NN_ERROR_ARGUMENT, "--save: the name is too long");
    enum nn_status status = app_make_folder(&show->app, path);
    if (status) return status;
    do snprintf(path + size, 32, "/%04lld.png", (long long)++show->number[kind]);
    while (lstat(path, &info) == 0 && show->number[kind] < 1000000);
    status = vi_write(image, show->context, path, 0);
    snprintf(text, sizeof text, "saved %.16s%.16s", folder, path + size);
    if (!status) say(show, text);
    return status;
}

/* 'r' and 'f': the largest face, cut out as for the network. */
static enum nn_status save_face(struct show *show, bool real)
{
    const struct demo_frame *frame = frame_of(show);
    const struct demo_face *best = NULL;
    float most = 0;
    for (int i = 0; i < frame->count; i++) {
        const struct vi_face *box = &frame->faces[i].box;
        float area = (box->x2 - box->x1) * (box->y2 - box->y1);
        if (area > most) best = &frame->faces[i], most = area;
    }
    if (!best) {
        say(show, "there is no face");
        return NN_OK;
    }
    struct vi_image part = demo_crop(&frame->image, &best->box, show->demo->crop_margin);
    return save_new(show, real ? "faces/real" : "faces/fake", real, &part);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void set_pause(struct show *show, bool paused)
{
    double now = app_seconds();
    if (paused)
        show->paused_since = now;
    else
        show->origin += now - show->paused_since;
    show->paused = paused;
    show->changed = true;
    demo_pause(&show->demo->exchange, paused);
}

static void press(struct show *show, int key)
{
    enum nn_status status = NN_OK;
    if (key >= 'A' && key <= 'Z') key += 'a' - 'A';
    if (key == 'q' || key == ESCAPE) show->quit = true;
    if (key == 'h') show->help = !show->help, show->changed = true;
    if (key == 'l') show->landmarks = !show->landmarks, show->changed = true;
    if (key == 'p' || key == ' ') set_pause(show, !show->paused);
    if (show->frame < 0) return;
    if (key == 's') status = save_new(show, "pictures", 2, &show->canvas);
    if (key == 'r' || key == 'f') status = save_face(show, key == 'r');
    if (!status) return;
    app_complain(show->demo->app, "%s", nn_error(show->context));
    say(show, "cannot save: see the messages");
}

static enum nn_status lose_display(struct show *show, enum nn_status status)
{
    vi_display_close(&show->display);
    return lose(show, status, "the display is gone");
}

static enum nn_status poll_keys(struct show *show)
{
    const struct demo_seams *seams = &show->demo->seams;
    struct vi_event event = {.kind = VI_EVENT_NONE};
    enum nn_status status = NN_OK;
    int key = seams->key && show->frame >= 0 ? seams->key(seams->user, frame_of(show)->index) : 0;
    if (key) press(show, key);
    while (show->display && !status && !show->quit) {
        status = vi_display_poll(show->display, &event);
        if (status) return lose_display(show, status);
        if (event.kind == VI_EVENT_NONE) break;
        if (event.kind == VI_EVENT_CLOSE) show->quit = true;
        if (event.kind == VI_EVENT_KEY) press(show, event.key);
    }
    if (*app_stop_flag()) show->quit = true;
    return status;
}

/* What the picture says, in one line, for terminals. */
static void caption(struct show *show)
{
    const struct demo_frame *frame = frame_of(show);
    char text[256];
    size_t size = (size_t)snprintf(text, sizeof text, "%.0f frames/s  %s", frame->fps,
                                   show->paused      ? "paused  "
                                   : *frame->trouble ? frame->trouble
                                                     : "");
    for (int i = 0; i < frame->count && size < sizeof text - 1; i++) {
        const struct demo_face *face = &frame->faces[i];
        size += (size_t)snprintf(text + size, sizeof text - size, " #%lld %s%s%s %.2f ",
                                 (long long)face->id, vi_answer_name(face->answer),
                                 *face->reason ? ": " : "", face->reason, face->score);
    }
    vi_display_caption(show->display, text);
}

static enum nn_status display(struct show *show)
{
    double start = app_seconds();
    if (!show->display) return NN_OK;
    caption(show);
    enum nn_status status = vi_display_show(show->display, &show->canvas);
    if (status) return lose_display(show, status);
    note(show, DEMO_SHOW, start);
    return NN_OK;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void sleep_for(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)};
    nanosleep(&time, NULL);
}

static bool is_printing(const struct demo_settings *settings)
{
    return settings->common.json || (settings->output && strcmp(settings->output, "-") == 0) ||
           (settings->record && strcmp(settings->record, "-") == 0);
}

static enum nn_status open_display(struct show *show, const struct vi_image *image)
{
    const struct demo_settings *settings = &show->demo->settings;
    const char *kind = kinds[settings->display], *x11 = getenv("DISPLAY");
    /* What is printed there leaves no room for pictures. */
    if (settings->display == 0 && is_printing(settings) && isatty(STDOUT_FILENO))
        kind = x11 && *x11 ? "x11" : "none";
    if (strcmp(kind, "none") == 0) return NN_OK;
    enum nn_status status = vi_display_open(
        &show->display, show->context,
        &(struct vi_display_options){
            .kind = kind, .title = "liveness", .width = image->width, .height = image->height});
    if (!status && strcmp(vi_display_kind(show->display), "none") == 0) {
        app_say(&show->app, "no display: neither X11 ($DISPLAY), nor a terminal on standard "
                            "output, nor a framebuffer");
        vi_display_close(&show->display);
    }
    return status;
}

/* When the first frame has come: now its size is known. */
static enum nn_status open_outputs(struct show *show, int slot)
{
    const struct demo_settings *settings = &show->demo->settings;
    const struct demo_frame *frame = &show->demo->frames[slot];
    const char *paths[2] = {settings->output, settings->record};
    enum nn_status status = open_display(show, &frame->image);
    for (int i = 0; i < 2 && !status; i++)
        if (paths[i]) status = open_recorder(show, i, paths[i], frame);
    return status;
}

/* What a key has changed is seen at once, also in a pause. */
static enum nn_status hear_keys(struct show *show)
{
    enum nn_status status = poll_keys(show);
    if (status || !show->changed || show->frame < 0) return status;
    show->changed = false;
    status = draw(show);
    return status ? status : display(show);
}

/* A recording's frame is shown when its time has come; who is late does not make up for it. */
static enum nn_status await_time(struct show *show, double seconds)
{
    static const double look_up = 0.02, late = 0.25;
    enum nn_status status = NN_OK;
    while (!status && !show->quit && show->display && !show->demo->exchange.live) {
        double now = app_seconds(), left = show->origin + seconds - now;
        if (show->paused) {
            left = look_up;
        } else if (left < -late || left > 10) {
            show->origin = now - seconds;
            return NN_OK;
        } else if (left <= 0) {
            return NN_OK;
        }
        sleep_for(left < look_up ? left : look_up);
        status = hear_keys(show);
    }
    return status;
}

static enum nn_status show_next(struct show *show, int slot)
{
    const bool first = show->frame < 0;
    enum nn_status status =
        first ? open_outputs(show, slot) : await_time(show, show->demo->frames[slot].seconds);
    if (!first) demo_release(&show->demo->exchange, show->frame);
    show->frame = slot;
    show->changed = false;
    if (status || show->quit) return status;
    take_times(show);
    status = draw(show);
    if (!status) status = write_files(show);
    if (!status) status = display(show);
    return status;
}

static enum nn_status show_all(struct show *show)
{
    static const double patience = 0.03;
    struct demo_exchange *exchange = &show->demo->exchange;
    enum nn_status status = NN_OK;
    bool over = false;
    while (!status && !show->quit && !over) {
        int slot = -1;
        if (show->paused)
            sleep_for(patience);
        else
            slot = demo_to_show(exchange, patience, &over);
        if (slot >= 0) status = show_next(show, slot);
        if (!status) status = hear_keys(show);
    }
    return status;
}

static enum nn_status close_show(struct show *show, enum nn_status status)
{
    char error[512];
    vi_display_close(&show->display);
    for (int i = 0; i < 2; i++) {
        if (!show->recorder[i]) continue;
        snprintf(error, sizeof error, "%s", nn_error(show->context));
        enum nn_status closed = vi_recorder_close(&show->recorder[i]);
        if (status)
            nn_fail(show->context, status, "%s", error); /* the first one counts */
        else
            status = closed;
    }
    demo_overlay_free(&show->overlay);
    vi_image_free(show->context, &show->canvas);
    vi_image_free(show->context, &show->sized);
    nn_free(show->context, show->room_to_size.memory);
    return status;
}

enum nn_status demo_show(struct demo *demo)
{
    struct show show = {.demo = demo,
                        .app = *demo->app,
                        .context = demo->shower.context,
                        .frame = -1,
                        .landmarks = !demo->settings.no_landmarks};
    show.app.context = show.context;
    enum nn_status status = show_all(&show);
    status = close_show(&show, status);
    demo_over(&demo->exchange, DEMO_STOP);
    if (!status && show.failed)
        status = nn_fail(show.context, NN_ERROR_IO, "%d output%s ended early, see above",
                         show.failed, show.failed == 1 ? "" : "s");
    return status;
}
