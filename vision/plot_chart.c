/*
 * plot_chart.c — line charts: loss and accuracy over the epochs, ROC and DET curves.
 *
 * Each series is first stroked into a mask of its own, then blended at once: joints do not darken,
 * dashes run on around corners, and all masks together tell the legend where there is no ink.
 */
#include "vision/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Okabe & Ito, "Color Universal Design" (2008): told apart with every kind of colour vision. Those
 * that read best on white come first. */
static const struct vi_rgb palette[] = {{0, 114, 178},   {213, 94, 0},  {0, 158, 115},
                                        {204, 121, 167}, {230, 159, 0}, {86, 180, 233},
                                        {90, 90, 90},    {222, 203, 40}};
static const struct vi_rgb grid_color = {224, 224, 224}, minor_color = {243, 243, 243};
static const struct vi_rgb axis_color = {96, 96, 96}, chance_color = {150, 150, 150};

enum { DEFAULT_WIDTH = 960, DEFAULT_HEIGHT = 600, LEAST_WIDTH = 160, LEAST_HEIGHT = 120 };

struct chart {
    const struct vi_chart *spec;
    struct nn_context *context;
    struct vi_image image;
    double scale; /* 1 at 960 x 600 */
    struct vi_type tick_type, label_type;
    struct vi_axis x, y;
    double left, top, right, bottom; /* of the plot area */
    uint8_t *mask, *ink;             /* the series in hand; all series */
    size_t mask_bytes;
};

static double px(const struct chart *chart, double length)
{
    double scaled = floor(length * chart->scale + 0.5);
    return scaled > 1 ? scaled : 1;
}

/* ---- data ------------------------------------------------------------------------------------ */

static double series_x(const struct vi_series *series, int i)
{
    return series->x ? series->x[i] : i;
}

static bool drawable_point(const struct vi_chart *spec, const struct vi_series *series, int i)
{
    double x = series_x(series, i);
    return isfinite(x) && isfinite(series->y[i]) && (!spec->x_log || x > 0);
}

struct range {
    double x_low, x_high, y_low, y_high;
    bool whole; /* all x are whole numbers */
};

static struct range data_range(const struct vi_chart *spec)
{
    struct range range = {INFINITY, -INFINITY, INFINITY, -INFINITY, true};
    for (int s = 0; s < spec->series_count; s++) {
        for (int i = 0; i < spec->series[s].count; i++) {
            if (!drawable_point(spec, &spec->series[s], i)) continue;
            double x = series_x(&spec->series[s], i), y = spec->series[s].y[i];
            range.x_low = fmin(range.x_low, x);
            range.x_high = fmax(range.x_high, x);
            range.y_low = fmin(range.y_low, y);
            range.y_high = fmax(range.y_high, y);
            if (x != floor(x)) range.whole = false;
        }
    }
    return range;
}

static enum nn_status check_range(struct nn_context *context, const char *axis, double low,
                                  double high, bool log)
{
    if (!isfinite(low) || !isfinite(high) || low > high) {
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "chart: the %s axis cannot run from %g to %g: expected min < max, or "
                       "min == max to take the range from the data",
                       axis, low, high);
    }
    if (log && low != high && low <= 0) {
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "chart: a logarithmic %s axis cannot begin at %g: expected more than 0",
                       axis, low);
    }
    return NN_OK;
}

static enum nn_status check_chart(struct nn_context *context, const struct vi_chart *spec)
{
    if (!spec || spec->series_count < 0 || (spec->series_count > 0 && !spec->series)) {
        return nn_fail(context, NN_ERROR_ARGUMENT, "chart: no series given");
    }
    for (int s = 0; s < spec->series_count; s++) {
        const struct vi_series *series = &spec->series[s];
        if (series->count < 0 || (series->count > 0 && !series->y)) {
            return nn_fail(context, NN_ERROR_ARGUMENT,
                           "chart: series %d (%s) has %d points but no values", s,
                           series->label ? series->label : "no label", series->count);
        }
    }
    int width = spec->width ? spec->width : DEFAULT_WIDTH;
    int height = spec->height ? spec->height : DEFAULT_HEIGHT;
    if (width < LEAST_WIDTH || height < LEAST_HEIGHT || width > VI_MAX_SIDE ||
        height > VI_MAX_SIDE) {
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "chart: %d x %d pixels asked for, expected %d x %d to %d x %d", width,
                       height, LEAST_WIDTH, LEAST_HEIGHT, VI_MAX_SIDE, VI_MAX_SIDE);
    }
    enum nn_status status = check_range(context, "x", spec->x_min, spec->x_max, spec->x_log);
    return status ? status : check_range(context, "y", spec->y_min, spec->y_max, false);
}

