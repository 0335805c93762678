/*
 * frame.c — from what containers hold to pixels: JPEG frames that may lack their Huffman tables,
 * and planes of luma and chroma.
 */
#include "vision/capture/capture.h"
#include "vision/codec/codec.h"

#include <stdio.h>
#include <string.h>

void vi_capture_arrived(struct vi_capture *capture)
{
    if (capture->arrived == 0) capture->arrived = vi_clock();
}

enum nn_status vi_capture_size(struct vi_capture *capture, int width, int height)
{
    struct vi_image *image = &capture->image;
    uint64_t limit = capture->options.max_pixels;
    char quoted[NN_QUOTED];
    nn_quote(quoted, capture->path);
    if (width < 1 || height < 1)
        return nn_fail(capture->context, NN_ERROR_FORMAT, "%s: frames of %dx%d pixels", quoted,
                       width, height);
    if ((uint64_t)width * (uint64_t)height > limit)
        return nn_fail(capture->context, NN_ERROR_ARGUMENT, /* ffmpeg would not help */
                       "%s: frames of %dx%d are %.6g megapixels, the limit is %.6g", quoted, width,
                       height, (double)width * height / 1e6, (double)limit / 1e6);
    if (image->pixels && image->width == width && image->height == height) return NN_OK;
    vi_image_free(capture->context, image);
    return vi_image_new(image, capture->context, width, height, 3);
}

/* ---- JPEG ------------------------------------------------------------------------------------ */

/* A JPEG that reaches its first scan without any Huffman table. Damage is left to the decoder. */
static bool lacks_tables(const uint8_t *bytes, size_t size)
{
    size_t at = 2;
    if (size < 4 || bytes[0] != 0xff || bytes[1] != 0xd8) return false;
    while (size - at >= 4 && bytes[at] == 0xff) {
        if (bytes[at + 1] == 0xff) {
            at++;
            continue;
        }
        if (bytes[at + 1] == 0xc4) return false;
        if (bytes[at + 1] == 0xda) return true;
        size_t length = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (length > size - at - 2) return false;
        at += 2 + length;
    }
    return false;
}

/* The tables are added in a block that is used again for each frame. */
static enum nn_status add_tables(struct vi_capture *capture, struct vi_source *source)
{
    struct vi_bytes *whole = &capture->whole;
    whole->size = 0;
    enum nn_status status =
        vi_bytes_append(whole, capture->context, NULL, source->size + sizeof vi_jpeg_tables);
    if (status) return status;
    memcpy(whole->data, source->bytes, 2);
    memcpy(whole->data + 2, vi_jpeg_tables, sizeof vi_jpeg_tables);
    memcpy(whole->data + 2 + sizeof vi_jpeg_tables, source->bytes + 2, source->size - 2);
    source->bytes = whole->data;
    source->size = whole->size;
    return NN_OK;
}

/* The picture before gives its memory to the next one. */
static void recycle(struct vi_capture *capture)
{
    if (capture->scratch)
        vi_scratch_keep(capture->scratch, capture->context, capture->image.pixels);
    else
        nn_free(capture->context, capture->image.pixels);
    capture->image = (struct vi_image){0};
}

