#include "bkd/source/nbd_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

struct nbd_lib nbd_lib;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows and nbd_lib */
static bool loaded;

static int find(void *lib, const char *name, void *ret, struct bk_error *err)
{
    void *p = dlsym(lib, name);
    if (!p)
        return bk_fail(err, BK_E_UNSUPPORTED, "libnbd has no %s: it is too old", name);
    *(void **)ret = p;
    return 0;
}

static int load(struct bk_error *err)
{
    void *lib = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        bk_fail(err, BK_E_UNSUPPORTED, "libnbd cannot be loaded: %s", dlerror());
        return bk_hint(err, "install the package libnbd0");
    }
    int r = 0;
#define X(name) \
    if (r == 0) \
        r = find(lib, "nbd_" #name, &nbd_lib.name, err);
    NBD_LIB_CALLS(X)
#undef X
    return r;
}

int nbd_lib_load(struct bk_error *err)
{
    pthread_mutex_lock(&lock);
    int r = loaded ? 0 : load(err);
    loaded = r == 0;
    pthread_mutex_unlock(&lock);
    return r;
}
