#include "formats/crypto/primitive.h"

struct suite_digest {
    EVP_MD_CTX *ctx;
};

int suite_hash(enum suite_id id, const void *data, size_t len, uint8_t out[static SUITE_HASH],
               struct bk_error *err)
{
    const EVP_MD *md = primitive_md(id);
    if (!md)
        return primitive_unsupported(id, err);
    if (!EVP_Digest(data, len, out, NULL, md, NULL))
        return primitive_fail(err, primitive_md_name(id));
    return 0;
}

int suite_digest_new(enum suite_id id, struct suite_digest **ret, struct bk_error *err)
{
    const EVP_MD *md = primitive_md(id);
    if (!md)
        return primitive_unsupported(id, err);
    bk_auto(suite_digest_free) struct suite_digest *d = calloc(1, sizeof *d);
    if (!d || !(d->ctx = EVP_MD_CTX_new()))
        return bk_fail(err, BK_E_NOMEM, "no memory for a digest");
    if (!EVP_DigestInit_ex2(d->ctx, md, NULL))
        return primitive_fail(err, primitive_md_name(id));
    *ret = bk_steal(d);
    return 0;
}

int suite_digest_update(struct suite_digest *d, const void *data, size_t len, struct bk_error *err)
{
    if (!EVP_DigestUpdate(d->ctx, data, len))
        return primitive_fail(err, N_("digest"));
    return 0;
}

int suite_digest_finish(struct suite_digest *d, uint8_t out[static SUITE_HASH], struct bk_error *err)
{
    if (!EVP_DigestFinal_ex(d->ctx, out, NULL))
        return primitive_fail(err, N_("digest"));
    return 0;
}

void suite_digest_free(struct suite_digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}
