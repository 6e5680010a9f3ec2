#include "bkd/source/vm_define.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "bkd/job/world.h"
#include "bkd/source/vm_lib.h"

enum { CONNECT_MS = 5000 };

struct vm_define {
    virConnectPtr conn; /* owned */
};

int vm_define_open(const char *uri, struct vm_define **ret, struct bk_error *err)
{
    int r = vm_lib_load(err);
    if (r < 0)
        return r;
    bk_auto(vm_define_free) struct vm_define *d = calloc(1, sizeof *d);
    if (!d)
        return bk_fail_errno(err, ENOMEM, "connect to libvirt");
    r = vm_lib_connect(uri, CONNECT_MS, &d->conn, err);
    if (r == 0)
        *ret = bk_steal(d);
    return r;
}

void vm_define_free(struct vm_define *d)
{
    if (d && d->conn)
        vm_lib.ConnectClose(d->conn);
    free(d);
}

/* Not being there is an answer. */
static int said(bool found, bool *ret, struct bk_error *err)
{
    int code = found ? 0 : vm_lib_code();
    if (!found && code != VIR_ERR_NO_DOMAIN && code != VIR_ERR_NO_NETWORK)
        return vm_lib_fail(err);
    *ret = found;
    return 0;
}

int vm_define_has_name(struct vm_define *d, const char *name, bool *ret, struct bk_error *err)
{
    bk_auto(vm_dom_free) virDomainPtr dom = vm_lib.DomainLookupByName(d->conn, name);
    int r = said(dom, ret, err);
    return r < 0 ? bk_context(err, "look for the domain '%s'", name) : 0;
}

int vm_define_has_uuid(struct vm_define *d, const char *uuid, bool *ret, struct bk_error *err)
{
    bk_auto(vm_dom_free) virDomainPtr dom = vm_lib.DomainLookupByUUIDString(d->conn, uuid);
    int r = said(dom, ret, err);
    return r < 0 ? bk_context(err, "look for the domain '%s'", uuid) : 0;
}

int vm_define_has_network(struct vm_define *d, const char *name, bool *ret, struct bk_error *err)
{
    bk_auto(vm_net_free) virNetworkPtr net = vm_lib.NetworkLookupByName(d->conn, name);
    int r = said(net, ret, err);
    return r < 0 ? bk_context(err, "look for the network '%s'", name) : 0;
}

int vm_define_new_uuid(char ret[static VM_UUID + 1], struct bk_error *err)
{
    uint8_t u[16];
    int r = world_real.random(world_real.ctx, u, sizeof u, err);
    if (r < 0)
        return r;
    u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); /* RFC 9562: version 4, variant 10 */
    u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
    char *at = ret;
    for (size_t i = 0; i < sizeof u; i++)
        at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
    return 0;
}

/* A definition of the same name and uuid would be replaced without a word. */
int vm_define_add(struct vm_define *d, const char *xml, const char *name, const char *uuid,
                  struct bk_error *err)
{
    bool name_there = false, uuid_there = false;
    int r = vm_define_has_name(d, name, &name_there, err);
    if (r == 0)
        r = vm_define_has_uuid(d, uuid, &uuid_there, err);
    if (r == 0 && (name_there || uuid_there))
        return bk_fail(err, BK_E_EXISTS, "domain '%s' was defined by somebody else meanwhile", name);
    if (r < 0)
        return r;
    bk_auto(vm_dom_free) virDomainPtr dom = vm_lib.DomainDefineXML(d->conn, xml);
    if (dom)
        return 0;
    vm_lib_fail(err);
    return bk_context(err, "define the domain '%s'", name);
}

static int find(struct vm_define *d, const char *uuid, virDomainPtr *ret, struct bk_error *err)
{
    *ret = vm_lib.DomainLookupByUUIDString(d->conn, uuid);
    return *ret ? 0 : vm_lib_fail(err);
}

int vm_define_remove(struct vm_define *d, const char *uuid, struct bk_error *err)
{
    bk_auto(vm_dom_free) virDomainPtr dom = NULL;
    unsigned flags = VIR_DOMAIN_UNDEFINE_KEEP_NVRAM;
#if LIBVIR_CHECK_VERSION(8, 9, 0)
    flags |= VIR_DOMAIN_UNDEFINE_KEEP_TPM;
#endif
    int r = find(d, uuid, &dom, err);
    if (r < 0)
        return vm_lib_code() == VIR_ERR_NO_DOMAIN ? 0 : r;
    return vm_lib.DomainUndefineFlags(dom, flags) < 0 ? vm_lib_fail(err) : 0;
}

int vm_define_start(struct vm_define *d, const char *uuid, struct bk_error *err)
{
    bk_auto(vm_dom_free) virDomainPtr dom = NULL;
    int r = find(d, uuid, &dom, err);
    if (r == 0 && vm_lib.DomainCreate(dom) < 0)
        r = vm_lib_fail(err);
    return r;
}
