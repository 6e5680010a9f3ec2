#include "bkd/job/world.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static int64_t real_now_ns(void *ctx)
{
    (void)ctx;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int real_random(void *ctx, uint8_t *out, size_t len, struct bk_error *err)
{
    (void)ctx;
    while (len > 0) {
        ssize_t n = getrandom(out, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "read %zu random bytes", len);
        out += n;
        len -= (size_t)n;
    }
    return 0;
}

const struct world world_real = { .now_ns = real_now_ns, .random = real_random };
