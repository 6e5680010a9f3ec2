/* Our checkpoints of a domain. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/source/vm_domain.h"

void vm_points_free(char **v)
{
    for (size_t i = 0; v && v[i]; i++)
        free(v[i]);
    free(v);
}

int vm_points_list(virDomainPtr dom, char ***ret, struct bk_error *err)
{
    virDomainCheckpointPtr *all = NULL;
    int n = vm_lib.DomainListAllCheckpoints(dom, &all, 0);
    if (n < 0) {
        vm_lib_fail(err);
        return bk_context(err, "list checkpoints");
    }
    char **v = calloc((size_t)n + 1, sizeof *v);
    size_t k = 0;
    bool whole = v;
    for (int i = 0; i < n; i++) {
        const char *name = vm_lib.DomainCheckpointGetName(all[i]);
        if (whole && name && vm_point_is_ours(name)) {
            v[k] = strdup(name);
            whole = v[k++];
        }
        vm_lib.DomainCheckpointFree(all[i]);
    }
    free(all);
    if (!whole) {
        vm_points_free(v);
        return bk_fail_errno(err, ENOMEM, "list checkpoints");
    }
    *ret = v;
    return 0;
}

int vm_points_delete(virDomainPtr dom, const char *name, struct bk_error *err)
{
    bk_auto(vm_point_free) virDomainCheckpointPtr p = vm_lib.DomainCheckpointLookupByName(dom, name, 0);
    if (!p && vm_lib_code() == VIR_ERR_NO_DOMAIN_CHECKPOINT)
        return 0;
    if (p && vm_lib.DomainCheckpointDelete(p, 0) == 0)
        return 0;
    /* The bitmaps are lost, as after a crash, or it is shut off: then the record goes alone. */
    if (p && !vm_lib_lost() && vm_lib_code() != VIR_ERR_OPERATION_TIMEOUT &&
        vm_lib.DomainCheckpointDelete(p, VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY) == 0)
        return 0;
    vm_lib_fail(err);
    return bk_context(err, "delete the checkpoint '%s'", name);
}
