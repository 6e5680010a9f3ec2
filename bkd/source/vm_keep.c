#include "bkd/source/vm_keep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct keep {
    const struct vm_domain *d;
    const char *prefix;
    struct disks *s;
    struct job *j;
};

static int add(const struct keep *k, const char *name, const void *data, size_t len, struct bk_error *err)
{
    char full[VM_NAME_MAX + 320];
    snprintf(full, sizeof full, "%s%s", k->prefix, name);
    return disks_add_text(k->s, full, data, len, err);
}

static int keep_definition(const struct keep *k, virDomainPtr dom, struct bk_error *err)
{
    unsigned flags = vm_lib.DomainIsPersistent(dom) == 1 ? VIR_DOMAIN_XML_INACTIVE : 0;
    bk_auto(free) char *text = vm_lib.DomainGetXMLDesc(dom, flags | VIR_DOMAIN_XML_SECURE);
    if (!text && !vm_lib_lost()) {
        job_log(k->j, JOB_WARN, N_("domain '%s': its definition is kept without its secrets: %s"), k->d->name,
                vm_lib_text());
        text = vm_lib.DomainGetXMLDesc(dom, flags);
    }
    if (!text)
        return vm_lib_fail(err);
    return add(k, "domain.xml", text, strlen(text), err);
}

/* The whole of a regular file, below the limit. */
static int read_file(int at, const char *path, struct bk_buf *ret, struct bk_error *err)
{
    struct stat st;
    bk_auto(close) int fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return bk_fail_errno(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return bk_fail(err, BK_E_UNSUPPORTED, "%s: not a regular file", path);
    for (;;) {
        uint8_t *to;
        int r = bk_buf_extend(ret, 64 << 10, &to, err);
        if (r < 0)
            return bk_context(err, "%s", path);
        ssize_t n = read(fd, to, 64 << 10);
        if (n < 0)
            return bk_fail_errno(err, errno, "%s", path);
        ret->len -= (size_t)(64 << 10) - (size_t)n;
        if (n == 0)
            return 0;
    }
}

/* Not having one of these is told, and no reason to have nothing. */
static int keep_file(const struct keep *k, const char *name, int at, const char *path, struct bk_error *err)
{
    if (!path)
        return 0;
    bk_auto(bk_buf_clear) struct bk_buf b = BK_BUF(DISKS_TEXT_MAX + (64 << 10));
    struct bk_error why = { 0 };
    int r = read_file(at, path, &b, &why);
    if (r == 0 && b.len > DISKS_TEXT_MAX)
        r = bk_fail(&why, BK_E_LIMIT, "%s has more than %d bytes", path, DISKS_TEXT_MAX);
    if (r < 0) {
        job_log(k->j, JOB_WARN, N_("domain '%s': its %s is not kept: %s"), k->d->name, name, why.text);
        return 0;
    }
    return add(k, name, b.data, b.len, err);
}

/* Where libvirt keeps the state of the system's own domains, unless the definition names a place. */
static int keep_tpm(const struct keep *k, struct bk_error *err)
{
    static const char *const versions[] = { "tpm2", "tpm1.2" };
    bool found = false;
    int r = 0;
    for (size_t i = 0; i < BK_COUNT(versions) && k->d->xml.tpm && r == 0; i++) {
        char path[512], name[300];
        snprintf(path, sizeof path, "/var/lib/libvirt/swtpm/%s/%s", k->d->uuid, versions[i]);
        DIR *dir = opendir(k->d->xml.tpm_dir ? k->d->xml.tpm_dir : path);
        for (struct dirent *e; dir && r == 0 && (e = readdir(dir));) {
            size_t len = strlen(e->d_name);
            if (len < 8 || strcmp(e->d_name + len - 8, ".permall"))
                continue; /* locks and what is in flight */
            snprintf(name, sizeof name, "tpm/%s", e->d_name);
            r = keep_file(k, name, dirfd(dir), e->d_name, err);
            found = true;
        }
        if (dir)
            closedir(dir);
        if (k->d->xml.tpm_dir)
            break;
    }
    if (k->d->xml.tpm && !found)
        job_log(k->j, JOB_WARN, N_("domain '%s': the state of its TPM is not kept: it was not found"),
                k->d->name);
    return r;
}

int vm_keep_texts(const struct vm_domain *d, virDomainPtr dom, const char *prefix, struct disks *s,
                  struct job *j, struct bk_error *err)
{
    struct keep k = { .d = d, .prefix = prefix, .s = s, .j = j };
    int r = keep_definition(&k, dom, err);
    if (r == 0)
        r = keep_file(&k, "nvram", AT_FDCWD, d->xml.nvram, err);
    if (r == 0)
        r = keep_file(&k, "kernel", AT_FDCWD, d->xml.kernel, err);
    if (r == 0)
        r = keep_file(&k, "initrd", AT_FDCWD, d->xml.initrd, err);
    return r == 0 ? keep_tpm(&k, err) : r;
}
