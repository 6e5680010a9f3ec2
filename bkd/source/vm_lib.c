#include "bkd/source/vm_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

struct vm_lib vm_lib;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows and vm_lib */
static bool loaded;

static void silent(void *ctx, virErrorPtr e)
{
    (void)ctx;
    (void)e;
}

static int find(void *lib, const char *name, void *ret, struct bk_error *err)
{
    void *p = dlsym(lib, name);
    if (!p)
        return bk_fail(err, BK_E_UNSUPPORTED, "libvirt has no %s: it is too old", name);
    *(void **)ret = p;
    return 0;
}

/* It stays loaded: it has threads of its own. */
static int load(struct bk_error *err)
{
    void *lib = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        bk_fail(err, BK_E_UNSUPPORTED, "libvirt cannot be loaded: %s", dlerror());
        return bk_hint(err, "install the package libvirt0");
    }
    int r = 0;
#define X(name) \
    if (r == 0) \
        r = find(lib, "vir" #name, &vm_lib.name, err);
    VM_LIB_CALLS(X)
#undef X
    if (r == 0)
        vm_lib.SetErrorFunc(NULL, silent);
    return r;
}

int vm_lib_load(struct bk_error *err)
{
    pthread_mutex_lock(&lock);
    int r = loaded ? 0 : load(err);
    loaded = r == 0;
    pthread_mutex_unlock(&lock);
    return r;
}

int vm_lib_code(void)
{
    virErrorPtr e = vm_lib.GetLastError();
    return e ? e->code : 0;
}

const char *vm_lib_text(void)
{
    virErrorPtr e = vm_lib.GetLastError();
    return e && e->message ? e->message : "";
}

bool vm_lib_lost(void)
{
    virErrorPtr e = vm_lib.GetLastError();
    return e && (e->domain == VIR_FROM_RPC || e->domain == VIR_FROM_REMOTE || e->code == VIR_ERR_RPC ||
                 e->code == VIR_ERR_NO_CONNECT || e->code == VIR_ERR_INVALID_CONN);
}

static int code_of(int vir)
{
    switch (vir) {
    case VIR_ERR_NO_MEMORY:
        return BK_E_NOMEM;
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_DOMAIN_CHECKPOINT:
    case VIR_ERR_NO_NETWORK:
        return BK_E_ABSENT;
    case VIR_ERR_OPERATION_TIMEOUT: /* the lock of another job */
    case VIR_ERR_RESOURCE_BUSY:
        return BK_E_BUSY;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_OPERATION_DENIED:
        return BK_E_PERM;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
        return BK_E_UNSUPPORTED;
    case VIR_ERR_AGENT_UNRESPONSIVE:
    case VIR_ERR_AGENT_UNSYNCED:
        return BK_E_UNREACHABLE;
    default:
        return vm_lib_lost() ? BK_E_UNREACHABLE : BK_E_FAILED;
    }
}

int vm_lib_fail(struct bk_error *err)
{
    const char *text = vm_lib_text();
    return bk_fail(err, code_of(vm_lib_code()), "%s", *text ? text : bk_text(N_("libvirt does not say why")));
}

int vm_lib_connect(const char *uri, unsigned patience_ms, virConnectPtr *ret, struct bk_error *err)
{
    enum { STEP_MS = 200 };
    for (unsigned ms = 0;; ms += STEP_MS) {
        virConnectPtr c = vm_lib.ConnectOpen(uri);
        if (c) {
            *ret = c;
            return 0;
        }
        int r = vm_lib_fail(err);
        if (ms >= patience_ms || r != BK_E_UNREACHABLE) {
            bk_context(err, "connect to libvirt (%s)", uri ? uri : bk_text(N_("its default")));
            return r;
        }
        nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000 }, NULL);
    }
}

/* QEMU's sockets and scratch files are on the machine where it runs. */
bool vm_lib_is_elsewhere(const char *uri)
{
    const char *host = uri ? strstr(uri, "://") : NULL;
    return host && host[3] && host[3] != '/' && host[3] != '?' && strncmp(host + 3, "localhost", 9) != 0;
}
