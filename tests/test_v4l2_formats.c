/*
 * test_v4l2_formats.c — camera formats to RGB against a definition in floating point, at odd sizes
 * and with padded rows; and drivers that answer anything at all.
 */
#include "wild_camera.h"

static struct nn_context *context;

/* ---- formats --------------------------------------------------------------------------------- */

/* A scene of which every pixel is known: luma per pixel, chroma per pair or square of pixels. */
static uint8_t luma_at(int x, int y)
{
    return (uint8_t)(16 + (x * 37 + y * 59) % 220);
}

static uint8_t chroma_at(int x, int y, int which)
{
    return (uint8_t)(40 + (x * 83 + y * 29 + which * 101) % 180);
}

/* Writes the scene in a format, as the kernel's documentation lays it out; returns its bytes. */
static size_t write_scene(uint8_t *to, const char *fourcc, int width, int height, size_t stride)
{
    int columns = (width + 1) / 2, rows = (height + 1) / 2;
    static const char *const packed[] = {"YUYV", "UYVY", "YVYU", "VYUY"};
    for (int k = 0; k < 4; k++) {
        if (strcmp(fourcc, packed[k]) != 0) continue;
        for (int y = 0; y < height; y++)
            for (int x = 0; x < columns; x++) {
                int luma = 0;
                for (int i = 0; i < 4; i++) {
                    char sample = fourcc[i];
                    to[y * stride + 4 * (size_t)x + (size_t)i] =
                        sample == 'Y' ? luma_at(2 * x + luma++, y) : chroma_at(x, y, sample == 'V');
                }
            }
        return stride * (size_t)(height - 1) + 4 * (size_t)columns;
    }
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *pixel = to + y * stride + (size_t)x * (fourcc[3] == '3' ? 3 : 1);
            pixel[0] = luma_at(x, y);
            if (fourcc[3] != '3') continue;
            pixel[1] = chroma_at(x, y, 0);
            pixel[2] = chroma_at(x, y, 1);
        }
    if (fourcc[3] == '3') return stride * (size_t)(height - 1) + 3 * (size_t)width;
    if (fourcc[0] == 'G') return stride * (size_t)(height - 1) + (size_t)width;
    uint8_t *below = to + stride * (size_t)height;
    bool pairs = fourcc[0] == 'N', swapped = !strcmp(fourcc, "YV12") || !strcmp(fourcc, "NV21");
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++)
            for (int which = 0; which < 2; which++) {
                size_t plane = (size_t)(which != swapped);
                size_t at = pairs ? (size_t)y * stride + 2 * (size_t)x + plane
                                  : plane * (stride / 2) * (size_t)rows + (size_t)y * (stride / 2) +
                                        (size_t)x;
                below[at] = chroma_at(x, y, which);
            }
    return stride * (size_t)height + (pairs ? stride : stride / 2 * 2) * (size_t)rows;
}

static double clamp(double value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* ITU-R BT.601, in floating point. */
static void expected(double rgb[3], const char *fourcc, int x, int y, bool full)
{
    bool square = strchr(fourcc, '1') || strchr(fourcc, '2');
    double luma = luma_at(x, y), u = chroma_at(x / 2, square ? y / 2 : y, 0) - 128.0;
    double v = chroma_at(x / 2, square ? y / 2 : y, 1) - 128.0;
    if (fourcc[3] == '3') {
        bool red_first = fourcc[0] == 'R';
        rgb[red_first ? 0 : 2] = luma_at(x, y);
        rgb[1] = chroma_at(x, y, 0);
        rgb[red_first ? 2 : 0] = chroma_at(x, y, 1);
        return;
    }
    if (!full) luma = (luma - 16) * 255 / 219, u *= 255 / 224.0, v *= 255 / 224.0;
    if (fourcc[0] == 'G') u = v = 0;
    rgb[0] = clamp(luma + 1.402 * v);
    rgb[1] = clamp(luma - 0.344136 * u - 0.714136 * v);
    rgb[2] = clamp(luma + 1.772 * u);
}

static double worst_error(const struct vi_image *image, const char *fourcc, bool full)
{
    double worst = 0;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            double rgb[3];
            expected(rgb, fourcc, x, y, full);
            for (int c = 0; c < 3; c++) {
                double off = fabs(rgb[c] - image->pixels[y * image->stride + 3 * x + c]);
                if (off > worst) worst = off;
            }
        }
    return worst;
}

