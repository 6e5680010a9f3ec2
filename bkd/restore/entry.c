#include "bkd/restore/run.h"

#include <errno.h>
#include <fcntl.h>

static int look(struct run *r, struct tdir *td, const struct tree_entry *e, struct file_seen *ret,
                struct bk_error *err)
{
    *ret = (struct file_seen){ 0 };
    if (td->fresh)
        return 0;
    char name[TREE_NAME_MAX + 1];
    tree_name_copy(e, name);
    int dirfd;
    int rc = tdir_pin(&r->targets, td, &dirfd, err);
    if (rc < 0)
        return rc;
    if (fstatat(dirfd, name, &ret->st, AT_SYMLINK_NOFOLLOW) == 0)
        ret->exists = true;
    else if (errno != ENOENT)
        rc = bk_fail_errno(err, errno, "look at what is there");
    tdir_unpin(&r->targets, td);
    return rc;
}

static int enter(struct run *r, struct tdir *td, const struct tree_entry *e, struct walk_dir *ret,
                 struct bk_error *err)
{
    struct attrs m = attrs_of(e);
    struct tdir *d;
    int rc = tdir_new(&r->targets, td, e->name, e->name_len, &m, &d, err);
    if (rc < 0)
        return rc;
    if (r->opts->dry_run)
        atomic_fetch_add(&r->n_dirs, 1);
    else
        rc = tdir_make(&r->targets, d, r->opts->overwrite, &r->n_deleted, err);
    if (rc < 0) {
        tdir_unref(&r->targets, d);
        return rc;
    }
    *ret = (struct walk_dir){ .tree = e->dir, .td = d, .inside = true };
    return 0;
}

static int dry(struct run *r, const struct tree_entry *e, struct bk_error *err)
{
    if (e->type == TREE_FILE)
        return file_restore(r, NULL, e, NULL, NULL, err);
    atomic_fetch_add(&r->n_others, 1);
    return 0;
}

int entry_restore(struct run *r, struct tdir *td, const struct tree_entry *e, struct walk_dir *ret_below,
                  bool *ret_descend, struct bk_error *err)
{
    *ret_descend = false;
    if (!tree_name_valid(e->name, e->name_len))
        return bk_fail(err, BK_E_CORRUPT, "no file can have this name");
    if (r->opts->dry_run && e->type != TREE_DIR)
        return dry(r, e, err);
    int rc = r->opts->dry_run ? 0 : tdir_make(&r->targets, td, r->opts->overwrite, &r->n_deleted, err);
    if (rc < 0)
        return rc;
    if (e->type == TREE_DIR) {
        rc = enter(r, td, e, ret_below, err);
        *ret_descend = rc == 0;
        return rc;
    }

    struct link *link = NULL;
    if (e->nlink > 1) {
        rc = links_claim(r, td, e, &link, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    struct file_seen seen;
    rc = look(r, td, e, &seen, err);
    if (rc == 0 && e->type == TREE_FILE)
        return file_restore(r, td, e, &seen, link, err);
    if (rc == 0)
        rc = special_restore(r, td, e, &seen, err);
    if (link)
        links_done(r, link, rc == 0);
    return rc;
}
