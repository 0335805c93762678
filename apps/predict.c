/* predict.c — `liveness predict`: a label and probabilities for each picture. */
#include "apps/commands.h"
#include "apps/predictor.h"

#include <string.h>
#include <sys/stat.h>

struct settings {
    struct cli_common common;
    const char *model, *sheet, *real_label;
    int precision;
};

static const struct cli_option OPTIONS[] = {
    {"-m --model", CLI_TEXT, offsetof(struct settings, model), "FILE", NULL, 0, 0, CLI_REQUIRED,
     "network to use, as `train` wrote it"},
    {"--sheet", CLI_TEXT, offsetof(struct settings, sheet), "FILE", NULL, 0, 0, 0,
     "contact sheet of pictures and answers, .png or .jpg; at most 60, evenly chosen"},
    {"--real-label", CLI_TEXT, offsetof(struct settings, real_label), "LABEL", NULL, 0, 0, 0,
     "which label is framed green on the sheet; without it real, live, genuine or bonafide"},
    APP_PRECISION(offsetof(struct settings, precision)),
};

enum { SHEET_MOST = 60, SHEET_CELL = 128 };

struct answer {
    bool good;
    uint16_t label;
    float probability;
};

struct job {
    struct app *app;
    const struct settings *settings;
    struct model model;
    struct predictor predictor;
    struct app_files files;
    struct ds_options options;
    uint8_t *pixels;        /* [batch, picture] */
    struct answer *answers; /* [files], only where a sheet is wanted */
    size_t first;           /* of the batch at hand */
    enum nn_status status[PREDICTOR_BATCH];
    char *reason[PREDICTOR_BATCH];
    int row[PREDICTOR_BATCH]; /* where a good one's answer stands */
    size_t bad;
};

/* ---- a batch --------------------------------------------------------------------------------- */

static size_t picture_bytes(const struct job *job)
{
    return (size_t)job->options.width * (size_t)job->options.height * 3;
}

static void read_one(void *argument, int index, int thread)
{
    struct job *job = argument;
    struct nn_context *context = nn_worker(job->app->context, thread);
    uint8_t *to = job->pixels + (size_t)index * picture_bytes(job);
    job->status[index] =
        ds_read_picture(to, context, job->files.paths[job->first + (size_t)index], &job->options);
    if (!job->status[index]) return;
    job->reason[index] = nn_strdup(context, nn_error(context));
    if (!job->reason[index]) job->status[index] = NN_ERROR_MEMORY;
}

static const float *row_of(const struct job *job, int index)
{
    return job->predictor.probabilities + (size_t)job->row[index] * (size_t)job->model.classes;
}

static void write_json(struct nn_text *text, const struct job *job, int index, int label)
{
    const struct model *model = &job->model;
    nn_text_printf(text, "{\"file\":");
    nn_text_json_string(text, job->files.paths[job->first + (size_t)index]);
    nn_text_printf(text, ",\"label\":");
    nn_text_json_string(text, model->labels[label]);
    nn_text_printf(text, ",\"probabilities\":{");
    for (int k = 0; k < model->classes; k++) {
        if (k) nn_text_append(text, ",", 1);
        nn_text_json_string(text, model->labels[k]);
        nn_text_append(text, ":", 1);
        app_json_number(text, row_of(job, index)[k]);
    }
    nn_text_printf(text, "}}\n");
}

/* Columns: label, a probability per class, file. The file comes last: it has any length. */
static void write_row(struct nn_text *text, const struct job *job, int index, int label)
{
    const struct model *model = &job->model;
    char quoted[NN_QUOTED], name[NN_QUOTED];
    const char *path = job->files.paths[job->first + (size_t)index];
    nn_text_printf(text, "%-12s", app_plain(name, model->labels[label]));
    for (int k = 0; k < model->classes; k++)
        nn_text_printf(text, " %8.4f", (double)row_of(job, index)[k]);
    nn_text_printf(text, "  %s\n", app_plain(quoted, path));
}

static void write_header(struct nn_text *text, const struct model *model)
{
    char name[NN_QUOTED];
    nn_text_printf(text, "%-12s", "label");
    for (int k = 0; k < model->classes; k++)
        nn_text_printf(text, " %8.8s", app_plain(name, model->labels[k]));
    nn_text_printf(text, "  file\n");
}

/* The good pictures move to the front: the network runs over them only. */
static int gather_good(struct job *job, int count)
{
    int good = 0;
    for (int i = 0; i < count; i++) {
        if (job->status[i]) continue;
        if (good < i)
            memcpy(job->pixels + (size_t)good * picture_bytes(job),
                   job->pixels + (size_t)i * picture_bytes(job), picture_bytes(job));
        job->row[i] = good++;
    }
    return good;
}

