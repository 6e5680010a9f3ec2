/* Removal: the secondaries first, all of them, then the primary, then the secondaries once more for a copy
 * that was being written meanwhile. */
#include "bkd/store/mirror_state.h"

static int needs_all(struct bk_error *err, const char *name)
{
    bk_context(err, "remove %s: nothing is removed from a mirror while a store is missing", name);
    return bk_hint(err, "run it again when all stores of the mirror are there");
}

static int all_there(struct mirror *m, const char *name, struct bk_error *err)
{
    for (unsigned i = 0; i < m->n; i++)
        if (mirror_usable(m, i, false, err) < 0)
            return needs_all(err, name);
    if (atomic_load(&m->degraded) || atomic_load(&m->incomplete)) {
        bk_fail(err, BK_E_IO, "a store did not answer");
        return needs_all(err, name);
    }
    return 0;
}

static int remove_in(struct mirror *m, unsigned i, const char *name, struct bk_error *err)
{
    struct bk_error why = { 0 };
    int r = store_remove(m->m[i].s, name, &why);
    if (r == 0 || r == BK_E_ABSENT)
        return 0;
    mirror_failed(m, i, r, &why);
    if (err)
        *err = why;
    mirror_of(m, i, err);
    return mirror_is_outage(r) ? needs_all(err, name) : r;
}

int mirror_remove(struct store *s, const char *name, struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    int r = all_there(m, name, err);
    for (unsigned i = 1; i < m->n && r == 0; i++)
        r = remove_in(m, i, name, err);
    if (r == 0)
        r = remove_in(m, 0, name, err);
    for (unsigned i = 1; i < m->n && r == 0; i++)
        r = remove_in(m, i, name, err);
    return r;
}

/* One that does not answer, or has no copy yet, is no reason to fail as long as another one locks; it is one
 * to come back. */
int mirror_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    struct bk_error first = { 0 };
    unsigned locked = 0;
    for (unsigned i = 0; i < m->n; i++) {
        struct bk_error why = { 0 };
        if (m->m[i].s && !(m->m[i].s->can & STORE_CAN_RETAIN))
            continue;
        int r = mirror_usable(m, i, false, &why);
        if (r == 0)
            r = store_retain(m->m[i].s, name, until_ns, &why);
        if (r == 0) {
            locked++;
            continue;
        }
        mirror_of(m, i, &why);
        bool later = r == BK_E_ABSENT || !m->m[i].s || mirror_failed(m, i, r, &why);
        if (!later) {
            if (err)
                *err = why;
            return r;
        }
        if (!first.code || first.code == BK_E_ABSENT)
            first = why;
    }
    if (!first.code)
        return 0;
    if (locked)
        return bk_fail(err, BK_E_ABSENT, "%s is not locked in every store: %s", name, first.text);
    if (err)
        *err = first;
    return first.code;
}

/* The time of the one that is furthest ahead: locks are long enough for all. */
int mirror_clock(struct store *s, int64_t *ret_ahead_ns, struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    bool any = false;
    for (unsigned i = 0; i < m->n; i++) {
        struct bk_error ignored = { 0 };
        int64_t ahead_ns;
        if (!m->m[i].s || store_clock(m->m[i].s, &ahead_ns, &ignored) < 0)
            continue;
        if (!any || ahead_ns > *ret_ahead_ns)
            *ret_ahead_ns = ahead_ns;
        any = true;
    }
    return any ? 0 : bk_fail(err, BK_E_UNSUPPORTED, "this kind of store has no clock of its own");
}
