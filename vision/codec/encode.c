/* encode.c — from pixels to the bytes of a PNG or JPEG file. */
#include "vision/codec/codec.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

/* "png", "jpeg" or NULL, by the ending. */
static const char *format_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (!dot) return NULL;
    if (strcasecmp(dot, ".png") == 0) return "png";
    if (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0) return "jpeg";
    return NULL;
}

bool vi_can_write(const char *path)
{
    return format_of(path) != NULL;
}

bool vi_is_picture_name(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (format_of(path) || strcasecmp(dot, ".ppm") == 0 ||
                   strcasecmp(dot, ".pgm") == 0 || strcasecmp(dot, ".pnm") == 0);
}

/* stb_image_write, which makes PNG, counts in int; a JPEG's dimensions have 16 bits. */
static enum nn_status check_image(const struct vi_image *image, struct nn_context *context,
                                  bool jpeg)
{
    if (!image->pixels || image->width < 1 || image->height < 1)
        return nn_fail(context, NN_ERROR_ARGUMENT, "cannot write an empty picture");
    if (image->channels != 1 && image->channels != 3 && image->channels != 4)
        return nn_fail(context, NN_ERROR_ARGUMENT,
                       "cannot write a picture of %d channels (only 1, 3 and 4)", image->channels);
    if (jpeg && (image->width > 65535 || image->height > 65535))
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%dx%d is too large for a JPEG (65535x65535)",
                       image->width, image->height);
    if ((double)image->height * ((double)image->width * image->channels + 1) > INT_MAX / 2)
        return nn_fail(context, NN_ERROR_UNSUPPORTED, "%dx%d is too large to be written",
                       image->width, image->height);
    return NN_OK;
}

static enum nn_status encode_jpeg(void **bytes, size_t *size, const struct vi_image *image,
                                  struct nn_context *context, int quality)
{
    struct vi_jpeg_writer writer = {.context = context};
    enum nn_status status = vi_jpeg_encode(&writer, image, quality);
    if (!status) {
        *bytes = writer.bytes;
        *size = writer.size;
        writer.bytes = NULL;
    }
    vi_jpeg_writer_free(&writer);
    return status;
}

static enum nn_status encode_png(void **bytes, size_t *size, const struct vi_image *image,
                                 struct nn_context *context)
{
    struct vi_image packed = {0};
    if (image->stride != (ptrdiff_t)image->width * image->channels) {
        enum nn_status status =
            vi_image_new(&packed, context, image->width, image->height, image->channels);
        if (status) return status;
        vi_image_copy(&packed, image);
        image = &packed;
    }
    enum nn_status status = vi_stb_encode_png(bytes, size, image, context);
    vi_image_free(context, &packed);
    return status;
}

enum nn_status vi_encode(void **bytes, size_t *size, const struct vi_image *image,
                         struct nn_context *context, const char *format, int quality)
{
    bool jpeg = strcmp(format, "jpeg") == 0;
    *bytes = NULL;
    *size = 0;
    if (!jpeg && strcmp(format, "png") != 0)
        return nn_fail(context, NN_ERROR_ARGUMENT, "picture format: expected png or jpeg, got '%s'",
                       format);
    if (quality < 0 || quality > 100)
        return nn_fail(context, NN_ERROR_ARGUMENT, "JPEG quality: expected 1 to 100, got %d",
                       quality);
    enum nn_status status = check_image(image, context, jpeg);
    if (status) return status;
    return jpeg ? encode_jpeg(bytes, size, image, context, quality ? quality : 95)
                : encode_png(bytes, size, image, context);
}

enum nn_status vi_write(const struct vi_image *image, struct nn_context *context, const char *path,
                        int quality)
{
    const char *format = format_of(path);
    struct vi_source named = {.context = context, .name = path};
    void *bytes = NULL;
    size_t size = 0;
    if (!format)
        return vi_source_fail(&named, NN_ERROR_ARGUMENT,
                              "the name of a picture must end in .png, .jpg or .jpeg");
    enum nn_status status = vi_encode(&bytes, &size, image, context, format, quality);
    if (!status) status = nn_file_write(context, path, bytes, size);
    nn_free(context, bytes);
    return status;
}
