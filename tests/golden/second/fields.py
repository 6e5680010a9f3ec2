"""The primitives all formats share (docs/formats/object.md, content.md)."""

U64 = (1 << 64) - 1


class Refused(Exception):
    """Something the format does not allow, or that was altered."""


class TooNew(Refused):
    """Something that a later version of the format may have defined."""


def need(condition, what):
    if not condition:
        raise Refused(what)


def signed(value):
    """The low 64 bits of value as a two's complement number."""
    value &= U64
    return value - (1 << 64) if value >> 63 else value


class Cursor:
    """Takes fields off the front of some bytes and never past their end."""

    def __init__(self, data, what):
        self.data = bytes(data)
        self.at = 0
        self.what = what

    def take(self, count):
        need(count <= len(self.data) - self.at, f"{self.what}: ends too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "little")

    def u8(self):
        return self.number(1)

    def u16(self):
        return self.number(2)

    def u32(self):
        return self.number(4)

    def u64(self):
        return self.number(8)

    def varint(self, limit=U64):
        value = 0
        for place in range(10):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                need(value <= limit, f"{self.what}: a number is too big")
                return value
        raise Refused(f"{self.what}: a number has more than ten bytes")

    def svarint(self):
        value = self.varint()
        return signed((value >> 1) ^ -(value & 1))

    def bytes(self, limit):
        return self.take(self.varint(limit))

    def text(self, limit):
        value = self.bytes(limit)
        need(b"\0" not in value, f"{self.what}: a text has a zero byte")
        return value

    def more(self):
        return self.at < len(self.data)

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        need(not self.more(), f"{self.what}: something follows the end")
