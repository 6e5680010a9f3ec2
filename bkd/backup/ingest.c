#include "bkd/backup/ingest.h"

#include <errno.h>

/* Few: they are still in the cache when they are named. */
enum { GROUP = 4 };

int ingest_open(struct ingest *g, struct sink *s, struct job *j, struct job_rate *rate, unsigned lane,
                struct bk_error *err)
{
    const struct config *c = repo_config(s->repo);
    *g = (struct ingest){ .sink = s,
                          .job = j,
                          .rate = rate,
                          .lane = lane,
                          .segment_bytes = c->segment_bytes,
                          .late_max = c->chunk_avg < c->chunk_max ? c->chunk_avg : c->chunk_max - 1,
                          .cap = (size_t)INGEST_READ + c->chunk_max };
    if (g->late_max > INGEST_LATE_BYTES / 2)
        g->late_max = INGEST_LATE_BYTES / 2;
    g->buf = malloc(g->cap);
    return g->buf ? 0 : bk_fail_errno(err, ENOMEM, "a read buffer of %zu bytes", g->cap);
}

void ingest_close(struct ingest *g)
{
    free(g->buf);
    g->buf = NULL;
    extents_clear(&g->x);
}

bool ingest_is_zero(const uint8_t *data, size_t len)
{
    return !len || (!data[0] && !memcmp(data, data + 1, len - 1));
}

int ingest_blank(struct ingest *g, enum extent_kind kind, uint64_t len, struct bk_error *err)
{
    return len ? extents_add(&g->x, &(struct extent){ .len = len, .kind = kind }, err) : 0;
}

/* Chunks side by side: they are named together. */
struct group {
    struct suite_piece v[GROUP];
    size_t n;
};

static int put_group(struct ingest *g, struct group *u, struct bk_error *err)
{
    chunk_id ids[GROUP];
    int r = u->n ? sink_put_many(g->sink, g->lane, CHUNK_DATA, u->v, u->n, ids, err) : 0;
    for (size_t i = 0; i < u->n && r == 0; i++)
        r = extents_add(&g->x, &(struct extent){ .len = u->v[i].len, .kind = EXTENT_DATA, .id = ids[i] },
                        err);
    u->n = 0;
    return r;
}

static int put_chunk(struct ingest *g, struct group *u, const uint8_t *data, size_t len, struct bk_error *err)
{
    bool zero = ingest_is_zero(data, len);
    if (!zero)
        u->v[u->n++] = (struct suite_piece){ data, len };
    int r = zero || u->n == GROUP ? put_group(g, u, err) : 0;
    if (r == 0 && zero)
        r = ingest_blank(g, EXTENT_ZERO, len, err);
    return r;
}

/* Cut what can be cut; *ret_used bytes are done with. */
static int cut(struct ingest *g, const uint8_t *data, size_t len, bool at_end, size_t *ret_used,
               struct bk_error *err)
{
    const struct chunker *c = repo_chunker(g->sink->repo);
    struct group u = { .n = 0 };
    size_t used = 0;
    while (used < len) {
        size_t n = chunker_cut(c, data + used, len - used, at_end);
        if (!n)
            break;
        int r = put_chunk(g, &u, data + used, n, err);
        if (r < 0)
            return r;
        used += n;
    }
    *ret_used = used;
    return put_group(g, &u, err);
}

int ingest_settle(struct ingest *g, struct bk_error *err)
{
    chunk_id ids[INGEST_LATE];
    size_t n = g->n_late;
    g->n_late = 0;
    g->late_bytes = 0;
    int r = n ? sink_put_many(g->sink, g->lane, CHUNK_DATA, g->late, n, ids, err) : 0;
    for (size_t i = 0; i < n && r == 0; i++)
        *g->late_to[i] = ids[i];
    return r;
}

int ingest_place(struct ingest *g, size_t len, uint8_t **ret, struct bk_error *err)
{
    int r = 0;
    if (len > g->late_max || g->late_bytes + len + 1 > INGEST_LATE_BYTES || g->n_late == INGEST_LATE)
        r = ingest_settle(g, err);
    *ret = g->buf + g->late_bytes;
    return r;
}

bool ingest_later(struct ingest *g, const uint8_t *data, size_t len, struct content *ret)
{
    if (len > g->late_max)
        return false;
    *ret = (struct content){ .size = len };
    if (len == 0)
        return true;
    struct extent *x = &ret->inline_[ret->n_inline++];
    *x = (struct extent){ .len = len, .kind = EXTENT_ZERO };
    if (ingest_is_zero(data, len))
        return true;
    x->kind = EXTENT_DATA;
    g->late[g->n_late] = (struct suite_piece){ data, len };
    g->late_to[g->n_late++] = &x->id;
    g->late_bytes += len;
    return true;
}

int ingest_data(struct ingest *g, const uint8_t *data, size_t len, struct bk_error *err)
{
    size_t used;
    return cut(g, data, len, true, &used, err);
}

int ingest_blocks(struct ingest *g, const uint8_t *data, size_t len, size_t block, struct bk_error *err)
{
    struct group u = { .n = 0 };
    int r = 0;
    for (size_t at = 0; at < len && r == 0; at += block)
        r = put_chunk(g, &u, data + at, len - at < block ? len - at : block, err);
    return r < 0 ? r : put_group(g, &u, err);
}

