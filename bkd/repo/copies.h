/* Second copies of the small objects that everything hangs on: config, key slots, keyrings, the minimum
 * retention. The copy of NAME is copies/NAME and holds the same bytes. The original is what counts; the copy
 * is read when the original is missing or damaged. An object that is to go loses its copy first, so that no
 * copy outlives its original's removal. docs/formats/repository.md. Any thread. */
#ifndef BKD_REPO_COPIES_H
#define BKD_REPO_COPIES_H

#include "bkd/repo/repo.h"

#define COPIES_PREFIX "copies/"

/* "copies/NAME" */
void copies_path(const char *name, char out[static REPO_PATH]);
/* The copy of what stands under the name; one that differs is replaced. Where the original has just been
 * committed a failure is no reason to fail: check tells what has no copy. */
int copies_put(struct store *s, const char *name, const void *data, size_t len,
               struct bk_error *err) BK_MUST_CHECK;
/* Both; the copy first. An absent one is success. */
int copies_remove(struct store *s, const char *name, struct bk_error *err) BK_MUST_CHECK;

/* As repo_put_record and repo_get_record, with a copy. *ret_from_copy (may be NULL): the original did not do.
 */
int copies_put_record(struct repo *r, enum object_kind kind, const char *name, const void *payload,
                      size_t len, struct bk_error *err) BK_MUST_CHECK;
int copies_get_record(struct repo *r, enum object_kind kind, const char *name, struct bk_buf *payload,
                      bool *ret_from_copy, struct bk_error *err) BK_MUST_CHECK;
/* What the config says in clear, as it stands or else by its copy, before anything is unlocked: nothing of it
 * is proven by a key yet. Without either the original's error. */
int copies_config(struct store *s, struct config *ret, uint8_t ret_digest[static SUITE_HASH],
                  struct bk_error *err) BK_MUST_CHECK;

#endif
