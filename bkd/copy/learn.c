/* Names that an older copy gives away. A copy has the shape of its original: page beside page, what stands at
 * the same place in both is the same thing under two names. Only pages that the new snapshot does not share
 * are looked at; what lies below the shared ones is known by their own names. What cannot be read, is no
 * copy, or names what the target's index does not know is not learned: then it is read from the source again.
 */
#include <errno.h>
#include <string.h>

#include "bkd/copy/state.h"

enum { NAMES_MAX = 1 << 20 };

/* Names found on one page; they count once all of it turned out to be a copy. */
struct found {
    struct {
        chunk_id from, to;
    } * v; /* owned */
    size_t n, cap;
    bool differs;
};

static void found_clear(struct found *f)
{
    free(f->v);
}
BK_AUTO_CLEAR(struct found, found_clear)

static int find(struct found *f, const chunk_id *from, const chunk_id *to, struct bk_error *err)
{
    if (f->n && chunk_id_cmp(&f->v[f->n - 1].from, from) == 0)
        return 0;
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 64;
        void *v = f->n < NAMES_MAX ? reallocarray(f->v, cap, sizeof *f->v) : NULL;
        if (!v)
            return bk_fail_errno(err, ENOMEM, "compare with an older copy");
        f->v = v;
        f->cap = cap;
    }
    f->v[f->n].from = *from;
    f->v[f->n++].to = *to;
    return 0;
}

static int keep(struct copy *c, const struct found *f, struct bk_error *err)
{
    for (size_t i = 0; i < f->n && !f->differs; i++) {
        if (pairs_find(c->pairs, &f->v[i].from, NULL))
            continue;
        int r = index_has(c->to_index, &f->v[i].to, err);
        if (r == 1)
            r = pairs_add(c->pairs, &f->v[i].from, &f->v[i].to, err);
        if (r < 0 && r != BK_E_CORRUPT)
            return r;
    }
    return 0;
}

