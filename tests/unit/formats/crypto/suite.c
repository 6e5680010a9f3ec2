#include "formats/crypto/suite.h"

#include <pthread.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "formats/object/object.h"

static const enum suite_id both[] = { SUITE_AES256_GCM, SUITE_SM4 };

static const EVP_MD *md_of(enum suite_id id)
{
    return id == SUITE_SM4 ? EVP_sm3() : EVP_sha256();
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245 + 12345;
        p[i] = (uint8_t)(seed >> 16);
    }
}

static void names_lead_to_suites_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < BK_COUNT(both); i++) {
        enum suite_id id;
        assert_int_equal(suite_by_name(suite_name(both[i]), &id, NULL), 0);
        assert_int_equal(id, both[i]);
        assert_true(suite_known(id));
    }
    struct bk_error err = { 0 };
    enum suite_id id;
    assert_int_equal(suite_by_name("rot13", &id, &err), BK_E_ABSENT);
    assert_non_null(strstr(err.text, "aes256-gcm"));
    assert_non_null(strstr(err.text, "sm4"));
    assert_string_equal(suite_name(77), "unknown");
    assert_false(suite_known(0));
    assert_false(suite_known(3));
}

static void unknown_suite_is_unsupported(void **state)
{
    (void)state;
    uint8_t out[SUITE_HASH], key[SUITE_KEY] = { 0 };
    struct suite_digest *d;
    struct suite_mac *m;
    struct suite_aead *a;
    assert_int_equal(suite_hash(9, "", 0, out, NULL), BK_E_UNSUPPORTED);
    assert_int_equal(suite_digest_new(0, &d, NULL), BK_E_UNSUPPORTED);
    assert_int_equal(suite_mac_new(9, key, &m, NULL), BK_E_UNSUPPORTED);
    assert_int_equal(suite_aead_new(9, key, &a, NULL), BK_E_UNSUPPORTED);
    assert_int_equal(suite_hkdf(9, key, 32, NULL, 0, "", out, 32, NULL), BK_E_UNSUPPORTED);
}

static void hash_known_answers(void **state)
{
    (void)state;
    static const char *const want[] = {
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", /* FIPS 180-4, "abc" */
        "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0", /* GB/T 32905, "abc" */
    };
    for (size_t i = 0; i < BK_COUNT(both); i++) {
        uint8_t out[SUITE_HASH];
        char hex[2 * SUITE_HASH + 1];
        assert_int_equal(suite_hash(both[i], "abc", 3, out, NULL), 0);
        object_hex(out, sizeof out, hex);
        assert_string_equal(hex, want[i]);
    }
}

static void digest_in_pieces_equals_the_whole(void **state)
{
    (void)state;
    uint8_t data[5000], whole[SUITE_HASH], pieces[SUITE_HASH];
    fill(data, sizeof data, 1);
    for (size_t i = 0; i < BK_COUNT(both); i++) {
        bk_auto(suite_digest_free) struct suite_digest *d = NULL;
        assert_int_equal(suite_hash(both[i], data, sizeof data, whole, NULL), 0);
        assert_int_equal(suite_digest_new(both[i], &d, NULL), 0);
        for (size_t at = 0, step = 1; at < sizeof data; at += step, step = step * 2 % 701 + 1) {
            size_t n = sizeof data - at < step ? sizeof data - at : step;
            assert_int_equal(suite_digest_update(d, data + at, n, NULL), 0);
        }
        assert_int_equal(suite_digest_finish(d, pieces, NULL), 0);
        assert_memory_equal(whole, pieces, SUITE_HASH);
    }
}

/* libcrypto's own HMAC is the naive model */
static void mac_equals_hmac(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 1, 55, 56, 63, 64, 65, 4096, 65536 };
    static uint8_t data[65536];
    uint8_t key[SUITE_KEY], got[SUITE_HASH], want[SUITE_HASH];
    fill(data, sizeof data, 2);
    fill(key, sizeof key, 3);
    for (size_t i = 0; i < BK_COUNT(both); i++) {
        bk_auto(suite_mac_free) struct suite_mac *m = NULL;
        assert_int_equal(suite_mac_new(both[i], key, &m, NULL), 0);
        for (size_t j = 0; j < BK_COUNT(lens); j++) {
            unsigned n;
            assert_int_equal(suite_mac(m, data, lens[j], got, NULL), 0);
            assert_non_null(HMAC(md_of(both[i]), key, sizeof key, data, lens[j], want, &n));
            assert_memory_equal(got, want, SUITE_HASH);
            const struct suite_piece p[] = { { data, lens[j] / 3 },
                                             { NULL, 0 },
                                             { data + lens[j] / 3, lens[j] - lens[j] / 3 } };
            assert_int_equal(suite_mac_pieces(m, p, 3, got, NULL), 0);
            assert_memory_equal(got, want, SUITE_HASH);
        }
    }
}

