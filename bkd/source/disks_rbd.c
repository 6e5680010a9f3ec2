#include "bkd/source/disks_rbd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bkd/source/disk_rbd.h"
#include "bkd/source/rbd_past.h"
#include "bkd/source/rbd_snaps.h"

struct image {
    char *operand; /* owned; for messages */
    struct rbd_url url;
    struct rbd_link *link; /* one of those of the source; NULL until begin */
    struct rbd_point now;
    bool made; /* now.snap is ours, and there */
};
struct rbd_source {
    struct disks disks;
    struct image *images; /* owned */
    size_t n;
    struct rbd_link **links; /* owned */
    size_t n_links;
    char series[DISKS_SERIES + 1];
};

/* ---- images ---- */

static int link_image(struct rbd_source *s, struct image *m, struct bk_error *err)
{
    for (size_t i = 0; i < s->n_links && !m->link; i++)
        if (rbd_url_same_link(&s->links[i]->url, &m->url))
            m->link = s->links[i];
    if (m->link)
        return 0;
    struct rbd_link **v = reallocarray(s->links, s->n_links + 1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "connect to Ceph");
    s->links = v;
    int r = rbd_link_open(&m->url, m->operand, &v[s->n_links], err);
    if (r == 0)
        m->link = v[s->n_links++];
    return r;
}

static int fail_open(struct image *m, int rc, const char *snap, struct bk_error *err)
{
    if (rc == -ENOENT && snap)
        return bk_fail(err, BK_E_ABSENT, "there is no such image, or it has no snapshot %s", snap);
    if (rc == -ENOENT)
        return bk_fail(err, BK_E_ABSENT, "there is no such image");
    return rbd_link_fail(m->link, rc, N_("open image"), m->url.image, err);
}

/* Without being seen: who reads does not become a watcher. */
static int open_at(struct image *m, const char *snap, rbd_image_t *ret, struct bk_error *err)
{
    int rc = rbd_lib.open_read_only(m->link->rados->ctx, m->url.image, ret, snap);
    return rc < 0 ? fail_open(m, rc, snap, err) : 0;
}

/* Make our snapshot. The image is opened for writing only as long. */
static int make_snap(struct rbd_source *s, struct image *m, struct bk_error *err)
{
    char name[RBD_SNAP_OURS + 1];
    rbd_image_t head;
    int r = rbd_snaps_name(s->series, name, err);
    if (r < 0)
        return r;
    int rc = rbd_lib.open(m->link->rados->ctx, m->url.image, &head, NULL);
    if (rc < 0)
        return fail_open(m, rc, NULL, err);
    rc = rbd_lib.snap_create(head, name);
    /* One that ran out may still be made. */
    m->made = rc >= 0 || rc == -ETIMEDOUT;
    snprintf(m->now.snap, sizeof m->now.snap, "%s", name);
    rbd_lib.close(head);
    return rc < 0 ? rbd_link_fail(m->link, rc, N_("make snapshot"), name, err) : 0;
}

static int ask_about(struct image *m, rbd_image_t image, struct bk_error *err)
{
    int rc = rbd_lib.get_size(image, &m->now.size);
    if (rc >= 0)
        rc = rbd_lib.get_id(image, m->now.id, sizeof m->now.id);
    if (rc == -EINVAL || rc == -EOPNOTSUPP)
        return bk_fail(err, BK_E_UNSUPPORTED,
                       "it has the old image format 1: rbd migration gives it format 2");
    if (rc >= 0)
        rc = rbd_lib.get_overlap(image, &m->now.overlap);
    if (rc >= 0)
        rc = rbd_lib.snap_get_id(image, m->now.snap, &m->now.snap_id);
    return rc < 0 ? rbd_link_fail(m->link, rc, N_("ask about image"), m->url.image, err) : 0;
}

/* Can what changed since then be told? The reason if not. */
static int check_since(struct image *m, rbd_image_t image, const struct rbd_point *then, const char **ret,
                       struct bk_error *err)
{
    *ret = NULL;
    if (strcmp(then->id, m->now.id) != 0)
        *ret = N_("it is another image than last time");
    else if (then->size != m->now.size)
        *ret = N_("its size changed");
    /* Where a parent shows through no more, or again, no object of the image itself changed. */
    else if (then->overlap != m->now.overlap)
        *ret = N_("its parent image changed");
    else if (then->snap_id > m->now.snap_id)
        *ret = N_("its last snapshot in the cluster is newer than this one");
    if (*ret)
        return 0;
    bk_auto(rbd_snaps_clear) struct rbd_snaps list = { 0 };
    int r = rbd_snaps_list(m->link, image, &list, err);
    const rbd_snap_info_t *found = r == 0 ? rbd_snaps_find(&list, then->snap) : NULL;
    if (r == 0 && (!found || found->id != then->snap_id))
        *ret = N_("its last snapshot in the cluster is gone");
    return r;
}

