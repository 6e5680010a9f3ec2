#!/bin/bash
# Wrong input and bad luck: one clear message, a hint where a remedy is known, the right exit status, nothing half done;
# and the same as JSON.
. "$(dirname "$0")/lib.sh" wrong
need jq setsid
export BKCTL_PASSWORD="right horse"
p() { setsid "$BKCTL" --repo "$R" "$@"; } # without a terminal, with the passphrase of the environment
b() { setsid "$BKCTL" --repo "$R" --key-file "$W/key" "$@"; } # the same, quicker

# One thing that must go wrong: wrong STATUS MESSAGE HINT COMMAND...; HINT '-': none is asked for.
cases=0
wrong() {
    local status=$1 message=$2 hint=$3 rc=0
    shift 3
    cases=$((cases + 1))
    "$@" >"$W/out" 2>"$W/err" </dev/null || rc=$?
    [ "$rc" = "$status" ] || { cat "$W/err"; fail "exit status $rc instead of $status: $*"; }
    [ ! -s "$W/out" ] || { head "$W/out"; fail "an error with output on stdout: $*"; }
    [ "$(grep -c '^bkctl: ' "$W/err")" = 1 ] || { cat "$W/err"; fail "not one message: $*"; }
    grep '^bkctl: ' "$W/err" | has -E -- "$message" || { cat "$W/err"; fail "the message does not say '$message': $*"; }
    if [ "$hint" != - ]; then
        grep '^hint: ' "$W/err" | has -E -- "$hint" || { cat "$W/err"; fail "no hint that says '$hint': $*"; }
    fi
    [ "$(grep -cv '^warning: ' "$W/err")" -le 2 ] || { cat "$W/err"; fail "too many lines: $*"; }
    local with_json=() word
    for word; do
        with_json+=("$word")
        case $word in b | p | as_user | "$BKCTL") with_json+=(--json) ;; esac
    done
    rc=0
    "${with_json[@]}" >"$W/out" 2>"$W/err" </dev/null || rc=$?
    [ "$rc" = "$status" ] || fail "exit status $rc instead of $status with --json: $*"
    [ -s "$W/out" ] || mv "$W/err" "$W/out" # cat and export have data on stdout
    last_json "$W/out" | jq -e --argjson rc "$status" --arg hint "$hint" \
        '.type == "error" and .error.exit == $rc and (.error.text | length > 0) and (.error.code | length > 0) and
         ($hint == "-" or (.error.hint | length > 0))' >/dev/null ||
        { cat "$W/out"; fail "the JSON does not tell the error: $*"; }
}
state() { (cd "$R" && find . -type f ! -path './sessions/*' | sort | xargs sha256sum); }

S=$W/source
mkdir -p "$S/dir"
for i in {1..30}; do head -c $((i * 3000)) /dev/urandom >"$S/dir/$i"; done
echo text >"$S/file"

step "no repository"
wrong 3 "no repository at" "bkctl init" b snapshots
wrong 3 "no repository at" "bkctl init" b backup "$S"
mkdir "$R"
wrong 3 "no repository at" "bkctl init" b check
wrong 2 "no repository was named" "BKCTL_REPO" setsid "$BKCTL" snapshots
[ -z "$(ls -A "$R")" ] || fail "something was written where no repository is"
echo precious >"$R/something else"
wrong 4 "" - b init
[ "$(ls "$R")" = "something else" ] || fail "init wrote into a folder in use"
rm "$R/something else"

step "init"
expect 0 b init
expect 0 env BKCTL_NEW_PASSWORD="$BKCTL_PASSWORD" "$BKCTL" -r "$R" --key-file "$W/key" key add --kdf scrypt
state >"$W/before"
wrong 4 "already" "another place" b init
wrong 2 "unknown|must be one of|suite" "" b init --suite rot13
state | cmp - "$W/before" || fail "a second init changed the repository"

step "the secret"
wrong 7 "" "" setsid env BKCTL_PASSWORD=wrong "$BKCTL" -r "$R" snapshots
wrong 2 "passphrase" "--password-file" setsid env -u BKCTL_PASSWORD "$BKCTL" -r "$R" snapshots
wrong 3 "nowhere" - p --password-file "$W/nowhere" snapshots
: >"$W/empty"
wrong 2 "empty" "" p --password-file "$W/empty" snapshots
wrong 1 "status 3" - p --password-command 'exit 3' snapshots

