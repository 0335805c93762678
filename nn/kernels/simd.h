/*
 * simd.h — one vocabulary for vectors, four instruction sets.
 *
 * A *_simd.c file is written once with these words and compiled once per level, with the level's
 * compiler flags and -DNN_LEVEL_<level>. Only here and in such files may intrinsics appear.
 *
 *     vf   VF_WIDTH floats            vm   a yes or no for each of them
 *     vu   VF_WIDTH uint32_t          NN_LEVEL_NAME(nn_conv) -> nn_conv_avx2
 *
 * What all levels agree on, to the bit: add, sub, mul, div and sqrt are correctly rounded;
 * vf_max(a, b) is a > b ? a : b and vf_min(a, b) is a < b ? a : b, so with a NaN the *second*
 * operand comes out. What they don't: vf_fma rounds once where the hardware can, twice on SSE,
 * and vf_sum adds in an order that depends on the width. Nothing needs alignment beyond float's.
 */
#ifndef NN_SIMD_H
#define NN_SIMD_H

#include <stddef.h>
#include <stdint.h>

#if defined(NN_LEVEL_sse)

#include <emmintrin.h>
#define NN_LEVEL_NAME(stem) stem##_sse
#define VF_WIDTH            4
#define VF_REGISTERS        16
typedef __m128 vf;
typedef __m128 vm; /* all bits of a lane, or none */
typedef __m128i vu;

#define vf_zero  _mm_setzero_ps
#define vf_set1  _mm_set1_ps
#define vf_load  _mm_loadu_ps
#define vf_store _mm_storeu_ps
#define vf_add   _mm_add_ps
#define vf_sub   _mm_sub_ps
#define vf_mul   _mm_mul_ps
#define vf_div   _mm_div_ps
#define vf_sqrt  _mm_sqrt_ps
#define vf_max   _mm_max_ps
#define vf_min   _mm_min_ps
#define vf_gt    _mm_cmpgt_ps
#define vf_eq    _mm_cmpeq_ps
#define vf_keep  _mm_and_ps
#define vu_add   _mm_add_epi32
#define vu_xor   _mm_xor_si128

static inline vf vf_load_partial(const float *p, int n)
{
    switch (n) {
    case 0:
        return _mm_setzero_ps();
    case 1:
        return _mm_load_ss(p);
    case 2:
        return _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)p));
    case 3:
        return _mm_movelh_ps(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)p)),
                             _mm_load_ss(p + 2));
    default:
        return _mm_loadu_ps(p);
    }
}
static inline void vf_store_partial(float *p, vf a, int n)
{
    switch (n) {
    case 0:
        break;
    case 1:
        _mm_store_ss(p, a);
        break;
    case 2:
        _mm_storel_epi64((__m128i *)(void *)p, _mm_castps_si128(a));
        break;
    case 3:
        _mm_storel_epi64((__m128i *)(void *)p, _mm_castps_si128(a));
        _mm_store_ss(p + 2, _mm_movehl_ps(a, a));
        break;
    default:
        _mm_storeu_ps(p, a);
        break;
    }
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return _mm_add_ps(_mm_mul_ps(a, b), c);
}
static inline vf vf_select(vm mask, vf yes, vf no)
{
    return _mm_or_ps(_mm_and_ps(mask, yes), _mm_andnot_ps(mask, no));
}
static inline float vf_sum(vf a)
{
    vf halves = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(halves, _mm_shuffle_ps(halves, halves, 1)));
}

