/* Change tracking is a hint: a random part of what it calls unchanged is read all the same. */
#include "bkd/backup/disk_run.h"

struct look {
    struct disk_job *g;
    unsigned worker;
    const struct extents *old;
    size_t i;    /* the extent at hand */
    uint64_t at; /* where it starts */
    bool same;
};

static int compare(struct look *k, uint64_t at, const uint8_t *data, size_t len, struct bk_error *err)
{
    while (len && k->i < k->old->n && k->same) {
        const struct extent *x = &k->old->v[k->i];
        if (k->at + x->len <= at) {
            k->at += x->len;
            k->i++;
            continue;
        }
        size_t n = k->at + x->len - at < len ? (size_t)(k->at + x->len - at) : len;
        struct extent part = *x;
        part.off += (uint32_t)(at - k->at);
        part.len = n;
        int r = x->kind == EXTENT_DATA
                    ? disk_parent(k->g, reader_matches(k->g->run->reader, k->worker, &part, data, err))
                    : ingest_is_zero(data, n);
        if (r < 0)
            return r;
        k->same = r;
        data += n;
        at += n;
        len -= n;
    }
    return 0;
}

static int on_data(void *ctx, uint64_t at, const uint8_t *data, size_t len, struct bk_error *err)
{
    struct look *k = ctx;
    int r = compare(k, at, data, len, err);
    return r < 0 ? r : ingest_account(&k->g->in[k->worker], len, err);
}

/* Does the parent hold data in the block? */
static bool parent_has_data(const struct extents *old, size_t *i, uint64_t *start, uint64_t from, uint64_t to)
{
    while (*i < old->n && *start + old->v[*i].len <= from)
        *start += old->v[(*i)++].len;
    uint64_t at = *start;
    for (size_t k = *i; k < old->n && at < to; at += old->v[k++].len)
        if (old->v[k].kind == EXTENT_DATA)
            return true;
    return false;
}

int disk_audit(struct disk_job *g, unsigned worker, unsigned lane, const struct blocks *b,
               const struct extents *old, struct bk_error *err)
{
    uint32_t dice[256];
    size_t left = 0, i = 0;
    uint64_t start = b->from;
    const struct world *w = repo_world(g->run->repo);
    struct look k = { .g = g, .worker = worker, .old = old, .at = b->from };
    int r = 0;
    for (size_t n = 0; n < b->n && r == 0 && !atomic_load(&g->n_lies); n++) {
        uint64_t from = b->from + (uint64_t)n * DISK_BLOCK, to = from + DISK_BLOCK;
        to = to < b->to ? to : b->to;
        if (!left) {
            r = w->random(w->ctx, (uint8_t *)dice, sizeof dice, err);
            left = BK_COUNT(dice);
        }
        /* Where neither holds anything there is nothing to read. */
        if (r < 0 || dice[--left] % 1000000 >= g->audit_ppm ||
            (!b->data[n] && !parent_has_data(old, &i, &start, from, to)))
            continue;
        k.same = true;
        r = disk_read(g->disk, lane, from, to, on_data, &k, err);
        atomic_fetch_add(&g->n_audited, 1);
        if (r == 0 && !k.same) {
            atomic_fetch_add(&g->n_lies, 1);
            job_log(g->run->job, JOB_WARN,
                    "the block at %llu changed, and the change tracking does not say so",
                    (unsigned long long)from);
        }
    }
    return r;
}
