#include "bkd/repo/catalog.h"

#include <errno.h>
#include <string.h>

#include "bkd/repo/names.h"
#include "bkd/repo/notes.h"
#include "bkd/repo/repo_build.h"

enum { CATALOG_MAX = 1 << 24 };

struct loading {
    struct repo *repo;
    catalog_damage_fn *damaged;
    void *ctx;
    struct catalog cat; /* in order of ids until the end */
    struct bk_error io; /* the last failure of the store itself */
};

static void report(struct loading *l, const char *object, const struct bk_error *why)
{
    if (l->damaged)
        l->damaged(l->ctx, object, why);
}

/* Open what was read: 1 a snapshot, 0 a void record. */
static int open_one(struct loading *l, const char *name, const struct bk_buf *b, struct bk_buf *payload,
                    struct snapshot *ret, struct bk_error *err)
{
    const struct keyring *k = repo_keyring(l->repo);
    payload->len = 0;
    if (object_peek_kind(b->data, b->len) == OBJECT_VOID) {
        int r = record_open(k, OBJECT_VOID, name, b->data, b->len, payload, err);
        return r < 0 ? r : 0;
    }
    int r = record_open(k, OBJECT_SNAPSHOT, name, b->data, b->len, payload, err);
    if (r < 0)
        return r;
    r = snapshot_decode(payload->data, payload->len, ret, err);
    if (r < 0)
        return r;
    char path[REPO_PATH];
    repo_id_path("snapshots/", ret->id, SESSION_ID, path);
    if (strcmp(path, name) != 0)
        return bk_fail(err, BK_E_CORRUPT, "%s holds a snapshot with another id", name);
    return 1;
}

static int load_one(struct loading *l, const char *name, struct bk_buf *sealed, struct bk_buf *payload,
                    struct bk_error *err)
{
    struct bk_error why = { 0 };
    bk_auto(snapshot_clear) struct snapshot snap = { 0 };
    int r = store_get_all(repo_store(l->repo), name, RECORD_MAX, sealed, &why);
    if (r == BK_E_ABSENT)
        return 0; /* removed since it was listed */
    if (r == BK_E_IO)
        l->io = why;
    if (r == 0)
        r = open_one(l, name, sealed, payload, &snap, &why);
    if (bk_code_aborts(r)) {
        if (err)
            *err = why;
        return r;
    }
    if (r < 0) {
        l->cat.n_damaged++;
        report(l, name, &why);
        return 0;
    }
    if (r == 1) {
        repo_saw_snapshot(l->repo, name, snap.sequence);
        l->cat.v[l->cat.n++].snap = snap;
        snap = (struct snapshot){ 0 };
    }
    return 0;
}

static int load_snapshots(struct loading *l, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(RECORD_MAX);
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    int r = names_list(repo_store(l->repo), "snapshots/", CATALOG_MAX, &list, err);
    if (r < 0)
        return r;
    if (list.n) {
        l->cat.v = calloc(list.n, sizeof *l->cat.v);
        if (!l->cat.v)
            return bk_fail_errno(err, ENOMEM, "load %zu snapshots", list.n);
    }
    for (size_t i = 0; i < list.n; i++) {
        r = load_one(l, list.v[i].name, &sealed, &payload, err);
        if (r < 0)
            return r;
    }
    /* A store that fails on every snapshot is not a repository without any. */
    if (!l->cat.n && l->io.code) {
        if (err)
            *err = l->io;
        return l->io.code;
    }
    return 0;
}

static int by_id(const void *key, const void *item)
{
    const struct catalog_item *i = item;
    return memcmp(key, i->snap.id, SESSION_ID);
}

/* Listed once; sorted by name they stand in runs of one snapshot each. */
static int load_notes(struct loading *l, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    int r = names_list(repo_store(l->repo), "notes/", NOTES_MAX, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0, end; i < list.n; i = end) {
        uint8_t id[SESSION_ID], other[SESSION_ID];
        uint32_t number;
        end = i + 1;
        if (!notes_parse(list.v[i].name, id, &number))
            continue;
        while (end < list.n && notes_parse(list.v[end].name, other, &number) &&
               memcmp(id, other, SESSION_ID) == 0)
            end++;
        struct catalog_item *item =
            l->cat.n ? bsearch(id, l->cat.v, l->cat.n, sizeof *l->cat.v, by_id) : NULL;
        if (!item)
            continue; /* of a snapshot that is gone or damaged */
        r = notes_load(l->repo, &list.v[i], end - i, l->damaged, l->ctx, item, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Clocks may jump and two commits may draw the same sequence: the id makes the order total. */
static int by_sequence(const void *a, const void *b)
{
    const struct snapshot *x = &((const struct catalog_item *)a)->snap,
                          *y = &((const struct catalog_item *)b)->snap;
    if (x->sequence != y->sequence)
        return x->sequence < y->sequence ? -1 : 1;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    return memcmp(x->id, y->id, SESSION_ID);
}

static int by_id_at(const void *a, const void *b, void *v)
{
    const struct catalog_item *x = (struct catalog_item *)v + *(const uint32_t *)a;
    const struct catalog_item *y = (struct catalog_item *)v + *(const uint32_t *)b;
    return memcmp(x->snap.id, y->snap.id, SESSION_ID);
}

void catalog_reordered(struct catalog *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->by_id[i] = (uint32_t)i;
    if (c->n)
        qsort_r(c->by_id, c->n, sizeof *c->by_id, by_id_at, c->v);
}

static int sort(struct catalog *c, struct bk_error *err)
{
    if (!c->n)
        return 0;
    c->by_id = calloc(c->n, sizeof *c->by_id);
    if (!c->by_id)
        return bk_fail_errno(err, ENOMEM, "sort %zu snapshots", c->n);
    qsort(c->v, c->n, sizeof *c->v, by_sequence);
    catalog_reordered(c);
    return 0;
}

int catalog_load(struct repo *r, catalog_damage_fn *damaged, void *ctx, struct catalog *ret,
                 struct bk_error *err)
{
    struct loading l = { .repo = r, .damaged = damaged, .ctx = ctx };
    int rc = load_snapshots(&l, err);
    if (rc == 0)
        rc = load_notes(&l, err);
    if (rc == 0)
        rc = sort(&l.cat, err);
    if (rc < 0) {
        catalog_clear(&l.cat);
        return bk_context(err, "load the snapshots of %s", repo_store(r)->url);
    }
    *ret = l.cat;
    return 0;
}

void catalog_clear(struct catalog *c)
{
    for (size_t i = 0; i < c->n; i++) {
        snapshot_clear(&c->v[i].snap);
        note_clear(&c->v[i].note);
    }
    free(c->v);
    free(c->by_id);
    *c = (struct catalog){ 0 };
}

const struct snapshot_list *catalog_tags(const struct catalog_item *i)
{
    return i->note.number ? &i->note.tags : &i->snap.tags;
}
