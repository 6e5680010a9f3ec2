#include "bkctl/nbd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "bkctl/command.h"
#include "bkctl/nbd_wire.h"
#include "bkctl/secret.h"
#include "bkctl/show.h"

enum { URI_MAX = 8192, COMMAND_END_MS = 10000 };

struct serving {
    struct app *a;
    const struct operands *ops;
    struct nbd_listener listener;
    struct nbd_child nbdkit;
    bool ready, ended;   /* nbdkit: it serves; it closed its end */
    struct bk_error why; /* it did not come up, or cannot go on: what it says */
    json_t *exports;     /* with --json */
    struct bk_buf uris;  /* without: what is printed, a line each */
    size_t n_exports;
    pid_t command; /* 0: none, or it has ended */
    int status;    /* of the command */
    int signal;    /* the last one that came, 0: none */
};

/* ---- signals: each writes a byte, so that none is missed between two looks ---- */

static int signals[2] = { -1, -1 };
static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD };
static struct sigaction before[BK_COUNT(watched)];
enum { FROM_PROCESS = 0x80 }; /* else the kernel sent it, to all of a terminal's group: the command has it */

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)context;
    int e = errno;
    uint8_t byte = (uint8_t)(sig | (info->si_code <= 0 ? FROM_PROCESS : 0));
    (void)!write(signals[1], &byte, 1);
    errno = e;
}

