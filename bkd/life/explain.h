/* Why a pack or a chunk stays: which snapshots need it, and for what. Or that none does. */
#ifndef BKD_LIFE_EXPLAIN_H
#define BKD_LIFE_EXPLAIN_H

#include "bkd/repo/repo.h"
#include "formats/snapshot/snapshot.h"

enum explain_state { /* of a pack, to the collector */
                     EXPLAIN_PLAIN = 0,
                     EXPLAIN_CANDIDATE, /* it may go; the collection is not decided */
                     EXPLAIN_DOOMED,    /* it goes */
                     EXPLAIN_LIFTED,    /* it was to go, and is needed after all */
};
struct explain_report {
    bool is_pack;
    char object[REPO_PATH]; /* of the pack, or of one that the chunk is in */
    uint64_t bytes;         /* of that pack */
    bool named;             /* the index knows it */
    enum explain_state state;
    uint64_t n_chunks, n_needed; /* of the pack, or 1 */
    uint64_t n_places;           /* packs that the chunk is in */
    uint64_t n_snapshots, n_uses;
};
/* A use: a file, directory or stream; one call for each that needs at least one of the chunks. */
typedef void explain_fn(void *ctx, const struct snapshot *s, const void *path, size_t len);
/* what: a pack's name or a prefix of at least 8 digits of it, or a chunk's id in full. ABSENT, AMBIGUOUS */
int explain_run(struct repo *r, struct job *j, const char *what, explain_fn *fn, void *ctx,
                struct explain_report *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
