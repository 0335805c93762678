/*
 * dropout.c — which elements are dropped is a function of (key, stream, position), by definition.
 *
 * One call of Philox gives 128 bits: 16 for each of eight neighbouring elements, the low half of a
 * word before its high half. An element is dropped with probability threshold / 65536. Since
 * nothing is remembered, backward draws the same numbers again instead of keeping a mask.
 */
#include "nn/nn.h"
#include "nn/kernels/kernels.h"

static void dropout(float *y, const float *x, size_t count, const struct nn_dropout_draw *draw)
{
    uint32_t bits[4] = {0};
    for (size_t i = 0; i < count; i++) {
        uint64_t element = draw->first + i;
        unsigned place = (unsigned)(element % 8);
        if (i == 0 || place == 0) nn_philox(bits, draw->key, element / 8, draw->stream);
        uint32_t number = bits[place / 2] >> (place % 2 ? 16 : 0) & 0xffff;
        y[i] = number >= draw->threshold ? x[i] * draw->scale : 0.0f;
    }
}

void nn_dropout_scalar(struct nn_kernels *table)
{
    table->dropout = dropout;
}
