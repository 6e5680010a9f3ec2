/* Without keys: every single-bit flip and every cut of every kind of object is seen. */
#include <stdio.h>

#include "tests/unit/formats/fixture.h"

#include "formats/crypto/slot.h"
#include "formats/object/config.h"
#include "formats/object/record.h"
#include "formats/object/verify.h"

static void content(const char *prefix, enum object_kind kind, enum suite_id suite, char *name,
                    struct bk_buf *b)
{
    struct bk_error err = { 0 };
    uint8_t bytes[500], hash[SUITE_HASH];
    char hex[2 * SUITE_HASH + 1];
    fixture_random((uint64_t)prefix[0], bytes, sizeof bytes);
    struct object_header h = { .kind = kind, .version = 1, .suite = suite };
    object_header_encode(&h, bytes);
    assert_int_equal(suite_hash(suite, bytes, sizeof bytes, hash, &err), 0);
    object_hex(hash, sizeof hash, hex);
    sprintf(name, "%s%s", prefix, hex);
    assert_int_equal(bk_buf_append(b, bytes, sizeof bytes, &err), 0);
}

static void record(const char *what, enum object_kind kind, enum suite_id suite, char *name, struct bk_buf *b)
{
    static const uint8_t salt[RECORD_SALT] = "salt";
    struct bk_error err = { 0 };
    bk_auto(keyring_clear) struct keyring k = { 0 };
    fixture_keyring(&k, suite);
    strcpy(name, what);
    assert_int_equal(record_seal(&k, kind, name, salt, "payload", 7, b, &err), 0);
}

static void config(enum suite_id suite, char *name, struct bk_buf *b)
{
    struct bk_error err = { 0 };
    struct config c;
    config_defaults(&c);
    c.suite = suite;
    strcpy(name, "config");
    assert_int_equal(config_encode(&c, b, &err), 0);
}

static void key_slot(enum suite_id suite, char *name, struct bk_buf *b)
{
    struct bk_error err = { 0 };
    struct slot s;
    uint8_t random[SLOT_RANDOM], kek[SUITE_KEY] = { 1 }, key[SLOT_KEYFILE_MIN] = { 2 };
    char hex[2 * SLOT_ID + 1];
    fixture_random(3, random, sizeof random);
    struct slot_secret secret = { .kind = SLOT_KEYFILE, .data = key, .len = sizeof key };
    assert_int_equal(slot_seal(&secret, suite, NULL, "label", 5, random, kek, &s, &err), 0);
    object_hex(s.id, SLOT_ID, hex);
    sprintf(name, "keys/%s", hex);
    assert_int_equal(slot_encode(&s, b, &err), 0);
}

static void sample(unsigned which, enum suite_id suite, char *name, struct bk_buf *b)
{
    switch (which) {
    case 0:
        content("data/00/", OBJECT_PACK, suite, name, b);
        break;
    case 1:
        content("meta/00/", OBJECT_PACK, suite, name, b);
        break;
    case 2:
        content("index/", OBJECT_INDEX, suite, name, b);
        break;
    case 3:
        record("snapshots/00", OBJECT_SNAPSHOT, suite, name, b);
        break;
    case 4:
        record("snapshots/00", OBJECT_VOID, suite, name, b);
        break;
    case 5:
        record("notes/00.1", OBJECT_NOTE, suite, name, b);
        break;
    case 6:
        record("sessions/00", OBJECT_SESSION, suite, name, b);
        break;
    case 7:
        record("tombstones/1", OBJECT_TOMBSTONES, suite, name, b);
        break;
    case 8:
        record("generation/1", OBJECT_GENERATION, suite, name, b);
        break;
    case 9:
        record("retention/1", OBJECT_RETENTION, suite, name, b);
        break;
    case 10:
        config(suite, name, b);
        strcpy(name, "copies/config");
        break;
    case 11:
        config(suite, name, b);
        break;
    default:
        key_slot(suite, name, b);
        break;
    }
}
enum { SAMPLES = 13 };

static void every_flip_and_cut_is_seen(void **state)
{
    (void)state;
    for (unsigned which = 0; which < SAMPLES; which++)
        for (enum suite_id suite = SUITE_AES256_GCM; suite <= SUITE_SM4; suite++) {
            struct bk_error err = { 0 };
            bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 20);
            char name[128];
            sample(which, suite, name, &b);
            assert_int_equal(object_verify(name, b.data, b.len, &err), 0);
            for (size_t at = 0; at < b.len; at++) {
                b.data[at] ^= (uint8_t)(1 << at % 8);
                assert_true(object_verify(name, b.data, b.len, &err) < 0);
                b.data[at] ^= (uint8_t)(1 << at % 8);
            }
            for (size_t len = 0; len < b.len; len++)
                assert_true(object_verify(name, b.data, len, &err) < 0);
            assert_int_equal(object_verify(name, b.data, b.len, &err), 0);
        }
}

static void an_object_in_a_place_of_another_kind_is_seen(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    for (unsigned a = 0; a < SAMPLES; a++)
        for (unsigned c = 0; c < SAMPLES; c++) {
            bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(1 << 20), other = BK_BUF(1 << 20);
            char name[128], ignored[128];
            sample(a, SUITE_AES256_GCM, name, &b);
            sample(c, SUITE_AES256_GCM, ignored, &other);
            bool same_place = strchr(name, '/') && strncmp(name, ignored, 5) == 0;
            int r = object_verify(name, other.data, other.len, &err);
            same_place |= strstr(name, "config") && strstr(ignored, "config");
            assert_int_equal(r, a == c || same_place ? 0 : BK_E_CORRUPT);
        }
}

static void names_of_nothing_are_told_apart(void **state)
{
    (void)state;
    struct bk_error err = { 0 };
    assert_true(object_is_content("data/00/ab"));
    assert_true(object_is_content("index/ab"));
    assert_false(object_is_content("snapshots/ab"));
    assert_false(object_is_content("config"));
    assert_false(object_is_content("database"));
    assert_int_equal(object_verify("elsewhere/1", "x", 1, &err), BK_E_UNSUPPORTED);
    assert_int_equal(object_verify("config.old", "x", 1, &err), BK_E_UNSUPPORTED);
    assert_int_equal(object_verify("data/", "x", 1, &err), BK_E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flip_and_cut_is_seen),
        cmocka_unit_test(an_object_in_a_place_of_another_kind_is_seen),
        cmocka_unit_test(names_of_nothing_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
