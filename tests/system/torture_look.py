#!/usr/bin/python3
"""Print what SEEK_HOLE (and the data between) and os.listxattr say of a tree, sorted, one line a thing: torture_look.py holes|xattrs DIR

An eye that shares nothing with the engine; walks by descriptors, so that no path is too long."""
import hashlib
import os
import stat
import sys

what, top = sys.argv[1], os.fsencode(sys.argv[2])
lines = []


def holes(fd, path):
    size = os.fstat(fd).st_size
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        digest = hashlib.sha256(os.pread(fd, at - start, start)).hexdigest()
        lines.append((path, b"data %d %d %s" % (start, at, digest.encode())))


def xattrs(fd, path):
    for name in os.listxattr(fd):
        lines.append((path, os.fsencode(name) + b" " + os.getxattr(fd, name).hex().encode()))


for dirpath, dirs, files, dirfd in os.fwalk(top, follow_symlinks=False):
    here = dirpath[len(top):]
    if what == "xattrs":
        xattrs(dirfd, here + b"/")
    for name in files:
        st = os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        if not stat.S_ISREG(st.st_mode):
            continue
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=dirfd)
        except PermissionError:
            continue
        (holes if what == "holes" else xattrs)(fd, here + b"/" + name)
        os.close(fd)
for path, line in sorted(lines):
    print(repr(path), line.decode())
