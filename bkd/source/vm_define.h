/* Machines that are restored onto a libvirt: what is taken there, and defining them.
 *
 *     vm_define_open -> look ... -> vm_define_add -> (vm_define_start | vm_define_remove) -> vm_define_free
 *
 * libvirt runs on this machine. One thread. */
#ifndef BKD_SOURCE_VM_DEFINE_H
#define BKD_SOURCE_VM_DEFINE_H

#include <stdbool.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

enum { VM_UUID = 36 /* characters */ };

struct vm_define;
/* uri NULL: libvirt's own default. UNREACHABLE, PERM; UNSUPPORTED: libvirt is not installed, or runs on
 * another machine. */
int vm_define_open(const char *uri, struct vm_define **ret, struct bk_error *err) BK_MUST_CHECK;
void vm_define_free(struct vm_define *d);
BK_AUTO(struct vm_define *, vm_define_free)

int vm_define_has_name(struct vm_define *d, const char *name, bool *ret, struct bk_error *err) BK_MUST_CHECK;
int vm_define_has_uuid(struct vm_define *d, const char *uuid, bool *ret, struct bk_error *err) BK_MUST_CHECK;
int vm_define_has_network(struct vm_define *d, const char *name, bool *ret,
                          struct bk_error *err) BK_MUST_CHECK;
/* A random one. IO. */
int vm_define_new_uuid(char ret[static VM_UUID + 1], struct bk_error *err) BK_MUST_CHECK;

/* name and uuid: those in the XML. EXISTS: one of them was taken meanwhile; nothing was changed. */
int vm_define_add(struct vm_define *d, const char *xml, const char *name, const char *uuid,
                  struct bk_error *err) BK_MUST_CHECK;
/* Take the definition away, and no file. */
int vm_define_remove(struct vm_define *d, const char *uuid, struct bk_error *err) BK_MUST_CHECK;
int vm_define_start(struct vm_define *d, const char *uuid, struct bk_error *err) BK_MUST_CHECK;

#endif
