#include "bkd/life/forget.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/life/received.h"
#include "bkd/repo/names.h"
#include "bkd/repo/notes.h"
#include "bkd/repo/session.h"

#define NS INT64_C(1000000000)

void forget_plan_clear(struct forget_plan *p)
{
    catalog_clear(&p->catalog);
    free(p->verdict);
    *p = (struct forget_plan){ 0 };
}

static void count(struct forget_plan *p)
{
    for (size_t i = 0; i < p->catalog.n; i++) {
        p->n_remove += !p->verdict[i].keep;
        p->n_keep += p->verdict[i].keep && !(p->verdict[i].why & RETENTION_NOT_ASKED);
    }
}

static int begin(struct repo *r, const struct retention_input *what, catalog_damage_fn *damaged, void *ctx,
                 struct forget_plan *p, struct bk_error *err)
{
    const struct world *w = repo_world(r);
    int rc = catalog_load(r, damaged, ctx, &p->catalog, err);
    if (rc == 0)
        rc = received_load(r, &p->catalog, err);
    if (rc == 0)
        rc = lock_read(r, &p->lock, err);
    if (rc < 0)
        return rc;
    p->in = *what;
    p->in.v = p->catalog.v;
    p->in.n = p->catalog.n;
    p->in.now_ns = w->now_ns(w->ctx);
    p->in.minimum_s = p->lock.seconds;
    p->verdict = calloc(p->catalog.n + 1, sizeof *p->verdict);
    return p->verdict ? 0 : bk_fail_errno(err, ENOMEM, "decide what to keep");
}

int forget_by_rules(struct repo *r, const struct retention_input *what, catalog_damage_fn *damaged, void *ctx,
                    struct forget_plan *ret, struct bk_error *err)
{
    bk_auto(forget_plan_clear) struct forget_plan p = { 0 };
    if (!retention_rules_any(&what->rules)) {
        bk_fail(err, BK_E_USAGE, "no rule says what to keep");
        return bk_hint(err, "give one, for example --keep-daily 7, or name the snapshots that are to go");
    }
    int rc = begin(r, what, damaged, ctx, &p, err);
    if (rc == 0)
        rc = retention_decide(&p.in, p.verdict, &p.n_groups, err);
    if (rc < 0)
        return rc;
    count(&p);
    *ret = p;
    p = (struct forget_plan){ 0 };
    return 0;
}

/* "2026-12-03 14:00" in the zone, rounded up. */
static void when(const struct retention_input *in, int64_t s, char out[static 48])
{
    struct calendar_date d;
    s += CALENDAR_HOUR - 1;
    calendar_date(s + (in->zone.offset_s ? in->zone.offset_s(in->zone.ctx, s) : 0), &d);
    snprintf(out, 48, "%04d-%02d-%02d %02d:00", d.year, d.month, d.day, d.hour);
}

static int refuse_protected(const struct forget_plan *p, size_t i, int64_t free_s, const char *name,
                            struct bk_error *err)
{
    const struct note *note = &p->catalog.v[i].note;
    if (note->number && note->hold) {
        bk_fail(err, BK_E_PERM, "%s is on hold", name);
        return bk_hint(err, "bkctl hold release %s lets it go", name);
    }
    if (p->in.minimum_s && free_s > p->in.now_ns / NS) {
        char text[48];
        when(&p->in, free_s, text);
        return bk_fail(err, BK_E_PERM, "%s is younger than the minimum retention: it may go from %s on", name,
                       text);
    }
    return 0;
}

