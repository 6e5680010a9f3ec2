/* HTTPS store: a repository that bkd serves. Ends a stack.
 *
 * The server holds the store's credentials and says who may do what (PERM); put is durable when it returns.
 * Calls are tried again until the URL's timeout (https_url.h). docs/design/store-https.md */
#ifndef BKD_STORE_HTTPS_H
#define BKD_STORE_HTTPS_H

#include "bkd/store/store.h"

/* create: nothing of a repository may be there (EXISTS). PERM, UNREACHABLE. */
int store_https_open(const char *url, bool create, const struct world *w, struct store **ret,
                     struct bk_error *err) BK_MUST_CHECK;

#endif
