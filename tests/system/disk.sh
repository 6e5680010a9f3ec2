#!/bin/bash
# Disks: images of every format, devices and NBD exports go into a repository and come out again, whole, byte for byte; into every
# format; over what was there before. And the ways it goes wrong: wrong names and formats, servers that end, disks that fill,
# programs that are killed, repositories that are damaged.
. "$(dirname "$0")/lib.sh" disk
need qemu-img qemu-nbd nbdkit jq
repo
cd "$W"

# image FILE MIB SEED: data at odd places, holes, allocated zeroes
image() {
    python3 - "$1" "$2" "$3" <<'PY'
import random, sys
name, mib, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
with open(name, 'wb') as f:
    f.truncate(mib << 20)
    for _ in range(mib // 2):
        f.seek(r.randrange((mib << 20) - 200000))
        f.write(r.randbytes(r.randrange(1, 200000)))
    f.seek((mib << 20) // 2)
    f.write(bytes(3 << 20))
PY
}
result() { jq -rs "map(select(.type == \"result\")) | last | $1"; }
record() { bk cat "$1:disks.json" 2>/dev/null | jq -r "$2"; }

step "raw, with holes and an odd size"
image a.raw 150 1
truncate -s $((150 * 1048576 + 777)) a.raw
bk backup --name a disk:a.raw --json >out
[ "$(result .snapshot.content_bytes <out)" = $((150 * 1048576 + 777)) ] || fail "size"
bk restore -q a@latest --to a.back --verify
cmp a.raw a.back
[ "$(stat -c %b a.back)" -le $(($(stat -c %b a.raw) + 2048)) ] || fail "holes were filled"
bk cat a@latest 2>/dev/null | cmp - a.raw

step "nothing is stored twice, whatever the format"
truncate -s 150M a.raw
bk backup -q --name a disk:a.raw
for f in qcow2 vmdk vhdx vdi vpc; do
    e=$f
    [ $f = vpc ] && e=vhd
    qemu-img convert -f raw -O $f a.raw f.$e
    bk backup --name f disk:f.$e --json >out
    [ "$(result .snapshot.new_bytes <out)" -lt 1500000 ] || fail "$f: $(result .snapshot.new_bytes <out) new bytes"
    bk restore -q f@latest --to f.back
    cmp -n $((150 << 20)) a.raw f.back # qemu-img rounds the size of a vpc up, we do not
    rm f.back
    bk restore -q a@latest --target out-$f --disk-format $f
    qemu-img convert -f $f -O raw out-$f/a.$e back.raw
    cmp a.raw back.raw
    rm -r out-$f back.raw
done
bk restore -q f@latest --to by-name.qcow2 --verify
[ "$(qemu-img info --output=json by-name.qcow2 | jq -r .format)" = qcow2 ] || fail "the name says qcow2"

step "several disks are one snapshot"
image b.raw 20 2
bk backup --name two disk:a.raw disk:b.raw disk:f.qcow2 -q
[ "$(bk ls two@latest | tr '\n' ' ')" = "a b f disks.json " ] || fail "$(bk ls two@latest)"
bk restore -q two@latest --target all
cmp a.raw all/a.raw && cmp b.raw all/b.raw && cmp a.raw all/f.raw
bk restore -q two@latest:b --to b.back
cmp b.raw b.back
expect 2 bk restore two@latest --to c.back
expect 17 bk cat two@latest

step "over what was there, only what differs is written"
cp a.raw c.raw
printf x | dd of=c.raw bs=1 seek=70000000 conv=notrunc status=none
dd if=/dev/urandom of=c.raw bs=1M seek=100 count=2 conv=notrunc status=none
expect 4 bk restore f@latest --to c.raw
bk restore f@latest --to c.raw --overwrite --verify --json >out
cmp -n $((150 << 20)) a.raw c.raw
[ "$(result .bytes_written <out)" -le 3000000 ] || fail "$(result .bytes_written <out) bytes were written"

step "exports are read and written"
qemu-nbd -r -t -e 8 -k "$W/s.sock" -f qcow2 f.qcow2 & server=$!
at_exit "kill $server 2>/dev/null; wait $server 2>/dev/null"
for _ in $(seq 100); do [ -S s.sock ] && break; sleep 0.1; done
bk backup --name n "nbd+unix:///?socket=$W/s.sock" --json >out
[ "$(result .snapshot.new_bytes <out)" -lt 10000 ] || fail "an export is stored again"
bk backup --name n "nbd:nbd+unix:///?socket=$W/s.sock" -q
kill $server
wait $server || true
truncate -s 151M t.raw
dd if=/dev/urandom of=t.raw bs=1M count=20 conv=notrunc status=none
qemu-nbd -t -e 8 -k "$W/t.sock" -f raw t.raw & server=$!
for _ in $(seq 100); do [ -S t.sock ] && break; sleep 0.1; done
expect 4 bk restore n@latest --to "nbd+unix:///?socket=$W/t.sock"
bk restore -q n@latest --to "nbd+unix:///?socket=$W/t.sock" --overwrite --verify
kill $server
wait $server || true
cmp -n $((150 << 20)) a.raw t.raw
nbdkit -U "$W/z.sock" -f --filter=nozero memory 151M & server=$! # one that cannot zero
for _ in $(seq 100); do [ -S z.sock ] && break; sleep 0.1; done
bk restore -q n@latest --to "nbd+unix:///?socket=$W/z.sock" --overwrite --verify
kill $server
wait $server || true

if is_root && device=$(losetup -f --show t.raw 2>/dev/null); then
    step "block devices"
    at_exit "losetup -d $device 2>/dev/null"
    bk backup --name dev disk:"$device" --json >out
    [ "$(result .snapshot.new_bytes <out)" -lt 3000000 ] || fail "a device is stored again"
    dd if=/dev/urandom of="$device" bs=1M count=5 status=none
    expect 4 bk restore n@latest --to "$device"
    bk restore -q n@latest --to "$device" --overwrite --verify
    cmp -n $((150 << 20)) a.raw "$device"
    losetup -d "$device"
fi

step "a target that cannot be read back is told"
nbdkit -U "$W/v.sock" -f --filter=error memory 150M error-pread=EIO error-pread-rate=100% 2>/dev/null & server=$!
for _ in $(seq 100); do [ -S v.sock ] && break; sleep 0.1; done
expect 10 bk restore n@latest --to "nbd+unix:///?socket=$W/v.sock" --overwrite --verify
has 'cannot be read back' <"$W/err"
kill $server
wait $server || true

step "more workers than a server takes connections"
bk backup -q --name many disk:f.qcow2 --threads 70
bk restore -q many@latest --to many.qcow2 --threads 70 --verify
rm many.qcow2

step "what differs"
expect 0 bk diff two@latest:a a@latest:a
expect 17 bk diff two@latest a@latest
bk diff many@latest:f two@latest:b | has . || fail "two disks do not differ"

step "names"
cp b.raw disks.json
cp b.raw 'a?b.img'
cp b.raw "$(printf 'caf\xe9.img')"
bk backup -q --name names disk:disks.json 'disk:a?b.img' "disk:$(printf 'caf\xe9.img')"
[ "$(bk ls names@latest | sort | tr '\n' ' ')" = "a?b disk disk-2 disks.json " ] || fail "$(bk ls names@latest)"
bk restore -q names@latest --target names
for f in disk disk-2 'a?b'; do cmp b.raw "names/$f.raw"; done

step "a file that becomes shorter meanwhile is no snapshot"
image short.raw 60 3
bk backup --name short disk:short.raw --limit-read 4MiB >"$W/out" 2>"$W/err" & job=$!
sleep 1
truncate -s 5M short.raw
rc=0
wait $job || rc=$?
[ $rc = 19 ] || fail "exit status $rc: $(cat "$W/err")"

step "wrong requests"
cp f.qcow2 fake.bin
expect 2 bk backup disk:fake.bin
has 'disk-format qcow2' <"$W/err"
bk backup -q --name fake disk:fake.bin --disk-format raw
bk restore -q fake@latest --to fake.back
cmp fake.bin fake.back
expect 1 bk backup disk:fake.bin --disk-format vmdk
expect 3 bk backup disk:nosuch.raw
expect 3 bk backup disk:nosuch.qcow2 disk:a.raw
expect 2 bk backup disk:a.raw "$W"
expect 2 bk backup "$W/a.raw" --disk-format raw
expect 2 bk restore a@latest --in-place
expect 3 bk restore a@latest:nosuch --to y
expect 3 bk restore a@latest --to "$W/no/such/y"
printf raw >'odd,name: json:{}.qcow2' && expect 1 bk backup 'disk:odd,name: json:{}.qcow2'
qemu-img convert -f raw -O qcow2 b.raw odd.tmp
mv odd.tmp 'odd,name: nbd:.qcow2'
bk backup -q --name odd 'disk:odd,name: nbd:.qcow2'
bk restore -q odd@latest --target odd
cmp b.raw odd/*.raw
# an image that a machine has open
qemu-nbd -t -k "$W/open.sock" -f qcow2 f.qcow2 & server=$!
for _ in $(seq 100); do [ -S open.sock ] && break; sleep 0.1; done
expect 1 bk backup disk:f.qcow2
has 'in use' <"$W/err"
kill $server
wait $server || true
cp a.raw open.raw
qemu-nbd -t -k "$W/open2.sock" -f raw open.raw & server=$!
for _ in $(seq 100); do [ -S open2.sock ] && break; sleep 0.1; done
expect 6 bk backup disk:open.raw
expect 6 bk restore two@latest:b --to open.raw --overwrite
kill $server
wait $server || true
cmp a.raw open.raw

cp b.raw held.raw
sleep 60 >>held.raw & holder=$!
expect 6 bk restore two@latest:b --to held.raw --overwrite
kill $holder
wait $holder 2>/dev/null || true
bk restore -q two@latest:b --to held.raw --overwrite

step "a server that ends or lies leaves no snapshot"
n=$(bk snapshots --json | jq '.snapshots | length')
nbdkit -U "$W/e.sock" -f --filter=error file a.raw error-pread=EIO error-pread-rate=100% & server=$!
for _ in $(seq 100); do [ -S e.sock ] && break; sleep 0.1; done
expect 11 bk backup --name e "nbd+unix:///?socket=$W/e.sock"
kill $server
wait $server || true
nbdkit -U "$W/k.sock" -f --filter=delay file a.raw rdelay=200ms & server=$!
for _ in $(seq 100); do [ -S k.sock ] && break; sleep 0.1; done
bk backup --name k "nbd+unix:///?socket=$W/k.sock" >"$W/out" 2>"$W/err" & job=$!
sleep 1.5
kill -9 $server
wait $server 2>/dev/null || true
rc=0
wait $job || rc=$?
[ $rc = 11 ] || fail "exit status $rc: $(cat "$W/err")"
[ "$(bk snapshots --json | jq '.snapshots | length')" = "$n" ] || fail "a snapshot of a broken disk"

step "killed restores leave nothing under the name, and no server"
for f in raw qcow2; do
    for ms in 05 15 30 60; do
        rm -f kill.*
        bk restore -q two@latest:a --to kill.$f >/dev/null 2>&1 & job=$!
        sleep 0.$ms
        kill -9 $job 2>/dev/null || true
        wait $job 2>/dev/null || true
        if [ -e kill.$f ]; then qemu-img compare -q -f raw -F $f a.raw kill.$f || fail "a half image has the name"; fi
        for _ in $(seq 300); do pgrep -f 'filename=\./kill\.' >/dev/null || break; sleep 0.1; done
        if pgrep -af 'filename=\./kill\.'; then fail "a server stays"; fi
    done
done
rm -f kill.*

if is_root; then
    step "a full target"
    mkdir small
    mount -t tmpfs -o size=4m tmpfs small
    at_exit "umount $W/small"
    expect 9 bk restore two@latest:a --to small/a.raw
    [ -z "$(ls small)" ] || fail "left behind: $(ls small)"
    expect 9 bk restore two@latest:a --to small/a.qcow2
    [ -z "$(ls small)" ] || fail "left behind: $(ls small)"
fi

step "two TiB with a little data"
truncate -s 2T huge.raw
for i in $(seq 0 63); do dd if=b.raw of=huge.raw bs=1M skip=$((i % 20)) count=1 seek=$((i * 32000)) conv=notrunc status=none; done
/usr/bin/time -f %M -o "$W/rss" "$BKCTL" --repo "$R" --key-file "$W/key" backup -q --name huge disk:huge.raw
[ "$(cat "$W/rss")" -lt 300000 ] || fail "$(cat "$W/rss") KiB for a sparse disk"
bk restore huge@latest --to huge.back --json >out
[ "$(stat -c %s huge.back)" = $((2 << 40)) ] || fail "size of the sparse disk"
for i in 0 1 37 63; do
    cmp <(dd if=huge.raw bs=1M skip=$((i * 32000)) count=2 status=none) <(dd if=huge.back bs=1M skip=$((i * 32000)) count=2 status=none)
done
[ "$(stat -c %b huge.back)" -le $(($(stat -c %b huge.raw) + 4096)) ] || fail "holes of the sparse disk were filled"
figure "2 TiB, 64 MiB of data: $(cat "$W/rss") KiB"
rm huge.*

if in_files; then
    step "a damaged pack costs its blocks, and says which"
    bk backup -q --name hurt disk:b.raw
    dd if=/dev/urandom of=e.raw bs=1M count=30 status=none
    bk backup -q --name hurt disk:e.raw
    pack=$(find "$R/data" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
    pack=$(find "$R/data" -type f -newer "$W/e.raw" -size +20M | head -n 1)
    chmod u+w "$pack"
    printf 'damaged here' | dd of="$pack" bs=1 seek=10000000 conv=notrunc status=none
    expect 10 bk restore hurt@latest --to hurt.raw
    has 'could not be restored and are zero' <"$W/err"
    python3 - <<'PY'
a, b = open('e.raw', 'rb').read(), open('hurt.raw', 'rb').read()
bad = [i for i in range(0, len(a), 65536) if a[i:i + 65536] != b[i:i + 65536]]
assert len(a) == len(b) and 0 < len(bad) <= 16, bad
assert all(b[i:i + 65536] == bytes(65536) for i in bad)
PY
    # where the bytes are there already they stay, and nothing is missing
    cp e.raw there.raw
    bk restore -q hurt@latest --to there.raw --overwrite
    cmp e.raw there.raw
fi
bk check -q --read-data >/dev/null 2>&1 || in_files || fail "check"
