/* Open descriptors kept for later use, at most so many of them: the least recently used that nobody pins is
 * closed, its owner opens it again when it is next needed. Any thread. */
#ifndef BKD_RESTORE_HANDLE_H
#define BKD_RESTORE_HANDLE_H

#include <pthread.h>
#include <stdbool.h>

struct handle {
    int fd;                     /* -1: not open */
    unsigned pins;              /* users of fd */
    struct handle *prev, *next; /* in the list of unpinned ones, or NULL */
};
#define HANDLE_INIT ((struct handle){ .fd = -1 })

struct handles {
    pthread_mutex_t lock; /* guards every handle of this set */
    unsigned n_open, max;
    struct handle idle; /* ring; least recently used first */
};
void handles_init(struct handles *s, unsigned max);
void handles_clear(struct handles *s);
/* Pin it if it is open: fd, else -1. */
int handles_pin(struct handles *s, struct handle *h);
/* h was opened: fd joins, pinned once. May close another. Only one thread may do this for a handle at a time.
 */
void handles_adopt_fd(struct handles *s, struct handle *h, int fd);
void handles_unpin(struct handles *s, struct handle *h);
/* Take the descriptor out for good; -1 when it is not open. Nobody may have it pinned but the caller, whose
 * pin ends. */
int handles_take(struct handles *s, struct handle *h, bool pinned);
/* What may be open at the same time for one of `users` sets, from RLIMIT_NOFILE. */
unsigned handles_limit(unsigned users);

#endif
