#!/bin/bash
# Two sites: copies into a repository of other keys and another suite, interrupted and resumed, incremental, damaged; then the first site
# is gone and everything comes back from the second.
. "$(dirname "$0")/lib.sh" copy
need jq rsync

T=$W/second
head -c 64 /dev/urandom >"$W/key2"
bk2() { "$BKCTL" --repo "$T" --key-file "$W/key2" "$@"; }
copy() { bk copy --to "$T" --to-key-file "$W/key2" "$@"; }
field() { jq -r "select(.type == \"result\").$1" "$W/out"; }

S=$W/source
mkdir -p "$S/many" "$S/deep/er"
for i in {1..900}; do echo "file $i, $((i * i))" >"$S/many/$i"; done
head -c 30000000 /dev/urandom >"$S/random.bin"
truncate -s 40M "$S/sparse.img"
echo middle | dd of="$S/sparse.img" bs=1 seek=20000000 conv=notrunc status=none
ln "$S/random.bin" "$S/deep/hard"
ln -s ../random.bin "$S/deep/soft"
echo 中文 >"$S/deep/er/中文"

step "a first copy, into another suite"
repo --suite aes256-gcm
bk2 init -q --suite sm4
expect 0 bk backup --name home --tag first "$S"
expect 0 copy --all --json
[ "$(field copied)" = 1 ] && [ "$(field refused)" = 0 ] || fail "$(cat "$W/out")"
expect 0 bk2 check --read-data
expect 0 bk2 restore latest:"$S" --strip --target "$W/t.first" --verify
same "$S" "$W/t.first"
[ "$(bk2 snapshots --json | jq -r '.snapshots[0].origin.snapshot')" = "$(newest .id)" ] || fail "no origin is recorded"

step "again: nothing moves"
before=$(find "$T" -type f | wc -l)
expect 0 copy --all --json
[ "$(field copied)" = 0 ] && [ "$(field there)" = 1 ] && [ "$(find "$T" -type f | wc -l)" = "$before" ] || fail "it was copied again"

step "an incremental copy reads what changed"
echo more >>"$S/many/7"
head -c 4096 /dev/urandom | dd of="$S/random.bin" bs=4096 seek=1000 conv=notrunc status=none
rm "$S/many/8"
expect 0 bk backup --name home "$S"
expect 0 bk backup --name other "$S/deep"
expect 0 copy --status --json
[ "$(jq -r 'select(.type == "status").names[] | select(.name == "home").behind' "$W/out")" = 1 ] || fail "status: $(cat "$W/out")"
expect 0 copy --name home --json
[ "$(field copied)" = 1 ] && [ "$(field read_bytes)" -lt 2000000 ] || fail "read $(field read_bytes) bytes"
figure "an incremental copy of 30 MB read $(field read_bytes) bytes and stored $(field stored_bytes)"
expect 0 bk2 restore home@latest:"$S" --strip --target "$W/t.second" --verify
same "$S" "$W/t.second"

step "what is copied, and what is not"
copy --status >"$W/status"
grep -q "^home: up to date" "$W/status" && grep -q "^other: no copy" "$W/status" || { cat "$W/status"; fail "status"; }
expect 0 copy --tag nothing --json
[ "$(field copied)" = 0 ] || fail "a tag that nobody has"
expect 0 copy --newer-than 1h --dry-run
grep -q other "$W/out" || fail "dry run: $(cat "$W/out")"
expect 2 copy
expect 2 bk copy --all
expect 2 bk copy --all --to "$R" --to-key-file "$W/key"
expect 3 copy nosuch@latest
expect 7 bk copy --all --to "$T" --to-key-file "$W/key"

step "killed and resumed"
S2=$W/source2
mkdir "$S2"
head -c 70000000 /dev/urandom >"$S2/noise"
for i in {1..2000}; do echo "$i" >"$S2/$i"; done
expect 0 bk backup --name big "$S2"
kills=0
for i in 1 2 3; do
    before=$(find "$T/data" -type f | wc -l)
    "$BKCTL" --repo "$R" --key-file "$W/key" copy --name big --to "$T" --to-key-file "$W/key2" --memory 64MiB --limit-write 40M -q >"$W/out" 2>"$W/err" &
    pid=$!
    for ((k = 0; k < 200; k++)); do
        [ "$(find "$T/data" -type f | wc -l)" -lt $((before + 3)) ] || break
        sleep 0.05
    done
    kill -9 "$pid" && kills=$((kills + 1))
    wait "$pid" 2>/dev/null || true
