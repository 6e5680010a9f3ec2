/* Metadata of one thing in a file system, as a tree entry.
 *
 * Everything is asked relative to an open directory or of an open file, so that paths of any length work and
 * a rename above does not lead astray. Symbolic links are never followed unless `follow` says so. Any thread.
 * Functions that return an errno return it positive, 0 for success. */
#ifndef BKD_SOURCE_META_H
#define BKD_SOURCE_META_H

#include <sys/stat.h>

#include "formats/tree/tree.h"

/* One statx(2): basic fields and the birth time. Returns an errno. */
int meta_stat(int dirfd, const char *name, bool follow, struct statx *ret);
int meta_stat_fd(int fd, struct statx *ret);

/* What a statx tells becomes an entry, replaced as a whole; name, link, xattrs, fsflags, content and dir are
 * left empty. False for a type we do not know. */
bool meta_entry(const struct statx *st, struct tree_entry *ret);
/* TREE_FILE ... of a mode, 0 when unknown */
enum tree_type meta_type(unsigned mode);

enum { /* what a comparison leaves out */
       META_IGNORE_CTIME = 1 << 0,
       META_IGNORE_INODE = 1 << 1, /* ino and dev: both are numbers that NFS, FUSE and btrfs may deal anew */
};
/* Is it the thing the old entry describes, in every field that both know? Equal ctime implies equal xattrs
 * and flags, so that with this true (and ctime not ignored) nothing else needs to be asked. For a directory
 * this says nothing about its inside. */
bool meta_same(const struct tree_entry *old, const struct statx *st);
/* Has the content of a file stayed? type, size, mtime, and unless ignored ctime, ino and dev. */
bool meta_content_same(const struct tree_entry *old, const struct statx *st, unsigned ignore);

/* All extended attributes (every namespace the caller may see) in tree_xattr form, sorted by name, appended
 * to out. A file system without them has none. Returns an errno when some could not be read; the others are
 * there then. E2BIG: they pass TREE_XATTRS_MAX. */
int meta_xattrs_fd(int fd, struct bk_buf *out);
/* of what may not be opened: links, devices, sockets; goes through /proc/self/fd */
int meta_xattrs_at(int dirfd, const char *name, struct bk_buf *out);

/* chattr flags of an open regular file or directory; false when the file system has none. */
bool meta_fsflags(int fd, uint32_t *ret);

/* Target of a symbolic link, appended to out. Returns an errno; ENAMETOOLONG past TREE_LINK_MAX. */
int meta_link(int dirfd, const char *name, struct bk_buf *out);

#endif
