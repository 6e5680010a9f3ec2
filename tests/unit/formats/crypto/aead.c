#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "formats/base/wire.h"
#include "formats/crypto/suite.h"
#include "formats/object/object.h"

static const enum suite_id both[] = { SUITE_AES256_GCM, SUITE_SM4 };
static const uint8_t key[SUITE_KEY] = "0123456789abcdef0123456789abcde";

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 31 + i / 256);
}

/* AES-256-GCM as one libcrypto call after the other, with a context of its own */
static void naive_gcm(uint64_t number, const char *aad, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t iv[12] = { 0 };
    int n;
    for (int i = 0; i < 8; i++)
        iv[11 - i] = (uint8_t)(number >> (8 * i));
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)aad, (int)strlen(aad)), 1);
    assert_int_equal(EVP_EncryptUpdate(c, out, &n, in, (int)len), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, out + len, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, out + len), 1);
    EVP_CIPHER_CTX_free(c);
}

/* SM4-CTR by hand from single blocks, then HMAC-SM3 over the concatenation */
static void naive_sm4(uint64_t number, const char *aad, const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t sub[48], block[16], stream[32], joined[8192], mac[32];
    int n;
    assert_int_equal(suite_hkdf(SUITE_SM4, key, SUITE_KEY, NULL, 0, "sm4-etm", sub, sizeof sub, NULL), 0);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    assert_int_equal(EVP_EncryptInit_ex(c, EVP_sm4_ecb(), NULL, sub, NULL), 1);
    for (size_t at = 0; at < len; at += 16) {
        memset(block, 0, sizeof block);
        for (int i = 0; i < 8; i++)
            block[11 - i] = (uint8_t)(number >> (8 * i));
        uint32_t count = (uint32_t)(at / 16);
        for (int i = 0; i < 4; i++)
            block[15 - i] = (uint8_t)(count >> (8 * i));
        assert_int_equal(EVP_EncryptUpdate(c, stream, &n, block, 16), 1);
        for (size_t i = at; i < len && i < at + 16; i++)
            out[i] = in[i] ^ stream[i - at];
    }
    EVP_CIPHER_CTX_free(c);
    size_t aad_len = strlen(aad), used = 0;
    bk_put_u64(joined, aad_len);
    memcpy(joined + 8, aad, aad_len);
    used = 8 + aad_len;
    bk_put_u64(joined + used, number);
    memcpy(joined + used + 8, out, len);
    HMAC(EVP_sm3(), sub + 16, 32, joined, used + 8 + len, mac, NULL);
    memcpy(out + len, mac, 16);
}

static void seal_equals_the_naive_model(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 1, 15, 16, 17, 1000, 4096 };
    static const uint64_t numbers[] = { 0, 1, 255, 256, 0x0102030405060708, UINT64_MAX };
    uint8_t in[4096], got[4096 + SUITE_TAG], want[4096 + SUITE_TAG];
    fill(in, sizeof in);
    for (size_t s = 0; s < BK_COUNT(both); s++) {
        bk_auto(suite_aead_free) struct suite_aead *a = NULL;
        assert_int_equal(suite_aead_new(both[s], key, &a, NULL), 0);
        for (size_t i = 0; i < BK_COUNT(lens); i++)
            for (size_t j = 0; j < BK_COUNT(numbers); j++) {
                assert_int_equal(suite_aead_seal(a, numbers[j], "bound", 5, in, lens[i], got, NULL), 0);
                (both[s] == SUITE_SM4 ? naive_sm4 : naive_gcm)(numbers[j], "bound", in, lens[i], want);
                assert_memory_equal(got, want, lens[i] + SUITE_TAG);
            }
    }
}

/* pinned, so that a change of both code and model is noticed */
static void pinned_vectors(void **state)
{
    (void)state;
    static const char *const want[] = {
        "996fbda4d2d17ea904e56684a53ec896c748dac8a1555ebb0bbaa687f20888f46ee42b5e",
        "774fff5722b1192cbb5096c7c86146ea3922ccf76253014a2bc36c258958bf5cf975d9f8"
    };
    for (size_t s = 0; s < BK_COUNT(both); s++) {
        bk_auto(suite_aead_free) struct suite_aead *a = NULL;
        uint8_t out[20 + SUITE_TAG];
        char hex[2 * sizeof out + 1];
        assert_int_equal(suite_aead_new(both[s], key, &a, NULL), 0);
        assert_int_equal(suite_aead_seal(a, 7, "header", 6, "twenty bytes of text", 20, out, NULL), 0);
        object_hex(out, sizeof out, hex);
        assert_string_equal(hex, want[s]);
    }
}

