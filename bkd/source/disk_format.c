#include "bkd/source/disk_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

const char *const disk_formats[] = { "raw", "qcow2", "vmdk", "vhdx", "vdi", "vpc", NULL };

bool disk_format_known(const char *format)
{
    for (size_t i = 0; disk_formats[i]; i++)
        if (!strcmp(disk_formats[i], format))
            return true;
    return false;
}

const char *disk_format_of_name(const char *name, size_t *ret_stem)
{
    static const struct {
        const char *ending, *format;
    } known[] = { { ".raw", "raw" },   { ".img", "raw" }, { ".qcow2", "qcow2" }, { ".vmdk", "vmdk" },
                  { ".vhdx", "vhdx" }, { ".vdi", "vdi" }, { ".vhd", "vpc" },     { ".vpc", "vpc" } };
    size_t len = strlen(name);
    for (size_t i = 0; i < BK_COUNT(known); i++) {
        size_t n = strlen(known[i].ending);
        if (len <= n || strcasecmp(name + len - n, known[i].ending))
            continue;
        if (ret_stem)
            *ret_stem = len - n;
        return known[i].format;
    }
    return NULL;
}

int disk_format_of_bytes(const char *path, const char **ret, struct bk_error *err)
{
    static const struct {
        size_t at;
        const char *bytes;
        size_t len;
        const char *format;
    } known[] = {
        { 0, "QFI\xfb", 4, "qcow2" }, { 0, "KDMV", 4, "vmdk" },    { 0, "# Disk DescriptorFile", 21, "vmdk" },
        { 0, "vhdxfile", 8, "vhdx" }, { 0, "conectix", 8, "vpc" }, { 64, "\x7f\x10\xda\xbe", 4, "vdi" }
    };
    uint8_t head[512];
    *ret = NULL;
    bk_auto(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return bk_fail_errno(err, errno, "open %s", path);
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n < 0)
        return bk_fail_errno(err, errno, "read %s", path);
    for (size_t i = 0; i < BK_COUNT(known) && !*ret; i++)
        if ((size_t)n >= known[i].at + known[i].len &&
            !memcmp(head + known[i].at, known[i].bytes, known[i].len))
            *ret = known[i].format;
    return 0;
}
