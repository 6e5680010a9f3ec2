#!/bin/bash
# A tree of very many files, most of them in one folder, in the default memory budget: 100,000 of them, a million with LONG=1.
. "$(dirname "$0")/lib.sh" million
need jq python3
[ -x /usr/bin/time ] || skip "needs /usr/bin/time"
N=100000
[ -z "${LONG:-}" ] || N=1000000
LIMIT=512
S=$W/source
python3 - "$S" $N <<'END'
import os, sys
top, n = sys.argv[1], int(sys.argv[2])
one = n * 6 // 10
os.makedirs(top + "/one")
os.chdir(top + "/one")
for i in range(one):
    fd = os.open("file number %d" % i, os.O_CREAT | os.O_WRONLY, 0o644)
    if i % 4 == 0:
        os.write(fd, b"%d" % i)
    os.close(fd)
os.chdir("..")
for d in range((n - one) // 100):
    os.makedirs("many/%d/%d" % (d % 50, d))
    for i in range(100):
        fd = os.open("many/%d/%d/%d" % (d % 50, d, i), os.O_CREAT | os.O_WRONLY, 0o644)
        if i % 4 == 0:
            os.write(fd, b"%d %d" % (d, i))
        os.close(fd)
END
printf '#!/bin/sh\nexec "%s" --repo "%s" --key-file "%s" "$@"\n' "$BKCTL" "$R" "$W/key" >"$W/bk_"
chmod +x "$W/bk_"
PATH=$W:$PATH
figures=() over=()
within() {
    local what=$1 start=$SECONDS
    shift
    peak bk_ "$@"
    figures+=("$what $peak MiB $((SECONDS - start)) s")
    [ "$peak" -le "$LIMIT" ] || over+=("$what took $peak MiB")
}
repo
within backup backup --name m "$S"
[ "$(newest .files)" = $N ] || fail "$(newest .files) files instead of $N"
within unchanged backup --name m "$S"
[ "$(newest .read_bytes)" = 0 ] && [ "$(newest .unchanged_files)" = $N ] || fail "an unchanged run took $(newest .unchanged_files) as unchanged"
rm "$S/one/file number 17"
echo new >"$S/one/file number new"
within changed backup --name m "$S"
within ls ls -R latest
[ "$(wc -l <"$W/out")" -ge $N ] || fail "ls shows $(wc -l <"$W/out") lines"
bk cat "latest:$S/one/file number new" | cmp - "$S/one/file number new"
within restore restore latest:"$S" --strip --target "$W/t"
list() { (cd "$1" && find . -printf '%p %y %m %s %T@\n' | grep -v '^[^ ]* d' | sort); }
cmp <(list "$S") <(list "$W/t") || fail "the restored tree differs"
[ -n "${LONG:-}" ] || diff -r "$S" "$W/t"
within check check
figure "$N files, peak: $(IFS=,; echo "${figures[*]}" | sed 's/,/, /g')"
[ ${#over[@]} = 0 ] || { printf '%s\n' "${over[@]}"; fail "more memory than the default budget"; }