/* ---- layout ---------------------------------------------------------------------------------- */

static void choose_ranges(struct chart *chart)
{
    const struct vi_chart *spec = chart->spec;
    struct range range = data_range(spec);
    bool x_given = spec->x_min != spec->x_max, y_given = spec->y_min != spec->y_max;
    chart->x.log = spec->x_log;
    /* Counts (epochs) have no halves; rates from 0 to 1 have, even if the data are 0 and 1. */
    bool counts = range.whole && range.x_low <= range.x_high && !spec->x_log;
    chart->x.whole = counts && (!x_given || spec->x_max - spec->x_min >= 5);
    vi_axis_range(&chart->x, x_given ? spec->x_min : range.x_low,
                  x_given ? spec->x_max : range.x_high, x_given ? 0 : 0.02);
    vi_axis_range(&chart->y, y_given ? spec->y_min : range.y_low,
                  y_given ? spec->y_max : range.y_high, y_given ? 0 : 0.05);
}

static double widest_tick(const struct vi_axis *axis, struct vi_type type)
{
    double widest = 0;
    for (int i = 0; i < axis->ticks; i++) {
        widest = fmax(widest, vi_tick_width(&axis->tick[i], type));
    }
    return widest;
}

/* Heights follow from type sizes alone; then y's labels are known, and with them the left margin;
 * then x's labels. Labels that would touch get a wider spacing. */
static void lay_out(struct chart *chart)
{
    const struct vi_chart *spec = chart->spec;
    double tick = chart->tick_type.size, label = chart->label_type.size, edge = px(chart, 14);
    double gap = px(chart, 8) + px(chart, 4); /* tick mark and space */
    chart->top = edge + (spec->title ? px(chart, 15) + px(chart, 14) : 0);
    chart->bottom = chart->image.height - edge - gap - tick -
                    (spec->x_label ? label + px(chart, 12) : 0) - px(chart, 2);
    chart->y.begin = chart->bottom;
    chart->y.end = chart->top;
    vi_axis_ticks(&chart->y, px(chart, 44));
    double widest = fmin(widest_tick(&chart->y, chart->tick_type), chart->image.width * 0.3);
    chart->left = edge + gap + widest + (spec->y_label ? label + px(chart, 14) : 0);
    chart->right = chart->image.width - edge - px(chart, 12);
    chart->x.begin = chart->left;
    chart->x.end = chart->right;
    double spacing = px(chart, 70);
    for (int i = 0; i < 3; i++) {
        vi_axis_ticks(&chart->x, spacing);
        double need = widest_tick(&chart->x, chart->tick_type) + 2 * tick;
        if (need <= spacing) break;
        spacing = need;
    }
}

/* ---- axes ------------------------------------------------------------------------------------ */

/* A line one pixel thick on whole pixels, whatever the position: grids must not shimmer. */
static void rule(const struct chart *chart, double at, bool upright, double from, double to,
                 struct vi_rgb color)
{
    double thick = px(chart, 1), place = floor(at - thick / 2 + 0.5);
    if (upright) vi_fill_rect(&chart->image, place, from, thick, to - from, color, 1);
    if (!upright) vi_fill_rect(&chart->image, from, place, to - from, thick, color, 1);
}

