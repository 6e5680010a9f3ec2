#include "bkd/repo/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bkd/repo/copies.h"
#include "bkd/repo/names.h"
#include "bkd/repo/repo_build.h"

static int load_slot(struct store *s, const char *name, struct slot *ret, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    int r = store_get_all(s, name, REPO_SLOT_MAX, &b, err);
    if (r < 0)
        return r;
    return slot_decode(b.data, b.len, ret, err);
}

int keys_list(struct store *s, keys_list_fn *fn, void *ctx, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    int r = names_list(s, "keys/", REPO_SLOTS_MAX, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n; i++) {
        const char *name = list.v[i].name;
        struct bk_error why = { 0 };
        struct slot slot;
        r = load_slot(s, name, &slot, &why);
        if (r == BK_E_ABSENT)
            continue; /* removed since it was listed */
        r = fn(ctx, name, r < 0 ? NULL : &slot, r < 0 ? &why : NULL);
        if (r != 0) {
            if (r < 0)
                return bk_fail(err, r, "listing the key slots of %s was given up", s->url);
            return 0;
        }
    }
    return 0;
}

int keys_add(struct repo *r, const struct slot_secret *secret, const struct slot_cost *cost,
             const char *label, uint8_t ret_id[static SLOT_ID], struct bk_error *err)
{
    struct store *s = repo_store(r);
    const struct world *w = repo_world(r);
    bk_auto(names_clear) struct names list = { 0 };
    int rc = names_list(s, "keys/", REPO_SLOTS_MAX, &list, err);
    if (rc < 0)
        return rc;
    if (list.n >= REPO_SLOTS_MAX)
        return bk_fail(err, BK_E_LIMIT, "%s has %zu key slots, which is the most it can have", s->url,
                       list.n);

    uint8_t random[SLOT_RANDOM];
    struct slot slot;
    rc = w->random(w->ctx, random, sizeof random, err);
    if (rc == 0)
        rc = slot_seal(secret, repo_config(r)->suite, cost, label ? label : "",
                       (uint64_t)(w->now_ns(w->ctx) / 1000000000), random, repo_kek(r), &slot, err);
    suite_wipe(random, sizeof random);
    if (rc < 0)
        return bk_context(err, "make a key slot");

    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(REPO_SLOT_MAX);
    rc = slot_encode(&slot, &b, err);
    if (rc < 0)
        return bk_context(err, "make a key slot");
    char name[REPO_PATH];
    repo_id_path("keys/", slot.id, SLOT_ID, name);
    rc = repo_put_sure(s, name, b.data, b.len, err);
    if (rc < 0)
        return bk_context(err, "put %s", name);
    struct bk_error ignored = { 0 };
    (void)!copies_put(s, name, b.data, b.len, &ignored);
    memcpy(ret_id, slot.id, SLOT_ID);
    return 0;
}

/* The one slot whose hex id starts with the prefix. */
static int find_slot(const struct names *list, const char *prefix, const char **ret, struct bk_error *err)
{
    char want[2 * SLOT_ID + 1];
    size_t len = strlen(prefix);
    if (!len || len > 2 * SLOT_ID)
        return bk_fail(err, BK_E_ABSENT, "no key slot has an id that starts with %s", len ? prefix : "\"\"");
    for (size_t i = 0; i <= len; i++)
        want[i] = (char)tolower((unsigned char)prefix[i]);
    const char *found = NULL;
    for (size_t i = 0; i < list->n; i++) {
        if (strncmp(list->v[i].name + strlen("keys/"), want, len) != 0)
            continue;
        if (found) {
            bk_fail(err, BK_E_AMBIGUOUS, "more than one key slot has an id that starts with %s", prefix);
            return bk_hint(err, "bkctl key list shows them; give more digits");
        }
        found = list->v[i].name;
    }
    if (!found) {
        bk_fail(err, BK_E_ABSENT, "no key slot has an id that starts with %s", prefix);
        return bk_hint(err, "bkctl key list shows them");
    }
    *ret = found;
    return 0;
}

int keys_remove(struct repo *r, const char *id_prefix, struct bk_error *err)
{
    struct store *s = repo_store(r);
    bk_auto(names_clear) struct names list = { 0 };
    int rc = names_list(s, "keys/", REPO_SLOTS_MAX, &list, err);
    if (rc < 0)
        return rc;
    const char *name = NULL;
    rc = find_slot(&list, id_prefix, &name, err);
    if (rc < 0)
        return rc;

    /* A slot that does not decode opens nothing: it is no reason to let the last sound one go. */
    size_t sound_others = 0;
    for (size_t i = 0; i < list.n; i++) {
        struct slot slot;
        struct bk_error why = { 0 };
        if (list.v[i].name != name && load_slot(s, list.v[i].name, &slot, &why) == 0)
            sound_others++;
    }
    if (!sound_others) {
        bk_fail(err, BK_E_USAGE, "%s is the last key slot: without it nobody could read the repository again",
                name);
        return bk_hint(err, "add another one first: bkctl key add");
    }
    return copies_remove(s, name, err);
}
