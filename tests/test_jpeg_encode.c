/*
 * test_jpeg_encode.c — the JPEG encoder against stb_image_write's, at the same quality: as near to
 * the picture, and no larger. All sizes, grey and colour; what is written is read by stb_image.
 */
#include "tests/test.h"
#include "vision/codec/codec.h"

#include <time.h>

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#if defined(__has_include)
#if __has_include(<stb/stb_image_write.h>)
#include <stb/stb_image_write.h>
#else
#include <stb_image_write.h>
#endif
#else
#include <stb/stb_image_write.h>
#endif
#if defined(__clang__)
#pragma clang diagnostic pop
#elif defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static struct nn_context *context;

struct bytes {
    uint8_t data[1 << 22];
    size_t size;
};
static struct bytes stb;

static void take(void *user, void *data, int size)
{
    struct bytes *to = user;
    if (to->size + (size_t)size > sizeof to->data) abort();
    memcpy(to->data + to->size, data, (size_t)size);
    to->size += (size_t)size;
}

/* Waves, edges, a little noise: something of everything, different in each channel. */
static struct vi_image draw(int width, int height, int channels, unsigned noise)
{
    struct vi_image image;
    uint32_t state = 7;
    if (vi_image_new(&image, context, width, height, channels)) abort();
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                state = state * 1664525 + 1013904223;
                double wave = 60 * sin(x * 0.021 * (c + 1) + y * 0.013) + 40 * cos(y * 0.05 + c);
                int value = 128 + (int)wave + ((x / 24 + y / 40) % 3 == c ? 30 : 0) +
                            (int)((state >> 24) * noise >> 8);
                image.pixels[y * image.stride + x * channels + c] =
                    (uint8_t)(value < 0     ? 0
                              : value > 255 ? 255
                                            : value);
            }
    return image;
}

/* Mean squared error after decoding; negative: it cannot be decoded, or has another size. */
static double error_of(const struct vi_image *image, const void *bytes, size_t size)
{
    struct vi_image back = {0};
    struct vi_decode_options options = {.color = image->channels == 1 ? VI_GRAY : VI_RGB};
    double sum = 0;
    if (vi_decode(&back, context, bytes, size, &options, "jpeg")) return -1;
    bool same = back.width == image->width && back.height == image->height;
    int colors = back.channels;
    for (int y = 0; same && y < back.height; y++)
        for (int x = 0; x < back.width; x++)
            for (int c = 0; c < colors; c++) {
                double d = back.pixels[y * back.stride + x * colors + c] -
                           image->pixels[y * image->stride + x * image->channels + c];
                sum += d * d;
            }
    vi_image_free(context, &back);
    return same ? sum / ((double)image->width * image->height * colors) : -1;
}

static double decibels(double error)
{
    return error < 0 ? -99 : 10 * log10(255 * 255 / (error + 1e-9));
}

static void compare(struct vi_jpeg_writer *writer, const struct vi_image *image, int quality)
{
    stb.size = 0;
    if (vi_jpeg_encode(writer, image, quality)) abort();
    if (!stbi_write_jpg_to_func(take, &stb, image->width, image->height, image->channels,
                                image->pixels, quality))
        abort();
    double ours = decibels(error_of(image, writer->bytes, writer->size));
    double theirs = decibels(error_of(image, stb.data, stb.size));
    CHECK(ours >= theirs - 0.1 && writer->size <= stb.size + stb.size / 50 + 32,
          "%dx%dx%d at %d: %.2f dB in %zu bytes, stb %.2f in %zu", image->width, image->height,
          image->channels, quality, ours, writer->size, theirs, stb.size);
}

static void test_quality(void)
{
    static const int qualities[] = {1, 20, 50, 75, 90, 91, 95, 100};
    struct vi_jpeg_writer writer = {.context = context};
    for (int channels = 1; channels <= 3; channels += 2) {
        struct vi_image image = draw(205, 131, channels, 20);
        for (size_t i = 0; i < sizeof qualities / sizeof *qualities; i++)
            compare(&writer, &image, qualities[i]);
        vi_image_free(context, &image);
    }
    vi_jpeg_writer_free(&writer);
}

/* Any size decodes to what was written; extremes of samples and noise at full quality, where codes
 * are longest. */
