#!/bin/bash
# Keys at work: a slot's secret is changed, data keys are rotated, a lost key is looked at.
. "$(dirname "$0")/lib.sh" keys

mkdir "$W/src"
echo one >"$W/src/a"
export BKCTL_PASSWORD=first
unset_key() { "$BKCTL" --repo "$R" "$@"; }
place
unset_key init -q --kdf scrypt --label 'the admin'

step "change: the new passphrase opens, the old one no more, the label stays"
BKCTL_NEW_PASSWORD=second expect 0 unset_key key change --kdf scrypt
expect 7 unset_key snapshots
export BKCTL_PASSWORD=second
expect 0 unset_key key list --json
[ "$(jq -c '[.keys[].label]' "$W/out")" = '["the admin"]' ] || fail "the label"

step "rotate-data: old and new snapshots are read"
unset_key backup -q --name s "$W/src"
expect 0 unset_key key rotate-data --json
[ "$(last_json "$W/out" | jq .epoch)" = 1 ] || fail "the epoch"
echo two >"$W/src/b"
unset_key backup -q --name s "$W/src"
expect 0 unset_key check --read-data
for id in $(unset_key snapshots --json | jq -r '.snapshots[].id'); do
    unset_key restore -q --target "$W/back.$id" "$id"
    [ "$(cat "$W/back.$id$W/src/a")" = one ] || fail "$id does not restore"
done

step "compromise: what each key reads"
expect 0 unset_key key compromise epoch:0 --json
[ "$(last_json "$W/out" | jq -c '[.everything, .data_packs, .snapshots]')" = '[false,1,1]' ] || fail "epoch 0"
slot=$(unset_key key list --json | jq -r '.keys[0].id')
expect 0 unset_key key compromise "${slot:0:6}" --json
[ "$(last_json "$W/out" | jq -c '[.everything, .data_packs, .snapshots]')" = '[true,2,2]' ] || fail "a slot"
expect 0 unset_key key compromise "$slot"
grep -q "bkctl key remove $slot" "$W/out" || fail "no advice"
expect 3 unset_key key compromise epoch:2
expect 3 unset_key key compromise ffffffffffffffff
expect 2 unset_key key compromise epoch:x
expect 2 unset_key key compromise
