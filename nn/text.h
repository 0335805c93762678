/* text.h — what the engine's own files share about text; nn.h has the public part. */
#ifndef NN_TEXT_H
#define NN_TEXT_H

#include "nn/nn.h"

/* Writes `code` (a scalar value: no surrogate, at most U+10FFFF) as UTF-8; returns its size. */
size_t nn_utf8_encode(char bytes[4], uint32_t code);

#endif
