/*
 * sha256_x86.c — SHA-256 with the SHA instructions of x86: checking a network's file costs one
 * millisecond instead of ten, most of the time between a program's start and its first answer.
 *
 * sha256rnds2 does two rounds on a state that is kept as two vectors, {a,b,e,f} and {c,d,g,h};
 * sha256msg1 and sha256msg2 are the two halves of the message schedule, four words at a time.
 * (Intel, "SHA Extensions", 2013.) The scalar definition is nn/format/sha256.c.
 */
#include "nn/format/sha256.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define SHA __attribute__((target("sha,sse4.1")))

/* The four words W[4i .. 4i+3] of the schedule from the sixteen before them (a ring of four). */
SHA static inline __m128i schedule(const __m128i w[4], int i)
{
    __m128i oldest = w[i % 4], second = w[(i + 1) % 4], third = w[(i + 2) % 4];
    __m128i newest = w[(i + 3) % 4];
    __m128i middle = _mm_alignr_epi8(newest, third, 4); /* W[t-7] */
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(oldest, second), middle);
    return _mm_sha256msg2_epu32(sum, newest);
}

SHA static void sha256_x86(uint32_t state[8], const unsigned char *blocks, size_t count)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i *words = (const __m128i *)(const void *)state;
    __m128i dcba = _mm_loadu_si128(words), hgfe = _mm_loadu_si128(words + 1);
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1), efgh = _mm_shuffle_epi32(hgfe, 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (; count > 0; count--, blocks += 64) {
        __m128i w[4], abef_before = abef, cdgh_before = cdgh;
        for (int i = 0; i < 16; i++) {
            if (i < 4) {
                __m128i loaded = _mm_loadu_si128((const __m128i *)(const void *)(blocks + 16 * i));
                w[i] = _mm_shuffle_epi8(loaded, big_endian);
            } else {
                w[i % 4] = schedule(w, i);
            }
            const uint32_t *k = NN_SHA256_K + 4 * i;
            __m128i input =
                _mm_add_epi32(w[i % 4], _mm_loadu_si128((const __m128i *)(const void *)k));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, input);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(input, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    __m128i *out = (__m128i *)(void *)state;
    _mm_storeu_si128(out, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(out + 1, _mm_alignr_epi8(dchg, feba, 8));
}

nn_sha256_function *nn_sha256_fast(void)
{
    enum { SHA_BIT = 1 << 29, SSE41_BIT = 1 << 19 };
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & SSE41_BIT)) return NULL;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & SHA_BIT)) return NULL;
    return sha256_x86;
}

#else

nn_sha256_function *nn_sha256_fast(void)
{
    return NULL;
}

#endif
