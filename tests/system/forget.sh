#!/bin/bash
# Forgetting as people do it: rules explained and carried out, the guard, holds, the minimum retention, damage.
. "$(dirname "$0")/lib.sh" forget

take() { bk backup -q --name "$1" "$W/src"; }
mkdir "$W/src"
echo one >"$W/src/a"
repo

step "rules: a dry run explains, the run does it"
for i in 1 2 3 4 5 6; do
    echo "$i" >"$W/src/a"
    take home
done
expect 0 bk forget --keep-last 4 --dry-run
grep -q 'remove.*no rule keeps it' "$W/out" || fail "the dry run does not explain"
grep -q 'keep.*last (4 of 4)' "$W/out" || fail "the dry run does not count"
[ "$(count_snapshots)" = 6 ] || fail "a dry run changed something"
expect 0 bk forget --keep-last 4 --json
[ "$(last_json "$W/out" | jq -c '[.removed, .kept, .dry_run]')" = '[2,4,false]' ] || fail "the result is wrong"
[ "$(jq -r 'select(.type == "decision" and .keep == false) | .reasons[0]' "$W/out" | sort -u)" = unkept ] || fail "reasons"
[ "$(count_snapshots)" = 4 ] || fail "four were to stay"

step "the guard refuses without a terminal and --yes does it"
expect 12 bk forget --keep-last 1
grep -q -- --yes "$W/err" || fail "no hint"
[ "$(count_snapshots)" = 4 ] || fail "the guard let something go"
expect 0 bk forget --keep-last 1 --yes
[ "$(count_snapshots)" = 1 ] || fail "one was to stay"

step "what is wrong is said before anything is done"
expect 2 bk forget
expect 2 bk forget latest --keep-last 1
expect 2 bk forget --keep-within 7x
expect 2 bk forget --keep-last 1 --time-zone Nowhere/City
expect 3 bk forget 0123456789

step "holds and names"
take mail
take mail
first=$(bk snapshots --name mail --json | jq -r '.snapshots[0].id')
bk hold set -q "$first"
expect 14 bk forget "$first"
expect 0 bk forget --keep-last 1 --name mail --yes
bk hold release -q "$first"
expect 0 bk forget "$first"
[ "$(count_snapshots)" = 2 ] || fail "one of each name was to stay"
bk restore -q --target "$W/back" home@latest
[ "$(cat "$W/back$W/src/a")" = 6 ] || fail "what stays does not restore"
! in_files || [ -z "$(ls "$R/notes" 2>/dev/null)" ] || fail "notes of gone snapshots are left"

if in_files; then
    step "a damaged snapshot is forgotten only when it is meant"
    take mail
    id=$(newest .id)
    chmod u+w "$R/snapshots/$id"
    printf xxxxxxxx | dd of="$R/snapshots/$id" bs=1 seek=90 conv=notrunc status=none
    expect 3 bk forget "$id"
    expect 2 bk forget --damaged "${id:0:8}"
    expect 0 bk forget --damaged "$id"
    expect 0 bk check
fi

step "the minimum retention"
expect 2 bk retention set 30d
expect 0 bk retention set 30d --yes
expect 2 bk retention set 29d --yes
expect 0 bk retention show
grep -q '30 days' "$W/out" || fail "it is not shown"
take mail
expect 14 bk forget latest
grep -qE 'it may go from [0-9]{4}-[0-9]{2}-[0-9]{2}' "$W/err" || fail "no date is named"
expect 0 bk forget --keep-last 1 --yes --json
[ "$(last_json "$W/out" | jq .removed)" = 0 ] || fail "something young went"
expect 0 bk check

step "init sets it from the start"
R=$W/second
repo --min-retention 1y
take home
take home
expect 14 bk forget "$(newest .id)"
[ "$(bk retention show --json | jq .minimum_seconds)" = $((366 * 86400)) ] || fail "a year is 366 days here"

step "forget --prune frees what went, and the rest restores"
R=$W/third
repo
head -c 3000000 /dev/urandom >"$W/src/big"
take home
rm "$W/src/big"
take home
data_bytes() { bk stats --json | jq .areas.data.bytes; }
before=$(data_bytes)
expect 0 bk forget --keep-last 1 --prune --json
[ "$(jq -c 'select(.type == "forgotten") | .removed' "$W/out")" = 1 ] || fail "one was to go"
[ "$(last_json "$W/out" | jq '.packs_deleted > 0')" = true ] || fail "nothing was collected"
[ "$(data_bytes)" -lt $((before - 2900000)) ] || fail "nothing was freed"
expect 0 bk check --read-data
rm -r "$W/back"
bk restore -q --target "$W/back" home@latest
same "$W/src" "$W/back$W/src"
expect 2 bk forget --keep-last 1 --prune --dry-run
