/* key's options, shared by its two files. */
#ifndef BKCTL_CMD_KEY_H
#define BKCTL_CMD_KEY_H

#include "bkctl/command.h"

struct key_args {
    const char *new_password_file, *new_password_command, *new_key_file, *public_key, *label;
    int kdf;  /* enum slot_kdf */
    int kind; /* 0 x25519, 1 sm2 */
};

/* FILE.key (mode 0600) and FILE.pub; neither may exist. */
int key_generate(struct app *a, const struct key_args *x, const char *file,
                 struct bk_error *err) BK_MUST_CHECK;

#endif
