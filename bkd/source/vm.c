#include "bkd/source/vm.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "bkd/job/world.h"
#include "bkd/source/vm_guard.h"
#include "bkd/source/vm_find.h"
#include "bkd/source/vm_keep.h"
#include "bkd/source/vm_image.h"
#include "bkd/source/vm_job.h"

enum { CONNECT_MS = 5000, AGAIN_MS = 30000, END_TRIES = 3 };

struct vm {
    struct disks disks;
    struct vm_opts opts; /* what it points to is owned */
    char **operands;     /* owned */
    size_t n_operands;
    char series[VM_SERIES + 1]; /* empty: as the past says, or random */
    bool many;                  /* names get the domain in front */

    /* from begin to end */
    bool begun;
    struct vm_domain *v;
    size_t n;
    struct vm_scratch *scratch;
    struct vm_guard *guard;
};

static int choose_series(struct vm *v, const struct vm_past *past, struct bk_error *err)
{
    const char *known = vm_past_series(past);
    uint8_t id[VM_SERIES / 2];
    if (v->series[0])
        return 0;
    if (known) {
        memcpy(v->series, known, sizeof v->series);
        return 0;
    }
    int r = world_real.random(world_real.ctx, id, sizeof id, err);
    for (size_t i = 0; i < sizeof id && r == 0; i++)
        snprintf(v->series + 2 * i, 3, "%02x", id[i]);
    return r;
}

/* A name that no checkpoint has yet. */
static struct vm_point_name fresh_point(const struct vm *v, char *const *points)
{
    int64_t now = world_real.now_ns(world_real.ctx);
    for (;; now++) {
        struct vm_point_name n = vm_point_name(v->series, now);
        size_t i = 0;
        while (points[i] && strcmp(points[i], n.text))
            i++;
        if (!points[i])
            return n;
    }
}

/* Everything up to the moment of the backup. */
static int prepare(struct vm *v, struct vm_domain *d, virDomainPtr dom, const struct vm_past *past, bool odd,
                   struct job *j, struct bk_error *err)
{
    bk_auto(vm_points_free) char **points = NULL;
    int r = vm_domain_look(d, dom, &v->opts, j, err);
    if (r == 0 && d->active)
        r = vm_job_clear_way(dom, j, err);
    if (r == 0)
        r = vm_points_list(dom, &points, err);
    if (r == 0)
        r = vm_domain_plan(d, past, v->opts.full, v->many, points, j, err);
    for (size_t i = 0; i < d->n_disks && odd && !v->opts.full; i++)
        d->disks[i].reason = N_("what the snapshot before says of it cannot be understood");
    if (r < 0 || !d->active)
        return r;
    r = vm_guard_room(v->scratch, err);
    if (r < 0)
        return r;
    memcpy(d->point, fresh_point(v, points).text, sizeof d->point);
    return vm_scratch_domain(v->scratch, (unsigned)(d - v->v), d->xml.has_owner, d->xml.uid, d->xml.gid,
                             d->socket, err);
}

/* The checkpoint from which differentials go on. */
static void note_full(const struct vm *v, struct vm_domain *d)
{
    const char *point = d->point;
    for (size_t i = 0; i < d->n_disks && !*point; i++)
        point = d->disks[i].point;
    if (v->opts.full || !d->full[0])
        snprintf(d->full, sizeof d->full, "%s", point);
}

static int take(struct vm *v, virConnectPtr c, struct vm_domain *d, const struct vm_past *past, bool odd,
                struct job *j, struct bk_error *err)
{
    bk_auto(vm_dom_free) virDomainPtr dom = vm_lib.DomainLookupByUUIDString(c, d->uuid);
    int r = dom ? prepare(v, d, dom, past, odd, j, err) : vm_lib_fail(err);
    if (r == 0 && d->active && !v->guard)
        r = vm_guard_start(v->opts.uri, v->v, v->scratch, j, &v->guard, err);
    if (r == 0 && d->active)
        r = vm_job_begin(d, dom, &v->opts, j, err);
    if (r == 0 && d->active)
        r = vm_guard_begun(v->guard, (size_t)(d - v->v) + 1, err);
    if (r < 0)
        return bk_context(err, "domain '%s'", d->name);
    note_full(v, d);
    return job_check(j, err);
}

/* One that fits a pattern and has nothing to be read does not spoil the others. */
static int take_all(struct vm *v, virConnectPtr c, const struct vm_past *past, bool odd, struct job *j,
                    struct bk_error *err)
{
    for (size_t i = 0; i < v->n;) {
        struct vm_domain *d = &v->v[i];
        int r = take(v, c, d, past, odd, j, err);
        bool left_out = r == BK_E_UNSUPPORTED && d->by_pattern && !d->n_disks && v->n > 1;
        if (r < 0 && !left_out)
            return r;
        if (!left_out) {
            i++;
            continue;
        }
        job_log(j, JOB_WARN, N_("left out: %s"), err->text);
        vm_domain_clear(d); /* it has not begun, so the guard does not look at it */
        memmove(d, d + 1, (--v->n - i) * sizeof *d);
    }
    return 0;
}

