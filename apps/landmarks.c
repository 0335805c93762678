/* landmarks.c — `liveness landmarks`: where eyes, nose and mouth are, in pictures and videos. */
#include "apps/commands.h"
#include "apps/shots.h"

#include <math.h>
#include <string.h>

struct settings {
    struct cli_common common;
    const char *shape, *detector, *box, *output;
    double confidence;
    int every, max_frames;
};

static const struct cli_option OPTIONS[] = {
    {"-p --landmarks", CLI_TEXT, offsetof(struct settings, shape), "FILE", NULL, 0, 0, 0,
     SHAPE_HELP},
    {"-d --detector", CLI_TEXT, offsetof(struct settings, detector), "DIR", NULL, 0, 0, 0,
     DETECTOR_HELP},
    {"-c --confidence", CLI_REAL, offsetof(struct settings, confidence), "C", "0.5", 0, 1, 0,
     "least confidence of a face"},
    {"--box", CLI_TEXT, offsetof(struct settings, box), "X1,Y1,X2,Y2", NULL, 0, 0, 0,
     "no detector: the face is here, in a square from brows to chin as dlib's detector draws it"},
    {"-o --output", CLI_TEXT, offsetof(struct settings, output), "OUT", NULL, 0, 0, 0,
     "folder for the pictures with landmarks drawn in; for a single picture also a .png or .jpg"},
    {"--every", CLI_INT, offsetof(struct settings, every), "N", "1", 1, 1000000, 0,
     "look at every N-th frame of a video"},
    {"--max-frames", CLI_INT, offsetof(struct settings, max_frames), "N", "0", 0, 1000000000, 0,
     "look at so many frames of a video at most; 0: all"},
};

enum { EYES = 68, RIGHT_EYE = 36, LEFT_EYE = 42 }; /* first points; right is the person's */

struct job {
    const struct settings *settings;
    struct vi_detector *detector; /* NULL: `given` */
    struct vi_shape *shape;
    struct vi_face given;
    int (*boxes)[4];         /* [capacity] */
    struct vi_point *points; /* [capacity, vi_shape_points] */
    int capacity;
};

