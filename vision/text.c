/*
 * text.c — sets text in the built-in stroke font.
 *
 * Small letters are sharp only where their stems fall on whole pixels. So each letter starts on
 * one, and within it ("hinting"): upright strokes are moved to whole pixels, level strokes too,
 * and the tops of small and of capital letters end on a pixel's edge.
 */
#include "vision/draw.h"
#include "vision/font.h"

#include <math.h>
#include <string.h>

#define REGULAR 0.125

enum { MAX_SEGMENTS = 224, MAX_CURVE_STEPS = 16 };

/* A size made ready: lengths in pixels. */
struct pen {
    double size;      /* of a capital, whole */
    double thickness; /* of the stroke */
    double unit;      /* of the grid: (size - thickness) / 40, as paths are centre lines */
    double small;     /* centre line of the small letters' top, above that of the baseline */
};

/* false for sizes at which nothing can be seen. */
static bool make_pen(struct pen *pen, struct vi_type type)
{
    if (!(type.size >= 1) || type.size > 1e6) return false;
    double weight = type.weight > 0 ? type.weight : REGULAR;
    pen->size = floor(type.size + 0.5);
    pen->thickness = pen->size * weight;
    if (pen->thickness < 1) pen->thickness = pen->size < 6 ? 0.8 : 1;
    pen->unit = (pen->size - pen->thickness) / VI_FONT_CAPITAL;
    double top = floor(VI_FONT_SMALL * pen->unit + pen->thickness + 0.5);
    pen->small = top - pen->thickness;
    return true;
}

/* Space beside the ink and advance are whole pixels; each grows with the size. Half a pixel is
 * rounded down here: at 15 pixels a space of 2 on both sides would tear words apart. */
static double bearing(const struct pen *pen, int units)
{
    return floor(units * pen->size / VI_FONT_CAPITAL + 0.45);
}

static double advance(const struct pen *pen, const struct vi_glyph *glyph)
{
    double ink = glyph->path[0] ? floor(glyph->width * pen->unit + 0.5) + pen->thickness : 0;
    double right = glyph->right * pen->size / VI_FONT_CAPITAL;
    return bearing(pen, glyph->left) + floor(ink + right + 0.5);
}

/* ---- paths -------------------------------------------------------------------------------- */

/* Skips spaces; a number goes to *value and true is returned. */
static bool read_number(const char **path, int *value)
{
    const char *p = *path;
    while (*p == ' ') p++;
    bool negative = *p == '-';
    if (negative) p++;
    *path = p;
    if (*p < '0' || *p > '9') return false;
    int number = 0;
    while (*p >= '0' && *p <= '9') number = number * 10 + (*p++ - '0');
    *value = negative ? -number : number;
    *path = p;
    return true;
}

/* The next command with its points; a command letter stays until another replaces it. */
static bool read_command(const char **path, char *command, int xy[6])
{
    int first;
    while (!read_number(path, &first)) {
        if (!**path) return false;
        *command = *(*path)++;
    }
    int count = *command == 'C' ? 6 : 2;
    xy[0] = first;
    for (int i = 1; i < count; i++) {
        if (!read_number(path, &xy[i])) return false;
    }
    return true;
}

struct outline {
    const struct pen *pen;
    uint64_t columns, rows; /* grid lines that hold straight strokes: bit (value - low) */
    int count;
    struct vi_segment segments[MAX_SEGMENTS]; /* x right, y up, from the baseline's centre line */
};

static uint64_t grid_bit(int value)
{
    return (uint64_t)1 << ((value - VI_FONT_LOW) & 63);
}

static double place_x(const struct outline *outline, int x)
{
    double at = x * outline->pen->unit;
    return (outline->columns & grid_bit(x)) ? floor(at + 0.5) : at;
}

static double place_y(const struct outline *outline, int y)
{
    const struct pen *pen = outline->pen;
    if (y == VI_FONT_CAPITAL) return pen->size - pen->thickness;
    if (y == VI_FONT_SMALL) return pen->small;
    double at = y * pen->unit;
    return (outline->rows & grid_bit(y)) ? floor(at + 0.5) : at;
}

static void add_segment(struct outline *outline, double x0, double y0, double x1, double y1)
{
    if (outline->count == MAX_SEGMENTS) return; /* a test makes sure that no letter comes here */
    outline->segments[outline->count++] =
        (struct vi_segment){x0, y0, x1, y1, outline->pen->thickness / 2};
}

static void add_curve(struct outline *outline, const double p[8])
{
    int steps = (int)(outline->pen->size / 6) + 4;
    if (steps > MAX_CURVE_STEPS) steps = MAX_CURVE_STEPS;
    double x = p[0], y = p[1];
    for (int i = 1; i <= steps; i++) {
        double t = (double)i / steps, u = 1 - t;
        double a = u * u * u, b = 3 * u * u * t, c = 3 * u * t * t, d = t * t * t;
        double nx = a * p[0] + b * p[2] + c * p[4] + d * p[6];
        double ny = a * p[1] + b * p[3] + c * p[5] + d * p[7];
        add_segment(outline, x, y, nx, ny);
        x = nx;
        y = ny;
    }
}

