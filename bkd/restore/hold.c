#include "bkd/restore/hold.h"

#include "bkd/repo/index_recover.h"

#define CACHE_MAX ((size_t)128 << 20)
#define WORKER_BYTES ((size_t)12 << 20)

static void index_damage(void *ctx, const char *object, const struct bk_error *why)
{
    job_log(ctx, JOB_WARN, "index segment '%s' is left out: %s", object, why->text);
}

/* A repository that cannot be written to has no collector either, or one that nothing can stop. */
static int open_session(struct repo *repo, struct job *j, const char *purpose, struct session **ret,
                        struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = session_open(repo, SESSION_READER, purpose, ret, &why);
    if (r == BK_E_PERM || r == BK_E_NOSPACE || r == BK_E_UNSUPPORTED || r == BK_E_COPIES) {
        job_log(j, JOB_WARN, "no session could be opened (%s): let nobody prune the repository meanwhile",
                why.text);
        return 0;
    }
    if (r < 0)
        *err = why;
    return r;
}

/* A thread that waits for a store across a network needs no core; what it holds is one merged read and what
 * becomes of it. */
static unsigned n_workers(const struct repo *repo, const struct job *j)
{
    size_t n = j->n_threads, fit = j->memory_bytes / 4 / WORKER_BYTES;
    if (repo_store(repo)->parallel > n)
        n = repo_store(repo)->parallel < fit ? repo_store(repo)->parallel : n > fit ? n : fit;
    return n ? (unsigned)n : 1;
}

int hold_open(struct repo *repo, struct job *j, const char *purpose, bool session, struct hold *ret,
              struct bk_error *err)
{
    bk_auto(hold_close) struct hold h = { 0 };
    size_t cache = j->memory_bytes / 4 > CACHE_MAX ? CACHE_MAX : j->memory_bytes / 4;
    int r;
    if ((session && (r = open_session(repo, j, purpose, &h.session, err)) < 0) ||
        (r = index_open(repo, index_damage, j, &h.index, err)) < 0 ||
        (r = pool_new(n_workers(repo, j), &h.pool, err)) < 0)
        return r;
    index_set_job(h.index, j);
    h.lane = pool_workers(h.pool);
    if ((r = reader_new(repo, h.index, h.lane + 1, cache, &h.reader, err)) < 0)
        return r;
    *ret = h;
    h = (struct hold){ 0 };
    return 0;
}

void hold_close(struct hold *h)
{
    pool_free(h->pool);
    reader_free(h->reader);
    index_free(h->index);
    session_free(h->session);
    *h = (struct hold){ 0 };
}
