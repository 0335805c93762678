/* Plotting: ticks, odd data, determinism, limits, and every failed allocation. */
#include "tests/test.h"
#include "vision/plot.h"

/* ---- an allocator that counts, and fails the n-th request ---------------------------------- */

struct memory {
    int calls, fail_at; /* 0: never */
    size_t held;
};

static void *take(void *user, size_t bytes)
{
    struct memory *memory = user;
    void *block = NULL;
    if (++memory->calls == memory->fail_at) return NULL;
    if (posix_memalign(&block, 64, bytes ? bytes : 1)) return NULL;
    memory->held += bytes;
    return block;
}

static void give(void *user, void *block, size_t bytes)
{
    struct memory *memory = user;
    memory->held -= bytes;
    free(block);
}

static struct nn_context *open_context(struct memory *memory)
{
    struct nn_allocator allocator = {take, give, memory};
    struct nn_context *context = NULL;
    struct nn_options options = {.threads = 1, .allocator = &allocator};
    if (nn_open(&context, &options)) {
        printf("Bail out! no context\n");
        exit(1);
    }
    return context;
}

static uint64_t hash(const struct vi_image *image)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (int y = 0; y < image->height; y++) {
        const uint8_t *row = image->pixels + y * image->stride;
        for (int i = 0; i < image->width * image->channels; i++) h = (h ^ row[i]) * 1099511628211u;
    }
    return h;
}

static int count_color(const struct vi_image *image, struct vi_rgb color)
{
    int count = 0;
    for (int y = 0; y < image->height; y++) {
        const uint8_t *p = image->pixels + y * image->stride;
        for (int x = 0; x < image->width; x++, p += 3) {
            count += p[0] == color.r && p[1] == color.g && p[2] == color.b;
        }
    }
    return count;
}

/* ---- the three kinds of picture, with data of some weight ------------------------------------ */

static enum nn_status some_chart(struct vi_image *image, struct nn_context *context)
{
    static double loss[50], accuracy[50];
    for (int i = 0; i < 50; i++) {
        loss[i] = 0.7 / (1 + 0.2 * i);
        accuracy[i] = i == 20 ? (double)NAN : 1 - 0.5 / (1 + 0.3 * i);
    }
    struct vi_series series[] = {
        {.label = "loss", .y = loss, .count = 50},
        {.label = "accuracy", .y = accuracy, .count = 50, .dashed = true, .markers = true},
        {.label = "nothing"}};
    struct vi_chart chart = {.title = "Training",
                             .x_label = "epoch",
                             .y_label = "value",
                             .width = 480,
                             .height = 300,
                             .diagonal = true,
                             .series = series,
                             .series_count = 3};
    return vi_plot_chart(image, context, &chart);
}

static enum nn_status some_matrix(struct vi_image *image, struct nn_context *context)
{
    static const char *const labels[] = {"cutout mask with a long name", NULL, "real", "replay"};
    static const int64_t counts[16] = {12, 3, 0, 1, 0, 0, 0, 0, INT64_MAX, 2, 3, 4, 5, 6, 7, 8};
    return vi_plot_confusion(image, context, "Confusion", labels, 4, counts);
}

static enum nn_status some_sheet(struct vi_image *image, struct nn_context *context)
{
    static uint8_t pixels[200 * 100 * 4];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 2654435761u >> 24);
    struct vi_sheet_item items[7] = {
        {.image = {pixels, 32, 32, 3, 96}, .line1 = "real 0.99", .line2 = "a/very/long/name.png"},
        {.image = {pixels, 200, 100, 3, 600}, .line1 = "fake", .frame = {255, 255, 0}},
        {.image = {pixels, 1, 100, 1, 1}},
        {.image = {pixels, 100, 1, 4, 400}, .line2 = ""},
        {.image = {NULL, 32, 32, 3, 96}, .line1 = "unreadable"},
        {.image = {pixels, 0, 0, 3, 0}},
        {.image = {pixels, 2, 2, 2, 4}}};
    return vi_plot_sheet(image, context, "Contact sheet", items, 7, 3, 48);
}

typedef enum nn_status plot_function(struct vi_image *image, struct nn_context *context);
static const struct {
    const char *name;
    plot_function *plot;
} plots[] = {{"chart", some_chart}, {"confusion matrix", some_matrix}, {"sheet", some_sheet}};
enum { PLOTS = sizeof plots / sizeof *plots };

