"""Puts a tree into a directory, with all the metadata that the caller may set."""

import os
import stat

from . import tree
from .content import HOLE, ZERO

BLOCK = bytes(1 << 20)


class Restore:
    def __init__(self, chunks, complain):
        self.chunks, self.complain, self.links = chunks, complain, {}
        self.root = os.geteuid() == 0

    def directory(self, reference, path):
        """Everything below a directory that exists."""
        for entry in reference.entries(self.chunks):
            self.entry(entry, os.path.join(path, entry.name))

    def entry(self, entry, path):
        key = (entry.dev, entry.ino)
        if entry.type != tree.DIRECTORY and entry.nlink > 1:
            if key in self.links:
                os.link(self.links[key], path, follow_symlinks=False)
                return
            self.links[key] = path
        if self.make(entry, path):
            self.metadata(entry, path)

    def make(self, entry, path):
        if entry.type == tree.FILE:
            self.file(entry.content, path)
        elif entry.type == tree.DIRECTORY:
            os.mkdir(path, 0o700)
            self.directory(entry.directory, path)
        elif entry.type == tree.SYMLINK:
            os.symlink(entry.target, path)
        elif entry.type == tree.FIFO:
            os.mkfifo(path, 0o600)
        elif not self.root:
            self.complain(f"{path!r}: only root makes sockets and devices")
            return False
        else:
            kind = {tree.SOCKET: stat.S_IFSOCK, tree.CHARACTER: stat.S_IFCHR, tree.BLOCK: stat.S_IFBLK}[entry.type]
            os.mknod(path, kind | 0o600, os.makedev(*entry.device) if entry.device else 0)
        return True

    def file(self, content, path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for kind, length, data in content.pieces(self.chunks):
                if kind == HOLE:
                    file.seek(length, os.SEEK_CUR)
                elif kind == ZERO:
                    while length:
                        length -= file.write(BLOCK[:length])
                else:
                    file.write(data)
            file.truncate(content.size)

    def metadata(self, entry, path):
        """Owner first: changing it clears capabilities and set-id bits."""
        if self.root:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        for name, value in entry.xattrs.items():
            try:
                os.setxattr(path, name, value, follow_symlinks=False)
            except OSError as error:
                self.complain(f"{path!r}: {name!r}: {error.strerror}")
        if entry.type != tree.SYMLINK:
            os.chmod(path, entry.mode)
        seconds, nanoseconds = entry.mtime
        moment = seconds * 10**9 + nanoseconds
        os.utime(path, ns=(moment, moment), follow_symlinks=False)
