/* A repository, opened: store, config, keys, and what derives from them.
 *
 *     repo_init (once, ever)     repo_open -> ... -> repo_free
 *
 * An opened repository is immutable but for its caches and is used by many threads. Objects:
 *   config  keys/<slot>  keyring/<n>  sessions/<id>  snapshots/<id>  notes/<id>.<n>
 *   retention/<n>  copies/<name of a config, slot, keyring or retention>
 *   data/<2 hex>/<name>  meta/<2 hex>/<name>  index/<name>  generation/<n>  tombstones/<n>
 * docs/formats/repository.md */
#ifndef BKD_REPO_REPO_H
#define BKD_REPO_REPO_H

#include "bkd/job/job.h"
#include "bkd/store/store.h"
#include "formats/chunk/chunker.h"
#include "formats/crypto/slot.h"
#include "formats/object/config.h"
#include "formats/object/record.h"
#include "formats/pack/pack.h"

struct repo;

struct repo_init_opts {
    enum suite_id suite;
    const struct slot_secret *secret; /* the first slot */
    const struct slot_cost *cost;     /* NULL: default */
    const char *label;
    const struct config *config; /* sizes; NULL: defaults */
    /* Cut chunks where that repository does, with its sizes, so that backups here share their data with
     * copies from there; NULL: in our own places. Whoever has this keyring then knows its boundaries. */
    const struct repo *chunker_like;
};
/* The store is adopted on success. EXISTS when a config is there; on any failure what was put is removed
 * again. */
int repo_init_adopt_store(struct store *store, const struct repo_init_opts *opts, const struct world *w,
                          struct repo **ret, struct bk_error *err) BK_MUST_CHECK;
/* ABSENT: no repository there. AUTH, CORRUPT, VERSION. The store is adopted on success. */
int repo_open_adopt_store(struct store *store, const struct slot_secret *secret, const struct world *w,
                          struct repo **ret, struct bk_error *err) BK_MUST_CHECK;
void repo_free(struct repo *r);
BK_AUTO(struct repo *, repo_free)

struct store *repo_store(const struct repo *r);
const struct config *repo_config(const struct repo *r);
const struct keyring *repo_keyring(const struct repo *r);
const struct chunk_namer *repo_namer(const struct repo *r);
const struct chunker *repo_chunker(const struct repo *r);
const struct world *repo_world(const struct repo *r);
/* wrapped by every slot; for key management only */
const uint8_t *repo_kek(const struct repo *r);

/* Which small objects were read from their copies because the originals are damaged or missing: bits. */
enum { REPO_CONFIG_COPY = 1, REPO_SLOT_COPY = 2, REPO_KEYRING_COPY = 4 };
unsigned repo_from_copies(const struct repo *r);

enum { REPO_PATH = 128 };
/* "data/3f/3f2a..." */
void repo_pack_path(enum chunk_kind kind, const pack_name *name, char out[static REPO_PATH]);
/* 1 and the name when path is a pack's, else 0 */
int repo_pack_of_path(const char *path, enum chunk_kind *ret_kind, pack_name *ret);
/* "snapshots/<hex>" and the like: prefix, then id in hex */
void repo_id_path(const char *prefix, const uint8_t *id, size_t id_len, char out[static REPO_PATH]);

/* Damage was met in an object that is called by its content, or it is missing: write bad copies anew from a
 * sound one, where the store has several (mirror.h). Once per object while the repository is open, however
 * many ask. True: a sound copy stands; read it again, once. Any thread. */
bool repo_heal(struct repo *r, const char *object);

/* Seal and put a record (random salt; a lost acknowledgement is resolved); fetch and open one (payload is
 * replaced). */
int repo_put_record(struct repo *r, enum object_kind kind, const char *name, const void *payload, size_t len,
                    struct bk_error *err) BK_MUST_CHECK;
int repo_get_record(struct repo *r, enum object_kind kind, const char *name, struct bk_buf *payload,
                    struct bk_error *err) BK_MUST_CHECK;

#endif
