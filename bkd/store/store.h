/* Stores: a flat space of immutable objects behind a vtable.
 *
 * Names are relative paths of [a-z0-9._-] and '/', at most STORE_NAME_MAX bytes: "data/3f/3f2a...",
 * "snapshots/...". A store is used by many threads at once. Stores stack: fault and others wrap the store
 * below and own it.
 *
 * Durability: once put has returned 0 the object survives power loss, whole, under its name. */
#ifndef BKD_STORE_STORE_H
#define BKD_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "bkd/job/world.h"
#include "formats/base/buf.h"

enum { STORE_NAME_MAX = 200 };

enum store_can {
    STORE_CAN_LIST = 1 << 0,
    STORE_CAN_REMOVE = 1 << 1,
    STORE_CAN_PUT_IF_ABSENT = 1 << 2,
    STORE_CAN_RETAIN = 1 << 3,
};

struct store;
/* 0 goes on; anything else ends the listing and is returned by it. */
typedef int store_list_fn(void *ctx, const char *name, uint64_t size, struct bk_error *err);

/* One copy of an object, as healing found and left it. */
enum store_copy_state {
    STORE_COPY_SOUND,
    STORE_COPY_REPAIRED,    /* it was bad or missing and is sound now */
    STORE_COPY_BAD,         /* bad or missing, and stays so */
    STORE_COPY_UNKNOWN,     /* there, but nothing can be said about it without keys or a newer program */
    STORE_COPY_UNREACHABLE, /* its store does not answer */
};
struct store_copy {
    const char *object, *store; /* store: for people */
    enum store_copy_state state;
    uint64_t bytes;  /* read from it */
    const char *why; /* translated; "" for a sound one */
};
/* What is wanted of healing beside that it is done. */
struct store_heal {
    void (*copy)(void *ctx, const struct store_copy *c); /* each copy, in order; may be NULL */
    void *ctx;
    bool fill; /* also write to a store that holds nothing of the repository yet */
};

struct store_ops {
    /* Put-if-absent of a whole object. EXISTS when the name is taken (the object there is untouched); of two
     * racing puts exactly one succeeds. NOSPACE, PERM...: nothing is visible under the name. IO,
     * UNREACHABLE from a store across a network: it may have happened or may still happen; what stands under
     * the name tells. May be repeated. COPIES from a mirror: the object may stand in some of its stores, but
     * not in as many as must hold it; that it can be read says nothing. */
    int (*put)(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err);
    /* Read up to len bytes from offset into out; *ret_len is short only at the object's end. ABSENT. */
    int (*get)(struct store *s, const char *name, uint64_t offset, void *out, size_t len, size_t *ret_len,
               struct bk_error *err);
    /* Size in bytes. ABSENT. */
    int (*stat)(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err);
    /* Every object whose name starts with prefix, in no order; objects put or removed meanwhile may or may
     * not appear. */
    int (*list)(struct store *s, const char *prefix, store_list_fn *fn, void *ctx, struct bk_error *err);
    /* Durable on return. An absent object is success: may be repeated. PERM from a store that can retain: the
     * object stays for now (store_still_locked). */
    int (*remove)(struct store *s, const char *name, struct bk_error *err);
    /* A read-only descriptor on the object, the caller's to close, where the object is a local file: many
     * small reads of one object then cost no open each. NULL: this store has none to give. ABSENT. */
    int (*fd)(struct store *s, const char *name, int *ret_fd, struct bk_error *err);
    /* Nobody, not even the owner, can remove or replace the object before that time (Unix ns). Only ever
     * longer: an earlier time than the one that stands is success and changes nothing; may be repeated. NULL:
     * this store cannot. ABSENT, PERM. Of several copies one is enough, and ABSENT says that others lack it.
     */
    int (*retain)(struct store *s, const char *name, int64_t until_ns, struct bk_error *err);
    /* For a probe: begin a put of len bytes and break the connection in the middle. NULL: there is none to
     * break. */
    int (*put_broken)(struct store *s, const char *name, const void *data, size_t len, struct bk_error *err);
    /* How far the store's clock is ahead of ours. NULL: it has none of its own. UNSUPPORTED: it does not say.
     */
    int (*clock)(struct store *s, int64_t *ret_ahead_ns, struct bk_error *err);
    /* Read every copy of the object, verify it without keys, and write bad and missing ones anew from a sound
     * one. 0 when a sound copy stands (others may not: see how->copy, and the events); CORRUPT when none
     * does, ABSENT when there is no copy at all. May be repeated. NULL: the store has no second copy. */
    int (*heal)(struct store *s, const char *name, const struct store_heal *how, struct bk_error *err);
    void (*free)(struct store *s);
};

