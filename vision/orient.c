/*
 * orient.c — the eight ways to hold a camera.
 *
 * Orientation o says where the stored picture's first row and first column are seen:
 *
 *     o  row     column    upright pixel of the stored (x, y)
 *     1  top     left      (x, y)
 *     2  top     right     (W-1-x, y)
 *     3  bottom  right     (W-1-x, H-1-y)
 *     4  bottom  left      (x, H-1-y)
 *     5  left    top       (y, x)
 *     6  right   top       (H-1-y, x)
 *     7  right   bottom    (H-1-y, W-1-x)
 *     8  left    bottom    (y, W-1-x)
 *
 * So there are three steps: from 5 on rows become columns, 2 3 6 7 then run from right to left, and
 * 3 4 7 8 from bottom to top.
 */
#include "vision/orient.h"

#include <assert.h>

static bool leftwards(int orientation)
{
    return orientation & 2;
}

static bool upwards(int orientation)
{
    return (orientation - 1) & 2;
}

static void swap(uint8_t *a, uint8_t *b, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        uint8_t held = a[i];
        a[i] = b[i];
        b[i] = held;
    }
}

/* 2, 3, 4: in place. */
static void turn_over(const struct vi_image *image, int orientation)
{
    ptrdiff_t pixel = image->channels, row = image->width * pixel;
    for (int y = 0; leftwards(orientation) && y < image->height; y++) {
        uint8_t *left = image->pixels + y * image->stride, *right = left + row - pixel;
        for (; left < right; left += pixel, right -= pixel) swap(left, right, pixel);
    }
    for (int y = 0; upwards(orientation) && y < image->height / 2; y++)
        swap(image->pixels + y * image->stride,
             image->pixels + (image->height - 1 - y) * image->stride, row);
}

/* A tile of the stored picture, [x, x_end) x [y, y_end), to columns. */
struct tile {
    int x, x_end, y, y_end;
};

static void turn_tile(const struct vi_image *to, const struct vi_image *from,
                      const struct tile *tile, int orientation)
{
    const int channels = from->channels;
    for (int y = tile->y; y < tile->y_end; y++) {
        const uint8_t *p = from->pixels + y * from->stride + (ptrdiff_t)tile->x * channels;
        int column = leftwards(orientation) ? to->width - 1 - y : y;
        for (int x = tile->x; x < tile->x_end; x++, p += channels) {
            int row = upwards(orientation) ? to->height - 1 - x : x;
            uint8_t *q = to->pixels + row * to->stride + (ptrdiff_t)column * channels;
            q[0] = p[0];
            if (channels > 1) q[1] = p[1];
            if (channels > 2) q[2] = p[2];
            if (channels > 3) q[3] = p[3];
        }
    }
}

/* 5 to 8, by tiles: a whole column at a time would touch a new cache line, if not a new page, with
 * each pixel. */
static void turn_sideways(const struct vi_image *to, const struct vi_image *from, int orientation)
{
    enum { TILE = 16 };
    for (int y = 0; y < from->height; y += TILE)
        for (int x = 0; x < from->width; x += TILE) {
            struct tile tile = {x, x + TILE, y, y + TILE};
            if (tile.x_end > from->width) tile.x_end = from->width;
            if (tile.y_end > from->height) tile.y_end = from->height;
            turn_tile(to, from, &tile, orientation);
        }
}

enum nn_status vi_upright(struct vi_image *image, struct nn_context *context, int orientation)
{
    assert(orientation >= 1 && orientation <= 8);
    if (orientation <= 4) {
        turn_over(image, orientation);
        return NN_OK;
    }
    struct vi_image upright;
    enum nn_status status =
        vi_image_new(&upright, context, image->height, image->width, image->channels);
    if (status) return status;
    turn_sideways(&upright, image, orientation);
    vi_image_free(context, image);
    *image = upright;
    return NN_OK;
}
