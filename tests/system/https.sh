#!/bin/bash
# A repository behind bkd: the roles, quota, wrong tokens and authorities, a server that is killed and comes back.
. "$(dirname "$0")/lib.sh" https
need jq openssl curl rsync
BKD=$(dirname "$BKCTL")/../bkd/bkd
[ -x "$BKD" ] && "$BKD" token new >"$W/admin" 2>/dev/null || skip "built without bkd serve"
"$BKCTL" version --json | jq -e '.features | index("s3")' >/dev/null || skip "built without libcurl"
port=${BKCTL_TEST_PORT:-29400}
export XDG_CACHE_HOME=$W/cache
unset BKCTL_TOKEN BKCTL_TOKEN_FILE BKCTL_TOKEN_COMMAND http_proxy https_proxy

"$BKD" token new >"$W/writer"
"$BKD" token new --sm3 >"$W/reader"
"$BKD" token new >"$W/other"
hash() { sed -n 2p "$W/$1"; }
authority() { # NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -keyout "$W/$1.key" -out "$W/$1.pem" 2>/dev/null
}
signed() { # NAME EXTENSION: a certificate of authority ca
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$W/$1.key" -out "$W/$1.csr" 2>/dev/null
    openssl x509 -req -in "$W/$1.csr" -CA "$W/ca.pem" -CAkey "$W/ca.key" -CAcreateserial -days 2 -extfile <(echo "$2") -out "$W/$1.pem" 2>/dev/null
}
authority ca
authority stranger
signed server "subjectAltName=IP:127.0.0.1"
signed host1 "extendedKeyUsage=clientAuth"
cat >"$W/config" <<END
# places
repository main $W/store
repository small $W/small quota 3000000
repository contract $W/contract
principal admin token $(hash admin)
principal writer token $(hash writer)
principal reader token $(hash reader)
principal other token $(hash other)
principal host1 certificate host1
role admin collector main
role admin collector small
role admin collector contract
role writer writer main
role writer writer small
role other writer main
role reader reader main
role host1 reader main
END

serve() {
    "$BKD" serve --listen "127.0.0.1:$port" --cert "$W/server.pem" --key "$W/server.key" --client-ca "$W/ca.pem" \
        --config "$W/config" >>"$W/bkd.log" 2>&1 </dev/null &
    server=$!
    listens "$port" "$server" bkd "$W/bkd.log"
}
serve
at_exit 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null'

M="https://127.0.0.1:$port/main?ca=$W/ca.pem"
as() { local who=$1 url=$2; shift 2; "$BKCTL" --key-file "$W/key" -r "$url&token-file=$W/$who" "$@"; }
wrong() { # STATUS MESSAGE HINT COMMAND...
    local status=$1 message=$2 hint=$3
    shift 3
    expect "$status" "$@"
    grep '^bkctl: ' "$W/err" | has -E -- "$message" || { cat "$W/err"; fail "the message does not say '$message'"; }
    [ "$hint" = - ] || grep '^hint: ' "$W/err" | has -E -- "$hint" || { cat "$W/err"; fail "the hint does not say '$hint'"; }
}
S=$W/source
mkdir -p "$S/dir"
for i in {1..40}; do head -c $((i * 1511)) /dev/urandom >"$S/dir/$i"; done
head -c 20000000 /dev/urandom >"$S/big"

step "init, backup, restore, each by its role"
expect 3 as admin "$M" snapshots
expect 3 "$BKCTL" --key-file "$W/key" -r "$M" --token-file "$W/admin" snapshots
wrong 14 "." "token-file" env BKCTL_TOKEN=x "$BKCTL" --key-file "$W/key" -r "$M" snapshots
expect 3 env BKCTL_TOKEN=x "$BKCTL" --key-file "$W/key" -r "$M" --token-file "$W/admin" snapshots
"$BKCTL" version --json | jq -e '.features | index("https")' >/dev/null || fail "https is no feature"
expect 0 as admin "$M" init
expect 0 as admin "$M" store probe
expect 4 as admin "$M" init
expect 0 as writer "$M" backup --name a "$S"
rm "$S/dir/7"
expect 0 as other "$M" backup --name a "$S"
expect 0 as reader "$M" restore latest --target "$W/t1"
same "$S" "$W/t1$S"
expect 0 as reader "$M" check --read-data
expect 0 "$BKCTL" --key-file "$W/key" -r "$M&cert=$W/host1.pem&key=$W/host1.key" check

