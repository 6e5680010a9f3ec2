#!/bin/bash
# A mirror of two directories: a thousand random places damaged in one of them, all healed by reading and by scrub; a store that is
# gone, and one that comes back empty.
#
#   PLACES=N: how many places      SEED=N: others
. "$(dirname "$0")/lib.sh" mirror
need jq rsync python3
places=${PLACES:-1000} seed=${SEED:-$RANDOM}
export XDG_STATE_HOME=$W/state
A=$W/a B=$W/b
mkdir "$A" "$B"
R="mirror:$A/repo|$B/repo"
S=$W/source
# sessions come and go; one that ended while a store was away waits for the next collection
alike() { diff -r -x sessions "$A/repo" "$B/repo" >"$W/diff" || { head "$W/diff"; fail "the two stores differ: $1"; }; }
in_first() { find "$A/repo" -type f ! -path '*/sessions/*' -printf '%P\n' | sort; }
generation() {
    python3 - "$S" "$1" <<'END'
import os, random, sys
base, g = sys.argv[1], int(sys.argv[2])
rng = random.Random(g)
for i in range(60):
    d = f"{base}/d{i % 7}"
    os.makedirs(d, exist_ok=True)
    if g and rng.random() < 0.7:
        continue
    with open(f"{d}/f{i}", "wb") as f:
        f.write(rng.randbytes(rng.randrange(1, 400000)))
END
}

step "what is backed up is in both"
bk init -q
for g in {0..39}; do
    generation "$g"
    bk backup -q --name "g$g" --level "$([ $((g % 10)) = 0 ] && echo full || echo incremental)" "$S"
done
[ -d "$B/repo/data" ] || fail "nothing is in the second store"
alike "after backups"

step "$places places damaged in one store or the other, seed $seed"
# of the chosen objects some get flipped bytes, some are cut, some are emptied, some are removed; never both copies of one
python3 - "$A/repo" "$B/repo" "$places" "$seed" >"$W/damaged" <<'END'
import os, random, sys
a, b, places, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = random.Random(seed)
names = sorted(os.path.relpath(os.path.join(d, f), a) for d, _, fs in os.walk(a) for f in fs)
names = [n for n in names if not n.startswith(("sessions/", "tmp/"))]
side = {n: rng.choice((a, b)) for n in names}
gone, done = set(), 0
while done < places:
    n = rng.choice(names)
    if n in gone:
        continue
    path = os.path.join(side[n], n)
    size = os.path.getsize(path)
    how = rng.random()
    os.chmod(path, 0o600)
    if size == 0 or (how < 0.02 and len(gone) < len(names) // 4):
        os.remove(path)
        gone.add(n)
    elif how < 0.04:
        os.truncate(path, rng.randrange(size))
    else:
        with open(path, "r+b") as f:
            f.seek(rng.randrange(size))
            c = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([c[0] ^ (1 << rng.randrange(8))]))
    done += 1
# a place may have been flipped back
for n in names:
    other = b if side[n] == a else a
    path = os.path.join(side[n], n)
    if not os.path.exists(path) or open(path, "rb").read() != open(os.path.join(other, n), "rb").read():
        print(n)
END
damaged=$(wc -l <"$W/damaged")
[ "$damaged" -gt 20 ] || fail "hardly anything is damaged"

step "restores succeed, and what they read is healed"
n=0
for g in 39 20 0; do
    rm -rf "$W/t"
    bk restore --json "g$g@latest:$S" --strip --target "$W/t" >"$W/out.$g" 2>"$W/err" || { tail -n 5 "$W/err"; fail "the restore of g$g"; }
    n=$((n + $(grep -c '"event":"repaired"' "$W/out.$g" || true)))
    [ "$g" != 39 ] || same "$S" "$W/t"
done
[ "$n" -gt 0 ] || fail "reading repaired nothing"
by_reading=$n

step "scrub repairs the rest, without a key"
expect 0 "$BKCTL" scrub --repo "$R" --json
last_json "$W/out" >/dev/null
grep '"type":"result"' "$W/out" >"$W/result"
by_scrub=$(jq .repaired "$W/result")
[ "$(jq .bad "$W/result")" = 0 ] || fail "some copies stay bad"
[ "$(jq .copies "$W/result")" = 2 ] || fail "not two copies"
alike "after the scrub"
cat "$W"/out.{39,20,0} "$W/out" | jq -r 'select(.event == "repaired" or .state == "repaired") | .object' | sort >"$W/repaired"
sort "$W/damaged" | diff - <(sort -u "$W/repaired") >"$W/diff" || { head "$W/diff"; fail "what was damaged and what was reported differ"; }
expect 0 "$BKCTL" scrub --repo "$R" --json
[ "$(jq -r 'select(.type == "result").repaired' "$W/out")" = 0 ] || fail "a second scrub finds something"
bk check --read-data --quiet

