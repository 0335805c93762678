/*
 * draw.c — antialiased shapes on 8-bit images.
 *
 * Everything comes down to "which share of this pixel is covered": rectangles by exact area,
 * strokes by the distance to their centre line, circles and polygons by 32 samples per pixel.
 * Coordinates are continuous: pixel (i, j) is the square [i, i+1) x [j, j+1). Shapes may lie
 * anywhere; what is not a number draws nothing, what is far away is pulled to +-FAR, where
 * arithmetic is still exact enough and sums cannot overflow.
 */
#include "vision/draw.h"

#include <math.h>
#include <string.h>

#define FAR 1e8

static double limit(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/* Also turns NaN into 0. */
static double opaque(double opacity)
{
    return opacity > 0 ? (opacity < 1 ? opacity : 1) : 0;
}

/* A pixel index from a coordinate, clipped to [0, size]. */
static int pixel_index(double value, int size)
{
    return value <= 0 ? 0 : value >= size ? size : (int)value;
}

bool vi_drawable(const struct vi_image *image)
{
    return image && image->pixels && image->width > 0 && image->height > 0 &&
           image->channels >= 1 && image->channels <= 4;
}

static uint8_t mix(uint8_t from, uint8_t to, double alpha)
{
    return (uint8_t)(from + (to - from) * alpha + 0.5);
}

/* Rec. 601 luma, for drawing on grey images. */
static uint8_t luma(struct vi_rgb color)
{
    return (uint8_t)(0.299 * color.r + 0.587 * color.g + 0.114 * color.b + 0.5);
}

void vi_blend(const struct vi_image *image, int x, int y, struct vi_rgb color, double alpha)
{
    uint8_t *pixel = image->pixels + y * image->stride + (ptrdiff_t)x * image->channels;
    if (image->channels < 3) {
        pixel[0] = mix(pixel[0], luma(color), alpha);
    } else {
        pixel[0] = mix(pixel[0], color.r, alpha);
        pixel[1] = mix(pixel[1], color.g, alpha);
        pixel[2] = mix(pixel[2], color.b, alpha);
    }
    if (image->channels == 2 || image->channels == 4) {
        uint8_t *a = pixel + image->channels - 1;
        *a = mix(*a, 255, alpha);
    }
}

void vi_fill(const struct vi_image *image, struct vi_rgb color)
{
    if (!vi_drawable(image)) return;
    for (int x = 0; x < image->width; x++) vi_blend(image, x, 0, color, 1);
    size_t bytes = (size_t)image->width * (size_t)image->channels;
    for (int y = 1; y < image->height; y++) {
        memcpy(image->pixels + y * image->stride, image->pixels, bytes);
    }
}

/* ---- rectangles: coverage is the product of the overlaps along x and y ------------------- */

static double overlap(double low, double high, int pixel)
{
    double from = low > pixel ? low : pixel, to = high < pixel + 1 ? high : pixel + 1;
    return to > from ? to - from : 0;
}

void vi_fill_rect(const struct vi_image *image, double x, double y, double width, double height,
                  struct vi_rgb color, double opacity)
{
    if (!vi_drawable(image) || !(width > 0) || !(height > 0) || isnan(x) || isnan(y)) return;
    double right = limit(x + width, -FAR, FAR), bottom = limit(y + height, -FAR, FAR);
    if (isnan(right) || isnan(bottom)) return; /* -inf + inf */
    x = limit(x, -FAR, FAR);
    y = limit(y, -FAR, FAR);
    opacity = opaque(opacity);
    int first_x = pixel_index(x, image->width), last_x = pixel_index(ceil(right), image->width);
    int first_y = pixel_index(y, image->height), last_y = pixel_index(ceil(bottom), image->height);
    for (int j = first_y; j < last_y; j++) {
        double part = overlap(y, bottom, j) * opacity;
        for (int i = first_x; i < last_x; i++) {
            vi_blend(image, i, j, color, part * overlap(x, right, i));
        }
    }
}

/* The frame lies inside the rectangle, so that whole coordinates give crisp edges. */
void vi_draw_rect(const struct vi_image *image, double x, double y, double width, double height,
                  double thickness, struct vi_rgb color)
{
    if (!(thickness > 0) || !(width > 0) || !(height > 0)) return;
    if (2 * thickness >= width || 2 * thickness >= height) {
        vi_fill_rect(image, x, y, width, height, color, 1);
        return;
    }
    double inner = height - 2 * thickness;
    vi_fill_rect(image, x, y, width, thickness, color, 1);
    vi_fill_rect(image, x, y + height - thickness, width, thickness, color, 1);
    vi_fill_rect(image, x, y + thickness, thickness, inner, color, 1);
    vi_fill_rect(image, x + width - thickness, y + thickness, thickness, inner, color, 1);
}

/* ---- strokes ------------------------------------------------------------------------------ */

/* With d the distance of the pixel's centre to the centre line, the stroke covers [-r, r] and the
 * pixel, seen as one unit long across the stroke, [d - 1/2, d + 1/2]: coverage is their overlap.
 * Exact for upright strokes of any width, thinner than a pixel too. */
double vi_segment_coverage(const struct vi_segment *segment, double x, double y)
{
    double dx = segment->x1 - segment->x0, dy = segment->y1 - segment->y0;
    double px = x - segment->x0, py = y - segment->y0;
    double length2 = dx * dx + dy * dy;
    double t = length2 > 0 ? limit((px * dx + py * dy) / length2, 0, 1) : 0;
    double ex = px - t * dx, ey = py - t * dy, r = segment->radius;
    double reach = r + 0.5, d2 = ex * ex + ey * ey;
    if (d2 >= reach * reach) return 0;
    double d = sqrt(d2);
    double low = d - 0.5 > -r ? d - 0.5 : -r, high = d + 0.5 < r ? d + 0.5 : r;
    return high > low ? high - low : 0;
}

/* Which pixels of row y the stroke can touch: [*first, *last). The nearest point of the centre
 * line is within `reach` both ways, so only the piece of it near the row counts. */
static void segment_row(const struct vi_segment *s, int y, int width, int *first, int *last)
{
    double reach = s->radius + 1, centre = y + 0.5, dy = s->y1 - s->y0;
    double t0 = 0, t1 = 1;
    if (dy != 0) {
        double a = (centre - reach - s->y0) / dy, b = (centre + reach - s->y0) / dy;
        t0 = limit(a < b ? a : b, 0, 1);
        t1 = limit(a < b ? b : a, 0, 1);
    }
    double a = s->x0 + (s->x1 - s->x0) * t0, b = s->x0 + (s->x1 - s->x0) * t1;
    *first = pixel_index((a < b ? a : b) - reach, width);
    *last = pixel_index((a < b ? b : a) + reach + 1, width);
}

static void segment_rows(const struct vi_segment *s, int height, int *first, int *last)
{
    double reach = s->radius + 1;
    *first = pixel_index((s->y0 < s->y1 ? s->y0 : s->y1) - reach, height);
    *last = pixel_index((s->y0 < s->y1 ? s->y1 : s->y0) + reach + 1, height);
}

/* false: nothing to draw. */
static bool make_segment(struct vi_segment *segment, double x0, double y0, double x1, double y1)
{
    if (isnan(x0) || isnan(y0) || isnan(x1) || isnan(y1) || !(segment->radius > 0)) return false;
    segment->x0 = limit(x0, -FAR, FAR);
    segment->y0 = limit(y0, -FAR, FAR);
    segment->x1 = limit(x1, -FAR, FAR);
    segment->y1 = limit(y1, -FAR, FAR);
    segment->radius = limit(segment->radius, 0, FAR);
    return true;
}

void vi_draw_line(const struct vi_image *image, double x0, double y0, double x1, double y1,
                  double thickness, struct vi_rgb color, double opacity)
{
    struct vi_segment segment = {.radius = thickness / 2};
    if (!vi_drawable(image) || !make_segment(&segment, x0, y0, x1, y1)) return;
    opacity = opaque(opacity);
    int top, bottom, first, last;
    segment_rows(&segment, image->height, &top, &bottom);
    for (int y = top; y < bottom; y++) {
        segment_row(&segment, y, image->width, &first, &last);
        for (int x = first; x < last; x++) {
            double coverage = vi_segment_coverage(&segment, x + 0.5, y + 0.5);
            if (coverage > 0) vi_blend(image, x, y, color, coverage * opacity);
        }
    }
}

void vi_mask_segment(uint8_t *mask, int width, int height, const struct vi_segment *segment)
{
    struct vi_segment s = *segment;
    if (!make_segment(&s, s.x0, s.y0, s.x1, s.y1)) return;
    int top, bottom, first, last;
    segment_rows(&s, height, &top, &bottom);
    for (int y = top; y < bottom; y++) {
        uint8_t *row = mask + (size_t)y * (size_t)width;
        segment_row(&s, y, width, &first, &last);
        for (int x = first; x < last; x++) {
            uint8_t value = (uint8_t)(vi_segment_coverage(&s, x + 0.5, y + 0.5) * 255 + 0.5);
            if (value > row[x]) row[x] = value;
        }
    }
}

void vi_blend_mask(const struct vi_image *image, const uint8_t *mask, struct vi_rgb color,
                   double opacity)
{
    for (int y = 0; y < image->height; y++) {
        const uint8_t *row = mask + (size_t)y * (size_t)image->width;
        for (int x = 0; x < image->width; x++) {
            if (row[x]) vi_blend(image, x, y, color, row[x] / 255.0 * opacity);
        }
    }
}

/* ---- circles and polygons: edge flags ------------------------------------------------------ */

/* Each pixel has 32 samples, one per sub-row, no two in the same sub-column ("n rooks"). Where the
 * outline crosses a sub-row, the flag of the first sample to its right is toggled; a running xor
 * from left to right then tells inside from outside by the even-odd rule, with no sorting and no
 * memory beyond one tile of a row. Kallio, "Scanline edge-flag algorithm for antialiasing",
 * Theory and Practice of Computer Graphics 2007. */
enum { SAMPLES = 32, TILE = 256 };

struct flags {
    int begin, count; /* pixels [begin, begin + count) of the row */
    uint32_t bits[TILE];
};

static void toggle(struct flags *flags, double x, int sub_row)
{
    double sample = ((sub_row * 13 + 7) % SAMPLES + 0.5) / SAMPLES; /* 13 is odd: a permutation */
    double index = ceil(x - sample) - flags->begin;
    if (index >= flags->count) return;
    flags->bits[index > 0 ? (int)index : 0] ^= (uint32_t)1 << sub_row;
}

static int count_bits(uint32_t bits)
{
    int count = 0;
    for (; bits; bits &= bits - 1) count++;
    return count;
}

static void blend_flags(const struct vi_image *image, int y, struct flags *flags,
                        struct vi_rgb color, double opacity)
{
    uint32_t inside = 0;
    for (int i = 0; i < flags->count; i++) {
        inside ^= flags->bits[i];
        flags->bits[i] = 0;
        if (!inside) continue;
        double coverage = count_bits(inside) / (double)SAMPLES;
        vi_blend(image, flags->begin + i, y, color, coverage * opacity);
    }
}

void vi_fill_circle(const struct vi_image *image, double x, double y, double radius,
                    struct vi_rgb color, double opacity)
{
    if (!vi_drawable(image) || isnan(x) || isnan(y) || !(radius > 0)) return;
    x = limit(x, -FAR, FAR);
    y = limit(y, -FAR, FAR);
    radius = limit(radius, 0, FAR);
    opacity = opaque(opacity);
    int left = pixel_index(x - radius, image->width);
    int right = pixel_index(x + radius + 1, image->width);
    int top = pixel_index(y - radius, image->height);
    int bottom = pixel_index(y + radius + 1, image->height);
    struct flags flags = {0};
    for (int row = top; row < bottom; row++) {
        for (int tile = left; tile < right; tile += TILE) {
            flags.begin = tile;
            flags.count = right - tile < TILE ? right - tile : TILE;
            for (int s = 0; s < SAMPLES; s++) {
                double dy = row + (s + 0.5) / SAMPLES - y;
                double half2 = radius * radius - dy * dy;
                if (half2 <= 0) continue;
                toggle(&flags, x - sqrt(half2), s);
                toggle(&flags, x + sqrt(half2), s);
            }
            blend_flags(image, row, &flags, color, opacity);
        }
    }
}

/* Toggles where the edge from (x0, y0) to (x1, y1) crosses the sub-rows of `row`. */
static void toggle_edge(struct flags *flags, int row, const double from[2], const double to[2])
{
    double x0 = limit(from[0], -FAR, FAR), y0 = limit(from[1], -FAR, FAR);
    double x1 = limit(to[0], -FAR, FAR), y1 = limit(to[1], -FAR, FAR);
    if ((y0 < row && y1 < row) || (y0 > row + 1 && y1 > row + 1)) return;
    for (int s = 0; s < SAMPLES; s++) {
        double y = row + (s + 0.5) / SAMPLES;
        if ((y0 <= y) != (y1 <= y)) toggle(flags, x0 + (x1 - x0) * ((y - y0) / (y1 - y0)), s);
    }
}

void vi_fill_polygon(const struct vi_image *image, const double *xy, int count, struct vi_rgb color,
                     double opacity)
{
    if (!vi_drawable(image) || !xy || count < 3) return;
    double low[2] = {FAR, FAR}, high[2] = {-FAR, -FAR};
    for (size_t i = 0; i < 2 * (size_t)count; i++) {
        if (isnan(xy[i])) return;
        if (xy[i] < low[i % 2]) low[i % 2] = xy[i];
        if (xy[i] > high[i % 2]) high[i % 2] = xy[i];
    }
    opacity = opaque(opacity);
    int left = pixel_index(low[0], image->width);
    int right = pixel_index(high[0] + 1, image->width);
    int top = pixel_index(low[1], image->height);
    int bottom = pixel_index(high[1] + 1, image->height);
    struct flags flags = {0};
    for (int row = top; row < bottom; row++) {
        for (int tile = left; tile < right; tile += TILE) {
            flags.begin = tile;
            flags.count = right - tile < TILE ? right - tile : TILE;
            for (int i = 0; i < count; i++) {
                const double *from = xy + 2 * (size_t)i;
                toggle_edge(&flags, row, from, i + 1 < count ? from + 2 : xy);
            }
            blend_flags(image, row, &flags, color, opacity);
        }
    }
}
