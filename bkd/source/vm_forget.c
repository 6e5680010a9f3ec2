/* A domain is handed back as it was. */
#include <stdlib.h>

#include "bkd/source/vm_find.h"
#include "bkd/source/vm_image.h"
#include "bkd/source/vm_job.h"

/* A running domain deletes them itself, with their bitmaps. */
static int forget_running(virDomainPtr dom, struct job *j, unsigned *n, struct bk_error *err)
{
    bk_auto(vm_points_free) char **points = NULL;
    int r = vm_job_clear_way(dom, j, err);
    if (r == 0)
        r = vm_points_list(dom, &points, err);
    for (size_t i = 0; r == 0 && points[i]; i++) {
        r = vm_points_delete(dom, points[i], err);
        *n += r == 0;
    }
    return r;
}

/* Of one that is shut off the bitmaps are taken out of the images, then the records go. */
static int forget_off(virDomainPtr dom, const struct vm_xml *x, struct job *j, unsigned *n,
                      struct bk_error *err)
{
    bk_auto(vm_points_free) char **points = NULL;
    int r = 0;
    unsigned most = 0;
    for (size_t i = 0; i < x->n_disks && r == 0; i++) {
        unsigned bitmaps = 0;
        if (x->disks[i].source && !strcmp(x->disks[i].format, "qcow2"))
            r = vm_image_forget(x->disks[i].source, NULL, NULL, j, &bitmaps, err);
        most = bitmaps > most ? bitmaps : most;
    }
    if (r == 0)
        r = vm_points_list(dom, &points, err);
    for (size_t i = 0; r == 0 && points[i]; i++) {
        bk_auto(vm_point_free) virDomainCheckpointPtr p =
            vm_lib.DomainCheckpointLookupByName(dom, points[i], 0);
        if (!p || vm_lib.DomainCheckpointDelete(p, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) < 0)
            r = vm_lib_fail(err);
        *n += r == 0;
    }
    *n = most > *n ? most : *n; /* after the domain was defined anew only the bitmaps are left */
    return r;
}

static int forget(virDomainPtr dom, struct job *j, unsigned *n, struct bk_error *err)
{
    bk_auto(vm_xml_clear) struct vm_xml x = { 0 };
    int active = vm_lib.DomainIsActive(dom);
    if (active)
        return active < 0 ? vm_lib_fail(err) : forget_running(dom, j, n, err);
    bk_auto(free) char *text = vm_lib.DomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
    int r = text ? vm_xml_read(text, &x, err) : vm_lib_fail(err);
    if (r < 0)
        return r;
    vm_volumes_find(dom, &x);
    return forget_off(dom, &x, j, n, err);
}

int vm_forget_tracking(const char *uri, const char *domain, struct job *j, unsigned *ret_removed,
                       struct bk_error *err)
{
    enum { CONNECT_MS = 5000 };
    bk_auto(vm_conn_free) virConnectPtr c = NULL;
    bk_auto(vm_dom_free) virDomainPtr dom = NULL;
    unsigned n = 0;
    int r = vm_lib_load(err);
    if (r == 0)
        r = vm_lib_connect(uri, CONNECT_MS, &c, err);
    if (r == 0)
        r = vm_find_one(c, domain, &dom, err);
    if (r < 0)
        return r;
    r = forget(dom, j, &n, err);
    if (r < 0)
        return bk_context(err, "domain '%s'", domain);
    *ret_removed = n;
    return 0;
}
