/* The definition of a machine out of a backup, changed so that it fits where it is restored to. It is
 * hostile, as vm_xml.h says. Pure but for what it tells the job's log; any thread. docs/design/vm.md. */
#ifndef BKD_SOURCE_VM_REWRITE_H
#define BKD_SOURCE_VM_REWRITE_H

#include "bkd/job/job.h"

struct vm_rewrite_disk {
    const char *target; /* "vda" */
    const char *path, *format;
    bool device; /* path is a block device */
};
struct vm_rename {
    const char *from, *to;
    bool used; /* set when something was renamed */
};
struct vm_rewrite {
    const char *name, *uuid;             /* NULL: stays */
    bool new_macs;                       /* libvirt draws them */
    const struct vm_rewrite_disk *disks; /* where they lie now; others are left out, and that is told */
    size_t n_disks;
    const char *nvram, *kernel, *initrd; /* paths; NULL: stays */
    bool forget_nvram;                   /* libvirt makes it from the template */
    bool forget_tpm_place;               /* its state lies where libvirt looks by itself */
    struct vm_rename *networks;          /* networks and bridges */
    size_t n_networks;
    bool (*has_medium)(const char *path); /* is this for a drive for media there? else it becomes empty;
                                             NULL: all are */
};
/* NUL-terminated, the caller's. What only meant something where it ran goes: ids, aliases, labels that were
 * made up, chains of images, what was running. CORRUPT, LIMIT, NOMEM; USAGE: a name or path is not UTF-8. */
int vm_rewrite(const char *text, const struct vm_rewrite *w, struct job *j, char **ret,
               struct bk_error *err) BK_MUST_CHECK;

/* The networks that a definition names; fn may end it with an error. */
typedef int vm_rewrite_network_fn(void *ctx, const char *name, struct bk_error *err);
int vm_rewrite_networks(const char *text, vm_rewrite_network_fn *fn, void *ctx,
                        struct bk_error *err) BK_MUST_CHECK;

#endif