/* Lengths around block ends, equal and very different ones. */
static void two_macs_at_once_equal_one_by_one(void **state)
{
    (void)state;
    static uint8_t data[2][5000];
    const size_t lengths[] = { 0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 1000, 4095, 4096, 4999 };
    const uint8_t key[SUITE_KEY] = { 3, 1, 4 };
    fill(data[0], sizeof data[0], 11);
    fill(data[1], sizeof data[1], 12);
    for (enum suite_id id = SUITE_AES256_GCM; id <= SUITE_SM4; id++) {
        struct bk_error err = { 0 };
        bk_auto(suite_mac_free) struct suite_mac *m = NULL;
        assert_int_equal(suite_mac_new(id, key, &m, &err), 0);
        for (size_t i = 0; i < BK_COUNT(lengths); i++)
            for (size_t k = 0; k < BK_COUNT(lengths); k++) {
                const struct suite_piece pair[2] = { { data[0], lengths[i] }, { data[1], lengths[k] } };
                uint8_t two[2][SUITE_HASH], one[SUITE_HASH];
                assert_int_equal(suite_mac_many(m, pair, 2, two, &err), 0);
                assert_int_equal(suite_mac(m, data[0], lengths[i], one, &err), 0);
                assert_memory_equal(two[0], one, SUITE_HASH);
                assert_int_equal(suite_mac(m, data[1], lengths[k], one, &err), 0);
                assert_memory_equal(two[1], one, SUITE_HASH);
            }
    }
}

/* Lists of any length, so that a message follows another in the middle of its neighbour. */
static void many_macs_equal_one_by_one(void **state)
{
    (void)state;
    enum { MANY = 40 };
    static uint8_t data[70000];
    const uint8_t key[SUITE_KEY] = { 2, 7, 1 };
    uint32_t seed = 7;
    fill(data, sizeof data, 13);
    for (enum suite_id id = SUITE_AES256_GCM; id <= SUITE_SM4; id++) {
        bk_auto(suite_mac_free) struct suite_mac *m = NULL;
        assert_int_equal(suite_mac_new(id, key, &m, NULL), 0);
        for (size_t n = 0; n <= MANY; n++) {
            struct suite_piece v[MANY];
            uint8_t all[MANY][SUITE_HASH], one[SUITE_HASH];
            for (size_t i = 0; i < n; i++) {
                seed = seed * 1664525 + 1013904223;
                v[i] = (struct suite_piece){ data + (seed >> 24), (seed >> 8) % (i % 5 ? 600 : 60000) };
            }
            assert_int_equal(suite_mac_many(m, v, n, all, NULL), 0);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(suite_mac(m, v[i].data, v[i].len, one, NULL), 0);
                assert_memory_equal(all[i], one, SUITE_HASH);
            }
        }
    }
}

