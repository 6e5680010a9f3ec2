/* The pages of a snapshot again, bottom-up, with the target's names. Everything below a page has its name
 * when the page is written. A page below which something is lost is written for this snapshot only, for each
 * of those that share it tells its own files. Depth first with a stack of its own: directories nest deeper
 * than threads have stack. */
#include <errno.h>
#include <string.h>

#include "bkd/copy/state.h"

enum { DEEP_MAX = 1 << 20 };

/* What became of a page. */
struct outcome {
    chunk_id id;
    bool none;  /* nothing of it is left */
    bool dirty; /* something below it is lost */
};

/* A page that is open: entries, or children of an index. */
struct level {
    chunk_id id;
    unsigned depth; /* 1: entries */
    struct bk_buf data, out;
    struct tree_page page;
    struct tree_writer writer;
    struct tree_entry e; /* the one that is worked on */
    bool have;
    struct tree_child *children; /* owned */
    size_t n_children, next, n_kept;
    size_t path_len; /* of the directory */
    bool dirty;
};

struct walk {
    struct copy *c;
    struct level *v; /* owned */
    size_t n, cap;
    struct outcome below; /* of the page that was done last */
    bool answered;        /* it is what the page on top waits for */
    uint64_t n_entries;
};

static void level_clear(struct level *l)
{
    bk_buf_clear(&l->data);
    bk_buf_clear(&l->out);
    free(l->children);
    *l = (struct level){ 0 };
}

static void walk_clear(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        level_clear(&w->v[i]);
    free(w->v);
}
BK_AUTO_CLEAR(struct walk, walk_clear)

static void answer(struct walk *w, const struct outcome *o)
{
    w->below = *o;
    w->answered = true;
}

static int open_level(struct walk *w, struct level *l, struct bk_error *err)
{
    int r = copy_page(w->c, &l->id, &l->data, err);
    if (r < 0)
        return r;
    if (l->depth > 1)
        return tree_index_decode(l->data.data, l->data.len, l->depth, &l->children, &l->n_children, err);
    return tree_page_open(l->data.data, l->data.len, &l->page, err);
}

static int grow(struct walk *w, struct bk_error *err)
{
    if (w->n < w->cap)
        return 0;
    if (w->n >= DEEP_MAX)
        return bk_fail(err, BK_E_LIMIT, "the tree is deeper than %d pages", DEEP_MAX);
    size_t cap = w->cap ? w->cap * 2 : 32;
    struct level *v = reallocarray(w->v, cap, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "walk a tree");
    w->v = v;
    w->cap = cap;
    /* they point into their own level */
    for (size_t i = 0; i < w->n; i++)
        w->v[i].writer.out = &w->v[i].out;
    return 0;
}

/* Go down into a page, unless it has a name already: then, and when it cannot be read, the answer is there.
 */
static int push(struct walk *w, const chunk_id *id, unsigned depth, struct bk_error *err)
{
    struct outcome o = { 0 };
    if (pairs_find(w->c->pairs, id, &o.id)) {
        answer(w, &o);
        return 0;
    }
    int r = grow(w, err);
    if (r < 0)
        return r;
    struct level *l = &w->v[w->n];
    *l = (struct level){ .id = *id,
                         .depth = depth,
                         .data = BK_BUF(CHUNK_MAX),
                         .out = BK_BUF(CHUNK_MAX),
                         .path_len = w->c->losses.path.len };
    struct bk_error why = { 0 };
    if (depth < 1 || depth > TREE_DEPTH_MAX)
        r = bk_fail(&why, BK_E_CORRUPT, "a directory of depth %u", depth);
    else
        r = open_level(w, l, &why);
    if (r == 0 && depth == 1)
        r = tree_page_begin(&l->writer, &l->out, &why);
    if (r == 0) {
        w->n++;
        return 0;
    }
    level_clear(l);
    if (!copy_lost(r)) {
        if (err)
            *err = why;
        return r;
    }
    o = (struct outcome){ .none = true, .dirty = true };
    answer(w, &o);
    return losses_gone(&w->c->losses, &why, err);
}

/* A page that is complete goes into the target. */
static int put_page(struct copy *c, const chunk_id *from, const struct bk_buf *page, bool dirty,
                    chunk_id *ret, struct bk_error *err)
{
    int r = writer_put(c->writer, 0, CHUNK_META, page->data, page->len, ret, err);
    return r == 0 && !dirty ? pairs_add(c->pairs, from, ret, err) : r;
}

