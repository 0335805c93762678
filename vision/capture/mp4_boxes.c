/*
 * mp4_boxes.c — the boxes that MP4 and QuickTime files are made of: size, four letters, body; some
 * bodies are boxes again.
 */
#include "vision/capture/mp4.h"
#include "vision/codec/codec.h"

#include <stdarg.h>
#include <stdio.h>

const char *vi_mp4_letters(char text[5], uint32_t type)
{
    for (int i = 0; i < 4; i++) {
        uint8_t c = (uint8_t)(type >> (24 - 8 * i));
        text[i] = (char)(c >= ' ' && c < 127 ? c : '?');
    }
    text[4] = '\0';
    return text;
}

void vi_mp4_damaged(struct vi_mp4_parser *parser, const uint8_t *at, const char *format, ...)
{
    char text[256];
    va_list arguments;
    if (parser->status) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    uint64_t offset = parser->offset + (uint64_t)(at - parser->bytes);
    parser->status = nn_fail(parser->context, NN_ERROR_FORMAT, "%s: damaged MP4 at byte %llu: %s",
                             parser->name, (unsigned long long)offset, text);
}

/* ---- boxes inside of the movie --------------------------------------------------------------- */

bool vi_mp4_take_box(struct vi_mp4_parser *parser, struct vi_mp4_span *rest, uint32_t *type,
                     struct vi_mp4_span *body)
{
    char text[5];
    if (parser->status || rest->size == 0) return false;
    if (rest->size < 8) {
        /* QuickTime ends some lists of boxes with a zero. */
        for (size_t i = 0; i < rest->size; i++)
            if (rest->at[i])
                vi_mp4_damaged(parser, rest->at, "%zu bytes where a box should be", rest->size);
        return false;
    }
    uint64_t size = vi_be32(rest->at), header = 8;
    *type = vi_be32(rest->at + 4);
    if (size == 1) {
        header = 16;
        size = rest->size < header ? 0 : vi_mp4_be64(rest->at + 8);
    } else if (size == 0) {
        size = rest->size;
    }
    if (size < header || size > rest->size) {
        vi_mp4_damaged(parser, rest->at, "box '%s' of %llu bytes, where %zu are left",
                       vi_mp4_letters(text, *type), (unsigned long long)size, rest->size);
        return false;
    }
    *body = (struct vi_mp4_span){rest->at + header, (size_t)(size - header)};
    rest->at += size;
    rest->size -= (size_t)size;
    return true;
}

bool vi_mp4_find_box(struct vi_mp4_parser *parser, struct vi_mp4_span parent, uint32_t type,
                     struct vi_mp4_span *body)
{
    uint32_t found;
    while (vi_mp4_take_box(parser, &parent, &found, body))
        if (found == type) return true;
    return false;
}

bool vi_mp4_need_box(struct vi_mp4_parser *parser, struct vi_mp4_span parent, uint32_t type,
                     size_t least, struct vi_mp4_span *body)
{
    char text[5];
    if (vi_mp4_find_box(parser, parent, type, body)) {
        if (body->size >= least) return true;
        vi_mp4_damaged(parser, body->at, "box '%s' has %zu bytes, expected at least %zu",
                       vi_mp4_letters(text, type), body->size, least);
    }
    vi_mp4_damaged(parser, parent.at, "box '%s' is missing", vi_mp4_letters(text, type));
    return false;
}

bool vi_mp4_file_box(struct vi_stream *stream, uint64_t at, uint32_t *type, uint64_t *body,
                     uint64_t *end)
{
    uint8_t header[16];
    uint64_t file = vi_stream_size(stream);
    if (!vi_stream_seek(stream, at) || vi_stream_read(stream, header, 8) < 8) return false;
    uint64_t size = vi_be32(header), head = 8;
    *type = vi_be32(header + 4);
    if (size == 1) {
        if (vi_stream_read(stream, header + 8, 8) < 8) return false;
        size = vi_mp4_be64(header + 8);
        head = 16;
    } else if (size == 0) {
        size = file > at ? file - at : 0;
    }
    *body = at + head;
    *end = size > UINT64_MAX - at ? UINT64_MAX : at + size;
    return size >= head;
}