/* It may have gone while it was compared with. */
static int since_is_there(struct image *m, const struct rbd_point *then, bool *ret, struct bk_error *err)
{
    rbd_image_t again;
    uint64_t id = 0;
    int r = open_at(m, NULL, &again, err);
    if (r < 0)
        return r;
    int rc = rbd_lib.snap_get_id(again, then->snap, &id);
    rbd_lib.close(again);
    *ret = rc >= 0 && id == then->snap_id;
    return rc >= 0 || rc == -ENOENT ? 0
                                    : rbd_link_fail(m->link, rc, N_("look for snapshot"), then->snap, err);
}

static int read_at(struct image *m, struct job *j, const char *since, struct disk **ret, struct bk_error *err)
{
    struct disk_rbd_opts o = { .size = m->now.size, .overlap = m->now.overlap, .since = since };
    int r = since ? open_at(m, since, &o.before, err) : 0;
    if (r < 0)
        return r;
    r = open_at(m, m->now.snap, &o.image, err);
    if (r == 0)
        r = disk_rbd_new(m->link, &o, j, ret, err);
    if (since)
        rbd_lib.close(o.before);
    return r;
}

static int open_disk(struct image *m, struct job *j, const struct rbd_point *then, struct disk **ret,
                     const char **ret_reason, struct bk_error *err)
{
    rbd_image_t image;
    int r = open_at(m, m->now.snap, &image, err);
    if (r < 0)
        return r;
    r = ask_about(m, image, err);
    if (r == 0 && then)
        r = check_since(m, image, then, ret_reason, err);
    rbd_lib.close(image);
    if (r < 0)
        return r;
    bool track = then && !*ret_reason;
    bk_auto(disk_free) struct disk *d = NULL;
    r = read_at(m, j, track ? then->snap : NULL, &d, err);
    bool there = true;
    struct bk_error why = { 0 };
    int looked = track && (r == 0 || r == BK_E_ABSENT) ? since_is_there(m, then, &there, &why) : 0;
    if (r == 0 && looked < 0) {
        *err = why;
        r = looked;
    }
    if (looked == 0 && !there) {
        *ret_reason = N_("its last snapshot in the cluster is gone");
        disk_free(bk_steal(d));
        r = read_at(m, j, NULL, &d, err);
    }
    if (r == 0)
        *ret = bk_steal(d);
    return r;
}

/* ---- begin ---- */

static void name_it(const struct rbd_source *s, struct image *m)
{
    snprintf(m->now.disk, sizeof m->now.disk, "%s", m->url.image);
    for (unsigned k = 2;; k++) {
        bool there = false;
        for (size_t i = 0; i < s->disks.n && !there; i++)
            there = !strcmp(s->disks.v[i].name, m->now.disk);
        if (!there)
            return;
        snprintf(m->now.disk, sizeof m->now.disk, "%.240s-%u", m->url.image, k);
    }
}

static int begin_one(struct rbd_source *s, struct image *m, struct job *j, bool compared,
                     const struct rbd_past *past, const char *blind, struct bk_error *err)
{
    m->now = (struct rbd_point){ 0 };
    name_it(s, m);
    int r = link_image(s, m, err);
    if (r == 0 && m->url.snap[0])
        snprintf(m->now.snap, sizeof m->now.snap, "%s", m->url.snap);
    else if (r == 0)
        r = make_snap(s, m, err);
    if (r < 0)
        return r;
    const struct rbd_point *then = compared ? rbd_past_find(past, m->now.disk) : NULL;
    const char *reason = blind               ? blind
                         : compared && !then ? N_("the parent snapshot does not have it")
                                             : NULL;
    struct disk *d = NULL;
    r = open_disk(m, j, then, &d, &reason, err);
    if (r < 0)
        return r;
    for (const struct image *o = s->images; o < m && r == 0;
         o++) /* its snapshots would be tidied away as another's */
        if (!o->url.snap[0] && !m->url.snap[0] && !strcmp(o->now.id, m->now.id) &&
            !strcmp(o->url.cluster.pool, m->url.cluster.pool) &&
            !strcmp(o->url.cluster.ns, m->url.cluster.ns))
            r = bk_fail(err, BK_E_USAGE, "the image %s is given twice", m->operand);
    if (r < 0) {
        disk_free(d);
        return r;
    }
    /* A differential compares with the last full, whose snapshot therefore stays. */
    if (!compared)
        snprintf(m->now.full, sizeof m->now.full, "%s", m->now.snap);
    else if (then && !strcmp(then->id, m->now.id) && then->size == m->now.size &&
             then->overlap == m->now.overlap)
        snprintf(m->now.full, sizeof m->now.full, "%s", then->full);
    return disks_add(&s->disks, m->now.disk, d, reason, err);
}

