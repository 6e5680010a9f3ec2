/* A process that thaws a guest when ours dies without having said that it is done. It is virsh, behind a
 * shell that waits; where virsh is not installed, there is none. */
#ifndef BKD_SOURCE_VM_THAWER_H
#define BKD_SOURCE_VM_THAWER_H

struct vm_thawer;
/* NULL: it could not be started. uri may be NULL. */
struct vm_thawer *vm_thawer_start(const char *uri, const char *uuid);
/* It ends without doing anything. NULL is accepted. */
void vm_thawer_done(struct vm_thawer *t);
/* It stays until our program ends, and thaws then. */
void vm_thawer_leave(struct vm_thawer *t);

#endif
