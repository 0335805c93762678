/* color.c — orders of colour, grey, and floats for a network. */
#include "vision/vision.h"

#include <assert.h>

void vi_swap_red_blue(const struct vi_image *image)
{
    assert(image->channels >= 3 || image->height == 0);
    for (int y = 0; y < image->height; y++) {
        uint8_t *pixel = image->pixels + y * image->stride;
        for (int x = 0; x < image->width; x++, pixel += image->channels) {
            uint8_t first = pixel[0];
            pixel[0] = pixel[2];
            pixel[2] = first;
        }
    }
}

/* Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) in 15 bits, rounded: OpenCV's fixed-point
 * weights, which add up to 32768. */
void vi_to_gray(const struct vi_image *to, const struct vi_image *from_rgb)
{
    enum { RED = 9798, GREEN = 19235, BLUE = 3735, BITS = 15 };
    assert(to->channels == 1 && from_rgb->channels >= 3);
    for (int y = 0; y < from_rgb->height; y++) {
        const uint8_t *pixel = from_rgb->pixels + y * from_rgb->stride;
        uint8_t *gray = to->pixels + y * to->stride;
        for (int x = 0; x < from_rgb->width; x++, pixel += from_rgb->channels)
            gray[x] = (uint8_t)((pixel[0] * RED + pixel[1] * GREEN + pixel[2] * BLUE +
                                 (1 << (BITS - 1))) >>
                                BITS);
    }
}

/* Elements at once: whole pixels of 1, 2, 3 and 4 channels, and whole vectors of them. */
enum { BLOCK = 48 };

static void convert_row(float *restrict to, const uint8_t *pixels, size_t count,
                        const float shift[BLOCK], float scale)
{
    for (; count >= BLOCK; count -= BLOCK, to += BLOCK, pixels += BLOCK)
        for (int i = 0; i < BLOCK; i++) to[i] = ((float)pixels[i] - shift[i]) * scale;
    for (size_t i = 0; i < count; i++) to[i] = ((float)pixels[i] - shift[i]) * scale;
}

void vi_to_float(float *to, const struct vi_image *from, const float mean[3], float scale)
{
    const int channels = from->channels;
    const size_t row = (size_t)from->width * (size_t)channels;
    float shift[BLOCK] = {0}; /* alpha has no mean */
    assert(channels >= 1 && channels <= 4);
    for (int i = 0; mean && i < BLOCK; i++)
        if (i % channels < 3) shift[i] = mean[i % channels];
    for (int y = 0; y < from->height; y++, to += row)
        convert_row(to, from->pixels + y * from->stride, row, shift, scale);
}
