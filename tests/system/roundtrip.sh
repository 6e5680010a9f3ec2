#!/bin/bash
# The commands together, on a small tree: what goes in comes out, in every way there is. Also run with sanitizers.
. "$(dirname "$0")/lib.sh" roundtrip
need rsync jq python3

make_tree() {
    local i
    mkdir -p "$S/docs/deep/er" "$S/empty" "$S/many"
    for i in {1..120}; do echo "file $i, $((i * i))" >"$S/many/$i.txt"; done
    head -c 1500000 /dev/urandom >"$S/random.bin"
    head -c 700000 /dev/zero | tr '\0' x >"$S/same.bin"
    truncate -s 8M "$S/sparse.img"
    echo middle | dd of="$S/sparse.img" bs=1 seek=4000000 conv=notrunc status=none
    ln "$S/random.bin" "$S/docs/hard link"
    ln -s ../random.bin "$S/docs/soft"
    ln -s /nowhere/at/all "$S/dangling"
    mkfifo "$S/fifo"
    : >"$S/zero"
    echo 中文 >"$S/docs/中文 名字"
    chmod 1777 "$S/empty"
    chmod 0640 "$S/zero"
    touch -d '1969-07-20T20:17:40.123456789' "$S/zero"
    touch -d '2001-02-03T04:05:06.7' "$S/docs/deep/er" "$S/docs/deep" "$S/docs"
}
change_tree() {
    echo more >>"$S/many/1.txt"
    rm "$S/many/2.txt"
    mv "$S/many/3.txt" "$S/docs/moved.txt"
    printf y | dd of="$S/same.bin" bs=1 seek=300000 conv=notrunc status=none
    chmod 0600 "$S/many/4.txt"
    mkdir "$S/new"
    echo new >"$S/new/file"
}

S=$W/source
make_tree
for suite in sm4 aes256-gcm; do
    step "suite $suite"
    rm -rf "$R" "$W"/t.*
    repo --suite "$suite"
    expect 0 bk backup --name home --tag first "$S"
    expect 0 bk restore latest:"$S" --strip --target "$W/t.first" --verify
    same "$S" "$W/t.first"
    expect 0 bk check --read-data
    expect 0 bk backup --name home "$S"
    [ "$(newest .read_bytes)" = 0 ] || fail "an unchanged run read $(newest .read_bytes) bytes"
    [ "$(newest .new_bytes)" -lt 4096 ] || fail "an unchanged run found $(newest .new_bytes) new bytes" # the folder above is ours and changes
done

step "levels"
first=$(bk snapshots --json | jq -r '.snapshots[0].id')
change_tree
for level in incremental differential full; do
    expect 0 bk backup --name home --level "$level" "$S"
    [ "$(newest .level)" = "$level" ] || fail "a $level run is recorded as $(newest .level)"
    expect 0 bk restore home@latest:"$S" --strip --target "$W/t.$level"
    same "$S" "$W/t.$level"
done
[ "$(newest .unchanged_files)" = 0 ] || fail "a full run took files as unchanged"
expect 0 bk restore "${first:0:8}" --target "$W/t.old"
same "$W/t.first" "$W/t.old$S"

step "browsing"
bk ls latest:"$S" | grep 'random.bin$' >/dev/null || fail "ls"
[ "$(bk ls -lR latest:"$S" --json | tail -n 1 | jq .entries)" = "$(find "$S" | wc -l)" ] || fail "ls -R counts other things than find"
bk find -s latest '*.txt' | grep 'many/1.txt' >/dev/null || fail "find"
[ "$(bk find moved.txt --json | grep -c '"match"')" = 3 ] || fail "find over all snapshots"
bk cat latest:"$S/random.bin" | cmp - "$S/random.bin"
bk diff "$first" latest "$S" >"$W/diff" 2>/dev/null
grep -q "^+ .*new/file$" "$W/diff" && grep -q "^- .*many/2.txt$" "$W/diff" && grep -q "^M .*many/1.txt$" "$W/diff" ||
    { cat "$W/diff"; fail "diff"; }
bk diff --metadata "$first" latest "$S" 2>/dev/null | grep "^m .*many/4.txt$" >/dev/null || fail "diff --metadata"
for c in "stats" "stats latest" "snapshots" "version"; do
    bk $c --json >"$W/json"
    last_json "$W/json" >/dev/null
    bk $c >/dev/null
done

step "restore in place"
cp -a "$S" "$W/copy"
echo intruder >"$S/intruder"
rm -r "$S/docs"
echo changed >"$S/random.bin"
truncate -s 100 "$S/same.bin"
chmod 0777 "$S/many"
rm "$S/fifo"
echo not a fifo >"$S/fifo"
expect 0 bk restore latest:"$S" --in-place --delete --dry-run
[ -e "$S/intruder" ] || fail "a dry run deleted something"
expect 0 bk restore latest:"$S" --in-place --delete --verify
same "$W/copy" "$S"
expect 0 bk restore latest:"$S" --in-place --delete --json
[ "$(last_json "$W/out" | jq .bytes_written)" = 0 ] || fail "a second restore in place wrote again"
expect 2 bk restore latest --target "$W/t.full" # not empty
expect 0 bk restore latest --target "$W/t.part" "$S/docs" "$S/zero"
same "$S/docs" "$W/t.part$S/docs"
[ ! -e "$W/t.part$S/random.bin" ] || fail "a part brought the rest"
expect 0 bk restore latest:"$S" --strip --target "$W/t.inc" --include '*.txt'
[ -z "$(find "$W/t.inc" -type f ! -name '*.txt')" ] && [ -e "$W/t.inc/many/1.txt" ] || fail "--include"

