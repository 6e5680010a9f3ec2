/* What is needed of the chosen packs goes into new ones, read and verified; packs side by side. */
#include <errno.h>

#include "bkd/job/pool.h"
#include "bkd/life/prune_state.h"
#include "bkd/repo/index_guard.h"
#include "bkd/repo/index_inside.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/writer.h"

/* Of the reader, for each worker; of the writer each has one. WORKER_BYTES: what those three hold. */
enum { RUN_LANE, VERIFY_LANE, LANES, LEVEL = 3, WORKERS_MAX = 8, WORKER_BYTES = 24 << 20 };

struct moved {
    chunk_id id;
    uint32_t pack; /* of mark.packs */
    uint32_t offset, stored_len, raw_len;
    uint16_t slot;
    bool twice; /* it may lie in another pack as well */
};
/* Chunks of one pack. A worker has it for itself, and with it the flags of the pack. */
struct run {
    struct task task;
    struct repack *k;
    unsigned worker;
    const struct moved *v;
    size_t n;
    struct bk_error error; /* of the callback */
};
struct repack {
    struct prune *p;
    struct mark *m;
    struct reader *reader;
    struct writer *writer;
    struct moved *v; /* owned */
    size_t n, cap;
    unsigned part;
    struct pool *pool;
};

static int gather(void *ctx, const struct scanned *s, struct bk_error *err)
{
    struct repack *k = ctx;
    struct mark *m = k->m;
    if (s->pack == PACK_NONE || !(m->packs.v[s->pack].flags & PACK_CHOSEN))
        return 0;
    bool meta = s->kind == CHUNK_META;
    if (meta ? k->part || !mark_meta_use(m, s)
             : !chunk_set_in_part(&m->data, k->part, &s->e->id) || !chunk_set_has(&m->data, &s->e->id))
        return 0;
    if (k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 1024;
        struct moved *v = reallocarray(k->v, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "list %zu chunks to be moved", cap);
        k->v = v;
        k->cap = cap;
    }
    k->v[k->n++] = (struct moved){ .id = s->e->id,
                                   .pack = s->pack,
                                   .offset = s->frame->offset,
                                   .stored_len = s->frame->stored_len,
                                   .raw_len = s->frame->raw_len,
                                   .slot = s->e->slot,
                                   .twice = meta || chunk_set_was_twice(&m->data, &s->e->id) };
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct moved *x = a, *y = b;
    if (x->pack != y->pack)
        return x->pack < y->pack ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int gather_all(struct repack *k, struct bk_error *err)
{
    unsigned n = chunk_set_parts(&k->m->data);
    int r = 0;
    for (k->part = 0; r == 0 && k->part < n; k->part++) {
        r = chunk_set_load(&k->m->data, k->part, err);
        if (r == 0) /* metadata lies anywhere: the first part goes over all */
            r = mark_scan(k->m, k->part, k->part ? n : 1, gather, k, err);
    }
    if (k->n)
        qsort(k->v, k->n, sizeof *k->v, by_place);
    return r;
}

static int by_kind_and_name(const void *a, const void *b)
{
    return tombstone_cmp(a, b);
}

/* Only new packs and those that stay may be relied on: not those that go now, nor what an earlier decision
 * has doomed and is still there. */
static int guard(struct mark *m, struct collection *c, struct bk_error *err)
{
    bk_auto(collection_clear) struct collection now = { 0 };
    int r = collection_read(m->repo, &now, err);
    if (r < 0)
        return r;
    c->state = COLLECTION_UNDECIDED;
    c->list.v = calloc(m->packs.n + now.list.count + 1, sizeof *c->list.v);
    if (!c->list.v)
        return bk_fail_errno(err, ENOMEM, "guard the index");
    for (size_t i = 0; i < m->packs.n; i++) {
        const struct pack *k = &m->packs.v[i];
        if (k->flags & (PACK_CHOSEN | PACK_DOOMED | PACK_BAD))
            c->list.v[c->list.count++] = (struct tombstone){ .kind = k->kind, .name = k->name };
    }
    for (size_t i = 0; i < now.list.count; i++)
        if (collection_shuns(&now, now.list.v[i].kind, &now.list.v[i].name))
            c->list.v[c->list.count++] = now.list.v[i];
    if (c->list.count)
        qsort(c->list.v, c->list.count, sizeof *c->list.v, by_kind_and_name);
    return index_guard(m->index, c, err);
}

/* Does a pack that stays have it, sound? 1, 0 or an error. */
static int is_elsewhere(struct run *x, const chunk_id *id, struct bk_error *err)
{
    struct repack *k = x->k;
    bk_auto(frame_ref_free) struct frame_ref *f = NULL;
    struct chunk_loc loc;
    const uint8_t *data;
    size_t len;
    int r = index_find(k->m->index, id, &loc, err);
    if (r < 0) /* what the index cannot tell is not relied on */
        return reader_is_damage(r) ? 0 : r;
    if (r == 0 || loc.shunned || loc.recovered)
        return 0;
    r = reader_frame(k->reader, x->worker * LANES + VERIFY_LANE, &loc, true, &f, err);
    if (r == 0)
        r = frame_ref_chunk(f, loc.slot, id, &data, &len, err);
    if (r == 0)
        return 1;
    return reader_is_damage(r) ? 0 : r;
}

static int move(struct run *x, const struct moved *c, const uint8_t *data, size_t len, enum chunk_kind kind)
{
    int r = c->twice ? is_elsewhere(x, &c->id, &x->error) : 0;
    if (r == 0)
        r = writer_put_moved(x->k->writer, x->worker, kind, &c->id, data, len, &x->error);
    return r < 0 ? r : 0;
}

static int got_frame(void *ctx, size_t i, struct frame_ref *f, const struct bk_error *damage)
{
    struct run *x = ctx;
    const struct moved *c = &x->v[i];
    struct pack *pack = &x->k->m->packs.v[c->pack];
    const uint8_t *data = NULL;
    size_t len = 0;
    bool sound = f && frame_ref_chunk(f, c->slot, &c->id, &data, &len, &x->error) == 0;
    if (!f)
        x->error = *damage;
    if (!sound && !reader_is_damage(x->error.code))
        return x->error.code;
    if (!sound) { /* damaged: for others to sort out */
        pack->flags |= PACK_BAD;
        return 0;
    }
    return move(x, c, data, len, pack->kind);
}

static int move_run(struct run *x, struct bk_error *err)
{
    const struct pack *pack = &x->k->m->packs.v[x->v->pack];
    bk_auto(free) struct chunk_loc *locs = calloc(x->n, sizeof *locs);
    if (!locs)
        return bk_fail_errno(err, ENOMEM, "move %zu chunks", x->n);
    for (size_t i = 0; i < x->n; i++)
        locs[i] = (struct chunk_loc){ .pack = pack->name,
                                      .kind = pack->kind,
                                      .offset = x->v[i].offset,
                                      .stored_len = x->v[i].stored_len,
                                      .raw_len = x->v[i].raw_len,
                                      .slot = x->v[i].slot };
    int r = reader_run(x->k->reader, x->worker * LANES + RUN_LANE, locs, x->n, got_frame, x, err);
    if (r < 0 && x->error.code == r)
        *err = x->error;
    return r;
}

static void run_task(struct task *t, unsigned worker)
{
    struct run *x = (struct run *)t;
    struct job *j = x->k->p->job;
    struct bk_error err = { 0 };
    if (pool_failed(x->k->pool))
        return;
    x->worker = worker;
    int r = job_check(j, &err);
    if (r == 0)
        r = move_run(x, &err);
    if (r < 0)
        pool_fail(x->k->pool, &err);
    else
        j->done_bytes += x->k->m->packs.v[x->v->pack].bytes;
}

static size_t count_runs(const struct repack *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++)
        n += !i || k->v[i].pack != k->v[i - 1].pack;
    return n;
}

