#include "bkctl/backup_args.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "formats/base/buf.h"

enum { LIST_FILE_MAX = 256 << 20 };

static int read_whole(int fd, const char *path, struct bk_buf *b, struct bk_error *err)
{
    for (;;) {
        size_t room = b->len < 65536 ? 65536 : b->len;
        if (room > b->limit - b->len)
            room = b->limit - b->len;
        int r = bk_buf_reserve(b, room ? room : 1, err);
        if (r < 0)
            return bk_context(err, "%s", path);
        ssize_t n = read(fd, b->data + b->len, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bk_fail_errno(err, errno, "read %s", path);
        if (n == 0)
            return 0;
        b->len += (size_t)n;
    }
}

int backup_args_read(const char *path, char separator, bool comments, struct opt_list *ret, char **ret_mem,
                     struct bk_error *err)
{
    bk_auto(close) int fd = -1;
    bool standard = !strcmp(path, "-");
    if (!standard) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return bk_fail_errno(err, errno, "open %s", path);
    }
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(LIST_FILE_MAX);
    int r = read_whole(standard ? STDIN_FILENO : fd, path, &b, err);
    if (r == 0)
        r = bk_buf_u8(&b, 0, err);
    if (r < 0)
        return r;
    char *text = (char *)b.data, *end = text + b.len - 1;
    if (separator == '\n' && memchr(text, 0, (size_t)(end - text)))
        return bk_fail(err, BK_E_USAGE, "%s holds a NUL byte: use the list ended by NUL", path);
    for (char *p = text; p < end;) {
        char *stop = memchr(p, separator, (size_t)(end - p));
        if (!stop)
            stop = end;
        *stop = '\0';
        size_t len = (size_t)(stop - p);
        if (len && !(comments && *p == '#'))
            r = opt_list_add(ret, p, err);
        if (r < 0)
            return bk_context(err, "%s", path);
        p = stop + 1;
    }
    *ret_mem = text; /* the caller's now */
    b = BK_BUF(0);
    return 0;
}
