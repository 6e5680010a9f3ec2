# Virtual machines of the test's own, for the tests of this folder: . "$(dirname "$0")/lib.sh" NAME
#
# The test runs once more inside namespaces of its own (mounts, network, processes): at its end, however it ends, no daemon, machine
# or mount is left. VM_SOURCE: the program of vm_source.c. VM_GUEST: where the guest is built, once.
#
#   $L      the folder of the libvirt daemon      $U   its URI            v ...     virsh on it
#   define NAME DISK...    a machine with these disks (vda, vdb ...: *.raw or *.qcow2); $W/log/NAME.serial is its console
#   boot NAME              starts it, waits until its agent answers       off NAME  shuts it down
#   inside NAME COMMAND... runs a command in it, prints what it prints
#   $W/scratch, $W/small   folders for scratch files, the second of 200 MB
#   bkvm ...               vm_source on it; its output in $W/out and $W/err
export VM_GUEST=${VM_GUEST:-/var/tmp/bkctl-tests-guest}
if [ -z "${VM_INSIDE:-}" ]; then
    for t in libvirtd virsh qemu-system-x86_64 qemu-img nbdcopy jq unshare ip cpio busybox; do
        command -v "$t" >/dev/null || { echo "needs $t"; exit 77; }
    done
    [ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
    unshare -m -n -p -f --mount-proc true 2>/dev/null || { echo "needs namespaces"; exit 77; }
    [ -x "${VM_SOURCE:?}" ] || { echo "built without virtual machines"; exit 77; }
    "$(dirname "$0")/guest/build" "$VM_GUEST" || exit 1
    # bash is process 1 there and reaps orphans: libvirt waits for those of its machines
    # Debian 12's libvirtd crashes once in a while when a client of an agent goes away. That is not what is tested: it is told, and the
    # test runs again.
    for try in 1 2 3; do
        rc=0
        VM_INSIDE=1 unshare -m -n -p -f --mount-proc --kill-child bash -c 'ip link set lo up; "$@"; rc=$?; exit $rc' bash "$0" "$@" || rc=$?
        [ "$rc" = 99 ] || exit "$rc"
        echo "# try $try: libvirtd crashed"
    done
    exit "$rc"
fi
. "$(dirname "$0")/../system/lib.sh" "$1"
VM_SOURCE=$(realpath "$VM_SOURCE")
one_program=$(realpath "$(dirname "$0")/one")
L=$W/l
U="qemu+unix:///system?socket=$L/run/libvirt-sock"
v() { virsh -q -c "$U" "$@"; }
mkdir -p "$W/log" "$W/scratch"

define() {
    local name=$1 letter=a d
    shift
    {
        cat <<END
<domain type='qemu'><name>$name</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>$VM_GUEST/vmlinuz</kernel><initrd>$VM_GUEST/initrd.gz</initrd>
<cmdline>console=ttyS0 quiet</cmdline></os>
<features><acpi/></features><cpu mode='maximum'/>
<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
END
        for d in "$@"; do
            echo "<disk type='file' device='disk'><driver name='qemu' type='${d##*.}' cache='writeback' discard='unmap'/>"
            echo "<source file='$d'/><target dev='vd$letter' bus='virtio'/></disk>"
            letter=$(tr a-y b-z <<<"$letter")
        done
        cat <<END
<serial type='file'><source path='$W/log/$name.serial' append='off'/><target port='0'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<memballoon model='none'/><controller type='usb' model='none'/>
</devices></domain>
END
    } >"$W/$name.xml"
    v define "$W/$name.xml"
}

until_so() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) name=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "waited in vain for $name"
        sleep 0.1
    done
}
agent() { v qemu-agent-command --timeout 10 "$1" "$2"; }
answers() { agent "$1" '{"execute":"guest-ping"}'; }
boot() {
    v start "$1"
    until_so 120 "the guest of $1" answers "$1"
}
is_off() { [ "$(v domstate "$1")" = "shut off" ]; }
off() {
    v shutdown "$1" --mode agent
    until_so 60 "the end of $1" is_off "$1"
}
inside() {
    local name=$1 pid answer i
    shift
    pid=$(agent "$name" "$(jq -cn '{execute: "guest-exec", arguments: {path: $ARGS.positional[0], arg: $ARGS.positional[1:], "capture-output": true}}' \
        --args -- "$@")" | jq .return.pid)
    for i in {1..600}; do
        answer=$(agent "$name" "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":$pid}}")
        [ "$(jq .return.exited <<<"$answer")" = true ] && break
        sleep 0.05
    done
    jq -r '.return["out-data"] // empty | @base64d' <<<"$answer"
    [ "$(jq .return.exitcode <<<"$answer")" = 0 ] || fail "in $name: $*: $answer"
}
bkvm() {
    local what=$1
    shift
    timeout 300 "$VM_SOURCE" "$what" "$@" >"$W/out" 2>"$W/err" </dev/null || return
}
# Fails with what was said unless it ends with this status: bkvm_ends STATUS ARGUMENTS...
bkvm_ends() {
    local want=$1 got=0
    shift
    bkvm "$@" || got=$?
    [ "$got" = "$want" ] || { cat "$W/out" "$W/err" >&2; fail "exit status $got instead of $want: vm_source $*"; }
}

# A scratch folder that is soon full; what is mounted later the daemon does not see.
mkdir "$W/small"
mount -t tmpfs -o size=200m tmpfs "$W/small"
at_exit "umount -l '$W/small'"
at_exit "'$one_program' stop '$L'"
"$one_program" start "$L"
# Killed by itself: its pid file is there, it is not, and no test has killed it.
crashed() { [ -s "$L/libvirtd.pid" ] && ! grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$(cat "$L/libvirtd.pid")/status"; }
at_exit '[ "$rc" = 0 ] || ! crashed || rc=99'
