#!/bin/bash
# A target that leads elsewhere: links that lie in wait, or are swapped in while the restore runs, are not followed.
. "$(dirname "$0")/lib.sh" hostile
need jq python3
S=$W/source
mkdir -p "$S/a/b" "$S/c"
for i in {1..300}; do echo "$i" >"$S/a/b/$i"; done
echo c >"$S/c/file"
ln -s target "$S/soft"
repo
expect 0 bk backup --name h "$S"
outside() { [ -z "$(find "$W/outside" -mindepth 1)" ] || { find "$W/outside" | head; fail "$1: something was written outside of the target"; }; }
mkdir "$W/outside"

step "links that lie there before"
mkdir "$W/t"
ln -s "$W/outside" "$W/t/a"
ln -s "$W/outside/file" "$W/t/soft"
mkdir "$W/t/c"
ln -s "$W/outside/made" "$W/t/c/file"
rc=0
bk restore latest:"$S" --strip --target "$W/t" --overwrite >"$W/out" 2>"$W/err" || rc=$?
[ $rc = 0 ] || [ $rc = 10 ] || { cat "$W/err"; fail "exit status $rc"; }
outside "links before"
[ $rc = 10 ] || diff -r --no-dereference "$S" "$W/t"

step "a target that is a link itself is the user's word"
mkdir "$W/real"
ln -s real "$W/link"
expect 0 bk restore latest:"$S" --strip --target "$W/link"
diff -r --no-dereference "$S" "$W/real"

step "links swapped in while it runs"
cat >"$W/swap.py" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])
os.symlink(sys.argv[2], "bait")
while True:  # exchange a folder with a link to the outside
    for name in (b"a", b"a/b", b"c"):
        libc.renameat2(-100, b"bait", -100, name, 2)
        libc.renameat2(-100, b"bait", -100, name, 2)
END
for i in {1..8}; do
    rm -rf "$W/t"
    mkdir -p "$W/t/a/b" "$W/t/c"
    python3 "$W/swap.py" "$W/t" "$W/outside" &
    pid=$!
    sleep 0.1
    rc=0
    bk restore latest:"$S" --strip --target "$W/t" --overwrite --delete >"$W/out" 2>"$W/err" || rc=$?
    kill $pid
    wait $pid 2>/dev/null || true
    outside "swapped links (exit status $rc)"
done
figure "8 restores under swapping links: nothing written outside"
