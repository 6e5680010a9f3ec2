/* Virtual machines of libvirt as a set of disks: the source "vm:NAME".
 *
 *     vm_disks_new -> disks_begin -> (the disks are read) -> disks_end -> disks_free
 *
 * Of a running domain all disks are taken as of one moment: a backup job of libvirt in pull mode, with the
 * guest's file systems frozen while it begins, and a checkpoint from which the next run tracks what changes.
 * Of a domain that is shut off the images are read as they lie, with the tracking that is stored in them; it
 * cannot be started meanwhile. libvirt and QEMU run on this machine. Disks are named "vda" when one domain
 * was asked for by its name, else "DOMAIN/vda". The job that begin is given stays until end or free.
 * docs/design/vm.md. */
#ifndef BKD_SOURCE_VM_H
#define BKD_SOURCE_VM_H

#include "bkd/source/disks.h"

#define VM_OPERAND "vm:" /* what an operand begins with; the name or pattern follows */

enum vm_freeze_policy {
    VM_FREEZE_TRY,     /* go on with a warning when the guest cannot be frozen */
    VM_FREEZE_REQUIRE, /* fail then */
    VM_FREEZE_NEVER,
};
enum { VM_FREEZE_MS = 10000 /* the default of freeze_max_ms */, VM_FREEZE_MIN_MS = 100 };

struct vm_opts {
    const char *uri;             /* of libvirt; NULL: libvirt's own default */
    const char *const *excluded; /* disks that are left out, "vda" or "DOMAIN/vda" */
    size_t n_excluded;
    enum vm_freeze_policy freeze;
    unsigned freeze_max_ms;  /* never longer; 0: VM_FREEZE_MS */
    const char *scratch_dir; /* what the guest overwrites meanwhile is kept below it, as much as it
                                overwrites; NULL: $TMPDIR, or /var/tmp */
    const char *series; /* tells these snapshots from other ones of the same domains, whose checkpoints are
                           left alone: the repository's id and the name; NULL: as the snapshot compared with
                           says, else a random one */
    bool full;          /* read everything, whatever the past says; new levels start from here */
};

/* domains: names, UUIDs or shell patterns; at least one. What opts points to is copied. USAGE, NOMEM. */
int vm_disks_new(const struct vm_opts *opts, const char *const *domains, size_t n, struct disks **ret,
                 struct bk_error *err) BK_MUST_CHECK;
/* Its begin: ABSENT: no such domain; BUSY: a job of somebody else runs on it, or another backup; of one that
 * is shut off FAILED instead, with what QEMU's tools say of the image's lock; UNREACHABLE; UNSUPPORTED:
 * libvirt is not installed or runs on another machine, or the domain's disks cannot be backed up; FAILED: the
 * guest cannot be frozen and had to be. */

/* Hand a domain back as it was: end what an interrupted run of ours left running, delete our checkpoints and
 * the bitmaps in its images. The next backup reads everything. *ret_removed: how many checkpoints went. BUSY:
 * a backup runs. */
int vm_forget_tracking(const char *uri, const char *domain, struct job *j, unsigned *ret_removed,
                       struct bk_error *err) BK_MUST_CHECK;

#endif
