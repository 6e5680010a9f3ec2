#include "bkd/repo/repo.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "bkd/repo/repo_build.h"
#include "formats/object/object.h"

enum { SEEN_BYTES_MAX = 16 << 20 };

struct repo {
    struct store *store;
    struct config config;
    struct keyring keyring;
    struct chunk_namer *namer;
    struct chunker *chunker;
    const struct world *world;
    uint8_t kek[SUITE_KEY];
    unsigned from_copies;

    pthread_mutex_t lock; /* guards the two below */
    struct idset seen;
    uint64_t highest_sequence;

    pthread_mutex_t healing; /* guards the two below, and is held while the store heals */
    struct idset tried, healed;
};

int repo_build(struct store *store, const struct config *c, struct keyring *k,
               const uint8_t kek[static SUITE_KEY], const struct world *w, struct repo **ret,
               struct bk_error *err)
{
    bk_auto(repo_free) struct repo *r = calloc(1, sizeof *r);
    if (!r)
        return bk_fail_errno(err, ENOMEM, "open a repository");
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->healing, NULL);
    r->seen.limit = SEEN_BYTES_MAX;
    r->config = *c;
    r->world = w;
    memcpy(r->kek, kek, sizeof r->kek);
    int rc = chunk_namer_new(k, &r->namer, err);
    if (rc < 0)
        return rc;
    rc = chunker_new(k, c, &r->chunker, err);
    if (rc < 0)
        return rc;
    r->keyring = *k;
    *k = (struct keyring){ 0 };
    r->store = store;
    *ret = bk_steal(r);
    return 0;
}

void repo_free(struct repo *r)
{
    if (!r)
        return;
    chunker_free(r->chunker);
    chunk_namer_free(r->namer);
    keyring_clear(&r->keyring);
    suite_wipe(r->kek, sizeof r->kek);
    idset_clear(&r->seen);
    idset_clear(&r->tried);
    idset_clear(&r->healed);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->healing);
    if (r->store)
        store_free(r->store);
    free(r);
}

struct store *repo_store(const struct repo *r)
{
    return r->store;
}

const struct config *repo_config(const struct repo *r)
{
    return &r->config;
}

const struct keyring *repo_keyring(const struct repo *r)
{
    return &r->keyring;
}

const struct chunk_namer *repo_namer(const struct repo *r)
{
    return r->namer;
}

const struct chunker *repo_chunker(const struct repo *r)
{
    return r->chunker;
}

const struct world *repo_world(const struct repo *r)
{
    return r->world;
}

unsigned repo_from_copies(const struct repo *r)
{
    return r->from_copies;
}

void repo_set_from_copies(struct repo *r, unsigned bits)
{
    r->from_copies = bits;
}

const uint8_t *repo_kek(const struct repo *r)
{
    return r->kek;
}

bool repo_heal(struct repo *r, const char *object)
{
    struct bk_error ignored = { 0 };
    uint8_t key[IDSET_ID];
    const char *hex = strrchr(object, '/');
    if (!r->store->ops->heal || !hex || object_unhex(hex + 1, key, sizeof key) < 0)
        return false;
    pthread_mutex_lock(&r->healing);
    if (idset_add(&r->tried, key, &ignored) == 1 && store_heal(r->store, object, NULL, &ignored) == 0)
        (void)!idset_add(&r->healed, key, &ignored);
    bool healed = idset_has(&r->healed, key);
    pthread_mutex_unlock(&r->healing);
    return healed;
}

static const char *const pack_prefix[CHUNK_KINDS] = { "data/", "meta/" };

void repo_pack_path(enum chunk_kind kind, const pack_name *name, char out[static REPO_PATH])
{
    char hex[2 * PACK_NAME + 1];
    object_hex(name->b, PACK_NAME, hex);
    snprintf(out, REPO_PATH, "%s%.2s/%s", pack_prefix[kind == CHUNK_META], hex, hex);
}

int repo_pack_of_path(const char *path, enum chunk_kind *ret_kind, pack_name *ret)
{
    for (int kind = 0; kind < CHUNK_KINDS; kind++) {
        size_t n = strlen(pack_prefix[kind]);
        if (strncmp(path, pack_prefix[kind], n) != 0)
            continue;
        const char *fan = path + n;
        pack_name name = { { 0 } };
        if (strlen(fan) != 3 + 2 * PACK_NAME || fan[2] != '/' || strncmp(fan, fan + 3, 2) != 0 ||
            object_unhex(fan + 3, name.b, PACK_NAME) < 0)
            return 0;
        *ret_kind = (enum chunk_kind)kind;
        *ret = name;
        return 1;
    }
    return 0;
}

void repo_id_path(const char *prefix, const uint8_t *id, size_t id_len, char out[static REPO_PATH])
{
    char hex[2 * SUITE_HASH + 1];
    object_hex(id, id_len < SUITE_HASH ? id_len : SUITE_HASH, hex);
    snprintf(out, REPO_PATH, "%s%s", prefix, hex);
}

/* The id's 32 hex digits are as good a key as its bytes. */
static bool snapshot_key(const char *name, uint8_t key[static IDSET_ID])
{
    const char *hex = strrchr(name, '/');
    memset(key, 0, IDSET_ID);
    return hex && strlen(hex + 1) == IDSET_ID && object_unhex(hex + 1, key, IDSET_ID / 2) == 0;
}

void repo_saw_snapshot(struct repo *r, const char *name, uint64_t sequence)
{
    uint8_t key[IDSET_ID];
    struct bk_error ignored = { 0 };
    if (!snapshot_key(name, key))
        return;
    pthread_mutex_lock(&r->lock);
    (void)!idset_add(&r->seen, key, &ignored); /* full: it is opened again, no more */
    if (sequence > r->highest_sequence && sequence < UINT64_MAX)
        r->highest_sequence = sequence;
    pthread_mutex_unlock(&r->lock);
}

bool repo_seen_snapshot(struct repo *r, const char *name)
{
    uint8_t key[IDSET_ID];
    if (!snapshot_key(name, key))
        return false;
    pthread_mutex_lock(&r->lock);
    bool seen = idset_has(&r->seen, key);
    pthread_mutex_unlock(&r->lock);
    return seen;
}

uint64_t repo_highest_sequence(struct repo *r)
{
    pthread_mutex_lock(&r->lock);
    uint64_t highest = r->highest_sequence;
    pthread_mutex_unlock(&r->lock);
    return highest;
}
