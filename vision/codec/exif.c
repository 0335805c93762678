/*
 * exif.c — how the camera was held: the orientation in Exif data (JEITA CP-3451, section 4.6.4),
 * which are a TIFF file without a picture (TIFF 6.0, section 2):
 *
 *     "II" or "MM" (little or big endian), 42 (2 bytes), offset of the first directory (4 bytes)
 *     directory: number of entries (2), then for each: tag (2), type (2), count (4), value (4)
 *
 * A directory may lie anywhere and promise more entries than there are. Whatever is odd means
 * "as stored": this is a note beside the picture, and no viewer refuses a picture over it.
 */
#include "vision/codec/codec.h"

static uint32_t get16(const uint8_t *bytes, bool little)
{
    return little ? (uint32_t)bytes[1] << 8 | bytes[0] : vi_be16(bytes);
}

static uint32_t get32(const uint8_t *bytes, bool little)
{
    return little ? get16(bytes + 2, true) << 16 | get16(bytes, true) : vi_be32(bytes);
}

int vi_exif_orientation(const uint8_t *bytes, size_t size)
{
    enum { HEADER = 8, ENTRY = 12, ORIENTATION = 0x0112, SHORT = 3 };
    if (size < HEADER + 2 || bytes[0] != bytes[1] || (bytes[0] != 'I' && bytes[0] != 'M')) return 0;
    bool little = bytes[0] == 'I';
    size_t at = get32(bytes + 4, little);
    if (get16(bytes + 2, little) != 42 || at > size - 2) return 0;
    uint32_t entries = get16(bytes + at, little);
    for (at += 2; entries > 0 && size - at >= ENTRY; entries--, at += ENTRY) {
        const uint8_t *entry = bytes + at;
        if (get16(entry, little) != ORIENTATION) continue;
        uint32_t value = get16(entry + 8, little);
        bool fit = get16(entry + 2, little) == SHORT && get32(entry + 4, little) == 1;
        return fit && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 0;
}
