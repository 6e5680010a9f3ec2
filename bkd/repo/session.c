#include "bkd/repo/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bkd/repo/names.h"
#include "bkd/repo/repo_build.h"
#include "bkd/repo/sessions.h"

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
    struct collection collection;

    pthread_t thread; /* renews */
    bool renews;      /* the thread runs */
    unsigned every_ms;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool stop;
    session_lost_fn *on_lost; /* NULL: nobody asks */
    void *lost_ctx;
    /* the thread's own until it ended: the renewals that may stand are the last two */
    struct session_record renewed;
    bool away; /* the store did not answer last time */
};

static unsigned renew_every_ms = 30000;

void session_renew_every(unsigned ms)
{
    renew_every_ms = ms;
}

static int count_others(struct session *s, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    int r = names_list(repo_store(s->repo), "sessions/", SESSIONS_MAX, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n; i++) {
        uint8_t id[SESSION_ID];
        uint64_t counter;
        if (sessions_parse(list.v[i].name, id, &counter) && !counter)
            s->others += memcmp(id, s->record.id, SESSION_ID) != 0;
    }
    return 0;
}

static int put_record(struct repo *r, const struct session_record *rec, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(SESSION_RECORD_MAX);
    char path[REPO_PATH];
    sessions_path(rec->id, rec->counter, path);
    int rc = session_record_encode(rec, &payload, err);
    return rc < 0 ? rc : repo_put_record(r, OBJECT_SESSION, path, payload.data, payload.len, err);
}

static int announce(struct session *s, struct bk_error *err)
{
    s->announced = true; /* even when put fails: what it left is removed */
    return put_record(s->repo, &s->record, err);
}

static int remove_renewal(struct session *s, uint64_t counter)
{
    struct bk_error ignored = { 0 };
    char path[REPO_PATH];
    if (!counter)
        return 0;
    sessions_path(s->record.id, counter, path);
    return store_remove(repo_store(s->repo), path, &ignored);
}

/* The next renewal, then the one before it goes. One that fails is made good by the next: whoever watches
 * waits far longer. A store that does not answer is asked once, for each call waits its whole time and the
 * end of the session waits for us. false when the session is gone: it was fenced. */
static bool renew(struct session *s)
{
    struct bk_error why = { 0 };
    uint64_t size;
    int rc = store_stat(repo_store(s->repo), s->path, &size, &why);
    if (rc == BK_E_ABSENT)
        return false;
    if (rc != BK_E_UNREACHABLE) {
        s->renewed.counter++;
        rc = put_record(s->repo, &s->renewed, &why);
        if (rc == 0)
            rc = remove_renewal(s, s->renewed.counter - 1);
    }
    s->away = rc == BK_E_UNREACHABLE;
    return true;
}

