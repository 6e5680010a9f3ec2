/* RADOS store: objects of one namespace of a Ceph pool, replicated or erasure-coded (no omap, whole objects
 * only). URL: bkd/store/rados_url.h. Bounds of every operation: bkd/store/rados_io.h. Why it is as it is:
 * docs/design/store-rados.md.
 *
 * put is one operation, create-exclusively and write: it happens whole or not at all, once. An object is
 * never larger than what the cluster takes in one operation (max_object_bytes, read from the cluster).
 * After UNREACHABLE or IO a put or remove may have happened or may still happen. */
#ifndef BKD_STORE_RADOS_H
#define BKD_STORE_RADOS_H

#include "bkd/store/store.h"

/* create: EXISTS when the namespace holds objects that no unfinished init leaves. Else ABSENT comes with the
 * first object that is not there: a namespace is not made, it is named. LIMIT: the cluster takes only
 * objects too small for a repository. */
int store_rados_open(const char *url, bool create, struct store **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
