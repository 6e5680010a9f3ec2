#!/bin/bash
# Everything a Linux file system can hold, from one ext4 to another, compared with tools that share nothing with the
# engine. Without root: what a user can make, in the temporary folder.
. "$(dirname "$0")/lib.sh" torture
need rsync jq python3 getfattr getfacl lsattr
here=$(realpath "$(dirname "$0")")
S=$W/source/tree T=$W/target
if is_root; then
    need setcap mkfs.ext4
    loop_fs "$W/source" 300M -b 4096 -O ea_inode -I 512
    loop_fs "$T" 300M -b 4096 -O ea_inode -I 512
else
    mkdir -p "$W/source" "$T"
fi

free_flags() { ! is_root || chattr -R -f -i -a "$1" 2>/dev/null || true; }
at_exit "free_flags '$W/source'; free_flags '$T'"

step "the tree"
python3 "$here/torture_tree.py" "$S"
X=$S/attrs
mkdir "$X" "$X/default acl"
for f in user acl link caps all many big; do echo "$f" >"$X/$f"; done
setfattr -n user.plain -v value "$X/user"
setfattr -n user.empty "$X/user"
setfattr -n user.binary -v 0x00ff0a0d00 "$X/user"
setfattr -n "user.$(printf 'n%.0s' {1..240})" -v long "$X/user"
setfattr -n user.dir -v dir "$X"
for i in {1..40}; do setfattr -n "user.number $i" -v "value $i" "$X/many"; done
setfattr -n user.big -v "$(head -c 2000 /dev/zero | tr '\0' v)" "$X/big"
setfacl -m u:1:rw,u:65533:r,g:2:x,m::rwx "$X/acl"
setfacl -m u:1:rwx,d:u:1:rx,d:g:2:rw,d:o::- "$X/default acl"
if is_root; then
    ln -s all "$X/symlink"
    setfattr -h -n trusted.link -v "on a symlink" "$X/symlink"
    setfattr -n trusted.test -v trusted "$X/all"
    setfattr -n security.test -v security "$X/all"
    setfattr -n user.large -v "$(head -c 60000 /dev/zero | tr '\0' v)" "$X/big"
    setcap cap_net_raw,cap_chown+ep "$X/caps"
    setcap cap_sys_admin+p "$X/all"
    mknod "$S/links/char" c 1 3
    mknod "$S/links/block" b 259 1048575
    mknod "$S/links/whiteout" c 0 0
    chown 1:2 "$S/contents/1" "$S/modes/4755" "$S/links/char"
    chown -h 4294967294:65534 "$S/links/soft" "$S/modes/2755"
    chown 12345:54321 "$S/modes/dir 2775"
    chmod 4755 "$S/modes/4755" # chown took the bits
    chmod 2755 "$S/modes/2755"
    chmod 2775 "$S/modes/dir 2775"
    mkdir "$S/flags" "$S/flags/dir" "$S/flags/fixed" "$S/flags/top" "$S/flags/growing"
    for f in i a A d S ia dA cap fixed/in growing/in; do echo "$f" >"$S/flags/$f"; done
    setcap cap_net_bind_service+ep "$S/flags/cap"
    for f in A d S; do chattr "+$f" "$S/flags/$f"; done
    chattr +dA "$S/flags/dA"
    chattr +D "$S/flags/dir"
    ln "$S/flags/i" "$S/flags/i again"
    chattr +i "$S/flags/i" "$S/flags/cap" "$S/flags/fixed/in" "$S/flags/fixed"
    chattr +a "$S/flags/a" "$S/flags/growing"
    chattr +ia "$S/flags/ia"
fi
find "$S" -mindepth 1 -maxdepth 1 ! -name flags -exec touch -h -d '2009-08-07T06:05:04.030201' {} +
touch -d '1999-12-31T23:59:59.999999999' "$S"

