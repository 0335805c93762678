/* shots.c — pictures and videos, one after the other, looked at. */
#include "apps/shots.h"

#include <unistd.h>

/* ---- telling --------------------------------------------------------------------------------- */

void shots_write_json(struct nn_text *text, const struct shot *shot)
{
    nn_text_printf(text, "{\"file\":");
    nn_text_json_string(text, shot->file);
    if (shot->frame >= 0)
        nn_text_printf(text, ",\"frame\":%lld,\"seconds\":%.3f", (long long)shot->frame,
                       shot->seconds);
    nn_text_printf(text, ",\"width\":%d,\"height\":%d", shot->image.width, shot->image.height);
}

/* The file comes last: it has any length. */
void shots_write_file(struct nn_text *text, const struct shot *shot)
{
    char quoted[NN_QUOTED];
    nn_text_printf(text, "  %s", app_plain(quoted, shot->file));
    if (shot->frame >= 0)
        nn_text_printf(text, "  frame %lld, %.3f s", (long long)shot->frame, shot->seconds);
    nn_text_append(text, "\n", 1);
}

static enum nn_status tell(struct shots *shots, const struct shot *shot)
{
    struct nn_text text = {.context = shots->app->context};
    if (shots->app->common->json) {
        shots->json(&text, shots, shot);
    } else {
        if (shots->looked == 1) shots->rows(&text, shots, NULL);
        shots->rows(&text, shots, shot);
    }
    return app_print(shots->app, &text);
}

/* ---- looking --------------------------------------------------------------------------------- */

static enum nn_status look(struct shots *shots, struct shot *shot)
{
    double start = app_seconds();
    enum nn_status status = shots->look(shots, shot);
    if (status) return status;
    double seconds = app_seconds() - start;
    shot->milliseconds = 1e3 * seconds;
    shots->seconds += seconds;
    shots->looked++;
    shots->faces += (size_t)shot->count;
    status = tell(shots, shot);
    if (status || !shots->output.path) return status;
    shots->draw(shots, shot);
    return annotate_write(&shots->output, &shot->image, shot->file, shot->frame);
}

/* What is wrong with one file is told, and the others get their turn. */
static enum nn_status pass_over(struct shots *shots, enum nn_status status)
{
    if (status == NN_ERROR_MEMORY || status == NN_ERROR_INTERRUPTED) return status;
    app_progress_clear(&shots->progress);
    app_complain(shots->app, "%s", nn_error(shots->app->context));
    shots->bad++;
    return NN_OK;
}

static enum nn_status look_at_picture(struct shots *shots, const char *path)
{
    struct nn_context *context = shots->app->context;
    struct shot shot = {.file = path, .frame = -1};
    enum nn_status status =
        vi_read(&shot.image, context, path, &(struct vi_decode_options){.color = VI_RGB});
    if (status) return pass_over(shots, status);
    status = look(shots, &shot);
    vi_image_free(context, &shot.image);
    return status;
}

static enum nn_status check_stop(const struct shots *shots)
{
    return *app_stop_flag() ? nn_fail(shots->app->context, NN_ERROR_INTERRUPTED,
                                      "interrupted after %zu pictures", shots->looked)
                            : NN_OK;
}

/* Frames that cannot be decoded are a remark; a video that ends in an error, or has no frames at
 * all, is a bad file. */
static enum nn_status end_video(struct shots *shots, const struct vi_capture *capture,
                                const char *path, int64_t frames, enum nn_status status)
{
    const struct vi_capture_info *info = vi_capture_info(capture);
    char quoted[NN_QUOTED];
    if (status) return pass_over(shots, status);
    if (frames == 0) {
        status =
            nn_fail(shots->app->context, NN_ERROR_FORMAT, "%s has no frame that can be shown%s%s",
                    nn_quote(quoted, path), info->broken ? ": " : "", info->last_broken);
        return pass_over(shots, status);
    }
    if (info->broken)
        app_complain(shots->app, "%s: %lld broken frame%s passed over%s: %s",
                     nn_quote(quoted, path), (long long)info->broken, info->broken == 1 ? "" : "s",
                     info->broken == 1 ? "" : ", the last", info->last_broken);
    return NN_OK;
}

/* `wrong`: what the capture reports, in contrast to what looking does. */
static enum nn_status look_at_frames(struct shots *shots, struct vi_capture *capture,
                                     const char *path, int64_t *frames, enum nn_status *wrong)
{
    const struct vi_capture_info *info = vi_capture_info(capture);
    enum nn_status status = NN_OK;
    for (*frames = 0; shots->max_frames == 0 || *frames < shots->max_frames; ++*frames) {
        struct vi_frame frame;
        bool end = true;
        status = check_stop(shots);
        if (!status && *frames) *wrong = vi_capture_skip(capture, shots->every - 1);
        if (!status && !*wrong) *wrong = vi_capture_read(capture, &frame, &end);
        if (status || *wrong || end) return status;
        if (frame.trouble) continue; /* a camera's old picture, or none */
        struct shot shot = {path, frame.image, frame.index, frame.seconds, NULL, 0, 0};
        status = look(shots, &shot);
        if (status) return status;
        if (shots->files.count == 1 && info->frames > frame.index)
            app_progress_draw(&shots->progress, (size_t)frame.index + 1, (size_t)info->frames);
    }
    return status;
}

static enum nn_status look_at_video(struct shots *shots, const char *path)
{
    struct vi_capture *capture;
    int64_t frames = 0;
    enum nn_status wrong = vi_capture_open(&capture, shots->app->context, path, NULL);
    if (wrong) return pass_over(shots, wrong);
    enum nn_status status = look_at_frames(shots, capture, path, &frames, &wrong);
    if (!status) status = end_video(shots, capture, path, frames, wrong);
    vi_capture_close(&capture);
    return status;
}

/* ---- run ------------------------------------------------------------------------------------- */

enum nn_status shots_open(struct shots *shots, const char *output)
{
    struct app *app = shots->app;
    enum nn_status status = NN_OK;
    shots->files.wanted = app_shows_something;
    for (int i = 0; i < app->parsed.argument_count && !status; i++)
        status = app_find_files(&shots->files, app, app->parsed.arguments[i]);
    return status ? status : annotate_open(&shots->output, app, output, &shots->files);
}

void shots_close(struct shots *shots)
{
    annotate_close(&shots->output);
    app_free_files(&shots->files, shots->app);
}

enum nn_status shots_run(struct shots *shots)
{
    struct app *app = shots->app;
    enum nn_status status = NN_OK;
    app_progress_start(&shots->progress, app, shots->label);
    /* Where rows run over the terminal they are the progress. */
    if (isatty(STDOUT_FILENO)) shots->progress.live = false;
    for (size_t i = 0; i < shots->files.count && !status; i++) {
        const char *path = shots->files.paths[i];
        status = check_stop(shots);
        if (!status)
            status = vi_is_video(path) ? look_at_video(shots, path) : look_at_picture(shots, path);
        if (!status && shots->files.count > 1)
            app_progress_draw(&shots->progress, i + 1, shots->files.count);
    }
    app_progress_clear(&shots->progress);
    if (shots->looked)
        app_say(app, "%zu picture%s, %zu face%s, %.1f ms per picture", shots->looked,
                shots->looked == 1 ? "" : "s", shots->faces, shots->faces == 1 ? "" : "s",
                1e3 * shots->seconds / (double)shots->looked);
    if (!status && shots->bad)
        status = nn_fail(app->context, NN_ERROR_IO, "%zu of %zu files could not be read",
                         shots->bad, shots->files.count);
    return status;
}