static void tell_one(struct job *job, struct nn_text *text, int index)
{
    if (job->status[index]) {
        app_complain(job->app, "%s", job->reason[index]);
        job->bad++;
        return;
    }
    double probability;
    int label = predictor_answer(&job->predictor, job->row[index], &probability);
    if (job->settings->common.json)
        write_json(text, job, index, label);
    else
        write_row(text, job, index, label);
    if (job->answers)
        job->answers[job->first + (size_t)index] =
            (struct answer){true, (uint16_t)label, (float)probability};
}

static enum nn_status run_batch(struct job *job, int count)
{
    struct nn_context *context = job->app->context;
    struct nn_text text = {.context = context};
    enum nn_status status = NN_OK;
    nn_parallel(context, count, read_one, job);
    for (int i = 0; i < count && !status; i++)
        if (job->status[i] == NN_ERROR_MEMORY)
            status = nn_fail(context, NN_ERROR_MEMORY, "%s",
                             job->reason[i] ? job->reason[i] : "out of memory");
    int good = status ? 0 : gather_good(job, count);
    if (good) status = predictor_run(&job->predictor, job->pixels, good);
    if (!status && job->first == 0 && !job->settings->common.json) write_header(&text, &job->model);
    for (int i = 0; i < count && !status; i++) tell_one(job, &text, i);
    for (int i = 0; i < count; i++) {
        nn_free(context, job->reason[i]);
        job->reason[i] = NULL;
    }
    if (!status && (text.size || text.failed)) return app_print(job->app, &text);
    nn_text_free(&text);
    return status;
}

/* ---- the sheet ------------------------------------------------------------------------------- */

struct sheet {
    struct vi_sheet_item items[SHEET_MOST];
    char first[SHEET_MOST][64];
    int count;
};

/* Reads the picture again, as it is: the network's 32 x 32 are little to look at. */
static enum nn_status read_shown(struct vi_image *image, struct nn_context *context,
                                 const char *path)
{
    struct vi_image whole = {0};
    enum nn_status status =
        vi_read(&whole, context, path, &(struct vi_decode_options){.color = VI_RGB});
    if (status) return status;
    int longest = whole.width > whole.height ? whole.width : whole.height;
    if (longest <= 4 * SHEET_CELL) {
        *image = whole;
        return NN_OK;
    }
    int width = (int)((int64_t)whole.width * 4 * SHEET_CELL / longest);
    int height = (int)((int64_t)whole.height * 4 * SHEET_CELL / longest);
    status = vi_image_new(image, context, width ? width : 1, height ? height : 1, 3);
    if (!status) status = vi_resize(image, &whole, context);
    vi_image_free(context, &whole);
    return status;
}

/* The file and the folder it lies in. */
static const char *short_path(const char *path)
{
    int slashes = 0;
    for (const char *at = path + strlen(path); at > path; at--)
        if (at[-1] == '/' && ++slashes == 2) return at;
    return path;
}

static enum nn_status add_to_sheet(struct sheet *sheet, struct job *job, size_t file, int live)
{
    static const struct vi_rgb green = {34, 139, 60}, red = {200, 40, 40}, grey = {90, 90, 90};
    const struct answer *answer = &job->answers[file];
    const char *path = job->files.paths[file];
    struct vi_sheet_item *item = &sheet->items[sheet->count];
    char name[NN_QUOTED];
    enum nn_status status = read_shown(&item->image, job->app->context, path);
    if (status) return status;
    snprintf(sheet->first[sheet->count], sizeof sheet->first[0], "%.40s %.1f %%",
             app_plain(name, job->model.labels[answer->label]),
             100.0 * (double)answer->probability);
    item->line1 = sheet->first[sheet->count];
    item->line2 = short_path(path);
    item->frame = live < 0 ? grey : answer->label == live ? green : red;
    sheet->count++;
    return NN_OK;
}

static enum nn_status write_sheet(struct job *job, int live)
{
    struct nn_context *context = job->app->context;
    size_t files = job->files.count;
    size_t wanted = files > SHEET_MOST ? SHEET_MOST : files;
    struct vi_image page = {0};
    struct sheet *sheet = nn_alloc(context, 1, sizeof *sheet);
    if (!sheet) return NN_ERROR_MEMORY;
    enum nn_status status = NN_OK;
    for (size_t i = 0; i < wanted && !status; i++) {
        size_t file = i * files / wanted;
        if (job->answers[file].good) status = add_to_sheet(sheet, job, file, live);
    }
    int columns = sheet->count > 24 ? 10 : sheet->count > 6 ? 6 : sheet->count ? sheet->count : 1;
    if (!status)
        status = vi_plot_sheet(&page, context, "Predictions", sheet->items, sheet->count, columns,
                               SHEET_CELL);
    if (!status) status = vi_write(&page, context, job->settings->sheet, 0);
    vi_image_free(context, &page);
    for (int i = 0; i < SHEET_MOST; i++) vi_image_free(context, &sheet->items[i].image);
    nn_free(context, sheet);
    return status;
}

