/* train_report.c — what `train` tells: the epoch's line, plot, CSV, report, JSON. */
#include "apps/train.h"

#include <math.h>
#include <string.h>

/* ---- the epoch's line ------------------------------------------------------------------------ */

static int epoch_width(const struct trainer *trainer)
{
    return snprintf(NULL, 0, "%d", trainer->state->goal);
}

/* "30/30 [====] - 0s 3ms/step 2400 images/s", in Keras' manner. `done` batches took epoch_seconds;
 * `seconds` is what the whole epoch took, negative while it runs. */
static void print_speed(const struct trainer *trainer, size_t batch, size_t done, double seconds)
{
    char bar[64], text[24], step[32];
    double per_step = done ? trainer->epoch_seconds / (double)done : 0;
    double images = per_step > 0 ? (double)trainer->settings->batch / per_step : 0;
    if (per_step < 1e-3)
        snprintf(step, sizeof step, "%.0fus/step", per_step * 1e6);
    else if (per_step < 1)
        snprintf(step, sizeof step, "%.0fms/step", per_step * 1e3);
    else
        snprintf(step, sizeof step, "%.1fs/step", per_step);
    size_t total = (size_t)trainer->batches;
    fprintf(stderr, "%zu/%zu %s - ", batch, total, app_bar(bar, batch, total, 20));
    if (seconds >= 0)
        fprintf(stderr, "%s", app_duration(text, seconds));
    else
        fprintf(stderr, "ETA: %s", app_duration(text, per_step * (double)(total - batch)));
    fprintf(stderr, " %s %.0f images/s", step, images);
}

void report_batch(struct trainer *trainer, size_t batch)
{
    const struct run_state *state = trainer->state;
    if (!trainer->live || app_seconds() - trainer->drawn < 0.05) return;
    trainer->drawn = app_seconds();
    fprintf(stderr, "\rEpoch %*d/%d ", epoch_width(trainer), state->epoch + 1, state->goal);
    print_speed(trainer, batch, batch - trainer->first_batch, -1);
    fprintf(stderr, " - loss: %.4f - acc: %.4f\x1b[K", state->loss_sum / (double)state->seen,
            (double)state->correct / (double)state->seen);
    fflush(stderr);
}

void report_epoch(const struct trainer *trainer, double seconds)
{
    const struct run_state *state = trainer->state;
    const struct history_row *row = &state->rows[state->epoch - 1];
    if (trainer->settings->common.quiet) return;
    if (trainer->live) fprintf(stderr, "\r");
    fprintf(stderr, "Epoch %*d/%d ", epoch_width(trainer), state->epoch, state->goal);
    print_speed(trainer, (size_t)trainer->batches, (size_t)trainer->batches - trainer->first_batch,
                seconds);
    fprintf(stderr, " - loss: %.4f - acc: %.4f - val_loss: %.4f - val_acc: %.4f%s\n", row->loss,
            row->accuracy, row->val_loss, row->val_accuracy, trainer->live ? "\x1b[K" : "");
}

/* ---- files ----------------------------------------------------------------------------------- */

enum { CURVES = 4 };

enum nn_status report_plot(struct trainer *trainer, const char *path)
{
    static const char *const labels[CURVES] = {"train_loss", "val_loss", "train_acc", "val_acc"};
    /* Of Okabe & Ito's palette (2008), which the colour-blind can tell apart. */
    const struct vi_rgb blue = {0, 114, 178}, orange = {213, 94, 0};
    const struct run_state *state = trainer->state;
    size_t count = (size_t)state->epoch;
    struct vi_image image = {0};
    struct vi_series series[CURVES] = {{0}};
    double *values = nn_alloc(trainer->context, (CURVES + 1) * count, sizeof *values);
    if (!values) return NN_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct history_row *row = &state->rows[i];
        values[i] = (double)(i + 1);
        values[count + i] = row->loss;
        values[2 * count + i] = row->val_loss;
        values[3 * count + i] = row->accuracy;
        values[4 * count + i] = row->val_accuracy;
    }
    for (size_t k = 0; k < CURVES; k++)
        series[k] = (struct vi_series){.label = labels[k],
                                       .x = values,
                                       .y = values + (k + 1) * count,
                                       .count = state->epoch,
                                       .color = k < 2 ? blue : orange,
                                       .dashed = k % 2 == 1,
                                       .markers = state->epoch == 1};
    struct vi_chart chart = {.title = "Training loss and accuracy",
                             .x_label = "Epoch",
                             .y_label = "Loss, accuracy",
                             .series = series,
                             .series_count = CURVES};
    enum nn_status status = vi_plot_chart(&image, trainer->context, &chart);
    if (!status) status = vi_write(&image, trainer->context, path, 0);
    vi_image_free(trainer->context, &image);
    nn_free(trainer->context, values);
    return status;
}

