#include "bkd/restore/image_ahead.h"

#include <stdlib.h>

enum {
    HITS = 3,         /* calls in a row before it counts as going through */
    UNIT_FRAMES = 256 /* decoded at once by a worker */
};
#define SLACK ((uint64_t)2 << 20) /* calls that were sent in a row arrive in some other order */

struct ahead {
    struct task task; /* first: it is what the pool hands back */
    struct image *image;
    uint64_t from, to;
};

struct wanted {
    struct chunk_loc loc;
    chunk_id id;
    bool ours; /* in flight */
};

struct unit {
    struct image *image;
    unsigned lane;
    struct wanted v[UNIT_FRAMES];
    size_t n;
    struct chunk_loc locs[UNIT_FRAMES];
    size_t first; /* of the run in hand */
};

/* Not found or not readable is for the call to meet that needs it. */
static int collect(void *ctx, uint64_t offset, const struct extent *x, struct bk_error *err)
{
    (void)offset;
    struct unit *u = ctx;
    struct images *s = u->image->set;
    struct wanted *w = &u->v[u->n];
    if (x->kind != EXTENT_DATA || u->n == UNIT_FRAMES)
        return 0;
    if (index_find(reader_index(s->reader), &x->id, &w->loc, err) != 1)
        return 0;
    if (u->n && u->v[u->n - 1].loc.offset == w->loc.offset &&
        !memcmp(&u->v[u->n - 1].loc.pack, &w->loc.pack, sizeof w->loc.pack))
        return 0;
    bk_auto(frame_ref_free) struct frame_ref *there = reader_peek(s->reader, &w->loc);
    if (there || !flights_begin(&s->flights, &w->loc, false))
        return 0;
    w->id = x->id;
    w->ours = true;
    u->n++;
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    int c = memcmp(&x->loc.pack, &y->loc.pack, sizeof x->loc.pack);
    return c ? c : (x->loc.offset > y->loc.offset) - (x->loc.offset < y->loc.offset);
}

static int keep(void *ctx, size_t i, struct frame_ref *f, const struct bk_error *damage)
{
    (void)damage;
    struct unit *u = ctx;
    struct images *s = u->image->set;
    struct wanted *w = &u->v[u->first + i];
    if (f) {
        struct bk_error ignored = { 0 };
        const uint8_t *p;
        size_t len;
        (void)!frame_ref_chunk(f, w->loc.slot, &w->id, &p, &len, &ignored);
        reader_keep(s->reader, f);
    }
    flights_end(&s->flights, &w->loc);
    w->ours = false;
    struct bk_error ignored = { 0 };
    return job_check(s->job, &ignored); /* ends the run */
}

static void read_unit(struct unit *u)
{
    struct images *s = u->image->set;
    for (size_t end; u->first < u->n; u->first = end) {
        struct bk_error ignored = { 0 };
        for (end = u->first;
             end < u->n && !memcmp(&u->v[end].loc.pack, &u->v[u->first].loc.pack, sizeof(pack_name)); end++)
            u->locs[end - u->first] = u->v[end].loc;
        if (job_check(s->job, &ignored) == 0)
            (void)!reader_run(s->reader, u->lane, u->locs, end - u->first, keep, u, &ignored);
        for (size_t i = u->first; i < end; i++)
            if (u->v[i].ours)
                flights_end(&s->flights, &u->v[i].loc);
    }
}

static void run_ahead(struct task *t, unsigned worker)
{
    struct ahead *a = (struct ahead *)t;
    struct images *s = a->image->set;
    struct unit *u = atomic_load(&s->ending) ? NULL : calloc(1, sizeof *u);
    if (u) {
        struct bk_error ignored = { 0 };
        u->image = a->image;
        u->lane = worker;
        (void)!image_walk(a->image, worker, a->from, a->to, collect, u, &ignored);
        qsort(u->v, u->n, sizeof *u->v, by_place);
        read_unit(u);
    }
    free(u);
    free(a);
    atomic_fetch_sub(&s->pending, 1);
}

void image_ahead(struct image *m, uint64_t offset, uint64_t len)
{
    struct images *s = m->set;
    struct task *first = NULL, **last = &first; /* in order: the pool runs a chain from its start */
    uint64_t unit = s->o.ahead_unit;
    if (offset >= m->content.size || !unit)
        return;
    uint64_t end = len > m->content.size - offset ? m->content.size : offset + len;
    unsigned most = (unsigned)(s->o.ahead / unit) + 2 * s->o.n_workers;
    while (offset < end && atomic_fetch_add(&s->pending, 1) < most) {
        struct ahead *a = calloc(1, sizeof *a);
        if (!a)
            break;
        a->task.run = run_ahead;
        a->image = m;
        a->from = offset;
        a->to = end - offset > unit ? offset + unit : end;
        offset = a->to;
        *last = &a->task;
        last = &a->task.next;
    }
    if (offset < end)
        atomic_fetch_sub(&s->pending, 1);
    pool_push_chain(s->pool, first);
}

static struct image_stream *stream_of(struct image *m, uint64_t offset)
{
    struct image_stream *old = &m->v[0];
    for (size_t i = 0; i < IMAGE_STREAMS; i++) {
        struct image_stream *t = &m->v[i];
        if (t->used && offset + SLACK >= t->next && offset <= t->next + SLACK)
            return t;
        if (t->used < old->used)
            old = t;
    }
    *old = (struct image_stream){ .next = offset, .ahead = offset };
    return old;
}

void image_follow(struct image *m, uint64_t offset, uint64_t len)
{
    struct images *s = m->set;
    uint64_t from = 0, n = 0;
    if (!s->o.ahead || !len)
        return;
    pthread_mutex_lock(&m->lock);
    struct image_stream *t = stream_of(m, offset);
    t->used = ++m->calls;
    if (offset + len > t->next) {
        t->hits++;
        t->next = offset + len;
    } else if (offset + len + SLACK / 2 < t->next) {
        t->hits = 0; /* back and forth */
    }
    if (t->hits >= HITS) {
        from = t->ahead > t->next ? t->ahead : t->next;
        uint64_t to = t->next + s->o.ahead;
        n = from < to && to - from >= s->o.ahead_unit ? to - from : 0;
        if (n)
            t->ahead = to;
    }
    pthread_mutex_unlock(&m->lock);
    if (n)
        image_ahead(m, from, n);
}
