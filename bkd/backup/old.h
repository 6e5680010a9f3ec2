/* The parent's side of a directory: its pages, read in name order next to the listing.
 *
 *     old_open (once per directory) -> old_scan_open (per page task) -> old_scan_find ... -> old_scan_clear
 * -> old_close
 *
 * Opened directories are read by many threads, a scan belongs to one task. Pages stay decoded in the scan
 * until it is cleared, so that entries found may be borrowed and asked for again. */
#ifndef BKD_BACKUP_OLD_H
#define BKD_BACKUP_OLD_H

#include "bkd/repo/reader.h"
#include "formats/tree/tree.h"

struct old_dir {
    struct tree_dir dir;      /* as the parent snapshot has it; depth 0: nothing to compare with */
    struct tree_child *pages; /* owned, in order; names borrow from bytes */
    size_t n;
    struct bk_buf *bytes; /* owned: index pages that the names lie in */
    size_t n_bytes;
};
/* Reads the index pages. CORRUPT, ABSENT, IO: the parent is damaged here. */
int old_open(struct reader *r, unsigned lane, const struct tree_dir *d, struct old_dir *ret,
             struct bk_error *err) BK_MUST_CHECK;
void old_close(struct old_dir *d);

/* Is every chunk of it in a pack that may be relied on? 1, 0 (damage as well), or an error. While a
 * collection is undecided the parent may be forgotten, and what only it kept may go: docs/design/protocol.md.
 */
int old_content_holds(struct reader *r, unsigned lane, const struct content *c,
                      struct bk_error *err) BK_MUST_CHECK;
bool old_page_holds(struct reader *r, const chunk_id *id);

struct old_scan {
    struct reader *reader;
    unsigned lane;
    const struct old_dir *dir;
    size_t first, next;    /* pages: the first one looked at, the next one to load */
    struct bk_buf *loaded; /* owned: the bytes of pages first..next */
    size_t n_loaded, cap;
    struct tree_page page; /* in the last page loaded */
    bool in_page;
    struct tree_entry ahead; /* decoded, not yet passed */
    bool have;
    size_t n_passed; /* entries that had no counterpart or were found */
};
/* Start at the page that `name` would be in. */
void old_scan_open(struct old_scan *s, struct reader *r, unsigned lane, const struct old_dir *d,
                   const char *name);
void old_scan_clear(struct old_scan *s);
/* Names asked for ascend. 1 and an entry borrowed until the next call (what it points to: until clear), 0
 * when the parent has none. */
int old_scan_find(struct old_scan *s, const char *name, size_t len, const struct tree_entry **ret,
                  struct bk_error *err) BK_MUST_CHECK;
/* Go over the same pages again; nothing is read anew. */
void old_scan_rewind(struct old_scan *s);
/* After n finds that all succeeded: were these, from the first, all entries of the pages loaded? Then the
 * pages may be taken over. */
bool old_scan_covers(struct old_scan *s, size_t n);

#endif
