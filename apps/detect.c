/* detect.c — `liveness detect`: the faces in pictures and videos. */
#include "apps/annotate.h"
#include "apps/commands.h"
#include "apps/detector.h"

#include <unistd.h>

struct settings {
    struct cli_common common;
    const char *detector, *output;
    double confidence;
    int every, max_frames, precision;
};

static const struct cli_option OPTIONS[] = {
    {"-d --detector", CLI_TEXT, offsetof(struct settings, detector), "DIR", NULL, 0, 0, 0,
     DETECTOR_HELP},
    {"-c --confidence", CLI_REAL, offsetof(struct settings, confidence), "C", "0.5", 0, 1, 0,
     "least confidence of a face"},
    {"-o --output", CLI_TEXT, offsetof(struct settings, output), "OUT", NULL, 0, 0, 0,
     "folder for the pictures with boxes drawn in; for a single picture also a .png or .jpg"},
    {"--every", CLI_INT, offsetof(struct settings, every), "N", "1", 1, 1000000, 0,
     "look at every N-th frame of a video"},
    {"--max-frames", CLI_INT, offsetof(struct settings, max_frames), "N", "0", 0, 1000000000, 0,
     "look at so many frames of a video at most; 0: all"},
    APP_PRECISION(offsetof(struct settings, precision)),
};

struct job {
    struct app *app;
    const struct settings *settings;
    struct app_files files;
    struct vi_detector *detector;
    struct annotate_output output;
    struct app_progress progress;
    size_t looked, faces, bad; /* pictures and frames; faces in them; files */
    double seconds;            /* in vi_detect */
};

/* A picture, or a frame of a video. */
struct shot {
    const char *file;
    struct vi_image image;
    int64_t frame; /* -1: a picture */
    double seconds;
    const struct vi_face *faces;
    int count;
    double milliseconds;
};

/* ---- telling --------------------------------------------------------------------------------- */

static void write_json(struct nn_text *text, const struct shot *shot)
{
    nn_text_printf(text, "{\"file\":");
    nn_text_json_string(text, shot->file);
    if (shot->frame >= 0)
        nn_text_printf(text, ",\"frame\":%lld,\"seconds\":%.3f", (long long)shot->frame,
                       shot->seconds);
    nn_text_printf(text, ",\"width\":%d,\"height\":%d,\"faces\":[", shot->image.width,
                   shot->image.height);
    for (int i = 0; i < shot->count; i++) {
        const struct vi_face *face = &shot->faces[i];
        nn_text_printf(text, "%s{\"confidence\":%.6f,\"box\":[%.2f,%.2f,%.2f,%.2f]}", i ? "," : "",
                       (double)face->confidence, (double)face->x1, (double)face->y1,
                       (double)face->x2, (double)face->y2);
    }
    nn_text_printf(text, "],\"milliseconds\":%.3f}\n", shot->milliseconds);
}

/* The file comes last: it has any length. */
static void write_file(struct nn_text *text, const struct shot *shot)
{
    char quoted[NN_QUOTED];
    nn_text_printf(text, "  %s", app_plain(quoted, shot->file));
    if (shot->frame >= 0)
        nn_text_printf(text, "  frame %lld, %.3f s", (long long)shot->frame, shot->seconds);
    nn_text_append(text, "\n", 1);
}

static void write_rows(struct nn_text *text, const struct shot *shot)
{
    for (int i = 0; i < shot->count; i++) {
        const struct vi_face *face = &shot->faces[i];
        nn_text_printf(text, "%4d %11.4f %8.1f %8.1f %8.1f %8.1f", i + 1, (double)face->confidence,
                       (double)face->x1, (double)face->y1, (double)face->x2, (double)face->y2);
        write_file(text, shot);
    }
    if (shot->count) return;
    nn_text_printf(text, "%4s %11s %8s %8s %8s %8s", "-", "-", "-", "-", "-", "-");
    write_file(text, shot);
}

