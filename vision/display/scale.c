/*
 * scale.c — pictures to a screen's size and pixels, a row at a time.
 *
 * Bilinear in two steps: a row of the picture is stretched to the screen's columns once, and rows
 * of the screen are mixed of two such rows. Weights have 8 bits. What would be less than half as
 * large is the mean over boxes of pixels instead, or a terminal's few cells would flicker.
 */
#include "vision/display/display.h"

#include <assert.h>
#include <string.h>

struct vi_fit_column {
    uint32_t at;     /* bytes from the row's begin to the left pixel, or to the box */
    uint32_t weight; /* of the right one: 0 .. 255 of 256; the box's pixels */
    uint32_t step;   /* bytes to the right one: 3, or 0 at the border */
};

enum { PITCH = 16 }; /* rows are mixed 8 bytes at a time, and may be a little longer */

/* ---- fitting -----------------------------------------------------------------------------------
 */

/* How a dimension of `to` pixels reads one of `from`: pixel i's middle lies at (i + 1/2) from / to
 * - 1/2. In 1/65536. */
static int64_t place(int i, int from, int to)
{
    int64_t at = ((2 * (int64_t)i + 1) * from * 65536 / to - 65536) / 2;
    int64_t last = ((int64_t)from - 1) * 65536;
    return at < 0 ? 0 : at > last ? last : at;
}

static int box_begin(int i, int from, int to)
{
    return (int)((int64_t)i * from / to);
}

/* Boxes have at least one pixel. */
static int box_end(int i, int from, int to)
{
    int begin = box_begin(i, from, to), end = box_begin(i + 1, from, to);
    return end > begin ? end : begin + 1;
}

static bool shrinks(const struct vi_fit *fit)
{
    return fit->picture.width >= 2 * fit->width || fit->picture.height >= 2 * fit->height;
}

static void place_columns(struct vi_fit *fit)
{
    int from = fit->picture.width;
    bool boxes = shrinks(fit);
    for (int x = 0; x < fit->width; x++) {
        int begin = box_begin(x, from, fit->width), end = box_end(x, from, fit->width);
        int64_t at = boxes ? (int64_t)begin << 16 : place(x, from, fit->width);
        fit->columns[x] = (struct vi_fit_column){.at = (uint32_t)(at >> 16) * 3,
                                                 .step = (at >> 16) + 1 < from ? 3 : 0,
                                                 .weight = boxes ? (uint32_t)(end - begin)
                                                                 : (uint32_t)(at & 65535) >> 8};
    }
}

static enum nn_status make_room(struct vi_fit *fit, struct nn_context *context, size_t width)
{
    if (width <= fit->capacity) return NN_OK;
    fit->capacity = 0;
    nn_free(context, fit->columns);
    nn_free(context, fit->sums);
    nn_free(context, fit->rows);
    fit->columns = nn_alloc(context, width, sizeof *fit->columns);
    fit->sums = nn_alloc(context, width, 3 * sizeof *fit->sums);
    fit->rows = nn_alloc(context, width * 3 + PITCH, 3);
    if (!fit->columns || !fit->sums || !fit->rows) return NN_ERROR_MEMORY;
    fit->capacity = width;
    return NN_OK;
}

enum nn_status vi_fit_begin(struct vi_fit *fit, struct nn_context *context,
                            const struct vi_image *picture, int screen_width, int screen_height)
{
    int64_t across = (int64_t)picture->width * screen_height;
    int64_t down = (int64_t)picture->height * screen_width;
    bool same = fit->picture.width == picture->width && fit->picture.height == picture->height &&
                fit->screen_width == screen_width && fit->screen_height == screen_height;
    assert(picture->channels == 3 && screen_width > 0 && screen_height > 0);
    fit->picture = *picture;
    fit->row_of[0] = fit->row_of[1] = -1;
    fit->moved = !same;
    if (same && fit->capacity) return NN_OK;
    fit->screen_width = screen_width;
    fit->screen_height = screen_height;
    fit->width = screen_width;
    fit->height = screen_height;
    if (across > down)
        fit->height = (int)((down + picture->width / 2) / picture->width);
    else
        fit->width = (int)((across + picture->height / 2) / picture->height);
    if (fit->width < 1) fit->width = 1;
    if (fit->height < 1) fit->height = 1;
    fit->x = (screen_width - fit->width) / 2;
    fit->y = (screen_height - fit->height) / 2;
    enum nn_status status = make_room(fit, context, (size_t)fit->width);
    if (!status) place_columns(fit);
    return status;
}

void vi_fit_free(struct vi_fit *fit, struct nn_context *context)
{
    nn_free(context, fit->columns);
    nn_free(context, fit->sums);
    nn_free(context, fit->rows);
    *fit = (struct vi_fit){0};
}

/* ---- rows ---------------------------------------------------------------------------------------
 */

static const uint8_t *picture_row(const struct vi_fit *fit, int y)
{
    return fit->picture.pixels + y * fit->picture.stride;
}

static uint8_t *own_row(const struct vi_fit *fit, int i)
{
    return fit->rows + (size_t)i * (fit->capacity * 3 + PITCH);
}

