/* What bkctl nbd and the plugin inside nbdkit say to each other, over a socket pair that keeps messages apart
 * (SOCK_SEQPACKET).
 *
 *     bkctl    SETUP, VARIABLE ..., PLACE ..., GO                     then nothing; the end of it ends nbdkit
 *     plugin   LOG ..., then FAILED, or EXPORT ... and READY          then LOG ..., FAILED; its end ends
 * bkctl
 *
 * The secret goes this way, for what stands on a command line or in an environment is seen by others. Both
 * ends are the same build: a message that does not decode is CORRUPT and ends the conversation. A message is
 * a kind (u8) and fields as in formats/base/wire.h; texts end with a NUL. Threads: any may send. */
#ifndef BKCTL_NBD_WIRE_H
#define BKCTL_NBD_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/base/buf.h"
#include "formats/crypto/slot.h"

enum { NBD_MESSAGE_MAX = 128 << 10 }; /* fits the send buffer that Linux gives a socket */

/* nbdkit's status when something kept it from ending in good order. */
enum { NBD_EXIT_HARD = 99 };

enum nbd_kind {
    NBD_SETUP = 1,
    NBD_VARIABLE, /* texts: name, value; of the environment */
    NBD_PLACE,    /* text: SNAP[:NAME] */
    NBD_GO,
    NBD_EXPORT, /* u64 bytes, text: name */
    NBD_READY,
    NBD_FAILED, /* struct bk_error */
    NBD_LOG,    /* u64 enum job_level, text */
};

struct nbd_setup {
    const char *repo; /* URL */
    struct slot_secret secret;
    bool no_cache;
    uint64_t memory, threads, limit_upload, limit_download;
    const char *socket, *folder; /* what to remove when bkctl is gone; "": nothing */
    uint64_t socket_dev, socket_ino;
};
/* Unless another process has put its own socket there since. Call it while the socket is open: its number is
 * not given to another so long. */
void nbd_socket_remove(const char *socket, uint64_t dev, uint64_t ino, const char *folder);

/* Each replaces out. LIMIT: the message is too long. */
int nbd_setup_encode(const struct nbd_setup *s, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;
int nbd_texts_encode(enum nbd_kind kind, const char *a, const char *b, struct bk_buf *out,
                     struct bk_error *err) BK_MUST_CHECK;
int nbd_numbered_encode(enum nbd_kind kind, uint64_t number, const char *text, struct bk_buf *out,
                        struct bk_error *err) BK_MUST_CHECK;
int nbd_failed_encode(const struct bk_error *e, struct bk_buf *out, struct bk_error *err) BK_MUST_CHECK;

/* The kind of a message, 0 when there is none. decode: what is returned borrows from the message. */
enum nbd_kind nbd_kind_of(const struct bk_buf *m);
int nbd_setup_decode(const struct bk_buf *m, struct nbd_setup *ret, struct bk_error *err) BK_MUST_CHECK;
/* b may be NULL: there is one text only. */
int nbd_texts_decode(const struct bk_buf *m, const char **a, const char **b,
                     struct bk_error *err) BK_MUST_CHECK;
int nbd_numbered_decode(const struct bk_buf *m, uint64_t *number, const char **text,
                        struct bk_error *err) BK_MUST_CHECK;
int nbd_failed_decode(const struct bk_buf *m, struct bk_error *ret, struct bk_error *err) BK_MUST_CHECK;

/* wait false: BUSY when the other end does not read. IO: it is gone. */
int nbd_send(int fd, const struct bk_buf *m, bool wait, struct bk_error *err) BK_MUST_CHECK;
/* One whole message into m: 1, or 0 at the end. */
int nbd_receive(int fd, struct bk_buf *m, struct bk_error *err) BK_MUST_CHECK;

#endif
