/* The processes that bkctl nbd starts: nbdkit, and what stands after "--". */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "bkctl/nbd.h"
#include "bkctl/nbd_wire.h"

extern char **environ;

enum { LISTEN_FD = 3, CHANNEL_FD = 4, FREE_FD = 10, END_MS = 30000, POLL_MS = 10, ARGS_MAX = 16 };

/* ---- the environment ---- */

/* What the programs of this repository and stores read. It may hold secrets, and others see an environment.
 */
static bool is_ours(const char *variable)
{
    return !strncmp(variable, "BKCTL_", 6) || !strncmp(variable, "AWS_", 4);
}

int nbd_child_tell_variables(struct nbd_child *c, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf m = BK_BUF(NBD_MESSAGE_MAX);
    int r = 0;
    for (char **e = environ; r == 0 && *e; e++) {
        size_t len = strcspn(*e, "=");
        if (!is_ours(*e) || !(*e)[len] || memmem(*e, len, "PASSWORD", 8))
            continue;
        bk_auto(free) char *name = strndup(*e, len);
        if (!name)
            return bk_fail_errno(err, ENOMEM, "start nbdkit");
        r = nbd_texts_encode(NBD_VARIABLE, name, *e + len + 1, &m, err);
        if (r == 0)
            r = nbd_send(c->channel, &m, true, err);
    }
    if (m.data)
        suite_wipe(m.data, m.cap);
    return r;
}

/* pid: where the child writes its own number, for that is how it knows that the socket is meant for it; NULL:
 * there is no socket. */
