/* An archive being written, through libarchive: to a descriptor, in one of our formats. One thread. */
#ifndef BKD_RESTORE_ARCHIVE_OUT_H
#define BKD_RESTORE_ARCHIVE_OUT_H

#include <stdbool.h>

#include "formats/snapshot/snapshot.h"

struct archive_out;
/* USAGE names the formats. fd is borrowed. s: for the names of owners; borrowed. */
int archive_out_open(const char *format, int fd, const struct snapshot *s, struct archive_out **ret,
                     struct bk_error *err) BK_MUST_CHECK;
/* Can it say that a name is the same file as another? */
bool archive_out_links(const struct archive_out *a);

struct archive_item {
    const char *path;            /* without a leading '/' */
    const struct tree_entry *e;  /* name unused */
    const char *link_to;         /* path of an entry before, that this is a hard link to, or NULL */
    const struct extents *holes; /* regions of a sparse file (DATA or not), or NULL */
};
/* UNSUPPORTED: the format cannot hold it; the archive goes on without it. */
int archive_out_entry(struct archive_out *a, const struct archive_item *it,
                      struct bk_error *err) BK_MUST_CHECK;
int archive_out_data(struct archive_out *a, const void *p, size_t len, struct bk_error *err) BK_MUST_CHECK;
int archive_out_zero(struct archive_out *a, uint64_t len, struct bk_error *err) BK_MUST_CHECK;
/* Everything is written; the descriptor stays open. */
int archive_out_close(struct archive_out *a, struct bk_error *err) BK_MUST_CHECK;
void archive_out_free(struct archive_out *a);
BK_AUTO(struct archive_out *, archive_out_free)

#endif
