#include "bkd/job/folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/base/auto.h"

static int make(const char *path, mode_t mode, struct bk_error *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return bk_fail_errno(err, errno, "make the directory '%s'", path);
    return 0;
}

int folder_make_above(const char *path, mode_t mode, struct bk_error *err)
{
    bk_auto(free) char *part = strdup(path);
    if (!part)
        return bk_fail_errno(err, ENOMEM, "make '%s'", path);
    for (char *s = part; *s && (s = strchr(s + 1, '/')) != NULL;) {
        *s = '\0';
        int r = make(part, mode, err);
        if (r < 0)
            return r;
        *s = '/';
    }
    return 0;
}

int folder_make(const char *path, struct bk_error *err)
{
    int r = folder_make_above(path, 0700, err);
    return r < 0 ? r : make(path, 0700, err);
}

bool folder_home(const char *variable, const char *below, char *out, size_t cap)
{
    const char *xdg = getenv(variable), *home = getenv("HOME");
    int n;
    if (xdg && xdg[0] == '/')
        n = snprintf(out, cap, "%s/bkctl", xdg);
    else if (home && home[0] == '/')
        n = snprintf(out, cap, "%s/%s/bkctl", home, below);
    else
        return false;
    return n > 0 && (size_t)n < cap;
}
