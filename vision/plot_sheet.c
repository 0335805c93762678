/*
 * plot_sheet.c — contact sheets: many small pictures with captions, to look at what a network
 * gets and says.
 */
#include "vision/plot.h"

#include <math.h>
#include <string.h>

enum { EDGE = 16, FRAME = 3, GAP = 10, DEFAULT_CELL = 96, LEAST_CELL = 16, MOST_CELL = 2048 };

static const double title_size = 15;

/* ---- scaling into a cell -------------------------------------------------------------------- */

/* Catmull & Rom 1974 (cubic, a = -1/2): smooth, and as sharp as its pixels allow. */
static double catmull_rom(double x)
{
    x = fabs(x);
    if (x >= 2) return 0;
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
}

/* One direction: to-pixel i is the weighted sum of from-pixels [first, last]. Enlarging
 * interpolates (step <= 1); shrinking averages what the pixel covers, so that nothing flickers. */
struct taps {
    double step; /* from-pixels per to-pixel */
    double at;   /* position of to-pixel i in from */
    int first, last, size;
};

static struct taps make_taps(int i, int to, int from)
{
    struct taps taps = {.step = (double)from / to, .size = from};
    taps.at = (i + 0.5) * taps.step;
    if (taps.step <= 1) {
        taps.first = (int)floor(taps.at - 0.5) - 1;
        taps.last = taps.first + 3;
    } else {
        taps.first = (int)floor(i * taps.step);
        taps.last = (int)ceil((i + 1) * taps.step) - 1;
    }
    return taps;
}

static double tap_weight(const struct taps *taps, int j)
{
    if (taps->step <= 1) return catmull_rom(taps->at - 0.5 - j);
    double low = fmax(taps->at - taps->step / 2, j);
    double high = fmin(taps->at + taps->step / 2, j + 1);
    return fmax(high - low, 0);
}

static int inside(int j, int size)
{
    return j < 0 ? 0 : j >= size ? size - 1 : j;
}

static void scaled_pixel(uint8_t rgb[3], const struct vi_image *from, const struct taps *x,
                         const struct taps *y)
{
    double sum[3] = {0, 0, 0}, weights = 0;
    int green = from->channels >= 3 ? 1 : 0;
    for (int j = y->first; j <= y->last; j++) {
        const uint8_t *row = from->pixels + inside(j, y->size) * from->stride;
        double wy = tap_weight(y, j);
        for (int i = x->first; i <= x->last; i++) {
            const uint8_t *pixel = row + (ptrdiff_t)inside(i, x->size) * from->channels;
            double w = wy * tap_weight(x, i);
            for (int k = 0; k < 3; k++) sum[k] += w * pixel[k * green];
            weights += w;
        }
    }
    for (int k = 0; k < 3; k++) {
        double value = sum[k] / weights;
        rgb[k] = (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : value + 0.5);
    }
}

/* Into the middle of the square (x, y, cell), as large as its shape allows. */
static void draw_scaled(const struct vi_image *page, int x, int y, int cell,
                        const struct vi_image *from)
{
    double longest = from->width > from->height ? from->width : from->height;
    int width = (int)fmax(1, floor(cell * (from->width / longest) + 0.5));
    int height = (int)fmax(1, floor(cell * (from->height / longest) + 0.5));
    x += (cell - width) / 2;
    y += (cell - height) / 2;
    for (int j = 0; j < height; j++) {
        struct taps rows = make_taps(j, height, from->height);
        uint8_t *to = page->pixels + (y + j) * page->stride + (ptrdiff_t)x * 3;
        for (int i = 0; i < width; i++, to += 3) {
            struct taps columns = make_taps(i, width, from->width);
            scaled_pixel(to, from, &columns, &rows);
        }
    }
}

/* ---- the page -------------------------------------------------------------------------------- */

struct sheet {
    struct vi_image page;
    int columns, rows, cell;
    double left, top, step_x, step_y; /* of the first frame; from one to the next */
    struct vi_type caption;
    bool lines[2]; /* does any picture have a first, a second caption? */
};

static bool has_text(const char *text)
{
    return text && text[0];
}

static double caption_height(const struct sheet *sheet)
{
    double line = sheet->caption.size + 6;
    return (sheet->lines[0] ? line : 0) + (sheet->lines[1] ? line : 0);
}

