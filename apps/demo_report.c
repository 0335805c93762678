/* demo_report.c — what a run has seen and how long it took: lines of --json, the summary. */
#include "apps/demo.h"

#include <math.h>

const char *const demo_stage_names[DEMO_STAGES] = {
    [DEMO_READ] = "read",           [DEMO_WAIT] = "wait",       [DEMO_DETECT] = "detect",
    [DEMO_LANDMARKS] = "landmarks", [DEMO_TEXTURE] = "texture", [DEMO_CLASSIFY] = "classify",
    [DEMO_LATENCY] = "latency",     [DEMO_DRAW] = "draw",       [DEMO_WRITE] = "write",
    [DEMO_SHOW] = "show",
};

/* ---- times ----------------------------------------------------------------------------------- */

static const double least = 1e-6, growth = 1.025;

void demo_times_add(struct demo_times *times, double seconds)
{
    double step = seconds > least ? log(seconds / least) / log(growth) : 0;
    int index = step < DEMO_TIMES - 1 ? (int)step : DEMO_TIMES - 1;
    times->count[index]++;
    times->sum += seconds;
    /* A tenth of the new one: about the last twenty count. */
    times->recent += (seconds - times->recent) / (times->total < 10 ? times->total + 1 : 10);
    times->total++;
}

double demo_times_quantile(const struct demo_times *times, double share)
{
    double wanted = share * times->total, sum = 0;
    if (!times->total) return 0;
    int index = 0;
    while (index < DEMO_TIMES - 1 && (sum += times->count[index]) < wanted) index++;
    return least * pow(growth, index + 0.5);
}

/* ---- a frame --------------------------------------------------------------------------------- */

static void write_texture(struct nn_text *text, const struct vi_texture *texture)
{
    nn_text_printf(text,
                   "{\"size\":%d,\"brightness\":%.4f,\"contrast\":%.4f,\"clipped\":%.4f,"
                   "\"saturation\":%.4f,\"sharpness\":%.6g,\"high\":%.6g,\"moire\":%.6g}",
                   texture->size, texture->brightness, texture->contrast, texture->clipped,
                   texture->saturation, texture->sharpness, texture->high, texture->moire);
}

static void write_face(struct nn_text *text, const struct demo_face *face)
{
    const struct vi_face *box = &face->box;
    const struct vi_blink *blink = &face->blink;
    nn_text_printf(text,
                   "{\"id\":%lld,\"box\":[%.2f,%.2f,%.2f,%.2f],\"confidence\":%.6f,\"answer\":",
                   (long long)face->id, (double)box->x1, (double)box->y1, (double)box->x2,
                   (double)box->y2, (double)box->confidence);
    nn_text_json_string(text, vi_answer_name(face->answer));
    nn_text_printf(text, ",\"reason\":");
    nn_text_json_string(text, face->reason);
    nn_text_printf(text, ",\"score\":%.6f,\"real\":%.6f,\"moire\":%.6g,\"blinks\":%d", face->score,
                   face->real, face->moire, blink->count);
    if (face->points)
        nn_text_printf(text, ",\"ear\":{\"left\":%.4f,\"right\":%.4f,\"open\":%.4f,\"closed\":%s}",
                       blink->left, blink->right, blink->open, blink->closed ? "true" : "false");
    nn_text_printf(text, ",\"texture\":");
    write_texture(text, &face->texture);
    nn_text_append(text, "}", 1);
}

void demo_write_frame(struct nn_text *text, const struct demo_frame *frame)
{
    nn_text_printf(text, "{\"frame\":%lld,\"seconds\":%.3f,\"width\":%d,\"height\":%d,",
                   (long long)frame->index, frame->seconds, frame->image.width,
                   frame->image.height);
    if (*frame->trouble) {
        nn_text_printf(text, "\"trouble\":");
        nn_text_json_string(text, frame->trouble);
        nn_text_append(text, ",", 1);
    }
    nn_text_printf(text, "\"faces\":[");
    for (int i = 0; i < frame->count; i++) {
        if (i) nn_text_append(text, ",", 1);
        write_face(text, &frame->faces[i]);
    }
    nn_text_printf(text, "],\"milliseconds\":{");
    for (int i = 0; i <= DEMO_LATENCY; i++)
        nn_text_printf(text, "%s\"%s\":%.3f", i ? "," : "", demo_stage_names[i],
                       1e3 * frame->spent[i]);
    nn_text_printf(text, "}}\n");
}

