/*
 * sha256.c — SHA-256 as FIPS 180-4 defines it: section 4.1.2 the functions, 4.2.2 the constants,
 * 5.1.1 the padding, 6.2.2 the rounds. Names follow the standard.
 */
#include "nn/format/sha256.h"

#include <string.h>

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const uint32_t NN_SHA256_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

/* One round. The standard renames all eight variables after it (h = g, g = f, ... b = a); here
 * the next round is called with its arguments turned by one instead, and nothing moves. */
static inline void turn(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e, uint32_t f,
                        uint32_t g, uint32_t *h, uint32_t input)
{
    uint32_t sum1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25), choose = (e & f) ^ (~e & g);
    uint32_t sum0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
    uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
    uint32_t t1 = *h + sum1 + choose + input;
    *d += t1;
    *h = t1 + sum0 + majority;
}

/* One block of 64 bytes: 16 big-endian words become 64, which 64 rounds stir into the state. */
static void compress(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64];
    for (int t = 0; t < 16; t++, block += 4)
        w[t] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
               (uint32_t)block[3];
    for (int t = 16; t < 64; t++) {
        uint32_t sigma0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t sigma1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = sigma1 + w[t - 7] + sigma0 + w[t - 16];
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t += 8) {
        turn(a, b, c, &d, e, f, g, &h, NN_SHA256_K[t] + w[t]);
        turn(h, a, b, &c, d, e, f, &g, NN_SHA256_K[t + 1] + w[t + 1]);
        turn(g, h, a, &b, c, d, e, &f, NN_SHA256_K[t + 2] + w[t + 2]);
        turn(f, g, h, &a, b, c, d, &e, NN_SHA256_K[t + 3] + w[t + 3]);
        turn(e, f, g, &h, a, b, c, &d, NN_SHA256_K[t + 4] + w[t + 4]);
        turn(d, e, f, &g, h, a, b, &c, NN_SHA256_K[t + 5] + w[t + 5]);
        turn(c, d, e, &f, g, h, a, &b, NN_SHA256_K[t + 6] + w[t + 6]);
        turn(b, c, d, &e, f, g, h, &a, NN_SHA256_K[t + 7] + w[t + 7]);
    }
    const uint32_t done[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state[i] += done[i];
}

void nn_sha256_scalar(uint32_t state[8], const unsigned char *blocks, size_t count)
{
    for (; count > 0; count--, blocks += 64) compress(state, blocks);
}

void nn_sha256_start(struct nn_sha256 *hash)
{
    /* The first 32 bits of the fractional parts of the square roots of the first 8 primes. */
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(hash->state, initial, sizeof initial);
    hash->size = 0;
    hash->function = nn_sha256_fast();
    if (!hash->function) hash->function = nn_sha256_scalar;
}

void nn_sha256_add(struct nn_sha256 *hash, const void *bytes, size_t size)
{
    const unsigned char *from = bytes;
    size_t waiting = (size_t)(hash->size % sizeof hash->block);
    hash->size += size;
    if (waiting) {
        size_t take = sizeof hash->block - waiting;
        if (take > size) take = size;
        if (take) memcpy(hash->block + waiting, from, take);
        from += take;
        size -= take;
        if (waiting + take < sizeof hash->block) return;
        hash->function(hash->state, hash->block, 1);
    }
    size_t whole = size / sizeof hash->block;
    if (whole) hash->function(hash->state, from, whole);
    from += whole * sizeof hash->block;
    size -= whole * sizeof hash->block;
    if (size) memcpy(hash->block, from, size);
}

void nn_sha256_add_u64(struct nn_sha256 *hash, uint64_t number)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(number >> 8 * i);
    nn_sha256_add(hash, bytes, sizeof bytes);
}

void nn_sha256_finish(char hex[NN_SHA256_HEX], struct nn_sha256 *hash)
{
    /* A one bit, zeros up to 8 bytes before the end of a block, the message's size in bits. */
    unsigned char end[72] = {0x80};
    size_t zeros = (size_t)(64 + 55 - hash->size % 64) % 64;
    for (int i = 0; i < 8; i++)
        end[1 + zeros + (size_t)i] = (unsigned char)(hash->size * 8 >> (56 - 8 * i));
    nn_sha256_add(hash, end, 1 + zeros + 8);
    for (int i = 0; i < 64; i++)
        hex[i] = "0123456789abcdef"[hash->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    hex[64] = '\0';
}
