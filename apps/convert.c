/* convert.c — `liveness convert`: another program's face detector becomes one file of ours. */
#include "apps/commands.h"
#include "vision/vision.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct settings {
    struct cli_common common;
    const char *output;
};

static const struct cli_option OPTIONS[] = {
    {"-o --output", CLI_TEXT, offsetof(struct settings, output), "FILE", NULL, 0, 0, CLI_REQUIRED,
     "the .safetensors to write"},
};

struct converted {
    const char *input, *output, *source;
    int layers;
    size_t parameters;
    long long bytes;
    char sha256[65];
};

static bool ends_in(const char *path, const char *ending)
{
    size_t size = strlen(path), length = strlen(ending);
    return size > length && strcasecmp(path + size - length, ending) == 0;
}

/* What stands in the place of the new file may be a detector, or nothing. */
static enum nn_status check_place(struct app *app, const char *path)
{
    struct nn_archive *archive = NULL;
    struct stat info;
    char quoted[NN_QUOTED];
    enum nn_status status = app_prepare_output(app, path, "-o");
    if (status || stat(path, &info) != 0) return status;
    status = nn_archive_read(&archive, app->context, path);
    const char *kind = status ? NULL : nn_archive_text(archive, "kind");
    bool same = kind && strcmp(kind, "face-detector") == 0;
    nn_archive_free(&archive);
    if (same || status == NN_ERROR_MEMORY) return status;
    return nn_fail(app->context, NN_ERROR_ARGUMENT,
                   "-o: %s is there and is not a face detector; it is left as it is",
                   nn_quote(quoted, path));
}

static enum nn_status examine(struct converted *converted, const struct vi_detector *detector)
{
    struct nn_graph *graph = vi_detector_graph(detector);
    struct stat info;
    converted->source = vi_detector_source(detector);
    for (int i = 0; i < nn_node_count(graph); i++) {
        const struct nn_node *node = nn_node_at(graph, i);
        const char *op = nn_node_op(node);
        if (strcmp(op, "parameter") == 0 || strcmp(op, "state") == 0)
            converted->parameters += nn_shape_count(nn_node_shape(node));
        else if (strcmp(op, "input") != 0)
            converted->layers++;
    }
    if (stat(converted->output, &info) == 0) converted->bytes = (long long)info.st_size;
    return nn_weights_sha256(converted->sha256, graph);
}

static enum nn_status tell(struct app *app, const struct converted *converted)
{
    struct nn_text text = {.context = app->context};
    char in[NN_QUOTED], out[NN_QUOTED];
    if (app->common->json) {
        nn_text_printf(&text, "{\"input\":");
        nn_text_json_string(&text, converted->input);
        nn_text_printf(&text, ",\"source\":\"%s\",\"output\":", converted->source);
        nn_text_json_string(&text, converted->output);
        nn_text_printf(
            &text, ",\"layers\":%d,\"parameters\":%zu,\"bytes\":%lld,\"sha256\":\"%s\"}\n",
            converted->layers, converted->parameters, converted->bytes, converted->sha256);
    } else {
        nn_text_printf(&text, "read     %s (%s)\n", app_plain(in, converted->input),
                       converted->source);
        nn_text_printf(&text, "wrote    %s, %lld bytes\n", app_plain(out, converted->output),
                       converted->bytes);
        nn_text_printf(&text, "layers   %d\nparams   %zu\nsha256   %s  (of the weights)\n",
                       converted->layers, converted->parameters, converted->sha256);
    }
    return app_print(app, &text);
}

static int run(struct app *app, int argc, char **argv)
{
    struct settings settings;
    struct vi_detector *detector = NULL;
    char quoted[NN_QUOTED];
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (!ends_in(settings.output, ".safetensors"))
        return app_usage(app, "-o: expected a name that ends in .safetensors, got %s",
                         nn_quote(quoted, settings.output));
    if (!app_open(app, 1)) return app->exit_code;
    struct converted converted = {.input = app->parsed.arguments[0], .output = settings.output};
    enum nn_status status = check_place(app, settings.output);
    if (!status) status = vi_detector_open(&detector, app->context, converted.input);
    if (!status) status = vi_detector_save(detector, settings.output);
    if (!status) status = examine(&converted, detector);
    if (!status) status = tell(app, &converted);
    vi_detector_close(&detector);
    return app_finish(app, status);
}

const struct cli_command app_convert = {
    .name = "convert",
    .summary = "Makes one .safetensors of a face detector in Caffe's or TensorFlow's files.",
    .arguments = "DETECTOR",
    .arguments_min = 1,
    .arguments_max = 1,
    .notes = "DETECTOR is what `detect -d` takes: a folder or one of its files. The network stays\n"
             "the same, weight by weight; how pictures are prepared is written with it.",
    .example = "  liveness convert weights/detector -o weights/detector.safetensors",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct settings),
    .run = run,
};
