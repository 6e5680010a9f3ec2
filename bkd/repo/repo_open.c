/* From a secret to an opened repository: config, slots, keyring, and the config's digest inside the keyring.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/repo/copies.h"
#include "bkd/repo/names.h"
#include "bkd/repo/repo.h"
#include "bkd/repo/repo_build.h"

enum { COPIES_MAX = 1 << 18 };

struct opening {
    struct store *store;
    const struct slot_secret *secret;
    struct config config;
    uint8_t digest[SUITE_HASH];
    uint8_t kek[SUITE_KEY];
    struct keyring keyring;
    struct names slots;
    struct names keyrings;
    unsigned n_fitting, n_damaged; /* slots of the secret's kind; slots that do not decode */
    bool opened;                   /* a slot opened, but no keyring fitted it */
    const char *config_name;       /* the config's or its copy's */
    unsigned from_copies;          /* REPO_..._COPY */
    struct bk_error slot_why;      /* of a damaged slot */
    struct bk_error keyring_why;   /* of a damaged keyring */
};

static void opening_clear(struct opening *o)
{
    suite_wipe(o->kek, sizeof o->kek);
    keyring_clear(&o->keyring);
    names_clear(&o->slots);
    names_clear(&o->keyrings);
}
BK_AUTO_CLEAR(struct opening, opening_clear)

static int read_config(struct opening *o, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    int r = store_get_all(o->store, o->config_name, REPO_CONFIG_MAX, &b, err);
    if (r == BK_E_ABSENT) {
        bk_fail(err, BK_E_ABSENT, "there is no repository at %s", o->store->url);
        return bk_hint(err, "check the place, or make a repository there with: bkctl init");
    }
    if (r == BK_E_LIMIT)
        return bk_fail(err, BK_E_CORRUPT, "the config of %s is larger than any config can be", o->store->url);
    if (r < 0)
        return bk_context(err, "read the config of %s", o->store->url);
    r = config_decode(b.data, b.len, &o->config, o->digest, err);
    if (r < 0)
        return bk_context(err, "config of %s", o->store->url);
    return 0;
}

bool repo_keyring_number(const char *name, uint32_t *ret)
{
    const char *p = name + strlen("keyring/");
    uint64_t n = 0;
    if (!*p || (p[0] == '0' && p[1]))
        return false;
    for (; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        n = n * 10 + (uint64_t)(*p - '0');
        if (n > REPO_KEYRINGS_MAX)
            return false;
    }
    *ret = (uint32_t)n;
    return true;
}

/* Highest number first; names that are no keyring's sort last. */
static int newest_first(const void *a, const void *b)
{
    const struct names_item *x = a, *y = b;
    uint32_t i, j;
    bool xn = repo_keyring_number(x->name, &i), yn = repo_keyring_number(y->name, &j);
    if (!xn || !yn)
        return (int)yn - (int)xn;
    return (i < j) - (i > j);
}

/* Those below prefix whose copies alone are left belong to the list as well. */
static int add_copied(struct names *n, const struct names *copies, const char *prefix, struct bk_error *err)
{
    struct names_item *v = reallocarray(n->v, n->n + copies->n + 1, sizeof *v);
    size_t had = n->n;
    if (!v)
        return bk_fail_errno(err, ENOMEM, "list the objects of a store");
    n->v = v;
    n->cap = had + copies->n + 1;
    for (size_t i = 0; i < copies->n; i++) {
        struct names known = { .v = n->v, .n = had };
        const char *name = copies->v[i].name + strlen(COPIES_PREFIX);
        if (strncmp(name, prefix, strlen(prefix)) != 0 || names_find(&known, name))
            continue;
        n->v[n->n].name = strdup(name);
        if (!n->v[n->n].name)
            return bk_fail_errno(err, ENOMEM, "list the objects of a store");
        n->n++;
    }
    return 0;
}

