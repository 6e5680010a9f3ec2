/* Objects of more than S3_PART bytes: multipart upload. Until it is completed nothing is visible; an upload
 * that fails is aborted, so that its parts are not kept and paid for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bkd/store/s3_inside.h"
#include "bkd/store/s3_xml.h"

enum { ANSWER = 64 << 10, UPLOAD_ID = 512 };

struct upload {
    struct s3 *s;
    const char *bucket, *name;
    char id[UPLOAD_ID];
    bool failed; /* "200 OK" may still carry an error */
};

static int see(void *ctx, const char *path, const char *text, struct bk_error *err)
{
    struct upload *u = ctx;
    (void)err;
    if (text && strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0 && strlen(text) < sizeof u->id)
        strcpy(u->id, text);
    if (strncmp(path, "Error", 5) == 0)
        u->failed = true;
    return 0;
}

static int post(struct upload *u, const struct s3_call *q0, struct s3_reply *a, struct bk_error *err)
{
    bk_auto(free) char *out = malloc(ANSWER);
    if (!out)
        return bk_fail(err, BK_E_NOMEM, "no memory for an upload");
    struct s3_call q = *q0;
    q.out = out;
    q.out_cap = ANSWER;
    int r = s3_call(u->s, &q, a, err);
    return r < 0 ? r : s3_xml_parse(out, a->http.out_len, see, u, err);
}

static int begin(struct upload *u, struct bk_error *err)
{
    struct s3_reply a;
    struct s3_call q = { .method = "POST", .bucket = u->bucket, .name = u->name };
    q.params[0] = (struct s3_pair){ "uploads", "" };
    int r = post(u, &q, &a, err);
    if (r == 0 && !u->id[0])
        r = bk_fail(err, BK_E_CORRUPT, "the server gave no id for the upload of %s", u->name);
    return r;
}

static int put_part(struct upload *u, unsigned n, const void *data, size_t len, struct bk_buf *list,
                    struct bk_error *err)
{
    char number[16], line[256];
    struct s3_reply a;
    snprintf(number, sizeof number, "%u", n);
    struct s3_call q = {
        .method = "PUT", .bucket = u->bucket, .name = u->name, .body = data, .body_len = len
    };
    q.params[0] = (struct s3_pair){ "partNumber", number };
    q.params[1] = (struct s3_pair){ "uploadId", u->id };
    int r = s3_call(u->s, &q, &a, err);
    if (r < 0)
        return r;
    if (!a.http.etag[0] || strpbrk(a.http.etag, "<>&"))
        return bk_fail(err, BK_E_CORRUPT, "the server gave no tag for part %u of %s", n, u->name);
    int k = snprintf(line, sizeof line, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", n,
                     a.http.etag);
    return bk_buf_append(list, line, (size_t)k, err);
}

static int complete(struct upload *u, struct bk_buf *list, struct bk_error *err)
{
    struct s3_reply a;
    int r = bk_buf_append(list, "</CompleteMultipartUpload>", strlen("</CompleteMultipartUpload>"), err);
    if (r < 0)
        return r;
    struct s3_call q = {
        .method = "POST", .bucket = u->bucket, .name = u->name, .body = list->data, .body_len = list->len
    };
    q.params[0] = (struct s3_pair){ "uploadId", u->id };
    q.headers[0] = (struct s3_pair){ "if-none-match", "*" };
    q.headers[1] = (struct s3_pair){ "content-type", "application/xml" };
    r = post(u, &q, &a, err);
    if (r == 0 && u->failed)
        r = bk_fail(err, BK_E_IO, "the server could not complete the upload of %s", u->name);
    /* an attempt whose answer was lost had ended the upload */
    if (r == BK_E_ABSENT && a.unsure) {
        uint64_t size;
        r = store_stat(&u->s->store, u->name, &size, err);
    }
    return r;
}

static void abort_upload(struct upload *u)
{
    struct s3_reply a;
    struct bk_error ignored = { 0 };
    struct s3_call q = { .method = "DELETE", .bucket = u->bucket, .name = u->name };
    q.params[0] = (struct s3_pair){ "uploadId", u->id };
    (void)!s3_call(u->s, &q, &a, &ignored);
}

int s3_put_parts(struct s3 *s, const char *bucket, const char *name, const void *data, size_t len,
                 struct bk_error *err)
{
    struct upload u = { .s = s, .bucket = bucket, .name = name };
    bk_auto(bk_buf_clear) struct bk_buf list = BK_BUF(4 << 20);
    static const char root[] = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    if (len > s->store.max_object_bytes)
        return bk_fail(err, BK_E_LIMIT, "object %s has %zu bytes, more than can be uploaded", name, len);
    int r = bk_buf_append(&list, root, sizeof root - 1, err);
    if (r == 0)
        r = begin(&u, err);
    if (r < 0)
        return r;
    unsigned n = 0;
    for (size_t at = 0; r == 0 && at < len; at += S3_PART) {
        size_t k = len - at < S3_PART ? len - at : S3_PART;
        r = put_part(&u, ++n, (const char *)data + at, k, &list, err);
    }
    if (r == 0)
        r = complete(&u, &list, err);
    if (r < 0)
        abort_upload(&u);
    return r;
}
