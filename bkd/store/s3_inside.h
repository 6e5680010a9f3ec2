/* The parts of the S3 store. Internal to bkd/store/s3*. */
#ifndef BKD_STORE_S3_INSIDE_H
#define BKD_STORE_S3_INSIDE_H

#include "bkd/store/s3_call.h"

#define S3_PART ((size_t)64 << 20)
enum { S3_PARTS_MAX = 10000 };

/* The bucket that an object of this name is in. */
const char *s3_bucket_of(const struct s3 *s, const char *name);
/* May the object be large, and be put twice: is its name the hash of its bytes? */
bool s3_named_by_content(const char *name);

/* Everything of one bucket whose name starts with prefix and that belongs there. */
int s3_list_bucket(struct s3 *s, const char *bucket, const char *prefix, store_list_fn *fn, void *ctx,
                   struct bk_error *err) BK_MUST_CHECK;
/* An object of more than S3_PART bytes. EXISTS where the server completes on a condition. */
int s3_put_parts(struct s3 *s, const char *bucket, const char *name, const void *data, size_t len,
                 struct bk_error *err) BK_MUST_CHECK;

enum { S3_MD5 = 25, S3_DATE = 32 };
struct s3_lock_headers {
    char md5[S3_MD5], until[S3_DATE];
};
/* Headers that keep an object of the locked bucket from its put on; n of them are added to q. */
int s3_lock_put(struct s3 *s, const void *data, size_t len, struct s3_call *q, size_t *n,
                struct s3_lock_headers *mem, struct bk_error *err) BK_MUST_CHECK;
/* Was the bucket made with object lock? UNSUPPORTED. */
int s3_lock_check(struct s3 *s, struct bk_error *err) BK_MUST_CHECK;
/* store_ops.retain */
int s3_retain(struct store *store, const char *name, int64_t until_ns, struct bk_error *err) BK_MUST_CHECK;
/* Every version of an object. PERM while its retention runs. */
int s3_remove_versions(struct s3 *s, const char *bucket, const char *name,
                       struct bk_error *err) BK_MUST_CHECK;

#endif
