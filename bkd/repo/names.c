#include "bkd/repo/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct gather {
    struct names list;
    const char *prefix;
    size_t ceiling;
};

static int grow(struct names *n, struct bk_error *err)
{
    if (n->n < n->cap)
        return 0;
    size_t cap = n->cap ? n->cap * 2 : 64;
    struct names_item *v = reallocarray(n->v, cap, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "list the objects of a store");
    n->v = v;
    n->cap = cap;
    return 0;
}

static int gather_one(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct gather *g = ctx;
    if (g->list.n >= g->ceiling)
        return bk_fail(err, BK_E_LIMIT, "there are more than %zu objects below %s", g->ceiling, g->prefix);
    int r = grow(&g->list, err);
    if (r < 0)
        return r;
    char *copy = strdup(name);
    if (!copy)
        return bk_fail_errno(err, ENOMEM, "list the objects below %s", g->prefix);
    g->list.v[g->list.n++] = (struct names_item){ .name = copy, .size = size };
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct names_item *x = a, *y = b;
    return strcmp(x->name, y->name);
}

int names_list(struct store *s, const char *prefix, size_t ceiling, struct names *ret, struct bk_error *err)
{
    struct gather g = { .prefix = prefix, .ceiling = ceiling };
    int r = store_list(s, prefix, gather_one, &g, err);
    if (r < 0) {
        names_clear(&g.list);
        return bk_context(err, "list %s in %s", prefix, s->url);
    }
    if (g.list.n)
        qsort(g.list.v, g.list.n, sizeof *g.list.v, by_name);
    *ret = g.list;
    return 0;
}

const struct names_item *names_find(const struct names *n, const char *name)
{
    struct names_item key = { .name = (char *)name };
    return n->n ? bsearch(&key, n->v, n->n, sizeof *n->v, by_name) : NULL;
}

void names_clear(struct names *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->v[i].name);
    free(n->v);
    *n = (struct names){ 0 };
}
