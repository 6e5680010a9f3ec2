/* What is read from libvirt's XML and written for it. The XML is hostile: no entities, no DTD, nothing is
 * fetched. Pure; any thread. */
#ifndef BKD_SOURCE_VM_XML_H
#define BKD_SOURCE_VM_XML_H

#include <stdint.h>

#include "formats/base/buf.h"

enum { VM_XML_MAX = 16 << 20 /* bytes */, VM_XML_DISKS_MAX = 512, VM_NAME_MAX = 255, VM_CHECKPOINT_MAX = 80 };

enum vm_disk_kind { VM_DISK_FILE, VM_DISK_BLOCK, VM_DISK_NETWORK, VM_DISK_OTHER };
struct vm_xml_disk {
    char *target;        /* "vda" */
    char *source;        /* the path of a file or device; else NULL */
    char *nbd;           /* the URI of a network disk behind NBD; else NULL */
    char *pool, *volume; /* names, of a disk that lies in a storage pool; else NULL */
    char *format;        /* as the definition says, "raw" where it says nothing */
    enum vm_disk_kind kind;
    bool read_only;
    bool wrapped; /* encrypted, a slice, or a container behind NBD: only QEMU sees what the guest sees */
};
struct vm_xml {
    char *name, *uuid;
    struct vm_xml_disk *disks; /* hard disks with a source; others are left out */
    size_t n_disks;
    char **passed; /* targets of devices that are handed through and cannot be read beside the guest */
    size_t n_passed;
    char *nvram, *kernel, *initrd; /* paths, or NULL */
    char *tpm_dir;                 /* where the definition says the emulated TPM's state lies; or NULL */
    bool tpm;                      /* it has an emulated one */
    bool agent, agent_connected;   /* a channel for the guest agent, and somebody answers on it */
    bool has_owner;                /* QEMU runs as this user and group */
    uint32_t uid, gid;
};
/* CORRUPT: no domain, or not as libvirt writes them; LIMIT, NOMEM. ret is to be cleared also after errors. */
int vm_xml_read(const char *text, struct vm_xml *ret, struct bk_error *err) BK_MUST_CHECK;
void vm_xml_clear(struct vm_xml *x);
BK_AUTO_CLEAR(struct vm_xml, vm_xml_clear)

/* The socket of a backup job, from its XML; *ret NULL: it has none. The caller's, to free. */
int vm_xml_job_socket(const char *text, char **ret, struct bk_error *err) BK_MUST_CHECK;

/* A backup job to be. */
struct vm_xml_backup {
    const char *target;
    const char *scratch; /* path */
    const char *base;    /* the checkpoint that it is compared with; NULL: everything */
    bool tracks;         /* takes part in the checkpoint */
};
/* NUL-terminated. The checkpoint is for those disks that track; *ret_point stays empty when none does. LIMIT,
 * NOMEM. */
int vm_xml_write(const char *socket, const char *point, const struct vm_xml_backup *v, size_t n,
                 struct bk_buf *ret_job, struct bk_buf *ret_point, struct bk_error *err) BK_MUST_CHECK;

/* "nbd+unix:///EXPORT?socket=PATH", escaped. The caller's, to free. NOMEM. */
int vm_xml_nbd_uri(const char *socket, const char *name, char **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
