#include "bkd/repo/pack_key.h"

int pack_key_read(struct repo *r, enum chunk_kind kind, const pack_name *name,
                  uint8_t ret_header[static PACK_HEADER], uint8_t ret_key[static SUITE_KEY],
                  struct bk_error *err)
{
    const struct keyring *k = repo_keyring(r);
    struct pack_header h;
    char path[REPO_PATH];
    repo_pack_path(kind, name, path);
    int e = store_get_exact(repo_store(r), path, 0, ret_header, PACK_HEADER, err);
    if (e == 0)
        e = pack_header_decode(ret_header, PACK_HEADER, &h, err);
    if (e == 0 && (h.suite != k->suite || h.kind != kind))
        e = bk_fail(err, BK_E_CORRUPT, "suite %u or kind %u is not what was expected", h.suite, h.kind);
    if (e == 0)
        e = keyring_object_key(k, h.epoch, h.salt, "pack", ret_key, err);
    return e < 0 ? bk_context(err, "header of %s", path) : 0;
}
