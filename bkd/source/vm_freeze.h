/* A guest whose file systems are frozen, and that is thawed whatever happens to us.
 *
 *     vm_freeze_start -> (the backup begins) -> vm_freeze_thaw -> vm_freeze_free
 *
 * A thread of its own freezes and thaws: at the latest when the time is over, while the caller may hang in a
 * call. A process of its own thaws when ours is killed meanwhile. Start, thaw and free belong to one thread.
 * docs/design/vm.md, "Frozen". */
#ifndef BKD_SOURCE_VM_FREEZE_H
#define BKD_SOURCE_VM_FREEZE_H

#include <stdbool.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum { VM_THAW_PATIENCE_MS = 15000 };

struct vm_freeze;
/* On success the guest is frozen. uri may be NULL. UNREACHABLE: the agent does not answer, at the latest
 * after max_ms; FAILED: it refuses. After an error it is not, or will be thawed as soon as the agent says
 * that it is: *ret is set also then, if at all, and free waits for that. */
int vm_freeze_start(const char *uri, const char *uuid, unsigned max_ms, struct vm_freeze **ret,
                    struct bk_error *err) BK_MUST_CHECK;
/* Thaw now. *ret_ms: how long it was frozen, from the call to freeze to the answer to the call to thaw;
 * *ret_early: the time was over and it had been thawed before. FAILED: the agent does not thaw it; trying
 * goes on. */
int vm_freeze_thaw(struct vm_freeze *f, unsigned *ret_ms, bool *ret_early,
                   struct bk_error *err) BK_MUST_CHECK;
/* Waits for the thaw, for VM_THAW_PATIENCE_MS. After that the thread goes on trying, with pauses that grow to
 * half a minute, until it is thawed or gone, as long as the program lives. */
void vm_freeze_free(struct vm_freeze *f);
BK_AUTO(struct vm_freeze *, vm_freeze_free)

#endif
