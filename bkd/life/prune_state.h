/* Inside of a prune: what its parts share. prune.c tells the story; the parts in their order:
 *
 *     mark     every page from every snapshot; what is needed           mark.c mark_scan.c mark_pages.c
 *     choose   packs without use; half-used ones within the budget      choose.c
 *     repack   what is needed of those, into new packs                  repack.c
 *     publish  tombstones; later the decision                           publish.c
 *     wait     for sessions from before, or fence them                  wait.c
 *     lift     candidates that later snapshots need                     lift.c
 *     carry    out the decision: index, packs, what is finished         carry.c sweep.c
 */
#ifndef BKD_LIFE_PRUNE_STATE_H
#define BKD_LIFE_PRUNE_STATE_H

#include "bkd/life/chunk_set.h"
#include "bkd/life/prune.h"
#include "bkd/repo/catalog.h"
#include "bkd/repo/collection.h"
#include "bkd/repo/index.h"
#include "bkd/repo/session.h"

/* Packs of a decision that outlast it. */
struct doomed {
    struct tombstone *v; /* owned, in the order of tombstone_cmp */
    uint64_t bytes;
    size_t n;
};
bool doomed_has(const struct doomed *d, enum chunk_kind kind, const pack_name *name);

struct prune {
    struct repo *repo;
    struct job *job;
    const struct prune_opts *opts;
    bool renew; /* what stands cannot be read: a new number is published, even with nothing to go */
    struct session *session; /* NULL: in a dry run, or as long as the store is full */
    struct prune_report rep;
    struct doomed locked;     /* packs that the store does not let go yet: every list names them again */
    size_t n_locked_segments; /* the same of the index */
    size_t n_listed;          /* packs of our last list that no earlier one named */
    bool index_lacks;         /* some of what the packs hold */
};

/* Packs as they are listed, with what is known of them. packs.c */
enum {
    PACK_BAD = 1 << 0,    /* not of the size that the index says, or damage was met in it: stays */
    PACK_NAMED = 1 << 1,  /* by the index */
    PACK_CHOSEN = 1 << 2, /* is (to be) written anew */
    PACK_DOOMED = 1 << 3, /* a candidate: lift; goes: carry */
    PACK_NEEDED = 1 << 4, /* lift: a candidate that is needed */
    PACK_MOVED = 1 << 5,  /* lift: a candidate whose needed chunks lie elsewhere as well */
};
struct pack {
    pack_name name;
    uint8_t kind;
    uint8_t flags;
    uint32_t n_total, n_needed, n_first; /* chunks; needed; needed and in no pack before this one */
    uint64_t bytes;
};
struct packs {
    struct pack *v; /* owned, by kind and name */
    size_t n, cap;
};
enum { PACK_NONE = UINT32_MAX };
int packs_list(struct store *s, struct packs *ret, struct bk_error *err) BK_MUST_CHECK;
void packs_clear(struct packs *p);
BK_AUTO_CLEAR(struct packs, packs_clear)
/* Its place, or PACK_NONE. */
uint32_t packs_find(const struct packs *p, unsigned kind, const pack_name *name);
/* Flags onto those in the list. */
void packs_flag(struct packs *p, const struct collection *c, bool doomed_only);
/* Packs that a decision has doomed count as absent, though they may still be there: whoever carries it out,
 * also somebody that was taken for dead, will get to them. */
void packs_drop_doomed(struct packs *p, const struct collection *c);

/* Where metadata chunks lie. */
struct meta_place {
    uint64_t key[2];
    uint32_t frame; /* of mark.frames */
    uint16_t slot;
    bool seen; /* needed, and looked into or about to be */
};
struct meta_frame {
    uint32_t pack; /* of packs */
    uint32_t offset, stored_len, raw_len;
};
struct meta_map {
    struct meta_place *v; /* owned */
    size_t n, cap;
};

struct mark {
    struct repo *repo;
    struct job *job;
    bool recovered; /* the packs said more than the index */
    struct index *index;
    struct packs packs;
    struct meta_map metas;
    struct meta_frame *frames; /* owned */
    size_t n_frames, cap_frames;
    struct chunk_set data;
    chunk_id last;                    /* data chunk that was added last: neighbours often share it */
    uint8_t (*snapshots)[SESSION_ID]; /* owned, sorted: those that were marked */
    size_t n_snapshots;
    uint64_t n_missing;       /* chunks that are needed and in no pack */
    struct collection before; /* that the index is guarded by */
    struct bk_error error;    /* of a page that is being read */
};
/* Catalogue, index, listing, in this order: whatever a snapshot needs was put before it. candidates: a
 * decided or undecided collection whose packs are flagged; NULL: none. known: marks that have been done,
 * whose snapshots are left out; NULL: none. CORRUPT when something that is needed cannot be found or read. */
