/*
 * png.c — the structure of a PNG file (W3C PNG specification, third edition, section 5), read
 * before it is decoded. stb_image does not look at checksums, so they are compared here.
 */
#include "vision/codec/codec.h"

#include <limits.h>
#include <string.h>

/* Length and type before a chunk's data, checksum after it. */
enum { SIGNATURE = 8, BEFORE = 8, AFTER = 4, PALETTE = 256 };

bool vi_is_png(const struct vi_source *source)
{
    return source->size >= SIGNATURE && memcmp(source->bytes, "\211PNG\r\n\032\n", SIGNATURE) == 0;
}

/* CRC-32 of IEEE 802.3, reflected polynomial EDB88320, four bits at a time: entry i is i shifted
 * through four steps of the register. */
static uint32_t crc32(const uint8_t *bytes, size_t size)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                       0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                       0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static enum nn_status truncated(const struct vi_source *source)
{
    return vi_source_fail(source, NN_ERROR_FORMAT,
                          "truncated PNG: it ends after %zu bytes without an IEND chunk",
                          source->size);
}

/* 11.2.1: width, height, bits, colour type, compression, filter, interlace. */
static enum nn_status image_header(struct vi_layout *layout, const struct vi_source *source,
                                   const uint8_t *body)
{
    /* Allowed depths of each colour type, as a sum of the depths. */
    static const int depths[7] = {1 + 2 + 4 + 8 + 16, 0, 8 + 16, 1 + 2 + 4 + 8, 8 + 16, 0, 8 + 16};
    static const int channels[7] = {1, 0, 3, 1, 2, 0, 4};
    uint32_t width = vi_be32(body), height = vi_be32(body + 4);
    int bits = body[8], type = body[9];
    if (width == 0 || height == 0 || width > INT_MAX || height > INT_MAX)
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged PNG: it claims %lux%lu pixels",
                              (unsigned long)width, (unsigned long)height);
    bool power = bits > 0 && (bits & (bits - 1)) == 0;
    if (type > 6 || !power || !(depths[type] & bits))
        return vi_source_fail(source, NN_ERROR_FORMAT,
                              "damaged PNG: there is no colour type %d of %d bits", type, bits);
    if (body[10] || body[11] || body[12] > 1)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                              "PNG with unknown compression %d, filter %d or interlace %d",
                              body[10], body[11], body[12]);
    layout->header = (struct vi_header){"png", (int)width, (int)height, channels[type], bits};
    layout->palette = type == 3;
    return NN_OK;
}

static enum nn_status palette(struct vi_layout *layout, const struct vi_source *source, size_t at,
                              uint32_t length)
{
    if (layout->palette_chunk)
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged PNG: two palettes");
    if (length == 0 || length % 3 || length > 3 * PALETTE)
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged PNG: a palette of %lu bytes",
                              (unsigned long)length);
    layout->palette_chunk = at;
    layout->palette_colors = length / 3;
    return NN_OK;
}

/* One chunk at `at`, known to be complete: checksum, and those that matter here. Chunks whose
 * name begins with a small letter may be ignored, the others must be understood. */
static enum nn_status chunk(struct vi_layout *layout, const struct vi_source *source, size_t at,
                            bool *data)
{
    const uint8_t *bytes = source->bytes + at, *type = bytes + 4;
    uint32_t length = vi_be32(bytes);
    if (type[0] & 0x20) return NN_OK;
    if (crc32(type, 4 + (size_t)length) != vi_be32(bytes + BEFORE + length))
        return vi_source_fail(source, NN_ERROR_FORMAT,
                              "damaged PNG: wrong checksum of the chunk at byte %zu", at);
    if (memcmp(type, "IDAT", 4) == 0) {
        *data = true;
        return NN_OK;
    }
    if (memcmp(type, "PLTE", 4) == 0) return palette(layout, source, at, length);
    if (memcmp(type, "IEND", 4) == 0) return NN_OK;
    return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                          "PNG with an unknown or repeated chunk at byte %zu", at);
}

