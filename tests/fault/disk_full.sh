#!/bin/bash
# A full disk at every step: backups into file systems of every size from almost nothing up, then second backups with
# ever more room left. Each succeeds or ends with exit 9 and a hint; with space freed check is clean, what had been
# committed is there, the next backup works and restores identically. And a restore into a full disk says so.
#
#   BKCTL=PROGRAM tests/fault/disk_full.sh      (root: it mounts small tmpfs file systems)
set -euo pipefail
bkctl=$(realpath "${BKCTL:-build/bkctl/bkctl}")
[ -x "$bkctl" ] || { echo "no bkctl at $bkctl"; exit 77; }
for t in rsync openssl; do
    command -v $t >/dev/null || { echo "$t is not installed"; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "mounting a small file system needs root"; exit 77; }
top=$(mktemp -d "${TMPDIR:-/dev/shm}/bk-full-XXXXXX")
small=$top/small
mkdir "$small"
mount -t tmpfs -o size=1m tmpfs "$small" 2>/dev/null || { rm -rf "$top"; echo "cannot mount a tmpfs here"; exit 77; }
trap 'umount "$small" 2>/dev/null; rm -rf "$top"' EXIT
export BKCTL_REPO=$small/repo LC_ALL=C.UTF-8
head -c 64 /dev/urandom >"$top/key"
run() { "$bkctl" "$@" --key-file "$top/key" --memory 64MiB --quiet; }
die() { echo "FAILED: $*"; exit 1; }
resize() { mount -o "remount,size=$1" "$small"; }

# files FOLDER BYTES N: N files that do not compress
files() { mkdir -p "$top/source/$1" && head -c "$2" /dev/urandom | split -a 3 -b $(($2 / $3)) - "$top/source/$1/f"; }
files one 6000000 150
head -c 2000000 /dev/urandom >"$top/source/big"

ok=0 full=0
# attempt WHAT ARGS: success, or exit 9 with a message that says why and a hint. Sets rc.
attempt() {
    local what=$1
    shift
    rc=0
    run "$@" >"$top/out" 2>&1 || rc=$?
    case $rc in
        0) ok=$((ok + 1)) ;;
        9)
            full=$((full + 1))
            grep -qi 'no space' "$top/out" || die "$what: exit 9 without saying why: $(cat "$top/out")"
            grep -q '^hint:' "$top/out" || die "$what: exit 9 without a hint: $(cat "$top/out")"
            ;;
        *) die "$what: exit $rc: $(cat "$top/out")" ;;
    esac
}
clean() { run check --read-data >"$top/out" 2>&1 || die "$1: check: $(cat "$top/out")"; }
restores() {
    rm -rf "$top/restored"
    run restore full@latest --target "$top/restored" >"$top/out" 2>&1 || die "$1: restore: $(cat "$top/out")"
    local difference
    difference=$(rsync -aHAXnci --delete "$top/source/" "$top/restored$top/source/")
    [ -z "$difference" ] || die "$1: the restore differs: $difference"
}

# A first backup into file systems of every size.
cases=0
for kb in 4 8 12 16 24 32 48 64 96 128 192 256 384 512 $(seq 1024 768 9500); do
    umount "$small"
    mount -t tmpfs -o "size=${kb}k" tmpfs "$small"
    cases=$((cases + 1))
    attempt "init on $kb KiB" init
    initialised=$rc
    if [ $rc = 0 ]; then
        attempt "backup into $kb KiB" backup --name full "$top/source"
        backed=$rc
        clean "after a backup into $kb KiB" # also on the full disk: it only reads
    fi
    resize 64m
    if [ $initialised != 0 ]; then
        run init >"$top/out" 2>&1 || die "init on $kb KiB, then with room: $(cat "$top/out")"
    elif [ "$backed" = 0 ]; then
        restores "$kb KiB"
    fi
    attempt "backup into $kb KiB, then with room" backup --name full "$top/source"
    [ $rc = 0 ] || die "backup with room: $(cat "$top/out")"
    clean "$kb KiB"
    restores "$kb KiB"
done
echo "# $cases file systems of 4 KiB to 9 MiB: $full attempts ended with exit 9 and a hint, $ok succeeded; all clean and complete afterwards"

# Further backups into what is left.
cases=0 ok=0 full=0
for free in 0 4 16 64 128 256 512 1024 1536 2048 2560 3072; do
    files "two$free" 2500000 40
    resize 64m
    used=$(du -sk "$small" | cut -f1)
    resize "$((used + free))k"
    before=$(run snapshots --json | grep -o '"sequence":' | wc -l)
    attempt "a backup with $free KiB left" backup --name full "$top/source"
    after=$(run snapshots --json | grep -o '"sequence":' | wc -l)
    [ "$after" = $((before + (rc == 0))) ] || die "$free KiB left: $before snapshots before, $after after, exit $rc"
    clean "$free KiB left"
    cases=$((cases + 1))
    rm -rf "$top/source/two$free"
    resize 256m
    attempt "the next backup" backup --name full "$top/source"
    [ $rc = 0 ] || die "the next backup: $(cat "$top/out")"
done
clean "at the end"
restores "at the end"
echo "# $cases further backups with 0 to 3 MiB left: $full exits 9 with a hint; no snapshot lost or half there"

# A restore into a full disk.
cases=0
cp -a "$small/repo" "$top/repo"
export BKCTL_REPO=$top/repo
for kb in 4 64 1024 4096; do
    umount "$small"
    mount -t tmpfs -o "size=${kb}k" tmpfs "$small"
    rc=0
    run restore full@latest --target "$small/restored" >"$top/out" 2>&1 || rc=$?
    [ $rc = 9 ] || [ $rc = 10 ] || die "a restore into $kb KiB: exit $rc: $(cat "$top/out")"
    grep -qi 'no space' "$top/out" || die "a restore into $kb KiB does not say why: $(cat "$top/out")"
    cases=$((cases + 1))
done
echo "# $cases restores into full disks: each said so"