static enum nn_status tell(struct job *job, const struct shot *shot)
{
    struct nn_text text = {.context = job->app->context};
    if (job->settings->common.json) {
        write_json(&text, shot);
    } else {
        if (job->looked == 1)
            nn_text_printf(&text, "%4s %11s %8s %8s %8s %8s  file\n", "face", "confidence", "x1",
                           "y1", "x2", "y2");
        write_rows(&text, shot);
    }
    return app_print(job->app, &text);
}

/* ---- looking
 * -------------------------------------------------------------------------------------
 */

static enum nn_status look(struct job *job, struct shot *shot)
{
    double start = app_seconds();
    enum nn_status status = vi_detect(job->detector, &shot->image, VI_RGB,
                                      (float)job->settings->confidence, &shot->faces, &shot->count);
    if (status) return status;
    double seconds = app_seconds() - start;
    shot->milliseconds = 1e3 * seconds;
    job->seconds += seconds;
    job->looked++;
    job->faces += (size_t)shot->count;
    status = tell(job, shot);
    if (status || !job->output.path) return status;
    annotate_faces(&shot->image, shot->faces, shot->count);
    return annotate_write(&job->output, &shot->image, shot->file, shot->frame);
}

/* What is wrong with one file is told, and the others get their turn. */
static enum nn_status pass_over(struct job *job, enum nn_status status)
{
    if (status == NN_ERROR_MEMORY || status == NN_ERROR_INTERRUPTED) return status;
    app_progress_clear(&job->progress);
    app_complain(job->app, "%s", nn_error(job->app->context));
    job->bad++;
    return NN_OK;
}

static enum nn_status look_at_picture(struct job *job, const char *path)
{
    struct nn_context *context = job->app->context;
    struct shot shot = {.file = path, .frame = -1};
    enum nn_status status =
        vi_read(&shot.image, context, path, &(struct vi_decode_options){.color = VI_RGB});
    if (status) return pass_over(job, status);
    status = look(job, &shot);
    vi_image_free(context, &shot.image);
    return status;
}

static enum nn_status check_stop(const struct job *job)
{
    return *app_stop_flag() ? nn_fail(job->app->context, NN_ERROR_INTERRUPTED,
                                      "interrupted after %zu pictures", job->looked)
                            : NN_OK;
}

/* Frames that cannot be decoded are a remark; a video that ends in an error, or has no frames at
 * all, is a bad file. */
static enum nn_status end_video(struct job *job, const struct vi_capture *capture, const char *path,
                                int64_t frames, enum nn_status status)
{
    const struct vi_capture_info *info = vi_capture_info(capture);
    char quoted[NN_QUOTED];
    if (status) return pass_over(job, status);
    if (frames == 0) {
        status =
            nn_fail(job->app->context, NN_ERROR_FORMAT, "%s has no frame that can be shown%s%s",
                    nn_quote(quoted, path), info->broken ? ": " : "", info->last_broken);
        return pass_over(job, status);
    }
    if (info->broken)
        app_complain(job->app, "%s: %lld broken frame%s passed over%s: %s", nn_quote(quoted, path),
                     (long long)info->broken, info->broken == 1 ? "" : "s",
                     info->broken == 1 ? "" : ", the last", info->last_broken);
    return NN_OK;
}

/* `wrong`: what the capture reports, in contrast to what looking does. */
static enum nn_status look_at_frames(struct job *job, struct vi_capture *capture, const char *path,
                                     int64_t *frames, enum nn_status *wrong)
{
    const struct settings *settings = job->settings;
    const struct vi_capture_info *info = vi_capture_info(capture);
    enum nn_status status = NN_OK;
    for (*frames = 0; settings->max_frames == 0 || *frames < settings->max_frames; ++*frames) {
        struct vi_frame frame;
        bool end = true;
        status = check_stop(job);
        if (!status && *frames) *wrong = vi_capture_skip(capture, settings->every - 1);
        if (!status && !*wrong) *wrong = vi_capture_read(capture, &frame, &end);
        if (status || *wrong || end) return status;
        struct shot shot = {path, frame.image, frame.index, frame.seconds, NULL, 0, 0};
        status = look(job, &shot);
        if (status) return status;
        if (job->files.count == 1 && info->frames > frame.index)
            app_progress_draw(&job->progress, (size_t)frame.index + 1, (size_t)info->frames);
    }
    return status;
}

