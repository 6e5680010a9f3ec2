#!/bin/bash
# Machines are restored whole: backed up on one libvirt, defined and booted on another, and beside themselves; what is in the way is seen
# before a byte is written.
. "$(dirname "$0")/lib.sh" vm-define
mount -t tmpfs tmpfs /var/lib/libvirt # of this test's own: the state of TPMs lies there
# Machines with a TPM are defined, not started: libvirt only asks what there is.
mkdir "$W/bin"
for t in swtpm swtpm_setup swtpm_ioctl; do
    printf '#!/bin/sh\necho \047{"type": "%s", "features": ["tpm-1.2", "tpm-2.0"]}\047\n' "$t" >"$W/bin/$t"
    chmod +x "$W/bin/$t"
done
export PATH=$W/bin:$PATH
"$one_program" stop "$L"
"$one_program" start "$L"
repo
L2=$W/l2
U2="qemu+unix:///system?socket=$L2/run/libvirt-sock"
at_exit "'$one_program' stop '$L2'"
chmod 711 "$W" "$W/log"
QEMU_USER=libvirt-qemu "$one_program" start "$L2" # as distributions have it: the files must be for another user than root
chmod 711 "$L2" "$L2/lib"
on_b() { # COMMAND...: the same with the other daemon
    local U=$U2
    "$@"
}
mkdir "$W/old"
truncate -s 128M "$W/x.raw"
mke2fs -q -t ext4 -F "$W/x.raw"
qemu-img convert -f raw -O qcow2 "$W/x.raw" "$W/old/a.qcow2"
rm "$W/x.raw"
truncate -s 32M "$W/old/b.raw"
qemu-img create -q -f qcow2 "$W/old/c.qcow2" 16M
define m "$W/old/a.qcow2" "$W/old/b.raw" "$W/old/c.qcow2"
boot m
inside m gwrite w /data/f 0 20000000 7 >/dev/null
inside m gwrite w /dev/vdb 1000000 9000000 8 >/dev/null
inside m sync
save() { bk backup --connect "$U" --scratch "$W/scratch" --json "$@" >"$W/out" 2>"$W/err" || { cat "$W/out" "$W/err" >&2; fail "backup"; }; }
v suspend m
save --name m --exclude-disk vdc vm:m
qemu-img convert -U -f qcow2 -O raw "$W/old/a.qcow2" "$W/a.ref"
cp "$W/old/b.raw" "$W/b.ref"
v resume m
off m
restore() { # STATUS OPTIONS...
    local want=$1
    shift
    expect "$want" bk restore m@latest --define --json "$@"
}
says() { has -- "$1" <"$W/out" || has -- "$1" <"$W/err" || { cat "$W/out" "$W/err" >&2; fail "it does not say: $1"; }; }
names() { on_b v list --all --name | sort | xargs; }
nothing_new() {
    [ "$(names)" = "" ] || fail "defined: $(names)"
    [ ! -e "$W/new" ] || fail "left: $(find "$W/new")"
}
x() { on_b v dumpxml --inactive "$1" >"$W/x.xml" && xmllint --xpath "string($2)" "$W/x.xml"; }

step "what is in the way is seen first"
restore 4 --connect "$U" --disk-dir "$W/new"
says 'there is a domain'
restore 4 --connect "$U2"
says 'a.qcow2 is there already'
restore 3 --connect "$U2" --disk-dir "$W/new" --domain other
restore 3 --connect "$U2" --disk-dir "$W/new" --network default=lan
restore 2 --connect "$U2" --disk-dir "$W/new" --network default
restore 15 --connect "$U2" --disk-dir "$W/new" --disk-format vhdx
expect 2 bk restore m@latest --target "$W/new" --name n
restore 15 --connect "qemu+ssh://elsewhere/system" --disk-dir "$W/new"
nothing_new
mkdir "$W/there"
echo precious >"$W/there/m-vda.qcow2"
restore 4 --connect "$U2" --disk-dir "$W/there"
[ "$(ls "$W/there")" = m-vda.qcow2 ]
restore 0 --connect "$U2" --disk-dir "$W/new" --dry-run
jq -e 'select(.type == "result").machines[0] | .name == "m" and (.defined | not) and (.files | length) == 4' "$W/out" >/dev/null
nothing_new

