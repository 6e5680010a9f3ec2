/* Watches over the scratch folder while disks are read. What a guest overwrites goes there; when it is full,
 * libvirt would stop the guest. So the jobs are ended before: the backup fails, the guest goes on.
 *
 *     vm_guard_room -> vm_guard_start -> (a job begins) -> vm_guard_begun ... -> (the disks are read)
 *         -> vm_guard_stop */
#ifndef BKD_SOURCE_VM_GUARD_H
#define BKD_SOURCE_VM_GUARD_H

#include "bkd/source/vm_domain.h"

enum { VM_GUARD_LOW = 64 << 20 /* bytes that are left free */ };

/* NOSPACE: it is too full to begin with. */
int vm_guard_room(const struct vm_scratch *s, struct bk_error *err) BK_MUST_CHECK;

struct vm_guard;
/* The domains, the folder and the job stay until stop. NOMEM. */
int vm_guard_start(const char *uri, const struct vm_domain *v, const struct vm_scratch *s, struct job *j,
                   struct vm_guard **ret, struct bk_error *err) BK_MUST_CHECK;
/* The first n of the domains have begun; from here on it may end their jobs. NOSPACE: it ended those of the
 * ones before. */
int vm_guard_begun(struct vm_guard *g, size_t n, struct bk_error *err) BK_MUST_CHECK;
/* Also the end of the object; NULL is accepted. */
void vm_guard_stop(struct vm_guard *g);

#endif
