/* Inside of a check: metadata pages and the content of files, and telling which files and bytes are hit. */
#ifndef BKD_REPO_CHECK_CONTENT_H
#define BKD_REPO_CHECK_CONTENT_H

#include "bkd/repo/check_state.h"
#include "bkd/repo/reader.h"

struct content_walk {
    struct check *c;
    struct reader *reader; /* borrowed */
    struct idset clean;    /* pages below which all is well */
    const char *snapshot;  /* hex, of the walk at hand */
    struct bk_buf path;    /* of the file or directory at hand */
    bool file_hit;         /* the file at hand has been counted */
    chunk_id last;         /* data chunk that was found sound last: neighbours often share it */
    bool have_last;
    /* hit range that may still grow */
    uint64_t hit_offset, hit_len;
    char hit_object[REPO_PATH];
};

void check_content_init(struct content_walk *w, struct check *c, struct reader *reader);
void check_content_clear(struct content_walk *w);

/* Read a metadata page. */
int check_content_page(struct content_walk *w, const chunk_id *id, struct bk_buf *out,
                       struct bk_error *err) BK_MUST_CHECK;
/* A page failed: tell its object (once) and that what stands at path is hit. 0, or the code when why ends the
 * check. */
int check_content_meta_hit(struct content_walk *w, const chunk_id *id, const struct bk_error *why,
                           struct bk_error *err) BK_MUST_CHECK;
/* The content at path: 0 all there, 1 damaged (told). */
int check_content(struct content_walk *w, const struct content *content, struct bk_error *err) BK_MUST_CHECK;

#endif
