/* Which chunks a snapshot needs that have no name in the target yet. Directories wait on a stack of their
 * own, since they nest deeper than threads have stack. What cannot be read is passed over: rewrite.c meets it
 * again and tells. */
#include <errno.h>
#include <string.h>

#include "bkd/copy/state.h"

struct dir_pair { /* old: the directory of that place in the older snapshot; depth 0: none */
    struct tree_dir dir, old;
};

struct gather {
    struct copy *c;
    struct dir_pair *v; /* owned; waiting */
    size_t n, cap;
    uint64_t n_entries;
};

static void gather_clear(struct gather *g)
{
    free(g->v);
}
BK_AUTO_CLEAR(struct gather, gather_clear)

static int wait_for(struct gather *g, const struct tree_dir *dir, const struct tree_dir *old,
                    struct bk_error *err)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        struct dir_pair *v = reallocarray(g->v, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "walk a tree");
        g->v = v;
        g->cap = cap;
    }
    g->v[g->n++] = (struct dir_pair){ .dir = *dir, .old = old ? *old : (struct tree_dir){ 0 } };
    return 0;
}

/* Is there nothing to do below this page? Else it counts as seen. */
static int is_done(struct copy *c, const chunk_id *id, struct bk_error *err)
{
    if (pairs_find(c->pairs, id, NULL) || idset_has(&c->seen, id->b))
        return 1;
    int r = idset_add(&c->seen, id->b, err);
    return r < 0 ? r : 0;
}

/* 1 and the bytes, 0 when they cannot be read. */
static int page_of(struct copy *c, const chunk_id *id, struct bk_buf *ret, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = copy_page(c, id, ret, &why);
    if (copy_lost(r))
        return 0;
    if (r < 0 && err)
        *err = why;
    return r < 0 ? r : 1;
}

static int want_extents(struct copy *c, const struct extent *v, size_t n, struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        if (v[i].kind == EXTENT_DATA)
            r = mover_want(c->mover, &v[i].id, err);
    return r;
}

static int gather_page(struct copy *c, const chunk_id *id, unsigned depth, const chunk_id *old,
                       struct bk_error *err);

static int gather_leaf(struct copy *c, const struct bk_buf *page, struct bk_error *err)
{
    bk_auto(extents_clear) struct extents x = { 0 };
    struct bk_error why = { 0 };
    int r = content_leaf_decode(page->data, page->len, &x, &why);
    if (copy_lost(r))
        return 0;
    if (r < 0 && err)
        *err = why;
    return r < 0 ? r : want_extents(c, x.v, x.n, err);
}

/* The children of a page of the older snapshot; none when it cannot be read. */
static int old_children(struct copy *c, const chunk_id *old, unsigned depth, struct content_child **ret,
                        size_t *ret_n, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    int r = old ? page_of(c, old, &page, err) : 0;
    if (r == 1 && content_inner_decode(page.data, page.len, depth, ret, ret_n, NULL) < 0)
        *ret_n = 0;
    return r < 0 ? r : 0;
}

static int gather_inner(struct copy *c, const struct bk_buf *page, unsigned depth, const chunk_id *old,
                        struct bk_error *err)
{
    bk_auto(free) struct content_child *v = NULL, *was = NULL;
    size_t n = 0, n_was = 0, k = 0;
    uint64_t at = 0, was_at = 0;
    struct bk_error why = { 0 };
    int r = content_inner_decode(page->data, page->len, depth, &v, &n, &why);
    if (copy_lost(r))
        return 0;
    if (r < 0 && err)
        *err = why;
    if (r == 0)
        r = old_children(c, old, depth, &was, &n_was, err);
    for (size_t i = 0; i < n && r == 0; i++) {
        while (k < n_was && was_at < at)
            was_at += was[k++].len;
        r = gather_page(c, &v[i].id, depth - 1, k < n_was && was_at == at ? &was[k].id : NULL, err);
        at += v[i].len;
    }
    return r;
}

/* A page of content and all below it; depth falls with each level, so that recursion ends. old: the page of
 * that place in the older snapshot, or NULL. */
static int gather_page(struct copy *c, const chunk_id *id, unsigned depth, const chunk_id *old,
                       struct bk_error *err)
{
    int r = is_done(c, id, err);
    if (r == 0)
        r = job_check(c->job, err);
    if (r == 0 && old)
        r = learn_content_page(c, old, depth, err);
    if (r != 0)
        return r < 0 ? r : 0;
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    r = page_of(c, id, &page, err);
    if (r != 1)
        return r;
    return depth == 1 ? gather_leaf(c, &page, err) : gather_inner(c, &page, depth, old, err);
}

static int gather_content(struct copy *c, const struct content *x, const struct content *old,
                          struct bk_error *err)
{
    if (!x->depth)
        return want_extents(c, x->inline_, x->n_inline, err);
    bool beside = old && old->depth == x->depth && chunk_id_cmp(&old->root, &x->root) != 0;
    return gather_page(c, &x->root, x->depth, beside ? &old->root : NULL, err);
}

