#include "bkd/repo/sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bkd/repo/names.h"

enum { SESSIONS_MAX = 1 << 20, HEX = 2 * SESSION_ID };
static const char prefix[] = "sessions/";

void sessions_path(const uint8_t id[static SESSION_ID], uint64_t counter, char out[static REPO_PATH])
{
    repo_id_path(prefix, id, SESSION_ID, out);
    if (counter)
        snprintf(out + strlen(out), REPO_PATH - strlen(out), ".%08llx",
                 (unsigned long long)(counter & UINT32_MAX));
}

int sessions_parse(const char *name, uint8_t ret_id[static SESSION_ID], uint64_t *ret_counter)
{
    const char *p = name + strlen(prefix);
    uint8_t counter[4] = { 0 };
    char hex[HEX + 1];
    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return 0;
    size_t len = strlen(p);
    if (len != HEX && !(len == HEX + 9 && p[HEX] == '.'))
        return 0;
    memcpy(hex, p, HEX);
    hex[HEX] = '\0';
    if (object_unhex(hex, ret_id, SESSION_ID) < 0)
        return 0;
    if (len > HEX && object_unhex(p + HEX + 1, counter, sizeof counter) < 0)
        return 0;
    *ret_counter =
        (uint64_t)counter[0] << 24 | (uint64_t)counter[1] << 16 | (uint64_t)counter[2] << 8 | counter[3];
    return 1;
}

void sessions_clear(struct sessions *s)
{
    free(s->v);
    *s = (struct sessions){ 0 };
}

/* 1 when the record could be read, 0 when it is no good, ABSENT when it is gone, or an error. */
static int read_record(struct repo *r, const uint8_t *id, uint64_t counter, struct session_record *ret,
                       struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf payload = BK_BUF(RECORD_MAX);
    char path[REPO_PATH];
    sessions_path(id, counter, path);
    int rc = repo_get_record(r, OBJECT_SESSION, path, &payload, err);
    if (rc == 0)
        rc = session_record_decode(payload.data, payload.len, ret, err);
    if (rc == 0 && memcmp(ret->id, id, SESSION_ID) != 0)
        return 0;
    if (rc == BK_E_CORRUPT || rc == BK_E_VERSION || rc == BK_E_LIMIT)
        return 0;
    return rc < 0 ? rc : 1;
}

/* 1 it stands, 0 it ended meanwhile. The last renewal knows best which process the session belongs to. based:
 * the object without a counter was listed. */
static int look(struct repo *r, struct sessions_item *s, bool based, struct bk_error *err)
{
    int rc = BK_E_ABSENT;
    if (s->counter)
        rc = read_record(r, s->id, s->counter, &s->rec, err);
    if (rc == BK_E_ABSENT && based) {
        rc = read_record(r, s->id, 0, &s->rec, err);
        if (rc == 1 && s->counter) /* the renewal was exchanged as we looked */
            s->rec.process[0] = '\0';
    }
    if (rc == BK_E_ABSENT) {
        if (err)
            *err = (struct bk_error){ 0 };
        return 0;
    }
    s->readable = rc == 1;
    return rc < 0 ? rc : 1;
}

int sessions_list(struct repo *r, struct sessions *ret, struct bk_error *err)
{
    bk_auto(names_clear) struct names list = { 0 };
    bk_auto(sessions_clear) struct sessions s = { 0 };
    int rc = names_list(repo_store(r), prefix, SESSIONS_MAX, &list, err);
    if (rc < 0)
        return rc;
    s.v = calloc(list.n + 1, sizeof *s.v);
    if (!s.v)
        return bk_fail_errno(err, ENOMEM, "list %zu sessions", list.n);
    for (size_t i = 0;
         i < list.n;) { /* sorted: all of one id follow each other, the one without a counter first */
        struct sessions_item *it = &s.v[s.n];
        uint8_t id[SESSION_ID];
        uint64_t counter;
        bool based = false;
        if (!sessions_parse(list.v[i].name, it->id, &counter)) {
            i++;
            continue;
        }
        it->counter = 0;
        for (; i < list.n && sessions_parse(list.v[i].name, id, &counter) &&
               memcmp(id, it->id, SESSION_ID) == 0;
             i++) {
            based |= counter == 0;
            it->counter = counter > it->counter ? counter : it->counter;
        }
        rc = look(r, it, based, err);
        if (rc < 0)
            return bk_context(err, "list the sessions of %s", repo_store(r)->url);
        s.n += (size_t)rc;
    }
    *ret = s;
    s = (struct sessions){ 0 };
    return 0;
}

/* The first line of a file of /proc, or "". */
static void read_line(const char *path, char *out, size_t len)
{
    out[0] = '\0';
    bk_auto(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, out, len - 1);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* When a process started, in ticks since boot: field 22. The name in field 2 may hold anything. 0: unknown;
 * 1: it is dead and waits to be reaped. */
static unsigned long long started(unsigned long long pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%llu/stat", pid);
    read_line(path, text, sizeof text);
    const char *p = strrchr(text, ')');
    if (!p)
        return 0;
    if (p[1] == ' ' && (p[2] == 'Z' || p[2] == 'X'))
        return 1;
    for (int field = 2; field < 22; field++) {
        p = strchr(p + 1, ' ');
        if (!p)
            return 0;
    }
    return strtoull(p + 1, NULL, 10);
}

/* "<boot id>.<pid namespace>": within it a process id and its start name one process. */
static bool domain(char *out, size_t len)
{
    char boot[64], link[64];
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    ssize_t n = readlink("/proc/self/ns/pid", link, sizeof link - 1);
    if (!boot[0] || n <= 0)
        return false;
    link[n] = '\0';
    const char *inode = link + strcspn(link, "0123456789");
    if (!*inode)
        return false;
    int used = snprintf(out, len, "%s.%.*s", boot, (int)strspn(inode, "0123456789"), inode);
    return used > 0 && (size_t)used < len;
}

void sessions_process(char out[static SESSION_TEXT_MAX + 1])
{
    char where[SESSION_TEXT_MAX + 1 - 24];
    unsigned long long start = started((unsigned long long)getpid());
    out[0] = '\0';
    if (start && domain(where, sizeof where))
        snprintf(out, SESSION_TEXT_MAX + 1, "%s.%llu", where, start);
}

enum session_fate sessions_fate(const struct session_record *s)
{
    char host[SESSION_TEXT_MAX + 1] = "", where[SESSION_TEXT_MAX + 1];
    if (!s->process[0] || gethostname(host, sizeof host - 1) < 0 || strcmp(host, s->host) != 0)
        return SESSION_UNKNOWN;
    size_t n;
    if (!domain(where, sizeof where) || (n = strlen(where)) >= strlen(s->process) ||
        strncmp(where, s->process, n) != 0 || s->process[n] != '.' || !s->pid || s->pid > INT_MAX)
        return SESSION_UNKNOWN;
    unsigned long long then = strtoull(s->process + n + 1, NULL, 10);
    unsigned long long now = started(s->pid);
    if (now)
        return now == then ? SESSION_ALIVE : SESSION_DEAD;
    /* gone, or hidden from us: only the former is an answer */
    return kill((pid_t)s->pid, 0) < 0 && errno == ESRCH ? SESSION_DEAD : SESSION_UNKNOWN;
}
