/* A server of repositories over HTTPS.
 *
 *     serve_start -> (requests, on threads of its own) -> serve_stop
 *
 * Bodies are held in memory until they are whole and verified, within the configuration's limit of memory; an
 * answer 201 means that the object is durable. Roles, quota and received times: request.h, repo.h.
 * Protocol: docs/design/store-https.md */
#ifndef BKD_SERVE_SERVE_H
#define BKD_SERVE_SERVE_H

#include "bkd/serve/config.h"
#include "bkd/job/world.h"

enum { SERVE_STOP_S = 60 };

struct serve_opts {
    const char *listen;     /* HOST:PORT, numeric; [HOST]:PORT for IPv6 */
    const char *cert, *key; /* PEM files */
    const char *client_ca;  /* PEM file; NULL: certificates of clients say nothing */
};

struct serve;
/* config and world are borrowed while it lives. */
int serve_start(const struct serve_opts *o, const struct serve_config *config, const struct world *w,
                struct serve **ret, struct bk_error *err) BK_MUST_CHECK;
/* Takes no more connections; requests that run have SERVE_STOP_S seconds to end. Frees it. NULL is accepted.
 */
void serve_stop(struct serve *s);

#endif
