#!/bin/bash
# The second reader restores the golden repositories of both suites, with and without their index, with every kind of key.
. "$(dirname "$0")/lib"
needs_reader
needs_goldens
needs_metadata

restore() { # suite, snapshot, options...
    local target=$work/out
    rm -rf "$target"
    reader "$work/$1" "${@:3}" --snapshot "$(id_of "$1" "$2")" --path /tmp/golden-tree --target "$target" ||
        [ ${#without[@]} -gt 0 ] || fail "the second reader: $*"
    same_as_manifest "$target" "$2"
}

for suite in "${suites[@]}"; do
    unpack "$suite"
    password=(--password-file "$golden/v1/password")
    reader "$work/$suite" "${password[@]}" --list
    reader "$work/$suite" "${password[@]}" --check
    restore "$suite" tree-1 "${password[@]}"
    restore "$suite" tree-2 "${password[@]}"
    restore "$suite" tree-2 "${password[@]}" --no-index
    reader "$work/$suite" --key-file "$golden/v1/key-file" --list >/dev/null || fail "key file of $suite"
    reader "$work/$suite" --private-key "$golden/v1/$suite.pem" --list >/dev/null || fail "private key of $suite"
    reader "$work/$suite" "${password[@]}" --cat dump | cmp - "$golden/v1/stream" || fail "the stream of $suite"
    rm -r "$work/$suite/index"
    restore "$suite" tree-1 "${password[@]}"
    printf wrong >"$work/wrong"
    ! reader "$work/$suite" --password-file "$work/wrong" --list 2>/dev/null || fail "a wrong passphrase opens $suite"
done
echo "# both golden repositories restored by the second reader"
