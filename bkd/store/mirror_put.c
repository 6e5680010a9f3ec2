/* Put. Objects that are named by their content go to as many stores as must hold them at once; all others go
 * to the primary first, whose answer is the answer. */
#include "bkd/store/mirror_state.h"
#include "formats/object/verify.h"

static int refused(struct mirror *m, const char *name, struct bk_error *err)
{
    bk_fail(err, BK_E_UNSUPPORTED,
            "%s: the first store of the mirror, %s, does not answer, and it alone decides", name,
            m->m[0].url);
    return bk_hint(err, "wait until it is back; when it is lost for good, put another store first in the "
                        "mirror's URL, for every user of the repository");
}

/* A collector's word stands on what it saw: never on a store that did not answer. */
static bool is_decision(const char *name)
{
    return strncmp(name, "generation/", 11) == 0 || strncmp(name, "tombstones/", 11) == 0;
}

static int incomplete(const char *name, struct bk_error *err)
{
    bk_fail(err, BK_E_UNSUPPORTED, "%s: one of the mirror's stores did not answer: nothing may be collected",
            name);
    return bk_hint(err, "run it again when all stores of the mirror are there");
}

static bool has(struct mirror *m, unsigned i, const char *name, int *ret, struct bk_error *err)
{
    uint64_t size;
    *ret = mirror_usable(m, i, false, err);
    if (*ret == 0)
        *ret = store_stat(m->m[i].s, name, &size, err);
    return *ret == 0;
}

/* The primary had everything first: what it lacks and a secondary has it has lost, and the name is taken. */
static int check_free(struct mirror *m, const char *name, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r;
    for (unsigned i = 1; i < m->n; i++) {
        if (has(m, i, name, &r, &why)) {
            if (!has(m, 0, name, &r, &why) && r == BK_E_ABSENT)
                (void)!mirror_heal(&m->store, name, &(struct store_heal){ 0 }, &why);
            return bk_fail(err, BK_E_EXISTS, "object %s is there already", name);
        }
        if (r != BK_E_ABSENT) {
            mirror_failed(m, i, r, &why);
            if (is_decision(name))
                return incomplete(name, err);
        }
    }
    return 0;
}

/* Is the very same object there? 1, 0 or an error. */
static int same_there(struct mirror *m, unsigned i, const char *name, const void *data, size_t len,
                      struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf there = BK_BUF(0);
    int r = store_get_all(m->m[i].s, name, len + 1, &there, err);
    if (r == BK_E_LIMIT || r == BK_E_ABSENT || r == BK_E_CORRUPT)
        return 0;
    return r < 0 ? r : there.len == len && (!len || memcmp(there.data, data, len) == 0);
}

/* A secondary follows the primary: what stands there under the name is the primary's object, or makes way. */
static int follow(struct mirror *m, unsigned i, const char *name, const void *data, size_t len,
                  struct bk_error *err)
{
    int r = mirror_usable(m, i, false, err);
    if (r < 0)
        return r;
    r = mirror_copy(m, 0, i, false, name, data, len, err);
    if (r == BK_E_IO && same_there(m, i, name, data, len, NULL) == 1) /* only the answer was lost */
        return 0;
    if (r != BK_E_EXISTS)
        return r;
    r = same_there(m, i, name, data, len, err);
    return r == 0 ? mirror_copy(m, 0, i, true, name, data, len, err) : r < 0 ? r : 0;
}

/* A copy that failed is left to the filler, and said. */
static void left(struct mirror *m, unsigned i, const char *name, const struct bk_error *why)
{
    mirror_failed(m, i, why->code, why);
    mirror_event(m, STORE_EVENT_NOT_WRITTEN, i, name, why->text);
    mirror_fill_later(m, i, name);
}

static int too_few(struct mirror *m, const char *name, unsigned have, const struct bk_error *why,
                   struct bk_error *err)
{
    bk_fail(err, BK_E_COPIES, "%s is in %u of the %u stores that must hold it: %s", name, have, m->needed,
            why->text);
    return bk_hint(err, "with mirror:%u:... in the repository's URL fewer copies do while a store is away",
                   have ? have : 1);
}

/* Stores that are missing from the start: then nothing is written at all. */
static int check_copies(struct mirror *m, const char *name, struct bk_error *err)
{
    struct bk_error first = { 0 };
    unsigned missing = 0;
    for (unsigned i = 0; i < m->n; i++) {
        struct bk_error why = { 0 };
        if (mirror_usable(m, i, false, &why) < 0 && missing++ == 0)
            first = why;
    }
    return m->n - missing >= m->needed ? 0 : too_few(m, name, 0, &first, err);
}

