/* Making a repository. The config is put last and put-if-absent: it is the commit. A run that dies before it
 * leaves a keyring and a slot that nothing refers to; the next init steps over them and open never mistakes
 * them for its own. */
#include <stdio.h>
#include <string.h>

#include "bkd/repo/copies.h"
#include "bkd/repo/repo.h"
#include "bkd/repo/repo_build.h"

/* What is made before anything is put. */
struct birth {
    struct config config;
    uint8_t kek[SUITE_KEY];
    struct keyring keyring;
    struct bk_buf config_bytes, keyring_plain, keyring_bytes, slot_bytes;
    char slot_name[REPO_PATH];
    char keyring_name[REPO_PATH]; /* "" until put */
    bool slot_put;
};

static void birth_clear(struct birth *b)
{
    suite_wipe(b->kek, sizeof b->kek);
    keyring_clear(&b->keyring);
    if (b->keyring_plain.data)
        suite_wipe(b->keyring_plain.data, b->keyring_plain.len);
    bk_buf_clear(&b->keyring_plain);
    bk_buf_clear(&b->keyring_bytes);
    bk_buf_clear(&b->config_bytes);
    bk_buf_clear(&b->slot_bytes);
}
BK_AUTO_CLEAR(struct birth, birth_clear)

static int refuse_taken(struct store *s, struct bk_error *err)
{
    uint64_t size;
    struct bk_error why = { 0 };
    int r = store_stat(s, REPO_CONFIG_NAME, &size, &why);
    if (r == BK_E_ABSENT && (r = store_stat(s, COPIES_PREFIX REPO_CONFIG_NAME, &size, &why)) == BK_E_ABSENT)
        return 0;
    if (r < 0) {
        if (err)
            *err = why;
        return bk_context(err, "look for a repository at %s", s->url);
    }
    bk_fail(err, BK_E_EXISTS, "there is a repository at %s already", s->url);
    return bk_hint(err, "nothing was changed; choose another place, or use this repository as it is");
}

static int make_config(struct birth *b, const struct repo_init_opts *o, const struct world *w,
                       uint8_t digest[static SUITE_HASH], struct bk_error *err)
{
    if (o->config)
        b->config = *o->config;
    else
        config_defaults(&b->config);
    if (o->chunker_like) {
        const struct config *like = repo_config(o->chunker_like);
        b->config.chunker = like->chunker;
        b->config.chunk_min = like->chunk_min;
        b->config.chunk_avg = like->chunk_avg;
        b->config.chunk_max = like->chunk_max;
        b->config.segment_bytes = like->segment_bytes;
    }
    int r = w->random(w->ctx, b->config.repo_id, sizeof b->config.repo_id, err);
    if (r < 0)
        return r;
    b->config.suite = o->suite;
    b->config.created_s = (uint64_t)(w->now_ns(w->ctx) / 1000000000);
    r = config_encode(&b->config, &b->config_bytes, err);
    if (r < 0)
        return r;
    /* Read back what was made: sizes out of range must not become a repository that never opens. */
    return config_decode(b->config_bytes.data, b->config_bytes.len, &b->config, digest, err);
}

static int make_slot(struct birth *b, const struct repo_init_opts *o, const struct world *w,
                     struct bk_error *err)
{
    uint8_t random[SLOT_RANDOM];
    int r = w->random(w->ctx, random, sizeof random, err);
    if (r < 0)
        return r;
    struct slot slot;
    r = slot_seal(o->secret, o->suite, o->cost, o->label ? o->label : "", b->config.created_s, random, b->kek,
                  &slot, err);
    suite_wipe(random, sizeof random);
    if (r < 0)
        return r;
    repo_id_path("keys/", slot.id, SLOT_ID, b->slot_name);
    return slot_encode(&slot, &b->slot_bytes, err);
}

static int like_another(struct birth *b, const struct repo *like, struct bk_error *err)
{
    enum suite_id suite;
    uint8_t key[SUITE_KEY];
    int r = keyring_chunker(repo_keyring(like), &suite, key, err);
    if (r == 0)
        keyring_set_chunker(&b->keyring, suite, key);
    suite_wipe(key, sizeof key);
    return r;
}