static void name_of(const struct vm *v, const struct vm_domain *d, const char *what, char out[static 320])
{
    snprintf(out, 320, "%s%s%s", v->many ? d->name : "", v->many ? "/" : "", what);
}

static int open_export(const struct vm_domain *d, const struct vm_disk *k, struct job *j, struct disk **ret,
                       struct bk_error *err)
{
    char changes[64];
    bk_auto(free) char *uri = NULL;
    snprintf(changes, sizeof changes, "qemu:dirty-bitmap:backup-%s", k->xml->target);
    int r = vm_xml_nbd_uri(d->socket, k->xml->target, &uri, err);
    return r < 0 ? r
                 : disk_nbd_open(&(struct disk_nbd_opts){ .uri = uri,
                                                          .changes = k->base[0] ? changes : NULL,
                                                          .size = k->size },
                                 j, ret, err);
}

static int open_disk(const struct vm_domain *d, struct vm_disk *k, struct job *j, struct disk **ret,
                     struct bk_error *err)
{
    const char *bitmap = k->base[0] ? k->base : NULL;
    if (d->active)
        return open_export(d, k, j, ret, err);
    int r = k->xml->nbd ? disk_nbd_open(&(struct disk_nbd_opts){ .uri = k->xml->nbd }, j, ret, err)
                        : disk_image_open(k->xml->source, k->xml->format, bitmap, j, ret, err);
    if (r == 0)
        k->size = (*ret)->size;
    return r;
}

static int open_disks(struct vm *v, struct vm_domain *d, struct job *j, struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < d->n_disks && r == 0; i++) {
        struct vm_disk *k = &d->disks[i];
        struct disk *disk = NULL;
        char name[320];
        name_of(v, d, k->xml->target, name);
        if (k->reason)
            job_log(j, JOB_INFO, N_("disk '%s' is read whole: %s"), name, bk_text(k->reason));
        r = open_disk(d, k, j, &disk, err);
        if (r == 0)
            r = disks_add(&v->disks, name, disk, k->reason, err);
        if (r < 0)
            bk_context(err, "disk '%s'", name);
    }
    return r;
}

static int keep_texts(struct vm *v, virConnectPtr c, struct vm_domain *d, struct job *j, struct bk_error *err)
{
    char prefix[320];
    name_of(v, d, "", prefix);
    bk_auto(vm_dom_free) virDomainPtr dom = vm_lib.DomainLookupByUUIDString(c, d->uuid);
    int r = dom ? vm_keep_texts(d, dom, prefix, &v->disks, j, err) : vm_lib_fail(err);
    return r < 0 ? bk_context(err, "domain '%s'", d->name) : 0;
}

static int note_domain(const struct vm *v, struct vm_now *now, const struct vm_domain *d,
                       struct bk_error *err)
{
    int r = vm_now_domain(now,
                          &(struct vm_now_domain){
                              .name = d->name,
                              .uuid = d->uuid,
                              .checkpoint = d->point[0] ? d->point : NULL,
                              .full = d->full[0] ? d->full : NULL,
                              .active = d->active,
                              .frozen = d->frozen,
                              .freeze_ms = d->freeze_ms,
                          },
                          err);
    for (size_t i = 0; i < d->n_disks && r == 0; i++) {
        const struct vm_disk *k = &d->disks[i];
        char name[320];
        name_of(v, d, k->xml->target, name);
        r = vm_now_disk(now,
                        &(struct vm_now_disk){
                            .target = k->xml->target,
                            .name = name,
                            .format = k->xml->format,
                            .source = vm_disk_place(k),
                            .checkpoint = k->point[0] ? k->point : NULL,
                            .reason = k->reason,
                            .size = k->size,
                        },
                        err);
    }
    return r;
}

static int note(struct vm *v, struct bk_error *err)
{
    bk_auto(vm_now_free) struct vm_now *now = NULL;
    bk_auto(free) char *text = NULL;
    int r = vm_now_new(v->series, &now, err);
    for (size_t i = 0; i < v->n && r == 0; i++)
        r = note_domain(v, now, &v->v[i], err);
    if (r == 0)
        r = vm_now_text(now, &text, err);
    return r < 0 ? r : disks_add_text(&v->disks, DISKS_SOURCE, text, strlen(text), err);
}