static int find_extents(struct found *f, const struct extent *a, size_t n_a, const struct extent *b,
                        size_t n_b, struct bk_error *err)
{
    f->differs |= n_a != n_b;
    for (size_t i = 0; i < n_a && !f->differs; i++) {
        f->differs = a[i].kind != b[i].kind || a[i].len != b[i].len;
        if (f->differs || a[i].kind != EXTENT_DATA)
            continue;
        f->differs = a[i].off != b[i].off;
        int r = find(f, &a[i].id, &b[i].id, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int find_content(struct found *f, const struct content *a, const struct content *b,
                        struct bk_error *err)
{
    f->differs |= a->size != b->size || a->depth != b->depth;
    if (f->differs)
        return 0;
    return a->depth ? find(f, &a->root, &b->root, err)
                    : find_extents(f, a->inline_, a->n_inline, b->inline_, b->n_inline, err);
}

static int find_dir(struct found *f, const struct tree_dir *a, const struct tree_dir *b, struct bk_error *err)
{
    f->differs |= a->depth != b->depth;
    return f->differs || !a->depth ? 0 : find(f, &a->id, &b->id, err);
}

static int find_entries(struct found *f, const struct bk_buf *a, const struct bk_buf *b, struct bk_error *err)
{
    struct tree_page pa, pb;
    struct tree_entry ea, eb;
    if (tree_page_open(a->data, a->len, &pa, NULL) < 0 || tree_page_open(b->data, b->len, &pb, NULL) < 0) {
        f->differs = true;
        return 0;
    }
    int r = 0;
    while (r == 0 && !f->differs) {
        int more_a = tree_page_next(&pa, &ea, NULL), more_b = tree_page_next(&pb, &eb, NULL);
        if (more_a == 0 && more_b == 0)
            return 0;
        f->differs = more_a != 1 || more_b != 1 || ea.type != eb.type || ea.name_len != eb.name_len ||
                     memcmp(ea.name, eb.name, ea.name_len) != 0;
        if (!f->differs && ea.type == TREE_DIR)
            r = find_dir(f, &ea.dir, &eb.dir, err);
        else if (!f->differs && ea.type == TREE_FILE)
            r = find_content(f, &ea.content, &eb.content, err);
    }
    return r;
}

static int find_leaf(struct found *f, const struct bk_buf *a, const struct bk_buf *b, struct bk_error *err)
{
    bk_auto(extents_clear) struct extents xa = { 0 }, xb = { 0 };
    f->differs = content_leaf_decode(a->data, a->len, &xa, NULL) < 0 ||
                 content_leaf_decode(b->data, b->len, &xb, NULL) < 0;
    return f->differs ? 0 : find_extents(f, xa.v, xa.n, xb.v, xb.n, err);
}

static int find_inner(struct found *f, unsigned depth, const struct bk_buf *a, const struct bk_buf *b,
                      struct bk_error *err)
{
    bk_auto(free) struct content_child *va = NULL, *vb = NULL;
    size_t na = 0, nb = 0;
    int r = 0;
    f->differs = content_inner_decode(a->data, a->len, depth, &va, &na, NULL) < 0 ||
                 content_inner_decode(b->data, b->len, depth, &vb, &nb, NULL) < 0 || na != nb;
    for (size_t i = 0; i < na && r == 0 && !f->differs; i++) {
        f->differs = va[i].len != vb[i].len;
        r = f->differs ? 0 : find(f, &va[i].id, &vb[i].id, err);
    }
    return r;
}

/* Is the page one to learn from, for the first time? 1 and the name of its copy. */
static int is_due(struct copy *c, const chunk_id *id, chunk_id *ret, struct bk_error *err)
{
    if (idset_has(&c->learned, id->b) || !pairs_find(c->pairs, id, ret))
        return 0;
    int r = idset_add(&c->learned, id->b, err);
    return r < 0 ? r : 1;
}

/* Both pages: 1, or 0 when one of them cannot be read. */
static int both(struct copy *c, const chunk_id *a, const chunk_id *b, struct bk_buf *ret_a,
                struct bk_buf *ret_b, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = reader_chunk(c->to_reader, 0, CHUNK_META, b, ret_b, &why);
    if (r == 0)
        r = copy_page(c, a, ret_a, &why);
    if (r == 0) {
        c->result.pages_learned++;
        return 1;
    }
    if (reader_is_damage(r)) {
        job_log(c->job, JOB_DEBUG, "nothing learned from an older copy: %s", why.text);
        return 0;
    }
    if (err)
        *err = why;
    return r;
}

int learn_tree_page(struct copy *c, const chunk_id *id, struct bk_error *err)
{
    chunk_id to;
    int r = is_due(c, id, &to, err);
    if (r <= 0)
        return r;
    bk_auto(bk_buf_clear) struct bk_buf a = BK_BUF(CHUNK_MAX), b = BK_BUF(CHUNK_MAX);
    bk_auto(found_clear) struct found f = { 0 };
    r = both(c, id, &to, &a, &b, err);
    if (r == 1)
        r = find_entries(&f, &a, &b, err);
    return r < 0 ? r : keep(c, &f, err);
}

int learn_content_page(struct copy *c, const chunk_id *id, unsigned depth, struct bk_error *err)
{
    chunk_id to;
    int r = is_due(c, id, &to, err);
    if (r <= 0)
        return r;
    bk_auto(bk_buf_clear) struct bk_buf a = BK_BUF(CHUNK_MAX), b = BK_BUF(CHUNK_MAX);
    bk_auto(found_clear) struct found f = { 0 };
    r = both(c, id, &to, &a, &b, err);
    if (r == 1)
        r = depth == 1 ? find_leaf(&f, &a, &b, err) : find_inner(&f, depth, &a, &b, err);
    return r < 0 ? r : keep(c, &f, err);
}

int learn_dir(struct copy *c, const struct tree_dir *dir, const struct old_dir *pages, struct bk_error *err)
{
    struct tree_dir to = { .depth = dir->depth };
    if (dir->depth < 2)
        return 0; /* its only page is its own */
    int r = is_due(c, &dir->id, &to.id, err);
    if (r <= 0)
        return r;
    struct old_dir copies = { 0 };
    struct bk_error why = { 0 };
    bk_auto(found_clear) struct found f = { 0 };
    r = old_open(c->to_reader, 0, &to, &copies, &why);
    f.differs = r < 0 || copies.n != pages->n;
    c->result.pages_learned += pages->n_bytes;
    if (r < 0 && !reader_is_damage(r) && err)
        *err = why;
    r = reader_is_damage(r) ? 0 : r;
    for (size_t i = 0; i < pages->n && r == 0 && !f.differs; i++) {
        const struct tree_child *a = &pages->pages[i], *b = &copies.pages[i];
        f.differs = a->first_len != b->first_len || memcmp(a->first, b->first, a->first_len) != 0;
        r = f.differs ? 0 : find(&f, &a->id, &b->id, err);
    }
    old_close(&copies);
    return r < 0 ? r : keep(c, &f, err);
}

static const struct snapshot_stream *counterpart(const struct snapshot *s, const struct snapshot_stream *of)
{
    for (size_t i = 0; i < s->n_streams; i++)
        if (s->streams[i].kind == of->kind && strcmp(s->streams[i].name, of->name) == 0)
            return &s->streams[i];
    return NULL;
}

int learn_snapshot(struct copy *c, const struct snapshot *p, const struct snapshot *t, struct bk_error *err)
{
    for (size_t i = 0; i < p->n_streams; i++) {
        const struct snapshot_stream *a = &p->streams[i], *b = counterpart(t, a);
        bk_auto(found_clear) struct found f = { 0 };
        int r = 0;
        if (b)
            r = a->kind == STREAM_TREE ? find_dir(&f, &a->tree, &b->tree, err)
                                       : find_content(&f, &a->content, &b->content, err);
        if (r == 0)
            r = keep(c, &f, err);
        if (r < 0)
            return r;
    }
    return 0;
}
