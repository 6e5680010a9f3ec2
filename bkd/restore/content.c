#include <errno.h>
#include <unistd.h>

#include "bkd/restore/feed.h"
#include "bkd/restore/hold.h"
#include "bkd/restore/restore.h"

enum { ZEROES = 64 << 10 };

struct stream {
    struct job *job;
    int fd;
    uint64_t at;
};

static int put(struct stream *s, const uint8_t *p, size_t len, struct bk_error *err)
{
    while (len) {
        ssize_t n = write(s->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "write the content");
        p += n;
        len -= (size_t)n;
        s->at += (uint64_t)n;
        atomic_fetch_add_explicit(&s->job->done_bytes, (uint64_t)n, memory_order_relaxed);
    }
    return 0;
}

static int put_data(void *ctx, const uint8_t *p, size_t len, struct bk_error *err)
{
    struct stream *s = ctx;
    int r = job_check(s->job, err);
    return r < 0 ? r : put(s, p, len, err);
}

static int put_zero(void *ctx, uint64_t len, struct bk_error *err)
{
    static const uint8_t zeroes[ZEROES];
    struct stream *s = ctx;
    int r = job_check(s->job, err);
    while (r == 0 && len) {
        size_t n = len < ZEROES ? (size_t)len : ZEROES;
        r = put(s, zeroes, n, err);
        len -= n;
        if (r == 0 && s->at % (64 * ZEROES) == 0)
            r = job_check(s->job, err);
    }
    return r;
}

/* A reader of a pipe cannot be told of a gap: the stream ends before it. */
static int put_damage(void *ctx, uint64_t len, const struct bk_error *why, struct bk_error *err)
{
    struct stream *s = ctx;
    *err = *why;
    return bk_context(err, "bytes %llu to %llu of the content", (unsigned long long)s->at,
                      (unsigned long long)(s->at + len));
}

static int no_mark(void *ctx, void *mark, struct bk_error *err)
{
    (void)ctx;
    (void)mark;
    (void)err;
    return 0;
}

static void no_drop(void *ctx, void *mark)
{
    (void)ctx;
    (void)mark;
}

int restore_content(struct repo *repo, struct job *j, const struct content *c, int fd, struct bk_error *err)
{
    bk_auto(hold_close) struct hold h = { 0 };
    int r = hold_open(repo, j, "cat", true, &h, err);
    if (r < 0)
        return r;
    atomic_store(&j->total_bytes, c->size);
    struct stream s = { .job = j, .fd = fd };
    struct feed_ops ops = {
        .ctx = &s, .mark = no_mark, .drop = no_drop, .data = put_data, .zero = put_zero, .damage = put_damage
    };
    bk_auto(feed_free) struct feed *feed = NULL;
    size_t window = j->memory_bytes / 8 > ((size_t)32 << 20) ? (size_t)32 << 20 : j->memory_bytes / 8;
    if ((r = feed_new(h.reader, h.pool, j, &ops, window, &feed, err)) < 0 ||
        (r = feed_content(feed, c, err)) < 0)
        return r;
    return feed_finish(feed, err);
}
