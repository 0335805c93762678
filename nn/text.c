/*
 * text.c — text that grows, and UTF-8.
 */
#include "nn/nn.h"
#include "nn/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- UTF-8 ------------------------------------------------------------------------------- */

size_t nn_utf8_size(const void *bytes, size_t size)
{
    const unsigned char *b = bytes;
    if (size == 0) return 0;
    if (b[0] < 0x80) return 1;
    size_t need = b[0] >= 0xC2 && b[0] <= 0xDF   ? 2
                  : b[0] >= 0xE0 && b[0] <= 0xEF ? 3
                  : b[0] >= 0xF0 && b[0] <= 0xF4 ? 4
                                                 : 0;
    if (need == 0 || size < need) return 0;
    /* The first byte narrows the second: this is what rules out overlong forms (E0, F0),
     * surrogates (ED) and codes over U+10FFFF (F4). */
    unsigned low = b[0] == 0xE0 ? 0xA0 : b[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = b[0] == 0xED ? 0x9F : b[0] == 0xF4 ? 0x8F : 0xBF;
    if (b[1] < low || b[1] > high) return 0;
    for (size_t i = 2; i < need; i++)
        if ((b[i] & 0xC0) != 0x80) return 0;
    return need;
}

size_t nn_utf8_encode(char bytes[4], uint32_t code)
{
    unsigned char *b = (unsigned char *)bytes;
    if (code < 0x80) {
        b[0] = (unsigned char)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6) b[i] = (unsigned char)(0x80 | (code & 0x3F));
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    b[0] = (unsigned char)(lead[size] | code);
    return size;
}

/* ---- quoting for messages ------------------------------------------------------------------ */

/* Size of the character at `text` and whether a terminal may see it as it is. C1 controls
 * (U+0080 .. U+009F, bytes C2 80 .. C2 9F) can start escape sequences as C0 ones can. */
static size_t character(const char *text, size_t size, bool *plain)
{
    const unsigned char *b = (const unsigned char *)text;
    size_t length = nn_utf8_size(text, size);
    *plain = length > 2 || (length == 2 && !(b[0] == 0xC2 && b[1] < 0xA0)) ||
             (length == 1 && b[0] >= 0x20 && b[0] != 0x7F);
    return length ? length : 1;
}

char *nn_quote(char quoted[NN_QUOTED], const char *text)
{
    enum { ESCAPED = 4, ROOM = NN_QUOTED - 1 - 2 - 3 }; /* NUL, two quotes, three dots */
    size_t size = strlen(text), width = 0, step, at;
    bool plain;
    for (at = 0; at < size; at += step) {
        step = character(text + at, size - at, &plain);
        width += plain ? step : ESCAPED * step;
    }
    bool shortened = width > ROOM;
    for (at = 0; width > ROOM; at += step) {
        step = character(text + at, size - at, &plain);
        width -= plain ? step : ESCAPED * step;
    }
    char *out = quoted;
    *out++ = '\'';
    for (int i = 0; shortened && i < 3; i++) *out++ = '.';
    for (; at < size; at += step) {
        step = character(text + at, size - at, &plain);
        for (size_t i = 0; i < step; i++) {
            if (plain)
                *out++ = text[at + i];
            else
                out += snprintf(out, ESCAPED + 1, "\\x%02X", (unsigned)(unsigned char)text[at + i]);
        }
    }
    *out++ = '\'';
    *out = '\0';
    return quoted;
}

/* ---- text that grows ----------------------------------------------------------------------- */

/* Makes room for `more` bytes and the closing NUL; doubling keeps appending linear. */
static bool reserve(struct nn_text *text, size_t more)
{
    if (text->failed) return false;
    if (more < text->capacity - text->size) return true;
    if (more > SIZE_MAX / 4 || text->size > SIZE_MAX / 4) {
        (void)nn_fail(text->context, NN_ERROR_MEMORY, "a text of %zu more bytes is too long", more);
        text->failed = true;
        return false;
    }
    size_t need = text->size + more + 1, capacity = text->capacity * 2;
    if (capacity < need) capacity = need;
    if (capacity < 64) capacity = 64;
    char *data = nn_realloc(text->context, text->data, capacity, 1);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void nn_text_append(struct nn_text *text, const char *bytes, size_t size)
{
    if (!reserve(text, size)) return;
    if (size) memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void nn_text_printf(struct nn_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0) { /* only an encoding error of %ls or a result over INT_MAX gets here */
        if (!text->failed)
            (void)nn_fail(text->context, NN_ERROR_ARGUMENT, "cannot format '%s'", format);
        text->failed = true;
        return;
    }
    if (!reserve(text, (size_t)size)) return;
    va_start(arguments, format);
    vsnprintf(text->data + text->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)size;
}

void nn_text_json_string(struct nn_text *text, const char *string)
{
    size_t size = strlen(string), step;
    nn_text_append(text, "\"", 1);
    for (size_t at = 0; at < size; at += step) {
        unsigned char c = (unsigned char)string[at];
        step = nn_utf8_size(string + at, size - at);
        if (step == 0) {
            nn_text_append(text, "\xEF\xBF\xBD", 3); /* U+FFFD, the replacement character */
            step = 1;
        } else if (c == '"' || c == '\\') {
            nn_text_append(text, c == '"' ? "\\\"" : "\\\\", 2);
        } else if (c == '\n' || c == '\t' || c == '\r') {
            nn_text_append(text, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r", 2);
        } else if (c < 0x20 || c == 0x7F) {
            nn_text_printf(text, "\\u%04x", (unsigned)c);
        } else {
            nn_text_append(text, string + at, step);
        }
    }
    nn_text_append(text, "\"", 1);
}

void nn_text_free(struct nn_text *text)
{
    nn_free(text->context, text->data);
    text->data = NULL;
    text->size = text->capacity = 0;
    text->failed = false;
}
