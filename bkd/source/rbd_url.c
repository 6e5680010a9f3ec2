#include "bkd/source/rbd_url.h"

#include <stdio.h>
#include <string.h>

static const char scheme[] = "rbd:";

static int parameter(const char *s, size_t len, struct rbd_url *u, struct bk_error *err)
{
    if (len < 3 || memcmp(s, "id=", 3) != 0)
        return rados_url_parameter(s, len, &u->cluster, err);
    char name[RADOS_URL_PART - 7];
    int r = rados_url_decode(s + 3, len - 3, name, sizeof name, N_("id"), err);
    if (r == 0 && !name[0])
        r = bk_fail(err, BK_E_USAGE, "the URL's id is empty");
    if (r == 0)
        snprintf(u->cluster.client, sizeof u->cluster.client, "client.%s", name);
    return r;
}

/* POOL[/NAMESPACE]/IMAGE[@SNAP] */
static int place(const char *s, size_t len, struct rbd_url *u, struct bk_error *err)
{
    const char *end = s + len, *first = memchr(s, '/', len), *last = memrchr(s, '/', len);
    if (!first)
        return bk_fail(err, BK_E_USAGE, "the URL names no image");
    const char *image = last + 1, *at = memchr(image, '@', (size_t)(end - image));
    int r =
        rados_url_decode(s, (size_t)(first - s), u->cluster.pool, sizeof u->cluster.pool, N_("pool"), err);
    if (r == 0 && first < last)
        r = rados_url_decode(first + 1, (size_t)(last - first - 1), u->cluster.ns, sizeof u->cluster.ns,
                             N_("namespace"), err);
    if (r == 0)
        r = rados_url_decode(image, (size_t)((at ? at : end) - image), u->image, sizeof u->image, N_("image"),
                             err);
    if (r == 0 && at)
        r = rados_url_decode(at + 1, (size_t)(end - at - 1), u->snap, sizeof u->snap, N_("snapshot"), err);
    if (r < 0)
        return r;
    if (!u->cluster.pool[0] || !u->image[0])
        return bk_fail(err, BK_E_USAGE, "the URL names no %s",
                       bk_text(u->image[0] ? N_("pool") : N_("image")));
    if (strchr(u->cluster.ns, '/'))
        return bk_fail(err, BK_E_USAGE, "the URL has more parts than pool, namespace and image");
    return at && !u->snap[0] ? bk_fail(err, BK_E_USAGE, "the URL names no snapshot after @") : 0;
}

static int hint(struct bk_error *err)
{
    return bk_hint(err, "a disk in Ceph is rbd:POOL[/NAMESPACE]/IMAGE[@SNAP][?conf=FILE][&id=NAME]");
}

int rbd_url_parse(const char *text, struct rbd_url *ret, struct bk_error *err)
{
    struct rbd_url u = { .cluster = { .client = "client.admin",
                                      .timeout_s = RADOS_URL_TIMEOUT_S,
                                      .connect_s = RADOS_URL_CONNECT_S } };
    if (strncmp(text, scheme, sizeof scheme - 1) != 0) {
        bk_fail(err, BK_E_USAGE, "%s is no disk in Ceph", text);
        return hint(err);
    }
    const char *s = text + sizeof scheme - 1;
    size_t len = strcspn(s, "?");
    int r = place(s, len, &u, err);
    const char *p = s[len] ? s + len + 1 : s + len;
    while (r == 0 && *p) {
        size_t n = strcspn(p, "&");
        if (n)
            r = parameter(p, n, &u, err);
        p += n + (p[n] == '&');
    }
    if (r < 0) {
        bk_context(err, "%s", text);
        return hint(err);
    }
    *ret = u;
    return 0;
}

bool rbd_url_same_link(const struct rbd_url *a, const struct rbd_url *b)
{
    const struct rados_url *x = &a->cluster, *y = &b->cluster;
    return !strcmp(x->client, y->client) && !strcmp(x->pool, y->pool) && !strcmp(x->ns, y->ns) &&
           !strcmp(x->conf, y->conf) && !strcmp(x->keyring, y->keyring) && x->timeout_s == y->timeout_s &&
           x->connect_s == y->connect_s;
}