static void draw_grid(const struct chart *chart)
{
    const struct vi_axis *x = &chart->x, *y = &chart->y;
    double l = chart->left, r = chart->right, t = chart->top, b = chart->bottom;
    for (int i = 0; i < x->minor_ticks; i++) {
        rule(chart, vi_axis_pixel(x, x->minor[i]), true, t, b, minor_color);
    }
    for (int i = 0; i < y->minor_ticks; i++) {
        rule(chart, vi_axis_pixel(y, y->minor[i]), false, l, r, minor_color);
    }
    for (int i = 0; i < x->ticks; i++) {
        rule(chart, vi_axis_pixel(x, x->tick[i].at), true, t, b, grid_color);
    }
    for (int i = 0; i < y->ticks; i++) {
        rule(chart, vi_axis_pixel(y, y->tick[i].at), false, l, r, grid_color);
    }
}

static void draw_axes(const struct chart *chart)
{
    const struct vi_axis *x = &chart->x, *y = &chart->y;
    struct vi_type type = chart->tick_type;
    double mark = px(chart, 5), gap = mark + px(chart, 6);
    rule(chart, chart->left, true, chart->top, chart->bottom + 1, axis_color);
    rule(chart, chart->bottom, false, chart->left, chart->right, axis_color);
    for (int i = 0; i < x->ticks; i++) {
        double at = vi_axis_pixel(x, x->tick[i].at);
        double width = vi_tick_width(&x->tick[i], type);
        double place = fmin(at - width / 2, chart->image.width - width - 2);
        rule(chart, at, true, chart->bottom, chart->bottom + mark, axis_color);
        vi_tick_draw(&chart->image, place, chart->bottom + gap, &x->tick[i], type, VI_INK);
    }
    for (int i = 0; i < y->ticks; i++) {
        double at = vi_axis_pixel(y, y->tick[i].at);
        double place = chart->left - gap - vi_tick_width(&y->tick[i], type);
        rule(chart, at, false, chart->left - mark, chart->left, axis_color);
        vi_tick_draw(&chart->image, place, at - type.size / 2, &y->tick[i], type, VI_INK);
    }
}

