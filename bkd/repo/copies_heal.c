#include "bkd/repo/copies_heal.h"

#include <string.h>

#include "bkd/repo/copies.h"
#include "bkd/repo/names.h"
#include "bkd/repo/repo_build.h"
#include "formats/snapshot/minimum.h"

enum { COPIED_MAX = 1 << 17 };

/* What an object may be: of ours and sound, damaged (or not there), or somebody else's. */
enum worth { DAMAGED, SOUND, FOREIGN };

static enum worth of_config(struct repo *r, const struct bk_buf *b)
{
    struct config c;
    uint8_t digest[SUITE_HASH];
    return config_decode(b->data, b->len, &c, digest, NULL) == 0 &&
                   memcmp(digest, repo_keyring(r)->config_digest, SUITE_HASH) == 0
               ? SOUND
               : DAMAGED;
}

static enum worth of_slot(const char *name, const struct bk_buf *b)
{
    struct slot slot;
    char path[REPO_PATH];
    if (slot_decode(b->data, b->len, &slot, NULL) < 0)
        return DAMAGED;
    repo_id_path("keys/", slot.id, SLOT_ID, path);
    return strcmp(path, name) == 0 ? SOUND : DAMAGED;
}

static enum worth of_keyring(struct repo *r, const char *name, const struct bk_buf *b)
{
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(RECORD_MAX);
    bk_auto(keyring_clear) struct keyring k = { 0 };
    enum suite_id suite = repo_config(r)->suite;
    int rc = record_open_kek(suite, repo_kek(r), OBJECT_KEYRING, name, b->data, b->len, &plain, NULL);
    if (rc == BK_E_AUTH)
        return FOREIGN;
    if (rc == 0)
        rc = keyring_decode(suite, plain.data, plain.len, &k, NULL);
    if (plain.data)
        suite_wipe(plain.data, plain.len);
    return rc == 0 ? SOUND : DAMAGED;
}

static enum worth of_retention(struct repo *r, const char *name, const struct bk_buf *b)
{
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(RECORD_MAX);
    bk_auto(minimum_clear) struct minimum m = { 0 };
    return record_open(repo_keyring(r), OBJECT_RETENTION, name, b->data, b->len, &plain, NULL) == 0 &&
                   minimum_decode(plain.data, plain.len, &m, NULL) == 0
               ? SOUND
               : DAMAGED;
}

static enum worth worth_of(struct repo *r, const char *name, const struct bk_buf *b)
{
    if (strcmp(name, REPO_CONFIG_NAME) == 0)
        return of_config(r, b);
    if (strncmp(name, "keys/", 5) == 0)
        return of_slot(name, b);
    if (strncmp(name, "keyring/", 8) == 0)
        return of_keyring(r, name, b);
    return of_retention(r, name, b);
}

/* 1 when something stands there; its bytes, none when it is larger than any record. */
static int fetch(struct store *s, const char *name, struct bk_buf *out, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = store_get_all(s, name, RECORD_MAX, out, &why);
    if (r == 0)
        return 1;
    out->len = 0;
    if (r == BK_E_ABSENT)
        return 0;
    if (r == BK_E_LIMIT || r == BK_E_CORRUPT)
        return 1;
    if (err)
        *err = why;
    return bk_context(err, "read %s", name);
}

/* 1 when it is right now. */
static int put_right(struct repo *r, const char *name, enum copies_state state, const struct bk_buf *first,
                     const struct bk_buf *copy, struct bk_error *err)
{
    struct store *s = repo_store(r);
    int rc = 0;
    if (state == COPIES_NO_COPY || state == COPIES_BAD_COPY)
        rc = copies_put(s, name, first->data, first->len, err);
    else if (state != COPIES_BAD_FIRST)
        return 0;
    else if ((rc = store_remove(s, name, err)) == 0)
        rc = repo_put_sure(s, name, copy->data, copy->len, err);
    return rc < 0 ? bk_context(err, "heal %s", name) : 1;
}

static int compare_one(struct repo *r, const char *name, bool heal, copies_fn *fn, void *ctx,
                       struct bk_error *err)
{
    char path[REPO_PATH];
    bk_auto(bk_buf_clear) struct bk_buf first = BK_BUF(0);
    bk_auto(bk_buf_clear) struct bk_buf copy = BK_BUF(0);
    copies_path(name, path);
    int there = fetch(repo_store(r), name, &first, err);
    int copied = there < 0 ? there : fetch(repo_store(r), path, &copy, err);
    if (copied < 0)
        return copied;
    enum copies_state state;
    enum worth worth = worth_of(r, name, &first);
    if (worth == FOREIGN)
        return 0;
    if (worth == SOUND && !copied)
        state = COPIES_NO_COPY;
    else if (worth == SOUND)
        state = first.len == copy.len && memcmp(first.data, copy.data, copy.len) == 0 ? COPIES_EQUAL
                                                                                      : COPIES_BAD_COPY;
    else
        state = worth_of(r, name, &copy) == SOUND ? COPIES_BAD_FIRST : COPIES_BAD_BOTH;
    int healed = heal ? put_right(r, name, state, &first, &copy, err) : 0;
    if (healed < 0)
        return healed;
    fn(ctx, name, state, healed);
    return 0;
}

/* Below that prefix, the originals and then those whose copy alone is left. */
static int compare_all(struct repo *r, const char *prefix, bool heal, copies_fn *fn, void *ctx,
                       struct bk_error *err)
{
    char path[REPO_PATH];
    bk_auto(names_clear) struct names first = { 0 };
    bk_auto(names_clear) struct names copies = { 0 };
    copies_path(prefix, path);
    int rc = names_list(repo_store(r), prefix, COPIED_MAX, &first, err);
    if (rc == 0)
        rc = names_list(repo_store(r), path, COPIED_MAX, &copies, err);
    for (size_t i = 0; rc == 0 && i < first.n; i++)
        rc = compare_one(r, first.v[i].name, heal, fn, ctx, err);
    for (size_t i = 0; rc == 0 && i < copies.n; i++) {
        const char *name = copies.v[i].name + strlen(COPIES_PREFIX);
        if (!names_find(&first, name))
            rc = compare_one(r, name, heal, fn, ctx, err);
    }
    return rc;
}

int copies_compare(struct repo *r, bool heal, copies_fn *fn, void *ctx, struct bk_error *err)
{
    static const char *const prefix[] = { "keys/", "keyring/", "retention/" };
    int rc = compare_one(r, REPO_CONFIG_NAME, heal, fn, ctx, err);
    for (size_t i = 0; rc == 0 && i < BK_COUNT(prefix); i++)
        rc = compare_all(r, prefix[i], heal, fn, ctx, err);
    return rc < 0 ? bk_context(err, "compare small objects with their copies") : 0;
}
