/*
 * y4m.c — YUV4MPEG2: planes of luma and chroma behind lines of text. ITU-R BT.601 of limited range,
 * which is what readers suppose, chroma at half the resolution each way and in the middle of its
 * four pixels ("420jpeg").
 */
#include "vision/record/record.h"

#include <stdio.h>
#include <string.h>

static const char frame_line[] = "FRAME\n";

struct y4m {
    uint8_t *frame; /* as it is written, its line included */
    size_t size;
};

static enum nn_status start(struct vi_recorder *recorder)
{
    char line[160];
    struct y4m *y4m = nn_alloc(recorder->context, 1, sizeof *y4m);
    size_t width = (size_t)recorder->width, height = (size_t)recorder->height;
    recorder->state = y4m;
    if (!y4m) return NN_ERROR_MEMORY;
    y4m->size = sizeof frame_line - 1 + width * height + 2 * ((width + 1) / 2 * ((height + 1) / 2));
    y4m->frame = nn_alloc(recorder->context, y4m->size, 1);
    if (!y4m->frame) return NN_ERROR_MEMORY;
    memcpy(y4m->frame, frame_line, sizeof frame_line - 1);
    int size = snprintf(line, sizeof line,
                        "YUV4MPEG2 W%d H%d F%u:%u Ip A1:1 C420jpeg XYSCSS=420JPEG "
                        "XCOLORRANGE=LIMITED\n",
                        recorder->width, recorder->height, recorder->rate, recorder->scale);
    return vi_output_put(&recorder->output, line, (size_t)size);
}

/* Y = 16 + 219/255 (0.299 R + 0.587 G + 0.114 B), 16 bits behind the point. */
static void luma_row(uint8_t *restrict to, const uint8_t *restrict from, int width)
{
    for (int x = 0; x < width; x++, from += 3)
        to[x] = (uint8_t)((from[0] * 16829 + from[1] * 33039 + from[2] * 6416 + (33 << 15)) >> 16);
}

/* Cb = 128 + 224/255 (B - Y') / 1.772, Cr = 128 + 224/255 (R - Y') / 1.402, of the mean of two
 * pixels in each of two rows; an odd last column counts twice. */
static void chroma_row(uint8_t *cb, uint8_t *cr, const uint8_t *a, const uint8_t *b, int width)
{
    for (int x = 0; x < width; x += 2, a += 6, b += 6) {
        int right = x + 1 < width ? 3 : 0, sum[3];
        for (int c = 0; c < 3; c++) sum[c] = a[c] + a[right + c] + b[c] + b[right + c];
        *cb++ = (uint8_t)((sum[0] * -9714 + sum[1] * -19070 + sum[2] * 28784 + (257 << 17)) >> 18);
        *cr++ = (uint8_t)((sum[0] * 28784 + sum[1] * -24103 + sum[2] * -4681 + (257 << 17)) >> 18);
    }
}

static enum nn_status put_frame(struct vi_recorder *recorder)
{
    struct y4m *y4m = recorder->state;
    enum nn_status status = vi_output_put(&recorder->output, y4m->frame, y4m->size);
    return status ? status : vi_output_commit(&recorder->output);
}

static enum nn_status write_picture(struct vi_recorder *recorder, const struct vi_image *image,
                                    double seconds)
{
    struct y4m *y4m = recorder->state;
    int width = image->width, height = image->height, half = (width + 1) / 2;
    uint8_t *luma = y4m->frame + sizeof frame_line - 1;
    uint8_t *cb = luma + (size_t)width * (size_t)height;
    uint8_t *cr = cb + (size_t)half * (size_t)((height + 1) / 2);
    (void)seconds;
    for (int y = 0; y < height; y++, luma += width)
        luma_row(luma, image->pixels + y * image->stride, width);
    for (int y = 0; y < height; y += 2, cb += half, cr += half) {
        const uint8_t *a = image->pixels + y * image->stride;
        chroma_row(cb, cr, a, y + 1 < height ? a + image->stride : a, width);
    }
    return put_frame(recorder);
}

static void release(struct vi_recorder *recorder)
{
    struct y4m *y4m = recorder->state;
    if (y4m) nn_free(recorder->context, y4m->frame);
    nn_free(recorder->context, y4m);
}

const struct vi_recorder_kind vi_recorder_y4m = {.format = "y4m",
                                                 .codec = "",
                                                 .ending = ".y4m",
                                                 .steady = true,
                                                 .start = start,
                                                 .write = write_picture,
                                                 .repeat = put_frame,
                                                 .release = release};