/* ---- the end --------------------------------------------------------------------------------- */

struct figures {
    double seconds, rate, p50, p99, first;
    int64_t lost;
};

static struct figures figures_of(const struct demo *demo)
{
    struct figures figures = {.first = 1e3 * demo->first_verdict};
    figures.seconds = demo->last_seen - demo->first_arrived;
    figures.rate = demo->looked && figures.seconds > 0 ? (double)demo->looked / figures.seconds : 0;
    figures.p50 = 1e3 * demo_times_quantile(&demo->times[DEMO_LATENCY], 0.5);
    figures.p99 = 1e3 * demo_times_quantile(&demo->times[DEMO_LATENCY], 0.99);
    figures.lost = demo->lost + demo->exchange.passed_over;
    return figures;
}

static void write_summary(struct nn_text *text, const struct demo *demo)
{
    const struct figures figures = figures_of(demo);
    nn_text_printf(text,
                   "{\"summary\":{\"source\":\"%s\",\"frames\":%lld,\"seconds\":%.3f,"
                   "\"fps\":%.2f,\"latency\":{\"p50\":%.3f,\"p99\":%.3f},\"first_verdict\":%.1f,"
                   "\"lost\":%lld,\"not_shown\":%lld,\"broken\":%lld,",
                   demo->source ? demo->source : "", (long long)demo->looked, figures.seconds,
                   figures.rate, figures.p50, figures.p99, figures.first, (long long)figures.lost,
                   (long long)demo->exchange.unshown, (long long)demo->broken);
    nn_text_printf(text, "\"faces\":{\"live\":%lld,\"spoof\":%lld,\"not decided\":%lld},",
                   (long long)demo->answers[VI_LIVE], (long long)demo->answers[VI_SPOOF],
                   (long long)demo->answers[VI_UNDECIDED]);
    nn_text_printf(text, "\"milliseconds\":{");
    for (int i = 0; i < DEMO_STAGES; i++) {
        const struct demo_times *times = &demo->times[i];
        nn_text_printf(text, "%s\"%s\":{\"mean\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"count\":%u}",
                       i ? "," : "", demo_stage_names[i],
                       times->total ? 1e3 * times->sum / times->total : 0,
                       1e3 * demo_times_quantile(times, 0.5),
                       1e3 * demo_times_quantile(times, 0.99), (unsigned)times->total);
    }
    nn_text_printf(text, "}}}\n");
}

static void say_summary(const struct demo *demo)
{
    const struct app *app = demo->app;
    const struct figures figures = figures_of(demo);
    app_say(app, "%lld frames in %.1f s: %.1f per second; first verdict after %.0f ms",
            (long long)demo->looked, figures.seconds, figures.rate, figures.first);
    app_say(app, "faces: %lld live, %lld spoof, %lld not decided",
            (long long)demo->answers[VI_LIVE], (long long)demo->answers[VI_SPOOF],
            (long long)demo->answers[VI_UNDECIDED]);
    if (figures.lost || demo->exchange.unshown)
        app_say(app, "%lld frames came and were not looked at, %lld were looked at and not shown",
                (long long)figures.lost, (long long)demo->exchange.unshown);
    app_say(app, "%-10s %9s %9s %9s   milliseconds", "", "mean", "p50", "p99");
    for (int i = 0; i < DEMO_STAGES; i++) {
        const struct demo_times *times = &demo->times[i];
        if (times->total)
            app_say(app, "%-10s %9.2f %9.2f %9.2f", demo_stage_names[i],
                    1e3 * times->sum / times->total, 1e3 * demo_times_quantile(times, 0.5),
                    1e3 * demo_times_quantile(times, 0.99));
    }
}

enum nn_status demo_report(struct demo *demo)
{
    struct nn_text text = {.context = demo->app->context};
    if (demo->broken)
        app_complain(demo->app, "%lld broken frame%s passed over; the last: %s",
                     (long long)demo->broken, demo->broken == 1 ? "" : "s", demo->last_broken);
    if (!demo->app->common->json) {
        say_summary(demo);
        return NN_OK;
    }
    write_summary(&text, demo);
    return app_print(demo->app, &text);
}
