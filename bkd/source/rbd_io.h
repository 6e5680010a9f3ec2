/* Connections to pools with images in them, and requests to an image that end.
 *
 *     rbd_link_open -> rbd_lib.open ... rbd_lib.close -> rbd_link_free
 *     rbd_lane_init -> rbd_lane_slot, rbd_lane_sent, rbd_lane_take ... -> rbd_lane_clear
 *
 * Calls of librbd that are waited for end because the cluster's operations do: rados_osd_op_timeout,
 * rados_mon_op_timeout. Requests of a lane are waited for with a bound of their own above that. When even
 * that has run out, librbd still holds their buffers: lane, image and connection are then left as they are
 * until the process ends, and nothing more is asked. */
#ifndef BKD_SOURCE_RBD_IO_H
#define BKD_SOURCE_RBD_IO_H

#include <pthread.h>
#include <stdatomic.h>

#include "bkd/source/disk.h"
#include "bkd/source/rbd_lib.h"
#include "bkd/source/rbd_url.h"
#include "bkd/store/rados_io.h"

struct rbd_link {
    struct rbd_url url; /* image and snapshot are those of the first who asked for it */
    struct rados_io *rados;
    atomic_bool silent; /* an operation ran out: nothing is tidied up that must be waited for */
    atomic_bool lost;   /* requests are under way that nobody waits for */
};

/* text: the URL, for messages. UNSUPPORTED: librbd is not installed. UNREACHABLE, ABSENT: no such pool, PERM.
 */
int rbd_link_open(const struct rbd_url *u, const char *text, struct rbd_link **ret,
                  struct bk_error *err) BK_MUST_CHECK;
void rbd_link_free(struct rbd_link *l);
BK_AUTO(struct rbd_link *, rbd_link_free)

/* Translate a negative result of librbd. verb: a message id. UNREACHABLE: it ran out. */
int rbd_link_fail(struct rbd_link *l, int rc, const char *verb, const char *what, struct bk_error *err);

/* Requests of one thread, answered in the order of asking. */
enum { RBD_DEPTH = 4 };
struct rbd_lane;
struct rbd_way {
    struct rbd_lane *lane;
    rbd_completion_t completion;
    char *buf; /* DISK_REQUEST bytes */
    uint64_t at;
    size_t len;
    ssize_t rc;
    bool sent, done;
};
struct rbd_lane {
    struct rbd_link *link; /* borrowed */
    pthread_mutex_t lock;  /* guards rc and done of the ways */
    pthread_cond_t cond;
    char *buf; /* owned: made when needed */
    struct rbd_way way[RBD_DEPTH];
    unsigned first, n; /* of the ring: on their way */
};

void rbd_lane_init(struct rbd_lane *w, struct rbd_link *link);
void rbd_lane_clear(struct rbd_lane *w);
/* The next request, at most RBD_DEPTH on their way: the caller fills buf, submits with its completion, and
 * tells what that returned. NOMEM; UNREACHABLE once the connection is lost. */
int rbd_lane_slot(struct rbd_lane *w, uint64_t at, size_t len, struct rbd_way **ret,
                  struct bk_error *err) BK_MUST_CHECK;
void rbd_lane_sent(struct rbd_way *way, int rc);
/* Wait for the oldest, of which there is one: its rc is librbd's. Its buf stays until the next slot. */
const struct rbd_way *rbd_lane_take(struct rbd_lane *w);
/* Bytes [from, to) of the image, as disk_read gives them out. What was on its way is waited for. */
int rbd_lane_read(struct rbd_lane *w, rbd_image_t image, uint64_t from, uint64_t to, struct job *j,
                  disk_read_fn *fn, void *ctx, struct bk_error *err) BK_MUST_CHECK;

#endif
