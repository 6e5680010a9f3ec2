#include "bkd/life/exposure.h"

#include "bkd/repo/names.h"
#include "formats/base/wire.h"

enum { PACKS_MAX = 1 << 26 };

struct finding {
    struct repo *repo;
    struct job *job;
    uint32_t epoch;
    const struct exposure_fn *fn;
    struct exposure found;
};

/* 1 and the pack's epoch, 0 when its header does not tell. */
static int epoch_of_pack(struct finding *f, const char *name, uint32_t *ret, struct bk_error *err)
{
    uint8_t header[PACK_HEADER];
    struct pack_header h;
    struct bk_error why = { 0 };
    int r = store_get_exact(repo_store(f->repo), name, 0, header, sizeof header, &why);
    if (r == 0)
        r = pack_header_decode(header, sizeof header, &h, &why);
    if (bk_code_aborts(r)) {
        if (err)
            *err = why;
        return r;
    }
    if (r < 0)
        return 0;
    *ret = h.epoch;
    return 1;
}

static int look_at_packs(struct finding *f, int kind, struct bk_error *err)
{
    static const char *const prefix[CHUNK_KINDS] = { "data/", "meta/" };
    bk_auto(names_clear) struct names list = { 0 };
    int r = names_list(repo_store(f->repo), prefix[kind], PACKS_MAX, &list, err);
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        uint32_t epoch = f->epoch;
        r = job_check(f->job, err);
        int known = r < 0 || f->epoch == EXPOSURE_ALL ? 1 : epoch_of_pack(f, list.v[i].name, &epoch, err);
        if (known < 0)
            return known;
        if (r < 0 || (known && epoch != f->epoch))
            continue;
        f->found.n_unknown += !known;
        f->found.n_packs[kind]++;
        f->found.pack_bytes[kind] += list.v[i].size;
        if (f->fn->pack)
            f->fn->pack(f->fn->ctx, list.v[i].name, list.v[i].size);
    }
    return r;
}

/* The epoch stands in clear in front of every record. 1 when the key opens this one's. */
static int opens_record(struct finding *f, const struct snapshot *s, struct bk_error *err)
{
    uint8_t start[RECORD_FIXED];
    char path[REPO_PATH];
    if (f->epoch == EXPOSURE_ALL)
        return 1;
    repo_id_path("snapshots/", s->id, SESSION_ID, path);
    int r = store_get_exact(repo_store(f->repo), path, 0, start, sizeof start, err);
    if (r == BK_E_ABSENT)
        return 0; /* forgotten meanwhile */
    return r < 0 ? bk_context(err, "read %s", path) : bk_get_u32(start + OBJECT_HEADER) == f->epoch;
}

int exposure_find(struct repo *r, struct job *j, const struct catalog *c, uint32_t epoch,
                  const struct exposure_fn *fn, struct exposure *ret, struct bk_error *err)
{
    struct finding f = { .repo = r, .job = j, .epoch = epoch, .fn = fn };
    bool any = false;
    f.found.n_epochs = repo_keyring(r)->n_epochs;
    f.found.since_s = (int64_t)repo_config(r)->created_s;
    if (epoch != EXPOSURE_ALL && epoch >= f.found.n_epochs) {
        bk_fail(err, BK_E_ABSENT, "there is no data key of epoch %u", epoch);
        return bk_hint(
            err,
            BK_COUNTED("there is %u, numbered from 0", "there are %u, numbered from 0", f.found.n_epochs),
            f.found.n_epochs);
    }
    for (size_t i = 0; i < c->n; i++) {
        int opens = opens_record(&f, &c->v[i].snap, err);
        if (opens < 0)
            return opens;
        if (!opens)
            continue;
        /* Epoch 0 is as old as the repository; a later one as its first snapshot. */
        int64_t start = c->v[i].snap.start_ns / 1000000000;
        if (epoch && epoch != EXPOSURE_ALL && (!any || start < f.found.since_s))
            f.found.since_s = start;
        any = true;
        f.found.n_snapshots++;
        if (fn->snapshot)
            fn->snapshot(fn->ctx, &c->v[i]);
    }
    for (int kind = 0; kind < CHUNK_KINDS; kind++) {
        int rc = look_at_packs(&f, kind, err);
        if (rc < 0)
            return bk_context(err, "find out what a key reads");
    }
    *ret = f.found;
    return 0;
}
