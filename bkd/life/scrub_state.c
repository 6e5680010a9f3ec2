#include "bkd/life/scrub_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char head[] = "bkctl scrub 2\n";
enum { LINE = 512 };

static int no_state(const char *path, struct bk_error *err)
{
    bk_fail(err, BK_E_CORRUPT, "%s does not hold what a scrub remembers", path);
    return bk_hint(err,
                   "remove it, and everything counts as never verified; or name another one with --state");
}

static bool take_time(char **at, int64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoll(*at, &end, 10);
    bool good = !errno && end != *at && *end == ' ' && *ret >= 0;
    *at = end + good;
    return good;
}

/* Both are sorted: one pass. */
static int read_lines(FILE *f, const char *path, struct scrub_item *v, size_t n, struct bk_error *err)
{
    char line[LINE];
    size_t at = 0;
    while (fgets(line, sizeof line, f)) {
        char *name = line;
        int64_t read_s, verified_s;
        size_t len = strlen(line);
        if (line[len - 1] != '\n' || !take_time(&name, &read_s) || !take_time(&name, &verified_s))
            return no_state(path, err);
        line[len - 1] = '\0';
        while (at < n && strcmp(v[at].name, name) < 0)
            at++;
        if (at < n && strcmp(v[at].name, name) == 0) {
            v[at].read_s = read_s;
            v[at].verified_s = verified_s;
        }
    }
    return ferror(f) ? bk_fail_errno(err, EIO, "read %s", path) : 0;
}

int scrub_state_load(const char *path, struct scrub_item *v, size_t n, struct bk_error *err)
{
    char line[LINE];
    FILE *f = fopen(path, "re");
    if (!f && errno == ENOENT)
        return 0;
    if (!f)
        return bk_fail_errno(err, errno, "open %s", path);
    bool headed = fgets(line, sizeof line, f) && strcmp(line, head) == 0;
    int r = headed ? read_lines(f, path, v, n, err) : no_state(path, err);
    fclose(f);
    return r;
}

static int write_lines(FILE *f, const struct scrub_item *v, size_t n)
{
    if (fputs(head, f) < 0)
        return -errno;
    for (size_t i = 0; i < n; i++)
        if (v[i].read_s &&
            fprintf(f, "%" PRId64 " %" PRId64 " %s\n", v[i].read_s, v[i].verified_s, v[i].name) < 0)
            return -errno;
    return fflush(f) != 0 || fsync(fileno(f)) != 0 ? -errno : 0;
}

int scrub_state_save(const char *path, const struct scrub_item *v, size_t n, struct bk_error *err)
{
    char temp[PATH_MAX];
    if ((size_t)snprintf(temp, sizeof temp, "%s.%ld", path, (long)getpid()) >= sizeof temp)
        return bk_fail(err, BK_E_LIMIT, "the path %s is too long", path);
    FILE *f = fopen(temp, "we");
    if (!f)
        return bk_fail_errno(err, errno, "make %s", temp);
    int e = write_lines(f, v, n);
    if (fclose(f) != 0 && e == 0)
        e = -errno;
    if (e == 0 && rename(temp, path) < 0)
        e = -errno;
    if (e == 0)
        return 0;
    unlink(temp);
    return bk_fail_errno(err, -e, "write %s", path);
}
