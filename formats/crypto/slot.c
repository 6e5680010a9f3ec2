#include "formats/crypto/slot.h"

#include <stdbool.h>

#include "formats/crypto/slot_parts.h"

enum { PASSPHRASE_MAX = 1024, FIELDS_MAX = 1024, WRAPPED = SUITE_KEY + SUITE_TAG };

const char *slot_kind_name(enum slot_kind kind)
{
    switch (kind) {
    case SLOT_PASSPHRASE:
        return N_("passphrase");
    case SLOT_KEYFILE:
        return N_("key-file");
    case SLOT_X25519:
        return N_("x25519");
    case SLOT_SM2:
        return N_("sm2");
    }
    return N_("unknown");
}

static int check_secret(const struct slot_secret *secret, enum suite_id suite, struct bk_error *err)
{
    switch (secret->kind) {
    case SLOT_PASSPHRASE:
        if (secret->len < 1 || secret->len > PASSPHRASE_MAX)
            return bk_fail(err, BK_E_USAGE, "a passphrase has 1 to %d bytes", PASSPHRASE_MAX);
        return 0;
    case SLOT_KEYFILE:
        if (secret->len < SLOT_KEYFILE_MIN || secret->len > SLOT_KEYFILE_MAX)
            return bk_fail(err, BK_E_USAGE, "a key file has %d to %d bytes", SLOT_KEYFILE_MIN,
                           SLOT_KEYFILE_MAX);
        return 0;
    case SLOT_X25519:
        if (suite != SUITE_AES256_GCM)
            return bk_fail(err, BK_E_USAGE, "X25519 keys go with suite aes256-gcm only");
        return 0;
    case SLOT_SM2:
        if (suite != SUITE_SM4)
            return bk_fail(err, BK_E_USAGE, "SM2 keys go with suite sm4 only");
        return 0;
    }
    return bk_fail(err, BK_E_USAGE, "there is no such kind of key slot");
}

/* The key that passphrase and key file lead to. */
static int key_of_bytes(const struct slot *s, const struct slot_secret *secret, uint8_t key[static SUITE_KEY],
                        struct bk_error *err)
{
    if (s->kind == SLOT_PASSPHRASE)
        return slot_kdf_stretch(s, secret->data, secret->len, key, err);
    return suite_hkdf(s->suite, secret->data, secret->len, s->salt, SLOT_SALT, "slot-keyfile", key, SUITE_KEY,
                      err);
}

static int wrap(struct slot *s, const uint8_t *key, const uint8_t *kek, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf fields = BK_BUF(FIELDS_MAX);
    bk_auto(suite_aead_free) struct suite_aead *a = NULL;
    int r = slot_encode_fields(s, &fields, err);
    if (r == 0)
        r = suite_aead_new(s->suite, key, &a, err);
    if (r == 0)
        r = suite_aead_seal(a, 0, fields.data, fields.len, kek, SUITE_KEY, s->wrapped, err);
    s->wrapped_len = WRAPPED;
    return r;
}

static int unwrap(const struct slot *s, const uint8_t *key, uint8_t *kek, struct bk_error *err)
{
    if (s->wrapped_len != WRAPPED)
        return bk_fail(err, BK_E_CORRUPT, "the wrapped key has %zu bytes instead of %d", s->wrapped_len,
                       (int)WRAPPED);
    bk_auto(bk_buf_clear) struct bk_buf fields = BK_BUF(FIELDS_MAX);
    bk_auto(suite_aead_free) struct suite_aead *a = NULL;
    uint8_t plain[SUITE_KEY];
    int r = slot_encode_fields(s, &fields, err);
    if (r == 0)
        r = suite_aead_new(s->suite, key, &a, err);
    if (r == 0)
        r = suite_aead_open(a, 0, fields.data, fields.len, s->wrapped, s->wrapped_len, plain, err);
    if (r == 0)
        memcpy(kek, plain, SUITE_KEY);
    suite_wipe(plain, sizeof plain);
    return r == BK_E_CORRUPT ? bk_fail(err, BK_E_AUTH, "the secret does not open this slot") : r;
}

