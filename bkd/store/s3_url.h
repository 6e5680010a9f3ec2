/* Where an S3 repository is, as its URL says it:
 *
 *   s3://HOST[:PORT]/BUCKET[/PREFIX]?region=R&style=path|virtual&tls=on|off&ca=FILE&profile=NAME
 *       &control=BUCKET&lock=none|compliance|governance&retain=DAYS&timeout=SECONDS&connections=N
 *
 * Everything after '?' is optional; values may hold %XX. docs/design/store-s3.md. Any thread. */
#ifndef BKD_STORE_S3_URL_H
#define BKD_STORE_S3_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum { S3_HOST_MAX = 255, S3_BUCKET_MAX = 63, S3_PREFIX_MAX = 200, S3_WORD_MAX = 63, S3_PATH_MAX = 511 };
enum s3_lock { S3_LOCK_NONE, S3_LOCK_COMPLIANCE, S3_LOCK_GOVERNANCE };

struct s3_url {
    char host[S3_HOST_MAX + 1]; /* with the port when it is given */
    char bucket[S3_BUCKET_MAX + 1];
    char control[S3_BUCKET_MAX + 1]; /* bucket of the control objects; "": the same one */
    char prefix[S3_PREFIX_MAX + 2];  /* "" or it ends with '/' */
    char region[S3_WORD_MAX + 1];
    char profile[S3_WORD_MAX + 1]; /* of the credentials file; "": none was named */
    char ca[S3_PATH_MAX + 1];      /* file of certificates to trust; "": the system's */
    bool tls, virtual_style;
    enum s3_lock lock;    /* retention of what goes to `bucket` */
    unsigned retain_days; /* set at the put; 0: only by store_ops.retain */
    unsigned timeout_s;   /* how long a call is tried again */
    unsigned connections; /* requests at once */
};

/* USAGE says what is wrong with the URL. */
int s3_url_parse(const char *url, struct s3_url *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
