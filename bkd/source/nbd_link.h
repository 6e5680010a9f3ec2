/* One connection to an NBD server, with waits that end.
 *
 *     nbd_link_uri | nbd_link_socket -> nbd_lib calls that give a cookie -> nbd_link_wait ... ->
 * nbd_link_close
 *
 * Buffers of calls that were not waited for stay until nbd_link_close. A connection belongs to one thread at
 * a time. */
#ifndef BKD_SOURCE_NBD_LINK_H
#define BKD_SOURCE_NBD_LINK_H

#include "bkd/job/child.h"
#include "bkd/job/job.h"
#include "bkd/source/nbd_lib.h"

enum {
    NBD_SILENCE_S = 120,  /* seconds without a byte after which a server counts as gone */
    NBD_REQUEST_S = 1200, /* seconds that one request may take at most */
    NBD_LINKS_MAX = 16,   /* connections of one disk */
};

struct nbd_link {
    struct nbd_handle *h; /* owned; NULL: none */
    struct job *job;      /* borrowed */
};

/* contexts: meta contexts to ask for, ended by NULL, or NULL. silence_s: for this call. UNSUPPORTED: libnbd
 * is not installed; UNREACHABLE: nobody answers; FAILED, IO: it refuses; CANCELLED. */
int nbd_link_uri(struct nbd_link *l, struct job *j, const char *uri, const char *const *contexts,
                 unsigned silence_s, struct bk_error *err) BK_MUST_CHECK;
/* Over a socket that is connected; it is the link's from now on, also after an error. */
int nbd_link_socket(struct nbd_link *l, struct job *j, int socket, const char *const *contexts,
                    struct bk_error *err) BK_MUST_CHECK;
void nbd_link_close(struct nbd_link *l);

/* Until the call with this cookie is done; a cookie below 0 is a call that failed at once. what, for the
 * error: "read", with its place. IO with the server's reason, NOSPACE, UNREACHABLE, CANCELLED. */
int nbd_link_wait(struct nbd_link *l, int64_t cookie, const char *what, uint64_t at, size_t len,
                  struct bk_error *err) BK_MUST_CHECK;
/* What libnbd said last on this thread. */
int nbd_link_fail(struct bk_error *err, const char *what);

/* A server of our own: argv is run with a socket that `n` connections wait on already, so that nothing has a
 * name that others could open, and it ends when they end, however we do. fds: n <= NBD_LINKS_MAX descriptors,
 * the caller's. */
int nbd_link_serve(const char *const *argv, unsigned n, int *fds, struct child **ret,
                   struct bk_error *err) BK_MUST_CHECK;

#endif
