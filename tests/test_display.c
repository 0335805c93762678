/*
 * test_display.c — what is the same for all displays: scaling, pixels, choosing, keeping the last
 * picture.
 */
#include "tests/test.h"
#include "vision/display/display.h"

#include <fcntl.h>
#include <unistd.h>

static struct nn_context *context;

static void paint(struct vi_image *image, int width, int height, unsigned seed)
{
    struct nn_rng rng = nn_rng_make(seed, 1);
    if (vi_image_new(image, context, width, height, 3)) abort();
    for (int i = 0; i < width * height * 3; i++) image->pixels[i] = (uint8_t)nn_rng_u32(&rng);
}

/* ---- scaling --------------------------------------------------------------------------------- */

static double clamp(double value, double most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

/* Bilinear in double precision; pixel centres on pixel centres. */
static double bilinear(const struct vi_image *image, double x, double y, int c)
{
    x = clamp(x, image->width - 1);
    y = clamp(y, image->height - 1);
    int left = (int)x, top = (int)y;
    int right = left + 1 < image->width ? left + 1 : left;
    int bottom = top + 1 < image->height ? top + 1 : top;
    const uint8_t *above = image->pixels + top * image->stride;
    const uint8_t *below = image->pixels + bottom * image->stride;
    double fx = x - left, fy = y - top;
    return (above[3 * left + c] * (1 - fx) + above[3 * right + c] * fx) * (1 - fy) +
           (below[3 * left + c] * (1 - fx) + below[3 * right + c] * fx) * fy;
}

static double mean(const struct vi_image *image, const int box[4], int c)
{
    double sum = 0;
    for (int y = box[1]; y < box[3]; y++)
        for (int x = box[0]; x < box[2]; x++) sum += image->pixels[y * image->stride + 3 * x + c];
    return sum / ((box[2] - box[0]) * (box[3] - box[1]));
}

static int begin_of(int i, int from, int to)
{
    return (int)((int64_t)i * from / to);
}

static int end_of(int i, int from, int to)
{
    int begin = begin_of(i, from, to), end = begin_of(i + 1, from, to);
    return end > begin ? end : begin + 1;
}

/* The largest difference from what it should be. */
static double difference(struct vi_fit *fit, const struct vi_image *image)
{
    bool shrunk = image->width >= 2 * fit->width || image->height >= 2 * fit->height;
    double across = (double)image->width / fit->width, down = (double)image->height / fit->height;
    double most = 0;
    for (int y = 0; y < fit->height; y++) {
        const uint8_t *row = vi_fit_row(fit, y);
        for (int i = 0; i < 3 * fit->width; i++) {
            int x = i / 3;
            int box[4] = {
                begin_of(x, image->width, fit->width), begin_of(y, image->height, fit->height),
                end_of(x, image->width, fit->width), end_of(y, image->height, fit->height)};
            double expected =
                shrunk ? mean(image, box, i % 3)
                       : bilinear(image, (x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5, i % 3);
            if (fabs(row[i] - expected) > most) most = fabs(row[i] - expected);
        }
    }
    return most;
}

static void test_scaling(void)
{
    static const struct {
        int from[2], screen[2], fitted[4]; /* x, y, width, height */
        double error;
    } cases[] = {
        {{64, 48}, {64, 48}, {0, 0, 64, 48}, 0},      {{64, 48}, {100, 48}, {18, 0, 64, 48}, 0},
        {{64, 48}, {128, 96}, {0, 0, 128, 96}, 2.6},  {{64, 48}, {100, 100}, {0, 12, 100, 75}, 2.6},
        {{64, 48}, {50, 100}, {0, 31, 50, 38}, 2.6},  {{64, 48}, {32, 24}, {0, 0, 32, 24}, 0.51},
        {{64, 48}, {21, 100}, {0, 42, 21, 16}, 0.51}, {{64, 48}, {7, 5}, {0, 0, 7, 5}, 0.51},
        {{64, 48}, {1, 1}, {0, 0, 1, 1}, 0.51},       {{1, 1}, {40, 30}, {5, 0, 30, 30}, 0},
        {{1, 100}, {40, 30}, {19, 0, 1, 30}, 0.51},   {{300, 1}, {40, 30}, {0, 14, 40, 1}, 0.51},
        {{2, 3}, {33, 50}, {0, 0, 33, 50}, 2.6},      {{64, 48}, {1, 200}, {0, 99, 1, 1}, 0.51},
    };
    struct vi_fit fit = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vi_image image;
        paint(&image, cases[i].from[0], cases[i].from[1], (unsigned)i);
        bool good = !vi_fit_begin(&fit, context, &image, cases[i].screen[0], cases[i].screen[1]) &&
                    fit.moved;
        const int *fitted = cases[i].fitted;
        bool placed = fit.x == fitted[0] && fit.y == fitted[1] && fit.width == fitted[2] &&
                      fit.height == fitted[3];
        if (!placed) printf("# %d,%d %dx%d\n", fit.x, fit.y, fit.width, fit.height);
        double off = good ? difference(&fit, &image) : 999;
        CHECK(good && placed && off <= cases[i].error, "%d x %d on %d x %d: off by %.2f",
              cases[i].from[0], cases[i].from[1], cases[i].screen[0], cases[i].screen[1], off);
        size_t before = nn_allocations(context);
        image.pixels[0] ^= 255;
        good = !vi_fit_begin(&fit, context, &image, cases[i].screen[0], cases[i].screen[1]);
        CHECK(good && !fit.moved && nn_allocations(context) == before &&
                  difference(&fit, &image) <= cases[i].error,
              "another picture of that size: nothing is allocated");
        vi_image_free(context, &image);
    }
    /* A part of a picture: nothing is read beside it. */
    struct vi_image image;
    paint(&image, 80, 60, 99);
    struct vi_image part = vi_image_crop(&image, 11, 7, 40, 30);
    vi_fit_begin(&fit, context, &part, 57, 57);
    CHECK(difference(&fit, &part) <= 2.6, "a part of a picture");
    vi_image_free(context, &image);
    vi_fit_free(&fit, context);
}

/* ---- pixels ---------------------------------------------------------------------------------- */

static void test_pixels(void)
{
    static const struct vi_pixel_format good[] = {
        {32, {0xff0000, 0xff00, 0xff}, 0, false},        {32, {0xff0000, 0xff00, 0xff}, 0, true},
        {24, {0xff0000, 0xff00, 0xff}, 0, false},        {24, {0xff0000, 0xff00, 0xff}, 0, true},
        {16, {0xf800, 0x7e0, 0x1f}, 0, false},           {16, {0xf800, 0x7e0, 0x1f}, 0, true},
        {32, {0xff000000, 0xff0000, 0xff00}, 0xff, true}};
    static const uint8_t bytes[][4] = {{3, 2, 1, 0}, {0, 1, 2, 3}, {3, 2, 1},      {1, 2, 3},
                                       {0x63, 0x0c}, {0x0c, 0x63}, {1, 2, 3, 0xff}};
    static const struct vi_pixel_format bad[] = {{8, {0xe0, 0x1c, 3}, 0, false},
                                                 {15, {0x7c00, 0x3e0, 0x1f}, 0, false},
                                                 {0, {1, 1, 1}, 0, false},
                                                 {32, {0, 0xff00, 0xff}, 0, false},
                                                 {32, {0xf0f000, 0xff00, 0xff}, 0, false},
                                                 {16, {0x1f0000, 0x7e0, 0x1f}, 0, false},
                                                 {-16, {0xf800, 0x7e0, 0x1f}, 0, false}};
    struct vi_packer packer;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        static const uint8_t deep[] = {1, 2, 3, 9, 9, 9}, high[] = {8, 141, 25, 9, 9, 9};
        uint8_t out[12];
        memset(out, 0xaa, sizeof out);
        size_t size = (size_t)good[i].bits / 8;
        bool set = vi_packer_set(&packer, &good[i]);
        if (i == 1 || i == 0)
            vi_pack_row(&packer, out, deep, 1);
        else
            vi_pack_row(&packer, out, good[i].bits == 16 ? high : deep, 1);
        static const uint8_t first[] = {0, 1, 2, 3};
        CHECK(set && memcmp(out, i == 1 ? first : bytes[i], size) == 0 && out[size] == 0xaa,
              "%d bits, %s byte first", good[i].bits, good[i].big_endian ? "high" : "low");
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!vi_packer_set(&packer, &bad[i]), "pixels of %d bits that cannot be", bad[i].bits);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static void test_choosing(void)
{
    struct vi_display *display;
    struct vi_display_options options = {.kind = "holograms"};
    CHECK(vi_display_open(&display, context, &options) == NN_ERROR_ARGUMENT && !display &&
              strstr(nn_error(context), "auto, x11, fb, terminal and none"),
          "an unknown kind: %s", nn_error(context));
    options.kind = "none";
    options.width = -1;
    CHECK(vi_display_open(&display, context, &options) == NN_ERROR_ARGUMENT, "a negative width");
    options.width = 40000;
    CHECK(vi_display_open(&display, context, &options) == NN_ERROR_ARGUMENT, "a giant width");
    options.width = 0;
    CHECK(!vi_display_open(&display, context, &options) &&
              strcmp(vi_display_kind(display), "none") == 0,
          "none");
    vi_display_close(&display);
    CHECK(!display, "closed");
    vi_display_close(&display);

    /* Nothing there: no X server, no terminal; a framebuffer would be the machine's. */
    int output = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
    static const char *const servers[] = {NULL, "", ":59000", "nonsense"};
    if (access("/dev/fb0", F_OK) == 0) {
        test_skip("auto", "this machine has a framebuffer");
        close(null);
        close(output);
        return;
    }
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        if (servers[i])
            setenv("DISPLAY", servers[i], 1);
        else
            unsetenv("DISPLAY");
        fflush(stdout);
        dup2(null, STDOUT_FILENO);
        enum nn_status status = vi_display_open(&display, context, NULL);
        dup2(output, STDOUT_FILENO);
        CHECK(!status && strcmp(vi_display_kind(display), "none") == 0,
              "auto with nothing there, DISPLAY \"%s\"", servers[i] ? servers[i] : "(not set)");
        vi_display_close(&display);
    }
    close(null);
    close(output);
    options = (struct vi_display_options){.kind = "auto", .name = "/dev/no-such"};
    CHECK(vi_display_open(&display, context, &options) == NN_ERROR_IO &&
              strstr(nn_error(context), "framebuffer '/dev/no-such'"),
          "auto with a device's name: %s", nn_error(context));
    options.name = ":59000";
    CHECK(vi_display_open(&display, context, &options) == NN_ERROR_IO &&
              strstr(nn_error(context), "X server ':59000'"),
          "auto with a server's name: %s", nn_error(context));
}

