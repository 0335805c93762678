/* gather.c — `liveness gather`: faces out of videos and pictures, as a folder of a data set. */
#include "apps/gather.h"
#include "apps/commands.h"
#include "apps/detector.h"

#include <string.h>
#include <strings.h>

#define AT(field) offsetof(struct gather_settings, field)

static const struct cli_option OPTIONS[] = {
    {"-i --input", CLI_TEXT, AT(input), "VIDEO|DIR|IMAGE", NULL, 0, 0, CLI_ARGUMENT,
     "where the faces are; may be given several times, and arguments mean the same"},
    {"-o --output", CLI_TEXT, AT(output), "DIR", NULL, 0, 0, CLI_REQUIRED,
     "folder for the crops, for instance faces/real"},
    {"-d --detector", CLI_TEXT, AT(detector), "DIR", NULL, 0, 0, 0, DETECTOR_HELP},
    {"-c --confidence", CLI_REAL, AT(confidence), "C", "0.5", 0, 1, CLI_BELOW_HIGH,
     "keep faces the detector is surer of than this"},
    {"-s --skip", CLI_INT, AT(skip), "N", NULL, 1, 1000000, 0,
     "look at every N-th frame only; without it 16 of videos, 1 of pictures"},
    {"--margin", CLI_REAL, AT(margin), "M", "0", 0, 4, 0, "add this share of the box on each side"},
    {"--square", CLI_FLAG, AT(square), NULL, "no", 0, 0, CLI_NEGATABLE,
     "make the crop square, by its longer side"},
    {"--min-size", CLI_INT, AT(min_size), "PIXELS", "1", 1, 100000, 0,
     "leave out faces whose box has a shorter side below this"},
    {"--max", CLI_INT, AT(max), "N", "0", 0, 1000000000, 0,
     "at most this many faces of each row of the summary, then the next; 0: all"},
    {"--all-faces", CLI_FLAG, AT(all_faces), NULL, "no", 0, 0, CLI_NEGATABLE,
     "every face of a frame, not only the best one"},
    {"--different", CLI_REAL, AT(different), "D", "0", 0, 255, 0,
     "leave out faces that differ from the 8 kept before by less than D grey levels (of 255) on "
     "average, seen as 16 x 16 pixels: 2 drops repeated pictures, 8 about every second frame of a "
     "hand-held clip; 0: keep all"},
    {"--format", CLI_CHOICE, AT(format), "png|jpg", "png", 0, 0, 0, "of the crops"},
    {"--quality", CLI_INT, AT(quality), "Q", "95", 1, 100, 0, "of a jpg"},
    {"--keep-folders", CLI_FLAG, AT(keep_folders), NULL, "yes", 0, 0, CLI_NEGATABLE,
     "folders below a given folder appear below -o too: real/, fake/ ..."},
    {"--sheet", CLI_TEXT, AT(sheet), "FILE", NULL, 0, 0, 0,
     "contact sheet, .png or .jpg; without it -o's name and -sheet.jpe (an ending that data sets "
     "pass over)"},
    {"--no-sheet", CLI_FLAG, AT(no_sheet), NULL, NULL, 0, 0, 0, "no contact sheet"},
    APP_PRECISION(AT(precision)),
};

/* ---- start ----------------------------------------------------------------------------------- */

/* A context for one thread: errors are its own, and so is the count of its memory. */
static enum nn_status open_context(struct gather *gather, struct nn_context **context)
{
    struct app *app = gather->app;
    enum nn_status status = nn_open(context, &(struct nn_options){.threads = 1,
                                                                  .cpu = nn_cpu(app->context),
                                                                  .allocator = app->allocator});
    return status ? nn_fail(app->context, status, "%s", nn_error(*context)) : NN_OK;
}

