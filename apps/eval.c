/* eval.c — `liveness eval`: how good a network is on labelled pictures. */
#include "apps/commands.h"
#include "apps/eval.h"

#include <string.h>

static const struct cli_option OPTIONS[] = {
    {"-m --model", CLI_TEXT, offsetof(struct eval_settings, model), "FILE", NULL, 0, 0,
     CLI_REQUIRED, "network to judge, as `train` wrote it"},
    {"-d --dataset", CLI_TEXT, offsetof(struct eval_settings, data), "DIR", NULL, 0, 0,
     CLI_REQUIRED, "folder (or .zip of one) with a folder of pictures per class"},
    {"--real-label", CLI_TEXT, offsetof(struct eval_settings, real_label), "LABEL", NULL, 0, 0, 0,
     "which class is the live one; without it real, live, genuine or bonafide"},
    {"--threshold", CLI_REAL, offsetof(struct eval_settings, threshold), "T", "0.5", 0, 1,
     CLI_ABOVE_LOW, "accept as live from this probability on (APCER, BPCER, ACER, HTER)"},
    {"-o --output", CLI_TEXT, offsetof(struct eval_settings, output), "DIR", NULL, 0, 0, 0,
     "write report.txt, confusion.png, roc.png and det.png here"},
    APP_PRECISION(offsetof(struct eval_settings, precision)),
};

/* ---- answers --------------------------------------------------------------------------------- */

/* Answers for every picture, in place: truth in the model's numbering, label, score. */
static enum nn_status answer_all(struct evaluation *evaluation, struct predictor *predictor)
{
    const struct ds_pictures *pictures = &evaluation->pictures;
    struct nn_context *context = evaluation->app->context;
    size_t size = (size_t)pictures->width * (size_t)pictures->height * 3;
    size_t classes = (size_t)evaluation->model.classes;
    for (size_t first = 0; first < pictures->count; first += (size_t)predictor->batch) {
        size_t left = pictures->count - first;
        int count = (int)(left < (size_t)predictor->batch ? left : (size_t)predictor->batch);
        if (*app_stop_flag()) return nn_fail(context, NN_ERROR_INTERRUPTED, "interrupted");
        enum nn_status status = predictor_run(predictor, pictures->pixels + first * size, count);
        if (status) return status;
        for (int i = 0; i < count; i++) {
            size_t at = first + (size_t)i;
            double probability;
            evaluation->predicted[at] = (uint16_t)predictor_answer(predictor, i, &probability);
            evaluation->truth[at] = evaluation->map[pictures->labels[at]];
            if (evaluation->live_class < 0) continue;
            evaluation->score[at] =
                predictor->probabilities[(size_t)i * classes + (size_t)evaluation->live_class];
            evaluation->live[at] = evaluation->truth[at] == evaluation->live_class;
        }
    }
    return NN_OK;
}

static enum nn_status allocate(struct evaluation *evaluation)
{
    struct nn_context *context = evaluation->app->context;
    size_t count = evaluation->pictures.count, classes = (size_t)evaluation->model.classes;
    evaluation->map = nn_alloc(context, classes, sizeof *evaluation->map);
    evaluation->truth = nn_alloc(context, count, sizeof *evaluation->truth);
    evaluation->predicted = nn_alloc(context, count, sizeof *evaluation->predicted);
    evaluation->score = nn_alloc(context, count, sizeof *evaluation->score);
    evaluation->live = nn_alloc(context, count, sizeof *evaluation->live);
    evaluation->attack = nn_alloc(context, count, sizeof *evaluation->attack);
    evaluation->counts = nn_alloc(context, classes * classes, sizeof *evaluation->counts);
    if (!evaluation->map || !evaluation->truth || !evaluation->predicted || !evaluation->score ||
        !evaluation->live || !evaluation->attack || !evaluation->counts)
        return NN_ERROR_MEMORY;
    return NN_OK;
}

/* Attack types are the groups of the classes that are not live. */
static enum nn_status name_attacks(struct evaluation *evaluation)
{
    const struct ds_pictures *pictures = &evaluation->pictures;
    struct nn_context *context = evaluation->app->context;
    size_t groups = (size_t)pictures->group_count;
    int *number = nn_alloc(context, groups, sizeof *number);
    evaluation->attack_names = nn_alloc(context, groups, sizeof *evaluation->attack_names);
    if (!number || !evaluation->attack_names) {
        nn_free(context, number);
        return NN_ERROR_MEMORY;
    }
    for (size_t i = 0; i < pictures->count; i++) {
        size_t group = pictures->groups[i];
        if (evaluation->live[i]) continue;
        if (number[group] == 0) {
            evaluation->attack_names[evaluation->attack_count++] = pictures->group_names[group];
            number[group] = evaluation->attack_count;
        }
        evaluation->attack[i] = number[group] - 1;
    }
    nn_free(context, number);
    return NN_OK;
}