static int begin(struct vm *v, struct job *j, const struct disks_past *p, struct bk_error *err)
{
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    bk_auto(vm_past_free) struct vm_past *past = NULL;
    bool odd = false;
    int r = vm_past_read(p, &past, &odd, err);
    if (r == 0)
        r = choose_series(v, past, err);
    if (r == 0)
        r = vm_lib_connect(v->opts.uri, CONNECT_MS, &c, err);
    if (r == 0)
        r = vm_find(c, (const char *const *)v->operands, v->n_operands, &v->v, &v->n, err);
    if (r == 0) {
        vm_scratch_sweep(v->opts.scratch_dir);
        r = vm_scratch_new(v->opts.scratch_dir, &v->scratch, err);
    }
    if (r == 0)
        r = take_all(v, c, past, odd, j, err);
    for (size_t i = 0; i < v->n && r == 0; i++)
        r = open_disks(v, &v->v[i], j, err);
    for (size_t i = 0; i < v->n && r == 0; i++)
        r = keep_texts(v, c, &v->v[i], j, err);
    return r < 0 ? r : note(v, err);
}

/* Does the snapshot that was just made, or the last full, go on from it? */
static bool is_needed(const struct vm_domain *d, const char *point)
{
    if (!strcmp(point, d->point) || !strcmp(point, d->full))
        return true;
    for (size_t i = 0; i < d->n_disks; i++)
        if (!strcmp(point, d->disks[i].point))
            return true;
    return false;
}

struct needed {
    const struct vm *v;
    const struct vm_domain *d;
};

/* Checkpoints of other series are other repositories' business. */
static bool may_go(const void *ctx, const char *point, bool lost)
{
    const struct needed *n = ctx;
    return vm_point_is_of(point, n->v->series) && (lost || !is_needed(n->d, point));
}

/* The one that was made for a snapshot that does not exist. */
static bool is_new(const void *ctx, const char *point, bool lost)
{
    (void)lost;
    return !strcmp(point, ((const struct needed *)ctx)->d->point);
}

/* Of a domain that is shut off, or has been since, the bitmaps are taken out of the images. */
static int tidy_images(const struct needed *n, vm_image_drop_fn *drop, struct job *j, struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < n->d->n_disks && r == 0; i++) {
        const struct vm_disk *k = &n->d->disks[i];
        unsigned removed;
        if (k->tracks && k->xml->source)
            r = vm_image_forget(k->xml->source, drop, n, j, &removed, err);
    }
    return r;
}

static int tidy(const struct vm *v, const struct vm_domain *d, virDomainPtr dom, bool committed,
                struct job *j, struct bk_error *err)
{
    bk_auto(vm_points_free) char **points = NULL;
    const struct needed n = { v, d };
    vm_image_drop_fn *drop = committed ? may_go : is_new;
    int r = vm_points_list(dom, &points, err);
    if (r == 0 && vm_lib.DomainIsActive(dom) == 0)
        r = tidy_images(&n, drop, j, err);
    for (size_t i = 0; r == 0 && points[i]; i++)
        if (drop(&n, points[i], false))
            r = vm_points_delete(dom, points[i], err);
    return r;
}

static int end_once(const struct vm *v, struct vm_domain *d, struct job *j, bool committed, bool *ret_lost,
                    struct bk_error *err)
{
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    bk_auto(vm_dom_free) virDomainPtr dom = NULL;
    int r = vm_lib_connect(v->opts.uri, AGAIN_MS, &c, err);
    *ret_lost = r < 0;
    if (r < 0)
        return r;
    dom = vm_lib.DomainLookupByUUIDString(c, d->uuid);
    if (!dom && vm_lib_code() == VIR_ERR_NO_DOMAIN)
        return 0; /* gone with all that was in it */
    r = dom ? vm_job_end(d, dom, j, err) : vm_lib_fail(err);
    if (r == 0)
        r = tidy(v, d, dom, committed, j, err);
    *ret_lost = r == BK_E_UNREACHABLE; /* what libvirt said last may be of another call by now */
    return r;
}

/* The connection of begin may have died since, with the daemon: each try makes its own. */
static int end_domain(const struct vm *v, struct vm_domain *d, struct job *j, bool committed,
                      struct bk_error *err)
{
    bool lost = d->active || committed;
    int r = 0;
    vm_freeze_free(d->freeze);
    d->freeze = NULL;
    for (int i = 0; i < END_TRIES && lost; i++)
        r = end_once(v, d, j, committed, &lost, err);
    return r < 0 ? bk_context(err, "domain '%s'", d->name) : 0;
}

/* Everything that begin made, however far it came. The first error is kept. The folder of a job that could
 * not be ended stays: without it nobody would know whose the job is. */
