/* Small files: opened, read, checked and closed in one go. */
#include "bkd/backup/walk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

int walk_file_open(int dirfd, const char *name, int *ret)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(dirfd, name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(dirfd, name, flags);
    if (fd < 0)
        return errno == ELOOP ? ESTALE : errno;
    *ret = fd;
    return 0;
}

void walk_file_describe(struct page *p, struct item *it, int fd)
{
    if (meta_fsflags(fd, &it->e.fsflags))
        it->e.flags |= TREE_HAS_FSFLAGS;
    if (p->w->opts->no_xattrs) {
        it->e.flags |= TREE_XATTRS_PARTIAL;
        return;
    }
    struct bk_buf b = BK_BUF(TREE_XATTRS_MAX);
    int sys = meta_xattrs_fd(fd, &b);
    if (sys) {
        it->e.flags |= TREE_XATTRS_PARTIAL;
        walk_trouble(p->w, p->dir, (const char *)it->e.name, TROUBLE_METADATA, sys,
                     N_("extended attributes"));
    }
    walk_own_xattrs(it, &b);
}

void walk_file_outwait(const struct tree_entry *e)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    /* whole seconds hint at a file system that knows no finer ones; FAT counts in twos */
    int64_t window = e->ctime.ns ? 20000000 : 2010000000;
    int64_t s = now.tv_sec - e->ctime.s;
    if (s < 0 || s > 3)
        return;
    int64_t age = s * 1000000000 + now.tv_nsec - e->ctime.ns;
    if (age >= 0 && age < window)
        nanosleep(&(struct timespec){ .tv_sec = (window - age) / 1000000000,
                                      .tv_nsec = (window - age) % 1000000000 },
                  NULL);
}

/* What a reading found. */
struct reading {
    uint64_t size; /* expected */
    int sys;       /* of a failed read */
    bool changed;
};

