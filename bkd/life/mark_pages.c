/* Every metadata page that snapshots reach, each once: batches are read in the order they lie in. */
#include <errno.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/reader.h"
#include "formats/tree/tree.h"

enum { BATCH_MAX = 1 << 15, BATCH_MIN = 64, FANOUT_TYPICAL = 512 };

struct pending {
    chunk_id id;
    size_t at; /* in mark.metas */
    bool tree; /* else content */
    uint8_t depth;
};
struct walk {
    struct mark *m;
    const struct mark *known;
    struct reader *reader;
    struct pending *v; /* owned, a stack: what is deep is done first, so that it stays small */
    size_t n, cap, limit;
    struct chunk_loc *locs; /* owned, of a run of the batch */
    const struct pending *run;
    struct bk_buf again; /* of a page that was read elsewhere */
};

static int need_data(struct walk *w, const struct extent *v, size_t n, struct bk_error *err)
{
    struct mark *m = w->m;
    for (size_t i = 0; i < n; i++) {
        if (v[i].kind != EXTENT_DATA || memcmp(&m->last, &v[i].id, sizeof m->last) == 0)
            continue;
        m->last = v[i].id;
        int r = chunk_set_add(&m->data, &v[i].id, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int fail_missing(const chunk_id *id, struct bk_error *err)
{
    char hex[2 * CHUNK_ID + 1];
    object_hex(id->b, CHUNK_ID, hex);
    return bk_fail(err, BK_E_CORRUPT, "chunk %s is needed and in no pack that is there", hex);
}

static int push(struct walk *w, const chunk_id *id, bool tree, unsigned depth, struct bk_error *err)
{
    if (!depth)
        return 0;
    size_t at = mark_meta_find(w->m, id);
    if (at == SIZE_MAX) {
        w->m->n_missing++;
        return fail_missing(id, err);
    }
    if (w->m->metas.v[at].seen)
        return 0;
    w->m->metas.v[at].seen = true;
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 1024;
        struct pending *v = reallocarray(w->v, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "walk the snapshots");
        w->v = v;
        w->cap = cap;
    }
    w->v[w->n++] = (struct pending){ .id = *id, .at = at, .tree = tree, .depth = (uint8_t)depth };
    return 0;
}

static int need_content(struct walk *w, const struct content *c, struct bk_error *err)
{
    return c->depth ? push(w, &c->root, false, c->depth, err) : need_data(w, c->inline_, c->n_inline, err);
}

static int tree_page(struct walk *w, const uint8_t *data, size_t len, struct bk_error *err)
{
    struct tree_page page;
    struct tree_entry e;
    int r = tree_page_open(data, len, &page, err);
    while (r == 0 && (r = tree_page_next(&page, &e, err)) == 1) {
        r = 0;
        if (e.type == TREE_DIR)
            r = push(w, &e.dir.id, true, e.dir.depth, err);
        else if (e.type == TREE_FILE)
            r = need_content(w, &e.content, err);
    }
    return r;
}

static int tree_index(struct walk *w, const uint8_t *data, size_t len, unsigned depth, struct bk_error *err)
{
    bk_auto(free) struct tree_child *v = NULL;
    size_t n = 0;
    int r = tree_index_decode(data, len, depth, &v, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = push(w, &v[i].id, true, depth - 1, err);
    return r;
}

static int content_page(struct walk *w, const uint8_t *data, size_t len, unsigned depth, struct bk_error *err)
{
    bk_auto(free) struct content_child *v = NULL;
    bk_auto(extents_clear) struct extents x = { 0 };
    size_t n = 0;
    if (depth == 1) {
        int r = content_leaf_decode(data, len, &x, err);
        return r < 0 ? r : need_data(w, x.v, x.n, err);
    }
    int r = content_inner_decode(data, len, depth, &v, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = push(w, &v[i].id, false, depth - 1, err);
    return r;
}

static int visit(struct walk *w, const struct pending *p, const uint8_t *data, size_t len,
                 struct bk_error *err)
{
    if (p->tree && p->depth > TREE_DEPTH_MAX)
        return bk_fail(err, BK_E_CORRUPT, "a directory of depth %u", p->depth);
    if (!p->tree)
        return content_page(w, data, len, p->depth, err);
    return p->depth == 1 ? tree_page(w, data, len, err) : tree_index(w, data, len, p->depth, err);
}

static void keep_pack(struct walk *w, const struct chunk_loc *loc)
{
    uint32_t at = packs_find(&w->m->packs, loc->kind, &loc->pack);
    if (at != PACK_NONE)
        w->m->packs.v[at].flags |= PACK_BAD;
}

/* Its place is damaged. When another pack has it, both stay as they are: they are for check and backups to
 * sort out. */
static int visit_elsewhere(struct walk *w, const struct pending *p, const struct chunk_loc *bad,
                           struct bk_error *err)
{
    struct chunk_loc other;
    keep_pack(w, bad);
    int r = index_find_elsewhere(w->m->index, &p->id, &bad->pack, &other, err);
    if (r == 1) {
        keep_pack(w, &other);
        r = reader_chunk(w->reader, 1, CHUNK_META, &p->id, &w->again, err);
    } else if (r == 0) {
        r = fail_missing(&p->id, err);
    }
    return r < 0 ? r : visit(w, p, w->again.data, w->again.len, err);
}

static int got_frame(void *ctx, size_t i, struct frame_ref *f, const struct bk_error *damage)
{
    struct walk *w = ctx;
    const struct pending *p = &w->run[i];
    struct bk_error why = { 0 };
    const uint8_t *data;
    size_t len;
    int r = f ? frame_ref_chunk(f, w->locs[i].slot, &p->id, &data, &len, &why) : damage->code;
    if (r == 0)
        r = visit(w, p, data, len, &w->m->error);
    else if (reader_is_damage(r))
        r = visit_elsewhere(w, p, &w->locs[i], &w->m->error);
    else
        w->m->error = f ? why : *damage;
    return r;
}

/* Pages of one pack, in order. visit pushes onto the stack, so the batch is a copy. */
static int read_run(struct walk *w, const struct pending *v, size_t n, struct bk_error *err)
{
    struct mark *m = w->m;
    for (size_t i = 0; i < n; i++) {
        const struct meta_place *p = &m->metas.v[v[i].at];
        const struct meta_frame *f = &m->frames[p->frame];
        w->locs[i] = (struct chunk_loc){ .pack = m->packs.v[f->pack].name,
                                         .kind = CHUNK_META,
                                         .offset = f->offset,
                                         .stored_len = f->stored_len,
                                         .raw_len = f->raw_len,
                                         .slot = p->slot };
    }
    w->run = v;
    m->error = (struct bk_error){ 0 };
    int r = reader_run(w->reader, 0, w->locs, n, got_frame, w, err);
    if (r < 0 && m->error.code && err)
        *err = m->error;
    return r;
}

static int by_place(const void *a, const void *b, void *ctx)
{
    const struct mark *m = ctx;
    const struct meta_place *x = &m->metas.v[((const struct pending *)a)->at];
    const struct meta_place *y = &m->metas.v[((const struct pending *)b)->at];
    const struct meta_frame *f = &m->frames[x->frame], *g = &m->frames[y->frame];
    if (f->pack != g->pack)
        return f->pack < g->pack ? -1 : 1;
    if (f->offset != g->offset)
        return f->offset < g->offset ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Of what waits: so many that their children still fit. */
static size_t batch_size(const struct walk *w)
{
    size_t room = w->n < w->limit ? (w->limit - w->n) / FANOUT_TYPICAL : 0;
    size_t n = room < BATCH_MIN ? BATCH_MIN : room > BATCH_MAX ? BATCH_MAX : room;
    return n < w->n ? n : w->n;
}

static int drain(struct walk *w, struct bk_error *err)
{
    bk_auto(free) struct pending *batch = calloc(BATCH_MAX, sizeof *batch);
    if (!batch)
        return bk_fail_errno(err, ENOMEM, "walk the snapshots");
    while (w->n) {
        int r = job_check(w->m->job, err);
        size_t n = batch_size(w);
        w->n -= n;
        memcpy(batch, w->v + w->n, n * sizeof *batch);
        qsort_r(batch, n, sizeof *batch, by_place, w->m);
        for (size_t i = 0, k; r == 0 && i < n; i = k) {
            uint32_t pack = w->m->frames[w->m->metas.v[batch[i].at].frame].pack;
            for (k = i + 1; k < n && w->m->frames[w->m->metas.v[batch[k].at].frame].pack == pack; k++)
                ;
            r = read_run(w, batch + i, k - i, err);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int snapshot(struct walk *w, const struct snapshot *s, struct bk_error *err)
{
    for (size_t i = 0; i < s->n_streams; i++) {
        const struct snapshot_stream *st = &s->streams[i];
        int r = st->kind == STREAM_TREE ? push(w, &st->tree.id, true, st->tree.depth, err)
                                        : need_content(w, &st->content, err);
        if (r < 0) {
            char hex[2 * SESSION_ID + 1];
            object_hex(s->id, SESSION_ID, hex);
            return bk_context(err, "snapshot %s", hex);
        }
    }
    return 0;
}

int mark_pages(struct mark *m, const struct catalog *c, const struct mark *known, struct bk_error *err)
{
    struct walk w = { .m = m, .known = known, .again = BK_BUF(CHUNK_MAX) };
    w.limit = m->job->memory_bytes / 16 / sizeof *w.v;
    int r = reader_new(m->repo, m->index, 2, (size_t)1 << 20, &w.reader, err);
    if (r == 0 && !(w.locs = calloc(BATCH_MAX, sizeof *w.locs)))
        r = bk_fail_errno(err, ENOMEM, "walk the snapshots");
    for (size_t i = 0; r == 0 && i < c->n; i++) {
        if (known && mark_knows(known, c->v[i].snap.id))
            continue;
        r = snapshot(&w, &c->v[i].snap, err);
        /* many roots at once: snapshots of one tree have their pages side by side */
        if (r == 0 && w.n >= BATCH_MAX)
            r = drain(&w, err);
    }
    if (r == 0)
        r = drain(&w, err);
    reader_free(w.reader);
    free(w.v);
    free(w.locs);
    bk_buf_clear(&w.again);
    return r;
}