static int tell(struct rbd_source *s, struct bk_error *err)
{
    bk_auto(rbd_past_clear) struct rbd_past p = { .v = calloc(s->n, sizeof *p.v) };
    bk_auto(free) char *text = NULL;
    if (!p.v)
        return bk_fail_errno(err, ENOMEM, "describe images");
    for (; p.n < s->n; p.n++)
        p.v[p.n] = s->images[p.n].now;
    int r = rbd_past_encode(&p, &text, err);
    return r < 0 ? r : disks_add_text(&s->disks, DISKS_SOURCE, text, strlen(text), err);
}

static int remove_snap(struct image *m, rbd_image_t head, const char *name, struct bk_error *err)
{
    int rc = rbd_lib.snap_remove(head, name);
    return rc >= 0 || rc == -ENOENT ? 0 : rbd_link_fail(m->link, rc, N_("remove snapshot"), name, err);
}

static bool needless(const struct rbd_source *s, const struct image *m, const char *name)
{
    return rbd_snaps_ours(name, s->series) && strcmp(name, m->now.snap) != 0 &&
           strcmp(name, m->now.full) != 0;
}

/* Whoever may only read, and named a snapshot, has none to remove: the image is not opened for writing then.
 */
static int find_needless(struct rbd_source *s, struct image *m, struct rbd_snaps *list, bool *ret,
                         struct bk_error *err)
{
    rbd_image_t image;
    int r = open_at(m, NULL, &image, err);
    if (r < 0)
        return r;
    r = rbd_snaps_list(m->link, image, list, err);
    rbd_lib.close(image);
    *ret = false;
    for (size_t i = 0; i < list->n && !*ret; i++)
        *ret = needless(s, m, list->v[i].name);
    return r;
}

/* Of the snapshots of ours those that nobody needs any more: all of the series but two, or the new one. What
 * a run that was killed left is among the former. */
static int tidy_image(struct rbd_source *s, struct image *m, bool committed, struct bk_error *err)
{
    bk_auto(rbd_snaps_clear) struct rbd_snaps list = { 0 };
    bool any = m->made;
    if (!m->link || (!committed && !any))
        return 0;
    if (atomic_load(&m->link->silent) || atomic_load(&m->link->lost))
        return bk_fail(err, BK_E_UNREACHABLE, "the cluster does not answer: snapshots of ours stay");
    int r = committed ? find_needless(s, m, &list, &any, err) : 0;
    if (r < 0 || !any)
        return r;
    rbd_image_t head;
    int rc = rbd_lib.open(m->link->rados->ctx, m->url.image, &head, NULL);
    if (rc < 0)
        return fail_open(m, rc, NULL, err);
    if (!committed) {
        r = remove_snap(m, head, m->now.snap, err);
        m->made = r < 0;
    }
    for (size_t i = 0; i < list.n && !atomic_load(&m->link->silent); i++) {
        /* the first that cannot be removed is told, the others are tried all the same */
        struct bk_error why = { 0 };
        if (needless(s, m, list.v[i].name) && remove_snap(m, head, list.v[i].name, &why) < 0 && r == 0) {
            *err = why;
            r = why.code;
        }
    }
    rbd_lib.close(head);
    return r;
}

static int tidy(struct rbd_source *s, bool committed, struct bk_error *err)
{
    int first = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct bk_error why = { 0 };
        int r = tidy_image(s, &s->images[i], committed, &why);
        if (r < 0 && first == 0) {
            *err = why;
            first = bk_context(err, "%s", s->images[i].operand);
        }
        s->images[i].made = s->images[i].made && !committed;
    }
    return first;
}

