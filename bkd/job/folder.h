/* Folders on this machine: for caches and remembered states, and those above a place that is to be made. */
#ifndef BKD_JOB_FOLDER_H
#define BKD_JOB_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "formats/base/error.h"

/* Make it with its parents, mode 0700; one that is there is success. */
int folder_make(const char *path, struct bk_error *err) BK_MUST_CHECK;
/* Only those above it; mode: of those that are made. */
int folder_make_above(const char *path, mode_t mode, struct bk_error *err) BK_MUST_CHECK;

/* "$VARIABLE/bkctl", or "$HOME/<below>/bkctl" where the variable is no absolute path; false when neither is,
 * or it does not fit. */
bool folder_home(const char *variable, const char *below, char *out, size_t cap);

#endif
