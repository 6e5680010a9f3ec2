/* Where each part of a machine goes. What the definition says of that is hostile. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/restore/machine_plan.h"
#include "bkd/source/disk_format.h"
#include "bkd/source/disks.h"
#include "bkd/source/qemu_lock.h"

#define TPM_PLACE "/var/lib/libvirt/swtpm"

struct placing {
    const struct snapshot *s;
    const struct machine_opts *o;
    const struct hold *h;
    struct job *j;
    const char *folder; /* NULL: as the definition says */
    struct machine *m;
    bool renamed;
};

static int nomem(struct bk_error *err)
{
    return bk_fail_errno(err, ENOMEM, "place a machine");
}

static const struct snapshot_stream *stream_of(const struct placing *k, enum stream_kind kind,
                                               const char *name)
{
    for (size_t i = 0; i < k->s->n_streams; i++) {
        const struct snapshot_stream *t = &k->s->streams[i];
        if (t->kind == kind && !strncmp(t->name, k->m->prefix, k->m->prefix_len) &&
            !strcmp(t->name + k->m->prefix_len, name))
            return t;
    }
    return NULL;
}

static int add(struct placing *k, const struct machine_part *part, struct bk_error *err)
{
    struct machine_part *v = realloc(k->m->parts, (k->m->n_parts + 1) * sizeof *v);
    if (!v)
        return nomem(err);
    k->m->parts = v;
    v[k->m->n_parts++] = *part;
    return 0;
}

/* ---- what is there ---- */

int machine_place_folder(const char *path, struct bk_error *err)
{
    bk_auto(close) int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *p = path + 1;
    for (const char *end; (end = strchr(p, '/')); p = end + 1) {
        char part[NAME_MAX + 1];
        size_t n = (size_t)(end - p);
        if (!n || n > NAME_MAX || (p[0] == '.' && (n == 1 || (n == 2 && p[1] == '.'))))
            return bk_fail(err, BK_E_CORRUPT, "the path %s is none that libvirt writes", path);
        snprintf(part, sizeof part, "%.*s", (int)n, p);
        int next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT)
            bk_fail(err, BK_E_ABSENT, "%s: there is no folder '%s'", path, part);
        else if (next < 0 && (errno == ENOTDIR || errno == ELOOP))
            bk_fail(err, BK_E_UNSUPPORTED, "%s: '%s' is a symbolic link or no folder", path, part);
        else if (next < 0)
            bk_fail_errno(err, errno, "%s", path);
        if (next < 0)
            return bk_hint(err, "choose the folder yourself: --disk-dir DIR");
        close(at);
        at = next;
    }
    return *p ? 0 : bk_fail(err, BK_E_CORRUPT, "the path %s is none that libvirt writes", path);
}