step "usage"
wrong 2 "no command" "bkctl help" setsid "$BKCTL"
wrong 2 "unknown command 'bakcup'" "backup" b bakcup
wrong 2 "unknown command 'xyzzy'" "bkctl help" b xyzzy
wrong 2 "--exlude" "exclude" b backup --exlude x "$S"
wrong 2 "" "" b backup
wrong 2 "needs" "" b ls
wrong 2 "unexpected" "" b snapshots extra
wrong 2 "quiet.*verbose|verbose.*quiet" "" b snapshots -q -v
wrong 2 "password-file.*key-file|key-file.*password-file" "" p snapshots --password-file a --key-file b
wrong 2 "target.*in-place|in-place.*target" "" b restore latest --target "$W/t" --in-place
wrong 2 "read-data.*sample|sample.*read-data" "" b check --read-data --sample 3%
wrong 2 "--stdin" "" b backup --stdin "$S"
wrong 2 "--stdin-from-command" "" b backup --stdin-from-command x
wrong 2 "where to restore" "target" b restore latest
wrong 2 "" "" b backup --level sometimes "$S"
wrong 2 "" "" b backup --exclude-larger-than huge "$S"
wrong 2 "" "" b backup --compression 99 "$S"
wrong 2 "" "" b check --sample 0%
wrong 2 "memory" "" b snapshots --memory 1MiB
wrong 2 "" "" b tag paint latest x
wrong 2 "" "" b key remove
wrong 2 "" "" b completion tcsh
wrong 2 "" "" b help nothing

step "snapshots that are not there"
wrong 3 "no snapshots" "bkctl backup" b ls latest
expect 0 b backup --name home "$S"
id=$(b snapshots --json | jq -r '.snapshots[0].id')
wrong 3 "00000000" "" b ls 00000000
wrong 3 "office" "home" b ls office@latest
wrong 3 "" "latest" b ls zebra
wrong 3 "" - b ls "latest:/no/such/path"
wrong 3 "" - b cat "latest:$S/no such file"
wrong 2 "folder" "bkctl ls" b cat "latest:$S"
wrong 3 "" - b restore latest "/no/such/path" --target "$W/t"
wrong 3 "" - b key remove 00000000
[ ! -e "$W/t" ] || fail "a restore of nothing made the target"

step "an ambiguous prefix"
# snapshots whose ids all begin with four zeroes, by a getrandom that is not
if command -v gcc >/dev/null; then
    cat >"$W/same.c" <<'END'
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    ssize_t n = syscall(SYS_getrandom, buf, len, flags);
    if (n == 16)
        ((char *)buf)[0] = ((char *)buf)[1] = 0;
    return n;
}
END
    gcc -shared -fPIC -o "$W/same.so" "$W/same.c"
    for i in 1 2; do expect 0 env LD_PRELOAD="$W/same.so" "$BKCTL" -r "$R" backup --name home "$S"; done
    wrong 17 "0000" "digits" b ls 0000
    for i in $(b snapshots --json | jq -r '.snapshots[].id' | grep ^0000); do expect 0 b ls "$i"; done
else
    figure "no gcc: ambiguous prefixes not tried"
fi

step "paths"
n=$(b snapshots --json | jq '.snapshots | length')
wrong 3 "no/such" - b backup /no/such/path
wrong 3 "no.list" - b backup --files-from "$W/no list"
wrong 3 "no.archive" - b import "$W/no archive"
echo "not an archive at all" >"$W/text"
wrong 1 "[Uu]nrecognized" "can be imported" b import "$W/text"
wrong 2 "of which snapshot" "latest" b stats --exceptions
[ "$(b snapshots --json | jq '.snapshots | length')" = "$n" ] || fail "a failed backup left a snapshot"
echo in the way >"$W/file"
wrong 4 "not a directory" "another directory" b restore latest --target "$W/file"
wrong 4 "not a directory" "another directory" b restore latest --target "$W/file/below"
mkdir "$W/full" && touch "$W/full/x"
wrong 2 "empty" "overwr" b restore latest --target "$W/full"
[ "$(ls "$W/full")" = x ] || fail "a refused restore wrote"
wrong 3 "" - b export latest -o "$W/no/such/dir/x.tar"

step "a file that cannot be read"
user=("$BKCTL")
if is_root; then
    chmod 0755 "$W"
    cp "$BKCTL" "$W/bkctl"
    chmod 0755 "$W/bkctl"
    user=(setpriv --reuid 65534 --regid 65534 --clear-groups -- "$W/bkctl")
    mkdir "$W/users"
    chown 65534:65534 "$W/users"
else
    mkdir "$W/users"
fi
as_user() { env HOME="$W/users" "${user[@]}" --repo "$W/users/repo" --key-file "$W/users/key" "$@"; }
echo secret >"$S/unreadable" && chmod 0 "$S/unreadable"
mkdir "$S/locked" && echo in >"$S/locked/in" && chmod 0 "$S/locked"
cp "$W/key" "$W/users/key"
chmod 0644 "$W/users/key"
expect 0 as_user init
expect 10 as_user backup --name u "$S"
grep '^warning: ' "$W/err" | has 'unreadable.*[Pp]ermission denied' || { cat "$W/err"; fail "the unreadable file is not named"; }
grep '^warning: ' "$W/err" | has 'locked' || { cat "$W/err"; fail "the unreadable folder is not named"; }
expect 10 as_user backup --json --name u "$S"
last_json "$W/out" >/dev/null
jq -es '[.[] | select(.type == "exception")] | length == 2' "$W/out" >/dev/null || { cat "$W/out"; fail "exceptions in JSON"; }
[ "$(as_user snapshots --json | jq '.snapshots[-1].exceptions')" = 2 ] || fail "the snapshot does not count its exceptions"
expect 0 as_user stats latest --exceptions
grep -q 'unreadable: .*Permission denied' "$W/out" && grep -q 'locked: ' "$W/out" || { cat "$W/out"; fail "the exceptions of a snapshot are not listed"; }
expect 0 as_user stats latest --exceptions --json
jq -es '[.[] | select(.type == "exception") | .code] == ["unreadable", "unreadable"]' "$W/out" >/dev/null || { cat "$W/out"; fail "the exceptions of a snapshot in JSON"; }
last_json "$W/out" | jq -e '.type == "snapshot" and .snapshot.exceptions == 2' >/dev/null || fail "the last line of stats"
expect 0 as_user restore latest:"$S/dir" --strip --no-owner --target "$W/users/t"
diff -r "$S/dir" "$W/users/t"
if is_root; then
    wrong 14 "" - as_user backup --repo "$R" "$S"
    mkdir "$W/roots" && chmod 0755 "$W/roots"
    wrong 14 "[Pp]ermission denied" "may write" as_user restore latest --no-owner --target "$W/roots"