/* One listing of all copies is cheaper than one of each kind. */
static int list_keys(struct opening *o, struct bk_error *err)
{
    bk_auto(names_clear) struct names copies = { 0 };
    int r = names_list(o->store, "keys/", REPO_SLOTS_MAX, &o->slots, err);
    if (r == 0)
        r = names_list(o->store, "keyring/", REPO_KEYRINGS_MAX, &o->keyrings, err);
    if (r == 0)
        r = names_list(o->store, COPIES_PREFIX, COPIES_MAX, &copies, err);
    if (r == 0)
        r = add_copied(&o->slots, &copies, "keys/", err);
    if (r == 0)
        r = add_copied(&o->keyrings, &copies, "keyring/", err);
    if (r == 0 && o->keyrings.n)
        qsort(o->keyrings.v, o->keyrings.n, sizeof *o->keyrings.v, newest_first);
    return r;
}

/* 1 when what stands at `place` opened as the keyring `name` with the KEK at hand and belongs to the config;
 * 0 when it does not. */
static int try_keyring_at(struct opening *o, const char *place, const char *name, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(0);
    bk_auto(bk_buf_clear) struct bk_buf plain = BK_BUF(RECORD_MAX);
    int r = store_get_all(o->store, place, RECORD_MAX, &sealed, err);
    if (r < 0)
        return r;
    r = record_open_kek(o->config.suite, o->kek, OBJECT_KEYRING, name, sealed.data, sealed.len, &plain, err);
    if (r == BK_E_AUTH)
        return 0; /* sound, under another KEK: left over from an init that lost or died */
    if (r < 0)
        return r;
    struct keyring k = { 0 };
    r = keyring_decode(o->config.suite, plain.data, plain.len, &k, err);
    suite_wipe(plain.data, plain.len);
    if (r < 0)
        return r;
    if (memcmp(k.config_digest, o->digest, SUITE_HASH) != 0) {
        keyring_clear(&k);
        return bk_fail(err, BK_E_CORRUPT, "the config is not the one that this keyring was made with");
    }
    o->keyring = k;
    return 1;
}

static int try_keyring(struct opening *o, const char *name, struct bk_error *err)
{
    struct bk_error ignored = { 0 };
    char copy[REPO_PATH];
    int r = try_keyring_at(o, name, name, err);
    if (r >= 0 || bk_code_aborts(r) || r == BK_E_VERSION)
        return r;
    copies_path(name, copy);
    if (try_keyring_at(o, copy, name, &ignored) == 1) {
        o->from_copies |= REPO_KEYRING_COPY;
        return 1;
    }
    return r == BK_E_ABSENT ? 0 : r;
}

/* Newest sound one wins. An older one stands in for a damaged newer: what it can still read is better than
 * nothing. */
static int find_keyring(struct opening *o, struct bk_error *err)
{
    for (size_t i = 0; i < o->keyrings.n; i++) {
        uint32_t number;
        const char *name = o->keyrings.v[i].name;
        if (!repo_keyring_number(name, &number))
            break;
        struct bk_error why = { 0 };
        int r = try_keyring(o, name, &why);
        if (r == 1)
            return 1;
        if (bk_code_aborts(r) || r == BK_E_VERSION) {
            if (err)
                *err = why;
            return bk_context(err, "open %s of %s", name, o->store->url);
        }
        if (r < 0 && !o->keyring_why.code) {
            bk_context(&why, "%s", name);
            o->keyring_why = why;
        }
    }
    return 0;
}

static int read_slot(struct store *s, const char *name, struct slot *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    int r = store_get_all(s, name, REPO_SLOT_MAX, &b, err);
    return r < 0 ? r : slot_decode(b.data, b.len, ret, err);
}

/* The slot, or its copy when it is damaged or gone: where copies alone are left there was no removal, for
 * that takes the copy first. */
static int read_slot_or_copy(struct store *s, const char *name, struct slot *ret, bool *ret_copy,
                             struct bk_error *err)
{
    struct bk_error ignored = { 0 };
    char copy[REPO_PATH];
    int r = read_slot(s, name, ret, err);
    *ret_copy = false;
    if (r == 0 || bk_code_aborts(r))
        return r;
    copies_path(name, copy);
    if (read_slot(s, copy, ret, &ignored) < 0)
        return r;
    *ret_copy = true;
    return 0;
}

