#!/usr/bin/python3
"""Make the part of the torture tree that a shell cannot name: torture_tree.py DIR

Odd names, times, sparse files, a chain of folders longer than PATH_MAX, sockets. Works for any user."""
import os
import random
import socket
import sys

top = os.fsencode(sys.argv[1])
os.makedirs(top, exist_ok=True)
os.chdir(top)


def put(name, data=b"x\n"):
    with open(name, "wb") as f:
        f.write(data)


def names():
    os.mkdir(b"names")
    for b in range(1, 256):
        if b != ord("/"):
            put(b"names/byte " + bytes([b]) + b" end")
    for name in (b"\xff\xfe\x80", "中文".encode("gbk"), "中文".encode(), b"new\nline", b"-rf", b"a" * 255,
                 b"\xe4" * 255, b" ", b"  two ", b"...", b"..data", b"*?[a]", b"$(id)`id`", b"C:\\x", b"\\", b"\r\n"):
        put(b"names/" + name, name)


def times():
    os.mkdir(b"times")
    year2400 = 13569465600
    for i, ns in enumerate((0, 1, -1, -123456789, -14182940 * 10**9 + 123456789, year2400 * 10**9 + 987654321,
                            -(1 << 31) * 10**9, ((1 << 31) - 1) * 10**9 + 999999999, (1 << 32) * 10**9 + 5)):
        put(b"times/%d" % i)
        os.utime(b"times/%d" % i, ns=(ns, ns))
        os.mkdir(b"times/dir %d" % i)
        os.symlink(b"x", b"times/link %d" % i)
        os.utime(b"times/link %d" % i, ns=(ns, ns), follow_symlinks=False)
        os.utime(b"times/dir %d" % i, ns=(ns, ns))


def sparse(name, size, pieces):
    fd = os.open(name, os.O_CREAT | os.O_WRONLY, 0o644)
    os.ftruncate(fd, size)
    for at, data in pieces:
        os.pwrite(fd, data, at)
    os.close(fd)


def sparses():
    os.mkdir(b"sparse")
    rng = random.Random(1)
    sparse(b"sparse/all hole", 100 << 20, [])
    sparse(b"sparse/end", 50 << 20, [((50 << 20) - 1, b"e")])
    sparse(b"sparse/start", 50 << 20, [(0, b"s")])
    sparse(b"sparse/huge", 1 << 40, [(1 << 39, b"middle"), (123 << 20, rng.randbytes(100000))])
    sparse(b"sparse/comb", 8 << 20, [(at, rng.randbytes(4096)) for at in range(0, 8 << 20, 64 << 10)])
    sparse(b"sparse/odd", 1000001, [(123457, b"odd")])
    put(b"sparse/not a hole", bytes(300000))


def links():
    os.mkdir(b"links")
    put(b"links/one", b"one of three")
    for name in (b"links/two", b"names/third link"):
        os.link(b"links/one", name)
    os.symlink(b"no such target", b"links/soft")
    os.link(b"links/soft", b"links/soft again", follow_symlinks=False)
    os.symlink(b"t" * 4000, b"links/long")
    os.symlink(b"\xff\n\x01", b"links/bytes")
    os.symlink(b".", b"links/loop")
    os.mkfifo(b"links/fifo")
    os.link(b"links/fifo", b"links/fifo again")
    for i in range(300):
        os.link(b"links/two", b"links/many %d" % i)


def contents():
    os.mkdir(b"contents")
    rng = random.Random(2)
    put(b"contents/empty", b"")
    for size in (1, 4095, 4096, 4097, 65535, 65536, 262144, 262145, 1 << 20, 30000001):
        put(b"contents/%d" % size, rng.randbytes(size))
    os.makedirs(b"empty/dirs/only")
    os.mkdir(b"wide")
    for i in range(3000):
        put(b"wide/%05d" % i, b"%d" % i if i % 3 else b"")


def deep():
    os.mkdir(b"deep")
    here = os.open(b".", os.O_RDONLY)
    os.chdir(b"deep")
    for i in range(60):
        name = b"%03d" % i + b"d" * 240
        os.mkdir(name)
        os.chdir(name)
    put(b"at the bottom", b"14 KiB down\n")
    os.symlink(b"at the bottom", b"link")
    os.fchdir(here)
    os.close(here)


def sockets():
    here = os.getcwd()
    os.chdir(b"links")
    s = socket.socket(socket.AF_UNIX)
    s.bind("socket")
    s.close()
    os.chdir(here)


def modes():
    os.mkdir(b"modes")
    for mode in (0, 0o400, 0o111, 0o777, 0o4755, 0o2755, 0o1644, 0o6711, 0o7777):
        put(b"modes/%04o" % mode)
        os.chmod(b"modes/%04o" % mode, mode)
    for mode in (0o700, 0o1777, 0o2775, 0o4755):
        os.mkdir(b"modes/dir %04o" % mode)
        os.chmod(b"modes/dir %04o" % mode, mode)


for make in (names, links, sockets, times, sparses, contents, deep, modes):
    make()
