#include "formats/chunk/chunk.h"

#include <assert.h>

enum { NAME_AT_ONCE = 32 };

struct chunk_namer {
    struct suite_mac *mac[CHUNK_KINDS];
};

/* One key per kind rather than a kind byte in front of the data: the MAC takes one contiguous
 * message, and a copy of every chunk would only be made for that byte. */
static const char *const kind_info[CHUNK_KINDS] = { [CHUNK_DATA] = "data", [CHUNK_META] = "meta" };

int chunk_namer_new(const struct keyring *k, struct chunk_namer **ret, struct bk_error *err)
{
    bk_auto(chunk_namer_free) struct chunk_namer *n = calloc(1, sizeof *n);
    if (!n)
        return bk_fail(err, BK_E_NOMEM, "no memory for chunk keys");
    uint8_t key[SUITE_KEY];
    uint8_t kind_key[SUITE_KEY];
    int r = keyring_derive(k, "chunk-id", key, err);
    for (int i = 0; i < CHUNK_KINDS && r == 0; i++) {
        r = suite_hkdf(k->suite, key, sizeof key, NULL, 0, kind_info[i], kind_key, sizeof kind_key, err);
        if (r == 0)
            r = suite_mac_new(k->suite, kind_key, &n->mac[i], err);
    }
    suite_wipe(key, sizeof key);
    suite_wipe(kind_key, sizeof kind_key);
    if (r < 0)
        return bk_context(err, "derive the chunk keys");
    *ret = bk_steal(n);
    return 0;
}

int chunk_name(const struct chunk_namer *n, enum chunk_kind kind, const void *data, size_t len, chunk_id *ret,
               struct bk_error *err)
{
    return chunk_name_many(n, kind, &(struct suite_piece){ data, len }, 1, ret, err);
}

int chunk_name_many(const struct chunk_namer *c, enum chunk_kind kind, const struct suite_piece *chunks,
                    size_t n, chunk_id *ret, struct bk_error *err)
{
    static_assert(sizeof *ret == SUITE_HASH, "an id is a whole MAC");
    for (size_t i = 0; i < n; i++)
        if (chunks[i].len > CHUNK_MAX || (unsigned)kind >= CHUNK_KINDS)
            return bk_fail(err, BK_E_LIMIT, "a chunk of %zu bytes and kind %u cannot be named", chunks[i].len,
                           (unsigned)kind);
    uint8_t ids[NAME_AT_ONCE][SUITE_HASH];
    for (size_t i = 0; i < n; i += NAME_AT_ONCE) {
        size_t part = n - i < NAME_AT_ONCE ? n - i : NAME_AT_ONCE;
        int r = suite_mac_many(c->mac[kind], chunks + i, part, ids, err);
        if (r < 0)
            return bk_context(err, "name a chunk");
        memcpy(ret + i, ids, part * SUITE_HASH);
    }
    return 0;
}

void chunk_namer_free(struct chunk_namer *n)
{
    if (!n)
        return;
    for (int i = 0; i < CHUNK_KINDS; i++)
        suite_mac_free(n->mac[i]);
    free(n);
}
