#include "bkd/life/received.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/repo/names.h"

enum { NOTE_MAX = 1024, RECEIVED_MAX = 1 << 24 };
static const char prefix[] = "received/";

static bool path_of(const struct catalog_item *i, char out[static REPO_PATH])
{
    char snapshot[REPO_PATH];
    repo_id_path("snapshots/", i->snap.id, SESSION_ID, snapshot);
    return snprintf(out, REPO_PATH, "%s%s", prefix, snapshot) < (int)REPO_PATH;
}

int64_t received_parse(const void *data, size_t len)
{
    const char *p = data, *end = p + len;
    int64_t ns = 0;
    if (len < 4 || memcmp(p, "1 ", 2) != 0 || end[-1] != '\n')
        return 0;
    for (p += 2; p < end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(ns, 10, &ns) || __builtin_add_overflow(ns, *p - '0', &ns))
            return 0;
    return p < end && *p == ' ' ? ns : 0;
}

static int load_one(struct repo *r, const char *path, int64_t *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    struct bk_error why = { 0 };
    int rc = store_get_all(repo_store(r), path, NOTE_MAX, &b, &why);
    if (rc == BK_E_ABSENT || rc == BK_E_LIMIT || rc == BK_E_CORRUPT)
        return 0;
    if (rc < 0) {
        *err = why;
        return bk_context(err, "read when a snapshot was received");
    }
    *ret = received_parse(b.data, b.len);
    return 0;
}

static int by_received(const void *a, const void *b)
{
    const struct catalog_item *x = a, *y = b;
    if (x->received_ns != y->received_ns)
        return x->received_ns < y->received_ns ? -1 : 1;
    if (x->snap.sequence != y->snap.sequence)
        return x->snap.sequence < y->snap.sequence ? -1 : 1;
    return memcmp(x->snap.id, y->snap.id, SESSION_ID);
}

static int reorder(struct catalog *c, size_t n, struct bk_error *err)
{
    bk_auto(free) struct catalog_item *noted = calloc(n + 1, sizeof *noted);
    if (!noted)
        return bk_fail_errno(err, ENOMEM, "bring %zu snapshots into order", n);
    for (size_t i = 0, k = 0; i < c->n; i++)
        if (c->v[i].received_ns)
            noted[k++] = c->v[i];
    qsort(noted, n, sizeof *noted, by_received);
    for (size_t i = 0, k = 0; i < c->n; i++)
        if (c->v[i].received_ns)
            c->v[i] = noted[k++];
    catalog_reordered(c);
    return 0;
}

int received_load(struct repo *r, struct catalog *c, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    int rc = c->n ? names_list(repo_store(r), "received/snapshots/", RECEIVED_MAX, &list, err) : 0;
    size_t n = 0;
    for (size_t i = 0; rc == 0 && list.n && i < c->n; i++) {
        char path[REPO_PATH];
        if (path_of(&c->v[i], path) && names_find(&list, path))
            rc = load_one(r, path, &c->v[i].received_ns, err);
        n += c->v[i].received_ns != 0;
    }
    return rc == 0 && n ? reorder(c, n, err) : rc;
}

void received_forget(struct repo *r, const struct catalog_item *i)
{
    char path[REPO_PATH];
    struct bk_error ignored = { 0 };
    if (i->received_ns && path_of(i, path))
        (void)!store_remove(repo_store(r), path, &ignored);
}
