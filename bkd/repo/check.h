/* check: is everything there, and does it hold? Structure: every object's header, digest and name form, every
 * index segment, every snapshot, every metadata page reachable from them, every referenced chunk known to the
 * index and its pack present at its full size. read_data: also reads every pack in full, recomputes its name
 * and opens every frame and names every chunk. Damage is reported as it is found, with its blast radius.
 * Read-only. */
#ifndef BKD_REPO_CHECK_H
#define BKD_REPO_CHECK_H

#include "bkd/repo/index.h"
#include "bkd/repo/catalog.h"

struct check_opts {
    bool read_data;
    double sample_percent; /* 0: none; else that share of the packs is read in full, chosen at random, those
                              of at least one */
};

/* One finding. Strings are borrowed for the call; NULL where they do not apply. */
struct check_damage {
    const char *object; /* store name of what is damaged or missing */
    const struct bk_error *why;
    const char *snapshot; /* hex id of a snapshot that is hit */
    const uint8_t *path;  /* file in it that is hit */
    size_t path_len;
    uint64_t offset, len; /* byte range of that file, len 0: metadata */
};
/* Called as damage is found, by one thread at a time. First the object (snapshot NULL), once; then each file
 * that it hits, in each snapshot, one call per byte range. A directory that cannot be read stands for all
 * below it. */
typedef void check_damage_fn(void *ctx, const struct check_damage *d);

struct check_report {
    uint64_t n_objects, n_packs, n_packs_read, n_snapshots, n_frames, n_chunks, n_files;
    uint64_t bytes_read;
    uint64_t n_damages;      /* findings about objects */
    uint64_t n_files_hit;    /* files and directories hit, once per snapshot */
    uint64_t n_orphan_packs; /* in no index: left by an interrupted run */
    uint64_t n_packs_gone;   /* the index names them, they are not there, and nobody needs them */
    uint64_t n_stale_sessions;
    uint64_t n_uncopied; /* small objects that everything hangs on, without a copy */
};
/* 0 also when damage was found: look at the report. */
int check_run(struct repo *r, struct job *j, const struct check_opts *o, check_damage_fn *fn, void *ctx,
              struct check_report *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