# all of what find, stat, lsattr, getfattr, getfacl, getcap, SEEK_HOLE and cmp see, in sorted lines
look() {
    local top=$1 out=$2
    mkdir -p "$out"
    (
        cd "$top"
        find . \( -type d -printf '%P|%y|%m|%U|%G|%T@\0' \) -o -printf '%P|%y|%m|%U|%G|%s|%T@|%l|%n\0' | sort -z | tr '\0\n' '\n?' >"$out/find"
        find . \( -type b -o -type c \) -exec stat -c '%n %F %t %T' {} + | sort >"$out/devices"
        find . -path ./deep -prune -o \( -type f -o -type d \) -print0 | sort -z >"$out/plain"
        xargs -0 lsattr -d <"$out/plain" |
            awk '{ f = $1; gsub(/[eIE-]/, "", f); $1 = f; print }' >"$out/lsattr"
        find . -path ./deep -prune -o -print0 | sort -z |
            xargs -0 getfattr -h -d -m - -e hex 2>/dev/null | awk '/^# file/ { f = $0; next } NF { print f, $0 }' | sort >"$out/getfattr"
        xargs -0 getfacl -pn <"$out/plain" 2>/dev/null >"$out/getfacl"
        if command -v getcap >/dev/null; then getcap -r . 2>/dev/null | sort >"$out/getcap"; fi
        find . -type f -readable -size -40M -execdir sha256sum {} + | sort >"$out/sums"
    )
    python3 "$here/torture_look.py" holes "$top" | grep -v "sparse/not a hole" >"$out/holes" # zeroes become a hole, see --no-sparse
    python3 "$here/torture_look.py" xattrs "$top" >"$out/xattrs"
}
compare() {
    local f
    rm -rf "$W/b"
    look "$1" "$W/b"
    for f in "$W/a"/*; do
        diff -a "$f" "$W/b/${f##*/}" >"$W/diff" || { head -n 20 "$W/diff" | cut -c 1-300; fail "$2: ${f##*/} differs"; }
    done
    same "$S" "$1" --exclude=/deep --exclude="sparse/huge"
    same "$1" "$S" --exclude=/deep --exclude="sparse/huge"
    sync -f "$S" "$1" # delayed allocation
    # not a block more than the source has, file by file
    blocks() { find "$1/sparse" -type f -printf '%f|%b\n' | sort; }
    join -t '|' <(blocks "$S") <(blocks "$1") | awk -F '|' '$3 > $2 { print; bad = 1 } END { exit bad }' ||
        fail "$2: sparse files grew"
}
look "$S" "$W/a"
figure "$(find "$S" | wc -l) things, $(wc -l <"$W/a/xattrs") xattrs, $(grep -c '^[^ ]' "$W/a/lsattr") flag lists"

step "backup and restore"
want=0
is_root || want=10 # a file of mode 0
repo
expect $want bk backup --name torture "$S"
! is_root || [ "$(newest .exceptions)" = 0 ] || { cat "$W/err"; fail "exceptions"; }
expect 0 bk check --read-data
if ! is_root; then
    rc=0
    bk restore latest:"$S" --strip --target "$T/1" >"$W/out" 2>"$W/err" || rc=$?
    [ $rc = 0 ] || [ $rc = 10 ] || { cat "$W/err"; fail "restore: $rc"; }
    same "$S" "$T/1" --exclude=/deep --exclude=/modes
    figure "not root: compared what a user may set"
    exit 0
fi
expect 0 bk restore latest:"$S" --strip --target "$T/1" --verify
compare "$T/1" "restore"

expect 0 bk restore latest:"$S/sparse" --strip --target "$T/2" --no-sparse
[ "$(stat -c %b "$T/2/not a hole")" -ge $((300000 / 512)) ] || fail "--no-sparse made a hole of zeroes"
[ "$(stat -c %b "$T/2/all hole")" = 0 ] || fail "--no-sparse filled a hole"
rm -r "$T/2"

step "an unchanged run reads nothing"
expect 0 bk backup --name torture "$S"
[ "$(newest .read_bytes)" = 0 ] || fail "read $(newest .read_bytes) bytes"

step "onto the same again: nothing to write"
expect 0 bk restore latest:"$S" --strip --overwrite --delete --target "$T/1" --json
[ "$(last_json "$W/out" | jq .bytes_written)" = 0 ] || fail "wrote $(last_json "$W/out" | jq .bytes_written) bytes"
compare "$T/1" "second restore"

step "onto a damaged copy: exact again"
(
    cd "$T/1"
    chattr -i flags/i flags/fixed
    echo more >>flags/i
    chattr -A flags/A
    chattr +A flags/d
    rm contents/1
    mkdir contents/1
    echo in >contents/1/in
    rm -r empty
    echo "not a folder" >empty
    setfattr -x user.plain attrs/user
    setfattr -n user.intruder -v x attrs/many
    setfacl -b attrs/acl
    setfacl -k "attrs/default acl"
    setfacl -m u:7:rwx attrs/user
    setcap -r attrs/caps
    chmod 0 modes/7777 "modes/dir 1777"
    chown 9:9 times/1 links/fifo
    rm links/char links/two links/socket
    mknod links/char c 1 5
    echo broken >links/two
    touch -h times/* links/long
    dd if=/dev/zero of=sparse/start bs=1M seek=3 count=5 conv=notrunc status=none
    truncate -s 5 contents/30000001
    printf Z | dd of=contents/1048576 bs=1 seek=700000 conv=notrunc status=none
    echo intruder >intruder
    mkdir -p "intruder dir/x" && echo x >"intruder dir/x/fixed" && chattr +i "intruder dir/x/fixed"
    ln -sf elsewhere links/long
    cd deep/000* && mv 001* other
)
expect 0 bk restore latest:"$S" --strip --overwrite --delete --compare --target "$T/1"
compare "$T/1" "restore over a damaged copy"
