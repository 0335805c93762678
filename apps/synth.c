/* synth.c — `liveness synth`: draws a labelled sample data set. */
#include "apps/commands.h"
#include "datasets/datasets.h"

struct settings {
    struct cli_common common;
    int count, size;
};

static const struct cli_option OPTIONS[] = {
    {"-n --count", CLI_INT, offsetof(struct settings, count), "N", "400", 2, 10000000, 0,
     "pictures in all, half of them real"},
    {"-s --size", CLI_INT, offsetof(struct settings, size), "PIXELS", "96", 32, 1024, 0,
     "width and height of a picture"},
};

static int run(struct app *app, int argc, char **argv)
{
    struct settings settings;
    struct app_progress progress;
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (!app_open(app, 0)) return app->exit_code;
    const char *folder = app->parsed.arguments[0];
    app_catch_signals();
    enum nn_status status = app_make_folder(app, folder);
    app_progress_start(&progress, app, "drawing");
    if (!status)
        status = ds_synth(app->context, folder,
                          &(struct ds_synth_options){.count = settings.count,
                                                     .size = settings.size,
                                                     .seed = settings.common.seed,
                                                     .progress = app_progress_draw,
                                                     .user = &progress,
                                                     .stop = app_stop_flag()});
    app_progress_clear(&progress);
    double seconds = app_seconds() - progress.start;
    if (!status) app_say(app, "%d pictures in %s, %.1f s", settings.count, folder, seconds);
    if (!status && settings.common.json) {
        struct nn_text text = {.context = app->context};
        nn_text_printf(&text, "{\"directory\":");
        nn_text_json_string(&text, folder);
        nn_text_printf(&text, ",\"images\":%d,\"size\":%d,\"seed\":%llu,\"seconds\":%.3f}\n",
                       settings.count, settings.size, (unsigned long long)settings.common.seed,
                       seconds);
        status = app_print(app, &text);
    }
    return app_finish(app, status);
}

const struct cli_command app_synth = {
    .name = "synth",
    .summary = "Draws faces and recaptures of them (prints, screens): a data set to try things on.",
    .arguments = "OUT",
    .arguments_min = 1,
    .arguments_max = 1,
    .notes = "Writes OUT/real/*, OUT/fake/print/*, OUT/fake/screen/* and OUT/faces.csv (boxes and\n"
             "eyes). Picture n depends on the seed and n only.",
    .example = "  liveness synth faces --count 400 --size 96 --seed 7",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct settings),
    .run = run,
};
