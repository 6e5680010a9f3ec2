#include "bkd/serve/repo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_MAX = 256 };

static int count(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)name, (void)err;
    struct serve_repo *r = ctx;
    atomic_fetch_add(&r->used, size);
    return 0;
}

int serve_repo_open(const struct serve_place *place, const struct world *w, struct serve_repo **ret,
                    struct bk_error *err)
{
    bk_auto(serve_repo_free) struct serve_repo *r = calloc(1, sizeof *r);
    if (!r)
        return bk_fail(err, BK_E_NOMEM, "no memory for a repository");
    r->place = place;
    r->world = w;
    pthread_mutex_init(&r->removing, NULL);
    int rc = store_open(place->url, false, w, &r->store, err);
    if (rc == BK_E_ABSENT) {
        bk_error_clear(err);
        rc = store_open(place->url, true, w, &r->store, err);
    }
    if (rc == 0)
        rc = store_list(r->store, "", count, r, err);
    if (rc < 0)
        return bk_context(err, "repository %s", place->name);
    *ret = bk_steal(r);
    return 0;
}

void serve_repo_free(struct serve_repo *r)
{
    if (!r)
        return;
    store_free(r->store);
    pthread_mutex_destroy(&r->removing);
    free(r);
}

/* Takes the bytes before they are written: of two puts only one gets the last room. */
static int take_room(struct serve_repo *r, size_t len, struct bk_error *err)
{
    uint64_t before = atomic_fetch_add(&r->used, len), quota = r->place->quota;
    if (!quota || (before <= quota && len <= quota - before))
        return 0;
    atomic_fetch_sub(&r->used, len);
    return bk_fail(err, BK_E_NOSPACE, "repository %s has %llu of the %llu bytes of its quota", r->place->name,
                   (unsigned long long)before, (unsigned long long)quota);
}

static int put_counted(struct serve_repo *r, const char *name, const void *data, size_t len,
                       struct bk_error *err)
{
    int rc = take_room(r, len, err);
    if (rc < 0)
        return rc;
    rc = store_put(r->store, name, data, len, err);
    if (rc < 0)
        atomic_fetch_sub(&r->used, len);
    return rc;
}

static int beside(const char *name, char out[static STORE_NAME_MAX + 1], struct bk_error *err)
{
    if ((size_t)snprintf(out, STORE_NAME_MAX + 1, SERVE_RECEIVED "%s", name) > STORE_NAME_MAX)
        return bk_fail(err, BK_E_LIMIT, "the name is too long");
    return 0;
}

/* 0 as well when it is there already. */
static int stamp(struct serve_repo *r, const char *name, const char *principal, struct bk_error *err)
{
    char path[STORE_NAME_MAX + 1], text[RECORD_MAX];
    int n = snprintf(text, sizeof text, "1 %" PRId64 " %s\n", r->world->now_ns(r->world->ctx), principal);
    int rc = beside(name, path, err);
    struct bk_error why = { 0 };
    if (rc == 0)
        rc = store_put(r->store, path, text, (size_t)n, &why);
    if (rc == 0)
        atomic_fetch_add(&r->used, (uint64_t)n);
    if (rc == BK_E_EXISTS)
        return 0;
    if (rc < 0 && err && why.code)
        *err = why;
    return rc;
}

int serve_repo_own(struct serve_repo *r, const char *name, const char *principal, struct bk_error *err)
{
    char session[STORE_NAME_MAX + 1], path[STORE_NAME_MAX + 1], whose[RECORD_MAX] = "";
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    serve_request_session(name, session);
    int rc = beside(session, path, err);
    if (rc == 0)
        rc = store_get_all(r->store, path, RECORD_MAX - 1, &b, err);
    if (rc < 0 && rc != BK_E_ABSENT)
        return rc;
    if (rc == 0) {
        memcpy(whose, b.data, b.len);
        whose[b.len] = '\0';
        char *owner = strrchr(whose, ' ');
        if (strncmp(whose, "1 ", 2) == 0 && owner && strcspn(owner + 1, "\n") == strlen(principal) &&
            strncmp(owner + 1, principal, strlen(principal)) == 0)
            return 0;
    }
    return bk_fail(err, BK_E_PERM, "%s is no session of %s", session, principal);
}

int serve_repo_put(struct serve_repo *r, const char *name, const void *data, size_t len,
                   const char *principal, bool own, struct bk_error *err)
{
    char session[STORE_NAME_MAX + 1];
    serve_request_session(name, session);
    bool opens = strcmp(session, name) == 0, commits = strncmp(name, "snapshots/", 10) == 0;
    uint64_t size;
    struct bk_error ignored = { 0 };
    /* a session that stands there without a record came another way: it is not to be taken over */
    if (opens && own && store_stat(r->store, name, &size, &ignored) == 0)
        return bk_fail(err, BK_E_EXISTS, "object %s is there already", name);
    int rc = opens ? stamp(r, name, principal, err) : 0;
    if (rc == 0 && own)
        rc = serve_repo_own(r, name, principal, err);
    if (rc == 0)
        rc = put_counted(r, name, data, len, err);
    /* the answer to the first may have been lost, and the server with it before it could stamp */
    if (commits && (rc == 0 || rc == BK_E_EXISTS)) {
        int stamped = stamp(r, name, principal, &ignored);
        if (stamped < 0 && rc == 0) {
            if (err)
                *err = ignored;
            rc = bk_context(err, "note when %s was received", name);
        }
    }
    return rc;
}

static int remove_counted(struct serve_repo *r, const char *name, struct bk_error *err)
{
    uint64_t size = 0;
    struct bk_error why = { 0 };
    int rc = store_stat(r->store, name, &size, &why);
    if (rc == BK_E_ABSENT)
        return 0;
    rc = store_remove(r->store, name, err);
    if (rc == 0)
        atomic_fetch_sub(&r->used, size);
    return rc;
}

int serve_repo_remove(struct serve_repo *r, const char *name, struct bk_error *err)
{
    char session[STORE_NAME_MAX + 1], path[STORE_NAME_MAX + 1];
    serve_request_session(name, session);
    pthread_mutex_lock(&r->removing);
    int rc = remove_counted(r, name, err);
    if (rc == 0 && (strcmp(session, name) == 0 || strncmp(name, "snapshots/", 10) == 0)) {
        rc = beside(name, path, err);
        if (rc == 0)
            rc = remove_counted(r, path, err);
    }
    pthread_mutex_unlock(&r->removing);
    return rc;
}
