/* Packs: those that the index names are there at their size; the others are orphans. Then those that were
 * asked for, and those found damaged, are read in full by a pool of workers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/job/pool.h"
#include "bkd/repo/check_ahead.h"
#include "bkd/repo/index_recover.h"

struct packs {
    struct check *c;
    bool *named[CHUNK_KINDS]; /* owned; beside check.packs */
    struct check_pack *v;     /* owned: sound so far, then those to read */
    size_t n, cap;
};

static int add(struct packs *p, const struct check_pack *pack, struct bk_error *err)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        struct check_pack *v = reallocarray(p->v, cap, sizeof *v);
        if (!v)
            return bk_fail_errno(err, ENOMEM, "list the packs");
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = *pack;
    return 0;
}

/* The pack is damaged as a whole until reading it shows which frames are sound. */
static int mark_bad(struct check *c, const char *path, const pack_name *name, const struct bk_error *why,
                    struct bk_error *err)
{
    pthread_mutex_lock(&c->lock);
    int r = idset_add(&c->bad_packs, name->b, err);
    pthread_mutex_unlock(&c->lock);
    if (r < 0)
        return r;
    check_found(c, path, why);
    return 0;
}

/* No finding by itself: a segment that was under way while packs were deleted may name them. It is one when a
 * snapshot needs what was in it, and the trees will show. */
static int see_gone(struct check *c, const pack_name *name, struct bk_error *err)
{
    pthread_mutex_lock(&c->lock);
    c->rep.n_packs_gone++;
    int r = idset_add(&c->bad_packs, name->b, err);
    if (r >= 0)
        r = idset_add(&c->gone_packs, name->b, err);
    pthread_mutex_unlock(&c->lock);
    return r < 0 ? r : 0;
}

/* One pack as a segment names it. */
static int see_pack(struct packs *p, const struct segment_pack *sp, struct bk_error *err)
{
    struct check *c = p->c;
    struct bk_error why = { 0 };
    char path[REPO_PATH];
    enum chunk_kind kind = sp->kind == CHUNK_META ? CHUNK_META : CHUNK_DATA;
    repo_pack_path(kind, &sp->name, path);
    const struct names_item *item = names_find(&c->packs[kind], path);
    if (!item)
        return see_gone(c, &sp->name, err);
    c->rep.n_packs++;
    size_t at = (size_t)(item - c->packs[kind].v);
    if (p->named[kind][at])
        return 0;
    p->named[kind][at] = true;
    struct check_pack pack = { .name = item->name, .size = item->size, .kind = kind, .id = sp->name };
    if (item->size != sp->bytes && repo_heal(c->repo, path))
        (void)!store_stat(repo_store(c->repo), path, &pack.size, &why);
    if (pack.size != sp->bytes) {
        bk_fail(&why, BK_E_CORRUPT, "the pack has %llu bytes and should have %u",
                (unsigned long long)pack.size, sp->bytes);
        int r = mark_bad(c, path, &sp->name, &why, err);
        if (r < 0)
            return r;
        pack.known_bad = true;
    }
    return add(p, &pack, err);
}

static int by_pack(const void *a, const void *b)
{
    const struct segment_pack *x = a, *y = b;
    return memcmp(x->name.b, y->name.b, PACK_NAME);
}

/* Each once. Taken from the scan of the segments and not from the index, which stops at the first damaged
 * page. */
