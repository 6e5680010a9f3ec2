#include <openssl/core_names.h>
#include <openssl/params.h>

#if HAVE_ARGON2
#include <argon2.h>
#include <stdlib.h>
#include <sys/mman.h>
#endif

#include "formats/crypto/primitive.h"
#include "formats/crypto/slot_parts.h"

enum { SCRYPT_R = 8, SCRYPT_EXPONENT = 16, ARGON2_MEMORY_KIB = 64 << 10, ARGON2_PASSES = 1 };

#if HAVE_ARGON2
enum { KDF_DEFAULT = SLOT_KDF_ARGON2ID, ARGON2_HERE = 1 };
#else
enum { KDF_DEFAULT = SLOT_KDF_SCRYPT, ARGON2_HERE = 0 };
#endif

/* passes is the exponent of N; with r = 8 a block is 1 KiB, so N blocks are N KiB */
static int scrypt_check(const struct slot *s, struct bk_error *err)
{
    if (s->kdf_passes < 1 || s->kdf_passes > SLOT_SCRYPT_EXPONENT_MAX)
        return bk_fail(err, BK_E_LIMIT, "a scrypt cost of 2^%u is out of range", s->kdf_passes);
    if (s->kdf_memory_kib != UINT32_C(1) << s->kdf_passes)
        return bk_fail(err, BK_E_CORRUPT, "the slot's memory does not follow from its scrypt cost");
    return 0;
}

static int argon2_check(const struct slot *s, struct bk_error *err)
{
    if (s->kdf_passes < 1 || s->kdf_memory_kib < 8 * s->kdf_lanes)
        return bk_fail(err, BK_E_LIMIT, "an Argon2id cost of %u KiB and %u passes is out of range",
                       s->kdf_memory_kib, s->kdf_passes);
    return 0;
}

int slot_kdf_check(const struct slot *s, struct bk_error *err)
{
    if (s->kdf != SLOT_KDF_SCRYPT && s->kdf != SLOT_KDF_ARGON2ID)
        return bk_fail(err, BK_E_VERSION,
                       "the slot stretches its passphrase by a method that this program does not "
                       "know (%u)",
                       (unsigned)s->kdf);
    if (s->kdf_lanes < 1 || s->kdf_lanes > SLOT_LANES_MAX)
        return bk_fail(err, BK_E_LIMIT, "a passphrase cost of %u lanes is out of range", s->kdf_lanes);
    int r = s->kdf == SLOT_KDF_SCRYPT ? scrypt_check(s, err) : argon2_check(s, err);
    if (r < 0)
        return r;
    uint64_t repeats = s->kdf == SLOT_KDF_SCRYPT ? s->kdf_lanes : s->kdf_passes;
    if (s->kdf_memory_kib > SLOT_MEMORY_MAX_KIB || repeats * s->kdf_memory_kib > SLOT_WORK_MAX_KIB)
        return bk_fail(err, BK_E_LIMIT,
                       "a passphrase cost of %u KiB of memory, %llu times, passes the ceiling",
                       s->kdf_memory_kib, (unsigned long long)repeats);
    return 0;
}

static uint32_t exponent_of(uint32_t n)
{
    return n ? 31 - (uint32_t)__builtin_clz(n) : 0;
}

int slot_kdf_set(const struct slot_cost *cost, struct slot *s, struct bk_error *err)
{
    const struct slot_cost none = { 0 };
    if (!cost)
        cost = &none;
    s->kdf = cost->kdf ? cost->kdf : KDF_DEFAULT;
    s->kdf_lanes = 1;
    if (s->kdf == SLOT_KDF_SCRYPT) {
        s->kdf_passes = cost->passes       ? cost->passes
                        : cost->memory_kib ? exponent_of(cost->memory_kib)
                                           : SCRYPT_EXPONENT;
        s->kdf_memory_kib = s->kdf_passes < 32 ? UINT32_C(1) << s->kdf_passes : 0;
    } else if (s->kdf == SLOT_KDF_ARGON2ID && ARGON2_HERE) {
        s->kdf_passes = cost->passes ? cost->passes : ARGON2_PASSES;
        s->kdf_memory_kib = cost->memory_kib ? cost->memory_kib : ARGON2_MEMORY_KIB;
    } else {
        return bk_fail(err, BK_E_UNSUPPORTED, "this build cannot stretch passphrases that way");
    }
    return slot_kdf_check(s, err) < 0 ? bk_fail(err, BK_E_USAGE, "the cost of the passphrase is out of range")
                                      : 0;
}

