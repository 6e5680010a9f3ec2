/* The filler: a thread that writes, from a store that has them, the copies that a put did not wait for or
 * could not write. What it cannot write either is said and left to scrub. */
#include <string.h>
#include <time.h>

#include "bkd/store/mirror_state.h"

enum { TRIES = 3, WAIT_MS = 200 };

static bool stopping(struct mirror *m)
{
    pthread_mutex_lock(&m->lock);
    bool stop = m->stop;
    pthread_mutex_unlock(&m->lock);
    return stop;
}

static int fill_from(struct mirror *m, const struct fill *f, unsigned from, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(0);
    int r = store_get_sound(m->m[from].s, f->name, &b, err);
    if (r == 0)
        r = mirror_copy(m, from, f->to, false, f->name, b.data, b.len, err);
    return r == BK_E_EXISTS ? 0 : r;
}

/* ABSENT everywhere: it was removed before its turn came. */
static int fill_once(struct mirror *m, const struct fill *f, struct bk_error *err)
{
    unsigned order[MIRROR_MAX], n = mirror_order(m, order);
    int r = mirror_usable(m, f->to, false, err);
    if (r < 0)
        return r;
    r = bk_fail(err, BK_E_IO, "no store of the mirror can be read");
    for (unsigned k = 0; k < n && r < 0; k++)
        if (order[k] != f->to)
            r = fill_from(m, f, order[k], err);
    return r == BK_E_ABSENT ? 0 : r;
}

static void fill(struct mirror *m, const struct fill *f)
{
    struct bk_error why = { 0 };
    int r = fill_once(m, f, &why);
    for (int i = 1; i < TRIES && r < 0 && !stopping(m) && mirror_usable(m, f->to, false, NULL) == 0; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = (long)WAIT_MS * i * 1000000 }, NULL);
        r = fill_once(m, f, &why);
    }
    if (r == 0)
        return;
    mirror_failed(m, f->to, r, &why);
    mirror_event(m, STORE_EVENT_UNREPAIRED, f->to, f->name, why.text);
}

static void *run(void *arg)
{
    struct mirror *m = arg;
    pthread_mutex_lock(&m->lock);
    for (;;) {
        while (!m->waiting && !m->stop)
            pthread_cond_wait(&m->wake, &m->lock);
        if (!m->waiting)
            break;
        struct fill f = m->queue[m->first];
        m->first = (m->first + 1) % MIRROR_FILL_MAX;
        m->waiting--;
        m->busy = true;
        pthread_cond_broadcast(&m->room);
        pthread_mutex_unlock(&m->lock);
        fill(m, &f);
        pthread_mutex_lock(&m->lock);
        m->busy = false;
        pthread_cond_broadcast(&m->room);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* A full queue makes the put wait: what is owed to a store never grows without bound. */
void mirror_fill_later(struct mirror *m, unsigned to, const char *name)
{
    if (mirror_usable(m, to, false, NULL) < 0 || strlen(name) > STORE_NAME_MAX)
        return;
    pthread_mutex_lock(&m->lock);
    if (!m->started)
        m->started = pthread_create(&m->filler, NULL, run, m) == 0;
    while (m->started && m->waiting == MIRROR_FILL_MAX)
        pthread_cond_wait(&m->room, &m->lock);
    if (m->started) {
        struct fill *f = &m->queue[(m->first + m->waiting++) % MIRROR_FILL_MAX];
        strcpy(f->name, name);
        f->to = to;
        pthread_cond_signal(&m->wake);
    }
    pthread_mutex_unlock(&m->lock);
}

void store_mirror_settle(struct store *s)
{
    struct mirror *m = (struct mirror *)s;
    pthread_mutex_lock(&m->lock);
    while (m->started && (m->waiting || m->busy))
        pthread_cond_wait(&m->room, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

void mirror_fill_stop(struct mirror *m)
{
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    bool started = m->started;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    if (started)
        pthread_join(m->filler, NULL);
}
