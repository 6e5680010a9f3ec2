#!/bin/bash
# Shell completion that loads and completes, and man pages that format without a complaint.
. "$(dirname "$0")/lib.sh" completion
need jq
"$BKCTL" completion bash >"$W/bkctl.bash"
bash -n "$W/bkctl.bash"
completed() { # WORDS...: what bash would offer for the last
    bash -c '. "$1"; shift; COMP_WORDS=(bkctl "$@"); COMP_CWORD=$#; COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
        f=$(complete -p bkctl | sed "s/.*-F \([^ ]*\).*/\1/"); "$f" bkctl "${!#}" "" >/dev/null; printf "%s\n" "${COMPREPLY[@]}"' \
        - "$W/bkctl.bash" "$@"
}
offers() {
    local want=$1
    shift
    completed "$@" >"$W/got"
    grep -qxF -- "$want" "$W/got" || { cat "$W/got"; fail "'$*' does not offer $want"; }
}
offers backup ""
offers snapshots snap
offers restore re
offers --exclude-caches backup --excl
offers --repo backup --re
offers differential backup --level ""
offers change key ch
offers tar.zst export latest --format tar
offers release hold ""
cd "$W" && mkdir -p folder && touch file
offers folder backup fo
commands=$("$BKCTL" help | grep -oE '^  [a-z]+' | tr -d ' ')
for c in $commands; do offers "$c" "$c"; done
for shell in zsh fish; do
    "$BKCTL" completion $shell >"$W/bkctl.$shell"
    ! command -v $shell >/dev/null || $shell -n "$W/bkctl.$shell"
    for c in $commands; do grep -qw "$c" "$W/bkctl.$shell" || fail "$shell: no $c"; done
done

n=0
for c in "" $commands; do
    "$BKCTL" man $c >"$W/page.1"
    [ -s "$W/page.1" ] || fail "no page of $c"
    if command -v mandoc >/dev/null; then
        bad=$(mandoc -Tlint -W warning "$W/page.1" 2>&1 | grep -vE 'missing date|STYLE' || true)
    elif command -v man >/dev/null; then
        bad=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$W/page.1" 2>&1 >/dev/null)
    else
        skip "needs mandoc or man"
    fi
    [ -z "$bad" ] || { echo "$bad"; fail "the page of bkctl $c"; }
    n=$((n + 1))
done
figure "$n man pages, $(wc -w <<<"$commands") commands completed in bash, zsh and fish"