/* H and V as Bezier curves. A circle's quarter has its controls at 0.5523 of the way to the
 * corner (4/3 (sqrt 2 - 1)); a little more makes rounder-shouldered, better filled letters. */
static void add_quarter(struct outline *outline, bool horizontal, const double from[2],
                        const double to[2])
{
    const double k = 0.58;
    double dx = (to[0] - from[0]) * k, dy = (to[1] - from[1]) * k;
    double p[8] = {from[0], from[1], from[0], from[1], to[0], to[1], to[0], to[1]};
    p[horizontal ? 2 : 3] += horizontal ? dx : dy;
    p[horizontal ? 5 : 4] -= horizontal ? dy : dx;
    add_curve(outline, p);
}

/* Where does the letter have straight upright and level strokes, and where does it end? */
static void find_stems(struct outline *outline, const struct vi_glyph *glyph)
{
    const char *path = glyph->path;
    char command = 0;
    int xy[6], last[2] = {0, 0};
    outline->columns = grid_bit(0) | grid_bit(glyph->width);
    outline->rows = grid_bit(0);
    while (read_command(&path, &command, xy)) {
        if (command == 'L' && xy[0] == last[0]) outline->columns |= grid_bit(xy[0]);
        if (command == 'L' && xy[1] == last[1]) outline->rows |= grid_bit(xy[1]);
        int end = command == 'C' ? 4 : 0;
        last[0] = xy[end];
        last[1] = xy[end + 1];
    }
}

static void make_outline(struct outline *outline, const struct pen *pen,
                         const struct vi_glyph *glyph)
{
    const char *path = glyph->path;
    char command = 0;
    int xy[6];
    outline->pen = pen;
    outline->count = 0;
    find_stems(outline, glyph);
    double at[2] = {0, 0};
    while (read_command(&path, &command, xy)) {
        double p[8] = {at[0], at[1]};
        int numbers = command == 'C' ? 6 : 2;
        for (int i = 0; i < numbers; i += 2) {
            p[2 + i] = place_x(outline, xy[i]);
            p[3 + i] = place_y(outline, xy[i + 1]);
        }
        if (command == 'C') add_curve(outline, p);
        if (command == 'L') add_segment(outline, p[0], p[1], p[2], p[3]);
        if (command == 'H' || command == 'V') add_quarter(outline, command == 'H', p, p + 2);
        if (command == 'D') {
            add_segment(outline, p[2], p[3], p[2], p[3]);
            if (outline->count) outline->segments[outline->count - 1].radius *= 1.3;
        }
        at[0] = p[numbers];
        at[1] = p[numbers + 1];
    }
}

/* ---- drawing ------------------------------------------------------------------------------- */

/* Whole numbers of pixels from 0 to size that contain [low, high]. */
static int clip_low(double low, int size)
{
    return low <= 0 ? 0 : low >= size ? size : (int)low;
}

static int clip_high(double high, int size)
{
    return high <= 0 ? 0 : high >= size ? size : (int)ceil(high);
}

/* The strokes that can touch a row of pixels whose centres are at `y`. */
static int find_near(const struct vi_segment *near[MAX_SEGMENTS], const struct outline *outline,
                     double y)
{
    int count = 0;
    for (int i = 0; i < outline->count; i++) {
        const struct vi_segment *s = &outline->segments[i];
        double reach = s->radius + 0.5;
        if (fmin(s->y0, s->y1) - reach < y && fmax(s->y0, s->y1) + reach > y) near[count++] = s;
    }
    return count;
}

/* Each pixel takes the most that any stroke covers, so strokes that meet do not darken. */
static void draw_outline(const struct vi_image *image, const struct outline *outline,
                         struct vi_rgb color)
{
    double left = INFINITY, right = -INFINITY, top = INFINITY, bottom = -INFINITY;
    for (int i = 0; i < outline->count; i++) {
        const struct vi_segment *s = &outline->segments[i];
        double reach = s->radius + 0.5;
        left = fmin(left, fmin(s->x0, s->x1) - reach);
        right = fmax(right, fmax(s->x0, s->x1) + reach);
        top = fmin(top, fmin(s->y0, s->y1) - reach);
        bottom = fmax(bottom, fmax(s->y0, s->y1) + reach);
    }
    int x_end = clip_high(right, image->width), y_end = clip_high(bottom, image->height);
    for (int y = clip_low(top, image->height); y < y_end; y++) {
        const struct vi_segment *near[MAX_SEGMENTS];
        int count = find_near(near, outline, y + 0.5);
        for (int x = clip_low(left, image->width); x < x_end; x++) {
            double coverage = 0;
            for (int i = 0; i < count && coverage < 1; i++) {
                double one = vi_segment_coverage(near[i], x + 0.5, y + 0.5);
                if (one > coverage) coverage = one;
            }
            if (coverage > 0) vi_blend(image, x, y, color, coverage);
        }
    }
}

