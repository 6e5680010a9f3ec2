#!/bin/bash
# All snapshots as a file system: the same as the source, in parallel too, and never written to.
. "$(dirname "$0")/lib.sh" mount
need rsync jq getfattr fusermount3
[ -w /dev/fuse ] || skip "no /dev/fuse"
"$BKCTL" version --json | jq -e '.features | index("mount")' >/dev/null || skip "built without FUSE"
S=$W/source M=$W/mnt
mkdir -p "$S/dir/sub" "$M"
for i in {1..200}; do head -c $((i * 211)) /dev/urandom >"$S/dir/$i"; done
head -c 9000000 /dev/urandom >"$S/big"
truncate -s 30M "$S/sparse"
echo tail >>"$S/sparse"
ln "$S/big" "$S/dir/big link"
ln -s ../big "$S/dir/soft"
mkfifo "$S/fifo"
printf x >"$S/"$'new\nline \xff'
touch -d '1950-06-07T08:09:10.111213141' "$S/dir/1"
chmod 4711 "$S/dir/2"
setfattr -n user.test -v value "$S/dir/3" 2>/dev/null || true
repo
expect 0 bk backup --name a/b "$S"
rm "$S/dir/7"
echo second >"$S/dir/8"
expect 0 bk backup --name a/b "$S"
expect 0 bk backup --name other "$S/dir"
expect 0 bk backup --name stream --stdin-from-command out -- seq 1 1000

expect 0 bk mount --background "$M"
at_exit "fusermount3 -uz '$M' 2>/dev/null"
mountpoint -q "$M" || fail "not mounted"
step "the same as the source"
L=$M/latest
[ "$(ls "$M" | tr '\n' ' ')" = "ids latest snapshots " ] || { ls -la "$M"; fail "the top"; }
N=$M/snapshots/a%2Fb/latest$S
same "$S" "$N" --exclude=/fifo
[ "$N/big" -ef "$N/dir/big link" ] && [ "$(stat -c %h "$N/big")" = 2 ] || fail "a hard link is two files"
[ "$N/big" -ef "$M/ids/$(bk snapshots --json | jq -r '.snapshots[0].id' | cut -c 1-8)"*"$S/big" ] && fail "two snapshots share a file"
diff <(cd "$S" && find . -printf '%P %y %m %U %G %T@ %l\n' | sort) <(cd "$N" && find . -printf '%P %y %m %U %G %T@ %l\n' | sort)
diff <(cd "$S" && getfattr -R -d -m- . 2>/dev/null | grep =) <(cd "$N" && getfattr -R -d -m- . 2>/dev/null | grep =) || fail "xattrs"
cmp "$M/snapshots/stream/latest/out" <(seq 1 1000)
[ -e "$L" ] || fail latest

step "every snapshot"
[ "$(ls "$M/ids" | wc -l)" = "$(count_snapshots)" ] || fail "ids"
[ "$(find "$M/snapshots/a%2Fb" -mindepth 1 -maxdepth 1 | wc -l)" = 3 ] || { ls "$M/snapshots/a%2Fb"; fail "times and latest"; }
old=$(bk snapshots --json | jq -r '.snapshots[0].id')
cmp <(bk cat "$old:$S/dir/7") "$M/ids/${old:0:8}"*"$S/dir/7"

step "in parallel"
pids=()
for i in {1..6}; do
    (cd "$N" && find . -type f -print0 | sort -zR | xargs -0 sha256sum | sort -k2 | sha256sum) >"$W/sum.$i" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
for i in {2..6}; do cmp "$W/sum.1" "$W/sum.$i"; done
dd if="$N/big" bs=1000 skip=1234 count=50 status=none | cmp - <(dd if="$S/big" bs=1000 skip=1234 count=50 status=none)

step "read-only"
for c in "touch $N/x" "rm $N/big" "mkdir $N/y" "mv $N/big $N/z" "chmod 777 $N/big" "truncate -s 0 $N/big" "ln $N/big $N/l" "ln -s x $N/s"; do
    ! $c 2>/dev/null || fail "allowed: $c"
done
! setfattr -n user.x -v y "$N/big" 2>/dev/null || fail "allowed: setfattr"
cmp "$S/big" "$N/big"
fusermount3 -u "$M"
! mountpoint -q "$M" || fail "still mounted"

step "a signal ends it"
"$BKCTL" --repo "$R" --key-file "$W/key" mount "$M" >/dev/null &
pid=$!
for _ in {1..100}; do ! mountpoint -q "$M" || break; sleep 0.1; done
mountpoint -q "$M" || fail "not mounted again"
kill -TERM "$pid"
wait "$pid" || fail "exit $? after SIGTERM"
! mountpoint -q "$M" || fail "still mounted after SIGTERM"
figure "4 snapshots browsed, 6 readers at once"