static enum nn_status look_at_video(struct job *job, const char *path)
{
    struct vi_capture *capture;
    int64_t frames = 0;
    enum nn_status wrong = vi_capture_open(&capture, job->app->context, path, NULL);
    if (wrong) return pass_over(job, wrong);
    enum nn_status status = look_at_frames(job, capture, path, &frames, &wrong);
    if (!status) status = end_video(job, capture, path, frames, wrong);
    vi_capture_close(&capture);
    return status;
}

/* ---- run
 * -----------------------------------------------------------------------------------------
 */

static enum nn_status open_job(struct job *job)
{
    struct app *app = job->app;
    enum nn_status status = NN_OK;
    job->files.wanted = app_shows_something;
    for (int i = 0; i < app->parsed.argument_count && !status; i++)
        status = app_find_files(&job->files, app, app->parsed.arguments[i]);
    if (!status) status = annotate_open(&job->output, app, job->settings->output, &job->files);
    if (!status)
        status = app_open_detector(&job->detector, app, job->settings->detector,
                                   job->settings->precision);
    return status;
}

static enum nn_status detect(struct job *job)
{
    struct app *app = job->app;
    enum nn_status status = NN_OK;
    app_progress_start(&job->progress, app, "detecting");
    /* Where rows run over the terminal they are the progress. */
    if (isatty(STDOUT_FILENO)) job->progress.live = false;
    for (size_t i = 0; i < job->files.count && !status; i++) {
        const char *path = job->files.paths[i];
        status = check_stop(job);
        if (!status)
            status = vi_is_video(path) ? look_at_video(job, path) : look_at_picture(job, path);
        if (!status && job->files.count > 1)
            app_progress_draw(&job->progress, i + 1, job->files.count);
    }
    app_progress_clear(&job->progress);
    if (job->looked)
        app_say(app, "%zu picture%s, %zu face%s, %.1f ms per picture", job->looked,
                job->looked == 1 ? "" : "s", job->faces, job->faces == 1 ? "" : "s",
                1e3 * job->seconds / (double)job->looked);
    if (!status && job->bad)
        status = nn_fail(app->context, NN_ERROR_IO, "%zu of %zu files could not be read", job->bad,
                         job->files.count);
    return status;
}

static int run(struct app *app, int argc, char **argv)
{
    struct settings settings;
    struct job job = {.app = app, .settings = &settings};
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (!app_open(app, 0)) return app->exit_code;
    app_catch_signals();
    enum nn_status status = open_job(&job);
    if (!status) status = detect(&job);
    vi_detector_close(&job.detector);
    annotate_close(&job.output);
    app_free_files(&job.files, app);
    return app_finish(app, status);
}

const struct cli_command app_detect = {
    .name = "detect",
    .summary = "Finds the faces in pictures and videos, and draws boxes around them.",
    .arguments = "IMAGE|DIR|VIDEO...",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .notes =
        "The detector is OpenCV's: a folder with deploy.prototxt and a .caffemodel, or a .pbtxt\n"
        "and a .pb, or a .safetensors that `convert` made of them; weights/fetch.sh downloads it.\n"
        "Boxes are in pixels: x1 and y1 of the upper left corner, x2 and y2 of the lower right\n"
        "one. Folders are searched with all below them; - is standard input. Files that cannot\n"
        "be read are named, the others answered, and the exit code is 1.",
    .example = "  liveness detect -d weights/detector -o out/boxes photos clip.mp4",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct settings),
    .run = run,
};
