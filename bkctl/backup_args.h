/* Lists that backup reads from files: paths and patterns, one a line or ended by NUL. */
#ifndef BKCTL_BACKUP_ARGS_H
#define BKCTL_BACKUP_ARGS_H

#include "bkctl/opt.h"

/* Items of a text file, appended to ret; they point into *ret_mem, which the caller frees after the list.
 * separator '\n': empty lines are left out, and with `comments` lines that start with '#'. path "-": standard
 * input. */
int backup_args_read(const char *path, char separator, bool comments, struct opt_list *ret, char **ret_mem,
                     struct bk_error *err) BK_MUST_CHECK;

#endif