static enum nn_status open_all(struct gather *gather)
{
    struct app *app = gather->app;
    gather_queue_open(&gather->frames, GATHER_FRAMES);
    gather_queue_open(&gather->crops, GATHER_CROPS);
    enum nn_status status = app_open_detector(&gather->detector, app, gather->settings.detector,
                                              gather->settings.precision);
    if (!status) status = app_make_folder(app, gather->settings.output);
    if (!status) status = gather_sheet_open(gather);
    if (!status) status = gather_find_inputs(gather);
    if (!status) status = open_context(gather, &gather->reader_context);
    if (!status) status = open_context(gather, &gather->file_context);
    gather->writer_count = nn_threads(app->context) > 1 ? GATHER_WRITERS : 1;
    for (int i = 0; i < gather->writer_count && !status; i++) {
        gather->writers[i].gather = gather;
        status = open_context(gather, &gather->writers[i].context);
    }
    return status;
}

/* ---- threads --------------------------------------------------------------------------------- */

static enum nn_status start_thread(struct gather *gather, pthread_t *thread, bool *started,
                                   void *(*run)(void *), void *argument)
{
    int error = pthread_create(thread, NULL, run, argument);
    *started = error == 0;
    if (!error) return NN_OK;
    return nn_fail(gather->app->context, NN_ERROR_MEMORY, "cannot start a thread: %s",
                   strerror(error));
}

static enum nn_status start_threads(struct gather *gather)
{
    enum nn_status status =
        start_thread(gather, &gather->reader, &gather->reader_started, gather_read, gather);
    for (int i = 0; i < gather->writer_count && !status; i++) {
        struct gather_writer *writer = &gather->writers[i];
        status = start_thread(gather, &writer->thread, &writer->started, gather_write, writer);
    }
    return status;
}

/* Waits for all threads. False: the reader waits itself, for a camera or a pipe from which nothing
 * comes, and cannot be told to stop. */
static bool join_threads(struct gather *gather)
{
    static const double patience = 3;
    gather_queue_abort(&gather->frames);
    gather_queue_close(&gather->crops);
    for (int i = 0; i < gather->writer_count; i++)
        if (gather->writers[i].started) pthread_join(gather->writers[i].thread, NULL);
    gather_leave_folder(gather);
    if (!gather->reader_started) return true;
    if (*app_stop_flag() && !gather_queue_await_close(&gather->frames, patience)) return false;
    pthread_join(gather->reader, NULL);
    return true;
}

/* What the threads have met with, told in the caller's context. */
static enum nn_status collect(struct gather *gather, enum nn_status status)
{
    struct nn_context *context = gather->app->context;
    if (status) return status;
    if (gather->writer_status)
        return nn_fail(context, gather->writer_status, "%s", gather->writer_error);
    if (gather->reader_status)
        return nn_fail(context, gather->reader_status, "%s", nn_error(gather->reader_context));
    return NN_OK;
}

/* ---- end ------------------------------------------------------------------------------------- */

static enum nn_status judge(struct gather *gather)
{
    struct nn_context *context = gather->app->context;
    int failed = 0;
    if (*app_stop_flag())
        return nn_fail(
            context, NN_ERROR_INTERRUPTED,
            "interrupted; what was written is whole, and the same command adds the rest");
    for (int i = 0; i < gather->input_count; i++) {
        const struct gather_input *input = &gather->inputs[i];
        failed += *input->error || (input->frames && input->broken == input->frames);
    }
    if (!failed) return NN_OK;
    return nn_fail(context, NN_ERROR_IO, "%d of %d inputs could not be read, or not to the end",
                   failed, gather->input_count);
}

static void close_all(struct gather *gather)
{
    struct nn_context *context = gather->app->context;
    for (int i = 0; i < GATHER_FRAMES && gather->reader_context; i++)
        vi_image_free(gather->reader_context, &gather->frame[i].pixels.image);
    for (int i = 0; i < GATHER_CROPS; i++) vi_image_free(context, &gather->crop[i].pixels.image);
    for (int i = 0; i < GATHER_WRITERS; i++) nn_close(&gather->writers[i].context);
    nn_close(&gather->file_context);
    nn_close(&gather->reader_context);
    gather_queue_free(&gather->frames);
    gather_queue_free(&gather->crops);
    vi_detector_close(&gather->detector);
    nn_free(context, gather->sheet.pixels);
    nn_free(context, gather->sheet.path);
    gather_free_inputs(gather);
}