static void draw_labels(const struct chart *chart)
{
    const struct vi_chart *spec = chart->spec;
    struct vi_type type = chart->label_type;
    double edge = px(chart, 14), x = (chart->left + chart->right) / 2;
    char text[VI_MAX_CAPTION];
    double y = chart->image.height - edge - type.size - px(chart, 2);
    vi_plot_title(&chart->image, x, edge, 2 * fmin(x, chart->image.width - x) - edge, px(chart, 15),
                  spec->title);
    if (spec->x_label) {
        vi_type_fit(text, type, spec->x_label, chart->right - chart->left);
        vi_type_text(&chart->image, x, y, type, VI_CENTER, VI_INK, text);
    }
    if (spec->y_label) {
        double middle = (chart->top + chart->bottom) / 2;
        vi_type_fit(text, type, spec->y_label, chart->bottom - chart->top);
        type.up = true;
        vi_type_text(&chart->image, edge, middle, type, VI_CENTER, VI_INK, text);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Draws a connected line point by point, clipped to the plot area. */
struct brush {
    const struct chart *chart;
    double radius;
    double dash[2];   /* lengths of dash and space; 0: solid */
    double travelled; /* along the line, for the dashes */
    double last_x, last_y;
    bool down;
};

/* Liang & Barsky 1984: the part [t[0], t[1]] of the segment inside the plot area, widened by the
 * pen so that lines along the border are not cut in half. */
static bool clip_segment(const struct brush *brush, double x0, double y0, double x1, double y1,
                         double t[2])
{
    const struct chart *c = brush->chart;
    double r = ceil(brush->radius);
    const double p[4] = {x0 - x1, x1 - x0, y0 - y1, y1 - y0};
    const double q[4] = {x0 - (c->left - r), c->right + r - x0, y0 - (c->top - r),
                         c->bottom + r - y0};
    t[0] = 0;
    t[1] = 1;
    for (int i = 0; i < 4; i++) {
        if (p[i] == 0 && q[i] < 0) return false;
        if (p[i] < 0) t[0] = fmax(t[0], q[i] / p[i]);
        if (p[i] > 0) t[1] = fmin(t[1], q[i] / p[i]);
    }
    return t[0] <= t[1];
}

static void stroke_to(struct brush *brush, double x, double y)
{
    double x0 = brush->last_x, y0 = brush->last_y, dx = x - x0, dy = y - y0, t[2];
    brush->last_x = x;
    brush->last_y = y;
    if (!clip_segment(brush, x0, y0, x, y, t)) return;
    double length = hypot(dx, dy) * (t[1] - t[0]), period = brush->dash[0] + brush->dash[1];
    struct vi_segment s = {x0 + dx * t[0], y0 + dy * t[0], x0 + dx * t[1], y0 + dy * t[1],
                           brush->radius};
    const struct vi_image *image = &brush->chart->image;
    if (!(period > 0) || !(length > 0)) {
        vi_mask_segment(brush->chart->mask, image->width, image->height, &s);
        return;
    }
    double phase = fmod(brush->travelled, period), ux = (s.x1 - s.x0) / length;
    double uy = (s.y1 - s.y0) / length;
    brush->travelled += length;
    int dashes = (int)ceil((length + phase) / period); /* clipped: no more than cross the page */
    for (int i = 0; i < dashes; i++) {
        double at = i * period - phase, from = fmax(at, 0), to = fmin(at + brush->dash[0], length);
        if (from >= to) continue;
        struct vi_segment dash = {s.x0 + ux * from, s.y0 + uy * from, s.x0 + ux * to,
                                  s.y0 + uy * to, brush->radius};
        vi_mask_segment(brush->chart->mask, image->width, image->height, &dash);
    }
}

static void brush_to(struct brush *brush, double x, double y, bool step)
{
    if (!brush->down) {
        brush->last_x = x;
        brush->last_y = y;
        brush->down = true;
        return;
    }
    /* Curves of a million points: those within a twentieth of a pixel add nothing. */
    if (fabs(x - brush->last_x) + fabs(y - brush->last_y) < 0.05) return;
    if (step) stroke_to(brush, x, brush->last_y);
    stroke_to(brush, x, y);
}

static struct brush make_brush(const struct chart *chart, double thickness, bool dashed)
{
    struct brush brush = {.chart = chart, .radius = thickness * chart->scale / 2};
    if (dashed) {
        brush.dash[0] = 3.2 * thickness * chart->scale;
        brush.dash[1] = 3 * thickness * chart->scale;
    }
    return brush;
}

/* The mask becomes part of `ink`, and is empty again. */
static void keep_ink(struct chart *chart)
{
    for (size_t i = 0; i < chart->mask_bytes; i++) {
        if (chart->mask[i] > chart->ink[i]) chart->ink[i] = chart->mask[i];
    }
    memset(chart->mask, 0, chart->mask_bytes);
}

static void lay_down(struct chart *chart, struct vi_rgb color, double opacity)
{
    vi_blend_mask(&chart->image, chart->mask, color, opacity);
    keep_ink(chart);
}

/* y = x, which is a curve where x is logarithmic: in 256 pieces. */
static void draw_chance(struct chart *chart)
{
    struct brush brush = make_brush(chart, 1.4, true);
    for (int i = 0; i <= 256; i++) {
        double t = i / 256.0, low = chart->x.low, high = chart->x.high;
        double value = chart->x.log ? pow(10, log10(low) + (log10(high) - log10(low)) * t)
                                    : low + (high - low) * t;
        brush_to(&brush, vi_axis_pixel(&chart->x, value), vi_axis_pixel(&chart->y, value), false);
    }
    lay_down(chart, chance_color, 1);
}

static bool in_plot(const struct chart *chart, double x, double y)
{
    return x >= chart->left - 1 && x <= chart->right + 1 && y >= chart->top - 1 &&
           y <= chart->bottom + 1;
}

/* A dot for each point where they are wanted, and for points with no neighbour to be joined to. */
static void draw_markers(struct chart *chart, const struct vi_series *series, struct vi_rgb color)
{
    double radius = 3.4 * chart->scale;
    for (int i = 0; i < series->count; i++) {
        if (!drawable_point(chart->spec, series, i)) continue;
        bool before = i > 0 && drawable_point(chart->spec, series, i - 1);
        bool after = i + 1 < series->count && drawable_point(chart->spec, series, i + 1);
        if (!series->markers && (before || after)) continue;
        double x = vi_axis_pixel(&chart->x, series_x(series, i));
        double y = vi_axis_pixel(&chart->y, series->y[i]);
        if (!in_plot(chart, x, y)) continue;
        vi_fill_circle(&chart->image, x, y, radius + chart->scale, VI_WHITE, 1);
        vi_fill_circle(&chart->image, x, y, radius, color, 1);
        struct vi_segment dot = {x, y, x, y, radius};
        vi_mask_segment(chart->mask, chart->image.width, chart->image.height, &dot);
    }
    keep_ink(chart);
}

static void draw_series(struct chart *chart, const struct vi_series *series, struct vi_rgb color)
{
    struct brush brush = make_brush(chart, 2, series->dashed);
    for (int i = 0; i < series->count; i++) {
        if (!drawable_point(chart->spec, series, i)) {
            brush.down = false;
            continue;
        }
        double x = vi_axis_pixel(&chart->x, series_x(series, i));
        brush_to(&brush, x, vi_axis_pixel(&chart->y, series->y[i]), series->steps);
    }
    lay_down(chart, color, 1);
    draw_markers(chart, series, color);
}

static struct vi_rgb series_color(const struct vi_chart *spec, int index)
{
    const int colors = sizeof palette / sizeof *palette;
    int unnamed = 0;
    for (int s = 0; s <= index; s++) {
        struct vi_rgb color = spec->series[s].color;
        if (color.r || color.g || color.b) {
            if (s == index) return color;
        } else {
            unnamed++;
        }
    }
    return palette[(unnamed - 1) % colors];
}

/* ---- legend ---------------------------------------------------------------------------------- */

struct legend {
    double x, y, width, height, row, sample; /* row height; length of the line shown */
    int shown, total;
};

static bool labelled(const struct vi_series *series)
{
    return series->label && series->label[0];
}

static int64_t ink_under(const struct chart *chart, double x, double y, const struct legend *legend)
{
    int64_t ink = 0;
    for (int j = (int)y; j < (int)(y + legend->height) && j < chart->image.height; j++) {
        const uint8_t *row = chart->ink + (size_t)j * (size_t)chart->image.width;
        for (int i = (int)x; i < (int)(x + legend->width) && i < chart->image.width; i++) {
            ink += row[i] > 0;
        }
    }
    return ink;
}

/* Of nine places the one that hides the least; of equal ones the first. */
static void place_legend(const struct chart *chart, struct legend *legend)
{
    static const double places[9][2] = {{1, 0},   {0, 0},   {1, 1},   {0, 1},    {1, 0.5},
                                        {0, 0.5}, {0.5, 0}, {0.5, 1}, {0.5, 0.5}};
    double margin = px(chart, 10);
    double room_x = chart->right - chart->left - legend->width - 2 * margin;
    double room_y = chart->bottom - chart->top - legend->height - 2 * margin;
    int64_t least = INT64_MAX;
    for (int i = 0; i < 9; i++) {
        double x = floor(chart->left + margin + fmax(room_x, 0) * places[i][0]);
        double y = floor(chart->top + margin + fmax(room_y, 0) * places[i][1]);
        int64_t ink = ink_under(chart, x, y, legend);
        if (ink >= least) continue;
        least = ink;
        legend->x = x;
        legend->y = y;
    }
}

static bool measure_legend(const struct chart *chart, struct legend *legend)
{
    const struct vi_chart *spec = chart->spec;
    double widest = 0, most = (chart->right - chart->left) * 0.5;
    double plot = chart->bottom - chart->top - px(chart, 36);
    legend->row = floor(chart->tick_type.size * 1.75);
    legend->sample = px(chart, 28);
    for (int s = 0; s < spec->series_count; s++) {
        if (!labelled(&spec->series[s])) continue;
        legend->total++;
        widest = fmax(widest, vi_type_width(chart->tick_type, spec->series[s].label));
    }
    legend->shown = (int)fmin(legend->total, floor(plot / legend->row));
    legend->width = px(chart, 26) + legend->sample + fmin(widest, most);
    legend->height = legend->shown * legend->row + px(chart, 8);
    return legend->shown > 0;
}

static void draw_sample(struct chart *chart, const struct legend *legend, double y,
                        const struct vi_series *series, struct vi_rgb color)
{
    struct brush brush = make_brush(chart, 2, series->dashed);
    double x = legend->x + px(chart, 9);
    if (series->count != 1) {
        brush_to(&brush, x, y, false);
        brush_to(&brush, x + legend->sample, y, false);
        lay_down(chart, color, 1);
    }
    if (series->markers || series->count == 1) {
        vi_fill_circle(&chart->image, x + legend->sample / 2, y, 3.4 * chart->scale, color, 1);
    }
}

/* Where more series have labels than fit, the last row says how many are left out. */
static void draw_legend(struct chart *chart)
{
    const struct vi_chart *spec = chart->spec;
    struct legend legend = {0};
    struct vi_type type = chart->tick_type;
    if (!measure_legend(chart, &legend)) return;
    place_legend(chart, &legend);
    vi_fill_rect(&chart->image, legend.x, legend.y, legend.width, legend.height, VI_WHITE, 0.88);
    vi_draw_rect(&chart->image, legend.x, legend.y, legend.width, legend.height, px(chart, 1),
                 (struct vi_rgb){204, 204, 204});
    double x = legend.x + px(chart, 17) + legend.sample, y = legend.y + px(chart, 4);
    double room = legend.x + legend.width - px(chart, 8) - x;
    int row = 0;
    for (int s = 0; s < spec->series_count && row < legend.shown; s++) {
        const struct vi_series *series = &spec->series[s];
        if (!labelled(series)) continue;
        char text[VI_MAX_CAPTION];
        double middle = floor(y + legend.row * row + legend.row / 2);
        bool full = ++row == legend.shown && legend.shown < legend.total;
        if (!full) draw_sample(chart, &legend, middle, series, series_color(spec, s));
        vi_type_fit(text, type, full ? "..." : series->label, room);
        vi_type_text(&chart->image, x, middle - type.size / 2, type, VI_LEFT, VI_INK, text);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum nn_status open_chart(struct chart *chart, struct nn_context *context,
                                 const struct vi_chart *spec)
{
    int width = spec->width ? spec->width : DEFAULT_WIDTH;
    int height = spec->height ? spec->height : DEFAULT_HEIGHT;
    chart->spec = spec;
    chart->context = context;
    chart->scale = fmin((double)width / DEFAULT_WIDTH, (double)height / DEFAULT_HEIGHT);
    chart->scale = chart->scale < 0.7 ? 0.7 : chart->scale;
    chart->tick_type.size = px(chart, 11);
    chart->label_type.size = px(chart, 12);
    enum nn_status status = vi_plot_page(&chart->image, context, width, height, "chart");
    if (status) return status;
    chart->mask_bytes = (size_t)width * (size_t)height;
    chart->mask = nn_alloc(context, chart->mask_bytes, 1);
    chart->ink = nn_alloc(context, chart->mask_bytes, 1);
    return chart->mask && chart->ink ? NN_OK : NN_ERROR_MEMORY;
}

enum nn_status vi_plot_chart(struct vi_image *image, struct nn_context *context,
                             const struct vi_chart *spec)
{
    memset(image, 0, sizeof *image);
    enum nn_status status = check_chart(context, spec);
    if (status) return status;
    struct chart *chart = nn_alloc(context, 1, sizeof *chart); /* its ticks are large for a stack */
    if (!chart) return NN_ERROR_MEMORY;
    status = open_chart(chart, context, spec);
    if (status) goto done;
    choose_ranges(chart);
    lay_out(chart);
    draw_grid(chart);
    draw_axes(chart);
    if (spec->diagonal) draw_chance(chart);
    for (int s = 0; s < spec->series_count; s++) {
        draw_series(chart, &spec->series[s], series_color(spec, s));
    }
    draw_labels(chart);
    draw_legend(chart);
    *image = chart->image;
    memset(&chart->image, 0, sizeof chart->image);
done:
    nn_free(context, chart->ink);
    nn_free(context, chart->mask);
    vi_image_free(context, &chart->image);
    nn_free(context, chart);
    return status;
}
