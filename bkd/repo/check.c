#include "bkd/repo/check.h"

#include <string.h>

#include "bkd/repo/check_state.h"

bool check_fatal(int code)
{
    return bk_code_aborts(code);
}

void check_found(struct check *c, const char *object, const struct bk_error *why)
{
    struct check_damage d = { .object = object, .why = why };
    pthread_mutex_lock(&c->lock);
    c->rep.n_damages++;
    if (c->fn)
        c->fn(c->ctx, &d);
    pthread_mutex_unlock(&c->lock);
}

void check_hit(struct check *c, const struct check_damage *d, bool first)
{
    pthread_mutex_lock(&c->lock);
    c->rep.n_files_hit += first;
    if (c->fn)
        c->fn(c->ctx, d);
    pthread_mutex_unlock(&c->lock);
}

void check_place(const pack_name *pack, uint32_t offset, const chunk_id *chunk, uint8_t out[static IDSET_ID])
{
    for (int i = 0; i < IDSET_ID; i++)
        out[i] = pack->b[i] ^ chunk->b[i];
    for (int i = 0; i < 4; i++)
        out[i] ^= (uint8_t)(offset >> (8 * i));
}

static void snapshot_damaged(void *ctx, const char *object, const struct bk_error *why)
{
    /* Notes are looked at one by one in check_objects. */
    if (strncmp(object, "snapshots/", strlen("snapshots/")) == 0)
        check_found(ctx, object, why);
}

static int run(struct check *c, struct bk_error *err)
{
    int r = check_objects(c, err);
    if (r < 0)
        return r;
    r = catalog_load(c->repo, snapshot_damaged, c, &c->cat, err);
    if (r < 0)
        return r;
    c->rep.n_snapshots = c->cat.n;
    c->rep.n_objects += c->cat.n + c->cat.n_damaged;
    r = check_segments(c, err);
    if (r < 0)
        return r;
    r = check_packs(c, err);
    if (r < 0)
        return r;
    return c->walked ? 0 : check_trees(c, err);
}

int check_run(struct repo *r, struct job *j, const struct check_opts *o, check_damage_fn *fn, void *ctx,
              struct check_report *ret, struct bk_error *err)
{
    struct check c = { .repo = r, .job = j, .opts = o, .fn = fn, .ctx = ctx };
    pthread_mutex_init(&c.lock, NULL);
    int rc = run(&c, err);
    if (rc == 0)
        *ret = c.rep;
    index_free(c.index);
    free(c.named);
    catalog_clear(&c.cat);
    for (int k = 0; k < CHUNK_KINDS; k++)
        names_clear(&c.packs[k]);
    idset_clear(&c.bad_packs);
    idset_clear(&c.gone_packs);
    idset_clear(&c.good_chunks);
    idset_clear(&c.reported);
    pthread_mutex_destroy(&c.lock);
    return rc < 0 ? bk_context(err, "check %s", repo_store(r)->url) : 0;
}
