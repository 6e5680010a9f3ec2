/* Disks that the definition names as volumes of a storage pool. */
#include <stdlib.h>

#include "bkd/source/vm_domain.h"

static char *path_of(virConnectPtr c, const struct vm_xml_disk *d)
{
    char *path = NULL;
    virStoragePoolPtr pool = vm_lib.StoragePoolLookupByName(c, d->pool);
    virStorageVolPtr volume = pool ? vm_lib.StorageVolLookupByName(pool, d->volume) : NULL;
    if (volume) {
        path = vm_lib.StorageVolGetPath(volume);
        vm_lib.StorageVolFree(volume);
    }
    if (pool)
        vm_lib.StoragePoolFree(pool);
    return path;
}

void vm_volumes_find(virDomainPtr dom, struct vm_xml *x)
{
    virConnectPtr c = vm_lib.DomainGetConnect(dom); /* the domain's */
    for (size_t i = 0; i < x->n_disks; i++) {
        struct vm_xml_disk *d = &x->disks[i];
        if (!d->pool || !d->volume || d->source)
            continue;
        bk_auto(free) char *path = path_of(c, d);
        if (path && path[0] == '/')
            d->source = bk_steal(path);
    }
}