fi
chmod 0700 "$S/locked" && chmod 0600 "$S/unreadable"

step "a full disk"
if is_root && mkdir "$W/small" && mount -t tmpfs -o size=6m tmpfs "$W/small"; then
    at_exit "umount '$W/small'"
    expect 0 b init --repo "$W/small/repo"
    expect 0 b backup --repo "$W/small/repo" --name s "$S"
    head -c 9000000 /dev/urandom >"$W/toobig"
    wrong 9 "[Nn]o space" - b backup --repo "$W/small/repo" --name s "$W/toobig"
    expect 0 b check --repo "$W/small/repo" --read-data
    [ "$(b snapshots --repo "$W/small/repo" --json | jq '.snapshots | length')" = 1 ] || fail "a full disk made a snapshot"
else
    figure "not root: a full disk not tried"
fi

step "a newer format"
cp -a "$R" "$W/good"
patch() { # FILE OFFSET BYTES
    chmod u+w "$1"
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
patch "$R/config" 6 '\x63'
wrong 8 "" "" b snapshots
again() { rm -rf "$R" && cp -a "$W/good" "$R"; }
again
patch "$R/config" 8 '\x01'
wrong 8 "" "" b snapshots
state >"$W/before"
wrong 8 "" "" b backup "$S"
state | cmp - "$W/before" || fail "a newer repository was written to"

step "damage"
again
patch "$R/config" 40 '\xff\xff\xff'
expect 0 b snapshots
grep -q -- "--heal" "$W/err" || fail "reading from the copy is not told"
expect 5 b check
expect 0 b check --heal
expect 0 b snapshots
[ ! -s "$W/err" ] || fail "it was not healed"
again
patch "$R/config" 40 '\xff\xff\xff'
rm -r "$R/copies"
wrong 5 "config" - b snapshots
again
: >"$R/config"
rm -r "$R/copies"
wrong 5 "" - b snapshots
again
snap=$(find "$R/snapshots" -type f | grep "$id")
patch "$snap" 60 '\x00\x01\x02\x03\x04\x05'
expect 5 b snapshots
grep -q "${id:0:8}" "$W/err" && [ "$(grep -c 'home' "$W/out")" -ge 1 ] || { cat "$W/out" "$W/err"; fail "the damaged snapshot is not named, or the others are not shown"; }
expect 5 b check
again
for pack in $(find "$R/data" -type f); do patch "$pack" $(($(stat -c %s "$pack") / 2)) '\xde\xad\xbe\xef\xde\xad\xbe\xef'; done
expect 5 b check --read-data
grep -q "^warning: .*data/" "$W/err" && grep -q "$S/dir/" <(sed 's,: ,: /,g' "$W/err") || { cat "$W/err"; fail "damage does not name the pack and the files"; }
expect 5 b check --read-data --json
last_json "$W/out" | jq -e '.damages > 0 and .files_hit > 0' >/dev/null || fail "the JSON of check"
jq -es '[.[] | select(.type == "damage" and .path)] | length > 0' "$W/out" >/dev/null || fail "JSON: which files"
expect 10 b restore latest:"$S" --strip --target "$W/part" --json
jq -r 'select(.type == "problem") | .path' "$W/out" | sed 's,.*/,,' | sort >"$W/named"
[ -s "$W/named" ] || fail "no file was named"
whole=0
for f in "$S"/dir/*; do
    grep -qx "${f##*/}" "$W/named" || { cmp "$f" "$W/part/dir/${f##*/}"; whole=$((whole + 1)); }
done
[ "$whole" -gt 0 ] || fail "nothing was restored from around the damage"
figure "$cases wrong requests, each with its message; $whole of 30 files restored around damage"
again
rm "$(find "$R/data" -type f -print -quit)"
expect 5 b check
b ls latest:"$S" >/dev/null
again
rm "$R"/index/*
b check >"$W/out" 2>"$W/err" || true
grep -q 'packs\? in no index' "$W/out" && ! grep -q harmless "$W/out" || { cat "$W/out"; fail "what a lost index leaves is called harmless"; }
