/* Exports, and images that a qemu-nbd of our own writes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/restore/disk_new.h"
#include "bkd/restore/disk_target.h"
#include "bkd/source/disks.h"
#include "bkd/source/disk_serve.h"

enum {
    WRITE_MAX = 1 << 20,   /* bytes of one request */
    ZERO_BLOCK = 64 << 10, /* for servers that cannot zero */
    EXTRA_SILENCE_S = 5,
};
#define ZERO_MAX ((uint64_t)1 << 30)

struct nbd_target {
    struct disk_target target;
    struct job *job;
    struct child *server;   /* owned, or NULL */
    struct disk_new made;   /* of an image */
    struct nbd_link *links; /* owned */
    unsigned n_workers, n_links;
    pthread_mutex_t *locks; /* owned: one for each link; workers share links where the server takes few */
    bool can_zero;
};

/* A link for the worker, locked. */
static struct nbd_link *link_of(struct nbd_target *n, unsigned worker)
{
    pthread_mutex_lock(&n->locks[worker % n->n_links]);
    return &n->links[worker % n->n_links];
}

static void give_back(struct nbd_target *n, unsigned worker)
{
    pthread_mutex_unlock(&n->locks[worker % n->n_links]);
}

static int wait_for(struct nbd_link *l, int64_t cookie, const char *what, uint64_t at, size_t len,
                    struct bk_error *err)
{
    int r = nbd_link_wait(l, cookie, what, at, len, err);
    if (r < 0) /* the buffer is not ours: the answer must not come any more */
        nbd_link_close(l);
    return r;
}

static int gone(struct bk_error *err)
{
    return bk_fail(err, BK_E_IO, "the connection to the NBD server is lost");
}

static int write_locked(struct nbd_target *n, struct nbd_link *l, uint64_t at, const uint8_t *p, size_t len,
                        struct bk_error *err)
{
    int r = 0;
    while (len && r == 0) {
        size_t k = len < WRITE_MAX ? len : WRITE_MAX;
        if (!l->h)
            return gone(err);
        r = wait_for(l, nbd_lib.aio_pwrite(l->h, p, k, at, NBD_NULL_COMPLETION, 0), N_("write"), at, k, err);
        if (r == 0)
            atomic_fetch_add(&n->target.bytes_written, k);
        p += k;
        at += k;
        len -= k;
    }
    return r;
}

static int nbd_target_write(struct disk_target *t, unsigned worker, uint64_t at, const uint8_t *p, size_t len,
                            struct bk_error *err)
{
    struct nbd_target *n = (struct nbd_target *)t;
    struct nbd_link *l = link_of(n, worker);
    int r = write_locked(n, l, at, p, len, err);
    give_back(n, worker);
    return r;
}

static int zero_locked(struct nbd_target *n, struct nbd_link *l, uint64_t at, uint64_t len, bool hole,
                       struct bk_error *err)
{
    static const uint8_t zeroes[ZERO_BLOCK];
    int r = 0;
    while (len && r == 0) {
        uint64_t most = n->can_zero ? ZERO_MAX : ZERO_BLOCK, k = len < most ? len : most;
        if (!l->h)
            return gone(err);
        if (n->can_zero)
            r = wait_for(
                l, nbd_lib.aio_zero(l->h, k, at, NBD_NULL_COMPLETION, hole ? 0 : LIBNBD_CMD_FLAG_NO_HOLE),
                N_("zero"), at, (size_t)k, err);
        else
            r = write_locked(n, l, at, zeroes, (size_t)k, err);
        at += k;
        len -= k;
    }
    return r;
}

static int nbd_target_zero(struct disk_target *t, unsigned worker, uint64_t at, uint64_t len, bool hole,
                           struct bk_error *err)
{
    struct nbd_target *n = (struct nbd_target *)t;
    if (t->fresh)
        return 0;
    struct nbd_link *l = link_of(n, worker);
    int r = zero_locked(n, l, at, len, hole, err);
    give_back(n, worker);
    return r;
}

static int nbd_target_read(struct disk_target *t, unsigned worker, uint64_t at, uint8_t *p, size_t len,
                           struct bk_error *err)
{
    struct nbd_target *n = (struct nbd_target *)t;
    struct nbd_link *l = link_of(n, worker);
    int r = l->h ? wait_for(l, nbd_lib.aio_pread(l->h, p, len, at, NBD_NULL_COMPLETION, 0), N_("read back"),
                            at, len, err)
                 : gone(err);
    give_back(n, worker);
    return r;
}

static int nbd_target_sync(struct disk_target *t, struct bk_error *err)
{
    struct nbd_target *n = (struct nbd_target *)t;
    int r = 0;
    for (unsigned i = 0; i < n->n_links && r == 0; i++) {
        struct nbd_link *l = &n->links[i];
        if (!l->h)
            r = gone(err);
        else if (nbd_lib.can_flush(l->h) == 1)
            r = wait_for(l, nbd_lib.aio_flush(l->h, NBD_NULL_COMPLETION, 0), N_("flush"), 0, 0, err);
    }
    return r;
}

static void close_links(struct nbd_target *n)
{
    for (unsigned i = 0; i < n->n_links; i++)
        nbd_link_close(&n->links[i]);
}