static void test_same_twice(struct nn_context *context)
{
    for (int i = 0; i < PLOTS; i++) {
        struct vi_image a, b;
        bool made = !plots[i].plot(&a, context) && !plots[i].plot(&b, context);
        CHECK(made && hash(&a) == hash(&b), "%s: the same picture twice", plots[i].name);
        vi_image_free(context, &a);
        vi_image_free(context, &b);
    }
}

static void test_failed_allocations(void)
{
    for (int i = 0; i < PLOTS; i++) {
        struct memory memory = {0};
        struct nn_context *context = open_context(&memory);
        size_t before = memory.held;
        bool clean = true;
        int failures = 0;
        for (;; failures++) {
            struct vi_image image;
            memory.calls = 0;
            memory.fail_at = failures + 1;
            enum nn_status status = plots[i].plot(&image, context);
            if (!status) {
                vi_image_free(context, &image);
                break;
            }
            clean = clean && status == NN_ERROR_MEMORY && !image.pixels && nn_error(context)[0] &&
                    memory.held == before;
        }
        clean = clean && memory.held == before;
        CHECK(clean && failures > 0, "%s: each of %d allocations failing is a clean error",
              plots[i].name, failures);
        memory.fail_at = 0;
        nn_close(&context);
        CHECK(memory.held == 0, "%s: nothing is left behind", plots[i].name);
    }
}

/* ---- axes ------------------------------------------------------------------------------------ */

static struct vi_axis make_axis(double low, double high, bool log, bool whole)
{
    struct vi_axis axis = {.log = log, .whole = whole, .begin = 500, .end = 0};
    vi_axis_range(&axis, low, high, 0);
    vi_axis_ticks(&axis, 50);
    return axis;
}

static void check_labels(double low, double high, bool log, bool whole, const char *expected)
{
    struct vi_axis axis = make_axis(low, high, log, whole);
    char all[VI_MAX_TICKS * 44] = "";
    for (int i = 0; i < axis.ticks; i++) {
        if (i) strcat(all, " ");
        strcat(all, axis.tick[i].text);
        if (axis.tick[i].power[0]) strcat(strcat(all, "^"), axis.tick[i].power);
    }
    CHECK(!strcmp(all, expected), "ticks of %g to %g: %s", low, high, all);
}

static void test_ticks(void)
{
    check_labels(0, 1, false, false, "0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1.0");
    check_labels(-0.3, 0.3, false, false, "-0.3 -0.2 -0.1 0 0.1 0.2 0.3");
    check_labels(0, 49, false, true, "0 5 10 15 20 25 30 35 40 45");
    check_labels(0, 2, false, true, "0 1 2");
    check_labels(4, 4, false, true, "4");
    check_labels(0, 4e-4, false, false,
                 "0 0.5e-4 1.0e-4 1.5e-4 2.0e-4 2.5e-4 3.0e-4 3.5e-4 4.0e-4");
    check_labels(0, 3e7, false, false, "0 0.5e7 1.0e7 1.5e7 2.0e7 2.5e7 3.0e7");
    check_labels(1e-3, 1, true, false, "10^-3 10^-2 10^-1 10^0");
    check_labels(2, 4, true, false, "2.0 2.2 2.4 2.6 2.8 3.0 3.2 3.4 3.6 3.8 4.0");
    check_labels(5, 5, false, false, "4.5 4.6 4.7 4.8 4.9 5.0 5.1 5.2 5.3 5.4 5.5");
}

/* Whatever the range: ticks rise, lie inside, are few, and have places on the paper. */
static void test_wild_ranges(void)
{
    static const double values[] = {
        -INFINITY, -1e308, -1e6, -1,      -1e-300, 0,     5e-324, 1e-310,           1e-40,      0.1,
        0.3,       1,      1e9,  1e9 + 1, 1e15,    1e200, 1e308,  (double)INFINITY, (double)NAN};
    enum { COUNT = sizeof values / sizeof *values };
    bool good = true;
    for (int i = 0; i < COUNT * COUNT * 4; i++) {
        double low = values[i % COUNT], high = values[i / COUNT % COUNT];
        bool log = i / COUNT / COUNT & 1, whole = i / COUNT / COUNT & 2;
        struct vi_axis axis = make_axis(low, high, log, whole && !log);
        bool fine = axis.low < axis.high && isfinite(axis.low) && isfinite(axis.high) &&
                    axis.ticks <= VI_MAX_TICKS && axis.minor_ticks <= VI_MAX_MINOR;
        for (int k = 0; k < axis.ticks; k++) {
            double at = vi_axis_pixel(&axis, axis.tick[k].at);
            fine = fine && at >= -0.01 && at <= 500.01;
            fine = fine && (k == 0 || axis.tick[k].at > axis.tick[k - 1].at);
        }
        for (int k = 0; k < COUNT; k++) {
            double at = vi_axis_pixel(&axis, values[k]);
            fine = fine && (isfinite(at) || isnan(values[k]) || (log && !(values[k] > 0)));
        }
        if (!fine) printf("# %g to %g, log %d, whole %d\n", low, high, log, whole);
        good = good && fine;
    }
    CHECK(good, "ticks of %d wild ranges", COUNT * COUNT * 4);
}

