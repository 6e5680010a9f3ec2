#include "bkd/source/nbd_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 500 };

int nbd_link_fail(struct bk_error *err, const char *what)
{
    const char *said = nbd_lib.get_error();
    int sys = nbd_lib.get_errno();
    int code = sys == ENOSPC ? BK_E_NOSPACE : sys == EPERM || sys == EACCES ? BK_E_PERM : BK_E_IO;
    bk_fail(err, code, "%s: %s", bk_text(what), said ? said : "?");
    if (err)
        err->sys = sys;
    return code;
}

/* One turn of the state machine. 1: something happened, 0: nothing for TICK_MS. */
static int turn(struct nbd_link *l, struct bk_error *err)
{
    int r = job_check(l->job, err);
    if (r < 0)
        return r;
    int n = nbd_lib.poll(l->h, TICK_MS);
    return n < 0 ? nbd_link_fail(err, N_("talk to the NBD server")) : n;
}

static int64_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static int silent(struct bk_error *err, unsigned s)
{
    return bk_fail(err, BK_E_UNREACHABLE, "the NBD server has said nothing for %u s", s);
}

static int make(struct nbd_link *l, struct job *j, const char *const *contexts, struct bk_error *err)
{
    *l = (struct nbd_link){ .job = j };
    int r = nbd_lib_load(err);
    if (r < 0)
        return r;
    l->h = nbd_lib.create();
    if (!l->h)
        return nbd_link_fail(err, N_("prepare an NBD connection"));
    for (size_t i = 0; contexts && contexts[i]; i++)
        if (nbd_lib.add_meta_context(l->h, contexts[i]) < 0)
            return nbd_link_fail(err, N_("ask for what changed"));
    return 0;
}

static int shake_hands(struct nbd_link *l, unsigned silence_s, struct bk_error *err)
{
    unsigned idle_ms = 0;
    while (!nbd_lib.aio_is_ready(l->h)) {
        if (nbd_lib.aio_is_dead(l->h) || nbd_lib.aio_is_closed(l->h))
            return nbd_link_fail(err, N_("connect to the NBD server"));
        int n = turn(l, err);
        if (n < 0)
            return n;
        idle_ms = n ? 0 : idle_ms + TICK_MS;
        if (idle_ms >= silence_s * 1000)
            return silent(err, silence_s);
    }
    return 0;
}

int nbd_link_uri(struct nbd_link *l, struct job *j, const char *uri, const char *const *contexts,
                 unsigned silence_s, struct bk_error *err)
{
    int r = make(l, j, contexts, err);
    if (r == 0 && nbd_lib.set_uri_allow_local_file(l->h, true) < 0)
        r = nbd_link_fail(err, N_("prepare an NBD connection"));
    if (r == 0 && nbd_lib.aio_connect_uri(l->h, uri) < 0)
        r = nbd_link_fail(err, N_("connect to the NBD server"));
    if (r == 0)
        r = shake_hands(l, silence_s, err);
    if (r < 0)
        nbd_link_close(l);
    return r;
}

int nbd_link_socket(struct nbd_link *l, struct job *j, int socket, const char *const *contexts,
                    struct bk_error *err)
{
    int r = make(l, j, contexts, err);
    if (r < 0)
        close(socket);
    else if (nbd_lib.aio_connect_socket(l->h, socket) < 0)
        r = nbd_link_fail(err, N_("connect to the NBD server"));
    if (r == 0)
        r = shake_hands(l, NBD_SILENCE_S, err);
    if (r < 0)
        nbd_link_close(l);
    return r;
}

void nbd_link_close(struct nbd_link *l)
{
    if (l->h)
        nbd_lib.close(l->h);
    l->h = NULL;
}

int nbd_link_wait(struct nbd_link *l, int64_t cookie, const char *what, uint64_t at, size_t len,
                  struct bk_error *err)
{
    int r = 0;
    unsigned idle_ms = 0;
    int64_t start = now_s();
    while (r == 0 && cookie >= 0) {
        int done = nbd_lib.aio_command_completed(l->h, (uint64_t)cookie);
        if (done > 0)
            return 0;
        if (done < 0)
            break;
        int n = turn(l, err);
        idle_ms = n ? 0 : idle_ms + TICK_MS;
        if (n < 0)
            r = n;
        else if (idle_ms >= NBD_SILENCE_S * 1000)
            r = silent(err, NBD_SILENCE_S);
        else if (now_s() - start > NBD_REQUEST_S) /* it drips */
            r = bk_fail(err, BK_E_UNREACHABLE, "the NBD server has not answered a request in %d s",
                        NBD_REQUEST_S);
    }
    if (r == 0)
        r = nbd_link_fail(err, N_("the NBD server refuses"));
    return r == BK_E_CANCELLED
               ? r
               : bk_context(err, "%s %zu bytes at %llu", bk_text(what), len, (unsigned long long)at);
}

/* ---- a server of our own ---- */

static int listen_hidden(const char *dir, struct sockaddr_un *ret, struct bk_error *err)
{
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(ret->sun_path, sizeof ret->sun_path, "%s/s", dir);
    bk_auto(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)ret, sizeof *ret) < 0 || listen(fd, NBD_LINKS_MAX) < 0)
        return bk_fail_errno(err, errno, "listen on %s", ret->sun_path);
    return bk_steal_fd(&fd);
}

static int connect_to(const struct sockaddr_un *to, struct bk_error *err)
{
    /* a queue that is full is an error and no wait */
    bk_auto(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
        return bk_fail_errno(err, errno, "connect to %s", to->sun_path);
    return bk_steal_fd(&fd);
}

/* The socket's name is gone again before anybody answers on it. A short one: names of sockets end at 107
 * bytes. */
static int connect_all(unsigned n, int *fds, struct bk_error *err)
{
    char dir[] = "/tmp/bkctl-nbd.XXXXXX";
    if (!mkdtemp(dir))
        return bk_fail_errno(err, errno, "make the folder %s", dir);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = listen_hidden(dir, &at, err), r = fd < 0 ? fd : 0;
    for (unsigned i = 0; i < n && r == 0; i++) {
        fds[i] = connect_to(&at, err);
        if (fds[i] < 0)
            r = fds[i];
    }
    unlink(at.sun_path);
    rmdir(dir);
    if (r < 0 && fd >= 0)
        close(fd);
    return r < 0 ? r : fd;
}

int nbd_link_serve(const char *const *argv, unsigned n, int *fds, struct child **ret, struct bk_error *err)
{
    for (unsigned i = 0; i < n; i++)
        fds[i] = -1;
    bk_auto(close) int fd = connect_all(n, fds, err);
    int r = fd < 0 ? fd : child_serve(argv, fd, ret, err);
    for (unsigned i = 0; i < n && r < 0; i++)
        if (fds[i] >= 0) {
            close(fds[i]);
            fds[i] = -1;
        }
    return r;
}
