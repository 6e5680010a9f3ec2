/* Small sealed objects: put so that the outcome is certain, fetch and open. */
#include "bkd/repo/repo.h"
#include "bkd/repo/repo_build.h"

/* Bytes by which an object is known as ours: a header, a length, and 16 random bytes at least. */
enum { OURS = 36 };

/* 1 when exactly these bytes stand under the name, 0 when nothing or something else does. A beginning of them
 * is a put of ours that broke off, in a store that shows such things: it goes. */
static int stands_there(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf there = BK_BUF(0);
    int r = store_get_all(s, name, len + 1, &there, err);
    if (r == BK_E_LIMIT || r == BK_E_ABSENT)
        return 0;
    if (r < 0)
        return r;
    bool begins = there.len <= len && (!there.len || memcmp(there.data, data, there.len) == 0);
    if (begins && there.len < len && there.len >= OURS)
        return store_remove(s, name, err);
    return begins && there.len == len;
}

int repo_put_sure(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    enum { TRIES = 3 };
    for (int i = 1;; i++) {
        struct bk_error put = { 0 }, get = { 0 };
        int r = store_put(s, name, data, len, &put);
        if (r >= 0)
            return 0;
        if (r == BK_E_COPIES) { /* that it can be read is not enough */
            if (err)
                *err = put;
            return r;
        }
        /* One more reading, should the first one fail as well: an unknown outcome is the worst one. But not
         * of a store that has waited its whole time for an answer, twice. */
        int there = stands_there(s, name, data, len, &get);
        if (there < 0 && there != BK_E_UNREACHABLE)
            there = stands_there(s, name, data, len, &get);
        if (there == 1)
            return 0;
        if (r != BK_E_IO || there < 0 || i == TRIES) {
            if (err)
                *err = put;
            return r;
        }
    }
}

int repo_put_record(struct repo *r, enum object_kind kind, const char *name, const void *payload, size_t len,
                    struct bk_error *err)
{
    const struct world *w = repo_world(r);
    uint8_t salt[RECORD_SALT];
    int rc = w->random(w->ctx, salt, sizeof salt, err);
    if (rc < 0)
        return bk_context(err, "seal %s", name);
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(RECORD_MAX);
    rc = record_seal(repo_keyring(r), kind, name, salt, payload, len, &sealed, err);
    if (rc < 0)
        return rc;
    rc = repo_put_sure(repo_store(r), name, sealed.data, sealed.len, err);
    if (rc < 0)
        return bk_context(err, "put %s", name);
    return 0;
}

int repo_get_record(struct repo *r, enum object_kind kind, const char *name, struct bk_buf *payload,
                    struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(RECORD_MAX);
    int rc = store_get_all(repo_store(r), name, RECORD_MAX, &sealed, err);
    if (rc < 0)
        return bk_context(err, "get %s", name);
    payload->len = 0;
    return record_open(repo_keyring(r), kind, name, sealed.data, sealed.len, payload, err);
}
