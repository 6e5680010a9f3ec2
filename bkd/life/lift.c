/* Before the decision: which candidates are needed after all.
 *
 * A pack that was unneeded stays when anything in it is needed now. Of one whose chunks were moved it is
 * known that they lie elsewhere: it stays only for what lies nowhere else. */
#include <errno.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/names.h"

struct lift {
    struct mark *m;
    unsigned part;
    bool candidates; /* of the two passes over data: packs that stay first */
};

static void need(struct pack *k)
{
    k->flags |= PACK_NEEDED;
}

/* The table of metadata prefers packs that stay. */
static void see_meta(struct mark *m, const struct scanned *s)
{
    struct pack *k = &m->packs.v[s->pack];
    int use = mark_meta_use(m, s);
    if (use == 2 || (use && !(k->flags & PACK_MOVED)))
        need(k);
}

static int see_entry(void *ctx, const struct scanned *s, struct bk_error *err)
{
    (void)err;
    struct lift *l = ctx;
    struct mark *m = l->m;
    if (s->pack == PACK_NONE)
        return 0;
    struct pack *k = &m->packs.v[s->pack];
    bool candidate = k->flags & PACK_DOOMED;
    if (candidate != l->candidates)
        return 0;
    if (s->kind == CHUNK_META) {
        if (candidate && !l->part)
            see_meta(m, s);
        return 0;
    }
    if (!chunk_set_in_part(&m->data, l->part, &s->e->id))
        return 0;
    enum chunk_taken t = chunk_set_take(&m->data, &s->e->id);
    if (candidate && (t == CHUNK_FIRST || (t == CHUNK_AGAIN && !(k->flags & PACK_MOVED))))
        need(k);
    return 0;
}

static int see_all(struct mark *m, struct bk_error *err)
{
    struct lift l = { .m = m };
    unsigned n = chunk_set_parts(&m->data);
    for (l.part = 0; l.part < n; l.part++) {
        int r = chunk_set_load(&m->data, l.part, err);
        for (int pass = 0; r == 0 && pass < 2; pass++) {
            l.candidates = pass;
            r = mark_scan(m, l.part, l.part ? n : 1, see_entry, &l, err);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Is every snapshot one that was marked? A void record is none of them, and costs a look. */
static int all_known(struct prune *p, const struct mark *known, bool *ret, struct bk_error *err)
{
    enum { MAX = 1 << 24 };
    static const char prefix[] = "snapshots/";
    bk_auto(names_clear) struct names list = { 0 };
    int r = names_list(repo_store(p->repo), prefix, MAX, &list, err);
    *ret = true;
    for (size_t i = 0; i < list.n; i++) {
        uint8_t id[SESSION_ID];
        if (object_unhex(list.v[i].name + strlen(prefix), id, SESSION_ID) < 0 || !mark_knows(known, id))
            *ret = false;
    }
    return r;
}

static void report(struct prune *p, const struct mark *m, const struct collection *c, uint8_t *lifted)
{
    for (size_t i = 0; i < c->list.count; i++) {
        uint32_t at = packs_find(&m->packs, c->list.v[i].kind, &c->list.v[i].name);
        if (at == PACK_NONE || !(m->packs.v[at].flags & (PACK_NEEDED | PACK_BAD)))
            continue;
        lifted[i] = 1;
        p->rep.n_lifted++;
    }
}

int lift_run(struct prune *p, const struct collection *c, const struct mark *known, uint8_t **ret,
             struct bk_error *err)
{
    bk_auto(free) uint8_t *lifted = calloc(c->list.count + 1, 1);
    bk_auto(mark_clear) struct mark m = { 0 };
    bool nothing_new = false;
    if (!lifted)
        return bk_fail_errno(err, ENOMEM, "decide about %zu packs", c->list.count);
    int r = known ? all_known(p, known, &nothing_new, err) : 0;
    if (r == 0 && !nothing_new) {
        r = mark_run(&m, p, c, known, err);
        if (r == 0)
            r = see_all(&m, err);
        if (r == 0)
            report(p, &m, c, lifted);
    }
    if (r < 0)
        return bk_context(err, "look again at what is needed");
    *ret = bk_steal(lifted);
    return 0;
}
