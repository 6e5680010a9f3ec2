#include "bkd/copy/mover.h"

#include <string.h>

#include "bkd/repo/index_recover.h"

enum {
    RUN_FRAMES = 16, /* 4 MiB of plaintext: one merged read */
    BATCH = 64,      /* chunks named at once */
};

struct item {
    struct chunk_loc loc;
    chunk_id id;
};

struct window {
    struct item *v; /* owned */
    size_t n, cap;
};

/* Neighbouring frames of one pack: a task of the pool. */
struct run {
    struct task task;
    struct mover *mover;
    const struct item *v; /* of the window that is worked on */
    size_t n;
    unsigned worker;
    size_t first[RUN_FRAMES + 1]; /* item where frame i begins */
    const struct item **lost;     /* owned */
    size_t n_lost;
};

struct mover {
    struct mover_opts o;
    struct job_rate rate;
    struct window filling, working;
    atomic_uint_fast64_t chunks, frames, read_bytes, lost;
};

int mover_new(const struct mover_opts *o, struct mover **ret, struct bk_error *err)
{
    struct mover *m = calloc(1, sizeof *m);
    if (!m)
        return bk_fail(err, BK_E_NOMEM, "plan the reads");
    m->o = *o;
    job_rate_init(&m->rate, o->job->limit_read);
    *ret = m;
    return 0;
}

static int by_place(const void *va, const void *vb)
{
    const struct item *a = va, *b = vb;
    int r = memcmp(a->loc.pack.b, b->loc.pack.b, PACK_NAME);
    if (r)
        return r;
    if (a->loc.offset != b->loc.offset)
        return a->loc.offset < b->loc.offset ? -1 : 1;
    return a->loc.slot < b->loc.slot ? -1 : a->loc.slot > b->loc.slot;
}

static bool same_frame(const struct item *a, const struct item *b)
{
    return a->loc.offset == b->loc.offset && memcmp(a->loc.pack.b, b->loc.pack.b, PACK_NAME) == 0;
}

static void count_lost(struct mover *m)
{
    atomic_fetch_add(&m->lost, 1);
}

/* Into the target, under its new name. */
static int put(struct run *u, const struct item *const *v, const struct suite_piece *chunks, size_t n,
               struct bk_error *err)
{
    struct mover *m = u->mover;
    chunk_id ids[BATCH];
    int r = writer_put_many(m->o.to, u->worker, CHUNK_DATA, chunks, n, ids, err);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = pairs_add(m->o.pairs, &v[i]->id, &ids[i], err);
        atomic_fetch_add(&m->o.job->done_bytes, chunks[i].len);
    }
    if (r == 0)
        atomic_fetch_add(&m->chunks, n);
    return r;
}

static int move_frame(struct run *u, size_t first, size_t end, struct frame_ref *f, struct bk_error *err)
{
    const struct item *batch[BATCH];
    struct suite_piece chunks[BATCH];
    size_t n = 0;
    for (size_t i = first; i < end; i++) {
        const uint8_t *p;
        size_t len;
        if (frame_ref_chunk(f, u->v[i].loc.slot, &u->v[i].id, &p, &len, NULL) < 0) {
            u->lost[u->n_lost++] = &u->v[i];
            continue;
        }
        batch[n] = &u->v[i];
        chunks[n++] = (struct suite_piece){ p, len };
        int r = n == BATCH ? put(u, batch, chunks, n, err) : 0;
        if (r < 0)
            return r;
        n %= BATCH;
    }
    return n ? put(u, batch, chunks, n, err) : 0;
}

static int on_frame(void *ctx, size_t frame, struct frame_ref *f, const struct bk_error *damage)
{
    (void)damage;
    struct run *u = ctx;
    struct mover *m = u->mover;
    struct bk_error err = { 0 };
    size_t first = u->first[frame], end = u->first[frame + 1];
    int r = job_check(m->o.job, &err);
    if (r == 0 && pool_failed(m->o.pool))
        return BK_E_CANCELLED;
    uint32_t stored = u->v[first].loc.stored_len;
    if (r == 0 && f) {
        job_rate_take(&m->rate, stored);
        atomic_fetch_add(&m->frames, 1);
        atomic_fetch_add(&m->read_bytes, stored);
        atomic_fetch_add(&m->o.job->read_bytes, stored);
        r = move_frame(u, first, end, f, &err);
    }
    for (size_t i = first; r == 0 && !f && i < end; i++)
        u->lost[u->n_lost++] = &u->v[i];
    if (r < 0)
        pool_fail(m->o.pool, &err);
    return r;
}