static inline vu vu_set1(uint32_t a)
{
    return _mm_set1_epi32((int)a);
}
static inline vu vu_load(const uint32_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
static inline void vu_mul_wide(vu *high, vu *low, vu a, vu b)
{
    vu even = _mm_mul_epu32(a, b);
    vu odd = _mm_mul_epu32(_mm_srli_epi64(a, 32), _mm_srli_epi64(b, 32));
    even = _mm_shuffle_epi32(even, _MM_SHUFFLE(3, 1, 2, 0)); /* low low high high */
    odd = _mm_shuffle_epi32(odd, _MM_SHUFFLE(3, 1, 2, 0));
    *low = _mm_unpacklo_epi32(even, odd);
    *high = _mm_unpackhi_epi32(even, odd);
}
static inline void vu_transpose4(vu row[4])
{
    vu ab_low = _mm_unpacklo_epi32(row[0], row[1]), ab_high = _mm_unpackhi_epi32(row[0], row[1]);
    vu cd_low = _mm_unpacklo_epi32(row[2], row[3]), cd_high = _mm_unpackhi_epi32(row[2], row[3]);
    row[0] = _mm_unpacklo_epi64(ab_low, cd_low);
    row[1] = _mm_unpackhi_epi64(ab_low, cd_low);
    row[2] = _mm_unpacklo_epi64(ab_high, cd_high);
    row[3] = _mm_unpackhi_epi64(ab_high, cd_high);
}
static inline void vu_ge16(vm mask[2], vu a, uint16_t threshold)
{
    vu less = _mm_subs_epu16(_mm_set1_epi16((short)threshold), a); /* 0 where a >= threshold */
    vu ge = _mm_cmpeq_epi16(less, _mm_setzero_si128());
    mask[0] = _mm_castsi128_ps(_mm_unpacklo_epi16(ge, ge));
    mask[1] = _mm_castsi128_ps(_mm_unpackhi_epi16(ge, ge));
}

#elif defined(NN_LEVEL_avx2)

#include <immintrin.h>
#define NN_LEVEL_NAME(stem) stem##_avx2
#define VF_WIDTH            8
#define VF_REGISTERS        16
typedef __m256 vf;
typedef __m256 vm;
typedef __m256i vu;

#define vf_zero  _mm256_setzero_ps
#define vf_set1  _mm256_set1_ps
#define vf_load  _mm256_loadu_ps
#define vf_store _mm256_storeu_ps
#define vf_add   _mm256_add_ps
#define vf_sub   _mm256_sub_ps
#define vf_mul   _mm256_mul_ps
#define vf_div   _mm256_div_ps
#define vf_sqrt  _mm256_sqrt_ps
#define vf_max   _mm256_max_ps
#define vf_min   _mm256_min_ps
#define vf_fma   _mm256_fmadd_ps
#define vf_keep  _mm256_and_ps
#define vu_add   _mm256_add_epi32
#define vu_xor   _mm256_xor_si256

/* The first n lanes on. */
static inline __m256i vf_first(int n)
{
    static const int32_t SLIDE[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(SLIDE + 8 - n));
}
static inline vf vf_load_partial(const float *p, int n)
{
    return _mm256_maskload_ps(p, vf_first(n));
}
static inline void vf_store_partial(float *p, vf a, int n)
{
    _mm256_maskstore_ps(p, vf_first(n), a);
}
static inline vm vf_gt(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_GT_OQ);
}
static inline vm vf_eq(vf a, vf b)
{
    return _mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
static inline vf vf_select(vm mask, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, mask);
}
static inline float vf_sum(vf a)
{
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)));
}

static inline vu vu_set1(uint32_t a)
{
    return _mm256_set1_epi32((int)a);
}
static inline vu vu_load(const uint32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline void vu_mul_wide(vu *high, vu *low, vu a, vu b)
{
    vu even = _mm256_mul_epu32(a, b);
    vu odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
    *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}
static inline void vu_transpose4(vu row[4])
{
    vu ab_low = _mm256_unpacklo_epi32(row[0], row[1]);
    vu ab_high = _mm256_unpackhi_epi32(row[0], row[1]);
    vu cd_low = _mm256_unpacklo_epi32(row[2], row[3]);
    vu cd_high = _mm256_unpackhi_epi32(row[2], row[3]);
    row[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
    row[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
    row[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
    row[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}
static inline void vu_ge16(vm mask[2], vu a, uint16_t threshold)
{
    vu bound = _mm256_set1_epi16((short)threshold);
    vu ge = _mm256_cmpeq_epi16(_mm256_max_epu16(a, bound), a);
    mask[0] = _mm256_castsi256_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(ge)));
    mask[1] = _mm256_castsi256_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(ge, 1)));
}

#elif defined(NN_LEVEL_avx512)

#include <immintrin.h>
#define NN_LEVEL_NAME(stem) stem##_avx512
#define VF_WIDTH            16
#define VF_REGISTERS        32
typedef __m512 vf;
typedef __mmask16 vm;
typedef __m512i vu;

#define vf_zero  _mm512_setzero_ps
#define vf_set1  _mm512_set1_ps
#define vf_load  _mm512_loadu_ps
#define vf_store _mm512_storeu_ps
#define vf_add   _mm512_add_ps
#define vf_sub   _mm512_sub_ps
#define vf_mul   _mm512_mul_ps
#define vf_div   _mm512_div_ps
#define vf_sqrt  _mm512_sqrt_ps
#define vf_max   _mm512_max_ps
#define vf_min   _mm512_min_ps
#define vf_fma   _mm512_fmadd_ps
#define vf_keep  _mm512_maskz_mov_ps
#define vu_load  _mm512_loadu_si512
#define vu_add   _mm512_add_epi32
#define vu_xor   _mm512_xor_si512

static inline __mmask16 vf_first(int n)
{
    return (__mmask16)((1u << n) - 1u);
}
static inline vf vf_load_partial(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(vf_first(n), p);
}
static inline void vf_store_partial(float *p, vf a, int n)
{
    _mm512_mask_storeu_ps(p, vf_first(n), a);
}
static inline vm vf_gt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}
static inline vm vf_eq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
static inline vf vf_select(vm mask, vf yes, vf no)
{
    return _mm512_mask_blend_ps(mask, no, yes);
}
static inline float vf_sum(vf a)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)));
}