/* In a terminal "auto" takes it. */
static void test_auto_terminal(void)
{
    struct vi_display *display;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) abort();
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY), output = dup(STDOUT_FILENO);
    static const struct {
        const char *terminal, *kind;
    } cases[] = {{"xterm", "terminal"}, {"dumb", "none"}, {NULL, "none"}};
    unsetenv("DISPLAY");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cases[i].terminal)
            setenv("TERM", cases[i].terminal, 1);
        else
            unsetenv("TERM");
        fflush(stdout);
        dup2(slave, STDOUT_FILENO);
        enum nn_status status = vi_display_open(&display, context, NULL);
        const char *kind = status ? "" : vi_display_kind(display);
        vi_display_close(&display);
        dup2(output, STDOUT_FILENO);
        bool framebuffer = access("/dev/fb0", F_OK) == 0 && strcmp(kind, "fb") == 0;
        CHECK(!status && (strcmp(kind, cases[i].kind) == 0 || framebuffer),
              "auto in a terminal \"%s\": %s", cases[i].terminal ? cases[i].terminal : "(not set)",
              kind);
    }
    close(output);
    close(slave);
    close(master);
}

/* ---- showing --------------------------------------------------------------------------------- */

static int shown, last_pixel;

static enum nn_status open_forgetful(struct vi_display *display)
{
    display->state = NULL;
    return NN_OK;
}

