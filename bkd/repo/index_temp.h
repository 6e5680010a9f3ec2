/* Index segments that are not in the repository: bytes in a file that has no name. */
#ifndef BKD_REPO_INDEX_TEMP_H
#define BKD_REPO_INDEX_TEMP_H

#include <stddef.h>

#include "formats/base/error.h"

/* A descriptor of a file that holds the bytes: in TMPDIR or /var/tmp, or where neither has room in memory. It
 * goes when it is closed. */
int index_temp_write(const void *data, size_t len, int *ret_fd, struct bk_error *err) BK_MUST_CHECK;

#endif
