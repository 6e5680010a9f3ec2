/* Who is at work: the sessions that stand in a repository, and which of them are surely dead.
 *
 *     sessions_list -> v[0..n) -> sessions_clear
 *
 * One thread. */
#ifndef BKD_REPO_SESSIONS_H
#define BKD_REPO_SESSIONS_H

#include "bkd/repo/repo.h"
#include "formats/object/session.h"

struct sessions_item {
    uint8_t id[SESSION_ID];
    bool readable;             /* else only the id and the counter are known */
    struct session_record rec; /* of the last renewal, or of sessions/<id> */
    uint64_t counter;          /* the highest one seen */
};
struct sessions {
    struct sessions_item *v; /* owned, by id */
    size_t n;
};
/* Sessions that ended while they were listed are left out. */
int sessions_list(struct repo *r, struct sessions *ret, struct bk_error *err) BK_MUST_CHECK;
void sessions_clear(struct sessions *s);
BK_AUTO_CLEAR(struct sessions, sessions_clear)

/* "sessions/<id>": 1 with counter 0; "sessions/<id>.<counter>": 1; else 0. */
int sessions_parse(const char *name, uint8_t ret_id[static SESSION_ID], uint64_t *ret_counter);
void sessions_path(const uint8_t id[static SESSION_ID], uint64_t counter, char out[static REPO_PATH]);

/* Which process of which boot we are: "" where /proc does not tell. */
void sessions_process(char out[static SESSION_TEXT_MAX + 1]);
/* What can be said at once of a session that ran here, since this boot, in our pid namespace: whether its
 * process is there. Of any other only time tells. */
enum session_fate { SESSION_UNKNOWN = 0, SESSION_ALIVE, SESSION_DEAD };
enum session_fate sessions_fate(const struct session_record *s);

#endif
