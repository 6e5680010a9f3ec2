#include "bkd/restore/plan.h"

#include "bkd/repo/index_recover.h"

enum {
    UNIT_FRAMES = READER_RUN_FRAMES_MAX, /* one merged read; fewer of a disk */
    UNIT_ITEMS_BARE = 64,
};

struct window {
    struct plan_item *items;        /* owned */
    const struct plan_item **order; /* owned; sorted */
    size_t n, cap;
    unsigned units_left; /* guarded by plan.lock */
};

struct unit {
    struct window *window;
    size_t from, to; /* in window.order */
    struct unit *next;
};

struct plan {
    struct reader *reader;
    struct pool *pool;
    struct job *job;
    struct plan_opts o;
    unsigned lane; /* of the adding thread */
    size_t limit;  /* items of the window being filled */
    struct window windows[PLAN_WINDOWS_MAX];
    unsigned current;
    struct plan_totals totals;
    pthread_mutex_t lock; /* guards what follows and units_left */
    pthread_cond_t done;
    struct unit *head, **tail;
};

/* The pool runs the latest task first; a ticket lets whoever runs take the oldest unit instead. */
struct ticket {
    struct task task;
    struct plan *plan;
};

static int item_cmp(const void *va, const void *vb)
{
    const struct plan_item *a = *(const struct plan_item *const *)va,
                           *b = *(const struct plan_item *const *)vb;
    if (a->bare != b->bare)
        return a->bare ? -1 : 1;
    if (!a->bare) {
        int c = memcmp(a->loc.pack.b, b->loc.pack.b, PACK_NAME);
        if (c)
            return c;
        if (a->loc.offset != b->loc.offset)
            return a->loc.offset < b->loc.offset ? -1 : 1;
        if (a->loc.slot != b->loc.slot)
            return a->loc.slot < b->loc.slot ? -1 : 1;
    }
    return a < b ? -1 : a > b; /* as they were added */
}

static bool same_frame(const struct plan_item *a, const struct plan_item *b)
{
    return a->loc.offset == b->loc.offset && memcmp(a->loc.pack.b, b->loc.pack.b, PACK_NAME) == 0;
}

int plan_new(struct reader *r, struct pool *pool, struct job *j, const struct plan_opts *o, struct plan **ret,
             struct bk_error *err)
{
    struct plan *p = calloc(1, sizeof *p);
    if (!p)
        return bk_fail(err, BK_E_NOMEM, "plan the reads");
    p->reader = r;
    p->pool = pool;
    p->job = j;
    p->o = *o;
    p->lane = pool_workers(pool);
    p->limit = o->first_items;
    p->tail = &p->head;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->done, NULL);
    *ret = p;
    return 0;
}

/* One item's chunk out of its frame. */
static int item_bytes(struct frame_ref *f, const struct plan_item *it, const uint8_t **ret,
                      struct bk_error *err)
{
    const uint8_t *p;
    size_t len;
    int r = frame_ref_chunk(f, it->loc.slot, &it->id, &p, &len, err);
    if (r < 0)
        return r;
    if (it->off > len || it->len > len - it->off)
        return bk_fail(err, BK_E_CORRUPT, "an extent reaches past the end of its chunk");
    *ret = p + it->off;
    return 0;
}

struct unit_run {
    struct plan *plan;
    unsigned worker;
    const struct plan_item *const *v;
    size_t first[UNIT_FRAMES + 1]; /* item where frame i begins */
    size_t n_done;                 /* items the sink has heard about, or that are in lost */
    struct lost_item *lost;        /* owned: what is damaged where it was looked for first */
    size_t n_lost, lost_cap;
};

struct lost_item {
    const struct plan_item *it;
    struct bk_error why;
};

/* Tried elsewhere after the run, whose buffer the lane still needs. Without memory it is reported at once. */
static void lose_one(struct unit_run *u, const struct plan_item *it, const struct bk_error *why)
{
    const struct plan_sink *sink = &u->plan->o.sink;
    if (u->n_lost == u->lost_cap) {
        size_t cap = u->lost_cap ? u->lost_cap * 2 : 16;
        struct lost_item *v = reallocarray(u->lost, cap, sizeof *v);
        if (!v) {
            sink->damage(sink->ctx, u->worker, it, why);
            return;
        }
        u->lost = v;
        u->lost_cap = cap;
    }
    u->lost[u->n_lost++] = (struct lost_item){ .it = it, .why = *why };
}

