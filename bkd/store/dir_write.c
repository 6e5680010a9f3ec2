#include "bkd/store/dir_write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "formats/object/object.h"

/* Objects from this size on bypass the page cache: measured 20 to 50 times less CPU per byte
 * (docs/design/store-dir.md), and the host's cache keeps what the host works with. */
enum { DIRECT_FROM = 1 << 20, DIRECT_ALIGN = 4096, DIRECT_BOUNCE = 4 << 20 };

void dir_writer_init(struct dir_writer *w, const struct dir_io *io, int fd, const char *url,
                     const struct world *world)
{
    *w = (struct dir_writer){ .io = io, .fd = fd, .url = url, .world = world };
}

void dir_writer_clear(struct dir_writer *w)
{
    w->fd = -1;
}

static int write_all(const struct dir_writer *w, int fd, const uint8_t *p, size_t len, size_t offset)
{
    while (len > 0) {
        ssize_t n = w->io->pwrite(w->io->ctx, fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        p += n;
        len -= (size_t)n;
        offset += (size_t)n;
    }
    return 0;
}

/* The aligned part of a big object through an aligned buffer. Returns bytes written, or -errno; 0 when the
 * file system does not take O_DIRECT. The flag is set on the descriptor that there is: the file is read-only
 * from its birth, and only root could open it for writing once more. */
static ssize_t write_direct(const struct dir_writer *w, int fd, const uint8_t *data, size_t len)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
        return 0;
    void *bounce = NULL;
    size_t aligned = len & ~(size_t)(DIRECT_ALIGN - 1);
    size_t done = 0;
    int e = 0;
    if (posix_memalign(&bounce, DIRECT_ALIGN, DIRECT_BOUNCE) != 0)
        aligned = 0;
    while (done < aligned && e == 0) {
        size_t n = aligned - done < DIRECT_BOUNCE ? aligned - done : DIRECT_BOUNCE;
        memcpy(bounce, data + done, n);
        e = write_all(w, fd, bounce, n, done);
        if (e == 0)
            done += n;
    }
    free(bounce);
    if (fcntl(fd, F_SETFL, flags) < 0 && e == 0)
        e = -errno;
    if (e == -EINVAL && done == 0)
        return 0;
    return e < 0 ? e : (ssize_t)done;
}

static int write_file(const struct dir_writer *w, const char *tmp, const uint8_t *data, size_t len)
{
    int fd = w->io->open(w->io->ctx, w->fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
    if (fd < 0)
        return -errno;
    size_t done = 0;
    int e = 0;
    if (len >= DIRECT_FROM) {
        ssize_t n = write_direct(w, fd, data, len);
        if (n < 0)
            e = (int)n;
        else
            done = (size_t)n;
    }
    if (e == 0)
        e = write_all(w, fd, data + done, len - done, done);
    /* The bytes go to the medium before the name does: a name that outlives a power cut must never
     * point at an object that did not. */
    if (e == 0 && w->io->fsync(w->io->ctx, fd) < 0)
        e = -errno;
    if (w->io->close(w->io->ctx, fd) < 0 && e == 0)
        e = -errno;
    return e;
}

/* fsync the directory called path ("." for the top). */
static int sync_dir(const struct dir_writer *w, const char *path)
{
    int fd = w->io->open(w->io->ctx, w->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return -errno;
    int e = w->io->fsync(w->io->ctx, fd) < 0 ? -errno : 0;
    w->io->close(w->io->ctx, fd);
    return e;
}

/* The directory a name lies in, "." at the top. */
static void parent_of(const char *name, char out[static STORE_NAME_MAX + 2])
{
    const char *slash = strrchr(name, '/');
    if (!slash) {
        strcpy(out, ".");
        return;
    }
    memcpy(out, name, (size_t)(slash - name));
    out[slash - name] = '\0';
}

/* Make a directory and those above it; each new name is synced into its parent. */
static int make_dirs(const struct dir_writer *w, const char *path)
{
    if (strcmp(path, ".") == 0)
        return 0;
    int e = w->io->mkdir(w->io->ctx, w->fd, path, 0700) < 0 ? -errno : 0;
    char above[STORE_NAME_MAX + 2];
    parent_of(path, above);
    if (e == -ENOENT) {
        e = make_dirs(w, above);
        if (e == 0)
            e = w->io->mkdir(w->io->ctx, w->fd, path, 0700) < 0 ? -errno : 0;
    }
    if (e < 0 && e != -EEXIST)
        return e;
    /* EEXIST too: another writer may have made it a moment ago and not synced it yet. */
    return sync_dir(w, above);
}

/* Link the finished file to its name. Directories are made when the link finds them missing, so that
 * the common case costs nothing. */
static int give_name(const struct dir_writer *w, const char *tmp, const char *name)
{
    char parent[STORE_NAME_MAX + 2];
    parent_of(name, parent);
    int e = w->io->link(w->io->ctx, w->fd, tmp, name) < 0 ? -errno : 0;
    if (e == -ENOENT) {
        e = make_dirs(w, parent);
        if (e == 0)
            e = w->io->link(w->io->ctx, w->fd, tmp, name) < 0 ? -errno : 0;
    }
    if (e == -EEXIST) { /* told, it is relied on: whoever was first may not have synced it yet */
        int synced = sync_dir(w, parent);
        return synced < 0 ? synced : e;
    }
    if (e < 0)
        return e;
    e = sync_dir(w, parent);
    if (e < 0) /* not known to survive: then nobody may see it */
        w->io->unlink(w->io->ctx, w->fd, name);
    return e;
}

static int temporary_name(const struct dir_writer *w, char out[static 64], struct bk_error *err)
{
    uint8_t random[16];
    int r = w->world->random(w->world->ctx, random, sizeof random, err);
    if (r < 0)
        return r;
    char hex[2 * sizeof random + 1];
    object_hex(random, sizeof random, hex);
    snprintf(out, 64, "tmp/%s", hex);
    return 0;
}

int dir_writer_put(struct dir_writer *w, const char *name, const void *data, size_t len, struct bk_error *err)
{
    char tmp[64];
    int r = temporary_name(w, tmp, err);
    if (r < 0)
        return bk_context(err, "put object %s", name);
    int e = write_file(w, tmp, data, len);
    if (e == -ENOENT) {
        e = make_dirs(w, "tmp");
        if (e == 0)
            e = write_file(w, tmp, data, len);
    }
    if (e == 0)
        e = give_name(w, tmp, name);
    w->io->unlink(w->io->ctx, w->fd, tmp);
    if (e == -EEXIST)
        return bk_fail(err, BK_E_EXISTS, "object %s is there already", name);
    if (e < 0) {
        r = bk_fail_errno(err, -e, "put object %s into %s", name, w->url);
        if (r == BK_E_NOSPACE)
            bk_hint(err, "free some space on the disk of %s and run again", w->url);
        return r;
    }
    return 0;
}

int dir_writer_remove(struct dir_writer *w, const char *name, struct bk_error *err)
{
    if (w->io->unlink(w->io->ctx, w->fd, name) < 0) {
        if (errno == ENOENT)
            return 0;
        return bk_fail_errno(err, errno, "remove object %s from %s", name, w->url);
    }
    char parent[STORE_NAME_MAX + 2];
    parent_of(name, parent);
    int e = sync_dir(w, parent);
    if (e < 0)
        return bk_fail_errno(err, -e, "sync the directory of %s in %s", name, w->url);
    return 0;
}
