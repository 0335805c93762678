/* test_roofline.c — a roofline: dots are where they belong and as large as they weigh, nothing is
 * drawn of what makes no sense, and hostile texts and numbers stay inside the page. */
#include "tests/test.h"
#include "vision/vision.h"

static struct nn_context *context;
static const struct vi_rgb RED = {200, 0, 0}, BLUE = {0, 0, 200};

static struct vi_roofline example(void)
{
    static const struct vi_ceiling ceilings[] = {{"two threads", 400}, {"one thread", 200}};
    static const struct vi_ceiling slopes[] = {{"L1", 800}, {"L2", 300}, {"memory", 20}};
    static struct vi_roof_group groups[2];
    static const struct vi_roof_point points[] = {{10, 300, 0.5, 0, "heavy"},
                                                  {10, 30, 0.02, 1, NULL}};
    groups[0] = (struct vi_roof_group){"forward", RED};
    groups[1] = (struct vi_roof_group){"backward", BLUE};
    return (struct vi_roofline){.title = "CPU",
                                .subtitle = "what it does",
                                .x_label = "FLOP/byte",
                                .y_label = "GFLOP/s",
                                .ceilings = ceilings,
                                .slopes = slopes,
                                .groups = groups,
                                .points = points,
                                .ceiling_count = 2,
                                .slope_count = 3,
                                .group_count = 2,
                                .point_count = 2};
}

/* Pixels nearer to this colour than a dot's opacity leaves them, their mean place, their number. */
struct found {
    double x, y;
    int count;
};

static struct found find(const struct vi_image *image, struct vi_rgb color)
{
    struct found found = {0};
    for (int y = 0; y < image->height - 200; y++) /* above the legend */
        for (int x = 0; x < image->width; x++) {
            const uint8_t *p = image->pixels + (size_t)y * image->stride + (size_t)x * 3;
            if (abs(p[0] - color.r) > 60 || abs(p[1] - color.g) > 60 || abs(p[2] - color.b) > 60)
                continue;
            found.x += x;
            found.y += y;
            found.count++;
        }
    if (found.count) found.x /= found.count, found.y /= found.count;
    return found;
}

static void check_dots(void)
{
    struct vi_roofline spec = example();
    struct vi_image image, again;
    if (!CHECK(vi_plot_roofline(&image, context, &spec) == NN_OK && image.width == 1200 &&
                   image.height == 800,
               "a page of 1200 x 800"))
        return;
    struct found red = find(&image, RED), blue = find(&image, BLUE);
    CHECK(red.count > 200 && blue.count > 20 && red.count > 4 * blue.count,
          "%d pixels weigh one half, %d a fiftieth", red.count, blue.count);
    CHECK(fabs(red.x - blue.x) < 4 && red.y < blue.y - 100,
          "the same intensity, ten times the rate");
    CHECK(vi_plot_roofline(&again, context, &spec) == NN_OK &&
              memcmp(image.pixels, again.pixels, (size_t)image.height * image.stride) == 0,
          "the same picture twice");
    vi_image_free(context, &again);
    vi_image_free(context, &image);
}

static void check_refused(const char *what, struct vi_roofline spec)
{
    struct vi_image image;
    CHECK(vi_plot_roofline(&image, context, &spec) == NN_ERROR_ARGUMENT && !image.pixels &&
              strstr(nn_error(context), "roofline"),
          "%s: %s", what, nn_error(context));
}

static void check_mistakes(void)
{
    const double bad[] = {0, -1, NAN, INFINITY};
    struct vi_roofline spec = example();
    spec.ceiling_count = 0;
    check_refused("no ceiling", spec);
    spec = example();
    spec.width = 20;
    check_refused("too small", spec);
    spec.width = 100000;
    check_refused("too large", spec);
    for (int i = 0; i < 4; i++) {
        struct vi_roof_point point = {bad[i], 1, 0, 0, NULL};
        spec = example();
        spec.points = &point;
        spec.point_count = 1;
        check_refused("an intensity", spec);
        struct vi_ceiling slope = {"L1", bad[i]};
        spec = example();
        spec.slopes = &slope;
        spec.slope_count = 1;
        check_refused("a slope", spec);
    }
    struct vi_roof_point point = {1, 1, 0, 2, NULL};
    spec = example();
    spec.points = &point;
    spec.point_count = 1;
    check_refused("a group there is not", spec);
}

static void draws(const char *what, struct vi_roofline spec)
{
    struct vi_image image;
    CHECK(vi_plot_roofline(&image, context, &spec) == NN_OK && image.pixels, "%s", what);
    vi_image_free(context, &image);
}

static void check_extremes(void)
{
    static char text[5000];
    memset(text, 'W', sizeof text - 1);
    struct vi_roofline spec = example();
    spec.slope_count = spec.group_count = spec.point_count = 0;
    spec.title = spec.subtitle = spec.x_label = spec.y_label = NULL;
    draws("a ceiling and nothing else", spec);
    spec = example();
    struct vi_roof_group group = {text, RED};
    struct vi_roof_point points[] = {
        {1e-300, 1e300, 1, 0, text}, {1e300, 1e-300, 0, 0, text}, {1, 1, 1, 0, text}};
    struct vi_ceiling slopes[] = {{text, 1e300}, {text, 1e-300}};
    spec.title = spec.subtitle = spec.x_label = spec.y_label = text;
    spec.groups = &group;
    spec.group_count = 1;
    spec.points = points;
    spec.point_count = 3;
    spec.slopes = slopes;
    spec.slope_count = 2;
    draws("long texts, numbers of all sizes", spec);
    spec.width = spec.height = 200;
    draws("on a small page", spec);
}

int main(void)
{
    if (nn_open(&context, NULL)) return 1;
    check_dots();
    check_mistakes();
    check_extremes();
    size_t held = nn_bytes_allocated(context);
    struct vi_roofline spec = example();
    struct vi_image image;
    if (vi_plot_roofline(&image, context, &spec) == NN_OK) vi_image_free(context, &image);
    CHECK(nn_bytes_allocated(context) == held, "nothing is left behind");
    nn_close(&context);
    return test_done();
}
