/* S3 store: one object of a bucket per object of the repository. Ends a stack.
 *
 * put is one conditional request (If-None-Match: *) whose body is signed, so that a body cut short is
 * refused. Objects past S3_PART bytes go in parts; only names that are hashes of their bytes may be that
 * large, as not every server completes an upload on a condition. Calls are tried again until the URL's
 * timeout (s3_call.h).
 *
 * With control=BUCKET the objects whose names decide something (all but data/, meta/ and index/) live in that
 * bucket, which has no versions and so honours the condition on every server; with lock= as well, the first
 * bucket keeps a copy of each, so that it alone is a whole repository if somebody empties the other.
 * docs/design/store-s3.md */
#ifndef BKD_STORE_S3_H
#define BKD_STORE_S3_H

#include "bkd/store/store.h"

/* create: the bucket is made if it is not there, and nothing of a repository may be below the prefix
 * (EXISTS). Else the bucket must be there: ABSENT. */
int store_s3_open(const char *url, bool create, const struct world *w, struct store **ret,
                  struct bk_error *err) BK_MUST_CHECK;

#endif
