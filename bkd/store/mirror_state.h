/* Inside the mirror: its stores, what is known of each, and what its files share. */
#ifndef BKD_STORE_MIRROR_STATE_H
#define BKD_STORE_MIRROR_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bkd/store/event.h"
#include "bkd/store/mirror.h"

enum { MIRROR_FILL_MAX = 1024 };
#define MIRROR_DOWN_NS ((int64_t)30 * 1000000000)

struct member {
    struct store *s;     /* owned; NULL: it could not be opened, `why` says it */
    struct bk_error why; /* immutable after open */
    char url[sizeof((struct store *)0)->url];
    atomic_bool blank;                 /* it holds nothing, while others hold a repository */
    atomic_bool told;                  /* that it does not answer */
    atomic_int_fast64_t down_until_ns; /* it failed lately: reading asks the others first */
};

struct fill {
    char name[STORE_NAME_MAX + 1];
    unsigned to;
};

struct mirror {
    struct store store;
    const struct world *world;
    struct member m[MIRROR_MAX]; /* the first one is the primary */
    unsigned n, needed;
    atomic_bool degraded;    /* the primary did not answer */
    atomic_bool incomplete;  /* a listing lacked a store */
    pthread_mutex_t healing; /* one object is healed at a time; before `lock` */

    pthread_mutex_t shun_lock; /* guards what follows */
    struct shunned *shunned;   /* owned, by name */
    size_t n_shunned, cap_shunned;

    pthread_mutex_t lock; /* guards the filler's queue */
    pthread_cond_t wake, room;
    struct fill *queue; /* owned; a ring of MIRROR_FILL_MAX */
    unsigned first, waiting;
    bool busy, stop, started;
    pthread_t filler;
};

/* mirror.c */
/* Stores are taken on success. urls: NULL for the stores' own; why: of those that are NULL, or NULL. */
int mirror_make(struct store *const *stores, const char *const *urls, const struct bk_error *why, unsigned n,
                unsigned needed, const struct world *w, struct store **ret,
                struct bk_error *err) BK_MUST_CHECK;
/* Why member i cannot be used, or 0. fill: a blank one can. */
int mirror_usable(struct mirror *m, unsigned i, bool fill, struct bk_error *err) BK_MUST_CHECK;
/* It failed with r. True when it does not answer at all: said once, and asked last for a while. */
bool mirror_failed(struct mirror *m, unsigned i, int r, const struct bk_error *why);
void mirror_well(struct mirror *m, unsigned i);
void mirror_event(struct mirror *m, enum store_event_kind kind, unsigned i, const char *name,
                  const char *why);
/* Members in the order in which reading asks them; returns how many can be asked. */
unsigned mirror_order(struct mirror *m, unsigned out[static MIRROR_MAX]);
/* The error of member i says where it comes from; returns the code. */
int mirror_of(struct mirror *m, unsigned i, struct bk_error *err);
/* Does the code speak of the store rather than of the object? */
bool mirror_is_outage(int code);

/* mirror_shun.c */
/* The copy of `name` in member i is bad and cannot be written anew: reading asks the others first; or it is
 * sound again. */
void mirror_shun(struct mirror *m, unsigned i, const char *name);
void mirror_trust(struct mirror *m, unsigned i, const char *name);
/* Put members whose copy is shunned behind the others. */
void mirror_shunned_last(struct mirror *m, const char *name, unsigned order[static MIRROR_MAX], unsigned n);
void mirror_shun_clear(struct mirror *m);

/* mirror_put.c */
int mirror_put(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err);
/* mirror_read.c */
int mirror_get(struct store *s, const char *name, uint64_t offset, void *out, size_t len, size_t *ret_len,
               struct bk_error *err);
int mirror_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err);
/* mirror_list.c */
int mirror_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err);
/* mirror_remove.c */
int mirror_remove(struct store *s, const char *name, struct bk_error *err);
int mirror_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err);
int mirror_clock(struct store *s, int64_t *ret_ahead_ns, struct bk_error *err);
/* mirror_heal.c */
int mirror_heal(struct store *s, const char *name, const struct store_heal *how, struct bk_error *err);
/* Put sound bytes under the name in member `to`, over what is there when `over`; from: where they are from,
 * asked again afterwards: the copy is taken back when the source has gone meanwhile (ABSENT). */
int mirror_copy(struct mirror *m, unsigned from, unsigned to, bool over, const char *name, const void *data,
                size_t len, struct bk_error *err) BK_MUST_CHECK;
/* mirror_fill.c */
void mirror_fill_later(struct mirror *m, unsigned to, const char *name);
void mirror_fill_stop(struct mirror *m);

#endif
