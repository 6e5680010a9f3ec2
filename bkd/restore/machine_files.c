/* The files of machines: made under names of their own, exchanged for what was there, or taken away again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bkd/restore/disk.h"
#include "bkd/restore/disk_new.h"
#include "bkd/restore/machine_plan.h"

static int make_folder(const char *path, mode_t mode, bool *ret_made, struct bk_error *err)
{
    struct stat st;
    *ret_made = mkdir(path, mode) == 0;
    if (!*ret_made && errno != EEXIST)
        return bk_fail_errno(err, errno, "make the folder %s", path);
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return bk_fail_errno(err, ENOTDIR, "make the folder %s", path);
    return 0;
}

/* The three folders that libvirt keeps the state of a TPM in. It gives them to whom they belong. */
static int make_tpm_folders(const struct machine_part *p, struct bk_error *err)
{
    bk_auto(free) char *path = strdup(p->path);
    int r = path ? 0 : bk_fail_errno(err, ENOMEM, "make the folder of a TPM");
    for (int up = 3; up > 0 && r == 0; up--) {
        bool made;
        strcpy(path, p->path);
        for (int i = 0; i < up; i++)
            *strrchr(path, '/') = '\0';
        r = make_folder(path, up == 1 ? 0700 : 0711, &made, err);
    }
    return r;
}

static const char *place_of(const struct machine_part *p)
{
    return p->beside && !p->exchanged ? p->beside : p->path;
}

static int restore_part(struct repo *repo, struct job *j, const struct machine_opts *o,
                        struct machine_part *p, struct restore_report *report, struct bk_error *err)
{
    struct stat st;
    struct restore_disk_opts d = { .to = place_of(p),
                                   .format = p->kind == MACHINE_DISK ? p->format : "raw",
                                   .name = p->stream->name,
                                   .overwrite = p->device,
                                   .verify = o->verify,
                                   .dry_run = o->dry_run,
                                   .held = true,
                                   .on_problem = o->on_problem,
                                   .ctx = o->ctx };
    int r = p->kind == MACHINE_TPM && !o->dry_run ? make_tpm_folders(p, err) : 0;
    if (r == 0 && !o->disk_dir && p->kind != MACHINE_TPM && !p->device)
        r = machine_place_folder(p->path, err); /* it was looked at long ago */
    if (r == 0)
        r = restore_disk(repo, j, &p->stream->content, &d, report, err);
    if (r < 0 || o->dry_run || p->device)
        return r;
    if (lstat(d.to, &st) < 0)
        return bk_fail_errno(err, errno, "look at %s", d.to);
    p->made = true;
    p->dev = st.st_dev;
    p->ino = st.st_ino;
    return 0;
}

int machine_files_restore(struct repo *repo, struct job *j, const struct machine_opts *o, struct machines *m,
                          struct restore_report *report, struct bk_error *err)
{
    /* QEMU, who may be another user, has to get through to its disks. */
    int r = m->folder && !o->dry_run ? make_folder(m->folder, 0711, &m->folder_made, err) : 0;
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->v[i].n_parts && r == 0; k++)
            if (!m->v[i].parts[k].kept)
                r = restore_part(repo, j, o, &m->v[i].parts[k], report, err);
    return r;
}

static int exchange(struct machine_part *p)
{
    if (renameat2(AT_FDCWD, p->beside, AT_FDCWD, p->path, RENAME_EXCHANGE) < 0)
        return -errno;
    p->exchanged = !p->exchanged;
    return 0;
}

int machine_files_settle(struct machines *m, struct bk_error *err)
{
    int r = 0;
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->v[i].n_parts && r == 0; k++) {
            struct machine_part *p = &m->v[i].parts[k];
            r = p->beside ? machine_place_idle(p->path, err) : 0;
            if (r < 0)
                return r;
            int sys = p->beside ? exchange(p) : 0;
            r = sys < 0     ? bk_fail_errno(err, -sys, "give %s its name", p->path)
                : p->beside ? disk_new_sync_folder(p->path, err)
                            : 0;
        }
    return r;
}

void machine_files_keep(struct machines *m, bool problems, struct job *j)
{
    char text[128];
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->v[i].n_parts; k++) {
            struct machine_part *p = &m->v[i].parts[k];
            if (p->exchanged && problems)
                job_log(j, JOB_WARN, N_("what was in %s before is kept as %s"), p->path, p->beside);
            else if (p->exchanged && unlink(p->beside) < 0)
                job_log(j, JOB_WARN, N_("%s could not be removed: %s"), p->beside,
                        bk_errno_text(errno, text, sizeof text));
        }
}

/* Only what is still the file that was made. */
static void undo_part(struct machine_part *p, struct job *j)
{
    char text[128];
    struct stat st;
    int sys = p->exchanged ? exchange(p) : 0;
    const char *path = place_of(p);
    if (sys == 0 && p->made && lstat(path, &st) == 0 && st.st_dev == p->dev && st.st_ino == p->ino &&
        unlink(path) < 0)
        sys = -errno;
    if (sys < 0)
        job_log(j, JOB_WARN, N_("%s could not be removed: %s"), path, bk_errno_text(-sys, text, sizeof text));
    p->made = false;
}

void machine_files_undo(struct machines *m, struct job *j)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->v[i].n_parts && !m->v[i].defined; k++) {
            struct machine_part *p = &m->v[i].parts[k];
            undo_part(p, j);
            for (int up = 0; up < 2 && p->kind == MACHINE_TPM; up++) { /* those that are empty go */
                *strrchr(p->path, '/') = '\0';
                rmdir(p->path);
            }
        }
    if (m->folder_made)
        rmdir(m->folder);
}
