#include "formats/object/session.h"

#include <stdbool.h>

#include "formats/base/wire.h"

static size_t text_len(const char *s)
{
    return strnlen(s, SESSION_TEXT_MAX);
}

static bool role_known(unsigned role)
{
    return role == SESSION_WRITER || role == SESSION_READER || role == SESSION_COLLECTOR;
}

int session_record_encode(const struct session_record *s, struct bk_buf *out, struct bk_error *err)
{
    if (!role_known(s->role))
        return bk_fail(err, BK_E_USAGE, "a session has no role %d", (int)s->role);
    size_t before = out->len;
    int r = bk_buf_append(out, s->id, SESSION_ID, err);
    if (r == 0)
        r = bk_buf_u8(out, (uint8_t)s->role, err);
    if (r == 0)
        r = bk_buf_u64(out, s->generation, err);
    if (r == 0)
        r = bk_buf_u64(out, s->counter, err);
    if (r == 0)
        r = bk_buf_u64(out, (uint64_t)s->started_ns, err);
    if (r == 0)
        r = bk_buf_u64(out, s->pid, err);
    if (r == 0)
        r = bk_buf_bytes(out, s->host, text_len(s->host), err);
    if (r == 0)
        r = bk_buf_bytes(out, s->purpose, text_len(s->purpose), err);
    if (r == 0 && s->process[0])
        r = bk_buf_bytes(out, s->process, text_len(s->process), err);
    if (r < 0)
        out->len = before;
    return r;
}

/* A text with a zero byte inside would read back shorter than it was signed: malformed. */
static void read_text(struct bk_reader *in, char *out)
{
    size_t n;
    const uint8_t *p = bk_read_bytes(in, SESSION_TEXT_MAX, &n);
    if (!p)
        return;
    if (memchr(p, 0, n)) {
        in->bad = true;
        return;
    }
    memcpy(out, p, n);
    out[n] = '\0';
}

int session_record_decode(const void *data, size_t len, struct session_record *ret, struct bk_error *err)
{
    struct session_record s = { 0 };
    struct bk_reader in = bk_reader_of(data, len);
    const uint8_t *id = bk_read_raw(&in, SESSION_ID);
    unsigned role = bk_read_u8(&in);
    s.generation = bk_read_u64(&in);
    s.counter = bk_read_u64(&in);
    s.started_ns = (int64_t)bk_read_u64(&in);
    s.pid = bk_read_u64(&in);
    read_text(&in, s.host);
    read_text(&in, s.purpose);
    if (bk_reader_left(&in)) { /* records of 0.1 end here */
        read_text(&in, s.process);
        in.bad |= !s.process[0]; /* an empty one is left out */
    }
    int r = bk_reader_end(&in, N_("session record"), err);
    if (r < 0)
        return r;
    if (!role_known(role))
        return bk_fail(err, BK_E_CORRUPT, "a session record names the unknown role %u", role);
    memcpy(s.id, id, SESSION_ID);
    s.role = role;
    *ret = s;
    return 0;
}
