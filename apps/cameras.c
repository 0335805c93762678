/* cameras.c — `liveness cameras`: which cameras there are, and what each can do. */
#include "apps/cameras.h"
#include "apps/commands.h"

#include <string.h>

struct settings {
    struct cli_common common;
};

static const char *use_name(enum vi_camera_use use)
{
    static const char *const names[] = {"unknown", "capture", "metadata", "output", "other"};
    return names[use];
}

/* ---- table ----------------------------------------------------------------------------------- */

/* "640x480", "32x32 .. 1920x1080, every 16" */
static char *size_text(char text[64], const struct vi_camera_mode *mode)
{
    int filled = 0;
    if (mode->least_width)
        filled = snprintf(text, 64, "%dx%d .. ", mode->least_width, mode->least_height);
    filled += snprintf(text + filled, 64 - (size_t)filled, "%dx%d", mode->width, mode->height);
    if (mode->step_width > 1)
        snprintf(text + filled, 64 - (size_t)filled, ", every %d", mode->step_width);
    return text;
}

static void write_mode(struct nn_text *text, const struct vi_camera_mode *mode, const char *format,
                       int width)
{
    char size[64], quoted[NN_QUOTED];
    nn_text_printf(text, "  %-6s  %-*s ", *format ? app_plain(quoted, format) : "", width,
                   size_text(size, mode));
    for (int i = 0; i < mode->rate_count; i++)
        nn_text_printf(text, "%s%.4g",
                       i == 0           ? " "
                       : mode->any_rate ? " .. "
                                        : " ",
                       mode->rates[i]);
    if (!mode->rate_count) nn_text_printf(text, " -");
    if (*format && !mode->readable) nn_text_printf(text, "  (not read here)");
    nn_text_printf(text, "\n");
}

static double fastest(const struct vi_camera_mode *mode)
{
    return mode->rate_count ? mode->rates[0] : 0;
}

/* The smallest size at which compressed pictures come much faster than others: what stands between
 * is the bus. */
static void write_bandwidth(struct nn_text *text, const struct vi_camera *camera)
{
    const struct vi_camera_mode *slow = NULL, *fast = NULL;
    for (int i = 0; i < camera->mode_count && strncmp(camera->bus, "usb", 3) == 0; i++)
        for (int k = 0; k < camera->mode_count; k++) {
            const struct vi_camera_mode *a = &camera->modes[i], *b = &camera->modes[k];
            if (!a->readable || !b->readable || a->compressed || !b->compressed ||
                a->width != b->width || a->height != b->height || fastest(a) <= 0 ||
                fastest(b) < 1.5 * fastest(a))
                continue;
            if (slow && (int64_t)slow->width * slow->height <= (int64_t)a->width * a->height)
                continue;
            slow = a;
            fast = b;
        }
    if (slow)
        nn_text_printf(text,
                       "  At %dx%d the USB bus carries %.4g frames per second of %s, %.4g of %s; "
                       "what is fast enough is taken.\n",
                       slow->width, slow->height, fastest(slow), slow->format, fastest(fast),
                       fast->format);
}

static void write_camera(struct nn_text *text, const struct vi_camera *camera)
{
    const struct vi_camera_mode *before = NULL;
    char quoted[NN_QUOTED], size[64];
    int width = 4;
    nn_text_printf(text, "%-12s  %s", camera->path,
                   *camera->name ? app_plain(quoted, camera->name) : "?");
    if (camera->use == VI_CAMERA_CAPTURE) {
        nn_text_printf(text, "  (%s", app_plain(quoted, camera->driver));
        nn_text_printf(text, ", %s)", app_plain(quoted, camera->bus));
    } else if (camera->use != VI_CAMERA_UNKNOWN) {
        nn_text_printf(text, ": %s, no pictures",
                       camera->use == VI_CAMERA_OTHER ? "another device" : use_name(camera->use));
    }
    nn_text_printf(text, "\n");
    if (*camera->trouble) nn_text_printf(text, "  %s\n", camera->trouble);
    for (int i = 0; i < camera->mode_count; i++) {
        int length = (int)strlen(size_text(size, &camera->modes[i]));
        if (length > width) width = length;
    }
    if (camera->mode_count)
        nn_text_printf(text, "  format  %-*s  frames per second\n", width, "size");
    for (int i = 0; i < camera->mode_count; before = &camera->modes[i++]) {
        bool same = before && strcmp(before->format, camera->modes[i].format) == 0;
        write_mode(text, &camera->modes[i], same ? "" : camera->modes[i].format, width);
    }
    write_bandwidth(text, camera);
}

