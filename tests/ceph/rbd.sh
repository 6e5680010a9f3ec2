#!/bin/bash
# Images in Ceph: read as of snapshots of ours, whole and by what changed, clones with a parent, and written. Each is compared with
# what rbd export gives for the same snapshot. And what goes wrong: snapshots that somebody removes, before a run and while it reads,
# a run that is killed, images that are resized, made anew, flattened or in use, a cluster that hangs.
. "$(dirname "$0")/lib.sh" rbd STORE=memstore EXTRA='rbd default features = 3'
need rbd
/usr/bin/python3 -c 'import rados, rbd' 2>/dev/null || skip "needs python3-rbd"
"$BKCTL" version --json | jq -e '.features | index("rbd")' >/dev/null || skip "built without librbd"
conf="?conf=$C/ceph.conf"
rbd() { timeout 120 /usr/bin/rbd --conf "$C/ceph.conf" "$@"; }
for pool in rep pair; do
    ceph -c "$C/ceph.conf" osd pool application enable $pool rbd --yes-i-really-mean-it 2>/dev/null
    rbd pool init $pool
done
repo

# image IMAGE SEED [BYTES [OPTIONS OF rbd create]]: made when BYTES are given, then written to at odd places
image() {
    local name=$1 seed=$2
    shift 2
    [ $# = 0 ] || rbd create "rep/$name" --size "$1B" "${@:2}"
    /usr/bin/python3 - "$C/ceph.conf" "$name" "$seed" <<'PY'
import random, sys
import rados, rbd
conf, name, seed = sys.argv[1:]
r = random.Random(seed)
with rados.Rados(conffile=conf) as c, c.open_ioctx('rep') as io, rbd.Image(io, name) as i:
    size = i.size()
    for _ in range(12):
        n = r.choice([1, 512, 4096, 65536, 300000, 1500000])
        i.write(r.randbytes(n), r.randrange(size - n))
    for _ in range(4):
        n = r.choice([4096, 200000, 4 << 20, 9 << 20])
        i.discard(r.randrange(0, size - n, 4096), n)
    i.write_zeroes(r.randrange(size - 3000000), 3000000)
    i.write(b'end', size - 3)
    i.flush()
PY
}
last() { bk cat "$1@latest:$2" 2>/dev/null | jq -r "$3"; }
how() { last "$1" disks.json ".disks[${2:-0}] | .read + \" \" + (.reason // \"\")"; }
# The newest snapshot of a name against the snapshots in Ceph that it was read at: same NAME DISK POOL/IMAGE
same_as() {
    local snap
    snap=$(last "$1" source.json ".rbd[] | select(.disk == \"$2\") | .snap")
    rbd export "$3@$snap" - 2>/dev/null | cmp - <(bk cat "$1@latest:$2" 2>/dev/null) || fail "$1: $2 is not $3@$snap"
}
backup() { # NAME IMAGE [OPTIONS]: of an image in rep, and compared
    local name=$1 image=$2
    shift 2
    bk backup -q --name "$name" "rbd:rep/$image$conf" "$@" 2>"$W/err" || { cat "$W/err"; fail "backup of $image"; }
    same_as "$name" "$image" "rep/$image"
}
snaps() { rbd snap ls "$1" --format json | jq -r '.[].name' | grep -c "^bkctl-" || true; }
is() { [ "$1" = "$2" ] || fail "$3: '$1' instead of '$2'"; }

step "a full, then what changed"
image a 1 $((200 * 1048576 + 777))
backup a a
is "$(how a)" "all " "the first"
is "$(snaps rep/a)" 1 "snapshots of ours"
image a 2
backup a a
is "$(how a)" "changes " "the second"
# Exactly the blocks of 64 KiB in which something changed are read; discarded ones too, as what is told of them is no promise.
image a 3
from=$(last a source.json '.rbd[0].full')
backup a a --audit 0 --level differential
want=$(rbd diff --from-snap "$from" "rep/a@$(last a source.json '.rbd[0].snap')" --format json | jq '(200 * 1048576 + 777) as $size |
    [.[] | (.offset / 65536 | floor) as $first | ((.offset + .length - 1) / 65536 | floor) as $last | range($first; $last + 1)] | unique |
        map([($size - . * 65536), 65536] | min) | add')
figure "200 MiB image: the differential read $(last a disks.json '.disks[0].read_bytes') bytes, $want are in changed blocks"
is "$(last a disks.json '.disks[0].read_bytes')" "$want" "bytes read"
image a 3
backup a a
is "$(snaps rep/a)" 2 "snapshots of ours: newest and last full"
backup a a
[ "$(last a disks.json '.disks[0].read_bytes')" -lt 4000000 ] || fail "nothing changed, and much is read"
rbd snap create rep/a@theirs --no-progress
image a 4
backup a a --level differential
is "$(how a)" "changes " "a differential"
is "$(snaps rep/a)" 2 "snapshots of ours"
backup a a --level full
is "$(how a)" "all " "a full"
is "$(snaps rep/a)" 1 "snapshots of ours after a full"
rbd snap ls rep/a | has theirs || fail "somebody else's snapshot is gone"
bk backup -q -n --name a "rbd:rep/a$conf"
is "$(snaps rep/a)" 1 "after a dry run"

step "random changes and levels, with and without an object map, striped"
image map 1 $((96 << 20)) --image-feature layering --image-feature exclusive-lock --image-feature object-map --image-feature fast-diff
image bare 1 $((96 << 20)) --image-feature layering
image striped 1 $((96 << 20)) --image-feature layering --image-feature striping --stripe-unit 16384 --stripe-count 4 --object-size 1M
levels=(full incremental incremental differential incremental differential)
for ((k = 0; k < 6; k++)); do
    for i in map bare striped; do
        image $i $((k * 7 + 10))
        backup $i $i --level "${levels[k]}" --audit 5
        [ "$k" = 0 ] || is "$(how $i)" "changes " "$i, round $k"
    done
done

step "a clone with a parent"
image parent 5 $((96 << 20))
rbd snap create rep/parent@gold --no-progress
rbd snap protect rep/parent@gold
for f in layering layering,exclusive-lock,object-map,fast-diff; do
    rbd clone rep/parent@gold rep/clone --image-feature $f
    backup c clone --level full
    for k in 6 7 8; do
        image clone $k
        backup c clone
        is "$(how c)" "changes " "a clone"
    done
    rbd snap rollback "rep/clone@$(last c source.json '.rbd[0].snap')" --no-progress
    rbd snap rollback "rep/clone@$(last c source.json '.rbd[0].full')" --no-progress
    backup c clone --audit 100
    is "$(how c)" "changes " "a clone that was rolled back"
    # the parent shows through no more, though nothing was written
    rbd resize rep/clone --size 50M --allow-shrink --no-progress
    rbd resize rep/clone --size 96M --no-progress
    backup c clone
    is "$(how c)" "all its parent image changed" "a clone that was shrunk and grown"
    rbd flatten rep/clone --no-progress
    backup c clone
    is "$(how c)" "all its parent image changed" "a flattened clone"
    image clone 9
    backup c clone
    is "$(how c)" "changes " "after that"
    [ "$f" != layering ] || { rbd snap purge rep/clone --no-progress; rbd rm rep/clone --no-progress; }
done

step "resized, made anew, without its snapshot: all is read, and why is said"
rbd resize rep/map --size 120M --no-progress
backup map map
is "$(how map)" "all its size changed" "resized"
rbd snap rm "rep/map@$(last map source.json '.rbd[0].snap')" --no-progress
backup map map
is "$(how map)" "all its last snapshot in the cluster is gone" "its snapshot removed"
image map 30
backup map map
is "$(how map)" "changes " "after that"
rbd snap purge rep/bare --no-progress
rbd rm rep/bare --no-progress
image bare 31 $((96 << 20))
backup bare bare
is "$(how bare)" "all it is another image than last time" "made anew"

step "snapshots that are named, by a client that may only read"
ceph -c "$C/ceph.conf" auth get-or-create client.reader mon 'profile rbd-read-only' osd 'profile rbd-read-only' >"$W/reader"
rbd snap create rep/striped@one --no-progress
image striped 40
rbd snap create rep/striped@two --no-progress
before=$(snaps rep/striped)
for s in one two; do
    bk backup -q --name named "rbd:rep/striped@$s$conf&id=reader&keyring=$W/reader" 2>"$W/err"
    [ ! -s "$W/err" ] || { cat "$W/err"; fail "a client that may only read is warned"; }
    same_as named striped rep/striped
done
is "$(how named)" "changes " "from one named snapshot to the next"
bk backup -q --name named "rbd:rep/striped@one$conf"
is "$(how named)" "all its last snapshot in the cluster is newer than this one" "back to the older one"
is "$(snaps rep/striped)" "$before" "snapshots of ours"
expect 3 bk backup "rbd:rep/striped@three$conf"
expect 3 bk backup "rbd:rep/nothing$conf"
expect 3 bk backup "rbd:nowhere/x$conf"
expect 14 bk backup "rbd:rep/striped$conf&id=reader&keyring=$W/reader"
expect 2 bk backup "rbd:striped$conf"
expect 2 bk backup "rbd:rep/striped$conf" "rbd:rep/striped$conf"
expect 2 bk backup "rbd:rep/striped$conf" disk:/dev/null
expect 2 bk backup "rbd:rep/striped$conf" --disk-format raw

step "several images, in a namespace too, are one snapshot"
rbd namespace create rep/ns
rbd create rep/ns/a --size 8M
rbd bench rep/ns/a --io-type write --io-total 2M --io-size 64K --io-pattern rand >/dev/null
bk backup -q --name many "rbd:rep/a$conf" "rbd:rep/ns/a$conf"
same_as many a rep/a
same_as many a-2 rep/ns/a

step "two repositories at once do not take each other's snapshots"
R1=$R R2=$W/second
bk2() { "$BKCTL" --repo "$R2" --key-file "$W/key" "$@"; }
bk2 init -q
for k in 50 51 52; do
    image a $k
    bk backup -q --name a "rbd:rep/a$conf" &
    one=$!
    bk2 backup -q --name a "rbd:rep/a$conf"
    wait $one
    for R in "$R1" "$R2"; do
        same_as a a rep/a
        [ "$k" = 50 ] || is "$(how a)" "changes " "two repositories"
    done
    R=$R1
done
bk backup -q --name other "rbd:rep/a$conf"
backup a a
is "$(how a)" "changes " "beside another name"

step "much of nothing costs little: 2 TiB with 64 MiB in it"
rbd create rep/huge --size 2T --image-feature layering --image-feature exclusive-lock --image-feature object-map --image-feature fast-diff
rbd bench rep/huge --io-type write --io-total 64M --io-size 4M --io-pattern rand >/dev/null
for l in full incremental; do
    from=${EPOCHREALTIME/./}
    peak "$BKCTL" --repo "$R" --key-file "$W/key" backup -q --name huge --level $l "rbd:rep/huge$conf"
    figure "2 TiB: $l in $(((${EPOCHREALTIME/./} - from) / 1000)) ms, $peak MiB of memory"
    [ "$peak" -lt 150 ] || fail "$peak MiB"
done

step "killed in the middle: the next run takes away what is left"
image big 60 $((64 << 20))
rbd bench rep/big --io-type write --io-total 48M --io-size 4M >/dev/null
backup big big
rbd bench rep/big --io-type write --io-total 48M --io-size 4M >/dev/null
started() { # waits until a run that is slowed down has its snapshot: started COUNT
    local i
    for i in {1..200}; do
        [ "$(snaps rep/big)" = "$1" ] && return 0
        sleep 0.1
    done
    fail "no snapshot of the run"
}
slow() { "$BKCTL" --repo "$R" --key-file "$W/key" --limit-read 2M backup -q --name big "rbd:rep/big$conf" >"$W/out" 2>"$W/err"; }
"$BKCTL" --repo "$R" --key-file "$W/key" --limit-read 2M backup -q --name big "rbd:rep/big$conf" >"$W/out" 2>"$W/err" &
pid=$!
started 2
kill -9 $pid
wait $pid || true
is "$(snaps rep/big)" 2 "snapshots after a kill"
backup big big
is "$(how big)" "changes " "after a kill"
is "$(snaps rep/big)" 2 "snapshots after the next run"

step "stopped in the middle: its own snapshot goes"
rbd bench rep/big --io-type write --io-total 48M --io-size 4M >/dev/null
"$BKCTL" --repo "$R" --key-file "$W/key" --limit-read 2M backup -q --name big "rbd:rep/big$conf" >"$W/out" 2>"$W/err" &
pid=$!
started 3
kill -INT $pid
wait $pid || true
is "$(snaps rep/big)" 2 "snapshots after an interrupt"

step "its snapshot removed while it is read: no backup of zeroes"
n=$(count_snapshots)
slow &
pid=$!
started 3
rbd snap rm "rep/big@$(rbd snap ls rep/big --format json | jq -r 'max_by(.id).name')" --no-progress
got=0
wait $pid || got=$?
is "$got" 19 "exit status"
has removed <"$W/err" || { cat "$W/err"; fail "what is said"; }
is "$(count_snapshots)" "$n" "snapshots"
backup big big
is "$(how big)" "changes " "after that"

step "restored: to a new image, and over one that is there"
rs() { bk restore -q "$@"; }
rs a@latest --to "rbd:pair/new$conf" --verify
rbd export pair/new - 2>/dev/null | cmp - <(bk cat a@latest 2>/dev/null)
figure "restored: $(rbd du pair/new 2>/dev/null | tail -n 1 | tr -s ' ')"
expect 4 bk restore a@latest --to "rbd:pair/new$conf"
image a 70
rs a@latest --to "rbd:rep/a$conf" --overwrite --verify
rbd export rep/a - 2>/dev/null | cmp - <(bk cat a@latest 2>/dev/null)
backup a a
is "$(how a)" "changes " "after it was written over"
expect 12 bk restore a@latest --to "rbd:rep/big$conf" --overwrite
has "67108864 bytes" <"$W/err" || { cat "$W/err"; fail "a shorter image"; }
rbd create pair/long --size 300M
rbd bench pair/long --io-type write --io-total 300M --io-size 4M >/dev/null
rs c@latest --to "rbd:pair/long$conf" --overwrite --verify
{ rbd export pair/long - 2>/dev/null || true; } | cmp -n $((96 << 20)) - <(bk cat c@latest 2>/dev/null)
expect 2 bk restore a@latest --to "rbd:pair/x@y$conf"
expect 2 bk restore a@latest --to "rbd:pair/x$conf" --disk-format qcow2
/usr/bin/python3 - "$C/ceph.conf" <<'PY' &
import sys, time
import rados, rbd
with rados.Rados(conffile=sys.argv[1]) as c, c.open_ioctx('pair') as io, rbd.Image(io, 'new') as i:
    time.sleep(60)
PY
pid=$!
for i in {1..100}; do rbd status pair/new | has watcher= && break; sleep 0.1; done
expect 6 bk restore a@latest --to "rbd:pair/new$conf" --overwrite
kill $pid
wait $pid 2>/dev/null || true
rbd ls pair | has bkctl- && fail "an image under a name of ours is left"

step "a cluster that hangs ends a run"
rbd bench rep/big --io-type write --io-total 48M --io-size 4M >/dev/null
"$BKCTL" --repo "$R" --key-file "$W/key" --limit-read 8M backup -q --name big "rbd:rep/big$conf&timeout=2" >"$W/out" 2>"$W/err" &
pid=$!
started 3
one hang osd.0 osd.1 osd.2
from=$SECONDS got=0
wait $pid || got=$?
figure "hanging: over after $((SECONDS - from)) s"
one wake osd.0 osd.1 osd.2
is "$got" 20 "exit status"
[ $((SECONDS - from)) -le 60 ] || fail "it took long"
one clean
backup big big
is "$(how big)" "changes " "after it hung"
is "$(snaps rep/big)" 2 "snapshots after the next run"
