#include <errno.h>

#include "bkd/life/prune_state.h"

static int cmp(const void *a, const void *b)
{
    const struct pack *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return memcmp(x->name.b, y->name.b, PACK_NAME);
}

static int see(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct packs *p = ctx;
    struct pack k = { .bytes = size };
    enum chunk_kind kind;
    if (repo_pack_of_path(name, &kind, &k.name) != 1)
        return 0;
    k.kind = (uint8_t)kind;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 256;
        struct pack *v = reallocarray(p->v, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "list the packs");
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = k;
    return 0;
}

int packs_list(struct store *s, struct packs *ret, struct bk_error *err)
{
    bk_auto(packs_clear) struct packs p = { 0 };
    int r = store_list(s, "data/", see, &p, err);
    if (r == 0)
        r = store_list(s, "meta/", see, &p, err);
    if (r < 0)
        return bk_context(err, "list the packs of %s", s->url);
    if (p.n)
        qsort(p.v, p.n, sizeof *p.v, cmp);
    if (p.n >= PACK_NONE)
        return bk_fail(err, BK_E_LIMIT, "there are too many packs");
    *ret = p;
    p = (struct packs){ 0 };
    return 0;
}

void packs_clear(struct packs *p)
{
    free(p->v);
    *p = (struct packs){ 0 };
}

uint32_t packs_find(const struct packs *p, unsigned kind, const pack_name *name)
{
    struct pack key = { .kind = (uint8_t)kind, .name = *name };
    const struct pack *k = p->n ? bsearch(&key, p->v, p->n, sizeof *p->v, cmp) : NULL;
    return k ? (uint32_t)(k - p->v) : PACK_NONE;
}

void packs_flag(struct packs *p, const struct collection *c, bool doomed_only)
{
    for (size_t i = 0; i < c->list.count; i++) {
        const struct tombstone *t = &c->list.v[i];
        uint32_t at = packs_find(p, t->kind, &t->name);
        if (at == PACK_NONE || (doomed_only && !generation_dooms(&c->decision, i)))
            continue;
        p->v[at].flags |= PACK_DOOMED | (t->why == TOMBSTONE_MOVED ? PACK_MOVED : 0);
    }
}

void packs_drop_doomed(struct packs *p, const struct collection *c)
{
    size_t n = 0;
    if (c->state != COLLECTION_DECIDED)
        return;
    for (size_t i = 0; i < p->n; i++)
        if (!collection_shuns(c, p->v[i].kind, &p->v[i].name))
            p->v[n++] = p->v[i];
    p->n = n;
}