static const uint8_t *mean_row(struct vi_fit *fit, int y)
{
    int top = box_begin(y, fit->picture.height, fit->height);
    int bottom = box_end(y, fit->picture.height, fit->height);
    uint8_t *to = own_row(fit, 0);
    memset(fit->sums, 0, (size_t)fit->width * 3 * sizeof *fit->sums);
    for (int row = top; row < bottom; row++) {
        uint64_t *sum = fit->sums;
        for (int x = 0; x < fit->width; x++, sum += 3) {
            const uint8_t *from = picture_row(fit, row) + fit->columns[x].at;
            uint64_t red = 0, green = 0, blue = 0;
            for (uint32_t left = fit->columns[x].weight; left > 0; left--, from += 3)
                red += from[0], green += from[1], blue += from[2];
            sum[0] += red;
            sum[1] += green;
            sum[2] += blue;
        }
    }
    for (int x = 0; x < fit->width; x++) {
        uint64_t count = (uint64_t)fit->columns[x].weight * (uint64_t)(bottom - top);
        assert(count > 0);
        for (int c = 0; c < 3; c++)
            to[3 * x + c] = (uint8_t)((fit->sums[3 * x + c] + count / 2) / count);
    }
    return to;
}

/* A row of the picture with the screen's columns. Which of the two places it takes follows from its
 * number, so that neighbours are there together. */
static const uint8_t *stretched(struct vi_fit *fit, int y)
{
    if (fit->picture.width == fit->width) return picture_row(fit, y);
    uint8_t *row = own_row(fit, y & 1), *to = row;
    if (fit->row_of[y & 1] == y) return row;
    fit->row_of[y & 1] = y;
    const uint8_t *from = picture_row(fit, y);
    for (const struct vi_fit_column *column = fit->columns, *end = column + fit->width;
         column < end; column++, to += 3) {
        const uint8_t *left = from + column->at, *right = left + column->step;
        unsigned weight = column->weight, rest = 256 - weight;
        to[0] = (uint8_t)((left[0] * rest + right[0] * weight + 128) >> 8);
        to[1] = (uint8_t)((left[1] * rest + right[1] * weight + 128) >> 8);
        to[2] = (uint8_t)((left[2] * rest + right[2] * weight + 128) >> 8);
    }
    return row;
}

/* Eight samples at a time, as four numbers of 16 bits twice: 255 * 256 + 128 is below 65536. */
static void mix(uint8_t *to, const uint8_t *a, const uint8_t *b, unsigned weight, size_t size)
{
    const uint64_t even = 0x00ff00ff00ff00ff, half = 0x0080008000800080;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t x, y;
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        uint64_t low = (x & even) * (256 - weight) + (y & even) * weight + half;
        uint64_t high = (x >> 8 & even) * (256 - weight) + (y >> 8 & even) * weight + half;
        x = (low >> 8 & even) | (high & ~even);
        memcpy(to + i, &x, 8);
    }
    for (; i < size; i++) to[i] = (uint8_t)((a[i] * (256 - weight) + b[i] * weight + 128) >> 8);
}

const uint8_t *vi_fit_row(struct vi_fit *fit, int y)
{
    assert(y >= 0 && y < fit->height);
    if (shrinks(fit)) return mean_row(fit, y);
    int64_t at = place(y, fit->picture.height, fit->height);
    int row = (int)(at >> 16);
    unsigned weight = (unsigned)(at & 65535) >> 8;
    const uint8_t *above = stretched(fit, row);
    if (weight == 0) return above;
    uint8_t *to = own_row(fit, 2);
    mix(to, above, stretched(fit, row + 1), weight, (size_t)fit->width * 3);
    return to;
}

/* ---- pixels ---------------------------------------------------------------------------------- */

bool vi_packer_set(struct vi_packer *packer, const struct vi_pixel_format *format)
{
    int size = format->bits / 8;
    if (format->bits != 16 && format->bits != 24 && format->bits != 32) return false;
    for (int c = 0; c < 3; c++) {
        uint64_t mask = format->mask[c], unit = mask & (~mask + 1);
        if (mask == 0 || mask >> format->bits || (mask / unit & (mask / unit + 1))) return false;
    }
    packer->bits = format->bits;
    for (int c = 0; c < 3; c++) {
        uint64_t mask = format->mask[c], unit = mask & (~mask + 1);
        for (unsigned i = 0; i < 256; i++) {
            uint64_t pixel = (i * (mask / unit) + 127) / 255 * unit | format->set;
            uint8_t bytes[4] = {0};
            for (int k = 0; k < size; k++)
                bytes[format->big_endian ? size - 1 - k : k] = (uint8_t)(pixel >> 8 * k);
            memcpy(&packer->table[c][i], bytes, 4); /* as they lie in memory, on any machine */
        }
    }
    return true;
}

void vi_pack_row(const struct vi_packer *packer, void *to, const uint8_t *rgb, int count)
{
    const uint32_t *red = packer->table[0], *green = packer->table[1], *blue = packer->table[2];
    uint8_t *out = to;
    if (packer->bits == 32) {
        for (int i = 0; i < count; i++, rgb += 3, out += 4) {
            uint32_t pixel = red[rgb[0]] | green[rgb[1]] | blue[rgb[2]];
            memcpy(out, &pixel, 4);
        }
    } else if (packer->bits == 24) {
        for (int i = 0; i < count; i++, rgb += 3, out += 3) {
            uint32_t pixel = red[rgb[0]] | green[rgb[1]] | blue[rgb[2]];
            memcpy(out, &pixel, 3);
        }
    } else {
        for (int i = 0; i < count; i++, rgb += 3, out += 2) {
            uint32_t pixel = red[rgb[0]] | green[rgb[1]] | blue[rgb[2]];
            memcpy(out, &pixel, 2);
        }
    }
}
