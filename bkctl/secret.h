/* Where secrets come from: a file, a command, BKCTL_PASSWORD, a key file, a private key, or a question at the
 * terminal. Secrets are wiped when they are cleared and never appear in messages. */
#ifndef BKCTL_SECRET_H
#define BKCTL_SECRET_H

#include "bkctl/app.h"
#include "formats/crypto/slot.h"

struct secret {
    struct slot_secret s; /* borrows from mem */
    struct bk_buf mem;
};
void secret_clear(struct secret *s);
BK_AUTO_CLEAR(struct secret, secret_clear)

struct secret_source {
    const char *password_file, *password_command, *key_file, *pem_file;
    const char *env;     /* variable with a passphrase, used when none of the above is given; may be NULL */
    const char *prompt;  /* message, translated */
    bool twice;          /* a typed passphrase is asked for again */
    enum suite_id suite; /* which kind of key pem_file holds */
};
/* USAGE when nothing is given and there is no terminal, or when two typed passphrases differ. */
int secret_get(const struct secret_source *src, struct secret *ret, struct bk_error *err) BK_MUST_CHECK;

#endif
