/* What the tests of the formats share: fixed keys, reproducible bytes, pinned results. */
#ifndef TESTS_UNIT_FORMATS_FIXTURE_H
#define TESTS_UNIT_FORMATS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "formats/base/wire.h"
#include "formats/crypto/keyring.h"

static inline __attribute__((unused)) uint64_t fixture_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline __attribute__((unused)) void fixture_random(uint64_t seed, void *out, size_t n)
{
    uint8_t *p = out;
    uint8_t word[8];
    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0)
            bk_put_u64(word, fixture_next(&seed));
        p[i] = word[i % 8];
    }
}

/* English-like text: compresses to about a third. */
static inline __attribute__((unused)) void fixture_text(uint64_t seed, void *out, size_t n)
{
    static const char *const words[] = { "water ", "gate ", "level ",  "station ",  "flood ", "the ",
                                         "of ",    "a ",    "record ", "pump ",     "river ", "dam ",
                                         "is ",    "\n",    "42 ",     "reservoir " };
    uint8_t *p = out;
    for (size_t i = 0; i < n;)
        for (const char *w = words[fixture_next(&seed) % 16]; *w && i < n; w++)
            p[i++] = (uint8_t)*w;
}

static inline __attribute__((unused)) void fixture_keyring(struct keyring *k, enum suite_id suite)
{
    struct bk_error err = { 0 };
    uint8_t random[64];
    uint8_t digest[SUITE_HASH] = { 7 };
    fixture_random(1, random, sizeof random);
    assert_int_equal(keyring_init(k, suite, random, digest, &err), 0);
}

/* The SHA-256 of the bytes, pinned. */
static inline __attribute__((unused)) void assert_pinned(const void *data, size_t len, const char *hex)
{
    struct bk_error err = { 0 };
    uint8_t hash[SUITE_HASH];
    char got[2 * SUITE_HASH + 1];
    assert_int_equal(suite_hash(SUITE_AES256_GCM, data, len, hash, &err), 0);
    for (size_t i = 0; i < SUITE_HASH; i++) {
        got[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        got[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    got[2 * SUITE_HASH] = '\0';
    assert_string_equal(got, hex);
}

#define assert_ok(call)                    \
    do {                                   \
        int fixture_r = (call);            \
        if (fixture_r != 0)                \
            print_error("%s\n", err.text); \
        assert_int_equal(fixture_r, 0);    \
    } while (0)

#endif
