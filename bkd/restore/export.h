/* Export: part of a snapshot as an archive, through libarchive. Streams: memory does not grow with the
 * archive. */
#ifndef BKD_RESTORE_EXPORT_H
#define BKD_RESTORE_EXPORT_H

#include "bkd/restore/restore.h"

struct export_opts {
    const char *format; /* "tar" (pax), "tar.zst", "tar.gz", "zip", "cpio" */
    const char *output; /* path, or "-" */
    const char *const *paths;
    size_t n_paths;
    bool held; /* the caller holds a session: none is opened */
    void (*on_problem)(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why);
    void *ctx;
};
struct export_report {
    uint64_t n_entries, bytes, n_problems;
};
/* An output file appears under its name only when it is complete. UNSUPPORTED when built without libarchive.
 */
int export_run(struct repo *r, struct job *j, const struct snapshot *s, const struct export_opts *o,
               struct export_report *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