/* ---- charts ---------------------------------------------------------------------------------- */

static void test_odd_series(struct nn_context *context)
{
    static const double wild[] = {
        1, (double)NAN, -1e308, 1e308, (double)INFINITY, 0, 5e-324, 1e-9, -(double)INFINITY,
        3, 3,           3};
    static const double same[] = {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2};
    const double *columns[] = {NULL, wild, same};
    bool good = true;
    for (int i = 0; i < 3 * 2 * 16; i++) {
        struct vi_series series[3] = {{.label = "a",
                                       .x = columns[i % 3],
                                       .y = i / 3 % 2 ? same : wild,
                                       .count = 12,
                                       .dashed = i & 32,
                                       .steps = i & 64,
                                       .markers = true},
                                      {.x = wild, .y = wild, .count = i % 12},
                                      {.label = ""}};
        struct vi_chart chart = {.width = 200,
                                 .height = 150,
                                 .x_log = i & 8,
                                 .diagonal = true,
                                 .series = series,
                                 .series_count = i % 4};
        struct vi_image image;
        if (i & 16) chart.y_max = 1e-3;
        enum nn_status status = vi_plot_chart(&image, context, &chart);
        good = good && !status && image.width == 200 && image.height == 150;
        vi_image_free(context, &image);
    }
    CHECK(good, "NaN, infinite, huge, tiny, constant and missing data are drawn");
}

static void test_points(struct nn_context *context)
{
    const struct vi_rgb color = {10, 200, 30};
    double y[] = {0.5, (double)NAN, 0.2, 0.8};
    struct vi_series series = {.y = y, .count = 1, .color = color};
    struct vi_chart chart = {.width = 300, .height = 200, .series = &series, .series_count = 1};
    struct vi_image image;
    vi_plot_chart(&image, context, &chart);
    int dot = count_color(&image, color);
    CHECK(dot >= 4 && dot < 60, "a single point is a dot (%d pixels)", dot);
    vi_image_free(context, &image);
    series.count = 4;
    vi_plot_chart(&image, context, &chart);
    CHECK(count_color(&image, color) > 2 * dot, "a gap leaves a dot and a line");
    vi_image_free(context, &image);
}

/* A flat line along one edge: the legend goes to the other side. */
static void test_legend_hides_nothing(struct nn_context *context)
{
    const struct vi_rgb color = {10, 200, 30};
    double high[100], low[100];
    for (int i = 0; i < 100; i++) high[i] = 0.9, low[i] = 0.1;
    struct vi_series series = {.y = high, .count = 100, .color = color};
    struct vi_chart chart = {.y_max = 1, .series = &series, .series_count = 1};
    struct vi_image image;
    int without[2] = {0, 0}, with[2] = {0, 0};
    for (int i = 0; i < 4; i++) {
        series.y = i & 1 ? low : high;
        series.label = i & 2 ? "a label as wide as a good part of the plot" : NULL;
        vi_plot_chart(&image, context, &chart);
        int *counts = (i & 2) ? with : without;
        counts[i & 1] = count_color(&image, color);
        vi_image_free(context, &image);
    }
    CHECK(with[0] > without[0] && with[1] > without[1],
          "the legend adds its sample and hides no line");
}

static void test_many_series(struct nn_context *context)
{
    enum { COUNT = 60 };
    static const double y[] = {0, 1, 0.5};
    static struct vi_series series[COUNT];
    for (int i = 0; i < COUNT; i++) {
        series[i] = (struct vi_series){.label = "one of many", .y = y, .count = 3};
    }
    struct vi_chart chart = {.title = "A title far too long for a page as small as this one is",
                             .width = 160,
                             .height = 120,
                             .series = series,
                             .series_count = COUNT};
    struct vi_image image;
    CHECK(!vi_plot_chart(&image, context, &chart), "sixty labels on the smallest page");
    vi_image_free(context, &image);
}