static char **environment(char *pid)
{
    static char one[] = "LISTEN_FDS=1";
    size_t n = 0, at = 0;
    while (environ[n])
        n++;
    char **v = calloc(n + 3, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        if (!is_ours(environ[i]) && strncmp(environ[i], "LISTEN_", 7) != 0)
            v[at++] = environ[i];
    if (v && pid) {
        v[at++] = one;
        v[at++] = pid;
    }
    return v;
}

/* ---- nbdkit ---- */

/* Beside the program, as in a build folder, or where it was installed. */
static int find_plugin(char *out, size_t len, struct bk_error *err)
{
    static const char name[] = "nbdkit-bkctl-plugin.so";
    ssize_t n = readlink("/proc/self/exe", out, len - sizeof name);
    while (n > 0 && out[n - 1] != '/')
        n--;
    if (n > 0) {
        strcpy(out + n, name);
        if (access(out, R_OK) == 0)
            return 0;
    }
    snprintf(out, len, "%s/%s", NBD_PLUGIN_DIR, name);
    if (access(out, R_OK) == 0)
        return 0;
    bk_fail_errno(err, errno, "find the plugin %s", out);
    return bk_hint(err, "it belongs beside bkctl, or where the build installed it");
}

/* nbdkit 1.32.4 to 1.33.9 dies when a client hangs up before it has all its answers, or sends them to another
 * client, unless it takes one request of a client after the other (its commits daef505e and 9d82aa4f). */
static bool loses_its_way(const unsigned v[static 3])
{
    unsigned long n = v[0] * 1000000UL + v[1] * 1000UL + v[2];
    return n >= 1032004 && n < 1033010;
}

/* errors: UNSUPPORTED, it is not there */
static int find_version(unsigned ret[static 3], struct bk_error *err)
{
    bk_auto(free) char **env = environment(NULL);
    char program[] = "nbdkit", option[] = "--version", *argv[] = { program, option, NULL };
    int out[2];
    if (!env || pipe2(out, O_CLOEXEC) < 0)
        return bk_fail_errno(err, errno, "start nbdkit");
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, out[1], 1);
    pid_t pid;
    int e = posix_spawnp(&pid, argv[0], &fa, NULL, argv, env);
    posix_spawn_file_actions_destroy(&fa);
    close(out[1]);
    FILE *f = e ? NULL : fdopen(out[0], "r");
    bool known = f && fscanf(f, "nbdkit %3u.%3u.%3u", &ret[0], &ret[1], &ret[2]) == 3;
    if (f)
        fclose(f);
    else
        close(out[0]);
    while (!e && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (known)
        return 0;
    bk_fail(err, BK_E_UNSUPPORTED, "nbdkit cannot be started");
    return bk_hint(err, "install the package nbdkit");
}

static void default_signals(void)
{
    static const int of_ours[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD };
    for (size_t i = 0; i < BK_COUNT(of_ours); i++)
        signal(of_ours[i], SIG_DFL);
}

/* Between fork and exec: no memory is taken, other threads may hold its lock. */
static void put_number(char *out, pid_t n)
{
    char digits[16];
    size_t len = 0;
    for (; n; n /= 10)
        digits[len++] = (char)('0' + n % 10);
    while (len)
        *out++ = digits[--len];
    *out = '\0';
}

static void become_nbdkit(int listener, int channel, char *const *argv, char *const *env, char *pid)
{
    setpgid(0, 0); /* Ctrl-C is for bkctl, which ends it in good order */
    default_signals();
    int null = open("/dev/null", O_RDONLY);
    int l = fcntl(listener, F_DUPFD, FREE_FD), c = fcntl(channel, F_DUPFD, FREE_FD);
    if (null < 0 || l < 0 || c < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0 || dup2(l, LISTEN_FD) < 0 ||
        dup2(c, CHANNEL_FD) < 0)
        _exit(NBD_NO_PROGRAM);
    close_range(CHANNEL_FD + 1, ~0U, 0);
    struct rlimit files; /* a connection takes some descriptors, and the store needs some */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    put_number(pid + strlen(pid), getpid());
    execvpe(argv[0], argv, env);
    _exit(NBD_NO_PROGRAM);
}

int nbd_kit_find(struct nbd_kit *ret, struct bk_error *err)
{
    int r = find_plugin(ret->plugin, sizeof ret->plugin, err);
    return r < 0 ? r : find_version(ret->version, err);
}

int nbd_child_start(const struct nbd_args *x, const struct nbd_kit *kit, const struct nbd_listener *l,
                    bool debug, struct nbd_child *ret, struct bk_error *err)
{
    char certificates[4096], channel[32], pid[32] = "LISTEN_PID=";
    const char *argv[ARGS_MAX] = { "nbdkit", "--foreground", "--exit-with-parent", "--readonly",
                                   "--newstyle" };
    size_t n = 5;
    int pair[2];
    argv[n++] = x->tls_certs ? "--tls=require" : "--tls=off";
    int len = snprintf(certificates, sizeof certificates, "--tls-certificates=%s",
                       x->tls_certs ? x->tls_certs : "");
    if (len < 0 || (size_t)len >= sizeof certificates)
        return bk_fail(err, BK_E_LIMIT, "the path of the certificates is too long");
    if (x->tls_certs)
        argv[n++] = certificates;
    if (x->tls_verify_peer)
        argv[n++] = "--tls-verify-peer";
    argv[n++] = loses_its_way(kit->version) ? "--threads=1" : "--threads=8";
    if (debug)
        argv[n++] = "--verbose";
    argv[n++] = kit->plugin;
    snprintf(channel, sizeof channel, "channel=%d", CHANNEL_FD);
    argv[n++] = channel;
    bk_auto(free) char **env = environment(pid);
    if (!env)
        return bk_fail_errno(err, ENOMEM, "start nbdkit");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return bk_fail_errno(err, errno, "start nbdkit");
    pid_t child = fork();
    if (child == 0) /* exec does not write to the strings; its prototype is older than const */
        become_nbdkit(l->fd, pair[1], (char *const *)argv, env, pid);
    int e = errno;
    close(pair[1]);
    if (child < 0) {
        close(pair[0]);
        return bk_fail_errno(err, e, "start nbdkit");
    }
    *ret = (struct nbd_child){ .pid = child, .channel = pair[0] };
    return 0;
}

int nbd_child_end(struct nbd_child *c)
{
    int status = -1;
    if (c->channel >= 0)
        close(c->channel);
    c->channel = -1;
    if (!c->pid)
        return status;
    for (int ms = 0;; ms += POLL_MS) {
        pid_t p = waitpid(c->pid, &status, WNOHANG);
        if (p != 0 && !(p < 0 && errno == EINTR))
            break;
        if (ms >= END_MS)
            kill(c->pid, SIGKILL);
        nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
    }
    c->pid = 0;
    return status;
}

/* ---- what the user wants to run ---- */

/* What we handle is as it was there: a handler ends with exec, and what was ignored stays so. */
int nbd_run_command(char *const *argv, const char *uri, pid_t *ret, int *ret_status, struct bk_error *err)
{
    if (setenv("uri", uri, 1) < 0 || setenv("BKCTL_NBD_URI", uri, 1) < 0)
        return bk_fail_errno(err, errno, "run '%s'", argv[0]);
    fflush(NULL);
    posix_spawnattr_t at;
    sigset_t of_ours;
    sigemptyset(&of_ours);
    sigaddset(&of_ours, SIGPIPE);
    posix_spawnattr_init(&at);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&at, &of_ours);
    int e = posix_spawnp(ret, argv[0], NULL, &at, argv, environ);
    posix_spawnattr_destroy(&at);
    if (e) {
        char buf[128];
        fprintf(stderr, "bkctl: %s: %s\n", argv[0], bk_errno_text(e, buf, sizeof buf));
        *ret = 0;
        *ret_status = NBD_NO_PROGRAM;
    }
    return 0;
}
