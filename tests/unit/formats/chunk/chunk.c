#include "tests/unit/formats/fixture.h"

#include "formats/chunk/chunk.h"

static const enum suite_id suites[] = { SUITE_AES256_GCM, SUITE_SM4 };

static struct chunk_namer *namer_of(enum suite_id suite, uint8_t root_flip)
{
    struct bk_error err = { 0 };
    bk_auto(keyring_clear) struct keyring k = { 0 };
    fixture_keyring(&k, suite);
    k.root[0] ^= root_flip;
    struct chunk_namer *n = NULL;
    assert_ok(chunk_namer_new(&k, &n, &err));
    return n;
}

static chunk_id name(const struct chunk_namer *n, enum chunk_kind kind, const void *data, size_t len)
{
    struct bk_error err = { 0 };
    chunk_id id;
    assert_ok(chunk_name(n, kind, data, len, &id, &err));
    return id;
}

static void ids_depend_on_data_kind_key_and_suite(void **state)
{
    (void)state;
    chunk_id seen[10];
    size_t n_seen = 0;
    for (size_t s = 0; s < BK_COUNT(suites); s++) {
        bk_auto(chunk_namer_free) struct chunk_namer *n = namer_of(suites[s], 0);
        bk_auto(chunk_namer_free) struct chunk_namer *other = namer_of(suites[s], 1);
        seen[n_seen++] = name(n, CHUNK_DATA, "water", 5);
        seen[n_seen++] = name(n, CHUNK_DATA, "wateR", 5);
        seen[n_seen++] = name(n, CHUNK_DATA, "", 0);
        seen[n_seen++] = name(n, CHUNK_META, "water", 5);
        seen[n_seen++] = name(other, CHUNK_DATA, "water", 5);
        chunk_id again = name(n, CHUNK_DATA, "water", 5);
        assert_memory_equal(again.b, seen[n_seen - 5].b, CHUNK_ID);
    }
    for (size_t i = 0; i < n_seen; i++)
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(chunk_id_cmp(&seen[i], &seen[j]), 0);
}

/* docs/formats/chunk.md, spelt out with the primitives */
static void id_is_the_mac_under_the_key_of_its_kind(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(suite_mac_free) struct suite_mac *mac = NULL;
    fixture_keyring(&k, SUITE_AES256_GCM);
    uint8_t key[SUITE_KEY], meta_key[SUITE_KEY], want[SUITE_HASH];
    assert_ok(suite_hkdf(k.suite, k.root, sizeof k.root, NULL, 0, "chunk-id", key, sizeof key, &err));
    assert_ok(suite_hkdf(k.suite, key, sizeof key, NULL, 0, "meta", meta_key, sizeof meta_key, &err));
    assert_ok(suite_mac_new(k.suite, meta_key, &mac, &err));
    assert_ok(suite_mac(mac, "level", 5, want, &err));

    bk_auto(chunk_namer_free) struct chunk_namer *n = namer_of(SUITE_AES256_GCM, 0);
    chunk_id got = name(n, CHUNK_META, "level", 5);
    assert_memory_equal(got.b, want, CHUNK_ID);
}

static void too_long_is_refused(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    bk_auto(chunk_namer_free) struct chunk_namer *n = namer_of(SUITE_AES256_GCM, 0);
    chunk_id id;
    assert_int_equal(chunk_name(n, CHUNK_DATA, "", (size_t)CHUNK_MAX + 1, &id, &err), BK_E_LIMIT);
    assert_int_equal(chunk_name(n, (enum chunk_kind)2, "", 0, &id, &err), BK_E_LIMIT);
}

static void ids_are_pinned(void **state)
{
    (void)state;
    static const char *const want[] = {
        "28a6154859512a43c074a21fca3d1941375a0bde2d77a2a0f17dcdc21f3d5b73",
        "38988e319e8bf6627ced659814e530854a38a52980d4c358054f4e0f4e308b7f",
    };
    static uint8_t data[70000];
    fixture_text(3, data, sizeof data);
    for (size_t s = 0; s < BK_COUNT(suites); s++) {
        bk_auto(chunk_namer_free) struct chunk_namer *n = namer_of(suites[s], 0);
        chunk_id ids[3] = { name(n, CHUNK_DATA, data, 0), name(n, CHUNK_DATA, data, sizeof data),
                            name(n, CHUNK_META, data, 1000) };
        assert_pinned(ids, sizeof ids, want[s]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_depend_on_data_kind_key_and_suite),
        cmocka_unit_test(id_is_the_mac_under_the_key_of_its_kind),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(ids_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