/* A chunk that was stored twice outlives one of its packs. Neighbours are often of one chunk. */
static void try_elsewhere(struct unit_run *u)
{
    struct plan *p = u->plan;
    const struct plan_sink *sink = &p->o.sink;
    bk_auto(bk_buf_clear) struct bk_buf chunk = BK_BUF(CHUNK_MAX);
    const chunk_id *have = NULL;
    for (size_t i = 0; i < u->n_lost; i++) {
        const struct plan_item *it = u->lost[i].it;
        struct bk_error err = { 0 };
        if (!have || chunk_id_cmp(have, &it->id) != 0)
            have = !pool_failed(p->pool) && reader_is_damage(u->lost[i].why.code) &&
                           reader_chunk(p->reader, u->worker, CHUNK_DATA, &it->id, &chunk, &err) == 0
                       ? &it->id
                       : NULL;
        if (!have || it->off > chunk.len || it->len > chunk.len - it->off)
            sink->damage(sink->ctx, u->worker, it, &u->lost[i].why);
        else if (sink->data(sink->ctx, u->worker, &it, 1, chunk.data + it->off, it->len, &err) < 0)
            pool_fail(p->pool, &err);
    }
    free(u->lost);
}

/* Items from i on that follow each other in the destination and in memory, starting at bytes p. */
static size_t neighbours(struct frame_ref *f, const struct plan_item *const *v, size_t i, size_t end,
                         const uint8_t *p, size_t *ret_len)
{
    size_t len = v[i]->len, n = 1;
    struct bk_error err;
    while (i + n < end) {
        const struct plan_item *it = v[i + n], *prev = v[i + n - 1];
        const uint8_t *q = NULL;
        if (it->dst != prev->dst || it->at != prev->at + prev->len || item_bytes(f, it, &q, &err) < 0 ||
            q != p + len)
            break;
        len += it->len;
        n++;
    }
    *ret_len = len;
    return n;
}

static int on_frame(void *ctx, size_t frame, struct frame_ref *f, const struct bk_error *damage)
{
    struct unit_run *u = ctx;
    const struct plan_sink *sink = &u->plan->o.sink;
    struct bk_error err = { 0 };
    size_t i = u->first[frame], end = u->first[frame + 1];
    if (job_check(u->plan->job, &err) < 0 || pool_failed(u->plan->pool)) {
        if (err.code)
            pool_fail(u->plan->pool, &err);
        return BK_E_CANCELLED;
    }
    while (i < end) {
        const uint8_t *p = NULL;
        size_t n = 1, len;
        if (!f) {
            lose_one(u, u->v[i], damage);
        } else if (item_bytes(f, u->v[i], &p, &err) < 0) {
            lose_one(u, u->v[i], &err);
        } else {
            n = neighbours(f, u->v, i, end, p, &len);
            u->n_done = i + n; /* the sink accounts for them, whatever it returns */
            int r = sink->data(sink->ctx, u->worker, u->v + i, n, p, len, &err);
            if (r < 0) {
                pool_fail(u->plan->pool, &err);
                return r;
            }
        }
        i += n;
        u->n_done = i;
    }
    return 0;
}

static void run_data(struct plan *p, unsigned worker, const struct plan_item *const *v, size_t n)
{
    struct unit_run u = { .plan = p, .worker = worker, .v = v };
    struct chunk_loc locs[UNIT_FRAMES];
    size_t n_frames = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !same_frame(v[i - 1], v[i])) {
            u.first[n_frames] = i;
            locs[n_frames++] = v[i]->loc;
        }
    }
    u.first[n_frames] = n;
    struct bk_error err = { 0 };
    int r = pool_failed(p->pool) ? bk_fail(&err, BK_E_CANCELLED, "stopped after an error")
                                 : reader_run(p->reader, worker, locs, n_frames, on_frame, &u, &err);
    try_elsewhere(&u);
    if (r >= 0 && u.n_done == n)
        return;
    if (!err.code)
        bk_fail(&err, BK_E_FAILED, "the pack was not read to the end");
    if (err.code == BK_E_UNREACHABLE)
        pool_fail(p->pool, &err);
    /* What the run did not come to: lost, unless all is lost. */
    for (size_t i = u.n_done; i < n; i++)
        p->o.sink.damage(p->o.sink.ctx, worker, v[i], &err);
}

