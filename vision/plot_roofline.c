/*
 * plot_roofline.c — how near to the machine's limits each piece of work comes.
 *
 * The area under the roof is shaded, the more the nearer the memory that feeds it: a dot in the
 * lightest part needs the first-level cache to be where it is. Texts take the first of a few places
 * beside their dot that hides nothing; where all do, there is none.
 */
#include "vision/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_WIDTH = 1200, DEFAULT_HEIGHT = 800, LEAST_SIDE = 200, MOST_SLOPES = 8 };
enum { MOST_POINTS = 4096, MOST_BOXES = MOST_POINTS + 64 };
static const struct vi_rgb GRID = {226, 226, 226}, MINOR = {241, 241, 241}, EDGE = {96, 96, 96};
static const struct vi_rgb ROOF = {52, 58, 70}, SHADE = {66, 105, 165};

struct box {
    double x0, y0, x1, y1;
};

struct roof_page {
    const struct vi_roofline *spec;
    struct vi_image image;
    double scale; /* 1 at 1200 x 800 */
    struct vi_axis x, y;
    double left, top, right, bottom;
    struct box *taken; /* what texts must not hide */
    int taken_count;
    int *order; /* points, heavy ones first */
};

static double px(const struct roof_page *page, double length)
{
    double scaled = floor(length * page->scale + 0.5);
    return scaled > 1 ? scaled : 1;
}

/* ---- checks and ranges -------------------------------------------------------------------------
 */

static bool is_positive(double value)
{
    return value > 0 && isfinite(value);
}

static enum nn_status check(struct nn_context *context, const struct vi_roofline *spec)
{
    int width = spec->width ? spec->width : DEFAULT_WIDTH;
    int height = spec->height ? spec->height : DEFAULT_HEIGHT;
    if (width < LEAST_SIDE || height < LEAST_SIDE)
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "roofline: %d x %d pixels asked for, expected at least %d x %d", width,
                       height, LEAST_SIDE, LEAST_SIDE);
    bool good = spec->ceiling_count >= 1 && spec->slope_count >= 0 &&
                spec->slope_count <= MOST_SLOPES && spec->point_count >= 0 &&
                spec->point_count <= MOST_POINTS;
    for (int i = 0; good && i < spec->ceiling_count; i++)
        good = is_positive(spec->ceilings[i].rate);
    for (int i = 0; good && i < spec->slope_count; i++) good = is_positive(spec->slopes[i].rate);
    for (int i = 0; good && i < spec->point_count; i++) {
        const struct vi_roof_point *point = &spec->points[i];
        good = is_positive(point->intensity) && is_positive(point->rate) && point->weight >= 0 &&
               point->weight <= 1 && point->group >= 0 && point->group < spec->group_count;
    }
    if (good) return NN_OK;
    return nn_fail(context, NN_ERROR_ARGUMENT,
                   "roofline: expected a ceiling, at most %d slopes and %d points, with rates and "
                   "intensities above 0, weights from 0 to 1, and groups there are",
                   MOST_SLOPES, MOST_POINTS);
}

/* All points; the roof's bends, with some of what lies on both sides of them. */
static void choose_ranges(struct roof_page *page)
{
    const struct vi_roofline *spec = page->spec;
    double peak = spec->ceilings[0].rate, x_low = INFINITY, x_high = 0;
    double y_low = peak / 30, y_high = peak * 1.7;
    for (int i = 0; i < spec->slope_count; i++) {
        double bend = peak / spec->slopes[i].rate;
        x_low = fmin(x_low, bend / 6);
        x_high = fmax(x_high, bend * 3);
    }
    for (int i = 0; i < spec->point_count; i++) {
        x_low = fmin(x_low, spec->points[i].intensity / 1.6);
        x_high = fmax(x_high, spec->points[i].intensity * 3);
        y_low = fmin(y_low, spec->points[i].rate / 1.6);
        y_high = fmax(y_high, spec->points[i].rate * 1.3);
    }
    if (!(x_low < x_high)) x_low = 0.1, x_high = 100;
    page->x.log = page->y.log = true;
    vi_axis_range(&page->x, x_low, x_high, 0);
    vi_axis_range(&page->y, fmax(y_low, peak * 1e-5), fmin(y_high, peak * 1e3), 0);
}

static void lay_out(struct roof_page *page)
{
    const struct vi_roofline *spec = page->spec;
    page->left = px(page, 84);
    page->right = page->image.width - px(page, 28);
    page->top =
        px(page, 24) + (spec->title ? px(page, 32) : 0) + (spec->subtitle ? px(page, 22) : 0);
    page->bottom = page->image.height - px(page, 72);
    page->x.begin = page->left;
    page->x.end = page->right;
    page->y.begin = page->bottom;
    page->y.end = page->top;
}

/* ---- axes --------------------------------------------------------------------------------------
 */

