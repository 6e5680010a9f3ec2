#!/bin/bash
# Every command once or more, in one story, on whatever store: what each says fits what the others did. At the end the commands that
# were run are compared with those that there are.
. "$(dirname "$0")/lib.sh" commands
need jq rsync tar
S=$W/source
used=""
# cmd STATUS COMMAND...: expect, with bkctl on $R
cmd() {
    used+="$2"$'\n'
    expect "$1" bk "${@:2}"
}
# Of the last command's JSON: is it so? so JQ-FILTER
so() { last_json "$W/out" | jq -e "$1" >/dev/null || { cat "$W/out"; fail "not so: $1"; }; }
mkdir -p "$S/sub/deep"
for i in {1..30}; do head -c $((i * 3001)) /dev/urandom >"$S/sub/$i"; done
seq 100000 >"$S/sub/deep/numbers"
echo first >"$S/changes"

step "init, store probe, version, help, completion"
place
cmd 0 init --json --label mine
cmd 4 init
cmd 0 store probe --json
cmd 0 version --json
cmd 0 help backup
cmd 0 completion bash

step "backup, import, snapshots, tag, hold"
cmd 0 backup --name tree --tag a "$S"
echo second >"$S/changes"
cmd 0 backup --name tree --json "$S"
so '.snapshot | length > 0'
old=$(bk snapshots --json | jq -r '.snapshots[0].id') new=$(newest .id)
tar -C "$S" -cf "$W/in.tar" sub
cmd 0 import --name archive "$W/in.tar"
used+=backup$'\n'
seq 1000 | bk backup -q --name stream --stdin --stdin-name numbers
cmd 0 tag add "$old" b c
cmd 0 tag remove "$old" a
cmd 0 hold set --reason 'a case' "$old"
cmd 0 snapshots --json
so '.snapshots | length == 4 and .[0].tags == ["b", "c"] and .[0].name == "tree"'

step "ls, find, cat, diff, stats"
cmd 0 ls -R --json "$new:$S/sub"
cmd 0 find --json numbers
cmd 0 cat "$new:$S/changes"
[ "$(cat "$W/out")" = second ] || fail "cat: $(cat "$W/out")"
cmd 0 cat "$old:$S/changes"
[ "$(cat "$W/out")" = first ] || fail "cat: $(cat "$W/out")"
cmd 0 cat stream@latest:numbers
cmp "$W/out" <(seq 1000)
cmd 0 diff "$old" "$new"
grep -q "^M .*/changes$" "$W/out" || { cat "$W/out"; fail "diff does not show what changed"; }
cmd 0 stats --json
so '.snapshots == 4'

step "restore, export, mount, nbd, vm"
cmd 0 restore "$new:$S" --strip --target "$W/back"
same "$S" "$W/back"
cmd 0 export -o "$W/out.tar" "$new:$S/sub"
mkdir "$W/exported" "$W/mnt"
tar -C "$W/exported" -xf "$W/out.tar"
find "$W/exported" -name numbers -exec cmp {} "$S/sub/deep/numbers" \; | has . && fail "export"
[ -n "$(find "$W/exported" -name numbers)" ] || fail "nothing was exported"
used+=mount$'\n'
if [ -w /dev/fuse ] && "$BKCTL" version --json | jq -e '.features | index("mount")' >/dev/null; then
    cmd 0 mount --background "$W/mnt"
    at_exit "fusermount3 -uz '$W/mnt' 2>/dev/null"
    same "$S" "$W/mnt/snapshots/tree/latest$S"
    fusermount3 -u "$W/mnt"
fi

used+=nbd$'\n'
if command -v nbdkit nbdcopy >/dev/null && "$BKCTL" version --json | jq -e '.features | index("nbd")' >/dev/null; then
    cmd 0 nbd "stream@latest:numbers" -- sh -c "nbdcopy \"\$uri\" $W/numbers"
    seq 1000 | cmp - "$W/numbers"
fi

# tests/vm has machines; here it is enough that nobody answers, or that it is said to be missing
if "$BKCTL" version --json | jq -e '.features | index("vm")' >/dev/null; then
    cmd 20 vm forget-tracking none --connect "qemu+unix:///system?socket=$W/none"
else
    cmd 15 vm forget-tracking none
fi

step "key"
head -c 64 /dev/urandom >"$W/second.key"
cmd 0 key add --new-key-file "$W/second.key" --label spare
cmd 0 key list --json
so '.keys | length == 2'
spare=$(last_json "$W/out" | jq -r '.keys[] | select(.label == "spare").id')
cmd 0 key compromise "$spare" --json
cmd 0 key rotate-data --json
cmd 0 key remove "$spare"
cmd 0 key generate "$W/pair"
expect 7 "$BKCTL" --repo "$R" --key-file "$W/second.key" snapshots

step "copy"
first=$R
R=$W/copy
place
second=$R
"$BKCTL" --repo "$second" --key-file "$W/second.key" init -q --suite sm4
R=$first
cmd 0 copy --all --to "$second" --to-key-file "$W/second.key" --json
so '.copied == 4 and .refused == 0'
expect 0 "$BKCTL" --repo "$second" --key-file "$W/second.key" restore tree@latest:"$S" --strip --target "$W/copied"
same "$S" "$W/copied"

step "forget, prune, check, scrub, retention"
cmd 14 forget --yes "$old"
cmd 0 hold release "$old"
cmd 0 forget --yes --json "$old" archive@latest
so '.removed == 2'
cmd 0 prune --json
cmd 3 prune explain "$(printf '0%.0s' {1..64})"
cmd 0 check --read-data
cmd 0 scrub --json --state "$W/scrub"
so '.bad == 0 and .objects == .verified'
cmd 0 retention set 1h --yes
cmd 14 forget --yes "$new"
cmd 0 restore "$new:$S" --strip --target "$W/last" --verify
same "$S" "$W/last"

step "no command was left out"
"$BKCTL" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | sort >"$W/all"
sort -u <<<"${used%?}" | diff "$W/all" - || fail "commands that were not run (<), or are none (>)"
figure "$(wc -l <"$W/all") commands"
