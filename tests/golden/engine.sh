#!/bin/bash
# bkctl checks and restores the golden repositories of both suites.
. "$(dirname "$0")/lib"
needs_bkctl
needs_goldens
needs_metadata

for suite in "${suites[@]}"; do
    unpack "$suite"
    options=(--repo "$work/$suite" --password-file "$golden/v1/password")
    bkctl "${options[@]}" check --read-data || fail "check of $suite"
    for snapshot in tree-1 tree-2; do
        rm -rf "$work/out"
        bkctl "${options[@]}" restore "$(id_of "$suite" "$snapshot"):/tmp/golden-tree" --strip --numeric-owner --target "$work/out" ||
            fail "restore of $suite $snapshot"
        same_as_manifest "$work/out" "$snapshot"
    done
    bkctl "${options[@]}" cat "$(id_of "$suite" stream):dump" | cmp - "$golden/v1/stream" || fail "the stream of $suite"
    bkctl --repo "$work/$suite" --key-file "$golden/v1/key-file" check || fail "key file of $suite"
    bkctl --repo "$work/$suite" --identity "$golden/v1/$suite.pem" check || fail "private key of $suite"
done
echo "# both golden repositories checked and restored by bkctl"
