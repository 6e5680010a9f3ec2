/* Cache store: keeps copies of metadata on the local disk, so that a remote store is asked once. Owns the
 * store below.
 *
 * Kept are packs of metadata, index segments, snapshots and key slots: everything below meta/, index/,
 * snapshots/ and keys/. They never change, so a copy cannot be out of date, but for a snapshot that was
 * forgotten and has given its name to a void record: a listing drops a copy of another size. Whether an
 * object is still there is asked of the store below by every listing. A copy is made of what is put and of
 * what is read whole or in part, and given back as a descriptor (store_ops.fd) too. What a copy's name says
 * about its bytes (the hash) is checked before it is kept, and its own digest before it is first used: a
 * damaged copy is dropped and fetched again. Data packs are never kept.
 *
 * The folder may be used by many processes at once: a copy appears under its name whole, by rename. When the
 * folder grows past `bytes`, the copies that were not used for longest go. Nothing that is wrong with the
 * cache ever fails a call. docs/design/store-cache.md */
#ifndef BKD_STORE_CACHE_H
#define BKD_STORE_CACHE_H

#include "bkd/store/store.h"

#define CACHE_BYTES_DEFAULT ((uint64_t)4 << 30)
/* An object larger than this is not kept. */
#define CACHE_OBJECT_MAX ((uint64_t)256 << 20)

/* dir: made if need be, with its parents, mode 0700. */
int store_cache_new(struct store *below, const char *dir, uint64_t bytes, struct store **ret,
                    struct bk_error *err) BK_MUST_CHECK;

#endif
