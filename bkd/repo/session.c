#include "bkd/repo/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bkd/repo/names.h"
#include "bkd/repo/repo_build.h"

enum {
    SESSIONS_MAX = 1 << 20,
    SNAPSHOTS_MAX = 1 << 24,
    SESSION_RECORD_MAX = 1 << 16,
};

struct session {
    struct repo *repo;
    struct session_record record;
    char path[REPO_PATH];
    char snapshot_path[REPO_PATH];
    unsigned others;
    bool announced;       /* sessions/<id> may exist */
    struct bk_buf sealed; /* of the commit: a repeat puts the same bytes */
};

/* Both kinds of numbered object belong to the collector: generation/<n> and tombstones/<n>, decimal. The
 * repository's generation is the highest number of either; tombstones are published before the sessions are
 * listed, so they count as well. */
struct highest {
    const char *prefix;
    uint64_t n;
};

static int see_number(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)size;
    (void)err;
    struct highest *h = ctx;
    const char *p = name + strlen(h->prefix);
    uint64_t n = 0;
    if (!*p)
        return 0;
    for (; *p; p++)
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return 0; /* no number: not the collector's */
    if (n > h->n)
        h->n = n;
    return 0;
}

static int read_generation(struct repo *r, uint64_t *ret, struct bk_error *err)
{
    struct highest g = { .prefix = "generation/" }, t = { .prefix = "tombstones/" };
    int rc = store_list(repo_store(r), g.prefix, see_number, &g, err);
    if (rc == 0)
        rc = store_list(repo_store(r), t.prefix, see_number, &t, err);
    if (rc < 0)
        return bk_context(err, "read the generation of %s", repo_store(r)->url);
    *ret = g.n > t.n ? g.n : t.n;
    return 0;
}

static int count_others(struct session *s, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    int r = names_list(repo_store(s->repo), "sessions/", SESSIONS_MAX, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n; i++)
        s->others += strcmp(list.v[i].name, s->path) != 0;
    return 0;
}

static int announce(struct session *s, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(SESSION_RECORD_MAX);
    int r = session_record_encode(&s->record, &payload, err);
    if (r < 0)
        return r;
    s->announced = true; /* even when put fails: what it left is removed */
    return repo_put_record(s->repo, OBJECT_SESSION, s->path, payload.data, payload.len, err);
}

int session_open(struct repo *r, enum session_role role, const char *purpose, struct session **ret,
                 struct bk_error *err)
{
    const struct world *w = repo_world(r);
    bk_auto(session_free) struct session *s = calloc(1, sizeof *s);
    if (!s)
        return bk_fail_errno(err, ENOMEM, "open a session");
    s->repo = r;
    s->sealed = BK_BUF(RECORD_MAX);
    s->record.role = role;
    s->record.started_ns = w->now_ns(w->ctx);
    s->record.pid = (uint64_t)getpid();
    snprintf(s->record.purpose, sizeof s->record.purpose, "%s", purpose);
    if (gethostname(s->record.host, sizeof s->record.host - 1) < 0)
        s->record.host[0] = '\0';
    int rc = w->random(w->ctx, s->record.id, SESSION_ID, err);
    if (rc < 0)
        return bk_context(err, "open a session");
    repo_id_path("sessions/", s->record.id, SESSION_ID, s->path);
    repo_id_path("snapshots/", s->record.id, SESSION_ID, s->snapshot_path);

    /* The generation in the object is read before it is put and so may be too low: a collector then waits for
     * us without need, which is safe. The one that we work by is read after. */
    rc = read_generation(r, &s->record.generation, err);
    if (rc == 0)
        rc = announce(s, err);
    if (rc == 0)
        rc = read_generation(r, &s->record.generation, err);
    if (rc == 0)
        rc = count_others(s, err);
    if (rc < 0)
        return bk_context(err, "open a session in %s", repo_store(r)->url);
    *ret = bk_steal(s);
    return 0;
}

const struct session_record *session_record(const struct session *s)
{
    return &s->record;
}

unsigned session_others(const struct session *s)
{
    return s->others;
}

static int look_at_sequence(struct repo *r, const char *name, struct bk_buf *payload, struct bk_error *err)
{
    bk_auto(snapshot_clear) struct snapshot snap = { 0 };
    int rc = repo_get_record(r, OBJECT_SNAPSHOT, name, payload, err);
    if (rc == 0)
        rc = snapshot_decode(payload->data, payload->len, &snap, err);
    if (rc == 0)
        repo_saw_snapshot(r, name, snap.sequence);
    return rc;
}

/* Highest sequence of all snapshots that open. Damaged ones are passed over: order is for people, and check
 * reports them. */
