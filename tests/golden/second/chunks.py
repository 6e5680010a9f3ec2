"""Packs, frames, chunks and the index (docs/formats/pack.md, chunk.md, index.md)."""

import bisect
import collections

from .fields import Cursor, TooNew, need
from .objects import INDEX, PACK, expand, header

try:
    import xxhash
except ImportError:  # only the checks that work without keys need it, and the tags say more
    xxhash = None

DATA, META, DIRECTORY = 0, 1, 0x40
LAST = 0xFFFFFFFF
PAGE = 2048
FOLDER = {DATA: "data", META: "meta"}


def fingerprint(expected, *parts):
    """Check an XXH3 where that is possible."""
    need(xxhash is None or xxhash.xxh3_64_intdigest(b"".join(parts)) == expected, "the xxh3 does not fit")


class Pack:
    def __init__(self, name, data, keyring):
        need(keyring.suite.hash(data) == bytes.fromhex(name.rpartition("/")[2]), f"{name}: its bytes are not those it is named by")
        self.name, self.data, self.suite = name, data, keyring.suite
        cursor = Cursor(data[:56], name)
        _kind, suite = header(cursor, [PACK])
        need(suite.number == keyring.suite.number, f"{name}: of another suite")
        epoch, self.kind, zero, salt = cursor.u32(), cursor.u8(), cursor.take(3), cursor.take(32)
        need(self.kind in FOLDER and name.startswith(FOLDER[self.kind] + "/") and not any(zero), f"{name}: kind")
        self.key = self.suite.hkdf(keyring.epoch(epoch), salt, b"pack")

    def frame(self, offset, size, number=None, kind=None):
        """The plaintext of the frame at some place."""
        kind = self.kind if kind is None else kind
        what = f"{self.name}: frame at {offset}"
        need(56 <= offset and 48 <= size and offset + size <= len(self.data), f"{what}: outside of the pack")
        cursor = Cursor(self.data[offset:offset + size], what)
        need(cursor.take(4) == b"BKF1", f"{what}: no frame")
        found, stored, raw = cursor.u32(), cursor.u32(), cursor.u32()
        codec, found_kind, zero, xxh3 = cursor.u8(), cursor.u8(), cursor.take(6), cursor.u64()
        need(number in (None, found) and found_kind == kind and not any(zero), f"{what}: not the frame looked for")
        need((found == LAST) == (kind == DIRECTORY), f"{what}: not the frame looked for")
        need(16 <= stored <= 8454144 and raw <= 8388608 and stored + 32 == size, f"{what}: lengths")
        head, payload = cursor.data[:24], cursor.rest()
        fingerprint(xxh3, head, payload)
        plain = self.suite.open(self.key, found, head, payload)
        if codec == 0:
            need(len(plain) == raw, f"{what}: lengths")
            return plain
        if codec != 1:
            raise TooNew(f"{what}: unknown codec")
        need(stored < raw + 16, f"{what}: lengths")
        return expand(plain, raw, what)

    def chunks(self, offset, size, number=None):
        """The chunks of the frame at some place, by slot."""
        plain, what = self.frame(offset, size, number), f"{self.name}: frame at {offset}"
        count = Cursor(plain[-4:], what).u32()
        need(count <= 65535 and 4 + 4 * count <= len(plain), f"{what}: number of chunks")
        body = Cursor(plain[:len(plain) - 4 - 4 * count], what)
        lengths = Cursor(plain[len(plain) - 4 - 4 * count:-4], what)
        chunks = []
        for _ in range(count):
            length = lengths.u32()
            need(length <= 4 << 20, f"{what}: length of a chunk")
            chunks.append(body.take(length))
        body.end()
        return chunks

    def directory(self):
        """(offset, size, raw length, ids) of each frame."""
        need(len(self.data) >= 56 + 48 + 40, f"{self.name}: too short")
        trailer = Cursor(self.data[-40:], f"{self.name}: trailer")
        where, size, frames, chunks, zero, xxh3 = (trailer.number(n) for n in (8, 4, 4, 4, 4, 8))
        need(trailer.take(8) == b"BKPEND01" and zero == 0, f"{self.name}: damaged trailer")
        need(where + size + 40 == len(self.data), f"{self.name}: damaged trailer")
        fingerprint(xxh3, self.data[:56], self.data[-40:-16])
        cursor = Cursor(self.frame(where, size, LAST, DIRECTORY), f"{self.name}: directory")
        found, at, total = [], 56, 0
        while cursor.more():
            offset, size, raw, count = (cursor.u32() for _ in range(4))
            need(offset == at and offset + size <= where, f"{self.name}: directory: frames are not one after the other")
            found.append((offset, size, raw, [cursor.take(32) for _ in range(count)]))
            at, total = at + size, total + count
        need(at == where and len(found) == frames and total == chunks, f"{self.name}: directory: does not fit the trailer")
        return found