step "on another libvirt"
restore 0 --connect "$U2" --disk-dir "$W/new" --verify
says "'vdc' is not in the snapshot"
[ "$(names)" = m ]
[ "$(x m '//uuid')" = "$(v domuuid m)" ] || fail "another uuid"
[ "$(x m '//disk[target/@dev="vda"]/driver/@type') $(x m '//disk[target/@dev="vdb"]/driver/@type')" = "qcow2 raw" ]
[ "$(x m '//disk[target/@dev="vda"]/source/@file')" = "$W/new/m-vda.qcow2" ]
[ "$(x m 'count(//disk)')" = 2 ]
[ "$(x m '//kernel')" = "$W/new/m-kernel" ]
qemu-img compare -q -f raw -F qcow2 "$W/a.ref" "$W/new/m-vda.qcow2" || fail "vda differs"
cmp "$W/b.ref" "$W/new/m-vdb.raw"
on_b boot m
[ "$(stat -c %U "/proc/$(cat "$L2/run/qemu/m.pid")")" = libvirt-qemu ]
on_b inside m gwrite c /data/f 0 20000000 7 >/dev/null
on_b inside m gwrite c /dev/vdb 1000000 9000000 8 >/dev/null
on_b off m

step "beside itself, started"
restore 4 --connect "$U2" --disk-dir "$W/new" --new-uuid
says 'there is a domain'
on_b v domrename m renamed
restore 4 --connect "$U2" --disk-dir "$W/beside"
says 'new-uuid'
[ ! -e "$W/beside" ]
on_b v undefine renamed
restore 0 --connect "$U" --name twin --start
[ "$(ls "$W/old" | xargs)" = "a.qcow2 b.raw c.qcow2 twin-vda.qcow2 twin-vdb.raw" ] || fail "$(ls "$W/old")"
[ "$(v domuuid twin)" != "$(v domuuid m)" ] || fail "the same uuid"
[ "$(v dumpxml twin | xmllint --xpath 'string(//kernel)' -)" = "$VM_GUEST/vmlinuz" ]
until_so 120 "the guest of twin" answers twin
inside twin gwrite c /data/f 0 20000000 7 >/dev/null
off twin
v undefine twin

step "where it was, over what is there"
v undefine m --checkpoints-metadata
restore 4 --connect "$U"
echo other >"$W/old/a.qcow2"
restore 0 --connect "$U" --overwrite
[ "$(ls "$W/old" | xargs)" = "a.qcow2 b.raw c.qcow2 twin-vda.qcow2 twin-vdb.raw" ] || fail "$(ls "$W/old")"
qemu-img compare -q -f raw -F qcow2 "$W/a.ref" "$W/old/a.qcow2" || fail "vda differs"
v undefine m

step "nothing through a symbolic link"
mv "$W/old" "$W/real"
restore 3 --connect "$U"
ln -s real "$W/old"
rm "$W/real/a.qcow2" "$W/real/b.raw"
restore 15 --connect "$U"
says 'symbolic link'
[ ! -e "$W/real/a.qcow2" ]
rm "$W/old"
mv "$W/real" "$W/old"

step "no path that libvirt would not write"
define odd "$W/old/../old/c.qcow2"
save --name odd vm:odd
v undefine odd
mv "$W/old/c.qcow2" "$W/c.qcow2"
expect 5 bk restore odd@latest --define --connect "$U" --json
[ ! -e "$W/old/c.qcow2" ]
mv "$W/c.qcow2" "$W/old/c.qcow2"

