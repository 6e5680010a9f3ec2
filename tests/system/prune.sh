#!/bin/bash
# Collections beside backups, restores and forgetting, all of them killed at random moments. After each round: check finds
# nothing wrong, and every snapshot that is there restores to what was saved under its id. In the end, with nobody killed,
# one more collection leaves nothing but what is needed.
#
#   ROUNDS=N: how many rounds      SEED=N: other moments
. "$(dirname "$0")/lib.sh" prune
need jq openssl
rounds=${ROUNDS:-5} RANDOM=${SEED:-1}
mkdir "$W/sums" "$W/log"
repo

# folder WRITER N GENERATION: 40 files, the same for the same numbers
folder() {
    rm -rf "$W/src$1/d$2"
    mkdir -p "$W/src$1/d$2"
    openssl enc -aes-128-ctr -nosalt -pass "pass:$1-$2-$3" -pbkdf2 -iter 1 -in /dev/zero 2>/dev/null |
        head -c 1600000 | split -a 3 -b 40000 - "$W/src$1/d$2/f" || true
}
sum_of() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-64); }

# A loop of backups whose source changes in between; what is committed is noted under its id.
writer() {
    local w=$1 g=0 sum id
    while :; do
        g=$((g + 1))
        folder "$w" $((g % 5)) "$((RANDOM % 4))"
        sum=$(sum_of "$W/src$w")
        bk backup --json --name "w$w" "$W/src$w" >"$W/log/backup$w" 2>>"$W/log/errors$w" || continue
        id=$(jq -r 'select(.type == "result").snapshot.id' "$W/log/backup$w")
        echo "$sum" >"$W/sums/$id"
        echo 1 >>"$W/log/committed"
    done
}
collector() {
    while :; do
        if bk prune --quiet --max-unused 1% --session-timeout 5s >>"$W/log/prune" 2>&1; then echo 1 >>"$W/log/pruned"; fi
        sleep 0.1
    done
}
forgetter() {
    local id
    while :; do
        id=$(bk snapshots --json 2>/dev/null | jq -r '.snapshots | if length > 6 then .[0:-4][now * 1000 % (length - 4) | floor].id else empty end') || true
        [ -z "$id" ] || bk forget --yes "$id" >>"$W/log/forget" 2>&1 || true
        sleep 0.3
    done
}
# The program that a loop runs just now is killed with it.
kill_tree() {
    local child
    for child in $(pgrep -P "$1"); do kill_tree "$child"; done
    kill -9 "$1" 2>/dev/null || true
}

# Snapshots that were killed between their commit and their note have no sum: their writer's id is in nobody's hands.
verify() {
    local id sum n=0
    bk check --read-data --json >"$W/check" 2>"$W/check.err" || fail "check: $(cat "$W/check" "$W/check.err" | tail -n 5)"
    for id in $(bk snapshots --json | jq -r '.snapshots[].id'); do
        rm -rf "$W/out.d"
        bk restore --quiet "$id" --target "$W/out.d" >/dev/null 2>"$W/err" || fail "restore of $id: $(cat "$W/err")"
        n=$((n + 1))
        [ -e "$W/sums/$id" ] || continue
        for w in 1 2; do
            [ -d "$W/out.d$W/src$w" ] || continue
            sum=$(sum_of "$W/out.d$W/src$w")
            [ "$sum" = "$(cat "$W/sums/$id")" ] || fail "snapshot $id restores to something else"
        done
    done
    restored=$((restored + n))
}

for w in 1 2; do for d in 0 1 2 3 4; do folder $w $d 0; done; done
restored=0 killed=0
for ((i = 1; i <= rounds; i++)); do
    writer 1 & a=$!
    writer 2 & b=$!
    collector & c=$!
    forgetter & d=$!
    for ((k = 0; k < 6; k++)); do
        sleep "0.$((RANDOM % 9 + 1))"
        # one program at a time, wherever it is just now
        victim=$(pgrep -P "$a" -P "$b" -P "$c" -f "$BKCTL" | shuf -n 1 --random-source=<(yes $((RANDOM))) || true)
        [ -z "$victim" ] || { kill -9 "$victim" 2>/dev/null && killed=$((killed + 1)); } || true
    done
    for p in $a $b $c $d; do kill_tree "$p"; done
    wait "$a" "$b" "$c" "$d" 2>/dev/null || true
    verify
done

step "what is left is needed"
bk prune --quiet --max-unused 1% --session-timeout 5s
bk prune --json --dry-run >"$W/out"
[ "$(jq .packs_unneeded "$W/out")" = 0 ] || fail "packs that nobody needs are left"
verify
ls "$R/sessions" | has . && fail "sessions are left"

step "explain says who needs a pack"
pack=$(basename "$(find "$R/data" -type f -print -quit)")
expect 0 bk prune explain "${pack:0:16}"
grep -q 'needed by' "$W/out" || fail "no use is named"
expect 2 bk prune explain nothing
expect 3 bk prune explain "$(printf '0%.0s' {1..64})"
expect 2 bk prune --session-timeout soon

step "a store that is full"
if is_root && mkdir "$W/small" && mount -t tmpfs -o size=6m tmpfs "$W/small" 2>/dev/null; then
    at_exit "umount '$W/small' || umount -l '$W/small'"
    R=$W/small/repo
    repo
    head -c 1500000 /dev/urandom >"$W/src1/one"
    bk backup -q --name a "$W/src1/one"
    head -c 1500000 /dev/urandom >"$W/src1/one"
    bk backup -q --name b "$W/src1/one"
    bk forget --quiet --yes "$(bk snapshots --json | jq -r '.snapshots[0].id')"
    head -c 20m /dev/zero >"$W/small/ballast" 2>/dev/null || true
    truncate -s -16K "$W/small/ballast" # what removing a few snapshots gives
    before=$(du -sk "$R" | cut -f1)
    bk prune --quiet
    after=$(du -sk "$R" | cut -f1)
    [ $((before - after)) -gt 1000 ] || fail "a full store stayed full: $before KiB, then $after KiB"
    bk check --quiet --read-data
fi

committed=$(wc -l <"$W/log/committed") pruned=$(wc -l <"$W/log/pruned")
figure "$rounds rounds: $committed backups committed and $pruned collections ended, $killed killed beside those at each round's end; $restored restores exact"
