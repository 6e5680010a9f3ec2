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

bool vm_lib_is_here(const char *uri)
{
    static const char *const here[] = { "", "localhost", "127.0.0.1", "[::1]" };
    const char *host = strstr(uri, "://");
    if (!host)
        return true;
    host += 3;
    size_t len = strcspn(host, "/?#");
    const char *user = memrchr(host, '@', len);
    len -= user ? (size_t)(user + 1 - host) : 0;
    host = user ? user + 1 : host;
    const char *port = memrchr(host, ':', len);
    if (port && strspn(port + 1, "0123456789") == len - (size_t)(port + 1 - host))
        len = (size_t)(port - host);
    for (size_t i = 0; i < BK_COUNT(here); i++)
        if (len == strlen(here[i]) && !memcmp(host, here[i], len))
            return true;
    return false;
}

static int refuse_elsewhere(const char *uri, struct bk_error *err)
{
    if (vm_lib_is_here(uri))
        return 0;
    bk_fail(err, BK_E_UNSUPPORTED, "the domains of another machine cannot be reached from here: %s", uri);
    return bk_hint(err, "run the command on that machine");
}

/* What an alias or the configuration made of it. */
static int look_where(virConnectPtr c, struct bk_error *err)
{
    bk_auto(free) char *uri = vm_lib.ConnectGetURI(c);
    return uri ? refuse_elsewhere(uri, err) : vm_lib_fail(err);
}

int vm_lib_connect(const char *uri, unsigned patience_ms, virConnectPtr *ret, struct bk_error *err)
{
    enum { STEP_MS = 200 };
    int r = uri ? refuse_elsewhere(uri, err) : 0;
    if (r < 0)
        return r;
    for (unsigned ms = 0;; ms += STEP_MS) {
        bk_auto(vm_conn_free) virConnectPtr c = vm_lib.ConnectOpen(uri);
        r = c ? look_where(c, err) : vm_lib_fail(err);
        if (r == 0) {
            *ret = bk_steal(c);
            return 0;
        }
        if (ms >= patience_ms || r != BK_E_UNREACHABLE) {
            bk_context(err, "connect to libvirt (%s)", uri ? uri : bk_text(N_("its default")));
            return r;
        }
        nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000 }, NULL);
    }
}
