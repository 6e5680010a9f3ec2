#!/bin/bash
# Peak memory with --memory 128MiB, on many files and on one big one.
. "$(dirname "$0")/lib.sh" memory
need jq python3
[ -x /usr/bin/time ] || skip "needs /usr/bin/time"
LIMIT=128
S=$W/source
python3 - "$S" <<'END'
import os, random, sys
rng = random.Random(5)
block = rng.randbytes(1 << 20)
top = sys.argv[1]
os.makedirs(top)
def data(n):  # half of it compressible, none of it repeated
    return rng.randbytes(n // 2) + rng.randbytes(64) * (n // 128)
with open(top + "/big", "wb") as f:
    for _ in range(220):
        f.write(data(1 << 20))
for i in range(40):
    os.mkdir("%s/%d" % (top, i))
    for k in range(100):
        with open("%s/%d/%d" % (top, i, k), "wb") as f:
            f.write(data(rng.choice((100, 5000, 20000, 200000))))
END
repo
m=(bk_ --memory "${LIMIT}MiB" --threads 4)
printf '#!/bin/sh\nexec "%s" --repo "%s" --key-file "%s" "$@"\n' "$BKCTL" "$R" "$W/key" >"$W/bk_"
chmod +x "$W/bk_"
PATH=$W:$PATH
within() { # WHAT COMMAND...
    local what=$1
    shift
    peak "${m[@]}" "$@"
    figures+=("$what $peak")
    [ "$peak" -le "$LIMIT" ] || over+=("$what took $peak MiB")
}
figures=() over=()
within "first backup" backup --name m "$S"
within "unchanged" backup --name m "$S"
within full backup --name m --level full "$S"
within ls ls -lR latest
within find find '*9*'
within check check
within "check --read-data" check --read-data
within restore restore latest:"$S" --strip --target "$W/t" --verify
rm -rf "$W/t"
within "restore of one big file" restore latest:"$S/big" --target "$W/t"
cmp "$S/big" "$W/t$S/big"
within cat cat "latest:$S/big"
within export export latest -o "$W/x.tar"
within diff diff latest latest
within stats stats
figure "$(du -sm "$S" | cut -f 1) MB with --memory ${LIMIT}MiB, peak MiB: $(IFS=,; echo "${figures[*]}" | sed 's/,/, /g')"
[ ${#over[@]} = 0 ] || { printf '%s\n' "${over[@]}"; fail "more memory than --memory"; }
