#include "bkd/source/vm_find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/source/glob.h"

enum { DOMAINS_MAX = 512 };

bool vm_find_is_plain(const char *operand)
{
    return glob_is_plain(operand, strlen(operand));
}

static int add(virDomainPtr dom, bool by_pattern, struct vm_domain **v, size_t *n, struct bk_error *err)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    const char *name = vm_lib.DomainGetName(dom);
    if (!name || vm_lib.DomainGetUUIDString(dom, uuid) < 0)
        return vm_lib_fail(err);
    for (size_t i = 0; i < *n; i++)
        if (!strcmp((*v)[i].uuid, uuid)) {
            (*v)[i].by_pattern &= by_pattern;
            return 0;
        }
    if (*n == DOMAINS_MAX)
        return bk_fail(err, BK_E_LIMIT, "more than %d domains", DOMAINS_MAX);
    struct vm_domain *more = realloc(*v, (*n + 1) * sizeof *more);
    if (!more)
        return bk_fail_errno(err, ENOMEM, "list domains");
    *v = more;
    struct vm_domain *d = &more[(*n)++];
    *d = (struct vm_domain){ .by_pattern = by_pattern };
    snprintf(d->uuid, sizeof d->uuid, "%s", uuid);
    snprintf(d->name, sizeof d->name, "%s", name);
    return 0;
}

int vm_find_one(virConnectPtr c, const char *operand, virDomainPtr *ret, struct bk_error *err)
{
    virDomainPtr d = vm_lib.DomainLookupByName(c, operand);
    if (!d && vm_lib_code() == VIR_ERR_NO_DOMAIN)
        d = vm_lib.DomainLookupByUUIDString(c, operand);
    if (!d && (vm_lib_code() == VIR_ERR_NO_DOMAIN || vm_lib_code() == VIR_ERR_INVALID_ARG))
        return bk_fail(err, BK_E_ABSENT, "there is no domain '%s'", operand);
    if (!d)
        return vm_lib_fail(err);
    *ret = d;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct vm_domain *)a)->name, ((const struct vm_domain *)b)->name);
}

static int find_pattern(virConnectPtr c, const char *pattern, struct vm_domain **v, size_t *n,
                        struct bk_error *err)
{
    virDomainPtr *all = NULL;
    int found = vm_lib.ConnectListAllDomains(c, &all, 0), r = 0;
    if (found < 0)
        return vm_lib_fail(err);
    size_t before = *n, fitting = 0;
    for (int i = 0; i < found; i++) {
        const char *name = vm_lib.DomainGetName(all[i]);
        if (r == 0 && name && glob_match(pattern, strlen(pattern), name, strlen(name))) {
            r = add(all[i], true, v, n, err);
            fitting++;
        }
        vm_lib.DomainFree(all[i]);
    }
    free(all);
    if (r == 0 && !fitting)
        return bk_fail(err, BK_E_ABSENT, "no domain fits '%s'", pattern);
    if (*n > before)
        qsort(*v + before, *n - before, sizeof **v, by_name);
    return r;
}

int vm_find(virConnectPtr c, const char *const *operands, size_t n, struct vm_domain **ret, size_t *ret_n,
            struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        if (!vm_find_is_plain(operands[i])) {
            r = find_pattern(c, operands[i], ret, ret_n, err);
            continue;
        }
        bk_auto(vm_dom_free) virDomainPtr d = NULL;
        r = vm_find_one(c, operands[i], &d, err);
        if (r == 0)
            r = add(d, false, ret, ret_n, err);
    }
    return r;
}