/* The primary's answer is the answer. */
static int decide(struct mirror *m, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = store_put(m->m[0].s, name, data, len, &why);
    if (r < 0) {
        mirror_failed(m, 0, r, &why);
        if (mirror_is_outage(r) && atomic_load(&m->degraded))
            return refused(m, name, err);
        if (err)
            *err = why;
        if (r != BK_E_EXISTS)
            mirror_of(m, 0, err);
    }
    return r;
}

static int put_control(struct mirror *m, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct bk_error why = { 0 }, first = { 0 };
    unsigned have = 1;
    if (mirror_usable(m, 0, false, NULL) < 0)
        return refused(m, name, err);
    int r = check_free(m, name, err);
    if (r == 0)
        r = decide(m, name, data, len, err);
    if (r < 0)
        return r;
    for (unsigned i = 1; i < m->n; i++) {
        bk_error_clear(&why);
        r = follow(m, i, name, data, len, &why);
        if (r == 0 || r == BK_E_ABSENT) { /* ABSENT: removed again meanwhile */
            have++;
            continue;
        }
        mirror_of(m, i, &why);
        left(m, i, name, &why);
        if (!first.code)
            first = why;
    }
    return have >= m->needed ? 0 : too_few(m, name, have, &first, err);
}

/* One store's part of a put of content. */
struct part {
    struct mirror *m;
    unsigned i;
    const char *name;
    const void *data;
    size_t len;
    bool existed;
    int r;
    struct bk_error why;
    pthread_t thread;
    bool started;
};

/* What stands there under the hash of these bytes is these bytes, or damaged; its size tells most of it. */
static int put_here(struct part *p)
{
    struct store *s = p->m->m[p->i].s;
    uint64_t size;
    int r = store_put(s, p->name, p->data, p->len, &p->why);
    if (r == BK_E_IO && store_stat(s, p->name, &size, NULL) == 0 && size == p->len)
        return 0; /* only the answer was lost */
    if (r != BK_E_EXISTS)
        return r;
    r = store_stat(s, p->name, &size, &p->why);
    p->existed = r == 0 && size == p->len;
    if (p->existed || (r < 0 && r != BK_E_ABSENT))
        return r;
    r = object_verify(p->name, p->data, p->len, &p->why);
    if (r == 0)
        r = store_remove(s, p->name, &p->why);
    return r < 0 ? r : store_put(s, p->name, p->data, p->len, &p->why);
}

static void *run_part(void *arg)
{
    struct part *p = arg;
    p->r = put_here(p);
    if (p->r < 0)
        mirror_of(p->m, p->i, &p->why);
    return NULL;
}

/* Parts first..end at once; returns how many hold it. The caller's own thread takes the last of them. */
static unsigned run_parts(struct part *parts, unsigned first, unsigned end)
{
    unsigned have = 0;
    for (unsigned i = first; i + 1 < end; i++)
        parts[i].started = pthread_create(&parts[i].thread, NULL, run_part, &parts[i]) == 0;
    for (unsigned i = first; i < end; i++)
        if (!parts[i].started)
            run_part(&parts[i]);
    for (unsigned i = first; i < end; i++) {
        if (parts[i].started)
            pthread_join(parts[i].thread, NULL);
        have += parts[i].r == 0;
    }
    return have;
}

static int put_content(struct mirror *m, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct part parts[MIRROR_MAX];
    unsigned order[MIRROR_MAX], n = mirror_order(m, order), have = 0, done = 0;
    for (unsigned i = 0; i < n; i++)
        parts[i] = (struct part){ .m = m, .i = order[i], .name = name, .data = data, .len = len };
    while (have < m->needed && done < n) {
        unsigned more = m->needed - have, end = done + more < n ? done + more : n;
        have += run_parts(parts, done, end);
        done = end;
    }
    bool existed = false;
    struct bk_error first = { 0 };
    for (unsigned i = 0; i < n; i++) {
        if (i >= done) {
            mirror_fill_later(m, order[i], name);
        } else if (parts[i].r < 0) {
            left(m, order[i], name, &parts[i].why);
            if (!first.code)
                first = parts[i].why;
        }
        existed |= i < done && parts[i].r == 0 && parts[i].existed;
    }
    for (unsigned i = 0; i < m->n && have < m->needed && !first.code; i++)
        (void)!mirror_usable(m, i, false, &first);
    if (have < m->needed)
        return too_few(m, name, have, &first, err);
    return existed ? bk_fail(err, BK_E_EXISTS, "object %s is there already", name) : 0;
}

int mirror_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    bool content = object_is_content(name);
    if (!content && is_decision(name) && atomic_load(&m->incomplete))
        return incomplete(name, err);
    if (!content && atomic_load(&m->degraded))
        return refused(m, name, err);
    int r = check_copies(m, name, err);
    if (r < 0)
        return r;
    return content ? put_content(m, name, data, len, err) : put_control(m, name, data, len, err);
}
