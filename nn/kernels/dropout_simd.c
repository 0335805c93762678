/*
 * dropout_simd.c — dropout.c with one Philox counter per lane; the same bits.
 *
 * VF_WIDTH counters give 8 VF_WIDTH elements: a block. After the rounds, lane l of word[i] holds
 * word i of its counter, but the stream wants the four words of a counter side by side.
 * vu_transpose4 does that within groups of four lanes: lane i of group g goes to group g of
 * word[i]. So lane i of group g is given counter i * (VF_WIDTH / 4) + g, and the four vectors come
 * out in the order of the stream.
 */
#include "nn/nn.h"
#include "nn/kernels/kernels.h"
#include "nn/kernels/simd.h"

enum { BLOCK = 8 * VF_WIDTH, ROUNDS = 10 };

/* What is the same in all blocks of a call. */
struct setup {
    vu lane; /* counter of each lane, from the block's first */
    vu stream[2];
    vf scale;
    uint32_t key[ROUNDS][2]; /* bumped for each round, as in nn_philox */
    uint16_t threshold;
};

static struct setup setup_of(const struct nn_dropout_draw *draw)
{
    struct setup s;
    uint32_t lane[VF_WIDTH];
    for (uint32_t l = 0; l < VF_WIDTH; l++) lane[l] = l % 4 * (VF_WIDTH / 4) + l / 4;
    s.lane = vu_load(lane);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        s.key[round][0] = (uint32_t)draw->key + round * 0x9E3779B9u;
        s.key[round][1] = (uint32_t)(draw->key >> 32) + round * 0xBB67AE85u;
    }
    s.stream[0] = vu_set1((uint32_t)draw->stream);
    s.stream[1] = vu_set1((uint32_t)(draw->stream >> 32));
    s.threshold = (uint16_t)draw->threshold;
    s.scale = vf_set1(draw->scale);
    return s;
}

/* nn_philox in lanes: counters from `counter` on, of which only the low words may differ. */
static inline void philox(vu word[4], const struct setup *s, uint64_t counter)
{
    const vu multiplier[2] = {vu_set1(0xD2511F53u), vu_set1(0xCD9E8D57u)};
    vu c0 = vu_add(vu_set1((uint32_t)counter), s->lane), c1 = vu_set1((uint32_t)(counter >> 32));
    vu c2 = s->stream[0], c3 = s->stream[1];
    for (int round = 0; round < ROUNDS; round++) {
        vu high0, low0, high1, low1;
        vu_mul_wide(&high0, &low0, multiplier[0], c0);
        vu_mul_wide(&high1, &low1, multiplier[1], c2);
        c0 = vu_xor(vu_xor(high1, c1), vu_set1(s->key[round][0]));
        c2 = vu_xor(vu_xor(high0, c3), vu_set1(s->key[round][1]));
        c1 = low1;
        c3 = low0;
    }
    word[0] = c0;
    word[1] = c1;
    word[2] = c2;
    word[3] = c3;
}

static inline void block(float *y, const float *x, const struct setup *s, uint64_t counter)
{
    vu word[4];
    philox(word, s, counter);
    vu_transpose4(word);
    for (int i = 0; i < 4; i++) {
        vm kept[2];
        vu_ge16(kept, word[i], s->threshold);
        for (int half = 0; half < 2; half++) {
            int at = (2 * i + half) * VF_WIDTH;
            vf_store(y + at, vf_keep(kept[half], vf_mul(vf_load(x + at), s->scale)));
        }
    }
}

static void dropout(float *y, const float *x, size_t count, const struct nn_dropout_draw *draw)
{
    if (draw->threshold > UINT16_MAX) { /* no 16-bit number reaches it */
        for (size_t i = 0; i < count; i++) y[i] = 0.0f;
        return;
    }
    const struct setup s = setup_of(draw);
    uint64_t element = draw->first;
    while (count) {
        uint64_t counter = element / 8;
        size_t skipped = (size_t)(element % 8);
        /* Where the low word would carry into the high one, only the first counter is right. */
        size_t room = (uint32_t)counter > UINT32_MAX - VF_WIDTH ? 8 : BLOCK;
        size_t done = room - skipped < count ? room - skipped : count;
        if (done == BLOCK) {
            block(y, x, &s, counter);
        } else {
            float part[BLOCK] = {0.0f};
            for (size_t i = 0; i < done; i++) part[skipped + i] = x[i];
            block(part, part, &s, counter);
            for (size_t i = 0; i < done; i++) y[i] = part[skipped + i];
        }
        y += done;
        x += done;
        element += done;
        count -= done;
    }
}

void NN_LEVEL_NAME(nn_dropout)(struct nn_kernels *table)
{
    table->dropout = dropout;
}
