/* What the collector says, and that it said it in time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/life/prune_state.h"

/* An object of a number that was used up long ago can be put again once it was removed. But then a higher
 * number stands: who finds one has slept, and what it put means nothing. */
static int still_in_turn(struct prune *p, uint64_t n, struct bk_error *err)
{
    uint64_t now;
    int r = collection_generation(p->repo, &now, err);
    if (r == 0 && now != n)
        r = bk_fail(err, BK_E_FENCED, "another collection went on meanwhile");
    return r;
}

static int put_list(struct prune *p, const struct tombstones *t, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    char path[REPO_PATH];
    collection_list_path(t->n, path);
    int r = tombstones_encode(t, &payload, err);
    return r < 0 ? r : repo_put_record(p->repo, OBJECT_TOMBSTONES, path, payload.data, payload.len, err);
}

static int by_tombstone(const void *a, const void *b)
{
    return tombstone_cmp(a, b);
}

/* At most `most` new packs, and all that outlast an earlier decision. */
static int build_list(struct prune *p, const struct mark *m, size_t most, struct tombstones *t,
                      struct bk_error *err)
{
    uint64_t number = t->n;
    tombstones_clear(t);
    t->n = number;
    t->v = calloc(m->packs.n + p->locked.n + 1, sizeof *t->v);
    if (!t->v)
        return bk_fail_errno(err, ENOMEM, "list the packs that go");
    for (size_t i = 0; i < m->packs.n && t->count < most; i++) {
        const struct pack *k = &m->packs.v[i];
        if (!(k->flags & PACK_DOOMED) || doomed_has(&p->locked, k->kind, &k->name))
            continue;
        t->v[t->count++] = (struct tombstone){
            .kind = k->kind,
            .why = k->flags & PACK_MOVED ? TOMBSTONE_MOVED : TOMBSTONE_UNNEEDED,
            .name = k->name,
        };
    }
    p->n_listed = t->count;
    if (!p->locked.n)
        return 0;
    memcpy(t->v + t->count, p->locked.v, p->locked.n * sizeof *t->v);
    t->count += p->locked.n;
    qsort(t->v, t->count, sizeof *t->v, by_tombstone);
    return 0;
}

int publish_list(struct prune *p, struct mark *m, uint64_t n, bool empty, struct collection *ret,
                 struct bk_error *err)
{
    bk_auto(tombstones_clear) struct tombstones t = { .n = n };
    size_t most = p->locked.n < TOMBSTONES_MAX ? TOMBSTONES_MAX - p->locked.n : 0;
    int r = build_list(p, m, most, &t, err);
    if (r < 0 || (!p->n_listed && !empty)) /* the last decision stands for what is locked */
        return r;
    /* On a full store a shorter list may fit, and what goes by it makes room for the next. */
    while ((r = put_list(p, &t, err)) == BK_E_NOSPACE && p->n_listed > 1) {
        r = build_list(p, m, p->n_listed / 2, &t, err);
        if (r < 0)
            return r;
    }
    if (r == BK_E_EXISTS)
        return bk_fail(err, BK_E_BUSY, "another collection has begun meanwhile");
    if (r == 0)
        r = still_in_turn(p, n, err);
    if (r < 0)
        return bk_context(err, "publish tombstones");
    *ret = (struct collection){ .n = n, .state = COLLECTION_UNDECIDED, .list = t };
    t = (struct tombstones){ 0 };
    return 1;
}

static int make_decision(struct prune *p, const struct collection *c, const uint8_t *lifted,
                         struct generation *g, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    g->n = c->n;
    g->doomed = calloc(c->list.count / 8 + 1, 1);
    if (!g->doomed)
        return bk_fail_errno(err, ENOMEM, "decide about %zu packs", c->list.count);
    if (!lifted)
        return 0;
    g->count = (uint32_t)c->list.count;
    for (size_t i = 0; i < c->list.count; i++)
        if (!lifted[i])
            g->doomed[i / 8] |= (uint8_t)(1 << (i % 8));
    int r = tombstones_encode(&c->list, &payload, err);
    if (r == 0 && g->count)
        r = suite_hash(repo_keyring(p->repo)->suite, payload.data, payload.len, g->digest, err);
    return r;
}

int publish_decision(struct prune *p, struct collection *c, const uint8_t *lifted, struct bk_error *err)
{
    bk_auto(generation_clear) struct generation g = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    bk_auto(collection_clear) struct collection now = { 0 };
    char path[REPO_PATH];
    collection_decision_path(c->n, path);
    int r = make_decision(p, c, lifted, &g, err);
    if (r == 0)
        r = generation_encode(&g, &payload, err);
    if (r == 0)
        r = repo_put_record(p->repo, OBJECT_GENERATION, path, payload.data, payload.len, err);
    if (r == BK_E_EXISTS) /* somebody else has decided: that is the one that counts */
        r = 0;
    if (r == 0)
        r = still_in_turn(p, c->n, err);
    if (r == 0)
        r = collection_read(p->repo, &now, err);
    if (r == 0 && now.n != c->n)
        r = bk_fail(err, BK_E_FENCED, "another collection went on meanwhile");
    if (r == 0 && now.state != COLLECTION_DECIDED)
        r = bk_fail(err, BK_E_CORRUPT, "the decision %s cannot be read", path);
    if (r < 0)
        return bk_context(err, "decide what goes");
    collection_clear(c);
    *c = now;
    now = (struct collection){ 0 };
    return 0;
}