Place = collections.namedtuple("Place", "pack kind offset size slot")


class Segment:
    """One index segment. All of it is checked, also what a reader may ignore."""

    def __init__(self, name, data, keyring):
        self.name, self.data = name, data
        need(keyring.suite.hash(data) == bytes.fromhex(name.rpartition("/")[2]), f"{name}: its bytes are not those it is named by")
        mac = lambda *parts: keyring.suite.mac(key, *parts)
        key = keyring.derived(b"index")
        trailer = Cursor(data[-56:], f"{name}: trailer")
        where, size, tag = trailer.u64(), trailer.u64(), trailer.take(32)
        need(trailer.take(8) == b"BKIEND01" and where + size + 56 == len(data), f"{name}: damaged trailer")
        resident = data[where:where + size]
        need(mac(data[:PAGE], resident, data[-56:-40]) == tag, f"{name}: the MAC does not fit")

        cursor = Cursor(data[:PAGE], name)
        header(cursor, [INDEX])
        self.entries, self.frames, self.packs = cursor.u64(), cursor.u64(), cursor.u64()
        pages, first_entry, self.first_frame, self.first_pack, entry_pages = (cursor.u32() for _ in range(5))
        need(max(self.entries, self.frames, self.packs) <= 4194304 and first_entry == 1, f"{name}: sums")
        need(self.first_frame == 1 + entry_pages and self.first_pack == self.first_frame - -self.frames // 128, f"{name}: sums")
        need(pages == self.first_pack - -self.packs // 51 and where == PAGE * pages, f"{name}: sums")

        cursor = Cursor(resident, f"{name}: resident part")
        self.fences = [cursor.u64() for _ in range(entry_pages)]
        need(all(a < b for a, b in zip(self.fences, self.fences[1:])), f"{name}: fences do not ascend")
        for page in range(pages):
            digest = mac(page.to_bytes(8, "little"), data[page * PAGE:(page + 1) * PAGE])
            need(cursor.take(16) == digest[:16], f"{name}: page {page} does not fit its digest")
        self.seed, self.length, self.count, prints, zero = cursor.u64(), cursor.u32(), cursor.u32(), cursor.u32(), cursor.u32()
        self.prints = cursor.rest()
        need(len(self.prints) == prints and zero == 0, f"{name}: filter")
        need(prints == (self.count + 2 * self.length if self.entries else 0), f"{name}: filter")

    def line(self, first, index, size):
        """A line of the frame or the pack table."""
        per_page = PAGE // size
        at = PAGE * (first + index // per_page) + size * (index % per_page)
        return Cursor(self.data[at:at + size], f"{self.name}: table")

    def place(self, frame, slot):
        need(frame < self.frames, f"{self.name}: no frame has this number")
        line = self.line(self.first_frame, frame, 16)
        pack, offset, size, _raw = (line.u32() for _ in range(4))
        need(pack < self.packs, f"{self.name}: no pack has this number")
        line = self.line(self.first_pack, pack, 40)
        name, size_of_pack, kind = line.take(32).hex(), line.u32(), line.u8()
        need(kind in FOLDER and offset + size <= size_of_pack, f"{self.name}: a frame is not in its pack")
        return Place(f"{FOLDER[kind]}/{name[:2]}/{name}", kind, offset, size, slot)

    def passes(self, chunk):
        """What the filter says of an id."""
        low = (1 << 64) - 1
        h = int.from_bytes(chunk[:8], "little") + self.seed & low
        h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & low
        h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & low
        h ^= h >> 33
        p0 = h * self.count >> 64
        p1 = p0 + self.length ^ (h >> 18) & (self.length - 1)
        p2 = p0 + 2 * self.length ^ h & (self.length - 1)
        t = self.prints
        return t[p0] ^ t[p1] ^ t[p2] == (h ^ h >> 32) & 255

    def places(self):
        """(id, place) of every entry, checked against the order, the fences and the filter."""
        before, total = b"", 0
        for page, fence in enumerate(self.fences):
            data = self.data[PAGE * (1 + page):PAGE * (2 + page)]
            count = int.from_bytes(data[2046:], "little")
            need(1 <= count <= 53, f"{self.name}: entries of a page")
            cursor = Cursor(data[:38 * count], self.name)
            need(int.from_bytes(data[:8], "big") == fence, f"{self.name}: a fence is not the first id")
            for _ in range(count):
                chunk, frame, slot = cursor.take(32), cursor.u32(), cursor.u16()
                need(before < chunk, f"{self.name}: ids do not ascend")
                found = bisect.bisect_right(self.fences, int.from_bytes(chunk[:8], "big")) - 1
                need(found == page and self.passes(chunk), f"{self.name}: fences or filter do not find an id")
                before, total = chunk, total + 1
                yield chunk, self.place(frame, slot)
        need(total == self.entries, f"{self.name}: number of entries")


class Chunks:
    """All chunks of a repository, by id."""

    def __init__(self, store, keyring, use_index):
        self.store, self.keyring = store, keyring
        chunk_key = keyring.derived(b"chunk-id")
        self.kind_keys = {DATA: keyring.suite.hkdf(chunk_key, None, b"data"), META: keyring.suite.hkdf(chunk_key, None, b"meta")}
        self.packs, self.cache = {}, collections.OrderedDict()
        self.places = dict(self.from_index() if use_index else self.from_packs())

    def from_index(self):
        for name in self.store.names("index"):
            yield from Segment(name, self.store.read(name), self.keyring).places()

    def from_packs(self):
        for kind, folder in FOLDER.items():
            for name in self.store.packs(folder):
                for offset, size, _raw, ids in self.pack(name).directory():
                    for slot, chunk in enumerate(ids):
                        yield chunk, Place(name, kind, offset, size, slot)

    def pack(self, name):
        if name not in self.packs:
            self.packs[name] = Pack(name, self.store.read(name), self.keyring)
        return self.packs[name]

    def id(self, kind, plain):
        return self.keyring.suite.mac(self.kind_keys[kind], plain)

    def get(self, chunk, kind):
        """The plaintext of a chunk, its name proven."""
        need(chunk in self.places, f"chunk {chunk.hex()} is nowhere")
        place = self.places[chunk]
        need(place.kind == kind, f"chunk {chunk.hex()} is of another kind")
        frame = (place.pack, place.offset)
        if frame not in self.cache:
            self.cache[frame] = self.pack(place.pack).chunks(place.offset, place.size)
        self.cache.move_to_end(frame)
        while len(self.cache) > 64:
            self.cache.popitem(last=False)
        need(place.slot < len(self.cache[frame]), f"chunk {chunk.hex()}: no such slot")
        plain = self.cache[frame][place.slot]
        need(self.id(kind, plain) == chunk, f"chunk {chunk.hex()} has other bytes than its name says")
        return plain

    def check(self):
        """Every chunk of every pack against the directory, and the index against both. Returns how many there are."""
        seen = set()
        for kind, folder in FOLDER.items():
            for name in self.store.packs(folder):
                pack = self.pack(name)
                for number, (offset, size, _raw, ids) in enumerate(pack.directory()):
                    found = [self.id(kind, plain) for plain in pack.chunks(offset, size, number)]
                    need(found == ids, f"{name}: the directory names other chunks than frame {number} has")
                    seen.update(found)
        need(set(self.places) <= seen, "the index has chunks that no pack has")
        return len(seen)
