/* Restoring files: plan, create, write, verify.
 *
 * Walks the wanted part of the snapshot, plans reads by pack and offset in bounded windows, and writes in
 * parallel. Nothing is ever created outside the target: every component is opened with O_NOFOLLOW below the
 * target's descriptor. In place, a file whose size and mtime equal the snapshot's is kept (unless `compare`),
 * others are compared block by block and only what differs is written. Damage hits single files: they are
 * reported, the rest is restored. */
#ifndef BKD_RESTORE_RESTORE_H
#define BKD_RESTORE_RESTORE_H

#include "bkd/job/job.h"
#include "bkd/repo/reader.h"
#include "formats/snapshot/snapshot.h"

struct restore_opts {
    const char *target;       /* directory; made when absent */
    const char *const *paths; /* parts of the snapshot; none: all */
    size_t n_paths;
    const char *const *includes; /* patterns as in backup; none: all */
    size_t n_includes;
    const char *const *excludes;
    size_t n_excludes;
    bool
        strip; /* put the contents of the single path straight into target, without its leading directories */
    bool delete_extra; /* remove what the snapshot does not have, below what is restored */
    bool compare;      /* trust no size and mtime: compare content */
    bool verify;       /* read back what was written and compare with the chunk's names */
    bool dry_run;
    bool held;          /* the caller holds a session: none is opened */
    bool overwrite;     /* allow existing files in the target; without it a non-empty target is USAGE */
    bool no_owner;      /* leave owner and group as the creating process has them */
    bool numeric_owner; /* do not map names */
    bool sparse_zeroes; /* zero runs become holes too (default true in the CLI) */
    void (*on_problem)(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why);
    void *ctx;
};

/* Bytes of content per second and thread: decrypt, decompress, name, write; docs/design/restore.md. */
#define RESTORE_RATE_DECODE 0.8e9

struct restore_report {
    uint64_t n_files, n_dirs, n_others, n_kept, n_deleted, n_problems;
    uint64_t bytes;         /* of content restored */
    uint64_t bytes_written; /* really written (delta) */
    uint64_t bytes_to_read; /* from packs, estimated before the start */
    uint64_t bytes_verified;
    double seconds_estimated; /* dry run: from measured rates, see docs/design/restore.md */
};
/* 0 also with problems: look at n_problems. */
int restore_files(struct repo *r, struct job *j, const struct snapshot *s, const struct restore_opts *o,
                  struct restore_report *ret, struct bk_error *err) BK_MUST_CHECK;

/* Content of a blob stream or a file to a descriptor, in order (bkctl cat). */
int restore_content(struct repo *r, struct job *j, const struct content *c, int fd,
                    struct bk_error *err) BK_MUST_CHECK;

#endif