static enum nn_status show_forgetful(struct vi_display *display, const struct vi_image *image)
{
    (void)display;
    shown++;
    last_pixel = image->pixels[0];
    return NN_OK;
}

static enum nn_status poll_forgetful(struct vi_display *display, struct vi_event *event)
{
    (void)event;
    display->stale = true;
    return NN_OK;
}

static void close_forgetful(struct vi_display *display)
{
    (void)display;
}

static void test_showing(void)
{
    static const struct vi_display_kind forgetful = {
        "forgetful", true, open_forgetful, show_forgetful, poll_forgetful, close_forgetful};
    struct vi_display *display;
    struct vi_display_options options = {0};
    struct vi_event event = {VI_EVENT_KEY, 'x'};
    struct vi_image image, grey, empty = {0};
    paint(&image, 8, 6, 1);
    if (vi_image_new(&grey, context, 8, 6, 1)) abort();
    vi_display_open(&display, context, &(struct vi_display_options){.kind = "none"});
    CHECK(!vi_display_show(display, &image) && !vi_display_poll(display, &event) &&
              event.kind == VI_EVENT_NONE,
          "none shows, and has no keys");
    CHECK(vi_display_show(display, &grey) == NN_ERROR_ARGUMENT &&
              vi_display_show(display, &empty) == NN_ERROR_ARGUMENT &&
              vi_display_show(display, NULL) == NN_ERROR_ARGUMENT,
          "what is no RGB picture is not shown: %s", nn_error(context));
    vi_display_close(&display);
    vi_display_from(&display, context, &forgetful, &options);
    CHECK(!vi_display_poll(display, &event) && shown == 0, "nothing to show again");
    image.pixels[0] = 77;
    vi_display_show(display, &image);
    image.pixels[0] = 11;
    CHECK(!vi_display_poll(display, &event) && shown == 2 && last_pixel == 77,
          "what a display lost is shown again as it was");
    vi_display_close(&display);
    vi_image_free(context, &image);
    vi_image_free(context, &grey);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    test_scaling();
    test_pixels();
    test_choosing();
    test_auto_terminal();
    test_showing();
    CHECK(nn_bytes_allocated(context) == before, "all memory is given back");
    nn_close(&context);
    return test_done();
}
