#include "bkd/source/disk_serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/source/disk_format.h"

static int options(const char *path, const char *format, char **ret, struct bk_error *err)
{
    struct stat st;
    bool device = stat(path, &st) == 0 && S_ISBLK(st.st_mode);
    size_t cap = 2 * strlen(path) + 128;
    char *s = malloc(cap);
    if (!s)
        return bk_fail_errno(err, ENOMEM, "open %s", path);
    size_t n = (size_t)snprintf(s, cap, "driver=%s,file.driver=%s,file.filename=", format,
                                device ? "host_device" : "file");
    for (const char *p = path; *p; p++) {
        s[n++] = *p;
        if (*p == ',') /* in an option a comma is written twice */
            s[n++] = ',';
    }
    s[n] = '\0';
    *ret = s;
    return 0;
}

int disk_serve(const char *path, const char *format, const char *const *more, unsigned n, struct job *j,
               const char *const *contexts, struct nbd_link *links, struct child **ret, struct bk_error *err)
{
    bk_auto(free) char *what = NULL;
    bk_auto(free) int *fds = calloc(n, sizeof *fds);
    char many[16];
    snprintf(many, sizeof many, "%u", n);
    const char *argv[16] = { "qemu-nbd", "--image-opts", "-e", many };
    size_t k = 4;
    for (; *more && k < BK_COUNT(argv) - 2; more++)
        argv[k++] = *more;
    if (!fds)
        return bk_fail_errno(err, ENOMEM, "open %s", path);
    int r = options(path, format, &what, err);
    if (r < 0)
        return r;
    argv[k] = what;
    bk_auto(child_free) struct child *server = NULL;
    r = nbd_link_serve(argv, n, fds, &server, err);
    for (unsigned i = 0; i < n; i++)
        links[i] = (struct nbd_link){ 0 };
    for (unsigned i = 0; i < n && server; i++) {
        if (r == 0)
            r = nbd_link_socket(&links[i], j, fds[i], contexts, err);
        else
            close(fds[i]);
    }
    if (r == 0) {
        *ret = bk_steal(server);
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        nbd_link_close(&links[i]);
    /* It knows better why. */
    struct bk_error why = { 0 };
    if (server && r != BK_E_CANCELLED && r != BK_E_UNREACHABLE && child_finish(server, j, &why) < 0) {
        *err = why;
        r = err->code;
        if (r == BK_E_UNSUPPORTED)
            return bk_hint(err, "install the package qemu-utils");
        if (strstr(child_said(server), "\" lock")) /* QEMU speaks English only */
            return bk_hint(err,
                           "it is in use: stop the machine that it belongs to, or back that up (vm:NAME)");
    }
    return r;
}
