/* The content of one file with the target's names: rewrite.c's leaves. Bytes that are lost become zeroes,
 * which are told. */
#include "bkd/copy/state.h"
#include "bkd/repo/index_recover.h"

struct range { /* of the content, that a page covers */
    uint64_t at, len;
};

static int put_meta(struct copy *c, const struct bk_buf *page, chunk_id *ret, struct bk_error *err)
{
    return writer_put(c->writer, 0, CHUNK_META, page->data, page->len, ret, err);
}

/* In place of a page of that depth: len zeroes. */
static int put_zeroes(struct copy *c, unsigned depth, uint64_t len, chunk_id *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX);
    struct extent zero = { .len = len, .kind = EXTENT_ZERO };
    struct extents x = { .v = &zero, .n = 1, .cap = 1, .len = len };
    int r = content_leaf_encode(&x, &page, err);
    if (r == 0)
        r = put_meta(c, &page, ret, err);
    for (unsigned d = 2; d <= depth && r == 0; d++) {
        struct content_child child = { .len = len, .id = *ret };
        page.len = 0;
        r = content_inner_encode(d, &child, 1, &page, err);
        if (r == 0)
            r = put_meta(c, &page, ret, err);
    }
    return r;
}

/* Why a chunk has no name: it was wanted, so it cannot be read. */
static void explain(struct copy *c, const chunk_id *id, struct bk_error *why)
{
    struct chunk_loc loc;
    char path[REPO_PATH];
    struct bk_error ignored = { 0 };
    if (index_locate(c->from_index, id, &loc, &ignored) == 1) {
        repo_pack_path(loc.kind, &loc.pack, path);
        bk_fail(why, BK_E_CORRUPT, "its bytes in %s are damaged or missing", path);
    } else {
        bk_fail(why, BK_E_ABSENT, "a chunk is not in the repository");
    }
}

/* 1: lost, and x is zeroes now. */
static int rewrite_extent(struct copy *c, struct extent *x, uint64_t at, struct bk_error *err)
{
    if (x->kind != EXTENT_DATA || pairs_find(c->pairs, &x->id, &x->id))
        return 0;
    struct bk_error why = { 0 };
    explain(c, &x->id, &why);
    int r = losses_bytes(&c->losses, at, x->len, &why, err);
    *x = (struct extent){ .len = x->len, .kind = EXTENT_ZERO };
    return r < 0 ? r : 1;
}

static int rewrite_extents(struct copy *c, const struct extent *v, size_t n, uint64_t at, struct extents *ret,
                           struct bk_error *err)
{
    bool dirty = false;
    for (size_t i = 0; i < n; i++) {
        struct extent x = v[i];
        int r = rewrite_extent(c, &x, at, err);
        dirty |= r == 1;
        if (r >= 0)
            r = extents_add(ret, &x, err);
        if (r < 0)
            return r;
        at += x.len;
    }
    return dirty;
}

static int wrong_length(uint64_t is, uint64_t due, struct bk_error *why)
{
    return bk_fail(why, BK_E_CORRUPT, "a page covers %llu bytes of content where %llu are due",
                   (unsigned long long)is, (unsigned long long)due);
}

static int rewrite_page(struct copy *c, const chunk_id *id, unsigned depth, struct range of, chunk_id *ret,
                        struct bk_error *err);

/* why: the page itself is no good; err: the copy must end. */
static int rewrite_leaf(struct copy *c, const struct bk_buf *page, struct range of, struct bk_buf *out,
                        struct bk_error *why, struct bk_error *err)
{
    bk_auto(extents_clear) struct extents x = { 0 }, to = { 0 };
    int r = content_leaf_decode(page->data, page->len, &x, why);
    if (r == 0 && x.len != of.len)
        r = wrong_length(x.len, of.len, why);
    if (r < 0)
        return r;
    int dirty = rewrite_extents(c, x.v, x.n, of.at, &to, err);
    r = dirty < 0 ? dirty : content_leaf_encode(&to, out, err);
    return r < 0 ? r : dirty;
}

static int rewrite_inner(struct copy *c, const struct bk_buf *page, unsigned depth, struct range of,
                         struct bk_buf *out, struct bk_error *why, struct bk_error *err)
{
    bk_auto(free) struct content_child *v = NULL;
    size_t n = 0;
    uint64_t sum = 0;
    bool dirty = false;
    int r = content_inner_decode(page->data, page->len, depth, &v, &n, why);
    for (size_t i = 0; i < n && r == 0; i++)
        if (__builtin_add_overflow(sum, v[i].len, &sum))
            r = bk_fail(why, BK_E_CORRUPT, "the lengths of a page's children overflow");
    if (r == 0 && sum != of.len)
        r = wrong_length(sum, of.len, why);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n && r >= 0; i++) {
        r = rewrite_page(c, &v[i].id, depth - 1, (struct range){ of.at, v[i].len }, &v[i].id, err);
        dirty |= r == 1;
        of.at += v[i].len;
    }
    if (r >= 0)
        r = content_inner_encode(depth, v, n, out, err);
    return r < 0 ? r : dirty;
}

/* 1 when something of it is lost. depth falls with each level, so that recursion ends. */
static int rewrite_page(struct copy *c, const chunk_id *id, unsigned depth, struct range of, chunk_id *ret,
                        struct bk_error *err)
{
    if (pairs_find(c->pairs, id, ret))
        return 0;
    chunk_id from = *id; /* ret may be where id is */
    int r = job_check(c->job, err);
    if (r < 0)
        return r;
    struct bk_error why = { 0 }, fatal = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf page = BK_BUF(CHUNK_MAX), out = BK_BUF(CHUNK_MAX);
    r = copy_page(c, &from, &page, &why);
    if (r == 0)
        r = depth == 1 ? rewrite_leaf(c, &page, of, &out, &why, &fatal)
                       : rewrite_inner(c, &page, depth, of, &out, &why, &fatal);
    if (r < 0 && (fatal.code || !copy_lost(r))) {
        if (err)
            *err = fatal.code ? fatal : why;
        return r;
    }
    if (r < 0) {
        r = losses_bytes(&c->losses, of.at, of.len, &why, err);
        if (r == 0)
            r = put_zeroes(c, depth, of.len, ret, err);
        return r < 0 ? r : 1;
    }
    chunk_id to;
    int e = put_meta(c, &out, &to, err);
    if (e == 0 && r == 0)
        e = pairs_add(c->pairs, &from, &to, err);
    if (e < 0)
        return e;
    *ret = to;
    return r;
}

int rewrite_content(struct copy *c, struct content *content, struct bk_error *err)
{
    int r;
    if (content->depth) {
        r = rewrite_page(c, &content->root, content->depth, (struct range){ 0, content->size },
                         &content->root, err);
    } else {
        bk_auto(extents_clear) struct extents x = { 0 };
        r = rewrite_extents(c, content->inline_, content->n_inline, 0, &x, err);
        if (r >= 0) {
            content->n_inline = (uint8_t)x.n;
            if (x.n)
                memcpy(content->inline_, x.v, x.n * sizeof *x.v);
        }
    }
    int e = losses_settle(&c->losses, r < 0 ? NULL : err);
    return r < 0 ? r : e < 0 ? e : r;
}
