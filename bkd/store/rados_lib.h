/* librados, loaded when a RADOS repository is opened: it and what it brings along (30 MB of libraries) cost a
 * program 10 ms at its start, and who keeps repositories elsewhere need not have it installed. */
#ifndef BKD_STORE_RADOS_LIB_H
#define BKD_STORE_RADOS_LIB_H

#include <rados/librados.h>

#include "formats/base/error.h"

/* clang-format off */
#define RADOS_LIB_CALLS(X) \
    X(aio_cancel) \
    X(aio_create_completion2) \
    X(aio_get_return_value) \
    X(aio_read) \
    X(aio_release) \
    X(aio_stat) \
    X(aio_wait_for_complete_and_cb) \
    X(aio_write_op_operate) \
    X(buffer_free) \
    X(conf_get) \
    X(conf_read_file) \
    X(conf_set) \
    X(connect) \
    X(create2) \
    X(create_write_op) \
    X(ioctx_create) \
    X(ioctx_destroy) \
    X(ioctx_set_namespace) \
    X(mon_command) \
    X(nobjects_list_close) \
    X(nobjects_list_next) \
    X(nobjects_list_open) \
    X(release_write_op) \
    X(shutdown) \
    X(write_op_create) \
    X(write_op_remove) \
    X(write_op_write_full)
/* clang-format on */

/* rados_lib.connect is rados_connect, and so on. */
struct rados_lib {
#define X(name) __typeof__(&rados_##name) name;
    RADOS_LIB_CALLS(X)
#undef X
};
extern struct rados_lib rados_lib;

/* UNSUPPORTED: it is not installed. Before anything else; any thread, any number of times. */
int rados_lib_load(struct bk_error *err) BK_MUST_CHECK;

#endif
