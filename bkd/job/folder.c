#include "bkd/job/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "formats/base/auto.h"

static int make(const char *path, struct bk_error *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return bk_fail_errno(err, errno, "make directory %s", path);
    return 0;
}

int folder_make(const char *path, struct bk_error *err)
{
    bk_auto(free) char *part = strdup(path);
    if (!part)
        return bk_fail_errno(err, ENOMEM, "make directory %s", path);
    for (char *p = part + 1; *part && *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int r = make(part, err);
        if (r < 0)
            return r;
        *p = '/';
    }
    return make(path, err);
}
