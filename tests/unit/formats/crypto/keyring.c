#include "formats/crypto/keyring.h"

#include <setjmp.h>

#include <cmocka.h>

static const enum suite_id both[] = { SUITE_AES256_GCM, SUITE_SM4 };

static void make(enum suite_id suite, struct keyring *k)
{
    uint8_t random[64], digest[SUITE_HASH];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)i;
    memset(digest, 0xdd, sizeof digest);
    assert_int_equal(keyring_init(k, suite, random, digest, NULL), 0);
}

static void encoded_keyring_reads_back(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(keyring_clear) struct keyring back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    uint8_t fresh[SUITE_KEY] = "the key of the second epoch";
    make(SUITE_SM4, &k);
    assert_int_equal(keyring_add_epoch(&k, fresh, NULL), 0);
    assert_int_equal(keyring_encode(&k, &b, NULL), 0);
    assert_int_equal(b.len, 32 + 32 + 4 + 2 * 32);
    assert_int_equal(keyring_decode(SUITE_SM4, b.data, b.len, &back, NULL), 0);
    assert_int_equal(back.suite, SUITE_SM4);
    assert_int_equal(back.n_epochs, 2);
    assert_memory_equal(back.root, k.root, SUITE_KEY);
    assert_memory_equal(back.config_digest, k.config_digest, SUITE_HASH);
    assert_memory_equal(back.epoch, k.epoch, 2 * SUITE_KEY);
    assert_memory_equal(back.epoch[1], fresh, SUITE_KEY);
}

static void another_chunker_key_reads_back(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(keyring_clear) struct keyring back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    uint8_t own[SUITE_KEY], got[SUITE_KEY];
    const uint8_t other[SUITE_KEY] = "the chunker key of another one";
    enum suite_id suite;
    make(SUITE_SM4, &k);
    assert_int_equal(keyring_chunker(&k, &suite, own, NULL), 0);
    assert_int_equal(suite, SUITE_SM4);
    keyring_set_chunker(&k, SUITE_AES256_GCM, other);
    assert_int_equal(keyring_encode(&k, &b, NULL), 0);
    assert_int_equal(b.len, 32 + 32 + 4 + 32 + 34);
    assert_int_equal(keyring_decode(SUITE_SM4, b.data, b.len, &back, NULL), 0);
    assert_int_equal(keyring_chunker(&back, &suite, got, NULL), 0);
    assert_int_equal(suite, SUITE_AES256_GCM);
    assert_memory_equal(got, other, SUITE_KEY);
    for (size_t cut = 1; cut < 34; cut++)
        assert_int_equal(keyring_decode(SUITE_SM4, b.data, b.len - cut, &back, NULL), BK_E_CORRUPT);
    b.data[b.len - 34] = 9;
    assert_int_equal(keyring_decode(SUITE_SM4, b.data, b.len, &back, NULL), BK_E_VERSION);
}

static void malformed_keyrings_are_refused(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(keyring_clear) struct keyring back = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    make(SUITE_AES256_GCM, &k);
    assert_int_equal(keyring_encode(&k, &b, NULL), 0);
    for (size_t cut = 0; cut < b.len; cut++)
        assert_int_equal(keyring_decode(SUITE_AES256_GCM, b.data, cut, &back, NULL), BK_E_CORRUPT);
    static const uint32_t counts[] = { 0, 2, KEYRING_MAX_EPOCHS, KEYRING_MAX_EPOCHS + 1, UINT32_MAX };
    for (size_t i = 0; i < BK_COUNT(counts); i++) {
        for (int j = 0; j < 4; j++)
            b.data[64 + j] = (uint8_t)(counts[i] >> (8 * j));
        assert_int_equal(keyring_decode(SUITE_AES256_GCM, b.data, b.len, &back, NULL), BK_E_CORRUPT);
    }
    assert_null(back.epoch);
}

static void keys_differ_by_label_epoch_salt_and_suite(void **state)
{
    (void)state;
    uint8_t seen[2 * 7][SUITE_KEY];
    size_t n = 0;
    uint8_t salt[KEYRING_SALT] = { 0 }, other[KEYRING_SALT] = { 1 };
    for (size_t i = 0; i < BK_COUNT(both); i++) {
        bk_auto(keyring_clear) struct keyring k = { 0 };
        make(both[i], &k);
        assert_int_equal(keyring_add_epoch(&k, salt, NULL), 0);
        assert_int_equal(keyring_derive(&k, "chunk-id", seen[n++], NULL), 0);
        assert_int_equal(keyring_derive(&k, "chunker", seen[n++], NULL), 0);
        assert_int_equal(keyring_derive(&k, "index", seen[n++], NULL), 0);
        assert_int_equal(keyring_object_key(&k, 0, salt, "pack", seen[n++], NULL), 0);
        assert_int_equal(keyring_object_key(&k, 0, salt, "record", seen[n++], NULL), 0);
        assert_int_equal(keyring_object_key(&k, 0, other, "pack", seen[n++], NULL), 0);
        assert_int_equal(keyring_object_key(&k, 1, salt, "pack", seen[n++], NULL), 0);
        assert_int_equal(keyring_object_key(&k, 2, salt, "pack", seen[0], NULL), BK_E_ABSENT);
        assert_int_equal(keyring_object_key(&k, UINT32_MAX, salt, "pack", seen[0], NULL), BK_E_ABSENT);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(seen[i], seen[j], SUITE_KEY);
}

static void object_key_is_hkdf_of_the_epoch_key(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    uint8_t salt[KEYRING_SALT] = "salt", got[SUITE_KEY], want[SUITE_KEY];
    make(SUITE_AES256_GCM, &k);
    assert_int_equal(keyring_object_key(&k, 0, salt, "pack", got, NULL), 0);
    assert_int_equal(suite_hkdf(SUITE_AES256_GCM, k.epoch[0], 32, salt, 32, "pack", want, 32, NULL), 0);
    assert_memory_equal(got, want, SUITE_KEY);
    assert_int_equal(keyring_derive(&k, "chunker", got, NULL), 0);
    assert_int_equal(suite_hkdf(SUITE_AES256_GCM, k.root, 32, NULL, 0, "chunker", want, 32, NULL), 0);
    assert_memory_equal(got, want, SUITE_KEY);
}

static void epochs_have_a_ceiling(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    uint8_t key[SUITE_KEY] = { 0 };
    make(SUITE_AES256_GCM, &k);
    for (int i = 1; i < KEYRING_MAX_EPOCHS; i++)
        assert_int_equal(keyring_add_epoch(&k, key, NULL), 0);
    assert_int_equal(keyring_add_epoch(&k, key, NULL), BK_E_LIMIT);
    assert_int_equal(k.n_epochs, KEYRING_MAX_EPOCHS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_keyring_reads_back),
        cmocka_unit_test(another_chunker_key_reads_back),
        cmocka_unit_test(malformed_keyrings_are_refused),
        cmocka_unit_test(keys_differ_by_label_epoch_salt_and_suite),
        cmocka_unit_test(object_key_is_hkdf_of_the_epoch_key),
        cmocka_unit_test(epochs_have_a_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
