#include "bkd/store/s3_curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

struct s3_curl s3_curl;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows and s3_curl */
static bool loaded;

static int find(void *lib, const char *name, void *ret, struct bk_error *err)
{
    void *p = dlsym(lib, name);
    if (!p)
        return bk_fail(err, BK_E_UNSUPPORTED, "libcurl has no %s: it is too old", name);
    *(void **)ret = p;
    return 0;
}

static int load(struct bk_error *err)
{
    void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        bk_fail(err, BK_E_UNSUPPORTED, "libcurl cannot be loaded: %s", dlerror());
        return bk_hint(err, "install the package libcurl4");
    }
    int r = 0;
#define X(type, name, args) \
    if (r == 0)             \
        r = find(lib, "curl_" #name, &s3_curl.name, err);
    S3_CURL_CALLS(X)
#undef X
    if (r == 0 && s3_curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        r = bk_fail(err, BK_E_NOMEM, "libcurl does not start");
    return r;
}

int s3_curl_load(struct bk_error *err)
{
    pthread_mutex_lock(&lock);
    int r = loaded ? 0 : load(err);
    loaded = r == 0;
    pthread_mutex_unlock(&lock);
    return r;
}
