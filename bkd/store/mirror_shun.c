/* Copies that are known to be bad and could not be written anew, on a read-only store for instance. They are
 * remembered while the mirror is open, so that reading goes to the sound ones. */
#include <stdlib.h>
#include <string.h>

#include "bkd/store/mirror_state.h"

/* Past this many a store is not a place to read from; what is forgotten is found bad again. */
enum { SHUNNED_MAX = 65536 };

struct shunned {
    char *name;       /* owned */
    unsigned members; /* a bit each */
};

/* Where name is, or would be; the caller has the lock. */
static size_t place(const struct mirror *m, const char *name, bool *found)
{
    size_t low = 0, high = m->n_shunned;
    *found = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(m->shunned[mid].name, name);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool make_room(struct mirror *m)
{
    if (m->n_shunned < m->cap_shunned)
        return true;
    size_t cap = m->cap_shunned ? m->cap_shunned * 2 : 64;
    struct shunned *v = cap <= SHUNNED_MAX ? reallocarray(m->shunned, cap, sizeof *v) : NULL;
    if (!v)
        return false;
    m->shunned = v;
    m->cap_shunned = cap;
    return true;
}

/* Without memory it is not remembered: then it is healed in vain once more. */
void mirror_shun(struct mirror *m, unsigned i, const char *name)
{
    bool found;
    pthread_mutex_lock(&m->shun_lock);
    size_t at = place(m, name, &found);
    char *copy = found || !make_room(m) ? NULL : strdup(name);
    if (copy) {
        memmove(m->shunned + at + 1, m->shunned + at, (m->n_shunned - at) * sizeof *m->shunned);
        m->shunned[at] = (struct shunned){ .name = copy };
        m->n_shunned++;
    }
    if (found || copy)
        m->shunned[at].members |= 1u << i;
    pthread_mutex_unlock(&m->shun_lock);
}

void mirror_trust(struct mirror *m, unsigned i, const char *name)
{
    bool found;
    pthread_mutex_lock(&m->shun_lock);
    size_t at = place(m, name, &found);
    if (found && (m->shunned[at].members &= ~(1u << i)) == 0) {
        free(m->shunned[at].name);
        memmove(m->shunned + at, m->shunned + at + 1, (--m->n_shunned - at) * sizeof *m->shunned);
    }
    pthread_mutex_unlock(&m->shun_lock);
}

void mirror_shunned_last(struct mirror *m, const char *name, unsigned order[static MIRROR_MAX], unsigned n)
{
    bool found;
    pthread_mutex_lock(&m->shun_lock);
    size_t at = place(m, name, &found);
    unsigned bad = found ? m->shunned[at].members : 0, n_bad = 0, late[MIRROR_MAX] = { 0 }, kept = 0;
    pthread_mutex_unlock(&m->shun_lock);
    for (unsigned k = 0; k < n; k++)
        if (bad & 1u << order[k])
            late[n_bad++] = order[k];
        else
            order[kept++] = order[k];
    memcpy(order + kept, late, n_bad * sizeof *late);
}

void mirror_shun_clear(struct mirror *m)
{
    for (size_t i = 0; i < m->n_shunned; i++)
        free(m->shunned[i].name);
    free(m->shunned);
    pthread_mutex_destroy(&m->shun_lock);
}