/* The pool takes the last task first. */
static int move_all(struct repack *k, struct bk_error *err)
{
    size_t n = count_runs(k);
    bk_auto(free) struct run *runs = calloc(n + 1, sizeof *runs);
    if (!runs)
        return bk_fail_errno(err, ENOMEM, "write %zu packs anew", n);
    for (size_t i = k->n, e; i > 0; i = e) {
        for (e = i - 1; e > 0 && k->v[e - 1].pack == k->v[i - 1].pack; e--)
            ;
        struct run *x = &runs[--n];
        *x = (struct run){ .task.run = run_task, .k = k, .v = k->v + e, .n = i - e };
        pool_push(k->pool, &x->task);
    }
    int r = pool_drain(k->pool, err);
    return r < 0 ? r : writer_finish(k->writer, err);
}

/* Within a quarter of the memory; and each leaves a pack that is not full. */
static unsigned n_workers(const struct repack *k)
{
    const struct job *j = k->p->job;
    size_t most = 1 + count_runs(k) / 4;
    most = most > WORKERS_MAX ? (size_t)WORKERS_MAX : most;
    most = most > j->n_threads ? j->n_threads : most;
    most = most > j->memory_bytes / 4 / WORKER_BYTES ? j->memory_bytes / 4 / WORKER_BYTES : most;
    return most ? (unsigned)most : 1;
}