/* 1 when the slot opened and a keyring fits it, 0 to try the next. */
static int try_slot(struct opening *o, const char *name, struct bk_error *err)
{
    struct bk_error why = { 0 };
    struct slot slot;
    bool copy;
    int r = read_slot_or_copy(o->store, name, &slot, &copy, &why);
    if (r == BK_E_ABSENT)
        return 0; /* removed since it was listed */
    if (r == 0) {
        if (slot.kind != o->secret->kind)
            return 0;
        o->n_fitting++;
        r = slot_open(&slot, o->secret, o->kek, &why);
        if (r == BK_E_AUTH)
            return 0;
    }
    if (r == 0) {
        o->opened = true;
        r = find_keyring(o, err);
        if (r == 1 && copy)
            o->from_copies |= REPO_SLOT_COPY;
        return r;
    }
    if (bk_code_aborts(r)) {
        if (err)
            *err = why;
        return bk_context(err, "try %s of %s", name, o->store->url);
    }
    o->n_damaged++;
    bk_context(&why, "%s", name);
    o->slot_why = why;
    return 0;
}

/* Nothing opened: say the likeliest reason. */
static int explain(const struct opening *o, struct bk_error *err)
{
    const char *url = o->store->url;
    if (o->opened && o->keyring_why.code) {
        if (err)
            *err = o->keyring_why;
        return bk_context(err, "the keyring of %s is damaged", url);
    }
    if (o->opened)
        return bk_fail(err, BK_E_CORRUPT, "the keyring of %s is missing: its data cannot be read without it",
                       url);
    if (!o->slots.n)
        return bk_fail(err, BK_E_CORRUPT, "%s has no key slots: its data cannot be read without one", url);
    if (!o->n_fitting && o->n_damaged) {
        if (err)
            *err = o->slot_why;
        return bk_context(err, "no key slot of %s can be tried", url);
    }
    if (!o->n_fitting) {
        bk_fail(err, BK_E_AUTH, "%s has no key slot for a secret of kind %s", url,
                bk_text(slot_kind_name(o->secret->kind)));
        return bk_hint(err, "bkctl key list shows what opens this repository");
    }
    bk_fail(err, BK_E_AUTH, "the %s opens none of the key slots of %s",
            bk_text(slot_kind_name(o->secret->kind)), url);
    if (o->n_damaged)
        return bk_hint(
            err,
            BK_COUNTED("%u key slot is damaged and was not tried; another secret may still open it",
                       "%u key slots are damaged and were not tried; another secret may still open it",
                       o->n_damaged),
            o->n_damaged);
    return bk_hint(err,
                   "check where the secret comes from: --password-file, --password-command, BKCTL_PASSWORD");
}

static int open_with(struct store *store, const char *config_name, const struct slot_secret *secret,
                     const struct world *w, struct repo **ret, struct bk_error *err)
{
    bk_auto(
        opening_clear) struct opening o = { .store = store, .secret = secret, .config_name = config_name };
    int r = read_config(&o, err);
    if (r == 0)
        r = list_keys(&o, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < o.slots.n; i++) {
        r = try_slot(&o, o.slots.v[i].name, err);
        if (r < 0)
            return r;
        if (r == 1) {
            r = repo_build(store, &o.config, &o.keyring, o.kek, w, ret, err);
            if (r == 0)
                repo_set_from_copies(*ret, o.from_copies);
            return r;
        }
    }
    return explain(&o, err);
}

int repo_open_adopt_store(struct store *store, const struct slot_secret *secret, const struct world *w,
                          struct repo **ret, struct bk_error *err)
{
    struct bk_error why = { 0 };
    uint64_t size;
    int r = open_with(store, REPO_CONFIG_NAME, secret, w, ret, err);
    /* A config that is gone, damaged or another one's; what else is wrong its copy cannot help. */
    if ((r != BK_E_ABSENT && r != BK_E_CORRUPT) ||
        store_stat(store, COPIES_PREFIX REPO_CONFIG_NAME, &size, &why) < 0 ||
        open_with(store, COPIES_PREFIX REPO_CONFIG_NAME, secret, w, ret, &why) < 0)
        return r;
    repo_set_from_copies(*ret, repo_from_copies(*ret) | REPO_CONFIG_COPY);
    return 0;
}
