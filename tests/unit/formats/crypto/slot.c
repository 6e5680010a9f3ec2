#include "formats/crypto/slot.h"

#include <setjmp.h>

#include <cmocka.h>

#include "formats/base/wire.h"
#include "formats/object/object.h"

static const uint8_t kek[SUITE_KEY] = "the key-encryption key, 32 bytes";
static const struct slot_cost cheap_scrypt = { .kdf = SLOT_KDF_SCRYPT, .passes = 4 };
static const struct slot_cost cheap_argon2 = { .kdf = SLOT_KDF_ARGON2ID, .memory_kib = 64, .passes = 1 };

struct pair {
    struct bk_buf priv, pub;
};

static void pair_clear(struct pair *p)
{
    bk_buf_clear(&p->priv);
    bk_buf_clear(&p->pub);
}
BK_AUTO_CLEAR(struct pair, pair_clear)

static struct pair make_pair(enum slot_kind kind)
{
    struct pair p = { BK_BUF(4096), BK_BUF(4096) };
    assert_int_equal(slot_generate_pair(kind, &p.priv, &p.pub, NULL), 0);
    return p;
}

static struct slot_secret secret_of(enum slot_kind kind, const void *data, size_t len)
{
    return (struct slot_secret){ .kind = kind, .data = data, .len = len };
}

static struct slot_secret passphrase(const char *text)
{
    return secret_of(SLOT_PASSPHRASE, text, strlen(text));
}

static int seal(const struct slot_secret *secret, enum suite_id suite, const struct slot_cost *cost,
                struct slot *s)
{
    uint8_t random[SLOT_RANDOM];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(i + 1);
    return slot_seal(secret, suite, cost, "office", 1700000000, random, kek, s, NULL);
}

/* through the bytes and back, then open */
static void assert_opens(const struct slot *s, const struct slot_secret *secret)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct slot back;
    uint8_t got[SUITE_KEY] = { 0 };
    assert_int_equal(slot_encode(s, &b, NULL), 0);
    assert_int_equal(slot_decode(b.data, b.len, &back, NULL), 0);
    assert_string_equal(back.label, "office");
    assert_int_equal(back.created_s, 1700000000);
    assert_int_equal(slot_open(&back, secret, got, NULL), 0);
    assert_memory_equal(got, kek, SUITE_KEY);
}

static void assert_auth(const struct slot *s, const struct slot_secret *secret)
{
    uint8_t got[SUITE_KEY] = { 0 };
    const uint8_t zero[SUITE_KEY] = { 0 };
    struct bk_error err = { 0 };
    assert_int_equal(slot_open(s, secret, got, &err), BK_E_AUTH);
    assert_int_equal(err.code, BK_E_AUTH);
    assert_memory_equal(got, zero, SUITE_KEY);
}

static void passphrase_opens_and_another_does_not(void **state)
{
    (void)state;
    static const enum suite_id suites[] = { SUITE_AES256_GCM, SUITE_SM4 };
    const struct slot_cost *costs[] = { &cheap_scrypt, &cheap_argon2 };
    struct slot_secret right = passphrase("correct horse"), wrong = passphrase("correct horse ");
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++) {
            struct slot s;
            int r = seal(&right, suites[i], costs[j], &s);
            if (j == 1 && r == BK_E_UNSUPPORTED)
                continue; /* built without Argon2 */
            assert_int_equal(r, 0);
            assert_opens(&s, &right);
            assert_auth(&s, &wrong);
        }
}

static void passphrases_are_any_bytes_within_bounds(void **state)
{
    (void)state;
    uint8_t bytes[1025];
    struct slot s;
    memset(bytes, 0, sizeof bytes);
    struct slot_secret longest = secret_of(SLOT_PASSPHRASE, bytes, 1024);
    assert_int_equal(seal(&longest, SUITE_AES256_GCM, &cheap_scrypt, &s), 0);
    assert_opens(&s, &longest);
    struct slot_secret shorter = secret_of(SLOT_PASSPHRASE, bytes, 1023);
    bytes[1022] = 1;
    assert_auth(&s, &shorter);
    struct slot_secret empty = secret_of(SLOT_PASSPHRASE, bytes, 0);
    struct slot_secret too_long = secret_of(SLOT_PASSPHRASE, bytes, 1025);
    assert_int_equal(seal(&empty, SUITE_AES256_GCM, &cheap_scrypt, &s), BK_E_USAGE);
    assert_int_equal(seal(&too_long, SUITE_AES256_GCM, &cheap_scrypt, &s), BK_E_USAGE);
    assert_auth(&s, &empty);
    assert_auth(&s, &too_long);
}

