#include "bkd/life/prune.h"

#include <stdlib.h>
#include <string.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/index_guard.h"
#include "bkd/repo/index_recover.h"

/* From tombstones to their end. known: the mark that they came from; NULL: somebody else's. */
static int settle(struct prune *p, struct collection *c, const struct mark *known, struct bk_error *err)
{
    bk_auto(free) uint8_t *lifted = NULL;
    struct bk_error why = { 0 };
    int r = wait_for_sessions(p, c->n, err);
    if (r < 0)
        return r;
    int looked = lift_run(p, c, known, &lifted, &why);
    if (looked < 0 && looked != BK_E_CORRUPT) {
        *err = why;
        return looked;
    }
    /* When it cannot be told what is needed, nothing goes; undecided it would hold up others. */
    r = publish_decision(p, c, looked == 0 ? lifted : NULL, err);
    if (r == 0 && looked < 0) {
        *err = why;
        return looked;
    }
    return r < 0 ? r : carry_out(p, c, err);
}

/* What others left: an undecided collection, a decision that was not carried out, or something that cannot be
 * read. *ret: the number in use. */
static int finish_others(struct prune *p, struct prune_opts *opts, uint64_t *ret, struct bk_error *err)
{
    bk_auto(collection_clear) struct collection c = { 0 };
    int r = collection_read(p->repo, &c, err);
    if (r < 0)
        return r;
    *ret = c.n;
    switch (c.state) {
    case COLLECTION_NONE:
        return 0;
    case COLLECTION_UNDECIDED:
        job_log(p->job, JOB_INFO, "an undecided collection is ended first");
        p->rep.n_resumed++;
        return settle(p, &c, NULL, err);
    case COLLECTION_DECIDED:
        return carry_out(p, &c, err);
    case COLLECTION_UNKNOWN:
        /* Nobody can have decided by a list that cannot be read, unless it was readable then: in both cases
         * the next number settles it. Whoever reads what stands now relies on no pack at all. */
        job_log(p->job, JOB_WARN,
                "what an earlier collection has left cannot be read; a new one takes its place");
        /* Somebody who read it in time may still be deleting: of a chunk that lies twice no place is given
         * up. */
        opts->no_repack = true;
        p->renew = true;
        return 0;
    }
    return 0;
}

static void report_plan(struct prune *p, const struct mark *m)
{
    job_log(p->job, JOB_DEBUG, "%zu packs, %llu unneeded, %llu to be written anew", m->packs.n,
            (unsigned long long)p->rep.n_unneeded, (unsigned long long)p->rep.n_moved);
}

/* One collection of our own. 1 when there is more to do: the store was too full for the whole list. */
static int collect(struct prune *p, uint64_t n, struct bk_error *err)
{
    bk_auto(mark_clear) struct mark m = { 0 };
    bk_auto(collection_clear) struct collection c = { 0 };
    bool writers = false;
    int r = wait_any_writer(p, &writers, err);
    if (r == 0)
        r = mark_run(&m, p, NULL, NULL, err);
    if (r == 0)
        r = choose_packs(p, &m, writers, err);
    if (r < 0)
        return r;
    report_plan(p, &m);
    if (p->opts->dry_run)
        return 0;
    r = repack_run(p, &m, err);
    if (r == 0)
        r = publish_list(p, &m, n, p->renew, &c, err);
    if (r <= 0)
        return r;
    size_t doomed = 0, listed = p->n_listed;
    for (size_t i = 0; i < m.packs.n; i++)
        doomed += (m.packs.v[i].flags & PACK_DOOMED) != 0;
    r = sweep_run(p, n, err); /* makes room for the decision on a full store */
    if (r == 0)
        r = settle(p, &c, &m, err);
    return r < 0 ? r : doomed > listed;
}

/* On a store without any room a decision that was not carried out may make some. */
static int open_session(struct prune *p, struct bk_error *err)
{
    uint64_t n;
    int r = session_open(p->repo, SESSION_COLLECTOR, "prune", &p->session, err);
    if (r != BK_E_NOSPACE)
        return r;
    bk_auto(collection_clear) struct collection c = { 0 };
    struct bk_error why = { 0 };
    n = p->rep.n_deleted;
    if (collection_read(p->repo, &c, &why) < 0 || c.state != COLLECTION_DECIDED)
        return bk_hint(err, "there is no room for even a small file: forget some snapshots first");
    if (carry_out(p, &c, &why) < 0 && p->rep.n_deleted == n)
        return r;
    return session_open(p->repo, SESSION_COLLECTOR, "prune", &p->session, err);
}

/* All packs are asked: a segment that turned out damaged while it was written anew is named in part. Last,
 * when all that goes is gone: on a full store there was no room for it before. What is
 * damaged was told while marking. */
static int complete_index(struct prune *p, struct bk_error *err)
{
    bk_auto(collection_clear) struct collection c = { 0 };
    bk_auto(index_free) struct index *x = NULL;
    uint64_t n;
    int r = collection_read(p->repo, &c, err);
    if (r == 0)
        r = index_open(p->repo, index_ignore_damage, NULL, &x, err);
    if (r == 0)
        r = index_guard(x, &c, err);
    if (r < 0)
        return r;
    index_recovery_puts(x);
    return index_recover(x, p->job, INDEX_ASK_ALL, &n, err);
}

static int run(struct prune *p, struct prune_opts *opts, struct bk_error *err)
{
    uint64_t n = 0;
    int r = 0, more = 1;
    if (!p->opts->dry_run) {
        r = open_session(p, err);
        if (r == 0)
            r = wait_alone(p, err);
        if (r == 0)
            r = finish_others(p, opts, &n, err);
    }
    while (r == 0 && more) {
        struct prune_report before = p->rep;
        r = more = collect(p, n + 1, err);
        if (r == 1 && !p->opts->dry_run) { /* each round counts packs anew */
            p->rep.n_packs = before.n_packs;
            p->rep.bytes = before.bytes;
            p->rep.n_chunks = before.n_chunks;
            p->rep.n_needed = before.n_needed;
            r = 0;
        }
        p->renew = false;
        if (r == 0)
            r = collection_generation(p->repo, &n, err);
    }
    if (r < 0 || p->opts->dry_run)
        return r;
    r = bury_dead(p, err); /* with nothing to collect nobody was waited for */
    if (r == 0)
        r = sweep_run(p, n, err);
    return r == 0 && p->index_lacks ? complete_index(p, err) : r;
}

int prune_run(struct repo *repo, struct job *j, const struct prune_opts *o, struct prune_report *ret,
              struct bk_error *err)
{
    struct prune_opts opts = *o;
    struct prune p = { .repo = repo, .job = j, .opts = &opts };
    struct bk_error why = { 0 };
    int r = run(&p, &opts, &why);
    session_free(p.session);
    free(p.locked.v);
    *ret = p.rep;
    if (r < 0 && err)
        *err = why;
    return r;
}