/* A run that failed leaves packs that the next one finds. */
static int write_anew(struct repack *k, struct bk_error *err)
{
    unsigned n = n_workers(k);
    struct writer_opts o = { .n_lanes = n, .level = LEVEL, .memory_bytes = k->p->job->memory_bytes / 4 };
    int r = reader_new(k->p->repo, k->m->index, n * LANES, k->p->job->memory_bytes / 16, &k->reader, err);
    if (r == 0)
        r = writer_new(k->p->repo, k->m->index, k->p->job, &o, &k->writer, err);
    if (r == 0)
        r = pool_new(n, &k->pool, err);
    if (r < 0)
        return r;
    r = move_all(k, err);
    if (r < 0) {
        struct bk_error ignored = { 0 };
        (void)!writer_abandon(k->writer, &ignored);
        return r;
    }
    struct writer_totals t;
    writer_totals(k->writer, &t);
    k->p->rep.written_bytes += t.stored_bytes;
    return 0;
}

static void settle(struct repack *k, bool moved)
{
    struct prune_report *rep = &k->p->rep;
    for (size_t i = 0; i < k->m->packs.n; i++) {
        struct pack *pack = &k->m->packs.v[i];
        if (!(pack->flags & PACK_CHOSEN))
            continue;
        if (moved && !(pack->flags & PACK_BAD)) {
            pack->flags |= PACK_DOOMED | PACK_MOVED;
            continue;
        }
        pack->flags &= (uint8_t)~PACK_CHOSEN;
        rep->n_moved--;
        rep->moved_bytes -= pack->bytes;
    }
}

int repack_run(struct prune *p, struct mark *m, struct bk_error *err)
{
    if (!p->rep.n_moved)
        return 0;
    struct repack k = { .p = p, .m = m };
    struct bk_error why = { 0 };
    bk_auto(collection_clear) struct collection c = { 0 };
    p->job->total_bytes += p->rep.moved_bytes;
    int r = gather_all(&k, &why);
    if (r == 0)
        r = guard(m, &c, &why);
    if (r == 0)
        r = write_anew(&k, &why);
    pool_free(k.pool);
    writer_free(k.writer);
    reader_free(k.reader);
    free(k.v);
    index_set_guard(m->index, NULL); /* it borrowed c */
    settle(&k, r == 0);
    if (r == BK_E_NOSPACE) {
        job_log(p->job, JOB_WARN, "no room to write half-used packs anew, they stay for now: %s", why.text);
        return 0;
    }
    if (r < 0 && err) {
        *err = why;
        bk_context(err, "write half-used packs anew");
    }
    return r;
}
