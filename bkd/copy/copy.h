/* Copying snapshots into another repository, of other keys, another suite, in another store.
 *
 *     copy_open -> copy_source, copy_there ... copy_one ... -> copy_free
 *
 * Chunks are named under keys of their repository, so each one gets a new name and a new seal, and the pages
 * that name it are written anew, from the bottom up. Boundaries of chunks stay as they are. A copy records
 * where it came from, and a copy of a copy the same: what is there already, on whichever way it came, is not
 * copied again. docs/design/copy.md. One thread. */
#ifndef BKD_COPY_COPY_H
#define BKD_COPY_COPY_H

#include "bkd/job/job.h"
#include "bkd/repo/catalog.h"

/* Which snapshot it is, wherever it lies: the repository and the session in which it was made. */
struct copy_origin {
    uint8_t repo[CONFIG_REPO_ID], snapshot[SESSION_ID];
};
void copy_origin_of(const struct repo *r, const struct snapshot *s, struct copy_origin *ret);

/* Something that cannot be read from the source. */
struct copy_loss {
    const struct snapshot *snap; /* of the source */
    const uint8_t *path;
    size_t path_len;
    uint64_t offset, len; /* of a file's bytes; len 0: what stands at path is gone */
    const struct bk_error *why;
};

struct copy_opts {
    bool keep_damaged; /* copy what is sound, record the rest as exceptions */
    bool forgetful;    /* use and write nothing that is remembered on this machine: keep.h */
    int zstd_level;    /* default 1 is set by the caller */
    /* Each loss, in the order of the tree; of one snapshot at most COPY_LOSSES_TOLD. May be NULL. */
    void (*on_loss)(void *ctx, const struct copy_loss *l);
    /* An object that is damaged and left out. May be NULL. */
    void (*on_damage)(void *ctx, const char *object, const struct bk_error *why);
    void *ctx;
};
enum { COPY_LOSSES_TOLD = 1000 };

struct copy;
/* Holds a session of the role reader in `from`, then loads the catalogues of both. All borrowed. USAGE: the
 * two are one repository. */
int copy_open(struct repo *from, struct repo *to, struct job *j, const struct copy_opts *o, struct copy **ret,
              struct bk_error *err) BK_MUST_CHECK;
void copy_free(struct copy *c);
BK_AUTO(struct copy *, copy_free)
const struct catalog *copy_source(const struct copy *c);
const struct catalog *copy_target(const struct copy *c); /* as it was at copy_open */
/* The sound copy of a snapshot of copy_source in the target, and if there is only a damaged one that one;
 * NULL: none. Of what copy_one made only the id, name, times, counts and state are set. */
const struct snapshot *copy_there(const struct copy *c, const struct catalog_item *i);
/* A copy that lacks more than its original did. */
bool copy_is_damaged(const struct snapshot *copy, const struct snapshot *original);

struct copy_result {
    bool refused; /* parts cannot be read, and keep_damaged is not set: nothing was committed */
    uint8_t id[SESSION_ID];
    uint64_t n_losses;
    uint64_t chunks_read, pages_read; /* from the source */
    uint64_t read_bytes;              /* frames of data from the source, as they are stored */
    uint64_t pages_learned;           /* of an older copy, instead of reading what it shares */
    uint64_t new_bytes, stored_bytes; /* in the target */
};
/* Copy one, of copy_source; in their order is best. Its chunks are stored in the target when it is refused,
 * too, and are not stored again by the next try.
 *   errors  of the source that are no damage, and of the target; what was stored is found again */
int copy_one(struct copy *c, const struct catalog_item *i, struct copy_result *ret,
             struct bk_error *err) BK_MUST_CHECK;

#endif
