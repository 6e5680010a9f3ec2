/* New segments: into the repository, or beside it. */
#include <unistd.h>

#include "bkd/repo/index_inside.h"
#include "bkd/repo/index_temp.h"

/* The bytes of a segment, and their hash as its name. */
static int build(struct index *x, const struct segment_input *in, struct bk_buf *out,
                 char path[static REPO_PATH], struct bk_error *err)
{
    uint8_t hash[SUITE_HASH];
    int r = segment_build(repo_keyring(index_repo(x)), in, out, err);
    if (r == 0)
        r = suite_hash(repo_keyring(index_repo(x))->suite, out->data, out->len, hash, err);
    if (r < 0)
        return bk_context(err, "build an index segment");
    repo_id_path("index/", hash, SUITE_HASH, path);
    return 0;
}

static int keep(struct index *x, const char *label, const struct bk_buf *b, struct bk_error *err)
{
    struct index_segment *s = NULL;
    int fd = -1;
    int r = index_temp_write(b->data, b->len, &fd, err);
    if (r == 0)
        r = index_segment_load_adopt_fd(index_repo(x), label, fd, b->len, &s, err);
    if (r < 0 && fd >= 0)
        close(fd);
    if (r == 0 && (r = index_join(x, s, err)) < 0)
        index_segment_free(s);
    return r;
}

int index_keep_segment(struct index *x, const struct segment_input *in, uint64_t *ret_bytes,
                       struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF((size_t)1 << 30);
    char path[REPO_PATH];
    int r = build(x, in, &out, path, err);
    if (r == 0)
        r = keep(x, path, &out, err);
    if (r == 0)
        *ret_bytes = out.len;
    return r;
}

/* A name is its content: who was first put the same bytes. If they are not the same any more, they are
 * damaged and worth nothing, and make way. */
static int put_named(struct store *s, const char *path, const struct bk_buf *bytes, struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf there = BK_BUF(0);
    struct bk_error why = { 0 };
    int r = store_put(s, path, bytes->data, bytes->len, err);
    if (r != BK_E_EXISTS && r != BK_E_IO)
        return r;
    r = store_get_all(s, path, bytes->len, &there, &why);
    if (r == 0 && there.len == bytes->len && memcmp(there.data, bytes->data, bytes->len) == 0)
        return 0;
    if (r < 0 && r != BK_E_LIMIT && r != BK_E_CORRUPT && r != BK_E_ABSENT) {
        *err = why;
        return r;
    }
    r = store_remove(s, path, err);
    return r < 0 ? r : store_put(s, path, bytes->data, bytes->len, err);
}

int index_put_segment(struct index *x, const struct segment_input *in, uint64_t *ret_bytes,
                      struct bk_error *err)
{
    bk_auto(bk_buf_clear) struct bk_buf out = BK_BUF((size_t)1 << 30);
    char path[REPO_PATH];
    int r = build(x, in, &out, path, err);
    if (r < 0)
        return r;
    r = put_named(repo_store(index_repo(x)), path, &out, err);
    if (r < 0)
        return bk_context(err, "put index segment %s", path);
    *ret_bytes = out.len;
    bk_buf_clear(&out);
    return index_add_segment(x, path, err);
}
