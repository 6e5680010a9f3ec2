/* Listing: what any of the stores has. The whole of it is gathered first, so that an object is named once;
 * one whose sizes differ is named with the largest, as what is damaged is mostly cut off. */
#include <stdlib.h>

#include "bkd/store/mirror_state.h"

struct item {
    char *name; /* owned */
    uint64_t size;
};
struct gathered {
    struct item *v; /* owned */
    size_t n, cap;
};

static void gathered_clear(struct gathered *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->v[i].name);
    free(g->v);
}
BK_AUTO_CLEAR(struct gathered, gathered_clear)

static int gather(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct gathered *g = ctx;
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 256;
        struct item *v = reallocarray(g->v, cap, sizeof *v);
        if (!v)
            return bk_fail(err, BK_E_NOMEM, "no memory to list the mirror");
        g->v = v;
        g->cap = cap;
    }
    char *copy = strdup(name);
    if (!copy)
        return bk_fail(err, BK_E_NOMEM, "no memory to list the mirror");
    g->v[g->n++] = (struct item){ .name = copy, .size = size };
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int deliver(struct gathered *g, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    if (g->n)
        qsort(g->v, g->n, sizeof *g->v, by_name);
    for (size_t i = 0, next; i < g->n; i = next) {
        uint64_t size = g->v[i].size;
        for (next = i + 1; next < g->n && strcmp(g->v[next].name, g->v[i].name) == 0; next++)
            size = g->v[next].size > size ? g->v[next].size : size;
        int r = fn(ctx, g->v[i].name, size, err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* The primary comes first: what is removed meanwhile has left the others before it leaves the primary, so
 * that nothing is listed that is gone for good. */
int mirror_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    bk_auto(gathered_clear) struct gathered g = { 0 };
    struct bk_error first = { 0 };
    unsigned listed = 0;
    for (unsigned i = 0; i < m->n; i++) {
        struct bk_error why = { 0 };
        int r = mirror_usable(m, i, false, &why);
        if (r == 0)
            r = store_list(m->m[i].s, prefix, gather, &g, &why);
        if (r == BK_E_NOMEM || r == BK_E_CANCELLED) {
            if (err)
                *err = why;
            return r;
        }
        if (r == 0) {
            listed++;
            continue;
        }
        atomic_store(&m->incomplete, true);
        if (i == 0)
            atomic_store(&m->degraded, true);
        mirror_failed(m, i, r, &why);
        mirror_of(m, i, &why);
        if (!first.code)
            first = why;
    }
    if (!listed) {
        if (err)
            *err = first;
        return first.code;
    }
    return deliver(&g, fn, ctx, err);
}
