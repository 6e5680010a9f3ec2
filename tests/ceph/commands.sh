#!/bin/bash
# On a healthy cluster, replicated and erasure-coded: the store keeps its contract, and says what is wrong. The commands: stores.sh.
. "$(dirname "$0")/lib.sh" rados STORE=memstore
here=$(dirname "$0")
contract=$(find "$(dirname "$BKCTL")/.." -name test-bkd-contract -type f -print -quit)
for pool in rep ec; do
    step "$pool: the contract"
    [ -x "$contract" ] || fail "the contract test is not built"
    "$contract" "$(url $pool contract)" >"$W/out" 2>&1 || { cat "$W/out"; fail "the contract on $pool"; }
done

step "two repositories in one pool do not see each other"
R=$(url rep a)
repo
bk backup -q --name one "$here"
R=$(url rep b)
repo
[ "$(count_snapshots)" = 0 ] || fail "a snapshot of the other namespace"
expect 4 bk init -q
R=$(url rep a)
[ "$(count_snapshots)" = 1 ] || fail "the first one lost its snapshot"
rados -c "$C/ceph.conf" -p rep -N strange put thing "$W/key"
expect 4 "$BKCTL" --key-file "$W/key" init -r "$(url rep strange)"
grep -q "not empty" "$W/err" || { cat "$W/err"; fail "what a namespace in use says"; }

step "what is wrong with a URL is said"
wrong() { # STATUS WORDS URL
    expect "$1" "$BKCTL" --key-file "$W/key" snapshots -r "$3"
    grep -q -- "$2" "$W/err" || { cat "$W/err"; fail "no '$2' for $3"; }
}
conf=conf=$C/ceph.conf
wrong 3 "no pool nowhere" "rados://nowhere?$conf"
wrong 3 "no repository" "rados://rep/empty?$conf"
wrong 2 "/nonexistent" "rados://rep?conf=/nonexistent"
wrong 2 "no pool" "rados://?$conf"
wrong 2 "timeout" "rados://rep?$conf&timeout=0"
wrong 2 "parameter" "rados://rep?$conf&color=red"
wrong 2 "client" "rados://admin@rep?$conf"
wrong 2 "hex" "rados://rep/a%2?$conf"
wrong 14 "client.nobody" "rados://client.nobody@rep?$conf"
ceph -c "$C/ceph.conf" auth get-or-create client.reader mon 'allow r' osd 'allow r' >"$W/reader"
reader="rados://client.reader@rep/a?$conf&keyring=$W/reader"
expect 0 "$BKCTL" --key-file "$W/key" snapshots -r "$reader"
expect 14 "$BKCTL" --key-file "$W/key" backup -r "$reader" "$here"
grep -q capabilities "$W/err" || { cat "$W/err"; fail "a client without the right to write"; }

step "objects keep to the cluster's size"
ceph -c "$C/ceph.conf" config set osd osd_max_write_size 34
R=$(url ec sizes)
repo
head -c 150000000 /dev/urandom >"$W/in"
bk backup -q "$W/in"
most=$(rados -c "$C/ceph.conf" -p ec -N sizes ls | while read -r o; do
    rados -c "$C/ceph.conf" -p ec -N sizes stat "$o"
done | sed 's/.*size //' | sort -n | tail -n 1)
[ "$most" -gt 8000000 ] && [ "$most" -le $((34 << 20)) ] || fail "an object of $most bytes"
bk cat latest:"$W/in" | cmp - "$W/in"
ceph -c "$C/ceph.conf" config set osd osd_max_write_size 20
expect 12 bk snapshots
grep -q "a repository needs" "$W/err" || { cat "$W/err"; fail "a cluster that takes too small objects"; }
