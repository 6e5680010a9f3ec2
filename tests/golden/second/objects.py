"""The store, the header of objects, and records (docs/formats/object.md, record.md, repository.md)."""

import os

import zstandard

from . import suite as suites
from .fields import Cursor, TooNew, need

CONFIG, SLOT, KEYRING, SESSION, SNAPSHOT, VOID, NOTE, PACK, INDEX = range(1, 10)
KEK = 0xFFFFFFFF
MIB = 1 << 20


def expand(body, length, what):
    """The plaintext of exactly one zstd frame that need not say its size."""
    state = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    try:
        plain = state.decompress(bytes(body))
    except zstandard.ZstdError as error:
        raise TooNew(f"{what}: zstd: {error}") from None
    need(state.eof and not state.unused_data and len(plain) == length, f"{what}: expands to another length")
    return plain


def header(cursor, kinds, version=1):
    """Check the first 16 bytes; returns kind and suite."""
    what = cursor.what
    need(cursor.take(4) == b"BKO1", f"{what}: no object of ours")
    kind, found = cursor.u16(), cursor.u16()
    mandatory, _ = cursor.u32(), cursor.u16()
    suite, zero = cursor.u8(), cursor.u8()
    need(kind in kinds and found > 0 and zero == 0, f"{what}: damaged header")
    if found > version or mandatory:
        raise TooNew(f"{what}: written by a newer version")
    return kind, suites.by_number(suite)


class Store:
    """A directory whose files are the objects."""

    def __init__(self, root):
        self.root = root

    def read(self, name):
        with open(os.path.join(self.root, name), "rb") as file:
            return file.read()

    def names(self, prefix):
        """Names of objects below a prefix such as "snapshots", in order."""
        try:
            found = sorted(os.listdir(os.path.join(self.root, prefix)))
        except FileNotFoundError:
            return []
        return [f"{prefix}/{name}" for name in found]

    def packs(self, prefix):
        """Names of the packs below "data" or "meta": there is a folder between for the first two digits."""
        found = [name for folder in self.names(prefix) for name in self.names(folder)]
        for name in found:
            _, folder, digits = name.split("/")
            need(len(digits) == 64 and folder == digits[:2], f"{name}: in the wrong folder")
        return found


def digested(suite, data, what):
    """Check the digest in an object's last 32 bytes."""
    need(len(data) >= 48 and suite.hash(data[:-32]) == data[-32:], f"{what}: the digest does not fit")


def open_record(name, data, kinds, suite, key_of):
    """The kind and the payload of a record. key_of gives the key of an epoch."""
    need(len(data) <= 64 * MIB, f"{name}: too big")
    cursor = Cursor(data, name)
    kind, found = header(cursor, kinds)
    need(found.number == suite.number, f"{name}: of another suite")
    epoch, salt, length = cursor.u32(), cursor.take(32), cursor.u32()
    need(len(data) == 88 + length and length > suites.TAG, f"{name}: has another length than it says")
    digested(suite, data, name)
    need((epoch == KEK) == (kind == KEYRING), f"{name}: sealed under the wrong key")
    key = suite.hkdf(key_of(epoch), salt, b"record")
    plain = Cursor(suite.open(key, 0, data[:56] + name.encode(), data[56:-32]), name)
    codec = plain.u8()
    if codec == 0:
        return kind, plain.rest()
    if codec != 1:
        raise TooNew(f"{name}: unknown codec")
    length = plain.u32()
    need(length <= 64 * MIB, f"{name}: too big")
    return kind, expand(plain.rest(), length, name)
