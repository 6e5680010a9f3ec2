/* What a request asks for and whether its role may: pure functions of what came over the wire.
 *
 *     GET    /REPO             what the server allows: version, role, largest object
 *     PUT    /REPO/o/NAME      put if absent
 *     GET    /REPO/o/NAME      with or without Range: bytes=FIRST-LAST
 *     HEAD   /REPO/o/NAME
 *     DELETE /REPO/o/NAME
 *     GET    /REPO/list        ?prefix=
 *
 * Any thread. docs/design/store-https.md */
#ifndef BKD_SERVE_REQUEST_H
#define BKD_SERVE_REQUEST_H

#include "bkd/serve/config.h"
#include "bkd/store/store.h"

enum serve_op { SERVE_INFO, SERVE_PUT, SERVE_GET, SERVE_STAT, SERVE_REMOVE, SERVE_LIST };

struct serve_request {
    enum serve_op op;
    char repository[SERVE_NAME_MAX + 1];
    char name[STORE_NAME_MAX + 1]; /* of the object, "" for INFO and LIST */
};

/* path: decoded, without the query. USAGE for anything that is not in the list above, or a name that
 * store_name_valid does not take. */
int serve_request_parse(const char *method, const char *path, struct serve_request *ret,
                        struct bk_error *err) BK_MUST_CHECK;

/* "bytes=FIRST-LAST", both there; false otherwise. */
bool serve_request_range(const char *s, uint64_t *ret_first, uint64_t *ret_last);
/* Decimal digits only. */
bool serve_request_number(const char *s, uint64_t *ret);
/* The start of a valid name, or "". */
bool serve_request_prefix(const char *s);

/* What the server itself writes; nobody puts or removes it, and listings leave it out unless asked for. */
#define SERVE_RECEIVED "received/"

enum serve_may { SERVE_NO, SERVE_YES, SERVE_OWN /* the session that it belongs to is the principal's */ };
enum serve_may serve_request_may(enum serve_role role, enum serve_op op, const char *name);
/* The session object of a name for which SERVE_OWN was said: "sessions/ID". */
void serve_request_session(const char *name, char out[static STORE_NAME_MAX + 1]);

#endif
