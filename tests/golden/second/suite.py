"""The two cipher suites (docs/formats/crypto.md)."""

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from .fields import Refused, TooNew

TAG = 16


class Suite:
    """What both have in common; they differ in the hash and in how they open a sealed message."""

    def hash(self, *parts):
        state = hashes.Hash(self.algorithm())
        for part in parts:
            state.update(part)
        return state.finalize()

    def mac(self, key, *parts):
        state = HMAC(key, self.algorithm())
        for part in parts:
            state.update(part)
        return state.finalize()

    def hkdf(self, key, salt, label, length=32):
        """RFC 5869, written out: it is short, and the format depends on it."""
        prk = self.mac(salt or bytes(32), key)
        out = block = b""
        for counter in range(1, length // 32 + 2):
            block = self.mac(prk, block, label, bytes([counter]))
            out += block
        return out[:length]


class Aes(Suite):
    number, name, algorithm = 1, "aes256-gcm", hashes.SHA256

    def open(self, key, number, aad, sealed):
        if len(sealed) < TAG:
            raise Refused("sealed message: too short")
        try:
            return AESGCM(key).decrypt(bytes(4) + number.to_bytes(8, "big"), bytes(sealed), aad)
        except InvalidTag:
            raise Refused("sealed message: the tag does not fit") from None


class Sm4(Suite):
    number, name, algorithm = 2, "sm4", hashes.SM3

    def open(self, key, number, aad, sealed):
        if len(sealed) < TAG:
            raise Refused("sealed message: too short")
        ciphertext, tag = sealed[:-TAG], bytes(sealed[-TAG:])
        sub = self.hkdf(key, None, b"sm4-etm", 48)
        mac = self.mac(sub[16:], len(aad).to_bytes(8, "little"), aad, number.to_bytes(8, "little"), ciphertext)
        if not hmac.compare_digest(mac[:TAG], tag):
            raise Refused("sealed message: the tag does not fit")
        counter = bytes(4) + number.to_bytes(8, "big") + bytes(4)
        return Cipher(algorithms.SM4(sub[:16]), modes.CTR(counter)).decryptor().update(ciphertext)


def by_number(number):
    for suite in (Aes, Sm4):
        if suite.number == number:
            return suite()
    raise TooNew(f"no suite has the number {number}")