static enum nn_status judge(struct evaluation *evaluation)
{
    struct nn_context *context = evaluation->app->context;
    size_t count = evaluation->pictures.count;
    ds_confusion(evaluation->counts, evaluation->truth, evaluation->predicted, count,
                 evaluation->model.classes);
    if (evaluation->live_class < 0) return NN_OK;
    enum nn_status status = name_attacks(evaluation);
    if (!status)
        status =
            ds_liveness_figures(&evaluation->figures, context, evaluation->score, evaluation->live,
                                evaluation->attack, count, evaluation->attack_names,
                                evaluation->attack_count, evaluation->settings->threshold);
    if (!status) eval_intervals(evaluation);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum nn_status read_pictures(struct evaluation *evaluation)
{
    struct app *app = evaluation->app;
    struct app_progress progress;
    struct ds_options options = model_pictures(&evaluation->model);
    options.progress = app_progress_draw;
    options.user = &progress;
    options.stop = app_stop_flag();
    app_progress_start(&progress, app, "reading");
    enum nn_status status =
        ds_load(&evaluation->pictures, app->context, evaluation->settings->data, &options, 2);
    app_progress_clear(&progress);
    if (!status) model_report_bad(app, &evaluation->pictures);
    return status;
}

static enum nn_status find_live_class(struct evaluation *evaluation)
{
    const struct eval_settings *settings = evaluation->settings;
    const struct model *model = &evaluation->model;
    char quoted[NN_QUOTED];
    evaluation->live_class = ds_live_class(model->labels, model->classes, settings->real_label);
    if (evaluation->live_class >= 0) return NN_OK;
    if (settings->real_label)
        return nn_fail(evaluation->app->context, NN_ERROR_ARGUMENT,
                       "--real-label: the model has no label %s",
                       nn_quote(quoted, settings->real_label));
    app_say(evaluation->app, "no class is called real, live, genuine or bonafide: no figures of "
                             "attack detection (--real-label names the live class)");
    return NN_OK;
}

static enum nn_status evaluate(struct evaluation *evaluation)
{
    const struct eval_settings *settings = evaluation->settings;
    struct predictor predictor = {0};
    struct app *app = evaluation->app;
    enum nn_status status = NN_OK;
    if (settings->output) status = app_make_folder(app, settings->output);
    if (!status) status = model_load(&evaluation->model, app, settings->model, NULL);
    if (!status) status = find_live_class(evaluation);
    if (!status) status = read_pictures(evaluation);
    if (!status) status = allocate(evaluation);
    if (!status)
        status = model_match_labels(evaluation->map, app, evaluation->model.labels,
                                    evaluation->model.classes, settings->model,
                                    &evaluation->pictures, settings->data);
    if (!status)
        status = predictor_open(&predictor, &evaluation->model, PREDICTOR_BATCH,
                                app_precision(app, settings->precision));
    if (!status) status = answer_all(evaluation, &predictor);
    predictor_close(&predictor);
    if (!status) status = judge(evaluation);
    if (!status) status = eval_tell(evaluation);
    if (!status && settings->output) status = eval_plots(evaluation);
    return status;
}

static void close_evaluation(struct evaluation *evaluation)
{
    struct nn_context *context = evaluation->app->context;
    nn_free(context, evaluation->map);
    nn_free(context, evaluation->truth);
    nn_free(context, evaluation->predicted);
    nn_free(context, evaluation->score);
    nn_free(context, evaluation->live);
    nn_free(context, evaluation->attack);
    nn_free(context, evaluation->attack_names);
    nn_free(context, evaluation->counts);
    ds_free(&evaluation->pictures);
    model_free(&evaluation->model);
}

static int run(struct app *app, int argc, char **argv)
{
    struct eval_settings settings;
    if (!app_start(app, &settings, argc, argv)) return app->exit_code;
    if (!app_open(app, 0)) return app->exit_code;
    app_catch_signals();
    struct evaluation evaluation = {.app = app, .settings = &settings, .live_class = -1};
    enum nn_status status = evaluate(&evaluation);
    close_evaluation(&evaluation);
    return app_finish(app, status);
}

const struct cli_command app_eval = {
    .name = "eval",
    .summary = "Measures a network on labelled pictures: report, confusion, attack detection.",
    .arguments = "",
    .notes =
        "Folders below a class name attack types (fake/print, fake/screen): APCER is that of the\n"
        "worst type, as ISO/IEC 30107-3 asks. Intervals are 95 %: Clopper & Pearson's for shares;\n"
        "for ACER and HTER the means of both parts' bounds; for AUC Hanley & McNeil's.",
    .example = "  liveness eval -m out/faces.safetensors -d faces -o out/eval",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof *OPTIONS,
    .settings_size = sizeof(struct eval_settings),
    .run = run,
};
