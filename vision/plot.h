/*
 * plot.h — what the plotting files share: axes, and the look of a page.
 */
#ifndef VISION_PLOT_H
#define VISION_PLOT_H

#include "vision/draw.h"
#include "vision/font.h"

#define VI_WHITE                                                                                   \
    (struct vi_rgb)                                                                                \
    {                                                                                              \
        255, 255, 255                                                                              \
    }
#define VI_INK                                                                                     \
    (struct vi_rgb)                                                                                \
    {                                                                                              \
        38, 38, 38                                                                                 \
    }

enum { VI_MAX_TICKS = 24, VI_MAX_MINOR = 240, VI_MAX_SIDE = 16384 };

/* One direction of a chart: values [low, high] are drawn at pixels [begin, end]; the y axis runs
 * upward, begin > end. */
struct vi_axis {
    double low, high;
    bool log;   /* equal ratios are equally long */
    bool whole; /* only whole numbers get ticks (epochs) */
    double begin, end;
    int ticks, minor_ticks;
    struct vi_tick {
        double at;
        char text[32];
        char power[8]; /* "": text is all; else this goes above and behind it: 10 and -3 */
    } tick[VI_MAX_TICKS];
    double minor[VI_MAX_MINOR];
};

/* Makes low < high with both finite (and positive, for log), whatever came in. `padding` is the
 * share of the range added at both ends. */
void vi_axis_range(struct vi_axis *axis, double low, double high, double padding);
/* Ticks at round numbers (1, 2, 5 times a power of ten), at least `spacing` pixels apart. */
void vi_axis_ticks(struct vi_axis *axis, double spacing);
/* Always finite, though perhaps far outside [begin, end]; NaN for what has no place (log of 0). */
double vi_axis_pixel(const struct vi_axis *axis, double value);

double vi_tick_width(const struct vi_tick *tick, struct vi_type type);
/* Top left corner of the text at (x, y). */
void vi_tick_draw(const struct vi_image *image, double x, double y, const struct vi_tick *tick,
                  struct vi_type type, struct vi_rgb color);

/* Title in bold, centred on x, made smaller and then cut to fit into `width`. NULL: nothing. */
void vi_plot_title(const struct vi_image *image, double x, double y, double width, double size,
                   const char *title);

/* A white RGB page; an error where it would be larger than VI_MAX_SIDE. */
enum nn_status vi_plot_page(struct vi_image *image, struct nn_context *context, double width,
                            double height, const char *what);

#endif
