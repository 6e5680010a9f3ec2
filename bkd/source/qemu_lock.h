/* Is an image or a device in use? By the locks that QEMU takes on what it has open, and before it is written
 * to also by what processes have open: QEMU may hold its locks on a node of the device in a /dev of its own,
 * where nobody else sees them. */
#ifndef BKD_SOURCE_QEMU_LOCK_H
#define BKD_SOURCE_QEMU_LOCK_H

#include <stdbool.h>

#include "formats/base/error.h"

/* writing: may it be written to, or only read? BUSY: a QEMU has it open for writing, or (writing) at all, or
 * another process that we may look at has it open for writing. What cannot be asked counts as free. */
int qemu_lock_check(int fd, bool writing, struct bk_error *err) BK_MUST_CHECK;

#endif
