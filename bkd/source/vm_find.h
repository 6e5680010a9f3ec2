/* Domains by name, UUID or pattern. One thread. */
#ifndef BKD_SOURCE_VM_FIND_H
#define BKD_SOURCE_VM_FIND_H

#include "bkd/source/vm_domain.h"

/* A name or UUID, no pattern. */
bool vm_find_is_plain(const char *operand);
/* Each that fits, once, in the order of the operands and by name; name, uuid and by_pattern are set. The
 * caller's, also after errors. ABSENT: nothing fits one of them. LIMIT. */
int vm_find(virConnectPtr c, const char *const *operands, size_t n, struct vm_domain **ret, size_t *ret_n,
            struct bk_error *err) BK_MUST_CHECK;
int vm_find_one(virConnectPtr c, const char *operand, virDomainPtr *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
