/* Which packs the index names. */
#include "bkd/repo/index_inside.h"

struct packs {
    struct segment_pack *v;
    size_t n, cap;
};

static int gather_packs(struct index_segment *s, struct packs *l, struct bk_error *err)
{
    uint8_t data[SEGMENT_PAGE];
    uint32_t page, have = UINT32_MAX;
    for (uint64_t i = 0; i < s->seg.n_packs; i++) {
        if (l->n == l->cap) {
            size_t cap = l->cap ? l->cap * 2 : 256;
            struct segment_pack *v = reallocarray(l->v, cap, sizeof *v);
            if (!v)
                return bk_fail(err, BK_E_NOMEM, "no memory for the list of packs");
            l->v = v;
            l->cap = cap;
        }
        int r = segment_pack_page(&s->seg, i, &page, err);
        if (r == 0 && page != have)
            r = index_segment_page(s, page, data, err);
        if (r < 0)
            return bk_context(err, "index segment %s", s->object);
        have = page;
        segment_pack_line(data, i, &l->v[l->n++]);
    }
    return 0;
}

/* A damaged segment names nothing that could be relied on: not all chunks of its packs are found in it. */
static int gather(struct index_segment *s, struct packs *l, struct bk_error *err)
{
    struct bk_error why = { 0 };
    size_t n = l->n;
    int r = atomic_load(&s->damaged) ? 0 : gather_packs(s, l, &why);
    if (bk_code_aborts(r))
        return bk_fail(err, r, "%s", why.text);
    if (r < 0)
        l->n = n;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return memcmp(((const struct segment_pack *)a)->name.b, ((const struct segment_pack *)b)->name.b,
                  PACK_NAME);
}

int index_each_pack(struct index *x, index_pack_fn *fn, void *ctx, struct bk_error *err)
{
    return index_each_pack_of(x, true, fn, ctx, err);
}

int index_each_pack_of(struct index *x, bool recovered, index_pack_fn *fn, void *ctx, struct bk_error *err)
{
    struct index_segment *s;
    struct packs l = { 0 };
    int r = 0;
    for (size_t i = 0; r == 0 && (s = index_segment_at(x, i)) != NULL; i++)
        if (recovered || !s->recovered)
            r = gather(s, &l, err);
    if (l.n)
        qsort(l.v, l.n, sizeof *l.v, by_name);
    for (size_t i = 0; r == 0 && i < l.n; i++)
        if (i == 0 || by_name(&l.v[i - 1], &l.v[i]) != 0)
            r = fn(ctx, &l.v[i], err);
    free(l.v);
    return r;
}
