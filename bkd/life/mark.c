/* What is needed, and how much of each pack. */
#include <errno.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/index_guard.h"
#include "bkd/repo/index_recover.h"

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, SESSION_ID);
}

bool mark_knows(const struct mark *m, const uint8_t id[static SESSION_ID])
{
    return m->n_snapshots && bsearch(id, m->snapshots, m->n_snapshots, SESSION_ID, by_id);
}

static int note_snapshots(struct mark *m, const struct catalog *c, struct bk_error *err)
{
    m->snapshots = calloc(c->n + 1, SESSION_ID);
    if (!m->snapshots)
        return bk_fail_errno(err, ENOMEM, "keep the ids of %zu snapshots", c->n);
    for (size_t i = 0; i < c->n; i++)
        memcpy(m->snapshots[m->n_snapshots++], c->v[i].snap.id, SESSION_ID);
    qsort(m->snapshots, m->n_snapshots, SESSION_ID, by_id);
    return 0;
}

/* Of data: an entry whose pack is not there is no place. */
static int count_entry(void *ctx, const struct scanned *s, struct bk_error *err)
{
    (void)err;
    struct mark *m = ctx;
    if (s->pack == PACK_NONE)
        return 0;
    struct pack *k = &m->packs.v[s->pack];
    if (s->kind == CHUNK_META) {
        int use = mark_meta_use(m, s);
        k->n_total++;
        k->n_needed += use > 0;
        k->n_first += use == 2;
        return 0;
    }
    enum chunk_taken t = chunk_set_take(&m->data, &s->e->id);
    k->n_total++;
    k->n_needed += t != CHUNK_NOT_NEEDED;
    k->n_first += t == CHUNK_FIRST;
    return 0;
}

struct part_scan {
    struct mark *m;
    unsigned part;
};

static int count_part(void *ctx, const struct scanned *s, struct bk_error *err)
{
    struct part_scan *p = ctx;
    return chunk_set_in_part(&p->m->data, p->part, &s->e->id) ? count_entry(p->m, s, err) : 0;
}

static int count_all(struct mark *m, struct bk_error *err)
{
    unsigned n = chunk_set_parts(&m->data);
    for (unsigned part = 0; part < n; part++) {
        struct part_scan p = { .m = m, .part = part };
        int r = chunk_set_load(&m->data, part, err);
        if (r == 0)
            r = mark_scan(m, part, n, count_part, &p, err);
        if (r < 0)
            return r;
        m->n_missing += chunk_set_missing(&m->data);
    }
    return 0;
}

static void left_out(void *ctx, const char *object, const struct bk_error *why)
{
    job_log(ctx, JOB_WARN, "left out '%s': %s", object, why->text);
}

/* What a decision has doomed is not asked, though it may still be there. */
static int recover(struct mark *m, enum index_ask ask, struct bk_error *err)
{
    uint64_t found = 0;
    int r = collection_read(m->repo, &m->before, err);
    if (r == 0 && m->before.state == COLLECTION_DECIDED)
        r = index_guard(m->index, &m->before, err);
    if (r == 0)
        r = index_recover(m->index, m->job, ask, &found, err);
    m->recovered |= found > 0;
    return r;
}

/* One try. ask: which packs are read first for what the index lacks. */
static int run(struct mark *m, const struct catalog *c, const struct collection *candidates,
               const struct mark *known, enum index_ask ask, struct bk_error *err)
{
    bk_auto(collection_clear) struct collection now = { 0 };
    int r = index_open(m->repo, left_out, m->job, &m->index, err);
    if (r == 0 && ask == INDEX_ASK_NONE && index_n_damaged(m->index))
        ask = INDEX_ASK_UNNAMED;
    if (r == 0 && ask != INDEX_ASK_NONE)
        r = recover(m, ask, err);
    if (r == 0)
        r = packs_list(repo_store(m->repo), &m->packs, err);
    if (r == 0)
        r = collection_read(m->repo, &now, err);
    if (r < 0)
        return r;
    packs_drop_doomed(&m->packs, &now);
    if (candidates)
        packs_flag(&m->packs, candidates, false);
    r = chunk_set_init(&m->data, m->job->memory_bytes / 4, index_entries(m->index), err);
    if (r == 0)
        r = mark_metas(m, err);
    if (r == 0)
        r = mark_pages(m, c, known, err);
    if (r == 0)
        r = count_all(m, err);
    if (r == 0 && m->n_missing)
        r = bk_fail(err, BK_E_CORRUPT, "%llu chunks of data are needed and in no pack that is there",
                    (unsigned long long)m->n_missing);
    return r;
}

static void reset(struct mark *m)
{
    index_free(m->index);
    packs_clear(&m->packs);
    free(m->metas.v);
    free(m->frames);
    chunk_set_clear(&m->data);
    free(m->snapshots);
    collection_clear(&m->before);
    *m = (struct mark){ .repo = m->repo, .job = m->job };
}

static void damaged_snapshot(void *ctx, const char *object, const struct bk_error *why)
{
    if (strncmp(object, "snapshots/", strlen("snapshots/")) == 0)
        job_log(ctx, JOB_WARN, "'%s' cannot be read: %s", object, why->text);
}

static int load_catalog(struct prune *p, struct catalog *ret, struct bk_error *err)
{
    int r = catalog_load(p->repo, damaged_snapshot, p->job, ret, err);
    if (r < 0 || !ret->n_damaged)
        return r;
    bk_fail(err, BK_E_CORRUPT, "%zu snapshots cannot be read: nothing goes that they might need",
            ret->n_damaged);
    return bk_hint(err, "when they are to be given up: bkctl forget removes them by their ids");
}

/* Damage is read around once; packs that the index names are asked only for what is nowhere. */
static int most_to_ask(const struct mark *m, int r)
{
    if (r != BK_E_CORRUPT && r != BK_E_ABSENT)
        return INDEX_ASK_NONE;
    return m->n_missing || r == BK_E_ABSENT ? INDEX_ASK_ALL : INDEX_ASK_UNNAMED;
}

int mark_run(struct mark *m, struct prune *p, const struct collection *candidates, const struct mark *known,
             struct bk_error *err)
{
    bk_auto(catalog_clear) struct catalog c = { 0 };
    struct bk_error why = { 0 };
    *m = (struct mark){ .repo = p->repo, .job = p->job };
    int r = load_catalog(p, &c, err);
    if (r < 0)
        return r;
    r = run(m, &c, candidates, known, INDEX_ASK_NONE, &why);
    for (int ask = INDEX_ASK_UNNAMED; ask <= most_to_ask(m, r); ask++) {
        job_log(p->job, JOB_INFO, "%s: the packs are asked", why.text);
        reset(m);
        why = (struct bk_error){ 0 };
        r = run(m, &c, candidates, known, (enum index_ask)ask, &why);
    }
    if (r == 0)
        r = note_snapshots(m, &c, &why);
    if (r < 0) {
        if (err)
            *err = why;
        bk_context(err, "find out what is needed");
        if (r == BK_E_CORRUPT)
            bk_hint(err, "bkctl check tells which files are hit; nothing goes before their snapshots do");
        return r;
    }
    p->rep.n_snapshots = c.n;
    p->index_lacks |= m->recovered;
    return 0;
}

void mark_clear(struct mark *m)
{
    reset(m);
}
