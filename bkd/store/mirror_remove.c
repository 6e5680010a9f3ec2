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

int mirror_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    for (unsigned i = 0; i < m->n; i++) {
        int r = mirror_usable(m, i, false, err);
        if (r < 0)
            return r;
        r = store_retain(m->m[i].s, name, until_ns, err);
        if (r < 0)
            return err ? mirror_of(m, i, err) : r;
    }
    return 0;
}