/* Into the lane's buffer at once, with room for one byte more: a short read says that this is the end. */
static int read_at_once(struct ingest *g, int fd, struct reading *rd, struct content *ret,
                        struct bk_error *err)
{
    size_t len = 0, want = (size_t)rd->size + 1;
    uint8_t *data;
    int r = ingest_place(g, (size_t)rd->size, &data, err);
    if (r < 0)
        return r;
    while (len < want) {
        ssize_t n = pread(fd, data + len, want - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rd->sys = errno;
        if (n <= 0)
            break;
        len += (size_t)n;
        if (len == rd->size) /* short of what was asked for: the end of a regular file */
            break;
    }
    rd->changed = len != rd->size && !rd->sys;
    if (len > rd->size)
        len = (size_t)rd->size;
    r = ingest_account(g, len, err);
    if (r == 0 && !rd->sys && ingest_later(g, data, len, ret))
        return 0;
    g->x.n = 0;
    g->x.len = 0;
    if (r == 0)
        r = ingest_settle(g, err);
    if (r == 0)
        r = ingest_data(g, data, len, err);
    if (r == 0 && rd->sys)
        r = ingest_blank(g, EXTENT_ZERO, rd->size - len, err);
    if (r < 0)
        return r;
    bk_auto(pieces_clear) struct pieces p = { 0 };
    if (g->x.n > CONTENT_INLINE_MAX) {
        r = pieces_add(&p, g->sink, g->lane, &g->x, err);
        return r < 0 ? r : pieces_join(&p, g->sink, g->lane, ret, err);
    }
    *ret = (struct content){ .size = g->x.len, .n_inline = (uint8_t)g->x.n };
    if (g->x.n)
        memcpy(ret->inline_, g->x.v, g->x.n * sizeof *g->x.v);
    return 0;
}

static int read_in_parts(struct ingest *g, int fd, bool sparse, struct reading *rd, struct content *ret,
                         struct bk_error *err)
{
    bk_auto(pieces_clear) struct pieces p = { 0 };
    int r = ingest_settle(g, err);
    if (r < 0)
        return r;
    for (uint64_t at = 0; at < rd->size;) {
        uint64_t end = rd->size - at < g->segment_bytes ? rd->size : at + g->segment_bytes;
        struct ingest_read part;
        r = ingest_range(g, fd, at, end, sparse, &p, &part, err);
        if (r < 0)
            return r;
        if (part.sys)
            rd->sys = part.sys;
        if (part.len < end - at) {
            rd->changed = true;
            break;
        }
        at = end;
    }
    return pieces_join(&p, g->sink, g->lane, ret, err);
}

static int read_content(struct ingest *g, int fd, const struct statx *st, struct reading *rd,
                        struct content *ret, struct bk_error *err)
{
    *rd = (struct reading){ .size = st->stx_size };
    bool sparse = st->stx_blocks * 512 < st->stx_size;
    if (st->stx_size < INGEST_READ && !(sparse && st->stx_size > 65536))
        return read_at_once(g, fd, rd, ret, err);
    return read_in_parts(g, fd, sparse, rd, ret, err);
}

static struct links_key key_of(const struct tree_entry *e)
{
    return (struct links_key){ .dev = e->dev, .ino = e->ino, .ctime_s = e->ctime.s, .ctime_ns = e->ctime.ns };
}

/* One reading of the open file that `now` describes: 1 when it stood still, 0 when it changed meanwhile, and
 * `now` is new. */
static int read_once(struct page *p, struct item *it, int fd, struct statx *now, struct reading *rd,
                     unsigned lane, struct bk_error *err)
{
    struct tree_entry e;
    if (!meta_entry(now, &e))
        return 0;
    e.name = it->e.name;
    e.name_len = it->e.name_len;
    it->e = e;
    struct links_key key = key_of(&e);
    if (e.nlink > 1 && links_find(p->w->links, &key, &it->e.content) && it->e.content.size == now->stx_size)
        return 1;
    walk_file_outwait(&e);
    struct ingest *g = &p->w->lanes[lane].in;
    int r = read_content(g, fd, now, rd, &it->e.content, err);
    if (r < 0)
        return r;
    struct statx after;
    if (meta_stat_fd(fd, &after))
        return ingest_settle(g, err);
    if (rd->changed || after.stx_size != now->stx_size ||
        memcmp(&after.stx_mtime, &now->stx_mtime, sizeof after.stx_mtime) ||
        memcmp(&after.stx_ctime, &now->stx_ctime, sizeof after.stx_ctime)) {
        *now = after;
        return ingest_settle(g, err); /* the item's content is written anew */
    }
    if (e.nlink > 1 && !rd->sys) {
        r = ingest_settle(g, err);
        if (r < 0)
            return r;
        links_add(p->w->links, &key, &it->e.content);
    }
    return 1;
}

int walk_file_open_plain(int dirfd, const char *name, int *ret, struct statx *ret_st)
{
    bk_auto(close) int fd = -1;
    int sys = walk_file_open(dirfd, name, &fd);
    if (!sys)
        sys = meta_stat_fd(fd, ret_st);
    if (!sys && !S_ISREG(ret_st->stx_mode))
        sys = ESTALE;
    if (!sys) {
        *ret = fd;
        fd = -1;
    }
    return sys;
}

int walk_file_read_open(struct page *p, struct item *it, int fd, struct statx *now, unsigned lane,
                        struct bk_error *err)
{
    const char *name = (const char *)it->e.name;
    struct reading rd;
    int r = 0;
    for (int tries = 0; tries < 2 && r == 0; tries++) {
        rd = (struct reading){ 0 };
        r = read_once(p, it, fd, now, &rd, lane, err);
    }
    if (r < 0)
        return r;
    if (!r || rd.sys)
        it->e.flags |= TREE_CONTENT_PARTIAL;
    if (rd.sys)
        walk_trouble(p->w, p->dir, name, TROUBLE_PARTIAL, rd.sys, N_("what could not be read is zeroes"));
    else if (!r)
        walk_trouble(p->w, p->dir, name, TROUBLE_CHANGED, 0, "");
    walk_file_describe(p, it, fd);
    return 0;
}

int walk_file_read(struct page *p, struct item *it, int dirfd, unsigned lane, struct bk_error *err)
{
    bk_auto(close) int fd = -1;
    struct statx now;
    int sys = walk_file_open_plain(dirfd, (const char *)it->e.name, &fd, &now);
    if (!sys)
        return walk_file_read_open(p, it, fd, &now, lane, err);
    it->lost = true;
    walk_trouble_errno(p->w, p->dir, (const char *)it->e.name, sys);
    return 0;
}
