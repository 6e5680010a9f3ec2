/* The mirror as one thing: its stores looked at when they are opened, and what is known of them afterwards.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bkd/store/mirror_state.h"
#include "formats/object/config.h"

enum { CONFIG_CEILING = 4096 };

/* Not the wall clock: that one may jump. */
static int64_t steady_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int mirror_of(struct mirror *m, unsigned i, struct bk_error *err)
{
    return bk_context(err, "in %s", m->m[i].url);
}

/* A store that is not there is an outage: no code of an object that is not there. */
int mirror_usable(struct mirror *m, unsigned i, bool fill, struct bk_error *err)
{
    struct member *b = &m->m[i];
    if (b->s && (fill || !atomic_load(&b->blank)))
        return 0;
    if (b->s)
        bk_fail(err, BK_E_IO, "%s holds nothing of this repository", b->url);
    else
        bk_fail(err, BK_E_IO, "%s", b->why.text);
    return bk_hint(err, "make %s available, or leave it out of the URL of the mirror", b->url);
}

bool mirror_is_outage(int code)
{
    switch (code) {
    case BK_E_ABSENT:
    case BK_E_EXISTS:
    case BK_E_CORRUPT:
    case BK_E_VERSION:
    case BK_E_LIMIT:
    case BK_E_USAGE:
    case BK_E_NOMEM:
    case BK_E_CANCELLED:
    case BK_E_NOSPACE:
        return false;
    default:
        return code < 0;
    }
}

void mirror_event(struct mirror *m, enum store_event_kind kind, unsigned i, const char *name, const char *why)
{
    struct store_event e = { .kind = kind, .object = name, .store = m->m[i].url, .why = why };
    if (m->world->store_event)
        m->world->store_event(m->world->event_ctx, &e);
}

/* One object that cannot be read is no outage: the store is asked for something else before it counts as one.
 */
bool mirror_failed(struct mirror *m, unsigned i, int r, const struct bk_error *why)
{
    struct member *b = &m->m[i];
    struct bk_error ignored;
    uint64_t size;
    if (!mirror_is_outage(r) || (b->s && !mirror_is_outage(store_stat(b->s, "config", &size, &ignored))))
        return false;
    atomic_store(&b->down_until_ns, steady_ns() + MIRROR_DOWN_NS);
    if (i == 0)
        atomic_store(&m->degraded, true);
    if (!atomic_exchange(&b->told, true))
        mirror_event(m, STORE_EVENT_UNREACHABLE, i, "", why->text);
    return true;
}

void mirror_well(struct mirror *m, unsigned i)
{
    if (atomic_load_explicit(&m->m[i].down_until_ns, memory_order_relaxed))
        atomic_store(&m->m[i].down_until_ns, 0);
}

unsigned mirror_order(struct mirror *m, unsigned out[static MIRROR_MAX])
{
    unsigned n = 0;
    for (int late = 0; late < 2; late++)
        for (unsigned i = 0; i < m->n; i++) {
            int64_t until = atomic_load_explicit(&m->m[i].down_until_ns, memory_order_relaxed);
            bool down = until && steady_ns() < until;
            if (mirror_usable(m, i, false, NULL) == 0 && down == (late != 0))
                out[n++] = i;
        }
    return n;
}

/* What member i says about the repository in it: 1 and its id; 0 it holds none; 2 it cannot be told. */
enum { LOOK_NONE, LOOK_SOUND, LOOK_UNSURE };

static int stop_at_first(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    (void)ctx, (void)name, (void)size, (void)err;
    return 1;
}

static int look(struct store *s, uint8_t id[static CONFIG_REPO_ID], struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(CONFIG_CEILING);
    struct bk_error why = { 0 };
    struct config c;
    uint8_t digest[SUITE_HASH];
    int r = store_get_all(s, "config", CONFIG_CEILING, &b, &why);
    if (r == 0 && config_decode(b.data, b.len, &c, digest, &why) == 0) {
        memcpy(id, c.repo_id, CONFIG_REPO_ID);
        return LOOK_SOUND;
    }
    if (mirror_is_outage(r)) {
        if (err)
            *err = why;
        return r;
    }
    if (r != BK_E_ABSENT)
        return LOOK_UNSURE;
    /* without a config, but with keys: a repository that lost its config */
    r = store_list(s, "keys/", stop_at_first, NULL, err);
    return r < 0 ? r : r ? LOOK_UNSURE : LOOK_NONE;
}

/* A store that holds nothing where others hold a repository must not decide anything, nor count as a copy:
 * most likely its disk is not mounted. And stores of two repositories must never be healed from each other.
 */
