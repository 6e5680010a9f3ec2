#include "bkd/source/vm_domain.h"

#include <errno.h>
#include <string.h>

#include "bkd/source/vm_image.h"

void vm_domain_clear(struct vm_domain *d)
{
    vm_freeze_free(d->freeze);
    vm_xml_clear(&d->xml);
    free(d->disks);
    *d = (struct vm_domain){ 0 };
}

static int read_state(struct vm_domain *d, virDomainPtr dom, struct bk_error *err)
{
    int state = 0, reason = 0, active = vm_lib.DomainIsActive(dom);
    if (active < 0 || vm_lib.DomainGetState(dom, &state, &reason, 0) < 0)
        return vm_lib_fail(err);
    d->active = active; /* a crashed one may be kept as it is, with its QEMU and all locks */
    d->paused = state != VIR_DOMAIN_RUNNING && state != VIR_DOMAIN_BLOCKED;
    return 0;
}

static bool is_excluded(const struct vm_domain *d, const char *target, const struct vm_opts *o)
{
    for (size_t i = 0; i < o->n_excluded; i++) {
        const char *x = o->excluded[i], *slash = strrchr(x, '/');
        if (strcmp(slash ? slash + 1 : x, target))
            continue;
        if (!slash || (strlen(d->name) == (size_t)(slash - x) && !memcmp(d->name, x, (size_t)(slash - x))))
            return true;
    }
    return false;
}

static int choose_disks(struct vm_domain *d, const struct vm_opts *o, struct job *j, struct bk_error *err)
{
    d->disks = calloc(d->xml.n_disks ? d->xml.n_disks : 1, sizeof *d->disks);
    if (!d->disks)
        return bk_fail_errno(err, ENOMEM, "read a domain");
    for (size_t i = 0; i < d->xml.n_disks; i++) {
        const struct vm_xml_disk *x = &d->xml.disks[i];
        if (!is_excluded(d, x->target, o))
            d->disks[d->n_disks++] = (struct vm_disk){
                .xml = x,
                .tracks = !strcmp(x->format, "qcow2") && !x->read_only,
            };
    }
    for (size_t i = 0; i < d->xml.n_passed; i++)
        if (!is_excluded(d, d->xml.passed[i], o))
            job_log(j, JOB_WARN, N_("domain '%s': '%s' is handed through to the guest and is not backed up"),
                    d->name, d->xml.passed[i]);
    if (!d->n_disks)
        return bk_fail(err, BK_E_UNSUPPORTED, "the domain has no disk that can be backed up");
    return 0;
}

/* Of a running domain QEMU knows; else what the image says. */
static int read_size(struct vm_domain *d, struct vm_disk *k, virDomainPtr dom, struct job *j,
                     struct bk_error *err)
{
    virDomainBlockInfo info;
    if (!d->active && k->xml->wrapped) {
        bk_fail(
            err, BK_E_UNSUPPORTED,
            "disk '%s' is encrypted, a slice of its source or a container behind NBD, and the domain that "
            "would know how to read it is shut off",
            k->xml->target);
        return bk_hint(err, "start the domain, or exclude the disk");
    }
    if (!d->active && k->xml->source) {
        struct vm_image image;
        int r = vm_image_look(k->xml->source, k->xml->format, NULL, j, &image, err);
        k->size = r < 0 ? 0 : image.size;
        return r;
    }
    if (!d->active && k->xml->nbd)
        return 0; /* its server says */
    if (!d->active) {
        bk_fail(err, BK_E_UNSUPPORTED,
                "disk '%s' lies elsewhere, and the domain that would know how to read it is shut off",
                k->xml->target);
        return bk_hint(err, "start the domain, or exclude the disk");
    }
    if (vm_lib.DomainGetBlockInfo(dom, k->xml->target, &info, 0) < 0) {
        vm_lib_fail(err);
        return bk_context(err, "disk '%s'", k->xml->target);
    }
    k->size = info.capacity;
    return 0;
}

int vm_domain_look(struct vm_domain *d, virDomainPtr dom, const struct vm_opts *o, struct job *j,
                   struct bk_error *err)
{
    int r = read_state(d, dom, err);
    if (r < 0)
        return r;
    bk_auto(free) char *text =
        vm_lib.DomainGetXMLDesc(dom, d->active ? 0 : (unsigned)VIR_DOMAIN_XML_INACTIVE);
    if (!text)
        return vm_lib_fail(err);
    r = vm_xml_read(text, &d->xml, err);
    if (r < 0)
        return r;
    vm_volumes_find(dom, &d->xml);
    snprintf(d->name, sizeof d->name, "%s", d->xml.name);
    r = choose_disks(d, o, j, err);
    for (size_t i = 0; i < d->n_disks && r == 0; i++)
        r = read_size(d, &d->disks[i], dom, j, err);
    return r;
}

