#include "bkd/restore/flights.h"

#include <string.h>

void flights_init(struct flights *f)
{
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->ended, NULL);
    f->n = f->waiting = 0;
}

void flights_clear(struct flights *f)
{
    pthread_cond_destroy(&f->ended);
    pthread_mutex_destroy(&f->lock);
}

/* Their number is that of the threads, and of the frames that these read ahead at once: a few dozen. */
static struct flight *find(struct flights *f, const struct chunk_loc *loc)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].offset == loc->offset && !memcmp(&f->v[i].pack, &loc->pack, sizeof loc->pack))
            return &f->v[i];
    return NULL;
}

bool flights_begin(struct flights *f, const struct chunk_loc *loc, bool wait)
{
    bool waited = false;
    pthread_mutex_lock(&f->lock);
    while (wait && find(f, loc)) {
        waited = true;
        f->waiting++;
        pthread_cond_wait(&f->ended, &f->lock);
        f->waiting--;
    }
    bool mine = !waited && f->n < FLIGHTS_MAX && !find(f, loc);
    if (mine)
        f->v[f->n++] = (struct flight){ loc->pack, loc->offset };
    pthread_mutex_unlock(&f->lock);
    return mine;
}

void flights_end(struct flights *f, const struct chunk_loc *loc)
{
    pthread_mutex_lock(&f->lock);
    struct flight *e = find(f, loc);
    if (e)
        *e = f->v[--f->n];
    if (f->waiting)
        pthread_cond_broadcast(&f->ended);
    pthread_mutex_unlock(&f->lock);
}
