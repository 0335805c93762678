/* gather_report.c — what is seen of a run: the bar, remarks, the summary. */
#include "apps/gather.h"

#include <string.h>

enum { MOST_REMARKS = 10 }; /* of a row */

static const struct {
    enum gather_fate fate;
    const char *title, *key;
} columns[GATHER_FATES] = {
    {GATHER_WRITTEN, "faces", "written"},   {GATHER_THERE, "again", "already_there"},
    {GATHER_NO_FACE, "no face", "no_face"}, {GATHER_UNSURE, "unsure", "unsure"},
    {GATHER_SMALL, "small", "too_small"},   {GATHER_ALIKE, "alike", "too_alike"},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* ---- while it runs --------------------------------------------------------------------------- */

static void draw_bar(struct gather *gather, const struct gather_frame *frame)
{
    char bar[64] = "", left[24] = "", quoted[NN_QUOTED], total[32] = "";
    struct app_progress *progress = &gather->progress;
    double now = app_seconds(), rate = (double)frame->done / (now - progress->start + 1e-9);
    if (!progress->live || now - progress->drawn < 0.1 || now - progress->start < 0.1) return;
    progress->drawn = now;
    if (frame->total > 0) {
        size_t done = (size_t)(frame->done < frame->total ? frame->done : frame->total);
        app_bar(bar, done, (size_t)frame->total, 14);
        snprintf(total, sizeof total, "/%lld", (long long)frame->total);
        app_duration(left, (double)(frame->total - frame->done) / rate);
    }
    fprintf(stderr, "\r%.20s %s %lld%s  %d faces  %.0f/s%s%s\x1b[K",
            app_plain(quoted, base_name(frame->input->label)), bar, (long long)frame->done, total,
            frame->input->chosen, rate, *left ? "  ETA " : "", left);
    fflush(stderr);
}

static void end_row(struct gather *gather, const struct gather_input *input)
{
    const struct app *app = gather->app;
    char quoted[NN_QUOTED];
    const char *label = app_plain(quoted, input->label);
    if (gather->remarks > MOST_REMARKS)
        app_complain(app, "%s: ... and %d more", label, gather->remarks - MOST_REMARKS);
    if (*input->error) {
        app_complain(app, "%s", input->error);
        return;
    }
    if (!input->frames)
        app_complain(app, "%s: there are no frames in it", label);
    else if (!input->looked && input->frames > input->broken)
        app_complain(app, "%s: -s is more than its %lld frame%s; -s 1 looks at every one", label,
                     (long long)input->frames, input->frames == 1 ? "" : "s");
    if (!gather->progress.live && gather->input_count > 1)
        app_say(app, "%s: %lld frames, %lld looked at, %d faces", label, (long long)input->frames,
                (long long)input->looked, input->chosen);
}

void gather_show(struct gather *gather, const struct gather_frame *frame)
{
    if (gather->shown != frame->input) {
        app_progress_clear(&gather->progress);
        app_progress_start(&gather->progress, gather->app, NULL);
        gather->shown = frame->input;
        gather->remarks = 0;
    }
    if (frame->kind == GATHER_FRAME) {
        draw_bar(gather, frame);
        return;
    }
    app_progress_clear(&gather->progress);
    if (frame->kind == GATHER_END)
        end_row(gather, frame->input);
    else if (++gather->remarks <= MOST_REMARKS)
        app_complain(gather->app, "%s", frame->remark);
}

/* ---- the summary ----------------------------------------------------------------------------- */

static void add_up(struct gather_input *total, const struct gather *gather)
{
    for (int i = 0; i < gather->input_count; i++) {
        const struct gather_input *input = &gather->inputs[i];
        total->frames += input->frames;
        total->looked += input->looked;
        total->broken += input->broken;
        for (int k = 0; k < GATHER_FATES; k++) total->fate[k] += input->fate[k];
    }
}

static void print_row(struct nn_text *text, const struct gather_input *input, const char *label)
{
    char quoted[NN_QUOTED];
    nn_text_printf(text, "%9lld %9lld", (long long)input->frames, (long long)input->looked);
    for (int i = 0; i < GATHER_FATES; i++)
        nn_text_printf(text, " %7lld", (long long)input->fate[columns[i].fate]);
    nn_text_printf(text, " %7lld  %s", (long long)input->broken, app_plain(quoted, label));
    if (input->count > 1 && input->root == (size_t)GATHER_NO_ROOT)
        nn_text_printf(text, " and %zu more", input->count - 1);
    nn_text_printf(text, "%s\n", *input->error ? " (error)" : "");
}

/* The input comes last: it has any length. */
static void print_table(struct nn_text *text, const struct gather *gather,
                        const struct gather_input *total)
{
    nn_text_printf(text, "%9s %9s", "frames", "looked at");
    for (int i = 0; i < GATHER_FATES; i++) nn_text_printf(text, " %7s", columns[i].title);
    nn_text_printf(text, " %7s  input\n", "broken");
    for (int i = 0; i < gather->input_count; i++)
        print_row(text, &gather->inputs[i], gather->inputs[i].label);
    if (gather->input_count > 1) print_row(text, total, "in all");
}

static void print_figures(struct nn_text *text, const struct gather_input *input)
{
    nn_text_printf(text, "\"frames\":%lld,\"looked_at\":%lld", (long long)input->frames,
                   (long long)input->looked);
    for (int i = 0; i < GATHER_FATES; i++)
        nn_text_printf(text, ",\"%s\":%lld", columns[i].key,
                       (long long)input->fate[columns[i].fate]);
    nn_text_printf(text, ",\"broken\":%lld", (long long)input->broken);
}

static void print_json(struct nn_text *text, const struct gather *gather,
                       const struct gather_input *total)
{
    nn_text_printf(text, "{\"output\":");
    nn_text_json_string(text, gather->settings.output);
    nn_text_printf(text, ",\"inputs\":[");
    for (int i = 0; i < gather->input_count; i++) {
        const struct gather_input *input = &gather->inputs[i];
        nn_text_printf(text, "%s{\"input\":", i ? "," : "");
        nn_text_json_string(text, input->label);
        nn_text_printf(text, ",\"files\":%zu,", input->count);
        print_figures(text, input);
        nn_text_printf(text, ",\"error\":");
        if (*input->error)
            nn_text_json_string(text, input->error);
        else
            nn_text_printf(text, "null");
        nn_text_printf(text, "}");
    }
    nn_text_printf(text, "],\"total\":{");
    print_figures(text, total);
    nn_text_printf(text, "},\"sheet\":");
    if (gather->sheet.count)
        nn_text_json_string(text, gather->sheet.path);
    else
        nn_text_printf(text, "null");
    nn_text_printf(text, ",\"seconds\":%.3f,\"interrupted\":%s}\n", gather->seconds,
                   *app_stop_flag() ? "true" : "false");
}

enum nn_status gather_report(struct gather *gather, bool good)
{
    struct app *app = gather->app;
    struct gather_input total = {.root = 0};
    struct nn_text text = {.context = app->context};
    char quoted[NN_QUOTED];
    add_up(&total, gather);
    if (gather->settings.common.json)
        print_json(&text, gather, &total);
    else
        print_table(&text, gather, &total);
    enum nn_status status = app_print(app, &text);
    if (status) return status;
    if (good && total.looked && !total.fate[GATHER_WRITTEN] && !total.fate[GATHER_THERE])
        app_complain(app, "no face was kept: is -c %g too much, or --min-size?",
                     gather->settings.confidence);
    if (gather->sheet.count)
        app_say(app, "contact sheet: %s", app_plain(quoted, gather->sheet.path));
    return NN_OK;
}
