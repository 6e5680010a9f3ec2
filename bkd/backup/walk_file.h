/* Regular files of a walk. */
#ifndef BKD_BACKUP_WALK_FILE_H
#define BKD_BACKUP_WALK_FILE_H

#include "bkd/backup/walk.h"

/* Read a file of at most a segment into the item, whose entry names it. Troubles mark the item. */
int walk_file_read(struct page *p, struct item *it, int dirfd, unsigned lane,
                   struct bk_error *err) BK_MUST_CHECK;
/* The same for one that is open already and described by *now, which is the descriptor's. */
int walk_file_read_open(struct page *p, struct item *it, int fd, struct statx *now, unsigned lane,
                        struct bk_error *err) BK_MUST_CHECK;
/* A task that reads a bigger one in segments and settles the page when done. */
int walk_file_task(struct page *p, struct item *it, struct task **ret, struct bk_error *err) BK_MUST_CHECK;

/* Open for reading without following a link, without side effects where possible. Returns an errno. */
int walk_file_open(int dirfd, const char *name, int *ret);
/* The same, with a look at what was opened: ESTALE when it is not a regular file. */
int walk_file_open_plain(int dirfd, const char *name, int *ret, struct statx *ret_st);
/* flags and xattrs of the open file */
void walk_file_describe(struct page *p, struct item *it, int fd);
/* Timestamps are coarse: a write right after we read could leave the very same one. Wait until that cannot
 * be. */
void walk_file_outwait(const struct tree_entry *e);

#endif