void cameras_table(struct nn_text *text, const struct vi_camera *cameras, int count)
{
    for (int i = 0; i < count; i++) write_camera(text, &cameras[i]);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_mode(struct nn_text *text, const struct vi_camera_mode *mode)
{
    nn_text_printf(text, "{\"format\":");
    nn_text_json_string(text, mode->format);
    nn_text_printf(text, ",\"readable\":%s,\"compressed\":%s,\"width\":%d,\"height\":%d",
                   mode->readable ? "true" : "false", mode->compressed ? "true" : "false",
                   mode->width, mode->height);
    if (mode->least_width)
        nn_text_printf(text,
                       ",\"least_width\":%d,\"least_height\":%d,\"step_width\":%d,"
                       "\"step_height\":%d",
                       mode->least_width, mode->least_height, mode->step_width, mode->step_height);
    nn_text_printf(text, ",\"any_rate\":%s,\"rates\":[", mode->any_rate ? "true" : "false");
    for (int i = 0; i < mode->rate_count; i++) {
        if (i) nn_text_append(text, ",", 1);
        app_json_number(text, mode->rates[i]);
    }
    nn_text_printf(text, "]}");
}

static void json_camera(struct nn_text *text, const struct vi_camera *camera)
{
    const struct {
        const char *key, *value;
    } fields[] = {{"path", camera->path},         {"name", camera->name},
                  {"driver", camera->driver},     {"bus", camera->bus},
                  {"use", use_name(camera->use)}, {"trouble", camera->trouble}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        nn_text_printf(text, "%s\"%s\":", i ? "," : "{", fields[i].key);
        nn_text_json_string(text, fields[i].value);
    }
    nn_text_printf(text, ",\"modes\":[");
    for (int i = 0; i < camera->mode_count; i++) {
        if (i) nn_text_append(text, ",", 1);
        json_mode(text, &camera->modes[i]);
    }
    nn_text_printf(text, "]}");
}

void cameras_json(struct nn_text *text, const struct vi_camera *cameras, int count)
{
    nn_text_printf(text, "{\"cameras\":[");
    for (int i = 0; i < count; i++) {
        if (i) nn_text_append(text, ",", 1);
        json_camera(text, &cameras[i]);
    }
    nn_text_printf(text, "]}\n");
}

/* ---- run ------------------------------------------------------------------------------------- */

static int run(struct app *app, int argc, char **argv)
{
    struct settings settings;
    struct vi_camera *cameras = NULL;
    int count = 0, usable = 0;
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (!app_open(app, 1)) return app->exit_code;
    enum nn_status status = vi_cameras_list(&cameras, &count, app->context);
    if (!status) {
        struct nn_text text = {.context = app->context};
        if (settings.common.json)
            cameras_json(&text, cameras, count);
        else
            cameras_table(&text, cameras, count);
        status = app_print(app, &text);
    }
    for (int i = 0; i < count; i++)
        usable += cameras[i].use == VI_CAMERA_CAPTURE && !*cameras[i].trouble;
    if (!status && !usable)
        app_say(app,
                "There is no camera %s. A recorded stream (.mjpg, .y4m) stands in for one "
                "wherever a camera is named.",
                count ? "that can be used" : "here");
    vi_cameras_free(&cameras, &count, app->context);
    return app_finish(app, status);
}

const struct cli_command app_cameras = {
    .name = "cameras",
    .summary = "Lists the cameras with their formats, sizes and rates, and what is wrong with any.",
    .arguments = "",
    .arguments_min = 0,
    .arguments_max = 0,
    .notes = "A camera goes by its device (/dev/video0, or a name below /dev/v4l/by-id that stays "
             "the same),\nby its number (0), or by a part of its name (camera:C270). Which format "
             "and size are taken\nfollows from what is asked for: uncompressed ones as long as "
             "they come fast enough, else\nMotion-JPEG. Exposure and gain stay as they are set. "
             "None found is no failure.",
    .example = "  liveness cameras\n"
               "  liveness cameras --json",
    .options = NULL,
    .option_count = 0,
    .settings_size = sizeof(struct settings),
    .run = run,
};
