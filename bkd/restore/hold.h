/* What every operation that reads content starts with: a session, the index, workers and a reader. */
#ifndef BKD_RESTORE_HOLD_H
#define BKD_RESTORE_HOLD_H

#include "bkd/job/job.h"
#include "bkd/job/pool.h"
#include "bkd/repo/reader.h"
#include "bkd/repo/session.h"

struct hold {
    struct session *session; /* NULL when the repository cannot be written to: a warning is logged */
    struct index *index;
    struct pool *pool;
    struct reader *reader;
    unsigned lane; /* of the calling thread; the pool's workers have 0..lane-1 */
};
/* session: keep a collector from deleting what is read. Damaged index segments are logged and left out; what
 * they held is read from the packs when it is asked for. */
int hold_open(struct repo *repo, struct job *j, const char *purpose, bool session, struct hold *ret,
              struct bk_error *err) BK_MUST_CHECK;
void hold_close(struct hold *h);
BK_AUTO_CLEAR(struct hold, hold_close)

#endif
