/* detect.c — `liveness detect`: the faces in pictures and videos. */
#include "apps/commands.h"
#include "apps/shots.h"

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
    const struct settings *settings;
    struct vi_detector *detector;
};

static void write_json(struct nn_text *text, const struct shots *shots, const struct shot *shot)
{
    (void)shots;
    shots_write_json(text, shot);
    nn_text_printf(text, ",\"faces\":[");
    for (int i = 0; i < shot->count; i++) {
        const struct vi_face *face = &shot->faces[i];
        nn_text_printf(text, "%s{\"confidence\":%.6f,\"box\":[%.2f,%.2f,%.2f,%.2f]}", i ? "," : "",
                       (double)face->confidence, (double)face->x1, (double)face->y1,
                       (double)face->x2, (double)face->y2);
    }
    nn_text_printf(text, "],\"milliseconds\":%.3f}\n", shot->milliseconds);
}

static void write_rows(struct nn_text *text, const struct shots *shots, const struct shot *shot)
{
    (void)shots;
    if (!shot) {
        nn_text_printf(text, "%4s %11s %8s %8s %8s %8s  file\n", "face", "confidence", "x1", "y1",
                       "x2", "y2");
        return;
    }
    for (int i = 0; i < shot->count; i++) {
        const struct vi_face *face = &shot->faces[i];
        nn_text_printf(text, "%4d %11.4f %8.1f %8.1f %8.1f %8.1f", i + 1, (double)face->confidence,
                       (double)face->x1, (double)face->y1, (double)face->x2, (double)face->y2);
        shots_write_file(text, shot);
    }
    if (shot->count) return;
    nn_text_printf(text, "%4s %11s %8s %8s %8s %8s", "-", "-", "-", "-", "-", "-");
    shots_write_file(text, shot);
}

static void draw(const struct shots *shots, const struct shot *shot)
{
    (void)shots;
    annotate_faces(&shot->image, shot->faces, shot->count);
}

static enum nn_status look(struct shots *shots, struct shot *shot)
{
    const struct job *job = shots->user;
    return vi_detect(job->detector, &shot->image, VI_RGB, (float)job->settings->confidence,
                     &shot->faces, &shot->count);
}

static int run(struct app *app, int argc, char **argv)
{
    struct settings settings;
    struct job job = {.settings = &settings};
    struct shots shots = {.app = app,
                          .look = look,
                          .json = write_json,
                          .rows = write_rows,
                          .draw = draw,
                          .user = &job,
                          .label = "detecting"};
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (!app_open(app, 0)) return app->exit_code;
    app_catch_signals();
    shots.every = settings.every;
    shots.max_frames = settings.max_frames;
    enum nn_status status = shots_open(&shots, settings.output);
    if (!status)
        status = app_open_detector(&job.detector, app, settings.detector, settings.precision);
    if (!status) status = shots_run(&shots);
    vi_detector_close(&job.detector);
    shots_close(&shots);
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
