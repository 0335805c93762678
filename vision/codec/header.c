/* header.c — what kind of file is this, and does its structure hold together? */
#include "vision/codec/codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum nn_status vi_source_fail(const struct vi_source *source, enum nn_status status,
                              const char *format, ...)
{
    char name[NN_QUOTED], message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!source->name) return nn_fail(source->context, status, "%s", message);
    return nn_fail(source->context, status, "%s: %s", nn_quote(name, source->name), message);
}

/* Beginnings of files that are often found among pictures, to say what one is. */
static const struct signature {
    size_t offset, size;
    const char *bytes, *name;
} signatures[] = {
    {0, 4, "GIF8", "GIF"},
    {0, 2, "BM", "BMP"},
    {8, 4, "WEBP", "WebP"},
    {0, 4, "II*\0", "TIFF"},
    {0, 4, "MM\0*", "TIFF"},
    {4, 8, "ftypavif", "AVIF"},
    {4, 8, "ftypheic", "HEIC"},
    {4, 8, "ftypmif1", "HEIF"},
    {4, 4, "ftyp", "MP4 or QuickTime"},
    {0, 2, "\377\012", "JPEG XL"},
    {4, 4, "JXL ", "JPEG XL"},
    {4, 4, "jP  ", "JPEG 2000"},
    {0, 4, "\377\117\377\121", "JPEG 2000"},
    {0, 4, "\0\0\1\0", "ICO"},
    {0, 4, "8BPS", "Photoshop"},
    {0, 4, "%PDF", "PDF"},
    {0, 4, "PK\3\4", "zip"},
    {0, 4, "<svg", "SVG"},
    {0, 5, "<?xml", "XML"},
    {0, 9, "<!DOCTYPE", "a web page"},
    {0, 5, "<html", "a web page"},
    {0, 7, "version", "a Git LFS pointer"},
};

static enum nn_status fail_unknown(const struct vi_source *source)
{
    char hex[16] = "";
    size_t shown = source->size < 4 ? source->size : 4;
    for (size_t i = 0; i < shown; i++)
        sprintf(hex + 3 * i, i + 1 < shown ? "%02X " : "%02X", source->bytes[i]);
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const struct signature *s = &signatures[i];
        if (source->size >= s->offset + s->size &&
            memcmp(source->bytes + s->offset, s->bytes, s->size) == 0)
            return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                                  "not a JPEG, PNG, PGM or PPM (begins %s: %s)", hex, s->name);
    }
    return vi_source_fail(source, NN_ERROR_FORMAT, "not a JPEG, PNG, PGM or PPM (begins %s)", hex);
}

enum nn_status vi_inspect(struct vi_layout *layout, const struct vi_source *source, bool whole)
{
    *layout = (struct vi_layout){0};
    if (source->size == 0) return vi_source_fail(source, NN_ERROR_FORMAT, "empty file");
    if (vi_is_png(source)) return vi_png_inspect(layout, source, whole);
    if (vi_is_jpeg(source)) return vi_jpeg_inspect(layout, source, whole);
    if (vi_is_pnm(source)) return vi_pnm_inspect(layout, source, whole);
    return fail_unknown(source);
}

enum nn_status vi_decode_header(struct vi_header *header, struct nn_context *context,
                                const void *bytes, size_t size, const char *name)
{
    struct vi_source source = {context, bytes, size, name, NULL};
    struct vi_layout layout;
    enum nn_status status = vi_inspect(&layout, &source, false);
    *header = layout.header;
    if (layout.orientation > 4) {
        header->width = layout.header.height;
        header->height = layout.header.width;
    }
    return status;
}
