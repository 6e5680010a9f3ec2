#include "bkd/restore/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

static mode_t format_of(enum tree_type t)
{
    switch (t) {
    case TREE_SYMLINK:
        return S_IFLNK;
    case TREE_FIFO:
        return S_IFIFO;
    case TREE_SOCKET:
        return S_IFSOCK;
    case TREE_CHAR:
        return S_IFCHR;
    case TREE_BLOCK:
        return S_IFBLK;
    default:
        return 0;
    }
}

/* The same thing already? Then only its metadata may differ. */
static bool same(int dirfd, const char *name, const char *link, const struct tree_entry *e,
                 const struct stat *st)
{
    if ((st->st_mode & S_IFMT) != format_of(e->type))
        return false;
    if (e->type == TREE_CHAR || e->type == TREE_BLOCK)
        return st->st_rdev == makedev(e->rdev_major, e->rdev_minor);
    if (e->type != TREE_SYMLINK)
        return true;
    bk_auto(free) char *now = malloc(TREE_LINK_MAX + 1);
    ssize_t n = now ? readlinkat(dirfd, name, now, TREE_LINK_MAX + 1) : -1;
    return n >= 0 && (size_t)n == e->link_len && memcmp(now, link, (size_t)n) == 0;
}

static int create(int dirfd, const char *name, const char *link, const struct tree_entry *e)
{
    if (e->type == TREE_SYMLINK)
        return symlinkat(link, dirfd, name);
    dev_t dev = e->type == TREE_CHAR || e->type == TREE_BLOCK ? makedev(e->rdev_major, e->rdev_minor) : 0;
    return mknodat(dirfd, name, format_of(e->type) | 0600, dev);
}

static int bring(struct run *r, struct tdir *td, int dirfd, const char *name, const char *link,
                 const struct tree_entry *e, const struct file_seen *seen, struct attrs_now *now,
                 struct bk_error *err)
{
    *now = (struct attrs_now){ .uid = r->attrs.euid, .gid = td->new_gid, .mode = (mode_t)-1 };
    if (seen->exists && same(dirfd, name, link, e, &seen->st)) {
        *now = (struct attrs_now){
            .uid = seen->st.st_uid, .gid = seen->st.st_gid, .mode = seen->st.st_mode & 07777, .existing = true
        };
        atomic_fetch_add(&r->n_kept, 1);
        return 0;
    }
    uint64_t n = 0;
    int rc = seen->exists ? r->opts->overwrite ? target_remove(dirfd, name, &n, err)
                                               : bk_fail(err, BK_E_EXISTS, "something of that name exists")
                          : 0;
    if (rc < 0)
        return rc;
    if (create(dirfd, name, link, e) < 0)
        return bk_fail_errno(
            err, errno, e->type == TREE_SYMLINK ? N_("make the symbolic link") : N_("make the special file"));
    return 0;
}

int special_restore(struct run *r, struct tdir *td, const struct tree_entry *e, const struct file_seen *seen,
                    struct bk_error *err)
{
    char name[TREE_NAME_MAX + 1];
    tree_name_copy(e, name);
    bk_auto(free) char *link = NULL;
    if (e->type == TREE_SYMLINK) {
        if (e->link_len == 0 || memchr(e->link, '\0', e->link_len))
            return bk_fail(err, BK_E_CORRUPT, "the symbolic link points nowhere a host can name");
        if (!(link = strndup((const char *)e->link, e->link_len)))
            return bk_fail(err, BK_E_NOMEM, "make the symbolic link");
    }
    int dirfd;
    int rc = tdir_pin(&r->targets, td, &dirfd, err);
    if (rc < 0)
        return rc;
    struct attrs_now now;
    rc = bring(r, td, dirfd, name, link, e, seen, &now, err);
    if (rc == 0) {
        struct place at = { .dir = td, .name = e->name, .name_len = e->name_len };
        struct attrs m = attrs_of(e);
        attrs_apply_at(&r->attrs, &at, dirfd, name, &m, &now);
        atomic_fetch_add(&r->n_others, 1);
        run_count_item(r, &at);
    }
    tdir_unpin(&r->targets, td);
    return rc;
}
