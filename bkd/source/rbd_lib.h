/* librbd, loaded when a disk in Ceph is read or written, as bkd/store/rados_lib.h loads librados. */
#ifndef BKD_SOURCE_RBD_LIB_H
#define BKD_SOURCE_RBD_LIB_H

#include <rbd/librbd.h>

#include "formats/base/error.h"

/* clang-format off */
#define RBD_LIB_CALLS(X) \
    X(aio_create_completion) \
    X(aio_flush) \
    X(aio_get_return_value) \
    X(aio_read) \
    X(aio_release) \
    X(aio_wait_for_complete) \
    X(aio_write) \
    X(aio_write_zeroes) \
    X(close) \
    X(create4) \
    X(diff_iterate2) \
    X(get_features) \
    X(get_flags) \
    X(get_id) \
    X(get_overlap) \
    X(get_size) \
    X(get_stripe_count) \
    X(image_options_create) \
    X(image_options_destroy) \
    X(open) \
    X(open_read_only) \
    X(remove) \
    X(rename) \
    X(snap_create) \
    X(snap_get_id) \
    X(snap_list) \
    X(snap_list_end) \
    X(snap_remove) \
    X(watchers_list) \
    X(watchers_list_cleanup)
/* clang-format on */

/* rbd_lib.open is rbd_open, and so on. */
struct rbd_lib {
#define X(name) __typeof__(&rbd_##name) name;
    RBD_LIB_CALLS(X)
#undef X
};
extern struct rbd_lib rbd_lib;

/* UNSUPPORTED: it is not installed. Before anything else; any thread, any number of times. */
int rbd_lib_load(struct bk_error *err) BK_MUST_CHECK;

#endif