static bool told_to_stop(struct session *s)
{
    struct timespec until;
    int e = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += s->every_ms / 1000;
    until.tv_nsec += (long)(s->every_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&s->lock);
    while (!s->stop && e != ETIMEDOUT)
        e = pthread_cond_timedwait(&s->wake, &s->lock, &until);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void *keep_renewed(void *arg)
{
    struct session *s = arg;
    while (!told_to_stop(s))
        if (!renew(s)) {
            pthread_mutex_lock(&s->lock);
            session_lost_fn *fn = s->on_lost;
            pthread_mutex_unlock(&s->lock);
            if (fn)
                fn(s->lost_ctx);
            break;
        }
    return NULL;
}

void session_on_lost(struct session *s, session_lost_fn *fn, void *ctx)
{
    pthread_mutex_lock(&s->lock);
    s->on_lost = fn;
    s->lost_ctx = ctx;
    pthread_mutex_unlock(&s->lock);
}

static int start_renewing(struct session *s, struct bk_error *err)
{
    s->every_ms = renew_every_ms;
    s->renewed = s->record;
    int e = pthread_create(&s->thread, NULL, keep_renewed, s);
    if (e)
        return bk_fail_errno(err, e, "renew a session");
    s->renews = true;
    return 0;
}

static void stop_renewing(struct session *s)
{
    if (!s->renews)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->renews = false;
}

/* Renewals first: what is left of a session that dies here is still one that everybody sees. Where the store
 * does not answer all of it stays, for a collector to find it dead. */
static int withdraw(struct session *s, struct bk_error *err)
{
    stop_renewing(s);
    if (s->away)
        return bk_fail(err, BK_E_UNREACHABLE, "%s does not answer", repo_store(s->repo)->url);
    if (s->renewed.counter && (remove_renewal(s, s->renewed.counter - 1) == BK_E_UNREACHABLE ||
                               remove_renewal(s, s->renewed.counter) == BK_E_UNREACHABLE))
        return bk_fail(err, BK_E_UNREACHABLE, "%s does not answer", repo_store(s->repo)->url);
    return store_remove(repo_store(s->repo), s->path, err);
}

static struct session *make(struct repo *r)
{
    pthread_condattr_t attr;
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->repo = r;
    s->sealed = BK_BUF(RECORD_MAX);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    return s;
}

int session_open(struct repo *r, enum session_role role, const char *purpose, struct session **ret,
                 struct bk_error *err)
{
    const struct world *w = repo_world(r);
    bk_auto(session_free) struct session *s = make(r);
    if (!s)
        return bk_fail_errno(err, ENOMEM, "open a session");
    s->record.role = role;
    s->record.started_ns = w->now_ns(w->ctx);
    s->record.pid = (uint64_t)getpid();
    snprintf(s->record.purpose, sizeof s->record.purpose, "%s", purpose);
    if (gethostname(s->record.host, sizeof s->record.host - 1) < 0)
        s->record.host[0] = '\0';
    sessions_process(s->record.process);
    int rc = w->random(w->ctx, s->record.id, SESSION_ID, err);
    if (rc < 0)
        return bk_context(err, "open a session");
    repo_id_path("sessions/", s->record.id, SESSION_ID, s->path);
    repo_id_path("snapshots/", s->record.id, SESSION_ID, s->snapshot_path);

    /* The generation in the object is read before it is put and so may be too low: a collector then waits for
     * us without need, which is safe. The one that we work by is read after. */
    rc = collection_generation(r, &s->record.generation, err);
    if (rc == 0)
        rc = announce(s, err);
    if (rc == 0)
        rc = collection_read(r, &s->collection, err);
    if (rc == 0)
        rc = count_others(s, err);
    s->record.generation = s->collection.n;
    if (rc == 0)
        rc = start_renewing(s, err);
    if (rc < 0)
        return bk_context(err, "open a session in %s", repo_store(r)->url);
    *ret = bk_steal(s);
    return 0;
}

int session_hold(struct repo *r, struct job *j, const char *purpose, struct session **ret,
                 struct bk_error *err)
{
    struct bk_error why = { 0 };
    int rc = session_open(r, SESSION_READER, purpose, ret, &why);
    if (bk_code_aborts(rc)) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc < 0) {
        *ret = NULL;
        job_log(j, JOB_INFO, "a collection that runs meanwhile will not wait for this: %s", why.text);
    }
    return 0;
}

const struct collection *session_collection(const struct session *s)
{
    return &s->collection;
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
        if (bk_code_aborts(rc)) {
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
    uint64_t highest = 0;
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
    if (withdraw(s, &ignored) == 0)
        s->announced = false;
    return 0;
}

/* All that stands of a session; renewals first, as at an orderly end. */
int session_dismiss(struct repo *r, const uint8_t id[static SESSION_ID], struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    char base[REPO_PATH];
    sessions_path(id, 0, base);
    int rc = names_list(repo_store(r), base, SESSIONS_MAX, &list, err);
    for (size_t i = list.n; i-- > 0 && rc == 0;)
        rc = store_remove(repo_store(r), list.v[i].name, err);
    if (rc == 0)
        rc = store_remove(repo_store(r), base, err);
    return rc < 0 ? bk_context(err, "remove %s", base) : 0;
}

int session_fence(struct repo *r, const uint8_t id[static SESSION_ID], struct bk_error *err)
{
    char snapshot[REPO_PATH];
    repo_id_path("snapshots/", id, SESSION_ID, snapshot);
    const struct world *w = repo_world(r);
    uint8_t when[8]; /* Unix time in ns, for people */
    bk_put_u64(when, (uint64_t)w->now_ns(w->ctx));
    int rc = repo_put_record(r, OBJECT_VOID, snapshot, when, sizeof when, err);
    if (rc == BK_E_EXISTS) {
        int gone = is_void(r, snapshot, err);
        if (gone < 0)
            return gone;
        if (!gone) {
            struct bk_error ignored = { 0 };
            (void)!session_dismiss(r, id, &ignored);
            return bk_fail(err, BK_E_EXISTS, "the session has committed: %s is its snapshot", snapshot);
        }
    } else if (rc < 0) {
        return bk_context(err, "fence the session of %s", snapshot);
    }
    return session_dismiss(r, id, err);
}

void session_free(struct session *s)
{
    if (!s)
        return;
    struct bk_error ignored = { 0 };
    stop_renewing(s);
    if (s->announced)
        (void)!withdraw(s, &ignored);
    collection_clear(&s->collection);
    bk_buf_clear(&s->sealed);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    free(s);
}
