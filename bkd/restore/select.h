/* Which entries of a snapshot are wanted: by include and exclude patterns (bkd/source/exclude.h). Immutable;
 * any thread. */
#ifndef BKD_RESTORE_SELECT_H
#define BKD_RESTORE_SELECT_H

#include <stdbool.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

struct select {
    struct exclude *include; /* NULL: everything is wanted */
    struct exclude *exclude; /* NULL: nothing is left out */
};
enum select_verdict {
    SELECT_NO,   /* neither it nor what is inside */
    SELECT_PASS, /* a directory that is not wanted itself, but something inside may be */
    SELECT_YES,
};
int select_init(struct select *s, const char *const *includes, size_t n_includes, const char *const *excludes,
                size_t n_excludes, struct bk_error *err) BK_MUST_CHECK;
void select_clear(struct select *s);
bool select_is_all(const struct select *s);
/* dir: absolute path of the directory it is in; inside: that directory was wanted itself. */
enum select_verdict select_entry(const struct select *s, bool inside, const char *dir, size_t dir_len,
                                 const char *name, size_t name_len, bool is_dir);

#endif
