/* One connection to a pool's namespace, and operations on it that end.
 *
 * Every operation is asynchronous underneath and waited for on a monotonic clock: librados sends it again by
 * itself whenever the cluster's map changes, so that what comes back within the bound is not noticed. When
 * the bound is over the operation is cancelled. The bounds:
 *
 *   answering   timeout_s. When it has run out, eight other objects are asked for: does any answer within
 *               three seconds, only this object's placement group is out (below min_size, an unfound object):
 *               IO, and the next bound is halved, down to five seconds, so that a thousand such objects
 *               do not take a thousand times the whole bound. Does none, the cluster is lost:
 *   lost        UNREACHABLE at once, except that one operation in five seconds is tried for five seconds;
 *               when it is answered, all is as before.
 *
 * A put or remove that ended with either may have happened or may still happen. Any thread. */
#ifndef BKD_STORE_RADOS_IO_H
#define BKD_STORE_RADOS_IO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bkd/store/rados_lib.h"
#include "bkd/store/rados_url.h"
#include "formats/base/auto.h"

struct rados_io {
    rados_t cluster;
    rados_ioctx_t ctx;
    bool connected;
    char url[512];
    unsigned timeout_s;

    pthread_mutex_t lock; /* guards what follows */
    int64_t bound_ns;     /* of the next operation */
    int64_t late_at;      /* when one ran out last; 0: never */
    int64_t lost_at;      /* 0: answering */
    int64_t tried_at;     /* the last try while lost */
};

/* UNREACHABLE: no monitor answers within connect_s. ABSENT: no such pool. PERM: the key is refused. */
int rados_io_open(const struct rados_url *u, const char *url, struct rados_io **ret,
                  struct bk_error *err) BK_MUST_CHECK;
void rados_io_free(struct rados_io *io);
BK_AUTO(struct rados_io *, rados_io_free)

/* An operation in flight; not moved while it is. */
struct rados_wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    rados_completion_t completion;
    bool done;
    int64_t began, until;
};
/* Before the operation is submitted with w->completion: UNREACHABLE while lost. */
int rados_io_begin(struct rados_io *io, struct rados_wait *w, struct bk_error *err) BK_MUST_CHECK;
/* submitted: what the submission returned; when negative nothing is waited for. Returns librados' result, or
 * -ETIMEDOUT once the operation has been cancelled: no memory of the caller's is in use any more. */
int rados_io_end(struct rados_io *io, struct rados_wait *w, int submitted);
/* Instead of the end, when the result is not wanted any more: cancelled. */
void rados_io_drop(struct rados_io *io, struct rados_wait *w);

/* For calls that librados bounds by itself: UNREACHABLE while lost; and what it is told when one ran out. */
int rados_io_ready(struct rados_io *io, struct bk_error *err) BK_MUST_CHECK;
void rados_io_ran_out(struct rados_io *io, int64_t began);
int64_t rados_io_now(void); /* monotonic */

/* Translate a negative result. verb: a message id. */
int rados_io_fail(struct rados_io *io, int rc, const char *verb, const char *object, struct bk_error *err);

/* The largest object that the cluster takes in one operation, as far as it tells. */
uint64_t rados_io_object_max(struct rados_io *io);

/* Every name in the namespace, as pools tell it: any bytes, any order. fn as in store_list_fn, without size.
 */
typedef int rados_io_name_fn(void *ctx, const char *name, struct bk_error *err);
int rados_io_names(struct rados_io *io, rados_io_name_fn *fn, void *ctx, struct bk_error *err);

#endif
