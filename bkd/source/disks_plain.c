/* Images, devices and exports as they are. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/source/disks.h"
#include "bkd/source/disk_format.h"

struct plain {
    struct disks disks;
    char **operands; /* owned */
    size_t n;
    char *format; /* owned, or NULL */
};

static bool starts(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

const char *disks_uri(const char *operand)
{
    static const char *const schemes[] = { "nbd://",       "nbds://",      "nbd+unix://",
                                           "nbds+unix://", "nbd+vsock://", "nbds+vsock://" };
    for (size_t i = 0; i < BK_COUNT(schemes); i++)
        if (starts(operand, schemes[i]))
            return operand;
    return starts(operand, "nbd:") ? operand + 4 : NULL;
}

bool disks_plain_is(const char *operand)
{
    return starts(operand, "disk:") || disks_uri(operand);
}

static int choose_format(const char *path, const char *asked, const char **ret, struct bk_error *err)
{
    const char *base = strrchr(path, '/'), *bytes = NULL;
    const char *name = disk_format_of_name(base ? base + 1 : path, NULL);
    *ret = asked ? asked : name ? name : "raw";
    if (asked || name)
        return 0;
    int r = disk_format_of_bytes(path, &bytes, err);
    if (r < 0 || !bytes)
        return r;
    bk_fail(err, BK_E_USAGE, "%s begins like a %s image, and its name does not say so", path, bytes);
    return bk_hint(err, "say which with --disk-format %s, or raw if these are the bytes of the disk", bytes);
}

/* "/x/web.qcow2" becomes "web", "nbd://host/vda" "vda"; a name that is there already gets a number. */
static void name_it(const struct disks *s, const char *text, bool uri, char out[static 256])
{
    size_t len = uri ? strcspn(text, "?") : strlen(text);
    while (len && text[len - 1] == '/')
        len--;
    size_t from = len;
    while (from && text[from - 1] != '/')
        from--;
    char stem[224] = "";
    if (len - from < sizeof stem)
        memcpy(stem, text + from, len - from);
    size_t end = strlen(stem);
    if (disk_format_of_name(stem, &end))
        stem[end] = '\0';
    json_t *fits = json_string(stem); /* that is UTF-8 */
    if (!fits || !disks_name_fits(stem) || strchr(stem, ':'))
        strcpy(stem, "disk");
    json_decref(fits);
    snprintf(out, 256, "%s", stem);
    for (unsigned k = 2;; k++) {
        bool there = false;
        for (size_t i = 0; i < s->n && !there; i++)
            there = !strcmp(s->v[i].name, out);
        if (!there)
            return;
        snprintf(out, 256, "%s-%u", stem, k);
    }
}

static int open_one(struct plain *p, struct job *j, const char *operand, struct bk_error *err)
{
    char name[256];
    struct disk *d = NULL;
    const char *uri = disks_uri(operand), *path = operand + strlen("disk:"), *format = NULL;
    int r = uri ? 0 : choose_format(path, p->format, &format, err);
    if (r == 0 && format && !strcmp(format, "raw"))
        r = disk_file_open(path, j, &d, err);
#if HAVE_DISKS
    else if (r == 0 && uri)
        r = disk_nbd_open(&(struct disk_nbd_opts){ .uri = uri }, j, &d, err);
    else if (r == 0)
        r = disk_image_open(path, format, NULL, j, &d, err);
#else
    else if (r == 0)
        r = bk_fail(err, BK_E_UNSUPPORTED, "%s: this build reads raw disks only: it has no libnbd", operand);
#endif
    if (r < 0)
        return r;
    name_it(&p->disks, uri ? uri : path, uri, name);
    return disks_add(&p->disks, name, d, NULL, err);
}

static int plain_begin(struct disks *s, struct job *j, const struct disks_past *past, struct bk_error *err)
{
    (void)past;
    struct plain *p = (struct plain *)s;
    int r = 0;
    for (size_t i = 0; i < p->n && r == 0; i++)
        r = open_one(p, j, p->operands[i], err);
    return r;
}

static void plain_free(struct disks *s)
{
    struct plain *p = (struct plain *)s;
    for (size_t i = 0; i < p->n; i++)
        free(p->operands[i]);
    free(p->operands);
    free(p->format);
    free(p);
}

static const struct disks_ops plain_ops = { .begin = plain_begin, .free = plain_free };

int disks_plain_new(const char *const *operands, size_t n, const char *format, struct disks **ret,
                    struct bk_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (!disks_plain_is(operands[i]) || !operands[i][strlen("disk:")])
            return bk_fail(err, BK_E_USAGE, "'%s' is no disk: write disk:PATH or nbd:URI", operands[i]);
    if (format && !disk_format_known(format))
        return bk_fail(err, BK_E_USAGE, "'%s' is no format of disk images that is known", format);
    struct plain *p = calloc(1, sizeof *p);
    if (!p)
        return bk_fail_errno(err, ENOMEM, "open disks");
    p->disks.ops = &plain_ops;
    bk_auto(disks_free) struct disks *s = &p->disks;
    p->operands = calloc(n ? n : 1, sizeof *p->operands);
    p->format = format ? strdup(format) : NULL;
    for (; p->operands && p->n < n; p->n++)
        if (!(p->operands[p->n] = strdup(operands[p->n])))
            break;
    if (p->n < n || (format && !p->format))
        return bk_fail_errno(err, ENOMEM, "open disks");
    *ret = bk_steal(s);
    return 0;
}
