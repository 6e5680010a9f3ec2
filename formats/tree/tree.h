/* Trees: directories as sorted pages of entries.
 *
 * A directory's entries are sorted by name (bytes, unsigned) and cut into pages after every entry whose name
 * hash says so (tree_page_ends), so that a change in one place re-writes one page and the cuts do not
 * depend on the number of threads. A page is a metadata chunk. A directory with one page is named by that
 * page (depth 1); with more, by an index page that lists (first name, page) pairs (depth 2 and up,
 * TREE_FANOUT each); an empty directory has depth 0 and no id.
 *
 * Decoding borrows from the page's bytes. docs/formats/tree.md. Pure; any thread. */
#ifndef FORMATS_TREE_TREE_H
#define FORMATS_TREE_TREE_H

#include "formats/content/content.h"

enum {
    TREE_NAME_MAX = 255,       /* bytes */
    TREE_LINK_MAX = 65535,     /* bytes of a symlink's target */
    TREE_XATTRS_MAX = 1 << 20, /* bytes of all xattrs of an entry, encoded */
    TREE_PAGE_ENTRIES = 512,   /* most entries of a page; the average is 128 (1 name in 128 ends one) */
    TREE_PAGE_BYTES = 1 << 20, /* a page ends after the entry that passes it */
    TREE_FANOUT = 1024,
    TREE_DEPTH_MAX = 6,
    TREE_ENTRY_MAX = 2 << 20,  /* bytes of one encoded entry */
    TREE_XATTR_NAME_MAX = 255, /* bytes */
    TREE_PATH_MAX = 1 << 20,   /* bytes of an exception's path */
    TREE_DETAIL_MAX = 4096,    /* bytes of an exception's detail */
};

enum tree_type {
    TREE_FILE = 1,
    TREE_DIR = 2,
    TREE_SYMLINK = 3,
    TREE_FIFO = 4,
    TREE_SOCKET = 5,
    TREE_CHAR = 6,
    TREE_BLOCK = 7,
};

struct tree_time {
    int64_t s;
    uint32_t ns; /* < 1e9 */
};