static inline vu vu_set1(uint32_t a)
{
    return _mm512_set1_epi32((int)a);
}
static inline void vu_mul_wide(vu *high, vu *low, vu a, vu b)
{
    vu even = _mm512_mul_epu32(a, b);
    vu odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    *high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
}
static inline void vu_transpose4(vu row[4])
{
    vu ab_low = _mm512_unpacklo_epi32(row[0], row[1]);
    vu ab_high = _mm512_unpackhi_epi32(row[0], row[1]);
    vu cd_low = _mm512_unpacklo_epi32(row[2], row[3]);
    vu cd_high = _mm512_unpackhi_epi32(row[2], row[3]);
    row[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
    row[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
    row[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
    row[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}
static inline void vu_ge16(vm mask[2], vu a, uint16_t threshold)
{
    __mmask32 ge = _mm512_cmpge_epu16_mask(a, _mm512_set1_epi16((short)threshold));
    mask[0] = (__mmask16)ge;
    mask[1] = (__mmask16)(ge >> 16);
}

#elif defined(NN_LEVEL_neon)

#include <arm_neon.h>
#define NN_LEVEL_NAME(stem) stem##_neon
#define VF_WIDTH            4
#define VF_REGISTERS        32
#define VF_LANES            /* has vf_fma_lane */
typedef float32x4_t vf;
typedef uint32x4_t vm;
typedef uint32x4_t vu;

#define vf_set1   vdupq_n_f32
#define vf_load   vld1q_f32
#define vf_store  vst1q_f32
#define vf_add    vaddq_f32
#define vf_sub    vsubq_f32
#define vf_mul    vmulq_f32
#define vf_div    vdivq_f32
#define vf_sqrt   vsqrtq_f32
#define vf_gt     vcgtq_f32
#define vf_eq     vceqq_f32
#define vf_select vbslq_f32
#define vu_set1   vdupq_n_u32
#define vu_load   vld1q_u32
#define vu_add    vaddq_u32
#define vu_xor    veorq_u32

static inline vf vf_zero(void)
{
    return vdupq_n_f32(0.0f);
}
static inline vf vf_load_partial(const float *p, int n)
{
    vf zero = vdupq_n_f32(0.0f);
    switch (n) {
    case 0:
        return zero;
    case 1:
        return vld1q_lane_f32(p, zero, 0);
    case 2:
        return vcombine_f32(vld1_f32(p), vdup_n_f32(0.0f));
    case 3:
        return vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, vdup_n_f32(0.0f), 0));
    default:
        return vld1q_f32(p);
    }
}
static inline void vf_store_partial(float *p, vf a, int n)
{
    switch (n) {
    case 0:
        break;
    case 1:
        vst1q_lane_f32(p, a, 0);
        break;
    case 2:
        vst1_f32(p, vget_low_f32(a));
        break;
    case 3:
        vst1_f32(p, vget_low_f32(a));
        vst1q_lane_f32(p + 2, a, 2);
        break;
    default:
        vst1q_f32(p, a);
        break;
    }
}
/* FMAX would return the NaN whichever side it is on; the other levels don't. */
static inline vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
/* A switch, since the instruction has the lane in it, and a loop's index is a constant too late. */
static inline vf vf_fma_lane(vf a, int lane, vf b, vf c)
{
    switch (lane) {
    case 0:
        return vfmaq_laneq_f32(c, b, a, 0);
    case 1:
        return vfmaq_laneq_f32(c, b, a, 1);
    case 2:
        return vfmaq_laneq_f32(c, b, a, 2);
    default:
        return vfmaq_laneq_f32(c, b, a, 3);
    }
}
static inline vf vf_keep(vm mask, vf a)
{
    return vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(a)));
}
static inline float vf_sum(vf a)
{
    float32x2_t halves = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(halves, 0) + vget_lane_f32(halves, 1);
}

