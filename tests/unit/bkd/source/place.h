/* A temporary directory of a test, removed with all that is in it. */
#ifndef TESTS_PLACE_H
#define TESTS_PLACE_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char place[64];

static inline int place_make(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(place, sizeof place, "%s/bk-test-XXXXXX", base && strlen(base) < 40 ? base : "/tmp");
    return mkdtemp(place) ? 0 : -1;
}

static inline int place_remove(void **state)
{
    (void)state;
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", place);
    return system(cmd) == 0 ? 0 : -1;
}

/* A path in it; valid until four more were asked for. */
static inline const char *at(const char *name)
{
    static char path[4][512];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", place, name);
    return p;
}

static inline void put_file(const char *name, const void *data, size_t len)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static inline void put_dir(const char *name)
{
    assert_int_equal(mkdir(at(name), 0755), 0);
}

#endif