step "a block device"
if loop=$(losetup -f --show "$W/old/c.qcow2" 2>/dev/null); then
    at_exit "losetup -d '$loop'"
    truncate -s 16M "$W/dev.raw"
    printf 'on a device' | dd of="$W/dev.raw" bs=1 seek=1000000 conv=notrunc status=none
    define blk "$W/dev.raw"
    sed -i -e "s,<disk type='file',<disk type='block'," -e "s,<source file='$W/dev.raw'/>,<source dev='$loop'/>," "$W/blk.xml"
    v undefine blk
    truncate -s 16M "$W/old/c.qcow2" && losetup -c "$loop"
    dd if="$W/dev.raw" of="$loop" status=none conv=fsync
    v define "$W/blk.xml"
    save --name blk vm:blk
    v undefine blk
    dd if=/dev/urandom of="$loop" bs=1M count=3 status=none conv=fsync
    restore_blk() { local want=$1; shift; expect "$want" bk restore blk@latest --define --json "$@"; }
    restore_blk 4 --connect "$U"
    restore_blk 15 --connect "$U" --overwrite --disk-format qcow2
    restore_blk 0 --connect "$U" --overwrite
    cmp "$W/dev.raw" "$loop"
    [ "$(v dumpxml blk | xmllint --xpath 'string(//disk/source/@dev)' -)" = "$loop" ]
    restore_blk 0 --connect "$U2" --disk-dir "$W/blk" --disk-format qcow2
    [ "$(x blk '//disk/@type') $(x blk '//disk/driver/@type') $(x blk '//disk/source/@file')" = "file qcow2 $W/blk/blk-vda.qcow2" ]
    qemu-img compare -q -f raw -F qcow2 "$W/dev.raw" "$W/blk/blk-vda.qcow2" || fail "the image differs"
    v undefine blk
    on_b v undefine blk
fi
qemu-img create -q -f qcow2 "$W/d.qcow2" 16M
cat "$W/d.qcow2" >"$W/old/c.qcow2"

step "networks, addresses, the format"
for n in default lan; do
    echo "<network><name>$n</name></network>" >"$W/net.xml"
    v net-define "$W/net.xml"
done
on_b v net-define "$W/net.xml"
sed -e '/<emulator>/a <interface type="network"><mac address="52:54:00:11:22:33"/><source network="default"/><model type="virtio"/></interface>' \
    -e "s,$W/old/c.qcow2,$W/old/n.qcow2," -e '/<disk/,/<target/{/twin/d}' "$W/m.xml" |
    xmllint --recover - 2>/dev/null >"$W/n.xml"
cp "$W/new/m-vda.qcow2" "$W/old/a.qcow2"
cp "$W/new/m-vdb.raw" "$W/old/b.raw"
qemu-img create -q -f qcow2 "$W/old/n.qcow2" 16M
sed -i 's,<name>m</name>,<name>n</name>,' "$W/n.xml"
v define "$W/n.xml"
printf '#!/bin/sh\nexec qemu-system-x86_64 "$@"\n' >"$W/qemu"
chmod +x "$W/qemu"
define o "$W/old/c.qcow2"
head -c 65536 /dev/urandom >"$W/old/o_VARS.fd"
sed -i -e "s,<emulator>.*</emulator>,<emulator>$W/qemu</emulator>," \
    -e "s,<kernel>,<loader readonly='yes' type='pflash'>$W/key</loader><nvram>$W/old/o_VARS.fd</nvram><kernel>," \
    -e "/<rng/i <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>" "$W/o.xml"
v undefine o
v define "$W/o.xml"
state() { echo "/var/lib/libvirt/swtpm/$1/tpm2/tpm2-00.permall"; }
mkdir -p "$(dirname "$(state "$(v domuuid o)")")"
echo sealed >"$(state "$(v domuuid o)")"
save --name n vm:n vm:o
restore_n() { local want=$1; shift; expect "$want" bk restore n@latest --define --json "$@"; }
restore_n 3 --connect "$U2" --disk-dir "$W/nets"
says "no network 'default'"
restore_n 3 --connect "$U2" --disk-dir "$W/nets" --network default=wan
restore_n 3 --connect "$U2" --disk-dir "$W/nets" --network wrong=lan
restore_n 2 --connect "$U2" --disk-dir "$W/nets" --network default=lan --name p
[ "$(names)" = "" ] && [ ! -e "$W/nets" ]
restore_n 4 --connect "$U2" --disk-dir "$W/nets" --network default=lan
says permall
rm -r /var/lib/libvirt/swtpm
restore_n 0 --connect "$U2" --disk-dir "$W/nets" --network default=lan --disk-format raw
[ "$(cat "$(state "$(v domuuid o)")")" = sealed ] || fail "the state of the TPM"
cmp "$W/old/o_VARS.fd" "$W/nets/o_VARS.fd"
[ "$(x o '//nvram')" = "$W/nets/o_VARS.fd" ]
restore_n 0 --connect "$U2" --disk-dir "$W/nets" --domain o --name o2
[ "$(cat "$(state "$(x o2 '//uuid')")")" = sealed ] || fail "the state of the copy's TPM"
[ "$(names)" = "n o o2" ] || fail "defined: $(names)"
[ "$(x n '//interface/source/@network') $(x n '//interface/mac/@address')" = "lan 52:54:00:11:22:33" ]
[ "$(x n '//disk[target/@dev="vdc"]/source/@file') $(x n '//disk[target/@dev="vdc"]/driver/@type')" = "$W/nets/n-vdc.raw raw" ]
restore_n 0 --connect "$U2" --disk-dir "$W/nets" --network default=lan --domain n --name p
[ "$(names)" = "n o o2 p" ] || fail "defined: $(names)"
[ "$(x p '//interface/mac/@address')" != 52:54:00:11:22:33 ] || fail "two machines with one address"
[ "$(x p '//uuid')" != "$(x n '//uuid')" ]

