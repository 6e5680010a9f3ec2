#!/bin/bash
# What goes wrong in a cluster: runs go on where the cluster comes back in time, end with a clear error within a bound where it does not, and
# nothing that was committed is lost. On real disks' terms: daemons are killed with SIGKILL and find their data again.
. "$(dirname "$0")/lib.sh" rados-failures STORE=bluestore GRACE=10 EXTRA='osd pool default read lease ratio = 0.5'
admin() { timeout 30 ceph -c "$C/ceph.conf" "$@" 2>/dev/null; }

S=$W/source
mkdir "$S"
for i in {1..60}; do head -c $((i * 40000)) /dev/urandom >"$S/$i"; done
# A run of its own name and content, so that each has something to store: backup POOL [OPTIONS]; in the background: backup POOL ... &
backup() {
    local pool=$1
    shift
    R=$(url "$pool" repo "$params") bk backup -q --level full "$@" "$S"
}
params=timeout=60
change() { for i in {1..60}; do head -c $((i * 40000)) /dev/urandom >"$S/$i"; done; }
# Everything that was committed is there and whole, and the newest is the source as it stands.
whole() {
    local pool=$1
    R=$(url "$pool" repo)
    expect 0 bk check --read-data
    [ "$(count_snapshots)" = "$2" ] || fail "$(count_snapshots) snapshots in $pool instead of $2"
    rm -rf "$W/t"
    expect 0 bk restore latest:"$S" --strip --target "$W/t"
    same "$S" "$W/t"
}
# A command that must end with a status and words within some seconds: bounded SECONDS STATUS WORDS COMMAND...
bounded() {
    local most=$1 status=$2 words=$3 start=$SECONDS
    shift 3
    expect "$status" "$@"
    grep -qE -- "$words" "$W/err" || { cat "$W/err"; fail "no '$words': $*"; }
    [ $((SECONDS - start)) -le "$most" ] || fail "$((SECONDS - start)) s instead of at most $most: $*"
    longest=$((SECONDS - start > longest ? SECONDS - start : longest))
}
longest=0

for pool in rep ec; do
    R=$(url $pool repo)
    repo
    backup $pool
done

step "an OSD is killed while a backup writes and a restore reads"
for pool in rep ec; do
    change
    backup $pool --limit-write 20MiB &
    sleep 1
    one kill osd.1
    wait $! || fail "the backup to $pool ended with $?"
    rm -rf "$W/t"
    R=$(url $pool repo $params) bk restore -q latest:"$S" --strip --target "$W/t" &
    restore=$!
    sleep 0.3
    one up osd.1
    wait $restore || fail "the restore from $pool ended with $?"
    same "$S" "$W/t"
    one clean 120
    rm -rf "$W/t"
    R=$(url $pool repo $params) bk restore -q latest:"$S" --strip --target "$W/t" &
    restore=$!
    sleep 0.2
    one kill osd.2
    wait $restore || fail "the restore from $pool ended with $?"
    same "$S" "$W/t"
    one up osd.2
    one clean 120
    whole $pool 2
done

step "an OSD hangs: the run waits for it to be declared down, and goes on"
change
backup ec --limit-write 20MiB &
sleep 1
start=$SECONDS
one hang osd.0
wait $! || fail "the backup ended with $?"
figure "a backup with a hung OSD took $((SECONDS - start)) s more"
one wake osd.0
one clean 120
whole ec 3

step "the monitor is gone: what runs goes on, what starts says so"
change
backup ec --limit-write 20MiB &
running=$!
sleep 1
one kill mon.a
R=$(url ec repo connect=4)
bounded 15 20 "no monitor .* within 4 s" bk snapshots
wait $running || fail "the backup without a monitor ended with $?"
one up mon.a
whole ec 4

