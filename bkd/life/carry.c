/* Carrying out a decision. Anyone may, any number of times, also at the same time: it deletes what the
 * decision names and nothing else.
 *
 * The index first, then the packs: who reads meanwhile has a chunk's other place before the one here goes. On
 * a full store it is the other way round, which costs readers a detour and makes the room.
 *
 * A store with object lock may refuse for now. Whoever carried out this decision before, and slept, may get
 * to such a pack when its lock has ended, so nobody may ever rely on it again: every list from now on names
 * it, until it is gone. */
#include <errno.h>
#include <stdlib.h>

#include "bkd/job/pool.h"
#include "bkd/life/prune_state.h"
#include "bkd/life/rewrite.h"

/* 1 when the store keeps it for now. */
static int remove_one(struct prune *p, const struct pack *k, struct bk_error *err)
{
    char path[REPO_PATH];
    struct bk_error why = { 0 };
    repo_pack_path(k->kind, &k->name, path);
    int r = job_check(p->job, err);
    if (r < 0)
        return r;
    r = store_remove(repo_store(p->repo), path, &why);
    if (store_still_locked(repo_store(p->repo), r)) {
        job_log(p->job, JOB_DEBUG, "remove %s: %s", path, why.text);
        return 1;
    }
    if (r < 0 && err)
        *err = why;
    return r < 0 ? bk_context(err, "remove %s", path) : 0;
}

struct removal {
    struct task task;
    struct prune *p;
    struct pool *pool;
    const struct pack *pack;
    bool locked;
};

static void remove_task(struct task *t, unsigned worker)
{
    (void)worker;
    struct removal *x = (struct removal *)t;
    struct bk_error err = { 0 };
    int r = pool_failed(x->pool) ? 0 : remove_one(x->p, x->pack, &err);
    if (r < 0)
        pool_fail(x->pool, &err);
    x->locked = r > 0;
}

static int by_tombstone(const void *a, const void *b)
{
    return tombstone_cmp(a, b);
}

bool doomed_has(const struct doomed *d, enum chunk_kind kind, const pack_name *name)
{
    const struct tombstone key = { .kind = kind, .name = *name };
    return d->n && bsearch(&key, d->v, d->n, sizeof *d->v, by_tombstone);
}

/* Nothing of them is needed, or it lies elsewhere as well: they are given up for good whatever other packs
 * hold the same chunks. */
static int note_locked(struct doomed *d, const struct removal *v, size_t n, struct bk_error *err)
{
    struct tombstone *all = reallocarray(d->v, d->n + n + 1, sizeof *all);
    if (!all)
        return bk_fail_errno(err, ENOMEM, "list the packs that are locked");
    d->v = all;
    for (size_t i = 0; i < n; i++) {
        const struct pack *k = v[i].pack;
        if (!v[i].locked)
            continue;
        d->v[d->n++] = (struct tombstone){ .kind = k->kind, .why = TOMBSTONE_MOVED, .name = k->name };
        d->bytes += k->bytes;
    }
    if (d->n)
        qsort(d->v, d->n, sizeof *d->v, by_tombstone);
    return 0;
}

/* Each removal waits for the medium, so that several are under way. */
static int remove_packs(struct prune *p, const struct packs *packs, struct bk_error *err)
{
    enum { AT_ONCE = 16 };
    size_t n = 0;
    bk_auto(free) struct removal *v = calloc(packs->n + 1, sizeof *v);
    bk_auto(pool_free) struct pool *pool = NULL;
    if (!v)
        return bk_fail_errno(err, ENOMEM, "remove packs");
    int r = pool_new(AT_ONCE, &pool, err);
    for (size_t i = 0; r == 0 && i < packs->n; i++) {
        const struct pack *k = &packs->v[i];
        if (!(k->flags & PACK_DOOMED) || doomed_has(&p->locked, k->kind, &k->name))
            continue;
        v[n] = (struct removal){ .task.run = remove_task, .p = p, .pool = pool, .pack = k };
        pool_push(pool, &v[n++].task);
    }
    if (r == 0)
        r = pool_drain(pool, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        p->rep.n_deleted += !v[i].locked;
        p->rep.deleted_bytes += v[i].locked ? 0 : v[i].pack->bytes;
    }
    return r < 0 ? r : note_locked(&p->locked, v, n, err);
}

static void left_out(void *ctx, const char *object, const struct bk_error *why)
{
    job_log(ctx, JOB_WARN, "left out '%s': %s", object, why->text);
}

/* The index is opened before packs are listed: a pack that it names and that is not listed is gone. */
static int rewrite_index(struct prune *p, const struct collection *c, struct bk_error *err)
{
    bk_auto(index_free) struct index *x = NULL;
    bk_auto(packs_clear) struct packs packs = { 0 };
    int r = index_open(p->repo, left_out, p->job, &x, err);
    if (r == 0)
        r = packs_list(repo_store(p->repo), &packs, err);
    if (r < 0)
        return r;
    packs_flag(&packs, c, true);
    return rewrite_run(p, x, &packs, err);
}

static int remove_listed(struct prune *p, const struct collection *c, struct bk_error *err)
{
    bk_auto(packs_clear) struct packs packs = { 0 };
    int r = packs_list(repo_store(p->repo), &packs, err);
    if (r < 0)
        return r;
    packs_flag(&packs, c, true);
    return remove_packs(p, &packs, err);
}

int carry_out(struct prune *p, const struct collection *c, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = rewrite_index(p, c, &why);
    if (r < 0 && r != BK_E_NOSPACE) {
        if (err)
            *err = why;
        return bk_context(err, "take packs out of the index");
    }
    int e = remove_listed(p, c, err);
    if (e < 0)
        return bk_context(err, "delete packs");
    if (r == BK_E_NOSPACE && (r = rewrite_index(p, c, err)) < 0)
        return bk_context(err, "take packs out of the index");
    p->rep.n_locked = p->locked.n + p->n_locked_segments;
    p->rep.locked_bytes = p->locked.bytes;
    return 0;
}