static int pop(struct walk *w, struct bk_error *err)
{
    struct level *l = &w->v[w->n - 1];
    struct outcome o = { .dirty = l->dirty };
    int r = 0;
    if (l->depth == 1)
        o.none = l->writer.n == 0 && l->dirty;
    else if (l->n_kept)
        r = tree_index_encode(l->depth, l->children, l->n_kept, &l->out, err);
    else
        o.none = true;
    if (r == 0 && !o.none)
        r = put_page(w->c, &l->id, &l->out, l->dirty, &o.id, err);
    level_clear(l);
    w->n--;
    answer(w, &o);
    return r;
}

/* The next child of an index, or what became of it. */
static int step_index(struct walk *w, struct level *l, struct bk_error *err)
{
    if (!w->answered)
        return l->next < l->n_children ? push(w, &l->children[l->next].id, l->depth - 1, err) : pop(w, err);
    w->answered = false;
    l->dirty |= w->below.dirty;
    if (!w->below.none) {
        l->children[l->n_kept] = l->children[l->next];
        l->children[l->n_kept++].id = w->below.id;
    }
    l->next++;
    return 0;
}

static int set_path(struct losses *l, size_t base, const struct tree_entry *e, struct bk_error *err)
{
    l->path.len = base;
    int r = bk_buf_append(&l->path, "/", 1, err);
    return r < 0 ? r : bk_buf_append(&l->path, e->name, e->name_len, err);
}

static int end_entry(struct walk *w, struct level *l, struct bk_error *err)
{
    struct copy *c = w->c;
    if (l->e.type == TREE_DIR && l->e.dir.depth) {
        l->dirty |= w->below.dirty;
        l->e.dir.id = w->below.id;
        if (w->below.none)
            l->e.dir = (struct tree_dir){ 0 };
    } else if (l->e.type == TREE_FILE) {
        int lost = rewrite_content(c, &l->e.content, err);
        if (lost < 0)
            return lost;
        if (lost) {
            l->dirty = true;
            l->e.flags |= TREE_CONTENT_PARTIAL;
        }
    }
    l->have = false;
    return tree_page_add(&l->writer, &l->e, err);
}

static int step(struct walk *w, struct bk_error *err)
{
    struct level *l = &w->v[w->n - 1];
    struct losses *losses = &w->c->losses;
    if (l->depth > 1) {
        losses->path.len = l->path_len;
        return step_index(w, l, err);
    }
    if (w->answered) {
        w->answered = false;
        return end_entry(w, l, err);
    }
    losses->path.len = l->path_len;
    struct bk_error why = { 0 };
    int r = tree_page_next(&l->page, &l->e, &why);
    if (r == 0)
        return pop(w, err);
    if (copy_lost(r)) { /* the rest of the page */
        l->dirty = true;
        r = losses_gone(losses, &why, err);
        return r < 0 ? r : pop(w, err);
    }
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    if (++w->n_entries % 256 == 0 && (r = job_check(w->c->job, err)) < 0)
        return r;
    r = set_path(losses, l->path_len, &l->e, err);
    if (r < 0)
        return r;
    return l->e.type == TREE_DIR && l->e.dir.depth ? push(w, &l->e.dir.id, l->e.dir.depth, err)
                                                   : end_entry(w, l, err);
}

static int rewrite_tree(struct copy *c, struct tree_dir *dir, struct bk_error *err)
{
    if (!dir->depth)
        return 0;
    bk_auto(walk_clear) struct walk w = { .c = c };
    c->losses.path.len = 0;
    int r = push(&w, &dir->id, dir->depth, err);
    while (r == 0 && w.n)
        r = step(&w, err);
    if (r < 0)
        return r;
    dir->id = w.below.id;
    if (w.below.none)
        *dir = (struct tree_dir){ 0 };
    return 0;
}

int rewrite_snapshot(struct copy *c, struct snapshot *s, struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < s->n_streams && r >= 0; i++) {
        struct snapshot_stream *st = &s->streams[i];
        c->losses.path.len = 0;
        if (st->kind == STREAM_TREE) {
            r = rewrite_tree(c, &st->tree, err);
            continue;
        }
        r = bk_buf_append(&c->losses.path, st->name, strlen(st->name), err);
        if (r == 0)
            r = rewrite_content(c, &st->content, err);
    }
    return r < 0 ? r : 0;
}