step "what a role may not do"
wrong 14 "reader" "configuration" as reader "$M" backup --name b "$S"
wrong 14 "writer" "configuration" as writer "$M" forget --keep-last 1 --yes
id=$(as reader "$M" snapshots --json | jq -r '.snapshots[0].id')
curls() { local who=$1; shift; curl -sS --cacert "$W/ca.pem" -o "$W/body" -w '%{http_code}' -H "Authorization: Bearer $(head -n 1 "$W/$who")" "$@"; }
is() { local want=$1 got; shift; got=$(curls "$@") || true; [ "$got" = "$want" ] || { cat "$W/body"; fail "HTTP $got instead of $want: $*"; }; }
U=https://127.0.0.1:$port/main
name=$(cd "$W/store" && find data -type f -print -quit)
put() { # FILE
    echo "-T $1 -H If-None-Match:* -H X-Bkd-Sha256:$(sha256sum "$1" | cut -d ' ' -f 1)"
}
printf hello >"$W/hello"
is 403 writer -X DELETE "$U/o/$name"
is 403 writer -X DELETE "$U/o/config"
is 412 writer $(put "$W/hello") "$U/o/$name"
is 428 writer -T "$W/hello" "$U/o/data/x"
is 400 writer -T "$W/hello" -H 'If-None-Match: *' -H "X-Bkd-Sha256: $(printf hellx | sha256sum | cut -d ' ' -f 1)" "$U/o/data/x"
is 404 writer "$U/o/data/x"
for o in keys/1 config tombstones/1 generation/1 retention/9 notes/x snapshots/00 copies/snapshots/00 received/x; do
    is 403 writer $(put "$W/hello") "$U/o/$o"
done
is 403 admin $(put "$W/hello") "$U/o/received/x"
is 403 reader $(put "$W/hello") "$U/o/data/x"
is 201 writer $(put "$W/hello") "$U/o/sessions/aa"
is 403 other $(put "$W/hello") "$U/o/sessions/aa.00000001"
is 403 other -X DELETE "$U/o/sessions/aa"
is 403 other $(put "$W/hello") "$U/o/snapshots/aa"
is 201 writer $(put "$W/hello") "$U/o/sessions/aa.00000001"
is 204 writer -X DELETE "$U/o/sessions/aa.00000001"
is 204 writer -X DELETE "$U/o/sessions/aa"
is 204 writer -X DELETE "$U/o/sessions/aa"
is 400 admin --path-as-is "$U/o/../../etc/passwd"
is 400 admin "$U/o/%2e%2e/x"
is 400 admin -X POST -d x "$U/o/data/x"
is 206 reader -r 0-9 "$U/o/$name"
[ "$(stat -c %s "$W/body")" = 10 ] || fail "not ten bytes"
is 416 reader -r 99999999999-99999999999 "$U/o/$name"
is 403 writer "https://127.0.0.1:$port/nowhere"
grep -qE "^1 [0-9]{19} writer$" "$W/store/received/snapshots/"* || fail "no time of receipt"

step "wrong tokens and authorities, no TLS"
echo bkd-no >"$W/nobody"
wrong 14 "401" "BKCTL_TOKEN" as nobody "$M" snapshots
wrong 14 "401" "token-file" "$BKCTL" --key-file "$W/key" -r "$M" snapshots
BKCTL_TOKEN=$(head -n 1 "$W/reader") expect 0 "$BKCTL" --key-file "$W/key" -r "$M" snapshots
BKCTL_TOKEN_COMMAND="head -n 1 $W/reader" expect 0 "$BKCTL" --key-file "$W/key" -r "$M" snapshots
wrong 14 "certificate|SSL" "ca=FILE" as reader "https://127.0.0.1:$port/main?ca=$W/stranger.pem" snapshots
wrong 14 "no role" - as reader "https://127.0.0.1:$port/small?ca=$W/ca.pem" snapshots
if curl -sS -m 5 "http://127.0.0.1:$port/main" >"$W/body" 2>&1; then fail "plain HTTP is answered"; fi
wrong 15 "no store" - "$BKCTL" --key-file "$W/key" -r "http://127.0.0.1:$port/main" snapshots

