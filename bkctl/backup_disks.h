/* Operands of backup that are disks: "disk:PATH", "nbd:URI", "rbd:POOL/IMAGE", "vm:NAME". */
#ifndef BKCTL_BACKUP_DISKS_H
#define BKCTL_BACKUP_DISKS_H

#include "bkctl/command.h"
#include "bkd/backup/backup.h"

struct backup_disks_args {
    int format;                        /* 0: auto, else of disk_formats */
    int audit;                         /* per cent */
    const char *connect, *scratch_dir; /* of virtual machines, these and what follows */
    struct opt_list excluded;
    int freeze; /* enum vm_freeze_policy */
    int freeze_max_s;
};
#define BACKUP_DISKS_FREEZE "try|require|never"

/* Are the operands disks? USAGE: some of them, or the options do not fit. */
int backup_disks_check(const struct backup_disks_args *x, const struct operands *ops, bool *ret,
                       struct bk_error *err) BK_MUST_CHECK;
int backup_disks_run(struct app *a, struct repo *repo, const struct backup_common *c,
                     const struct backup_disks_args *x, const struct operands *ops, struct backup_result *ret,
                     struct bk_error *err) BK_MUST_CHECK;

#endif
