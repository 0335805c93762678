/*
 * jpeg.c — the structure of a JPEG file (ITU-T T.81, annex B), read before it is decoded.
 *
 * stb_image fills what is missing from a truncated file with grey and says nothing, so the markers
 * are followed to the end here: a file without its end marker is an error.
 */
#include "vision/codec/codec.h"

#include <string.h>

enum marker {
    SOF0 = 0xc0, /* baseline; SOF1 extended, SOF2 progressive, and others up to SOF15 */
    SOF2 = 0xc2,
    DHT = 0xc4, /* three codes of the SOF range mean something else */
    JPG = 0xc8,
    DAC = 0xcc,
    SOF15 = 0xcf,
    RST0 = 0xd0,
    RST7 = 0xd7,
    SOI = 0xd8,
    EOI = 0xd9,
    SOS = 0xda,
    DQT = 0xdb,
    APP1 = 0xe1,
    APP14 = 0xee,
    TEM = 0x01
};

/* A progressive encoder writes about ten scans. Each scan of a few bytes may cost a pass over the
 * whole picture, so that a small file with thousands of them would take hours to decode. */
enum { MAX_SCANS = 200 };

struct walk {
    const struct vi_source *source;
    struct vi_layout *layout;
    size_t at;
    int scans, frame; /* frame: its SOF marker, 0 before */
    int adobe;        /* colour transform of the Adobe segment, -1 without */
    bool quantization, huffman;
};

bool vi_is_jpeg(const struct vi_source *source)
{
    return source->size >= 3 && memcmp(source->bytes, "\377\330\377", 3) == 0;
}

static enum nn_status truncated(const struct walk *walk)
{
    return vi_source_fail(walk->source, NN_ERROR_FORMAT,
                          "truncated JPEG: it ends after %zu bytes without an end marker",
                          walk->source->size);
}

/* Moves behind the next marker, over fill bytes and whatever lies before it; 0 at the end. */
static int next_marker(struct walk *walk)
{
    const uint8_t *bytes = walk->source->bytes;
    size_t size = walk->source->size;
    while (walk->at < size) {
        const uint8_t *found = memchr(bytes + walk->at, 0xff, size - walk->at);
        if (!found) break;
        walk->at = (size_t)(found - bytes) + 1;
        while (walk->at < size && bytes[walk->at] == 0xff) walk->at++;
        if (walk->at == size) break;
        int marker = bytes[walk->at++];
        /* FF 00 is a stuffed FF inside of a scan, and restarts belong to the scan as well. */
        if (marker != 0 && marker != TEM && !(marker >= RST0 && marker <= RST7)) return marker;
    }
    walk->at = size;
    return 0;
}

static const char *coding_of(int marker)
{
    switch (marker) {
    case 0xc3:
        return "lossless";
    case 0xc5:
    case 0xc6:
    case 0xc7:
        return "hierarchical";
    case 0xf7:
        return "JPEG-LS";
    default:
        return "arithmetic";
    }
}

/* B.2.2: precision, height, width, number of components, then three bytes for each. */
static enum nn_status frame_header(struct walk *walk, int marker, const uint8_t *body, size_t size)
{
    const struct vi_source *source = walk->source;
    struct vi_header *header = &walk->layout->header;
    if (walk->frame)
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged JPEG: two frame headers");
    if (size < 6 || size != 6 + 3 * (size_t)body[5])
        return vi_source_fail(source, NN_ERROR_FORMAT,
                              "damaged JPEG: frame header of %zu bytes for %d components", size,
                              size < 6 ? 0 : body[5]);
    *header = (struct vi_header){"jpeg", (int)vi_be16(body + 3), (int)vi_be16(body + 1), body[5],
                                 body[0]};
    walk->frame = marker;
    if (marker > SOF2)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                              "%s JPEG coding is not supported (only baseline and progressive)",
                              coding_of(marker));
    if (header->bits != 8)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                              "%d-bit JPEG is not supported (only 8-bit)", header->bits);
    if (header->height == 0)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                              "JPEG whose height follows the picture is not supported");
    if (header->width == 0) return vi_source_fail(source, NN_ERROR_FORMAT, "damaged JPEG: width 0");
    if (header->channels != 1 && header->channels != 3 && header->channels != 4)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                              "JPEG of %d components is not supported (only 1, 3 and 4)",
                              header->channels);
    return NN_OK;
}

