/* eval_report.c — what `eval` found, as text, JSON and plots. */
#include "apps/eval.h"

#include <math.h>
#include <string.h>

/* ---- intervals ------------------------------------------------------------------------------- */

/* Bounds of a mean of two rates: the means of their bounds. Wider than need be (both parts are
 * seldom off in the same direction), never too narrow. */
static struct eval_figure mean_of(double value, struct ds_rate a, struct ds_rate b)
{
    return (struct eval_figure){value, (a.low + b.low) / 2, (a.high + b.high) / 2};
}

/* Standard error of the area under a ROC: Hanley & McNeil, "The meaning and use of the area under
 * a receiver operating characteristic curve", Radiology 143 (1982), equation 2. */
static struct eval_figure auc_interval(double auc, double lives, double attacks)
{
    double q1 = auc / (2 - auc), q2 = 2 * auc * auc / (1 + auc);
    double variance =
        (auc * (1 - auc) + (lives - 1) * (q1 - auc * auc) + (attacks - 1) * (q2 - auc * auc)) /
        (lives * attacks);
    double half = 1.959963984540054 * sqrt(fmax(variance, 0));
    return (struct eval_figure){auc, fmax(auc - half, 0), fmin(auc + half, 1)};
}

void eval_intervals(struct evaluation *evaluation)
{
    const struct ds_liveness *figures = &evaluation->figures;
    int64_t lives = 0, attacks = 0, accepted = 0;
    for (size_t i = 0; i < evaluation->pictures.count; i++) {
        if (evaluation->live[i])
            lives++;
        else
            attacks++;
        accepted += !evaluation->live[i] && evaluation->score[i] >= figures->threshold;
    }
    struct ds_rate pooled = ds_rate_make(accepted, attacks);
    evaluation->acer = mean_of(figures->acer, figures->apcer, figures->bpcer);
    evaluation->hter = mean_of(figures->hter, pooled, figures->bpcer);
    evaluation->auc = auc_interval(figures->auc, (double)lives, (double)attacks);
    /* At the EER both kinds err equally often, so all pictures together are one sample of it. */
    int64_t all = lives + attacks;
    struct ds_rate eer = ds_rate_make((int64_t)floor(figures->eer * (double)all + 0.5), all);
    evaluation->eer = (struct eval_figure){figures->eer, eer.low, eer.high};
}

/* ---- text ------------------------------------------------------------------------------------ */

static void write_confusion(struct nn_text *text, const struct evaluation *evaluation)
{
    const struct model *model = &evaluation->model;
    size_t classes = (size_t)model->classes;
    char name[NN_QUOTED];
    nn_text_printf(text, "\nConfusion matrix (rows: truth, columns: answer)\n%16s", "");
    for (size_t k = 0; k < classes; k++)
        nn_text_printf(text, " %10.10s", app_plain(name, model->labels[k]));
    nn_text_printf(text, "\n");
    for (size_t i = 0; i < classes; i++) {
        nn_text_printf(text, "%16.16s", app_plain(name, model->labels[i]));
        for (size_t k = 0; k < classes; k++)
            nn_text_printf(text, " %10lld", (long long)evaluation->counts[i * classes + k]);
        nn_text_printf(text, "\n");
    }
}

static void write_figure(struct nn_text *text, const char *name, struct eval_figure figure,
                         const char *remark)
{
    nn_text_printf(text, "%-28s %6.2f %%   [%6.2f, %6.2f]   %s\n", name, 100 * figure.value,
                   100 * figure.low, 100 * figure.high, remark);
}

static void write_rate(struct nn_text *text, const char *name, struct ds_rate rate)
{
    char counts[64];
    snprintf(counts, sizeof counts, "%lld of %lld", (long long)rate.errors, (long long)rate.total);
    write_figure(text, name, (struct eval_figure){rate.value, rate.low, rate.high}, counts);
}

static void write_liveness(struct nn_text *text, const struct evaluation *evaluation)
{
    const struct ds_liveness *figures = &evaluation->figures;
    char name[NN_QUOTED], remark[64], line[64];
    nn_text_printf(text, "\nAttack detection (ISO/IEC 30107-3): live is %s, accepted from %g on\n",
                   app_plain(name, evaluation->model.labels[evaluation->live_class]),
                   figures->threshold);
    nn_text_printf(text, "%-28s %8s   %-16s\n", "", "value", "95 % interval");
    for (int i = 0; i < figures->attack_count; i++) {
        snprintf(line, sizeof line, "APCER %.22s", app_plain(name, figures->attacks[i].name));
        write_rate(text, line, figures->attacks[i].apcer);
    }
    write_rate(text, "APCER (worst attack type)", figures->apcer);
    write_rate(text, "BPCER", figures->bpcer);
    write_figure(text, "ACER", evaluation->acer, "mean of worst APCER and BPCER");
    write_figure(text, "HTER", evaluation->hter, "mean of pooled APCER and BPCER");
    snprintf(remark, sizeof remark, "at threshold %.4g", figures->eer_threshold);
    write_figure(text, "EER", evaluation->eer, remark);
    write_figure(text, "AUC", evaluation->auc, "");
    write_rate(text, "BPCER at APCER 1 %", figures->bpcer_at_apcer1);
    write_rate(text, "BPCER at APCER 5 %", figures->bpcer_at_apcer5);
}

