#!/bin/bash
# bkctl on a real machine, round after round: random writes and discards, random levels, random accidents. Each snapshot restores to what
# the machine's disks held at its moment, byte for byte; in the end all of them are restored once more. And a bitmap that lies.
#
#   ROUNDS=N: how many rounds      SEED=N: other ones      LONG=1: thirty
. "$(dirname "$0")/lib.sh" vm-rounds
rounds=${ROUNDS:-$([ -n "${LONG:-}" ] && echo 30 || echo 6)} RANDOM=${SEED:-1}
repo

truncate -s 128M "$W/x.raw"
mke2fs -q -t ext4 -F "$W/x.raw"
qemu-img convert -f raw -O qcow2 "$W/x.raw" "$W/a.qcow2"
rm "$W/x.raw"
qemu-img create -q -f qcow2 "$W/b.qcow2" 256M
truncate -s 32M "$W/c.raw"
define m "$W/a.qcow2" "$W/b.qcow2" "$W/c.raw"
boot m

no_job() { ! v backup-dumpxml m >/dev/null 2>&1; }
# The disks as they are while the machine is paused.
reference() {
    local d
    mkdir -p "$1"
    {
        echo "<domainbackup mode='pull'><server transport='unix' socket='$W/ref.sock'/><disks>"
        for d in vda vdb vdc; do echo "<disk name='$d' backup='yes' type='file'><driver type='qcow2'/><scratch file='$W/ref.$d'/></disk>"; done
        echo "</disks></domainbackup>"
    } >"$W/ref.xml"
    v backup-begin m "$W/ref.xml" >/dev/null
    for d in vda vdb vdc; do
        nbdcopy "nbd+unix:///$d?socket=$W/ref.sock" "$W/ref.raw"
        sha256sum <"$W/ref.raw" >"$1/$d"
    done
    v domjobabort m
    until_so 30 "the end of the reference's job" no_job
}
save() { bk backup --connect "$U" --scratch "$W/scratch" --name m vm:m --json "$@" >"$W/out" 2>"$W/err"; }
id_of() { jq -r 'select(.type == "result").snapshot.id' "$W/out"; }
verify() { # ID
    local d
    rm -rf "$W/back"
    bk restore -q "$1" --target "$W/back" || fail "restore of $1"
    for d in vda vdb vdc; do
        [ "$(sha256sum <"$W/back/$d.raw")" = "$(cat "$W/sums/$1/$d")" ] || fail "$d of $1 differs"
    done
    grep -q '<name>m</name>' "$W/back/domain.xml"
}
read_of() { bk cat "$1:disks.json" 2>/dev/null | jq -r ".disks[] | select(.name == \"vdb\").read"; }

thawed() { [ "$(agent m '{"execute":"guest-fsfreeze-status"}' | jq -r .return)" = thawed ]; }
change() {
    local i
    until_so 90 "the thaw" thawed # a run that was killed has a guard that thaws
    for ((i = RANDOM % 4; i >= 0; i--)); do
        inside m gwrite w /dev/vdb $((RANDOM * 8192 % 260000000 / 512 * 512)) $((RANDOM * 60 + 512)) "$RANDOM" >/dev/null
    done
    inside m blkdiscard -o $((RANDOM % 60 * 4194304)) -l $((4194304 * (1 + RANDOM % 3))) /dev/vdb || true
    inside m gwrite w /data/f$((RANDOM % 5)) 0 $((RANDOM * 30 + 1)) "$RANDOM" >/dev/null
    inside m gwrite w /dev/vdc $((RANDOM * 900 / 512 * 512)) 4096 "$RANDOM" >/dev/null
}
accident() {
    local job
    case $((RANDOM % 8)) in
        0)
            off m
            boot m
            echo "shut down"
            ;;
        1)
            v destroy m
            boot m
            echo "switched off"
            ;;
        2)
            kill -9 "$(cat "$L/run/qemu/m.pid")"
            until_so 30 "the end of m" is_off m
            boot m
            echo "QEMU killed"
            ;;
        3)
            "$one_program" kill "$L"
            "$one_program" start "$L"
            echo "libvirtd killed"
            ;;
        4)
            save & job=$!
            sleep "0.$((RANDOM % 9))"
            kill -9 $job $(pgrep -P $job) 2>/dev/null || true
            wait $job 2>/dev/null || true
            echo "bkctl killed"
            ;;
        *) echo "" ;;
    esac
}

changes=0 ids=()
for ((i = 1; i <= rounds; i++)); do
    change
    what=$(accident)
    level=$(sed -n "$((1 + RANDOM % 5))p" <<<$'incremental\nincremental\nincremental\ndifferential\nfull')
    v suspend m >/dev/null
    save --level "$level" || { cat "$W/err" "$W/out" >&2; fail "round $i ($what): backup"; }
    id=$(id_of)
    reference "$W/sums/$id"
    v resume m >/dev/null
    verify "$id"
    ids+=("$id")
    [ "$(read_of "$id")" = changes ] && changes=$((changes + 1))
    echo "   round $i: ${what:+$what, }$level, vdb: $(read_of "$id")"
    [ -z "$(ls "$W/scratch")" ] || fail "left in the scratch folder: $(find "$W/scratch")"
done
for id in "${ids[@]}"; do verify "$id"; done
figure "$rounds rounds, $changes by what changed: every snapshot is the disks of its moment"
[ "$(v checkpoint-list m --name | grep -c .)" -le 2 ] || fail "checkpoints pile up: $(v checkpoint-list m --name)"

step "a dry run leaves the tracking as it was"
save --level full
before=$(v checkpoint-list m --name | sort)
save --dry-run
[ "$(v checkpoint-list m --name | sort)" = "$before" ] || fail "a dry run changed the checkpoints"
[ -z "$(ls "$W/scratch")" ] || fail "left in the scratch folder: $(find "$W/scratch")"

step "a bitmap that lies is found out"
inside m gwrite w /dev/vdb 10000000 3000000 77 >/dev/null
node=$(v qemu-monitor-command m '{"execute":"query-named-block-nodes"}' |
    jq -r '[.return[] | select(."dirty-bitmaps"[]?.name | startswith("bkctl-")) | select(.file | endswith("b.qcow2"))][0] | ."node-name" + " " + ([."dirty-bitmaps"[].name | select(startswith("bkctl-"))][-1])')
v qemu-monitor-command m "$(jq -cn --arg n "${node% *}" --arg b "${node#* }" '{execute: "block-dirty-bitmap-clear", arguments: {node: $n, name: $b}}')" >/dev/null
v suspend m >/dev/null
save --audit 100
id=$(id_of)
reference "$W/sums/$id"
v resume m >/dev/null
has 'change tracking' <"$W/out" || has 'change tracking' <"$W/err" || fail "it says nothing"
[ "$(read_of "$id")" = all ] || fail "a lying bitmap was believed"
verify "$id"

step "handed back as it was"
bk vm forget-tracking m --connect "$U" -q
[ "$(v checkpoint-list m --name | grep -c .)" = 0 ] || fail "checkpoints are left"
bk check -q --read-data