step "two of three OSDs gone: below min_size nothing is answered"
one kill osd.0 osd.1
sleep 2
R=$(url rep repo timeout=6)
bounded 40 20 "does not answer" bk backup "$S"
bounded 40 20 "does not answer" bk restore latest --target "$W/t2"
bounded 40 20 "does not answer" bk check --read-data
[ -z "$(ls -A "$W/t2" 2>/dev/null)" ] || fail "a restore that could not start left something"
backup rep &
running=$!
sleep 3
one up osd.0 osd.1
wait $running || fail "the run that waited ended with $?"
one clean 120
whole rep 3

step "the whole cluster is killed in the middle of a run, and comes back"
change
params=timeout=6
backup ec --limit-write 20MiB 2>"$W/err" &
running=$!
sleep 1.5
one kill all
start=$SECONDS rc=0
wait $running || rc=$?
[ $rc = 20 ] || { cat "$W/err"; fail "a run whose cluster is gone ended with $rc"; }
[ $((SECONDS - start)) -le 45 ] || fail "$((SECONDS - start)) s to see that the cluster is gone"
one up all
one clean 120
R=$(url ec repo)
[ "$(count_snapshots)" = 4 ] || fail "not the four snapshots that were committed"
expect 0 bk check --read-data
params=timeout=60
backup ec --limit-write 20MiB &
running=$!
sleep 1
one kill all
sleep 1
one up all
wait $running || fail "the run that waited for the cluster ended with $?"
one clean 120
whole ec 5

step "one placement group does not answer: an error for its objects, not for the others"
R=$(url pair repo)
repo
backup pair
one kill osd.0
sleep 2
change
backup pair
one kill osd.1 osd.2
one up osd.0
sleep 3
one up osd.2
sleep 3
R=$(url pair repo timeout=5)
rc=0
start=$SECONDS
timeout 200 "$BKCTL" --repo "$R" --key-file "$W/key" check --read-data >"$W/out" 2>"$W/err" || rc=$?
[ $((SECONDS - start)) -le 120 ] || fail "a check took $((SECONDS - start)) s"
[ $rc != 0 ] && [ $rc != 124 ] || fail "a check without some placement groups ended with $rc"
grep -qE "no answer in time|does not answer" "$W/out" "$W/err" || { cat "$W/out" "$W/err"; fail "it does not say why"; }
one up osd.1
one clean 120
whole pair 2

step "a full cluster: runs stop early, deleting works, and then there is room"
change
admin osd set-nearfull-ratio 0.001
admin osd set-backfillfull-ratio 0.002
admin osd set-full-ratio 0.003
for _ in {1..100}; do
    admin health detail | has OSD_FULL && break
    sleep 0.3
done
admin health detail | has OSD_FULL || fail "the cluster does not become full"
R=$(url ec repo timeout=20)
bounded 60 9 "No space left|full" bk backup --level full "$S"
grep -q "^hint: .*prune" "$W/err" || { cat "$W/err"; fail "no hint what still works"; }
expect 0 bk snapshots
bk cat latest:"$S/1" | wc -c >/dev/null
before=$(rados -c "$C/ceph.conf" -p ec -N repo ls | wc -l)
"$BKCTL" --repo "$R" --key-file "$W/key" forget --help >/dev/null 2>&1 && {
    expect 0 bk forget --yes "$(bk snapshots --json | jq -r '.snapshots[0].id')"
    expect 9 bk prune # its session and its list of what goes find no room
    grep -q "^hint: " "$W/err" || { cat "$W/err"; fail "no hint how to get out"; }
    admin osd set-full-ratio 0.8 # for a while, as an operator would
    for _ in {1..100}; do
        admin health detail | has OSD_FULL || break
        sleep 0.3
    done
    expect 0 bk prune
    [ "$(rados -c "$C/ceph.conf" -p ec -N repo ls | wc -l)" -lt "$before" ] || fail "pruning a full cluster freed nothing"
}
admin osd set-full-ratio 0.8
admin osd set-backfillfull-ratio 0.75
admin osd set-nearfull-ratio 0.7
params=timeout=60
backup ec
R=$(url ec repo)
expect 0 bk check --read-data
figure "the longest wait for an error was $longest s"