static void rule(const struct roof_page *page, double at, bool upright, struct vi_rgb color)
{
    double thick = px(page, 1), place = floor(at - thick / 2 + 0.5);
    if (upright)
        vi_fill_rect(&page->image, place, page->top, thick, page->bottom - page->top, color, 1);
    else
        vi_fill_rect(&page->image, page->left, place, page->right - page->left, thick, color, 1);
}

/* Decades with plain numbers, 2 ... 9 as fine lines; few decades also have 2 and 5 named. */
static void draw_axis(const struct roof_page *page, const struct vi_axis *axis, bool upright)
{
    struct vi_type type = {.size = px(page, 12)};
    bool few = log10(axis->high / axis->low) < 2.5;
    for (int pass = 0; pass < 2; pass++)
        for (int decade = (int)floor(log10(axis->low)); pow(10, decade) <= axis->high; decade++)
            for (int i = 1; i <= 9; i++) {
                double value = i * pow(10, decade), at = vi_axis_pixel(axis, value);
                char text[32];
                if (value < axis->low * 0.999 || value > axis->high * 1.001) continue;
                if ((i == 1) == (pass == 0)) continue; /* the decades over the fine lines */
                rule(page, at, !upright, i == 1 ? GRID : MINOR);
                if (i != 1 && !(few && (i == 2 || i == 5))) continue;
                snprintf(text, sizeof text, "%g", value);
                if (upright)
                    vi_type_text(&page->image, page->left - px(page, 9), at - type.size / 2, type,
                                 VI_RIGHT, VI_INK, text);
                else
                    vi_type_text(&page->image, at, page->bottom + px(page, 10), type, VI_CENTER,
                                 VI_INK, text);
            }
}

static void draw_frame(const struct roof_page *page)
{
    const struct vi_roofline *spec = page->spec;
    double middle = (page->left + page->right) / 2, y = px(page, 20);
    struct vi_type type = {.size = px(page, 13)};
    char text[VI_MAX_CAPTION];
    rule(page, page->left, true, EDGE);
    rule(page, page->bottom, false, EDGE);
    vi_plot_title(&page->image, middle, y, page->image.width * 0.94, px(page, 18), spec->title);
    if (spec->title) y += px(page, 32);
    if (spec->subtitle) {
        vi_type_fit(text, type, spec->subtitle, page->image.width * 0.94);
        vi_type_text(&page->image, middle, y, type, VI_CENTER, EDGE, text);
    }
    if (spec->x_label) {
        vi_type_fit(text, type, spec->x_label, page->right - page->left);
        vi_type_text(&page->image, middle, page->image.height - px(page, 30), type, VI_CENTER,
                     VI_INK, text);
    }
    if (!spec->y_label) return;
    vi_type_fit(text, type, spec->y_label, page->bottom - page->top);
    type.up = true;
    vi_type_text(&page->image, px(page, 16), (page->top + page->bottom) / 2, type, VI_CENTER,
                 VI_INK, text);
}

/* ---- the roof ----------------------------------------------------------------------------------
 */

/* Pixels of the slope's two ends in the plot: where it comes in, and where it meets the ceiling. */
struct edge {
    double x0, y0, x1, y1;
};

static struct edge slope_edge(const struct roof_page *page, double slope)
{
    double peak = page->spec->ceilings[0].rate;
    double from = fmax(page->x.low, page->y.low / slope), to = peak / slope;
    to = fmin(fmax(to, from), page->x.high);
    return (struct edge){vi_axis_pixel(&page->x, from), vi_axis_pixel(&page->y, from * slope),
                         vi_axis_pixel(&page->x, to), vi_axis_pixel(&page->y, to * slope)};
}

static void take(struct roof_page *page, struct box box)
{
    if (page->taken_count < MOST_BOXES) page->taken[page->taken_count++] = box;
}

static bool is_free(const struct roof_page *page, const struct box *box)
{
    if (box->x0 < page->left + 2 || box->x1 > page->right || box->y0 < page->top ||
        box->y1 > page->bottom - 2)
        return false;
    for (int i = 0; i < page->taken_count; i++) {
        const struct box *other = &page->taken[i];
        if (box->x0 < other->x1 && other->x0 < box->x1 && box->y0 < other->y1 &&
            other->y0 < box->y1)
            return false;
    }
    return true;
}

/* What can be reached from this memory, as one more layer of shade. */
static void shade_under(const struct roof_page *page, const struct edge *edge)
{
    double xy[] = {edge->x0,   edge->y0,     edge->x1,     edge->y1, page->right,
                   edge->y1,   page->right,  page->bottom, edge->x0, page->bottom,
                   page->left, page->bottom, page->left,   edge->y0};
    bool from_side = edge->x0 <= page->left + 1;
    vi_fill_polygon(&page->image, xy, from_side ? 7 : 5, SHADE, 0.055);
}

