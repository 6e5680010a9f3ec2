#!/bin/bash
# One suite over every kind of store: the commands' system tests, and writers, a pruner and a restorer that are killed, on RADOS (replicated
# and erasure-coded), S3 and HTTPS as on a directory.
#
#   LONG=1: more of the suite, and ten minutes of the latter      STORES="rep ec s3 https dir": some of them      SOAK_SECONDS=N
. "$(dirname "$0")/lib.sh" stores STORE=memstore BYTES=6442450944 PORT=${BKCTL_TEST_PORT:-28200}
need openssl curl
suite="commands forget roundtrip" seconds=${SOAK_SECONDS:-8}
[ -z "${LONG:-}" ] || suite="$suite keys mount excludes changing torture language" seconds=${SOAK_SECONDS:-600}
system=$(realpath "$(dirname "$0")/../system")
port=${BKCTL_TEST_PORT:-28200} https_port=$((${BKCTL_TEST_PORT:-28200} + 60))
export XDG_CACHE_HOME=$W/cache AWS_ACCESS_KEY_ID=AK1 AWS_SECRET_ACCESS_KEY=SK1secret
unset AWS_SESSION_TOKEN AWS_PROFILE BKCTL_TOKEN BKCTL_TOKEN_COMMAND http_proxy https_proxy

start_s3() {
    one rgw >>"$W/ceph.log" 2>&1 </dev/null || { tail "$W/ceph.log"; fail "no radosgw"; }
    radosgw-admin -c "$C/ceph.conf" user create --uid=t1 --display-name=t1 --access-key=AK1 --secret-key=SK1secret >/dev/null
}

start_https() {
    local i
    BKD=$(dirname "$BKCTL")/../bkd/bkd
    "$BKD" token new >"$W/token"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
        -keyout "$W/server.key" -out "$W/server.pem" 2>/dev/null
    { # every test has places of its own
        for t in $suite soak; do for i in {1..9}; do echo "repository $t$i $W/https/$t$i"; done; done
        echo "principal admin token $(sed -n 2p "$W/token")"
        for t in $suite soak; do for i in {1..9}; do echo "role admin collector $t$i"; done; done
    } >"$W/config"
    mkdir "$W/https"
    "$BKD" serve --listen "127.0.0.1:$https_port" --cert "$W/server.pem" --key "$W/server.key" --config "$W/config" >"$W/bkd.log" 2>&1 </dev/null &
    server=$!
    at_exit "kill $server; wait $server"
    listens "$https_port" "$server" bkd "$W/bkd.log"
}

place_of() { # STORE TEST
    case $1 in
        rep | ec) echo "rados://$1/%s?conf=$C/ceph.conf" ;;
        s3) echo "s3://127.0.0.1:$((port + 5))/suite/%s?tls=off" ;;
        https) echo "https://127.0.0.1:$https_port/$2%n?ca=$W/server.pem&token-file=$W/token" ;;
        dir) echo "$W/dir.%s" ;;
    esac
}

start_s3
start_https
for store in ${STORES:-rep ec s3 https}; do
    for t in $suite soak; do
        step "$store: $t"
        rc=0
        SOAK_SECONDS=$seconds TEST_STORE=$(place_of "$store" "$t") "$system/$t.sh" >"$W/out" 2>&1 || rc=$?
        [ $rc = 0 ] || [ $rc = 77 ] || { tail -n 30 "$W/out"; fail "$t on $store"; }
        [ "$t" != soak ] || grep '^# ' "$W/out" | sed "s/^# /# $store: /"
    done
done
figure "$(wc -w <<<"$suite") tests and a soak alike on ${STORES:-rep ec s3 https}"