static struct vi_capture new_capture(void)
{
    struct vi_capture capture = {.context = context, .kind = &vi_source_camera, .path = "camera"};
    capture.options.max_pixels = 10000;
    capture.info.live = true;
    return capture;
}

static void end_capture(struct vi_capture *capture)
{
    struct vi_capture *whole = nn_alloc(context, 1, sizeof *whole);
    *whole = *capture;
    whole->path = NULL;
    whole->state = NULL;
    vi_capture_close(&whole);
}

static void test_format(const char *fourcc)
{
    static const struct {
        int width, height;
        size_t padding;
    } sizes[] = {{16, 8, 0}, {17, 9, 0}, {2, 2, 6}, {1, 1, 0}, {33, 5, 16}, {6, 7, 2}};
    static uint8_t bytes[4096];
    double worst = 0;
    bool exact = true, short_told = true;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int full = 0; full < 2; full++) {
            struct vi_capture capture = new_capture();
            struct vi_camera_layout layout = {vi_camera_format(vi_camera_fourcc(fourcc)),
                                              sizes[i].width, sizes[i].height, 0, full};
            layout.stride = vi_camera_row(layout.format, layout.width) + sizes[i].padding;
            size_t size = write_scene(bytes, fourcc, layout.width, layout.height, layout.stride);
            exact = exact && size == vi_camera_frame_size(&layout);
            /* A block of just this size: a byte too far is seen by the sanitizer. */
            uint8_t *frame = malloc(size);
            if (!frame) abort();
            memcpy(frame, bytes, size);
            if (vi_camera_convert(&capture, &layout, frame, size)) exact = false;
            double error = worst_error(&capture.image, fourcc, full);
            if (error > worst) worst = error;
            if (vi_camera_convert(&capture, &layout, frame, size - 1) != NN_ERROR_FORMAT)
                short_told = false;
            free(frame);
            end_capture(&capture);
        }
    CHECK(exact && worst <= 0.52, "%s: all sizes, paddings and ranges (off by %.2f at most)",
          fourcc, worst);
    CHECK(short_told, "%s: a byte too few is an error", fourcc);
}

static void test_formats(void)
{
    static const char *const all[] = {"YUYV", "UYVY", "YVYU", "VYUY", "NV12", "NV21",
                                      "YU12", "YV12", "RGB3", "BGR3", "GREY"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) test_format(all[i]);
    CHECK(!vi_camera_format(vi_camera_fourcc("H264")) && !vi_camera_format(0),
          "other formats are not known");
    struct vi_capture capture = new_capture();
    struct vi_camera_layout layout = {vi_camera_format(vi_camera_fourcc("YUYV")), 10, 10, 19,
                                      false};
    uint8_t bytes[400] = {0};
    CHECK(vi_camera_convert(&capture, &layout, bytes, 400) == NN_ERROR_FORMAT,
          "rows that overlap are an error");
    layout.stride = SIZE_MAX / 4;
    CHECK(vi_camera_convert(&capture, &layout, bytes, 400) == NN_ERROR_FORMAT,
          "so are rows of a giant's length");
    layout.stride = 2000;
    layout.width = 1000, layout.height = 1000;
    CHECK(vi_camera_convert(&capture, &layout, bytes, SIZE_MAX) == NN_ERROR_ARGUMENT,
          "and more pixels than the limit");
    end_capture(&capture);
}

/* ---- drivers that answer anything ------------------------------------------------------------ */

static void test_wild_drivers(void)
{
    static struct wild wild;
    int rounds = test_emulated() ? 100 : 1000, survived = 0;
    struct wild_sums sums = {0};
    for (int round = 0; round < rounds; round++) {
        uint8_t bytes[2000];
        struct nn_rng rng = nn_rng_make((uint64_t)round, 1);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(round % 3 ? nn_rng_u32(&rng) & 0x7f : nn_rng_u32(&rng));
        survived += wild_run(&wild, context, bytes, sizeof bytes, &sums);
    }
    printf("# %d opened, %d frames, %d with trouble\n", sums.opened, sums.frames, sums.troubles);
    CHECK(survived == rounds && sums.opened > rounds / 10 && sums.frames > rounds / 10 &&
              sums.troubles > rounds / 20,
          "%d drivers that answer anything: survived, nothing lost", rounds);
}

int main(void)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    test_formats();
    test_wild_drivers();
    nn_close(&context);
    return test_done();
}