step "export"
find "$S" -mindepth 1 -printf '%P\n' | sort >"$W/names"
listed() { sed -e 's,^\./,,' -e 's,/$,,' -e "s,^${S#/}/\?,," | grep -v '^$' | sort; }
for f in tar tar.zst tar.gz zip cpio; do
    rc=0
    bk export latest:"$S" -o "$W/x.$f" -q 2>"$W/err" || rc=$?
    [ "$rc" = 0 ] || { [ "$rc" = 10 ] && [ "$f" = zip ]; } || { cat "$W/err"; fail "export as $f: $rc"; } # zip has no FIFOs
    case $f in
        cpio) cpio -it --quiet <"$W/x.$f" ;;
        zip) python3 -c 'import sys, zipfile; print(*zipfile.ZipFile(sys.argv[1]).namelist(), sep="\n")' "$W/x.$f" ;;
        *) tar --quoting-style=literal -tf "$W/x.$f" ;;
    esac | listed >"$W/listed"
    diff "$W/names" "$W/listed" >"$W/diff" || [ "$(grep '^[<>]' "$W/diff")" = "< fifo" ] || { head "$W/diff"; fail "what $f lists"; }
done
mkdir "$W/t.tar"
bk export latest -q | tar -x -C "$W/t.tar" 2>/dev/null
same "$S" "$W/t.tar$S" --omit-dir-times # times before 1970 as well

step "import"
tar --format=pax -C "$S" -czf "$W/in.tar.gz" docs many random.bin zero
expect 0 bk import --name old "$W/in.tar.gz"
expect 0 bk restore old@latest --target "$W/t.import"
same "$S/docs" "$W/t.import/docs"
same "$S/many" "$W/t.import/many"
[ "$(stat -c %.Y "$W/t.import/zero")" = "$(stat -c %.Y "$S/zero")" ] || fail "a time before 1970 is not the same after an import"

step "streams"
expect 0 bk backup --name db --stdin-from-command numbers -- seq 1 200000
bk cat db@latest:numbers | cmp - <(seq 1 200000)
before=$(count_snapshots)
expect 1 bk backup --name db --stdin-from-command numbers -- sh -c 'seq 1 1000; echo no space in the tablespace >&2; exit 3'
grep -q 'tablespace' "$W/err" && grep -q '3' "$W/err" || { cat "$W/err"; fail "the failed command's words are missing"; }
[ "$(count_snapshots)" = "$before" ] || fail "a failed command made a snapshot"
seq 5 | bk backup -q --name pipe --stdin --stdin-name five
[ "$(bk cat pipe@latest | tail -n 1)" = 5 ] || fail "--stdin"

step "tags, holds, keys"
expect 0 bk tag add "$first" weekly 'two words'
[ "$(bk snapshots --tag weekly --json | jq -r '.snapshots[].id')" = "$first" ] || fail "tag add"
expect 0 bk tag remove "$first" weekly
[ "$(bk snapshots --tag weekly --json | jq '.snapshots | length')" = 0 ] || fail "tag remove"
expect 0 bk hold set "$first" --reason audit
[ "$(bk snapshots --json | jq -r '.snapshots[0].hold_reason')" = audit ] || fail "hold set"
expect 0 bk hold release "$first"
[ "$(bk snapshots --json | jq '.snapshots[0].hold')" = false ] || fail "hold release"

expect 0 env BKCTL_NEW_PASSWORD='a passphrase' "$BKCTL" -r "$R" --key-file "$W/key" key add --label words --kdf scrypt
words=$(bk key list --json | jq -r '.keys[] | select(.label == "words").id')
expect 0 "$BKCTL" -r "$R" --password-command 'echo a passphrase' snapshots
expect 0 "$BKCTL" key generate "$W/pair"
expect 0 bk key add --public-key "$W/pair.pub"
expect 0 "$BKCTL" -r "$R" --identity "$W/pair.key" snapshots
head -c 64 /dev/urandom >"$W/key.new"
expect 0 bk key change --new-key-file "$W/key.new"
expect 7 bk snapshots
mv "$W/key.new" "$W/key"
expect 0 bk key remove "$words"
expect 7 env BKCTL_PASSWORD='a passphrase' "$BKCTL" -r "$R" snapshots

step "interrupted, and continued"
head -c 24000000 /dev/urandom >"$S/big"
before=$(count_snapshots)
"$BKCTL" --repo "$R" --key-file "$W/key" backup -q --name home --limit-read 6MiB "$S" >"$W/out" 2>"$W/err" &
pid=$!
sleep 1.5
kill -INT $pid
start=$(date +%s%N)
rc=0
wait $pid || rc=$?
took=$((($(date +%s%N) - start) / 1000000))
[ "$rc" = 16 ] || { cat "$W/err"; fail "SIGINT gave exit status $rc instead of 16"; }
[ "$took" -lt 2000 ] || fail "SIGINT took $took ms"
figure "stopped $took ms after SIGINT"
[ "$(count_snapshots)" = "$before" ] || fail "an interrupted run left a snapshot"
expect 0 bk backup --name home "$S"
expect 0 bk restore home@latest:"$S" --strip --target "$W/t.after"
same "$S" "$W/t.after"
expect 0 bk check --read-data
