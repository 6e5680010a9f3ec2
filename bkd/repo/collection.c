#include "bkd/repo/collection.h"

#include <stdio.h>
#include <string.h>

static const char list_prefix[] = "tombstones/", decision_prefix[] = "generation/";

void collection_list_path(uint64_t n, char out[static REPO_PATH])
{
    snprintf(out, REPO_PATH, "%s%llu", list_prefix, (unsigned long long)n);
}

void collection_decision_path(uint64_t n, char out[static REPO_PATH])
{
    snprintf(out, REPO_PATH, "%s%llu", decision_prefix, (unsigned long long)n);
}

int collection_number(const char *name, const char *prefix, uint64_t *ret)
{
    const char *p = name + strlen(prefix);
    uint64_t n = 0;
    if (strncmp(name, prefix, strlen(prefix)) != 0 || !*p)
        return 0;
    for (; *p; p++)
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return 0;
    *ret = n;
    return 1;
}

struct highest {
    const char *prefix;
    uint64_t n;
};

static int see_number(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)size;
    (void)err;
    struct highest *h = ctx;
    uint64_t n;
    if (collection_number(name, h->prefix, &n) && n > h->n)
        h->n = n;
    return 0;
}

/* Tombstones are published before the sessions are listed, so they count as well. */
int collection_generation(struct repo *r, uint64_t *ret, struct bk_error *err)
{
    struct highest g = { .prefix = decision_prefix }, t = { .prefix = list_prefix };
    int rc = store_list(repo_store(r), g.prefix, see_number, &g, err);
    if (rc == 0)
        rc = store_list(repo_store(r), t.prefix, see_number, &t, err);
    if (rc < 0)
        return bk_context(err, "read the generation of %s", repo_store(r)->url);
    *ret = g.n > t.n ? g.n : t.n;
    return 0;
}

/* Codes that say that the object is no good, rather than that it could not be asked for. */
static bool is_damage(int code)
{
    return code == BK_E_CORRUPT || code == BK_E_VERSION || code == BK_E_LIMIT || code == BK_E_AUTH;
}

static int digest_of(struct repo *r, const struct bk_buf *payload, uint8_t out[static SUITE_HASH],
                     struct bk_error *err)
{
    return suite_hash(repo_keyring(r)->suite, payload->data, payload->len, out, err);
}

static int read_decision(struct repo *r, uint64_t n, struct generation *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    char path[REPO_PATH];
    collection_decision_path(n, path);
    int rc = repo_get_record(r, OBJECT_GENERATION, path, &payload, err);
    if (rc == 0)
        rc = generation_decode(payload.data, payload.len, ret, err);
    if (rc == 0 && ret->n != n)
        rc = bk_fail(err, BK_E_CORRUPT, "%s holds another number", path);
    return rc;
}

static int read_list(struct repo *r, uint64_t n, struct tombstones *ret, uint8_t digest[static SUITE_HASH],
                     struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    char path[REPO_PATH];
    collection_list_path(n, path);
    int rc = repo_get_record(r, OBJECT_TOMBSTONES, path, &payload, err);
    if (rc == 0)
        rc = tombstones_decode(payload.data, payload.len, ret, err);
    if (rc == 0 && ret->n != n)
        rc = bk_fail(err, BK_E_CORRUPT, "%s holds another number", path);
    return rc < 0 ? rc : digest_of(r, &payload, digest, err);
}

/* The decision is read first: when it is not there yet, the list still is, for both of the highest number
 * stay until a higher one is finished. 1: neither is there, somebody went on meanwhile. */
static int read_both(struct repo *r, struct collection *c, struct bk_error *err)
{
    uint8_t digest[SUITE_HASH];
    struct bk_error why = { 0 };
    int d = read_decision(r, c->n, &c->decision, &why);
    if (d < 0 && d != BK_E_ABSENT && !is_damage(d))
        goto fail;
    if (d == 0 && !c->decision.count) {
        c->state = COLLECTION_DECIDED;
        return 0;
    }
    int l = read_list(r, c->n, &c->list, digest, &why);
    if (l == BK_E_ABSENT)
        return 1;
    if (l < 0 && !is_damage(l)) {
        d = l;
        goto fail;
    }
    c->list_lost = l < 0;
    if (l == 0 && d == BK_E_ABSENT)
        c->state = COLLECTION_UNDECIDED;
    else if (l == 0 && d == 0 && c->decision.count == c->list.count &&
             memcmp(digest, c->decision.digest, sizeof digest) == 0)
        c->state = COLLECTION_DECIDED;
    else
        c->state = COLLECTION_UNKNOWN;
    return 0;
fail:
    if (err)
        *err = why;
    return d;
}

int collection_read(struct repo *r, struct collection *ret, struct bk_error *err)
{
    enum { TRIES = 8 };
    bk_auto(collection_clear) struct collection c = { 0 };
    int rc = 1;
    for (int i = 0; rc == 1 && i < TRIES; i++) {
        collection_clear(&c);
        rc = collection_generation(r, &c.n, err);
        if (rc == 0 && c.n)
            rc = read_both(r, &c, err);
    }
    if (rc < 0)
        return bk_context(err, "read what the collector says");
    if (rc == 1)
        c.state = COLLECTION_UNKNOWN;
    *ret = c;
    c = (struct collection){ 0 };
    return 0;
}

void collection_clear(struct collection *c)
{
    tombstones_clear(&c->list);
    generation_clear(&c->decision);
    *c = (struct collection){ 0 };
}

bool collection_shuns(const struct collection *c, enum chunk_kind kind, const pack_name *name)
{
    size_t line;
    switch (c->state) {
    case COLLECTION_NONE:
        return false;
    case COLLECTION_UNKNOWN:
        return true;
    case COLLECTION_UNDECIDED:
        return tombstones_find(&c->list, kind, name) != SIZE_MAX;
    case COLLECTION_DECIDED:
        line = tombstones_find(&c->list, kind, name);
        return line != SIZE_MAX && generation_dooms(&c->decision, line);
    }
    return true;
}
