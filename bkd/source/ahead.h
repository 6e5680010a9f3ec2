/* Asking ahead: names and metadata below some paths, read by a thread of its own while the caller waits for
 * something else, as for the key behind a passphrase.
 *
 *     ahead_start -> ahead_stop | ahead_finish -> ahead_take ... -> ahead_free      (free alone stops as
 * well)
 *
 * What it finds is a directory's names and what statx(2) says of each, kept under the directory's device and
 * inode; a directory that changed since is not given out. It is as old as ahead_started_ns at most. What
 * cannot be read is passed over: the walk meets it again and reports it. Memory is bounded
 * (AHEAD_NAMES_MAX). */
#ifndef BKD_SOURCE_AHEAD_H
#define BKD_SOURCE_AHEAD_H

#include <stdbool.h>
#include <sys/stat.h>

#include "bkd/source/listing.h"

enum { AHEAD_NAMES_MAX = 1 << 16 }; /* about 17 MiB */

struct ahead;
struct ahead_dir {
    struct listing list;
    struct statx *stats; /* owned: of each name in the list's order; stx_mask 0: not known. NULL: of none */
};
void ahead_dir_clear(struct ahead_dir *d);

/* Begin below the paths, which are copied. now_ns: the caller's clock. Errors mean that there is nothing
 * ahead, and nothing else: NOMEM, or no thread to be had. */
int ahead_start(const char *const *paths, size_t n, int64_t now_ns, struct ahead **ret,
                struct bk_error *err) BK_MUST_CHECK;
int64_t ahead_started_ns(const struct ahead *a);
/* End the thread, after the directory at hand. May be called again; by one thread. */
void ahead_stop(struct ahead *a);
/* Let it come to its own end instead: all was read, or AHEAD_NAMES_MAX names. */
void ahead_finish(struct ahead *a);
/* What is known of the open directory becomes the caller's, once. False: nothing, or no longer true. Any
 * thread, when the reading one has ended. */
bool ahead_take(struct ahead *a, int fd, struct ahead_dir *ret);
void ahead_free(struct ahead *a);
BK_AUTO(struct ahead *, ahead_free)

#endif
