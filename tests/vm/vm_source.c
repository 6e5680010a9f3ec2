/* Drives the source of virtual machines as a backup does, and rebuilds the disks as raw images.
 *
 *     vm_source backup DIR [OPTIONS] DOMAIN...
 *     vm_source forget -c URI DOMAIN
 *
 *     DIR/DISK.raw      '/' in a name becomes '_'; made, or, of a disk that is tracked, only what is not
 *                       clean is written into it
 *     DIR/texts/NAME
 *
 *     -c URI       -p FILE     source.json to compare with    -s SERIES     -S SCRATCH
 *     -f full      -x DISK     excluded                       -n            do not commit
 *     -z never|try|require     -m MS  the longest freeze
 *     -w  after begin: says "begun", waits for a line         -W  the same before the end
 *
 * Prints a line per disk: "disk NAME size BYTES full|tracked dirty BYTES data BYTES [reason]". */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bkd/source/vm.h"

struct args {
    struct vm_opts vm;
    const char *past;
    bool abandon, wait_begin, wait_end;
};

static void on_log(void *ctx, enum job_level level, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s: %s\n", level == JOB_WARN ? "warn" : level == JOB_INFO ? "info" : "debug", text);
}

static int report(int r, const struct bk_error *err)
{
    if (r < 0)
        fprintf(stderr, "%s: %s\n", bk_code_name(err->code), err->text);
    return bk_code_exit(r);
}

static void wait_line(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
    for (int c; (c = getchar()) != EOF && c != '\n';)
        ;
}

struct copy {
    struct disk *disk;
    int fd;
    uint64_t dirty, data;
    struct disk_part *parts; /* owned */
    size_t n;
};

static int on_data(void *ctx, uint64_t at, const uint8_t *data, size_t len, struct bk_error *err)
{
    struct copy *c = ctx;
    c->data += len;
    return pwrite(c->fd, data, len, (off_t)at) == (ssize_t)len ? 0 : bk_fail_errno(err, errno, "write");
}

static int on_part(void *ctx, const struct disk_part *p, struct bk_error *err)
{
    struct copy *c = ctx;
    struct disk_part *v = p->clean ? c->parts : reallocarray(c->parts, c->n + 1, sizeof *v);
    if (p->clean)
        return 0;
    if (!v)
        return bk_fail_errno(err, ENOMEM, "list what is dirty");
    c->parts = v;
    v[c->n++] = *p;
    c->dirty += p->len;
    return 0;
}

static int copy_part(struct copy *c, const struct disk_part *p, struct bk_error *err)
{
    if (p->kind == EXTENT_DATA)
        return disk_read(c->disk, 0, p->from, p->from + p->len, on_data, c, err);
    return fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)p->from, (off_t)p->len) < 0
               ? bk_fail_errno(err, errno, "punch")
               : 0;
}

static void place(const char *dir, const char *name, const char *ending, char out[static 512])
{
    int n = snprintf(out, 512, "%s/%s%s", dir, name, ending);
    for (char *p = out + strlen(dir) + 1; n > 0 && *p; p++)
        if (*p == '/')
            *p = '_';
}

static int copy_disk(const struct disks_item *i, const char *dir, struct bk_error *err)
{
    char path[512];
    place(dir, i->name, ".raw", path);
    struct copy c = { .disk = i->disk };
    c.fd = open(path, O_RDWR | O_CREAT | (i->disk->tracked ? 0 : O_TRUNC), 0600);
    if (c.fd < 0 || ftruncate(c.fd, (off_t)i->disk->size) < 0)
        return bk_fail_errno(err, errno, "%s", path);
    int r = disk_map(i->disk, 0, 0, i->disk->size, on_part, &c, err);
    for (size_t k = 0; k < c.n && r == 0; k++)
        r = copy_part(&c, &c.parts[k], err);
    free(c.parts);
    if (close(c.fd) < 0 && r == 0)
        r = bk_fail_errno(err, errno, "close");
    printf("disk %s size %" PRIu64 " %s dirty %" PRIu64 " data %" PRIu64 "%s%s\n", i->name, i->disk->size,
           i->disk->tracked ? "tracked" : "full", c.dirty, c.data, i->reason ? " " : "",
           i->reason ? i->reason : "");
    return r;
}

