/* The place of a disk in Ceph:
 *
 *     rbd:POOL[/NAMESPACE]/IMAGE[@SNAP][?conf=FILE][&id=NAME][&keyring=FILE][&timeout=SECONDS][&connect=SECONDS]
 *
 * Parts may hold %XX, so that an image may have any name. */
#ifndef BKD_SOURCE_RBD_URL_H
#define BKD_SOURCE_RBD_URL_H

#include <stdbool.h>

#include "bkd/store/rados_url.h"

struct rbd_url {
    struct rados_url cluster; /* client, pool, namespace, files and timeouts */
    char image[RADOS_URL_PART];
    char snap[RADOS_URL_PART]; /* "": none was named */
};

/* USAGE says what is wrong with it. */
int rbd_url_parse(const char *text, struct rbd_url *ret, struct bk_error *err) BK_MUST_CHECK;
/* May they be had through one connection? */
bool rbd_url_same_link(const struct rbd_url *a, const struct rbd_url *b);

#endif