struct store {
    const struct store_ops *ops;
    unsigned can; /* enum store_can */
    uint64_t max_object_bytes;
    bool remote;       /* a call costs a round trip: caching pays */
    unsigned parallel; /* how many puts or gets at once serve it best; 0: one */
    char url[512];     /* for people: where it is */
};

static inline int store_put(struct store *s, const char *name, const void *data, size_t len,
                            struct bk_error *err)
{
    return s->ops->put(s, name, data, len, err);
}
/* The whole object, at most `ceiling` bytes (LIMIT). out is replaced. */
int store_get_all(struct store *s, const char *name, size_t ceiling, struct bk_buf *out,
                  struct bk_error *err) BK_MUST_CHECK;
/* The whole object, verified without keys (formats/object/verify.h). CORRUPT, VERSION or UNSUPPORTED: out
 * holds what is there; CORRUPT with an empty out: it is larger than any object. */
int store_get_sound(struct store *s, const char *name, struct bk_buf *out,
                    struct bk_error *err) BK_MUST_CHECK;
/* Exactly len bytes; a shorter object is CORRUPT. */
int store_get_exact(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                    struct bk_error *err) BK_MUST_CHECK;
static inline int store_stat(struct store *s, const char *name, uint64_t *ret_size, struct bk_error *err)
{
    return s->ops->stat(s, name, ret_size, err);
}
static inline int store_list(struct store *s, const char *prefix, store_list_fn *fn, void *ctx,
                             struct bk_error *err)
{
    return s->ops->list(s, prefix, fn, ctx, err);
}
static inline int store_remove(struct store *s, const char *name, struct bk_error *err)
{
    return s->ops->remove(s, name, err);
}
/* UNSUPPORTED where the store has no retention. */
int store_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err) BK_MUST_CHECK;
/* UNSUPPORTED where the store has no clock of its own, or does not say. */
int store_clock(struct store *s, int64_t *ret_ahead_ns, struct bk_error *err) BK_MUST_CHECK;
/* Does the code of a removal say that the store keeps the object until some later time? Who has others to
 * remove goes on, and comes back for this one. A store across the network cannot tell a lock from a missing
 * permission: for people, name both. */
static inline bool store_still_locked(const struct store *s, int code)
{
    return code == BK_E_PERM && (s->can & STORE_CAN_RETAIN);
}
/* UNSUPPORTED where the store has no second copy. how may be NULL. */
int store_heal(struct store *s, const char *name, const struct store_heal *how,
               struct bk_error *err) BK_MUST_CHECK;
void store_free(struct store *s);
BK_AUTO(struct store *, store_free)

/* Is the name one that a store accepts? */
bool store_name_valid(const char *name);

/* By URL: a path or file://PATH is a directory store, rados://... a pool (rados.h), s3://... a bucket
 * (s3_url.h), mirror:URL|URL several at once (mirror.h). create: make it (EXISTS when the place is taken and
 * not empty); else ABSENT when nothing is there. UNSUPPORTED names the scheme and what this build knows. */
int store_open(const char *url, bool create, const struct world *w, struct store **ret,
               struct bk_error *err) BK_MUST_CHECK;

#endif