static void key_file_opens_and_another_does_not(void **state)
{
    (void)state;
    static uint8_t file[SLOT_KEYFILE_MAX + 1];
    struct slot s;
    for (size_t i = 0; i < sizeof file; i++)
        file[i] = (uint8_t)(i * 17);
    static const size_t lens[] = { SLOT_KEYFILE_MIN, 1000, SLOT_KEYFILE_MAX };
    for (size_t i = 0; i < BK_COUNT(lens); i++) {
        struct slot_secret right = secret_of(SLOT_KEYFILE, file, lens[i]);
        assert_int_equal(seal(&right, i ? SUITE_SM4 : SUITE_AES256_GCM, NULL, &s), 0);
        assert_opens(&s, &right);
        file[lens[i] - 1] ^= 1;
        assert_auth(&s, &right);
        file[lens[i] - 1] ^= 1;
    }
    struct slot_secret small = secret_of(SLOT_KEYFILE, file, SLOT_KEYFILE_MIN - 1);
    struct slot_secret big = secret_of(SLOT_KEYFILE, file, SLOT_KEYFILE_MAX + 1);
    assert_int_equal(seal(&small, SUITE_SM4, NULL, &s), BK_E_USAGE);
    assert_int_equal(seal(&big, SUITE_SM4, NULL, &s), BK_E_USAGE);
}

static void key_pair_opens_and_another_does_not(void **state)
{
    (void)state;
    static const struct {
        enum slot_kind kind;
        enum suite_id suite, wrong_suite;
        size_t public_len;
    } v[] = { { SLOT_X25519, SUITE_AES256_GCM, SUITE_SM4, 32 },
              { SLOT_SM2, SUITE_SM4, SUITE_AES256_GCM, 65 } };
    for (size_t i = 0; i < BK_COUNT(v); i++) {
        bk_auto(pair_clear) struct pair p = make_pair(v[i].kind);
        bk_auto(pair_clear) struct pair q = make_pair(v[i].kind);
        bk_auto(pair_clear) struct pair other = make_pair(v[1 - i].kind);
        struct slot_secret pub = secret_of(v[i].kind, p.pub.data, p.pub.len);
        struct slot_secret priv = secret_of(v[i].kind, p.priv.data, p.priv.len);
        struct slot_secret stranger = secret_of(v[i].kind, q.priv.data, q.priv.len);
        struct slot s;
        uint8_t got[SUITE_KEY];
        assert_int_equal(seal(&pub, v[i].suite, NULL, &s), 0);
        assert_int_equal(s.public_key_len, v[i].public_len);
        assert_opens(&s, &priv);
        assert_auth(&s, &stranger);
        assert_int_equal(slot_open(&s, &pub, got, NULL), BK_E_USAGE); /* the public half opens nothing */

        struct slot t;
        assert_int_equal(seal(&pub, v[i].wrong_suite, NULL, &t), BK_E_USAGE);
        assert_int_equal(seal(&priv, v[i].suite, NULL, &t), BK_E_USAGE);
        struct slot_secret mixed = secret_of(v[i].kind, other.pub.data, other.pub.len);
        assert_int_equal(seal(&mixed, v[i].suite, NULL, &t), BK_E_USAGE);
        struct slot_secret junk = secret_of(v[i].kind, (const uint8_t *)"not a key", 9);
        assert_int_equal(seal(&junk, v[i].suite, NULL, &t), BK_E_USAGE);
        assert_int_equal(slot_open(&s, &junk, got, NULL), BK_E_USAGE);
    }
}

