/* Listing: ListObjectsV2, a page of at most 1000 keys at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/store/s3_inside.h"
#include "bkd/store/s3_xml.h"

enum { PAGE_BYTES = 4 << 20, EMPTY_PAGES_MAX = 64, TOKEN_MAX = 1024 };

struct page {
    struct s3 *s;
    const char *bucket;
    store_list_fn *fn;
    void *ctx;
    char key[S3_XML_TEXT + 1];
    bool has_key, has_size, truncated;
    uint64_t size;
    size_t n;
    char token[TOKEN_MAX];
};

static int corrupt(struct bk_error *err)
{
    return bk_fail(err, BK_E_CORRUPT, "the server's listing makes no sense");
}

/* One key is whole. Names that no store accepts, and those of the other bucket, are not ours. */
static int emit(struct page *p, struct bk_error *err)
{
    if (!p->has_key || !p->has_size)
        return corrupt(err);
    p->has_key = p->has_size = false;
    p->n++;
    size_t skip = strlen(p->s->url.prefix);
    if (strncmp(p->key, p->s->url.prefix, skip) != 0)
        return corrupt(err);
    const char *name = p->key + skip;
    if (!store_name_valid(name) || strcmp(s3_bucket_of(p->s, name), p->bucket) != 0)
        return 0;
    return p->fn(p->ctx, name, p->size, err);
}

static int see(void *ctx, const char *path, const char *text, struct bk_error *err)
{
    struct page *p = ctx;
    static const char root[] = "ListBucketResult/";
    if (strncmp(path, root, sizeof root - 1) != 0)
        return 0;
    path += sizeof root - 1;
    if (strcmp(path, "Contents") == 0)
        return emit(p, err);
    if (!text)
        return 0;
    if (strcmp(path, "Contents/Key") == 0) {
        strcpy(p->key, text);
        p->has_key = true;
    } else if (strcmp(path, "Contents/Size") == 0) {
        char rest;
        p->has_size = sscanf(text, "%20" SCNu64 "%c", &p->size, &rest) == 1;
    } else if (strcmp(path, "IsTruncated") == 0) {
        p->truncated = strcmp(text, "true") == 0;
    } else if (strcmp(path, "NextContinuationToken") == 0) {
        if (strlen(text) >= sizeof p->token)
            return corrupt(err);
        strcpy(p->token, text);
    }
    return 0;
}

static int one_page(struct page *p, const char *prefix, const char *token, char *mem, struct bk_error *err)
{
    struct s3_reply a;
    struct s3_call q = { .method = "GET", .bucket = p->bucket, .out = mem, .out_cap = PAGE_BYTES };
    q.params[0] = (struct s3_pair){ "list-type", "2" };
    q.params[1] = (struct s3_pair){ "prefix", prefix };
    if (token[0])
        q.params[2] = (struct s3_pair){ "continuation-token", token };
    int r = s3_call(p->s, &q, &a, err);
    if (r == 0)
        r = s3_xml_parse(mem, a.http.out_len, see, p, err);
    return r;
}

int s3_list_bucket(struct s3 *s, const char *bucket, const char *prefix, store_list_fn *fn, void *ctx,
                   struct bk_error *err)
{
    char whole[S3_PREFIX_MAX + STORE_NAME_MAX + 2], token[TOKEN_MAX] = "";
    if ((size_t)snprintf(whole, sizeof whole, "%s%s", s->url.prefix, prefix) >= sizeof whole)
        return bk_fail(err, BK_E_LIMIT, "an argument is too long for a request");
    bk_auto(free) char *mem = malloc(PAGE_BYTES);
    bk_auto(free) struct page *p = malloc(sizeof *p);
    if (!mem || !p)
        return bk_fail(err, BK_E_NOMEM, "no memory to list the bucket");
    for (unsigned n_empty = 0;;) {
        *p = (struct page){ .s = s, .bucket = bucket, .fn = fn, .ctx = ctx };
        int r = one_page(p, whole, token, mem, err);
        if (r != 0)
            return r;
        if (!p->truncated)
            return 0;
        n_empty = p->n ? 0 : n_empty + 1;
        /* a server that gives the same page again and again would keep us here for ever */
        if (!p->token[0] || strcmp(p->token, token) == 0 || n_empty > EMPTY_PAGES_MAX)
            return corrupt(err);
        strcpy(token, p->token);
    }
}
