/* Restoring a disk: plan, write, look.
 *
 * Content of any stream goes to a file, an image, a device or an export, in the order of the packs and by all
 * workers. What cannot be had is reported range by range and is zero, the rest is restored; over what was
 * there before only what differs is written, and bytes there that are what a damaged chunk held stay. */
#ifndef BKD_RESTORE_DISK_H
#define BKD_RESTORE_DISK_H

#include "bkd/restore/restore.h"

struct restore_disk_opts {
    const char *to, *format; /* disk_target.h */
    const char *name;        /* of the stream, for reports */
    bool overwrite, verify, dry_run;
    bool held; /* the caller holds a session: none is opened */
    void (*on_problem)(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why);
    void *ctx;
};
/* Counts into ret, n_files by one. 0 also with problems: look at n_problems. */
int restore_disk(struct repo *r, struct job *j, const struct content *c, const struct restore_disk_opts *o,
                 struct restore_report *ret, struct bk_error *err) BK_MUST_CHECK;

/* The disks and blobs of a snapshot, all or those named, below a folder: "vda" becomes DIR/vda.raw or what
 * the format is called, a blob keeps its name. Or, with `to`, one of them to that place, the only disk unless
 * another is named. */
struct restore_streams_opts {
    const char *target;       /* folder, made when absent; NULL: `to` is given */
    const char *to, *format;  /* disk_target.h; the format of disks, NULL: raw, or by the ending of `to` */
    const char *const *names; /* none: all */
    size_t n_names;
    bool overwrite, verify, dry_run, held;
    void (*on_problem)(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why);
    void *ctx;
};
/* ABSENT: there is no such stream; USAGE: `to` is for one; CORRUPT: a name leads out of the folder. After an
 * error those restored before stay. */
int restore_streams(struct repo *r, struct job *j, const struct snapshot *s,
                    const struct restore_streams_opts *o, struct restore_report *ret,
                    struct bk_error *err) BK_MUST_CHECK;

#endif
