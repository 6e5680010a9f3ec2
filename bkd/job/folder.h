/* Folders of our own on this machine: caches, remembered states. */
#ifndef BKD_JOB_FOLDER_H
#define BKD_JOB_FOLDER_H

#include "formats/base/error.h"

/* Make it with its parents, mode 0700; one that is there is success. */
int folder_make(const char *path, struct bk_error *err) BK_MUST_CHECK;

#endif
