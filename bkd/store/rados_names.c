/* What a pool tells of itself: its limits and its names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/store/rados_io.h"

/* Ceph's defaults, where the cluster tells nothing. */
enum { WRITE_MAX_MB = 90, OBJECT_MAX_MB = 128 };

static uint64_t number(const char *s, size_t len)
{
    char text[32];
    if (len == 0 || len >= sizeof text)
        return 0;
    memcpy(text, s, len);
    text[len] = 0;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    return errno || end == text ? 0 : v;
}

/* As the monitors keep it for the OSDs; 0 when they do not tell (an old release, no capability). */
static uint64_t kept(struct rados_io *io, const char *key)
{
    char command[160], *out = NULL, *status = NULL;
    size_t len = 0, status_len = 0;
    snprintf(command, sizeof command, "{\"prefix\": \"config get\", \"who\": \"osd\", \"key\": \"%s\"}", key);
    const char *commands[] = { command };
    int rc = rados_lib.mon_command(io->cluster, commands, 1, "", 0, &out, &len, &status, &status_len);
    uint64_t v = rc < 0 ? 0 : number(out, len);
    rados_lib.buffer_free(out);
    rados_lib.buffer_free(status);
    return v;
}

/* As the client's own configuration has it; the smaller of the two is safe. */
static uint64_t limit(struct rados_io *io, const char *key, uint64_t otherwise)
{
    char text[32];
    uint64_t there = kept(io, key);
    uint64_t here =
        rados_lib.conf_get(io->cluster, key, text, sizeof text) < 0 ? 0 : number(text, strlen(text));
    if (!there)
        there = here ? here : otherwise;
    return here && here < there ? here : there;
}

uint64_t rados_io_object_max(struct rados_io *io)
{
    uint64_t object = limit(io, "osd_max_object_size", (uint64_t)OBJECT_MAX_MB << 20);
    uint64_t mb = limit(io, "osd_max_write_size", WRITE_MAX_MB);
    uint64_t once = mb < (UINT64_C(1) << 40) ? mb << 20 : UINT64_MAX;
    return once < object ? once : object;
}

int rados_io_names(struct rados_io *io, rados_io_name_fn *fn, void *ctx, struct bk_error *err)
{
    rados_list_ctx_t list;
    int r = rados_io_ready(io, err);
    if (r < 0)
        return r;
    int64_t began = rados_io_now();
    int rc = rados_lib.nobjects_list_open(io->ctx, &list);
    if (rc < 0)
        return rados_io_fail(io, rc, N_("list"), "*", err);
    while (r == 0) {
        const char *name;
        rc = rados_lib.nobjects_list_next(list, &name, NULL, NULL);
        if (rc < 0)
            break;
        r = fn(ctx, name, err);
    }
    rados_lib.nobjects_list_close(list);
    if (r != 0 || rc == -ENOENT)
        return r;
    if (rc == -ETIMEDOUT)
        rados_io_ran_out(io, began);
    return rados_io_fail(io, rc, N_("list"), "*", err);
}