static int see_all(struct packs *p, struct bk_error *err)
{
    struct check *c = p->c;
    if (c->n_named)
        qsort(c->named, c->n_named, sizeof *c->named, by_pack);
    for (size_t i = 0; i < c->n_named; i++) {
        if (i && by_pack(&c->named[i - 1], &c->named[i]) == 0)
            continue;
        int r = see_pack(p, &c->named[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static void count_orphans(struct packs *p)
{
    struct check *c = p->c;
    for (int kind = 0; kind < CHUNK_KINDS; kind++)
        for (size_t i = 0; i < c->packs[kind].n; i++) {
            enum chunk_kind k;
            pack_name name;
            const char *path = c->packs[kind].v[i].name;
            if (p->named[kind][i])
                continue;
            if (repo_pack_of_path(path, &k, &name))
                c->rep.n_orphan_packs++;
            else
                job_log(c->job, JOB_WARN, "%s is nothing that belongs to a repository", path);
        }
}

/* A pack that is named only now. */
static int see_recovered(void *ctx, const struct segment_pack *sp, struct bk_error *err)
{
    struct packs *p = ctx;
    char path[REPO_PATH];
    enum chunk_kind kind = sp->kind == CHUNK_META ? CHUNK_META : CHUNK_DATA;
    repo_pack_path(kind, &sp->name, path);
    const struct names_item *item = names_find(&p->c->packs[kind], path);
    if (!item || p->named[kind][item - p->c->packs[kind].v])
        return 0;
    return see_pack(p, sp, err);
}

/* Index damage alone hits no file: the packs say as well what is in them. */
static int recover(struct packs *p, struct bk_error *err)
{
    struct check *c = p->c;
    struct bk_error why = { 0 };
    uint64_t n;
    if (!c->index_damaged && !c->rep.n_orphan_packs)
        return 0;
    int r = index_recover(c->index, c->job, INDEX_ASK_UNNAMED, &n, &why);
    if (check_fatal(r))
        return bk_fail(err, r, "%s", why.text);
    if (r < 0)
        job_log(c->job, JOB_WARN, "%s", why.text);
    return index_each_pack(c->index, see_recovered, p, err);
}

/* n of the packs at random come first (a partial shuffle). */
static int shuffle(struct packs *p, size_t n, struct bk_error *err)
{
    const struct world *w = repo_world(p->c->repo);
    for (size_t i = 0; i < n; i++) {
        uint8_t random[8];
        int r = w->random(w->ctx, random, sizeof random, err);
        if (r < 0)
            return r;
        size_t at = i + (size_t)(bk_get_u64(random) % (p->n - i));
        struct check_pack swap = p->v[i];
        p->v[i] = p->v[at];
        p->v[at] = swap;
    }
    return 0;
}

/* Keep what is to be read in full: all, a sample, and always what is known to be damaged. */
static int choose(struct packs *p, struct bk_error *err)
{
    const struct check_opts *o = p->c->opts;
    size_t n = o->read_data ? p->n : 0;
    if (!o->read_data && o->sample_percent > 0 && p->n) {
        double share = o->sample_percent > 100 ? 100 : o->sample_percent;
        double exact = (double)p->n * share / 100;
        n = (size_t)exact;
        n += (double)n < exact; /* rounded up: at least one */
        n = n > p->n ? p->n : n;
        int r = shuffle(p, n, err);
        if (r < 0)
            return r;
    }
    for (size_t i = n; i < p->n; i++)
        if (p->v[i].known_bad)
            p->v[n++] = p->v[i];
    p->n = n;
    return 0;
}

/* Shared by the workers of one run. */
struct reading {
    struct check *c;
    struct pool *pool;
    struct check_pack_worker **workers;
};
struct pack_task {
    struct task task;
    struct reading *reading;
    const struct check_pack *pack;
};

static void read_one(struct task *t, unsigned worker)
{
    struct pack_task *pt = (struct pack_task *)t;
    struct bk_error err = { 0 };
    if (pool_failed(pt->reading->pool))
        return;
    int r = job_check(pt->reading->c->job, &err);
    if (r == 0)
        r = check_pack_read(pt->reading->workers[worker], pt->pack, &err);
    if (r < 0)
        pool_fail(pt->reading->pool, &err);
    pt->reading->c->job->done_items++;
}

static unsigned n_workers(const struct check *c, size_t n_tasks)
{
    size_t fit = c->job->memory_bytes / 2 / CHECK_PACK_WORKER_BYTES;
    size_t n = c->job->n_threads;
    if (repo_store(c->repo)->parallel > n) /* waiting needs no core */
        n = repo_store(c->repo)->parallel;
    n = n < fit ? n : fit;
    n = n < n_tasks ? n : n_tasks;
    return n ? (unsigned)n : 1;
}

/* The largest first: the small ones at the end keep all workers busy to the end. */
static int by_size(const void *a, const void *b)
{
    const struct check_pack *x = a, *y = b;
    return x->size > y->size ? -1 : x->size < y->size;
}

static int read_with(struct packs *p, struct check_pack_worker **workers, unsigned n,
                     struct check_ahead *ahead, struct bk_error *err)
{
    struct reading reading = { .c = p->c, .workers = workers };
    bk_auto(free) struct pack_task *tasks = calloc(p->n, sizeof *tasks);
    if (!tasks)
        return bk_fail_errno(err, ENOMEM, "read %zu packs", p->n);
    for (unsigned i = 0; i < n; i++) {
        int r = check_pack_worker_new(p->c, &workers[i], err);
        if (r < 0)
            return r;
    }
    bk_auto(pool_free) struct pool *pool = NULL;
    int r = pool_new(n, &pool, err);
    if (r < 0)
        return r;
    reading.pool = pool;
    for (size_t i = 0; i < p->n; i++)
        tasks[i] = (struct pack_task){
            .task = { .run = read_one, .next = i + 1 < p->n ? &tasks[i + 1].task : NULL },
            .reading = &reading,
            .pack = &p->v[i],
        };
    if (ahead)
        ahead->task.next = &tasks[0].task;
    pool_push_chain(pool, ahead ? &ahead->task : &tasks[0].task);
    return pool_drain(pool, err);
}

static int read_and_walk(struct packs *p, struct check_pack_worker **workers, unsigned n,
                         struct bk_error *err)
{
    struct check_ahead ahead;
    bool use = check_ahead_init(&ahead, p->c);
    int r = read_with(p, workers, n, use ? &ahead : NULL, err);
    if (r == 0)
        check_ahead_take(&ahead, p->c);
    check_ahead_clear(&ahead);
    return r;
}

static int read_chosen(struct packs *p, struct bk_error *err)
{
    if (!p->n)
        return 0;
    uint64_t total = 0;
    for (size_t i = 0; i < p->n; i++)
        total += p->v[i].size;
    p->c->job->total_bytes += total;
    p->c->job->total_items += p->n;
    unsigned n = n_workers(p->c, p->n + 1); /* and the trees */
    bk_auto(free) struct check_pack_worker **workers = calloc(n, sizeof(struct check_pack_worker *));
    if (!workers)
        return bk_fail_errno(err, ENOMEM, "read %zu packs", p->n);
    qsort(p->v, p->n, sizeof *p->v, by_size);
    int r = read_and_walk(p, workers, n, err);
    for (unsigned i = 0; i < n; i++)
        check_pack_worker_free(workers[i]);
    return r;
}

static int run(struct packs *p, struct bk_error *err)
{
    static const char *const prefix[CHUNK_KINDS] = { "data/", "meta/" };
    struct check *c = p->c;
    for (int kind = 0; kind < CHUNK_KINDS; kind++) {
        int r = names_list(repo_store(c->repo), prefix[kind], CHECK_LIST_MAX, &c->packs[kind], err);
        if (r < 0)
            return r;
        c->rep.n_objects += c->packs[kind].n;
        p->named[kind] = calloc(c->packs[kind].n + 1, sizeof(bool));
        if (!p->named[kind])
            return bk_fail_errno(err, ENOMEM, "list the packs");
    }
    int r = see_all(p, err);
    if (r < 0)
        return r;
    count_orphans(p);
    r = recover(p, err);
    if (r < 0)
        return r;
    r = choose(p, err);
    return r < 0 ? r : read_chosen(p, err);
}

int check_packs(struct check *c, struct bk_error *err)
{
    struct packs p = { .c = c };
    int r = run(&p, err);
    for (int kind = 0; kind < CHUNK_KINDS; kind++)
        free(p.named[kind]);
    free(p.v);
    return r;
}
