/* The XML that libvirt is given. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bkd/source/vm_xml.h"

static int put(struct bk_buf *b, const char *s, struct bk_error *err)
{
    return bk_buf_append(b, s, strlen(s), err);
}

/* As text or between single quotes. */
static int put_value(struct bk_buf *b, const char *s, struct bk_error *err)
{
    int r = 0;
    for (; *s && r == 0; s++) {
        const char one[] = { *s, '\0' };
        r = put(b,
                *s == '&'    ? "&amp;"
                : *s == '<'  ? "&lt;"
                : *s == '>'  ? "&gt;"
                : *s == '\'' ? "&apos;"
                             : one,
                err);
    }
    return r;
}

/* name='value' */
static int put_attr(struct bk_buf *b, const char *name, const char *value, struct bk_error *err)
{
    int r = put(b, " ", err);
    if (r == 0)
        r = put(b, name, err);
    if (r == 0)
        r = put(b, "='", err);
    if (r == 0)
        r = put_value(b, value, err);
    return r < 0 ? r : put(b, "'", err);
}

static int put_disk(struct bk_buf *b, const struct vm_xml_backup *d, struct bk_error *err)
{
    int r = put(b, "<disk backup='yes' type='file'", err);
    if (r == 0)
        r = put_attr(b, "name", d->target, err);
    if (r == 0)
        r = put_attr(b, "backupmode", d->base ? "incremental" : "full", err);
    if (r == 0 && d->base)
        r = put_attr(b, "incremental", d->base, err);
    if (r == 0)
        r = put(b, "><driver type='qcow2'/><scratch", err);
    if (r == 0)
        r = put_attr(b, "file", d->scratch, err);
    return r < 0 ? r : put(b, "/></disk>", err);
}

static int put_point(struct bk_buf *b, const char *name, const struct vm_xml_backup *v, size_t n,
                     struct bk_error *err)
{
    int r = put(b, "<domaincheckpoint><name>", err);
    if (r == 0)
        r = put_value(b, name, err);
    if (r == 0)
        r = put(b, "</name><disks>", err);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = put(b, "<disk", err);
        if (r == 0)
            r = put_attr(b, "name", v[i].target, err);
        if (r == 0)
            r = put_attr(b, "checkpoint", v[i].tracks ? "bitmap" : "no", err);
        if (r == 0)
            r = put(b, "/>", err);
    }
    return r < 0 ? r : put(b, "</disks></domaincheckpoint>", err);
}

int vm_xml_write(const char *socket, const char *point, const struct vm_xml_backup *v, size_t n,
                 struct bk_buf *ret_job, struct bk_buf *ret_point, struct bk_error *err)
{
    bool tracks = false;
    int r = put(ret_job, "<domainbackup mode='pull'><server transport='unix'", err);
    if (r == 0)
        r = put_attr(ret_job, "socket", socket, err);
    if (r == 0)
        r = put(ret_job, "/><disks>", err);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = put_disk(ret_job, &v[i], err);
        tracks |= v[i].tracks;
    }
    if (r == 0)
        r = put(ret_job, "</disks></domainbackup>", err);
    if (r == 0)
        r = bk_buf_u8(ret_job, 0, err);
    if (r < 0 || !tracks || !point)
        return r;
    r = put_point(ret_point, point, v, n, err);
    return r < 0 ? r : bk_buf_u8(ret_point, 0, err);
}

static char *put_escaped(char *at, const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    for (; *s; s++)
        at += strchr(plain, *s) ? (*at = *s, 1) : sprintf(at, "%%%02X", (unsigned char)*s);
    *at = '\0';
    return at;
}

int vm_xml_nbd_uri(const char *socket, const char *name, char **ret, struct bk_error *err)
{
    char *s = malloc(3 * (strlen(socket) + strlen(name)) + 64);
    if (!s)
        return bk_fail_errno(err, ENOMEM, "name an export");
    char *at = put_escaped(stpcpy(s, "nbd+unix:///"), name);
    put_escaped(stpcpy(at, "?socket="), socket);
    *ret = s;
    return 0;
}
