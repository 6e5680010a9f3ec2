#include "bkd/repo/index_guard.h"

#include <errno.h>

#include "bkd/repo/index_inside.h"

struct index_guard_state {
    const struct collection *collection; /* borrowed */
    struct guarded_pack *v;              /* owned: all that were listed */
    size_t n, cap;
};

int guarded_pack_cmp(const void *a, const void *b)
{
    const struct guarded_pack *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return memcmp(x->name.b, y->name.b, PACK_NAME);
}

static int see_pack(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct index_guard_state *g = ctx;
    struct guarded_pack p = { .bytes = size };
    if (repo_pack_of_path(name, &p.kind, &p.name) != 1)
        return 0;
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 256;
        struct guarded_pack *v = reallocarray(g->v, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "list the packs");
        g->v = v;
        g->cap = cap;
    }
    g->v[g->n++] = p;
    return 0;
}

void index_guard_state_free(struct index_guard_state *g)
{
    if (!g)
        return;
    free(g->v);
    free(g);
}

static bool trusts(const struct index_guard_state *g, enum chunk_kind kind, const pack_name *name)
{
    struct guarded_pack key = { .name = *name, .kind = kind };
    if (collection_shuns(g->collection, kind, name))
        return false;
    return g->n && bsearch(&key, g->v, g->n, sizeof *g->v, guarded_pack_cmp);
}

bool index_trusts(const struct index *x, enum chunk_kind kind, const pack_name *name)
{
    const struct index_guard_state *g = index_guard_of(x);
    return !g || trusts(g, kind, name);
}

const struct guarded_pack *index_guarded_packs(const struct index *x, size_t *ret_n)
{
    const struct index_guard_state *g = index_guard_of(x);
    *ret_n = g ? g->n : 0;
    return g ? g->v : NULL;
}

/* The lines of its pack table that are not trusted: NULL when all are. A page that cannot be read leaves all
 * in doubt. */
int index_guard_segment(const struct index_guard_state *g, struct index_segment *s, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    bk_auto(free) uint8_t *bits = NULL;
    uint32_t page, have = UINT32_MAX;
    size_t bytes = (size_t)(s->seg.n_packs / 8 + 1);
    for (uint64_t i = 0; i < s->seg.n_packs; i++) {
        struct bk_error why = { 0 };
        struct segment_pack p = { 0 };
        int r = segment_pack_page(&s->seg, i, &page, &why);
        if (r == 0 && page != have)
            r = index_segment_page(s, page, data, &why);
        if (bk_code_aborts(r))
            return bk_fail(err, r, "%s", why.text);
        have = r == 0 ? page : UINT32_MAX;
        if (r == 0)
            segment_pack_line(data, i, &p);
        if (r == 0 && p.kind < CHUNK_KINDS && trusts(g, p.kind, &p.name))
            continue;
        if (!bits && !(bits = calloc(bytes, 1)))
            return bk_fail_errno(err, ENOMEM, "guard an index segment");
        bits[i / 8] |= (uint8_t)(1 << (i % 8));
    }
    free(s->shunned);
    s->shunned = bk_steal(bits);
    return 0;
}

int index_guard(struct index *x, const struct collection *c, struct bk_error *err)
{
    struct index_guard_state *g = calloc(1, sizeof *g);
    if (!g)
        return bk_fail_errno(err, ENOMEM, "guard the index");
    g->collection = c;
    struct store *store = repo_store(index_repo(x));
    int r = store_list(store, "data/", see_pack, g, err);
    if (r == 0)
        r = store_list(store, "meta/", see_pack, g, err);
    if (r == 0 && g->n)
        qsort(g->v, g->n, sizeof *g->v, guarded_pack_cmp);
    struct index_segment *s;
    for (size_t i = 0; r == 0 && (s = index_segment_at(x, i)) != NULL; i++)
        r = index_guard_segment(g, s, err);
    if (r < 0) {
        index_guard_state_free(g);
        return bk_context(err, "guard the index");
    }
    index_set_guard(x, g);
    return 0;
}