static void test_sizes(void)
{
    struct vi_jpeg_writer writer = {.context = context};
    int bad = 0, done = 0;
    for (int width = 1; width <= 35; width += 1 + width / 18)
        for (int height = 1; height <= 33; height += 1 + height / 18)
            for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
                struct vi_image image = draw(width, height, channels, 0);
                int quality = (width + height) % 2 ? 90 : 96;
                double error = -1;
                if (!vi_jpeg_encode(&writer, &image, quality))
                    error = error_of(&image, writer.bytes, writer.size);
                /* Half the resolution blurs what changes fast. */
                if (!(error >= 0 && error < (quality == 90 ? 120 : 8)) && bad++ < 3)
                    printf("# %dx%dx%d at %d: %g\n", width, height, channels, quality, error);
                done++;
                vi_image_free(context, &image);
            }
    CHECK(bad == 0, "%d sizes", done);
    for (int kind = 0; kind < 4; kind++) {
        struct vi_image image = draw(67, 45, 3, 255);
        uint32_t state = 3;
        for (size_t i = 0; i < 67 * 45 * 3; i++) {
            state = state * 1664525 + 1013904223;
            int checkered = (int)(i / 3 % 67 + i / 201) % 2;
            image.pixels[i] = kind == 0   ? 0
                              : kind == 1 ? 255
                              : kind == 2 ? (uint8_t)(state >> 31) * 255
                                          : (uint8_t)(255 * checkered);
        }
        double error = -1;
        if (!vi_jpeg_encode(&writer, &image, 100))
            error = error_of(&image, writer.bytes, writer.size);
        CHECK(error >= 0 && error < (kind == 2 ? 2 : 0.6), "extremes %d: %g, %zu bytes", kind,
              error, writer.size);
        vi_image_free(context, &image);
    }
    vi_jpeg_writer_free(&writer);
}

static void test_views(void)
{
    struct vi_jpeg_writer writer = {.context = context};
    struct vi_image image = draw(90, 70, 3, 0), copy;
    struct vi_image view = vi_image_crop(&image, 13, 7, 50, 41);
    if (vi_image_new(&copy, context, 50, 41, 3) || vi_jpeg_encode(&writer, &view, 85)) abort();
    vi_image_copy(&copy, &view);
    size_t size = writer.size;
    uint8_t *first = malloc(size);
    if (!first) abort();
    memcpy(first, writer.bytes, size);
    CHECK(!vi_jpeg_encode(&writer, &copy, 85) && writer.size == size &&
              memcmp(writer.bytes, first, size) == 0,
          "a part of a picture is written as its copy is");
    CHECK(writer.bytes[159] == 0xc0 && writer.bytes[164] == 41 && writer.bytes[166] == 50 &&
              size > 600 && writer.bytes[size - 2] == 0xff && writer.bytes[size - 1] == 0xd9,
          "its frame header says its size");
    size_t before = nn_allocations(context);
    for (int i = 0; i < 5; i++)
        if (vi_jpeg_encode(&writer, i % 2 ? &copy : &view, 40 + 10 * i)) abort();
    CHECK(nn_allocations(context) == before, "nothing is allocated for pictures of the same size");
    free(first);
    vi_image_free(context, &copy);
    vi_image_free(context, &image);
    vi_jpeg_writer_free(&writer);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* For people to look at: `test_jpeg_encode --time`. */
static void measure(void)
{
    struct vi_jpeg_writer writer = {.context = context};
    struct vi_image image = draw(640, 480, 3, 16);
    double best[2] = {1, 1};
    for (int i = 0; i < 60; i++) {
        double start = seconds();
        if (vi_jpeg_encode(&writer, &image, 90)) abort();
        double middle = seconds();
        stb.size = 0;
        if (i % 4 == 0) stbi_write_jpg_to_func(take, &stb, 640, 480, 3, image.pixels, 90);
        double end = seconds();
        if (middle - start < best[0]) best[0] = middle - start;
        if (i % 4 == 0 && end - middle < best[1]) best[1] = end - middle;
    }
    printf("# 640x480 at 90: %.2f ms (%zu bytes), stb %.2f ms (%zu bytes)\n", 1e3 * best[0],
           writer.size, 1e3 * best[1], stb.size);
    vi_image_free(context, &image);
    vi_jpeg_writer_free(&writer);
}

int main(int argc, char **argv)
{
    if (nn_open(&context, &(struct nn_options){.threads = 1})) return 1;
    size_t before = nn_bytes_allocated(context);
    if (argc > 1 && strcmp(argv[1], "--time") == 0) {
        measure();
        return 0;
    }
    test_quality();
    test_sizes();
    test_views();
    CHECK(nn_bytes_allocated(context) == before, "no memory is left");
    nn_close(&context);
    return test_done();
}
