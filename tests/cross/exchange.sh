#!/bin/bash
# Repositories travel between machines of different byte order and word: bkctl of another architecture restores the golden
# repositories, and what it writes the native one checks and restores.
# BKCTL: the native bkctl. OTHER: a command that runs the other one, such as "ROOT/run PATH/bkctl" (sysroot.sh makes ROOT).
. "$(dirname "$0")/../golden/lib"
needs_bkctl
needs_goldens
needs_metadata
[ -n "${OTHER:-}" ] || skip "OTHER names no bkctl of another architecture"
command -v rsync >/dev/null || skip "rsync is not installed"
read -ra other <<<"$OTHER"
command -v "${other[0]}" >/dev/null || skip "${other[0]} is not installed"

with_native() { bkctl_command=("$BKCTL"); }
with_other() { bkctl_command=("${other[@]}"); }
options() { options=(--repo "$work/$1" --password-file "$golden/v1/password"); }

# The tree: small, as the other one is emulated, but of all kinds of content and metadata.
tree=$work/tree
/usr/bin/python3 "$golden/torture.py" "$tree" 1

for suite in "${suites[@]}"; do
    unpack "$suite"
    options "$suite"
    with_other
    bkctl "${options[@]}" check --read-data || fail "the other bkctl checks the golden $suite"
    rm -rf "$work/out"
    bkctl "${options[@]}" restore "$(id_of "$suite" tree-2):/tmp/golden-tree" --strip --numeric-owner --target "$work/out" ||
        fail "the other bkctl restores the golden $suite"
    same_as_manifest "$work/out" tree-2

    options "new-$suite"
    bkctl "${options[@]}" init --suite "$suite" --kdf scrypt || fail "the other bkctl makes a repository of $suite"
    bkctl "${options[@]}" backup --name tree "$tree" || fail "the other bkctl backs up to $suite"
    with_native
    bkctl "${options[@]}" check --read-data || fail "check of what the other bkctl wrote, $suite"
    rm -rf "$work/out"
    bkctl "${options[@]}" restore "latest:$tree" --strip --numeric-owner --target "$work/out" ||
        fail "restore of what the other bkctl wrote, $suite"
    same_trees "$tree" "$work/out"
done
echo "# repositories of both suites exchanged"
