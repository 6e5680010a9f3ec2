/* libvirt, loaded when a virtual machine is backed up or restored: it brings 20 libraries along, and who has
 * no virtual machines need not have it installed. Its errors are translated here. */
#ifndef BKD_SOURCE_VM_LIB_H
#define BKD_SOURCE_VM_LIB_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

/* clang-format off */
#define VM_LIB_CALLS(X) \
    X(ConnectClose) \
    X(ConnectGetURI) \
    X(ConnectListAllDomains) \
    X(ConnectOpen) \
    X(DomainAbortJob) \
    X(DomainAgentSetResponseTimeout) \
    X(DomainBackupBegin) \
    X(DomainBackupGetXMLDesc) \
    X(DomainCheckpointDelete) \
    X(DomainCheckpointFree) \
    X(DomainCheckpointGetName) \
    X(DomainCheckpointLookupByName) \
    X(DomainCreate) \
    X(DomainDefineXML) \
    X(DomainFSFreeze) \
    X(DomainFSThaw) \
    X(DomainFree) \
    X(DomainGetBlockInfo) \
    X(DomainGetConnect) \
    X(DomainGetJobInfo) \
    X(DomainGetName) \
    X(DomainGetState) \
    X(DomainGetTime) \
    X(DomainGetUUIDString) \
    X(DomainGetXMLDesc) \
    X(DomainIsActive) \
    X(DomainIsPersistent) \
    X(DomainListAllCheckpoints) \
    X(DomainLookupByName) \
    X(DomainLookupByUUIDString) \
    X(DomainResume) \
    X(DomainUndefineFlags) \
    X(GetLastError) \
    X(NetworkFree) \
    X(NetworkLookupByName) \
    X(SetErrorFunc) \
    X(StoragePoolFree) \
    X(StoragePoolLookupByName) \
    X(StorageVolFree) \
    X(StorageVolGetPath) \
    X(StorageVolLookupByName)
/* clang-format on */

/* vm_lib.ConnectOpen is virConnectOpen, and so on. */
struct vm_lib {
#define X(name) __typeof__(&vir##name) name;
    VM_LIB_CALLS(X)
#undef X
};
extern struct vm_lib vm_lib;

/* UNSUPPORTED: it is not installed. Before anything else; any thread, any number of times. libvirt says
 * nothing on standard error from then on. */
int vm_lib_load(struct bk_error *err) BK_MUST_CHECK;

static inline void vm_conn_free(virConnectPtr c)
{
    vm_lib.ConnectClose(c);
}
static inline void vm_dom_free(virDomainPtr d)
{
    vm_lib.DomainFree(d);
}
static inline void vm_net_free(virNetworkPtr n)
{
    vm_lib.NetworkFree(n);
}
static inline void vm_point_free(virDomainCheckpointPtr p)
{
    vm_lib.DomainCheckpointFree(p);
}
BK_AUTO(virConnectPtr, vm_conn_free)
BK_AUTO(virDomainPtr, vm_dom_free)
BK_AUTO(virNetworkPtr, vm_net_free)
BK_AUTO(virDomainCheckpointPtr, vm_point_free)

/* err becomes what libvirt said last on this thread; callers put in front what they did. ABSENT, BUSY, PERM,
 * UNSUPPORTED, UNREACHABLE, NOMEM, FAILED. */
int vm_lib_fail(struct bk_error *err);
/* Its VIR_ERR_ number, 0: none; and its text, "" for none. Until the next call on this thread. */
int vm_lib_code(void);
const char *vm_lib_text(void);
/* The last call failed because the daemon went away, not because of what was asked. */
bool vm_lib_lost(void);

/* Tries again for patience_ms when nobody answers: a daemon that is being restarted is back in seconds.
 * uri NULL: libvirt's default. UNREACHABLE, PERM; UNSUPPORTED: it is one of another machine, where QEMU's
 * sockets and scratch files would be. */
int vm_lib_connect(const char *uri, unsigned patience_ms, virConnectPtr *ret,
                   struct bk_error *err) BK_MUST_CHECK;
/* The URI names no host, or this one as such. */
bool vm_lib_is_here(const char *uri);

#endif
