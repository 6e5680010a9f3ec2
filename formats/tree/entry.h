/* One entry of a tree page, as bytes. Internal to tree/; docs/formats/tree.md, "Entries". */
#ifndef FORMATS_TREE_ENTRY_H
#define FORMATS_TREE_ENTRY_H

#include "formats/tree/tree.h"

/* First byte: type (3 bits), how mtime (2 bits) and ctime (2 bits) are given, one bit to come.
 * Second byte: what equals the base, how btime is given (2 bits), and two more savings. */
enum {
    ENTRY_TYPE = 0x07,
    ENTRY_MTIME_SHIFT = 3,
    ENTRY_CTIME_SHIFT = 5,
    ENTRY_RESERVED = 0x80,

    ENTRY_SAME_MODE = 0x01,
    ENTRY_SAME_OWNER = 0x02, /* uid and gid */
    ENTRY_SAME_DEV = 0x04,
    ENTRY_SAME_FLAGS = 0x08, /* flags and fsflags */
    ENTRY_BTIME_SHIFT = 4,
    ENTRY_ONE_LINK = 0x40, /* nlink is 1 */
    ENTRY_XATTRS = 0x80,   /* xattrs follow */
};

/* How a time is given. */
enum entry_time {
    TIME_LIKE =
        0, /* mtime: the base's mtime; ctime: this entry's mtime; btime: this entry's ctime, or none */
    TIME_BASE = 1,    /* ctime and btime: the base's; mtime: not used */
    TIME_SECONDS = 2, /* seconds as a difference to the base's, no nanoseconds */
    TIME_FULL = 3,    /* seconds as a difference to the base's, then nanoseconds u32 */
};

/* The body, without the length before it, onto out. The entry is valid. */
int entry_put(const struct tree_entry *e, const struct tree_base *base, struct bk_buf *out,
              struct bk_error *err) BK_MUST_CHECK;
/* The body that is all of r; bytes after the known fields are ignored. CORRUPT or VERSION. */
int entry_get(struct bk_reader *r, const struct tree_base *base, struct tree_entry *ret,
              struct bk_error *err) BK_MUST_CHECK;
/* What the next entry is coded against. */
void entry_base(const struct tree_entry *e, struct tree_base *ret);
/* Ascending by bytes, a prefix first. */
bool entry_name_before(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

#endif