static int bind_fields(const struct slot *s, uint8_t bound[static SUITE_HASH], struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf fields = BK_BUF(FIELDS_MAX);
    int r = slot_encode_fields(s, &fields, err);
    return r < 0 ? r : suite_hash(s->suite, fields.data, fields.len, bound, err);
}

static int seal_sm2(struct slot *s, const struct slot_secret *secret, const uint8_t *kek,
                    struct bk_error *err)
{
    uint8_t bound[SUITE_HASH];
    int r = slot_sm2_set_public(s, secret->data, secret->len, err);
    if (r == 0)
        r = bind_fields(s, bound, err);
    return r < 0 ? r : slot_sm2_wrap(s, secret->data, secret->len, kek, bound, err);
}

int slot_seal(const struct slot_secret *secret, enum suite_id suite, const struct slot_cost *cost,
              const char *label, uint64_t created_s, const uint8_t random[static SLOT_RANDOM],
              const uint8_t kek[static SUITE_KEY], struct slot *ret, struct bk_error *err)
{
    int r = check_secret(secret, suite, err);
    if (r < 0)
        return r;
    size_t label_len = label ? strlen(label) : 0;
    if (label_len > SLOT_LABEL_MAX)
        return bk_fail(err, BK_E_USAGE, "the label of a key slot has at most %d bytes", SLOT_LABEL_MAX);

    struct slot s = { .kind = secret->kind, .suite = suite, .created_s = created_s };
    memcpy(s.id, random, SLOT_ID);
    memcpy(s.salt, random + SLOT_ID, SLOT_SALT);
    if (label_len)
        memcpy(s.label, label, label_len);
    if (s.kind == SLOT_PASSPHRASE)
        r = slot_kdf_set(cost, &s, err);
    if (r < 0)
        return r;

    uint8_t key[SUITE_KEY];
    if (s.kind == SLOT_SM2) {
        r = seal_sm2(&s, secret, kek, err);
    } else {
        r = s.kind == SLOT_X25519
                ? slot_x25519_to(&s, secret->data, secret->len, random + SLOT_ID + SLOT_SALT, key, err)
                : key_of_bytes(&s, secret, key, err);
        if (r == 0)
            r = wrap(&s, key, kek, err);
        suite_wipe(key, sizeof key);
    }
    if (r < 0) {
        bk_context(err, "make a %s slot", bk_text(slot_kind_name(s.kind)));
        return r;
    }
    *ret = s;
    return 0;
}

static int open_sm2(const struct slot *s, const struct slot_secret *secret, uint8_t *kek,
                    struct bk_error *err)
{
    uint8_t bound[SUITE_HASH];
    int r = bind_fields(s, bound, err);
    return r < 0 ? r : slot_sm2_unwrap(s, secret->data, secret->len, bound, kek, err);
}

int slot_open(const struct slot *s, const struct slot_secret *secret, uint8_t ret_kek[static SUITE_KEY],
              struct bk_error *err)
{
    if (s->kind != secret->kind)
        return bk_fail(err, BK_E_AUTH, "the slot takes a secret of kind %s",
                       bk_text(slot_kind_name(s->kind)));
    /* a secret that no slot of this suite could have been made for opens none */
    if (check_secret(secret, s->suite, err) < 0)
        return bk_fail(err, BK_E_AUTH, "the secret does not open this slot");
    if (s->kind == SLOT_SM2)
        return open_sm2(s, secret, ret_kek, err);

    uint8_t key[SUITE_KEY];
    int r = s->kind == SLOT_X25519 ? slot_x25519_from(s, secret->data, secret->len, key, err)
                                   : key_of_bytes(s, secret, key, err);
    if (r == 0)
        r = unwrap(s, key, ret_kek, err);
    suite_wipe(key, sizeof key);
    return r;
}
