/* The minimum retention as an argument: of `retention set` and of init. */
#ifndef BKCTL_RETENTION_H
#define BKCTL_RETENTION_H

#include "bkctl/command.h"
#include "bkd/life/lock.h"

/* "30d" to seconds. USAGE, LIMIT. */
int retention_seconds(const char *text, uint64_t *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
