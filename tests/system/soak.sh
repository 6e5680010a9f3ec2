#!/bin/bash
# Writers, a pruner that forgets and collects, and a restorer at work on one repository at once, each of them killed with
# kill -9 now and then. Nothing may be lost: every snapshot that is listed restores to exactly what its source was, the last
# one that each writer was told of is among them, and check finds nothing.
#
#   SOAK_SECONDS=N (20)   SOAK_WRITERS=N (4)   SEED=N
. "$(dirname "$0")/lib.sh" soak
need jq openssl sha256sum
seconds=${SOAK_SECONDS:-20} writers=${SOAK_WRITERS:-4} seed=${SEED:-$RANDOM}
RANDOM=$seed
mkdir "$W/source" "$W/made" "$W/told" "$W/count"
end=$((SECONDS + seconds))

# The bytes of a file follow from writer, generation and number, so that what a restored tree has to be can be made again.
content() { openssl enc -aes-128-ctr -nosalt -pass "pass:$1" -pbkdf2 -iter 1 -in /dev/zero 2>/dev/null | head -c "$2" || true; }
# tree WRITER GENERATION: each generation changes a tenth of the files
tree() {
    local dir=$W/source/w$1 i
    mkdir -p "$dir/d"
    for i in $(seq 0 19); do
        [ -e "$dir/d/f$i" ] && [ $((($2 + i) % 10)) != 0 ] && continue
        content "$1-$(($2 / 2))-$i" $((20000 + i * 3000)) >"$dir/d/f$i"
    done
    echo "$1 $2" >"$dir/which"
    manifest "$dir" >"$W/made/$1.$2"
}
manifest() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }
count() { echo >>"$W/count/$1"; }
counted() { [ -e "$W/count/$1" ] && wc -l <"$W/count/$1" || echo 0; }

# A command of bkctl that is killed one time in four, at some moment: its own status, or 137.
risky() {
    local what=$1 pid rc=0
    shift
    "$BKCTL" --repo "$R" --key-file "$W/key" "$@" & # itself, not a shell that waits for it
    pid=$!
    if [ $((RANDOM % 4)) = 0 ]; then
        sleep "0.$(printf %03d $((RANDOM % 700)))"
        kill -9 $pid 2>/dev/null && count "killed-$what"
    fi
    wait $pid || rc=$?
    return $rc
}

writer() {
    local g=0 rc
    RANDOM=$((seed + $1))
    while [ $SECONDS -lt $end ]; do
        g=$((g + 1)) rc=0
        tree "$1" $g
        risky backup backup --json --name "w$1" "$W/source/w$1" >"$W/w$1.json" 2>"$W/w$1.err" || rc=$?
        case $rc in
            0) jq -r 'select(.type == "result").snapshot.id' "$W/w$1.json" >"$W/told/w$1" && count backup ;;
            137) ;;
            18) count fenced ;; # taken for dead: nothing was promised
            *) sed 's/^/    /' "$W/w$1.err"; echo "backup of w$1 ended with $rc"; return 1 ;;
        esac
    done
}

pruner() {
    local rc
    RANDOM=$((seed + 100))
    while [ $SECONDS -lt $end ]; do
        for what in "forget --keep-last 3 --yes" "prune --session-timeout 20s"; do
            rc=0
            # shellcheck disable=SC2086
            risky "${what%% *}" $what --quiet >"$W/prune.out" 2>"$W/prune.err" || rc=$?
            case $rc in
                0) count "${what%% *}" ;;
                137) ;;
                6) sleep 1 ;; # a collection that was killed may still count as alive
                *) sed 's/^/    /' "$W/prune.err"; echo "$what ended with $rc"; return 1 ;;
            esac
        done
    done
}

listed() { bk snapshots --json | jq -r '.. | objects | select(has("id") and has("name")) | .id' | sort -u; }
# restore_one ID TAG [risky restore]: 0 exact, 137 killed, else not
restore_one() {
    local id=$1 tag=$2 to=$W/restored-$2 which rc=0
    shift 2
    rm -rf "$to"
    "$@" restore "$id" --target "$to" --quiet || rc=$?
    [ $rc = 0 ] || return $rc
    which=$(find "$to" -name which -type f)
    [ -n "$which" ] || return 1
    manifest "$(dirname "$which")" >"$W/manifest-$tag"
    cmp -s "$W/manifest-$tag" "$W/made/$(tr ' ' . <"$which")"
}

restorer() {
    local id rc
    RANDOM=$((seed + 200))
    while [ $SECONDS -lt $end ]; do
        id=$(listed | shuf -n 1)
        [ -n "$id" ] || { sleep 0.2; continue; }
        rc=0
        restore_one "$id" live risky restore >"$W/restore.out" 2>&1 || rc=$?
        case $rc in
            0) count restore ;;
            137) ;;
            *)  # it may have been forgotten since it was listed
                if listed | has -x "$id"; then
                    sed 's/^/    /' "$W/restore.out"
                    echo "snapshot $id does not restore exactly"
                    return 1
                fi
                count forgotten-meanwhile ;;
        esac
    done
}

repo
step "$writers writers, a pruner and a restorer for $seconds s, seed $seed"
pids=()
for w in $(seq "$writers"); do writer "$w" & pids+=($!); done
pruner & pids+=($!)
restorer & pids+=($!)
bad=0
for p in "${pids[@]}"; do wait "$p" || bad=1; done
[ $bad = 0 ] || fail "a part of it went wrong (seed $seed)"

step "the end: collect once more, check, restore all"
bk prune --session-timeout 1s --quiet
bk check --read-data --quiet
listed >"$W/listed"
for w in $(seq "$writers"); do
    [ ! -e "$W/told/w$w" ] || grep -qx "$(cat "$W/told/w$w")" "$W/listed" || fail "the last snapshot of w$w is gone (seed $seed)"
done
n=0
while read -r id; do
    restore_one "$id" end bk || fail "snapshot $id does not restore exactly (seed $seed)"
    n=$((n + 1))
done <"$W/listed"
[ $n -gt 0 ] || fail "no snapshot is left"
figure "$seconds s: $(counted backup) backups, $(counted forget) forgets, $(counted prune) collections, $(counted restore) restores; killed: $(counted killed-backup) backups, $(counted killed-forget) forgets, $(counted killed-prune) collections, $(counted killed-restore) restores; $(counted fenced) fenced"
figure "$n snapshots at the end, all exact: 0 lost, 0 wrong"
