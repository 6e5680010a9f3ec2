#include "bkd/store/probe.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 8, CLIENTS = 8, CLIENTS_MAX = 64, RACE_BYTES = 1000, BODY = 200000 };

struct probe {
    struct store *s;
    const struct world *world;
    struct probe_report *r;
    char folder[64]; /* "probe/<random>/" */
    uint8_t *body;   /* BODY random bytes */
};

const char *probe_check_name(enum probe_check c)
{
    static const char *const names[] = { "put-if-absent", "read-after-write", "list-after-write",
                                         "ranged-reads",  "truncated-puts",   "removal",
                                         "clock" };
    return c < PROBE_CHECKS ? names[c] : "?";
}

const char *probe_check_forbids(enum probe_check c)
{
    static const char *const forbids[] = {
        N_("several writers at once, and collection while anybody writes: two could take one name"),
        N_("everything: what was written could not be relied on"),
        N_("collection: a snapshot that is not listed yet would be taken for none"),
        N_("restoring and browsing: parts of packs could not be read"),
        N_("everything: half an object could stand under a whole one's name"),
        N_("forget and prune: only adding is possible"),
        N_("retention by age: times that this machine and the store note do not compare"),
    };
    return c < PROBE_CHECKS ? forbids[c] : "?";
}

static void find(struct probe *p, enum probe_check c, enum probe_result result, const char *fmt, ...)
    BK_PRINTF(4, 5);

/* The first thing seen stays. */
static void find(struct probe *p, enum probe_check c, enum probe_result result, const char *fmt, ...)
{
    struct probe_finding *f = &p->r->of[c];
    if (f->result == PROBE_MISSING)
        return;
    va_list ap;
    va_start(ap, fmt);
    f->result = result;
    vsnprintf(f->text, sizeof f->text, dgettext("bkctl", fmt), ap);
    va_end(ap);
}

static void name_of(const struct probe *p, const char *leaf, char out[static STORE_NAME_MAX])
{
    snprintf(out, STORE_NAME_MAX, "%s%s", p->folder, leaf);
}

/* Holds the racers back until all stand ready. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
};

static void gate_wait(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    while (!g->open)
        pthread_cond_wait(&g->opened, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

struct racer {
    struct probe *p;
    struct gate *gate;
    const char *name;
    uint8_t bytes[RACE_BYTES];
    int result;
    struct bk_error err;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    gate_wait(r->gate);
    r->result = store_put(r->p->s, r->name, r->bytes, sizeof r->bytes, &r->err);
    return NULL;
}

/* What came out of a race of n. */
static void judge(struct probe *p, const char *name, const struct racer *v, unsigned n)
{
    const struct racer *winner = NULL;
    unsigned won = 0;
    for (unsigned i = 0; i < n; i++) {
        if (v[i].result == 0) {
            winner = &v[i];
            won++;
        } else if (v[i].result != BK_E_EXISTS) {
            find(p, PROBE_PUT_IF_ABSENT, PROBE_MISSING, N_("a put failed: %s"), v[i].err.text);
        }
    }
    if (won != 1) {
        find(p, PROBE_PUT_IF_ABSENT, PROBE_MISSING,
             N_("%u of %u clients that put one name at once succeeded"), won, n);
        return;
    }
    uint8_t there[RACE_BYTES];
    struct bk_error why = { 0 };
    if (store_get_exact(p->s, name, 0, there, sizeof there, &why) < 0)
        find(p, PROBE_READ_AFTER_WRITE, PROBE_MISSING, N_("reading what was put: %s"), why.text);
    else if (memcmp(there, winner->bytes, sizeof there) != 0)
        find(p, PROBE_PUT_IF_ABSENT, PROBE_MISSING, N_("the bytes of a client that was refused stand there"));
}