static enum nn_status write_text(struct nn_text *text, const char *path)
{
    enum nn_status status = app_text_status(text);
    if (!status) status = nn_file_write(text->context, path, text->data, text->size);
    nn_text_free(text);
    return status;
}

enum nn_status report_csv(struct trainer *trainer, const char *path)
{
    struct nn_text text = {.context = trainer->context};
    nn_text_printf(&text, "epoch,loss,acc,val_loss,val_acc,lr\n");
    for (int i = 0; i < trainer->state->epoch; i++) {
        const struct history_row *row = &trainer->state->rows[i];
        nn_text_printf(&text, "%d,%.9g,%.9g,%.9g,%.9g,%.9g\n", i + 1, row->loss, row->accuracy,
                       row->val_loss, row->val_accuracy, row->rate);
    }
    return write_text(&text, path);
}

static enum nn_status write_classes(struct nn_text *text, const struct trainer *trainer)
{
    const struct model *model = trainer->model;
    size_t classes = (size_t)model->classes, count = trainer->val_count;
    int64_t *counts = nn_alloc(trainer->context, classes * classes, sizeof *counts);
    uint16_t *truth = nn_alloc(trainer->context, count, sizeof *truth);
    bool good = counts && truth;
    if (good) {
        for (size_t i = 0; i < count; i++) truth[i] = trainer->val_labels[trainer->val_index[i]];
        ds_confusion(counts, truth, trainer->predicted, count, model->classes);
        ds_classification_report(text, counts, model->classes, (const char *const *)model->labels);
    }
    nn_free(trainer->context, counts);
    nn_free(trainer->context, truth);
    return good ? app_text_status(text) : NN_ERROR_MEMORY;
}

enum nn_status report_classes(struct trainer *trainer)
{
    const struct train_settings *settings = trainer->settings;
    struct nn_text text = {.context = trainer->context};
    enum nn_status status = write_classes(&text, trainer);
    if (status) {
        nn_text_free(&text);
        return status;
    }
    if (!settings->common.json) {
        fwrite(text.data, 1, text.size, stdout);
        status = app_flush(trainer->app);
    } else if (!settings->common.quiet) {
        fwrite(text.data, 1, text.size, stderr);
    }
    if (!status && settings->evaluation) return write_text(&text, settings->evaluation);
    nn_text_free(&text);
    return status;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void write_figure(struct nn_text *text, const char *key, double value)
{
    nn_text_printf(text, "\"%s\":", key);
    app_json_number(text, value);
    nn_text_append(text, ",", 1);
}

static void write_row(struct nn_text *text, const struct history_row *row)
{
    write_figure(text, "loss", row->loss);
    write_figure(text, "accuracy", row->accuracy);
    write_figure(text, "val_loss", row->val_loss);
    write_figure(text, "val_accuracy", row->val_accuracy);
}

enum nn_status report_json(struct trainer *trainer, double seconds)
{
    const struct run_state *state = trainer->state;
    const struct train_settings *settings = trainer->settings;
    struct nn_text text = {.context = trainer->context};
    char hex[65];
    enum nn_status status = nn_weights_sha256(hex, trainer->model->graph);
    if (status) return status;
    nn_text_printf(&text, "{\"images\":%zu,\"val_images\":%zu,\"epochs\":%d,\"epochs_total\":%d,",
                   trainer->train_count, trainer->val_count, state->epoch - state->start,
                   state->epoch);
    write_figure(&text, "seconds", seconds);
    write_figure(&text, "images_per_second",
                 (double)trainer->train_images / trainer->train_seconds);
    write_row(&text, &state->rows[state->epoch - 1]);
    nn_text_printf(&text, "\"weights_sha256\":\"%s\",\"best_epoch\":%d,", hex, state->best_epoch);
    write_figure(&text, "best_val_loss", state->rows[state->best_epoch - 1].val_loss);
    write_figure(&text, "best_val_accuracy", state->rows[state->best_epoch - 1].val_accuracy);
    nn_text_printf(&text, "\"steps\":%llu,\"seed\":%llu,\"threads\":%d,\"cpu\":\"%s\",\"labels\":",
                   (unsigned long long)state->step, (unsigned long long)settings->common.seed,
                   nn_threads(trainer->context), nn_cpu(trainer->context));
    app_json_strings(&text, trainer->model->labels, trainer->model->classes);
    nn_text_printf(&text, ",\"model\":");
    if (settings->model)
        nn_text_json_string(&text, settings->model);
    else
        nn_text_printf(&text, "null");
    nn_text_printf(&text, ",\"history\":[");
    for (int i = 0; i < state->epoch; i++) {
        nn_text_printf(&text, "%s{", i ? "," : "");
        write_row(&text, &state->rows[i]);
        write_figure(&text, "lr", state->rows[i].rate);
        nn_text_printf(&text, "\"epoch\":%d}", i + 1);
    }
    nn_text_printf(&text, "]}\n");
    return app_print(trainer->app, &text);
}