static double ceiling_begin(const struct roof_page *page, double rate)
{
    const struct vi_roofline *spec = page->spec;
    if (!spec->slope_count) return page->left;
    return fmax(page->left, vi_axis_pixel(&page->x, rate / spec->slopes[0].rate));
}

static void draw_roof(const struct roof_page *page)
{
    const struct vi_roofline *spec = page->spec;
    struct edge edge[MOST_SLOPES];
    for (int i = 0; i < spec->slope_count; i++) {
        edge[i] = slope_edge(page, spec->slopes[i].rate);
        shade_under(page, &edge[i]);
    }
    for (int i = 0; i < spec->slope_count; i++)
        vi_draw_line(&page->image, edge[i].x0, edge[i].y0, edge[i].x1, edge[i].y1, px(page, 2.4),
                     ROOF, 1);
    for (int i = 0; i < spec->ceiling_count; i++) {
        double rate = spec->ceilings[i].rate, y = vi_axis_pixel(&page->y, rate);
        if (rate < page->y.low) continue;
        vi_draw_line(&page->image, ceiling_begin(page, rate), y, page->right, y,
                     px(page, i ? 1.2 : 2.4), ROOF, 1);
    }
}

/* Over the line's left end, or under it. */
static void label_ceilings(struct roof_page *page)
{
    const struct vi_roofline *spec = page->spec;
    for (int i = 0; i < spec->ceiling_count; i++) {
        struct vi_type type = {.size = px(page, 12), .weight = i ? 0 : VI_BOLD};
        double rate = spec->ceilings[i].rate, y = vi_axis_pixel(&page->y, rate), gap = px(page, 7);
        if (!spec->ceilings[i].label || rate < page->y.low) continue;
        double x = ceiling_begin(page, rate) + px(page, 14);
        double width = vi_type_width(type, spec->ceilings[i].label);
        struct box box = {x, y - gap - type.size, x + width, y};
        if (!is_free(page, &box)) box.y0 = y + gap, box.y1 = y + gap + type.size;
        vi_type_text(&page->image, x, box.y0, type, VI_LEFT, ROOF, spec->ceilings[i].label);
        take(page, box);
    }
}

/* On the line's upper left, at one of some places along it. */
static void label_slopes(struct roof_page *page)
{
    static const double PLACES[] = {0.55, 0.7, 0.45, 0.85, 0.35, 0.95, 0.55};
    enum { COUNT = sizeof PLACES / sizeof *PLACES };
    for (int i = 0; i < page->spec->slope_count; i++) {
        const struct vi_ceiling *slope = &page->spec->slopes[i];
        struct edge edge = slope_edge(page, slope->rate);
        double size = px(page, 12), gap = px(page, 8);
        if (!slope->label) continue;
        for (int j = 0; j < COUNT; j++) {
            double x = edge.x0 + PLACES[j] * (edge.x1 - edge.x0) - gap;
            double y = edge.y0 + PLACES[j] * (edge.y1 - edge.y0) - size;
            struct box box = {x - vi_text_width(size, slope->label), y, x, y + size};
            if (!is_free(page, &box) && j + 1 < COUNT) continue;
            vi_draw_text_outline(&page->image, x, y, size, VI_RIGHT, ROOF, VI_WHITE, slope->label);
            take(page, box);
            break;
        }
    }
}

/* ---- dots --------------------------------------------------------------------------------------
 */

static double radius_of(const struct roof_page *page, const struct vi_roof_point *point)
{
    return (3.2 + 17 * sqrt(point->weight)) * page->scale;
}

static void draw_dots(struct roof_page *page)
{
    const struct vi_roofline *spec = page->spec;
    for (int i = 0; i < spec->point_count; i++) {
        const struct vi_roof_point *point = &spec->points[page->order[i]];
        double x = vi_axis_pixel(&page->x, point->intensity), r = radius_of(page, point);
        double y = fmin(vi_axis_pixel(&page->y, point->rate), page->bottom);
        vi_fill_circle(&page->image, x, y, r + 1.3 * page->scale, VI_WHITE, 0.9);
        vi_fill_circle(&page->image, x, y, r, spec->groups[point->group].color, 0.82);
        take(page, (struct box){x - 0.8 * r, y - 0.8 * r, x + 0.8 * r, y + 0.8 * r});
    }
}

static struct vi_rgb darker(struct vi_rgb color)
{
    return (struct vi_rgb){(uint8_t)(color.r * 6 / 10), (uint8_t)(color.g * 6 / 10),
                           (uint8_t)(color.b * 6 / 10)};
}

