/* restore --define: machines out of a snapshot, defined in a libvirt. */
#ifndef BKCTL_RESTORE_MACHINE_H
#define BKCTL_RESTORE_MACHINE_H

#include "bkctl/command.h"
#include "bkd/restore/restore.h"

struct restore_machine_args {
    bool define, new_uuid, new_mac, start;
    const char *connect, *domain, *name, *disk_dir;
    struct opt_list networks; /* "A=B" */
};

/* USAGE: options that need --define without it, or that do not go with it. other: one was given that is for
 * files. */
int restore_machine_check(const struct restore_machine_args *x, const struct operands *ops, bool other,
                          struct bk_error *err) BK_MUST_CHECK;

/* What the other options say of disks. */
struct restore_machine_how {
    const char *format; /* NULL: as the definition says */
    bool overwrite, verify, dry_run;
    void (*on_problem)(void *ctx, const uint8_t *path, size_t path_len, const struct bk_error *why);
};
/* *ret_machines: what became of them, docs/json.md; the caller's. */
int restore_machine_run(struct app *a, struct repo *repo, const struct snapshot *s,
                        const struct restore_machine_args *x, const struct restore_machine_how *how,
                        struct restore_report *report, json_t **ret_machines,
                        struct bk_error *err) BK_MUST_CHECK;
void restore_machine_print(const json_t *machines);

#endif
