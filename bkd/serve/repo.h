/* A repository as the server has it: its store, the bytes in it, whose sessions are whose.
 *
 *     serve_repo_open -> serve_repo_put, serve_repo_remove (any thread) -> serve_repo_free
 *
 * Beside each session and snapshot the server keeps `received/<name>`: "1 <Unix ns> <principal>\n", put if
 * absent. For a session it says whose it is and is there before the session; for a snapshot it says when the
 * commit was received, by the server's clock. docs/formats/repository.md */
#ifndef BKD_SERVE_REPO_H
#define BKD_SERVE_REPO_H

#include <pthread.h>
#include <stdatomic.h>

#include "bkd/serve/config.h"
#include "bkd/serve/request.h"

struct serve_repo {
    const struct serve_place *place;
    struct store *store;
    const struct world *world;
    _Atomic uint64_t used;    /* bytes */
    pthread_mutex_t removing; /* one at a time, so that no bytes are given back twice */
};

/* The place is made if it is not there. Its objects are counted: all of them are listed. */
int serve_repo_open(const struct serve_place *place, const struct world *w, struct serve_repo **ret,
                    struct bk_error *err) BK_MUST_CHECK;
void serve_repo_free(struct serve_repo *r);
BK_AUTO(struct serve_repo *, serve_repo_free)

/* Is the session of this object the principal's? A session that nobody has is not. PERM. */
int serve_repo_own(struct serve_repo *r, const char *name, const char *principal,
                   struct bk_error *err) BK_MUST_CHECK;
/* Durable on return. own: only in a session of this principal (PERM); the session itself becomes its. NOSPACE
 * beyond the quota. */
int serve_repo_put(struct serve_repo *r, const char *name, const void *data, size_t len,
                   const char *principal, bool own, struct bk_error *err) BK_MUST_CHECK;
int serve_repo_remove(struct serve_repo *r, const char *name, struct bk_error *err) BK_MUST_CHECK;

#endif
