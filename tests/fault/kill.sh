#!/bin/bash
# kill -9 at 200 random moments of bkctl backup. After each: check finds nothing wrong, and what had been committed is
# there. After every 20: the next backup uses what the killed ones left, and its restore equals the source.
#
#   BKCTL=PROGRAM tests/fault/kill.sh      SEED=N: other moments      KILLS=N: how many
set -euo pipefail
bkctl=$(realpath "${BKCTL:-build/bkctl/bkctl}")
seed=${SEED:-1} kills=${KILLS:-200} round=20
[ -x "$bkctl" ] || { echo "no bkctl at $bkctl"; exit 77; }
for t in rsync openssl jq; do
    command -v $t >/dev/null || { echo "$t is not installed"; exit 77; }
done
top=$(mktemp -d "${TMPDIR:-/dev/shm}/bk-kill-XXXXXX")
trap 'rm -rf "$top"' EXIT
RANDOM=$seed
export BKCTL_REPO=$top/repo LC_ALL=C.UTF-8
head -c 64 /dev/urandom >"$top/key"
run() { "$bkctl" "$@" --key-file "$top/key" --memory 64MiB --quiet; }
die() { echo "FAILED: $*"; exit 1; }

# stream NAME BYTES: the same bytes for the same name
stream() { openssl enc -aes-128-ctr -nosalt -pass "pass:$seed-$1" -pbkdf2 -iter 1 -in /dev/zero 2>/dev/null | head -c "$2" || true; }
# folder N GENERATION: 100 files of 20 kB
folder() {
    rm -rf "$top/source/d$1"
    mkdir -p "$top/source/d$1"
    stream "d$1-$2" 2000000 | split -a 3 -b 20000 - "$top/source/d$1/f"
}

for d in $(seq 20); do folder "$d" 0; done
ln -s d1 "$top/source/link"

committed=0 # runs that ended with success before their kill came
hit=0       # runs that the kill ended
reused=0    # first snapshots of a repository that stored less than a fresh run, after kills
first=0     # first snapshots after kills
stored_fresh=0
duration_ms=0
measure() { # a run of all that is new, for the range of moments
    local start=$(date +%s%N)
    run init >/dev/null
    run backup --json --name kill "$top/source" >"$top/run.json"
    stored_fresh=$(stored_by "$top/run.json")
    duration_ms=$((($(date +%s%N) - start) / 1000000))
}
stored_by() { jq 'select(.type == "result").snapshot.stored_bytes' "$1"; }

measure
rm -rf "$top/repo"
done_kills=0 generation=0
range=$duration_ms # of moments: a run with little to do is short, so it shrinks when kills come late and grows when they hit
while [ $done_kills -lt "$kills" ]; do
    rm -rf "$top/repo" "$top/restored"
    run init >/dev/null
    expected=0 hit_before=$hit
    for _ in $(seq $round); do
        ms=$((RANDOM % (range + 1)))
        "$bkctl" backup --key-file "$top/key" --memory 64MiB --json --name kill "$top/source" >"$top/run.json" 2>/dev/null &
        pid=$!
        sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
        kill -9 $pid 2>/dev/null || true
        rc=0
        wait $pid 2>/dev/null || rc=$?
        case $rc in
            0 | 137) ;;
            *) die "backup ended with $rc before its kill" ;;
        esac
        done_kills=$((done_kills + 1))
        run check --json >"$top/check.json" 2>"$top/check.log" || die "check after kill $done_kills ($ms ms): $(cat "$top/check.log" "$top/check.json")"
        n=$(jq 'select(.type == "result").snapshots' "$top/check.json")
        [ "$n" -ge $((expected + (rc == 0))) ] || die "$((expected + (rc == 0))) snapshots had been committed and $n are there"
        if [ $rc = 137 ]; then
            hit=$((hit + 1))
            range=$((range * 5 / 4 < duration_ms ? range * 5 / 4 + 1 : duration_ms))
        else
            committed=$((committed + 1))
            range=$((range * 2 / 3 + 10))
            if [ "$expected" = 0 ] && [ "$hit" -gt "$hit_before" ]; then
                first=$((first + 1))
                [ "$(stored_by "$top/run.json")" -ge "$stored_fresh" ] || reused=$((reused + 1))
            fi
            # Something new for the next run, else it would have nothing to do.
            generation=$((generation + 1))
            for d in $(seq 1 7 20); do folder "$d" "$generation"; done
        fi
        expected=$n # a kill may also come between the commit and the exit
    done
    run backup --name kill "$top/source" >/dev/null
    run check --read-data >"$top/check.log" 2>&1 || die "check --read-data: $(cat "$top/check.log")"
    run restore kill@latest --target "$top/restored" >/dev/null
    difference=$(rsync -aHAXnci --delete "$top/source/" "$top/restored$top/source/")
    [ -z "$difference" ] || die "the restore differs: $difference"
done
rounds=$((done_kills / round))
echo "# $done_kills kills ($hit ended the run, $committed came after it), seed $seed: check clean after each, no committed snapshot lost"
echo "# $rounds rounds of $round kills: $rounds restores identical; $reused of $first first snapshots after kills used what those had left"
