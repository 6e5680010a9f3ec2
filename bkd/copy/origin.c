#include "bkd/copy/origin.h"

#include <errno.h>
#include <string.h>

static bool is_zero(const uint8_t *p, size_t n)
{
    while (n && !*p) {
        p++;
        n--;
    }
    return n == 0;
}

void copy_origin_of(const struct repo *r, const struct snapshot *s, struct copy_origin *ret)
{
    if (!is_zero(s->origin_repo, sizeof s->origin_repo)) {
        memcpy(ret->repo, s->origin_repo, sizeof ret->repo);
        memcpy(ret->snapshot, s->origin, sizeof ret->snapshot);
        return;
    }
    memcpy(ret->repo, repo_config(r)->repo_id, sizeof ret->repo);
    memcpy(ret->snapshot, s->id, sizeof ret->snapshot);
}

bool copy_is_damaged(const struct snapshot *copy, const struct snapshot *original)
{
    return copy->n_exceptions > original->n_exceptions;
}

static int by_origin(const void *va, const void *vb)
{
    const struct origins_item *a = va, *b = vb;
    int r = memcmp(&a->origin, &b->origin, sizeof a->origin);
    if (r)
        return r;
    if (a->snap->n_exceptions != b->snap->n_exceptions)
        return a->snap->n_exceptions < b->snap->n_exceptions ? -1 : 1;
    return a->snap->sequence > b->snap->sequence ? -1 : a->snap->sequence < b->snap->sequence;
}

int origins_of(const struct repo *r, const struct catalog *c, struct origins *ret, struct bk_error *err)
{
    struct origins o = { .v = calloc(c->n + 1, sizeof *o.v) };
    if (!o.v)
        return bk_fail_errno(err, ENOMEM, "look for copies");
    for (; o.n < c->n; o.n++) {
        o.v[o.n].snap = &c->v[o.n].snap;
        copy_origin_of(r, &c->v[o.n].snap, &o.v[o.n].origin);
    }
    qsort(o.v, o.n, sizeof *o.v, by_origin);
    *ret = o;
    return 0;
}

const struct snapshot *origins_find(const struct origins *o, const struct copy_origin *of)
{
    size_t lo = 0, hi = o->n;
    while (lo < hi) { /* the first one that is not before */
        size_t mid = lo + (hi - lo) / 2;
        if (memcmp(&o->v[mid].origin, of, sizeof *of) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < o->n && memcmp(&o->v[lo].origin, of, sizeof *of) == 0 ? o->v[lo].snap : NULL;
}

void origins_clear(struct origins *o)
{
    free(o->v);
    *o = (struct origins){ 0 };
}
