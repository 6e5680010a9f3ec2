#!/usr/bin/python3
"""List, check and restore a repository without the engine: the second reader of docs/formats/.

    reader.py REPOSITORY --password-file FILE --list
    reader.py REPOSITORY --password-file FILE [--snapshot ID|latest] [--path PATH] --target DIRECTORY
    reader.py REPOSITORY --password-file FILE [--snapshot ID|latest] --cat STREAM
    reader.py REPOSITORY --password-file FILE --check
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True
from second import chunks, keys, objects, restore, snapshot, tree  # noqa: E402
from second.fields import Refused, need  # noqa: E402


class Secrets:
    def __init__(self, options):
        self.passphrase = self.read(options.password_file)
        if self.passphrase is not None:
            self.passphrase = self.passphrase.partition(b"\n")[0].removesuffix(b"\r")  # as bkctl does: the first line
        self.key_file = self.read(options.key_file)
        self.private_key = self.read(options.private_key)

    @staticmethod
    def read(path):
        if path is None:
            return None
        with open(path, "rb") as file:
            return file.read()


def choose(snapshots, wanted, fits):
    """The snapshot of an id or of the beginning of one; the latest that fits."""
    if wanted == "latest":
        found = [one for one in snapshots if fits(one)][-1:]
    else:
        found = [one for one in snapshots if one.id.hex().startswith(wanted)]
    need(len(found) == 1, f"{len(found)} snapshots are called {wanted}")
    return found[0]


def stream_of(one, kind):
    return next((payload for found, _name, payload in one.streams if found == kind), None)


def descend(reference, path, store):
    """The directory below a tree at a path, and its own entry; no entry for the top."""
    entry = None
    for part in filter(None, os.fsencode(path).split(b"/")):
        entry = next((one for one in reference.entries(store) if one.name == part), None)
        need(entry is not None and entry.directory is not None, f"{path}: no such directory in the snapshot")
        reference = entry.directory
    return reference, entry


def print_list(snapshots):
    for one in snapshots:
        show = lambda value: value.decode("utf-8", "backslashreplace")
        streams = " ".join(f"{snapshot.STREAMS[kind]}:{show(name)}" for kind, name, _ in one.streams)
        print(one.id.hex(), one.sequence, ("full", "differential", "incremental")[one.level - 1],
              ("complete", "exceptions", "incomplete")[one.state - 1], f"files={one.files or 0}",
              f"bytes={one.content_bytes or 0}", f"hold={one.hold}", f"tags={show(b','.join(one.tags))}", streams)


def restore_tree(options, snapshots, store, complain):
    one = choose(snapshots, options.snapshot, lambda one: stream_of(one, snapshot.TREE))
    reference = stream_of(one, snapshot.TREE)
    need(reference, "the snapshot has no tree")
    reference, entry = descend(reference, options.path, store)
    os.makedirs(options.target, exist_ok=True)
    target = os.fsencode(options.target)
    work = restore.Restore(store, complain)
    work.directory(reference, target)
    if entry is not None:
        work.metadata(entry, target)
    held = stream_of(one, snapshot.EXCEPTIONS)
    for trouble, errno, path, detail in tree.exceptions(held.bytes(store)) if held else ():
        complain(f"was not saved whole: {path!r}: trouble {trouble}, errno {errno} {detail.decode()}")


def cat(options, snapshots, store):
    wanted = os.fsencode(options.cat)
    has = lambda one: [payload for kind, name, payload in one.streams
                       if kind in (snapshot.BLOB, snapshot.DISK) and name == wanted]
    found = has(choose(snapshots, options.snapshot, has))
    need(found, "the snapshot has no such stream")
    for _kind, length, data in found[0].pieces(store):
        while data is None and length:
            length -= sys.stdout.buffer.write(restore.BLOCK[:length])
        sys.stdout.buffer.write(data or b"")


def main():
    parser = argparse.ArgumentParser(description="A second reader of the repository format.")
    parser.add_argument("repository")
    parser.add_argument("--password-file")
    parser.add_argument("--key-file")
    parser.add_argument("--private-key", help="PEM, for X25519 and SM2 slots")
    parser.add_argument("--snapshot", default="latest")
    parser.add_argument("--path", default="/", help="restore what is below this directory of the snapshot")
    parser.add_argument("--no-index", action="store_true", help="find chunks by the packs' directories")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true")
    what.add_argument("--check", action="store_true", help="open every chunk of every pack")
    what.add_argument("--target", metavar="DIRECTORY")
    what.add_argument("--cat", metavar="STREAM")
    options = parser.parse_args()
    troubles = []

    def complain(message):
        troubles.append(message)
        print(f"reader.py: {message}", file=sys.stderr)

    try:
        store = objects.Store(options.repository)
        config = keys.Config(store.read("config"))
        keyring = keys.unlock(store, config, Secrets(options))
        snapshots = snapshot.read_all(store, keyring)
        if options.list:
            print_list(snapshots)
            return 0
        found = chunks.Chunks(store, keyring, bool(store.names("index")) and not options.no_index)
        if options.check:
            print(f"{config.suite.name}: {found.check()} chunks, {len(snapshots)} snapshots")
        elif options.cat is not None:
            cat(options, snapshots, found)
        else:
            restore_tree(options, snapshots, found, complain)
    except (Refused, OSError) as error:
        complain(str(error))
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