/* The pieces of a segment with very many extents are closed early: a leaf has a ceiling. */
static int close_if_full(struct ingest *g, struct pieces *out, struct bk_error *err)
{
    return g->x.n > CONTENT_LEAF_MAX / 2 ? pieces_add(out, g->sink, g->lane, &g->x, err) : 0;
}

int ingest_account(struct ingest *g, size_t len, struct bk_error *err)
{
    g->read_bytes += len;
    if (g->rate)
        job_rate_take(g->rate, len);
    atomic_fetch_add_explicit(&g->job->done_bytes, len, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->job->read_bytes, len, memory_order_relaxed);
    return job_check(g->job, err);
}

/* A run of data without holes. Chunks start anew at its beginning. */
static int read_run(struct ingest *g, int fd, uint64_t from, uint64_t end, struct pieces *out,
                    struct ingest_read *ret, struct bk_error *err)
{
    g->len = 0;
    for (uint64_t at = from;;) {
        size_t want = end - at < INGEST_READ ? (size_t)(end - at) : INGEST_READ;
        ssize_t n = want ? pread(fd, g->buf + g->len, want, (off_t)at) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            ret->sys = errno;
        bool last = n <= 0;
        if (n > 0) {
            g->len += (size_t)n;
            at += (uint64_t)n;
            ret->len += (uint64_t)n;
        }
        size_t used;
        int r = cut(g, g->buf, g->len, last, &used, err);
        if (r == 0)
            r = close_if_full(g, out, err);
        if (r == 0 && n > 0)
            r = ingest_account(g, (size_t)n, err);
        if (r < 0)
            return r;
        if (last)
            return 0;
        g->len -= used;
        memmove(g->buf, g->buf + used, g->len);
    }
}

/* The next run of data at or after `at` within `end`: *ret_from == end when only a hole is left. */
static void next_run(int fd, uint64_t at, uint64_t end, uint64_t *ret_from, uint64_t *ret_to)
{
    off_t from = lseek(fd, (off_t)at, SEEK_DATA);
    if (from < 0 && errno == ENXIO) {
        *ret_from = *ret_to = end;
        return;
    }
    if (from < 0 || (uint64_t)from < at) { /* cannot tell: all is data */
        *ret_from = at;
        *ret_to = end;
        return;
    }
    if ((uint64_t)from >= end) {
        *ret_from = *ret_to = end;
        return;
    }
    off_t to = lseek(fd, from, SEEK_HOLE);
    *ret_from = (uint64_t)from;
    *ret_to = to <= from || (uint64_t)to > end ? end : (uint64_t)to;
}

int ingest_range(struct ingest *g, int fd, uint64_t from, uint64_t end, bool sparse, struct pieces *out,
                 struct ingest_read *ret, struct bk_error *err)
{
    *ret = (struct ingest_read){ 0 };
    g->x.n = 0;
    g->x.len = 0;
    for (uint64_t at = from; at < end;) {
        uint64_t data = at, hole = end;
        if (sparse)
            next_run(fd, at, end, &data, &hole);
        int r = ingest_blank(g, EXTENT_HOLE, data - at, err);
        if (r < 0)
            return r;
        ret->len += data - at;
        uint64_t before = ret->len;
        r = read_run(g, fd, data, hole, out, ret, err);
        if (r < 0)
            return r;
        at = hole;
        if (ret->sys) { /* the rest is zeroes */
            r = ingest_blank(g, EXTENT_ZERO, end - from - ret->len, err);
            if (r < 0)
                return r;
            ret->len = end - from;
        }
        if (ret->sys || ret->len - before < hole - data)
            break;
    }
    return pieces_add(out, g->sink, g->lane, &g->x, err);
}

int ingest_flush(struct ingest *g, struct pieces *out, struct bk_error *err)
{
    size_t len = g->len;
    g->len = 0;
    g->segment_len = 0;
    int r = ingest_data(g, g->buf, len, err);
    return r < 0 ? r : pieces_add(out, g->sink, g->lane, &g->x, err);
}

int ingest_feed(struct ingest *g, const void *data, size_t len, struct pieces *out, struct bk_error *err)
{
    const uint8_t *p = data;
    while (len) {
        uint64_t left = g->segment_bytes - g->segment_len;
        size_t n = g->cap - g->len;
        n = n < len ? n : len;
        n = n < left ? n : (size_t)left;
        memcpy(g->buf + g->len, p, n);
        g->len += n;
        g->segment_len += n;
        p += n;
        len -= n;
        int r;
        if (g->segment_len == g->segment_bytes) {
            r = ingest_flush(g, out, err);
        } else if (g->len == g->cap) {
            size_t used;
            r = cut(g, g->buf, g->len, false, &used, err);
            if (r == 0) {
                g->len -= used;
                memmove(g->buf, g->buf + used, g->len);
                r = close_if_full(g, out, err);
            }
        } else {
            r = 0;
        }
        if (r == 0)
            r = ingest_account(g, n, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int ingest_feed_hole(struct ingest *g, uint64_t len, struct pieces *out, struct bk_error *err)
{
    if (!len)
        return 0;
    size_t have = g->len;
    g->len = 0;
    int r = ingest_data(g, g->buf, have, err);
    if (r == 0)
        r = ingest_blank(g, EXTENT_HOLE, len, err);
    /* A long hole ends the segment rather than being cut to its length: one extent says it all. */
    if (r == 0 && (g->segment_bytes - g->segment_len <= len))
        return ingest_flush(g, out, err);
    g->segment_len += len;
    return r < 0 ? r : close_if_full(g, out, err);
}
