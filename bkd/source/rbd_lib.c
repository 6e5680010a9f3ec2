#include "bkd/source/rbd_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

struct rbd_lib rbd_lib;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows and rbd_lib */
static bool loaded;

static int find(void *lib, const char *name, void *ret, struct bk_error *err)
{
    void *p = dlsym(lib, name);
    if (!p)
        return bk_fail(err, BK_E_UNSUPPORTED, "librbd has no %s: it is too old", name);
    *(void **)ret = p;
    return 0;
}

/* It stays loaded: its threads outlive an image. */
static int load(struct bk_error *err)
{
    void *lib = dlopen("librbd.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        bk_fail(err, BK_E_UNSUPPORTED, "librbd cannot be loaded: %s", dlerror());
        return bk_hint(err, "install the package librbd1");
    }
    int r = 0;
#define X(name) \
    if (r == 0) \
        r = find(lib, "rbd_" #name, &rbd_lib.name, err);
    RBD_LIB_CALLS(X)
#undef X
    return r;
}

int rbd_lib_load(struct bk_error *err)
{
    pthread_mutex_lock(&lock);
    int r = loaded ? 0 : load(err);
    loaded = r == 0;
    pthread_mutex_unlock(&lock);
    return r;
}
