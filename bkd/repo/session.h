/* Sessions and the commit.
 *
 *     session_open -> (work) -> session_commit | session_close -> session_free
 *
 * open puts sessions/<id> first, then reads the generation and the tombstones: a collector publishes
 * tombstones first and lists sessions after, so one of the two always sees the other. commit is put-if-absent
 * of snapshots/<id>; FENCED when a void record stands there. docs/formats/session.md,
 * docs/design/protocol.md. One thread. */
#ifndef BKD_REPO_SESSION_H
#define BKD_REPO_SESSION_H

#include "bkd/repo/repo.h"
#include "formats/object/session.h"
#include "formats/snapshot/snapshot.h"

struct session;
int session_open(struct repo *r, enum session_role role, const char *purpose, struct session **ret,
                 struct bk_error *err) BK_MUST_CHECK;
const struct session_record *session_record(const struct session *s);
/* Other sessions were there when this one opened: left over from a crash, or at work. */
unsigned session_others(const struct session *s);
/* Fills in id, sequence, generation; puts snapshots/<id>; removes sessions/<id>. A lost acknowledgement is
 * resolved by reading back what stands there. */
int session_commit(struct session *s, struct snapshot *snap, struct bk_error *err) BK_MUST_CHECK;
/* Declare another session dead: put-if-absent of a void record under its snapshot's name. EXISTS: it had
 * committed. */
int session_fence(struct repo *r, const uint8_t id[static SESSION_ID], struct bk_error *err) BK_MUST_CHECK;
void session_free(struct session *s); /* without commit: removes sessions/<id> if it can */
BK_AUTO(struct session *, session_free)

#endif
