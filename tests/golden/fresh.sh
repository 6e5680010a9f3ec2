#!/bin/bash
# What bkctl writes today the second reader restores.
. "$(dirname "$0")/lib"
needs_bkctl
needs_reader
needs_metadata
command -v rsync >/dev/null || skip "rsync is not installed"

tree=$work/tree
/usr/bin/python3 "$golden/torture.py" "$tree" 1
for suite in "${suites[@]}"; do
    options=(--repo "$work/$suite" --password-file "$golden/v1/password")
    bkctl "${options[@]}" init --suite "$suite" --kdf scrypt || fail "init of $suite"
    bkctl "${options[@]}" backup --name tree "$tree" || fail "backup to $suite"
done
/usr/bin/python3 "$golden/torture.py" "$tree" 2
for suite in "${suites[@]}"; do
    options=(--repo "$work/$suite" --password-file "$golden/v1/password")
    bkctl "${options[@]}" backup --name tree "$tree" || fail "second backup to $suite"
    for how in "" --no-index; do
        rm -rf "$work/out"
        reader "$work/$suite" --password-file "$golden/v1/password" $how --path "$tree" --target "$work/out" ||
            fail "the second reader, $suite $how"
        same_trees "$tree" "$work/out"
    done
    reader "$work/$suite" --password-file "$golden/v1/password" --check || fail "check by the second reader, $suite"
done
echo "# new repositories of both suites restored by the second reader"
