/* Where bkctl nbd is reached: a unix socket, in a folder of our own unless one was named, or a TCP port. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "bkctl/command.h"
#include "bkctl/nbd.h"
#include "bkctl/nbd_wire.h"

enum { BACKLOG = 64, NBD_PORT = 10809 };

void nbd_listener_clear(struct nbd_listener *l)
{
    nbd_socket_remove(l->socket, l->dev, l->ino, l->folder);
    if (l->fd >= 0)
        close(l->fd);
    *l = NBD_LISTENER;
}

/* %XX for all that has a meaning in a URI; '/' has none where we put names. */
static bool escape(const char *text, char *out, size_t len)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    size_t at = 0;
    for (; *text; text++) {
        bool is_plain = strchr(plain, *text);
        if (len - at < 4)
            return false;
        at += (size_t)snprintf(out + at, len - at, is_plain ? "%c" : "%%%02X", (unsigned char)*text);
    }
    out[at] = '\0';
    return true;
}

bool nbd_uri(const struct nbd_listener *l, const char *export_, char *out, size_t len)
{
    char name[3 * 4096];
    int n = escape(export_, name, sizeof name) ? snprintf(out, len, "%s%s%s", l->where, name, l->tail) : -1;
    return n >= 0 && (size_t)n < len;
}

static int own_folder(struct nbd_listener *l, struct bk_error *err)
{
    const char *dirs[] = { getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };
    for (size_t i = 0; i < BK_COUNT(dirs); i++) {
        if (!dirs[i] || dirs[i][0] != '/')
            continue;
        int n = snprintf(l->folder, sizeof l->folder, "%s/bkctl-nbd.XXXXXX", dirs[i]);
        if (n > 0 && (size_t)n + sizeof "/socket" <= sizeof l->folder && mkdtemp(l->folder)) /* 0700 */
            return 0;
    }
    l->folder[0] = '\0';
    return bk_fail_errno(err, errno, "make a folder for the socket");
}

/* The socket at a path answers nobody. One whose queue is full is not dead: EAGAIN. */
static bool is_dead(const struct sockaddr_un *at, struct stat *ret)
{
    bk_auto(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && lstat(at->sun_path, ret) == 0 && S_ISSOCK(ret->st_mode) &&
           connect(fd, (const struct sockaddr *)at, sizeof *at) < 0 && errno == ECONNREFUSED;
}

/* What a process left behind that was killed. One that is bound refuses too, until it listens a moment later.
 */
static void remove_dead(const struct sockaddr_un *at)
{
    struct stat first, again;
    if (!is_dead(at, &first))
        return;
    nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    if (is_dead(at, &again) && first.st_dev == again.st_dev && first.st_ino == again.st_ino)
        unlink(at->sun_path);
}

static int listen_unix(const char *path, struct nbd_listener *l, struct bk_error *err)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int r = path ? 0 : own_folder(l, err);
    if (r < 0)
        return r;
    int n = path ? snprintf(at.sun_path, sizeof at.sun_path, "%s", path)
                 : snprintf(at.sun_path, sizeof at.sun_path, "%s/socket", l->folder);
    if (n <= 0 || (size_t)n >= sizeof at.sun_path)
        return bk_fail(err, BK_E_LIMIT, "the path of a unix socket is at most %zu bytes long",
                       sizeof at.sun_path - 1);
    remove_dead(&at);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mode_t before = umask(0177);
    int e = l->fd < 0 || bind(l->fd, (const struct sockaddr *)&at, sizeof at) < 0 ? errno : 0;
    umask(before);
    if (e == EADDRINUSE)
        return bk_fail(err, BK_E_EXISTS, "%s is there already", at.sun_path);
    if (e)
        return bk_fail_errno(err, e, "listen at %s", at.sun_path);
    struct stat st;
    if (lstat(at.sun_path, &st) < 0)
        return bk_fail_errno(err, errno, "listen at %s", at.sun_path);
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    memcpy(l->socket, at.sun_path, sizeof l->socket);
    if (listen(l->fd, BACKLOG) < 0)
        return bk_fail_errno(err, errno, "listen at %s", at.sun_path);
    char *whole = realpath(l->socket, NULL), shown[3 * NBD_PATH_MAX];
    bool fits = escape(whole ? whole : l->socket, shown, sizeof shown);
    free(whole);
    if (!fits)
        return bk_fail(err, BK_E_LIMIT, "the path of a unix socket is at most %zu bytes long",
                       sizeof at.sun_path - 1);
    strcpy(l->where, "nbd+unix:///");
    snprintf(l->tail, sizeof l->tail, "?socket=%s", shown);
    return 0;
}

static int listen_tcp(const struct nbd_args *x, struct nbd_listener *l, struct bk_error *err)
{
    const char *address = x->address ? x->address : "127.0.0.1";
    char port[16];
    snprintf(port, sizeof port, "%d", x->port ? x->port : NBD_PORT);
    struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
    int e = getaddrinfo(address, port, &want, &found), one = 1, sys = EADDRNOTAVAIL;
    if (e)
        return bk_fail(err, BK_E_USAGE, "'%s' is no address here: %s", address, gai_strerror(e));
    for (struct addrinfo *i = found; i && sys; i = i->ai_next) {
        int fd = socket(i->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0)
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        sys = fd < 0 || bind(fd, i->ai_addr, i->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0 ? errno : 0;
        if (!sys)
            l->fd = fd;
        else if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    if (sys)
        return bk_fail_errno(err, sys, "listen at %s, port %s", address, port);
    bool v6 = strchr(address, ':');
    snprintf(l->where, sizeof l->where, "%s://%s%.255s%s:%s/", x->tls_certs ? "nbds" : "nbd", v6 ? "[" : "",
             address, v6 ? "]" : "", port);
    return 0;
}

int nbd_listen(const struct nbd_args *x, struct nbd_listener *ret, struct bk_error *err)
{
    bk_auto(nbd_listener_clear) struct nbd_listener l = NBD_LISTENER;
    int r = x->port || x->address ? listen_tcp(x, &l, err) : listen_unix(x->socket, &l, err);
    if (r < 0)
        return r;
    *ret = l;
    l = NBD_LISTENER;
    return 0;
}