step "the second one is in the way, or cannot be defined: nothing is"
for d in $(names); do on_b v undefine --keep-nvram "$d"; done
rm -r "$W/nets" /var/lib/libvirt/swtpm
mkdir -p "$W/nets/o-vda.qcow2"
restore_n 4 --connect "$U2" --disk-dir "$W/nets" --network default=lan --overwrite
[ "$(find "$W/nets" -type f)$(names)" = "" ]
rmdir "$W/nets/o-vda.qcow2"
echo precious >"$W/nets/n-vda.qcow2"
mv "$W/qemu" "$W/qemu.not"
restore_n 1 --connect "$U2" --disk-dir "$W/nets" --network default=lan --overwrite
says "define the domain 'o'"
[ "$(names)" = "" ] || fail "defined: $(names)"
[ "$(ls "$W/nets") $(cat "$W/nets/n-vda.qcow2")" = "n-vda.qcow2 precious" ] || fail "left: $(ls -l "$W/nets")"
mv "$W/qemu.not" "$W/qemu"
rm -r "$W/nets"
[ -z "$(find /var/lib/libvirt/swtpm -type f)" ] || fail "left: $(find /var/lib/libvirt/swtpm)"

step "killed in the middle: no definition of what is not whole"
# libvirt goes on with what it was asked for before the kill, so it should know the emulator already: probing takes long.
restore_n 0 --connect "$U2" --disk-dir "$W/nets" --domain o
on_b v undefine --keep-nvram o
rm -r "$W/nets" /var/lib/libvirt/swtpm
killed=0
for i in 1 2 3 4 5 6 7 8; do
    "$BKCTL" --repo "$R" --key-file "$W/key" restore n@latest --define --connect "$U2" --disk-dir "$W/nets" --network default=lan -q >"$W/out" 2>&1 & job=$!
    sleep "0.$i"
    kill -9 "$job" 2>/dev/null || true
    wait "$job" 2>/dev/null && break
    killed=$((killed + 1))
    sleep 0.5
    for d in $(names); do
        [ -z "$(find "$W/nets" -name '*.bkctl-*')" ] || fail "$d is defined too early: $(ls "$W/nets")"
        on_b v undefine --keep-nvram "$d"
    done
    until_so 10 "the end of its children" rm -rf "$W/nets" /var/lib/libvirt/swtpm
done
[ "$killed" -gt 0 ] || fail "none was killed"
for d in $(names); do on_b v undefine --keep-nvram "$d"; done
until_so 10 "the end of its children" rm -rf "$W/nets" /var/lib/libvirt/swtpm

step "ended by a signal: nothing stays"
stopped=0
for i in 1 2 3 4 5 6 7 8; do
    "$BKCTL" --repo "$R" --key-file "$W/key" restore n@latest --define --connect "$U2" --disk-dir "$W/nets" --network default=lan -q >"$W/out" 2>&1 & job=$!
    sleep "0.$i"
    kill -TERM "$job" 2>/dev/null || true
    wait "$job" 2>/dev/null && break
    stopped=$((stopped + 1))
    [ "$(names)" = "" ] || { cat "$W/out" >&2; fail "defined: $(names)"; }
    [ ! -e "$W/nets" ] || fail "left: $(find "$W/nets")"
done
[ "$stopped" -gt 0 ] || fail "none was stopped"
bk check -q
