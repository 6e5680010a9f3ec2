/* Inside of a check: what its parts share. check.c runs them in this order:
 *
 *     check_objects    config, slots, keyrings, sessions, notes, the collector's objects
 *     check_segments   every index segment, page by page
 *     check_packs      what the index names is there at its size; asked for, or damaged: read in full
 * (check_pack.c) check_trees      every metadata page from every snapshot; what is hit by the damage found
 * before
 *
 * Packs are read before the trees are walked, so that one walk finds both damage and its blast radius; while
 * nothing is known to be damaged the trees are walked beside the packs (check_ahead.c). A
 * damaged pack is `bad` as a whole but for those of its frames that proved sound. */
#ifndef BKD_REPO_CHECK_STATE_H
#define BKD_REPO_CHECK_STATE_H

#include <pthread.h>

#include "bkd/repo/check.h"
#include "bkd/repo/idset.h"
#include "bkd/repo/names.h"

struct check {
    struct repo *repo;
    struct job *job;
    const struct check_opts *opts;
    check_damage_fn *fn;
    void *ctx;
    struct index *index;
    struct catalog cat;
    struct names packs[CHUNK_KINDS]; /* that are there */
    struct segment_pack *named;      /* owned: that the sound pages of segments name, some more than once */
    size_t n_named, cap_named;
    bool index_damaged; /* some segment is: being named by the index is then not enough */
    bool walked;        /* the trees, beside the packs: all is well */
    bool index_lost;    /* told: what snapshots need is in no segment, and none is damaged */

    pthread_mutex_t lock; /* guards all below, and calls of fn */
    struct check_report rep;
    struct idset bad_packs;   /* by name */
    struct idset gone_packs;  /* those of them that are not there; told when something in them is needed */
    struct idset good_chunks; /* of bad packs, by check_place */
    struct idset reported;    /* ids of objects whose damage was told */
};

enum { CHECK_LIST_MAX = 1 << 26 };

/* Errors that end the check; any other one is a finding. */
bool check_fatal(int code);
/* Damage of an object: counted and told. */
void check_found(struct check *c, const char *object, const struct bk_error *why);
/* Damage of a file: told; `first`: of this file in this snapshot, counted. */
void check_hit(struct check *c, const struct check_damage *d, bool first);
/* A chunk in the frame at its place, as an id. The place alone would not do: another pack under this name has
 * sound frames too. */
void check_place(const pack_name *pack, uint32_t offset, const chunk_id *chunk, uint8_t out[static IDSET_ID]);

int check_objects(struct check *c, struct bk_error *err) BK_MUST_CHECK;
int check_segments(struct check *c, struct bk_error *err) BK_MUST_CHECK;
int check_packs(struct check *c, struct bk_error *err) BK_MUST_CHECK;
int check_trees(struct check *c, struct bk_error *err) BK_MUST_CHECK;

/* check_pack.c: one pack read in full by one worker. */
struct check_pack {
    const char *name; /* store name */
    uint64_t size;    /* as listed */
    enum chunk_kind kind;
    pack_name id;
    bool known_bad; /* reported before it was read */
};
struct check_pack_worker;
int check_pack_worker_new(struct check *c, struct check_pack_worker **ret,
                          struct bk_error *err) BK_MUST_CHECK;
void check_pack_worker_free(struct check_pack_worker *w);
BK_AUTO(struct check_pack_worker *, check_pack_worker_free)
/* Bytes of memory that a worker takes at most. */
#define CHECK_PACK_WORKER_BYTES ((size_t)40 << 20)
/* 0 also when it is damaged: that is told and noted. */
int check_pack_read(struct check_pack_worker *w, const struct check_pack *p,
                    struct bk_error *err) BK_MUST_CHECK;

#endif
