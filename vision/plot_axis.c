/*
 * plot_axis.c — ranges, ticks at round numbers, and their labels.
 */
#include "vision/plot.h"

#include <math.h>
#include <stdio.h>

/* Values beyond this are drawn as if they were it, so that differences stay finite. */
#define HUGE_RANGE 1e300
/* Nearer than this is the same: steps between must be normal numbers. */
#define TINY_RANGE 1e-280

/* 10^exponent; the positive power is exact to 10^22, and so the negative is rounded only once. */
static double power_of_ten(int exponent)
{
    return exponent < 0 ? 1 / pow(10, -exponent) : pow(10, exponent);
}

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

static void log_range(struct vi_axis *axis, double low, double high)
{
    if (!(low > 0) || !(high >= low)) low = 1e-3, high = 1;
    low = clamp(low, 1 / HUGE_RANGE, HUGE_RANGE);
    high = clamp(high, 1 / HUGE_RANGE, HUGE_RANGE);
    if (high < low * 1.0001) {
        low /= 3;
        high *= 3;
    }
    axis->low = low;
    axis->high = high;
}

void vi_axis_range(struct vi_axis *axis, double low, double high, double padding)
{
    if (axis->log) {
        log_range(axis, low, high);
        return;
    }
    if (!(low <= high)) low = 0, high = 1; /* no data */
    low = clamp(low, -HUGE_RANGE, HUGE_RANGE);
    high = clamp(high, -HUGE_RANGE, HUGE_RANGE);
    /* Constant, or so close that rounding would show as steps: room on both sides. */
    double size = fmax(fabs(low), fabs(high));
    if (high - low <= 1e-10 * size || high - low < TINY_RANGE) {
        double room = axis->whole ? fmax(0.5, 1e-9 * size) : size > TINY_RANGE ? 0.1 * size : 0.5;
        low -= room;
        high += room;
    } else {
        double room = (high - low) * padding;
        low -= room;
        high += room;
    }
    axis->low = low;
    axis->high = high;
}

double vi_axis_pixel(const struct vi_axis *axis, double value)
{
    double t;
    if (axis->log) {
        if (!(value > 0)) return NAN;
        double begin = log10(axis->low); /* ratios of the values might overflow */
        t = (log10(value) - begin) / (log10(axis->high) - begin);
    } else {
        t = (clamp(value, -HUGE_RANGE, HUGE_RANGE) - axis->low) / (axis->high - axis->low);
    }
    if (isnan(value)) return NAN;
    return axis->begin + (axis->end - axis->begin) * clamp(t, -1e6, 1e6);
}

/* ---- linear -------------------------------------------------------------------------------- */

struct step {
    int mantissa, exponent; /* 1, 2 or 5 times 10^exponent */
};

/* The smallest round step that is at least `least`. */
static struct step round_step(double least)
{
    static const int mantissas[] = {1, 2, 5, 10};
    struct step step = {1, (int)floor(log10(least))};
    double scaled = least / power_of_ten(step.exponent);
    for (int i = 0; i < 4; i++) {
        step.mantissa = mantissas[i];
        if (step.mantissa >= scaled * (1 - 1e-9)) break;
    }
    if (step.mantissa == 10) {
        step.mantissa = 1;
        step.exponent++;
    }
    return step;
}

/* i-th multiple; dividing by a whole power gives the double nearest to 0.3, not 3 * 0.1. */
static double multiple(struct step step, double i)
{
    double whole = i * step.mantissa;
    return step.exponent < 0 ? whole / power_of_ten(-step.exponent)
                             : whole * power_of_ten(step.exponent);
}

/* All labels of an axis have as many decimals as the step needs. Where they would be long, they
 * share a power of ten, that of the largest: 0.5e-4, 1.0e-4, 1.5e-4. */
static void label_tick(struct vi_tick *tick, struct step step, double largest)
{
    tick->power[0] = 0;
    if (tick->at == 0) {
        snprintf(tick->text, sizeof tick->text, "0");
    } else if (largest >= 1e6 || largest < 1e-3) {
        int power = (int)floor(log10(largest) + 1e-9);
        int decimals = (int)clamp(power - step.exponent, 0, 15);
        snprintf(tick->text, sizeof tick->text, "%.*fe%d", decimals,
                 tick->at * power_of_ten(-power), power);
    } else {
        int decimals = (int)clamp(-step.exponent, 0, 15);
        snprintf(tick->text, sizeof tick->text, "%.*f", decimals, tick->at);
    }
}

