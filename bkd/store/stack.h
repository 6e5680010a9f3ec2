/* A store as a program uses it: opened by URL, with what pays on top of it. From below: the store itself, a
 * throttle when there is a limit, a cache when the store is remote and holds a repository. */
#ifndef BKD_STORE_STACK_H
#define BKD_STORE_STACK_H

#include "bkd/store/store.h"

struct stack_opts {
    bool create;
    bool no_cache;
    uint64_t limit_up, limit_down; /* bytes per second; 0: none */
};
/* Errors as store_open. A cache that cannot be had is done without; *ret_no_cache then says why (may be
 * NULL). */
int store_open_stack(const char *url, const struct stack_opts *o, const struct world *w, struct store **ret,
                     struct bk_error *ret_no_cache, struct bk_error *err) BK_MUST_CHECK;

/* "$XDG_CACHE_HOME/bkctl" or "$HOME/.cache/bkctl"; false when neither is set or the path does not fit. */
bool store_cache_home(char *out, size_t cap);

#endif
