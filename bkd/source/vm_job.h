/* The backup job of a running domain: looked for, begun, ended. One thread. */
#ifndef BKD_SOURCE_VM_JOB_H
#define BKD_SOURCE_VM_JOB_H

#include "bkd/source/vm_domain.h"

/* End a job that a dead run of ours left behind. BUSY: another one runs, of anybody; it is left alone. */
int vm_job_clear_way(virDomainPtr dom, struct job *j, struct bk_error *err) BK_MUST_CHECK;

/* Begin it for all disks as of one moment, as planned, with a checkpoint named d->point for those that track;
 * the guest is frozen meanwhile, and thawed on return. What cannot be compared after all is read whole:
 * bases, points and reasons are what came of it. After an error vm_job_end is due. BUSY, FAILED, UNREACHABLE,
 * ... */
int vm_job_begin(struct vm_domain *d, virDomainPtr dom, const struct vm_opts *o, struct job *j,
                 struct bk_error *err) BK_MUST_CHECK;

/* Tell the job on this socket to end, and no other one. Any thread. UNREACHABLE, FAILED. */
int vm_job_abort(virDomainPtr dom, const char *socket, struct bk_error *err) BK_MUST_CHECK;

/* End it as the normal end is, wait until libvirt has removed what belongs to it, and wake a guest that was
 * stopped because its scratch file could not grow. May be repeated; a job that is not ours is left alone. */
int vm_job_end(struct vm_domain *d, virDomainPtr dom, struct job *j, struct bk_error *err) BK_MUST_CHECK;

#endif