static int one_race(struct probe *p, unsigned round, struct bk_error *err)
{
    char leaf[32], name[STORE_NAME_MAX];
    pthread_t threads[CLIENTS_MAX];
    struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    unsigned n = 0;
    bk_auto(free) struct racer *v = calloc(p->r->clients, sizeof *v);
    if (!v)
        return bk_fail(err, BK_E_NOMEM, "no memory to probe the store");
    snprintf(leaf, sizeof leaf, "race.%u", round);
    name_of(p, leaf, name);
    for (; n < p->r->clients; n++) {
        v[n] = (struct racer){ .p = p, .gate = &gate, .name = name };
        memset(v[n].bytes, (int)n, RACE_BYTES);
        if (pthread_create(&threads[n], NULL, race, &v[n]) != 0)
            break;
    }
    gate_open(&gate);
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    if (n < 2)
        return bk_fail(err, BK_E_NOMEM, "no threads to probe the store");
    judge(p, name, v, n);
    return 0;
}

static void check_reads(struct probe *p, const char *name)
{
    static const struct {
        uint64_t offset;
        size_t len, want;
    } parts[] = { { 0, 1, 1 },           { 1, 4096, 4096 },      { 65535, 2, 2 },
                  { BODY - 10, 10, 10 }, { BODY - 10, 100, 10 }, { BODY, 10, 0 },
                  { BODY + 5, 1, 0 } };
    static const size_t most = 4096;
    uint64_t size = 0;
    struct bk_error why = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf all = BK_BUF(BODY);
    if (store_get_all(p->s, name, BODY, &all, &why) < 0 || store_stat(p->s, name, &size, &why) < 0)
        find(p, PROBE_READ_AFTER_WRITE, PROBE_MISSING, N_("reading what was put: %s"), why.text);
    else if (size != BODY || all.len != BODY || memcmp(all.data, p->body, BODY) != 0)
        find(p, PROBE_READ_AFTER_WRITE, PROBE_MISSING, N_("other bytes came back than were put"));
    uint8_t part[4096];
    for (size_t i = 0; i < BK_COUNT(parts); i++) {
        size_t got = 0, len = parts[i].len < most ? parts[i].len : most;
        if (p->s->ops->get(p->s, name, parts[i].offset, part, len, &got, &why) < 0)
            find(p, PROBE_RANGES, PROBE_MISSING, N_("reading a part: %s"), why.text);
        else if (got != parts[i].want || memcmp(part, p->body + (got ? parts[i].offset : 0), got) != 0)
            find(p, PROBE_RANGES, PROBE_MISSING, N_("another part came back than was asked for"));
    }
}

struct sought {
    const char *name;
    uint64_t size;
    bool seen;
};

static int seek(void *ctx, const char *name, uint64_t size, struct bk_error *err)
{
    struct sought *s = ctx;
    (void)err;
    if (strcmp(name, s->name) == 0) {
        s->seen = true;
        s->size = size;
    }
    return 0;
}

static void check_listing(struct probe *p, const char *name, enum probe_check c, bool want)
{
    struct sought s = { .name = name };
    struct bk_error why = { 0 };
    if (store_list(p->s, p->folder, seek, &s, &why) < 0)
        find(p, c, PROBE_MISSING, N_("listing: %s"), why.text);
    else if (want && (!s.seen || s.size != BODY))
        find(p, c, PROBE_MISSING, N_("what was just put is not in the listing, or with another size"));
    else if (!want && s.seen)
        find(p, c, PROBE_MISSING, N_("what was just removed is still in the listing"));
}

static void check_truncated(struct probe *p)
{
    char name[STORE_NAME_MAX];
    uint64_t size;
    struct bk_error why = { 0 };
    if (!p->s->ops->put_broken) {
        find(p, PROBE_TRUNCATED_PUT, PROBE_UNTRIED, N_("this kind of store has no connection to break"));
        return;
    }
    name_of(p, "broken", name);
    int r = p->s->ops->put_broken(p->s, name, p->body, BODY, &why);
    if (r == 0)
        r = store_stat(p->s, name, &size, &why);
    if (r == 0)
        find(p, PROBE_TRUNCATED_PUT, PROBE_MISSING, N_("a put that broke off left an object of %llu bytes"),
             (unsigned long long)size);
    else if (r != BK_E_ABSENT)
        find(p, PROBE_TRUNCATED_PUT, PROBE_UNTRIED, "%s", why.text);
}

