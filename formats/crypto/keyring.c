#include "formats/crypto/keyring.h"

#include "formats/base/wire.h"

enum { CHUNKER_BYTES = 2 + SUITE_KEY }; /* suite, key */

void keyring_clear(struct keyring *k)
{
    if (k->epoch)
        suite_wipe(k->epoch, (size_t)k->n_epochs * SUITE_KEY);
    free(k->epoch);
    suite_wipe(k, sizeof *k);
}

int keyring_init(struct keyring *k, enum suite_id suite, const uint8_t random[static 64],
                 const uint8_t config_digest[static SUITE_HASH], struct bk_error *err)
{
    void *epoch = malloc(SUITE_KEY);
    if (!epoch)
        return bk_fail(err, BK_E_NOMEM, "no memory for a keyring");
    *k = (struct keyring){ .suite = suite, .n_epochs = 1, .epoch = epoch };
    memcpy(k->root, random, SUITE_KEY);
    memcpy(k->epoch[0], random + SUITE_KEY, SUITE_KEY);
    memcpy(k->config_digest, config_digest, SUITE_HASH);
    return 0;
}

int keyring_add_epoch(struct keyring *k, const uint8_t random[static SUITE_KEY], struct bk_error *err)
{
    if (k->n_epochs >= KEYRING_MAX_EPOCHS)
        return bk_fail(err, BK_E_LIMIT, "the keyring holds %d epochs already", KEYRING_MAX_EPOCHS);
    /* not realloc: it would leave a copy of the old keys behind */
    uint8_t(*bigger)[SUITE_KEY] = malloc(((size_t)k->n_epochs + 1) * SUITE_KEY);
    if (!bigger)
        return bk_fail(err, BK_E_NOMEM, "no memory for a keyring");
    memcpy(bigger, k->epoch, (size_t)k->n_epochs * SUITE_KEY);
    memcpy(bigger[k->n_epochs], random, SUITE_KEY);
    suite_wipe(k->epoch, (size_t)k->n_epochs * SUITE_KEY);
    free(k->epoch);
    k->epoch = bigger;
    k->n_epochs++;
    return 0;
}

int keyring_encode(const struct keyring *k, struct bk_buf *out, struct bk_error *err)
{
    size_t keys = (size_t)k->n_epochs * SUITE_KEY;
    size_t chunker = k->own_chunker ? CHUNKER_BYTES : 0;
    uint8_t *p;
    /* all at once: a growing buffer would leave keys in the memory it gave back */
    int r = bk_buf_extend(out, SUITE_KEY + SUITE_HASH + 4 + keys + chunker, &p, err);
    if (r < 0)
        return r;
    memcpy(p, k->root, SUITE_KEY);
    memcpy(p + SUITE_KEY, k->config_digest, SUITE_HASH);
    bk_put_u32(p + SUITE_KEY + SUITE_HASH, k->n_epochs);
    memcpy(p + SUITE_KEY + SUITE_HASH + 4, k->epoch, keys);
    if (k->own_chunker) {
        p += SUITE_KEY + SUITE_HASH + 4 + keys;
        bk_put_u16(p, (uint16_t)k->chunker_suite);
        memcpy(p + 2, k->chunker_key, SUITE_KEY);
    }
    return 0;
}

static int get_chunker(struct bk_reader *in, struct keyring *k, struct bk_error *err)
{
    if (!bk_reader_left(in))
        return 0;
    unsigned suite = bk_read_u16(in);
    const uint8_t *key = bk_read_raw(in, SUITE_KEY);
    if (!key)
        return 0; /* told at the end */
    if (!suite_known(suite))
        return bk_fail(err, BK_E_VERSION, "the suite %u is not known", suite);
    keyring_set_chunker(k, (enum suite_id)suite, key);
    return 0;
}

int keyring_decode(enum suite_id suite, const void *data, size_t len, struct keyring *ret,
                   struct bk_error *err)
{
    bk_auto(keyring_clear) struct keyring k = { .suite = suite };
    struct bk_reader in = bk_reader_of(data, len);
    const uint8_t *root = bk_read_raw(&in, SUITE_KEY);
    const uint8_t *digest = bk_read_raw(&in, SUITE_HASH);
    uint32_t n = bk_read_u32(&in);
    if (!in.bad && (n == 0 || n > KEYRING_MAX_EPOCHS))
        return bk_fail(err, BK_E_CORRUPT, "the keyring claims %u epochs", n);
    const uint8_t *keys = bk_read_raw(&in, (size_t)n * SUITE_KEY);
    int r = get_chunker(&in, &k, err);
    if (r == 0)
        r = bk_reader_end(&in, N_("keyring"), err);
    if (r < 0)
        return r;

    memcpy(k.root, root, SUITE_KEY);
    memcpy(k.config_digest, digest, SUITE_HASH);
    k.epoch = malloc((size_t)n * SUITE_KEY);
    if (!k.epoch)
        return bk_fail(err, BK_E_NOMEM, "no memory for a keyring");
    k.n_epochs = n;
    memcpy(k.epoch, keys, (size_t)n * SUITE_KEY);
    *ret = k;
    k.epoch = NULL; /* the caller's now */
    return 0;
}

int keyring_derive(const struct keyring *k, const char *label, uint8_t out[static SUITE_KEY],
                   struct bk_error *err)
{
    return suite_hkdf(k->suite, k->root, SUITE_KEY, NULL, 0, label, out, SUITE_KEY, err);
}

int keyring_object_key(const struct keyring *k, uint32_t epoch, const uint8_t salt[static KEYRING_SALT],
                       const char *label, uint8_t out[static SUITE_KEY], struct bk_error *err)
{
    if (epoch >= k->n_epochs)
        return bk_fail(err, BK_E_ABSENT, "the keyring has no data key of epoch %u", epoch);
    return suite_hkdf(k->suite, k->epoch[epoch], SUITE_KEY, salt, KEYRING_SALT, label, out, SUITE_KEY, err);
}

int keyring_chunker(const struct keyring *k, enum suite_id *ret_suite, uint8_t ret[static SUITE_KEY],
                    struct bk_error *err)
{
    *ret_suite = k->own_chunker ? k->chunker_suite : k->suite;
    if (!k->own_chunker)
        return keyring_derive(k, "chunker", ret, err);
    memcpy(ret, k->chunker_key, SUITE_KEY);
    return 0;
}

void keyring_set_chunker(struct keyring *k, enum suite_id suite, const uint8_t key[static SUITE_KEY])
{
    k->own_chunker = true;
    k->chunker_suite = suite;
    memcpy(k->chunker_key, key, SUITE_KEY);
}
