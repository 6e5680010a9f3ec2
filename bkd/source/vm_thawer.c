#include "bkd/source/vm_thawer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct vm_thawer {
    int told; /* its standard input: a line says that all is well, an end without one that we are gone */
    pid_t pid;
};

/* Without a limit virsh would wait for a silent agent for ever. The daemon may just be restarted, too. */
static const char script[] = "read -r done && exit 0\n"
                             "uuid=$2\n"
                             "if [ -n \"$1\" ]; then set -- -c \"$1\"; else set --; fi\n"
                             "for pause in 1 2 4 8 16 32 0; do\n"
                             "    virsh -q \"$@\" guest-agent-timeout \"$uuid\" 60\n"
                             "    virsh -q \"$@\" domfsthaw \"$uuid\" && break\n"
                             "    sleep $pause\n"
                             "done\n"
                             "virsh -q \"$@\" guest-agent-timeout \"$uuid\" -2";

static int spawn(pid_t *pid, const char *uri, const char *uuid, int in)
{
    const char *argv[] = { "sh", "-c", script, "sh", uri ? uri : "", uuid, NULL };
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, in, 0);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&at);
    /* a session of its own: what ends us from the keyboard does not end it */
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &all);
    /* posix_spawn does not write to the strings; its prototype is older than const */
    int sys = posix_spawn(pid, "/bin/sh", &fa, &at, (char *const *)argv, environ);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    return sys;
}

struct vm_thawer *vm_thawer_start(const char *uri, const char *uuid)
{
    int s[2];
    struct vm_thawer *t = calloc(1, sizeof *t);
    if (!t || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) < 0) {
        free(t);
        return NULL;
    }
    int sys = spawn(&t->pid, uri, uuid, s[1]);
    close(s[1]);
    if (sys) {
        close(s[0]);
        free(t);
        return NULL;
    }
    t->told = s[0];
    return t;
}

void vm_thawer_done(struct vm_thawer *t)
{
    if (!t)
        return;
    (void)send(t->told, "done\n", 5, MSG_NOSIGNAL);
    while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(t->told);
    free(t);
}

void vm_thawer_leave(struct vm_thawer *t)
{
    free(t); /* the descriptor stays open until we end */
}
