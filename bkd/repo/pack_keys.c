#include "bkd/repo/pack_keys.h"

#include "bkd/repo/pack_key.h"

enum { SLOTS = 1024 }; /* a newcomer replaces whoever has its slot */

struct slot_key {
    bool used;
    pack_name pack;
    uint8_t key[SUITE_KEY];
};

struct pack_keys {
    struct repo *repo;
    pthread_mutex_t lock; /* guards slots; not held while a header is read */
    struct slot_key slots[SLOTS];
};

int pack_keys_new(struct repo *r, struct pack_keys **ret, struct bk_error *err)
{
    struct pack_keys *k = calloc(1, sizeof *k);
    if (!k)
        return bk_fail(err, BK_E_NOMEM, "no memory for pack keys");
    k->repo = r;
    pthread_mutex_init(&k->lock, NULL);
    *ret = k;
    return 0;
}

void pack_keys_free(struct pack_keys *k)
{
    if (!k)
        return;
    suite_wipe(k->slots, sizeof k->slots);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

int pack_keys_get(struct pack_keys *k, enum chunk_kind kind, const pack_name *pack,
                  uint8_t ret[static SUITE_KEY], struct bk_error *err)
{
    struct slot_key *s = &k->slots[(pack->b[0] | pack->b[1] << 8) % SLOTS];
    uint8_t header[PACK_HEADER];
    pthread_mutex_lock(&k->lock);
    bool there = s->used && memcmp(&s->pack, pack, sizeof *pack) == 0;
    if (there)
        memcpy(ret, s->key, SUITE_KEY);
    pthread_mutex_unlock(&k->lock);
    if (there)
        return 0;
    int r = pack_key_read(k->repo, kind, pack, header, ret, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&k->lock);
    s->used = true;
    s->pack = *pack;
    memcpy(s->key, ret, SUITE_KEY);
    pthread_mutex_unlock(&k->lock);
    return 0;
}
