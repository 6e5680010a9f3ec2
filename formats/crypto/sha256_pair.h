/* Two SHA-256 messages at once, on processors with SHA instructions.
 *
 * One message leaves half of the SHA unit idle: each step waits for the one before. Two independent messages
 * fill the gaps. This is only the compression of whole blocks; padding and everything else stays libcrypto's.
 * docs/design/hashing.md. Any thread. */
#ifndef FORMATS_CRYPTO_SHA256_PAIR_H
#define FORMATS_CRYPTO_SHA256_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Can this processor do it? */
bool sha256_pair_usable(void);
/* Take n blocks of 64 bytes of each message into its state (eight words as in FIPS 180-4). Only where usable.
 */
void sha256_pair_blocks(uint32_t a[static 8], uint32_t b[static 8], const uint8_t *data_a,
                        const uint8_t *data_b, size_t n);

#endif
