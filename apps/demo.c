/* demo.c — `liveness demo`: in front of a camera, face by face: a person, or a picture? */
#include "apps/demo.h"
#include "apps/commands.h"
#include "apps/detector.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(field) offsetof(struct demo_settings, field)

static const struct cli_option OPTIONS[] = {
    {"-m --model", CLI_TEXT, AT(model), "FILE", NULL, 0, 0, CLI_REQUIRED,
     "network that tells live from fake, as `train` wrote it"},
    {"-d --detector", CLI_TEXT, AT(detector), "DIR", NULL, 0, 0, 0, DETECTOR_HELP},
    {"-p --shape-predictor", CLI_TEXT, AT(shape), "FILE", NULL, 0, 0, 0,
     "dlib's 68 landmarks (shape_predictor_68_face_landmarks.dat): eyes that blink; without it "
     "only --policy cnn+blink asks for blinks, and looks for that file where `landmarks` does"},
    {"-c --confidence", CLI_REAL, AT(confidence), "C", "0.5", 0, 1, 0,
     "least confidence of a face"},
    {"-v --video", CLI_TEXT, AT(video), "CAMERA|FILE|-", "camera:", 0, 0, 0,
     "camera, by its device, number or camera:NAME (without a name the first one), or a recording "
     "in its place: what `gather` reads; - is standard input"},
    {"-o --output", CLI_TEXT, AT(output), "FILE", NULL, 0, 0, 0,
     "write what is shown, boxes and all: .avi, .mp4, .y4m, pictures (out/%06d.jpg), or - for raw "
     "RGB"},
    {"--record", CLI_TEXT, AT(record), "FILE", NULL, 0, 0, 0,
     "write the frames as they came, to look at them again with -v or `gather`"},
    {"--codec", CLI_CHOICE, AT(codec), "mjpeg|h264", "mjpeg", 0, 0, 0,
     "of -o and --record; h264 needs ffmpeg"},
    {"--quality", CLI_INT, AT(quality), "Q", "90", 1, 100, 0, "of JPEGs in them"},
    {"-f --fps", CLI_REAL, AT(fps), "N", NULL, 0, 1000, CLI_ABOVE_LOW,
     "frames per second: of a camera, as near as it has them, and of what is written; without it "
     "those of the source, or 30"},
    {"-w --width", CLI_INT, AT(width), "PIXELS", NULL, 1, 16384, 0,
     "width of frames: cameras are asked for it, recordings scaled to it"},
    {"-he --height", CLI_INT, AT(height), "PIXELS", NULL, 1, 16384, 0,
     "... and height; where one is missing it follows from the other"},
    {"--every", CLI_INT, AT(every), "N", "1", 1, 1000, 0,
     "look for faces in every N-th frame; in between they are where they were going"},
    {"--policy", CLI_CHOICE, AT(policy), VI_POLICY_NAMES, "fused", 0, 0, 0,
     "cnn: the network alone. cnn+blink: and nothing is live before it has blinked. fused: that, "
     "where eyes can be seen, and texture (moire, sharpness, exposure) may deny"},
    {"--blinks", CLI_INT, AT(blinks), "N", "1", 1, 1000, 0, "how often"},
    {"--threshold", CLI_REAL, AT(threshold), "P", "0.5", 0, 1, CLI_ABOVE_LOW,
     "least probability of a live face, smoothed over time"},
    {"--ear", CLI_REAL, AT(ear), "E", NULL, 0, 1, CLI_ABOVE_LOW,
     "an eye is closed when its aspect ratio is below this (tutorials: 0.3); without it the ratio "
     "is compared with the same face's open eyes"},
    {"--ear-frames", CLI_INT, AT(ear_frames), "N", "2", 1, 1000, 0,
     "with --ear: for so many frames at least"},
    {"--real-label", CLI_TEXT, AT(real_label), "LABEL", NULL, 0, 0, 0,
     "the model's label of live faces; without it real, live, genuine or bonafide"},
    {"--margin", CLI_REAL, AT(margin), "M", NULL, 0, 4, 0,
     "add this share of the box on each side before the network sees the face, as `gather "
     "--margin` did; without it what the model says"},
    {"--display", CLI_CHOICE, AT(display), "auto|x11|fb|terminal|none", "auto", 0, 0, 0,
     "where to show it"},
    {"--no-landmarks", CLI_FLAG, AT(no_landmarks), NULL, NULL, 0, 0, 0,
     "do not draw landmarks (key l)"},
    {"--save", CLI_TEXT, AT(save), "DIR", "demo", 0, 0, 0,
     "where the keys s, r and f save: DIR/pictures, DIR/faces/real, DIR/faces/fake"},
    {"--max-frames", CLI_INT, AT(max_frames), "N", "0", 0, 2000000000, 0,
     "end after so many frames; 0: at the end, or never"},
    {"--loop", CLI_FLAG, AT(loop), NULL, NULL, 0, 0, 0, "begin a recording anew at its end"},
    APP_PRECISION(AT(precision)),
};
enum { SHOW_TERMINAL = 3 }; /* place in --display's list */

