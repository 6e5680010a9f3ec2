/* Other sessions: waited for, or declared dead. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bkd/life/prune_state.h"
#include "bkd/repo/sessions.h"

/* A session that is being watched. The clock is our own and never goes back. */
struct watched {
    uint8_t id[SESSION_ID];
    uint64_t counter;
    int64_t since_ms;
    bool moved;  /* the counter went on while we looked */
    bool warned; /* that we wait for it */
};
struct watch {
    struct watched *v; /* owned */
    size_t n;
    int64_t begun_ms;
    struct sessions_item last; /* of those that are waited for */
};
/* A backup that is about to end is nothing to speak of. */
enum { WAIT_SILENT_MS = 5000, WHO_MAX = 2 * SESSION_TEXT_MAX + 64 };

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

/* "backup on host, process 4711", for people; never translated: the purpose is a word of the record. */
static const char *who(const struct sessions_item *s, char *out, size_t len)
{
    if (s->readable)
        snprintf(out, len, "%s on %s, process %llu", s->rec.purpose, s->rec.host,
                 (unsigned long long)s->rec.pid);
    else
        snprintf(out, len, "?");
    return out;
}

/* At once for those that follow closely; for everybody when it takes longer. */
static void tell(struct prune *p, const struct watch *w, const struct sessions_item *s, struct watched *x,
                 bool is_new)
{
    char hex[2 * SESSION_ID + 1], text[WHO_MAX];
    object_hex(s->id, SESSION_ID, hex);
    who(s, text, sizeof text);
    job_set_path(p->job, text, strlen(text));
    p->rep.n_waited += is_new;
    if (!x->warned && now_ms() - w->begun_ms >= WAIT_SILENT_MS) {
        job_log(p->job, JOB_WARN, "waiting for session %.8s (%s), which was under way before", hex, text);
        x->warned = true;
    } else if (is_new) {
        job_log(p->job, JOB_INFO, "waiting for session %.8s: %s", hex, text);
    }
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
        if (r != 0)
            continue;
        tell(p, w, it, x, w->n > before);
        w->last = *it;
        ++*ret;
    }
    return r < 0 ? r : 0;
}

static int gave_up(const struct watch *w, size_t left, unsigned after_s, struct bk_error *err)
{
    char hex[2 * SESSION_ID + 1], text[WHO_MAX];
    object_hex(w->last.id, SESSION_ID, hex);
    who(&w->last, text, sizeof text);
    if (left == 1)
        bk_fail(err, BK_E_BUSY, "session %.8s (%s) is still under way after %u s", hex, text, after_s);
    else
        bk_fail(err, BK_E_BUSY, "session %.8s (%s) and %zu others are still under way after %u s", hex, text,
                left - 1, after_s);
    return bk_hint(err, "its list of what may go stands, and the next prune goes on from there; --max-wait "
                        "says how long it waits");
}

int wait_for_sessions(struct prune *p, uint64_t n, struct bk_error *err)
{
    struct watch w = { .begun_ms = now_ms() };
    unsigned most_s = p->opts->max_wait_s ? p->opts->max_wait_s : PRUNE_MAX_WAIT;
    size_t left = 1;
    int r = look(p, &w, n, &left, err);
    while (r == 0 && left) {
        if (now_ms() - w.begun_ms >= (int64_t)most_s * 1000)
            r = gave_up(&w, left, most_s, err);
        if (r == 0)
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
