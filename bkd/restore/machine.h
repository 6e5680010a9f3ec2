/* Restoring virtual machines: their disks, what belongs to them, and their definitions in a libvirt.
 *
 * Everything is looked at before a byte is written: names, networks, every place. Then the disks are
 * restored, then what was there before (with `overwrite`) is exchanged for what is new, then the machines are
 * defined, then started. After an error, or when it is cancelled, none of the machines is defined, what was
 * there before is there again (but for block devices) and what was made is gone; a machine that cannot be
 * started stays. docs/design/vm.md. */
#ifndef BKD_RESTORE_MACHINE_H
#define BKD_RESTORE_MACHINE_H

#include <sys/types.h>

#include "bkd/restore/restore.h"
#include "bkd/source/vm_define.h"
#include "bkd/source/vm_rewrite.h"
#include "bkd/source/vm_xml.h"

struct machine_opts {
    const char *uri;      /* of libvirt; NULL: its own default */
    const char *domain;   /* which one of the snapshot; NULL: all */
    const char *name;     /* its new name; NULL: as it was */
    const char *disk_dir; /* where all of its files go, made when absent; NULL: the folders that the
                             definition names, which must be there */
    const char *format;   /* of the disks; NULL: as the definition says */
    bool new_uuid, new_macs;
    struct vm_rename *networks;
    size_t n_networks;
    bool start, overwrite, verify, dry_run;
    void (*on_problem)(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why);
    void *ctx;
};

enum machine_kind { MACHINE_DISK, MACHINE_NVRAM, MACHINE_KERNEL, MACHINE_INITRD, MACHINE_TPM };
struct machine_part {
    enum machine_kind kind;
    const struct snapshot_stream *stream; /* of the snapshot's */
    const char *target;                   /* "vda", or what kind of thing it is */
    const char *format;                   /* of a disk */
    char *path;                           /* owned: where it goes */
    bool device;                          /* path is a block device */
    bool kept;                            /* the same bytes are there already */
    /* inside */
    char *beside; /* owned: its name until it is exchanged for what is there; NULL: nothing is there */
    bool made, exchanged;
    dev_t dev; /* of the file that was made */
    ino_t ino;
};
struct machine {
    char name[VM_NAME_MAX + 1];
    char uuid[VM_UUID + 1];
    bool new_uuid, new_macs, defined, started;
    struct machine_part *parts;
    size_t n_parts;
    /* inside */
    const char *prefix; /* of the names of its streams, with the length; of the snapshot's */
    size_t prefix_len;
    char *text, *changed; /* definitions, as it was and as it will be */
    struct vm_xml xml;
};
struct machines {
    struct machine *v;
    size_t n;
    char *folder; /* the absolute disk_dir */
    bool folder_made;
};
void machines_clear(struct machines *m);
BK_AUTO_CLEAR(struct machines, machines_clear)

/* The caller holds a session. ret borrows from s. Counts into report; with problems in it the machines are
 * defined and not started. ABSENT: no such machine, network or folder; EXISTS: the name or uuid is taken, or
 * something is where a disk goes; USAGE: a new name for several; UNSUPPORTED, CORRUPT, UNREACHABLE. */
int machines_restore(struct repo *repo, struct job *j, const struct snapshot *s, const struct machine_opts *o,
                     struct machines *ret, struct restore_report *report, struct bk_error *err) BK_MUST_CHECK;

#endif
