/*
 * demo.h — what the parts of `liveness demo` share.
 *
 *   demo.c           options, start and end
 *   demo_read.c      camera or recording -> frames: a thread that decodes
 *   demo_look.c      frames -> faces with verdicts: a thread, and its pool
 *   demo_show.c      faces -> screen and files; keys: the caller's thread
 *   demo_overlay.c   what is drawn into the picture
 *   demo_exchange.c  what stands between the threads: no more than one frame at each place
 *   demo_report.c    --json, times, the summary
 *
 * A camera does not wait: who is late gets its newest frame, and older ones are lost and counted.
 * A recording does: every frame is looked at, so that the same file gives the same verdicts.
 */
#ifndef APPS_DEMO_H
#define APPS_DEMO_H

#include "apps/app.h"
#include "apps/predictor.h"
#include "vision/vision.h"

#include <pthread.h>

struct demo_settings {
    struct cli_common common;
    const char *model, *detector, *shape, *video, *output, *record, *real_label, *save;
    double confidence, fps, ear, threshold, margin;
    int width, height, every, policy, blinks, ear_frames, display, codec, quality, precision;
    int max_frames;
    bool loop, no_landmarks;
};

/* ---- times ----------------------------------------------------------------------------------- */

enum demo_stage {
    DEMO_READ,      /* its bytes were there -> decoded */
    DEMO_WAIT,      /* until somebody looked at it */
    DEMO_DETECT,    /* faces, and whose they are */
    DEMO_LANDMARKS, /* of all faces, and blinks */
    DEMO_TEXTURE,
    DEMO_CLASSIFY, /* crops through the network, and verdicts */
    DEMO_LATENCY,  /* bytes were there -> verdicts */
    DEMO_DRAW,
    DEMO_WRITE, /* -o and --record */
    DEMO_SHOW,
    DEMO_STAGES
};
extern const char *const demo_stage_names[DEMO_STAGES];

/* How often a stage took how long: a histogram whose steps are 2.5 % wide, from 1 us to 8 s. */
enum { DEMO_TIMES = 640 };
struct demo_times {
    uint32_t count[DEMO_TIMES], total;
    double sum, recent; /* seconds; `recent`: smoothed, for the screen */
};
void demo_times_add(struct demo_times *times, double seconds);
double demo_times_quantile(const struct demo_times *times, double share); /* seconds; 0: none */

/* ---- frames ---------------------------------------------------------------------------------- */

struct demo_face {
    int64_t id;
    struct vi_face box;
    enum vi_answer answer;
    const char *reason; /* a constant */
    double score, real, moire;
    struct vi_texture texture;
    struct vi_blink blink;
    struct vi_point *points; /* the frame's */
    int slot;
};
enum { DEMO_TROUBLE = 160 };
struct demo_frame {
    struct vi_image image;
    size_t room; /* bytes of its pixels */
    int64_t index;
    double seconds, arrived, ready;
    double rate;                /* frames per second of the source; 0: not known */
    double fps;                 /* that are looked at, lately */
    char trouble[DEMO_TROUBLE]; /* "": none */
    bool held;                  /* waited through a pause: its latency says nothing */
    struct demo_face faces[VI_MAX_TRACKS];
    int count;
    struct vi_point *points; /* [VI_MAX_TRACKS, point_count] */
    int point_count;
    double spent[DEMO_STAGES];
};

/* ---- demo_exchange.c ------------------------------------------------------------------------- */

/* In hands: one each of reader, looker, shower; between them: one each. */
enum { DEMO_FRAMES = 5 };
enum demo_place { DEMO_FREE, DEMO_HELD, DEMO_UNSEEN, DEMO_SEEN };
struct demo_exchange {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum demo_place place[DEMO_FRAMES];
    bool live;
    bool paused, was_paused;
    double due; /* recordings: when the next frame is to be read; infinite: not yet */
    bool read_over, look_over; /* nothing more comes from there */
    bool load_over;            /* the landmarks' file is loaded, or cannot be */
    bool stopped;
    int64_t passed_over, unshown; /* live: frames for which nobody had time */
};
void demo_exchange_open(struct demo_exchange *exchange);
void demo_exchange_close(struct demo_exchange *exchange);
/* All of these return a frame's number, or -1 when there is no more use or nothing more to come. */
int demo_to_read(struct demo_exchange *exchange);
int demo_to_look(struct demo_exchange *exchange, bool *held); /* held: there was a pause */
int demo_to_show(struct demo_exchange *exchange, double patience,
                 bool *over); /* -1: not yet, too */