static void run_bare(struct plan *p, unsigned worker, const struct plan_item *const *v, size_t n)
{
    const struct plan_sink *sink = &p->o.sink;
    for (size_t i = 0; i < n; i++) {
        struct bk_error err = { 0 };
        if (pool_failed(p->pool)) {
            bk_fail(&err, BK_E_CANCELLED, "stopped after an error");
            sink->damage(sink->ctx, worker, v[i], &err);
        } else if (sink->bare(sink->ctx, worker, v[i], &err) < 0) {
            pool_fail(p->pool, &err);
        }
    }
    struct bk_error err = { 0 };
    if (job_check(p->job, &err) < 0)
        pool_fail(p->pool, &err);
}

static void ticket_run(struct task *t, unsigned worker)
{
    struct ticket *ticket = (struct ticket *)t;
    struct plan *p = ticket->plan;
    free(ticket);
    pthread_mutex_lock(&p->lock);
    struct unit *u = p->head;
    p->head = u->next;
    if (!p->head)
        p->tail = &p->head;
    pthread_mutex_unlock(&p->lock);

    const struct plan_item *const *v = u->window->order + u->from;
    if (v[0]->bare)
        run_bare(p, worker, v, u->to - u->from);
    else
        run_data(p, worker, v, u->to - u->from);

    pthread_mutex_lock(&p->lock);
    if (--u->window->units_left == 0)
        pthread_cond_broadcast(&p->done);
    pthread_mutex_unlock(&p->lock);
    free(u);
}

static void window_wait(struct plan *p, struct window *w)
{
    pthread_mutex_lock(&p->lock);
    while (w->units_left)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* End of the unit that starts at `from`: frames of one pack, few enough that all workers have some. */
static size_t unit_end(const struct window *w, size_t from, size_t max_frames)
{
    const struct plan_item *const *v = w->order;
    size_t frames = 1, i = from + 1;
    for (; i < w->n; i++) {
        if (v[i]->bare != v[from]->bare)
            break;
        if (v[i]->bare) {
            if (i - from == UNIT_ITEMS_BARE)
                break;
        } else if (!same_frame(v[i - 1], v[i])) {
            if (memcmp(v[i - 1]->loc.pack.b, v[i]->loc.pack.b, PACK_NAME) != 0 || frames == max_frames)
                break;
            frames++;
        }
    }
    return i;
}

static size_t count_frames(struct plan *p, const struct window *w)
{
    size_t frames = 0;
    for (size_t i = 0; i < w->n; i++) {
        const struct plan_item *it = w->order[i];
        if (it->bare || (i && !w->order[i - 1]->bare && same_frame(w->order[i - 1], it)))
            continue;
        frames++;
        p->totals.stored_bytes += it->loc.stored_len;
        p->totals.raw_bytes += it->loc.raw_len;
    }
    p->totals.frames += frames;
    return frames;
}

static void lose(struct plan *p, const struct plan_item *const *v, size_t from, size_t to,
                 const struct bk_error *why)
{
    for (size_t i = from; i < to; i++)
        p->o.sink.damage(p->o.sink.ctx, p->lane, v[i], why);
}

static int push_unit(struct plan *p, struct window *w, size_t from, size_t to, struct bk_error *err)
{
    struct unit *u = malloc(sizeof *u);
    struct ticket *t = malloc(sizeof *t);
    if (!u || !t) {
        free(u);
        free(t);
        return bk_fail(err, BK_E_NOMEM, "plan the reads");
    }
    *u = (struct unit){ .window = w, .from = from, .to = to };
    *t = (struct ticket){ .task.run = ticket_run, .plan = p };
    pthread_mutex_lock(&p->lock);
    w->units_left++;
    *p->tail = u;
    p->tail = &u->next;
    pthread_mutex_unlock(&p->lock);
    pool_push(p->pool, &t->task);
    return 0;
}

static int start(struct plan *p, struct window *w, struct bk_error *err)
{
    for (size_t i = 0; i < w->n; i++)
        w->order[i] = &w->items[i];
    if (w->n == 0)
        return 0;
    qsort(w->order, w->n, sizeof *w->order, item_cmp);
    size_t per_worker = count_frames(p, w) / ((size_t)p->lane * 4);
    size_t most = reader_run_frames(p->reader);
    size_t max_frames = per_worker < 1 ? 1 : per_worker > most ? most : per_worker;
    struct bk_error dry = { .code = BK_E_CANCELLED };
    if (p->o.dry_run) {
        lose(p, w->order, 0, w->n, &dry);
        return 0;
    }
    for (size_t from = 0, to; from < w->n; from = to) {
        to = unit_end(w, from, max_frames);
        int r = push_unit(p, w, from, to, err);
        if (r < 0) {
            pool_fail(p->pool, err);
            lose(p, w->order, from, w->n, err);
            return r;
        }
    }
    return 0;
}

int plan_submit(struct plan *p, struct bk_error *err)
{
    int r = start(p, &p->windows[p->current], err);
    p->current = (p->current + 1) % p->o.n_windows;
    struct window *w = &p->windows[p->current];
    window_wait(p, w);
    w->n = 0;
    if (p->o.first_items)
        p->limit = p->limit * 2 > p->o.max_items ? p->o.max_items : p->limit * 2;
    return r;
}

static int room(struct plan *p, struct plan_item **ret, struct bk_error *err)
{
    struct window *w = &p->windows[p->current];
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 1024;
        struct plan_item *items = reallocarray(w->items, cap, sizeof *items);
        if (items)
            w->items = items;
        const struct plan_item **order = reallocarray(w->order, cap, sizeof(*order));
        if (order)
            w->order = order;
        if (!items || !order)
            return bk_fail(err, BK_E_NOMEM, "plan the reads");
        w->cap = cap;
    }
    *ret = &w->items[w->n];
    return 0;
}

