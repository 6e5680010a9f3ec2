#!/bin/bash
# A FUSE mount as the source. (NFS needs a server in the kernel and is not tried here.)
. "$(dirname "$0")/lib.sh" fuse_source
need rsync jq
command -v bindfs >/dev/null || skip "needs bindfs"
[ -w /dev/fuse ] || skip "no /dev/fuse"
S=$W/source M=$W/mnt
mkdir -p "$S/dir" "$M"
for i in {1..100}; do head -c $((i * 700)) /dev/urandom >"$S/dir/$i"; done
ln "$S/dir/1" "$S/hard"
ln -s dir/2 "$S/soft"
truncate -s 5M "$S/sparse"
echo end >>"$S/sparse"
touch -d '2011-12-13T14:15:16.171819' "$S/dir/3" "$S/dir"
setfattr -n user.test -v value "$S/dir/4" 2>/dev/null || true
bindfs "$S" "$M" 2>"$W/err" || skip "bindfs does not mount: $(tail -n 1 "$W/err")"
at_exit "fusermount3 -uz '$M' 2>/dev/null || fusermount -uz '$M' 2>/dev/null"
repo
expect 0 bk backup --name fuse "$M"
expect 0 bk restore latest:"$M" --strip --target "$W/t" --verify
same "$S" "$W/t"
expect 0 bk backup --name fuse --ignore-inode --ignore-ctime "$M"
[ "$(newest .read_bytes)" = 0 ] || fail "an unchanged run read $(newest .read_bytes) bytes"
echo changed >"$M/dir/5"
expect 0 bk backup --name fuse --ignore-inode "$M"
bk cat latest:"$M/dir/5" | cmp - "$S/dir/5"
# the same mount again: other inode numbers, perhaps
fusermount3 -u "$M" 2>/dev/null || fusermount -u "$M"
bindfs "$S" "$M"
expect 0 bk backup --name fuse --ignore-inode --ignore-ctime "$M"
[ "$(newest .read_bytes)" = 0 ] || fail "after mounting again $(newest .read_bytes) bytes were read"
figure "a bindfs mount"