static void linear_minor(struct vi_axis *axis, struct step step)
{
    int parts = step.mantissa == 2 ? 4 : 5;
    double size = multiple(step, 1) / parts;
    if (axis->whole && size < 1) return;
    double first = ceil(axis->low / size - 1e-9), last = floor(axis->high / size + 1e-9);
    for (double i = first; i <= last && axis->minor_ticks < VI_MAX_MINOR; i++) {
        if (fmod(i, parts) != 0) axis->minor[axis->minor_ticks++] = i * size;
    }
}

static void linear_ticks(struct vi_axis *axis, double most)
{
    double least = axis->high / most - axis->low / most; /* the difference might overflow */
    struct step step = round_step(axis->whole && least < 1 ? 1 : least);
    double size = multiple(step, 1);
    double first = ceil(axis->low / size - 1e-9), last = floor(axis->high / size + 1e-9);
    double largest = fmax(fabs(multiple(step, first)), fabs(multiple(step, last)));
    for (double i = first; i <= last && axis->ticks < VI_MAX_TICKS; i++) {
        struct vi_tick *tick = &axis->tick[axis->ticks++];
        tick->at = multiple(step, i);
        label_tick(tick, step, largest);
    }
    linear_minor(axis, step);
}

/* ---- logarithmic: decades, with 2 ... 9 between them ----------------------------------------- */

static void log_minor(struct vi_axis *axis, int from, int to)
{
    for (int decade = from - 1; decade <= to; decade++) {
        for (int i = 2; i <= 9 && axis->minor_ticks < VI_MAX_MINOR; i++) {
            double at = i * power_of_ten(decade);
            if (at > axis->low && at < axis->high) axis->minor[axis->minor_ticks++] = at;
        }
    }
}

/* false: less than two decades begin in this range, where linear ticks say more. */
static bool log_ticks(struct vi_axis *axis, double most)
{
    int from = (int)ceil(log10(axis->low) - 1e-9), to = (int)floor(log10(axis->high) + 1e-9);
    if (to <= from) return false;
    int step = (int)ceil((to - from) / most);
    if (step < 1) step = 1;
    for (int decade = from; decade <= to && axis->ticks < VI_MAX_TICKS; decade += step) {
        struct vi_tick *tick = &axis->tick[axis->ticks++];
        tick->at = power_of_ten(decade);
        snprintf(tick->text, sizeof tick->text, "10");
        snprintf(tick->power, sizeof tick->power, "%d", decade);
    }
    if (step == 1) log_minor(axis, from, to);
    return true;
}

void vi_axis_ticks(struct vi_axis *axis, double spacing)
{
    double most = fabs(axis->end - axis->begin) / spacing;
    most = clamp(floor(most), 1, VI_MAX_TICKS - 2);
    axis->ticks = axis->minor_ticks = 0;
    if (axis->log && log_ticks(axis, most)) return;
    linear_ticks(axis, most);
}

/* ---- labels, titles, pages ------------------------------------------------------------------- */

static struct vi_type power_type(struct vi_type type)
{
    type.size = floor(type.size * 0.7 + 0.5);
    return type;
}

double vi_tick_width(const struct vi_tick *tick, struct vi_type type)
{
    double width = vi_type_width(type, tick->text);
    return tick->power[0] ? width + vi_type_width(power_type(type), tick->power) : width;
}

void vi_tick_draw(const struct vi_image *image, double x, double y, const struct vi_tick *tick,
                  struct vi_type type, struct vi_rgb color)
{
    vi_type_text(image, x, y, type, VI_LEFT, color, tick->text);
    if (!tick->power[0]) return;
    x = floor(x + 0.5) + vi_type_width(type, tick->text);
    vi_type_text(image, x, y - floor(type.size * 0.45), power_type(type), VI_LEFT, color,
                 tick->power);
}

void vi_plot_title(const struct vi_image *image, double x, double y, double width, double size,
                   const char *title)
{
    struct vi_type type = {.size = size, .weight = VI_BOLD};
    char text[VI_MAX_CAPTION];
    if (!title) return;
    while (type.size > 0.75 * size && vi_type_width(type, title) > width) type.size -= 1;
    vi_type_fit(text, type, title, width);
    vi_type_text(image, x, y + (size - type.size) / 2, type, VI_CENTER, VI_INK, text);
}

enum nn_status vi_plot_page(struct vi_image *image, struct nn_context *context, double width,
                            double height, const char *what)
{
    if (!(width <= VI_MAX_SIDE) || !(height <= VI_MAX_SIDE)) {
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "%s would be %.0f x %.0f pixels large, the limit is %d x %d", what, width,
                       height, VI_MAX_SIDE, VI_MAX_SIDE);
    }
    enum nn_status status = vi_image_new(image, context, (int)width, (int)height, 3);
    if (!status) vi_fill(image, VI_WHITE);
    return status;
}
