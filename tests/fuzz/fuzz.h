/* What every fuzz target starts from. A target decodes hostile bytes; any crash, sanitizer report or hang is
 * a finding. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "formats/crypto/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A keyring that is the same in every run. */
static inline const struct keyring *fuzz_keyring(void)
{
    static struct keyring k;
    if (!k.n_epochs) {
        struct bk_error err = { 0 };
        const uint8_t random[64] = { 1, 2, 3 }, digest[SUITE_HASH] = { 0 };
        if (keyring_init(&k, SUITE_AES256_GCM, random, digest, &err) < 0)
            __builtin_trap();
    }
    return &k;
}

#endif