static int finish(struct vm *v, struct job *j, bool committed, struct bk_error *err)
{
    int r = 0;
    bool runs_on = false;
    vm_guard_stop(v->guard);
    v->guard = NULL;
    for (size_t i = 0; i < v->n; i++) {
        struct bk_error e = { 0 };
        bool failed = end_domain(v, &v->v[i], j, committed, &e) < 0;
        runs_on |= failed && v->v[i].job;
        if (failed && r == 0) {
            *err = e;
            r = e.code;
        }
        vm_domain_clear(&v->v[i]);
    }
    free(v->v);
    v->v = NULL;
    v->n = 0;
    (runs_on ? vm_scratch_leave : vm_scratch_free)(v->scratch);
    v->scratch = NULL;
    v->begun = false;
    return r;
}

static int vm_begin(struct disks *s, struct job *j, const struct disks_past *past, struct bk_error *err)
{
    struct vm *v = (struct vm *)s;
    int r = vm_lib_load(err);
    if (r < 0)
        return r;
    v->begun = true;
    r = begin(v, j, past, err);
    if (r == 0)
        return 0;
    for (size_t i = 0; i < s->n; i++) { /* before their jobs */
        disk_free(s->v[i].disk);
        s->v[i].disk = NULL;
    }
    struct bk_error second = { 0 };
    if (finish(v, j, false, &second) < 0)
        job_log(j, JOB_WARN, "%s", second.text);
    return r;
}

static int vm_end(struct disks *s, struct job *j, bool committed, struct bk_error *err)
{
    return finish((struct vm *)s, j, committed, err);
}

static void free_texts(char **v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        free(v[i]);
    free(v);
}

static void vm_free(struct disks *s)
{
    struct vm *v = (struct vm *)s;
    struct job j = { 0 };
    struct bk_error err = { 0 };
    if (v->begun && job_init(&j, &err) == 0) {
        (void)finish(v, &j, false, &err);
        job_clear(&j);
    }
    free_texts(v->operands, v->n_operands);
    free_texts((char **)v->opts.excluded, v->opts.n_excluded);
    free((void *)v->opts.uri);
    free((void *)v->opts.scratch_dir);
    free(v);
}

static const struct disks_ops vm_ops = { .begin = vm_begin, .end = vm_end, .free = vm_free };

static char **copy_texts(const char *const *from, size_t n)
{
    char **v = calloc(n + 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        if (!(v[i] = strdup(from[i]))) {
            free_texts(v, n);
            return NULL;
        }
    return v;
}

static bool name_series(struct vm *v, const char *series)
{
    uint8_t h[EVP_MAX_MD_SIZE];
    if (!EVP_Digest(series, strlen(series), h, NULL, EVP_sha256(), NULL))
        return false;
    for (size_t i = 0; i < VM_SERIES / 2; i++)
        snprintf(v->series + 2 * i, 3, "%02x", h[i]);
    return true;
}

static bool copy_opts(struct vm *v, const struct vm_opts *o)
{
    v->opts = *o;
    v->opts.series = NULL;
    v->opts.uri = o->uri ? strdup(o->uri) : NULL;
    v->opts.scratch_dir = o->scratch_dir ? strdup(o->scratch_dir) : NULL;
    v->opts.excluded = (const char *const *)copy_texts(o->excluded, o->n_excluded);
    return (v->opts.uri || !o->uri) && (v->opts.scratch_dir || !o->scratch_dir) && v->opts.excluded &&
           (!o->series || name_series(v, o->series));
}

int vm_disks_new(const struct vm_opts *opts, const char *const *domains, size_t n, struct disks **ret,
                 struct bk_error *err)
{
    if (!n)
        return bk_fail(err, BK_E_USAGE, "no domain was named");
    for (size_t i = 0; i < n; i++)
        if (!*domains[i])
            return bk_fail(err, BK_E_USAGE, "the name of a domain is empty");
    if (opts->freeze_max_ms && opts->freeze_max_ms < VM_FREEZE_MIN_MS)
        return bk_fail(err, BK_E_USAGE, "a guest cannot be frozen for less than %d ms", VM_FREEZE_MIN_MS);
    struct vm *v = calloc(1, sizeof *v);
    if (!v)
        return bk_fail_errno(err, ENOMEM, "back up a domain");
    v->disks.ops = &vm_ops;
    bk_auto(disks_free) struct disks *s = &v->disks;
    v->many = n > 1 || !vm_find_is_plain(domains[0]);
    v->operands = copy_texts(domains, n);
    v->n_operands = v->operands ? n : 0;
    if (!copy_opts(v, opts) || !v->operands)
        return bk_fail_errno(err, ENOMEM, "back up a domain");
    if (!v->opts.freeze_max_ms)
        v->opts.freeze_max_ms = VM_FREEZE_MS;
    *ret = bk_steal(s);
    return 0;
}
