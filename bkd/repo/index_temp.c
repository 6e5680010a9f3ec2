#include "bkd/repo/index_temp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static bool write_all(int fd, const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* fd with the bytes in it, or -1 and nothing left; errno says why. */
static int filled(int fd, const void *data, size_t len)
{
    if (fd < 0 || write_all(fd, data, len))
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int in_folder(const char *folder, const void *data, size_t len)
{
    if (!folder || !*folder)
        return -1;
    return filled(open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600), data, len);
}

int index_temp_write(const void *data, size_t len, int *ret_fd, struct bk_error *err)
{
    int fd = in_folder(getenv("TMPDIR"), data, len);
    if (fd < 0)
        fd = in_folder("/var/tmp", data, len);
    if (fd < 0)
        fd = filled(memfd_create("index segment", MFD_CLOEXEC), data, len);
    if (fd < 0)
        return bk_fail_errno(err, errno, "keep %zu bytes of index in a temporary file", len);
    *ret_fd = fd;
    return 0;
}
