/* key's options, shared by its files. */
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

/* A new data key. */
int key_rotate_data(struct app *a, struct bk_error *err) BK_MUST_CHECK;
/* What a lost key reads. what: the id of a slot, or "epoch:N". */
int key_compromise(struct app *a, const char *what, struct bk_error *err) BK_MUST_CHECK;

#endif
