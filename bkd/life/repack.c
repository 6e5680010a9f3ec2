/* What is needed of the chosen packs goes into new ones, read and verified. */
#include <errno.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/index_guard.h"
#include "bkd/repo/index_inside.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/writer.h"

enum { RUN_LANE, VERIFY_LANE, LANES, LEVEL = 3 };

struct moved {
    chunk_id id;
    uint32_t pack; /* of mark.packs */
    uint32_t offset, stored_len, raw_len;
    uint16_t slot;
};
struct repack {
    struct prune *p;
    struct mark *m;
    struct reader *reader;
    struct writer *writer;
    struct moved *v; /* owned */
    size_t n, cap;
    unsigned part;
    const struct moved *run; /* at hand */
    const struct chunk_loc *locs;
    struct bk_error error; /* of the callback */
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
                                   .slot = s->e->slot };
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

/* Does a pack that stays have it, sound? What turns out damaged is not relied on from now on. 1, 0 or an
 * error */
static int is_elsewhere(struct repack *k, const chunk_id *id, struct bk_error *err)
{
    bk_auto(frame_ref_free) struct frame_ref *f = NULL;
    struct chunk_loc loc;
    const uint8_t *data;
    size_t len;
    int r = index_find(k->m->index, id, &loc, err);
    if (r <= 0 || loc.shunned || loc.recovered)
        return r < 0 ? r : 0;
    r = reader_frame(k->reader, VERIFY_LANE, &loc, true, &f, err);
    if (r == 0)
        r = frame_ref_chunk(f, loc.slot, id, &data, &len, err);
    if (r == 0)
        return 1;
    if (!reader_is_damage(r))
        return r;
    r = writer_distrust(k->writer, &loc.pack, err);
    return r < 0 ? r : 0;
}

static int move(struct repack *k, struct frame_ref *f, const struct moved *c, enum chunk_kind kind,
                struct bk_error *err)
{
    const uint8_t *data;
    size_t len;
    chunk_id id;
    int r = frame_ref_chunk(f, c->slot, &c->id, &data, &len, err);
    if (r == 0)
        r = is_elsewhere(k, &c->id, err);
    if (r == 0)
        r = writer_put(k->writer, 0, kind, data, len, &id, err);
    return r < 0 ? r : 0;
}

static int got_frame(void *ctx, size_t i, struct frame_ref *f, const struct bk_error *damage)
{
    struct repack *k = ctx;
    const struct moved *c = &k->run[i];
    struct pack *pack = &k->m->packs.v[c->pack];
    k->error = (struct bk_error){ 0 };
    const uint8_t *data;
    size_t len;
    bool sound = f && frame_ref_chunk(f, c->slot, &c->id, &data, &len, &k->error) == 0;
    if (!f)
        k->error = *damage;
    if (!sound && !reader_is_damage(k->error.code))
        return k->error.code;
    if (!sound) { /* damaged: for others to sort out */
        pack->flags |= PACK_BAD;
        return 0;
    }
    return move(k, f, c, pack->kind, &k->error);
}

static int move_run(struct repack *k, const struct moved *v, size_t n, struct bk_error *err)
{
    const struct pack *pack = &k->m->packs.v[v->pack];
    bk_auto(free) struct chunk_loc *locs = calloc(n, sizeof *locs);
    if (!locs)
        return bk_fail_errno(err, ENOMEM, "move %zu chunks", n);
    for (size_t i = 0; i < n; i++)
        locs[i] = (struct chunk_loc){ .pack = pack->name,
                                      .kind = pack->kind,
                                      .offset = v[i].offset,
                                      .stored_len = v[i].stored_len,
                                      .raw_len = v[i].raw_len,
                                      .slot = v[i].slot };
    k->run = v;
    k->locs = locs;
    k->error = (struct bk_error){ 0 };
    int r = reader_run(k->reader, RUN_LANE, locs, n, got_frame, k, err);
    if (r < 0 && k->error.code && err)
        *err = k->error;
    return r;
}

static int move_all(struct repack *k, struct bk_error *err)
{
    for (size_t i = 0, e; i < k->n; i = e) {
        for (e = i + 1; e < k->n && k->v[e].pack == k->v[i].pack; e++)
            ;
        int r = job_check(k->p->job, err);
        if (r == 0)
            r = move_run(k, k->v + i, e - i, err);
        if (r < 0)
            return r;
        k->p->job->done_bytes += k->m->packs.v[k->v[i].pack].bytes;
    }
    return writer_finish(k->writer, err);
}

/* A run that failed leaves packs that the next one finds. */
static int write_anew(struct repack *k, struct bk_error *err)
{
    struct writer_opts o = { .n_lanes = 1, .level = LEVEL, .memory_bytes = k->p->job->memory_bytes / 4 };
    int r = reader_new(k->p->repo, k->m->index, LANES, k->p->job->memory_bytes / 16, &k->reader, err);
    if (r == 0)
        r = writer_new(k->p->repo, k->m->index, k->p->job, &o, &k->writer, err);
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
