/* The private folder of a run: sockets and scratch files of its backup jobs, and a lock that says that the
 * run lives.
 *
 *     DIR/bkctl-vm-HHHHHHHH/      0711, ours       lock (locked while we live)
 *     DIR/bkctl-vm-HHHHHHHH/0/    0700, of the user that QEMU runs as       sock  vda  vdb ...
 *
 * The name is in the job's XML, so a later run sees whose a job is that it finds. One thread. */
#ifndef BKD_SOURCE_VM_SCRATCH_H
#define BKD_SOURCE_VM_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum { VM_SOCKET_MAX = 107 /* bytes of a socket's path with its end */ };

struct vm_scratch;
/* dir NULL: $TMPDIR or /var/tmp. ABSENT, PERM, NOSPACE, LIMIT: its name is too long. */
int vm_scratch_new(const char *dir, struct vm_scratch **ret, struct bk_error *err) BK_MUST_CHECK;
/* The folder of domain number i, of this owner; socket: where its job's is to be. */
int vm_scratch_domain(struct vm_scratch *s, unsigned i, bool has_owner, uint32_t uid, uint32_t gid,
                      char socket[static VM_SOCKET_MAX], struct bk_error *err) BK_MUST_CHECK;
/* Where the scratch file of a disk beside that socket is to be. The caller's, to free. */
int vm_scratch_file(const char *socket, const char *target, char **ret, struct bk_error *err) BK_MUST_CHECK;
/* Bytes that are free for scratch files. */
uint64_t vm_scratch_free_bytes(const struct vm_scratch *s);
/* Removes it and all in it. */
void vm_scratch_free(struct vm_scratch *s);
BK_AUTO(struct vm_scratch *, vm_scratch_free)
/* The end of the object alone: a job of it runs on. The next run finds it as one that was killed left it. */
void vm_scratch_leave(struct vm_scratch *s);

enum vm_scratch_owner {
    VM_SCRATCH_FOREIGN, /* no socket of ours */
    VM_SCRATCH_ALIVE,   /* of a run that lives, or may */
    VM_SCRATCH_DEAD,    /* its run has ended */
};
enum vm_scratch_owner vm_scratch_owner(const char *socket);
/* Remove the folder of a run that is dead, whose jobs have ended. */
void vm_scratch_clear_dead(const char *socket);
/* Remove those below dir whose run is dead and whose sockets nobody serves. */
void vm_scratch_sweep(const char *dir);

#endif