static void opens_what_it_sealed_in_place_too(void **state)
{
    (void)state;
    uint8_t plain[3000], sealed[3000 + SUITE_TAG], out[3000];
    fill(plain, sizeof plain);
    for (size_t s = 0; s < BK_COUNT(both); s++) {
        bk_auto(suite_aead_free) struct suite_aead *a = NULL;
        assert_int_equal(suite_aead_new(both[s], key, &a, NULL), 0);
        for (size_t len = 0; len <= sizeof plain; len = len * 2 + 1) {
            assert_int_equal(suite_aead_seal(a, len, NULL, 0, plain, len, sealed, NULL), 0);
            assert_int_equal(suite_aead_open(a, len, NULL, 0, sealed, len + SUITE_TAG, out, NULL), 0);
            assert_memory_equal(out, plain, len);
            memcpy(sealed, plain, len);
            assert_int_equal(suite_aead_seal(a, len, "a", 1, sealed, len, sealed, NULL), 0);
            assert_int_equal(suite_aead_open(a, len, "a", 1, sealed, len + SUITE_TAG, sealed, NULL), 0);
            assert_memory_equal(sealed, plain, len);
        }
    }
}

static void nothing_altered_opens(void **state)
{
    (void)state;
    uint8_t sealed[40 + SUITE_TAG], out[40];
    const uint8_t plain[40] = "plain";
    for (size_t s = 0; s < BK_COUNT(both); s++) {
        bk_auto(suite_aead_free) struct suite_aead *a = NULL;
        bk_auto(suite_aead_free) struct suite_aead *other = NULL;
        uint8_t other_key[SUITE_KEY];
        memcpy(other_key, key, SUITE_KEY);
        other_key[31] ^= 1;
        assert_int_equal(suite_aead_new(both[s], key, &a, NULL), 0);
        assert_int_equal(suite_aead_new(both[s], other_key, &other, NULL), 0);
        assert_int_equal(suite_aead_seal(a, 5, "abc", 3, plain, sizeof plain, sealed, NULL), 0);
        for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
            sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(suite_aead_open(a, 5, "abc", 3, sealed, sizeof sealed, out, NULL), BK_E_CORRUPT);
            sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(suite_aead_open(a, 6, "abc", 3, sealed, sizeof sealed, out, NULL), BK_E_CORRUPT);
        assert_int_equal(suite_aead_open(a, 5, "abd", 3, sealed, sizeof sealed, out, NULL), BK_E_CORRUPT);
        assert_int_equal(suite_aead_open(a, 5, "ab", 2, sealed, sizeof sealed, out, NULL), BK_E_CORRUPT);
        assert_int_equal(suite_aead_open(a, 5, "abc", 3, sealed, sizeof sealed - 1, out, NULL), BK_E_CORRUPT);
        assert_int_equal(suite_aead_open(a, 5, "abc", 3, sealed, SUITE_TAG - 1, out, NULL), BK_E_LIMIT);
        assert_int_equal(suite_aead_open(other, 5, "abc", 3, sealed, sizeof sealed, out, NULL), BK_E_CORRUPT);
        /* and after all those refusals the object still works */
        assert_int_equal(suite_aead_open(a, 5, "abc", 3, sealed, sizeof sealed, out, NULL), 0);
        assert_memory_equal(out, plain, sizeof plain);
    }
}

static void messages_past_the_ceiling_are_refused(void **state)
{
    (void)state;
    bk_auto(suite_aead_free) struct suite_aead *a = NULL;
    uint8_t out[SUITE_TAG];
    assert_int_equal(suite_aead_new(SUITE_AES256_GCM, key, &a, NULL), 0);
    assert_int_equal(suite_aead_seal(a, 0, NULL, 0, out, (size_t)SUITE_MESSAGE_MAX + 1, out, NULL),
                     BK_E_LIMIT);
    assert_int_equal(suite_aead_open(a, 0, NULL, 0, out, (size_t)SUITE_MESSAGE_MAX + 17, out, NULL),
                     BK_E_LIMIT);
    assert_int_equal(suite_aead_seal(a, 0, out, (size_t)SUITE_MESSAGE_MAX + 1, out, 0, out, NULL),
                     BK_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seal_equals_the_naive_model),           cmocka_unit_test(pinned_vectors),
        cmocka_unit_test(opens_what_it_sealed_in_place_too),     cmocka_unit_test(nothing_altered_opens),
        cmocka_unit_test(messages_past_the_ceiling_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
