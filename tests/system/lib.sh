# Helpers of the system tests. Sourced by each with the test's name: . "$(dirname "$0")/lib.sh" NAME
#
#   $W   a folder of the test's own, removed at exit       $R   the repository in it, made by `repo`
#   bk   bkctl on $R, unlocked with a key file (no time goes into a passphrase)
#
# A test ends with 0 when all is well, 77 when it cannot run here (the reason is its last line), else with what failed.
set -euo pipefail
shopt -s inherit_errexit
: "${BKCTL:?set BKCTL to the bkctl under test}"
BKCTL=$(realpath "$BKCTL")
export LC_ALL=C.UTF-8 TZ=UTC
unset BKCTL_REPO BKCTL_PASSWORD BKCTL_NEW_PASSWORD LANGUAGE
TEST=$1
W=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/bkctl-$TEST.XXXXXX")")
R=$W/repo
cleanups=()

finish() {
    local rc=$? i
    set +e
    trap - EXIT INT TERM
    cd /
    for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do eval "${cleanups[i]}"; done
    rm -rf "$W"
    exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT TERM
trap 'echo "line $LINENO: exit status $? of: $BASH_COMMAND" >&2' ERR

at_exit() { cleanups+=("$*"); }
step() { echo "-- $*"; }
figure() { echo "# $*"; }
# Does what is read hold the pattern? All of it is read: grep -q ends early, and under pipefail the writer's broken pipe counts.
has() { grep "$@" >/dev/null; }
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
skip() {
    echo "$*"
    exit 77
}
is_root() { [ "$(id -u)" = 0 ]; }
need_root() { is_root || skip "needs root"; }
need() {
    local t
    for t in "$@"; do command -v "$t" >/dev/null || skip "needs $t"; done
}

head -c 64 /dev/urandom >"$W/key"
bk() { "$BKCTL" --repo "$R" --key-file "$W/key" "$@"; }
# Make $R: repo [INIT OPTIONS]. With TEST_STORE=URL on that store instead, a new place each time: %s in it becomes a name of its own,
# %n the number of the place in the test. place: only name it.
places=0
place() {
    [ -z "${TEST_STORE:-}" ] && return
    places=$((places + 1))
    R=${TEST_STORE//%s/$(basename "$W").$places}
    R=${R//%n/$places}
}
repo() {
    place
    bk init -q "$@"
}
# Are the repository's objects files in $R?
in_files() { [ -z "${TEST_STORE:-}" ]; }

# Run a command that must end with a given status: expect STATUS COMMAND...; its output is in $W/out and $W/err.
expect() {
    local want=$1 got=0
    shift
    "$@" >"$W/out" 2>"$W/err" </dev/null || got=$?
    [ "$got" = "$want" ] && return 0
    sed 's/^/    /' "$W/out" "$W/err" | tail -n 20 >&2
    fail "exit status $got instead of $want: $*"
}
# Wait until a server that the test has started takes connections: listens PORT PID NAME LOG
listens() {
    local i
    for i in {1..100}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
        kill -0 "$2" 2>/dev/null || break
        sleep 0.05
    done
    cat "$4"
    fail "$3 does not listen"
}
# The newest snapshot's field: newest .files
newest() { bk snapshots --json | jq -r ".snapshots[-1]$1"; }
count_snapshots() { bk snapshots --json | jq '.snapshots | length'; }

# Every line of a file is a JSON object with a type; print the last. one_json FILE
last_json() {
    jq -es 'length > 0 and all(.[]; type == "object" and has("type"))' "$1" >/dev/null ||
        { head -c 2000 "$1" >&2; fail "not JSON: $1"; }
    tail -n 1 "$1"
}

# Two trees are the same in all that rsync sees: same A B [RSYNC OPTIONS]
same() {
    local a=$1 b=$2 diff
    shift 2
    diff=$(rsync -aHAXnci --delete "$@" "$a/" "$b/" 2>&1) || { echo "$diff" | head -n 20 >&2; fail "rsync $a $b"; }
    [ -z "$diff" ] || { echo "$diff" | head -n 20 >&2; fail "$a and $b differ"; }
}

# Peak resident MiB of a command: peak COMMAND...; its output is in $W/out and $W/err, the figure in $peak.
peak() {
    local got=0
    /usr/bin/time -f %M -o "$W/rss" "$@" >"$W/out" 2>"$W/err" </dev/null || got=$?
    [ "$got" = 0 ] || { tail -n 5 "$W/err" >&2; fail "exit status $got: $*"; }
    peak=$((($(tail -n 1 "$W/rss") + 1023) / 1024))
}

# A fresh ext4 file system on a loop device, mounted: loop_fs DIR SIZE [MKFS OPTIONS]
loop_fs() {
    local dir=$1 size=$2
    shift 2
    mkdir -p "$dir"
    truncate -s "$size" "$dir.img"
    mkfs.ext4 -q -F "$@" "$dir.img"
    mount -o loop "$dir.img" "$dir" 2>"$W/err" || skip "no loop device: $(cat "$W/err")"
    at_exit "umount '$dir' || umount -l '$dir'"
}
