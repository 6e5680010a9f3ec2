#!/bin/bash
# The source of virtual machines, on real ones: what is rebuilt from its disks is what the machine had at that moment, and nothing is
# left behind whatever happens.
. "$(dirname "$0")/lib.sh" vm-source

disk() { qemu-img create -q -f "${1##*.}" "$1" "$2"; }
truncate -s 256M "$W/x.raw"
mke2fs -q -t ext4 -F "$W/x.raw"
qemu-img convert -f raw -O qcow2 "$W/x.raw" "$W/a.qcow2"
rm "$W/x.raw"
disk "$W/b.qcow2" 512M
disk "$W/c.raw" 64M
define m "$W/a.qcow2" "$W/b.qcow2" "$W/c.raw"
boot m

points() { v checkpoint-list m --name | grep -c . || true; }
no_job() { ! v backup-dumpxml m >/dev/null 2>&1; }
thawed() { [ "$(agent m '{"execute":"guest-fsfreeze-status"}' | jq -r .return)" = thawed ]; }
# Nothing of ours is left at work: clean [CHECKPOINTS]
clean() {
    no_job || fail "a job is left"
    [ -z "$(ls "$W/scratch")" ] || fail "left in the scratch folder: $(find "$W/scratch")"
    [ -z "${1:-}" ] || [ "$(points)" = "$1" ] || fail "$(points) checkpoints instead of $1: $(v checkpoint-list m --name)"
    ! v list --state-running --name | has -x m || thawed || fail "the guest is frozen"
}
# The disks as they are while the machine is paused: reference DIR DISK...
reference() {
    local d dir=$1
    shift
    mkdir -p "$dir"
    {
        echo "<domainbackup mode='pull'><server transport='unix' socket='$W/ref.sock'/><disks>"
        for d in "$@"; do echo "<disk name='$d' backup='yes' type='file'><driver type='qcow2'/><scratch file='$W/ref.$d'/></disk>"; done
        echo "</disks></domainbackup>"
    } >"$W/ref.xml"
    v backup-begin m "$W/ref.xml" >/dev/null
    for d in "$@"; do nbdcopy "nbd+unix:///$d?socket=$W/ref.sock" "$dir/$d.raw"; done
    v domjobabort m
    until_so 30 "the end of the reference's job" no_job
}
compare() { # DIR REFERENCE DISK...
    local d dir=$1 ref=$2
    shift 2
    for d in "$@"; do cmp "$dir/$d.raw" "$ref/$d.raw" || fail "$d differs"; done
}
# A backup whose moment is known: the machine is paused while it begins, and writes while it is read.
# moment DIR "DISK..." ARGUMENTS...
moment() {
    local dir=$1 disks=$2 rc=0
    shift 2
    v suspend m >/dev/null
    reference "$W/ref" $disks
    coproc B { "$VM_SOURCE" backup "$dir" -c "$U" -S "$W/scratch" -w "$@" m 2>"$W/err1"; }
    local pid=$B_PID
    begun
    v resume m >/dev/null
    inside m gwrite w /dev/vdb $((RANDOM * 65536 % 400000000)) 3000000 "$RANDOM" >/dev/null
    echo >&"${B[1]}"
    cat <&"${B[0]}" >"$W/out"
    wait "$pid" || rc=$?
    cp "$W/err1" "$W/err"
    [ "$rc" = 0 ] || { cat "$W/out" "$W/err" >&2; fail "exit status $rc"; }
    compare "$dir" "$W/ref" $disks
}
# Until the one in the background has begun.
begun() {
    read -r line <&"${B[0]}" || { cat "$W/err1" >&2; fail "it did not begin"; }
}
how() { awk -v d="$1" '$1 == "disk" && $2 == d { print $5 }' "$W/out"; }        # full or tracked
dirty() { awk -v d="$1" '$1 == "disk" && $2 == d { print $7 }' "$W/out"; }      # bytes
why() { sed -n "s/^disk $1 .* data [0-9]* //p" "$W/out"; }                      # the reason
is() { [ "$2" = "$3" ] || { cat "$W/out" "$W/err" >&2; fail "$1: '$2' instead of '$3'"; }; }
same_copy() { rm -rf "$2" && mkdir -p "$2" && cp --sparse=always "$1"/*.raw "$2/" && cp -r "$1/texts" "$2/"; }

# Our bitmaps, in the image of vdb and in QEMU.
in_image() { qemu-img info --output=json "$W/b.qcow2" | jq -r '."format-specific".data.bitmaps[]?.name | select(startswith("bkctl-"))' | sort | xargs; }
in_qemu() {
    v qemu-monitor-command m '{"execute":"query-named-block-nodes"}' |
        jq -r '[.return[]."dirty-bitmaps"[]?.name | select(startswith("bkctl-"))] | unique[]' | xargs
}

step "full, with what is kept beside the disks"
inside m gwrite w /dev/vdb 0 100000000 1 >/dev/null
inside m gwrite w /data/file 0 3000000 2 >/dev/null
inside m gwrite w /dev/vdc 0 1000000 3 >/dev/null
mkdir "$W/one"
moment "$W/one" "vda vdb vdc"
is "vdb" "$(how vdb)" full
is "reason" "$(why vdb)" ""
grep -q '<name>m</name>' "$W/one/texts/domain.xml"
cmp "$W/one/texts/kernel" "$VM_GUEST/vmlinuz"
cmp "$W/one/texts/initrd" "$VM_GUEST/initrd.gz"
"$VM_GUEST/gwrite" c "$W/one/vdb.raw" 0 1000 1 || fail "the data is another"
clean 1
same_copy "$W/one" "$W/base"
first=$(jq -r '.domains[0].checkpoint' "$W/one/texts/source.json")

step "incremental, with discards; the raw disk is read whole"
inside m gwrite w /dev/vdb 200000000 5000000 4 >/dev/null
inside m blkdiscard -o 4194304 -l 8388608 /dev/vdb
inside m gwrite w /dev/vdc 500000 100000 5 >/dev/null
inside m gwrite w /data/more 0 1000000 6 >/dev/null
moment "$W/one" "vda vdb vdc" -p "$W/one/texts/source.json"
is "vda" "$(how vda)" tracked
is "vdb" "$(how vdb)" tracked
is "vdc" "$(how vdc) $(why vdc)" "full its format cannot hold what has changed"
figure "an increment after 17 MB of writes and discards: $(dirty vdb) bytes of vdb dirty"
[ "$(dirty vdb)" -lt 30000000 ] || fail "too much is dirty"
clean 2

step "incremental again, then differential from the first checkpoint"
inside m gwrite w /dev/vdb 300000000 1000000 7 >/dev/null
moment "$W/one" "vda vdb vdc" -p "$W/one/texts/source.json"
is "vdb" "$(how vdb)" tracked
clean 2
moment "$W/base" "vda vdb vdc" -p "$W/base/texts/source.json"
is "vdb" "$(how vdb)" tracked
v checkpoint-list m --name | has -x "$first" || fail "the checkpoint of the full is gone"
clean 2
same_copy "$W/base" "$W/one"

step "abandoned: the checkpoint goes, the one before goes on"
bkvm_ends 0 backup "$W/base" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" -n m
clean 2

step "frozen while it begins"
freezes=()
for i in 1 2 3 4 5; do
    bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -z require -p "$W/one/texts/source.json" m
    is "frozen" "$(jq .domains[0].frozen "$W/one/texts/source.json")" true
    freezes+=("$(jq .domains[0].freeze_ms "$W/one/texts/source.json")")
done
figure "frozen for $(printf '%s\n' "${freezes[@]}" | sort -n | sed -n 3p) ms in the median ($(printf '%s\n' "${freezes[@]}" | sort -n | tr '\n' ' '))"
clean 2

step "the bound of the freeze"
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -z try -m 100 -p "$W/one/texts/source.json" m
grep -q 'not frozen' "$W/err" || fail "it says nothing: $(cat "$W/err")"
bkvm_ends 1 backup "$W/one" -c "$U" -S "$W/scratch" -z require -m 100 -p "$W/one/texts/source.json" m
clean 2

step "a disk is added"
disk "$W/d.qcow2" 32M
v attach-disk m "$W/d.qcow2" vdd --driver qemu --subdriver qcow2 --targetbus virtio
moment "$W/one" "vda vdb vdc vdd" -p "$W/one/texts/source.json"
is "vdd" "$(how vdd) $(why vdd)" "full the disk was not in the snapshot before"
is "vdb" "$(how vdb)" tracked
moment "$W/one" "vda vdb vdc vdd" -p "$W/one/texts/source.json"
is "vdd" "$(how vdd)" tracked
v detach-disk m vdd
until_so 30 "the end of vdd" sh -c "! virsh -q -c '$U' domblklist m | grep vdd >/dev/null"

step "excluded disks"
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -x vdc -x m/vda -p "$W/one/texts/source.json" m
is "disks" "$(grep -c ^disk "$W/out")" 1
# its snapshot says nothing of vda: that is read whole next
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" m
is "vda" "$(how vda) $(why vda)" "full the disk was not in the snapshot before"

step "a second one at the same time"
coproc B { "$VM_SOURCE" backup "$W/one" -c "$U" -S "$W/scratch" -w -p "$W/one/texts/source.json" m 2>"$W/err1"; }
pid=$B_PID
begun
begin=$SECONDS
bkvm_ends 6 backup "$W/base" -c "$U" -S "$W/scratch" -p "$W/base/texts/source.json" m
[ $((SECONDS - begin)) -le 5 ] || fail "it waited"
bkvm_ends 6 forget -c "$U" m

step "the daemon is restarted meanwhile"
"$one_program" stop "$L"
"$one_program" start "$L"
echo >&"${B[1]}"
cat <&"${B[0]}" >"$W/out"
wait "$pid" || { cat "$W/err1" >&2; fail "it failed"; }
clean 2

step "somebody else's job is left alone"
echo "<domainbackup mode='pull'><server transport='unix' socket='$W/ref.sock'/><disks>
<disk name='vdb' backup='yes' type='file'><driver type='qcow2'/><scratch file='$W/ref.vdb'/></disk></disks></domainbackup>" >"$W/ref.xml"
v backup-begin m "$W/ref.xml" >/dev/null
bkvm_ends 6 backup "$W/base" -c "$U" -S "$W/scratch" -p "$W/base/texts/source.json" m
! no_job || fail "it was ended"
v domjobabort m
until_so 30 "the end of the job" no_job

step "killed: the next run ends what it left"
coproc B { exec "$VM_SOURCE" backup "$W/one" -c "$U" -S "$W/scratch" -w -p "$W/one/texts/source.json" m 2>"$W/err1"; }
pid=$B_PID
begun
kill -9 "$pid"
wait "$pid" || true
! no_job || fail "there is no job to be ended"
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" m
grep -q interrupted "$W/err"
is "vdb" "$(how vdb)" tracked
clean 2

step "killed while the guest is frozen"
for i in 1 2 3 4 5 6 7 8; do
    "$VM_SOURCE" backup "$W/base" -c "$U" -S "$W/scratch" -w -p "$W/one/texts/source.json" m >/dev/null 2>&1 </dev/null &
    pid=$!
    caught=
    for k in {1..40}; do
        if ! thawed; then
            kill -9 "$pid"
            caught=1
            break
        fi
        kill -0 "$pid" 2>/dev/null || break
    done
    wait "$pid" 2>/dev/null || true
    [ -n "$caught" ] && break
done
until_so 15 "the thaw" thawed
figure "killed while frozen: ${caught:+caught in try $i}"
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" m
clean 2

step "the agent is silent"
inside m sh -c '(sleep 1; kill -STOP $(cat /run/qga.pid); sleep 30; kill -CONT $(cat /run/qga.pid)) >/dev/null 2>&1 &'
sleep 2
begin=$SECONDS
bkvm_ends 1 backup "$W/one" -c "$U" -S "$W/scratch" -z require -m 3000 -p "$W/one/texts/source.json" m
[ $((SECONDS - begin)) -le 25 ] || fail "it took $((SECONDS - begin)) s"
figure "a silent agent that is required: given up after $((SECONDS - begin)) s"
begin=$SECONDS
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -z try -m 3000 -p "$W/one/texts/source.json" m
figure "a silent agent that is tried: the whole backup in $((SECONDS - begin)) s"
grep -q 'not frozen' "$W/err"
until_so 60 "the agent" answers m
clean 2

step "the scratch folder fills up"
inside m gwrite w /dev/vdb 0 240000000 11 >/dev/null
coproc B { exec "$VM_SOURCE" backup "$W/base" -c "$U" -S "$W/small" -w -p "$W/base/texts/source.json" m 2>"$W/err1"; }
pid=$B_PID
begun
inside m gwrite w /dev/vdb 0 240000000 12 >/dev/null
until_so 30 "the end of the job" no_job
echo >&"${B[1]}" || true
rc=0
wait "$pid" || rc=$?
[ "$rc" != 0 ] || fail "it came to a good end"
grep -q 'scratch folder is full' "$W/err1" || { cat "$W/err1" >&2; fail "it says nothing"; }
is "the guest" "$(v domstate m)" running
[ -z "$(ls "$W/small")" ] || fail "left: $(ls "$W/small")"
head -c 100000000 /dev/zero >"$W/small/full"
bkvm_ends 9 backup "$W/base" -c "$U" -S "$W/small" m
rm "$W/small/full"
clean 2

step "the scratch folder fills up, and the job is somebody else's by now"
coproc B { exec "$VM_SOURCE" backup "$W/base" -c "$U" -S "$W/small" -w -p "$W/base/texts/source.json" m 2>"$W/err1"; }
pid=$B_PID
begun
v domjobabort m
until_so 30 "the end of the job" no_job
v backup-begin m "$W/ref.xml" >/dev/null
head -c 150000000 /dev/zero >"$W/small/full"
until_so 10 "the guard" grep -q 'scratch folder is full' "$W/err1"
echo >&"${B[1]}" || true
rc=0
wait "$pid" || rc=$?
[ "$rc" != 0 ] || fail "it came to a good end"
! no_job || fail "it was ended"
v domjobabort m
until_so 30 "the end of the job" no_job
rm "$W/small/full"
clean

step "the machine is switched off meanwhile"
coproc B { exec "$VM_SOURCE" backup "$W/base" -c "$U" -S "$W/scratch" -w -p "$W/one/texts/source.json" m 2>"$W/err1"; }
pid=$B_PID
begun
v destroy m
echo >&"${B[1]}" || true
rc=0
wait "$pid" || rc=$?
[ "$rc" != 0 ] || fail "it came to a good end"
[ -z "$(ls "$W/scratch")" ] || fail "left: $(find "$W/scratch")"

step "shut off: the images are read as they lie"
before=$(jq -r '.domains[0].disks[] | select(.target == "vdb").checkpoint' "$W/one/texts/source.json")
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" m
is "vdb" "$(how vdb)" tracked
for d in a.qcow2=vda b.qcow2=vdb c.raw=vdc; do
    qemu-img convert -f "$(sed 's/.*\.//' <<<"${d%=*}")" -O raw "$W/${d%=*}" "$W/x.raw"
    cmp "$W/x.raw" "$W/one/${d#*=}.raw" || fail "${d#*=} differs"
done
is "its checkpoint" "$(jq -r '.domains[0].disks[] | select(.target == "vdb").checkpoint' "$W/one/texts/source.json")" "$before"
[ -z "$(ls "$W/scratch")" ] || fail "left: $(find "$W/scratch")"
boot m
inside m gwrite w /dev/vdb 50000000 1000000 13 >/dev/null
moment "$W/one" "vda vdb vdc" -p "$W/one/texts/source.json"
is "vdb" "$(how vdb)" tracked

step "QEMU is killed: all of it is read, the next one is an increment"
kill -9 "$(cat "$L/run/qemu/m.pid")"
until_so 30 "the end of m" is_off m
boot m
moment "$W/one" "vda vdb vdc" -p "$W/one/texts/source.json"
is "vdb" "$(how vdb) $(why vdb)" "full its checkpoint is not consistent: the domain did not end in order"
is "bitmaps" "$(in_qemu)" "$(v checkpoint-list m --name | sort | xargs)"
clean 1
inside m gwrite w /dev/vdb 60000000 1000000 14 >/dev/null
moment "$W/one" "vda vdb vdc" -p "$W/one/texts/source.json"
is "vdb" "$(how vdb)" tracked
clean

step "QEMU is killed, and it stays off"
kill -9 "$(cat "$L/run/qemu/m.pid")"
until_so 30 "the end of m" is_off m
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" m
is "vdb" "$(how vdb)" full
qemu-img convert -f qcow2 -O raw "$W/b.qcow2" "$W/x.raw"
cmp "$W/x.raw" "$W/one/vdb.raw"
is "bitmaps" "$(in_image)" "" # those were lost
boot m
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" m
is "vdb" "$(how vdb)" full

step "the checkpoint is missing"
v checkpoint-delete m "$(jq -r .domains[0].checkpoint "$W/one/texts/source.json")" >/dev/null
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" m
is "vdb" "$(how vdb) $(why vdb)" "full its checkpoint is gone"

step "a full one keeps its series; another series is left alone"
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -f -p "$W/one/texts/source.json" m
is "vdb" "$(how vdb) $(why vdb)" "full "
clean 1
bkvm_ends 0 backup "$W/base" -c "$U" -S "$W/scratch" -s other m
clean 2
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -f -p "$W/one/texts/source.json" m
clean 2
bkvm_ends 0 backup "$W/base" -c "$U" -S "$W/scratch" -s other -p "$W/base/texts/source.json" m
is "vdb" "$(how vdb)" tracked

step "what the snapshot before says is broken"
echo '{"type":"vm","version":1,"domains":[' >"$W/odd.json"
bkvm_ends 0 backup "$W/base" -c "$U" -S "$W/scratch" -s other -p "$W/odd.json" m
is "vdb" "$(how vdb)" full

step "several at once"
disk "$W/n.qcow2" 16M
define n2 "$W/n.qcow2"
bkvm_ends 0 backup "$W/base" -c "$U" -S "$W/scratch" -s more '[mn]*'
is "disks" "$(grep -c '^disk [mn2]*/vd' "$W/out")" 4
grep -q '^text n2/domain.xml' "$W/out"
define n3 # no disks
bkvm_ends 0 backup "$W/base" -c "$U" -S "$W/scratch" -s more '[mn]*'
is "disks" "$(grep -c '^disk [mn2]*/vd' "$W/out")" 4
grep -q 'left out.*n3' "$W/err"
bkvm_ends 15 backup "$W/base" -c "$U" -S "$W/scratch" -s more n3
bkvm_ends 15 backup "$W/base" -c "$U" -S "$W/scratch" -s more '[mn]*' n3
v undefine n3
bkvm_ends 3 backup "$W/base" -c "$U" -S "$W/scratch" -s more 'x*'
bkvm_ends 3 backup "$W/base" -c "$U" -S "$W/scratch" -s more m absent
clean

step "shut off, and only QEMU could read it"
sed 's|^<source file=.*n.qcow2./>|<source file="'"$W"'/n.qcow2"><slices><slice type="storage" offset="0" size="1048576"/></slices></source>|' "$W/n2.xml" >"$W/n2b.xml"
v undefine n2
v define "$W/n2b.xml"
bkvm_ends 15 backup "$W/base" -c "$U" -S "$W/scratch" -s more n2
v undefine n2

step "shut off, and its disk is a volume of a pool"
mkdir "$W/pool"
mv "$W/n.qcow2" "$W/pool/"
v pool-create-as p dir --target "$W/pool"
sed "s|type='file' device='disk'|type='volume' device='disk'|; s|<source file=.*n.qcow2'/>|<source pool='p' volume='n.qcow2'/>|" "$W/n2.xml" >"$W/n2c.xml"
v define "$W/n2c.xml"
bkvm_ends 0 backup "$W/base" -c "$U" -S "$W/scratch" -s more n2
qemu-img convert -f qcow2 -O raw "$W/pool/n.qcow2" "$W/x.raw"
cmp "$W/x.raw" "$W/base/vda.raw"
v pool-destroy p
bkvm_ends 15 backup "$W/base" -c "$U" -S "$W/scratch" -s more n2
v undefine n2

step "handed back as it was"
is "bitmaps" "$(in_qemu)" "$(v checkpoint-list m --name | sort | xargs)" # none is left of those whose checkpoints went
bkvm_ends 0 forget -c "$U" m
clean 0
is "bitmaps" "$(in_qemu)" ""
bkvm_ends 0 backup "$W/base" -c "$U" -S "$W/scratch" m
off m
bkvm_ends 0 forget -c "$U" m
is "checkpoints" "$(points)" 0
is "bitmaps" "$(in_image)" ""

step "the domain is undefined"
v undefine m
bkvm_ends 3 backup "$W/base" -c "$U" -S "$W/scratch" m
bkvm_ends 20 backup "$W/base" -c "qemu+unix:///system?socket=$W/none" -S "$W/scratch" m
[ -z "$(ls "$W/scratch")" ] || fail "left: $(find "$W/scratch")"
bkvm_ends 15 backup "$W/base" -c "qemu+ssh://elsewhere/system" m
bkvm_ends 15 forget -c "qemu+ssh://localhost.elsewhere/system" m
