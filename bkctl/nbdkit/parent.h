/* The plugin's side of the socket pair to bkctl (bkctl/nbd_wire.h): what is to be served comes in, log lines
 * go out, and when bkctl is gone, however it went, nbdkit ends.
 *
 *     parent_hear -> parent_watch -> parent_log, parent_say (any thread) -> parent_leave */
#ifndef BKCTL_NBDKIT_PARENT_H
#define BKCTL_NBDKIT_PARENT_H

#include <pthread.h>

#include "bkctl/nbd_wire.h"
#include "bkd/job/job.h"

struct parent {
    int fd;
    struct nbd_setup setup; /* borrows from mem */
    struct bk_buf mem;
    char **places; /* owned */
    size_t n_places;
    atomic_uint dropped; /* log lines */
    struct job *job;     /* borrowed: cancelled when bkctl is gone */
    int stop[2];         /* a pipe: its end wakes the watcher */
    pthread_t watcher;
    bool watching;
};

/* All up to GO. Variables are put into this process, where /proc does not show them. After an error *ret
 * holds what was heard until then, for parent_remove_socket and parent_leave. */
int parent_hear(int fd, struct parent *ret, struct bk_error *err) BK_MUST_CHECK;
/* Nobody new gets in. */
void parent_remove_socket(const struct parent *p);
/* The secret is not needed any more. */
void parent_forget_secret(struct parent *p);
/* From now on the end of bkctl cancels the job and ends nbdkit. */
int parent_watch(struct parent *p, struct job *j, struct bk_error *err) BK_MUST_CHECK;
/* Waits until bkctl takes it. */
int parent_say(struct parent *p, const struct bk_buf *m, struct bk_error *err) BK_MUST_CHECK;
/* bkctl reports it, once; when it is gone nobody has to know. */
void parent_fail(struct parent *p, const struct bk_error *why);
/* Reads are cancelled, and nbdkit ends in good order. Any thread. */
void parent_end(struct parent *p);
/* For job.log; a line that bkctl does not take at once is dropped rather than that a client waits. How many
 * is told with the next one. */
void parent_log(void *ctx, enum job_level level, const char *text);
void parent_leave(struct parent *p);

#endif