static void check_removal(struct probe *p, const char *name)
{
    uint64_t size;
    struct bk_error why = { 0 };
    for (unsigned i = 0; i < 2; i++)
        if (store_remove(p->s, name, &why) < 0)
            find(p, PROBE_REMOVE, PROBE_MISSING, N_("removing: %s"), why.text);
    if (store_stat(p->s, name, &size, &why) != BK_E_ABSENT)
        find(p, PROBE_REMOVE, PROBE_MISSING, N_("what was removed is still there"));
    check_listing(p, name, PROBE_REMOVE, false);
}

static void check_clock(struct probe *p)
{
    struct bk_error why = { 0 };
    int64_t ahead_ns = 0;
    if (!p->s->ops->clock) {
        find(p, PROBE_CLOCK, PROBE_UNTRIED, N_("this kind of store has no clock of its own"));
        return;
    }
    if (p->s->ops->clock(p->s, &ahead_ns, &why) < 0) {
        find(p, PROBE_CLOCK, PROBE_UNTRIED, "%s", why.text);
        return;
    }
    p->r->ahead_ms = ahead_ns / 1000000;
    long long s = (long long)(ahead_ns / 1000000000);
    if (s > PROBE_SKEW_MAX_S || s < -PROBE_SKEW_MAX_S)
        find(p, PROBE_CLOCK, PROBE_MISSING, N_("the clocks differ by %lld seconds"), s < 0 ? -s : s);
}

static int prepare(struct probe *p, struct bk_error *err)
{
    uint8_t id[8];
    int r = p->world->random(p->world->ctx, id, sizeof id, err);
    if (r < 0)
        return r;
    strcpy(p->folder, "probe/");
    for (size_t i = 0; i < sizeof id; i++)
        snprintf(p->folder + 6 + 2 * i, 3, "%02x", id[i]);
    strcat(p->folder, "/");
    p->body = malloc(BODY);
    if (!p->body)
        return bk_fail(err, BK_E_NOMEM, "no memory to probe the store");
    return p->world->random(p->world->ctx, p->body, BODY, err);
}

static void clean_up(struct probe *p)
{
    static const char *const leaves[] = { "body", "broken" };
    char leaf[32], name[STORE_NAME_MAX];
    struct bk_error ignored = { 0 };
    for (unsigned i = 0; i < p->r->rounds; i++) {
        snprintf(leaf, sizeof leaf, "race.%u", i);
        name_of(p, leaf, name);
        (void)!store_remove(p->s, name, &ignored);
    }
    for (size_t i = 0; i < BK_COUNT(leaves); i++) {
        name_of(p, leaves[i], name);
        (void)!store_remove(p->s, name, &ignored);
    }
    free(p->body);
}

/* Without these no repository can be kept; without the others some commands are forbidden. */
static bool usable(const struct probe_report *r)
{
    static const enum probe_check needed[] = { PROBE_PUT_IF_ABSENT, PROBE_READ_AFTER_WRITE,
                                               PROBE_LIST_AFTER_WRITE, PROBE_RANGES, PROBE_TRUNCATED_PUT };
    for (size_t i = 0; i < BK_COUNT(needed); i++)
        if (r->of[needed[i]].result == PROBE_MISSING)
            return false;
    return true;
}

int store_probe(struct store *s, const struct probe_opts *o, const struct world *w, struct probe_report *ret,
                struct bk_error *err)
{
    char name[STORE_NAME_MAX];
    *ret = (struct probe_report){ .rounds = o->rounds ? o->rounds : ROUNDS,
                                  .clients = o->clients ? o->clients : CLIENTS };
    if (ret->clients > CLIENTS_MAX)
        ret->clients = CLIENTS_MAX;
    struct probe p = { .s = s, .world = w, .r = ret };
    int r = prepare(&p, err);
    name_of(&p, "body", name);
    /* the first put tells whether there is a store at all */
    if (r == 0)
        r = store_put(s, name, p.body, BODY, err);
    for (unsigned i = 0; r == 0 && i < ret->rounds; i++)
        r = one_race(&p, i, err);
    if (r == 0) {
        check_reads(&p, name);
        check_listing(&p, name, PROBE_LIST_AFTER_WRITE, true);
        check_truncated(&p);
        check_removal(&p, name);
        check_clock(&p);
        ret->usable = usable(ret);
    }
    clean_up(&p);
    return r;
}