static int added(struct plan *p, struct bk_error *err)
{
    struct window *w = &p->windows[p->current];
    w->n++;
    return p->limit && w->n >= p->limit ? plan_submit(p, err) : 0;
}

int plan_add(struct plan *p, const struct extent *x, void *dst, uint64_t at, struct bk_error *err)
{
    struct plan_item it = { .id = x->id, .off = x->off, .len = x->len, .at = at, .dst = dst };
    struct bk_error why = { 0 };
    int r = index_locate(reader_index(p->reader), &x->id, &it.loc, &why);
    if (r == 0)
        bk_fail(&why, BK_E_ABSENT, "a chunk is not in the repository");
    if (r > 0 && it.loc.kind != CHUNK_DATA)
        r = bk_fail(&why, BK_E_CORRUPT, "a metadata chunk stands where data is expected");
    if (r > 0 && x->len > CHUNK_MAX)
        r = bk_fail(&why, BK_E_CORRUPT, "an extent is longer than any chunk");
    if (r <= 0) {
        p->o.sink.damage(p->o.sink.ctx, p->lane, &it, &why);
        return 0;
    }
    struct plan_item *slot = NULL;
    if ((r = room(p, &slot, err)) < 0) {
        p->o.sink.damage(p->o.sink.ctx, p->lane, &it, err);
        return r;
    }
    *slot = it;
    return added(p, err);
}

int plan_add_bare(struct plan *p, uint32_t what, void *dst, uint64_t at, uint64_t len, struct bk_error *err)
{
    struct plan_item it = { .bare = true, .off = what, .len = len, .at = at, .dst = dst }, *slot = NULL;
    int r = room(p, &slot, err);
    if (r < 0) {
        p->o.sink.damage(p->o.sink.ctx, p->lane, &it, err);
        return r;
    }
    *slot = it;
    return added(p, err);
}

int plan_wait(struct plan *p, struct bk_error *err)
{
    int r = plan_submit(p, err);
    for (unsigned i = 0; i < p->o.n_windows; i++)
        window_wait(p, &p->windows[i]);
    struct bk_error late = { 0 };
    int drained = pool_drain(p->pool, r < 0 ? &late : err);
    return r < 0 ? r : drained;
}

void plan_totals(const struct plan *p, struct plan_totals *ret)
{
    *ret = p->totals;
}

void plan_free(struct plan *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < p->o.n_windows; i++)
        window_wait(p, &p->windows[i]);
    struct window *w = &p->windows[p->current];
    struct bk_error why = { .code = BK_E_CANCELLED };
    for (size_t i = 0; i < w->n; i++)
        p->o.sink.damage(p->o.sink.ctx, p->lane, &w->items[i], &why);
    for (unsigned i = 0; i < PLAN_WINDOWS_MAX; i++) {
        free(p->windows[i].items);
        free(p->windows[i].order);
    }
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
