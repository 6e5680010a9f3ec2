/* Disk images of the formats that QEMU knows. docs/design/disks.md, "Formats". */
#ifndef BKD_SOURCE_DISK_FORMAT_H
#define BKD_SOURCE_DISK_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/base/auto.h"
#include "formats/base/error.h"

/* The formats that can be asked for: "raw", "qcow2", "vmdk", "vhdx", "vdi", "vpc"; ends with NULL. */
extern const char *const disk_formats[];
bool disk_format_known(const char *format);
/* What the ending of a name says: "qcow2" for x.qcow2, "raw" for x.raw and x.img; NULL: nothing. *ret_stem,
 * if asked for: how many bytes of the name stand before that ending. */
const char *disk_format_of_name(const char *name, size_t *ret_stem);
/* What the first bytes look like; NULL: none of the formats. A guest may write them into its raw disk, so
 * this is a reason to ask, never to believe. IO. */
int disk_format_of_bytes(const char *path, const char **ret, struct bk_error *err) BK_MUST_CHECK;

#endif
