/* A command that runs beside us: one whose standard output is read, or a server on a socket of ours.
 *
 *     child_start | child_serve -> child_read ... -> child_finish -> child_free (kills and reaps what still
 * runs)
 *
 * The command gets its own process group, so that all of it can be stopped, and /dev/null to read from. Its
 * standard error is kept, the end of it. One thread. */
#ifndef BKD_JOB_CHILD_H
#define BKD_JOB_CHILD_H

#include "bkd/job/job.h"

struct child;
/* argv NULL: no command, standard input is read. ABSENT, PERM: it cannot be run. */
int child_start(const char *const *argv, struct child **ret, struct bk_error *err) BK_MUST_CHECK;
/* The same with a socket that listens as its descriptor 3, announced as systemd does (LISTEN_PID,
 * LISTEN_FDS). It is told to end when the calling thread does (not the process). What it says is kept only as
 * far as somebody reads it: it never waits for us. child_finish: UNSUPPORTED when there is no such program.
 */
int child_serve(const char *const *argv, int socket, struct child **ret, struct bk_error *err) BK_MUST_CHECK;
/* Some bytes, *ret 0 at the end. CANCELLED, IO. */
int child_read(struct child *c, struct job *j, void *out, size_t len, size_t *ret,
               struct bk_error *err) BK_MUST_CHECK;
/* After the end: how did it go? FAILED with the exit status or signal and the end of its standard error. */
int child_finish(struct child *c, struct job *j, struct bk_error *err) BK_MUST_CHECK;
/* The end of what it wrote to its standard error, after child_finish. */
const char *child_said(const struct child *c);
void child_free(struct child *c);
BK_AUTO(struct child *, child_free)

#endif
