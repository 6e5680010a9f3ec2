#include "bkd/job/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum { TAIL = 4096, TAIL_SHOWN = 400, POLL_MS = 50, TERM_MS = 2000, NO_PROGRAM = 127 };

struct child {
    pid_t pid;     /* 0: none, or reaped */
    int out, errs; /* errs -1 when closed or none */
    char name[128];
    bool server;
    char tail[TAIL + 1]; /* ends with NUL */
    size_t tail_len;
};

static int spawn(struct child *c, const char *const *argv, int out, int errs)
{
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, out, 1);
    posix_spawn_file_actions_adddup2(&fa, errs, 2);
    posix_spawnattr_init(&at);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&at, 0);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &all);
    /* posix_spawnp does not write to the strings; its prototype is older than const */
    int sys = posix_spawnp(&c->pid, argv[0], &fa, &at, (char *const *)argv, environ);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    if (sys)
        c->pid = 0;
    return sys;
}

/* In the child, between fork and exec: nothing that takes a lock. The server ends with us, even when we have
 * no time to say so. */
static _Noreturn void become_server(const char *const *argv, char *const *env, char *pid_text, int out,
                                    int errs, int socket, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int null = open("/dev/null", O_RDONLY);
    if (getppid() != parent || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(errs, 2) < 0 ||
        (socket == 3 ? fcntl(3, F_SETFD, 0) : dup2(socket, 3)) < 0)
        _exit(126);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    char digits[16];
    size_t n = 0;
    for (pid_t p = getpid(); p; p /= 10)
        digits[n++] = (char)('0' + p % 10);
    while (n)
        *pid_text++ = digits[--n];
    *pid_text = '\0';
    execvpe(argv[0], (char *const *)argv, env);
    _exit(NO_PROGRAM);
}

/* posix_spawn cannot tell a child its own number. */
static int spawn_server(struct child *c, const char *const *argv, int out, int errs, int socket)
{
    char pid_text[32] = "LISTEN_PID=";
    size_t n = 0;
    while (environ[n])
        n++;
    bk_auto(free) char **env = calloc(n + 3, sizeof *env);
    if (!env)
        return ENOMEM;
    for (size_t i = n = 0; environ[i]; i++)
        if (strncmp(environ[i], "LISTEN_", 7))
            env[n++] = environ[i];
    env[n++] = pid_text;
    env[n] = (char[]){ "LISTEN_FDS=1" };
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become_server(argv, env, pid_text + strlen(pid_text), out, errs, socket, parent);
    if (pid < 0)
        return errno;
    c->pid = pid;
    return 0;
}

/* socket: -1 or the server's */
static int start(const char *const *argv, int socket, struct child **ret, struct bk_error *err)
{
    bk_auto(child_free) struct child *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail_errno(err, ENOMEM, "start a command");
    c->out = c->errs = -1;
    strncpy(c->name, argv[0], sizeof c->name - 1);
    int o[2], e[2];
    if (pipe2(o, O_CLOEXEC) < 0)
        return bk_fail_errno(err, errno, "a pipe for '%s'", c->name);
    c->out = o[0];
    bk_auto(close) int o_in = o[1];
    if (pipe2(e, O_CLOEXEC) < 0)
        return bk_fail_errno(err, errno, "a pipe for '%s'", c->name);
    c->errs = e[0];
    bk_auto(close) int e_in = e[1];
    fcntl(c->errs, F_SETFL, O_NONBLOCK);
    c->server = socket >= 0;
    if (c->server) { /* nobody reads while it serves */
        fcntl(o_in, F_SETFL, O_NONBLOCK);
        fcntl(e_in, F_SETFL, O_NONBLOCK);
    }
    (void)fcntl(c->out, F_SETPIPE_SZ,
                1 << 20); /* fewer switches; refused past a user's share, then it stays as it is */
    int sys = socket < 0 ? spawn(c, argv, o_in, e_in) : spawn_server(c, argv, o_in, e_in, socket);
    if (sys)
        return bk_fail_errno(err, sys, "run '%s'", c->name);
    *ret = bk_steal(c);
    return 0;
}

static int read_ours(struct child **ret, struct bk_error *err)
{
    bk_auto(child_free) struct child *c = calloc(1, sizeof *c);
    if (!c)
        return bk_fail_errno(err, ENOMEM, "read standard input");
    c->errs = -1;
    c->out = fcntl(0, F_DUPFD_CLOEXEC, 3);
    if (c->out < 0)
        return bk_fail_errno(err, errno, "standard input");
    *ret = bk_steal(c);
    return 0;
}

