#!/bin/sh
# messages.sh SOURCE: every source with messages is in POTFILES, and every message is translated.
set -eu
source=$1 bad=0
cd "$source"
list=$(mktemp -d)
trap 'rm -rf "$list"' EXIT
grep -lE '\b(_|N_|bk_fail|bk_fail_errno|bk_context|bk_hint|job_log|gettext)\(' -r bkctl bkd formats migrate \
    --include='*.c' --include='*.h' | LC_ALL=C sort >"$list/found"
LC_ALL=C sort bkctl/po/POTFILES >"$list/listed"
if ! cmp -s "$list/found" "$list/listed"; then
    echo "bkctl/po/POTFILES differs from the sources with messages:"
    diff "$list/listed" "$list/found" || true
    bad=1
fi
command -v xgettext >/dev/null && command -v msgfmt >/dev/null || exit 77
# shellcheck disable=SC2086
xgettext --from-code=UTF-8 --language=C $(tr -d "',\n" <bkctl/po/meson.build | grep -oE -- '--keyword=[A-Za-z_]+(:[0-9])?') \
    -f "$list/found" -o "$list/all.pot" 2>/dev/null
for po in bkctl/po/*.po; do
    msgmerge -q --no-fuzzy-matching "$po" "$list/all.pot" -o "$list/merged.po"
    missing=$(msgattrib --untranslated --no-obsolete "$list/merged.po" | grep -c '^msgid' || true)
    if [ "$missing" -gt 1 ]; then
        echo "$po: $((missing - 1)) messages are not translated:"
        msgattrib --untranslated --no-obsolete --no-wrap "$list/merged.po" | grep '^msgid' | head -20
        bad=1
    fi
    LC_ALL=C msgfmt -c -o /dev/null "$list/merged.po" 2>"$list/errors" || { cat "$list/errors"; bad=1; }
done
exit $bad
