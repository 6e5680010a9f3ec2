/* Other sessions: waited for, or declared dead. */
#include <errno.h>
#include <time.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/sessions.h"

/* A session that is being watched. The clock is our own and never goes back. */
struct watched {
    uint8_t id[SESSION_ID];
    uint64_t counter;
    int64_t since_ms;
    bool moved; /* the counter went on while we looked */
};
struct watch {
    struct watched *v; /* owned */
    size_t n;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int see(struct watch *w, const struct sessions_item *s, struct watched **ret, struct bk_error *err)
{
    for (size_t i = 0; i < w->n; i++) {
        struct watched *x = &w->v[i];
        if (memcmp(x->id, s->id, SESSION_ID) != 0)
            continue;
        if (x->counter != s->counter) {
            x->counter = s->counter;
            x->since_ms = now_ms();
            x->moved = true;
        }
        *ret = x;
        return 0;
    }
    struct watched *v = reallocarray(w->v, w->n + 1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "watch sessions");
    w->v = v;
    v[w->n] = (struct watched){ .counter = s->counter, .since_ms = now_ms() };
    memcpy(v[w->n].id, s->id, SESSION_ID);
    *ret = &v[w->n++];
    return 0;
}

static bool is_own(const struct prune *p, const struct sessions_item *s)
{
    return p->session && memcmp(session_record(p->session)->id, s->id, SESSION_ID) == 0;
}

static bool is_role(const struct sessions_item *s, enum session_role role)
{
    return s->readable && s->rec.role == role;
}

/* Who cannot commit needs no void record. */
static int end_session(struct prune *p, const struct sessions_item *s, struct bk_error *err)
{
    char hex[2 * SESSION_ID + 1];
    object_hex(s->id, SESSION_ID, hex);
    job_log(p->job, JOB_INFO, "session %.8s (%s on %s) is dead", hex, s->readable ? s->rec.purpose : "?",
            s->readable ? s->rec.host : "?");
    int r = is_role(s, SESSION_READER) || is_role(s, SESSION_COLLECTOR) ? session_dismiss(p->repo, s->id, err)
                                                                        : session_fence(p->repo, s->id, err);
    if (r == BK_E_EXISTS) /* it has committed */
        r = 0;
    p->rep.n_fenced += r == 0;
    return r;
}

/* 1 it is dead and ended, 0 it may live. */
static int bury(struct prune *p, struct watch *w, const struct sessions_item *s, struct watched **ret,
                struct bk_error *err)
{
    int64_t timeout = (int64_t)(p->opts->timeout_s ? p->opts->timeout_s : PRUNE_TIMEOUT) * 1000;
    int r = see(w, s, ret, err);
    if (r < 0)
        return r;
    bool dead =
        (s->readable && sessions_fate(&s->rec) == SESSION_DEAD) || now_ms() - (*ret)->since_ms >= timeout;
    if (!dead)
        return 0;
    r = end_session(p, s, err);
    return r < 0 ? r : 1;
}

static int nap(struct prune *p, struct bk_error *err)
{
    unsigned left = p->opts->poll_ms ? p->opts->poll_ms : 1000;
    while (left) {
        unsigned ms = left < 100 ? left : 100;
        int r = job_check(p->job, err);
        if (r < 0)
            return r;
        nanosleep(&(struct timespec){ .tv_nsec = (long)ms * 1000000 }, NULL);
        left -= ms;
    }
    return job_check(p->job, err);
}

static void tell(struct prune *p, const struct sessions_item *s)
{
    char hex[2 * SESSION_ID + 1];
    object_hex(s->id, SESSION_ID, hex);
    p->rep.n_waited++;
    job_log(p->job, JOB_INFO, "waiting for session %.8s: %s on %s, process %llu", hex,
            s->readable ? s->rec.purpose : "?", s->readable ? s->rec.host : "?",
            (unsigned long long)(s->readable ? s->rec.pid : 0));
}

/* Number of sessions from before the tombstones that may live. */
static int look(struct prune *p, struct watch *w, uint64_t n, size_t *ret, struct bk_error *err)
{
    bk_auto(sessions_clear) struct sessions s = { 0 };
    int r = sessions_list(p->repo, &s, err);
    *ret = 0;
    for (size_t i = 0; r >= 0 && i < s.n; i++) {
        const struct sessions_item *it = &s.v[i];
        struct watched *x;
        size_t before = w->n;
        if (is_own(p, it) || is_role(it, SESSION_COLLECTOR) || (it->readable && it->rec.generation >= n))
            continue;
        r = bury(p, w, it, &x, err);
        *ret += r == 0;
        if (r == 0 && w->n > before)
            tell(p, it);
    }
    return r < 0 ? r : 0;
}

int wait_for_sessions(struct prune *p, uint64_t n, struct bk_error *err)
{
    struct watch w = { 0 };
    size_t left = 1;
    int r = look(p, &w, n, &left, err);
    while (r == 0 && left) {
        r = nap(p, err);
        if (r == 0)
            r = look(p, &w, n, &left, err);
    }
    free(w.v);
    return r < 0 ? bk_context(err, "wait for other sessions") : 0;
}

static int busy(const struct sessions_item *s, struct bk_error *err)
{
    bk_fail(err, BK_E_BUSY, "another collection is under way: %s on %s, process %llu", s->rec.purpose,
            s->rec.host, (unsigned long long)s->rec.pid);
    return bk_hint(err, "it does what there is to be done; wait for its end");
}

/* 1 when another collector may live and showed no sign yet. */
static int look_for_others(struct prune *p, struct watch *w, struct bk_error *err)
{
    bk_auto(sessions_clear) struct sessions s = { 0 };
    int r = sessions_list(p->repo, &s, err), doubt = 0;
    for (size_t i = 0; r >= 0 && i < s.n; i++) {
        const struct sessions_item *it = &s.v[i];
        struct watched *x;
        if (is_own(p, it) || !is_role(it, SESSION_COLLECTOR))
            continue;
        r = bury(p, w, it, &x, err);
        if (r == 0 && (x->moved || sessions_fate(&it->rec) == SESSION_ALIVE))
            return busy(it, err);
        doubt |= r == 0;
    }
    return r < 0 ? r : doubt;
}

int wait_alone(struct prune *p, struct bk_error *err)
{
    struct watch w = { 0 };
    int r = look_for_others(p, &w, err);
    if (r == 1)
        job_log(p->job, JOB_INFO, "another collection may be under way: looking for a sign of life");
    while (r == 1) {
        r = nap(p, err);
        if (r == 0)
            r = look_for_others(p, &w, err);
    }
    free(w.v);
    return r;
}

int bury_dead(struct prune *p, struct bk_error *err)
{
    bk_auto(sessions_clear) struct sessions s = { 0 };
    int r = sessions_list(p->repo, &s, err);
    for (size_t i = 0; r == 0 && i < s.n; i++)
        if (!is_own(p, &s.v[i]) && s.v[i].readable && sessions_fate(&s.v[i].rec) == SESSION_DEAD)
            r = end_session(p, &s.v[i], err);
    return r;
}

int wait_any_writer(struct prune *p, bool *ret, struct bk_error *err)
{
    bk_auto(sessions_clear) struct sessions s = { 0 };
    int r = sessions_list(p->repo, &s, err);
    *ret = false;
    for (size_t i = 0; r == 0 && i < s.n; i++)
        if (!is_own(p, &s.v[i]) && !is_role(&s.v[i], SESSION_READER) &&
            !(s.v[i].readable && sessions_fate(&s.v[i].rec) == SESSION_DEAD))
            *ret = true;
    return r;
}