static enum nn_status gather_all(struct gather *gather, bool *stuck)
{
    enum nn_status status = open_all(gather);
    if (status) return status;
    gather->start = app_seconds();
    status = start_threads(gather);
    if (!status) status = gather_look(gather);
    *stuck = !join_threads(gather);
    app_progress_clear(&gather->progress);
    gather->seconds = app_seconds() - gather->start;
    status = collect(gather, status);
    if (!status) status = gather_sheet_write(gather);
    /* What was done is told also when it ended badly, but then the error stays the last word. */
    char error[1024];
    snprintf(error, sizeof error, "%s", nn_error(gather->app->context));
    enum nn_status told = gather_report(gather, !status && !*app_stop_flag());
    if (status) return nn_fail(gather->app->context, status, "%s", error);
    return told ? told : judge(gather);
}

static bool ends_in(const char *text, const char *ending)
{
    size_t size = strlen(text), length = strlen(ending);
    return size > length && strcasecmp(text + size - length, ending) == 0;
}

static int check_usage(const struct app *app, const struct gather_settings *settings)
{
    char quoted[NN_QUOTED];
    const char *sheet = settings->sheet;
    if (sheet && settings->no_sheet)
        return app_usage(app, "--sheet and --no-sheet contradict each other");
    if (sheet && !ends_in(sheet, ".png") && !ends_in(sheet, ".jpg") && !ends_in(sheet, ".jpeg"))
        return app_usage(app, "--sheet: expected a name that ends in .png or .jpg, got %s",
                         nn_quote(quoted, sheet));
    return APP_OK;
}

static int run(struct app *app, int argc, char **argv)
{
    struct gather_settings settings;
    bool stuck = false;
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (check_usage(app, &settings)) return APP_USAGE;
    if (!app_open(app, 0)) return app->exit_code;
    app_catch_signals();
    struct gather *gather = nn_alloc(app->context, 1, sizeof *gather);
    if (!gather) return app_finish(app, NN_ERROR_MEMORY);
    gather->app = app;
    gather->settings = settings;
    pthread_mutex_init(&gather->turn_mutex, NULL);
    pthread_cond_init(&gather->turn_changed, NULL);
    enum nn_status status = gather_all(gather, &stuck);
    if (!stuck) { /* else the reader still has a hand on it, and the program ends anyway */
        close_all(gather);
        pthread_cond_destroy(&gather->turn_changed);
        pthread_mutex_destroy(&gather->turn_mutex);
        nn_free(app->context, gather);
    }
    return app_finish(app, status);
}

const struct cli_command app_gather = {
    .name = "gather",
    .summary = "Finds faces in videos and pictures and writes them as a folder of a data set.",
    .arguments = "VIDEO|DIR|IMAGE...",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .notes =
        "Frame 31 of clip.mp4 becomes DIR/clip_000031.png, so that names in order are frames in\n"
        "order (train --split tail); of photo.jpg, photo.png. Nothing is overwritten: a crop that "
        "is\n"
        "there already, byte for byte, is left alone (so a run can be repeated, or go on after\n"
        "Ctrl-C), and another clip of the same name becomes clip-2_000031.png. Folders are "
        "searched\n"
        "for pictures and videos. A row of the summary is a video, or the pictures of one folder:\n"
        "  looked at  frames given to the detector\n"
        "  faces      written                         again   found as they are from an earlier "
        "run\n"
        "  no face    nothing like one                unsure  none above -c\n"
        "  small      below --min-size                alike   see --different\n"
        "  broken     frames that could not be decoded\n"
        "The exit code is 1 when an input could not be read to its end; others are still gathered.",
    .example = "  liveness gather -i videos/real.mp4 -o faces/real -s 4\n"
               "  liveness gather -i videos/fake.mp4 -o faces/fake -s 4 --different 2",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct gather_settings),
    .run = run,
};
