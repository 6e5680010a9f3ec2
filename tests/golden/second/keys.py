"""From a user's secret to the keyring (docs/formats/keys.md, config.md)."""

import argon2.low_level
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from . import sm2
from .fields import Cursor, Refused, TooNew, need
from .objects import CONFIG, KEYRING, SLOT, digested, header, open_record

PASSPHRASE, KEY_FILE, X25519, SM2 = 1, 2, 3, 4
SCRYPT, ARGON2ID = 1, 2


class Config:
    def __init__(self, data):
        cursor = Cursor(data, "config")
        need(len(data) == 102, "config: not 102 bytes")
        _kind, self.suite = header(cursor, [CONFIG])
        digested(self.suite, data, "config")
        self.digest = data[-32:]
        self.id, self.created, chunker = cursor.take(16), cursor.u64(), cursor.u16()
        if chunker != 1:
            raise TooNew("config: unknown chunker")
        self.chunk = cursor.u32(), cursor.u32(), cursor.u32()
        self.segment, self.frame, self.pack = cursor.u64(), cursor.u32(), cursor.u32()
        low, average, high = self.chunk
        need(1 <= low <= average <= high <= 4 << 20, "config: chunk sizes")
        need(high <= self.segment <= 1 << 40, "config: segment size")
        need(4096 <= self.frame <= 4 << 20 and 65536 <= self.pack <= 1 << 30, "config: frame or pack size")


class Slot:
    def __init__(self, name, data, suite):
        cursor = Cursor(data, name)
        _kind, found = header(cursor, [SLOT])
        need(found.number == suite.number, f"{name}: of another suite")
        digested(suite, data, name)
        self.suite, self.name = suite, name
        need(cursor.take(8).hex() == name.rpartition("/")[2], f"{name}: has another id than its name")
        self.kind, self.kdf = cursor.u8(), cursor.u8()
        self.created, self.memory, self.passes, self.lanes = cursor.u64(), cursor.u32(), cursor.u32(), cursor.u32()
        self.salt, self.ephemeral = cursor.take(32), cursor.take(32)
        self.public, self.label = cursor.bytes(65), cursor.bytes(255)
        self.fields = data[:cursor.at]
        self.wrapped = cursor.bytes(1024)
        need(len(cursor.rest()) == 32, f"{name}: something follows the end")
        if self.kind > SM2 or self.kdf > ARGON2ID:
            raise TooNew(f"{name}: unknown kind of slot")
        need((self.kind == PASSPHRASE) == (self.kdf != 0), f"{name}: KDF does not fit the kind")

    def passphrase_key(self, passphrase):
        need(1 <= self.lanes <= 4, f"{self.name}: lanes")
        if self.kdf == SCRYPT:
            need(1 <= self.passes <= 20 and self.memory == 1 << self.passes, f"{self.name}: scrypt parameters")
            need(self.memory * self.lanes <= 16777216, f"{self.name}: scrypt parameters")
            return Scrypt(self.salt, 32, 1 << self.passes, 8, self.lanes).derive(passphrase)
        need(self.passes >= 1 and 8 * self.lanes <= self.memory <= 1048576, f"{self.name}: Argon2id parameters")
        need(self.memory * self.passes <= 16777216, f"{self.name}: Argon2id parameters")
        return argon2.low_level.hash_secret_raw(passphrase, self.salt, self.passes, self.memory, self.lanes, 32,
                                                argon2.low_level.Type.ID, version=0x13)

    def agreed_key(self, pem):
        private = serialization.load_pem_private_key(pem, None)
        try:
            shared = private.exchange(x25519.X25519PublicKey.from_public_bytes(self.ephemeral))
        except (ValueError, InvalidSignature):
            raise Refused(f"{self.name}: the key agreement fails") from None
        need(any(shared), f"{self.name}: the shared secret is zero")
        return self.suite.hkdf(shared + self.ephemeral + self.public, self.salt, b"slot-x25519")

    def open(self, secrets):
        """The KEK, or None when no secret given is for this kind of slot."""
        if self.kind == PASSPHRASE and secrets.passphrase is not None:
            key = self.passphrase_key(secrets.passphrase)
        elif self.kind == KEY_FILE and secrets.key_file is not None:
            key = self.suite.hkdf(secrets.key_file, self.salt, b"slot-keyfile")
        elif self.kind == X25519 and secrets.private_key is not None:
            key = self.agreed_key(secrets.private_key)
        elif self.kind == SM2 and secrets.private_key is not None:
            plain = sm2.decrypt(sm2.private_number(secrets.private_key), self.wrapped, self.suite.hash)
            need(len(plain) == 64 and plain[32:] == self.suite.hash(self.fields), f"{self.name}: the fields were altered")
            return plain[:32]
        else:
            return None
        return self.suite.open(key, 0, self.fields, self.wrapped)


class Keyring:
    def __init__(self, name, payload, config):
        cursor = Cursor(payload, name)
        self.suite = config.suite
        self.root = cursor.take(32)
        need(cursor.take(32) == config.digest, f"{name}: the config object is not the one that was sealed")
        count = cursor.u32()
        need(1 <= count <= 4096, f"{name}: number of epochs")
        self.epochs = [cursor.take(32) for _ in range(count)]
        if cursor.more():  # of who cuts chunks; a reader has no use for it
            cursor.u16(), cursor.take(32)
        cursor.end()

    def epoch(self, number):
        need(number < len(self.epochs), "no data key has this number")
        return self.epochs[number]

    def derived(self, label):
        return self.suite.hkdf(self.root, None, label)


def keyrings(store):
    """Names of the keyrings, the newest first."""
    return sorted(store.names("keyring"), key=lambda name: -int(name.rpartition("/")[2]))


def unlock(store, config, secrets):
    """The keyring: of the slots that open, the first whose KEK opens one."""
    refusals = []
    for slot_name in store.names("keys"):
        try:
            kek = Slot(slot_name, store.read(slot_name), config.suite).open(secrets)
        except Refused as error:
            refusals.append(str(error))
            continue
        for name in keyrings(store) if kek is not None else ():
            key_of = lambda epoch: kek  # open_record sees to it that the epoch is the KEK's
            try:
                _kind, payload = open_record(name, store.read(name), [KEYRING], config.suite, key_of)
            except Refused as error:
                refusals.append(str(error))
                continue
            return Keyring(name, payload, config)
    raise Refused("no key slot opens with this secret" + "".join(f"; {refusal}" for refusal in refusals))
