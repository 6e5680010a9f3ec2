/* The place of a RADOS repository in a URL:
 *
 *     rados://[client.NAME@]POOL[/NAMESPACE][?conf=FILE][&keyring=FILE][&timeout=SECONDS][&connect=SECONDS]
 *
 * Parts may hold %XX. NAMESPACE may hold slashes. timeout bounds one operation, connect the way in. */
#ifndef BKD_STORE_RADOS_URL_H
#define BKD_STORE_RADOS_URL_H

#include "formats/base/error.h"

enum {
    RADOS_URL_PART = 256,
    RADOS_URL_FILE = 1024,
    RADOS_URL_TIMEOUT_S = 60,
    RADOS_URL_CONNECT_S = 30,
    RADOS_URL_SECONDS_MAX = 3600,
};

struct rados_url {
    char client[RADOS_URL_PART]; /* "client.admin" when the URL names none */
    char pool[RADOS_URL_PART];
    char ns[RADOS_URL_PART];      /* "": the pool's default namespace */
    char conf[RADOS_URL_FILE];    /* "": where librados looks by itself */
    char keyring[RADOS_URL_FILE]; /* "": as the configuration says */
    unsigned timeout_s, connect_s;
};

/* USAGE says what is wrong with it. */
int rados_url_parse(const char *url, struct rados_url *ret, struct bk_error *err) BK_MUST_CHECK;

/* For other places in a cluster. len bytes, %XX decoded, into out of cap bytes; what: a message id. */
int rados_url_decode(const char *s, size_t len, char *out, size_t cap, const char *what,
                     struct bk_error *err) BK_MUST_CHECK;
/* One of the parameters above, "conf=FILE". */
int rados_url_parameter(const char *s, size_t len, struct rados_url *u, struct bk_error *err) BK_MUST_CHECK;

#endif
