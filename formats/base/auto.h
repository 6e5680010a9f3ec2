/* Ownership ended by scope: bk_auto(x_free) runs x_free on the variable when it goes out of
 * scope, bk_steal hands the value on. Every x_free accepts NULL and a half-built object. */
#ifndef FORMATS_BASE_AUTO_H
#define FORMATS_BASE_AUTO_H

#include <stdlib.h>
#include <unistd.h>

#define bk_auto(free_fn) __attribute__((cleanup(bk_auto_##free_fn)))

/* Once per type, beside its free function:  BK_AUTO(struct pack *, pack_free) */
#define BK_AUTO(type, free_fn)                                            \
    static inline __attribute__((unused)) void bk_auto_##free_fn(type *p) \
    {                                                                     \
        if (*p)                                                           \
            free_fn(*p);                                                  \
    }

/* For values that are cleared in place:  BK_AUTO_CLEAR(struct bk_buf, bk_buf_clear) */
#define BK_AUTO_CLEAR(type, clear_fn)                                      \
    static inline __attribute__((unused)) void bk_auto_##clear_fn(type *p) \
    {                                                                      \
        clear_fn(p);                                                       \
    }

#define bk_steal(p)                  \
    ({                               \
        __typeof__(p) bk_stolen = p; \
        p = NULL;                    \
        bk_stolen;                   \
    })

static inline __attribute__((unused)) void bk_auto_free(void *p)
{
    free(*(void **)p);
}

static inline __attribute__((unused)) void bk_auto_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline __attribute__((unused)) int bk_steal_fd(int *fd)
{
    int v = *fd;
    *fd = -1;
    return v;
}

#define BK_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#endif
