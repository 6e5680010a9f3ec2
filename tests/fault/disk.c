#include "tests/fault/disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <xxhash.h>

enum { FDS = 4096, INODES = 8192, NAMES = 8192, PATH_LEN = 128 };
enum what { CREATE, WRITE, SYNC_FILE, SYNC_DIR, LINK, UNLINK, MKDIR };

struct call {
    enum what what;
    size_t inode;
    char path[PATH_LEN], to[PATH_LEN];
    uint8_t *data;
    size_t len, offset;
};

/* A name: in the running system, and on the medium. 0: there is none. */
struct name {
    char path[PATH_LEN];
    size_t now, durable; /* inode */
};

struct inode {
    bool is_dir, synced;
    uint8_t *data;
    size_t len, room;
    size_t durable_len; /* writes only append and nothing is written after the fsync: a prefix is what is
                           durable */
};

struct disk {
    struct dir_io io;
    pthread_mutex_t lock;
    struct call *log;
    size_t n, room;
    size_t fd_inode[FDS];
    char fd_dir[FDS][PATH_LEN];
    size_t n_inodes; /* given out while recording */
    size_t played;
    struct name names[NAMES];
    size_t n_names;
    struct inode inodes[INODES];
    struct {
        char path[PATH_LEN];
        size_t inode;
    } open_names[NAMES]; /* of the recording: path to inode */
    size_t n_open_names;
};

static struct call *record(struct disk *d, enum what what, size_t inode, const char *path)
{
    if (d->n == d->room) {
        d->room = d->room ? 2 * d->room : 1024;
        d->log = realloc(d->log, d->room * sizeof *d->log);
        assert_non_null(d->log);
    }
    struct call *c = &d->log[d->n++];
    *c = (struct call){ .what = what, .inode = inode };
    snprintf(c->path, sizeof c->path, "%s", path);
    return c;
}

static size_t *recorded(struct disk *d, const char *path)
{
    for (size_t i = 0; i < d->n_open_names; i++)
        if (strcmp(d->open_names[i].path, path) == 0)
            return &d->open_names[i].inode;
    assert_true(d->n_open_names < NAMES);
    snprintf(d->open_names[d->n_open_names].path, PATH_LEN, "%s", path);
    return &d->open_names[d->n_open_names++].inode;
}

static int disk_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    struct disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    int fd = openat(dirfd, path, flags, mode);
    if (fd >= 0) {
        assert_true(fd < FDS);
        d->fd_inode[fd] = 0;
        d->fd_dir[fd][0] = '\0';
        if (flags & O_CREAT) {
            *recorded(d, path) = ++d->n_inodes;
            record(d, CREATE, d->n_inodes, path);
        }
        if (flags & O_DIRECTORY)
            snprintf(d->fd_dir[fd], PATH_LEN, "%s", path);
        else
            d->fd_inode[fd] = *recorded(d, path);
    }
    int e = errno;
    pthread_mutex_unlock(&d->lock);
    errno = e;
    return fd;
}

static ssize_t disk_pwrite(void *ctx, int fd, const void *data, size_t len, off_t offset)
{
    struct disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    ssize_t n = pwrite(fd, data, len, offset);
    int e = errno;
    if (n > 0) {
        struct call *c = record(d, WRITE, d->fd_inode[fd], "");
        c->data = malloc((size_t)n);
        assert_non_null(c->data);
        memcpy(c->data, data, (size_t)n);
        c->len = (size_t)n;
        c->offset = (size_t)offset;
    }
    pthread_mutex_unlock(&d->lock);
    errno = e;
    return n;
}

