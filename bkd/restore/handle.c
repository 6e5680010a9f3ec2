#include "bkd/restore/handle.h"

#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

enum { HANDLES_MAX = 256, HANDLES_MIN = 8, HANDLES_SPARE = 64 };

void handles_init(struct handles *s, unsigned max)
{
    *s = (struct handles){ .max = max };
    s->idle.prev = s->idle.next = &s->idle;
    pthread_mutex_init(&s->lock, NULL);
}

void handles_clear(struct handles *s)
{
    pthread_mutex_destroy(&s->lock);
}

static void unlink_idle(struct handle *h)
{
    if (!h->next)
        return;
    h->prev->next = h->next;
    h->next->prev = h->prev;
    h->prev = h->next = NULL;
}

static void link_idle(struct handles *s, struct handle *h)
{
    h->prev = s->idle.prev;
    h->next = &s->idle;
    h->prev->next = h;
    s->idle.prev = h;
}

int handles_pin(struct handles *s, struct handle *h)
{
    pthread_mutex_lock(&s->lock);
    int fd = h->fd;
    if (fd >= 0 && h->pins++ == 0)
        unlink_idle(h);
    pthread_mutex_unlock(&s->lock);
    return fd;
}

void handles_adopt_fd(struct handles *s, struct handle *h, int fd)
{
    int victim = -1;
    pthread_mutex_lock(&s->lock);
    h->fd = fd;
    h->pins = 1;
    s->n_open++;
    struct handle *oldest = s->idle.next;
    if (s->n_open > s->max && oldest != &s->idle) {
        unlink_idle(oldest);
        victim = oldest->fd;
        oldest->fd = -1;
        s->n_open--;
    }
    pthread_mutex_unlock(&s->lock);
    if (victim >= 0)
        close(victim);
}

void handles_unpin(struct handles *s, struct handle *h)
{
    pthread_mutex_lock(&s->lock);
    if (--h->pins == 0)
        link_idle(s, h);
    pthread_mutex_unlock(&s->lock);
}

int handles_take(struct handles *s, struct handle *h, bool pinned)
{
    pthread_mutex_lock(&s->lock);
    int fd = h->fd;
    if (fd >= 0) {
        if (pinned)
            h->pins--;
        unlink_idle(h);
        h->fd = -1;
        s->n_open--;
    }
    pthread_mutex_unlock(&s->lock);
    return fd;
}

unsigned handles_limit(unsigned users)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur == RLIM_INFINITY)
        return HANDLES_MAX;
    rlim_t spare = l.rlim_cur > 2 * HANDLES_SPARE ? HANDLES_SPARE : l.rlim_cur / 2;
    rlim_t each = (l.rlim_cur - spare) / users;
    return each > HANDLES_MAX ? HANDLES_MAX : each < HANDLES_MIN ? HANDLES_MIN : (unsigned)each;
}
