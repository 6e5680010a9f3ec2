#include "bkd/store/store.h"

#include "bkd/store/dir.h"
#include "bkd/store/event.h"
#include "bkd/store/https.h"
#include "bkd/store/mirror.h"
#if HAVE_RADOS
#include "bkd/store/rados.h"
#endif
#include "bkd/store/s3.h"
#include "formats/object/record.h"
#include "formats/object/verify.h"

#define CONTENT_MAX ((size_t)1 << 31)

bool store_name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > STORE_NAME_MAX || name[0] == '/' || name[len - 1] == '/')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool start = i == 0 || name[i - 1] == '/';
        if (c == '/' || c == '.'
                ? start
                : !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

int store_get_exact(struct store *s, const char *name, uint64_t offset, void *out, size_t len,
                    struct bk_error *err)
{
    size_t got = 0;
    int r = s->ops->get(s, name, offset, out, len, &got, err);
    if (r < 0)
        return r;
    if (got != len)
        return bk_fail(err, BK_E_CORRUPT, "object %s ends after %zu of the %zu bytes wanted at %llu", name,
                       got, len, (unsigned long long)offset);
    return 0;
}

/* Small objects of a remote store in one round trip. 1 when that was not enough, else as store_get_all. */
static int get_small(struct store *s, const char *name, size_t ceiling, struct bk_buf *out,
                     struct bk_error *err)
{
    enum { SMALL = 64 << 10 };
    size_t most = ceiling < SMALL ? ceiling : SMALL, got = 0;
    uint8_t *p;
    if (most == 0)
        return 1;
    bk_buf_clear(out);
    out->limit = ceiling;
    int r = bk_buf_extend(out, most, &p, err);
    if (r == 0)
        r = s->ops->get(s, name, 0, p, most, &got, err);
    if (r < 0 || got == most) {
        bk_buf_clear(out);
        return r < 0 ? r : 1;
    }
    out->len = got;
    return 0;
}

int store_get_all(struct store *s, const char *name, size_t ceiling, struct bk_buf *out, struct bk_error *err)
{
    uint64_t size;
    if (s->remote) {
        int small = get_small(s, name, ceiling, out, err);
        if (small <= 0)
            return small;
    }
    int r = store_stat(s, name, &size, err);
    if (r < 0)
        return r;
    if (size > ceiling)
        return bk_fail(err, BK_E_LIMIT, "object %s has %llu bytes, more than the %zu it may have", name,
                       (unsigned long long)size, ceiling);
    bk_buf_clear(out);
    out->limit = ceiling;
    uint8_t *p;
    r = bk_buf_extend(out, (size_t)size, &p, err);
    if (r < 0)
        return r;
    r = size ? store_get_exact(s, name, 0, p, (size_t)size, err) : 0;
    if (r < 0)
        bk_buf_clear(out);
    return r;
}

int store_get_sound(struct store *s, const char *name, struct bk_buf *out, struct bk_error *err)
{
    int r = store_get_all(s, name, object_is_content(name) ? CONTENT_MAX : RECORD_MAX, out, err);
    if (r == BK_E_LIMIT) /* no such object was ever put */
        return bk_fail(err, BK_E_CORRUPT, "%s has more bytes than any object", name);
    return r < 0 ? r : object_verify(name, out->data, out->len, err);
}

int store_retain(struct store *s, const char *name, int64_t until_ns, struct bk_error *err)
{
    if (!(s->can & STORE_CAN_RETAIN) || !s->ops->retain)
        return bk_fail(err, BK_E_UNSUPPORTED, "%s cannot keep objects from being removed", s->url);
    return s->ops->retain(s, name, until_ns, err);
}

int store_clock(struct store *s, int64_t *ret_ahead_ns, struct bk_error *err)
{
    if (!s->ops->clock)
        return bk_fail(err, BK_E_UNSUPPORTED, "this kind of store has no clock of its own");
    return s->ops->clock(s, ret_ahead_ns, err);
}

int store_heal(struct store *s, const char *name, const struct store_heal *how, struct bk_error *err)
{
    if (!s->ops->heal)
        return bk_fail(err, BK_E_UNSUPPORTED, "%s keeps no second copy of %s", s->url, name);
    return s->ops->heal(s, name, how ? how : &(struct store_heal){ 0 }, err);
}

const char *store_event_name(enum store_event_kind kind)
{
    static const char *const names[] = {
        [STORE_EVENT_REPAIRED] = "repaired",
        [STORE_EVENT_UNREPAIRED] = "unrepaired",
        [STORE_EVENT_NOT_WRITTEN] = "not-written",
        [STORE_EVENT_UNREACHABLE] = "unreachable",
    };
    return names[kind];
}

void store_free(struct store *s)
{
    if (s)
        s->ops->free(s);
}

static int open_s3(const char *url, bool create, const struct world *w, struct store **ret,
                   struct bk_error *err)
{
#if HAVE_S3
    return store_s3_open(url, create, w, ret, err);
#else
    (void)create, (void)w, (void)ret;
    bk_fail(err, BK_E_UNSUPPORTED, "this build has no S3 store for %s", url);
    return bk_hint(err, "build with libcurl (meson feature s3)");
#endif
}

static int open_https(const char *url, bool create, const struct world *w, struct store **ret,
                      struct bk_error *err)
{
#if HAVE_S3
    return store_https_open(url, create, w, ret, err);
#else
    (void)create, (void)w, (void)ret;
    bk_fail(err, BK_E_UNSUPPORTED, "this build has no HTTPS store for %s", url);
    return bk_hint(err, "build with libcurl (meson feature s3)");
#endif
}

int store_open(const char *url, bool create, const struct world *w, struct store **ret, struct bk_error *err)
{
    const char *scheme_end = strstr(url, "://");
    if (!url[0])
        return bk_fail(err, BK_E_USAGE, "the repository's place is empty");
    if (strncmp(url, "mirror:", 7) == 0)
        return store_mirror_open(url, create, w, ret, err);
    if (!scheme_end)
        return store_dir_open(url, create, NULL, w, ret, err);
    if (strncmp(url, "file://", 7) == 0 && url[7] == '/')
        return store_dir_open(url + 7, create, NULL, w, ret, err);
#if HAVE_RADOS
    if (strncmp(url, "rados://", 8) == 0)
        return store_rados_open(url, create, ret, err);
#else
    if (strncmp(url, "rados://", 8) == 0)
        return bk_fail(err, BK_E_UNSUPPORTED, "this build has no RADOS store");
#endif
    if (strncmp(url, "s3://", 5) == 0)
        return open_s3(url, create, w, ret, err);
    if (strncmp(url, "https://", 8) == 0)
        return open_https(url, create, w, ret, err);
    bk_fail(err, BK_E_UNSUPPORTED, "no store is known for %s", url);
    return bk_hint(err, "a repository is a directory, /PATH or file:///PATH, a pool, rados://POOL/NAMESPACE, "
                        "or a bucket, s3://HOST/BUCKET");
}
