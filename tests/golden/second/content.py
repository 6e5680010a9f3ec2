"""Contents: extents and the pages that hold them (docs/formats/content.md)."""

import collections

from .chunks import DATA, META
from .fields import Cursor, TooNew, need

LEAF, INNER, TREE, INDEX = 0x4C, 0x49, 0x54, 0x58
TOP = (1 << 63) - 1
CHUNK_MAX = 4 << 20

Extent = collections.namedtuple("Extent", "kind length offset chunk")
FROM_CHUNK, HOLE, ZERO = 0, 1, 2


def page(chunks, chunk, kind):
    """A cursor behind the header of a page."""
    cursor = Cursor(chunks.get(chunk, META), f"page {chunk.hex()}")
    found, version, flags = cursor.u8(), cursor.u8(), cursor.u8()
    need(found == kind and version > 0, f"{cursor.what}: not the page looked for")
    if version > 1 or flags:
        raise TooNew(f"{cursor.what}: written by a newer version")
    return cursor


def extent(cursor, left=None):
    """One extent; left is what REST would take, None where REST is not allowed."""
    head = cursor.u8()
    kind = head & 3
    need(head < 16 and kind != 3 and (kind == FROM_CHUNK or not head & 4), f"{cursor.what}: head of an extent")
    need(left is not None or not head & 8, f"{cursor.what}: an extent of the rest")
    length = left if head & 8 else cursor.varint(TOP)
    offset = cursor.varint(CHUNK_MAX) if head & 4 else 0
    chunk = cursor.take(32) if kind == FROM_CHUNK else None
    need(length > 0 and (kind != FROM_CHUNK or offset + length <= CHUNK_MAX), f"{cursor.what}: length of an extent")
    return Extent(kind, length, offset, chunk)


class Content:
    def __init__(self, cursor):
        head = cursor.u8()
        self.size, self.root, self.inline, self.depth = cursor.varint(TOP), None, [], 0
        if head <= 8:
            left = self.size
            for number in range(head):
                found = extent(cursor, left if number == head - 1 else None)
                self.inline.append(found)
                left -= found.length
                need(left >= 0, f"{cursor.what}: extents are longer than the content")
            need(left == 0, f"{cursor.what}: extents are shorter than the content")
        else:
            self.depth = head - 0x10
            need(1 <= self.depth <= 8 and self.size, f"{cursor.what}: head of a content")
            self.root = cursor.take(32)

    def extents(self, chunks):
        if self.root is None:
            yield from self.inline
        else:
            yield from below(chunks, self.root, self.depth, self.size)

    def pieces(self, chunks):
        """(kind, length, bytes or None) one after the other."""
        for found in self.extents(chunks):
            if found.kind != FROM_CHUNK:
                yield found.kind, found.length, None
                continue
            plain = chunks.get(found.chunk, DATA)
            need(found.offset + found.length <= len(plain), "an extent reaches past the end of its chunk")
            yield found.kind, found.length, plain[found.offset:found.offset + found.length]

    def bytes(self, chunks):
        return b"".join(data if data is not None else bytes(length) for _, length, data in self.pieces(chunks))


def below(chunks, chunk, depth, size):
    """The extents below a page; they have size bytes together."""
    if depth == 1:
        cursor = page(chunks, chunk, LEAF)
        count = cursor.varint(65536)
        found = [extent(cursor) for _ in range(count)]
        cursor.end()
        need(count and sum(one.length for one in found) == size, f"{cursor.what}: extents do not add up")
        yield from found
        return
    cursor = page(chunks, chunk, INNER)
    need(cursor.u8() == depth, f"{cursor.what}: of another depth")
    count = cursor.varint(1024)
    children = [(cursor.varint(TOP), cursor.take(32)) for _ in range(count)]
    cursor.end()
    need(count and all(length for length, _ in children), f"{cursor.what}: a child is empty")
    need(sum(length for length, _ in children) == size, f"{cursor.what}: lengths do not add up")
    for length, child in children:
        yield from below(chunks, child, depth - 1, length)
