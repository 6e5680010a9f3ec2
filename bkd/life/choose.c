/* Which packs go as they are, and which are worth writing anew. */
#include <stdlib.h>

#include "bkd/life/prune_state.h"

/* Memory for one chunk on the list of what is moved. */
enum { CHUNK_BYTES = 128 };

static uint64_t used_bytes(const struct pack *k)
{
    return k->n_total ? (uint64_t)((double)k->bytes * k->n_first / k->n_total) : 0;
}

/* Emptiest first: they give the most room for the least writing. */
static int by_use(const void *a, const void *b)
{
    const struct pack *x = *(struct pack *const *)a, *y = *(struct pack *const *)b;
    uint64_t l = (uint64_t)x->n_first * y->n_total, r = (uint64_t)y->n_first * x->n_total;
    return l < r ? -1 : l > r;
}

static void choose_half_used(struct prune *p, struct pack **v, size_t n, uint64_t used, uint64_t unused)
{
    const struct prune_opts *o = p->opts;
    uint64_t chunks = 0, most_chunks = p->job->memory_bytes / 8 / CHUNK_BYTES;
    qsort(v, n, sizeof *v, by_use);
    for (size_t i = 0; i < n; i++) {
        struct pack *k = v[i];
        if ((double)unused <= (double)(used + unused) * o->max_unused_percent / 100)
            break;
        if ((o->max_repack && p->rep.moved_bytes + k->bytes > o->max_repack) ||
            chunks + k->n_needed > most_chunks)
            continue;
        chunks += k->n_needed;
        k->flags |= PACK_CHOSEN;
        unused -= k->bytes - used_bytes(k);
        p->rep.n_moved++;
        p->rep.moved_bytes += k->bytes;
    }
}

int choose_packs(struct prune *p, struct mark *m, bool spare_unnamed, struct bk_error *err)
{
    uint64_t used = 0, unused = 0;
    size_t n = 0;
    bk_auto(free) struct pack **v = calloc(m->packs.n + 1, sizeof(struct pack *));
    if (!v)
        return bk_fail(err, BK_E_NOMEM, "no memory to choose among %zu packs", m->packs.n);
    for (size_t i = 0; i < m->packs.n; i++) {
        struct pack *k = &m->packs.v[i];
        p->rep.n_packs++;
        p->rep.bytes += k->bytes;
        p->rep.n_chunks += k->n_total;
        p->rep.n_needed += k->n_first;
        if ((k->flags & PACK_BAD) || (!(k->flags & PACK_NAMED) && spare_unnamed))
            continue;
        if (!k->n_needed) {
            k->flags |= PACK_DOOMED;
            p->rep.n_unneeded++;
            p->rep.unneeded_bytes += k->bytes;
            continue;
        }
        used += used_bytes(k);
        unused += k->bytes - used_bytes(k);
        if (k->n_first < k->n_total)
            v[n++] = k;
    }
    p->rep.unused_bytes = unused;
    if (!p->opts->no_repack)
        choose_half_used(p, v, n, used, unused);
    return 0;
}
