/* A directory's stored form: index pages above its entry pages, or all of it from entries in order. */
#ifndef BKD_BACKUP_FOLDER_H
#define BKD_BACKUP_FOLDER_H

#include "bkd/backup/sink.h"
#include "formats/tree/tree.h"

/* v: the entry pages in order; used as working space. page: scratch with limit CHUNK_MAX. */
int folder_index(struct sink *s, unsigned lane, struct tree_child *v, size_t n, struct bk_buf *page,
                 struct tree_dir *ret, struct bk_error *err) BK_MUST_CHECK;

/* folder_init -> folder_add (names ascend) ... -> folder_done -> folder_clear. Names are borrowed until done.
 */
struct folder {
    struct sink *sink;
    unsigned lane;
    struct bk_buf page;
    struct tree_writer writer; /* into page */
    size_t in_page;
    struct tree_child *pages; /* owned */
    size_t n, cap;
    const uint8_t *first;
    size_t first_len;
};
void folder_init(struct folder *f, struct sink *s, unsigned lane);
int folder_add(struct folder *f, const struct tree_entry *e, struct bk_error *err) BK_MUST_CHECK;
int folder_done(struct folder *f, struct tree_dir *ret, struct bk_error *err) BK_MUST_CHECK;
void folder_clear(struct folder *f);
BK_AUTO_CLEAR(struct folder, folder_clear)

#endif