struct tree_dir { /* where a directory's entries are */
    uint8_t depth;
    chunk_id id;
};
/* Onto / out of a record in progress, as content_encode and content_decode. */
int tree_dir_encode(const struct tree_dir *d, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int tree_dir_decode(struct bk_reader *r, struct tree_dir *ret, struct bk_error *err) BK_MUST_CHECK;

enum { /* tree_entry.flags */
       TREE_HAS_BTIME = 1 << 0,
       TREE_HAS_FSFLAGS = 1 << 1, /* fsflags were read (chattr) */
       TREE_XATTRS_PARTIAL =
           1 << 2, /* some xattrs could not be read (an exception tells), or none were asked for */
       TREE_CONTENT_PARTIAL = 1 << 3, /* the file changed or failed while read: an exception tells */
       TREE_FLAGS_KNOWN = (1 << 4) - 1,
};

struct tree_entry {
    const uint8_t *name; /* borrowed; 1..TREE_NAME_MAX bytes, no '/', no NUL, not "." or ".." */
    size_t name_len;
    enum tree_type type;
    uint32_t flags;
    uint32_t mode; /* 07777 */
    uint32_t uid, gid;
    uint64_t dev; /* of the file system, as the host numbered it */
    uint64_t ino;
    uint64_t nlink; /* > 1: entries with equal (dev, ino) are one file */
    struct tree_time mtime, ctime, btime;
    uint32_t fsflags;                /* FS_IOC_GETFLAGS bits */
    uint32_t rdev_major, rdev_minor; /* CHAR, BLOCK */
    const uint8_t *link;             /* SYMLINK, borrowed */
    size_t link_len;
    const uint8_t *xattrs; /* encoded with tree_xattr_append, borrowed; NULL when none */
    size_t xattrs_len;
    struct content content; /* FILE */
    struct tree_dir dir;    /* DIR */
};

/* One name and value onto the encoded list; names in the order they were read, sorted by the caller for
 * determinism. USAGE an empty name; LIMIT a name past TREE_XATTR_NAME_MAX, or the list would pass
 * TREE_XATTRS_MAX. b keeps its length on any error. */
int tree_xattr_append(struct bk_buf *b, const char *name, const void *value, size_t len,
                      struct bk_error *err) BK_MUST_CHECK;
/* Walk: 1 with the next pair (name borrowed, NUL-terminated inside the blob), 0 at the end, CORRUPT. */
int tree_xattr_next(struct bk_reader *r, const char **name, const uint8_t **value, size_t *value_len,
                    struct bk_error *err) BK_MUST_CHECK;

/* Does a page end after the entry of this name? n: entries in the page so far, this one included; bytes:
 * encoded bytes so far. The hash is xxh3-64 of the name seeded with 0: names are sealed, nothing is leaked.
 */
bool tree_page_ends(const void *name, size_t name_len, size_t n, size_t bytes);

/* What an entry is coded against: the values of the entry before it on the page, zeroes before the first. */
struct tree_base {
    uint64_t dev, ino;
    uint32_t mode, uid, gid, flags, fsflags;
    struct tree_time mtime, ctime, btime;
};

/* Page writer: begin, add in ascending order, done; nothing to free. The page is what was appended to out. */
struct tree_writer {
    struct bk_buf *out;
    struct tree_base base;
    size_t n;                 /* entries so far */
    size_t start;             /* of the page in out */
    size_t name_at, name_len; /* last name, in out */
};
int tree_page_begin(struct tree_writer *w, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
/* USAGE for what a reader would refuse: bad name, order, type, mode, time; LIMIT for a link or xattrs past
 * their ceilings, or when out is full. The page is as it was after any error. */
int tree_page_add(struct tree_writer *w, const struct tree_entry *e, struct bk_error *err) BK_MUST_CHECK;
/* tree_page_ends for the entry added last. */
bool tree_page_full(const struct tree_writer *w);

/* Page reader: init checks the page header; next returns 1 and an entry that borrows from data, 0 at the end,
 * or CORRUPT: unknown type, bad name, order violated, numbers out of range; VERSION: the entry uses something
 * unknown that may not be skipped. After an error *ret is unspecified and every further call is CORRUPT. Of
 * ret->content.inline_ only the first n_inline are set. Nothing is allocated. */
struct tree_page {
    struct bk_reader r;
    const uint8_t *prev;
    size_t prev_len;
    struct tree_base base;
};
int tree_page_open(const void *data, size_t len, struct tree_page *ret, struct bk_error *err) BK_MUST_CHECK;
int tree_page_next(struct tree_page *p, struct tree_entry *ret, struct bk_error *err) BK_MUST_CHECK;

/* Index pages. */
struct tree_child {
    const uint8_t *first; /* first name below it; borrowed when decoded */
    size_t first_len;
    chunk_id id;
};
int tree_index_encode(unsigned depth, const struct tree_child *v, size_t n, struct bk_buf *out,
                      struct bk_error *err) BK_MUST_CHECK;
/* ret: array to free(); names borrow from data */
int tree_index_decode(const void *data, size_t len, unsigned depth, struct tree_child **ret, size_t *ret_n,
                      struct bk_error *err) BK_MUST_CHECK;

/* A valid component for a host's file system? What every restore asks before it creates anything. */
bool tree_name_valid(const void *name, size_t len);

/* An entry's name with a NUL behind it, for system calls. name_len is at most TREE_NAME_MAX, as decoding
 * makes sure. */
static inline void tree_name_copy(const struct tree_entry *e, char out[static TREE_NAME_MAX + 1])
{
    memcpy(out, e->name, e->name_len);
    out[e->name_len] = '\0';
}

/* Exceptions of a run: what could not be saved whole, kept as a stream of the snapshot. */
enum tree_trouble {
    TROUBLE_UNREADABLE = 1, /* not saved: open, read or list failed */
    TROUBLE_VANISHED = 2,   /* seen by the listing, gone when read */
    TROUBLE_CHANGED = 3,    /* changed while it was read: saved, but may mix two states */
    TROUBLE_PARTIAL = 4,    /* read failed part way; the rest is zeroes */
    TROUBLE_METADATA = 5,   /* content is whole, some metadata could not be read */
    TROUBLE_SKIPPED = 6,    /* a kind of thing or size we do not store */
};
struct tree_exception {
    enum tree_trouble trouble;
    uint32_t sys;        /* errno, Linux numbering, or 0 */
    const uint8_t *path; /* borrowed */
    size_t path_len;
    const uint8_t *detail; /* UTF-8 English, borrowed, may be empty */
    size_t detail_len;
};
int tree_exception_append(struct bk_buf *b, const struct tree_exception *x,
                          struct bk_error *err) BK_MUST_CHECK;
/* 1, 0 at the end, CORRUPT */
int tree_exception_next(struct bk_reader *r, struct tree_exception *ret, struct bk_error *err) BK_MUST_CHECK;
const char *tree_trouble_text(enum tree_trouble t); /* message id */

#endif
