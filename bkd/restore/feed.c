#include "bkd/restore/feed.h"

#include "bkd/restore/browse.h"
#include "bkd/restore/plan.h"

enum { FEED_PIECES = 16384, FEED_WINDOW_MIN = 2 * CHUNK_MAX };

enum piece_kind { PIECE_MARK, PIECE_DATA, PIECE_ZERO, PIECE_LOST };

struct feed_piece {
    enum piece_kind kind;
    void *mark;
    uint64_t len;
    size_t at;            /* DATA: in the window's buffer */
    struct bk_error *why; /* owned: it is damaged after all, or LOST */
};

struct feed_window {
    uint8_t *buf; /* owned */
    size_t used;
    struct feed_piece *v; /* owned; FEED_PIECES */
    size_t n;
};

struct feed {
    struct feed_ops ops;
    struct reader *reader;
    struct pool *pool;
    struct plan *plan;
    unsigned lane;
    size_t window_bytes;
    struct feed_window windows[2];
    unsigned current;
};

static void window_reset(struct feed *f, struct feed_window *w)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->v[i].mark)
            f->ops.drop(f->ops.ctx, w->v[i].mark);
        free(w->v[i].why);
    }
    w->n = 0;
    w->used = 0;
}

static int sink_data(void *ctx, unsigned worker, const struct plan_item *const *v, size_t n, const uint8_t *p,
                     size_t len, struct bk_error *err)
{
    (void)ctx;
    (void)worker;
    (void)n;
    (void)err;
    struct feed_window *w = v[0]->dst;
    memcpy(w->buf + v[0]->at, p, len);
    return 0;
}

static int sink_bare(void *ctx, unsigned worker, const struct plan_item *it, struct bk_error *err)
{
    (void)ctx;
    (void)worker;
    (void)it;
    (void)err;
    return 0;
}

static struct bk_error *keep_error(const struct bk_error *why)
{
    struct bk_error *e = malloc(sizeof *e);
    if (e)
        *e = *why;
    return e;
}

/* Every damaged item is one piece, so no two workers touch the same. */
static void sink_damage(void *ctx, unsigned worker, const struct plan_item *it, const struct bk_error *why)
{
    (void)ctx;
    (void)worker;
    struct feed_window *w = it->dst;
    size_t lo = 0, hi = w->n;
    while (lo < hi) { /* the last piece whose bytes begin at or before the item's */
        size_t mid = lo + (hi - lo) / 2;
        if (w->v[mid].at <= it->at)
            lo = mid + 1;
        else
            hi = mid;
    }
    while (lo && w->v[lo - 1].kind != PIECE_DATA)
        lo--;
    if (lo) {
        w->v[lo - 1].kind = PIECE_LOST;
        w->v[lo - 1].why = keep_error(why);
    }
}

int feed_new(struct reader *r, struct pool *pool, struct job *j, const struct feed_ops *ops,
             size_t window_bytes, struct feed **ret, struct bk_error *err)
{
    bk_auto(feed_free) struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return bk_fail(err, BK_E_NOMEM, "read ahead");
    f->ops = *ops;
    f->reader = r;
    f->pool = pool;
    f->lane = pool_workers(pool);
    f->window_bytes = window_bytes < FEED_WINDOW_MIN ? FEED_WINDOW_MIN : window_bytes;
    for (int i = 0; i < 2; i++) {
        f->windows[i].buf = malloc(f->window_bytes);
        f->windows[i].v = calloc(FEED_PIECES, sizeof *f->windows[i].v);
        if (!f->windows[i].buf || !f->windows[i].v)
            return bk_fail(err, BK_E_NOMEM, "read ahead");
    }
    struct plan_opts o = { .sink = { .data = sink_data, .bare = sink_bare, .damage = sink_damage },
                           .n_windows = 2 };
    int rc = plan_new(r, pool, j, &o, &f->plan, err);
    if (rc < 0)
        return rc;
    *ret = bk_steal(f);
    return 0;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    plan_free(f->plan);
    for (int i = 0; i < 2; i++) {
        window_reset(f, &f->windows[i]);
        free(f->windows[i].buf);
        free(f->windows[i].v);
    }
    free(f);
}

