#include "formats/object/record.h"

#include <setjmp.h>

#include <cmocka.h>

#include "formats/base/wire.h"

static const enum suite_id both[] = { SUITE_AES256_GCM, SUITE_SM4 };
static const uint8_t salt[RECORD_SALT] = "thirty-two bytes of random salt";
static const uint8_t kek[SUITE_KEY] = "the key-encryption key, 32 bytes";

static void make_keyring(enum suite_id suite, struct keyring *k)
{
    uint8_t random[64], digest[SUITE_HASH] = { 0 };
    memset(random, 5, sizeof random);
    assert_int_equal(keyring_init(k, suite, random, digest, NULL), 0);
}

static void assert_reads_back(const struct keyring *k, const void *payload, size_t len, size_t *ret_stored)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(RECORD_MAX);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(RECORD_MAX);
    struct object_header h;
    assert_int_equal(record_seal(k, OBJECT_SNAPSHOT, "snapshots/1", salt, payload, len, &b, NULL), 0);
    assert_int_equal(record_check(b.data, b.len, &h, NULL), 0);
    assert_int_equal(h.kind, OBJECT_SNAPSHOT);
    assert_int_equal(record_open(k, OBJECT_SNAPSHOT, "snapshots/1", b.data, b.len, &out, NULL), 0);
    assert_int_equal(out.len, len);
    if (len)
        assert_memory_equal(out.data, payload, len);
    *ret_stored = b.len;
}

static void payloads_of_all_sizes_read_back(void **state)
{
    (void)state;
    static uint8_t noise[200000], text[200000];
    static const size_t lens[] = { 0, 1, 127, 128, 129, 1000, 65536, 200000 };
    unsigned seed = 1;
    for (size_t i = 0; i < sizeof noise; i++) {
        seed = seed * 1103515245 + 12345;
        noise[i] = (uint8_t)(seed >> 16);
        text[i] = (uint8_t)("some text "[i % 10]);
    }
    for (size_t s = 0; s < BK_COUNT(both); s++) {
        bk_auto(keyring_clear) struct keyring k = { 0 };
        make_keyring(both[s], &k);
        for (size_t i = 0; i < BK_COUNT(lens); i++) {
            size_t stored;
            assert_reads_back(&k, noise, lens[i], &stored);
            assert_int_equal(stored, RECORD_FIXED + 1 + lens[i] + SUITE_TAG + SUITE_HASH);
            assert_reads_back(&k, text, lens[i], &stored);
            if (lens[i] >= 1000)
                assert_true(stored < lens[i] / 4); /* compressed */
        }
    }
}

static void newest_epoch_seals_and_older_ones_open(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf old = BK_BUF(4096);
    bk_auto(bk_buf_clear) struct bk_buf new = BK_BUF(4096);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(4096);
    make_keyring(SUITE_AES256_GCM, &k);
    assert_int_equal(record_seal(&k, OBJECT_NOTE, "n", salt, "one", 3, &old, NULL), 0);
    assert_int_equal(keyring_add_epoch(&k, kek, NULL), 0);
    assert_int_equal(record_seal(&k, OBJECT_NOTE, "n", salt, "two", 3, &new, NULL), 0);
    assert_int_equal(bk_get_u32(old.data + OBJECT_HEADER), 0);
    assert_int_equal(bk_get_u32(new.data + OBJECT_HEADER), 1);
    assert_int_equal(record_open(&k, OBJECT_NOTE, "n", old.data, old.len, &out, NULL), 0);
    assert_int_equal(record_open(&k, OBJECT_NOTE, "n", new.data, new.len, &out, NULL), 0);
    assert_int_equal(out.len, 6); /* appended */
    assert_memory_equal(out.data, "onetwo", 6);
    k.n_epochs = 1;
    assert_int_equal(record_open(&k, OBJECT_NOTE, "n", new.data, new.len, &out, NULL), BK_E_ABSENT);
    k.n_epochs = 2;
}

static void mend(struct bk_buf *b, enum suite_id suite)
{
    assert_int_equal(suite_hash(suite, b->data, b->len - SUITE_HASH, b->data + b->len - SUITE_HASH, NULL), 0);
}

static void nothing_altered_opens(void **state)
{
    (void)state;
    for (size_t s = 0; s < BK_COUNT(both); s++) {
        bk_auto(keyring_clear) struct keyring k = { 0 };
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
        bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(4096);
        struct object_header h;
        make_keyring(both[s], &k);
        assert_int_equal(record_seal(&k, OBJECT_NOTE, "notes/a", salt, "hold it", 7, &b, NULL), 0);
        for (size_t i = 0; i < b.len; i++) {
            b.data[i] ^= 0x10;
            assert_true(record_check(b.data, b.len, &h, NULL) < 0);
            assert_true(record_open(&k, OBJECT_NOTE, "notes/a", b.data, b.len, &out, NULL) < 0);
            if (i < b.len - SUITE_HASH) { /* with the digest mended the tag must catch it */
                mend(&b, both[s]);
                assert_true(record_open(&k, OBJECT_NOTE, "notes/a", b.data, b.len, &out, NULL) < 0);
            }
            b.data[i] ^= 0x10;
            mend(&b, both[s]);
        }
        for (size_t cut = 0; cut < b.len; cut++)
            assert_true(record_open(&k, OBJECT_NOTE, "notes/a", b.data, cut, &out, NULL) < 0);
        assert_int_equal(out.len, 0);
        assert_int_equal(record_open(&k, OBJECT_NOTE, "notes/a", b.data, b.len, &out, NULL), 0);
    }
}