static int look_at_all(struct mirror *m, struct bk_error *err)
{
    uint8_t first[CONFIG_REPO_ID] = { 0 }, id[CONFIG_REPO_ID];
    int seen[MIRROR_MAX] = { 0 };
    bool sound = false;
    for (unsigned i = 0; i < m->n; i++) {
        struct bk_error why = m->m[i].why;
        seen[i] = m->m[i].s ? look(m->m[i].s, id, &why) : why.code;
        if (seen[i] < 0)
            mirror_failed(m, i, seen[i], &why);
        if (seen[i] == LOOK_SOUND && sound && memcmp(id, first, sizeof id) != 0) {
            bk_fail(err, BK_E_FAILED, "%s holds another repository than the stores before it", m->m[i].url);
            return bk_hint(err, "a mirror is made of stores that hold the same repository");
        }
        if (seen[i] == LOOK_SOUND) {
            memcpy(first, id, sizeof first);
            sound = true;
        }
    }
    for (unsigned i = 0; sound && i < m->n; i++) {
        struct bk_error why = { 0 };
        if (seen[i] != LOOK_NONE)
            continue;
        atomic_store(&m->m[i].blank, true);
        if (i == 0)
            atomic_store(&m->degraded, true);
        atomic_store(&m->m[i].told, true);
        (void)!mirror_usable(m, i, false, &why);
        mirror_event(m, STORE_EVENT_UNREACHABLE, i, "", why.text);
    }
    return 0;
}

/* Whatever could not be opened is an outage, whatever the reason. */
static void note_missing(struct mirror *m)
{
    for (unsigned i = 0; i < m->n; i++) {
        struct member *b = &m->m[i];
        if (b->s)
            continue;
        if (!b->why.code)
            bk_fail(&b->why, BK_E_IO, "%s could not be opened", b->url);
        if (i == 0)
            atomic_store(&m->degraded, true);
        if (!atomic_exchange(&b->told, true))
            mirror_event(m, STORE_EVENT_UNREACHABLE, i, "", b->why.text);
    }
}

static void mirror_free(struct store *s)
{
    struct mirror *m = (struct mirror *)s;
    mirror_fill_stop(m);
    for (unsigned i = 0; i < m->n; i++)
        store_free(m->m[i].s);
    pthread_cond_destroy(&m->wake);
    pthread_cond_destroy(&m->room);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->healing);
    mirror_shun_clear(m);
    free(m->queue);
    free(m);
}

static const struct store_ops mirror_ops = {
    .put = mirror_put,
    .get = mirror_get,
    .stat = mirror_stat,
    .list = mirror_list,
    .remove = mirror_remove,
    .heal = mirror_heal,
    .retain = mirror_retain,
    .clock = mirror_clock,
    .free = mirror_free,
};

/* The mirror can what all its stores can; and lock when one of them can. */
static void combine(struct mirror *m)
{
    struct store *first = NULL;
    for (unsigned i = 0; i < m->n; i++) {
        struct store *s = m->m[i].s;
        if (!s)
            continue;
        if (!first)
            m->store = *(first = s);
        unsigned locks = (m->store.can | s->can) & STORE_CAN_RETAIN;
        m->store.can = (m->store.can & s->can) | locks;
        m->store.remote |= s->remote;
        if (s->parallel > m->store.parallel)
            m->store.parallel = s->parallel;
        if (s->max_object_bytes < m->store.max_object_bytes)
            m->store.max_object_bytes = s->max_object_bytes;
    }
    m->store.ops = &mirror_ops;
    size_t at = (size_t)snprintf(m->store.url, sizeof m->store.url, "mirror:");
    for (unsigned i = 0; i < m->n && at < sizeof m->store.url; i++)
        at += (size_t)snprintf(m->store.url + at, sizeof m->store.url - at, i ? "|%s" : "%s", m->m[i].url);
}

/* Members as given, with the reasons of those that are missing. */
int mirror_make(struct store *const *stores, const char *const *urls, const struct bk_error *why, unsigned n,
                unsigned needed, const struct world *w, struct store **ret, struct bk_error *err)
{
    struct mirror *m = calloc(1, sizeof *m);
    if (m)
        m->queue = calloc(MIRROR_FILL_MAX, sizeof *m->queue);
    if (!m || !m->queue) {
        free(m);
        return bk_fail(err, BK_E_NOMEM, "no memory for a mirror");
    }
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->healing, NULL);
    pthread_mutex_init(&m->shun_lock, NULL);
    pthread_cond_init(&m->wake, NULL);
    pthread_cond_init(&m->room, NULL);
    m->world = w;
    m->needed = needed;
    m->n = n;
    for (unsigned i = 0; i < n; i++) {
        m->m[i].s = stores[i];
        if (why)
            m->m[i].why = why[i];
        snprintf(m->m[i].url, sizeof m->m[i].url, "%s", urls ? urls[i] : stores[i] ? stores[i]->url : "?");
    }
    note_missing(m);
    combine(m);
    int r = look_at_all(m, err);
    if (r < 0) {
        for (unsigned i = 0; i < n; i++)
            m->m[i].s = NULL; /* the caller's still */
        mirror_free(&m->store);
        return r;
    }
    *ret = &m->store;
    return 0;
}

int store_mirror_new(struct store *const *stores, unsigned n, unsigned needed, const struct world *w,
                     struct store **ret, struct bk_error *err)
{
    return mirror_make(stores, NULL, NULL, n, needed, w, ret, err);
}