static int deliver_one(struct feed *f, struct feed_window *w, struct feed_piece *s, struct bk_error *err)
{
    static const struct bk_error unknown = { .code = BK_E_NOMEM, .text = "not enough memory to say why" };
    switch (s->kind) {
    case PIECE_MARK:
        return f->ops.mark(f->ops.ctx, bk_steal(s->mark), err);
    case PIECE_DATA:
        return f->ops.data(f->ops.ctx, w->buf + s->at, (size_t)s->len, err);
    case PIECE_ZERO:
        return f->ops.zero(f->ops.ctx, s->len, err);
    case PIECE_LOST:
        break;
    }
    return f->ops.damage(f->ops.ctx, s->len, s->why ? s->why : &unknown, err);
}

static int deliver(struct feed *f, struct feed_window *w, struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < w->n; i++)
        r = deliver_one(f, w, &w->v[i], err);
    window_reset(f, w);
    return r < 0 ? r : 0;
}

/* Start reading the full window; the other one is done: hand it over, then fill it. */
static int turn(struct feed *f, struct bk_error *err)
{
    int r = plan_submit(f->plan, err);
    if (r < 0)
        return r;
    f->current = !f->current;
    if (pool_failed(f->pool)) { /* what was read is not whole; the first error says why */
        r = plan_wait(f->plan, err);
        return r < 0 ? r : bk_fail(err, BK_E_FAILED, "reading was stopped");
    }
    return deliver(f, &f->windows[f->current], err);
}

static int add(struct feed *f, const struct feed_piece *s, struct bk_error *err)
{
    struct feed_window *w = &f->windows[f->current];
    bool full = w->n == FEED_PIECES || (s->kind == PIECE_DATA && s->len > f->window_bytes - w->used);
    int r = full ? turn(f, err) : 0;
    if (r < 0)
        return r;
    w = &f->windows[f->current];
    w->v[w->n] = *s;
    w->v[w->n].at = w->used;
    if (s->kind == PIECE_DATA)
        w->used += (size_t)s->len;
    w->n++;
    return 0;
}

int feed_mark(struct feed *f, void *mark, struct bk_error *err)
{
    return add(f, &(struct feed_piece){ .kind = PIECE_MARK, .mark = mark }, err);
}

int feed_extent(struct feed *f, const struct extent *x, struct bk_error *err)
{
    if (x->kind != EXTENT_DATA)
        return add(f, &(struct feed_piece){ .kind = PIECE_ZERO, .len = x->len }, err);
    if (x->len > CHUNK_MAX)
        return bk_fail(err, BK_E_CORRUPT, "an extent is longer than any chunk");
    int r = add(f, &(struct feed_piece){ .kind = PIECE_DATA, .len = x->len }, err);
    if (r < 0)
        return r;
    struct feed_window *w = &f->windows[f->current];
    return plan_add(f->plan, x, w, w->v[w->n - 1].at, err);
}

struct feeding {
    struct feed *feed;
    uint64_t at;
    bool failed; /* in the feed, not in the content */
};

static int feed_one(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err)
{
    struct feeding *g = ctx;
    int r = feed_extent(g->feed, x, err);
    g->failed = r < 0;
    g->at = offset + x->len;
    return r;
}

int feed_content(struct feed *f, const struct content *c, struct bk_error *err)
{
    struct feeding g = { .feed = f };
    struct bk_error why = { 0 };
    int r = browse_extents(f->reader, f->lane, c, 0, c->size, feed_one, &g, &why);
    if (r >= 0)
        return 0;
    if (g.failed || bk_code_aborts(why.code)) {
        *err = why;
        return r;
    }
    struct feed_piece lost = { .kind = PIECE_LOST, .len = c->size - g.at, .why = keep_error(&why) };
    r = add(f, &lost, err);
    if (r < 0)
        free(lost.why);
    return r;
}

int feed_finish(struct feed *f, struct bk_error *err)
{
    int r = turn(f, err);
    if (r < 0)
        return r;
    f->current = !f->current;
    r = plan_wait(f->plan, err);
    return r < 0 ? r : deliver(f, &f->windows[f->current], err);
}
