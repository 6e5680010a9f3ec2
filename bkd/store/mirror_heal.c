/* Healing: sound bytes from one store take the place of bad or missing ones in another. */
#include "bkd/store/mirror_state.h"

/* Whoever removes an object takes the copies away from the secondaries first: a source that has gone since
 * the bytes were read means that the object is being removed, and our copy must not outlive it. */
static int still_wanted(struct mirror *m, unsigned from, unsigned to, const char *name, struct bk_error *err)
{
    struct bk_error why = { 0 }, ignored;
    uint64_t size;
    int r = store_stat(m->m[from].s, name, &size, &why);
    if (r != BK_E_ABSENT)
        return 0; /* also when it cannot be told: then nobody could have removed it either */
    (void)!store_remove(m->m[to].s, name, &ignored);
    if (err)
        *err = why;
    return r;
}

int mirror_copy(struct mirror *m, unsigned from, unsigned to, bool over, const char *name, const void *data,
                size_t len, struct bk_error *err)
{
    struct store *s = m->m[to].s;
    int r = over ? store_remove(s, name, err) : 0;
    if (r == 0)
        r = store_put(s, name, data, len, err);
    return r < 0 ? r : still_wanted(m, from, to, name, err);
}

/* What healing found of one copy. */
struct found {
    enum store_copy_state state;
    int r; /* of reading it */
    uint64_t bytes;
    struct bk_error why;
};

struct healing {
    struct mirror *m;
    const char *name;
    const struct store_heal *how;
    struct found f[MIRROR_MAX];
    struct bk_buf good; /* sound bytes, of member `from` */
    unsigned from;
    bool have;
};

static enum store_copy_state state_of(int r)
{
    switch (r) {
    case 0:
        return STORE_COPY_SOUND;
    case BK_E_VERSION:
    case BK_E_UNSUPPORTED:
        return STORE_COPY_UNKNOWN;
    default:
        return STORE_COPY_BAD;
    }
}

/* A sound copy that differs from the first sound one: not the one that was decided on. */
static void compare(struct healing *h, unsigned i, const struct bk_buf *b)
{
    struct found *f = &h->f[i];
    if (f->state != STORE_COPY_SOUND || (b->len == h->good.len && !memcmp(b->data, h->good.data, b->len)))
        return;
    f->state = STORE_COPY_BAD;
    f->r = bk_fail(&f->why, BK_E_CORRUPT, "it is another object than in %s", h->m->m[h->from].url);
}

static int look(struct healing *h, unsigned i, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    struct found *f = &h->f[i];
    f->r = mirror_usable(h->m, i, h->how->fill, &f->why);
    if (f->r < 0) {
        f->state = STORE_COPY_UNREACHABLE;
        return 0;
    }
    f->r = store_get_sound(h->m->m[i].s, h->name, &b, &f->why);
    if (f->r == BK_E_NOMEM || f->r == BK_E_CANCELLED) {
        if (err)
            *err = f->why;
        return f->r;
    }
    f->bytes = b.len;
    f->state = state_of(f->r);
    if (f->r != BK_E_UNSUPPORTED && mirror_failed(h->m, i, f->r, &f->why))
        f->state = STORE_COPY_UNREACHABLE;
    if (f->state == STORE_COPY_SOUND && !h->have) {
        bk_buf_clear(&h->good);
        h->good = b;
        b = (struct bk_buf){ 0 };
        h->from = i;
        h->have = true;
    } else if (h->have) {
        compare(h, i, &b);
    }
    return 0;
}

static void rewrite(struct healing *h, unsigned i)
{
    struct found *f = &h->f[i];
    struct bk_error why = { 0 };
    int r = mirror_copy(h->m, h->from, i, f->r != BK_E_ABSENT, h->name, h->good.data, h->good.len, &why);
    if (r == BK_E_EXISTS) /* somebody else was quicker */
        r = 0;
    if (r == 0) {
        f->state = STORE_COPY_REPAIRED;
        mirror_trust(h->m, i, h->name);
        mirror_event(h->m, STORE_EVENT_REPAIRED, i, h->name, f->why.text);
    } else if (r != BK_E_ABSENT) {
        f->state = STORE_COPY_BAD;
        f->why = why;
        mirror_shun(h->m, i, h->name);
    }
}

/* Beside a sound copy, one that this program cannot judge is damaged: the same bytes would be judged alike.
 */
static void repair(struct healing *h)
{
    for (unsigned i = 0; i < h->m->n; i++) {
        enum store_copy_state s = h->f[i].state;
        if (s == STORE_COPY_BAD || s == STORE_COPY_UNKNOWN)
            rewrite(h, i);
        if (h->f[i].state == STORE_COPY_BAD)
            mirror_event(h->m, STORE_EVENT_UNREPAIRED, i, h->name, h->f[i].why.text);
    }
}

static int outcome(struct healing *h, struct bk_error *err)
{
    bool there = false;
    int first = -1;
    for (unsigned i = 0; i < h->m->n; i++) {
        struct found *f = &h->f[i];
        bool gone = f->r == BK_E_ABSENT;
        there |= f->state != STORE_COPY_UNREACHABLE && !gone;
        if (f->state != STORE_COPY_UNREACHABLE && !gone && first < 0)
            first = (int)i;
    }
    if (h->have)
        return 0;
    if (!there)
        return bk_fail(err, BK_E_ABSENT, "object %s does not exist", h->name);
    if (err)
        *err = h->f[first].why;
    int r = h->f[first].r;
    if (r != BK_E_VERSION && r != BK_E_UNSUPPORTED)
        bk_fail(err, r = BK_E_CORRUPT, "no copy of %s is sound: %s", h->name, h->f[first].why.text);
    return r;
}

static void report(struct healing *h)
{
    for (unsigned i = 0; i < h->m->n && h->how->copy; i++) {
        struct found *f = &h->f[i];
        struct store_copy c = { .object = h->name,
                                .store = h->m->m[i].url,
                                .state = f->state,
                                .bytes = f->bytes,
                                .why = f->state == STORE_COPY_SOUND ? "" : f->why.text };
        h->how->copy(h->how->ctx, &c);
    }
}

static int heal_locked(struct healing *h, struct bk_error *err)
{
    for (unsigned i = 0; i < h->m->n; i++) {
        int r = look(h, i, err);
        if (r < 0)
            return r;
    }
    if (h->have)
        repair(h);
    int r = outcome(h, err);
    if (r != BK_E_ABSENT)
        report(h);
    return r;
}

int mirror_heal(struct store *s, const char *name, const struct store_heal *how, struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    struct healing h = { .m = m, .name = name, .how = how };
    pthread_mutex_lock(&m->healing);
    int r = heal_locked(&h, err);
    pthread_mutex_unlock(&m->healing);
    bk_buf_clear(&h.good);
    return r;
}
