#include "bkd/life/keep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/job/pool.h"
#include "bkd/life/keep_state.h"
#include "bkd/life/lock.h"
#include "bkd/repo/copies.h"
#include "bkd/repo/index_inside.h"
#include "bkd/repo/names.h"

/* Objects at a time: what is remembered grows by as many, and an interrupted run goes on from there. */
enum { BATCH = 1024, SMALL_MAX = 1 << 20, AT_ONCE_MAX = 16 };
#define NS INT64_C(1000000000)

struct one {
    struct task task;
    struct keeping *k;
    char name[REPO_PATH];
    bool absent;
};
struct keeping {
    struct repo *repo;
    struct index *x;
    const struct collection *c;
    struct job *job;
    int64_t until_ns;
    struct keep_state *state; /* owned; NULL: nothing is remembered */
    struct pool *pool;        /* owned */
    struct one *v;            /* owned, BATCH of them */
    size_t n;
    uint64_t n_asked;
};
static void keeping_clear(struct keeping *k)
{
    pool_free(k->pool);
    keep_state_free(k->state);
    free(k->v);
}
BK_AUTO_CLEAR(struct keeping, keeping_clear)

/* A sixteenth more for the time that this and the commit take, then up to the next of the dates that lie a
 * quarter apart. */
int64_t keep_deadline(int64_t now_ns, uint64_t minimum_s)
{
    int64_t minimum = (int64_t)minimum_s, quantum = minimum / 4 ? minimum / 4 : 1;
    int64_t at = now_ns / NS + 1 + minimum + minimum / 16;
    return (at / quantum + (at % quantum != 0)) * quantum * NS;
}

static void retain_task(struct task *t, unsigned worker)
{
    (void)worker;
    struct one *o = (struct one *)t;
    struct bk_error err = { 0 };
    if (pool_failed(o->k->pool))
        return;
    int r = job_check(o->k->job, &err);
    if (r == 0)
        r = store_retain(repo_store(o->k->repo), o->name, o->k->until_ns, &err);
    o->absent =
        r == BK_E_ABSENT; /* a line of the index that the next collection takes out; or it had no copy */
    if (r < 0 && !o->absent)
        pool_fail(o->k->pool, &err);
}

static int flush(struct keeping *k, struct bk_error *err)
{
    for (size_t i = 0; i < k->n; i++)
        pool_push(k->pool, &k->v[i].task);
    int r = pool_drain(k->pool, err);
    for (size_t i = 0; r == 0 && i < k->n; i++)
        if (!k->v[i].absent)
            keep_state_add(k->state, k->v[i].name);
    if (r == 0)
        keep_state_save(k->state);
    k->n_asked += k->n;
    k->n = 0;
    return r;
}

static int offer(struct keeping *k, const char *name, struct bk_error *err)
{
    if (strlen(name) >= REPO_PATH || keep_state_has(k->state, name))
        return 0;
    struct one *o = &k->v[k->n++];
    *o = (struct one){ .task.run = retain_task, .k = k };
    snprintf(o->name, sizeof o->name, "%s", name);
    return k->n == BATCH ? flush(k, err) : 0;
}

static int offer_pack(void *ctx, const struct segment_pack *p, struct bk_error *err)
{
    struct keeping *k = ctx;
    char path[REPO_PATH];
    if (p->kind >= CHUNK_KINDS)
        return 0;
    /* Who is older than an undecided list and needs what it names locks it itself. When it cannot be read
     * nothing is known to be given up. */
    if (k->c->state != COLLECTION_UNKNOWN && collection_shuns(k->c, p->kind, &p->name))
        return 0;
    repo_pack_path(p->kind, &p->name, path);
    return offer(k, path, err);
}

/* Config, slots, keyrings, the minimum retention itself: without them the rest cannot be read. */
static int offer_small(struct keeping *k, struct bk_error *err)
{
    static const char *const prefixes[] = { "keys/", "keyring/", "retention/", COPIES_PREFIX };
    int r = offer(k, "config", err);
    for (size_t i = 0; r == 0 && i < BK_COUNT(prefixes); i++) {
        bk_auto(names_clear) struct names l = { 0 };
        r = names_list(repo_store(k->repo), prefixes[i], SMALL_MAX, &l, err);
        for (size_t n = 0; r == 0 && n < l.n; n++)
            r = offer(k, l.v[n].name, err);
    }
    return r;
}

static int offer_all(struct keeping *k, struct bk_error *err)
{
    struct index_segment *s;
    int r = offer_small(k, err);
    for (size_t i = 0; r == 0 && (s = index_segment_at(k->x, i)) != NULL; i++)
        if (!s->recovered)
            r = offer(k, s->object, err);
    if (r == 0)
        r = index_each_pack(k->x, offer_pack, k, err);
    return r == 0 ? flush(k, err) : r;
}

/* The store's own time where it tells: what a wrong clock locks cannot be unlocked, and a slow one would lock
 * too short. */
static int64_t time_there(struct repo *r)
{
    const struct world *w = repo_world(r);
    struct bk_error ignored = { 0 };
    int64_t ahead_ns = 0;
    if (store_clock(repo_store(r), &ahead_ns, &ignored) < 0)
        ahead_ns = 0;
    return w->now_ns(w->ctx) + ahead_ns;
}

static int prepare(struct keeping *k, bool remember, struct bk_error *err)
{
    unsigned n = repo_store(k->repo)->parallel;
    k->v = calloc(BATCH, sizeof *k->v);
    if (!k->v)
        return bk_fail_errno(err, ENOMEM, "list what is to be locked");
    int r = remember ? keep_state_open(k->repo, k->job, k->until_ns, &k->state, err) : 0;
    return r < 0 ? r : pool_new(n < AT_ONCE_MAX ? n : AT_ONCE_MAX, &k->pool, err);
}

int keep_needed(struct index *x, const struct collection *c, struct job *j, bool remember, struct keep *ret,
                struct bk_error *err)
{
    bk_auto(keeping_clear) struct keeping k = { .repo = index_repo(x), .x = x, .c = c, .job = j };
    struct lock lock = { 0 };
    *ret = (struct keep){ 0 };
    if (!(repo_store(k.repo)->can & STORE_CAN_RETAIN))
        return 0;
    int r = lock_read(k.repo, &lock, err);
    if (r < 0 || !lock.seconds)
        return r;
    k.until_ns = keep_deadline(time_there(k.repo), lock.seconds);
    r = prepare(&k, remember, err);
    if (r == 0)
        r = offer_all(&k, err);
    if (r < 0) {
        bk_context(err, "lock what the snapshot needs");
        return r == BK_E_PERM ? bk_hint(err, "this account must be allowed to set the retention of objects")
                              : r;
    }
    if (k.n_asked)
        job_log(j, JOB_DEBUG, "%llu objects are locked anew", (unsigned long long)k.n_asked);
    *ret = (struct keep){ .until_ns = k.until_ns, .n_asked = k.n_asked };
    return 0;
}

void keep_snapshot(struct repo *r, struct job *j, const struct keep *k, const uint8_t id[static SESSION_ID])
{
    struct bk_error why = { 0 };
    char path[REPO_PATH];
    if (!k->until_ns)
        return;
    repo_id_path("snapshots/", id, SESSION_ID, path);
    if (store_retain(repo_store(r), path, k->until_ns, &why) < 0)
        job_log(j, JOB_WARN, "the snapshot is committed, but its record is not locked: %s", why.text);
}
