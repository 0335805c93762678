/*
 * sha256.h — the checksum of files and weights (FIPS 180-4, section 6.2), piece by piece:
 *
 *     nn_sha256_start(&hash); nn_sha256_add(&hash, a, n); nn_sha256_finish(hex, &hash);
 */
#ifndef NN_FORMAT_SHA256_H
#define NN_FORMAT_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { NN_SHA256_HEX = 65 }; /* 64 digits and a NUL */

/* Stirs `count` blocks of 64 bytes into the state. */
typedef void nn_sha256_function(uint32_t state[8], const unsigned char *blocks, size_t count);
nn_sha256_function nn_sha256_scalar; /* the definition */
/* nn/kernels/sha256_x86.c: the same with the CPU's SHA instructions; NULL where it has none. */
nn_sha256_function *nn_sha256_fast(void);
extern const uint32_t NN_SHA256_K[64]; /* the standard's round constants */

struct nn_sha256 {
    nn_sha256_function *function; /* set by start */
    uint32_t state[8];
    uint64_t size; /* bytes added so far; the last size % 64 of them wait in `block` */
    unsigned char block[64];
};

void nn_sha256_start(struct nn_sha256 *hash);
void nn_sha256_add(struct nn_sha256 *hash, const void *bytes, size_t size);
/* A number as 8 bytes, lowest first: lengths and dimensions between the pieces of a message, so
 * that no two different lists of pieces read the same. */
void nn_sha256_add_u64(struct nn_sha256 *hash, uint64_t number);
/* Lower-case hexadecimal. `hash` must be started anew after this. */
void nn_sha256_finish(char hex[NN_SHA256_HEX], struct nn_sha256 *hash);

#endif