int forget_by_names(struct repo *r, const struct retention_input *what, char *const *names, size_t n,
                    catalog_damage_fn *damaged, void *ctx, struct forget_plan *ret, struct bk_error *err)
{
    bk_auto(forget_plan_clear) struct forget_plan p = { 0 };
    int rc = begin(r, what, damaged, ctx, &p, err);
    if (rc < 0)
        return rc;
    bk_auto(free) int64_t *free_at = calloc(p.catalog.n + 1, sizeof *free_at);
    if (!free_at)
        return bk_fail_errno(err, ENOMEM, "decide what to keep");
    retention_free_at(p.in.v, p.in.n, p.in.now_ns, p.in.minimum_s, free_at);
    for (size_t i = 0; i < p.catalog.n; i++)
        p.verdict[i] = (struct retention_verdict){ .keep = true, .why = RETENTION_NOT_ASKED };
    for (size_t k = 0; k < n; k++) {
        const struct catalog_item *item = NULL;
        rc = catalog_resolve(&p.catalog, names[k], &item, err);
        if (rc < 0)
            return rc;
        size_t i = (size_t)(item - p.catalog.v);
        rc = refuse_protected(&p, i, free_at[i], names[k], err);
        if (rc < 0)
            return rc;
        p.verdict[i] = (struct retention_verdict){ .why = RETENTION_NAMED };
    }
    count(&p);
    *ret = p;
    p = (struct forget_plan){ 0 };
    return 0;
}

bool forget_shrinks(const struct forget_plan *p, struct forget_shrink *ret)
{
    struct forget_shrink worst = { 0 };
    bk_auto(free) struct forget_shrink *g = calloc(p->n_groups + 1, sizeof *g);
    for (size_t i = 0; g && i < p->catalog.n; i++) {
        const struct retention_verdict *v = &p->verdict[i];
        if (v->why & (RETENTION_NOT_ASKED | RETENTION_NAMED))
            continue;
        struct forget_shrink *mine = &g[v->group];
        mine->of = &p->catalog.v[i].snap;
        mine->n++;
        mine->n_remove += !v->keep;
    }
    for (size_t k = 0; g && k < p->n_groups; k++) {
        bool much = g[k].n_remove > g[k].n / 2 || (g[k].n_remove > 10 && g[k].n_remove > g[k].n / 5);
        if (much && g[k].n_remove > worst.n_remove)
            worst = g[k];
    }
    if (!worst.of)
        return !g && p->n_remove; /* without memory to count, better ask */
    *ret = worst;
    return true;
}

/* All notes, listed once: below the names of what is planned there are few or none. */
static int remove_notes(struct repo *r, const struct names *notes, const uint8_t id[static SESSION_ID],
                        struct bk_error *err)
{
    char path[REPO_PATH];
    repo_id_path("notes/", id, SESSION_ID, path);
    size_t len = strlen(path), lo = 0, hi = notes->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strncmp(notes->v[mid].name, path, len) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < notes->n && strncmp(notes->v[lo].name, path, len) == 0; lo++) {
        struct bk_error why = { 0 };
        int rc = store_remove(repo_store(r), notes->v[lo].name, &why);
        if (rc == 0 || store_still_locked(repo_store(r), rc)) /* the collector comes back for it */
            continue;
        if (err)
            *err = why;
        return bk_context(err, "remove %s", notes->v[lo].name);
    }
    return 0;
}

/* 1 when somebody has put a note since: it may be a hold. */
static int noted_since(struct repo *r, const struct catalog_item *i, struct bk_error *err)
{
    char path[REPO_PATH];
    uint64_t size;
    if (i->note.number == UINT32_MAX)
        return 0;
    notes_path(i->snap.id, i->note.number + 1, path);
    int rc = store_stat(repo_store(r), path, &size, err);
    return rc == BK_E_ABSENT ? 0 : rc < 0 ? rc : 1;
}

/* 2 when the store keeps it for now. */
static int remove_one(struct repo *r, const struct names *notes, const struct catalog_item *i,
                      struct bk_error *err)
{
    char path[REPO_PATH];
    struct bk_error why = { 0 };
    repo_id_path("snapshots/", i->snap.id, SESSION_ID, path);
    int rc = store_remove(repo_store(r), path, &why);
    if (store_still_locked(repo_store(r), rc))
        return 2;
    if (rc < 0) {
        if (err)
            *err = why;
        return bk_context(err, "remove %s", path);
    }
    received_forget(r, i);
    return remove_notes(r, notes, i->snap.id, err);
}

