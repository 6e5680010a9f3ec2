/* For the tests of formats/: cmocka's includes, a small seeded generator, bytes against pinned hex, and
 * every damaged form of a sample. */
#ifndef TESTS_UNIT_FORMATS_SUPPORT_H
#define TESTS_UNIT_FORMATS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "formats/base/buf.h"

#define UNUSED_FN __attribute__((unused))

struct dice {
    uint64_t s;
};

/* splitmix64 */
static inline UNUSED_FN uint64_t roll(struct dice *d)
{
    uint64_t z = d->s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* below n */
static inline UNUSED_FN uint64_t roll_n(struct dice *d, uint64_t n)
{
    return roll(d) % n;
}

/* a value whose number of bits is even spread: small ones and huge ones alike */
static inline UNUSED_FN uint64_t roll_size(struct dice *d)
{
    uint64_t bits = roll_n(d, 65);
    return bits ? roll(d) >> (64 - bits) : 0;
}

static inline UNUSED_FN void roll_bytes(struct dice *d, void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)roll(d);
}

static inline UNUSED_FN void assert_hex(const void *data, size_t len, const char *hex)
{
    bk_auto(free) char *got = malloc(2 * len + 1);
    assert_non_null(got);
    got[0] = '\0';
    for (size_t i = 0; i < len; i++)
        snprintf(got + 2 * i, 3, "%02x", ((const uint8_t *)data)[i]);
    assert_string_equal(got, hex);
}

/* Hand every prefix and every sort of flip of a sample to `read`, in memory of its exact size, so that the
 * address sanitizer sees the first byte too many. read checks what it accepts. */
static inline UNUSED_FN void damage(const void *data, size_t len, void (*read)(const void *, size_t))
{
    static const uint8_t flips[] = { 0x01, 0x80, 0xff, 0x10, 0x04 };
    for (size_t n = 0; n < len; n++) {
        uint8_t *p = malloc(n ? n : 1);
        assert_non_null(p);
        memcpy(p, data, n);
        read(p, n);
        free(p);
    }
    uint8_t *p = malloc(len);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++)
        for (size_t f = 0; f < sizeof flips; f++) {
            memcpy(p, data, len);
            p[i] ^= flips[f];
            read(p, len);
        }
    free(p);
}

#endif