static int keep_text(const struct disks_text *t, const char *dir, struct bk_error *err)
{
    char texts[256], path[512];
    snprintf(texts, sizeof texts, "%s/texts", dir);
    place(texts, t->name, "", path);
    if (mkdir(texts, 0700) < 0 && errno != EEXIST)
        return bk_fail_errno(err, errno, "%s", texts);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(t->data, 1, t->len, f) != t->len || fclose(f))
        return bk_fail_errno(err, errno, "%s", path);
    printf("text %s %zu\n", t->name, t->len);
    return 0;
}

static int read_past(const char *path, struct disks_past *ret, struct bk_error *err)
{
    static char buf[1 << 20];
    FILE *f = path ? fopen(path, "r") : NULL;
    if (path && !f)
        return bk_fail_errno(err, errno, "%s", path);
    if (f) {
        ret->source_len = fread(buf, 1, sizeof buf, f);
        ret->source = buf;
        fclose(f);
    }
    return 0;
}

static int backup(const struct args *a, const char *dir, const char *const *domains, size_t n, struct job *j,
                  struct bk_error *err)
{
    struct disks_past past = { 0 };
    bk_auto(disks_free) struct disks *s = NULL;
    int r = read_past(a->past, &past, err);
    if (r == 0)
        r = vm_disks_new(&a->vm, domains, n, &s, err);
    if (r == 0)
        r = disks_begin(s, j, &past, err);
    if (r < 0)
        return r;
    if (a->wait_begin)
        wait_line("begun");
    for (size_t i = 0; i < s->n && r == 0; i++)
        r = copy_disk(&s->v[i], dir, err);
    for (size_t i = 0; i < s->n_texts && r == 0; i++)
        r = keep_text(&s->texts[i], dir, err);
    if (a->wait_end)
        wait_line("read");
    struct bk_error second = { 0 };
    int e = disks_end(s, j, r == 0 && !a->abandon, &second);
    if (e < 0)
        fprintf(stderr, "end: %s: %s\n", bk_code_name(e), second.text);
    if (r == 0 && e < 0)
        *err = second;
    return r < 0 ? r : e;
}

static bool option(struct args *a, int c, const char **excluded)
{
    switch (c) {
    case 'c':
        a->vm.uri = optarg;
        return true;
    case 'p':
        a->past = optarg;
        return true;
    case 's':
        a->vm.series = optarg;
        return true;
    case 'f':
        a->vm.full = true;
        return true;
    case 'x':
        excluded[a->vm.n_excluded++] = optarg;
        return true;
    case 'S':
        a->vm.scratch_dir = optarg;
        return true;
    case 'z':
        a->vm.freeze = !strcmp(optarg, "never")     ? VM_FREEZE_NEVER
                       : !strcmp(optarg, "require") ? VM_FREEZE_REQUIRE
                                                    : VM_FREEZE_TRY;
        return true;
    case 'm':
        a->vm.freeze_max_ms = (unsigned)strtoul(optarg, NULL, 10);
        return true;
    case 'n':
        return a->abandon = true;
    case 'w':
        return a->wait_begin = true;
    case 'W':
        return a->wait_end = true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    const char *excluded[16];
    struct args a = { .vm = { .excluded = excluded } };
    struct bk_error err = { 0 };
    struct job j = { 0 };
    int c, r;
    const char *what = argc > 1 ? argv[1] : "";
    optind = 2;
    while ((c = getopt(argc, argv, "c:p:s:fx:S:z:m:nwW")) != -1)
        if (a.vm.n_excluded == BK_COUNT(excluded) || !option(&a, c, excluded))
            return 2;
    if (job_init(&j, &err) < 0)
        return report(err.code, &err);
    j.log = on_log;
    j.n_threads = 2;
    const char *const *rest = (const char *const *)argv + optind;
    size_t n = (size_t)(argc - optind);
    if (!strcmp(what, "backup") && n > 1) {
        r = backup(&a, rest[0], rest + 1, n - 1, &j, &err);
    } else if (!strcmp(what, "forget") && n == 1) {
        unsigned removed = 0;
        r = vm_forget_tracking(a.vm.uri, rest[0], &j, &removed, &err);
        printf("removed %u\n", removed);
    } else {
        fprintf(stderr, "usage: vm_source backup DIR [OPTIONS] DOMAIN... | forget -c URI DOMAIN\n");
        return 2;
    }
    job_clear(&j);
    return report(r, &err);
}
