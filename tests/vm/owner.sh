#!/bin/bash
# QEMU runs as a user of its own, as distributions have it: it gets its socket and scratch files, others do not.
export QEMU_USER=libvirt-qemu
. "$(dirname "$0")/lib.sh" vm-owner
chmod 711 "$W" "$W/log" "$W/scratch" "$L" "$L/lib"
qemu-img create -q -f qcow2 "$W/a.qcow2" 256M
define m "$W/a.qcow2"
boot m
inside m gwrite w /dev/vda 0 20000000 1 >/dev/null
is_owner() { [ "$(stat -c %U "/proc/$(cat "$L/run/qemu/m.pid")")" = libvirt-qemu ]; }
is_owner || fail "QEMU runs as another user"

step "full and incremental"
mkdir "$W/one"
coproc B { exec "$VM_SOURCE" backup "$W/one" -c "$U" -S "$W/scratch" -w m 2>"$W/err"; }
pid=$B_PID
read -r line <&"${B[0]}" || { cat "$W/err" >&2; fail "it did not begin"; }
folder=$(echo "$W"/scratch/bkctl-vm-*)
[ "$(stat -c %a "$folder/0")" = 700 ] || fail "the inner folder is open: $(stat -c %A "$folder/0")"
[ "$(stat -c %a "$folder/lock")" = 600 ] || fail "the lock is open"
setpriv --reuid=65534 --regid=65534 --clear-groups ls "$folder" >/dev/null 2>&1 && fail "a stranger may list it"
setpriv --reuid=65534 --regid=65534 --clear-groups ls "$folder/0" >/dev/null 2>&1 && fail "a stranger may enter it"
echo >&"${B[1]}"
cat <&"${B[0]}" >"$W/out"
wait "$pid" || { cat "$W/err" >&2; fail "it failed"; }
inside m gwrite w /dev/vda 30000000 1000000 2 >/dev/null
bkvm_ends 0 backup "$W/one" -c "$U" -S "$W/scratch" -p "$W/one/texts/source.json" m
grep -q '^disk vda size [0-9]* tracked' "$W/out"
[ -z "$(ls "$W/scratch")" ] || fail "left: $(find "$W/scratch")"
off m
qemu-img convert -f qcow2 -O raw "$W/a.qcow2" "$W/x.raw"
cmp "$W/x.raw" "$W/one/vda.raw"
