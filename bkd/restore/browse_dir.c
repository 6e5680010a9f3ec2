#include "bkd/restore/browse.h"

/* An index page being walked: the children from `next` on are still to come. */
struct level {
    struct bk_buf mem;
    struct tree_child *v; /* owned; names borrow from mem */
    size_t n, next;
    unsigned depth;
};

struct browse_dir {
    struct reader *reader;
    unsigned lane;
    struct tree_dir root;
    bool started, page_open;
    struct level levels[TREE_DEPTH_MAX];
    unsigned n_levels;
    struct bk_buf mem; /* of the leaf page */
    struct tree_page page;
};

static void level_clear(struct level *l)
{
    free(l->v);
    bk_buf_clear(&l->mem);
    *l = (struct level){ 0 };
}
BK_AUTO_CLEAR(struct level, level_clear)

static int level_load(struct reader *r, unsigned lane, unsigned depth, const chunk_id *id, struct level *ret,
                      struct bk_error *err)
{
    bk_auto(level_clear) struct level l = { .mem = BK_BUF(CHUNK_MAX), .depth = depth };
    int rc = reader_chunk(r, lane, CHUNK_META, id, &l.mem, err);
    if (rc < 0 || (rc = tree_index_decode(l.mem.data, l.mem.len, depth, &l.v, &l.n, err)) < 0)
        return bk_context(err, "read a directory's index page");
    *ret = l;
    l = (struct level){ 0 };
    return 0;
}

int browse_dir_open(struct reader *r, unsigned lane, const struct tree_dir *d, struct browse_dir **ret,
                    struct bk_error *err)
{
    if (d->depth > TREE_DEPTH_MAX)
        return bk_fail(err, BK_E_CORRUPT, "a directory's pages are nested %u deep", d->depth);
    struct browse_dir *b = calloc(1, sizeof *b);
    if (!b)
        return bk_fail(err, BK_E_NOMEM, "list a directory");
    b->reader = r;
    b->lane = lane;
    b->root = *d;
    b->mem = BK_BUF(CHUNK_MAX);
    *ret = b;
    return 0;
}

void browse_dir_free(struct browse_dir *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < b->n_levels; i++)
        level_clear(&b->levels[i]);
    bk_buf_clear(&b->mem);
    free(b);
}

static int open_page(struct browse_dir *b, const chunk_id *id, struct bk_error *err)
{
    int r = reader_chunk(b->reader, b->lane, CHUNK_META, id, &b->mem, err);
    if (r < 0 || (r = tree_page_open(b->mem.data, b->mem.len, &b->page, err)) < 0)
        return bk_context(err, "read a directory's page");
    b->page_open = true;
    return 0;
}

/* Descend to the page at or below id, which is of this depth. */
static int enter(struct browse_dir *b, unsigned depth, const chunk_id *id, struct bk_error *err)
{
    chunk_id at = *id;
    for (; depth > 1; depth--) {
        struct level *l = &b->levels[b->n_levels];
        int r = level_load(b->reader, b->lane, depth, &at, l, err);
        if (r < 0)
            return r;
        if (l->n == 0) {
            level_clear(l);
            return 0;
        }
        b->n_levels++;
        l->next = 1;
        at = l->v[0].id;
    }
    return open_page(b, &at, err);
}

/* 1 when there may be more, 0 at the end. A page that cannot be read is passed over by the next call. */
static int advance(struct browse_dir *b, struct bk_error *err)
{
    if (!b->started) {
        b->started = true;
        if (b->root.depth == 0)
            return 0;
        int r = enter(b, b->root.depth, &b->root.id, err);
        return r < 0 ? r : 1;
    }
    while (b->n_levels) {
        struct level *l = &b->levels[b->n_levels - 1];
        if (l->next < l->n) {
            unsigned depth = l->depth - 1;
            chunk_id id = l->v[l->next++].id;
            int r = enter(b, depth, &id, err);
            return r < 0 ? r : 1;
        }
        level_clear(l);
        b->n_levels--;
    }
    return 0;
}

int browse_dir_next(struct browse_dir *b, struct tree_entry *ret, struct bk_error *err)
{
    for (;;) {
        if (b->page_open) {
            int r = tree_page_next(&b->page, ret, err);
            if (r > 0)
                return 1;
            b->page_open = false;
            if (r < 0)
                return bk_context(err, "read a directory's page");
        }
        int r = advance(b, err);
        if (r <= 0)
            return r;
    }
}

static int name_cmp(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int c = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return c ? c : (a_len > b_len) - (a_len < b_len);
}

/* The child that would hold the name: the last whose first name is not after it; NULL: before all. */
static const struct tree_child *child_for(const struct level *l, const void *name, size_t name_len)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (name_cmp(l->v[mid].first, l->v[mid].first_len, name, name_len) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &l->v[lo - 1] : NULL;
}

int browse_lookup(struct reader *r, unsigned lane, const struct tree_dir *d, const void *name,
                  size_t name_len, struct node *ret, struct bk_error *err)
{
    if (d->depth == 0)
        return 0;
    if (d->depth > TREE_DEPTH_MAX)
        return bk_fail(err, BK_E_CORRUPT, "a directory's pages are nested %u deep", d->depth);
    chunk_id at = d->id;
    for (unsigned depth = d->depth; depth > 1; depth--) {
        bk_auto(level_clear) struct level l = { 0 };
        int rc = level_load(r, lane, depth, &at, &l, err);
        if (rc < 0)
            return rc;
        const struct tree_child *c = child_for(&l, name, name_len);
        if (!c)
            return 0;
        at = c->id;
    }

    bk_auto(bk_buf_clear) struct bk_buf mem = BK_BUF(CHUNK_MAX);
    struct tree_page page;
    int rc = reader_chunk(r, lane, CHUNK_META, &at, &mem, err);
    if (rc < 0 || (rc = tree_page_open(mem.data, mem.len, &page, err)) < 0)
        return bk_context(err, "read a directory's page");
    struct tree_entry e;
    while ((rc = tree_page_next(&page, &e, err)) > 0) {
        int c = name_cmp(e.name, e.name_len, name, name_len);
        if (c > 0)
            return 0;
        if (c == 0) {
            rc = node_copy(&e, ret, err);
            return rc < 0 ? rc : 1;
        }
    }
    return rc;
}