static int watch_signals(struct bk_error *err)
{
    if (pipe2(signals, O_CLOEXEC | O_NONBLOCK) < 0)
        return bk_fail_errno(err, errno, "make a pipe");
    for (size_t i = 0; i < BK_COUNT(watched); i++) {
        sigaction(watched[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN || watched[i] == SIGCHLD) /* nohup */
            sigaction(watched[i],
                      &(struct sigaction){ .sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO },
                      NULL);
    }
    return 0;
}

static void unwatch_signals(void)
{
    for (size_t i = 0; signals[0] >= 0 && i < BK_COUNT(watched); i++)
        sigaction(watched[i], &before[i], NULL);
    for (int i = 0; i < 2; i++)
        if (signals[i] >= 0)
            close(signals[i]);
    signals[0] = signals[1] = -1;
}

static void reap_command(struct serving *s)
{
    int status;
    if (s->command && waitpid(s->command, &status, WNOHANG) == s->command) {
        s->command = 0;
        s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

static void take_signals(struct serving *s)
{
    uint8_t byte;
    while (read(signals[0], &byte, 1) == 1) {
        int sig = byte & ~FROM_PROCESS;
        if (sig == SIGCHLD) {
            reap_command(s);
        } else {
            s->signal = sig;
            if (s->command && byte & FROM_PROCESS)
                kill(s->command, sig);
        }
    }
}

/* ---- messages ---- */

static int take_export(struct serving *s, const struct bk_buf *m, struct bk_error *err)
{
    uint64_t bytes;
    const char *name;
    char uri[URI_MAX];
    int r = nbd_numbered_decode(m, &bytes, &name, err);
    if (r < 0)
        return r;
    if (!nbd_uri(&s->listener, name, uri, sizeof uri))
        return bk_fail(err, BK_E_LIMIT, "the name of an export is too long");
    s->n_exports++;
    if (!s->a->g.json) {
        r = bk_buf_append(&s->uris, uri, strlen(uri), err);
        return r < 0 ? r : bk_buf_append(&s->uris, "\n", 1, err);
    }
    json_t *o = json_object();
    text_json_bytes(o, "name", name, strlen(name));
    json_object_set_new(o, "bytes", text_json_u64(bytes));
    json_object_set_new(o, "uri", json_string(uri));
    json_array_append_new(s->exports, o);
    return 0;
}

static int take_message(struct serving *s, struct bk_buf *m, struct bk_error *err)
{
    uint64_t level;
    const char *text;
    int r = nbd_receive(s->nbdkit.channel, m, err);
    if (r < 0)
        return r;
    if (r == 0) {
        s->ended = true;
        return 0;
    }
    switch (nbd_kind_of(m)) {
    case NBD_LOG:
        r = nbd_numbered_decode(m, &level, &text, err);
        if (r == 0)
            ui_log(&s->a->ui, level >= JOB_WARN ? JOB_WARN : (enum job_level)level, text);
        return r;
    case NBD_EXPORT:
        return take_export(s, m, err);
    case NBD_FAILED:
        return nbd_failed_decode(m, &s->why, err);
    case NBD_READY:
        s->ready = true;
        return 0;
    default:
        return bk_fail(err, BK_E_CORRUPT, "the plugin says what bkctl does not understand");
    }
}

/* Wait for a message, a signal, or the time to be over (-1: never). */
static int step(struct serving *s, struct bk_buf *m, int timeout_ms, struct bk_error *err)
{
    struct pollfd p[2] = { { .fd = signals[0], .events = POLLIN },
                           { .fd = s->ended ? -1 : s->nbdkit.channel, .events = POLLIN } };
    if (poll(p, 2, timeout_ms) < 0 && errno != EINTR)
        return bk_fail_errno(err, errno, "wait for nbdkit");
    take_signals(s);
    return p[1].revents ? take_message(s, m, err) : 0;
}

/* ---- the story ---- */

static int tell(struct serving *s, const struct secret *secret, struct bk_error *err)
{
    const struct globals *g = &s->a->g;
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    const struct nbd_setup setup = {
        .repo = g->repo,
        .secret = secret->s,
        .no_cache = g->no_cache,
        .memory = g->memory,
        .threads = (uint64_t)g->threads,
        .limit_upload = g->limit_upload,
        .limit_download = g->limit_download,
        .socket = s->listener.socket,
        .folder = s->listener.folder,
        .socket_dev = s->listener.dev,
        .socket_ino = s->listener.ino,
    };
    int r = bk_buf_reserve(&m, NBD_MESSAGE_MAX, err); /* growing would leave copies of the secret behind */
    if (r == 0)
        r = nbd_setup_encode(&setup, &m, err);
    if (r == 0)
        r = nbd_send(s->nbdkit.channel, &m, true, err);
    if (m.data)
        suite_wipe(m.data, m.cap);
    if (r == 0)
        r = nbd_child_tell_variables(&s->nbdkit, err);
    for (size_t i = 0; r == 0 && i < s->ops->n_before; i++) {
        r = nbd_texts_encode(NBD_PLACE, s->ops->v[i], NULL, &m, err);
        if (r == 0)
            r = nbd_send(s->nbdkit.channel, &m, true, err);
    }
    if (r == 0)
        r = nbd_texts_encode(NBD_GO, NULL, NULL, &m, err);
    return r < 0 ? r : nbd_send(s->nbdkit.channel, &m, true, err);
}

/* nbdkit has ended by itself, or is about to. */
static int explain(struct serving *s, struct bk_error *err)
{
    if (s->why.code) {
        *err = s->why;
        return err->code;
    }
    int status = nbd_child_end(&s->nbdkit);
    if (WIFSIGNALED(status))
        return bk_fail(err, BK_E_FAILED, "nbdkit was killed by signal %d", WTERMSIG(status));
    return bk_fail(err, BK_E_FAILED, "nbdkit ended with status %d", WEXITSTATUS(status));
}

static int announce(struct serving *s, const char *uri, struct bk_error *err)
{
    if (s->a->g.json) {
        json_t *o = show_record("serving");
        json_object_set_new(o, "uri", json_string(uri));
        json_object_set(o, "exports", s->exports);
        ui_emit(&s->a->ui, o);
    } else if (s->n_exports == 1) {
        printf("%s\n", uri);
    } else {
        fwrite(s->uris.data, 1, s->uris.len, stdout);
    }
    if (fflush(stdout) != 0)
        return bk_fail_errno(err, errno, "write the output");
    return 0;
}

/* The command that the user had us run has lost its disks. */
static void end_command(struct serving *s, struct bk_buf *m)
{
    struct bk_error ignored = { 0 };
    for (int ms = 0; s->command && ms < 2 * COMMAND_END_MS; ms += 100) {
        if (ms % COMMAND_END_MS == 0)
            kill(s->command, ms ? SIGKILL : SIGTERM);
        (void)!step(s, m, 100, &ignored);
    }
}

static int serve(struct serving *s, struct bk_buf *m, struct bk_error *err)
{
    char uri[URI_MAX];
    bool has_command = s->ops->n > s->ops->n_before;
    int r = 0;
    while (r == 0 && !s->ready && !s->ended && !s->why.code && !s->signal)
        r = step(s, m, -1, err);
    if (r == 0 && s->signal && has_command)
        return bk_fail(err, BK_E_CANCELLED, "stopped before '%s' was run", s->ops->v[s->ops->n_before]);
    if (r < 0 || s->signal)
        return r;
    if (!s->ready)
        return explain(s, err);
    if (!nbd_uri(&s->listener, "", uri, sizeof uri))
        return bk_fail(err, BK_E_LIMIT, "the name of an export is too long");
    if (has_command)
        r = nbd_run_command(s->ops->v + s->ops->n_before, uri, &s->command, &s->status, err);
    if (r == 0 && (!has_command || s->a->g.json))
        r = announce(s, uri, err);
    while (r == 0 && !s->ended && !s->why.code && (has_command ? s->command != 0 : !s->signal))
        r = step(s, m, -1, err);
    if (r == 0 && (s->ended || s->why.code) && (!has_command || s->command))
        r = explain(s, err);
    end_command(s, m);
    if (r == 0 && has_command)
        s->a->exit_status = s->status;
    return r;
}

int nbd_serve(struct app *a, const struct nbd_args *x, const struct operands *ops, struct bk_error *err)
{
    struct serving s = { .a = a, .ops = ops, .listener = NBD_LISTENER, .nbdkit = NBD_CHILD };
    struct nbd_kit kit;
    bk_auto(secret_clear) struct secret secret = { 0 };
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    s.uris = BK_BUF((size_t)16 << 20);
    s.exports = json_array();
    int r = app_get_secret(a, &secret, err);
    if (r == 0)
        r = watch_signals(err);
    if (r == 0)
        r = job_check(&a->job, err); /* a signal that came before we looked */
    if (r == 0)
        r = nbd_kit_find(&kit, err);
    if (r == 0)
        r = nbd_listen(x, &s.listener, err);
    if (r == 0)
        r = nbd_child_start(x, &kit, &s.listener, a->g.verbose > 1, &s.nbdkit, err);
    if (r == 0) {
        struct bk_error sent = { 0 };
        r = tell(&s, &secret, &sent);
        secret_clear(&secret); /* it may run for weeks */
        if (r == BK_E_IO)      /* it is gone already: why shows below */
            r = 0;
        else if (r < 0)
            *err = sent;
    }
    if (r == 0)
        r = serve(&s, &m, err);
    unwatch_signals(); /* from here on it can be killed, and the plugin clears up */
    int status = nbd_child_end(&s.nbdkit);
    if (status != -1 && (WIFSIGNALED(status) || WEXITSTATUS(status) == NBD_EXIT_HARD))
        ui_log(&a->ui, JOB_WARN,
               _("nbdkit did not end by itself: its session stays until prune finds it dead"));
    nbd_listener_clear(&s.listener);
    bk_buf_clear(&s.uris);
    json_decref(s.exports);
    return r;
}