done
[ "$(bk2 snapshots --name big --json | jq '.snapshots | length')" = 0 ] || fail "a killed copy committed"
expect 0 copy --name big --json
stored=$(($(field stored_bytes) >> 20))
figure "$kills runs were killed; the last one stored $stored MiB of 67"
[ "$stored" -lt 58 ] || fail "what the killed runs stored was not found again"
expect 0 bk2 check --read-data
expect 0 bk2 restore big@latest:"$S2" --strip --target "$W/t.big" --verify
same "$S2" "$W/t.big"

step "all of it"
expect 0 copy --all --json
bk snapshots --json | jq -S '[.snapshots[] | {name, start, files, exceptions, state, content_bytes}] | sort_by(.start)' >"$W/a"
bk2 snapshots --json | jq -S '[.snapshots[] | {name, start, files, exceptions, state, content_bytes}] | sort_by(.start)' >"$W/b"
cmp -s "$W/a" "$W/b" || { diff "$W/a" "$W/b" || true; fail "the catalogues differ"; }

step "damage is refused, or told"
D=$W/damaged
rm -rf "$D" && cp -a "$R" "$D"
T3=$W/third
"$BKCTL" init -q --repo "$T3" --key-file "$W/key2"
pack=$(find "$D/data" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
chmod u+w "$pack"
printf '\xff\xff\xff\xff' | dd of="$pack" bs=1 seek=$(($(stat -c %s "$pack") / 2)) conv=notrunc status=none
expect 5 "$BKCTL" --repo "$D" --key-file "$W/key" copy --all --to "$T3" --to-key-file "$W/key2"
grep -q "damaged in the source" "$W/err" || { cat "$W/err"; fail "the damage is not told"; }
refused=$("$BKCTL" --repo "$T3" --key-file "$W/key2" snapshots --json | jq '.snapshots | length')
[ "$refused" -lt 4 ] || fail "a damaged snapshot was copied"
expect 10 "$BKCTL" --repo "$D" --key-file "$W/key" copy --all --keep-damaged --to "$T3" --to-key-file "$W/key2"
expect 0 "$BKCTL" --repo "$T3" --key-file "$W/key2" check --read-data
expect 0 bk copy --all --to "$T3" --to-key-file "$W/key2"
expect 0 bk copy --status --to "$T3" --to-key-file "$W/key2"
grep -q damaged "$W/out" && fail "the sound source did not replace the damaged copy"

step "a repository that cuts chunks like the first"
L=$W/like
expect 0 "$BKCTL" init -q --repo "$L" --key-file "$W/key2" --chunker-like "$R" --like-key-file "$W/key"
expect 0 bk copy --name home --to "$L" --to-key-file "$W/key2"
expect 0 "$BKCTL" --repo "$L" --key-file "$W/key2" backup --name home --level full --json "$S"
new=$(jq -r 'select(.type == "result").snapshot.new_bytes' "$W/out")
[ "$new" -lt 100000 ] || fail "a backup beside the copies found $new new bytes"

step "the first site is gone"
rm -rf "$R"
expect 0 bk2 restore home@latest:"$S" --strip --target "$W/t.third" --verify
same "$S" "$W/t.third"
head -c 64 /dev/urandom >"$W/key" # a new first site, of other keys
repo
expect 0 "$BKCTL" --repo "$T" --key-file "$W/key2" copy --all --to "$R" --to-key-file "$W/key" --json
[ "$(field copied)" = 4 ] || fail "back at a new first site: $(cat "$W/out")"
expect 0 bk check --read-data
expect 0 copy --all --json
[ "$(field copied)" = 0 ] && [ "$(field there)" = 4 ] || fail "copies of copies were copied again"
