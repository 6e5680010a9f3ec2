/* Who is asking: tokens and client certificates. Any thread. */
#ifndef BKD_SERVE_AUTH_H
#define BKD_SERVE_AUTH_H

#include "bkd/serve/config.h"
#include "bkd/job/world.h"

enum { SERVE_TOKEN_MAX = 256, SERVE_TOKEN_TEXT = 72 };

/* The principal whose token this is, or NULL. Takes the same time for every token of a length: all are
 * compared, to the end. */
const struct serve_principal *serve_auth_token(const struct serve_config *c, const char *token);
const struct serve_principal *serve_auth_certificate(const struct serve_config *c, const char *common_name);
/* A new token, and what goes into the configuration: "sha256:HEX". */
int serve_auth_new(const struct world *w, bool sm3, char token[static SERVE_TOKEN_TEXT],
                   char hash[static 2 * SERVE_TOKEN_HASH + 8], struct bk_error *err) BK_MUST_CHECK;

#endif