void demo_was_read(struct demo_exchange *exchange, int frame);
void demo_was_seen(struct demo_exchange *exchange, int frame);
void demo_release(struct demo_exchange *exchange, int frame);
/* Recordings: a frame will be needed at that time (app_seconds), no sooner. */
void demo_ask(struct demo_exchange *exchange, double due);
void demo_pause(struct demo_exchange *exchange, bool paused);
void demo_set_live(struct demo_exchange *exchange, bool live);
enum demo_end { DEMO_READ_OVER, DEMO_LOOK_OVER, DEMO_LOAD_OVER, DEMO_STOP };
void demo_over(struct demo_exchange *exchange, enum demo_end which);
bool demo_await_reader(struct demo_exchange *exchange, double seconds); /* is it over? */
bool demo_is_loaded(struct demo_exchange *exchange, bool wait);

/* ---- the run --------------------------------------------------------------------------------- */

/* What tests put in the place of a camera and of a person at the keys; NULL where they don't. */
struct demo_seams {
    enum nn_status (*open)(struct vi_capture **capture, struct nn_context *context,
                           const char *path, const struct vi_capture_options *options, void *user);
    int (*key)(void *user, int64_t frame); /* pressed when this frame is shown; 0: none */
    void *user;
};

/* A thread with a context of its own: errors are its own, too. */
struct demo_thread {
    struct nn_context *context;
    pthread_t thread;
    bool started;
    enum nn_status status;
};

struct demo {
    struct app *app;
    struct demo_settings settings;
    struct demo_seams seams;
    struct demo_exchange exchange;
    struct demo_frame frames[DEMO_FRAMES];
    struct demo_thread reader, looker, loader, shower; /* the last is the caller's thread */
    bool eyes;                                         /* are landmarks wanted? */
    struct vi_shape *shape;                            /* the loader's, until it is loaded */
    double crop_margin;                                /* of the model, or --margin */
    const char *source;                                /* format of the video */
    double start, first_verdict;

    /* Each written by one thread, and read when that is over. */
    struct demo_times times[DEMO_STAGES];
    int64_t looked, answers[3];
    double first_arrived, last_seen;
    int64_t broken, lost;
    char last_broken[512];
};

void *demo_read(void *demo);
void *demo_look(void *demo);
enum nn_status demo_show(struct demo *demo);
/* Where a face is cut out for the network. */
struct vi_image demo_crop(const struct vi_image *image, const struct vi_face *face, double margin);

/* `liveness demo` with seams; NULL: none. */
int demo_main(struct app *app, int argc, char **argv, const struct demo_seams *seams);

/* ---- demo_overlay.c -------------------------------------------------------------------------- */

struct demo_overlay;
enum nn_status demo_overlay_open(struct demo_overlay **overlay, struct nn_context *context,
                                 int width, int height);
void demo_overlay_free(struct demo_overlay **overlay);
struct demo_hud {
    const char *lines[4]; /* top left; NULL: fewer */
    const char *center;   /* a word in the middle, or NULL */
    const char *corner;   /* top right, or NULL */
    bool landmarks, help;
};
void demo_overlay_draw(const struct demo_overlay *overlay, const struct vi_image *image,
                       const struct demo_frame *frame, const struct demo_hud *hud);

/* ---- demo_report.c --------------------------------------------------------------------------- */

/* A line of --json. */
void demo_write_frame(struct nn_text *text, const struct demo_frame *frame);
enum nn_status demo_report(struct demo *demo);

#endif