static int nbd_target_finish(struct disk_target *t, struct bk_error *err)
{
    struct nbd_target *n = (struct nbd_target *)t;
    close_links(n);
    if (!n->server)
        return 0;
    /* It writes its own metadata at its end: only that says that the image is whole. */
    int r = child_finish(n->server, n->job, err);
    if (r < 0)
        return r;
    bk_auto(close) int fd = open(n->made.temporary, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return bk_fail_errno(err, errno, "write %s to the medium", n->made.path);
    return disk_new_finish(&n->made, err);
}

static void nbd_target_free(struct disk_target *t)
{
    struct nbd_target *n = (struct nbd_target *)t;
    close_links(n);
    child_free(n->server);
    disk_new_clear(&n->made);
    for (unsigned i = 0; n->locks && i < n->n_workers; i++)
        pthread_mutex_destroy(&n->locks[i]);
    free(n->locks);
    free(n->links);
    free(n);
}

static const struct disk_target_ops nbd_ops = { .write = nbd_target_write,
                                                .zero = nbd_target_zero,
                                                .read = nbd_target_read,
                                                .sync = nbd_target_sync,
                                                .finish = nbd_target_finish,
                                                .free = nbd_target_free };

/* ---- opening ---- */

static int look(struct nbd_target *n, const struct disk_target_opts *o, struct bk_error *err)
{
    struct nbd_handle *h = n->links[0].h;
    int64_t size = nbd_lib.get_size(h);
    if (size < 0)
        return nbd_link_fail(err, N_("ask for the size"));
    if ((uint64_t)size < o->size)
        return bk_fail(err, BK_E_LIMIT, "it has %lld bytes, and the disk %llu", (long long)size,
                       (unsigned long long)o->size);
    if (nbd_lib.is_read_only(h) == 1)
        return bk_fail(err, BK_E_PERM, "it is read-only");
    if (n->target.fresh && (uint64_t)size > o->size)
        job_log(n->job, JOB_WARN, "%s: an image of this format is %llu bytes longer than the disk", o->to,
                (unsigned long long)size - (unsigned long long)o->size);
    n->can_zero = nbd_lib.can_zero(h) == 1;
    return 0;
}

/* Several connections only where a flush of one covers all. */
static int open_export(struct nbd_target *n, const struct disk_target_opts *o, struct bk_error *err)
{
    if (!o->overwrite) {
        bk_fail(err, BK_E_EXISTS, "an export is there already, with whatever it holds");
        return bk_hint(err, "allow it to be overwritten");
    }
    int r = nbd_link_uri(&n->links[0], n->job, disks_uri(o->to), NULL, NBD_SILENCE_S, err);
    if (r < 0)
        return r;
    n->n_links = 1;
    struct bk_error ignored = { 0 };
    while (nbd_lib.can_multi_conn(n->links[0].h) == 1 && n->n_links < n->n_workers &&
           n->n_links < NBD_LINKS_MAX &&
           nbd_link_uri(&n->links[n->n_links], n->job, disks_uri(o->to), NULL, EXTRA_SILENCE_S, &ignored) ==
               0)
        n->n_links++;
    return 0;
}

static int run(const char *const *argv, struct job *j, struct bk_error *err)
{
    bk_auto(child_free) struct child *c = NULL;
    int r = child_start(argv, &c, err);
    for (size_t n = 1; r == 0 && n;) {
        char words[4096];
        r = child_read(c, j, words, sizeof words, &n, err);
    }
    return r < 0 ? r : child_finish(c, j, err);
}

static int make_image(struct nbd_target *n, const struct disk_target_opts *o, const char *format,
                      struct bk_error *err)
{
    struct stat st;
    if (lstat(o->to, &st) == 0) {
        bk_fail(err, BK_E_EXISTS, "it is there already");
        return bk_hint(err, "images of this format are made anew only: choose another name");
    }
    char size[32];
    snprintf(size, sizeof size, "%llu", (unsigned long long)o->size);
    bk_auto(close) int fd = -1;
    int r = disk_new_make(o->to, &n->made, &fd, err);
    if (r < 0)
        return r;
    /* vpc would round the size up to whole cylinders */
    bool vpc = !strcmp(format, "vpc");
    const char *argv[] = { "qemu-img",        "create",        "-q", "-f", format, n->made.temporary, size,
                           vpc ? "-o" : NULL, "force_size=on", NULL };
    r = run(argv, n->job, err);
    if (r == BK_E_ABSENT) {
        bk_fail(err, BK_E_UNSUPPORTED, "qemu-img is not installed");
        return bk_hint(err, "install the package qemu-utils");
    }
    unsigned n_links = n->n_workers < NBD_LINKS_MAX ? n->n_workers : NBD_LINKS_MAX;
    const char *none[] = { NULL };
    if (r == 0)
        r = disk_serve(n->made.temporary, format, none, n_links, n->job, NULL, n->links, &n->server, err);
    if (r == 0) {
        n->n_links = n_links;
        n->target.fresh = true;
    }
    return r;
}

int disk_target_nbd(const struct disk_target_opts *o, const char *format, struct job *j,
                    struct disk_target **ret, struct bk_error *err)
{
    struct nbd_target *n = calloc(1, sizeof *n);
    if (!n)
        return bk_fail_errno(err, ENOMEM, "restore a disk");
    *n = (struct nbd_target){ .target.ops = &nbd_ops, .job = j, .n_workers = o->n_workers };
    bk_auto(disk_target_free) struct disk_target *t = &n->target;
    n->links = calloc(o->n_workers, sizeof *n->links);
    n->locks = calloc(o->n_workers, sizeof *n->locks);
    if (!n->links || !n->locks)
        return bk_fail_errno(err, ENOMEM, "restore a disk");
    for (unsigned i = 0; i < n->n_workers; i++)
        pthread_mutex_init(&n->locks[i], NULL);
    int r = format ? make_image(n, o, format, err) : open_export(n, o, err);
    if (r == 0)
        r = look(n, o, err);
    if (r == 0)
        *ret = bk_steal(t);
    return r;
}
