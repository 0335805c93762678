/*
 * text.h — what the engine's own files share about text; nn.h has the public part.
 */
#ifndef NN_TEXT_H
#define NN_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the well-formed UTF-8 sequence at the start of `bytes` (Unicode 15, table 3-7: no
 * overlong forms, no surrogates, nothing over U+10FFFF); 0 when there is none. */
size_t nn_utf8_size(const void *bytes, size_t size);

/* Writes `code` (a scalar value: no surrogate, at most U+10FFFF) as UTF-8; returns its size. */
size_t nn_utf8_encode(char bytes[4], uint32_t code);

enum { NN_QUOTED = 256 };
/* `text` in single quotes for an error message: control characters and bytes that are not UTF-8
 * become \xNN, so that a file name cannot move the cursor of a terminal; of a long text the end
 * is kept. Returns `quoted`. */
char *nn_quote(char quoted[NN_QUOTED], const char *text);

#endif
