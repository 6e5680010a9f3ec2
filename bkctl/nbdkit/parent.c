#define NBDKIT_API_VERSION 2
#include "bkctl/nbdkit/parent.h"

#include <errno.h>
#include <fcntl.h>
#include <nbdkit-plugin.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { PLACES_MAX = 1 << 16, END_MS = 20000 };

static int add_place(struct parent *p, const char *text, struct bk_error *err)
{
    if (p->n_places >= PLACES_MAX)
        return bk_fail(err, BK_E_LIMIT, "more than %d places are to be served", PLACES_MAX);
    char **v = reallocarray(p->places, p->n_places + 1, sizeof *v);
    if (v)
        p->places = v;
    char *copy = v ? strdup(text) : NULL;
    if (!copy)
        return bk_fail_errno(err, ENOMEM, "read '%s'", text);
    v[p->n_places++] = copy;
    return 0;
}

static int hear_one(struct parent *p, struct bk_buf *m, bool *ret_go, struct bk_error *err)
{
    const char *a, *b;
    int r = nbd_receive(p->fd, m, err);
    if (r == 0)
        r = bk_fail(err, BK_E_CANCELLED, "bkctl has ended");
    if (r < 0)
        return r;
    switch (nbd_kind_of(m)) {
    case NBD_SETUP:
        if (p->mem.data)
            break;
        r = nbd_setup_decode(m, &p->setup, err);
        p->mem = *m; /* it borrows from there, and the secret is not copied about */
        *m = BK_BUF(NBD_MESSAGE_MAX);
        return r;
    case NBD_VARIABLE:
        r = nbd_texts_decode(m, &a, &b, err);
        if (r == 0 && setenv(a, b, 1) < 0)
            r = bk_fail_errno(err, errno, "take the variable %s", a);
        return r;
    case NBD_PLACE:
        r = nbd_texts_decode(m, &a, NULL, err);
        return r < 0 ? r : add_place(p, a, err);
    case NBD_GO:
        *ret_go = true;
        return 0;
    default:
        break;
    }
    return bk_fail(err, BK_E_CORRUPT, "bkctl says what its plugin does not understand");
}

int parent_hear(int fd, struct parent *ret, struct bk_error *err)
{
    struct parent *p = ret;
    *p = (struct parent){ .fd = fd, .stop = { -1, -1 } };
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    bool go = false;
    int r = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? bk_fail_errno(err, errno, "take the channel to bkctl") : 0;
    while (r == 0 && !go)
        r = hear_one(p, &m, &go, err);
    if (r == 0 && !p->mem.data)
        r = bk_fail(err, BK_E_CORRUPT, "bkctl says what its plugin does not understand");
    return r;
}

void parent_forget_secret(struct parent *p)
{
    if (p->setup.secret.data)
        suite_wipe(p->mem.data + (p->setup.secret.data - p->mem.data), p->setup.secret.len);
    p->setup.secret = (struct slot_secret){ 0 };
}

void parent_remove_socket(const struct parent *p)
{
    const struct nbd_setup *s = &p->setup;
    if (s->socket)
        nbd_socket_remove(s->socket, s->socket_dev, s->socket_ino, s->folder);
}

void parent_end(struct parent *p)
{
    job_cancel(p->job);
    nbdkit_shutdown();
}

/* bkctl says nothing after GO, so what can be read is its end. Then nobody new gets in, and nbdkit ends in
 * good order, or not in good order where a store that does not answer keeps it. */
static void *watch(void *arg)
{
    struct parent *p = arg;
    struct pollfd v[2] = { { .fd = p->stop[0], .events = POLLIN }, { .fd = p->fd, .events = POLLIN } };
    while (poll(v, 2, -1) < 0 && errno == EINTR)
        ;
    if (v[1].revents)
        parent_remove_socket(p);
    if (v[0].revents)
        return NULL;
    parent_end(p);
    int r;
    while ((r = poll(v, 1, END_MS)) < 0 && errno == EINTR)
        ;
    if (r == 0)
        _exit(NBD_EXIT_HARD);
    return NULL;
}

int parent_watch(struct parent *p, struct job *j, struct bk_error *err)
{
    sigset_t all, before;
    p->job = j;
    if (pipe2(p->stop, O_CLOEXEC) < 0)
        return bk_fail_errno(err, errno, "make a pipe");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(&p->watcher, NULL, watch, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e)
        return bk_fail_errno(err, e, "start a thread");
    p->watching = true;
    return 0;
}

int parent_say(struct parent *p, const struct bk_buf *m, struct bk_error *err)
{
    return nbd_send(p->fd, m, true, err);
}

void parent_fail(struct parent *p, const struct bk_error *why)
{
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    struct bk_error err = { 0 };
    if (nbd_failed_encode(why, &m, &err) < 0)
        nbdkit_error("%s", why->text);
    else
        (void)!parent_say(p, &m, &err);
}

static int log_line(struct parent *p, enum job_level level, const char *text)
{
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    struct bk_error ignored = { 0 };
    int r = nbd_numbered_encode(NBD_LOG, level, text, &m, &ignored);
    return r < 0 ? r : nbd_send(p->fd, &m, false, &ignored);
}

void parent_log(void *ctx, enum job_level level, const char *text)
{
    struct parent *p = ctx;
    char more[128];
    unsigned n = atomic_exchange(&p->dropped, 0);
    snprintf(more, sizeof more,
             BK_COUNTED("%u line is left out here: they came too fast",
                        "%u lines are left out here: they came too fast", n),
             n);
    if (n && log_line(p, JOB_WARN, more) < 0)
        atomic_fetch_add(&p->dropped, n);
    if (log_line(p, level, text) < 0)
        atomic_fetch_add(&p->dropped, 1);
}

void parent_leave(struct parent *p)
{
    if (p->stop[1] >= 0)
        close(p->stop[1]);
    if (p->watching)
        pthread_join(p->watcher, NULL);
    if (p->stop[0] >= 0)
        close(p->stop[0]);
    parent_forget_secret(p);
    for (size_t i = 0; i < p->n_places; i++)
        free(p->places[i]);
    free(p->places);
    bk_buf_clear(&p->mem);
    if (p->fd >= 0)
        close(p->fd);
    *p = (struct parent){ .fd = -1, .stop = { -1, -1 } };
}
