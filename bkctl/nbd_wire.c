#include "bkctl/nbd_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "formats/base/wire.h"

static int begin(enum nbd_kind kind, struct bk_buf *out, struct bk_error *err)
{
    out->len = 0;
    return bk_buf_u8(out, (uint8_t)kind, err);
}

static int put_text(struct bk_buf *out, const char *text, struct bk_error *err)
{
    return bk_buf_bytes(out, text, strlen(text) + 1, err);
}

int nbd_setup_encode(const struct nbd_setup *s, struct bk_buf *out, struct bk_error *err)
{
    int r;
    if ((r = begin(NBD_SETUP, out, err)) < 0 || (r = put_text(out, s->repo, err)) < 0 ||
        (r = bk_buf_u8(out, (uint8_t)s->secret.kind, err)) < 0 ||
        (r = bk_buf_bytes(out, s->secret.data, s->secret.len, err)) < 0 ||
        (r = bk_buf_u8(out, s->no_cache, err)) < 0 || (r = bk_buf_u64(out, s->memory, err)) < 0 ||
        (r = bk_buf_u64(out, s->threads, err)) < 0 || (r = bk_buf_u64(out, s->limit_upload, err)) < 0 ||
        (r = bk_buf_u64(out, s->limit_download, err)) < 0 || (r = put_text(out, s->socket, err)) < 0 ||
        (r = bk_buf_u64(out, s->socket_dev, err)) < 0 || (r = bk_buf_u64(out, s->socket_ino, err)) < 0)
        return r;
    return put_text(out, s->folder, err);
}

int nbd_texts_encode(enum nbd_kind kind, const char *a, const char *b, struct bk_buf *out,
                     struct bk_error *err)
{
    int r = begin(kind, out, err);
    if (r == 0 && a)
        r = put_text(out, a, err);
    return r == 0 && b ? put_text(out, b, err) : r;
}

int nbd_numbered_encode(enum nbd_kind kind, uint64_t number, const char *text, struct bk_buf *out,
                        struct bk_error *err)
{
    int r = begin(kind, out, err);
    if (r == 0)
        r = bk_buf_u64(out, number, err);
    return r < 0 ? r : put_text(out, text, err);
}

int nbd_failed_encode(const struct bk_error *e, struct bk_buf *out, struct bk_error *err)
{
    int r = begin(NBD_FAILED, out, err);
    if (r == 0)
        r = bk_buf_svarint(out, e->code, err);
    if (r == 0)
        r = put_text(out, e->text, err);
    return r < 0 ? r : put_text(out, e->hint, err);
}

enum nbd_kind nbd_kind_of(const struct bk_buf *m)
{
    return m->len ? (enum nbd_kind)m->data[0] : 0;
}

static struct bk_reader open_message(const struct bk_buf *m)
{
    struct bk_reader r = bk_reader_of(m->data, m->len);
    (void)bk_read_u8(&r);
    return r;
}

static const char *read_text(struct bk_reader *r)
{
    size_t len = 0;
    const uint8_t *p = bk_read_bytes(r, NBD_MESSAGE_MAX, &len);
    if (p && len && memchr(p, '\0', len) == p + len - 1)
        return (const char *)p;
    r->bad = true;
    return "";
}

int nbd_setup_decode(const struct bk_buf *m, struct nbd_setup *ret, struct bk_error *err)
{
    struct bk_reader r = open_message(m);
    struct nbd_setup s = { .repo = read_text(&r) };
    s.secret.kind = (enum slot_kind)bk_read_u8(&r);
    s.secret.data = bk_read_bytes(&r, SLOT_KEYFILE_MAX, &s.secret.len);
    s.no_cache = bk_read_u8(&r);
    s.memory = bk_read_u64(&r);
    s.threads = bk_read_u64(&r);
    s.limit_upload = bk_read_u64(&r);
    s.limit_download = bk_read_u64(&r);
    s.socket = read_text(&r);
    s.socket_dev = bk_read_u64(&r);
    s.socket_ino = bk_read_u64(&r);
    s.folder = read_text(&r);
    if (nbd_kind_of(m) != NBD_SETUP || s.secret.kind < SLOT_PASSPHRASE || s.secret.kind > SLOT_SM2)
        r.bad = true;
    int rc = bk_reader_end(&r, "message", err);
    if (rc == 0)
        *ret = s;
    return rc;
}

int nbd_texts_decode(const struct bk_buf *m, const char **a, const char **b, struct bk_error *err)
{
    struct bk_reader r = open_message(m);
    const char *first = read_text(&r), *second = b ? read_text(&r) : NULL;
    int rc = bk_reader_end(&r, "message", err);
    if (rc < 0)
        return rc;
    *a = first;
    if (b)
        *b = second;
    return 0;
}

int nbd_numbered_decode(const struct bk_buf *m, uint64_t *number, const char **text, struct bk_error *err)
{
    struct bk_reader r = open_message(m);
    uint64_t n = bk_read_u64(&r);
    const char *t = read_text(&r);
    int rc = bk_reader_end(&r, "message", err);
    if (rc < 0)
        return rc;
    *number = n;
    *text = t;
    return 0;
}

int nbd_failed_decode(const struct bk_buf *m, struct bk_error *ret, struct bk_error *err)
{
    struct bk_reader r = open_message(m);
    int64_t code = bk_read_svarint(&r);
    const char *text = read_text(&r), *hint = read_text(&r);
    if (code >= 0 || code < INT32_MIN)
        r.bad = true;
    int rc = bk_reader_end(&r, "message", err);
    if (rc < 0)
        return rc;
    bk_fail(ret, (int)code, "%s", text);
    if (*hint)
        bk_hint(ret, "%s", hint);
    return 0;
}

void nbd_socket_remove(const char *socket, uint64_t dev, uint64_t ino, const char *folder)
{
    struct stat st;
    if (socket[0] && lstat(socket, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
        unlink(socket);
    if (folder[0])
        rmdir(folder);
}

int nbd_send(int fd, const struct bk_buf *m, bool wait, struct bk_error *err)
{
    ssize_t n;
    do
        n = send(fd, m->data, m->len, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return bk_fail(err, BK_E_BUSY, "the other process does not read");
    return n < 0 ? bk_fail_errno(err, errno, "talk to the other process") : 0;
}

int nbd_receive(int fd, struct bk_buf *m, struct bk_error *err)
{
    m->len = 0;
    int r = bk_buf_reserve(m, NBD_MESSAGE_MAX, err);
    if (r < 0)
        return r;
    struct iovec v = { .iov_base = m->data, .iov_len = NBD_MESSAGE_MAX };
    struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1 };
    ssize_t n;
    int resets = 0; /* it went without reading all: told once, and what it said before comes after that */
    do
        n = recvmsg(fd, &h, 0);
    while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !resets++)));
    if (n < 0)
        return bk_fail_errno(err, errno, "talk to the other process");
    if (h.msg_flags & MSG_TRUNC)
        return bk_fail(err, BK_E_LIMIT, "a message is longer than %d bytes", NBD_MESSAGE_MAX);
    m->len = (size_t)n;
    return n > 0;
}