static void encrypted_pem_is_refused_without_asking(void **state)
{
    (void)state;
    static const char pem[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                              "MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBA=\n"
                              "-----END ENCRYPTED PRIVATE KEY-----\n";
    bk_auto(pair_clear) struct pair p = make_pair(SLOT_X25519);
    struct slot_secret pub = secret_of(SLOT_X25519, p.pub.data, p.pub.len);
    struct slot_secret enc = secret_of(SLOT_X25519, (const uint8_t *)pem, sizeof pem - 1);
    struct slot s;
    uint8_t got[SUITE_KEY];
    assert_int_equal(seal(&pub, SUITE_AES256_GCM, NULL, &s), 0);
    assert_int_equal(slot_open(&s, &enc, got, NULL), BK_E_USAGE);
}

static void kinds_do_not_open_one_another(void **state)
{
    (void)state;
    static const uint8_t bytes[40] = "forty bytes that could be either kind";
    struct slot_secret file = secret_of(SLOT_KEYFILE, bytes, sizeof bytes);
    struct slot_secret word = secret_of(SLOT_PASSPHRASE, bytes, sizeof bytes);
    struct slot s;
    assert_int_equal(seal(&file, SUITE_AES256_GCM, NULL, &s), 0);
    assert_auth(&s, &word);
    assert_int_equal(seal(&word, SUITE_AES256_GCM, &cheap_scrypt, &s), 0);
    assert_auth(&s, &file);
}

/* Flip each byte of the object and mend the digest, as somebody with write access could. */
static void tampered(const struct slot *s, const struct slot_secret *secret)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    assert_int_equal(slot_encode(s, &b, NULL), 0);
    for (size_t i = 0; i < b.len; i++) {
        struct slot back;
        uint8_t got[SUITE_KEY];
        b.data[i] ^= 0x41;
        assert_true(slot_decode(b.data, b.len, &back, NULL) < 0);
        if (i < b.len - SUITE_HASH) {
            uint8_t digest[SUITE_HASH];
            memcpy(digest, b.data + b.len - SUITE_HASH, SUITE_HASH);
            assert_int_equal(
                suite_hash(s->suite, b.data, b.len - SUITE_HASH, b.data + b.len - SUITE_HASH, NULL), 0);
            if (slot_decode(b.data, b.len, &back, NULL) == 0) {
                assert_true(slot_open(&back, secret, got, NULL) < 0);
            }
            memcpy(b.data + b.len - SUITE_HASH, digest, SUITE_HASH);
        }
        b.data[i] ^= 0x41;
    }
    for (size_t cut = 0; cut < b.len; cut++) {
        struct slot back;
        assert_true(slot_decode(b.data, cut, &back, NULL) < 0);
    }
}

static void no_tampered_slot_opens(void **state)
{
    (void)state;
    struct slot s;
    struct slot_secret word = passphrase("word");
    assert_int_equal(seal(&word, SUITE_AES256_GCM, &cheap_scrypt, &s), 0);
    tampered(&s, &word);
    bk_auto(pair_clear) struct pair p = make_pair(SLOT_SM2);
    struct slot_secret pub = secret_of(SLOT_SM2, p.pub.data, p.pub.len);
    struct slot_secret priv = secret_of(SLOT_SM2, p.priv.data, p.priv.len);
    assert_int_equal(seal(&pub, SUITE_SM4, NULL, &s), 0);
    tampered(&s, &priv);
    bk_auto(pair_clear) struct pair x = make_pair(SLOT_X25519);
    pub = secret_of(SLOT_X25519, x.pub.data, x.pub.len);
    priv = secret_of(SLOT_X25519, x.priv.data, x.priv.len);
    assert_int_equal(seal(&pub, SUITE_AES256_GCM, NULL, &s), 0);
    tampered(&s, &priv);
}

static void hostile_costs_are_refused_before_they_cost(void **state)
{
    (void)state;
    static const struct {
        enum slot_kdf kdf;
        uint32_t memory, passes, lanes;
    } v[] = {
        { SLOT_KDF_SCRYPT, 1u << 21, 21, 1 },
        { SLOT_KDF_SCRYPT, 0, 63, 1 },
        { SLOT_KDF_SCRYPT, 16, 5, 1 },
        { SLOT_KDF_SCRYPT, 16, 4, 0 },
        { SLOT_KDF_SCRYPT, 16, 4, UINT32_MAX },
        { SLOT_KDF_SCRYPT, 1, 0, 1 },
        { SLOT_KDF_ARGON2ID, (1 << 20) + 1, 1, 1 },
        { SLOT_KDF_ARGON2ID, 64, UINT32_MAX, 1 },
        { SLOT_KDF_ARGON2ID, 1 << 20, 17, 1 },
        { SLOT_KDF_ARGON2ID, 7, 1, 1 },
        { SLOT_KDF_ARGON2ID, 64, 0, 1 },
        { SLOT_KDF_NONE, 64, 1, 1 },
        { 9, 64, 1, 1 },
    };
    struct slot_secret word = passphrase("word");
    struct slot s;
    assert_int_equal(seal(&word, SUITE_AES256_GCM, &cheap_scrypt, &s), 0);
    for (size_t i = 0; i < BK_COUNT(v); i++) {
        bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
        struct slot back;
        uint8_t got[SUITE_KEY];
        s.kdf = v[i].kdf;
        s.kdf_memory_kib = v[i].memory;
        s.kdf_passes = v[i].passes;
        s.kdf_lanes = v[i].lanes;
        assert_true(slot_open(&s, &word, got, NULL) < 0);
        assert_int_equal(slot_encode(&s, &b, NULL), 0);
        assert_true(slot_decode(b.data, b.len, &back, NULL) < 0);
    }
    const struct slot_cost greedy = { .kdf = SLOT_KDF_SCRYPT, .passes = 40 };
    assert_int_equal(seal(&word, SUITE_AES256_GCM, &greedy, &s), BK_E_USAGE);
}