static inline void vu_mul_wide(vu *high, vu *low, vu a, vu b)
{
    vu first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), vget_low_u32(b)));
    vu second = vreinterpretq_u32_u64(vmull_u32(vget_high_u32(a), vget_high_u32(b)));
    *low = vuzp1q_u32(first, second);
    *high = vuzp2q_u32(first, second);
}
static inline void vu_transpose4(vu row[4])
{
    vu ac_low = vzip1q_u32(row[0], row[2]), ac_high = vzip2q_u32(row[0], row[2]);
    vu bd_low = vzip1q_u32(row[1], row[3]), bd_high = vzip2q_u32(row[1], row[3]);
    row[0] = vzip1q_u32(ac_low, bd_low);
    row[1] = vzip2q_u32(ac_low, bd_low);
    row[2] = vzip1q_u32(ac_high, bd_high);
    row[3] = vzip2q_u32(ac_high, bd_high);
}
static inline void vu_ge16(vm mask[2], vu a, uint16_t threshold)
{
    uint16x8_t ge = vcgeq_u16(vreinterpretq_u16_u32(a), vdupq_n_u16(threshold));
    mask[0] = vreinterpretq_u32_u16(vzip1q_u16(ge, ge));
    mask[1] = vreinterpretq_u32_u16(vzip2q_u16(ge, ge));
}

#else
#error "simd.h: compile with -DNN_LEVEL_sse, _avx2, _avx512 or _neon (the Makefile does)"
#endif

/*
 * What each word means, where its name doesn't say:
 *
 *   vf_load_partial(p, n)      lanes 0..n-1 from p, the others 0; 0 <= n <= VF_WIDTH
 *   vf_store_partial(p, a, n)  writes lanes 0..n-1; neither touches a byte beyond
 *   vf_select(m, yes, no)      lane by lane;  vf_keep(m, a) = m ? a : +0
 *   vf_fma_lane(a, i, b, c)    a[i] * b + c, i a constant once unrolled; only with VF_LANES
 *   vf_sum(a)                  of all lanes, halves folded onto each other
 *   vu_mul_wide                both halves of the 64-bit products, lane by lane
 *   vu_transpose4              in every group of four lanes: lane i of row j <-> lane j of row i
 *   vu_ge16(m, a, t)           a as 2 VF_WIDTH little-endian uint16_t, each >= t or not
 */

/* The compiler forgets how the integer or pointer came about, and keeps it in a register of its own
 * instead of working it out from others. */
#define VF_OPAQUE(a) __asm__("" : "+r"(a))

static inline vf vf_load_bcast(const float *p)
{
    return vf_set1(*p);
}
static inline vf vf_select_gt(vf a, vf b, vf yes, vf no)
{
    return vf_select(vf_gt(a, b), yes, no);
}
/* 0 > a ? 0 : a. A NaN stays one, so that a diverging network is noticed. */
static inline vf vf_relu(vf a)
{
    return vf_max(vf_zero(), a);
}

/* to[c][r] = from[r][c] for a block of 4 x 4; rows lie the strides apart. */
static inline void vf_transpose_4x4(float *to, ptrdiff_t to_stride, const float *from,
                                    ptrdiff_t from_stride)
{
#if defined(NN_LEVEL_neon)
    vu row[4];
    for (int i = 0; i < 4; i++) row[i] = vreinterpretq_u32_f32(vld1q_f32(from + i * from_stride));
    vu_transpose4(row);
    for (int i = 0; i < 4; i++) vst1q_f32(to + i * to_stride, vreinterpretq_f32_u32(row[i]));
#else
    __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_stride);
    __m128 c = _mm_loadu_ps(from + 2 * from_stride), d = _mm_loadu_ps(from + 3 * from_stride);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(to, a);
    _mm_storeu_ps(to + to_stride, b);
    _mm_storeu_ps(to + 2 * to_stride, c);
    _mm_storeu_ps(to + 3 * to_stride, d);
#endif
}

#endif
