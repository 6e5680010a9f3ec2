/* Carrying out a decision. Anyone may, any number of times, also at the same time: it deletes what the
 * decision names and nothing else.
 *
 * The index first, then the packs: who reads meanwhile has a chunk's other place before the one here goes. On
 * a full store it is the other way round, which costs readers a detour and makes the room. */
#include <errno.h>

#include "bkd/job/pool.h"
#include "bkd/life/prune_state.h"
#include "bkd/life/rewrite.h"

static int remove_one(struct prune *p, const struct pack *k, struct bk_error *err)
{
    char path[REPO_PATH];
    repo_pack_path(k->kind, &k->name, path);
    int r = job_check(p->job, err);
    if (r == 0)
        r = store_remove(repo_store(p->repo), path, err);
    return r < 0 ? bk_context(err, "remove %s", path) : 0;
}

struct removal {
    struct task task;
    struct prune *p;
    struct pool *pool;
    const struct pack *pack;
};

static void remove_task(struct task *t, unsigned worker)
{
    (void)worker;
    struct removal *x = (struct removal *)t;
    struct bk_error err = { 0 };
    if (!pool_failed(x->pool) && remove_one(x->p, x->pack, &err) < 0)
        pool_fail(x->pool, &err);
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
        if (!(packs->v[i].flags & PACK_DOOMED))
            continue;
        v[n] = (struct removal){ .task.run = remove_task, .p = p, .pool = pool, .pack = &packs->v[i] };
        pool_push(pool, &v[n++].task);
    }
    if (r == 0)
        r = pool_drain(pool, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        p->rep.n_deleted++;
        p->rep.deleted_bytes += v[i].pack->bytes;
    }
    return r;
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
    return 0;
}
