#!/bin/sh
# pages.sh BKCTL SOURCE: the pages and scripts agree with the tables.
set -eu
bkctl=$1 source=$2 bad=0
fail() { echo "$*" >&2; bad=1; }

"$bkctl" --lang C man errors.md | cmp -s - "$source/docs/errors.md" ||
    fail "docs/errors.md differs from the table: bkctl man errors.md > docs/errors.md"

names=$("$bkctl" --lang C help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p')
[ "$(echo "$names" | wc -l)" -ge 18 ] || fail "help lists too few commands"
for c in $names; do
    "$bkctl" --lang C help "$c" | grep -q "^Usage: bkctl $c" || fail "$c: no help"
    "$bkctl" --lang C help "$c" | grep -q '^Examples:' || fail "$c: no examples"
    "$bkctl" --lang C man "$c" | grep -q '^\.SH SYNOPSIS' || fail "$c: no man page"
    grep -q "\`$c" "$source/docs/json.md" || fail "$c: not in docs/json.md"
    "$bkctl" completion bash | grep -q "$c:-\*" || fail "$c: not in the completion"
    grep -q "'$c'" "$source/bkctl/meson.build" || fail "$c: its man page is not built"
done

if command -v bash >/dev/null; then
    "$bkctl" completion bash | bash -n || fail "the bash completion does not parse"
fi

exit $bad
