#include "bkctl/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>

#include "bkctl/command.h"

enum { PASSPHRASE_MAX = 4096 };

void secret_clear(struct secret *s)
{
    if (s->mem.data)
        suite_wipe(s->mem.data, s->mem.cap);
    bk_buf_clear(&s->mem);
    s->s = (struct slot_secret){ 0 };
}

/* All of fd, at most mem->limit bytes. The room is taken at once: growing would leave copies behind. */
static int read_all(int fd, const char *what, struct bk_buf *mem, struct bk_error *err)
{
    size_t limit = mem->limit;
    mem->limit = limit + 1;
    int r = bk_buf_reserve(mem, limit + 1, err);
    while (r == 0) {
        ssize_t n = read(fd, mem->data + mem->len, limit + 1 - mem->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "read %s", what);
        if (n == 0)
            return 0;
        mem->len += (size_t)n;
        if (mem->len > limit)
            return bk_fail(err, BK_E_LIMIT, "%s holds more than %zu bytes", what, limit);
    }
    return r;
}

static int read_file(const char *path, size_t limit, struct secret *ret, struct bk_error *err)
{
    ret->mem = BK_BUF(limit);
    if (!strcmp(path, "-"))
        return read_all(STDIN_FILENO, _("standard input"), &ret->mem, err);
    bk_auto(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open %s", path);
    return read_all(fd, path, &ret->mem, err);
}

/* A passphrase is the first line, without its end. */
static int first_line(struct secret *s, const char *from, struct bk_error *err)
{
    uint8_t *end = s->mem.data ? memchr(s->mem.data, '\n', s->mem.len) : NULL;
    if (end)
        s->mem.len = (size_t)(end - s->mem.data);
    if (s->mem.len && s->mem.data[s->mem.len - 1] == '\r')
        s->mem.len--;
    if (!s->mem.len)
        return bk_fail(err, BK_E_USAGE, "the passphrase from %s is empty", from);
    return 0;
}

static int from_command(const char *command, struct secret *ret, struct bk_error *err)
{
    ret->mem = BK_BUF(PASSPHRASE_MAX);
    FILE *p = popen(command, "re");
    if (!p)
        return bk_fail_errno(err, errno, "start the password command");
    int r = read_all(fileno(p), _("the password command's output"), &ret->mem, err);
    int status = pclose(p);
    if (r < 0)
        return r;
    if (status == -1)
        return bk_fail_errno(err, errno, "wait for the password command");
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return bk_fail(err, BK_E_FAILED, "the password command failed with status %d",
                       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return first_line(ret, _("the password command"), err);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

/* One line from the terminal without echo. Ctrl-C is CANCELLED, and the echo comes back. */
static int ask(int tty, const char *prompt, struct bk_buf *mem, struct bk_error *err)
{
    struct termios old, silent;
    if (tcgetattr(tty, &old) < 0)
        return bk_fail_errno(err, errno, "ask for the passphrase");
    silent = old;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ICANON | ISIG;
    struct sigaction act = { .sa_handler = on_interrupt }, was_int,
                     was_term; /* without SA_RESTART: read ends */
    interrupted = 0;
    sigaction(SIGINT, &act, &was_int);
    sigaction(SIGTERM, &act, &was_term);
    tcsetattr(tty, TCSAFLUSH, &silent);
    int r = bk_buf_reserve(mem, mem->limit, err);
    if (r == 0 && dprintf(tty, "%s", prompt) < 0)
        r = bk_fail_errno(err, errno, "ask for the passphrase");
    while (r == 0 && mem->len < mem->limit) {
        ssize_t n = read(tty, mem->data + mem->len, mem->limit - mem->len);
        if (n < 0 && errno == EINTR && !interrupted)
            continue;
        if (n < 0)
            r = interrupted ? bk_fail(err, BK_E_CANCELLED, "stopped at the question for the passphrase")
                            : bk_fail_errno(err, errno, "read the passphrase");
        if (n <= 0)
            break;
        mem->len += (size_t)n;
        if (mem->data[mem->len - 1] == '\n')
            break;
    }
    tcsetattr(tty, TCSAFLUSH, &old);
    (void)!write(tty, "\n", 1);
    sigaction(SIGINT, &was_int, NULL);
    sigaction(SIGTERM, &was_term, NULL);
    return r;
}

static int from_terminal(const struct secret_source *src, struct secret *ret, struct bk_error *err)
{
    bk_auto(close) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0 || !isatty(tty)) {
        bk_fail(err, BK_E_USAGE, "no passphrase was given and there is no terminal to ask at");
        return bk_hint(err, "use --password-file, --password-command or BKCTL_PASSWORD");
    }
    ret->mem = BK_BUF(PASSPHRASE_MAX);
    int r = ask(tty, src->prompt, &ret->mem, err);
    if (r == 0)
        r = first_line(ret, _("the terminal"), err);
    if (r < 0 || !src->twice)
        return r;
    bk_auto(secret_clear) struct secret again = { .mem = BK_BUF(PASSPHRASE_MAX) };
    r = ask(tty, _("The same passphrase again: "), &again.mem, err);
    if (r == 0)
        r = first_line(&again, _("the terminal"), err);
    if (r < 0)
        return r;
    if (again.mem.len != ret->mem.len || memcmp(again.mem.data, ret->mem.data, ret->mem.len))
        return bk_fail(err, BK_E_USAGE, "the two passphrases differ");
    return 0;
}

static int from_env(const char *value, struct secret *ret, struct bk_error *err)
{
    ret->mem = BK_BUF(PASSPHRASE_MAX);
    return bk_buf_append(&ret->mem, value, strlen(value), err);
}

static int passphrase(const struct secret_source *src, struct secret *ret, struct bk_error *err)
{
    const char *env = src->env ? getenv(src->env) : NULL;
    if (src->password_file) {
        int r = read_file(src->password_file, PASSPHRASE_MAX, ret, err);
        return r < 0 ? r : first_line(ret, src->password_file, err);
    }
    if (src->password_command)
        return from_command(src->password_command, ret, err);
    return env && *env ? from_env(env, ret, err) : from_terminal(src, ret, err);
}

int secret_get(const struct secret_source *src, struct secret *ret, struct bk_error *err)
{
    bk_auto(secret_clear) struct secret s = { 0 };
    int n = !!src->password_file + !!src->password_command + !!src->key_file + !!src->pem_file;
    if (n > 1)
        return bk_fail(err, BK_E_USAGE, "more than one source for the secret was given");
    int r;
    if (src->key_file) {
        s.s.kind = SLOT_KEYFILE;
        r = read_file(src->key_file, SLOT_KEYFILE_MAX, &s, err);
    } else if (src->pem_file) {
        s.s.kind = src->suite == SUITE_SM4 ? SLOT_SM2 : SLOT_X25519;
        r = read_file(src->pem_file, SLOT_KEYFILE_MAX, &s, err);
    } else {
        s.s.kind = SLOT_PASSPHRASE;
        r = passphrase(src, &s, err);
    }
    if (r < 0)
        return r;
    s.s.data = s.mem.data;
    s.s.len = s.mem.len;
    *ret = s;
    s = (struct secret){ 0 };
    return 0;
}
