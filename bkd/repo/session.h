/* Sessions and the commit.
 *
 *     session_open -> (work) -> session_commit | session_close -> session_free
 *
 * open puts sessions/<id> first, then reads what the collector has published: a collector publishes
 * tombstones first and lists sessions after, so one of the two always sees the other. A thread renews the
 * session until it ends. commit is put-if-absent of snapshots/<id>; FENCED when a void record stands there.
 * docs/formats/session.md, docs/design/protocol.md. One thread. */
#ifndef BKD_REPO_SESSION_H
#define BKD_REPO_SESSION_H

#include "bkd/repo/collection.h"
#include "formats/object/session.h"
#include "formats/snapshot/snapshot.h"

struct session;
int session_open(struct repo *r, enum session_role role, const char *purpose, struct session **ret,
                 struct bk_error *err) BK_MUST_CHECK;
/* For who only reads: 0 and *ret NULL where a session cannot be put (a store that is read-only or full); that
 * is logged, and the collector will not wait. Open it before the catalogue is loaded. NOMEM. */
int session_hold(struct repo *r, struct job *j, const char *purpose, struct session **ret,
                 struct bk_error *err) BK_MUST_CHECK;
/* fn is called once, on the session's own thread, when somebody else has ended the session: what is read may
 * be deleted. It must not wait for the session to end. At most once per session. */
typedef void session_lost_fn(void *ctx);
void session_on_lost(struct session *s, session_lost_fn *fn, void *ctx);
const struct session_record *session_record(const struct session *s);
/* What the collector said when it opened: index_guard. */
const struct collection *session_collection(const struct session *s);
/* How often sessions that are opened from now on are renewed: 30 s unless a test says otherwise. */
void session_renew_every(unsigned ms);
/* Other sessions were there when this one opened: left over from a crash, or at work. */
unsigned session_others(const struct session *s);
/* Fills in id, sequence, generation; puts snapshots/<id>; removes sessions/<id>. A lost acknowledgement is
 * resolved by reading back what stands there. */
int session_commit(struct session *s, struct snapshot *snap, struct bk_error *err) BK_MUST_CHECK;
/* Declare another session dead: put-if-absent of a void record under its snapshot's name; then its objects
 * are removed. The void record stays for ever: whoever sleeps now may try to commit in a year. EXISTS: it had
 * committed; what is left of it is removed as well. */
int session_fence(struct repo *r, const uint8_t id[static SESSION_ID], struct bk_error *err) BK_MUST_CHECK;
/* Remove what stands of a session that has no way to commit: a reader's, a collector's. */
int session_dismiss(struct repo *r, const uint8_t id[static SESSION_ID], struct bk_error *err) BK_MUST_CHECK;
void session_free(struct session *s); /* without commit: removes sessions/<id> if it can */
BK_AUTO(struct session *, session_free)

#endif
