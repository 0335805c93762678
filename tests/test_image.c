/* test_image.c — views, copies, colours, floats. */
#include "tests/test.h"
#include "vision/vision.h"

#include <limits.h>

static void test_new(struct nn_context *context)
{
    struct vi_image image;
    CHECK(!vi_image_new(&image, context, 7, 5, 3) && image.stride == 21 && image.pixels[104] == 0,
          "a new image is packed and black");
    vi_image_free(context, &image);
    CHECK(!image.pixels && !image.width, "a freed image is empty");
    static const int bad[][3] = {{0, 5, 3},      {5, 0, 3}, {-1, 5, 3}, {5, -1, 3},
                                 {5, 5, 0},      {5, 5, 5}, {5, 5, -1}, {INT_MAX, INT_MAX, 4},
                                 {INT_MAX, 2, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum nn_status status = vi_image_new(&image, context, bad[i][0], bad[i][1], bad[i][2]);
        CHECK(status && !image.pixels, "%dx%dx%d is refused", bad[i][0], bad[i][1], bad[i][2]);
    }
}

static void test_crop(struct nn_context *context)
{
    struct vi_image image, part;
    if (!CHECK(!vi_image_new(&image, context, 10, 8, 3), "image")) return;
    part = vi_image_crop(&image, 2, 3, 4, 5);
    CHECK(part.pixels == image.pixels + 3 * 30 + 6 && part.width == 4 && part.height == 5 &&
              part.stride == 30 && part.channels == 3,
          "a crop is a view");
    static const int boxes[][8] = {
        /* x, y, width, height -> left, top, width, height */
        {-3, -2, 5, 5, 0, 0, 2, 3},
        {8, 6, 50, 50, 8, 6, 2, 2},
        {10, 0, 1, 1, 0, 0, 0, 1},
        {0, 0, -4, 3, 0, 0, 0, 3},
        {INT_MIN, INT_MIN, INT_MAX, INT_MAX, 0, 0, 0, 0},
        {INT_MAX, INT_MAX, INT_MAX, INT_MAX, 0, 0, 0, 0},
        {-1, -1, INT_MAX, INT_MAX, 0, 0, 10, 8},
    };
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        const int *b = boxes[i];
        part = vi_image_crop(&image, b[0], b[1], b[2], b[3]);
        CHECK(part.pixels == image.pixels + b[5] * 30 + b[4] * 3 && part.width == b[6] &&
                  part.height == b[7],
              "crop %d %d %d %d is clipped to %dx%d", b[0], b[1], b[2], b[3], b[6], b[7]);
    }
    struct vi_image small;
    if (CHECK(!vi_image_new(&small, context, 4, 5, 3), "image")) {
        for (int i = 0; i < 240; i++) image.pixels[i] = (uint8_t)i;
        part = vi_image_crop(&image, 2, 3, 4, 5);
        vi_image_copy(&small, &part);
        CHECK(small.pixels[0] == 96 && small.pixels[59] == 7 * 30 + 17, "a view is copied");
        vi_image_free(context, &small);
    }
    vi_image_free(context, &image);
}

/* Rows are converted in blocks: every width around them, with bytes between the rows. */
static void test_floats(void)
{
    enum { WIDEST = 60, GAP = 5 };
    uint8_t pixels[2 * (4 * WIDEST + GAP)];
    float floats[2 * 4 * WIDEST + 1];
    const float mean[3] = {104, 117, 123};
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 + i / 7);
    for (int channels = 1; channels <= 4; channels++) {
        int wrong = 0;
        for (int width = 1; width <= WIDEST; width++) {
            int row = width * channels, stride = row + GAP;
            struct vi_image image = {pixels, width, 2, channels, stride};
            floats[2 * row] = -7;
            vi_to_float(floats, &image, mean, 0.25f);
            for (int i = 0; i < 2 * row; i++) {
                int c = i % channels;
                float value = (float)pixels[i / row * stride + i % row];
                wrong += floats[i] != (value - (c < 3 ? mean[c] : 0)) * 0.25f;
            }
            wrong += floats[2 * row] != -7;
        }
        CHECK(wrong == 0, "floats of %d channels, any width, and none beyond: %d wrong", channels,
              wrong);
    }
}

static void test_colors(struct nn_context *context)
{
    struct vi_image image, gray;
    if (!CHECK(!vi_image_new(&image, context, 3, 1, 3), "image")) return;
    memcpy(image.pixels, "\x01\x02\x03\xff\x00\x00\x0a\xc8\x64", 9);
    float floats[9], mean[3] = {1, 2, 3};
    vi_to_float(floats, &image, mean, 0.5f);
    CHECK(floats[0] == 0 && floats[2] == 0 && floats[3] == 127 && floats[8] == 48.5f,
          "floats are (value - mean) * scale");
    vi_to_float(floats, &image, NULL, 1);
    CHECK(floats[8] == 100, "no mean is zero");
    if (CHECK(!vi_image_new(&gray, context, 3, 1, 1), "image")) {
        vi_to_gray(&gray, &image);
        /* cv2.cvtColor(..., COLOR_RGB2GRAY) */
        CHECK(gray.pixels[0] == 2 && gray.pixels[1] == 76 && gray.pixels[2] == 132,
              "grey as OpenCV: %d %d %d", gray.pixels[0], gray.pixels[1], gray.pixels[2]);
        vi_image_free(context, &gray);
    }
    vi_swap_red_blue(&image);
    CHECK(memcmp(image.pixels, "\x03\x02\x01\x00\x00\xff\x64\xc8\x0a", 9) == 0, "red and blue");
    vi_image_free(context, &image);
}

int main(void)
{
    struct nn_context *context;
    if (!CHECK(!nn_open(&context, &(struct nn_options){.threads = 1}), "open")) return test_done();
    size_t before = nn_bytes_allocated(context);
    test_new(context);
    test_crop(context);
    test_colors(context);
    test_floats();
    CHECK(nn_bytes_allocated(context) == before, "nothing leaks");
    nn_close(&context);
    return test_done();
}