/* ---- start ----------------------------------------------------------------------------------- */

static void *load_shape(void *argument)
{
    struct demo *demo = argument;
    struct app app = *demo->app; /* whose error text is not another thread's */
    app.context = demo->loader.context;
    demo->loader.status = app_open_shape(&demo->shape, &app, demo->settings.shape);
    demo_over(&demo->exchange, DEMO_LOAD_OVER);
    return NULL;
}

static enum nn_status open_context(struct demo *demo, struct demo_thread *thread, int threads)
{
    struct app *app = demo->app;
    enum nn_status status =
        nn_open(&thread->context, &(struct nn_options){.threads = threads,
                                                       .cpu = nn_cpu(app->context),
                                                       .allocator = app->allocator});
    return status ? nn_fail(app->context, status, "%s", nn_error(thread->context)) : NN_OK;
}

static enum nn_status start_thread(struct demo *demo, struct demo_thread *thread,
                                   void *(*run)(void *))
{
    int error = pthread_create(&thread->thread, NULL, run, demo);
    thread->started = error == 0;
    if (!error) return NN_OK;
    return nn_fail(demo->app->context, NN_ERROR_MEMORY, "cannot start a thread: %s",
                   strerror(error));
}

static enum nn_status start(struct demo *demo)
{
    struct app *app = demo->app;
    enum nn_status status = open_context(demo, &demo->looker, app->common->threads);
    if (!status) status = open_context(demo, &demo->loader, 1);
    if (!status) status = open_context(demo, &demo->reader, 1);
    if (!status) status = open_context(demo, &demo->shower, 1);
    if (!status && demo->eyes) status = start_thread(demo, &demo->loader, load_shape);
    if (!status) status = start_thread(demo, &demo->reader, demo_read);
    if (!status) status = start_thread(demo, &demo->looker, demo_look);
    return status;
}

/* ---- end ------------------------------------------------------------------------------------- */

/* False: the reader waits for a pipe from which nothing comes, and cannot be told to stop. */
static bool join_threads(struct demo *demo)
{
    static const double patience = 1;
    demo_over(&demo->exchange, DEMO_STOP);
    if (demo->looker.started) pthread_join(demo->looker.thread, NULL);
    if (demo->loader.started) pthread_join(demo->loader.thread, NULL);
    if (!demo->reader.started) return true;
    if (!demo_await_reader(&demo->exchange, patience)) return false;
    pthread_join(demo->reader.thread, NULL);
    return true;
}

/* What the threads have met with, told in the caller's context; the looker's word comes first, as
 * the others may have failed for want of it. */
static enum nn_status collect(struct demo *demo, enum nn_status status, bool stuck)
{
    struct nn_context *context = demo->app->context;
    const struct demo_thread *threads[] = {&demo->looker, &demo->reader, &demo->shower};
    demo->shower.status = status;
    if (stuck) demo->reader.status = NN_OK;
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        if (threads[i]->status)
            return nn_fail(context, threads[i]->status, "%s", nn_error(threads[i]->context));
    if (*app_stop_flag())
        return nn_fail(context, NN_ERROR_INTERRUPTED, "interrupted after %lld frames",
                       (long long)demo->looked);
    return NN_OK;
}

static void close_all(struct demo *demo)
{
    for (int i = 0; i < DEMO_FRAMES; i++) {
        if (demo->reader.context) vi_image_free(demo->reader.context, &demo->frames[i].image);
        nn_free(demo->looker.context, demo->frames[i].points);
    }
    vi_shape_close(&demo->shape);
    nn_close(&demo->reader.context);
    nn_close(&demo->looker.context);
    nn_close(&demo->loader.context);
    nn_close(&demo->shower.context);
    demo_exchange_close(&demo->exchange);
}