static void write_report(struct nn_text *text, const struct evaluation *evaluation)
{
    const struct model *model = &evaluation->model;
    ds_classification_report(text, evaluation->counts, model->classes,
                             (const char *const *)model->labels);
    write_confusion(text, evaluation);
    if (evaluation->live_class >= 0) write_liveness(text, evaluation);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void write_number(struct nn_text *text, const char *key, double value)
{
    nn_text_printf(text, "\"%s\":", key);
    app_json_number(text, value);
    nn_text_append(text, ",", 1);
}

static void write_interval(struct nn_text *text, const char *key, double low, double high)
{
    nn_text_printf(text, "\"%s\":[", key);
    app_json_number(text, low);
    nn_text_append(text, ",", 1);
    app_json_number(text, high);
    nn_text_append(text, "]", 1);
}

static void write_json_rate(struct nn_text *text, struct ds_rate rate)
{
    write_interval(text, "interval", rate.low, rate.high);
    nn_text_printf(text, ",\"errors\":%lld,\"total\":%lld}", (long long)rate.errors,
                   (long long)rate.total);
}

static void write_json_liveness(struct nn_text *text, const struct evaluation *evaluation)
{
    const struct ds_liveness *figures = &evaluation->figures;
    bool known = evaluation->live_class >= 0;
    write_number(text, "apcer", known ? figures->apcer.value : NAN);
    write_number(text, "bpcer", known ? figures->bpcer.value : NAN);
    write_number(text, "acer", known ? figures->acer : NAN);
    write_number(text, "hter", known ? figures->hter : NAN);
    write_number(text, "eer", known ? figures->eer : NAN);
    write_number(text, "auc", known ? figures->auc : NAN);
    if (!known) return;
    write_number(text, "eer_threshold", figures->eer_threshold);
    write_number(text, "threshold", figures->threshold);
    write_number(text, "bpcer_at_apcer_1", figures->bpcer_at_apcer1.value);
    write_number(text, "bpcer_at_apcer_5", figures->bpcer_at_apcer5.value);
    nn_text_printf(text, "\"real_label\":");
    nn_text_json_string(text, evaluation->model.labels[evaluation->live_class]);
    nn_text_printf(text, ",\"attacks\":[");
    for (int i = 0; i < figures->attack_count; i++) {
        nn_text_printf(text, "%s{\"name\":", i ? "," : "");
        nn_text_json_string(text, figures->attacks[i].name);
        nn_text_append(text, ",", 1);
        write_number(text, "apcer", figures->attacks[i].apcer.value);
        write_json_rate(text, figures->attacks[i].apcer);
    }
    nn_text_printf(text, "],");
}

static void write_json_intervals(struct nn_text *text, const struct evaluation *evaluation)
{
    const struct ds_liveness *figures = &evaluation->figures;
    const struct {
        const char *key;
        double low, high;
    } intervals[] = {
        {"apcer", figures->apcer.low, figures->apcer.high},
        {"bpcer", figures->bpcer.low, figures->bpcer.high},
        {"acer", evaluation->acer.low, evaluation->acer.high},
        {"hter", evaluation->hter.low, evaluation->hter.high},
        {"eer", evaluation->eer.low, evaluation->eer.high},
        {"auc", evaluation->auc.low, evaluation->auc.high},
        {"bpcer_at_apcer_1", figures->bpcer_at_apcer1.low, figures->bpcer_at_apcer1.high},
        {"bpcer_at_apcer_5", figures->bpcer_at_apcer5.low, figures->bpcer_at_apcer5.high},
    };
    nn_text_printf(text, "\"intervals\":{");
    write_interval(text, "accuracy", evaluation->accuracy.low, evaluation->accuracy.high);
    if (evaluation->live_class >= 0)
        for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
            nn_text_append(text, ",", 1);
            write_interval(text, intervals[i].key, intervals[i].low, intervals[i].high);
        }
    nn_text_printf(text, "},");
}

static void write_json(struct nn_text *text, const struct evaluation *evaluation)
{
    size_t classes = (size_t)evaluation->model.classes;
    nn_text_printf(text, "{\"images\":%zu,\"unreadable\":%zu,", evaluation->pictures.count,
                   evaluation->pictures.bad_count);
    write_number(text, "accuracy", evaluation->accuracy.value);
    write_json_liveness(text, evaluation);
    write_json_intervals(text, evaluation);
    nn_text_printf(text, "\"labels\":");
    app_json_strings(text, evaluation->model.labels, evaluation->model.classes);
    nn_text_printf(text, ",\"confusion\":[");
    for (size_t i = 0; i < classes; i++) {
        nn_text_printf(text, i ? ",[" : "[");
        for (size_t k = 0; k < classes; k++)
            nn_text_printf(text, "%s%lld", k ? "," : "",
                           (long long)evaluation->counts[i * classes + k]);
        nn_text_printf(text, "]");
    }
    nn_text_printf(text, "]}\n");
}