static int scrypt(const struct slot *s, const uint8_t *passphrase, size_t len, uint8_t *key,
                  struct bk_error *err)
{
    bk_auto(EVP_KDF_CTX_free) EVP_KDF_CTX *ctx =
        primitive_scrypt() ? EVP_KDF_CTX_new(primitive_scrypt()) : NULL;
    if (!ctx)
        return primitive_fail(err, "scrypt");
    uint64_t n = UINT64_C(1) << s->kdf_passes;
    uint32_t r = SCRYPT_R, p = s->kdf_lanes;
    uint64_t ceiling = ((uint64_t)SLOT_MEMORY_MAX_KIB + 1024) << 10; /* slot_kdf_check was stricter */
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)(uintptr_t)passphrase, len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)s->salt, SLOT_SALT),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &ceiling),
        OSSL_PARAM_construct_end(),
    };
    return EVP_KDF_derive(ctx, key, SUITE_KEY, params) == 1 ? 0 : primitive_fail(err, "scrypt");
}

#if HAVE_ARGON2
/* Filling fresh memory costs more in page faults than Argon2id itself takes: huge pages more than halve the
 * time. A system that has none to give ignores the advice. */
static int huge_allocate(uint8_t **ret, size_t len)
{
    void *p = NULL;
    if (posix_memalign(&p, (size_t)2 << 20, len) != 0)
        return -1;
    (void)madvise(p, len, MADV_HUGEPAGE);
    *ret = p;
    return 0;
}

static void huge_free(uint8_t *p, size_t len)
{
    (void)len;
    free(p);
}

/* The lanes run side by side; where there is no second thread to be had, one after the other. */
static int argon2id(const struct slot *s, const uint8_t *passphrase, size_t len, uint8_t *key,
                    struct bk_error *err)
{
    argon2_context c = {
        .out = key,
        .outlen = SUITE_KEY,
        .pwd = (uint8_t *)(uintptr_t)passphrase,
        .pwdlen = (uint32_t)len,
        .salt = (uint8_t *)(uintptr_t)s->salt,
        .saltlen = SLOT_SALT,
        .t_cost = s->kdf_passes,
        .m_cost = s->kdf_memory_kib,
        .lanes = s->kdf_lanes,
        .threads = s->kdf_lanes,
        .version = ARGON2_VERSION_13,
        .allocate_cbk = huge_allocate,
        .free_cbk = huge_free,
        .flags = ARGON2_DEFAULT_FLAGS,
    };
    int e = argon2_ctx(&c, Argon2_id);
    if (e == ARGON2_THREAD_FAIL) {
        c.threads = 1;
        e = argon2_ctx(&c, Argon2_id);
    }
    if (e == ARGON2_MEMORY_ALLOCATION_ERROR)
        return bk_fail(err, BK_E_NOMEM, "no %u KiB of memory for the passphrase", s->kdf_memory_kib);
    return e == ARGON2_OK ? 0 : bk_fail(err, BK_E_FAILED, "Argon2id: %s", argon2_error_message(e));
}
#else
static int argon2id(const struct slot *s, const uint8_t *passphrase, size_t len, uint8_t *key,
                    struct bk_error *err)
{
    (void)s, (void)passphrase, (void)len, (void)key;
    return bk_fail(err, BK_E_UNSUPPORTED, "the slot needs Argon2id, which this build lacks");
}
#endif

int slot_kdf_stretch(const struct slot *s, const uint8_t *passphrase, size_t len,
                     uint8_t key[static SUITE_KEY], struct bk_error *err)
{
    int r = slot_kdf_check(s, err);
    if (r < 0)
        return r;
    return s->kdf == SLOT_KDF_SCRYPT ? scrypt(s, passphrase, len, key, err)
                                     : argon2id(s, passphrase, len, key, err);
}