static enum nn_status run_all(struct demo *demo, bool *stuck)
{
    struct nn_context *context = demo->app->context;
    enum nn_status status = start(demo);
    if (!status) {
        status = demo_show(demo);
        *stuck = !join_threads(demo);
        status = collect(demo, status, *stuck);
    } else {
        join_threads(demo);
    }
    if (!demo->looked) return status;
    /* What was done is told also when it ended badly, but then the error stays the last word. */
    char error[1024];
    snprintf(error, sizeof error, "%s", nn_error(context));
    enum nn_status told = demo_report(demo);
    return status ? nn_fail(context, status, "%s", error) : told;
}

/* The folder for a file is made, as everywhere; what is there already may be a pipe. */
static enum nn_status prepare_output(struct app *app, const char *path, const char *option)
{
    struct stat info;
    if (!path || strcmp(path, "-") == 0 || stat(path, &info) == 0) return NN_OK;
    return app_prepare_output(app, path, option);
}

static int check_name(const struct app *app, const char *path, const char *option)
{
    char quoted[NN_QUOTED];
    if (!path || vi_can_record(path)) return APP_OK;
    return app_usage(app,
                     "%s: expected a name that ends in .avi, .mp4, .mov or .y4m, pictures such "
                     "as out/%%06d.jpg, or -; got %s",
                     option, nn_quote(quoted, path));
}

static int check_usage(const struct app *app, const struct demo_settings *settings)
{
    const char *output = settings->output, *record = settings->record;
    bool json = settings->common.json, piped = output && strcmp(output, "-") == 0;
    bool raw = record && strcmp(record, "-") == 0;
    if (piped + raw + json > 1)
        return app_usage(app, "only one of -o -, --record - and --json can have standard output");
    if (piped + raw + json && settings->display == SHOW_TERMINAL && isatty(STDOUT_FILENO))
        return app_usage(app, "%s and --display terminal cannot share the terminal",
                         json ? "--json" : "raw video");
    if (output && record && strcmp(output, record) == 0)
        return app_usage(app, "-o and --record cannot be the same file");
    if (cli_given(&app->parsed, app->command, "--ear-frames") && !(settings->ear > 0))
        return app_usage(app, "--ear-frames belongs to --ear");
    if (check_name(app, output, "-o")) return APP_USAGE;
    return check_name(app, record, "--record");
}

int demo_main(struct app *app, int argc, char **argv, const struct demo_seams *seams)
{
    struct demo_settings settings;
    double begin = app_seconds();
    bool stuck = false;
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (check_usage(app, &settings)) return APP_USAGE;
    if (!cli_given(&app->parsed, app->command, "--margin")) settings.margin = -1;
    if (!app_open(app, 1)) return app->exit_code;
    app_catch_signals();
    app_ignore_pipe();
    struct demo *demo = nn_alloc(app->context, 1, sizeof *demo);
    if (!demo) return app_finish(app, NN_ERROR_MEMORY);
    demo->app = app;
    demo->settings = settings;
    demo->eyes = settings.shape || settings.policy == VI_POLICY_CNN_BLINK;
    demo->start = begin;
    if (seams) demo->seams = *seams;
    demo_exchange_open(&demo->exchange);
    enum nn_status status = prepare_output(app, settings.output, "-o");
    if (!status) status = prepare_output(app, settings.record, "--record");
    if (!status) status = run_all(demo, &stuck);
    if (!stuck) { /* else the reader still has a hand on it, and the program ends anyway */
        close_all(demo);
        nn_free(app->context, demo);
    }
    return app_finish(app, status);
}

static int run(struct app *app, int argc, char **argv)
{
    return demo_main(app, argc, argv, NULL);
}

const struct cli_command app_demo = {
    .name = "demo",
    .summary = "Shows live, face by face, whether a camera sees a person or a picture of one.",
    .arguments = "",
    .arguments_max = 0,
    .notes =
        "Keys, where there is a display: q or escape ends, p pauses, s saves the picture, l shows\n"
        "landmarks or not, r and f save the largest face as a real or fake picture to train with,\n"
        "h helps. Green is live, red a spoof, yellow not decided, with the reason. A camera's\n"
        "frames are looked at as fast as this machine can, the newest first; of a recording every\n"
        "frame is, so that the same file gives the same verdicts. --json prints a line per frame\n"
        "with all that went into each verdict, and a summary. Whatever ends it, what was written\n"
        "can be played.",
    .example =
        "  liveness demo -m out/faces.safetensors -d weights/detector\n"
        "  liveness demo -m out/faces.safetensors -v clip.mp4 -o out/clip.avi --display none",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct demo_settings),
    .run = run,
};
