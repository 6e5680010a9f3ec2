/* What a run leaves for the next one, in the snapshot's DISKS_SOURCE, and what the last one left. The text is
 * hostile: whatever does not look as ours counts as absent, and everything is read. docs/design/vm.md, "What
 * a snapshot remembers". Pure; one thread. */
#ifndef BKD_SOURCE_VM_PAST_H
#define BKD_SOURCE_VM_PAST_H

#include <jansson.h>

#include "bkd/source/disks.h"
#include "bkd/source/vm_xml.h"

enum { VM_SERIES = 8 /* hex digits */ };
#define VM_CHECKPOINT_PREFIX "bkctl-"

/* "bkctl-SSSSSSSS-TIME", TIME in nanoseconds since 1970: no name comes a second time, even when the clock is
 * set back. */
struct vm_point_name {
    char text[VM_CHECKPOINT_MAX];
};
struct vm_point_name vm_point_name(const char series[static VM_SERIES + 1], int64_t unix_ns);
/* A name of ours: nothing else in it that XML, JSON or a command line could take otherwise. */
bool vm_point_is_ours(const char *name);
/* Of this series. */
bool vm_point_is_of(const char *name, const char series[static VM_SERIES + 1]);

struct vm_past;
/* Never fails but for lack of memory: what cannot be understood is empty, *ret_odd says so. */
int vm_past_read(const struct disks_past *p, struct vm_past **ret, bool *ret_odd,
                 struct bk_error *err) BK_MUST_CHECK;
void vm_past_free(struct vm_past *p);
BK_AUTO(struct vm_past *, vm_past_free)

/* NULL: it says nothing, or nothing of that domain. Strings live as long as p. */
const char *vm_past_series(const struct vm_past *p);
struct vm_past_domain {
    const char *full; /* the checkpoint of the last full; NULL: none */
    const json_t *disks;
};
bool vm_past_domain(const struct vm_past *p, const char *uuid, struct vm_past_domain *ret);
struct vm_past_disk {
    const char *name, *format, *source, *checkpoint; /* each may be NULL */
    uint64_t size;
};
bool vm_past_disk(const struct vm_past_domain *d, const char *target, struct vm_past_disk *ret);

/* Writing: an object for a domain, one for each disk in it. NOMEM. */
struct vm_now;
struct vm_now_domain {
    const char *name, *uuid, *checkpoint, *full; /* checkpoint: the new one; those two may be NULL */
    bool active, frozen;
    unsigned freeze_ms;
};
struct vm_now_disk {
    const char *target, *name, *format, *source, *checkpoint, *reason; /* the last three may be NULL */
    uint64_t size;
};
int vm_now_new(const char series[static VM_SERIES + 1], struct vm_now **ret,
               struct bk_error *err) BK_MUST_CHECK;
int vm_now_domain(struct vm_now *n, const struct vm_now_domain *d, struct bk_error *err) BK_MUST_CHECK;
/* Of the domain that was added last. */
int vm_now_disk(struct vm_now *n, const struct vm_now_disk *d, struct bk_error *err) BK_MUST_CHECK;
/* The caller's, to free. */
int vm_now_text(const struct vm_now *n, char **ret, struct bk_error *err) BK_MUST_CHECK;
void vm_now_free(struct vm_now *n);
BK_AUTO(struct vm_now *, vm_now_free)

#endif
