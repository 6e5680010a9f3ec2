#include "bkd/restore/rfile.h"

#include "formats/chunk/chunk.h"

void rfile_report_damage(struct run *r, struct rfile *f)
{
    struct place at = rfile_place(f);
    struct damage *d = f->damage;
    run_mark_bad(r, &at);
    for (size_t i = 0; i < d->n; i++) {
        struct bk_error err = d->why;
        bk_context(&err, "bytes %llu to %llu could not be restored and are zero",
                   (unsigned long long)d->v[i].from, (unsigned long long)d->v[i].to);
        run_problem(r, &at, &err);
    }
    if (d->more) {
        struct bk_error err = d->why;
        bk_context(&err, "%llu more bytes, in many places, could not be restored and are zero",
                   (unsigned long long)d->more);
        run_problem(r, &at, &err);
    }
}

void rfile_lose(struct run *r, struct rfile *f, uint64_t from, uint64_t to, const struct bk_error *why)
{
    pthread_mutex_lock(&f->lock);
    if (!f->damage && (f->damage = calloc(1, sizeof *f->damage)))
        f->damage->why = *why;
    struct damage *d = f->damage;
    if (!d)
        ;
    else if (d->n && d->v[d->n - 1].to == from)
        d->v[d->n - 1].to = to;
    else if (d->n < DAMAGE_RANGES) {
        d->v[d->n].from = from;
        d->v[d->n++].to = to;
    } else
        d->more += to - from;
    pthread_mutex_unlock(&f->lock);
    if (!d) /* no memory to remember it: say it at once */
        rfile_fail(r, f, why);
}

bool rfile_mend(struct run *r, struct rfile *f, unsigned worker, const struct plan_item *it)
{
    struct bk_error err;
    int fd;
    if (!f->in_place || atomic_load(&f->failed) || rfile_pin(r, f, &fd, &err) < 0)
        return false;
    bool good = false;
    uint8_t *bytes = it->off == 0 && it->len <= CHUNK_MAX ? malloc(it->len) : NULL;
    chunk_id id;
    if (bytes && f->delta && pread(fd, bytes, it->len, (off_t)it->at) == (ssize_t)it->len &&
        chunk_name(repo_namer(r->repo), CHUNK_DATA, bytes, it->len, &id, &err) == 0)
        good = chunk_id_cmp(&id, &it->id) == 0;
    free(bytes);
    uint8_t *scratch = run_scratch(r, worker);
    uint64_t written = 0;
    if (!good && f->delta && scratch && delta_zero(fd, it->at, it->len, false, scratch, &written) < 0)
        good = false;
    if (written)
        atomic_store(&f->dirty, true);
    handles_unpin(&r->files, &f->handle);
    return good;
}
