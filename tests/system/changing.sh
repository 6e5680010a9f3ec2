#!/bin/bash
# Files that grow, shrink, vanish, and are replaced or rewritten while they are read: each restored file is a state that
# the file once had, or the run names it as an exception.
. "$(dirname "$0")/lib.sh" changing
need python3 jq
here=$(realpath "$(dirname "$0")")
S=$W/source
mkdir "$S"
repo
python3 "$here/changing_mutator.py" prepare "$S"
python3 "$here/changing_mutator.py" "$S" &
mutator=$!
at_exit "kill $mutator 2>/dev/null; wait $mutator 2>/dev/null"
exceptions=0 files=0
for run in {1..6}; do
    slow=()
    [ $((run % 2)) = 0 ] || slow=(--limit-read 40MiB) # every other one slowly: more changes under its eyes
    rc=0
    bk backup --name changing "${slow[@]}" --json "$S" >"$W/out.$run" 2>"$W/err" </dev/null || rc=$?
    [ $rc = 0 ] || [ $rc = 10 ] || { cat "$W/err" "$W/out.$run"; fail "exit status $rc"; }
    n=$(last_json "$W/out.$run" | jq .snapshot.exceptions)
    named=$(jq -s '[.[] | select(.type == "exception")] | length' "$W/out.$run")
    [ "$n" = "$named" ] || fail "$n exceptions in the snapshot, $named told"
    [ "$rc" = 10 ] || [ "$n" = 0 ] || fail "exceptions, but exit status $rc"
    exceptions=$((exceptions + n))
done
kill $mutator
wait $mutator 2>/dev/null || true
i=0
for id in $(bk snapshots --json | jq -r '.snapshots[].id'); do
    i=$((i + 1))
    expect 0 bk restore "$id:$S" --strip --target "$W/t"
    jq -r 'select(.type == "exception") | .path | split("/")[-1]' "$W/out.$i" | tr '\n' '\0' >"$W/excepted"
    good=$(python3 "$here/changing_mutator.py" judge "$S" "$W/t" <"$W/excepted") || fail "snapshot $i"
    files=$((files + good))
    rm -rf "$W/t"
done
[ $i = 6 ] || fail "$i snapshots of 6"
expect 0 bk check --read-data
figure "6 runs under change: $files files each in a state they had, $exceptions exceptions told"