static int highest_sequence(struct repo *r, uint64_t *ret, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    int rc = names_list(repo_store(r), "snapshots/", SNAPSHOTS_MAX, &list, err);
    if (rc < 0)
        return rc;
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    for (size_t i = 0; i < list.n; i++) {
        struct bk_error why = { 0 };
        if (repo_seen_snapshot(r, list.v[i].name))
            continue;
        rc = look_at_sequence(r, list.v[i].name, &payload, &why);
        if (rc == BK_E_NOMEM) {
            if (err)
                *err = why;
            return rc;
        }
    }
    *ret = repo_highest_sequence(r);
    return 0;
}

static int seal_commit(struct session *s, struct snapshot *snap, struct bk_error *err)
{
    uint64_t highest;
    int r = highest_sequence(s->repo, &highest, err);
    if (r < 0)
        return r;
    memcpy(snap->id, s->record.id, SESSION_ID);
    if (snap->level == LEVEL_FULL)
        memcpy(snap->base, s->record.id, SESSION_ID);
    snap->sequence = highest + 1;
    snap->generation = s->record.generation;

    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    r = snapshot_encode(snap, &payload, err);
    if (r < 0)
        return r;
    const struct world *w = repo_world(s->repo);
    uint8_t salt[RECORD_SALT];
    r = w->random(w->ctx, salt, sizeof salt, err);
    if (r < 0)
        return r;
    s->sealed.len = 0;
    return record_seal(repo_keyring(s->repo), OBJECT_SNAPSHOT, s->snapshot_path, salt, payload.data,
                       payload.len, &s->sealed, err);
}

/* Is what stands under a snapshot's name a void record of ours? 1, 0 or an error. */
static int is_void(struct repo *r, const char *path, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    int rc = store_get_all(repo_store(r), path, RECORD_MAX, &b, err);
    if (rc < 0)
        return bk_context(err, "read %s", path);
    if (object_peek_kind(b.data, b.len) != OBJECT_VOID)
        return 0;
    rc = record_open(repo_keyring(r), OBJECT_VOID, path, b.data, b.len, &payload, err);
    return rc < 0 ? rc : 1;
}

int session_commit(struct session *s, struct snapshot *snap, struct bk_error *err)
{
    int r = 0;
    if (!s->sealed.len)
        r = seal_commit(s, snap, err);
    if (r < 0)
        return bk_context(err, "commit the snapshot");
    r = repo_put_sure(repo_store(s->repo), s->snapshot_path, s->sealed.data, s->sealed.len, err);
    if (r == BK_E_EXISTS) {
        struct bk_error why = { 0 };
        int gone = is_void(s->repo, s->snapshot_path, &why);
        if (gone == 1) {
            bk_fail(err, BK_E_FENCED,
                    "this session was declared dead by somebody else: nothing was committed");
            return bk_hint(err, "run it again; what was stored already is used again");
        }
        return bk_fail(err, BK_E_CORRUPT, "something else stands at %s: nothing was committed",
                       s->snapshot_path);
    }
    if (r < 0)
        return bk_context(err, "commit the snapshot as %s", s->snapshot_path);

    /* Committed. Whether the session's object goes now or is found stale later changes nothing. */
    struct bk_error ignored = { 0 };
    if (store_remove(repo_store(s->repo), s->path, &ignored) == 0)
        s->announced = false;
    return 0;
}

int session_fence(struct repo *r, const uint8_t id[static SESSION_ID], struct bk_error *err)
{
    char snapshot[REPO_PATH], session[REPO_PATH];
    repo_id_path("snapshots/", id, SESSION_ID, snapshot);
    repo_id_path("sessions/", id, SESSION_ID, session);
    const struct world *w = repo_world(r);
    uint8_t when[8]; /* Unix time in ns, for people */
    bk_put_u64(when, (uint64_t)w->now_ns(w->ctx));
    int rc = repo_put_record(r, OBJECT_VOID, snapshot, when, sizeof when, err);
    if (rc == BK_E_EXISTS) {
        int gone = is_void(r, snapshot, err);
        if (gone < 0)
            return gone;
        if (!gone)
            return bk_fail(err, BK_E_EXISTS, "the session has committed: %s is its snapshot", snapshot);
    } else if (rc < 0) {
        return bk_context(err, "fence %s", session);
    }
    rc = store_remove(repo_store(r), session, err);
    return rc < 0 ? bk_context(err, "remove %s", session) : 0;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    struct bk_error ignored = { 0 };
    if (s->announced)
        (void)!store_remove(repo_store(s->repo), s->path, &ignored);
    bk_buf_clear(&s->sealed);
    free(s);
}
