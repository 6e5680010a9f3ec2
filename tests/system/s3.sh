#!/bin/bash
# A repository in S3, on a real radosgw: the commands as on a directory, wrong keys and places, a server that is killed and comes
# back, a network that fails, a server that never answers, object lock.
. "$(dirname "$0")/lib.sh" s3
need jq radosgw radosgw-admin ceph-mon ceph-osd rsync python3 openssl
"$BKCTL" version --json | jq -e '.features | index("s3")' >/dev/null || skip "built without S3"
here=$(realpath "$(dirname "$0")")
one=$here/../ceph/one
port=${BKCTL_TEST_PORT:-29300}
s3=$((port + 5)) bad=$((port + 6))
export XDG_CACHE_HOME=$W/cache AWS_ACCESS_KEY_ID=AK1 AWS_SECRET_ACCESS_KEY=SK1secret
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_SHARED_CREDENTIALS_FILE BKCTL_S3_CREDENTIALS_COMMAND http_proxy

STORE=memstore OSDS=1 BYTES=4294967296 PORT=$port EXTRA='osd pool default size = 1
osd pool default min size = 1' "$one" start "$W/ceph" >"$W/ceph.log" 2>&1 || { tail "$W/ceph.log"; fail "no cluster"; }
at_exit "'$one' stop '$W/ceph'"
rgw() { "$one" rgw "$W/ceph" >>"$W/ceph.log" 2>&1 </dev/null; }
rgw || { tail "$W/ceph.log"; fail "no radosgw"; }
radosgw-admin -c "$W/ceph/ceph.conf" user create --uid=t1 --display-name=t1 --access-key=AK1 --secret-key=SK1secret >/dev/null

place() { echo "s3://127.0.0.1:${2:-$s3}/$1?tls=off${3:+&$3}"; }
R=$(place bucket1/some/prefix)
S=$W/source
mkdir -p "$S/dir/sub"
for i in {1..60}; do head -c $((i * 1511)) /dev/urandom >"$S/dir/$i"; done
head -c 30000000 /dev/urandom >"$S/big"
truncate -s 20M "$S/sparse"
ln "$S/big" "$S/dir/hard"
ln -s big "$S/soft"
printf x >"$S/"$'new\nline'

step "probe, init, backup, restore"
expect 3 "$BKCTL" store probe "$R"
expect 0 bk init
expect 0 "$BKCTL" store probe "$R" --json
last_json "$W/out" | jq -e '.usable and ([.checks[] | select(.result == "good")] | length) == 7' >/dev/null || { cat "$W/out"; fail "the probe finds something missing"; }
expect 4 bk init
expect 0 bk backup --name a "$S"
rm "$S/dir/7"
echo second >"$S/dir/8"
expect 0 bk backup --name a "$S"
expect 0 bk restore latest --target "$W/t1"
same "$S" "$W/t1$S"
expect 0 bk check --read-data
expect 0 bk export -o "$W/out.tar" latest
[ "$(tar -tf "$W/out.tar" | wc -l)" -gt 60 ] || fail "export"
expect 0 bk diff "$(bk snapshots --json | jq -r '.snapshots[0].id')" latest
grep -q 'dir/7' "$W/out" || fail "diff"