static enum nn_status open_sheet(struct sheet *sheet, struct nn_context *context, const char *title,
                                 int count)
{
    double frame = sheet->cell + 2.0 * FRAME;
    sheet->caption.size = sheet->cell < 72 ? 8 : sheet->cell < 160 ? 9 : 11;
    sheet->rows = count ? (count - 1) / sheet->columns + 1 : 0;
    sheet->left = EDGE;
    sheet->top = EDGE + (has_text(title) ? title_size + 14 : 0);
    sheet->step_x = frame + GAP;
    sheet->step_y = frame + caption_height(sheet) + GAP + 2;
    double width = 2 * EDGE + sheet->columns * sheet->step_x - GAP;
    struct vi_type bold = {.size = title_size, .weight = VI_BOLD};
    width = fmax(width, fmin(vi_type_width(bold, title), 600) + 2 * EDGE);
    double height = sheet->top + sheet->rows * sheet->step_y + (count ? EDGE - GAP : 0);
    return vi_plot_page(&sheet->page, context, width, height, "contact sheet");
}

/* The frame's colour, darkened until it can be read on white (Rec. 601 luma at most 140). */
static struct vi_rgb readable(struct vi_rgb color)
{
    double luma = 0.299 * color.r + 0.587 * color.g + 0.114 * color.b;
    double scale = luma > 140 ? 140 / luma : 1;
    return (struct vi_rgb){(uint8_t)(color.r * scale), (uint8_t)(color.g * scale),
                           (uint8_t)(color.b * scale)};
}

static void draw_item(const struct sheet *sheet, const struct vi_sheet_item *item, int index)
{
    static const struct vi_rgb behind = {236, 236, 236}, second = {90, 90, 90};
    int row = index / sheet->columns, column = index % sheet->columns;
    double x = sheet->left + column * sheet->step_x, y = sheet->top + row * sheet->step_y;
    double cell = sheet->cell, frame = cell + 2 * FRAME, inner_x = x + FRAME, inner_y = y + FRAME;
    vi_fill_rect(&sheet->page, inner_x, inner_y, cell, cell, behind, 1);
    vi_draw_rect(&sheet->page, x, y, frame, frame, FRAME, item->frame);
    if (vi_drawable(&item->image)) {
        draw_scaled(&sheet->page, (int)inner_x, (int)inner_y, sheet->cell, &item->image);
    } else { /* no picture: crossed out */
        double a = inner_x + 6, b = inner_y + 6, size = cell - 12;
        vi_draw_line(&sheet->page, a, b, a + size, b + size, 2, second, 0.5);
        vi_draw_line(&sheet->page, a, b + size, a + size, b, 2, second, 0.5);
    }
    char text[VI_MAX_CAPTION];
    y += frame + 5;
    if (sheet->lines[0]) {
        struct vi_type bold = sheet->caption;
        bold.weight = VI_BOLD;
        vi_type_fit(text, bold, item->line1, frame);
        vi_type_text(&sheet->page, x, y, bold, VI_LEFT, readable(item->frame), text);
        y += sheet->caption.size + 6;
    }
    if (!sheet->lines[1]) return;
    vi_type_fit(text, sheet->caption, item->line2, frame);
    vi_type_text(&sheet->page, x, y, sheet->caption, VI_LEFT, second, text);
}

static enum nn_status check_sheet(struct nn_context *context, const struct vi_sheet_item *items,
                                  int count, int columns, int cell)
{
    if (count < 0 || (count > 0 && !items) || columns < 0) {
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "contact sheet: %d pictures in %d columns asked for", count, columns);
    }
    if (cell && (cell < LEAST_CELL || cell > MOST_CELL)) {
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "contact sheet: cells of %d pixels asked for, expected %d to %d", cell,
                       LEAST_CELL, MOST_CELL);
    }
    return NN_OK;
}

enum nn_status vi_plot_sheet(struct vi_image *image, struct nn_context *context, const char *title,
                             const struct vi_sheet_item *items, int count, int columns, int cell)
{
    memset(image, 0, sizeof *image);
    enum nn_status status = check_sheet(context, items, count, columns, cell);
    if (status) return status;
    struct sheet sheet = {.columns = columns, .cell = cell ? cell : DEFAULT_CELL};
    if (!columns) sheet.columns = (int)ceil(sqrt(count * 1.5)); /* about 3 : 2 */
    if (sheet.columns > count) sheet.columns = count;
    if (sheet.columns < 1) sheet.columns = 1;
    for (int i = 0; i < count; i++) {
        if (has_text(items[i].line1)) sheet.lines[0] = true;
        if (has_text(items[i].line2)) sheet.lines[1] = true;
    }
    status = open_sheet(&sheet, context, title, count);
    if (status) return status;
    vi_plot_title(&sheet.page, sheet.page.width / 2.0, EDGE, sheet.page.width - 2 * EDGE,
                  title_size, title);
    for (int i = 0; i < count; i++) draw_item(&sheet, &items[i], i);
    *image = sheet.page;
    return NN_OK;
}
