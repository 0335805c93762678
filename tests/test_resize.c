/* test_resize.c — vi_resize against OpenCV's pictures, and its borders. */
#include "tests/test.h"
#include "vision/vision.h"

/* A picture of numbers without pattern: the upper bits of a linear congruential sequence. */
static bool noise(struct vi_image *image, struct nn_context *context, int width, int height,
                  int channels)
{
    if (vi_image_new(image, context, width, height, channels)) return false;
    uint32_t state = (uint32_t)(width * 7919 + height * 104729 + channels);
    for (int i = 0; i < width * height * channels; i++) {
        state = state * 1664525 + 1013904223;
        image->pixels[i] = (uint8_t)(state >> 24);
    }
    return true;
}

static uint32_t checksum(const struct vi_image *image) /* FNV-1a */
{
    uint32_t hash = 2166136261u;
    for (int y = 0; y < image->height; y++)
        for (int i = 0; i < image->width * image->channels; i++)
            hash = (hash ^ image->pixels[y * image->stride + i]) * 16777619u;
    return hash;
}

/* Made by tests/golden/make_resize.py: FNV-1a of cv2.resize of the noise above. */
static const struct {
    int from_width, from_height, width, height, channels;
    uint32_t checksum;
} cases[] = {
#include "tests/golden/resize.inc"
};

static void test_checksums(struct nn_context *context)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vi_image from, to;
        if (!CHECK(
                noise(&from, context, cases[i].from_width, cases[i].from_height,
                      cases[i].channels) &&
                    !vi_image_new(&to, context, cases[i].width, cases[i].height, cases[i].channels),
                "images"))
            return;
        enum nn_status status = vi_resize(&to, &from, context);
        CHECK(!status && checksum(&to) == cases[i].checksum, "%dx%d to %dx%d, %d channels",
              from.width, from.height, to.width, to.height, to.channels);
        vi_image_free(context, &from);
        vi_image_free(context, &to);
    }
}

/* The pictures of another program, where they are at hand. */
static void test_golden(struct nn_context *context)
{
    static const int sizes[][2] = {{113, 71}, {17, 31}, {300, 300}, {32, 32}, {50, 50}, {80, 80}};
    const char *shared = test_shared();
    char path[512];
    struct vi_image input, to, golden;
    if (shared) snprintf(path, sizeof path, "%s/golden/resize/input.png", shared);
    if (!shared || vi_read(&input, context, path, NULL)) {
        test_skip("resize equals OpenCV's pictures", "golden/resize is not at hand");
        return;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int width = sizes[i][0], height = sizes[i][1];
        snprintf(path, sizeof path, "%s/golden/resize/linear_%dx%d.png", shared, width, height);
        enum nn_status status = vi_read(&golden, context, path, NULL);
        if (!CHECK(!status, "%s can be read", path)) continue;
        status = vi_image_new(&to, context, width, height, 3);
        if (!status) status = vi_resize(&to, &input, context);
        CHECK(!status && golden.width == width && golden.height == height &&
                  memcmp(golden.pixels, to.pixels, (size_t)width * (size_t)height * 3) == 0,
              "resize to %dx%d equals OpenCV's to the bit", width, height);
        vi_image_free(context, &to);
        vi_image_free(context, &golden);
    }
    vi_image_free(context, &input);
}

/* Views with gaps between their rows give what packed pictures give, and the gaps stay. */
static void test_views(struct nn_context *context)
{
    struct vi_image big, packed, wide, small;
    if (!CHECK(noise(&big, context, 40, 30, 3) && !vi_image_new(&packed, context, 23, 17, 3) &&
                   noise(&wide, context, 20, 20, 3) && !vi_image_new(&small, context, 9, 8, 3),
               "images"))
        return;
    struct vi_image from = vi_image_crop(&big, 5, 6, 23, 17);
    struct vi_image to = vi_image_crop(&wide, 4, 4, 9, 8);
    uint8_t before = wide.pixels[4 * 60 + 11], after = wide.pixels[4 * 60 + 39];
    vi_image_copy(&packed, &from);
    enum nn_status a = vi_resize(&to, &from, context), b = vi_resize(&small, &packed, context);
    CHECK(!a && !b && checksum(&to) == checksum(&small), "views are resized as pictures are");
    CHECK(wide.pixels[4 * 60 + 11] == before && wide.pixels[4 * 60 + 39] == after,
          "nothing beside the view is written");
    vi_image_free(context, &big);
    vi_image_free(context, &packed);
    vi_image_free(context, &wide);
    vi_image_free(context, &small);
}

static void test_errors(struct nn_context *context)
{
    struct vi_image a, b;
    if (!CHECK(noise(&a, context, 4, 4, 3) && noise(&b, context, 3, 3, 1), "images")) return;
    CHECK(vi_resize(&b, &a, context) == NN_ERROR_SHAPE, "channels that differ are refused");
    struct vi_image empty = vi_image_crop(&a, 9, 9, 2, 2);
    CHECK(vi_resize(&a, &empty, context) == NN_ERROR_SHAPE, "an empty picture is refused");
    CHECK(vi_resize(&empty, &a, context) == NN_ERROR_SHAPE, "an empty target is refused");
    vi_image_free(context, &a);
    vi_image_free(context, &b);
}

int main(void)
{
    struct nn_context *context;
    if (!CHECK(!nn_open(&context, &(struct nn_options){.threads = 1}), "open")) return test_done();
    size_t before = nn_bytes_allocated(context);
    test_checksums(context);
    test_golden(context);
    test_views(context);
    test_errors(context);
    CHECK(nn_bytes_allocated(context) == before, "nothing leaks");
    nn_close(&context);
    return test_done();
}