/* RFC 4231 keys of up to 32 bytes: a shorter HMAC key is the same key padded with zeroes */
static void hmac_sha256_rfc4231(void **state)
{
    (void)state;
    static const struct {
        uint8_t fill_key, key_len, fill_data, data_len;
        const char *key, *data, *want;
    } v[] = {
        { 0x0b, 20, 0, 8, NULL, "Hi There",
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { 0, 4, 0, 28, "Jefe", "what do ya want for nothing?",
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { 0xaa, 20, 0xdd, 50, NULL, NULL,
          "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
    };
    for (size_t i = 0; i < BK_COUNT(v); i++) {
        uint8_t key[SUITE_KEY] = { 0 }, data[64], out[SUITE_HASH];
        char hex[2 * SUITE_HASH + 1];
        memset(key, v[i].fill_key, v[i].key_len);
        if (v[i].key)
            memcpy(key, v[i].key, v[i].key_len);
        memset(data, v[i].fill_data, sizeof data);
        if (v[i].data)
            memcpy(data, v[i].data, v[i].data_len);
        bk_auto(suite_mac_free) struct suite_mac *m = NULL;
        assert_int_equal(suite_mac_new(SUITE_AES256_GCM, key, &m, NULL), 0);
        assert_int_equal(suite_mac(m, data, v[i].data_len, out, NULL), 0);
        object_hex(out, sizeof out, hex);
        assert_string_equal(hex, v[i].want);
    }
}

static void hkdf_sha256_rfc5869(void **state)
{
    (void)state;
    uint8_t ikm[22], salt[13], okm[42];
    char hex[2 * sizeof okm + 1];
    memset(ikm, 0x0b, sizeof ikm);
    for (size_t i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)i;
    assert_int_equal(suite_hkdf(SUITE_AES256_GCM, ikm, sizeof ikm, salt, sizeof salt,
                                "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", okm, sizeof okm, NULL),
                     0);
    object_hex(okm, sizeof okm, hex);
    assert_string_equal(
        hex, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    /* test case 3: neither salt nor info */
    assert_int_equal(suite_hkdf(SUITE_AES256_GCM, ikm, sizeof ikm, NULL, 0, "", okm, sizeof okm, NULL), 0);
    object_hex(okm, sizeof okm, hex);
    assert_string_equal(
        hex, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* HKDF-SM3 against extract and expand spelled out with libcrypto's HMAC */
static void hkdf_equals_its_definition(void **state)
{
    (void)state;
    uint8_t ikm[48], salt[32], got[100], prk[32], t[32], want[128];
    fill(ikm, sizeof ikm, 4);
    fill(salt, sizeof salt, 5);
    for (size_t i = 0; i < BK_COUNT(both); i++) {
        const EVP_MD *md = md_of(both[i]);
        size_t have = 0;
        HMAC(md, salt, sizeof salt, ikm, sizeof ikm, prk, NULL);
        for (uint8_t c = 1; have < sizeof got; c++, have += 32) {
            uint8_t block[32 + 5 + 1];
            size_t n = c == 1 ? 0 : 32;
            memcpy(block, t, n);
            memcpy(block + n, "label", 5);
            block[n + 5] = c;
            HMAC(md, prk, 32, block, n + 6, t, NULL);
            memcpy(want + have, t, 32);
        }
        assert_int_equal(
            suite_hkdf(both[i], ikm, sizeof ikm, salt, sizeof salt, "label", got, sizeof got, NULL), 0);
        assert_memory_equal(got, want, sizeof got);
    }
}

static void hkdf_lengths_are_bounded(void **state)
{
    (void)state;
    static uint8_t out[8161];
    uint8_t ikm[32] = { 1 };
    assert_int_equal(suite_hkdf(SUITE_SM4, ikm, 32, NULL, 0, "x", out, 8160, NULL), 0);
    assert_int_equal(suite_hkdf(SUITE_SM4, ikm, 32, NULL, 0, "x", out, 8161, NULL), BK_E_LIMIT);
    assert_int_equal(suite_hkdf(SUITE_SM4, ikm, 32, NULL, 0, "x", out, 0, NULL), BK_E_LIMIT);
    assert_int_equal(suite_hkdf(SUITE_SM4, ikm, 0, NULL, 0, "x", out, 32, NULL), BK_E_LIMIT);
}

struct shared {
    const struct suite_mac *mac;
    const uint8_t *data;
    uint8_t want[SUITE_HASH];
    int wrong;
};

static void *hammer(void *arg)
{
    struct shared *s = arg;
    uint8_t out[SUITE_HASH];
    for (int i = 0; i < 500; i++)
        if (suite_mac(s->mac, s->data, 4096, out, NULL) < 0 || memcmp(out, s->want, sizeof out) != 0)
            __atomic_fetch_add(&s->wrong, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void one_mac_serves_many_threads(void **state)
{
    (void)state;
    uint8_t key[SUITE_KEY], data[4096];
    fill(key, sizeof key, 6);
    fill(data, sizeof data, 7);
    for (size_t i = 0; i < BK_COUNT(both); i++) {
        bk_auto(suite_mac_free) struct suite_mac *m = NULL;
        assert_int_equal(suite_mac_new(both[i], key, &m, NULL), 0);
        struct shared s = { .mac = m, .data = data };
        HMAC(md_of(both[i]), key, sizeof key, data, sizeof data, s.want, NULL);
        pthread_t t[4];
        for (size_t j = 0; j < BK_COUNT(t); j++)
            assert_int_equal(pthread_create(&t[j], NULL, hammer, &s), 0);
        for (size_t j = 0; j < BK_COUNT(t); j++)
            pthread_join(t[j], NULL);
        assert_int_equal(s.wrong, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_suites_and_back),
        cmocka_unit_test(unknown_suite_is_unsupported),
        cmocka_unit_test(hash_known_answers),
        cmocka_unit_test(digest_in_pieces_equals_the_whole),
        cmocka_unit_test(mac_equals_hmac),
        cmocka_unit_test(two_macs_at_once_equal_one_by_one),
        cmocka_unit_test(many_macs_equal_one_by_one),
        cmocka_unit_test(hmac_sha256_rfc4231),
        cmocka_unit_test(hkdf_sha256_rfc5869),
        cmocka_unit_test(hkdf_equals_its_definition),
        cmocka_unit_test(hkdf_lengths_are_bounded),
        cmocka_unit_test(one_mac_serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