/* From "right and up of the baseline" to the image; `grow` widens the pen (outlines). */
static void place_outline(struct outline *outline, double x, double y, bool up, double grow)
{
    double rise = outline->pen->thickness / 2; /* ink begins half a pen below the centre line */
    for (int i = 0; i < outline->count; i++) {
        struct vi_segment *s = &outline->segments[i], from = *s;
        from.x0 += rise, from.x1 += rise, from.y0 += rise, from.y1 += rise;
        s->x0 = up ? x - from.y0 : x + from.x0;
        s->y0 = up ? y - from.x0 : y - from.y0;
        s->x1 = up ? x - from.y1 : x + from.x1;
        s->y1 = up ? y - from.x1 : y - from.y1;
        s->radius += grow;
    }
}

static double pen_width(const struct pen *pen, const char *text)
{
    double width = 0;
    for (; *text; text++) width += advance(pen, vi_font_glyph((unsigned char)*text));
    return width;
}

static void set_text(const struct vi_image *image, double x, double y, struct vi_type type,
                     enum vi_align align, struct vi_rgb color, double grow, const char *text)
{
    struct pen pen;
    struct outline outline;
    if (!vi_drawable(image) || !text || !make_pen(&pen, type)) return;
    if (!isfinite(x) || !isfinite(y) || fabs(x) > 1e8 || fabs(y) > 1e8) return;
    double shift = align == VI_LEFT ? 0 : pen_width(&pen, text) / (align == VI_CENTER ? 2 : 1);
    double start = type.up ? -floor(y + shift + 0.5) : floor(x - shift + 0.5);
    double base = floor((type.up ? x : y) + pen.size + 0.5);
    /* Along the writing, the image is [low, high]; letters that end before it or start after it
     * are not made. */
    double low = type.up ? -image->height : 0, high = type.up ? 0 : image->width;
    for (; *text && start - pen.size - grow < high; text++) {
        const struct vi_glyph *glyph = vi_font_glyph((unsigned char)*text);
        double step = advance(&pen, glyph);
        if (start + step + pen.size + grow > low && glyph->path[0]) {
            double ink = start + bearing(&pen, glyph->left);
            make_outline(&outline, &pen, glyph);
            place_outline(&outline, type.up ? base : ink, type.up ? -ink : base, type.up, grow);
            draw_outline(image, &outline, color);
        }
        start += step;
    }
}

void vi_type_text(const struct vi_image *image, double x, double y, struct vi_type type,
                  enum vi_align align, struct vi_rgb color, const char *text)
{
    set_text(image, x, y, type, align, color, 0, text);
}

double vi_type_width(struct vi_type type, const char *text)
{
    struct pen pen;
    return text && make_pen(&pen, type) ? pen_width(&pen, text) : 0;
}

void vi_type_fit(char out[VI_MAX_CAPTION], struct vi_type type, const char *text, double width)
{
    size_t length = text ? strlen(text) : 0, kept = length;
    if (kept > VI_MAX_CAPTION - 4) kept = VI_MAX_CAPTION - 4;
    if (kept) memcpy(out, text, kept);
    out[kept] = 0;
    bool cut = kept < length;
    while (kept > 0) {
        if (cut) memcpy(out + kept, "...", 4);
        if (vi_type_width(type, out) <= width) return;
        cut = true;
        kept--;
        while (kept > 0 && (out[kept - 1] == ' ' || out[kept - 1] == '.')) kept--;
    }
    out[0] = 0;
}

void vi_draw_text(const struct vi_image *image, double x, double y, double size,
                  enum vi_align align, struct vi_rgb color, const char *text)
{
    vi_type_text(image, x, y, (struct vi_type){.size = size}, align, color, text);
}

void vi_draw_text_up(const struct vi_image *image, double x, double y, double size,
                     enum vi_align align, struct vi_rgb color, const char *text)
{
    vi_type_text(image, x, y, (struct vi_type){.size = size, .up = true}, align, color, text);
}

void vi_draw_text_outline(const struct vi_image *image, double x, double y, double size,
                          enum vi_align align, struct vi_rgb color, struct vi_rgb outline,
                          const char *text)
{
    struct vi_type type = {.size = size};
    double grow = size > 0 && size < 1e6 ? 0.5 + size / 12 : 0;
    set_text(image, x, y, type, align, outline, grow, text);
    set_text(image, x, y, type, align, color, 0, text);
}

double vi_text_width(double size, const char *text)
{
    return vi_type_width((struct vi_type){.size = size}, text);
}