int child_start(const char *const *argv, struct child **ret, struct bk_error *err)
{
    if (!argv)
        return read_ours(ret, err);
    if (!argv[0])
        return bk_fail(err, BK_E_USAGE, "no command was given");
    return start(argv, -1, ret, err);
}

int child_serve(const char *const *argv, int socket, struct child **ret, struct bk_error *err)
{
    return start(argv, socket, ret, err);
}

/* Keep the end of what the command says. */
static void read_errors(struct child *c)
{
    char buf[TAIL];
    for (;;) {
        ssize_t n = c->errs >= 0 ? read(c->errs, buf, sizeof buf) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 && c->errs >= 0) {
            close(c->errs);
            c->errs = -1;
        }
        if (n <= 0)
            return;
        size_t len = (size_t)n, keep = TAIL - len < c->tail_len ? TAIL - len : c->tail_len;
        memmove(c->tail, c->tail + c->tail_len - keep, keep);
        memcpy(c->tail + keep, buf, len);
        c->tail_len = keep + len;
        c->tail[c->tail_len] = '\0';
    }
}

int child_read(struct child *c, struct job *j, void *out, size_t len, size_t *ret, struct bk_error *err)
{
    for (;;) {
        int r = job_check(j, err);
        if (r < 0)
            return r;
        struct pollfd p[2] = { { .fd = c->out, .events = POLLIN }, { .fd = c->errs, .events = POLLIN } };
        if (poll(p, 2, POLL_MS) < 0 && errno != EINTR)
            return bk_fail_errno(err, errno, "wait for '%s'", c->name);
        if (p[1].revents)
            read_errors(c);
        if (!p[0].revents)
            continue;
        ssize_t n = read(c->out, out, len);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "read from '%s'",
                                 c->pid ? c->name : bk_text(N_("standard input")));
        *ret = (size_t)n;
        return 0;
    }
}

/* Printable, one line, the last TAIL_SHOWN bytes. */
static void shown_tail(const struct child *c, char out[static TAIL_SHOWN + 1])
{
    size_t len = c->tail_len;
    while (len && (c->tail[len - 1] == '\n' || c->tail[len - 1] == ' '))
        len--;
    size_t from = len > TAIL_SHOWN ? len - TAIL_SHOWN : 0;
    for (size_t i = from; i < len; i++)
        out[i - from] = (unsigned char)c->tail[i] < ' ' ? ' ' : c->tail[i];
    out[len - from] = '\0';
}

static int verdict(struct child *c, int status, struct bk_error *err)
{
    char tail[TAIL_SHOWN + 1];
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return 0;
    if (c->server && WIFEXITED(status) && WEXITSTATUS(status) == NO_PROGRAM)
        return bk_fail(err, BK_E_UNSUPPORTED, "'%s' is not installed", c->name);
    shown_tail(c, tail);
    if (WIFSIGNALED(status))
        return bk_fail(err, BK_E_FAILED, "command '%s' was killed by signal %d: %s", c->name,
                       WTERMSIG(status), tail);
    return bk_fail(err, BK_E_FAILED, "command '%s' exited with status %d: %s", c->name, WEXITSTATUS(status),
                   tail);
}

int child_finish(struct child *c, struct job *j, struct bk_error *err)
{
    if (!c->pid)
        return 0;
    for (;;) {
        int status;
        pid_t p = waitpid(c->pid, &status, WNOHANG);
        if (p < 0 && errno != EINTR)
            return bk_fail_errno(err, errno, "wait for '%s'", c->name);
        read_errors(c);
        if (p == c->pid) {
            c->pid = 0;
            return verdict(c, status, err);
        }
        int r = job_check(j, err);
        if (r < 0)
            return r;
        struct pollfd e = { .fd = c->errs, .events = POLLIN };
        poll(&e, 1, c->errs >= 0 ? POLL_MS : 5);
    }
}

static bool reaped(struct child *c, int wait_ms)
{
    for (int ms = 0; ms <= wait_ms; ms += 10) {
        if (waitpid(c->pid, NULL, WNOHANG) != 0)
            return true;
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    return false;
}

const char *child_said(const struct child *c)
{
    return c->tail;
}

void child_free(struct child *c)
{
    if (!c)
        return;
    if (c->out >= 0)
        close(c->out);
    if (c->pid) {
        kill(-c->pid, SIGTERM);
        if (!reaped(c, TERM_MS)) {
            kill(-c->pid, SIGKILL);
            while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
                ;
        }
    }
    if (c->errs >= 0)
        close(c->errs);
    free(c);
}