/* A chunk that was stored twice outlives one of its packs. */
static int move_elsewhere(struct run *u, struct bk_error *err)
{
    struct mover *m = u->mover;
    bk_auto(bk_buf_clear) struct bk_buf chunk = BK_BUF(CHUNK_MAX);
    for (size_t i = 0; i < u->n_lost; i++) {
        struct bk_error why = { 0 };
        int r = reader_chunk(m->o.from, u->worker, CHUNK_DATA, &u->lost[i]->id, &chunk, &why);
        if (reader_is_damage(r)) {
            count_lost(m);
            continue;
        }
        if (r < 0 && err)
            *err = why;
        struct suite_piece piece = { chunk.data, chunk.len };
        if (r == 0)
            r = put(u, &u->lost[i], &piece, 1, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static void run_task(struct task *t, unsigned worker)
{
    struct run *u = (struct run *)t;
    struct mover *m = u->mover;
    struct bk_error err = { 0 };
    struct chunk_loc locs[RUN_FRAMES];
    size_t n_frames = 0;
    u->worker = worker;
    for (size_t i = 0; i < u->n; i++) {
        if (i && same_frame(&u->v[i - 1], &u->v[i]))
            continue;
        u->first[n_frames] = i;
        locs[n_frames++] = u->v[i].loc;
    }
    u->first[n_frames] = u->n;
    int r = pool_failed(m->o.pool) ? BK_E_CANCELLED
                                   : reader_run(m->o.from, worker, locs, n_frames, on_frame, u, &err);
    if (r == 0)
        r = move_elsewhere(u, &err);
    if (r < 0 && err.code)
        pool_fail(m->o.pool, &err);
    free(u->lost);
    free(u);
}

static int push(struct mover *m, const struct item *v, size_t n, struct bk_error *err)
{
    struct run *u = calloc(1, sizeof *u);
    const struct item **lost = calloc(n, sizeof *lost);
    if (!u || !lost) {
        free(u);
        free(lost);
        return bk_fail(err, BK_E_NOMEM, "plan the reads");
    }
    u->task.run = run_task;
    u->mover = m;
    u->v = v;
    u->n = n;
    u->lost = lost;
    pool_push(m->o.pool, &u->task);
    return 0;
}

/* End of the run that starts at `from`. */
static size_t run_end(const struct window *w, size_t from, size_t max_frames)
{
    size_t frames = 1, i = from + 1;
    for (; i < w->n; i++) {
        if (same_frame(&w->v[i - 1], &w->v[i]))
            continue;
        if (frames == max_frames || memcmp(w->v[i - 1].loc.pack.b, w->v[i].loc.pack.b, PACK_NAME) != 0)
            break;
        frames++;
    }
    return i;
}

/* What the window before it has moved by now goes, and what was wanted twice. */
static void thin(struct mover *m, struct window *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (!pairs_find(m->o.pairs, &w->v[i].id, NULL) &&
            (!n || chunk_id_cmp(&w->v[i].id, &w->v[n - 1].id) != 0))
            w->v[n++] = w->v[i];
    w->n = n;
}

/* All that was started is done; what was wanted since is started. */
static int turn(struct mover *m, struct bk_error *err)
{
    int r = pool_drain(m->o.pool, err);
    if (r < 0)
        return r;
    struct window w = m->working;
    m->working = m->filling;
    m->filling = w;
    m->filling.n = 0;
    struct window *now = &m->working;
    if (now->n)
        qsort(now->v, now->n, sizeof *now->v, by_place);
    thin(m, now);
    size_t frames = 0;
    for (size_t i = 0; i < now->n; i++)
        frames += i == 0 || !same_frame(&now->v[i - 1], &now->v[i]);
    size_t share = frames / ((size_t)pool_workers(m->o.pool) * 4);
    size_t most = share < 1 ? 1 : share > RUN_FRAMES ? RUN_FRAMES : share;
    /* The pool takes the last one first: from the end, so that packs are read forwards. */
    bk_auto(free) size_t *ends = now->n ? calloc(frames, sizeof *ends) : NULL;
    if (now->n && !ends)
        return bk_fail(err, BK_E_NOMEM, "plan the reads");
    size_t n = 0;
    for (size_t from = 0; from < now->n; from = ends[n - 1])
        ends[n++] = run_end(now, from, most);
    while (n-- > 0) {
        size_t from = n ? ends[n - 1] : 0;
        r = push(m, now->v + from, ends[n] - from, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add(struct mover *m, const struct item *it, struct bk_error *err)
{
    struct window *w = &m->filling;
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 1024;
        struct item *v = reallocarray(w->v, cap, sizeof *v);
        if (!v)
            return bk_fail(err, BK_E_NOMEM, "plan the reads");
        w->v = v;
        w->cap = cap;
    }
    w->v[w->n++] = *it;
    return w->n >= m->o.window ? turn(m, err) : 0;
}

int mover_want(struct mover *m, const chunk_id *id, struct bk_error *err)
{
    struct window *w = &m->filling;
    struct item it = { .id = *id };
    struct bk_error why = { 0 };
    if ((w->n && chunk_id_cmp(&w->v[w->n - 1].id, id) == 0) || pairs_find(m->o.pairs, id, NULL))
        return 0;
    int r = index_locate(reader_index(m->o.from), id, &it.loc, &why);
    if (r == 0 || reader_is_damage(r) || (r > 0 && it.loc.kind != CHUNK_DATA)) {
        count_lost(m);
        return 0;
    }
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    return add(m, &it, err);
}

int mover_wait(struct mover *m, struct bk_error *err)
{
    int r = turn(m, err);
    struct bk_error late = { 0 };
    int drained = pool_drain(m->o.pool, r < 0 ? &late : err);
    return r < 0 ? r : drained;
}

void mover_totals(const struct mover *m, struct mover_totals *ret)
{
    *ret = (struct mover_totals){ .chunks = atomic_load(&m->chunks),
                                  .frames = atomic_load(&m->frames),
                                  .read_bytes = atomic_load(&m->read_bytes),
                                  .lost = atomic_load(&m->lost) };
}

void mover_free(struct mover *m)
{
    if (!m)
        return;
    struct bk_error ignored = { 0 };
    if (pool_drain(m->o.pool, &ignored) < 0)
        job_log(m->o.job, JOB_DEBUG, "stop: %s", ignored.text);
    free(m->filling.v);
    free(m->working.v);
    pthread_mutex_destroy(&m->rate.lock);
    free(m);
}
