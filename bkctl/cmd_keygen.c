/* key generate: a key pair in two files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bkctl/cmd_key.h"
#include "bkctl/show.h"
#include "formats/crypto/slot.h"

enum { PEM_MAX = 65536 };

static int write_new(const char *path, mode_t mode, const struct bk_buf *b, struct bk_error *err)
{
    bk_auto(close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return bk_fail_errno(err, errno, "create %s", path);
    int r = 0;
    for (size_t at = 0; at < b->len && r == 0;) {
        ssize_t n = write(fd, b->data + at, b->len - at);
        if (n < 0 && errno != EINTR)
            r = bk_fail_errno(err, errno, "write %s", path);
        at += n > 0 ? (size_t)n : 0;
    }
    if (r == 0 && fsync(fd) < 0)
        r = bk_fail_errno(err, errno, "write %s", path);
    if (r < 0)
        unlink(path);
    return r;
}

int key_generate(struct app *a, const struct key_args *x, const char *file, struct bk_error *err)
{
    bk_auto(free) char *private_path = NULL;
    bk_auto(free) char *public_path = NULL;
    if (asprintf(&private_path, "%s.key", file) < 0 || asprintf(&public_path, "%s.pub", file) < 0)
        return bk_fail_errno(err, ENOMEM, "generate a key pair");
    struct bk_buf private = BK_BUF(PEM_MAX);
    bk_auto(bk_buf_clear) struct bk_buf public = BK_BUF(PEM_MAX);
    int r = slot_generate_pair(x->kind ? SLOT_SM2 : SLOT_X25519, &private, &public, err);
    if (r == 0)
        r = write_new(private_path, 0600, &private, err);
    if (r == 0) {
        r = write_new(public_path, 0644, &public, err);
        if (r < 0)
            unlink(private_path);
    }
    if (private.data)
        suite_wipe(private.data, private.cap);
    bk_buf_clear(&private);
    if (r < 0)
        return r;
    if (a->g.json) {
        json_t *o = show_record("result");
        text_json_bytes(o, "private", private_path, strlen(private_path));
        text_json_bytes(o, "public", public_path, strlen(public_path));
        ui_emit(&a->ui, o);
    } else if (!a->g.quiet) {
        printf(_("wrote %s (keep it secret and safe) and %s\n"), private_path, public_path);
    }
    return 0;
}
