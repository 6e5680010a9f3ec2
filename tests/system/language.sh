#!/bin/bash
# Messages in Chinese, complete.
. "$(dirname "$0")/lib.sh" language
need msgfmt localedef
here=$(realpath "$(dirname "$0")")
po=$here/../../bkctl/po/zh_CN.po
counts=$(msgfmt --check --statistics -o /dev/null "$po" 2>&1) || fail "msgfmt --check: $counts"
counts=$(tail -n 1 <<<"$counts")
! grep -qE 'untranslated|fuzzy' <<<"$counts" || incomplete=1
figure "$counts"
mkdir -p "$W/domain/zh_CN/LC_MESSAGES" "$W/locale"
msgfmt -o "$W/domain/zh_CN/LC_MESSAGES/bkctl.mo" "$po"
export BKCTL_LOCALEDIR=$W/domain
mkdir "$W/source"
echo x >"$W/source/x"
repo
chinese() { LC_ALL=C.UTF-8 grep -qP '[\x{4e00}-\x{9fff}]' "$1"; }
try() {
    expect 0 "$@" bk_ help
    chinese "$W/out" || fail "help is not Chinese: $*"
    expect 0 "$@" bk_ backup --help
    chinese "$W/out" || fail "help of backup is not Chinese: $*"
    expect 2 "$@" bk_ bakcup
    grep -q '^bkctl: ' "$W/err" && chinese "$W/err" || fail "an error is not Chinese: $*"
    expect 0 "$@" bk_ backup --name n "$W/source"
    chinese "$W/out" || fail "a summary is not Chinese: $*"
    expect 0 "$@" bk_ backup --name n "$W/source" --json
    ! chinese "$W/out" || fail "JSON is translated"
}
printf '#!/bin/sh\nexec "%s" --repo "%s" --key-file "%s" "$@"\n' "$BKCTL" "$R" "$W/key" >"$W/bk_"
chmod +x "$W/bk_"
export PATH=$W:$PATH
unset LC_ALL
step "without the locale installed"
try env LANG=zh_CN.UTF-8
try env LC_ALL=zh_CN.UTF-8
step "with it"
localedef -i zh_CN -f UTF-8 "$W/locale/zh_CN.UTF-8" 2>"$W/err" || skip "$(grep -qi 'no such\|cannot open' "$W/err" && echo "no locale sources" || tail -n 1 "$W/err")"
try env LOCPATH="$W/locale" LANG=zh_CN.UTF-8
step "asked for"
expect 0 bk_ --lang zh_CN help
chinese "$W/out" || fail "--lang zh_CN"
expect 0 env LOCPATH="$W/locale" LANG=zh_CN.UTF-8 bk_ --lang en help
! chinese "$W/out" || fail "--lang en"
expect 0 env LANG=C bk_ help
! chinese "$W/out" || fail "LANG=C"
[ -z "${incomplete:-}" ] || fail "not complete: $counts"