static void moved_or_relabelled_records_do_not_open(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(keyring_clear) struct keyring other = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(4096);
    struct bk_error err = { 0 };
    make_keyring(SUITE_AES256_GCM, &k);
    make_keyring(SUITE_SM4, &other);
    assert_int_equal(record_seal(&k, OBJECT_NOTE, "notes/a", salt, "x", 1, &b, NULL), 0);
    assert_int_equal(record_open(&k, OBJECT_NOTE, "notes/b", b.data, b.len, &out, &err), BK_E_CORRUPT);
    assert_non_null(strstr(err.text, "notes/b"));
    assert_int_equal(record_open(&k, OBJECT_NOTE, "notes/a2", b.data, b.len, &out, NULL), BK_E_CORRUPT);
    assert_int_equal(record_open(&k, OBJECT_NOTE, "", b.data, b.len, &out, NULL), BK_E_USAGE);
    assert_int_equal(record_open(&k, OBJECT_VOID, "notes/a", b.data, b.len, &out, NULL), BK_E_CORRUPT);
    assert_int_equal(record_open(&other, OBJECT_NOTE, "notes/a", b.data, b.len, &out, NULL), BK_E_CORRUPT);
    k.epoch[0][3] ^= 1;
    assert_int_equal(record_open(&k, OBJECT_NOTE, "notes/a", b.data, b.len, &out, NULL), BK_E_CORRUPT);
    assert_int_equal(out.len, 0);
}