static int disk_fsync(void *ctx, int fd)
{
    struct disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    if (d->fd_dir[fd][0])
        record(d, SYNC_DIR, 0, d->fd_dir[fd]);
    else
        record(d, SYNC_FILE, d->fd_inode[fd], "");
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static int disk_link(void *ctx, int dirfd, const char *from, const char *to)
{
    struct disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    int r = linkat(dirfd, from, dirfd, to, 0);
    int e = errno;
    if (r == 0) {
        size_t inode = *recorded(d, from);
        *recorded(d, to) = inode;
        record(d, LINK, inode, to);
    }
    pthread_mutex_unlock(&d->lock);
    errno = e;
    return r;
}

static int disk_unlink(void *ctx, int dirfd, const char *path)
{
    struct disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    int r = unlinkat(dirfd, path, 0);
    int e = errno;
    if (r == 0) {
        *recorded(d, path) = 0;
        record(d, UNLINK, 0, path);
    }
    pthread_mutex_unlock(&d->lock);
    errno = e;
    return r;
}

static int disk_mkdir(void *ctx, int dirfd, const char *path, mode_t mode)
{
    struct disk *d = ctx;
    pthread_mutex_lock(&d->lock);
    int r = mkdirat(dirfd, path, mode);
    int e = errno;
    if (r == 0)
        record(d, MKDIR, ++d->n_inodes, path);
    pthread_mutex_unlock(&d->lock);
    errno = e;
    return r;
}

static int pass_close(void *ctx, int fd)
{
    return dir_io_real.close(ctx, fd);
}

static ssize_t pass_pread(void *ctx, int fd, void *out, size_t len, off_t offset)
{
    return dir_io_real.pread(ctx, fd, out, len, offset);
}

struct disk *disk_new(void)
{
    struct disk *d = calloc(1, sizeof *d);
    assert_non_null(d);
    pthread_mutex_init(&d->lock, NULL);
    d->io = (struct dir_io){ .ctx = d,
                             .open = disk_open,
                             .pwrite = disk_pwrite,
                             .fsync = disk_fsync,
                             .link = disk_link,
                             .unlink = disk_unlink,
                             .mkdir = disk_mkdir,
                             .close = pass_close,
                             .pread = pass_pread };
    return d;
}

void disk_free(struct disk *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->log[i].data);
    for (size_t i = 0; i < INODES; i++)
        free(d->inodes[i].data);
    free(d->log);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

const struct dir_io *disk_io(struct disk *d)
{
    return &d->io;
}

size_t disk_calls(const struct disk *d)
{
    return d->n;
}

static struct name *name_of(struct disk *d, const char *path)
{
    for (size_t i = 0; i < d->n_names; i++)
        if (strcmp(d->names[i].path, path) == 0)
            return &d->names[i];
    assert_true(d->n_names < NAMES);
    struct name *n = &d->names[d->n_names++];
    snprintf(n->path, PATH_LEN, "%s", path);
    return n;
}

static bool lies_in(const char *path, const char *dir)
{
    const char *slash = strrchr(path, '/');
    if (strcmp(dir, ".") == 0)
        return !slash;
    return slash && strlen(dir) == (size_t)(slash - path) && strncmp(path, dir, strlen(dir)) == 0;
}

static void play_write(struct inode *i, const struct call *c)
{
    size_t end = c->offset + c->len;
    if (end > i->room) {
        i->room = 2 * end;
        i->data = realloc(i->data, i->room);
        assert_non_null(i->data);
    }
    assert_true(c->offset <= i->len && c->offset >= i->durable_len);
    memcpy(i->data + c->offset, c->data, c->len);
    if (end > i->len)
        i->len = end;
}

static void play(struct disk *d, const struct call *c)
{
    assert_true(c->inode < INODES);
    struct inode *i = &d->inodes[c->inode];
    switch (c->what) {
    case CREATE:
    case LINK:
        name_of(d, c->path)->now = c->inode;
        break;
    case MKDIR:
        i->is_dir = true;
        name_of(d, c->path)->now = c->inode;
        break;
    case UNLINK:
        name_of(d, c->path)->now = 0;
        break;
    case WRITE:
        play_write(i, c);
        break;
    case SYNC_FILE:
        i->durable_len = i->len;
        break;
    case SYNC_DIR:
        for (size_t k = 0; k < d->n_names; k++)
            if (lies_in(d->names[k].path, c->path))
                d->names[k].durable = d->names[k].now;
        break;
    }
}

/* Cut number, name and purpose decide: the same cut always looks the same. */
static bool coin(size_t n, size_t what)
{
    uint64_t v[2] = { n, what };
    return XXH3_64bits(v, sizeof v) & 1;
}

static size_t inode_left(const struct disk *d, const struct name *n, enum disk_loss loss)
{
    if (loss == DISK_STRICT)
        return n->durable;
    if (loss == DISK_MIXED)
        return coin(d->played, (size_t)(n - d->names)) ? n->now : n->durable;
    return n->now;
}

/* The bytes of a file that are left: the first *ret_real as they were, zeroes up to the result. */
static size_t length_left(const struct disk *d, size_t inode, enum disk_loss loss, size_t *ret_real)
{
    const struct inode *i = &d->inodes[inode];
    size_t lost = i->len - i->durable_len;
    *ret_real = i->durable_len;
    switch (loss) {
    case DISK_ZEROED:
        return i->len;
    case DISK_HALVED:
        return *ret_real += lost / 2;
    case DISK_MIXED:
        if (coin(d->played, INODES + inode))
            *ret_real = i->len;
        return coin(d->played, 2 * INODES + inode) ? i->len : *ret_real;
    case DISK_KEPT:
        return *ret_real = i->len;
    case DISK_STRICT:
    case DISK_EMPTIED:
    case DISK_LOSSES:
        break;
    }
    return *ret_real;
}

/* Is every directory above the name left? */
static bool reachable(struct disk *d, const char *path, enum disk_loss loss)
{
    char above[PATH_LEN];
    snprintf(above, sizeof above, "%s", path);
    for (char *slash; (slash = strrchr(above, '/'));) {
        *slash = '\0';
        if (!inode_left(d, name_of(d, above), loss))
            return false;
    }
    return true;
}

static void put_file(const char *path, const struct inode *i, size_t real, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    if (real)
        assert_int_equal(pwrite(fd, i->data, real, 0), real);
    assert_int_equal(ftruncate(fd, (off_t)len), 0);
    close(fd);
}

static void put_name(struct disk *d, const struct name *n, enum disk_loss loss, const char *to, uint64_t *sum)
{
    size_t inode = inode_left(d, n, loss), real = 0;
    if (!inode || !reachable(d, n->path, loss))
        return;
    const struct inode *i = &d->inodes[inode];
    size_t len = i->is_dir ? 0 : length_left(d, inode, loss, &real);
    uint64_t v[4] = { *sum, XXH3_64bits(n->path, strlen(n->path)), (uint64_t)inode << 1 | i->is_dir,
                      (uint64_t)len << 32 | real };
    *sum = XXH3_64bits(v, sizeof v);
    if (!to)
        return;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", to, n->path);
    if (i->is_dir)
        assert_int_equal(mkdir(path, 0700), 0);
    else
        put_file(path, i, real, len);
}

uint64_t disk_cut(struct disk *d, size_t n, enum disk_loss loss, const char *to)
{
    assert_true(n >= d->played && n <= d->n);
    for (; d->played < n; d->played++)
        play(d, &d->log[d->played]);
    if (to)
        assert_int_equal(mkdir(to, 0700), 0);
    uint64_t sum = 0;
    /* names are in the order they first appeared in: a directory comes before what lies in it */
    for (size_t i = 0; i < d->n_names; i++)
        put_name(d, &d->names[i], loss, to, &sum);
    return sum;
}

static int skip_fsync(void *ctx, int fd)
{
    (void)ctx;
    (void)fd;
    return 0;
}

static int plain_open(void *ctx, int dirfd, const char *path, int flags, mode_t mode)
{
    return dir_io_real.open(ctx, dirfd, path, flags & ~O_DIRECT, mode);
}

static ssize_t plain_pwrite(void *ctx, int fd, const void *data, size_t len, off_t offset)
{
    return dir_io_real.pwrite(ctx, fd, data, len, offset);
}

static int plain_link(void *ctx, int dirfd, const char *from, const char *to)
{
    return dir_io_real.link(ctx, dirfd, from, to);
}

static int plain_unlink(void *ctx, int dirfd, const char *path)
{
    return dir_io_real.unlink(ctx, dirfd, path);
}

static int plain_mkdir(void *ctx, int dirfd, const char *path, mode_t mode)
{
    return dir_io_real.mkdir(ctx, dirfd, path, mode);
}

const struct dir_io disk_io_unsynced = {
    .open = plain_open,
    .pwrite = plain_pwrite,
    .fsync = skip_fsync,
    .link = plain_link,
    .unlink = plain_unlink,
    .mkdir = plain_mkdir,
    .close = pass_close,
    .pread = pass_pread,
};
