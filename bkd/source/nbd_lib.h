/* libnbd, loaded when a disk is read or written over NBD: who has none need not have it installed, and what
 * it brings along costs a program time at its start. */
#ifndef BKD_SOURCE_NBD_LIB_H
#define BKD_SOURCE_NBD_LIB_H

#include <libnbd.h>

#include "formats/base/error.h"

/* clang-format off */
#define NBD_LIB_CALLS(X) \
    X(add_meta_context) \
    X(aio_block_status) \
    X(aio_command_completed) \
    X(aio_connect_socket) \
    X(aio_connect_uri) \
    X(aio_flush) \
    X(aio_is_closed) \
    X(aio_is_dead) \
    X(aio_is_ready) \
    X(aio_pread) \
    X(aio_pwrite) \
    X(aio_zero) \
    X(can_flush) \
    X(can_meta_context) \
    X(can_multi_conn) \
    X(can_zero) \
    X(close) \
    X(create) \
    X(get_errno) \
    X(get_error) \
    X(get_size) \
    X(is_read_only) \
    X(poll) \
    X(set_uri_allow_local_file)
/* clang-format on */

/* nbd_lib.create is nbd_create, and so on. */
struct nbd_lib {
#define X(name) __typeof__(&nbd_##name) name;
    NBD_LIB_CALLS(X)
#undef X
};
extern struct nbd_lib nbd_lib;

/* UNSUPPORTED: it is not installed. Before anything else; any thread, any number of times. */
int nbd_lib_load(struct bk_error *err) BK_MUST_CHECK;

#endif