static const struct vi_point *points_of(const struct job *job, int face)
{
    return job->points + (ptrdiff_t)face * vi_shape_points(job->shape);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void write_face(struct nn_text *text, const struct job *job, const struct shot *shot,
                       int index)
{
    const struct vi_face *face = &shot->faces[index];
    const struct vi_point *points = points_of(job, index);
    const int *box = job->boxes[index], count = vi_shape_points(job->shape);
    nn_text_printf(text, "%s{", index ? "," : "");
    if (job->detector)
        nn_text_printf(text, "\"confidence\":%.6f,\"box\":[%.2f,%.2f,%.2f,%.2f],",
                       (double)face->confidence, (double)face->x1, (double)face->y1,
                       (double)face->x2, (double)face->y2);
    nn_text_printf(text, "\"square\":[%d,%d,%d,%d],\"points\":[", box[0], box[1], box[2], box[3]);
    for (int i = 0; i < count; i++)
        nn_text_printf(text, "%s[%.2f,%.2f]", i ? "," : "", (double)points[i].x,
                       (double)points[i].y);
    nn_text_printf(text, "]");
    if (count == EYES)
        nn_text_printf(text, ",\"eyes\":{\"left\":%.4f,\"right\":%.4f}",
                       vi_eye_aspect_ratio(points + LEFT_EYE),
                       vi_eye_aspect_ratio(points + RIGHT_EYE));
    nn_text_printf(text, "}");
}

static void write_json(struct nn_text *text, const struct shots *shots, const struct shot *shot)
{
    shots_write_json(text, shot);
    nn_text_printf(text, ",\"faces\":[");
    for (int i = 0; i < shot->count; i++) write_face(text, shots->user, shot, i);
    nn_text_printf(text, "],\"milliseconds\":%.3f}\n", shot->milliseconds);
}

static void write_rows(struct nn_text *text, const struct shots *shots, const struct shot *shot)
{
    const struct job *job = shots->user;
    const int count = vi_shape_points(job->shape);
    if (!shot) nn_text_printf(text, "%4s %5s %9s %9s  file\n", "face", "point", "x", "y");
    for (int i = 0; shot && i < shot->count; i++) {
        const struct vi_point *points = points_of(job, i);
        for (int j = 0; j < count; j++) {
            nn_text_printf(text, "%4d %5d %9.2f %9.2f", i + 1, j, (double)points[j].x,
                           (double)points[j].y);
            shots_write_file(text, shot);
        }
        if (count != EYES) continue;
        nn_text_printf(text, "%4d %5s %9.4f %9.4f", i + 1, "eyes",
                       vi_eye_aspect_ratio(points + LEFT_EYE),
                       vi_eye_aspect_ratio(points + RIGHT_EYE));
        shots_write_file(text, shot);
    }
    if (!shot || shot->count) return;
    nn_text_printf(text, "%4s %5s %9s %9s", "-", "-", "-", "-");
    shots_write_file(text, shot);
}

static void draw(const struct shots *shots, const struct shot *shot)
{
    const struct job *job = shots->user;
    if (job->detector) annotate_faces(&shot->image, shot->faces, shot->count);
    for (int i = shot->count; i > 0; i--)
        annotate_points(&shot->image, points_of(job, i - 1), vi_shape_points(job->shape));
}

/* ---- looking --------------------------------------------------------------------------------- */

static enum nn_status make_room(struct job *job, struct nn_context *context, int faces)
{
    const size_t points = (size_t)vi_shape_points(job->shape);
    if (faces <= job->capacity) return NN_OK;
    void *boxes = nn_realloc(context, job->boxes, (size_t)faces, sizeof *job->boxes);
    if (boxes) job->boxes = boxes;
    void *more = nn_realloc(context, job->points, (size_t)faces, points * sizeof *job->points);
    if (more) job->points = more;
    if (!boxes || !more) return NN_ERROR_MEMORY;
    job->capacity = faces;
    return NN_OK;
}

static enum nn_status look(struct shots *shots, struct shot *shot)
{
    struct job *job = shots->user;
    const struct settings *settings = job->settings;
    enum nn_status status = NN_OK;
    shot->faces = &job->given;
    shot->count = 1;
    if (job->detector)
        status = vi_detect(job->detector, &shot->image, VI_RGB, (float)settings->confidence,
                           &shot->faces, &shot->count);
    if (!status) status = make_room(job, shots->app->context, shot->count);
    for (int i = 0; i < shot->count && !status; i++) {
        const struct vi_face *face = &shot->faces[i];
        int *box = job->boxes[i];
        if (job->detector)
            vi_shape_box(box, face);
        else
            memcpy(box, (int[]){(int)face->x1, (int)face->y1, (int)face->x2, (int)face->y2},
                   4 * sizeof *box);
        vi_shape_find(job->shape, (struct vi_point *)points_of(job, i), &shot->image, box);
    }
    return status;
}

/* ---- run ------------------------------------------------------------------------------------- */

/* Four whole numbers, as in dlib's rectangles. */
static bool read_box(struct vi_face *face, const char *text)
{
    int box[4], end = 0;
    if (sscanf(text, "%7d,%7d,%7d,%7d%n", &box[0], &box[1], &box[2], &box[3], &end) != 4 ||
        text[end] || box[2] <= box[0] || box[3] <= box[1])
        return false;
    *face = (struct vi_face){1, (float)box[0], (float)box[1], (float)box[2], (float)box[3]};
    return true;
}

static int run(struct app *app, int argc, char **argv)
{
    char quoted[NN_QUOTED];
    struct settings settings;
    struct job job = {.settings = &settings};
    struct shots shots = {.app = app,
                          .look = look,
                          .json = write_json,
                          .rows = write_rows,
                          .draw = draw,
                          .user = &job,
                          .label = "looking"};
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (settings.box && !read_box(&job.given, settings.box))
        return app_usage(app, "--box: expected LEFT,TOP,RIGHT,BOTTOM in whole pixels, got %s",
                         nn_quote(quoted, settings.box));
    if (!app_open(app, 0)) return app->exit_code;
    app_catch_signals();
    shots.every = settings.every;
    shots.max_frames = settings.max_frames;
    enum nn_status status = shots_open(&shots, settings.output);
    if (!status) status = app_open_shape(&job.shape, app, settings.shape);
    if (!status && !settings.box)
        status = app_open_detector(&job.detector, app, settings.detector, 0);
    if (!status) status = shots_run(&shots);
    nn_free(app->context, job.boxes);
    nn_free(app->context, job.points);
    vi_shape_close(&job.shape);
    vi_detector_close(&job.detector);
    shots_close(&shots);
    return app_finish(app, status);
}

const struct cli_command app_landmarks = {
    .name = "landmarks",
    .summary = "Finds eyes, nose, mouth and jaw in faces, in pictures and videos.",
    .arguments = "IMAGE|DIR|VIDEO...",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .notes =
        "Landmarks are dlib's: shape_predictor_68_face_landmarks.dat, or any other shape "
        "predictor,\n"
        "and so are the points; dlib itself rounds them to whole pixels, x.5 upwards.\n"
        "Point 0 is at the right end of the jaw, as the person sees it. Of 68 points the line\n"
        "'eyes' has the aspect ratio of the left and of the right eye: height over width, about\n"
        "0.3 open and below 0.2 closed. Files that cannot be read are named, the others answered,\n"
        "and the exit code is 1.",
    .example = "  liveness landmarks -d weights/detector -o out/landmarks photos clip.mp4",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct settings),
    .run = run,
};