static int gather_entry(struct gather *g, const struct tree_entry *e, struct old_scan *old,
                        struct bk_error *err)
{
    struct copy *c = g->c;
    const struct tree_entry *was = NULL;
    bool paged = e->type == TREE_FILE && e->content.depth;
    bool dir = e->type == TREE_DIR && e->dir.depth;
    if (++g->n_entries % 256 == 0 && job_check(c->job, err) < 0)
        return err ? err->code : BK_E_CANCELLED;
    if ((dir && pairs_find(c->pairs, &e->dir.id, NULL)) ||
        (paged && pairs_find(c->pairs, &e->content.root, NULL)))
        return 0;
    if (old && (dir || paged)) {
        char name[TREE_NAME_MAX + 1];
        tree_name_copy(e, name);
        if (old_scan_find(old, name, e->name_len, &was, NULL) != 1 || was->type != e->type)
            was = NULL;
    }
    if (dir)
        return wait_for(g, &e->dir, was ? &was->dir : NULL, err);
    return e->type == TREE_FILE ? gather_content(c, &e->content, was ? &was->content : NULL, err) : 0;
}

static int name_cmp(const struct tree_child *a, const struct tree_child *b)
{
    int r = memcmp(a->first, b->first, a->first_len < b->first_len ? a->first_len : b->first_len);
    return r ? r : (a->first_len > b->first_len) - (a->first_len < b->first_len);
}

/* What the older directory has for the names of page i. */
static int learn_beside(struct copy *c, const struct old_dir *dir, size_t i, const struct old_dir *old,
                        struct bk_error *err)
{
    size_t k = 0;
    int r = 0;
    while (k + 1 < old->n && name_cmp(&old->pages[k + 1], &dir->pages[i]) <= 0)
        k++;
    for (; r == 0 && k < old->n; k++) {
        if (i + 1 < dir->n && k && name_cmp(&old->pages[k], &dir->pages[i + 1]) >= 0)
            break;
        r = learn_tree_page(c, &old->pages[k].id, err);
    }
    return r;
}

static int gather_tree_page(struct gather *g, const struct old_dir *dir, size_t i, const struct old_dir *old,
                            struct bk_error *err)
{
    struct copy *c = g->c;
    int r = is_done(c, &dir->pages[i].id, err);
    if (r != 0)
        return r < 0 ? r : 0;
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    r = page_of(c, &dir->pages[i].id, &page, err);
    if (r != 1)
        return r;
    r = old->n ? learn_beside(c, dir, i, old, err) : 0;
    if (r < 0)
        return r;
    char first[TREE_NAME_MAX + 1] = "";
    memcpy(first, dir->pages[i].first, dir->pages[i].first_len);
    struct old_scan scan;
    old_scan_open(&scan, c->from_reader, c->lane, old, first);
    struct tree_page entries;
    struct tree_entry e;
    struct bk_error why = { 0 };
    int more = tree_page_open(page.data, page.len, &entries, &why);
    while (r == 0 && more >= 0 && (more = tree_page_next(&entries, &e, &why)) == 1)
        r = gather_entry(g, &e, old->n ? &scan : NULL, err);
    old_scan_clear(&scan);
    if (r < 0 || more >= 0 || copy_lost(more))
        return r;
    if (err)
        *err = why;
    return more;
}

static int gather_dir(struct gather *g, const struct dir_pair *d, struct bk_error *err)
{
    struct copy *c = g->c;
    struct old_dir dir = { 0 }, old = { 0 };
    struct bk_error why = { 0 };
    /* a root that is a page of entries is looked up as that page */
    int r = d->dir.depth > 1 ? is_done(c, &d->dir.id, err) : 0;
    if (r != 0)
        return r < 0 ? r : 0;
    r = old_open(c->from_reader, c->lane, &d->dir, &dir, &why);
    if (r < 0) {
        if (!copy_lost(r) && err)
            *err = why;
        return copy_lost(r) ? 0 : r;
    }
    if (d->old.depth && pairs_find(c->pairs, &d->old.id, NULL) &&
        old_open(c->from_reader, c->lane, &d->old, &old, NULL) == 0)
        r = learn_dir(c, &d->old, &old, err);
    c->result.pages_read += dir.n_bytes + old.n_bytes;
    for (size_t i = 0; i < dir.n && r == 0; i++)
        r = gather_tree_page(g, &dir, i, &old, err);
    old_close(&dir);
    old_close(&old);
    return r;
}

static const struct snapshot_stream *counterpart(const struct snapshot *s, const struct snapshot_stream *of)
{
    for (size_t i = 0; s && i < s->n_streams; i++)
        if (s->streams[i].kind == of->kind && strcmp(s->streams[i].name, of->name) == 0)
            return &s->streams[i];
    return NULL;
}

int gather_snapshot(struct copy *c, const struct snapshot *s, const struct snapshot *p, struct bk_error *err)
{
    bk_auto(gather_clear) struct gather g = { .c = c };
    int r = 0;
    for (size_t i = 0; i < s->n_streams && r == 0; i++) {
        const struct snapshot_stream *st = &s->streams[i], *was = counterpart(p, st);
        if (st->kind != STREAM_TREE) {
            r = gather_content(c, &st->content, was ? &was->content : NULL, err);
            continue;
        }
        if (st->tree.depth && !pairs_find(c->pairs, &st->tree.id, NULL))
            r = wait_for(&g, &st->tree, was ? &was->tree : NULL, err);
        while (r == 0 && g.n) {
            struct dir_pair d = g.v[--g.n];
            r = gather_dir(&g, &d, err);
        }
    }
    return r;
}
