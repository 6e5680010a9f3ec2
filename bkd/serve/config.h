/* What a server serves, to whom: a text file, one statement a line, '#' begins a comment.
 *
 *     repository NAME URL [quota BYTES]
 *     principal NAME token sha256:HEX | sm3:HEX
 *     principal NAME certificate COMMON-NAME
 *     role PRINCIPAL reader|writer|collector REPOSITORY
 *     limit connections|memory|object|idle NUMBER
 *
 * A name has to be stated before it is used. Anything else is USAGE, with the line's number: a mistake in a
 * file that says who may do what must not pass. Read once, then used by all threads.
 * docs/design/store-https.md */
#ifndef BKD_SERVE_CONFIG_H
#define BKD_SERVE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum {
    SERVE_NAME_MAX = 64,
    SERVE_URL_MAX = 511,
    SERVE_REPOSITORIES_MAX = 1024,
    SERVE_PRINCIPALS_MAX = 4096,
    SERVE_TOKEN_HASH = 32,
};

enum serve_role { SERVE_NOBODY, SERVE_READER, SERVE_WRITER, SERVE_COLLECTOR };

struct serve_principal {
    char name[SERVE_NAME_MAX + 1];
    bool has_token, sm3;
    uint8_t token[SERVE_TOKEN_HASH];
    char certificate[SERVE_NAME_MAX + 1];  /* common name of a client certificate, "" none */
    uint8_t roles[SERVE_REPOSITORIES_MAX]; /* enum serve_role, by the repository's index */
};

struct serve_config {
    struct serve_place {
        char name[SERVE_NAME_MAX + 1], url[SERVE_URL_MAX + 1];
        uint64_t quota; /* bytes; 0: none */
    } repositories[SERVE_REPOSITORIES_MAX];
    size_t n_repositories;
    struct serve_principal principals[SERVE_PRINCIPALS_MAX];
    size_t n_principals;
    unsigned connections, idle_s;
    uint64_t memory, object; /* bytes: of all bodies at once, of one object */
};

int serve_config_parse(const char *text, size_t len, struct serve_config **ret,
                       struct bk_error *err) BK_MUST_CHECK;
int serve_config_read(const char *path, struct serve_config **ret, struct bk_error *err) BK_MUST_CHECK;
static inline void serve_config_free(struct serve_config *c)
{
    free(c);
}
BK_AUTO(struct serve_config *, serve_config_free)

/* "reader" */
const char *serve_role_name(enum serve_role role);

#endif
