/* The locks that QEMU takes on the images it has open: byte ranges, seen by everybody who asks. */
#ifndef BKD_SOURCE_QEMU_LOCK_H
#define BKD_SOURCE_QEMU_LOCK_H

#include <stdbool.h>

#include "formats/base/error.h"

/* writing: may it be written to, or only read? BUSY: a QEMU has it open for writing, or (writing) at all.
 * Where locks cannot be asked for, 0. */
int qemu_lock_check(int fd, bool writing, struct bk_error *err) BK_MUST_CHECK;

#endif