/* Right, left, above, below, and the corners; near, then further off with a line to the dot. */
static void label_dot(struct roof_page *page, const struct vi_roof_point *point)
{
    static const double SIDES[8][2] = {{1, 0},  {-1, 0}, {0, -1}, {0, 1},
                                       {1, -1}, {1, 1},  {-1, 1}, {-1, -1}};
    double size = px(page, 11), width = vi_text_width(size, point->label),
           r = radius_of(page, point);
    double x = vi_axis_pixel(&page->x, point->intensity), y = vi_axis_pixel(&page->y, point->rate);
    struct vi_rgb color = darker(page->spec->groups[point->group].color);
    for (int i = 0; i < 48; i++) {
        double away = r + px(page, 4) + i / 8 * px(page, 22);
        double corner = SIDES[i % 8][0] != 0 && SIDES[i % 8][1] != 0 ? 0.75 : 1;
        double at_x = x + SIDES[i % 8][0] * away * corner,
               at_y = y + SIDES[i % 8][1] * away * corner;
        double x0 = at_x + (SIDES[i % 8][0] - 1) / 2 * width;
        double y0 = at_y + (SIDES[i % 8][1] - 1) / 2 * size;
        struct box box = {x0 - 2, y0 - 3, x0 + width + 2, y0 + size + 3};
        if (!is_free(page, &box)) continue;
        if (i >= 8) vi_draw_line(&page->image, x, y, at_x, at_y, px(page, 1), color, 0.8);
        vi_draw_text_outline(&page->image, x0, y0, size, VI_LEFT, color, VI_WHITE, point->label);
        take(page, box);
        return;
    }
}

/* Heavy dots first: light ones lie on top of them. Equal weights stay in order. */
static void sort_points(struct roof_page *page)
{
    const struct vi_roofline *spec = page->spec;
    for (int i = 0; i < spec->point_count; i++) {
        int at = i;
        for (; at > 0 && spec->points[page->order[at - 1]].weight < spec->points[i].weight; at--)
            page->order[at] = page->order[at - 1];
        page->order[at] = i;
    }
}

/* ---- legend, in the corner no roof reaches ------------------------------------------------------
 */

static void draw_legend(struct roof_page *page)
{
    const struct vi_roofline *spec = page->spec;
    struct vi_type type = {.size = px(page, 12)};
    double row = px(page, 24), widest = 0, gap = px(page, 14);
    for (int i = 0; i < spec->group_count; i++)
        widest = fmax(widest, vi_type_width(type, spec->groups[i].label));
    if (spec->group_count == 0) return;
    double width = widest + px(page, 46), height = spec->group_count * row + px(page, 12);
    double x = page->right - gap - width, y = page->bottom - gap - height;
    vi_fill_rect(&page->image, x, y, width, height, VI_WHITE, 0.9);
    vi_draw_rect(&page->image, x, y, width, height, px(page, 1), (struct vi_rgb){204, 204, 204});
    for (int i = 0; i < spec->group_count; i++) {
        double middle = y + px(page, 6) + row * (i + 0.5);
        vi_fill_circle(&page->image, x + px(page, 19), middle, 6.5 * page->scale,
                       spec->groups[i].color, 1);
        vi_type_text(&page->image, x + px(page, 34), middle - type.size / 2, type, VI_LEFT, VI_INK,
                     spec->groups[i].label);
    }
    take(page, (struct box){x, y, x + width, y + height});
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

enum nn_status vi_plot_roofline(struct vi_image *image, struct nn_context *context,
                                const struct vi_roofline *spec)
{
    struct roof_page page = {.spec = spec};
    memset(image, 0, sizeof *image);
    enum nn_status status = check(context, spec);
    if (status) return status;
    int width = spec->width ? spec->width : DEFAULT_WIDTH;
    int height = spec->height ? spec->height : DEFAULT_HEIGHT;
    page.scale = fmin((double)width / DEFAULT_WIDTH, (double)height / DEFAULT_HEIGHT);
    status = vi_plot_page(&page.image, context, width, height, "roofline");
    page.taken = nn_alloc(context, MOST_BOXES, sizeof *page.taken);
    page.order = nn_alloc(context, (size_t)spec->point_count + 1, sizeof *page.order);
    if (!status && (!page.taken || !page.order)) status = NN_ERROR_MEMORY;
    if (!status) {
        choose_ranges(&page);
        lay_out(&page);
        sort_points(&page);
        draw_axis(&page, &page.x, false);
        draw_axis(&page, &page.y, true);
        draw_roof(&page);
        draw_frame(&page);
        draw_dots(&page);
        draw_legend(&page);
        label_ceilings(&page);
        label_slopes(&page);
        for (int i = 0; i < spec->point_count; i++)
            if (spec->points[page.order[i]].label) label_dot(&page, &spec->points[page.order[i]]);
        *image = page.image;
        memset(&page.image, 0, sizeof page.image);
    }
    nn_free(context, page.taken);
    nn_free(context, page.order);
    vi_image_free(context, &page.image);
    return status;
}