static bool is_there(char *const *points, const char *name)
{
    for (; *points; points++)
        if (!strcmp(*points, name))
            return true;
    return false;
}

const char *vm_disk_place(const struct vm_disk *k)
{
    return k->xml->source ? k->xml->source : k->xml->nbd;
}

/* One checkpoint makes bitmaps of one name in all images of a domain: behind a target there may be another of
 * them by now, or another domain behind a name. The bitmap of the one must never be laid over the content of
 * the other. */
static bool is_same(const struct vm_domain *d, const struct vm_disk *k, const struct vm_past_disk *past,
                    bool many)
{
    const char *place = vm_disk_place(k), *name = past->name ? past->name : "";
    size_t n = many ? strlen(d->name) : 0;
    return place && past->source && !strcmp(place, past->source) &&
           (!many || (!strncmp(name, d->name, n) && name[n] == '/')) &&
           !strcmp(many ? name + n + 1 : name, k->xml->target);
}

/* Why a running domain's disk is read whole, or NULL. */
static const char *reason_of(const struct vm_domain *d, const struct vm_disk *k,
                             const struct vm_past_disk *past, bool known, bool many, char *const *points)
{
    if (!known)
        return N_("the disk was not in the snapshot before");
    if (!is_same(d, k, past, many))
        return N_("another image lies behind it than in the snapshot before");
    if (k->xml->read_only)
        return N_("it is read-only, and libvirt makes no checkpoint of it");
    if (!k->tracks)
        return N_("its format cannot hold what has changed");
    if (!past->format || strcmp(past->format, k->xml->format))
        return N_("its format has changed");
    if (past->size != k->size)
        return N_("its size has changed");
    if (!past->checkpoint)
        return N_("no checkpoint was made with the snapshot before");
    if (points && !is_there(points, past->checkpoint))
        return N_("its checkpoint is gone");
    return NULL;
}

/* The bitmap is in the image, under the checkpoint's name. */
static int reason_off(struct vm_domain *d, const struct vm_disk *k, const char *point, struct job *j,
                      const char **ret, struct bk_error *err)
{
    struct vm_image image;
    int r = vm_image_look(k->xml->source, k->xml->format, point, j, &image, err);
    if (r < 0)
        return r;
    if (image.in_use)
        d->full[0] = '\0';
    *ret = !image.found   ? N_("its checkpoint is gone")
           : image.in_use ? N_("its checkpoint is not consistent: the domain did not end in order")
           : image.below  ? N_("its checkpoint is spread over several images")
                          : NULL;
    return 0;
}

static int plan_disk(struct vm_domain *d, struct vm_disk *k, const struct vm_past_domain *past, bool full,
                     bool many, char *const *points, struct job *j, struct bk_error *err)
{
    struct vm_past_disk p;
    bool known = vm_past_disk(past, k->xml->target, &p);
    /* Without the checkpoint's record a bitmap is in the image all the same, as after the domain was defined
     * anew; of one that runs only libvirt can tell. */
    const char *why = reason_of(d, k, &p, known, many, d->active ? points : NULL);
    if (!why && !d->active) {
        int r = k->xml->source ? reason_off(d, k, p.checkpoint, j, &why, err) : 0;
        if (r < 0)
            return r;
        if (!k->xml->source)
            why = N_("the domain is shut off, and its disk lies elsewhere");
    }
    if (!why)
        snprintf(k->point, sizeof k->point, "%s", p.checkpoint);
    if (!why && !full)
        snprintf(k->base, sizeof k->base, "%s", p.checkpoint);
    k->reason = full ? NULL : why;
    return 0;
}

int vm_domain_plan(struct vm_domain *d, const struct vm_past *past, bool full, bool many, char *const *points,
                   struct job *j, struct bk_error *err)
{
    struct vm_past_domain p;
    int r = 0;
    if (!vm_past_domain(past, d->uuid, &p))
        return 0; /* the first time: no reason is needed */
    if (p.full)
        snprintf(d->full, sizeof d->full, "%s", p.full);
    for (size_t i = 0; i < d->n_disks && r == 0; i++)
        r = plan_disk(d, &d->disks[i], &p, full, many, points, j, err);
    return r;
}

void vm_domain_read_all(struct vm_domain *d, const char *reason)
{
    for (size_t i = 0; i < d->n_disks; i++) {
        struct vm_disk *k = &d->disks[i];
        if (k->base[0])
            k->reason = reason;
        k->base[0] = k->point[0] = '\0';
    }
}