/* IHDR must be the first chunk; only Apple's CgBI variant, which is no PNG, puts one before it. */
static enum nn_status first_chunk(struct vi_layout *layout, const struct vi_source *source)
{
    enum { END = SIGNATURE + BEFORE + 13 + AFTER };
    const uint8_t *bytes = source->bytes + SIGNATURE;
    if (source->size >= SIGNATURE + BEFORE && memcmp(bytes + 4, "CgBI", 4) == 0)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                              "Apple's CgBI variant of PNG is not supported");
    if (source->size < END) return truncated(source);
    if (vi_be32(bytes) != 13 || memcmp(bytes + 4, "IHDR", 4) != 0)
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged PNG: it has no IHDR chunk");
    if (crc32(bytes + 4, 4 + 13) != vi_be32(bytes + BEFORE + 13))
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged PNG: wrong checksum of the header");
    return image_header(layout, source, bytes + BEFORE);
}

/* An eXIf chunk may stand before the picture's data or behind it, in a file that need not be whole
 * here. A damaged one is left out, as libpng does. */
static int orientation(const struct vi_source *source)
{
    const uint8_t *bytes = source->bytes + SIGNATURE;
    size_t left = source->size - SIGNATURE;
    int found = 0;
    while (!found && left >= BEFORE + AFTER && memcmp(bytes + 4, "IEND", 4) != 0) {
        uint32_t length = vi_be32(bytes);
        if (left - (BEFORE + AFTER) < length) break;
        if (memcmp(bytes + 4, "eXIf", 4) == 0 &&
            crc32(bytes + 4, 4 + (size_t)length) == vi_be32(bytes + BEFORE + length))
            found = vi_exif_orientation(bytes + BEFORE, length);
        bytes += BEFORE + AFTER + (size_t)length;
        left -= BEFORE + AFTER + (size_t)length;
    }
    return found;
}

enum nn_status vi_png_inspect(struct vi_layout *layout, const struct vi_source *source, bool whole)
{
    layout->header.format = "png";
    enum nn_status status = first_chunk(layout, source);
    if (!status) layout->orientation = orientation(source);
    if (status || !whole) return status;
    bool data = false, end = false;
    for (size_t at = SIGNATURE + BEFORE + 13 + AFTER; !end;) {
        if (source->size - at < BEFORE + AFTER) return truncated(source);
        uint32_t length = vi_be32(source->bytes + at);
        if (source->size - at - (BEFORE + AFTER) < length) return truncated(source);
        status = chunk(layout, source, at, &data);
        if (status) return status;
        end = memcmp(source->bytes + at + 4, "IEND", 4) == 0;
        at += BEFORE + AFTER + (size_t)length;
    }
    if (!data || (layout->palette && !layout->palette_chunk))
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged PNG: it has no %s",
                              data ? "palette" : "picture data");
    return NN_OK;
}

enum nn_status vi_png_pad_palette(void **bytes, size_t *size, const struct vi_source *source,
                                  const struct vi_layout *layout)
{
    size_t before = layout->palette_chunk + BEFORE + 3 * layout->palette_colors;
    size_t missing = 3 * (PALETTE - layout->palette_colors);
    if (source->size > SIZE_MAX - missing)
        return vi_source_fail(source, NN_ERROR_MEMORY, "too large for this machine");
    *size = source->size + missing;
    uint8_t *copy = nn_alloc(source->context, *size, 1);
    *bytes = copy;
    if (!copy) return NN_ERROR_MEMORY;
    memcpy(copy, source->bytes, before);
    memcpy(copy + before + missing, source->bytes + before, source->size - before);
    /* The new length is 768; nobody looks at the checksum any more. */
    copy[layout->palette_chunk + 2] = 3 * PALETTE >> 8;
    copy[layout->palette_chunk + 3] = 0;
    return NN_OK;
}
