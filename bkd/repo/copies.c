#include "bkd/repo/copies.h"

#include <stdio.h>
#include <string.h>

#include "bkd/repo/repo_build.h"

void copies_path(const char *name, char out[static REPO_PATH])
{
    snprintf(out, REPO_PATH, COPIES_PREFIX "%s", name);
}

int copies_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    char path[REPO_PATH];
    copies_path(name, path);
    int r = repo_put_sure(s, path, data, len, err);
    if (r == BK_E_EXISTS) {
        r = store_remove(s, path, err);
        if (r == 0)
            r = repo_put_sure(s, path, data, len, err);
    }
    return r < 0 ? bk_context(err, "put %s", path) : 0;
}

int copies_remove(struct store *s, const char *name, struct bk_error *err)
{
    char path[REPO_PATH];
    copies_path(name, path);
    int r = store_remove(s, path, err);
    if (r == 0)
        r = store_remove(s, name, err);
    return r < 0 ? bk_context(err, "remove %s", name) : 0;
}

int copies_put_record(struct repo *r, enum object_kind kind, const char *name, const void *payload,
                      size_t len, struct bk_error *err)
{
    const struct world *w = repo_world(r);
    uint8_t salt[RECORD_SALT];
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(RECORD_MAX);
    int rc = w->random(w->ctx, salt, sizeof salt, err);
    if (rc == 0)
        rc = record_seal(repo_keyring(r), kind, name, salt, payload, len, &sealed, err);
    if (rc == 0)
        rc = repo_put_sure(repo_store(r), name, sealed.data, sealed.len, err);
    if (rc < 0)
        return bk_context(err, "put %s", name);
    struct bk_error ignored = { 0 };
    (void)!copies_put(repo_store(r), name, sealed.data, sealed.len, &ignored);
    return 0;
}

int copies_get_record(struct repo *r, enum object_kind kind, const char *name, struct bk_buf *payload,
                      bool *ret_from_copy, struct bk_error *err)
{
    struct bk_error why = { 0 }, ignored = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(RECORD_MAX);
    char path[REPO_PATH];
    bool copy = false;
    int rc = repo_get_record(r, kind, name, payload, &why);
    if (rc < 0 && !bk_code_aborts(rc)) {
        copies_path(name, path);
        payload->len = 0;
        copy = store_get_all(repo_store(r), path, RECORD_MAX, &sealed, &ignored) == 0 &&
               record_open(repo_keyring(r), kind, name, sealed.data, sealed.len, payload, &ignored) == 0;
    }
    if (rc < 0 && !copy) {
        if (err)
            *err = why;
        return rc;
    }
    if (ret_from_copy)
        *ret_from_copy = copy;
    return 0;
}

static int config_at(struct store *s, const char *path, struct config *ret, uint8_t *ret_digest,
                     struct bk_error *err)
{
    enum { CEILING = 4096 };
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CEILING);
    int r = store_get_all(s, path, CEILING, &b, err);
    return r < 0 ? r : config_decode(b.data, b.len, ret, ret_digest, err);
}

int copies_config(struct store *s, struct config *ret, uint8_t ret_digest[static SUITE_HASH],
                  struct bk_error *err)
{
    struct bk_error ignored = { 0 };
    int r = config_at(s, "config", ret, ret_digest, err);
    return r < 0 && config_at(s, COPIES_PREFIX "config", ret, ret_digest, &ignored) == 0 ? 0 : r;
}