step "the quota"
Q="https://127.0.0.1:$port/small?ca=$W/ca.pem"
expect 0 as admin "$Q" init
wrong 9 "quota" "quota" as writer "$Q" backup --name a "$S"
expect 0 as admin "$Q" check
[ "$(du -sb "$W/small" | cut -f 1)" -lt 3200000 ] || fail "more than the quota is stored"
expect 0 as writer "$Q" backup --name b "$S/dir/1"

step "the server is killed in the middle and comes back"
mkdir "$W/more"
for i in {1..4}; do head -c 20000000 /dev/urandom >"$W/more/$i"; done
as writer "$M" backup --limit-upload 20MiB --name killed "$W/more" >"$W/out" 2>"$W/err" </dev/null &
job=$!
sleep 1.5
kill -9 "$server"
wait "$server" 2>/dev/null || true
sleep 1
kill -0 "$job" || { cat "$W/err"; fail "the backup ended before the server came back"; }
serve
wait "$job" || { cat "$W/err"; fail "the backup did not survive"; }
expect 0 as reader "$M" check --read-data
expect 0 as reader "$M" restore latest --target "$W/t2"
same "$W/more" "$W/t2$W/more"

step "the server goes away for good in the middle: what runs ends once, and calls nothing damaged"
"$BKCTL" --repo "$W/copy" --key-file "$W/key" init -q
for command in "restore latest --target $W/cut" "check --read-data" "copy --all --to $W/copy --to-key-file $W/key"; do
    # shellcheck disable=SC2086
    "$BKCTL" --key-file "$W/key" -r "$M&timeout=4&token-file=$W/reader" --no-cache --limit-download 8MiB $command >"$W/out" 2>"$W/err" </dev/null &
    job=$!
    sleep 1.5
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    start=$SECONDS rc=0
    wait "$job" || rc=$?
    [ $rc = 20 ] || { tail -n 5 "$W/out" "$W/err"; fail "$command ended with $rc"; }
    [ $((SECONDS - start)) -le 15 ] || fail "$command took $((SECONDS - start)) seconds to give up"
    grep -q "127.0.0.1:$port" "$W/err" || { cat "$W/err"; fail "the error does not name the store"; }
    ! grep -qiE 'zero|damage' "$W/out" "$W/err" || { cat "$W/out" "$W/err"; fail "what was not fetched is called damaged"; }
    serve
done

step "the collector collects"
expect 0 as admin "$M" forget --keep-last 1 --yes
expect 0 as admin "$M" prune
expect 0 as reader "$M" check --read-data

contract=$(dirname "$BKCTL")/../tests/unit/bkd/store/test-bkd-contract
if [ -x "$contract" ]; then
    step "the contract of a store"
    expect 0 "$contract" "https://127.0.0.1:$port/contract?ca=$W/ca.pem&token-file=$W/admin"
fi

step "a graceful end"
"$BKCTL" --key-file "$W/key" -r "$M&timeout=4&token-file=$W/reader" restore latest --target "$W/t3" >/dev/null 2>&1 </dev/null & # itself: it is killed
job=$!
sleep 0.2
kill -TERM "$server"
wait "$server" || fail "bkd ends with $?"
kill "$job" 2>/dev/null || true
wait "$job" 2>/dev/null || true
start=$SECONDS
wrong 20 "connect" - as reader "$M&timeout=3" snapshots
[ $((SECONDS - start)) -le 20 ] || fail "it took $((SECONDS - start)) seconds to give up"
serve
figure "$("$BKD" --version)"
