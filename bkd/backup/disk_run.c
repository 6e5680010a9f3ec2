#include "bkd/backup/disk_run.h"

#include <errno.h>

int disk_parent(struct disk_job *g, int r)
{
    if (r < 0 && reader_is_damage(r))
        atomic_store(&g->parent_failed, true);
    return r;
}

unsigned disk_lane_take(struct disk_job *g)
{
    pthread_mutex_lock(&g->lock);
    while (!g->n_free)
        pthread_cond_wait(&g->freed, &g->lock);
    unsigned lane = g->free_lanes[--g->n_free];
    pthread_mutex_unlock(&g->lock);
    return lane;
}

void disk_lane_give(struct disk_job *g, unsigned lane)
{
    pthread_mutex_lock(&g->lock);
    g->free_lanes[g->n_free++] = lane;
    pthread_cond_signal(&g->freed);
    pthread_mutex_unlock(&g->lock);
}

static void run_part(struct task *t, unsigned worker)
{
    struct part *p = (struct part *)t;
    struct bk_error err = { 0 };
    if (!pool_failed(p->of->pool) && !atomic_load(&p->of->n_lies) && disk_part(p, worker, &err) < 0)
        pool_fail(p->of->pool, &err);
}

static void close_job(struct disk_job *g)
{
    pool_free(g->pool);
    for (size_t i = 0; i < g->n; i++)
        pieces_clear(&g->parts[i].pieces);
    for (unsigned i = 0; i < g->n_in; i++)
        ingest_close(&g->in[i]);
    free(g->parts);
    free(g->in);
    free(g->free_lanes);
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->freed);
}
BK_AUTO_CLEAR(struct disk_job, close_job)

static int open_job(struct disk_job *g, struct job_rate *rate, struct bk_error *err)
{
    struct job *j = g->run->job;
    g->in = calloc(j->n_threads, sizeof *g->in);
    g->free_lanes = calloc(g->disk->n_lanes, sizeof *g->free_lanes);
    if (!g->in || !g->free_lanes)
        return bk_fail_errno(err, ENOMEM, "read a disk");
    for (unsigned i = 0; i < g->disk->n_lanes; i++)
        disk_lane_give(g, i);
    int r = 0;
    for (; g->n_in < j->n_threads && r == 0; g->n_in++)
        r = ingest_open(&g->in[g->n_in], &g->run->sink, j, j->limit_read ? rate : NULL, g->n_in, err);
    return r < 0 ? r : pool_new(j->n_threads, &g->pool, err);
}

static int run_parts(struct disk_job *g, struct bk_error *err)
{
    uint64_t to_read = 0;
    for (size_t i = 0; i < g->n; i++) {
        g->parts[i].task =
            (struct task){ .run = run_part, .next = i + 1 < g->n ? &g->parts[i + 1].task : NULL };
        to_read += g->parts[i].kind == PART_READ ? g->parts[i].to - g->parts[i].from : 0;
    }
    atomic_fetch_add(&g->run->job->total_bytes, to_read);
    if (g->n)
        pool_push_chain(g->pool, &g->parts[0].task);
    return pool_drain(g->pool, err);
}

static int join(struct disk_job *g, struct content *ret, struct bk_error *err)
{
    bk_auto(pieces_clear) struct pieces all = { 0 };
    int r = 0;
    for (size_t i = 0; i < g->n && r == 0; i++)
        r = pieces_append(&all, &g->parts[i].pieces, err);
    if (r == 0)
        r = pieces_join(&all, &g->run->sink, 0, ret, err);
    if (r == 0 && ret->size != g->disk->size) /* what nobody read must not look like a disk */
        r = bk_fail(err, BK_E_FAILED, "%llu of the disk's %llu bytes were read",
                    (unsigned long long)ret->size, (unsigned long long)g->disk->size);
    return r;
}

int disk_run(struct run *run, struct disk *d, const struct content *old, unsigned audit_ppm,
             struct content *ret, struct disk_report *ret_report, bool *ret_lied, struct bk_error *err)
{
    bk_auto(leaves_close) struct leaves leaves = { 0 };
    bk_auto(close_job) struct disk_job g = { .run = run, .disk = d, .audit_ppm = audit_ppm };
    pthread_mutex_init(&g.lock, NULL);
    pthread_cond_init(&g.freed, NULL);
    struct job_rate rate;
    job_rate_init(&rate, run->job->limit_read);
    int r = old ? disk_parent(&g, leaves_open(run->reader, 0, old, &leaves, err)) : 0;
    g.old = old ? &leaves : NULL;
    if (r == 0)
        r = open_job(&g, &rate, err);
    if (r == 0)
        r = disk_plan(&g, err);
    if (r == 0)
        r = run_parts(&g, err);
    *ret_report = (struct disk_report){ .n_audited = atomic_load(&g.n_audited),
                                        .n_lies = atomic_load(&g.n_lies),
                                        .parent_failed = atomic_load(&g.parent_failed) };
    for (unsigned i = 0; i < g.n_in; i++)
        ret_report->read_bytes += g.in[i].read_bytes;
    *ret_lied = ret_report->n_lies > 0;
    if (r == 0 && !*ret_lied)
        r = join(&g, ret, err);
    return r;
}