static const char *left_why(int how)
{
    return how == 1 ? bk_text(N_("its notes changed meanwhile"))
                    : bk_text(N_("the store has it locked still, or this account may not remove it"));
}

static int refuse_raised(struct repo *r, const struct forget_plan *p, struct bk_error *err)
{
    struct lock now = { 0 };
    int rc = lock_read(r, &now, err);
    if (rc == 0 && now.seconds > p->lock.seconds)
        rc = bk_fail(err, BK_E_CHANGED, "the minimum retention was raised meanwhile: nothing was removed");
    return rc;
}

int forget_carry_out(struct repo *r, struct job *j, const struct forget_plan *p, forget_fn *fn, void *ctx,
                     struct forget_report *ret, struct bk_error *err)
{
    bk_auto(names_clear) struct names notes = { 0 };
    int rc = refuse_raised(r, p, err);
    if (rc == 0)
        rc = names_list(repo_store(r), "notes/", NOTES_MAX, &notes, err);
    for (size_t i = 0; rc == 0 && i < p->catalog.n; i++) {
        const struct catalog_item *item = &p->catalog.v[i];
        if (p->verdict[i].keep)
            continue;
        rc = job_check(j, err);
        int noted = rc < 0 ? rc : noted_since(r, item, err);
        if (noted == 0)
            noted = remove_one(r, &notes, item, err);
        if (noted < 0)
            return bk_context(err, "forget a snapshot");
        ret->n_removed += noted == 0;
        ret->n_skipped += noted == 1;
        ret->n_locked += noted == 2;
        if (fn)
            fn(ctx, item, noted ? left_why(noted) : NULL);
    }
    return rc;
}

/* 0 when it is damaged and may go. */
static int look_at_damage(struct repo *r, const char *path, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(0);
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    bk_auto(snapshot_clear) struct snapshot snap = { 0 };
    struct bk_error why = { 0 };
    int rc = store_get_all(repo_store(r), path, RECORD_MAX, &sealed, err);
    if (rc < 0 && rc != BK_E_LIMIT)
        return bk_context(err, "read %s", path);
    if (rc == BK_E_LIMIT)
        return 0; /* larger than any record */
    if (object_peek_kind(sealed.data, sealed.len) == OBJECT_VOID)
        return bk_fail(err, BK_E_USAGE, "%s is the mark of a fenced session, and no snapshot", path);
    rc = record_open(repo_keyring(r), OBJECT_SNAPSHOT, path, sealed.data, sealed.len, &payload, &why);
    if (rc == 0)
        rc = snapshot_decode(payload.data, payload.len, &snap, &why);
    if (rc == 0) {
        bk_fail(err, BK_E_USAGE, "%s is sound", path);
        return bk_hint(err, "forget it as any other one, without --damaged");
    }
    if (bk_code_aborts(rc) || rc == BK_E_VERSION) { /* a newer program can read it */
        if (err)
            *err = why;
        return rc;
    }
    return 0;
}

int forget_damaged(struct repo *r, const char *hex, struct bk_error *err)
{
    uint8_t id[SESSION_ID];
    char path[REPO_PATH];
    bk_auto(names_clear) struct names notes = { 0 };
    if (object_unhex(hex, id, SESSION_ID) < 0) {
        bk_fail(err, BK_E_USAGE, "'%s' is not a whole snapshot id", hex);
        return bk_hint(err, "bkctl check names what is damaged; the id is all of its %d digits",
                       2 * SESSION_ID);
    }
    repo_id_path("snapshots/", id, SESSION_ID, path);
    int rc = look_at_damage(r, path, err);
    if (rc == 0)
        rc = names_list(repo_store(r), "notes/", NOTES_MAX, &notes, err);
    if (rc == 0)
        rc = store_remove(repo_store(r), path, err);
    if (rc == 0)
        rc = session_fence(r, id, err);
    if (rc == 0)
        rc = remove_notes(r, &notes, id, err);
    return rc < 0 ? bk_context(err, "forget the damaged snapshot %s", hex) : 0;
}
