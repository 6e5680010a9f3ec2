/* A backup run: source bracket, session, writer, commit.
 *
 * The run compares with a parent (level), reads what changed, and commits one complete snapshot. Nothing is
 * visible before the commit; after an error or cancellation no snapshot exists, and what was stored is used
 * by the next run. */
#ifndef BKD_BACKUP_BACKUP_H
#define BKD_BACKUP_BACKUP_H

#include "bkd/job/job.h"
#include "bkd/repo/repo.h"
#include "bkd/source/ahead.h"
#include "bkd/source/disks.h"
#include "formats/snapshot/snapshot.h"

struct backup_files {
    const char *const
        *paths; /* as given; made absolute, "." and ".." resolved lexically against the working directory */
    size_t n_paths;
    const char *const *excludes; /* gitignore-like patterns, in order; the last match wins */
    size_t n_excludes;
    const char *const *exclude_if_present; /* "NAME" or "NAME:CONTENT PREFIX" */
    size_t n_exclude_if_present;
    bool exclude_caches;     /* CACHEDIR.TAG with its signature */
    uint64_t exclude_larger; /* bytes; 0 none */
    bool one_file_system;
    bool no_xattrs;
    bool ignore_ctime,
        ignore_inode;    /* compare less: for network and FUSE file systems whose numbers change */
    struct ahead *ahead; /* what was read of the paths already, or NULL; it is stopped, and used up */
};

struct backup_common {
    const char *name; /* of the snapshot series; NULL: "HOST:PATH[,PATH...]" */
    const char *host; /* NULL: gethostname */
    const char *const *tags;
    size_t n_tags;
    enum snapshot_level level;
    int zstd_level; /* default 1 */
    bool dry_run;   /* read and compare, put nothing */
    bool forgetful; /* use and write nothing that is remembered on this machine: keep.h */
    /* each exception as it happens; may be NULL; any thread */
    void (*on_exception)(void *ctx, const struct tree_exception *x);
    void *ctx;
};

struct backup_result {
    struct snapshot snap; /* as committed */
};
void backup_result_clear(struct backup_result *r);
BK_AUTO_CLEAR(struct backup_result, backup_result_clear)

/* Disks, all as of one moment: source/disks.h. The snapshot holds a DISK stream for each, the texts of the
 * source as blobs, and how each disk was read as the blob DISKS_RECORD. What its tracking calls
 * unchanged comes from the parent; a part of that is read and compared all the same, and one difference makes
 * all of that disk be read. s is begun and ended. */
struct backup_disks {
    struct disks *source;        /* borrowed; not begun */
    const char *const *operands; /* as asked for: the snapshot's paths, and its default name */
    size_t n_operands;
    unsigned audit_ppm; /* of a million unchanged blocks so many are looked at */
};
enum { BACKUP_AUDIT_PPM = 10000 };
int backup_disks(struct repo *r, struct job *j, const struct backup_common *c, const struct backup_disks *d,
                 struct backup_result *ret, struct bk_error *err) BK_MUST_CHECK;

int backup_files(struct repo *r, struct job *j, const struct backup_common *c, const struct backup_files *f,
                 struct backup_result *ret, struct bk_error *err) BK_MUST_CHECK;

/* Command source: store what argv writes to its standard output as the blob `stream`; FAILED with the
 * command's exit status and the end of its standard error when it fails: no snapshot then. argv NULL:
 * standard input. */
int backup_stream(struct repo *r, struct job *j, const struct backup_common *c, const char *stream,
                  const char *const *argv, struct backup_result *ret, struct bk_error *err) BK_MUST_CHECK;

/* Import: an archive libarchive can read becomes a tree snapshot. path "-": standard input. */
int backup_archive(struct repo *r, struct job *j, const struct backup_common *c, const char *path,
                   struct backup_result *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