static void memory_alone_sets_a_scrypt_cost(void **state)
{
    (void)state;
    const struct slot_cost cost = { .kdf = SLOT_KDF_SCRYPT, .memory_kib = 100 };
    struct slot_secret word = passphrase("word");
    struct slot s;
    assert_int_equal(seal(&word, SUITE_AES256_GCM, &cost, &s), 0);
    assert_int_equal(s.kdf_passes, 6);
    assert_int_equal(s.kdf_memory_kib, 64);
    assert_opens(&s, &word);
}

static void labels_have_a_ceiling(void **state)
{
    (void)state;
    char label[SLOT_LABEL_MAX + 2];
    uint8_t random[SLOT_RANDOM] = { 0 };
    struct slot_secret word = passphrase("word");
    struct slot s;
    memset(label, 'a', sizeof label);
    label[SLOT_LABEL_MAX + 1] = '\0';
    assert_int_equal(slot_seal(&word, SUITE_SM4, &cheap_scrypt, label, 0, random, kek, &s, NULL), BK_E_USAGE);
    label[SLOT_LABEL_MAX] = '\0';
    assert_int_equal(slot_seal(&word, SUITE_SM4, &cheap_scrypt, label, 0, random, kek, &s, NULL), 0);
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    struct slot back;
    assert_int_equal(slot_encode(&s, &b, NULL), 0);
    assert_int_equal(slot_decode(b.data, b.len, &back, NULL), 0);
    assert_string_equal(back.label, label);
}

/* The bytes of a slot, pinned: a reader of today opens it for ever. */
static void pinned_slot_opens(void **state)
{
    (void)state;
    static const char hex[] =
        "424b4f310200010000000000000001000102030405060708010100f1536500000000100000000400000001000000090a"
        "0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728000000000000000000000000000000000000"
        "000000000000000000000000000000066f66666963653056890401273fb8d8b19a1d69d20d7b977f14d8f0050490bdf2"
        "d575ee17a31fc973997f9cf3ba6d89e08160644a3b3ab44dff850f6c22c68b508cba6903726fc7ed62b90291292e9fd7"
        "df6eab4c9fbbd7";
    uint8_t bytes[sizeof hex / 2];
    struct slot_secret word = passphrase("correct horse");
    struct slot s;
    assert_int_equal(seal(&word, SUITE_AES256_GCM, &cheap_scrypt, &s), 0);
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(4096);
    assert_int_equal(slot_encode(&s, &b, NULL), 0);
    char got[2 * 4096 + 1];
    object_hex(b.data, b.len, got);
    assert_string_equal(got, hex);
    assert_int_equal(object_unhex(hex, bytes, sizeof bytes), 0);
    assert_int_equal(slot_decode(bytes, sizeof bytes, &s, NULL), 0);
    assert_opens(&s, &word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passphrase_opens_and_another_does_not),
        cmocka_unit_test(passphrases_are_any_bytes_within_bounds),
        cmocka_unit_test(key_file_opens_and_another_does_not),
        cmocka_unit_test(key_pair_opens_and_another_does_not),
        cmocka_unit_test(encrypted_pem_is_refused_without_asking),
        cmocka_unit_test(kinds_do_not_open_one_another),
        cmocka_unit_test(no_tampered_slot_opens),
        cmocka_unit_test(hostile_costs_are_refused_before_they_cost),
        cmocka_unit_test(memory_alone_sets_a_scrypt_cost),
        cmocka_unit_test(labels_have_a_ceiling),
        cmocka_unit_test(pinned_slot_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