enum nn_status eval_tell(struct evaluation *evaluation)
{
    struct app *app = evaluation->app;
    struct nn_text report = {.context = app->context}, json = {.context = app->context};
    const char *folder = evaluation->settings->output;
    size_t classes = (size_t)evaluation->model.classes;
    int64_t right = 0;
    for (size_t i = 0; i < classes; i++) right += evaluation->counts[i * classes + i];
    evaluation->accuracy = ds_rate_make(right, (int64_t)evaluation->pictures.count);
    write_report(&report, evaluation);
    enum nn_status status = app_text_status(&report);
    if (!status && folder) {
        char *path = app_join(app->context, folder, "report.txt");
        status =
            path ? nn_file_write(app->context, path, report.data, report.size) : NN_ERROR_MEMORY;
        nn_free(app->context, path);
    }
    if (status || evaluation->settings->common.json) nn_text_free(&report);
    if (status) return status;
    if (!evaluation->settings->common.json) return app_print(app, &report);
    write_json(&json, evaluation);
    return app_print(app, &json);
}

/* ---- plots ----------------------------------------------------------------------------------- */

static enum nn_status write_image(struct evaluation *evaluation, struct vi_image *image,
                                  const char *name)
{
    struct nn_context *context = evaluation->app->context;
    char quoted[NN_QUOTED];
    char *path = app_join(context, evaluation->settings->output, name);
    enum nn_status status = path ? vi_write(image, context, path, 0) : NN_ERROR_MEMORY;
    if (!status) app_say(evaluation->app, "wrote %s", nn_quote(quoted, path));
    nn_free(context, path);
    vi_image_free(context, image);
    return status;
}

static enum nn_status plot_curve(struct evaluation *evaluation, const struct vi_chart *chart,
                                 const char *name)
{
    struct vi_image image = {0};
    enum nn_status status = vi_plot_chart(&image, evaluation->app->context, chart);
    return status ? status : write_image(evaluation, &image, name);
}

/* ROC: true against false accepts. DET: the two errors against each other, the false accepts on a
 * logarithmic axis, since the interesting ones are rare. */
static enum nn_status plot_curves(struct evaluation *evaluation)
{
    struct nn_context *context = evaluation->app->context;
    size_t count = evaluation->pictures.count;
    double *x = nn_alloc(context, count + 1, sizeof *x),
           *y = nn_alloc(context, count + 1, sizeof *y);
    char label[64];
    enum nn_status status = x && y ? NN_OK : NN_ERROR_MEMORY;
    size_t points = status ? 0 : ds_roc(x, y, context, evaluation->score, evaluation->live, count);
    if (!status && points == 0) status = NN_ERROR_MEMORY;
    snprintf(label, sizeof label, "AUC %.4f", evaluation->figures.auc);
    struct vi_series series = {.label = label, .x = x, .y = y, .count = (int)points};
    struct vi_chart chart = {.title = "ROC: live faces accepted against attacks accepted",
                             .x_label = "Attacks accepted (APCER)",
                             .y_label = "Live faces accepted (1 - BPCER)",
                             .width = 720,
                             .height = 640,
                             .x_max = 1,
                             .y_max = 1,
                             .diagonal = true,
                             .series = &series,
                             .series_count = 1};
    if (!status) status = plot_curve(evaluation, &chart, "roc.png");
    double attacks = 0;
    for (size_t i = 0; i < count; i++) attacks += !evaluation->live[i];
    /* An error rate of none in n has no logarithm: it is drawn at half of one in n. */
    double least = attacks > 0 ? 0.5 / attacks : 0.5;
    for (size_t i = 0; i < points; i++) {
        x[i] = fmax(x[i], least);
        y[i] = 1 - y[i];
    }
    snprintf(label, sizeof label, "EER %.2f %%", 100 * evaluation->figures.eer);
    chart.title = "DET: live faces rejected against attacks accepted";
    chart.y_label = "Live faces rejected (BPCER)";
    chart.x_log = true;
    chart.x_min = least;
    chart.diagonal = false;
    if (!status) status = plot_curve(evaluation, &chart, "det.png");
    nn_free(context, x);
    nn_free(context, y);
    return status;
}

enum nn_status eval_plots(struct evaluation *evaluation)
{
    const struct model *model = &evaluation->model;
    struct vi_image image = {0};
    enum nn_status status =
        vi_plot_confusion(&image, evaluation->app->context, "Confusion matrix",
                          (const char *const *)model->labels, model->classes, evaluation->counts);
    if (!status) status = write_image(evaluation, &image, "confusion.png");
    if (!status && evaluation->live_class >= 0) status = plot_curves(evaluation);
    return status;
}
