#include "formats/crypto/suite.h"

#include <string.h>

#include <openssl/crypto.h>

static const struct {
    enum suite_id id;
    const char *name;
} suites[] = {
    { SUITE_AES256_GCM, "aes256-gcm" },
    { SUITE_SM4, "sm4" },
};

int suite_by_name(const char *name, enum suite_id *ret, struct bk_error *err)
{
    for (size_t i = 0; i < BK_COUNT(suites); i++) {
        if (!strcmp(name, suites[i].name)) {
            *ret = suites[i].id;
            return 0;
        }
    }
    return bk_fail(err, BK_E_ABSENT, "no cipher suite is called \"%s\"; there are aes256-gcm and sm4", name);
}

const char *suite_name(enum suite_id id)
{
    for (size_t i = 0; i < BK_COUNT(suites); i++)
        if (suites[i].id == id)
            return suites[i].name;
    return "unknown";
}

int suite_known(unsigned id)
{
    return id == SUITE_AES256_GCM || id == SUITE_SM4;
}

void suite_wipe(void *p, size_t len)
{
    if (len)
        OPENSSL_cleanse(p, len);
}