static int make_all(struct birth *b, const struct repo_init_opts *o, const struct world *w,
                    struct bk_error *err)
{
    uint8_t digest[SUITE_HASH], random[64];
    int r = make_config(b, o, w, digest, err);
    if (r < 0)
        return r;
    r = w->random(w->ctx, b->kek, sizeof b->kek, err);
    if (r < 0)
        return r;
    r = w->random(w->ctx, random, sizeof random, err);
    if (r < 0)
        return r;
    r = keyring_init(&b->keyring, o->suite, random, digest, err);
    suite_wipe(random, sizeof random);
    if (r == 0 && o->chunker_like)
        r = like_another(b, o->chunker_like, err);
    if (r < 0)
        return r;
    r = keyring_encode(&b->keyring, &b->keyring_plain, err);
    if (r < 0)
        return r;
    return make_slot(b, o, w, err);
}

/* Under the first free number: lower ones are left over from an init that died. */
static int put_keyring(struct birth *b, struct store *s, const struct world *w, struct bk_error *err)
{
    for (unsigned number = 0;; number++) {
        char name[REPO_PATH];
        snprintf(name, sizeof name, "keyring/%u", number);
        uint8_t salt[RECORD_SALT];
        int r = w->random(w->ctx, salt, sizeof salt, err);
        if (r < 0)
            return r;
        bk_auto(bk_buf_clear) struct bk_buf sealed = BK_BUF(RECORD_MAX);
        r = record_seal_kek(b->config.suite, b->kek, OBJECT_KEYRING, name, salt, b->keyring_plain.data,
                            b->keyring_plain.len, &sealed, err);
        if (r < 0)
            return r;
        r = repo_put_sure(s, name, sealed.data, sealed.len, err);
        if (r == BK_E_EXISTS && number < REPO_KEYRINGS_MAX)
            continue;
        if (r < 0)
            return r;
        memcpy(b->keyring_name, name, sizeof name);
        b->keyring_bytes = sealed;
        sealed = (struct bk_buf){ 0 };
        return 0;
    }
}

static int put_all(struct birth *b, struct store *s, const struct world *w, struct bk_error *err)
{
    int r = put_keyring(b, s, w, err);
    if (r < 0)
        return bk_context(err, "put the keyring");
    r = repo_put_sure(s, b->slot_name, b->slot_bytes.data, b->slot_bytes.len, err);
    if (r < 0)
        return bk_context(err, "put the key slot");
    b->slot_put = true;
    r = repo_put_sure(s, REPO_CONFIG_NAME, b->config_bytes.data, b->config_bytes.len, err);
    if (r < 0)
        return bk_context(err, "put the config");
    return 0;
}

/* After the commit, and not before: a copy of the config says that there was a repository. */
static void put_copies(const struct birth *b, struct store *s)
{
    struct bk_error ignored = { 0 };
    (void)!copies_put(s, b->keyring_name, b->keyring_bytes.data, b->keyring_bytes.len, &ignored);
    (void)!copies_put(s, b->slot_name, b->slot_bytes.data, b->slot_bytes.len, &ignored);
    (void)!copies_put(s, REPO_CONFIG_NAME, b->config_bytes.data, b->config_bytes.len, &ignored);
}

/* Take back what was put. A config of our own goes first; when nobody can tell what stands there the keys
 * stay, for they may belong to a committed repository. */
static void undo(struct birth *b, struct store *s)
{
    struct bk_error why = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf there = BK_BUF(0);
    int r = store_get_all(s, REPO_CONFIG_NAME, REPO_CONFIG_MAX, &there, &why);
    if (r < 0 && r != BK_E_ABSENT)
        return;
    if (r == 0 && there.len == b->config_bytes.len && there.len &&
        memcmp(there.data, b->config_bytes.data, there.len) == 0 &&
        store_remove(s, REPO_CONFIG_NAME, &why) < 0)
        return;
    if (b->slot_name[0])
        (void)!store_remove(s, b->slot_name, &why);
    if (b->keyring_name[0])
        (void)!store_remove(s, b->keyring_name, &why);
}

int repo_init_adopt_store(struct store *store, const struct repo_init_opts *opts, const struct world *w,
                          struct repo **ret, struct bk_error *err)
{
    int r = refuse_taken(store, err);
    if (r < 0)
        return r;
    bk_auto(birth_clear) struct birth b = {
        .config_bytes = BK_BUF(REPO_CONFIG_MAX),
        .keyring_plain = BK_BUF(1 << 20),
        .slot_bytes = BK_BUF(REPO_SLOT_MAX),
    };
    r = make_all(&b, opts, w, err);
    if (r < 0)
        return bk_context(err, "make a repository at %s", store->url);
    r = put_all(&b, store, w, err);
    if (r == 0)
        r = repo_build(store, &b.config, &b.keyring, b.kek, w, ret, err);
    if (r < 0) {
        undo(&b, store);
        return bk_context(err, "make a repository at %s", store->url);
    }
    put_copies(&b, store);
    return 0;
}
