/*
 * v4l2_formats.c — the pixels that cameras give: how many bytes a frame must have, and how it
 * becomes RGB.
 *
 * Names and layouts are those of the kernel's documentation ("Image Formats"). All that lies in
 * memory as luma and chroma is read by one loop with steps (frame.c); chroma planes of the planar
 * formats have half the first plane's bytes per row, pairs of NV12 as many as it.
 */
#include "vision/capture/v4l2.h"

#include <string.h>

/* Less work comes first; what loses something (noise of JPEG, colour) last. */
static const struct vi_camera_format formats[] = {
    {"YUYV", false, 0, 1, 0, 2, 4, 0, 1, 3, VI_PACKED},
    {"UYVY", false, 0, 1, 0, 2, 4, 1, 0, 2, VI_PACKED},
    {"YVYU", false, 0, 1, 0, 2, 4, 0, 3, 1, VI_PACKED},
    {"VYUY", false, 0, 1, 0, 2, 4, 1, 2, 0, VI_PACKED},
    {"NV12", false, 0.01f, 1, 1, 1, 2, 0, 0, 1, VI_PAIRS},
    {"NV21", false, 0.01f, 1, 1, 1, 2, 0, 1, 0, VI_PAIRS},
    {"YU12", false, 0.01f, 1, 1, 1, 1, 0, 0, 0, VI_PLANES_UV},
    {"YV12", false, 0.01f, 1, 1, 1, 1, 0, 0, 0, VI_PLANES_VU},
    {"RGB3", false, 0.02f, 0, 0, 0, 0, 0, 0, 0, VI_RGB24},
    {"BGR3", false, 0.02f, 0, 0, 0, 0, 0, 0, 0, VI_BGR24},
    {"MJPG", true, 0.1f, 0, 0, 0, 0, 0, 0, 0, VI_JPEGS},
    {"JPEG", true, 0.1f, 0, 0, 0, 0, 0, 0, 0, VI_JPEGS},
    {"GREY", false, 8, 0, 0, 1, 0, 0, 0, 0, VI_LUMA},
};

uint32_t vi_camera_fourcc(const char name[5])
{
    return (uint32_t)(uint8_t)name[0] | (uint32_t)(uint8_t)name[1] << 8 |
           (uint32_t)(uint8_t)name[2] << 16 | (uint32_t)(uint8_t)name[3] << 24;
}

const struct vi_camera_format *vi_camera_format(uint32_t fourcc)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (vi_camera_fourcc(formats[i].fourcc) == fourcc) return &formats[i];
    return NULL;
}

size_t vi_camera_row(const struct vi_camera_format *format, int width)
{
    size_t columns = (size_t)width;
    switch (format->kind) {
    case VI_JPEGS:
        return 0;
    case VI_RGB24:
    case VI_BGR24:
        return 3 * columns;
    case VI_PACKED:
        return 4 * ((columns + 1) / 2);
    case VI_LUMA:
        return columns;
    default: /* so that half a row is a row of chroma */
        return 2 * ((columns + 1) / 2);
    }
}

/* Planes below the first one: bytes of a row, and how many rows. */
static uint64_t chroma_size(const struct vi_camera_layout *layout)
{
    uint64_t rows = ((uint64_t)layout->height + 1) / 2;
    switch (layout->format->kind) {
    case VI_PAIRS:
        return rows * layout->stride;
    case VI_PLANES_UV:
    case VI_PLANES_VU:
        return 2 * rows * (layout->stride / 2);
    default:
        return 0;
    }
}

uint64_t vi_camera_frame_size(const struct vi_camera_layout *layout)
{
    if (layout->format->compressed) return 0;
    uint64_t chroma = chroma_size(layout), stride = layout->stride,
             height = (uint64_t)layout->height;
    if (chroma) return stride * height + chroma;
    /* The last row may lack its padding. */
    return stride * (height - 1) + vi_camera_row(layout->format, layout->width);
}

static void convert_rgb(struct vi_capture *capture, const struct vi_camera_layout *layout,
                        const uint8_t *bytes)
{
    const struct vi_image *image = &capture->image;
    vi_capture_arrived(capture);
    for (int y = 0; y < image->height; y++)
        memcpy(image->pixels + y * image->stride, bytes + (size_t)y * layout->stride,
               3 * (size_t)image->width);
    if (layout->format->kind == VI_BGR24) vi_swap_red_blue(image);
}

static void convert_yuv(struct vi_capture *capture, const struct vi_camera_layout *layout,
                        const uint8_t *bytes)
{
    const struct vi_camera_format *format = layout->format;
    ptrdiff_t stride = (ptrdiff_t)layout->stride;
    const uint8_t *below = bytes + stride * layout->height;
    struct vi_yuv yuv = {.y = bytes + format->y_at,
                         .y_stride = stride,
                         .uv_stride = stride,
                         .shift_x = format->shift_x,
                         .shift_y = format->shift_y,
                         .y_step = format->y_step,
                         .uv_step = format->uv_step,
                         .full = layout->full};
    if (format->kind == VI_PACKED || format->kind == VI_PAIRS) {
        const uint8_t *chroma = format->kind == VI_PAIRS ? below : bytes;
        yuv.u = chroma + format->u_at;
        yuv.v = chroma + format->v_at;
    } else if (format->kind != VI_LUMA) {
        const uint8_t *second = below + stride / 2 * ((layout->height + 1) / 2);
        yuv.uv_stride = stride / 2;
        yuv.u = format->kind == VI_PLANES_UV ? below : second;
        yuv.v = format->kind == VI_PLANES_UV ? second : below;
    }
    vi_capture_yuv(capture, &yuv);
}

enum nn_status vi_camera_convert(struct vi_capture *capture, const struct vi_camera_layout *layout,
                                 const uint8_t *bytes, size_t size)
{
    const struct vi_camera_format *format = layout->format;
    if (format->kind == VI_JPEGS) return vi_capture_jpeg(capture, bytes, size, NULL);
    if (layout->stride < vi_camera_row(format, layout->width))
        return nn_fail(capture->context, NN_ERROR_FORMAT, "%s: rows of %zu bytes for %d pixels",
                       format->fourcc, layout->stride, layout->width);
    if (size < vi_camera_frame_size(layout))
        return nn_fail(
            capture->context, NN_ERROR_FORMAT, "frame %lld is short: %zu of %llu bytes (%s, %dx%d)",
            (long long)capture->next, size, (unsigned long long)vi_camera_frame_size(layout),
            format->fourcc, layout->width, layout->height);
    enum nn_status status = vi_capture_size(capture, layout->width, layout->height);
    if (status) return status;
    if (format->y_step)
        convert_yuv(capture, layout, bytes);
    else
        convert_rgb(capture, layout, bytes);
    return NN_OK;
}