static void names_have_a_ceiling(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    char name[RECORD_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[RECORD_NAME_MAX + 1] = '\0';
    make_keyring(SUITE_AES256_GCM, &k);
    assert_int_equal(record_seal(&k, OBJECT_NOTE, name, salt, "x", 1, &b, NULL), BK_E_USAGE);
    assert_int_equal(record_seal(&k, OBJECT_NOTE, "", salt, "x", 1, &b, NULL), BK_E_USAGE);
    assert_int_equal(b.len, 0);
    name[RECORD_NAME_MAX] = '\0';
    assert_int_equal(record_seal(&k, OBJECT_NOTE, name, salt, "x", 1, &b, NULL), 0);
}

static void kek_record_opens_with_its_kek_only(void **state)
{
    (void)state;
    static const uint8_t payload[500]; /* would compress, and must not */
    for (size_t s = 0; s < BK_COUNT(both); s++) {
        bk_auto(keyring_clear) struct keyring k = { 0 };
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
        bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(4096);
        uint8_t wrong[SUITE_KEY];
        memcpy(wrong, kek, SUITE_KEY);
        wrong[0] ^= 1;
        make_keyring(both[s], &k);
        assert_int_equal(record_seal_kek(both[s], kek, OBJECT_KEYRING, "keyring/1", salt, payload,
                                         sizeof payload, &b, NULL),
                         0);
        assert_int_equal(b.len, RECORD_FIXED + 1 + sizeof payload + SUITE_TAG + SUITE_HASH);
        assert_int_equal(
            record_open_kek(both[s], wrong, OBJECT_KEYRING, "keyring/1", b.data, b.len, &out, NULL),
            BK_E_AUTH);
        assert_int_equal(
            record_open_kek(both[s], kek, OBJECT_KEYRING, "keyring/2", b.data, b.len, &out, NULL), BK_E_AUTH);
        assert_int_equal(record_open(&k, OBJECT_KEYRING, "keyring/1", b.data, b.len, &out, NULL),
                         BK_E_ABSENT);
        assert_int_equal(
            record_open_kek(both[s], kek, OBJECT_KEYRING, "keyring/1", b.data, b.len - 1, &out, NULL),
            BK_E_CORRUPT);
        assert_int_equal(out.len, 0);
        assert_int_equal(
            record_open_kek(both[s], kek, OBJECT_KEYRING, "keyring/1", b.data, b.len, &out, NULL), 0);
        assert_int_equal(out.len, sizeof payload);
        assert_memory_equal(out.data, payload, sizeof payload);

        bk_auto(bk_buf_clear) struct bk_buf normal = BK_BUF(4096);
        assert_int_equal(record_seal(&k, OBJECT_KEYRING, "keyring/1", salt, "x", 1, &normal, NULL), 0);
        assert_int_equal(
            record_open_kek(both[s], kek, OBJECT_KEYRING, "keyring/1", normal.data, normal.len, &out, NULL),
            BK_E_CORRUPT);
    }
}

/* Seal a codec byte and body as they stand, so that hostile payloads get behind a good tag. */
static int open_forged(const void *plain, size_t len, size_t limit)
{
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF(limit);
    bk_auto(suite_aead_free) struct suite_aead *a = NULL;
    uint8_t key[SUITE_KEY], aad[RECORD_FIXED + 1], *p;
    make_keyring(SUITE_AES256_GCM, &k);
    assert_int_equal(bk_buf_extend(&b, RECORD_FIXED + len + SUITE_TAG + SUITE_HASH, &p, NULL), 0);
    object_header_encode(
        &(struct object_header){ .kind = OBJECT_NOTE, .version = 1, .suite = SUITE_AES256_GCM }, p);
    bk_put_u32(p + 16, 0);
    memcpy(p + 20, salt, RECORD_SALT);
    bk_put_u32(p + 52, (uint32_t)(len + SUITE_TAG));
    memcpy(aad, p, RECORD_FIXED);
    aad[RECORD_FIXED] = 'n';
    assert_int_equal(keyring_object_key(&k, 0, salt, "record", key, NULL), 0);
    assert_int_equal(suite_aead_new(SUITE_AES256_GCM, key, &a, NULL), 0);
    assert_int_equal(suite_aead_seal(a, 0, aad, sizeof aad, plain, len, p + RECORD_FIXED, NULL), 0);
    mend(&b, SUITE_AES256_GCM);
    int r = record_open(&k, OBJECT_NOTE, "n", b.data, b.len, &out, NULL);
    if (r < 0)
        assert_int_equal(out.len, 0);
    return r;
}

static void hostile_payloads_are_refused(void **state)
{
    (void)state;
    assert_int_equal(open_forged("\0abc", 4, 64), 0);
    assert_int_equal(open_forged("\0abc", 4, 2), BK_E_LIMIT);
    assert_int_equal(open_forged("", 0, 64), BK_E_CORRUPT);
    assert_int_equal(open_forged("\1\1", 2, 64), BK_E_CORRUPT);
    assert_int_equal(open_forged("\2\1\0\0\0x", 6, 64), BK_E_VERSION);
    assert_int_equal(open_forged("\1\xff\xff\xff\xffx", 6, SIZE_MAX), BK_E_LIMIT);
    assert_int_equal(open_forged("\1\4\0\0\0junk", 9, 64), BK_E_CORRUPT);
    /* an empty zstd frame that claims one byte */
    assert_int_equal(open_forged("\1\1\0\0\0\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", 14, 64), BK_E_CORRUPT);
}

static void payloads_past_the_ceiling_are_refused(void **state)
{
    (void)state;
    bk_auto(keyring_clear) struct keyring k = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    make_keyring(SUITE_AES256_GCM, &k);
    assert_int_equal(record_seal(&k, OBJECT_NOTE, "n", salt, "", (size_t)RECORD_MAX + 1, &b, NULL),
                     BK_E_LIMIT);
    assert_int_equal(
        record_seal_kek(SUITE_SM4, kek, OBJECT_NOTE, "n", salt, "", (size_t)RECORD_MAX + 1, &b, NULL),
        BK_E_LIMIT);
    bk_auto(bk_buf_clear) struct bk_buf tight = BK_BUF(50);
    assert_int_equal(record_seal(&k, OBJECT_NOTE, "n", salt, "abc", 3, &tight, NULL), BK_E_LIMIT);
    assert_int_equal(tight.len, 0);
}

static void check_needs_no_keys_and_knows_records(void **state)
{
    (void)state;
    struct object_header h;
    uint8_t b[200] = { 0 };
    assert_int_equal(record_check(b, sizeof b, &h, NULL), BK_E_CORRUPT);
    object_header_encode(&(struct object_header){ .kind = OBJECT_PACK, .version = 1, .suite = SUITE_SM4 }, b);
    assert_int_equal(record_check(b, sizeof b, &h, NULL), BK_E_CORRUPT);
    object_header_encode(&(struct object_header){ .kind = OBJECT_NOTE, .version = 9, .suite = SUITE_SM4 }, b);
    assert_int_equal(record_check(b, sizeof b, &h, NULL), BK_E_VERSION);
    assert_int_equal(record_check("", 0, &h, NULL), BK_E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_of_all_sizes_read_back),
        cmocka_unit_test(newest_epoch_seals_and_older_ones_open),
        cmocka_unit_test(nothing_altered_opens),
        cmocka_unit_test(moved_or_relabelled_records_do_not_open),
        cmocka_unit_test(names_have_a_ceiling),
        cmocka_unit_test(kek_record_opens_with_its_kek_only),
        cmocka_unit_test(hostile_payloads_are_refused),
        cmocka_unit_test(payloads_past_the_ceiling_are_refused),
        cmocka_unit_test(check_needs_no_keys_and_knows_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
