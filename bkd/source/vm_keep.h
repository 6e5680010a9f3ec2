/* What is kept of a domain beside its disks: definition, firmware variables, kernel, TPM state. One thread.
 */
#ifndef BKD_SOURCE_VM_KEEP_H
#define BKD_SOURCE_VM_KEEP_H

#include "bkd/source/vm_domain.h"

/* Into s, with prefix in front of each name: "domain.xml" (with secrets, such as the password of its
 * display), "nvram", "kernel", "initrd", "tpm/FILE". What cannot be kept is told as a warning, but for the
 * definition. */
int vm_keep_texts(const struct vm_domain *d, virDomainPtr dom, const char *prefix, struct disks *s,
                  struct job *j, struct bk_error *err) BK_MUST_CHECK;

#endif
