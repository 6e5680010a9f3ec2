/* What is locked until when, as remembered on this machine: in the cache folder, per repository and place. A
 * file with a date in its head and one name a line, which are locked until then at least. With another date
 * it starts anew. Lines are added only when their objects are locked, so one that is torn or lost costs time.
 *
 * Nothing here fails for what the file lacks or holds: then little is known. One thread; several processes.
 */
#ifndef BKD_LIFE_KEEP_STATE_H
#define BKD_LIFE_KEEP_STATE_H

#include "bkd/repo/repo.h"

struct keep_state;
/* NOMEM. *ret is NULL where nothing can be remembered. */
int keep_state_open(struct repo *r, struct job *j, int64_t until_ns, struct keep_state **ret,
                    struct bk_error *err) BK_MUST_CHECK;
/* All of these accept NULL. */
bool keep_state_has(const struct keep_state *s, const char *name);
void keep_state_add(struct keep_state *s, const char *name);
/* What was added goes into the file. */
void keep_state_save(struct keep_state *s);
void keep_state_free(struct keep_state *s); /* what was not saved is forgotten */
BK_AUTO(struct keep_state *, keep_state_free)

#endif
