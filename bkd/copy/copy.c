/* A copy, opened: both catalogues and who is whose copy; and what all parts of the run stand on. */
#include "bkd/copy/copy.h"

#include <errno.h>
#include <string.h>

#include "bkd/copy/inside.h"
#include "bkd/copy/origin.h"
#include "bkd/repo/index_recover.h"

bool copy_lost(int code)
{
    return code == BK_E_CORRUPT || code == BK_E_ABSENT || code == BK_E_IO;
}

int copy_page(struct copy *c, const chunk_id *id, struct bk_buf *out, struct bk_error *err)
{
    c->result.pages_read++;
    return reader_chunk(c->from_reader, c->lane, CHUNK_META, id, out, err);
}

void copy_tell_damage(void *ctx, const char *object, const struct bk_error *why)
{
    struct copy *c = ctx;
    if (c->o.on_damage)
        c->o.on_damage(c->o.ctx, object, why);
    else
        job_log(c->job, JOB_WARN, "left out '%s': %s", object, why->text);
}

static int find_copies(struct copy *c, struct bk_error *err)
{
    bk_auto(origins_clear) struct origins o = { 0 };
    c->there = calloc(c->source.n + 1, sizeof *c->there);
    if (!c->there)
        return bk_fail_errno(err, ENOMEM, "look for copies");
    int r = origins_of(c->to, &c->target, &o, err);
    for (size_t i = 0; i < c->source.n && r == 0; i++) {
        struct copy_origin of;
        copy_origin_of(c->from, &c->source.v[i].snap, &of);
        c->there[i].snap = origins_find(&o, &of);
    }
    return r;
}

int copy_open(struct repo *from, struct repo *to, struct job *j, const struct copy_opts *o, struct copy **ret,
              struct bk_error *err)
{
    if (memcmp(repo_config(from)->repo_id, repo_config(to)->repo_id, CONFIG_REPO_ID) == 0)
        return bk_fail(err, BK_E_USAGE, "%s and %s are the same repository", repo_store(from)->url,
                       repo_store(to)->url);
    bk_auto(copy_free) struct copy *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail_errno(err, ENOMEM, "open a copy");
    c->from = from;
    c->to = to;
    c->job = j;
    c->o = *o;
    int r = session_hold(from, j, "copy", &c->held, err);
    if (r == 0)
        r = catalog_load(from, copy_tell_damage, c, &c->source, err);
    if (r == 0)
        r = catalog_load(to, copy_tell_damage, c, &c->target, err);
    if (r == 0)
        r = find_copies(c, err);
    if (r < 0)
        return r;
    *ret = bk_steal(c);
    return 0;
}

void copy_free(struct copy *c)
{
    if (!c)
        return;
    copy_end(c);
    copy_close_target(c);
    pool_free(c->pool);
    reader_free(c->from_reader);
    index_free(c->from_index);
    pairs_free(c->pairs);
    idset_clear(&c->learned);
    for (size_t i = 0; c->there && i < c->source.n; i++)
        snapshot_clear(&c->there[i].own);
    free(c->there);
    catalog_clear(&c->source);
    catalog_clear(&c->target);
    session_free(c->held);
    free(c);
}

const struct catalog *copy_source(const struct copy *c)
{
    return &c->source;
}

const struct catalog *copy_target(const struct copy *c)
{
    return &c->target;
}

const struct snapshot *copy_there(const struct copy *c, const struct catalog_item *i)
{
    return c->there[i - c->source.v].snap;
}
