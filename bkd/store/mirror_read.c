/* Reading: the primary is asked first, and what it lacks or cannot give comes from the others.
 *
 * Objects that are named by their content are read in ranges, so that what is read cannot be judged here:
 * whoever opens it does, and asks for healing. All others are small and read whole, so that a damaged one is
 * never given out while another store holds a sound one. */
#include "bkd/store/mirror_state.h"
#include "formats/object/record.h"
#include "formats/object/verify.h"

static const struct store_heal no_report = { 0 };

/* Another store has what member i lost. What healing did is in the events; reading goes on either way. */
static void heal(struct mirror *m, const char *name)
{
    struct bk_error ignored;
    (void)!mirror_heal(&m->store, name, &no_report, &ignored);
}

/* How an operation on one object went in the stores asked so far. The primary's ABSENT is the answer when no
 * other store has it; a store that does not answer takes nothing away from that. */
struct asked {
    struct bk_error absent, failed;
    bool lost; /* some store that answers cannot give it */
};

static void note(struct mirror *m, struct asked *a, unsigned i, int r, const struct bk_error *why)
{
    bool absent = r == BK_E_ABSENT;
    struct bk_error *e = absent ? &a->absent : &a->failed;
    a->lost |= !mirror_failed(m, i, r, why);
    if (e->code && i != 0)
        return;
    *e = *why;
    if (!absent)
        mirror_of(m, i, e);
}

static int nobody(struct mirror *m, const struct asked *a, struct bk_error *err)
{
    struct bk_error none = { 0 };
    const struct bk_error *e = &a->failed;
    if (a->absent.code && (!a->failed.code || !atomic_load(&m->degraded)))
        e = &a->absent;
    if (!e->code) {
        (void)!mirror_usable(m, 0, false, &none);
        e = &none;
    }
    if (err)
        *err = *e;
    return e->code ? e->code : bk_fail(err, BK_E_IO, "no store of the mirror can be read");
}

/* Does another store say that the object goes on where this one ends? */
static bool cut_short(struct mirror *m, unsigned i, const char *name, uint64_t end)
{
    unsigned order[MIRROR_MAX], n = mirror_order(m, order);
    struct bk_error ignored;
    uint64_t size;
    for (unsigned k = 0; k < n; k++)
        if (order[k] != i && store_stat(m->m[order[k]].s, name, &size, &ignored) == 0 && size > end)
            return true;
    return false;
}

static int get_range(struct mirror *m, const char *name, uint64_t offset, void *out, size_t len,
                     size_t *ret_len, struct bk_error *err)
{
    struct asked a = { 0 };
    unsigned order[MIRROR_MAX], n = mirror_order(m, order);
    mirror_shunned_last(m, name, order, n);
    for (unsigned k = 0; k < n; k++) {
        struct bk_error why = { 0 };
        unsigned i = order[k];
        size_t got = 0;
        int r = m->m[i].s->ops->get(m->m[i].s, name, offset, out, len, &got, &why);
        if (r == 0 && got < len && cut_short(m, i, name, offset + got))
            r = bk_fail(&why, BK_E_CORRUPT, "object %s is cut short", name);
        if (r < 0) {
            note(m, &a, i, r, &why);
            continue;
        }
        mirror_well(m, i);
        if (a.lost)
            heal(m, name);
        *ret_len = got;
        return 0;
    }
    return nobody(m, &a, err);
}

/* A sound copy, else what the first store gave: let the caller say what is wrong with it. */
static int get_whole(struct mirror *m, const char *name, struct bk_buf *out, struct bk_error *err)
{
    struct asked a = { 0 };
    unsigned order[MIRROR_MAX], n = mirror_order(m, order);
    bk_auto(bk_buf_clear) struct bk_buf unsound = BK_BUF(0);
    bool have = false;
    for (unsigned k = 0; k < n; k++) {
        struct bk_error why = { 0 };
        int r = store_get_sound(m->m[order[k]].s, name, out, &why);
        if (r == 0) {
            mirror_well(m, order[k]);
            if (a.lost || have)
                heal(m, name);
            return 0;
        }
        bool there = r == BK_E_CORRUPT || r == BK_E_VERSION || r == BK_E_UNSUPPORTED;
        if (!there) {
            note(m, &a, order[k], r, &why);
        } else if (!have) {
            bk_buf_clear(&unsound);
            unsound = *out;
            *out = (struct bk_buf){ 0 };
            have = true;
        }
    }
    if (!have)
        return nobody(m, &a, err);
    bk_buf_clear(out);
    *out = unsound;
    unsound = (struct bk_buf){ 0 };
    return 0;
}

int mirror_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len, size_t *ret_len,
               struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    if (object_is_content(name))
        return get_range(m, name, offset, out, len, ret_len, err);
    bk_auto(bk_buf_clear) struct bk_buf whole = BK_BUF(RECORD_MAX);
    int r = get_whole(m, name, &whole, err);
    if (r < 0)
        return r;
    size_t n = offset >= whole.len ? 0 : whole.len - (size_t)offset;
    n = n < len ? n : len;
    if (n)
        memcpy(out, whole.data + offset, n);
    *ret_len = n;
    return 0;
}

static int stat_content(struct mirror *m, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct asked a = { 0 };
    unsigned order[MIRROR_MAX], n = mirror_order(m, order);
    for (unsigned k = 0; k < n; k++) {
        struct bk_error why = { 0 };
        uint64_t size;
        int r = store_stat(m->m[order[k]].s, name, &size, &why);
        if (r < 0) {
            note(m, &a, order[k], r, &why);
            continue;
        }
        mirror_well(m, order[k]);
        if (a.lost)
            heal(m, name);
        *ret_size = size;
        return 0;
    }
    return nobody(m, &a, err);
}

int mirror_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    struct mirror *m = (struct mirror *)s;
    if (object_is_content(name))
        return stat_content(m, name, ret_size, err);
    bk_auto(bk_buf_clear) struct bk_buf whole = BK_BUF(RECORD_MAX);
    int r = get_whole(m, name, &whole, err);
    if (r == 0)
        *ret_size = whole.len;
    return r;
}