step "copies of the metadata"
kept=$(find "$W/cache/bkctl" -type f | wc -l)
[ "$kept" -gt 4 ] || fail "nothing is kept on this machine"
! find "$W/cache/bkctl" -name 'data*' | has . || fail "data packs are kept"
for f in "$W"/cache/bkctl/*/*; do printf 'damage' | dd of="$f" conv=notrunc bs=1 seek=40 status=none; done
expect 0 bk ls -R latest
expect 0 bk restore latest --target "$W/t2"
same "$S" "$W/t2$S"
rm -rf "$W/cache"
expect 0 bk --no-cache ls -R latest
[ ! -e "$W/cache" ] || fail "--no-cache keeps copies"
mkdir "$W/cache" && : >"$W/cache/bkctl" # no folder
expect 0 bk snapshots
grep -q '^warning: ' "$W/err" || fail "no word of a cache that cannot be had"
rm -rf "$W/cache"

if [ -w /dev/fuse ] && "$BKCTL" version --json | jq -e '.features | index("mount")' >/dev/null; then
    step "mount"
    mkdir "$W/mnt"
    expect 0 bk mount --background "$W/mnt"
    at_exit "fusermount3 -uz '$W/mnt' 2>/dev/null"
    same "$S" "$W/mnt/latest$S" || same "$S" "$W/mnt/snapshots/a/latest$S"
    fusermount3 -u "$W/mnt"
fi

step "wrong keys and places"
wrong() { # STATUS MESSAGE HINT COMMAND...
    local status=$1 message=$2 hint=$3
    shift 3
    expect "$status" "$@"
    grep '^bkctl: ' "$W/err" | has -E -- "$message" || { cat "$W/err"; fail "the message does not say '$message'"; }
    [ "$hint" = - ] || grep '^hint: ' "$W/err" | has -E -- "$hint" || { cat "$W/err"; fail "the hint does not say '$hint'"; }
}
with() { "$BKCTL" --key-file "$W/key" --repo "$@"; }
AWS_SECRET_ACCESS_KEY=no wrong 14 "bucket1.*SignatureDoesNotMatch" "secret key is wrong" bk snapshots
AWS_ACCESS_KEY_ID=no wrong 14 InvalidAccessKeyId "does not know this access key" bk snapshots
wrong 2 "no S3 credentials" AWS_ACCESS_KEY_ID env -u AWS_ACCESS_KEY_ID HOME="$W" "$BKCTL" -r "$R" --key-file "$W/key" snapshots
wrong 3 "no bucket nowhere" "" with "$(place nowhere)" snapshots
wrong 3 "no repository" "bkctl init" with "$(place bucket1/elsewhere)" snapshots
wrong 2 "no setting" - with "$(place bucket1 "$s3" typo=1)" snapshots
wrong 2 "bucket" - with "s3://127.0.0.1:$s3" snapshots
wrong 20 "TLS|SSL" "tls=off" with "s3://127.0.0.1:$s3/bucket1/some/prefix?timeout=2" snapshots
wrong 20 "Connection refused|connect" - with "$(place bucket1 1 timeout=2)" snapshots
printf '[p]\naws_access_key_id=AK1\naws_secret_access_key=SK1secret\n' >"$W/credentials"
AWS_SHARED_CREDENTIALS_FILE=$W/credentials expect 0 env -u AWS_ACCESS_KEY_ID "$BKCTL" --key-file "$W/key" -r "$R&profile=p" snapshots
BKCTL_S3_CREDENTIALS_COMMAND="cat $W/credentials | tail -n 2" expect 0 env -u AWS_ACCESS_KEY_ID "$BKCTL" --key-file "$W/key" -r "$R" snapshots

step "the server is killed in the middle and comes back"
mkdir "$W/more"
for i in {1..6}; do head -c 20000000 /dev/urandom >"$W/more/$i"; done
bk backup --limit-upload 30MiB --name killed "$W/more" >"$W/out" 2>"$W/err" </dev/null &
job=$!
sleep 1.5
"$one" kill "$W/ceph" client.rgw.a
sleep 2
kill -0 "$job" || { cat "$W/err"; fail "the backup ended before the server came back"; }
rgw
wait "$job" || { cat "$W/err"; fail "the backup did not survive"; }
expect 0 bk check --read-data
expect 0 bk restore latest --target "$W/t3"
same "$W/more" "$W/t3$W/more"

proxy() { # MODE [CERTIFICATE]: $proxy is its pid
    python3 "$here/s3_proxy.py" "$bad" "$s3" "$@" >"$W/proxy.log" 2>&1 </dev/null &
    proxy=$!
    at_exit "kill $proxy 2>/dev/null"
    listens "$bad" "$proxy" "the proxy" "$W/proxy.log"
}
end_proxy() { kill "$proxy" && wait "$proxy" 2>/dev/null || true; }

step "503, cut connections, lost answers"
proxy flaky
F=$(place bucket1/flaky "$bad")
expect 0 with "$F" init
expect 0 with "$F" backup --name a "$S"
rm -rf "$W/cache"
expect 0 with "$F" backup --name a "$S"
expect 0 with "$F" restore latest --target "$W/t4"
same "$S" "$W/t4$S"
end_proxy
expect 0 with "$(place bucket1/flaky)" check --read-data
[ "$(with "$(place bucket1/flaky)" snapshots --json | jq '.snapshots | length')" = 2 ] || fail "not two snapshots"

step "a server that never answers, and one whose clock is wrong"
proxy hang
start=$SECONDS
wrong 20 "given up" - with "$(place bucket1/some/prefix "$bad" timeout=4)" snapshots
[ $((SECONDS - start)) -le 20 ] || fail "it took $((SECONDS - start)) seconds to give up"
figure "gave up on a silent server after $((SECONDS - start)) s (timeout=4)"
end_proxy
proxy skew
wrong 14 RequestTimeTooSkewed "36[0-9][0-9] seconds ahead|35[0-9][0-9] seconds ahead" with "$(place bucket1/some/prefix "$bad")" snapshots
end_proxy

step "TLS with an own authority"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bkctl-test -addext subjectAltName=IP:127.0.0.1 -keyout "$W/key.pem" \
    -out "$W/ca.pem" 2>/dev/null
cat "$W/key.pem" "$W/ca.pem" >"$W/both.pem"
proxy tls "$W/both.pem"
T="s3://127.0.0.1:$bad/bucket1/some/prefix"
wrong 14 "certificate" "ca=FILE" with "$T" snapshots
expect 0 with "$T?ca=$W/ca.pem" check
wrong 14 "" "" with "$T?ca=$W/key" snapshots
end_proxy

contract=$(dirname "$BKCTL")/../tests/unit/bkd/store/test-bkd-contract
if [ -x "$contract" ]; then
    step "the contract of a store"
    expect 0 "$contract" "$(place contract/some/prefix)"
fi

step "object lock"
L=$(place locked1/r "$s3" "control=plain1&lock=governance&retain=1")
expect 0 with "$L" init
expect 0 with "$L" backup --name a "$S"
expect 0 with "$L" check --read-data
expect 0 with "$(place locked1/r)" restore latest --target "$W/t5" # the locked bucket alone is a whole repository
same "$S" "$W/t5$S"
expect 0 "$BKCTL" store probe "$L" --json
last_json "$W/out" | jq -e '.usable and .retention' >/dev/null || { cat "$W/out"; fail "probe of the locked bucket"; }

step "locked objects outlive forget and prune"
api() { curl -sS --fail --aws-sigv4 aws:amz:us-east-1:s3 --user AK1:SK1secret -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$@"; }
keys() { api "http://127.0.0.1:$s3/$1?list-type=2&max-keys=1000&prefix=${2//\//%2F}" | grep -o '<Key>[^<]*' | cut -c 6-; }
until_of() { api "http://127.0.0.1:$s3/$1?retention=" | grep -o '<RetainUntilDate>[^<]*' | cut -c 18-; }
# As the owner may with governance: their time is over in a moment.
end_locks() {
    local key body
    for key in $(keys "$1" "$2"); do
        body="<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>$(date -u -d '2 seconds' +%Y-%m-%dT%H:%M:%SZ)</RetainUntilDate></Retention>"
        api -X PUT -H "content-md5: $(printf %s "$body" | openssl dgst -md5 -binary | base64)" -H "x-amz-bypass-governance-retention: true" \
            --data-binary "$body" "http://127.0.0.1:$s3/$1/$key?retention=" || fail "end the lock of $key"
    done
    sleep 3
}
echo third >"$S/dir/8"
head -c 3000000 /dev/urandom >"$S/dir/gone"
expect 0 with "$L" backup --name a "$S"
rm "$S/dir/gone"
expect 0 with "$L" backup --name a "$S"
packs=$(keys locked1 r/data/ | wc -l)
expect 0 with "$L" forget --keep-last 1 --yes
for _ in 1 2; do
    expect 0 with "$L" prune --json
    last_json "$W/out" | jq -e '.packs_deleted == 0 and .objects_locked > 1 and .bytes_locked > 3000000' >/dev/null || { cat "$W/out"; fail "prune of locked packs"; }
done
expect 0 with "$L" prune
grep -q 'still locked' "$W/out" || { cat "$W/out"; fail "prune does not tell what is locked"; }
[ "$(keys locked1 r/data/ | wc -l)" -ge "$packs" ] || fail "locked packs are gone"
expect 0 with "$L" check --read-data
end_locks locked1 r/data/
end_locks locked1 r/meta/
end_locks locked1 r/index/
expect 0 with "$L" prune --json
last_json "$W/out" | jq -e '.packs_deleted > 0 and .objects_locked == 0' >/dev/null || { cat "$W/out"; fail "prune after the locks"; }
expect 0 with "$L" check --read-data

step "old packs are locked again for a new snapshot"
L=$(place locked2/r "$s3" "control=plain2&lock=governance")
expect 0 with "$L" init --min-retention 1h
expect 0 with "$L" backup --name a "$S"
all_locked() { # SECONDS PREFIX...: for so long at least
    local key least at
    least=$(($(date +%s) + $1))
    shift
    for key in $(for p in "$@"; do keys locked2 "$p"; done); do
        at=$(until_of "locked2/$key") || fail "$key is not locked"
        [ "$(date -d "$at" +%s)" -ge "$least" ] || fail "$key is locked until $at only"
    done
}
all_locked 3600 r/data/ r/meta/ r/index/ r/snapshots/ r/keys/ r/keyring/ r/config r/retention/
expect 0 with "$L" retention set 3h --yes
expect 0 with "$L" backup --name a "$S"
all_locked 10800 r/data/ r/meta/ r/index/ r/keys/ r/keyring/ r/config r/retention/
wrong 15 "lock" "object lock" with "$(place bucket1/l "$s3" "control=plain1&lock=compliance")" init

figure "$("$BKCTL" version | sed -n 1p)"
