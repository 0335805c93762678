/*
 * pnm.c — binary PGM ("P5") and PPM ("P6"), what tools of the trade write when nothing shall come
 * between the pixels and the reader. Source: the Netpbm manual pages pgm(5) and ppm(5).
 *
 *     P6 # comments run to the end of a line
 *     300 200 255 <one blank> rows of RGB samples, two bytes each (big endian) when maxval > 255
 */
#include "vision/codec/codec.h"

bool vi_is_pnm(const struct vi_source *source)
{
    const uint8_t *b = source->bytes;
    return source->size > 2 && b[0] == 'P' && (b[1] == '5' || b[1] == '6') &&
           (b[2] == ' ' || b[2] == '\n' || b[2] == '\r' || b[2] == '\t' || b[2] == '#');
}

/* The next number of the header, at most `most`; -1: there is none. */
static int64_t read_number(const struct vi_source *source, size_t *at, int64_t most)
{
    const uint8_t *b = source->bytes;
    bool comment = false;
    for (; *at < source->size; ++*at) {
        uint8_t c = b[*at];
        if (c == '#') comment = true;
        if (c == '\n' || c == '\r') comment = false;
        if (!comment && c != ' ' && (c < '\t' || c > '\r')) break;
    }
    int64_t value = -1;
    for (; *at < source->size && b[*at] >= '0' && b[*at] <= '9'; ++*at) {
        value = (value < 0 ? 0 : value * 10) + (b[*at] - '0');
        if (value > most) return -1;
    }
    return value;
}

enum nn_status vi_pnm_inspect(struct vi_layout *layout, const struct vi_source *source, bool whole)
{
    enum { MOST = 65535 };
    size_t at = 2;
    int64_t width = read_number(source, &at, MOST);
    int64_t height = width < 1 ? -1 : read_number(source, &at, MOST);
    int64_t largest = height < 1 ? -1 : read_number(source, &at, MOST);
    if (largest < 1 || at >= source->size)
        return vi_source_fail(source, NN_ERROR_FORMAT,
                              "its header is no PGM's or PPM's: expected width, height, and the "
                              "largest value, each 1 to %d",
                              MOST);
    int channels = source->bytes[1] == '6' ? 3 : 1;
    layout->header = (struct vi_header){channels == 3 ? "ppm" : "pgm", (int)width, (int)height,
                                        channels, largest > 255 ? 16 : 8};
    layout->samples = at + 1;
    layout->largest = (int)largest;
    uint64_t need =
        (uint64_t)width * (uint64_t)height * (uint64_t)channels * (largest > 255 ? 2 : 1);
    if (whole && source->size - layout->samples < need)
        return vi_source_fail(source, NN_ERROR_FORMAT,
                              "the file ends after %zu of %llu bytes of pixels",
                              source->size - layout->samples, (unsigned long long)need);
    return NN_OK;
}

enum nn_status vi_pnm_decode(uint8_t **pixels, const struct vi_source *source,
                             const struct vi_layout *layout, int channels)
{
    const struct vi_header *header = &layout->header;
    size_t count = (size_t)header->width * (size_t)header->height;
    int bytes = header->bits / 8, stored = header->channels;
    const uint8_t *from = source->bytes + layout->samples;
    uint8_t *to = *pixels = nn_alloc(source->context, count, (size_t)channels);
    if (!to) return NN_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++, from += stored * bytes, to += channels)
        for (int c = 0; c < channels; c++) {
            const uint8_t *sample = from + (stored == 3 && c < 3 ? c * bytes : 0);
            int value = bytes == 2 ? (int)vi_be16(sample) : *sample;
            if (layout->largest != 255)
                value = (value * 255 + layout->largest / 2) / layout->largest;
            to[c] = (uint8_t)(c == 3 || value > 255 ? 255 : value);
        }
    return NN_OK;
}
