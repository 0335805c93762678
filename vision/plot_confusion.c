/*
 * plot_confusion.c — a confusion matrix: rows are the true classes, columns what was said.
 */
#include "vision/plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CLASSES = 200, EDGE = 16, BAR = 14, BAR_TEXT = 44 };

static const double title_size = 15, label_size = 11, axis_size = 12;

struct matrix {
    struct vi_image image;
    const char *const *labels;
    const int64_t *counts;
    int classes;
    double cell, left, top; /* of the cells */
    bool upright;           /* the predicted classes' names do not fit under their columns */
};

/* White to dark blue. Lightness falls evenly, so that the shares can be compared in print too. */
static struct vi_rgb shade(double share)
{
    static const double stops[5][3] = {
        {247, 250, 254}, {200, 219, 238}, {126, 175, 213}, {52, 116, 178}, {10, 52, 105}};
    double at = share * 4;
    int i = at >= 3 ? 3 : (int)at;
    double t = at - i, mixed[3];
    for (int k = 0; k < 3; k++) mixed[k] = stops[i][k] + (stops[i + 1][k] - stops[i][k]) * t + 0.5;
    return (struct vi_rgb){(uint8_t)mixed[0], (uint8_t)mixed[1], (uint8_t)mixed[2]};
}

/* A class without a name is called by its number. */
static const char *label_text(char out[VI_MAX_CAPTION], const struct matrix *matrix, int index,
                              double width)
{
    char number[24];
    const char *label = matrix->labels ? matrix->labels[index] : NULL;
    snprintf(number, sizeof number, "%d", index);
    vi_type_fit(out, (struct vi_type){.size = label_size}, label ? label : number, width);
    return out;
}

static double widest_label(const struct matrix *matrix, double most)
{
    char text[VI_MAX_CAPTION];
    double widest = 0;
    for (int i = 0; i < matrix->classes; i++) {
        widest = fmax(widest, vi_text_width(label_size, label_text(text, matrix, i, most)));
    }
    return widest;
}

static enum nn_status open_matrix(struct matrix *matrix, struct nn_context *context,
                                  const char *title)
{
    const double most = 180; /* pixels of a class name */
    double size = 520.0 / matrix->classes;
    matrix->cell = floor(size > 116 ? 116 : size < 26 ? 26 : size);
    if (matrix->classes == 2) matrix->cell = 132;
    double widest = widest_label(matrix, most), cells = matrix->cell * matrix->classes;
    matrix->upright = widest > matrix->cell - 8;
    matrix->left = EDGE + axis_size + 12 + widest + 12;
    matrix->top = EDGE + (title ? title_size + 16 : 0);
    double under = 10 + (matrix->upright ? widest : label_size) + 14 + axis_size + EDGE + 2;
    return vi_plot_page(&matrix->image, context, matrix->left + cells + 22 + BAR + BAR_TEXT + EDGE,
                        matrix->top + cells + under, "confusion matrix");
}

static void draw_cell(const struct matrix *matrix, int row, int column, double total)
{
    int64_t count = matrix->counts[row * matrix->classes + column];
    double share = total > 0 ? (double)count / total : 0, cell = matrix->cell;
    double x = matrix->left + column * cell, y = matrix->top + row * cell;
    vi_fill_rect(&matrix->image, x, y, cell, cell, shade(share), 1);
    char text[32], percent[16];
    snprintf(text, sizeof text, "%" PRId64, count);
    snprintf(percent, sizeof percent, "%.1f %%", 100 * share);
    struct vi_rgb color = share > 0.45 ? VI_WHITE : VI_INK;
    struct vi_type large = {.size = floor(cell / 7 + 0.5), .weight = VI_BOLD};
    if (large.size < 9) large.size = 9;
    if (large.size > 16) large.size = 16;
    while (large.size > 6 && vi_type_width(large, text) > cell - 6) large.size -= 1;
    if (vi_type_width(large, text) > cell - 2) return; /* the shade has to do */
    struct vi_type small = {.size = fmax(8, floor(large.size * 0.7 + 0.5))};
    double x_middle = x + cell / 2, y_middle = y + cell / 2;
    if (cell < 52 || total <= 0) {
        vi_type_text(&matrix->image, x_middle, y_middle - large.size / 2, large, VI_CENTER, color,
                     text);
        return;
    }
    double gap = floor(large.size * 0.6), height = large.size + gap + small.size;
    double begin = floor(y_middle - height / 2);
    vi_type_text(&matrix->image, x_middle, begin, large, VI_CENTER, color, text);
    vi_type_text(&matrix->image, x_middle, begin + large.size + gap, small, VI_CENTER, color,
                 percent);
}

