#!/bin/bash
# What is left out, on real trees: patterns, cache folders, markers, sizes, other file systems, lists of paths.
. "$(dirname "$0")/lib.sh" excludes
need jq
S=$W/s
repo

# fill NAME...: a fresh tree; a name with '/' at the end is a folder
fill() {
    rm -rf "$S"
    mkdir "$S"
    local n
    for n; do
        case $n in
            */) mkdir -p "$S/$n" ;;
            *)
                mkdir -p "$(dirname "$S/$n")"
                echo "$n" >"$S/$n"
                ;;
        esac
    done
}
# holds WHAT NAME...: the newest snapshot of the tree has exactly these
holds() {
    local what=$1
    shift
    bk ls -R latest:"$S" | sed "s,^/\?${S#/}/\?,,; s,/$,," | grep -v '^$' | LC_ALL=C sort >"$W/got" || true
    printf '%s\n' "$@" | grep -v '^$' | LC_ALL=C sort >"$W/want" || true
    diff "$W/want" "$W/got" || fail "$what"
}
cases=0
# row "PATTERN..." : NAME... : what is left
row() {
    local patterns=() names=() part=0 n
    for n; do
        if [ "$n" = : ]; then
            part=$((part + 1))
            [ $part = 1 ] && fill "${names[@]}"
            [ $part = 1 ] && names=()
        elif [ $part = 0 ] && [[ $n == "-e "* ]]; then patterns+=(--exclude "${n#-e }")
        else names+=("$n"); fi
    done
    expect 0 bk backup --name t "${patterns[@]}" "$S"
    holds "${patterns[*]}" "${names[@]}"
    cases=$((cases + 1))
}

step "patterns"
row "-e *.o" a.o a.c d/b.o d/b.c d/o : : a.c d d/b.c d/o
row "-e *.o" "-e !keep.o" a.o keep.o d/keep.o : : keep.o d d/keep.o
row "-e build/" build/x src/build/y src/build.c build2 other/build : : src src/build.c build2 other other/build
fill build # a file of that name stays
expect 0 bk backup --name t --exclude build/ "$S"
holds "build/ is for folders" build
row "-e $S/top" top d/top : : d d/top
row "-e d/e" d/e/f x/d/e/f d/x/e : : d d/x d/x/e x x/d
row "-e a/**/z" a/z a/b/z a/b/c/z b/z : : a a/b a/b/c b b/z
row "-e d/**" d/a d/e/f x : : d x
row "-e **/cache" cache/a d/cache/b d/cached : : d d/cached
row "-e ?.txt" a.txt ab.txt : : ab.txt
row "-e [a-c]*" apple berry cherry date : : date
row "-e [!a]*" apple berry : : apple
row '-e \*' '*' star : : star
row "-e *" "-e !*.txt" a.txt b d/c.txt : : a.txt
row "-e 中文*" 中文 中文字 文 : : 文
row "-e *.O" a.o b.O : : a.o
row "-e secret" "-e !secret/ok" secret/ok x : : x
row "-e d/*" "-e !d/k" d/k d/l : : d d/k

fill a.o b.c 'name # hash' skipme
printf '# objects\n*.o\n\nskipme\n' >"$W/patterns"
expect 0 bk backup --name t --exclude-file "$W/patterns" "$S"
holds --exclude-file b.c 'name # hash'
expect 0 bk backup --name t --exclude-file "$W/patterns" --exclude '!a.o' "$S"
holds "the command line wins over files" a.o b.c 'name # hash'
[ "$(newest '.excludes | length')" -ge 2 ] || fail "the snapshot does not record its patterns"
expect 2 bk backup --exclude '' "$S"

