/* Behind `bkctl nbd`: nbdkit runs as a child with our plugin in it, and bkctl looks after it.
 *
 * bkctl listens and hands the socket over, as systemd does, so that clients may connect before nbdkit is up.
 * Repository, secret and places go over a socket pair (nbd_wire.h); the plugin opens the repository.
 * Whichever process ends, the other sees the end of the socket pair and ends too. docs/design/nbd.md */
#ifndef BKCTL_NBD_H
#define BKCTL_NBD_H

#include <sys/types.h>

#include "bkctl/app.h"
#include "bkctl/opt.h"

struct nbd_args {
    const char *socket, *address, *tls_certs;
    int port; /* 0: not given */
    bool insecure, tls_verify_peer;
};

/* Returns when the command after "--" has ended (a.exit_status), or without one when a signal comes. */
int nbd_serve(struct app *a, const struct nbd_args *x, const struct operands *ops,
              struct bk_error *err) BK_MUST_CHECK;

/* ---- nbd_listen.c ---- */

enum { NBD_PATH_MAX = 108 }; /* of a unix socket, with its NUL */
struct nbd_listener {
    int fd;
    char socket[NBD_PATH_MAX];   /* "": TCP */
    uint64_t dev, ino;           /* of that */
    char folder[NBD_PATH_MAX];   /* "": none of ours */
    char where[512];             /* the URI up to the export's name, "nbd+unix:///" */
    char tail[4 * NBD_PATH_MAX]; /* what follows it, "?socket=..." */
};
#define NBD_LISTENER ((struct nbd_listener){ .fd = -1 })
int nbd_listen(const struct nbd_args *x, struct nbd_listener *ret, struct bk_error *err) BK_MUST_CHECK;
/* With its socket and folder. */
void nbd_listener_clear(struct nbd_listener *l);
BK_AUTO_CLEAR(struct nbd_listener, nbd_listener_clear)
/* The URI of an export, "" for the default one. false: it does not fit. */
bool nbd_uri(const struct nbd_listener *l, const char *export_, char *out, size_t len);

/* ---- nbd_child.c ---- */

struct nbd_child {
    pid_t pid;   /* 0: none */
    int channel; /* the end that is ours */
};
#define NBD_CHILD ((struct nbd_child){ .channel = -1 })
/* Before anything is there to be left behind. UNSUPPORTED: nbdkit is not there. ABSENT: the plugin is not. */
struct nbd_kit {
    char plugin[4096];
    unsigned version[3];
};
int nbd_kit_find(struct nbd_kit *ret, struct bk_error *err) BK_MUST_CHECK;
/* nbdkit, in a process group of its own, with nothing of ours in its environment. */
enum { NBD_NO_PROGRAM = 127 };
int nbd_child_start(const struct nbd_args *x, const struct nbd_kit *kit, const struct nbd_listener *l,
                    bool debug, struct nbd_child *ret, struct bk_error *err) BK_MUST_CHECK;
/* What was kept from its environment. */
int nbd_child_tell_variables(struct nbd_child *c, struct bk_error *err) BK_MUST_CHECK;
/* Let it end by itself, then by force; its wait status, -1 when it had none. */
int nbd_child_end(struct nbd_child *c);
/* For the user: $uri and $BKCTL_NBD_URI are set. A command that cannot be run is told, and is *ret 0 with
 * *ret_status 127. */
int nbd_run_command(char *const *argv, const char *uri, pid_t *ret, int *ret_status,
                    struct bk_error *err) BK_MUST_CHECK;

#endif