static void draw_cells(const struct matrix *matrix)
{
    double cells = matrix->cell * matrix->classes;
    for (int row = 0; row < matrix->classes; row++) {
        double total = 0;
        for (int i = 0; i < matrix->classes; i++) {
            total += (double)matrix->counts[row * matrix->classes + i];
        }
        for (int column = 0; column < matrix->classes; column++) {
            draw_cell(matrix, row, column, total);
        }
    }
    for (int i = 1; i < matrix->classes; i++) { /* white joints between the cells */
        double at = matrix->cell * i - 1;
        vi_fill_rect(&matrix->image, matrix->left + at, matrix->top, 2, cells, VI_WHITE, 1);
        vi_fill_rect(&matrix->image, matrix->left, matrix->top + at, cells, 2, VI_WHITE, 1);
    }
    vi_draw_rect(&matrix->image, matrix->left - 1, matrix->top - 1, cells + 2, cells + 2, 1,
                 (struct vi_rgb){150, 150, 150});
}

static void draw_names(const struct matrix *matrix)
{
    char text[VI_MAX_CAPTION];
    double bottom = matrix->top + matrix->cell * matrix->classes;
    for (int i = 0; i < matrix->classes; i++) {
        double middle = (i + 0.5) * matrix->cell;
        label_text(text, matrix, i, 180);
        vi_draw_text(&matrix->image, matrix->left - 12, matrix->top + middle - label_size / 2,
                     label_size, VI_RIGHT, VI_INK, text);
        if (matrix->upright) {
            vi_draw_text_up(&matrix->image, matrix->left + middle - label_size / 2, bottom + 10,
                            label_size, VI_RIGHT, VI_INK, text);
        } else {
            vi_draw_text(&matrix->image, matrix->left + middle, bottom + 10, label_size, VI_CENTER,
                         VI_INK, text);
        }
    }
    double middle = matrix->cell * matrix->classes / 2;
    vi_draw_text(&matrix->image, matrix->left + middle, matrix->image.height - EDGE - axis_size - 2,
                 axis_size, VI_CENTER, VI_INK, "predicted class");
    vi_draw_text_up(&matrix->image, EDGE, matrix->top + middle, axis_size, VI_CENTER, VI_INK,
                    "true class");
}

/* What the shades mean: 0 to 100 % of the row. */
static void draw_bar(const struct matrix *matrix)
{
    double height = matrix->cell * matrix->classes;
    double x = matrix->left + height + 22, y = matrix->top;
    for (int i = 0; i < (int)height; i++) {
        vi_fill_rect(&matrix->image, x, y + i, BAR, 1, shade(1 - (i + 0.5) / height), 1);
    }
    vi_draw_rect(&matrix->image, x - 1, y - 1, BAR + 2, height + 2, 1,
                 (struct vi_rgb){150, 150, 150});
    int marks = height < 120 ? 2 : 4;
    for (int i = 0; i <= marks; i++) {
        char text[16];
        double at = y + floor((height - 1) * (1 - (double)i / marks));
        snprintf(text, sizeof text, "%d %%", 100 * i / marks);
        vi_fill_rect(&matrix->image, x + BAR + 1, at, 4, 1, (struct vi_rgb){150, 150, 150}, 1);
        vi_draw_text(&matrix->image, x + BAR + 9, at - 4, 9, VI_LEFT, VI_INK, text);
    }
}

enum nn_status vi_plot_confusion(struct vi_image *image, struct nn_context *context,
                                 const char *title, const char *const *labels, int classes,
                                 const int64_t *counts)
{
    memset(image, 0, sizeof *image);
    if (classes < 1 || classes > MAX_CLASSES || !counts) {
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "confusion matrix: expected counts of 1 to %d classes, got %d", MAX_CLASSES,
                       counts ? classes : 0);
    }
    for (int i = 0; i < classes * classes; i++) {
        if (counts[i] >= 0) continue;
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "confusion matrix: count of true class %d, predicted class %d is %" PRId64
                       ", expected 0 or more",
                       i / classes, i % classes, counts[i]);
    }
    struct matrix matrix = {.labels = labels, .counts = counts, .classes = classes};
    enum nn_status status = open_matrix(&matrix, context, title);
    if (status) return status;
    double middle = matrix.left + matrix.cell * classes / 2;
    double room = 2 * fmin(middle, matrix.image.width - middle) - EDGE;
    struct vi_type bold = {.size = title_size, .weight = VI_BOLD};
    if (title && vi_type_width(bold, title) > room) { /* over the page, not just over the cells */
        middle = matrix.image.width / 2.0;
        room = matrix.image.width - 2 * EDGE;
    }
    vi_plot_title(&matrix.image, middle, EDGE, room, title_size, title);
    draw_cells(&matrix);
    draw_names(&matrix);
    draw_bar(&matrix);
    *image = matrix.image;
    return NN_OK;
}
