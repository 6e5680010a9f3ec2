#!/usr/bin/python3
"""Change files without pause until killed: changing_mutator.py DIR. And judge them afterwards: ... judge DIR COPY.

Every kind of file can tell by itself whether a copy of it is a state that it once had:
  swap     replaced by rename: a header with the digest of the rest
  log      only appended to: a start of the file as it is now
  sweep    blocks of 4 KiB rewritten in order, each full of its version: a version, then the one before it, never back
  shrink   truncated step by step, then written whole again: a start of its whole content
  come     created by rename and removed again: whole when it is there
"""
import hashlib
import os
import random
import sys
import time

SWEEP_BLOCKS = 2048
SHRINK = random.Random(7).randbytes(3 << 20)


def whole(rng):
    body = rng.randbytes(rng.randrange(1, 400000))
    return hashlib.sha256(body).digest() + body


def is_whole(data):
    return hashlib.sha256(data[32:]).digest() == data[:32]


def is_sweep(data):
    if len(data) != SWEEP_BLOCKS * 4096:
        return False
    seen = [int.from_bytes(data[i:i + 8], "little") for i in range(0, len(data), 4096)]
    return seen == sorted(seen, reverse=True) and seen[0] - seen[-1] <= 1


def put(path, data):
    with open(path + b".tmp", "wb") as f:
        f.write(data)
    os.rename(path + b".tmp", path)


def prepare(top):
    rng = random.Random(3)
    for i in range(20):
        put(top + b"/swap %d" % i, whole(rng))
    for i in range(4):
        with open(top + b"/sweep %d" % i, "wb") as f:
            f.write(bytes(SWEEP_BLOCKS * 4096))
        open(top + b"/shrink %d" % i, "wb").write(SHRINK)
        open(top + b"/log %d" % i, "wb").write(b"start\n")
    for i in range(300):
        put(top + b"/quiet %d" % i, whole(rng))


def mutate(top):
    rng = random.Random()
    sweeps = [[os.open(top + b"/sweep %d" % i, os.O_WRONLY), 0, 1] for i in range(4)]
    logs = [os.open(top + b"/log %d" % i, os.O_WRONLY | os.O_APPEND) for i in range(4)]
    shrinks = [os.open(top + b"/shrink %d" % i, os.O_RDWR) for i in range(4)]
    sizes = [len(SHRINK)] * 4
    while True:
        put(top + b"/swap %d" % rng.randrange(20), whole(rng))
        come = top + b"/come %d" % rng.randrange(20)
        if os.path.exists(come):
            os.unlink(come)
        else:
            put(come, whole(rng))
        for s in sweeps:
            for _ in range(64):
                os.pwrite(s[0], s[2].to_bytes(8, "little") * 512, s[1] * 4096)
                s[1] += 1
                if s[1] == SWEEP_BLOCKS:
                    s[1], s[2] = 0, s[2] + 1
        for fd in logs:
            os.write(fd, b"%d " % rng.randrange(10**9) * rng.randrange(500) + b"\n")
        for i, fd in enumerate(shrinks):
            if sizes[i] > 200000:
                sizes[i] -= rng.randrange(100000)
                os.ftruncate(fd, sizes[i])
            else:
                os.pwrite(fd, SHRINK[sizes[i]:], sizes[i])
                sizes[i] = len(SHRINK)
        time.sleep(0.001)


def judge(source, copy, excepted):
    good = 0
    for name in sorted(os.listdir(copy)):
        if name in excepted or name.endswith(b".tmp"):
            continue
        with open(copy + b"/" + name, "rb") as f:
            data = f.read()
        kind = name.split(b" ")[0]
        if kind in (b"swap", b"come", b"quiet"):
            ok = is_whole(data)
        elif kind == b"sweep":
            ok = is_sweep(data)
        elif kind == b"shrink":
            ok = SHRINK.startswith(data)
        else:
            with open(source + b"/" + name, "rb") as f:
                ok = f.read(len(data)) == data
        if not ok:
            sys.exit("%r is a state that it never had, and is no exception" % name)
        good += 1
    for i in range(300):
        if not os.path.exists(copy + b"/quiet %d" % i):
            sys.exit("a file that nobody touched is missing: quiet %d" % i)
    print(good)


if sys.argv[1] == "judge":
    judge(os.fsencode(sys.argv[2]), os.fsencode(sys.argv[3]), set(sys.stdin.buffer.read().split(b"\0")))
elif sys.argv[1] == "prepare":
    prepare(os.fsencode(sys.argv[2]))
else:
    mutate(os.fsencode(sys.argv[1]))
