/* Watches over the scratch folder while disks are read. What a guest overwrites goes there; when it is full,
 * libvirt would stop the guest. So the jobs are ended before: the backup fails, the guest goes on.
 *
 *     vm_guard_room -> (jobs begin) -> vm_guard_start -> (the disks are read) -> vm_guard_stop */
#ifndef BKD_SOURCE_VM_GUARD_H
#define BKD_SOURCE_VM_GUARD_H

#include "bkd/source/vm_domain.h"

enum { VM_GUARD_LOW = 64 << 20 /* bytes that are left free */ };

/* NOSPACE: it is too full to begin with. */
int vm_guard_room(const struct vm_scratch *s, struct bk_error *err) BK_MUST_CHECK;

struct vm_guard;
/* The domains, the folder and the job stay until stop. NOMEM. */
int vm_guard_start(const char *uri, const struct vm_domain *v, size_t n, const struct vm_scratch *s,
                   struct job *j, struct vm_guard **ret, struct bk_error *err) BK_MUST_CHECK;
/* *ret: it ended the jobs. Also the end of the object; NULL is accepted. */
bool vm_guard_stop(struct vm_guard *g);

#endif
