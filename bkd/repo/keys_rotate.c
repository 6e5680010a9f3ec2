/* Rotation of data keys. */
#include <stdio.h>
#include <string.h>

#include "bkd/repo/copies.h"
#include "bkd/repo/keys.h"
#include "bkd/repo/names.h"
#include "bkd/repo/repo_build.h"

enum { TRIES = 16 };

static int open_bytes(struct repo *r, const char *name, const struct bk_buf *sealed, struct keyring *ret,
                      struct bk_error *err)
{
    enum suite_id suite = repo_config(r)->suite;
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(RECORD_MAX);
    int rc =
        record_open_kek(suite, repo_kek(r), OBJECT_KEYRING, name, sealed->data, sealed->len, &plain, err);
    if (rc == 0)
        rc = keyring_decode(suite, plain.data, plain.len, ret, err);
    if (plain.data)
        suite_wipe(plain.data, plain.len);
    return rc;
}

/* Original or copy; AUTH when it is under another key-encryption key. */
static int open_keyring(struct repo *r, const char *name, struct keyring *ret, struct bk_error *err)
{
    struct bk_error ignored = { 0 };
    char copy[REPO_PATH];
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    int rc = store_get_all(repo_store(r), name, RECORD_MAX, &b, err);
    if (rc == 0)
        rc = open_bytes(r, name, &b, ret, err);
    if (rc == 0 || rc == BK_E_AUTH || bk_code_aborts(rc) || rc == BK_E_VERSION)
        return rc;
    copies_path(name, copy);
    if (store_get_all(repo_store(r), copy, RECORD_MAX, &b, &ignored) == 0 &&
        open_bytes(r, name, &b, ret, &ignored) == 0)
        return 0;
    return rc;
}

/* The newest of ours, and the highest number of any. */
static int newest(struct repo *r, struct keyring *ret, uint32_t *ret_highest, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    int rc = names_list(repo_store(r), "keyring/", REPO_KEYRINGS_MAX, &list, err);
    if (rc < 0)
        return rc;
    uint32_t below = UINT32_MAX;
    for (bool first = true;; first = false) {
        const char *name = NULL;
        uint32_t best = 0, n;
        for (size_t i = 0; i < list.n; i++)
            if (repo_keyring_number(list.v[i].name, &n) && n < below && (!name || n > best)) {
                best = n;
                name = list.v[i].name;
            }
        if (!name)
            return bk_fail(err, BK_E_CORRUPT,
                           "the keyring of %s is missing: its data cannot be read without it",
                           repo_store(r)->url);
        if (first)
            *ret_highest = best;
        rc = open_keyring(r, name, ret, err);
        if (rc != BK_E_AUTH)
            return rc < 0 ? bk_context(err, "open %s", name) : 0;
        below = best; /* left over from an init that did not end */
    }
}

static int put_keyring(struct repo *r, const struct keyring *k, uint32_t number, struct bk_error *err)
{
    const struct world *w = repo_world(r);
    char name[REPO_PATH];
    uint8_t salt[RECORD_SALT];
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(RECORD_MAX);
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(RECORD_MAX);
    snprintf(name, sizeof name, "keyring/%u", number);
    int rc = w->random(w->ctx, salt, sizeof salt, err);
    if (rc == 0)
        rc = keyring_encode(k, &plain, err);
    if (rc == 0)
        rc = record_seal_kek(k->suite, repo_kek(r), OBJECT_KEYRING, name, salt, plain.data, plain.len,
                             &sealed, err);
    if (plain.data)
        suite_wipe(plain.data, plain.len);
    if (rc == 0)
        rc = repo_put_sure(repo_store(r), name, sealed.data, sealed.len, err);
    if (rc < 0)
        return bk_context(err, "put %s", name);
    struct bk_error ignored = { 0 };
    (void)!copies_put(repo_store(r), name, sealed.data, sealed.len, &ignored);
    return 0;
}

int keys_rotate(struct repo *r, uint32_t *ret_epoch, struct bk_error *err)
{
    const struct world *w = repo_world(r);
    for (int i = 0; i < TRIES; i++) {
        bk_auto(keyring_clear) struct keyring k = { 0 };
        uint32_t highest = 0;
        uint8_t random[SUITE_KEY];
        int rc = newest(r, &k, &highest, err);
        if (rc == 0 && highest >= REPO_KEYRINGS_MAX)
            rc = bk_fail(err, BK_E_LIMIT, "the repository has had all the keyrings it can have");
        if (rc == 0)
            rc = w->random(w->ctx, random, sizeof random, err);
        if (rc == 0)
            rc = keyring_add_epoch(&k, random, err);
        suite_wipe(random, sizeof random);
        if (rc == 0)
            rc = put_keyring(r, &k, highest + 1, err);
        if (rc == 0)
            *ret_epoch = k.n_epochs - 1;
        if (rc != BK_E_EXISTS)
            return rc < 0 ? bk_context(err, "rotate the data key") : 0;
    }
    return bk_fail(err, BK_E_BUSY, "others keep rotating the data key");
}