int machine_place_idle(const char *path, struct bk_error *err)
{
    bk_auto(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return bk_fail_errno(err, errno, "look at %s", path);
    int r = qemu_lock_check(fd, true, err);
    return r < 0 ? bk_context(err, "%s", path) : 0;
}

static int check_file(const struct placing *k, struct machine_part *part, struct bk_error *err)
{
    struct stat st;
    if (!k->folder || part->kind == MACHINE_TPM) {
        int r = part->kind == MACHINE_TPM ? 0 : machine_place_folder(part->path, err);
        if (r < 0)
            return r;
    }
    if (lstat(part->path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : bk_fail_errno(err, errno, "look at %s", part->path);
    if (!S_ISREG(st.st_mode))
        return bk_fail(err, BK_E_EXISTS, "%s is there already, and no regular file", part->path);
    if (!k->o->overwrite) {
        bk_fail(err, BK_E_EXISTS, "%s is there already", part->path);
        return bk_hint(err,
                       "choose another folder (--disk-dir), another name (--name), or allow --overwrite");
    }
    int r = machine_place_idle(part->path, err);
    if (r < 0)
        return r;
    return asprintf(&part->beside, "%s.bkctl-new-%d", part->path, (int)getpid()) < 0
               ? (part->beside = NULL, nomem(err))
               : 0;
}

static int check_device(const struct placing *k, const struct machine_part *part, struct bk_error *err)
{
    struct stat st;
    const char *path = part->path;
    if (strncmp(path, "/dev/", 5) || strstr(path, "/../"))
        return bk_fail(err, BK_E_CORRUPT, "the path %s is none that libvirt writes", path);
    if (strcmp(part->format, "raw"))
        bk_fail(err, BK_E_UNSUPPORTED, "disk '%s' is a %s image on a block device, which cannot be written",
                part->target, part->format);
    else if (stat(path, &st) < 0)
        bk_fail_errno(err, errno, "disk '%s': look at %s", part->target, path);
    else if (!S_ISBLK(st.st_mode))
        return bk_fail(err, BK_E_UNSUPPORTED, "%s is no block device", path);
    else if (k->renamed)
        bk_fail(err, BK_E_UNSUPPORTED, "%s belongs to the machine that this is a copy of", path);
    else if (!k->o->overwrite)
        bk_fail(err, BK_E_EXISTS, "%s is there already, with whatever it holds", path);
    else
        return 0;
    return bk_hint(err, "restore it to a file (--disk-dir DIR)");
}

/* Are the bytes of the stream there already? A kernel is often one for many machines. */
static bool is_same(const struct placing *k, const struct snapshot_stream *t, const char *path)
{
    struct bk_error ignored = { 0 }; /* then it is not */
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(DISKS_TEXT_MAX);
    bk_auto(close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != t->content.size ||
        machine_read(k->h, &t->content, &b, &ignored) < 0)
        return false;
    for (size_t at = 0; at < b.len;) {
        uint8_t have[16384];
        ssize_t n = read(fd, have, sizeof have);
        if (n <= 0 || (size_t)n > b.len - at || memcmp(have, b.data + at, (size_t)n))
            return false;
        at += (size_t)n;
    }
    return true;
}

/* ---- where to ---- */

/* NAME-WHAT.ENDING in the folder of all, or else in that of the old path. */
static char *named(const struct placing *k, const char *old, const char *what, const char *ending)
{
    const char *slash = k->folder ? NULL : strrchr(old, '/');
    int n = slash ? (int)(slash - old) : (int)strlen(k->folder);
    char *path = NULL;
    return asprintf(&path, "%.*s/%s%s%s", n, slash ? old : k->folder, k->m->name, what, ending) < 0 ? NULL
                                                                                                    : path;
}

static const char *ending_of(const char *format)
{
    static const char *const endings[] = { ".raw", ".qcow2", ".vmdk", ".vhdx", ".vdi", ".vhd" };
    for (size_t i = 0; disk_formats[i]; i++)
        if (!strcmp(disk_formats[i], format))
            return endings[i];
    return "";
}

static int place_disk(struct placing *k, const struct vm_xml_disk *x, struct bk_error *err)
{
    char what[40];
    const char *format = k->o->format ? k->o->format : x->format;
    struct machine_part part = { .kind = MACHINE_DISK,
                                 .stream = stream_of(k, STREAM_DISK, x->target),
                                 .target = x->target,
                                 .format = format,
                                 .device = !k->folder && x->kind == VM_DISK_BLOCK };
    if (!part.stream)
        return 0; /* it is left out of the definition, which tells */
    if (!disk_format_known(format) || !strcmp(format, "vhdx")) { /* libvirt does not know that one */
        bk_fail(err, BK_E_UNSUPPORTED, "disk '%s' has the format '%s', which cannot be written", x->target,
                format);
        return bk_hint(err, "choose another one with --disk-format");
    }
    if (!k->folder && (!x->source || x->kind == VM_DISK_NETWORK || x->kind == VM_DISK_OTHER)) {
        bk_fail(err, BK_E_UNSUPPORTED, "disk '%s' is neither a file nor a block device", x->target);
        return bk_hint(err, "restore it to a file (--disk-dir DIR)");
    }
    snprintf(what, sizeof what, "-%s", x->target);
    bool stays = !k->folder && (part.device || (!k->renamed && !strcmp(format, x->format)));
    part.path = stays ? strdup(x->source) : named(k, x->source, what, ending_of(format));
    if (!part.path)
        return nomem(err);
    int r = part.device ? check_device(k, &part, err) : check_file(k, &part, err);
    if (r == 0)
        r = add(k, &part, err);
    if (r < 0) {
        free(part.path);
        free(part.beside);
    }
    return r;
}

static int place_file(struct placing *k, enum machine_kind kind, const char *name, const char *old,
                      const char *what, struct bk_error *err)
{
    struct machine_part part = { .kind = kind, .stream = stream_of(k, STREAM_BLOB, name), .target = name };
    if (!old)
        return 0;
    if (!part.stream) {
        job_log(k->j, JOB_WARN, N_("domain '%s': its %s is not in the snapshot"), k->m->name, name);
        return 0;
    }
    part.kept = kind != MACHINE_NVRAM && !k->folder && is_same(k, part.stream, old);
    /* A kernel that has other bytes by now is what others start from. */
    struct stat st;
    bool free_place = kind == MACHINE_NVRAM || (lstat(old, &st) < 0 && errno == ENOENT);
    part.path =
        part.kept || (!k->folder && !k->renamed && free_place) ? strdup(old) : named(k, old, what, "");
    if (!part.path)
        return nomem(err);
    int r = part.kept ? 0 : check_file(k, &part, err);
    if (r == 0)
        r = add(k, &part, err);
    if (r < 0) {
        free(part.path);
        free(part.beside);
    }
    return r;
}

/* libvirt finds it by the uuid. */
static int place_tpm(struct placing *k, struct bk_error *err)
{
    static const char *const known[][2] = { { "tpm/tpm2-00.permall", "tpm2/tpm2-00.permall" },
                                            { "tpm/tpm-00.permall", "tpm1.2/tpm-00.permall" } };
    int r = 0;
    for (size_t i = 0; i < BK_COUNT(known) && k->m->xml.tpm && r == 0; i++) {
        struct machine_part part = { .kind = MACHINE_TPM,
                                     .stream = stream_of(k, STREAM_BLOB, known[i][0]),
                                     .target = "tpm" };
        if (!part.stream)
            continue;
        if (geteuid() != 0) {
            job_log(k->j, JOB_WARN, N_("domain '%s': the state of its TPM is restored by the superuser only"),
                    k->m->name);
            return 0;
        }
        if (asprintf(&part.path, TPM_PLACE "/%s/%s", k->m->uuid, known[i][1]) < 0)
            return nomem(err);
        r = check_file(k, &part, err);
        if (r == 0)
            r = add(k, &part, err);
        if (r < 0) {
            free(part.path);
            free(part.beside);
        }
    }
    return r;
}

static void warn_of_others(const struct placing *k)
{
    for (size_t i = 0; i < k->s->n_streams; i++) {
        const struct snapshot_stream *t = &k->s->streams[i];
        const char *target = t->name + k->m->prefix_len;
        bool found =
            t->kind != STREAM_DISK || strncmp(t->name, k->m->prefix, k->m->prefix_len) || strchr(target, '/');
        for (size_t d = 0; d < k->m->xml.n_disks && !found; d++)
            found = !strcmp(k->m->xml.disks[d].target, target);
        if (!found)
            job_log(k->j, JOB_WARN, N_("domain '%s': disk '%s' of the snapshot is not in its definition"),
                    k->m->name, target);
    }
}

int machine_place(const struct snapshot *s, const struct machine_opts *o, const struct hold *h, struct job *j,
                  const char *folder, struct machine *m, struct bk_error *err)
{
    struct placing k = {
        .s = s, .o = o, .h = h, .j = j, .folder = folder, .m = m, .renamed = strcmp(m->name, m->xml.name) != 0
    };
    int r = 0;
    for (size_t i = 0; i < m->xml.n_disks && r == 0; i++)
        r = place_disk(&k, &m->xml.disks[i], err);
    if (r == 0)
        r = place_file(&k, MACHINE_NVRAM, "nvram", m->xml.nvram, "_VARS.fd", err);
    if (r == 0)
        r = place_file(&k, MACHINE_KERNEL, "kernel", m->xml.kernel, "-kernel", err);
    if (r == 0)
        r = place_file(&k, MACHINE_INITRD, "initrd", m->xml.initrd, "-initrd", err);
    if (r == 0)
        r = place_tpm(&k, err);
    if (r == 0)
        warn_of_others(&k);
    return r;
}

int machine_place_apart(const struct machines *m, struct bk_error *err)
{
    for (size_t a = 0; a < m->n; a++)
        for (size_t i = 0; i < m->v[a].n_parts; i++)
            for (size_t b = a; b < m->n; b++)
                for (size_t k = b == a ? i + 1 : 0; k < m->v[b].n_parts; k++)
                    if ((!m->v[a].parts[i].kept || !m->v[b].parts[k].kept) &&
                        !strcmp(m->v[a].parts[i].path, m->v[b].parts[k].path))
                        return bk_fail(err, BK_E_EXISTS, "two things would be restored to %s",
                                       m->v[a].parts[i].path);
    return 0;
}
