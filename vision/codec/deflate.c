/*
 * deflate.c — compression for PNG: RFC 1951 with the fixed code, in the wrapper of RFC 1950.
 *
 * One block. Repetitions are found through chains of earlier places with the same three bytes;
 * all memory is asked for before the first byte, so that there is one way to fail.
 */
#include "vision/codec/codec.h"

#include <string.h>

enum {
    WINDOW = 32768, /* how far back a match may begin */
    HASH_BITS = 15,
    MIN_MATCH = 3,
    MAX_MATCH = 258,
    MAX_CHAIN = 32, /* places tried: more are slower, and hardly smaller */
    END_OF_BLOCK = 256,
    SYMBOLS = 286,
    DISTANCES = 30
};

struct deflate {
    const uint8_t *from;
    size_t size;
    uint8_t *to;
    size_t made;
    uint32_t bits; /* not yet written, lowest first */
    int count;
    int32_t *head; /* [1 << HASH_BITS] last place of a hash, -1 if none */
    int32_t *prev; /* [WINDOW] the place before it, by place modulo WINDOW */
    uint16_t code[SYMBOLS], distance[DISTANCES];
    uint8_t length[SYMBOLS]; /* of a code, in bits */
};

static void put_bits(struct deflate *d, uint32_t value, int count)
{
    d->bits |= value << d->count;
    d->count += count;
    while (d->count >= 8) {
        d->to[d->made++] = (uint8_t)d->bits;
        d->bits >>= 8;
        d->count -= 8;
    }
}

/* Huffman codes go out highest bit first (3.1.1). */
static uint16_t turned(uint32_t code, int count)
{
    uint32_t reversed = 0;
    for (int i = 0; i < count; i++) reversed |= (code >> i & 1) << (count - 1 - i);
    return (uint16_t)reversed;
}

/* The fixed code of 3.2.6, ready to go out. */
static void make_codes(struct deflate *d)
{
    for (int symbol = 0; symbol < SYMBOLS; symbol++) {
        uint32_t s = (uint32_t)symbol;
        int length = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
        uint32_t code = symbol < 144   ? 0x30 + s
                        : symbol < 256 ? 0x190 + s - 144
                        : symbol < 280 ? s - 256
                                       : 0xc0 + s - 280;
        d->code[symbol] = turned(code, length);
        d->length[symbol] = (uint8_t)length;
    }
    for (int i = 0; i < DISTANCES; i++) d->distance[i] = turned((uint32_t)i, 5);
}

static void put_symbol(struct deflate *d, int symbol)
{
    put_bits(d, d->code[symbol], d->length[symbol]);
}

/* Lengths and distances of 3.2.5: symbol i stands for base[i] .. base[i+1]-1. */
static void put_match(struct deflate *d, int length, int distance)
{
    static const uint16_t lengths[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                         15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                         67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint16_t distances[DISTANCES] = {
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    int i = 28, j = 29;
    while (lengths[i] > length) i--;
    while (distances[j] > distance) j--;
    put_symbol(d, 257 + i);
    if (i >= 8 && i < 28) put_bits(d, (uint32_t)(length - lengths[i]), i / 4 - 1);
    put_bits(d, d->distance[j], 5);
    if (j >= 4) put_bits(d, (uint32_t)(distance - distances[j]), j / 2 - 1);
}

static uint32_t hash_at(const uint8_t *p)
{
    uint32_t three = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    return three * UINT32_C(2654435761) >> (32 - HASH_BITS); /* Knuth's multiplicative hash */
}

static void remember(struct deflate *d, size_t at)
{
    if (d->size - at < MIN_MATCH) return;
    uint32_t hash = hash_at(d->from + at);
    d->prev[at % WINDOW] = d->head[hash];
    d->head[hash] = (int32_t)at;
}

/* Longest earlier run of the bytes at `at`; 0 when there is none of three bytes. */
static int find_match(const struct deflate *d, size_t at, int *distance)
{
    size_t room = d->size - at;
    int best = 0, limit = room < MAX_MATCH ? (int)room : MAX_MATCH;
    if (limit < MIN_MATCH) return 0;
    const uint8_t *here = d->from + at;
    int32_t place = d->head[hash_at(here)];
    for (int tries = MAX_CHAIN; place >= 0 && tries > 0; tries--) {
        size_t back = at - (size_t)place;
        if (back > WINDOW) break;
        const uint8_t *there = d->from + place;
        int length = 0;
        /* Longer than the best one so far only if it has the byte at which that ended. */
        if (here[best] == there[best])
            while (length < limit && here[length] == there[length]) length++;
        if (length > best) {
            best = length;
            *distance = (int)back;
            if (best == limit) break;
        }
        place = d->prev[(size_t)place % WINDOW];
        /* An older place than the window remembers was overwritten by a newer one. */
        if (place >= 0 && (size_t)place >= at - back) break;
    }
    return best >= MIN_MATCH ? best : 0;
}

static uint32_t adler32(const uint8_t *bytes, size_t size)
{
    uint32_t a = 1, b = 0;
    while (size) {
        size_t run = size < 5552 ? size : 5552; /* the most before b could overflow (zlib) */
        size -= run;
        while (run--) {
            a += *bytes++;
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    return b << 16 | a;
}

static void compress(struct deflate *d)
{
    make_codes(d);
    d->to[d->made++] = 0x78; /* deflate, window of 32 kB */
    d->to[d->made++] = 0x5e; /* fast; makes both bytes a multiple of 31 */
    put_bits(d, 1, 1);       /* the last block */
    put_bits(d, 1, 2);       /* fixed code */
    for (size_t at = 0; at < d->size;) {
        int distance = 0, length = find_match(d, at, &distance);
        if (length)
            put_match(d, length, distance);
        else
            put_symbol(d, d->from[at]);
        size_t next = at + (size_t)(length ? length : 1);
        while (at < next) remember(d, at++);
    }
    put_symbol(d, END_OF_BLOCK);
    put_bits(d, 0, 7); /* fills the last byte */
    uint32_t sum = adler32(d->from, d->size);
    for (int shift = 24; shift >= 0; shift -= 8) d->to[d->made++] = (uint8_t)(sum >> shift);
}

uint8_t *vi_deflate(struct nn_context *context, const uint8_t *from, size_t from_size, size_t *size)
{
    struct deflate d = {.from = from, .size = from_size};
    *size = 0;
    if (from_size > INT32_MAX / 2) return NULL;
    /* No byte takes more than 9 bits; 2 + 4 bytes of wrapper, 3 + 7 bits around the block. */
    d.to = nn_alloc(context, from_size + from_size / 8 + 64, 1);
    d.head = nn_alloc(context, 1 << HASH_BITS, sizeof *d.head);
    d.prev = nn_alloc(context, WINDOW, sizeof *d.prev);
    if (d.to && d.head && d.prev) {
        memset(d.head, 0xff, sizeof *d.head << HASH_BITS);
        compress(&d);
        *size = d.made;
    } else {
        nn_free(context, d.to);
        d.to = NULL;
    }
    nn_free(context, d.prev);
    nn_free(context, d.head);
    return d.to;
}
