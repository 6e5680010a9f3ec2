"""Snapshots and notes (docs/formats/snapshot.md)."""

from .content import Content
from .fields import Cursor, TooNew, need
from .objects import NOTE, SNAPSHOT, VOID, open_record
from .tree import Reference

TREE, BLOB, DISK, EXCEPTIONS, HASHES = range(1, 6)
STREAMS = ("?", "tree", "blob", "disk", "exceptions", "hashes")
U32 = (1 << 32) - 1

NUMBER, SIGNED = Cursor.varint, Cursor.svarint


def id16(cursor):
    return cursor.take(16)


def text(limit):
    def read(cursor):
        value = cursor.rest()
        need(len(value) <= limit and b"\0" not in value, f"{cursor.what}: a text")
        return value
    return read


def enum(last):
    def read(cursor):
        value = cursor.varint()
        need(value, f"{cursor.what}: an enum of 0")
        if value > last:
            raise TooNew(f"{cursor.what}: unknown value {value}")
        return value
    return read


def owner(cursor):
    return cursor.varint(U32), text(1024)(cursor)


def stream(cursor):
    kind, name = cursor.u8(), cursor.text(1024)
    need(kind, f"{cursor.what}: kind of a stream")
    if kind > HASHES:
        raise TooNew(f"{cursor.what}: unknown kind of stream")
    return kind, name, Reference(cursor) if kind == TREE else Content(cursor)


# number: (name, how it is read, must be there, may be there more than once)
FIELDS = {
    1: ("id", id16, True, 0), 2: ("parent", id16, False, 0), 4: ("base", id16, True, 0), 6: ("sequence", NUMBER, True, 0),
    8: ("generation", NUMBER, True, 0), 3: ("level", enum(3), True, 0), 5: ("state", enum(3), True, 0),
    10: ("start", SIGNED, True, 0), 12: ("end", SIGNED, True, 0), 14: ("name", text(1024), False, 0),
    16: ("host", text(1024), False, 0), 18: ("user", text(1024), False, 0), 20: ("program", text(1024), False, 0),
    22: ("paths", text(65535), False, 65536), 24: ("excludes", text(65535), False, 65536),
    26: ("tags", text(1024), False, 65536), 28: ("files", NUMBER, False, 0), 30: ("directories", NUMBER, False, 0),
    32: ("others", NUMBER, False, 0), 34: ("exceptions", NUMBER, False, 0), 36: ("content_bytes", NUMBER, False, 0),
    38: ("read_bytes", NUMBER, False, 0), 40: ("new_bytes", NUMBER, False, 0), 42: ("stored_bytes", NUMBER, False, 0),
    44: ("unchanged", NUMBER, False, 0), 46: ("users", owner, False, 65536), 48: ("groups", owner, False, 65536),
    7: ("streams", stream, False, 4096),
}
NOTE_FIELDS = {
    1: ("snapshot", id16, True, 0), 2: ("number", NUMBER, True, 0), 4: ("when", SIGNED, True, 0),
    6: ("who", text(1024), False, 0), 8: ("tags", text(1024), False, 65536), 3: ("hold", NUMBER, False, 0),
    10: ("reason", text(1024), False, 0),
}


class Fields:
    """A payload of numbered fields, as attributes."""

    def __init__(self, name, payload, table):
        cursor, seen = Cursor(payload, name), set()
        for field, _read, _must, many in table.values():
            setattr(self, field, [] if many else None)
        while cursor.more():
            number = cursor.varint()
            value = Cursor(cursor.bytes(len(payload)), f"{name}: field {number}")
            if number not in table:
                if number & 1:
                    raise TooNew(f"{name}: unknown mandatory field {number}")
                continue
            field, read, _must, many = table[number]
            found = read(value)
            value.end()
            if many:
                getattr(self, field).append(found)
                need(len(getattr(self, field)) <= many, f"{name}: too many of field {number}")
            else:
                need(number not in seen, f"{name}: field {number} is there twice")
                setattr(self, field, found)
            seen.add(number)
        need(all(number in seen for number, row in table.items() if row[2]), f"{name}: a field is missing")


def read_all(store, keyring):
    """Every snapshot, in order; tags and hold are those of its newest note."""
    def record(name, kinds):
        return open_record(name, store.read(name), kinds, keyring.suite, keyring.epoch)

    found = {}
    for name in store.names("snapshots"):
        kind, payload = record(name, [SNAPSHOT, VOID])
        if kind == VOID:
            need(len(payload) == 8, f"{name}: payload of a void record")
            continue
        snapshot = Fields(name, payload, FIELDS)
        need(name == f"snapshots/{snapshot.id.hex()}", f"{name}: has another id than its name")
        trees = [name for kind, name, _ in snapshot.streams if kind == TREE]
        need(trees in ([], [b""]), f"{name}: two trees, or one with a name")
        snapshot.hold = snapshot.note = 0
        found[snapshot.id] = snapshot
    for name in store.names("notes"):
        note = Fields(name, record(name, [NOTE])[1], NOTE_FIELDS)
        need(name == f"notes/{note.snapshot.hex()}.{note.number:08x}", f"{name}: has another id than its name")
        need(note.number and note.number <= U32 and (note.hold or 0) <= 1, f"{name}: number or hold")
        snapshot = found.get(note.snapshot)
        if snapshot is not None and note.number > snapshot.note:
            snapshot.note, snapshot.tags, snapshot.hold = note.number, note.tags, note.hold or 0
    return sorted(found.values(), key=lambda one: (one.sequence, one.start, one.id))