int mark_run(struct mark *m, struct prune *p, const struct collection *candidates, const struct mark *known,
             struct bk_error *err) BK_MUST_CHECK;
void mark_clear(struct mark *m);
BK_AUTO_CLEAR(struct mark, mark_clear)
bool mark_knows(const struct mark *m, const uint8_t id[static SESSION_ID]);

/* mark_scan.c: every entry of every segment, part by part. pack: PACK_NONE when it is not there. meta_frame:
 * line of mark.frames for metadata, the same in each scan. 0 goes on. */
struct scanned {
    const struct segment_entry *e;
    const struct segment_frame *frame;
    uint32_t pack, meta_frame;
    enum chunk_kind kind;
};
typedef int mark_scan_fn(void *ctx, const struct scanned *s, struct bk_error *err);
int mark_scan(struct mark *m, unsigned part, unsigned n_parts, mark_scan_fn *fn, void *ctx,
              struct bk_error *err) BK_MUST_CHECK;
/* mark_pages.c */
int mark_pages(struct mark *m, const struct catalog *c, const struct mark *known,
               struct bk_error *err) BK_MUST_CHECK;
/* mark_metas.c: the table of metadata places. collect fills it; find: SIZE_MAX when it is nowhere. */
int mark_metas(struct mark *m, struct bk_error *err) BK_MUST_CHECK;
size_t mark_meta_find(const struct mark *m, const chunk_id *id);
/* Is this entry the place that the table has, and is it needed? 0 no, 1 needed elsewhere too, 2 needed and
 * here. */
int mark_meta_use(const struct mark *m, const struct scanned *s);

/* Flags of packs become PACK_CHOSEN and PACK_DOOMED (unneeded). spare_unnamed: packs in no index stay,
 * somebody may be writing them. */
int choose_packs(struct prune *p, struct mark *m, bool spare_unnamed, struct bk_error *err) BK_MUST_CHECK;
/* Chosen packs whose needed chunks are elsewhere now become PACK_DOOMED too. A full store is no error: then
 * none does. */
int repack_run(struct prune *p, struct mark *m, struct bk_error *err) BK_MUST_CHECK;
/* Tombstones for all PACK_DOOMED packs, or on a full store for some, and again for those that an earlier
 * decision could not remove (prune.locked). 1 and the collection, 0 when there are no new ones; empty:
 * publish even then. BUSY: somebody else has published. */
int publish_list(struct prune *p, struct mark *m, uint64_t n, bool empty, struct collection *ret,
                 struct bk_error *err) BK_MUST_CHECK;
/* The decision; lifted: a byte per line, or NULL: none goes. c becomes what stands there. */
int publish_decision(struct prune *p, struct collection *c, const uint8_t *lifted,
                     struct bk_error *err) BK_MUST_CHECK;
int wait_for_sessions(struct prune *p, uint64_t n, struct bk_error *err) BK_MUST_CHECK;
/* BUSY while another collector lives; dead ones are fenced. */
int wait_alone(struct prune *p, struct bk_error *err) BK_MUST_CHECK;
/* Sessions whose process was on this host and is gone are ended. */
int bury_dead(struct prune *p, struct bk_error *err) BK_MUST_CHECK;
/* Any writer besides us, dead ones of this host left out? */
int wait_any_writer(struct prune *p, bool *ret, struct bk_error *err) BK_MUST_CHECK;
/* known: NULL, or the mark that the list came from. *ret: a byte per line, owned by the caller */
int lift_run(struct prune *p, const struct collection *c, const struct mark *known, uint8_t **ret,
             struct bk_error *err) BK_MUST_CHECK;
/* Everything that the decision says; nothing when it is done already. What the store still locks stays, is
 * counted, and becomes prune.locked; it is tried once in a run. */
int carry_out(struct prune *p, const struct collection *c, struct bk_error *err) BK_MUST_CHECK;
/* Objects of finished generations below n, notes of snapshots that are gone. */
int sweep_run(struct prune *p, uint64_t n, struct bk_error *err) BK_MUST_CHECK;

#endif
