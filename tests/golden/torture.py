#!/usr/bin/python3
"""Make the tree that golden repositories are made of: the same bytes and times wherever it runs.

    torture.py DIRECTORY 1    make it
    torture.py DIRECTORY 2    turn the first state into the second
"""

import hashlib
import os
import socket
import stat
import subprocess
import sys

NS = 10**9
EPOCH = 1_700_000_000
ROOT = os.geteuid() == 0


def noise(seed, length):
    """Bytes nobody can compress."""
    return hashlib.shake_128(seed.encode()).digest(length)


def prose(seed, length):
    """Bytes of which about half can be compressed away."""
    words = [noise(f"{seed} word {i}", 3 + i % 9).hex().encode() for i in range(400)]
    picks = noise(seed, length // 4)
    return b" ".join(words[(a << 8 | b) % 400] for a, b in zip(picks[::2], picks[1::2]))[:length]


class Maker:
    def __init__(self, root):
        self.root = os.fsencode(root)
        self.count = 0

    def path(self, name):
        return os.path.join(self.root, name if isinstance(name, bytes) else os.fsencode(name))

    def stamp(self, path, when=None):
        """A time of its own for everything, with nanoseconds."""
        self.count += 1
        moment = when if when is not None else (EPOCH + self.count * 1009) * NS + self.count * 7919 % NS
        os.utime(path, ns=(moment, moment), follow_symlinks=False)

    def file(self, name, data=b"", mode=0o644, when=None):
        path = self.path(name)
        with open(path, "wb") as out:
            out.write(data)
        os.chmod(path, mode)
        self.stamp(path, when)
        return path

    def folder(self, name, mode=0o755):
        path = self.path(name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def sparse(self, name, size, pieces):
        """A file of holes with (offset, data) in them."""
        path = self.path(name)
        with open(path, "wb") as out:
            for offset, data in pieces:
                out.seek(offset)
                out.write(data)
            out.truncate(size)
        self.stamp(path)

    def attribute(self, name, key, value):
        path = self.path(name)
        times = os.lstat(path).st_mtime_ns
        os.setxattr(path, key, value)
        self.stamp(path, times)

    def folders_last(self):
        """Times of folders change with what is put into them."""
        for folder, _folders, _files in os.walk(self.root, topdown=False):
            self.count += 1
            moment = (EPOCH + 10**7 + len(folder)) * NS + len(folder) * 104729
            os.utime(folder, ns=(moment, moment))


def contents(make):
    make.file("empty")
    make.file("one", b"1")
    make.file("small.txt", prose("small", 700))
    make.file("chunk-or-two", noise("two", 150_000))
    make.file("big", prose("big 1", 400_000) + noise("big 2", 250_000) + bytes(150_000) + prose("big 3", 300_000))
    make.file("big-again", prose("big 1", 400_000) + noise("big 2", 250_000) + bytes(150_000) + prose("big 3", 300_000))
    make.file("exactly-64k", noise("64k", 65536))
    make.sparse("hole-only", 30_000_000, [])
    make.sparse("holes", 140 << 20, [(i * (12 << 20) + (i << 16), noise(f"hole {i}", 4096)) for i in range(12)])
    make.sparse("hole-at-end", 1 << 20, [(0, prose("end", 5000))])
    make.sparse("hole-at-start", 1 << 20, [((1 << 20) - 4096, noise("start", 4096))])


def names(make):
    make.folder("names")
    for name in (b"\xff\xfe\x80 not UTF-8", b"\xd6\xd0\xce\xc4.txt", "中文文件名".encode(), b"new\nline", b"tab\tquote\"'\\",
                 b"-rf", b" ", b"trailing ", b"...", b"*?[a]", "\U0001f4be\u202e".encode(), b"n" * 255, b"\x01\x7f",
                 b"a", b"a.b", b"a b", b"A"):
        make.file(b"names/" + name, b"named " + name)
    deep = "names" + "/deeper" * 12
    make.folder(deep)
    make.file(deep + "/bottom", b"bottom\n")
    make.folder("many")
    for number in range(300):
        make.file(f"many/{number:03}", str(number).encode() if number % 3 == 0 else b"")
    make.folder("nothing-inside")


def metadata(make):
    make.folder("meta", 0o750)
    for mode in (0o400, 0o777, 0o4755, 0o2755, 0o6711):
        make.file(f"meta/mode-{mode:04o}", b"x", mode)
    make.folder("meta/sticky", 0o1777)
    make.folder("meta/set-gid", 0o2775)
    make.file("meta/before-1970", b"old", when=-1_000_000_000 * NS + 1)
    make.file("meta/just-before-1970", b"old", when=-1)
    make.file("meta/year-2400", b"new", when=13_569_465_600 * NS + 999_999_999)
    make.file("meta/at-0", b"zero", when=0)
    for name, target in (("link", "../one"), ("link-nowhere", "/no/such/file"), ("link-long", "x" * 900),
                         ("link-bytes", b"\xff\n")):
        path = make.path("meta/" + name)
        os.symlink(target, path)
        make.stamp(path)
    make.file("meta/hard-1", prose("hard", 3000))
    for name in ("meta/hard-2", "names/hard-3"):
        os.link(make.path("meta/hard-1"), make.path(name))
    os.mkfifo(make.path("meta/fifo"), 0o600)
    make.stamp(make.path("meta/fifo"))
    make.file("meta/attributes", b"attributes")
    make.attribute("meta/attributes", "user.text", b"value")
    make.attribute("meta/attributes", "user.empty", b"")
    make.attribute("meta/attributes", "user.bytes", bytes(range(256)) * 4)
    make.attribute("nothing-inside", "user.on-a-folder", b"yes")
    make.file("meta/acl", b"acl", 0o640)
    make.folder("meta/acl-folder")
    subprocess.run(["setfacl", "-m", "u:1234:rwx,g:4321:r", make.path("meta/acl")], check=True)
    subprocess.run(["setfacl", "-d", "-m", "u:1234:rx", make.path("meta/acl-folder")], check=True)


def of_root(make):
    make.file("meta/mode-0000", b"x", 0)
    for name, uid, gid in (("owner-1", 1234, 4321), ("owner-2", 65534, 0), ("owner-3", 4294967294, 2147483648)):
        path = make.file(f"meta/{name}", b"owned")
        times = os.lstat(path).st_mtime_ns
        os.chown(path, uid, gid)
        make.stamp(path, times)
    path = make.path("meta/link-owned")
    os.symlink("one", path)
    os.chown(path, 7, 8, follow_symlinks=False)
    make.stamp(path)
    make.file("meta/capability", b"\x7fELF", 0o755)
    make.attribute("meta/capability", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fsdecode(make.path("meta/socket")))
    os.chmod(make.path("meta/socket"), 0o755)
    os.mknod(make.path("meta/null"), stat.S_IFCHR | 0o644, os.makedev(1, 3))
    os.mknod(make.path("meta/disk"), stat.S_IFBLK | 0o640, os.makedev(259, 70000))
    for name in ("socket", "null", "disk"):
        make.stamp(make.path(f"meta/{name}"))


def first(make):
    make.folder("")
    contents(make)
    names(make)
    metadata(make)
    if ROOT:
        of_root(make)
    else:
        print("not root: no owners, capabilities, sockets and devices in this tree", file=sys.stderr)


def second(make):
    """Changed, grown, gone, new, renamed, of another type, of other metadata only; most stays."""
    make.count = 5000
    with open(make.path("big"), "r+b") as out:
        out.seek(123_456)
        out.write(noise("changed", 2000))
    make.stamp(make.path("big"))
    with open(make.path("chunk-or-two"), "ab") as out:
        out.write(prose("grown", 20_000))
    make.stamp(make.path("chunk-or-two"))
    os.unlink(make.path("one"))
    make.folder("one")
    make.file("one/two", b"a folder now")
    os.rename(make.path("exactly-64k"), make.path("names/moved"))
    for number in range(0, 300, 50):
        os.unlink(make.path(f"many/{number:03}"))
    make.file("many/new", noise("new", 1000))
    os.chmod(make.path("meta/mode-0400"), 0o600)
    make.attribute("small.txt", "user.late", b"came later")
    os.removexattr(make.path("meta/attributes"), "user.text")
    make.stamp(make.path("meta/link-nowhere"))


if __name__ == "__main__":
    os.umask(0o022)
    maker = Maker(sys.argv[1])
    (first if sys.argv[2] == "1" else second)(maker)
    maker.folders_last()