step "scrub goes round in short runs"
rm -rf "$XDG_STATE_HOME"
runs=0
until expect 0 "$BKCTL" scrub --repo "$R" --json --max-bytes 8MiB && jq -e 'select(.type == "result") | .ever_verified == .objects' "$W/out" >/dev/null; do
    runs=$((runs + 1))
    [ $runs -lt 100 ] || fail "a hundred short runs do not cover it"
done
[ $runs -gt 1 ] || fail "one short run covered everything"
expect 0 "$BKCTL" scrub --repo "$R"
grep -q "coverage: 100.0 %" "$W/out" || { cat "$W/out"; fail "no coverage"; }
grep -q "n = 2 copies" "$W/out" || { cat "$W/out"; fail "no formula"; }
echo nonsense >"$W/nonsense"
expect 5 "$BKCTL" scrub --repo "$R" --state "$W/nonsense"
expect 2 "$BKCTL" scrub --repo "$R" --interval soon

if is_root && cp -a "$A/repo" "$W/fixed" && mount --bind "$W/fixed" "$W/fixed"; then
    step "damage on a store that cannot be written to is read around, and told"
    at_exit "umount '$W/fixed' 2>/dev/null"
    find "$W/fixed/data" -type f -exec chmod u+w {} + -print | while read -r f; do
        printf XXXXXXXX | dd of="$f" bs=1 seek=300 conv=notrunc status=none
        printf XXXXXXXX | dd of="$f" bs=1 seek=5000 conv=notrunc status=none
    done
    mount -o remount,ro,bind "$W/fixed"
    rm -rf "$W/t"
    expect 0 "$BKCTL" --repo "mirror:1:$W/fixed|$B/repo" --key-file "$W/key" restore "latest:$S" --strip --target "$W/t"
    same "$S" "$W/t"
    grep -q "$W/fixed" "$W/err" || { cat "$W/err"; fail "the store is not named"; }
    umount "$W/fixed"
    rm -rf "$W/t" "$W/fixed"
fi

step "without a second copy damage is told, and nothing is touched"
cp -a "$A/repo" "$W/alone"
pack=$(cd "$W/alone" && find data -type f | sort | sed -n 1p)
chmod u+w "$W/alone/$pack"
printf XXXXXXXX | dd of="$W/alone/$pack" bs=1 seek=100 conv=notrunc status=none
expect 5 "$BKCTL" scrub --repo "$W/alone"
grep -q "$pack" "$W/err" || { cat "$W/err"; fail "the pack is not named"; }

step "the second store is gone: backups with one copy go on, collections do not"
bk forget --yes --quiet "$(bk snapshots --json | jq -r '.snapshots[1].id')" >"$W/out"
mv "$B/repo" "$B/away"
expect 0 bk restore -q "latest:$S" --strip --target "$W/t2"
same "$S" "$W/t2"
generation 40
for url in "mirror:$A/repo|$B/repo" "mirror:2:$A/repo|$B/repo"; do
    in_first >"$W/before"
    R=$url expect 21 bk backup -q --name away "$S"
    grep -q '^hint: .*mirror:1:' "$W/err" || { cat "$W/err"; fail "no hint"; }
    in_first | diff "$W/before" - >"$W/diff" || { head "$W/diff"; fail "something was written to one store of two"; }
done
R="mirror:1:$A/repo|$B/repo" bk backup -q --name away "$S" 2>"$W/err"
in_first >"$W/before"
R="mirror:1:$A/repo|$B/repo" bk prune -q >"$W/out" 2>"$W/err" && fail "a collection ran with one of two stores"
in_first | diff "$W/before" - >"$W/diff" || { head "$W/diff"; fail "a collection touched one store of two"; }
bk forget --yes --quiet "$(bk snapshots --json 2>/dev/null | jq -r '.snapshots[0].id')" >"$W/out" 2>"$W/err" && fail "a snapshot was removed from one of two stores"
expect 20 "$BKCTL" scrub --repo "$R" --json
jq -e 'select(.type == "result") | .bad == 0 and .verified == 0 and .unreachable == .objects' "$W/out" >/dev/null || { tail -n 1 "$W/out"; fail "a scrub of one of two stores counts"; }
mv "$B/away" "$B/repo"
expect 0 "$BKCTL" scrub --repo "$R" --quiet
alike "after the second store came back"

step "the first store is gone: reading goes on, nothing is decided"
mv "$A/repo" "$A/away"
rm -rf "$W/t2"
expect 0 bk restore -q "latest:$S" --strip --target "$W/t2"
same "$S" "$W/t2"
bk backup -q --name no "$S" >"$W/out" 2>"$W/err" && fail "something was committed without the first store"
mv "$A/away" "$A/repo"

step "an empty disk takes the place of a lost one"
rm -rf "$B/repo"
mkdir "$B/repo"
expect 0 "$BKCTL" scrub --repo "$R" --quiet --fill
alike "after filling"
bk prune -q
alike "after a collection"
bk check --read-data --quiet
figure "$places places hit $damaged objects: $by_reading copies repaired by restores, $by_scrub by scrub, each of them reported"
