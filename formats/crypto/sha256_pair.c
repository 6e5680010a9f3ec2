#include "formats/crypto/sha256_pair.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

bool sha256_pair_usable(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* The instructions want the state as (a b e f) and (c d g h). */
struct lanes {
    __m128i abef, cdgh;
};

WITH_SHA static struct lanes load_state(const uint32_t *s)
{
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const void *)s), 0xb1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(s + 4)), 0x1b);
    return (struct lanes){ _mm_alignr_epi8(low, high, 8), _mm_blend_epi16(high, low, 0xf0) };
}

WITH_SHA static void store_state(uint32_t *s, struct lanes v)
{
    __m128i high = _mm_shuffle_epi32(v.abef, 0x1b);
    __m128i low = _mm_shuffle_epi32(v.cdgh, 0xb1);
    _mm_storeu_si128((void *)s, _mm_blend_epi16(high, low, 0xf0));
    _mm_storeu_si128((void *)(s + 4), _mm_alignr_epi8(low, high, 8));
}

/* Message words 4g..4g+3; w holds the last four groups. */
WITH_SHA static inline __m128i words(__m128i *w, const uint8_t *block, int g)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    if (g < 4)
        return w[g] = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(block + 16 * g)), big_endian);
    __m128i before = w[(g - 1) & 3];
    __m128i t = _mm_add_epi32(_mm_sha256msg1_epu32(w[g & 3], w[(g - 3) & 3]),
                              _mm_alignr_epi8(before, w[(g - 2) & 3], 4));
    return w[g & 3] = _mm_sha256msg2_epu32(t, before);
}

WITH_SHA void sha256_pair_blocks(uint32_t a[static 8], uint32_t b[static 8], const uint8_t *data_a,
                                 const uint8_t *data_b, size_t n)
{
    struct lanes x = load_state(a), y = load_state(b);
    for (; n > 0; n--, data_a += 64, data_b += 64) {
        struct lanes x0 = x, y0 = y;
        __m128i wx[4], wy[4];
#pragma GCC unroll 16
        for (int g = 0; g < 16; g++) {
            const __m128i k = _mm_loadu_si128((const void *)(constants + 4 * g));
            __m128i kx = _mm_add_epi32(words(wx, data_a, g), k);
            __m128i ky = _mm_add_epi32(words(wy, data_b, g), k);
            x.cdgh = _mm_sha256rnds2_epu32(x.cdgh, x.abef, kx);
            y.cdgh = _mm_sha256rnds2_epu32(y.cdgh, y.abef, ky);
            x.abef = _mm_sha256rnds2_epu32(x.abef, x.cdgh, _mm_shuffle_epi32(kx, 0x0e));
            y.abef = _mm_sha256rnds2_epu32(y.abef, y.cdgh, _mm_shuffle_epi32(ky, 0x0e));
        }
        x.abef = _mm_add_epi32(x.abef, x0.abef);
        x.cdgh = _mm_add_epi32(x.cdgh, x0.cdgh);
        y.abef = _mm_add_epi32(y.abef, y0.abef);
        y.cdgh = _mm_add_epi32(y.cdgh, y0.cdgh);
    }
    store_state(a, x);
    store_state(b, y);
}

#else

bool sha256_pair_usable(void)
{
    return false;
}

void sha256_pair_blocks(uint32_t a[static 8], uint32_t b[static 8], const uint8_t *data_a,
                        const uint8_t *data_b, size_t n)
{
    (void)a, (void)b, (void)data_a, (void)data_b, (void)n;
}

#endif