static void check_refused(struct nn_context *context, const char *what, struct vi_chart chart)
{
    struct vi_image image;
    enum nn_status status = vi_plot_chart(&image, context, &chart);
    CHECK(status == NN_ERROR_ARGUMENT && !image.pixels, "refused, %s: %s", what, nn_error(context));
}

static void test_arguments(struct nn_context *context)
{
    struct vi_image image;
    struct vi_series bad = {.label = "b", .count = 5};
    int64_t negative[4] = {1, 2, -3, 4};
    struct vi_sheet_item item = {.line1 = "x"};
    check_refused(context, "no series", (struct vi_chart){.series_count = 1});
    check_refused(context, "no values", (struct vi_chart){.series = &bad, .series_count = 1});
    check_refused(context, "negative width", (struct vi_chart){.width = -5});
    check_refused(context, "too large", (struct vi_chart){.width = 1000000});
    check_refused(context, "NaN", (struct vi_chart){.x_min = (double)NAN, .x_max = 1});
    check_refused(context, "backwards", (struct vi_chart){.y_min = 2, .y_max = 1});
    check_refused(context, "log of 0", (struct vi_chart){.x_log = true, .x_max = 1});
    CHECK(vi_plot_confusion(&image, context, "t", NULL, 0, negative) == NN_ERROR_ARGUMENT,
          "no classes: %s", nn_error(context));
    CHECK(vi_plot_confusion(&image, context, "t", NULL, 2, negative) == NN_ERROR_ARGUMENT,
          "negative count: %s", nn_error(context));
    CHECK(vi_plot_confusion(&image, context, "t", NULL, 100000, negative) == NN_ERROR_ARGUMENT,
          "too many classes: %s", nn_error(context));
    CHECK(vi_plot_sheet(&image, context, "t", &item, 1, 1, 100000) == NN_ERROR_ARGUMENT,
          "giant cells: %s", nn_error(context));
    CHECK(vi_plot_sheet(&image, context, "t", &item, -1, 1, 32) == NN_ERROR_ARGUMENT,
          "negative count of pictures: %s", nn_error(context));
    CHECK(vi_plot_sheet(&image, context, "t", NULL, 1000000, 1, 96) == NN_ERROR_ARGUMENT,
          "pictures missing: %s", nn_error(context));
}

static void test_sheet(struct nn_context *context)
{
    uint8_t pixels[32 * 32 * 3];
    struct vi_image small = {pixels, 32, 32, 3, 96}, image;
    vi_fill(&small, (struct vi_rgb){10, 90, 170});
    struct vi_sheet_item item = {.image = small, .frame = {220, 10, 10}};
    bool made = !vi_plot_sheet(&image, context, NULL, &item, 1, 4, 96);
    CHECK(made && count_color(&image, (struct vi_rgb){10, 90, 170}) == 96 * 96,
          "a plain picture fills its cell");
    CHECK(made && count_color(&image, item.frame) == 102 * 102 - 96 * 96, "its frame is 3 wide");
    vi_image_free(context, &image);
    CHECK(!vi_plot_sheet(&image, context, "empty", NULL, 0, 0, 0) && image.pixels,
          "a sheet of nothing is a page");
    vi_image_free(context, &image);
}

static void test_confusion(struct nn_context *context)
{
    struct vi_image image;
    bool good = true;
    static int64_t counts[100 * 100];
    for (int classes = 1; classes <= 100; classes += 33) {
        for (int i = 0; i < classes * classes; i++) counts[i] = i % 7 * 1000;
        good = good && !vi_plot_confusion(&image, context, NULL, NULL, classes, counts);
        vi_image_free(context, &image);
    }
    CHECK(good, "matrices of 1 to 100 classes");
}

int main(void)
{
    struct memory memory = {0};
    struct nn_context *context = open_context(&memory);
    test_same_twice(context);
    test_failed_allocations();
    test_ticks();
    test_wild_ranges();
    test_odd_series(context);
    test_points(context);
    test_legend_hides_nothing(context);
    test_many_series(context);
    test_arguments(context);
    test_sheet(context);
    test_confusion(context);
    nn_close(&context);
    CHECK(memory.held == 0, "all memory is given back");
    return test_done();
}
