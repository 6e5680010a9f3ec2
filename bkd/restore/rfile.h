/* A regular file on its way. Internal to bkd/restore/.
 *
 *   files.c          from the walker to the plan   rfile_open.c     creating and opening
 *   rfile_sink.c     from the plan to the file     rfile_write.c    bytes and zeroes
 *   rfile_damage.c   what could not be had
 *
 * Everything that still has to happen to a file holds one of `pending`; the last one finishes it. */
#ifndef BKD_RESTORE_RFILE_H
#define BKD_RESTORE_RFILE_H

#include "bkd/restore/run.h"

enum { DAMAGE_RANGES = 32 };

/* Which bytes of a file could not be had. */
struct damage {
    struct {
        uint64_t from, to;
    } v[DAMAGE_RANGES];
    size_t n;
    uint64_t more; /* bytes in ranges beyond the list */
    struct bk_error why;
};

struct rfile {
    struct handle handle;
    pthread_mutex_t lock; /* guards opening and what is marked [l] */
    struct tdir *td;      /* a reference */
    struct link *link;    /* or NULL */
    struct attrs attrs;   /* xattrs point behind the name */
    uint64_t size;
    atomic_size_t pending;
    atomic_bool failed; /* reported; write no more */
    atomic_bool dirty;
    bool in_place; /* something was there to begin with */
    bool delta;    /* [l] write only what differs from what is there; false once that was replaced */
    bool opened;   /* [l] it exists, as (dev, ino) */
    bool done;     /* created, written and closed in one go */
    dev_t dev;
    ino_t ino;
    struct attrs_now now;  /* [l] */
    struct damage *damage; /* [l] owned */
    size_t name_len;
    char name[];
};

static inline struct place rfile_place(const struct rfile *f)
{
    return (struct place){ .dir = f->td, .name = f->name, .name_len = f->name_len };
}

/* Report it once; nothing more is written to it. */
void rfile_fail(struct run *r, struct rfile *f, const struct bk_error *why);
/* n things happened to it: the last one finishes and frees it. */
void rfile_put(struct run *r, struct rfile *f, size_t n);

/* A new file of that mode under its name; the descriptor is the caller's. */
int rfile_create(struct run *r, struct rfile *f, int dirfd, mode_t mode, struct bk_error *err) BK_MUST_CHECK;
/* Its descriptor, opened or made when it is not there; until handles_unpin(&r->files, &f->handle). */
int rfile_pin(struct run *r, struct rfile *f, int *ret_fd, struct bk_error *err) BK_MUST_CHECK;

/* All its bytes are here: create, write, set, close. The common case, and what the speed of small files hangs
 * on. */
int rfile_write_whole(struct run *r, struct rfile *f, const uint8_t *p, size_t len,
                      struct bk_error *err) BK_MUST_CHECK;
int rfile_write_part(struct run *r, struct rfile *f, unsigned worker, const uint8_t *p, size_t len,
                     uint64_t at, struct bk_error *err) BK_MUST_CHECK;
/* it: a hole, or zeroes to be reserved. */
int rfile_zero_part(struct run *r, struct rfile *f, unsigned worker, const struct plan_item *it,
                    struct bk_error *err) BK_MUST_CHECK;

/* Bytes that could not be had: kept, and reported when the file is finished. */
void rfile_lose(struct run *r, struct rfile *f, uint64_t from, uint64_t to, const struct bk_error *why);
/* In place, what is there may be what the damaged chunk held: true. Else zeroes are better than a mixture of
 * two states. */
bool rfile_mend(struct run *r, struct rfile *f, unsigned worker, const struct plan_item *it);
void rfile_report_damage(struct run *r, struct rfile *f);

#endif
