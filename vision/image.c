/* image.c — the view on pixels that everything in vision works with. */
#include "vision/vision.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

enum { MAX_CHANNELS = 4 };

enum nn_status vi_image_new(struct vi_image *image, struct nn_context *context, int width,
                            int height, int channels)
{
    memset(image, 0, sizeof *image);
    if (width < 1 || height < 1 || channels < 1 || channels > MAX_CHANNELS)
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "cannot make an image of %dx%d pixels with %d "
                       "channels",
                       width, height, channels);
    /* Offsets into the image must fit into ptrdiff_t, its row length into int. */
    if (width > INT_MAX / channels ||
        (size_t)width * (size_t)channels > PTRDIFF_MAX / (size_t)height)
        return nn_fail(context, NN_ERROR_MEMORY, "an image of %dx%dx%d is too large", width, height,
                       channels);
    size_t row = (size_t)width * (size_t)channels;
    uint8_t *pixels = nn_alloc(context, (size_t)height, row);
    if (!pixels) return NN_ERROR_MEMORY;
    *image = (struct vi_image){pixels, width, height, channels, (ptrdiff_t)row};
    return NN_OK;
}

void vi_image_free(struct nn_context *context, struct vi_image *image)
{
    nn_free(context, image->pixels);
    memset(image, 0, sizeof *image);
}

/* Clips [*at, *at + *length) to [0, limit); 64 bits, because at + length may overflow an int. */
static void clip(int *at, int *length, int limit)
{
    int64_t begin = *at, end = begin + (*length > 0 ? *length : 0);
    if (begin < 0) begin = 0;
    if (end > limit) end = limit;
    *at = begin < end ? (int)begin : 0;
    *length = begin < end ? (int)(end - begin) : 0;
}

struct vi_image vi_image_crop(const struct vi_image *image, int x, int y, int width, int height)
{
    struct vi_image part = *image;
    clip(&x, &width, image->width);
    clip(&y, &height, image->height);
    part.width = width;
    part.height = height;
    part.pixels += y * image->stride + (ptrdiff_t)x * image->channels;
    return part;
}

void vi_image_copy(const struct vi_image *to, const struct vi_image *from)
{
    size_t row = (size_t)from->width * (size_t)from->channels;
    for (int y = 0; y < from->height && row; y++)
        memcpy(to->pixels + y * to->stride, from->pixels + y * from->stride, row);
}
