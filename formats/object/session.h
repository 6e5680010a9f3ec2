/* A session record: one writer's (or reader's) presence, object sessions/<id>. Sealed like every
 * record. The collector reads the generation it started at; people read the rest.
 * docs/formats/session.md. */
#ifndef FORMATS_OBJECT_SESSION_H
#define FORMATS_OBJECT_SESSION_H

#include "formats/base/buf.h"

enum { SESSION_ID = 16, SESSION_TEXT_MAX = 255 };
enum session_role { SESSION_WRITER = 1, SESSION_READER = 2, SESSION_COLLECTOR = 3 };

struct session_record {
    uint8_t id[SESSION_ID];
    enum session_role role;
    uint64_t generation; /* of the repository when the session opened */
    uint64_t counter;    /* renewals so far */
    int64_t started_ns;  /* Unix time, for people only */
    uint64_t pid;
    char host[SESSION_TEXT_MAX + 1];
    char purpose[SESSION_TEXT_MAX + 1]; /* "backup", "restore" ... */
    char process[SESSION_TEXT_MAX + 1]; /* tells the process from all others of the host, ever; "": unknown */
};

int session_record_encode(const struct session_record *s, struct bk_buf *out,
                          struct bk_error *err) BK_MUST_CHECK;
int session_record_decode(const void *data, size_t len, struct session_record *ret,
                          struct bk_error *err) BK_MUST_CHECK;

#endif
