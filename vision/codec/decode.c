/* decode.c — from the bytes of a file to the pixels that were asked for. */
#include "vision/codec/codec.h"
#include "vision/orient.h"

#include <string.h>

static const uint64_t default_pixels = UINT64_C(64000000);
static const uint64_t default_bytes = UINT64_C(256) << 20;

static enum nn_status check_limits(const struct vi_source *source, const struct vi_header *header,
                                   const struct vi_decode_options *options)
{
    uint64_t limit = options->max_pixels ? options->max_pixels : default_pixels;
    uint64_t pixels = (uint64_t)header->width * (uint64_t)header->height;
    if (pixels <= limit) return NN_OK;
    return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                          "%dx%d is %.6g megapixels, the limit is %.6g", header->width,
                          header->height, (double)pixels / 1e6, (double)limit / 1e6);
}

/* Colours become grey after decoding, with OpenCV's weights; stb_image has others. */
static enum nn_status make_gray(struct vi_image *image, struct nn_context *context)
{
    struct vi_image gray;
    enum nn_status status = vi_image_new(&gray, context, image->width, image->height, 1);
    if (!status) vi_to_gray(&gray, image);
    vi_image_free(context, image);
    *image = gray;
    return status;
}

static enum nn_status decode_pixels(struct vi_image *image, const struct vi_source *source,
                                    const struct vi_layout *layout, enum vi_color color)
{
    const struct vi_header *header = &layout->header;
    bool stored_gray = header->channels <= 2 && !layout->palette;
    int channels = color == VI_RGBA ? 4 : color == VI_GRAY && stored_gray ? 1 : 3;
    uint8_t *pixels = NULL;
    enum nn_status status = layout->samples ? vi_pnm_decode(&pixels, source, layout, channels)
                                            : vi_stb_decode(&pixels, source, header, channels);
    if (status) return status;
    *image = (struct vi_image){pixels, header->width, header->height, channels,
                               (ptrdiff_t)header->width * channels};
    if (color == VI_BGR) vi_swap_red_blue(image);
    if (color == VI_GRAY && channels == 3) return make_gray(image, source->context);
    return NN_OK;
}

enum nn_status vi_decode_source(struct vi_image *image, const struct vi_source *from,
                                const struct vi_decode_options *options)
{
    static const struct vi_decode_options defaults;
    if (!options) options = &defaults;
    struct vi_source source = *from;
    struct nn_context *context = source.context;
    struct vi_layout layout;
    uint64_t limit = options->max_bytes ? options->max_bytes : default_bytes;
    memset(image, 0, sizeof *image);
    if (source.size > limit)
        return vi_source_fail(&source, NN_ERROR_UNSUPPORTED,
                              "the file has %zu bytes, the limit is %llu", source.size,
                              (unsigned long long)limit);
    /* The limit comes before the full look: a giant is refused by its header alone. */
    enum nn_status status = vi_inspect(&layout, &source, false);
    if (!status) status = check_limits(&source, &layout.header, options);
    if (!status) status = vi_inspect(&layout, &source, true);
    if (status) return status;
    void *padded = NULL;
    size_t padded_size = 0;
    if (layout.palette && layout.palette_colors < (size_t)1 << layout.header.bits) {
        status = vi_png_pad_palette(&padded, &padded_size, &source, &layout);
        source.bytes = padded;
        source.size = padded_size;
    }
    if (!status) status = decode_pixels(image, &source, &layout, options->color);
    nn_free(context, padded);
    if (status || options->as_stored || layout.orientation == 0) return status;
    status = vi_upright(image, context, layout.orientation);
    if (status) vi_image_free(context, image);
    return status;
}

enum nn_status vi_decode(struct vi_image *image, struct nn_context *context, const void *bytes,
                         size_t size, const struct vi_decode_options *options, const char *name)
{
    struct vi_source source = {context, bytes, size, name, NULL};
    return vi_decode_source(image, &source, options);
}

enum nn_status vi_read(struct vi_image *image, struct nn_context *context, const char *path,
                       const struct vi_decode_options *options)
{
    void *bytes = NULL;
    size_t size = 0;
    uint64_t limit = options && options->max_bytes ? options->max_bytes : default_bytes;
    memset(image, 0, sizeof *image);
    enum nn_status status =
        nn_file_read(context, path, limit < SIZE_MAX ? (size_t)limit : SIZE_MAX, &bytes, &size);
    if (status) return status;
    status = vi_decode(image, context, bytes, size, options, path);
    nn_free(context, bytes);
    return status;
}
