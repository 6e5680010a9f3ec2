/* https://HOST[:PORT]/REPO?ca=FILE&cert=FILE&key=FILE&token-file=FILE&timeout=SECONDS&connections=N */
#ifndef BKD_STORE_HTTPS_URL_H
#define BKD_STORE_HTTPS_URL_H

#include "formats/base/error.h"

enum { HTTPS_HOST_MAX = 255, HTTPS_REPO_MAX = 64, HTTPS_PATH_MAX = 511, HTTPS_TOKEN_MAX = 256 };

struct https_url {
    char host[HTTPS_HOST_MAX + 1]; /* with the port */
    char repo[HTTPS_REPO_MAX + 1];
    char ca[HTTPS_PATH_MAX + 1], cert[HTTPS_PATH_MAX + 1], key[HTTPS_PATH_MAX + 1];
    char token_file[HTTPS_PATH_MAX + 1];
    unsigned timeout_s, connections;
};

/* USAGE. File names are taken as they are, without percent-encoding. */
int https_url_parse(const char *url, struct https_url *ret, struct bk_error *err) BK_MUST_CHECK;

/* The token: of ?token-file=, else of BKCTL_TOKEN, of the file in BKCTL_TOKEN_FILE or of the command in
 * BKCTL_TOKEN_COMMAND; "" when none is set. USAGE for one that cannot be a token. */
int https_token(const struct https_url *u, char out[static HTTPS_TOKEN_MAX + 1],
                struct bk_error *err) BK_MUST_CHECK;

#endif
