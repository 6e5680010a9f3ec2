/* What to leave out: patterns in the manner of .gitignore, matched against absolute paths.
 *
 *   name       without '/': a name at any level             *.o   core   .cache
 *   a/b        with '/' inside: these components in a row, at any level
 *   /a/b       with '/' in front: from the root of the file system
 *   x/         with '/' at the end: directories only
 *   **         as a component: any number of components, also none; a "/" + "**" at the end is everything
 * inside !pattern   takes back; the last pattern that matches decides. What lies in a directory that is left
 * out stays out. \x         x as it is; * ? [..] as in glob.h, never across '/'
 *
 * Immutable after construction; any thread. */
#ifndef BKD_SOURCE_EXCLUDE_H
#define BKD_SOURCE_EXCLUDE_H

#include <stdbool.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum { EXCLUDE_PATTERN_MAX = 4096, EXCLUDE_SEGMENTS_MAX = 256 };

struct exclude;
/* USAGE for an empty or overlong pattern. */
int exclude_new(const char *const *patterns, size_t n, struct exclude **ret,
                struct bk_error *err) BK_MUST_CHECK;
void exclude_free(struct exclude *x);
BK_AUTO(struct exclude *, exclude_free)

/* Some pattern looks at more than the last component: the caller must know whole paths. */
bool exclude_wants_path(const struct exclude *x);
/* Some pattern is for directories only. */
bool exclude_wants_type(const struct exclude *x);
bool exclude_is_empty(const struct exclude *x);

/* dir: the absolute path above, "/" or "/a/b" (ignored unless exclude_wants_path); name: the last component.
 */
bool exclude_match(const struct exclude *x, const char *dir, size_t dir_len, const char *name,
                   size_t name_len, bool is_dir);

#endif
