#!/usr/bin/python3
"""What a tree holds, a line for each thing in it, as text; or what differs from such a text.

    manifest.py TREE                          print it
    manifest.py TREE MANIFEST [without...]    compare; `without` leaves out what only root can restore:
                                              owner (capabilities and set-id bits too), special (sockets and devices)

A line is a path, then fields `name=value`; what is not plain ASCII is escaped as %XX. The tree's top is not in it.
"""

import difflib
import hashlib
import os
import re
import stat
import sys

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo",
         stat.S_IFSOCK: "socket", stat.S_IFCHR: "character", stat.S_IFBLK: "block"}


def escaped(data):
    return "".join(chr(byte) if 0x21 <= byte <= 0x7E and byte not in b"%=" else f"%{byte:02X}" for byte in data)


def content(path, size):
    """Digest and, for files of mostly holes, that they are."""
    digest = hashlib.sha256()
    if os.access(path, os.R_OK):  # root may always; without root these are left out of comparisons
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    fields = [f"size={size}", f"sha256={digest.hexdigest()}"]
    if size >= 1 << 20 and os.lstat(path).st_blocks * 512 < size // 2:
        fields.append("sparse")
    return fields


def line(root, name, links):
    path = os.path.join(root, name)
    info = os.lstat(path)
    kind = TYPES[stat.S_IFMT(info.st_mode)]
    fields = [escaped(name), kind]
    if kind != "link":
        fields.append(f"mode={stat.S_IMODE(info.st_mode):04o}")
    fields += [f"owner={info.st_uid}:{info.st_gid}", f"mtime={info.st_mtime_ns // 10**9}.{info.st_mtime_ns % 10**9:09}"]
    if kind == "file":
        fields += content(path, info.st_size)
    if kind == "link":
        fields.append(f"target={escaped(os.readlink(path))}")
    if kind in ("character", "block"):
        fields.append(f"device={os.major(info.st_rdev)}:{os.minor(info.st_rdev)}")
    if kind != "directory" and info.st_nlink > 1:
        fields.append(f"same={escaped(links.setdefault((info.st_dev, info.st_ino), name))}")
    for key in sorted(os.listxattr(path, follow_symlinks=False)):
        if not key.startswith("security.") or key == "security.capability":
            fields.append(f"{escaped(os.fsencode(key))}={escaped(os.getxattr(path, key, follow_symlinks=False))}")
    return " ".join(fields)


def manifest(root):
    links, found = {}, []
    for folder, folders, files in os.walk(root):
        found += [os.path.relpath(os.path.join(folder, name), root) for name in folders + files]
    return [line(root, name, links) for name in sorted(found)]


def without(lines, what):
    if "special" in what:
        lines = [one for one in lines if one.split(" ")[1] not in ("socket", "character", "block")]
    if "owner" in what:
        lines = [" ".join(field for field in one.split(" ") if not field.startswith(("owner=", "security.")))
                 for one in lines if " mode=0000 " not in one]
        # Set-id bits are for the recorded owner: a restore that cannot set the owner may leave them out.
        lines = [re.sub(r" mode=[2-7](?=\d{3} )", lambda found: f" mode={int(found[0][-1]) & 1}", one) for one in lines]
    return lines


def main():
    found = manifest(os.fsencode(sys.argv[1]))
    if len(sys.argv) == 2:
        print("\n".join(found))
        return 0
    with open(sys.argv[2], encoding="ascii") as file:
        wanted = file.read().splitlines()
    left_out = sys.argv[3:]
    differences = list(difflib.unified_diff(without(wanted, left_out), without(found, left_out), "wanted", "found", "", "", 0))
    print("\n".join(differences[:60]), end="\n" if differences else "")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