/* Before the first scan all tables must be there, and how four components mean a colour. Four
 * without Adobe's marker are read as inverted ink by some programs (OpenCV), as ink by others
 * (Pillow): we do not guess. */
static enum nn_status check_scan(struct walk *walk)
{
    const struct vi_source *source = walk->source;
    if (!walk->frame)
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged JPEG: a scan before the header");
    if (!walk->quantization || !walk->huffman)
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged JPEG: its %s tables are missing",
                              walk->huffman ? "quantization" : "Huffman");
    if (++walk->scans > MAX_SCANS)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED, "JPEG of more than %d scans",
                              MAX_SCANS);
    if (walk->layout->header.channels == 4 && walk->adobe != 0 && walk->adobe != 2)
        return vi_source_fail(source, NN_ERROR_UNSUPPORTED,
                              "CMYK JPEG that does not say how its inks are stored "
                              "(no Adobe marker)");
    return NN_OK;
}

/* B.2.4.2: tables of a class and number, 16 counts of codes by length, then as many values. More
 * than 256 codes are impossible for bytes, and stb_image 2.27 would write beyond its tables. */
static enum nn_status huffman_tables(struct walk *walk, const uint8_t *body, size_t size)
{
    while (size >= 17) {
        size_t codes = 0;
        for (int i = 1; i <= 16; i++) codes += body[i];
        if (codes > 256 || codes > size - 17) break;
        body += 17 + codes;
        size -= 17 + codes;
    }
    walk->huffman = true;
    if (size == 0) return NN_OK;
    return vi_source_fail(walk->source, NN_ERROR_FORMAT,
                          "damaged JPEG: a Huffman table that cannot be");
}

static enum nn_status segment(struct walk *walk, int marker)
{
    const struct vi_source *source = walk->source;
    if (source->size - walk->at < 2) return truncated(walk);
    size_t length = vi_be16(source->bytes + walk->at);
    if (length < 2)
        return vi_source_fail(source, NN_ERROR_FORMAT,
                              "damaged JPEG: segment FF%02X of %zu bytes at byte %zu", marker,
                              length, walk->at);
    if (source->size - walk->at < length) return truncated(walk);
    const uint8_t *body = source->bytes + walk->at + 2;
    walk->at += length;
    length -= 2;
    if (marker == DQT) walk->quantization = true;
    if (marker == DHT) return huffman_tables(walk, body, length);
    if (marker == APP14 && length >= 12 && memcmp(body, "Adobe", 6) == 0) walk->adobe = body[11];
    /* Exif's segment should be the very first; before the frame header is where it can be found
     * without reading on. XMP's is an APP1, too. */
    if (marker == APP1 && !walk->frame && !walk->layout->orientation && length >= 6 &&
        memcmp(body, "Exif\0\0", 6) == 0)
        walk->layout->orientation = vi_exif_orientation(body + 6, length - 6);
    if (marker == SOS) return check_scan(walk);
    bool frame = marker >= SOF0 && marker <= SOF15 && marker != DHT && marker != JPG;
    if ((frame && marker != DAC) || marker == 0xf7) return frame_header(walk, marker, body, length);
    return NN_OK;
}

enum nn_status vi_jpeg_inspect(struct vi_layout *layout, const struct vi_source *source, bool whole)
{
    struct walk walk = {.source = source, .layout = layout, .at = 2, .adobe = -1};
    layout->header.format = "jpeg";
    for (;;) {
        int marker = next_marker(&walk);
        if (marker == 0) return truncated(&walk);
        if (marker == EOI) break;
        if (marker == SOI)
            return vi_source_fail(source, NN_ERROR_FORMAT,
                                  "damaged JPEG: a second start marker at byte %zu", walk.at);
        enum nn_status status = segment(&walk, marker);
        if (status) return status;
        if (walk.frame && !whole) return NN_OK;
    }
    if (!walk.scans)
        return vi_source_fail(source, NN_ERROR_FORMAT, "damaged JPEG: it holds no picture");
    return NN_OK;
}