step "cache folders and markers"
fill cache/data cache/sub/data nocache/data liar/data x/.nobackup x/data y/.nobackup y/data z/marker/in
echo 'Signature: 8a477f597d28d172789f06886806bc55' >"$S/cache/CACHEDIR.TAG"
echo 'Signature: something else' >"$S/liar/CACHEDIR.TAG"
expect 0 bk backup --name t --exclude-caches "$S"
bk ls -R latest:"$S" | sed "s,^/\?${S#/}/,," >"$W/got"
! grep -q '^cache/data\|^cache/sub' "$W/got" || fail "the content of a cache folder"
for n in liar/data nocache/data x/data; do grep -qx "$n" "$W/got" || fail "$n is missing"; done
echo "the reason" >"$S/y/.nobackup"
echo other >"$S/x/.nobackup"
expect 0 bk backup --name t --exclude-if-present .nobackup "$S"
bk ls -R latest:"$S" | sed "s,^/\?${S#/}/,," >"$W/got"
! grep -q '^[xy]/data' "$W/got" || fail "--exclude-if-present NAME"
expect 0 bk backup --name t --exclude-if-present ".nobackup:the reason" "$S"
bk ls -R latest:"$S" | sed "s,^/\?${S#/}/,," >"$W/got"
grep -qx x/data "$W/got" && ! grep -q '^y/data' "$W/got" || fail "--exclude-if-present NAME:START"

step "sizes"
fill small d/
head -c 10240 /dev/zero >"$S/exactly"
head -c 10241 /dev/zero >"$S/d/above"
expect 0 bk backup --name t --exclude-larger-than 10KiB "$S"
holds --exclude-larger-than small d exactly

step "lists of paths"
fill a b 'c d' e/f $'new\nline'
printf '%s\n' "$S/a" "$S/c d" >"$W/list"
expect 0 bk backup --name t --files-from "$W/list"
holds --files-from a 'c d'
bk backup -q --name t --files-from - <<<"$S/e"
holds "--files-from -" e e/f
printf '%s\0' "$S/b" "$S/"$'new\nline' >"$W/list"
expect 0 bk backup --name t --files-from0 "$W/list"
[ "$(bk ls -R latest:"$S" --json | jq -r 'select(.type == "entry") | .path' | grep -c .)" -ge 3 ] || fail --files-from0
bk cat latest:"$S/b" | cmp - "$S/b"
expect 2 bk backup --name t --files-from "$W/list"
expect 0 bk backup --name t "$S/a" "$S/e/" "$S/e/../b"
holds "several paths" a b e e/f
(cd "$S" && bk backup -q --name t e ./a)
holds "relative paths" a e e/f

if is_root && mkdir -p "$S/mounted" && mount -t tmpfs tmpfs "$S/mounted"; then
    step "file systems"
    at_exit "umount '$S/mounted'"
    echo other >"$S/mounted/file"
    expect 0 bk backup --name t "$S"
    bk ls -R latest:"$S" | grep mounted/file >/dev/null || fail "without -x other file systems are read"
    expect 0 bk backup --name t -x "$S"
    bk ls -R latest:"$S" >"$W/got"
    grep -q 'mounted/$' "$W/got" && ! grep -q mounted/file "$W/got" || fail "-x keeps the mount point, empty"
    expect 0 bk backup --name t -x "$S/mounted"
    bk ls -R latest:"$S" | grep mounted/file >/dev/null || fail "-x with the mount point named"
    expect 0 bk backup --name t -x "$S" "$S/mounted"
    bk ls -R latest:"$S" | grep mounted/file >/dev/null || fail "-x with a tree and a mount point in it named"
    mkdir -p "$S/mounted/d/e" "$S/mounted/d/other"
    echo deep >"$S/mounted/d/e/file"
    expect 0 bk backup --name t -x "$S/mounted/d/e" "$S"
    bk ls -R latest:"$S" | sed "s,^/\?${S#/}/,," >"$W/got"
    grep -qx mounted/d/e/file "$W/got" || fail "-x with a tree and a path on another file system in it named"
    ! grep -q 'mounted/file\|mounted/d/other' "$W/got" || fail "-x brought more of the file system than was named"
    grep -qx b "$W/got" || fail "-x lost the tree around"
fi
figure "$cases rows of patterns"
