"""Directories as pages of entries (docs/formats/tree.md)."""

import copy

from .content import INDEX, TREE, Content, page
from .fields import Cursor, TooNew, U64, need, signed

FILE, DIRECTORY, SYMLINK, FIFO, SOCKET, CHARACTER, BLOCK = range(1, 8)
LETTERS = "?fdlpscb"
BTIME, FSFLAGS = 1, 2
MIB = 1 << 20
U32 = (1 << 32) - 1


class Reference:
    """A directory's pages."""

    def __init__(self, cursor):
        self.depth = cursor.u8()
        need(self.depth <= 6, f"{cursor.what}: depth of a directory")
        self.id = cursor.take(32) if self.depth else None

    def entries(self, chunks):
        before = b""
        for entry in below(chunks, self.id, self.depth, b"") if self.depth else ():
            need(before < entry.name, "names do not ascend")
            before = entry.name
            yield entry


def below(chunks, chunk, depth, first):
    """The entries below a page whose parent says that they begin at a name."""
    if depth == 1:
        cursor, base = page(chunks, chunk, TREE), Entry()
        need(cursor.more(), f"{cursor.what}: no entries")
        while cursor.more():
            base = base.following(Cursor(cursor.bytes(2 * MIB), cursor.what))
            need(not first or first == base.name, f"{cursor.what}: begins with another name than its parent says")
            first = b""
            yield base
        return
    cursor = page(chunks, chunk, INDEX)
    need(cursor.u8() == depth, f"{cursor.what}: of another depth")
    count = cursor.varint(1024)
    children = [(valid(cursor.bytes(255)), cursor.take(32)) for _ in range(count)]
    cursor.end()
    need(count and all(a[0] < b[0] for a, b in zip(children, children[1:])), f"{cursor.what}: names do not ascend")
    need(not first or first == children[0][0], f"{cursor.what}: begins with another name than its parent says")
    for name, child in children:
        yield from below(chunks, child, depth - 1, name)


def valid(name):
    need(1 <= len(name) <= 255 and b"/" not in name and b"\0" not in name and name not in (b".", b".."),
         f"{name!r} is no name")
    return name


def time(cursor, how, same, base):
    """(seconds, nanoseconds) in one of the ways 2 and 3, or one of the two that are known already."""
    if how < 2:
        return same if how == 0 else base
    seconds = signed(base[0] + cursor.svarint())
    nanoseconds = cursor.u32() if how == 3 else 0
    need(nanoseconds < 10**9, f"{cursor.what}: nanoseconds")
    return seconds, nanoseconds


class Entry:
    """One entry, or the base of the first one of a page: all zero."""

    def __init__(self):
        self.name = b""
        self.type = self.mode = self.uid = self.gid = self.dev = self.flags = self.fsflags = self.ino = 0
        self.mtime = self.ctime = self.btime = (0, 0)
        self.nlink, self.xattrs = 1, {}
        self.content = self.directory = self.target = self.device = None

    def following(self, cursor):
        """The entry that comes after this one on its page."""
        entry = copy.copy(self)
        first, second = cursor.u8(), cursor.u8()
        if first >> 7:
            raise TooNew(f"{cursor.what}: an entry of a newer version")
        entry.type = first & 7
        need(entry.type, f"{cursor.what}: type of an entry")
        entry.name = valid(cursor.bytes(255))
        if not second & 1:
            entry.mode = cursor.varint(0o7777)
        if not second & 2:
            entry.uid, entry.gid = cursor.varint(U32), cursor.varint(U32)
        if not second & 4:
            entry.dev = cursor.varint()
        if not second & 8:
            entry.flags, entry.fsflags = cursor.varint(U32), cursor.varint(U32)
            if entry.flags > 15:
                raise TooNew(f"{cursor.what}: unknown flags")
        entry.ino = self.ino + cursor.svarint() & U64
        entry.times(cursor, self, first >> 3 & 3, first >> 5 & 3, second >> 4 & 3)
        entry.nlink = 1 if second & 0x40 else cursor.varint()
        entry.xattrs = xattrs(cursor.bytes(MIB), cursor.what) if second & 0x80 else {}
        entry.payload(cursor)
        return entry

    def times(self, cursor, base, mtime, ctime, btime):
        need(mtime != 1, f"{cursor.what}: way of mtime")
        self.mtime = time(cursor, mtime, base.mtime, base.mtime)
        self.ctime = time(cursor, ctime, self.mtime, base.ctime)
        if self.flags & BTIME:
            self.btime = time(cursor, btime, self.ctime, base.btime)
        else:
            need(btime == 0, f"{cursor.what}: way of btime")
            self.btime = (0, 0)

    def payload(self, cursor):
        self.content = self.directory = self.target = self.device = None
        if self.type == FILE:
            self.content = Content(cursor)
        elif self.type == DIRECTORY:
            self.directory = Reference(cursor)
        elif self.type == SYMLINK:
            self.target = cursor.text(65535)
        elif self.type in (CHARACTER, BLOCK):
            self.device = cursor.varint(U32), cursor.varint(U32)


def xattrs(data, what):
    need(data, f"{what}: extended attributes")
    cursor, found = Cursor(data, f"{what}: extended attributes"), {}
    while cursor.more():
        name = cursor.bytes(256)
        need(len(name) >= 2 and name.find(b"\0") == len(name) - 1, f"{what}: name of an extended attribute")
        found[name[:-1]] = cursor.bytes(MIB)
    return found


def exceptions(data):
    """(trouble, errno, path, detail) of each record in the stream of exceptions."""
    cursor = Cursor(data, "exceptions")
    while cursor.more():
        record = Cursor(cursor.bytes(2 * MIB), "exceptions")
        yield record.u8(), record.varint(U32), record.text(MIB), record.bytes(4096)