static int rbd_begin(struct disks *disks, struct job *j, const struct disks_past *past, struct bk_error *err)
{
    struct rbd_source *s = (struct rbd_source *)disks;
    bk_auto(rbd_past_clear) struct rbd_past known = { 0 };
    const char *blind = NULL;
    struct bk_error why = { 0 };
    memcpy(s->series, past->series, sizeof s->series);
    if (past->source && rbd_past_decode(past->source, past->source_len, &known, &why) < 0) {
        if (bk_code_aborts(why.code)) {
            *err = why;
            return err->code;
        }
        blind = N_("what the parent snapshot says of its source is damaged, or of another source");
        job_log(j, JOB_WARN, "what the parent says of its source cannot be read: %s", why.text);
    }
    int r = 0;
    for (size_t i = 0; i < s->n && r == 0; i++) {
        r = begin_one(s, &s->images[i], j, past->compared, &known, blind, err);
        if (r < 0)
            bk_context(err, "%s", s->images[i].operand);
    }
    if (r == 0)
        r = tell(s, err);
    if (r == 0)
        return 0;
    struct bk_error late = { 0 };
    if (tidy(s, false, &late) < 0)
        job_log(j, JOB_WARN, "the source is not as it was: %s", late.text);
    return r;
}

/* ---- the end ---- */

/* A snapshot that is removed while it is read gives zeroes and no error. */
static int rbd_check(struct disks *disks, struct job *j, struct bk_error *err)
{
    struct rbd_source *s = (struct rbd_source *)disks;
    int r = 0;
    for (size_t i = 0; i < s->n && r == 0; i++) {
        struct image *m = &s->images[i];
        rbd_image_t image;
        uint64_t id = 0;
        r = job_check(j, err);
        if (r == 0)
            r = open_at(m, m->now.snap, &image, err);
        if (r == 0) {
            int rc = rbd_lib.snap_get_id(image, m->now.snap, &id);
            rbd_lib.close(image);
            if (rc < 0 && rc != -ENOENT)
                r = rbd_link_fail(m->link, rc, N_("look for snapshot"), m->now.snap, err);
        }
        if (r == BK_E_ABSENT || (r == 0 && id != m->now.snap_id))
            r = bk_fail(err, BK_E_CHANGED, "%s: somebody removed the snapshot %s while it was read",
                        m->operand, m->now.snap);
    }
    return r;
}

static int rbd_end(struct disks *disks, struct job *j, bool committed, struct bk_error *err)
{
    (void)j;
    return tidy((struct rbd_source *)disks, committed, err);
}

static void rbd_source_free(struct disks *disks)
{
    struct rbd_source *s = (struct rbd_source *)disks;
    struct bk_error ignored = { 0 };
    (void)tidy(s, false, &ignored);
    for (size_t i = 0; i < s->n; i++)
        free(s->images[i].operand);
    for (size_t i = 0; i < s->n_links; i++)
        rbd_link_free(s->links[i]);
    free(s->images);
    free(s->links);
    free(s);
}

static const struct disks_ops rbd_ops = {
    .begin = rbd_begin, .check = rbd_check, .end = rbd_end, .free = rbd_source_free
};

static int add(struct rbd_source *s, const char *operand, struct bk_error *err)
{
    struct image *m = &s->images[s->n];
    int r = rbd_url_parse(operand, &m->url, err);
    for (size_t i = 0; i < s->n && r == 0; i++)
        if (rbd_url_same_link(&s->images[i].url, &m->url) && !strcmp(s->images[i].url.image, m->url.image))
            r = bk_fail(err, BK_E_USAGE, "the image %s is given twice", m->url.image);
    if (r < 0)
        return r;
    m->operand = strdup(operand);
    if (!m->operand)
        return bk_fail_errno(err, ENOMEM, "open disks");
    s->n++;
    return 0;
}

int disks_rbd_new(const char *const *operands, size_t n, struct disks **ret, struct bk_error *err)
{
    struct rbd_source *s = calloc(1, sizeof *s);
    if (!s)
        return bk_fail_errno(err, ENOMEM, "open disks");
    s->disks.ops = &rbd_ops;
    bk_auto(disks_free) struct disks *made = &s->disks;
    s->images = calloc(n ? n : 1, sizeof *s->images);
    if (!s->images)
        return bk_fail_errno(err, ENOMEM, "open disks");
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add(s, operands[i], err);
    if (r == 0)
        *ret = bk_steal(made);
    return r;
}