enum nn_status vi_capture_jpeg(struct vi_capture *capture, const uint8_t *bytes, size_t size,
                               const char *name)
{
    struct nn_context *context = capture->context;
    bool stream = capture->kind != &vi_source_pictures;
    struct vi_decode_options options = {
        .color = VI_RGB,
        .max_pixels = capture->options.max_pixels,
        /* How a video is turned is its container's to say. */
        .as_stored = stream,
    };
    struct vi_image image;
    vi_capture_arrived(capture);
    /* Before, not after: two large pictures need not lie in memory at once. But a camera's last
     * good one stays until there is another. */
    if (!capture->info.live) recycle(capture);
    if (stream && !capture->scratch) {
        capture->scratch = nn_alloc(context, 1, sizeof *capture->scratch);
        if (!capture->scratch) return NN_ERROR_MEMORY;
    }
    if (!name) {
        capture->label.context = context;
        capture->label.size = 0;
        nn_text_printf(&capture->label, "%s, frame %lld", capture->path, (long long)capture->next);
        if (capture->label.failed) return NN_ERROR_MEMORY;
        name = capture->label.data;
    }
    struct vi_source source = {context, bytes, size, name, capture->scratch};
    enum nn_status status = lacks_tables(bytes, size) ? add_tables(capture, &source) : NN_OK;
    if (!status) status = vi_decode_source(&image, &source, &options);
    if (status) return status;
    recycle(capture);
    capture->image = image;
    return NN_OK;
}

/* ---- luma and chroma ------------------------------------------------------------------------- */

/* ITU-R BT.601 with 16 bits behind the point. Limited range has luma in 16..235 and chroma in
 * 16..240, so that luma is stretched by 255/219 and chroma by 255/224; full range is JFIF's.
 *
 *     R = y (Y - black) + rv (V - 128)
 *     G = y (Y - black) - gu (U - 128) - gv (V - 128)
 *     B = y (Y - black) + bu (U - 128)
 *
 * with rv = 2 (1 - 0.299), bu = 2 (1 - 0.114), gu = bu 0.114 / 0.587, gv = rv 0.299 / 0.587. A half
 * is added before the bits behind the point are cut off. */
struct weights {
    int black, y, rv, gu, gv, bu;
};
static const struct weights limited_range = {16, 76309, 104597, 25675, 53279, 132201};
static const struct weights full_range = {0, 65536, 91881, 22553, 46802, 116130};

static inline uint8_t clamp(int value)
{
    value >>= 16;
    value = value < 0 ? 0 : value;
    return (uint8_t)(value > 255 ? 255 : value);
}

/* Weights come by value: bytes that are written may not be taken for them. */
static void gray_row(uint8_t *to, const uint8_t *y, int width, struct weights w)
{
    for (int x = 0; x < width; x++, to += 3)
        to[0] = to[1] = to[2] = clamp((y[x] - w.black) * w.y + 32768);
}

struct line {
    const uint8_t *y, *u, *v;
    int width, shift;
};

/* Inlined where the steps are constants. */
static inline void color_row(uint8_t *to, struct line line, struct weights w, int y_step,
                             int uv_step)
{
    for (int x = 0; x < line.width; x++, to += 3) {
        int at = (x >> line.shift) * uv_step;
        int du = line.u[at] - 128, dv = line.v[at] - 128;
        int luma = (line.y[x * y_step] - w.black) * w.y + 32768;
        to[0] = clamp(luma + w.rv * dv);
        to[1] = clamp(luma - w.gu * du - w.gv * dv);
        to[2] = clamp(luma + w.bu * du);
    }
}

void vi_capture_yuv(struct vi_capture *capture, const struct vi_yuv *yuv)
{
    const struct vi_image *image = &capture->image;
    struct weights w = yuv->full ? full_range : limited_range;
    struct line line = {.width = image->width, .shift = yuv->shift_x};
    vi_capture_arrived(capture);
    for (int row = 0; row < image->height; row++) {
        uint8_t *to = image->pixels + row * image->stride;
        line.y = yuv->y + row * yuv->y_stride;
        if (!yuv->u || !yuv->v) {
            gray_row(to, line.y, line.width, w);
            continue;
        }
        line.u = yuv->u + (row >> yuv->shift_y) * yuv->uv_stride;
        line.v = yuv->v + (row >> yuv->shift_y) * yuv->uv_stride;
        if (yuv->y_step == 2)
            color_row(to, line, w, 2, 4);
        else if (yuv->uv_step == 2)
            color_row(to, line, w, 1, 2);
        else
            color_row(to, line, w, 1, 1);
    }
}