/* ---- run ------------------------------------------------------------------------------------- */

/* One thread is enough for a few named files: starting more would cost more than they give. */
static int threads_for(const struct app *app)
{
    struct stat info;
    if (app->parsed.argument_count > PREDICTOR_BATCH) return 0;
    for (int i = 0; i < app->parsed.argument_count; i++)
        if (stat(app->parsed.arguments[i], &info) == 0 && S_ISDIR(info.st_mode)) return 0;
    return app->parsed.argument_count > 4 ? 0 : 1;
}

static enum nn_status open_job(struct job *job)
{
    struct app *app = job->app;
    enum nn_status status = NN_OK;
    if (job->settings->sheet) status = app_prepare_output(app, job->settings->sheet, "--sheet");
    if (!status) status = model_load(&job->model, app, job->settings->model, NULL);
    for (int i = 0; i < app->parsed.argument_count && !status; i++)
        status = app_find_files(&job->files, app, app->parsed.arguments[i]);
    if (status) return status;
    int batch = job->files.count < PREDICTOR_BATCH ? (int)job->files.count : PREDICTOR_BATCH;
    status = predictor_open(&job->predictor, &job->model, batch,
                            app_precision(app, job->settings->precision));
    if (status) return status;
    job->options = model_pictures(&job->model);
    job->pixels = nn_alloc(app->context, (size_t)batch, picture_bytes(job));
    if (!job->pixels) return NN_ERROR_MEMORY;
    if (!job->settings->sheet) return NN_OK;
    job->answers = nn_alloc(app->context, job->files.count, sizeof *job->answers);
    return job->answers ? NN_OK : NN_ERROR_MEMORY;
}

static void close_job(struct job *job)
{
    nn_free(job->app->context, job->answers);
    nn_free(job->app->context, job->pixels);
    predictor_close(&job->predictor);
    app_free_files(&job->files, job->app);
    model_free(&job->model);
}

static enum nn_status predict(struct job *job)
{
    const struct settings *settings = job->settings;
    const struct model *model = &job->model;
    int live = ds_live_class(model->labels, model->classes, settings->real_label);
    char quoted[NN_QUOTED];
    if (settings->real_label && live < 0)
        return nn_fail(job->app->context, NN_ERROR_ARGUMENT,
                       "--real-label: the model has no label %s",
                       nn_quote(quoted, settings->real_label));
    enum nn_status status = NN_OK;
    while (!status && job->first < job->files.count) {
        size_t left = job->files.count - job->first, batch = (size_t)job->predictor.batch;
        int count = (int)(left < batch ? left : batch);
        status = run_batch(job, count);
        job->first += (size_t)count;
    }
    if (!status && settings->sheet) status = write_sheet(job, live);
    if (!status && job->bad)
        status = nn_fail(job->app->context, NN_ERROR_IO, "%zu of %zu files could not be read",
                         job->bad, job->files.count);
    return status;
}

static int run(struct app *app, int argc, char **argv)
{
    struct settings settings;
    struct job job = {.app = app, .settings = &settings};
    char quoted[NN_QUOTED];
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (settings.sheet && !vi_can_write(settings.sheet))
        return app_usage(app, "--sheet: expected a name that ends in .png or .jpg, got %s",
                         nn_quote(quoted, settings.sheet));
    if (!app_open(app, threads_for(app))) return app->exit_code;
    enum nn_status status = open_job(&job);
    if (!status) status = predict(&job);
    close_job(&job);
    return app_finish(app, status);
}

const struct cli_command app_predict = {
    .name = "predict",
    .summary = "Tells for each picture which class it belongs to, and how sure that is.",
    .arguments = "IMAGE|DIR...",
    .arguments_min = 1,
    .arguments_max = INT32_MAX,
    .notes =
        "Folders are searched for pictures, with all below them. Files that cannot be read are\n"
        "named, the others answered, and the exit code is 1.",
    .example = "  liveness predict -m out/faces.safetensors --sheet out/sheet.png faces/real",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct settings),
    .run = run,
};
