/* Every metadata page from every snapshot, and every chunk that they name against the index. A page below
 * which all is well is visited once; one with damage below it is walked again for each snapshot, since each
 * of its files is hit in each of them. Depth first with a stack of its own: directories nest deeper than
 * threads have stack. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/repo/check_content.h"
#include "bkd/repo/check_state.h"

enum { DEEP_MAX = 1 << 20 };

/* A page that is open: entries, or children of a page of an index. */
struct level {
    chunk_id id;
    unsigned depth; /* 1: entries */
    struct bk_buf data;
    struct tree_page page;
    struct tree_child *children; /* owned */
    size_t n_children, next;
    size_t path_len; /* of the directory */
    bool dirty;      /* damage at or below it */
};

struct walk {
    struct content_walk cw;
    struct level *v; /* owned */
    size_t n, cap;
    uint64_t n_entries;
};

static void level_clear(struct level *l)
{
    bk_buf_clear(&l->data);
    free(l->children);
    *l = (struct level){ 0 };
}

static void walk_clear(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        level_clear(&w->v[i]);
    free(w->v);
    check_content_clear(&w->cw);
}
BK_AUTO_CLEAR(struct walk, walk_clear)

static int open_level(struct walk *w, struct level *l, struct bk_error *err)
{
    int r = check_content_page(&w->cw, &l->id, &l->data, err);
    if (r < 0)
        return r;
    if (l->depth == 1)
        return tree_page_open(l->data.data, l->data.len, &l->page, err);
    return tree_index_decode(l->data.data, l->data.len, l->depth, &l->children, &l->n_children, err);
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
    return 0;
}

static void dirty_top(struct walk *w)
{
    if (w->n)
        w->v[w->n - 1].dirty = true;
}

/* Go down into a page; damage is told and leaves the page above dirty. */
static int push(struct walk *w, const chunk_id *id, unsigned depth, struct bk_error *err)
{
    if (idset_has(&w->cw.clean, id->b))
        return 0;
    int r = grow(w, err);
    if (r < 0)
        return r;
    struct level l = { .id = *id, .depth = depth, .data = BK_BUF(CHUNK_MAX), .path_len = w->cw.path.len };
    struct bk_error why = { 0 };
    if (depth < 1 || depth > TREE_DEPTH_MAX)
        r = bk_fail(&why, BK_E_CORRUPT, "a directory of depth %u", depth);
    else
        r = open_level(w, &l, &why);
    if (r < 0) {
        level_clear(&l);
        dirty_top(w);
        return check_content_meta_hit(&w->cw, id, &why, err);
    }
    w->v[w->n++] = l;
    return 0;
}

static int pop(struct walk *w, struct bk_error *err)
{
    struct level *l = &w->v[--w->n];
    bool dirty = l->dirty;
    int r = dirty ? 0 : idset_add(&w->cw.clean, l->id.b, err);
    level_clear(l);
    if (dirty)
        dirty_top(w);
    return r < 0 ? r : 0;
}

static int set_path(struct walk *w, size_t base, const struct tree_entry *e, struct bk_error *err)
{
    w->cw.path.len = base;
    int r = bk_buf_append(&w->cw.path, "/", 1, err);
    return r < 0 ? r : bk_buf_append(&w->cw.path, e->name, e->name_len, err);
}

static int visit(struct walk *w, const struct tree_entry *e, struct bk_error *err)
{
    if (e->type == TREE_DIR)
        return e->dir.depth ? push(w, &e->dir.id, e->dir.depth, err) : 0;
    if (e->type != TREE_FILE)
        return 0;
    w->cw.c->rep.n_files++;
    int r = check_content(&w->cw, &e->content, err);
    if (r == 1)
        dirty_top(w);
    return r < 0 ? r : 0;
}

/* The next entry or child of the page on top. */
static int step(struct walk *w, struct bk_error *err)
{
    struct level *l = &w->v[w->n - 1];
    w->cw.path.len = l->path_len;
    if (l->depth > 1)
        return l->next < l->n_children ? push(w, &l->children[l->next++].id, l->depth - 1, err) : pop(w, err);

    struct tree_entry e;
    struct bk_error why = { 0 };
    int r = tree_page_next(&l->page, &e, &why);
    if (r == 0)
        return pop(w, err);
    if (r < 0) {
        l->dirty = true;
        chunk_id id = l->id;
        r = check_content_meta_hit(&w->cw, &id, &why, err);
        return r < 0 ? r : pop(w, err);
    }
    if (++w->n_entries % 256 == 0 && (r = job_check(w->cw.c->job, err)) < 0)
        return r;
    r = set_path(w, l->path_len, &e, err);
    return r < 0 ? r : visit(w, &e, err);
}

static int walk_tree(struct walk *w, const struct tree_dir *root, struct bk_error *err)
{
    w->cw.path.len = 0;
    int r = root->depth ? push(w, &root->id, root->depth, err) : 0;
    while (r == 0 && w->n)
        r = step(w, err);
    return r;
}

static int walk_snapshot(struct walk *w, const struct snapshot *s, struct bk_error *err)
{
    char hex[2 * SESSION_ID + 1];
    object_hex(s->id, SESSION_ID, hex);
    w->cw.snapshot = hex;
    int r = 0;
    for (size_t i = 0; i < s->n_streams && r >= 0; i++) {
        const struct snapshot_stream *st = &s->streams[i];
        w->cw.path.len = 0;
        if (st->kind == STREAM_TREE) {
            r = walk_tree(w, &st->tree, err);
            continue;
        }
        r = bk_buf_append(&w->cw.path, st->name, strlen(st->name), err);
        if (r == 0)
            r = check_content(&w->cw, &st->content, err);
    }
    w->cw.snapshot = NULL;
    return r < 0 ? r : 0;
}

int check_trees(struct check *c, struct bk_error *err)
{
    bk_auto(reader_free) struct reader *reader = NULL;
    int r = reader_new(c->repo, c->index, 1, c->job->memory_bytes / 8, &reader, err);
    if (r < 0)
        return r;
    bk_auto(walk_clear) struct walk w = { 0 };
    check_content_init(&w.cw, c, reader);
    c->job->total_items += c->cat.n;
    /* Newest first: it is the one that people will ask for. */
    for (size_t i = c->cat.n; i-- > 0;) {
        r = walk_snapshot(&w, &c->cat.v[i].snap, err);
        if (r < 0)
            return r;
        c->job->done_items++;
    }
    return 0;
}
