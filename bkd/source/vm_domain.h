/* One domain of a run: what it has, what is to be done with each of its disks, and its backup job.
 *
 *     vm_domain_look -> vm_domain_plan -> vm_job_begin -> (read) -> vm_job_end      a running domain
 *     vm_domain_look -> vm_domain_plan -> (the images are read)                     one that is shut off
 *
 * One thread. */
#ifndef BKD_SOURCE_VM_DOMAIN_H
#define BKD_SOURCE_VM_DOMAIN_H

#include "bkd/source/vm.h"
#include "bkd/source/vm_freeze.h"
#include "bkd/source/vm_lib.h"
#include "bkd/source/vm_past.h"
#include "bkd/source/vm_scratch.h"

struct vm_disk {
    const struct vm_xml_disk *xml; /* of the domain's */
    uint64_t size;                 /* bytes */
    bool tracks;                   /* the format can hold a bitmap */
    char base[VM_CHECKPOINT_MAX];  /* what it is compared with; empty: all of it is read */
    char point[VM_CHECKPOINT_MAX]; /* from where the next run can compare; empty: from nowhere */
    const char *reason;            /* message id: why all of it is read, or NULL */
};
struct vm_domain {
    char uuid[37];
    char name[VM_NAME_MAX + 1];
    bool by_pattern;     /* it fitted one, and was not named */
    bool active, paused; /* paused: by somebody else, so nobody in it answers */
    struct vm_xml xml;
    struct vm_disk *disks; /* those that are backed up */
    size_t n_disks;
    char full[VM_CHECKPOINT_MAX];  /* the checkpoint of the last full; empty: none */
    char point[VM_CHECKPOINT_MAX]; /* the new one; empty: none was made */
    char socket[VM_SOCKET_MAX];    /* of the job */
    bool job;                      /* it was begun, or may have been */
    bool frozen;                   /* the guest was, while the backup began */
    unsigned freeze_ms;
    struct vm_freeze *freeze; /* while it is to be thawed */
};
void vm_domain_clear(struct vm_domain *d);

/* State, definition, disks with their sizes. d->uuid is set. ABSENT, FAILED, CORRUPT. */
int vm_domain_look(struct vm_domain *d, virDomainPtr dom, const struct vm_opts *o, struct job *j,
                   struct bk_error *err) BK_MUST_CHECK;
/* Where the disk's bytes lie, a path or a URI; NULL: that is not known. */
const char *vm_disk_place(const struct vm_disk *k);
/* For each disk: compare, and with what, or read all of it, and why. many: it is called "DOMAIN/TARGET" in
 * the snapshot. points: the domain's checkpoints, ended by NULL; those of domains that are shut off count
 * when the image still has the bitmap. */
int vm_domain_plan(struct vm_domain *d, const struct vm_past *past, bool full, bool many, char *const *points,
                   struct job *j, struct bk_error *err) BK_MUST_CHECK;
/* All of each disk is read, for this reason; those that had one keep it. */
void vm_domain_read_all(struct vm_domain *d, const char *reason);

/* The paths of disks that are volumes of a storage pool; one that has none, or whose pool is not active, is
 * left without. */
void vm_volumes_find(virDomainPtr dom, struct vm_xml *x);

/* Names of checkpoints that are ours, ended by NULL. */
int vm_points_list(virDomainPtr dom, char ***ret, struct bk_error *err) BK_MUST_CHECK;
void vm_points_free(char **v);
BK_AUTO(char **, vm_points_free)
/* Delete it with its bitmaps, or its record alone where the bitmaps are lost; one that is gone is well. */
int vm_points_delete(virDomainPtr dom, const char *name, struct bk_error *err) BK_MUST_CHECK;

#endif
